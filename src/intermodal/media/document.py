"""Documents, opened inside the worker with pdfium: probe, text, pictures. Only this module opens one.

Scripts, launch actions, embedded files and forms are never run or opened: the library is built
without them, and the process may open nothing anyway.
"""

from __future__ import annotations

import ctypes
import encodings.utf_16_le  # noqa: F401 - pdfium's strings; a codec is imported on its first use
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import pypdfium2
import pypdfium2.raw as raw

from intermodal.errors import InputBroken, InputEmpty, InputEncrypted, InputTooLarge
from intermodal.media import fence, letters
from intermodal.media.invisible import visible
from intermodal.media.pdf import layer
from intermodal.media.pdf.annotations import Over, attached, over, told
from intermodal.media.probed import Probed
from intermodal.media.scripts import scripts
from intermodal.media.steps import (
    MAX_PAGES,
    MAX_PAGES_SAMPLED,
    MAX_PAGES_WITH_WORDS,
    MAX_PIXELS,
    MAX_WORDS_OF_PAGE,
    POINTS_PER_INCH,
    page_size,
)
from intermodal.plans.facts import SCANNED_BELOW, PageFacts
from intermodal.quantity import Quantity

T = TypeVar("T")
Encode = Callable[[Any], T]
Report = Callable[[float | None, str], None]

_ENCRYPTED, _SECURITY = 4, 5  # FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY (fpdfview.h)
_GRID = 32  # cells a side on which the area under figures is counted
_MAX_OBJECTS = 20_000  # of a page that are looked at for figures
_THIN = 3.0  # points: rules and borders are no figures
_SAMPLE_SECONDS = 5.0  # for all sampled pages: probing has to end though a page is slow to draw
_BACKGROUND = 0.9  # share of the page from which a drawn path is its background
_STRAIGHT = 6  # segments of a path up to which it is a line, a rectangle or the like, and no letter
_FEW = 12  # such paths, up to which they are frames and rules and not letters of a plotter
_UNDER_LAYER = 0.5  # share of the page under pictures, from which on an invisible layer belongs to them
_LOGO = 0.02  # share of the page under pictures, below which they are a logo beside the text
_NO_TEXT = 2  # bytes: the end of a text of no characters
_TODO = "check that the file is complete and opens elsewhere"

_KEPT = 0.85  # share of a page's letters that laying it out has to keep
_NO_LETTER = re.compile(r"[\W_]+")
_WORD = re.compile(r"[^\W_]{2,40}")
_HYPHEN = re.compile(r"\x02\n?")  # pdfium's mark for a hyphen at the end of a line


def probe(data: bytes, media_type: str) -> Probed:
    """Size, characters, figures and words of every page.

    Words and figures are looked for on the first ``MAX_PAGES_WITH_WORDS`` pages, characters on all.
    ``media_type`` is PDF, so far.
    """
    with fence.room(3 * len(data) + (160 << 20)), _opened(data) as document:
        count = len(document)
        return Probed(
            pages=tuple(_page_facts(document, number) for number in range(1, count + 1)),
            notes=attached(document),
        )


def sampled(data: bytes, probed: Probed, density: Callable[[Any], Quantity]) -> Probed:
    """``probed`` with what is seen on the first ``MAX_PAGES_SAMPLED`` pages that are no plain text.

    Of scanned pages the text density, measured by ``density``, and the letters; of those with an invisible layer also
    whether it fits what is seen. Pages are drawn as small as pictures are sampled, so that one measure serves both. A
    page of very many pixels, or one that cannot be drawn, stays unknown: sampling refuses nothing.
    """
    some = [page for page in probed.pages if page.scanned or page.hidden][:MAX_PAGES_SAMPLED]
    found: dict[int, PageFacts] = {}
    until = time.monotonic() + _SAMPLE_SECONDS
    with fence.room(3 * len(data) + (768 << 20)), _opened(data) as document:
        for facts in some:
            if time.monotonic() > until:
                break
            with _page(document, facts.number) as page:
                drawn = _small(page, facts) if _pixels_inside(page) <= MAX_PIXELS else None
                if drawn is not None:
                    found[facts.number] = _seen(facts, drawn, density, _text(page) if facts.hidden else "")
    return msgspec.structs.replace(probed, pages=tuple(found.get(page.number, page) for page in probed.pages))


def _small(page: pypdfium2.PdfPage, facts: PageFacts) -> Any:
    """A page in grey, as small as pictures are sampled; None where it cannot be drawn."""
    scale: Any = letters.SIDE / max(facts.width, facts.height)
    try:
        bitmap = page.render(scale=scale, may_draw_forms=False, grayscale=True)
    except pypdfium2.PdfiumError:
        return None
    try:
        return bitmap.to_pil().copy()
    finally:
        bitmap.close()


def _seen(facts: PageFacts, drawn: Any, density: Callable[[Any], Quantity], words: str) -> PageFacts:
    """Facts of a page that was drawn. ``words``: of its invisible layer."""
    looks = density(drawn)
    counted = letters.counted(drawn, written=looks.mid > 0)
    doubt = facts.doubt or (layer.MISREAD if words and not layer.fits(words, counted.mid) else "")
    return msgspec.structs.replace(facts, text_density=looks, letters=counted, doubt=doubt)


def text(data: bytes, pages: list[int], report: Report, *, plain: bool = False) -> list[str]:
    """The words of each page, in the order asked, as Markdown, with the links, values and remarks that lie over it.

    Where the layout (``media/pdf/layout.py``) is not installed, cannot read a page or loses words of it, and where
    ``plain``, the words come as the file draws them.
    """
    from intermodal.media.pdf import layout  # the worker has imported it, with files allowed

    laid_out = not plain and layout.installed()
    found: list[str] = []
    with fence.room(3 * len(data) + (512 << 20)), _opened(data) as document:
        numbers = _existing(document, pages)
        form = _form(document)
        for start in range(0, len(numbers), layout.AT_ONCE):
            words: list[str] = []
            above: list[Over | None] = []
            light: list[int] = []
            for number in numbers[start : start + layout.AT_ONCE]:
                with _page(document, number) as page:
                    words.append(_text(page))
                    above.append(over(page, form))
                    if laid_out and words[-1].strip() and layout.is_light(page):
                        light.append(number)
            laid = layout.pages(data, light) if light else {}
            for place, number in enumerate(numbers[start : start + layout.AT_ONCE]):
                settled = _settled(words[place], visible(laid.get(number, "")))
                lies = above[place]
                found.append(settled if lies is None else told(settled, lies))
            report(len(found) / len(numbers), "")
    return found


def _settled(plain: str, laid: str) -> str:
    """The page as it was laid out, unless words of it got lost on the way."""
    return laid if len(_NO_LETTER.sub("", laid)) >= _KEPT * len(_NO_LETTER.sub("", plain)) else plain


def _form(document: pypdfium2.PdfDocument) -> Any:
    """The raw handle of the document's form, None where it has none. To be asked before a page is loaded."""
    if document.get_formtype() == raw.FORMTYPE_NONE:
        return None
    try:
        document.init_forms()
    except pypdfium2.PdfiumError:
        return None
    return None if document.formenv is None else document.formenv.raw


def pictures(data: bytes, pages: list[int], dpi: float, encode: Encode[T], report: Report) -> list[T]:
    """Each page, rendered at ``dpi`` or at less where it would have too many pixels, and encoded by ``encode``."""
    made = []
    with fence.room(3 * len(data) + (768 << 20)), _opened(data) as document:
        for done, number in enumerate(_existing(document, pages)):
            with _page(document, number) as page:
                _, _, used = page_size(*_size(page), dpi)
                scale: Any = used / POINTS_PER_INCH  # a float; the binding's default makes checkers think otherwise
                bitmap = page.render(scale=scale, may_draw_forms=False, rev_byteorder=True)
                try:
                    made.append(encode(bitmap.to_pil()))
                finally:
                    bitmap.close()
            report((done + 1) / len(pages), "")
    return made


@contextmanager
def _opened(data: bytes) -> Iterator[pypdfium2.PdfDocument]:
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code in (_ENCRYPTED, _SECURITY):
            raise InputEncrypted("is locked by a password", todo="save an unlocked copy") from None
        raise InputBroken("cannot be opened as PDF", todo=_TODO) from None
    try:
        count = len(document)
        if count == 0:
            raise InputEmpty("has no pages", todo="check what wrote this file")
        if count > MAX_PAGES:
            raise InputTooLarge(
                f"has {count:,} pages, more than {MAX_PAGES:,}", todo="save the pages you need as a PDF"
            )
        yield document
    finally:
        document.close()


@contextmanager
def _page(document: pypdfium2.PdfDocument, number: int) -> Iterator[pypdfium2.PdfPage]:
    try:
        page = document[number - 1]
    except pypdfium2.PdfiumError:
        raise InputBroken(f"page {number} is damaged", todo=_TODO) from None
    try:
        yield page
    finally:
        page.close()


def _existing(document: pypdfium2.PdfDocument, pages: list[int]) -> list[int]:
    for number in pages:
        if not 1 <= number <= len(document):
            raise InputBroken(f"has no page {number}", todo=f"its pages are 1 to {len(document)}")
    return pages


def _size(page: pypdfium2.PdfPage) -> tuple[float, float]:
    """Points, turned as shown, at least one each."""
    return max(1.0, page.get_width()), max(1.0, page.get_height())


def _page_facts(document: pypdfium2.PdfDocument, number: int) -> PageFacts:
    with _page(document, number) as page:
        width, height = _size(page)
        if number > MAX_PAGES_WITH_WORDS:
            textpage = page.get_textpage()
            chars = textpage.count_chars()
            textpage.close()
            return PageFacts(number=number, width=width, height=height, chars=chars)
        textpage = page.get_textpage()
        try:
            words = _words(textpage)
            doubt = layer.doubt(words, textpage)
        finally:
            textpage.close()
        figures = _figure_share(page, width, height)
        return PageFacts(
            number=number,
            width=width,
            height=height,
            chars=len(words),
            scripts=scripts(words),
            figure_share=round(figures, 3),
            words=() if doubt else _distinct(words),
            layer_only=len(words) < SCANNED_BELOW and _has_only_its_layer(page, width, height, empty=not words.strip()),
            hidden=not doubt and figures >= _UNDER_LAYER and len(words) >= SCANNED_BELOW and layer.is_invisible(page),
            doubt=doubt,
        )


def _text(page: pypdfium2.PdfPage) -> str:
    textpage = page.get_textpage()
    try:
        return _words(textpage)
    finally:
        textpage.close()


def _words(textpage: pypdfium2.PdfTextPage) -> str:
    """The text layer: plain line ends, hyphenated words joined, invisible characters left out."""
    words = textpage.get_text_range()
    return visible(_HYPHEN.sub("", words.replace("\r\n", "\n")))


def _distinct(words: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for match in _WORD.finditer(words.lower()):
        found[match.group()] = None
        if len(found) >= MAX_WORDS_OF_PAGE:
            break
    return tuple(found)


def _has_only_its_layer(page: pypdfium2.PdfPage, width: float, height: float, *, empty: bool) -> bool:
    """Whether nothing on a page of few characters can hold words beside its text layer.

    Words may be in pictures (one as small as a logo counts where there is no text at all), in curves, which is how
    letters are drawn as outlines, in text whose characters nobody can tell, and in what is laid over the page. A few
    straight paths are a frame or a rule.
    """
    count = raw.FPDFPage_CountObjects(page.raw)
    if count > _MAX_OBJECTS or _has_notes(page):
        return False
    rows, straight = [0] * _GRID, 0
    textpage = page.get_textpage()
    try:
        for index in range(count):
            thing = raw.FPDFPage_GetObject(page.raw, index)
            kind = raw.FPDFPageObj_GetType(thing)
            if kind == raw.FPDF_PAGEOBJ_IMAGE:
                box = _bounds(thing)
                if box is None or empty:
                    return False
                _mark(rows, (box[0] / width, box[1] / height, box[2] / width, box[3] / height))
            elif kind == raw.FPDF_PAGEOBJ_PATH:
                straight += 1
                if raw.FPDFPath_CountSegments(thing) > _STRAIGHT or straight > _FEW:
                    return False
            elif kind == raw.FPDF_PAGEOBJ_TEXT:
                if raw.FPDFTextObj_GetText(thing, textpage.raw, None, 0) <= _NO_TEXT:
                    return False
            elif kind != raw.FPDF_PAGEOBJ_SHADING:
                return False
    finally:
        textpage.close()
    return sum(row.bit_count() for row in rows) < _LOGO * _GRID * _GRID


def _has_notes(page: pypdfium2.PdfPage) -> bool:
    """Whether stamps, filled fields or remarks lie over the page; links show nothing of their own."""
    for index in range(raw.FPDFPage_GetAnnotCount(page.raw)):
        note = raw.FPDFPage_GetAnnot(page.raw, index)
        if not note:
            return True
        try:
            if raw.FPDFAnnot_GetSubtype(note) not in (raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_POPUP):
                return True
        finally:
            raw.FPDFPage_CloseAnnot(note)
    return False


def _figure_share(page: pypdfium2.PdfPage, width: float, height: float) -> float:
    """Share of the page under raster images, shadings and drawn paths, counted on a grid of 32 x 32 cells.

    Thin paths are rules and borders, paths as large as the page its background: neither is a figure.
    """
    rows = [0] * _GRID
    seen = 0
    for thing, kind in _objects(page.raw):
        seen += 1
        if seen > _MAX_OBJECTS:
            break
        box = _bounds(thing)
        if box is None:
            continue
        left, bottom, right, top = box
        if kind == raw.FPDF_PAGEOBJ_PATH and (
            min(right - left, top - bottom) < _THIN or (right - left) * (top - bottom) > _BACKGROUND * width * height
        ):
            continue
        _mark(rows, (left / width, bottom / height, right / width, top / height))
    return sum(row.bit_count() for row in rows) / (_GRID * _GRID)


def _objects(page: Any) -> Iterator[tuple[Any, int]]:
    """Images, shadings and paths of a page. A form counts as a figure by its own bounds when it holds one of these."""
    for index in range(raw.FPDFPage_CountObjects(page)):
        thing = raw.FPDFPage_GetObject(page, index)
        kind = raw.FPDFPageObj_GetType(thing)
        if kind == raw.FPDF_PAGEOBJ_FORM:
            inner = min(raw.FPDFFormObj_CountObjects(thing), 200)
            kinds = {raw.FPDFPageObj_GetType(raw.FPDFFormObj_GetObject(thing, i)) for i in range(max(0, inner))}
            if kinds - {raw.FPDF_PAGEOBJ_TEXT}:
                yield thing, raw.FPDF_PAGEOBJ_PATH if raw.FPDF_PAGEOBJ_IMAGE not in kinds else raw.FPDF_PAGEOBJ_IMAGE
        elif kind in (raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_SHADING, raw.FPDF_PAGEOBJ_PATH):
            yield thing, kind


def _pixels_inside(page: pypdfium2.PdfPage) -> int:
    """Pixels of the raster images that lie directly on the page: what drawing it, however small, has to decode."""
    pixels = 0
    for index in range(min(raw.FPDFPage_CountObjects(page.raw), _MAX_OBJECTS)):
        thing = raw.FPDFPage_GetObject(page.raw, index)
        width, height = ctypes.c_uint(), ctypes.c_uint()
        if raw.FPDFPageObj_GetType(thing) == raw.FPDF_PAGEOBJ_IMAGE and raw.FPDFImageObj_GetImagePixelSize(
            thing, ctypes.byref(width), ctypes.byref(height)
        ):
            pixels += width.value * height.value
    return pixels


def _bounds(thing: Any) -> tuple[float, float, float, float] | None:
    numbers = [ctypes.c_float() for _ in range(4)]
    if not raw.FPDFPageObj_GetBounds(thing, *(ctypes.byref(number) for number in numbers)):
        return None
    left, bottom, right, top = (number.value for number in numbers)
    return left, bottom, right, top


def _mark(rows: list[int], box: tuple[float, float, float, float]) -> None:
    """Set the cells whose middle lies under ``box`` (shares of width and height)."""
    left, bottom, right, top = (min(1.0, max(0.0, value)) * _GRID for value in box)
    first, last = int(left + 0.5), int(right + 0.5)
    bits = (1 << max(0, last - first)) - 1 << first
    for row in range(int(bottom + 0.5), min(_GRID, int(top + 0.5))):
        rows[row] |= bits
