"""Opens PDF inside the worker with pdfium: probing, text, images. No other module does.

Scripts, launch actions, embedded files and forms are never run or opened: the library is built without them, and the
sandbox does not allow opening files.

A text layer may contain letters but no words (``layer_problem``): its font maps them to no characters or to wrong ones,
or the layer lies invisibly over a scan and was left by an earlier text recognition. Such a page has to be rendered or
read with text recognition.
"""

from __future__ import annotations

import encodings.utf_16_le  # noqa: F401 - pdfium's strings; a codec is imported on its first use
import io
import re
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import pypdfium2
import pypdfium2.raw as raw

from intermodal.core.quantity import Quantity, total
from intermodal.errors import InputBroken, InputEmpty, InputEncrypted, InputTooLarge
from intermodal.files.file_bytes import Data, FileBytes, memory_size
from intermodal.media import sandbox
from intermodal.media.creation_date import normal_date
from intermodal.media.image import letter_counts, script_detection
from intermodal.media.media_limits import (
    MAX_PAGES,
    MAX_PAGES_SAMPLED,
    MAX_PAGES_WITH_WORDS,
    MAX_PIXELS,
    MAX_WORDS_OF_PAGE,
    POINTS_PER_INCH,
    WORD_OF_PAGE,
    page_size,
)
from intermodal.media.pdf import page_figures
from intermodal.media.pdf.annotations import PageOverlay, attachment_note, page_overlay, with_overlay
from intermodal.media.pdf.hidden_text import NOTHING_HIDDEN, HiddenText, find_hidden, remove_hidden, split_text
from intermodal.media.text.invisible_characters import strip_invisible
from intermodal.media.text.script_counts import count_scripts
from intermodal.media.worker_results import MediaProbeResult
from intermodal.plans.facts import SCANNED_BELOW, Box, PageFacts
from intermodal.plans.numbers import with_noun

T = TypeVar("T")
Encode = Callable[[Any], T]
Report = Callable[[float | None, str], None]

_ENCRYPTED, _SECURITY = 4, 5  # FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY (fpdfview.h)
_STRETCH = 32 << 20  # bytes of a file that are read before it is reopened
_SAMPLE_SECONDS = 5.0  # for all sampled pages together: probing must end even if a page is slow to render
_UNDER_LAYER = 0.5  # share of the page under images from which on an invisible layer belongs to them
_CLOSEST = 4.0  # pixels per point at which a small image on a page is sampled
_WRITTEN_ON = 0.01  # share of text on an image below which it is assumed to have none
_OVERCOUNTED = 1.6  # letters counted for each letter of the layer that lies on an image, at most
_WORTH_READING = 12.0  # letters: a word or two, or three numbers on an axis
_TODO = "check that the file is complete and opens elsewhere"

_KEPT = 0.85  # share of a page's letters that the layout has to keep
_NO_LETTER = re.compile(r"[\W_]+")
_HYPHEN = re.compile(r"\x02\n?")  # pdfium's character for a hyphen at the end of a line


def probe(data: Data, media_type: str) -> MediaProbeResult:
    """Return size, characters, figures and words of every page, as ``MediaProbeResult``.

    Words and figures are collected on the first ``MAX_PAGES_WITH_WORDS`` pages, because they take five times as long as
    characters, which are counted on all. ``media_type`` is always PDF.
    """
    with sandbox.memory_limit(3 * memory_size(data) + (160 << 20)), _open_paged(data) as paper:
        notes = attachment_note(paper.document)
        created = normal_date(paper.document.get_metadata_value("CreationDate"))
        probed = [
            _page_facts(paper.document, number)
            for numbers in paper.batches(range(1, paper.count + 1))
            for number in numbers
        ]
    unseen = {page.number: len(hidden.split()) for page, hidden in probed if hidden}
    if unseen:
        left = with_noun(sum(unseen.values()), "hidden word")
        notes = (*notes, f"{left} of {_page_list([*unseen])} left out: nothing of them is seen on the page")
    if len(probed) > MAX_PAGES_WITH_WORDS:
        last = f"page {MAX_PAGES_WITH_WORDS}"
        notes = (*notes, f"hidden words, wrong text layers and images beside text are not looked for after {last}")
    return MediaProbeResult(pages=tuple(page for page, _ in probed), notes=notes, created=created)


def with_samples(data: Data, probed: MediaProbeResult, density: Callable[[Any], Quantity]) -> MediaProbeResult:
    """Return ``probed`` with samples of pages that are not plain text, at most ``MAX_PAGES_SAMPLED`` of each kind.

    Scanned pages get their text density, measured by ``density``, and their number of letters. For pages with an
    invisible layer, the layer is also compared with the image. Other pages get the images with text that the layer
    lacks. Pages are rendered as small as images are sampled, so that one measure applies to both. Very large pages and
    pages that cannot be rendered stay unknown: sampling never raises an error for them.
    """
    distinct_figures = page_figures.without_repeats(
        [(page.number, page.figures) for page in probed.pages if page.figures]
    )
    pages = {
        page.number: msgspec.structs.replace(page, figures=distinct_figures[page.number]) if page.figures else page
        for page in probed.pages
    }
    some = [page for page in pages.values() if page.is_image][:MAX_PAGES_SAMPLED]
    some += [page for page in pages.values() if page.figures][:MAX_PAGES_SAMPLED]
    looked_at: set[int] = set()
    until = time.monotonic() + _SAMPLE_SECONDS
    with sandbox.memory_limit(3 * memory_size(data) + (768 << 20)), _open_paged(data) as paper:
        for facts in (each for stretch in paper.batches(some) for each in stretch):
            if time.monotonic() > until:
                break
            with _page(paper.document, facts.number) as page:
                if page_figures.pixels_inside(page) > MAX_PIXELS:
                    continue
                found = _sampled_images(page, facts, density) if facts.figures else _sampled_page(page, facts, density)
                if found is not None:
                    pages[facts.number] = found
                    looked_at.add(facts.number)
    return msgspec.structs.replace(
        probed,
        pages=tuple(
            page if not page.figures or page.number in looked_at else msgspec.structs.replace(page, figures=())
            for page in pages.values()
        ),
    )


def _render_grey(page: pypdfium2.PdfPage, scale: float, crop: tuple[float, float, float, float] = (0, 0, 0, 0)) -> Any:
    """Return a page in grey, None if it cannot be rendered. ``crop``: points cut off left, bottom, right and top."""
    factor: Any = scale  # float: type checkers would infer int from the binding's defaults
    cut: Any = crop
    try:
        bitmap = page.render(scale=factor, crop=cut, may_draw_forms=False, grayscale=True)
    except (pypdfium2.PdfiumError, ValueError):
        return None
    try:
        return bitmap.to_pil().copy()
    finally:
        bitmap.close()


def _sampled_page(page: pypdfium2.PdfPage, facts: PageFacts, density: Callable[[Any], Quantity]) -> PageFacts | None:
    """Return the facts of a page that has to be rendered or read, or that has an invisible layer.

    Returns None if the page cannot be rendered.
    """
    image = _render_grey(page, letter_counts.SIDE / max(facts.width, facts.height))
    if image is None:
        return None
    looks = density(image)
    letters = letter_counts.count_letters(image, looks_written=looks.mid > 0)
    fits = not facts.hidden or matches_image(_page_text(page), letters.mid)
    doubt = facts.doubt or ("" if fits else MISREAD)
    found = msgspec.structs.replace(facts, text_density=looks, letters=letters, doubt=doubt)
    script = script_detection.detect_script(image, looks, letters) if found.scanned else ""
    return msgspec.structs.replace(found, script=script)


def _sampled_images(page: pypdfium2.PdfPage, facts: PageFacts, density: Callable[[Any], Quantity]) -> PageFacts:
    """Return the facts of a page whose images were sampled.

    Only images with more letters than the layer on them are kept.
    """
    regions: list[page_figures.ImageRegion] = []
    region_letters: list[Quantity] = []
    textpage = page.get_textpage()
    try:
        for spot in page_figures.image_regions(page, page_figures.drawn_objects(page), facts.width, facts.height):
            left, top, right, bottom = spot.box
            scale = min(_CLOSEST, letter_counts.SIDE / max(right - left, bottom - top))
            image = (
                _render_grey(page, scale, (left, facts.height - bottom, facts.width - right, top))
                if spot.box in facts.figures
                else None
            )
            if image is None or density(image).mid < _WRITTEN_ON:
                continue
            letters = letter_counts.count_letters(image)
            layer_letters = len("".join(textpage.get_text_bounded(*spot.own).split()))
            if letters.mid - _OVERCOUNTED * layer_letters >= _WORTH_READING:
                regions.append(spot)
                region_letters.append(letters)
    finally:
        textpage.close()
    letters = total(region_letters) if region_letters else facts.figure_letters
    return msgspec.structs.replace(facts, figures=tuple(spot.box for spot in regions), figure_letters=letters)


def text(data: Data, pages: list[int], report: Report, *, plain: bool = False) -> list[str]:
    """Return the text of each page in the given order as Markdown, with links, values and remarks of its overlay.

    The text has the order of the file if ``plain``, if the layout (``media/pdf/layout.py``) is not installed, or if it
    cannot read a page or loses words of it.
    """
    from intermodal.media.pdf import layout  # the worker has imported it, with files allowed

    laid_out = not plain and layout.is_installed()
    found: list[str] = []
    with sandbox.memory_limit(3 * memory_size(data) + (512 << 20)), _open_paged(data) as paper:
        for numbers in paper.batches(_existing(paper, pages), layout.AT_ONCE):
            form = _form(paper.document)
            words: list[str] = []
            above: list[PageOverlay | None] = []
            light: list[int] = []
            changed = False
            for number in numbers:
                with _page(paper.document, number) as page:
                    hidden = _hidden_text(page) if number <= MAX_PAGES_WITH_WORDS else NOTHING_HIDDEN
                    words.append(_page_text(page, hidden))
                    above.append(page_overlay(page, form))
                    is_light = laid_out and bool(words[-1].strip()) and layout.is_light(page)
                    if is_light and hidden:
                        remove_hidden(page, hidden)
                if is_light and hidden:
                    changed = True
                    is_light = _has_text(paper.document, number, words[-1])
                if is_light:
                    light.append(number)
            laid = _layout_pages(paper.document, data, light, changed=changed) if light else {}
            for place, number in enumerate(numbers):
                settled = _choose_text(words[place], strip_invisible(laid.get(number, "")))
                lies = above[place]
                found.append(settled if lies is None else with_overlay(settled, lies, words[place]))
            report(len(found) / len(pages), "")
    return found


def _has_text(document: pypdfium2.PdfDocument, number: int, words: str) -> bool:
    """Return True if a page whose hidden text was removed has exactly these words."""
    with _page(document, number) as page:
        return _NO_LETTER.sub("", _page_text(page)) == _NO_LETTER.sub("", words)


def _layout_pages(document: pypdfium2.PdfDocument, data: Data, numbers: list[int], *, changed: bool) -> dict[int, str]:
    """Return the given pages by the layout.

    The layout needs a whole file: for a file on disk, and for pages that were changed, a new PDF of these pages is
    passed.
    """
    from intermodal.media.pdf import layout

    if isinstance(data, bytes) and not changed:
        return layout.pages(data, numbers)
    subset, output = pypdfium2.PdfDocument.new(), io.BytesIO()
    try:
        subset.import_pages(document, [number - 1 for number in numbers])
        subset.save(output)
    except pypdfium2.PdfiumError:
        return {}
    finally:
        subset.close()
    found = layout.pages(output.getvalue(), range(1, len(numbers) + 1))
    return {number: found[place] for place, number in enumerate(numbers, 1) if place in found}


def _choose_text(plain: str, laid: str) -> str:
    """Return the page from the layout, unless the layout lost words."""
    return laid if len(_NO_LETTER.sub("", laid)) >= _KEPT * len(_NO_LETTER.sub("", plain)) else plain


def _form(document: pypdfium2.PdfDocument) -> Any:
    """Return the raw handle of the document's form, None if it has none. Must be called before a page is loaded."""
    if document.get_formtype() == raw.FORMTYPE_NONE:
        return None
    try:
        document.init_forms()
    except pypdfium2.PdfiumError:
        return None
    return None if document.formenv is None else document.formenv.raw


def pictures(
    data: Data, pages: list[int], dpi: float, encode: Encode[T], report: Report, crops: Sequence[Box] = ()
) -> Iterator[T]:
    """Yield each page, rendered at ``dpi`` (less if it would have too many pixels) and encoded by ``encode``.

    ``crops``: for each page a box to render instead: left, top, right, bottom, in points as displayed.
    """
    with sandbox.memory_limit(3 * memory_size(data) + (768 << 20)), _open_paged(data) as paper:
        stretches = paper.batches(list(enumerate(_existing(paper, pages))))
        for done, number in (each for stretch in stretches for each in stretch):
            with _page(paper.document, number) as page:
                width, height = _page_size(page)
                left, top, right, bottom = crops[done] if crops else (0.0, 0.0, width, height)
                _, _, used = page_size(right - left, bottom - top, dpi)
                scale: Any = used / POINTS_PER_INCH  # float: type checkers would infer int from the binding's defaults
                cut: Any = (left, height - bottom, width - right, top)
                bitmap = page.render(scale=scale, crop=cut, may_draw_forms=False, rev_byteorder=True)
                try:
                    yield encode(bitmap.to_pil())
                finally:
                    bitmap.close()
            report((done + 1) / len(pages), "")


class _PagedDocument:
    """A PDF that is open as ``document``, which is replaced from stretch to stretch of its pages.

    PDFium keeps everything it has read of a page until the document is closed. The document is therefore reopened after
    as many pages as take up ``_STRETCH`` bytes of the file, which bounds memory.
    """

    def __init__(self, data: Data) -> None:
        self._data = data
        self.document = self._open_document()
        self.count = len(self.document)

    def _open_document(self) -> pypdfium2.PdfDocument:
        data = self._data
        try:
            return pypdfium2.PdfDocument(data.reader() if isinstance(data, FileBytes) else data)
        except pypdfium2.PdfiumError as error:
            if error.err_code in (_ENCRYPTED, _SECURITY):
                raise InputEncrypted("is locked by a password", todo="save an unlocked copy") from None
            raise InputBroken("cannot be opened as PDF", todo=_TODO) from None

    def batches(self, pages: Sequence[T], most: int = MAX_PAGES) -> Iterator[Sequence[T]]:
        """Yield ``pages`` (or a value per page) in stretches of at most ``most``.

        The document may be reopened between two stretches.
        """
        room = max(1, _STRETCH * self.count // len(self._data))
        left = room
        for start in range(0, len(pages), min(most, room)):
            stretch = pages[start : start + min(most, room)]
            if left < len(stretch):
                self.document.close()
                self.document = self._open_document()
                left = room
            left -= len(stretch)
            yield stretch


@contextmanager
def _open_paged(data: Data) -> Iterator[_PagedDocument]:
    paper = _PagedDocument(data)
    try:
        if paper.count == 0:
            raise InputEmpty("has no pages", todo="check what wrote this file")
        if paper.count > MAX_PAGES:
            raise InputTooLarge(
                f"has {paper.count:,} pages, more than {MAX_PAGES:,}", todo="save the pages you need as a PDF"
            )
        yield paper
    finally:
        paper.document.close()


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


def _existing(paper: _PagedDocument, pages: list[int]) -> list[int]:
    for number in pages:
        if not 1 <= number <= paper.count:
            raise InputBroken(f"has no page {number}", todo=f"its pages are 1 to {paper.count}")
    return pages


def _page_size(page: pypdfium2.PdfPage) -> tuple[float, float]:
    """Return width and height in points, as displayed, at least one each."""
    return max(1.0, page.get_width()), max(1.0, page.get_height())


def _page_facts(document: pypdfium2.PdfDocument, number: int) -> tuple[PageFacts, str]:
    """Return the facts of a page, and its hidden text, which is none of its words."""
    form = _form(document)
    with _page(document, number) as page:
        width, height = _page_size(page)
        if number > MAX_PAGES_WITH_WORDS:
            textpage = page.get_textpage()
            chars = textpage.count_chars()
            textpage.close()
            return PageFacts(number=number, width=width, height=height, chars=chars), ""
        unseen = _hidden_text(page)
        textpage = page.get_textpage()
        try:
            words, hidden_words = _split(textpage, unseen)
            doubt = layer_problem(textpage)
        finally:
            textpage.close()
        overlay = page_overlay(page, form, with_positions=False)
        above = with_overlay("", overlay) if overlay is not None else ""
        drawn_objects = page_figures.drawn_objects(page)
        figure_share = page_figures.covered_share(drawn_objects, width, height)
        short = len(words) < SCANNED_BELOW
        hidden = figure_share >= _UNDER_LAYER and not (short or doubt) and is_invisible(page)
        plain = not (short or doubt or hidden)
        facts = PageFacts(
            number=number,
            width=width,
            height=height,
            chars=len(words),
            over=len(above),
            scripts=count_scripts(words + above),
            figure_share=round(figure_share, 3),
            words=() if doubt else _distinct(f"{words}\n{above}"),
            layer_only=short and page_figures.has_only_its_layer(page, width, height, empty=not words.strip()),
            hidden=hidden,
            doubt=doubt,
            figures=tuple(spot.box for spot in page_figures.image_regions(page, drawn_objects, width, height))
            if plain
            else (),
        )
        return facts, hidden_words


def _hidden_text(page: pypdfium2.PdfPage) -> HiddenText:
    """Return the hidden text of a page. An invisible layer over a scan is none: its words are seen in the picture."""
    width, height = _page_size(page)

    def is_layer() -> bool:
        return (
            is_invisible(page)
            and page_figures.covered_share(page_figures.drawn_objects(page), width, height) >= _UNDER_LAYER
        )

    return find_hidden(page, width, height, is_layer)


def _page_text(page: pypdfium2.PdfPage, hidden: HiddenText = NOTHING_HIDDEN) -> str:
    textpage = page.get_textpage()
    try:
        return _split(textpage, hidden)[0]
    finally:
        textpage.close()


def _split(textpage: pypdfium2.PdfTextPage, hidden: HiddenText) -> tuple[str, str]:
    """Return the text layer with plain line ends, hyphenated words joined and invisible characters removed.

    Hidden text is apart from it.
    """
    visible_text, hidden_text = split_text(textpage, hidden) if hidden else (textpage.get_text_range(), "")
    return strip_invisible(_HYPHEN.sub("", visible_text.replace("\r\n", "\n"))), strip_invisible(hidden_text).strip()


def _distinct(words: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for match in WORD_OF_PAGE.finditer(words.lower()):
        found[match.group()] = None
        if len(found) >= MAX_WORDS_OF_PAGE:
            break
    return tuple(found)


# ---- the text layer ---------------------------------------------------------------------------------


NO_MAP = "its font does not say which letters they are"
NO_WORDS = "its letters make no words"
MISREAD = "it lies invisibly over an image and does not fit what is seen there"

_ASKED = 50  # characters of a page that are tested
_UNMAPPED = 0.2  # share of tested characters without a letter
_LOOKED_AT = 1_200  # characters of a page whose letter pairs are counted
_FEWEST_PAIRS = 60
_FEWEST_CHARS = 40
_ODD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffd\ue000-\uf8ff]")
_SIGNS = re.compile(r"[^\w\s.,;:!?()'\"/%&+*=€$£§°\u2010-\u2026·•|_-]")
_MOST_SIGNS = 0.25  # share of a page's characters; source code has up to 0.15
_INTO_FIGURE, _INTO_LETTER = re.compile(r"[^\W\d_]\d"), re.compile(r"\d[^\W\d_]")
_MOST_MIXED = 0.05  # share of words with digits among their letters in a successful text recognition, at most
_FIT = (0.5, 1.7)  # ratio of letters in the layer to letters counted on the image, within which they match

# Letter pairs that are frequent in languages with Latin script. Their share of all pairs was 0.46 (Polish) to 0.78
# (Spanish) in ten languages, and 0.60 to 0.77 in lists of names, in capitals and in source code; 0.10 to 0.31 for
# shifted alphabets (0.42 in one case of 100), at most 0.36 in 300 permutations, 0.17 in random letters.
_FREQUENT = (
    "an ar as at al am ac ad ap ca ce ch co da de di do ea ed ei el em en er es et ge ha he ho ic ie il in io is it ka "
    "la le li ll lo ma me mi na nd ne ng ni no nt on or os ou pa pe pl po pr qu ra re ri ro sa se si so ss st ta te th "
    "ti to tr un ur us ut ve za zi ol ul ir ag ig ek ak ki"
)
_PAIRS = frozenset(_FREQUENT.split())
_FEWEST_FREQUENT = 0.36


def layer_notes(pages: Sequence[PageFacts]) -> tuple[str, ...]:
    """Return notes on text layers that are not trusted, and on invisible layers that are used."""
    doubted: dict[str, list[int]] = {}
    for page in pages:
        if page.doubt:
            doubted.setdefault(page.doubt, []).append(page.number)
    found = [f"the text layer of {_page_list(numbers)} is not taken: {why}" for why, numbers in doubted.items()]
    hidden = [page.number for page in pages if page.hidden and not page.doubt]
    if hidden:
        found.append(f"the words of {_page_list(hidden)} are what an earlier reading of their images left")
    return tuple(found)


def _page_list(numbers: list[int]) -> str:
    """Return pages as text, naming at most five.

    >>> _page_list([4]), _page_list([1, 2, 3, 4, 5, 6, 7])
    ('page 4', 'pages 1, 2, 3, 4, 5 and 2 more')
    """
    first_pages = ", ".join(map(str, numbers[:5]))
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"page{'s' * (len(numbers) > 1)} {first_pages}{more}"


def layer_problem(textpage: Any) -> str:
    """Return why the text of a layer cannot be used, "" if it can.

    ``textpage``: that of pdfium, with control characters.
    """
    words = textpage.get_text_range()
    char_count = len("".join(words.split()))
    if char_count < _FEWEST_CHARS:
        return ""
    if len(_ODD.findall(words)) > _UNMAPPED * char_count:
        return NO_MAP
    if _unmapped_share(textpage) > _UNMAPPED and not (
        words.isascii() and (_frequent(words) or 0.0) >= _FEWEST_FREQUENT
    ):
        return NO_MAP  # old TeX fonts have no map either, but their codes are the letters
    return "" if has_words(words) else NO_WORDS


def has_words(words: str) -> bool:
    """Return True if letters may be words of a language: frequent pairs in Latin script, few signs in any script.

    >>> text = "The committee has discussed the harbour and its bridges, and what they cost every year. "
    >>> shifted = "Wkh frpplwwhh kdv glvfxvvhg wkh kduerxu dqg lwv eulgjhv, dqg zkdw wkhb frvw hyhub bhdu. "
    >>> has_words(2 * text), has_words(2 * shifted)
    (True, False)
    """
    some = words[:_LOOKED_AT]
    char_count = len("".join(some.split()))
    if char_count >= _FEWEST_CHARS and len(_SIGNS.findall(some)) > _MOST_SIGNS * char_count:
        return False
    share = _frequent(some)
    return share is None or share >= _FEWEST_FREQUENT


def _frequent(words: str) -> float | None:
    """Return the share of frequent pairs among the pairs of Latin letters, None if there are too few pairs."""
    letters = unicodedata.normalize("NFKD", words[:_LOOKED_AT].lower()).encode("ascii", "ignore").decode()
    pairs = [run[index : index + 2] for run in re.findall("[a-z]{2,}", letters) for index in range(len(run) - 1)]
    return sum(pair in _PAIRS for pair in pairs) / len(pairs) if len(pairs) >= _FEWEST_PAIRS else None


def matches_image(words: str, letter_count: float) -> bool:
    """Return True if an invisible layer matches the image.

    It must have words, and about as many letters as were counted on the image.
    """
    char_count = len("".join(words.split()))
    parts = words.split()
    mixed = sum(bool(_INTO_FIGURE.search(part) and _INTO_LETTER.search(part)) for part in parts)
    return (
        has_words(words)
        and mixed <= _MOST_MIXED * len(parts)
        and _FIT[0] <= char_count / max(1.0, letter_count) <= _FIT[1]
    )


def is_invisible(page: Any) -> bool:
    """Return True if most text objects of a page are invisible, on the page itself or in its forms."""
    text_count = hidden = 0
    for text_object in _open_textpage(page.raw):
        text_count += 1
        hidden += raw.FPDFTextObj_GetTextRenderMode(text_object) == raw.FPDF_TEXTRENDERMODE_INVISIBLE
        if text_count >= 500:
            break
    return hidden * 2 > text_count


def _open_textpage(page: Any) -> Any:
    for index in range(raw.FPDFPage_CountObjects(page)):
        page_object = raw.FPDFPage_GetObject(page, index)
        kind = raw.FPDFPageObj_GetType(page_object)
        if kind == raw.FPDF_PAGEOBJ_TEXT:
            yield page_object
        elif kind == raw.FPDF_PAGEOBJ_FORM:
            for inner in range(max(0, raw.FPDFFormObj_CountObjects(page_object))):
                inner_object = raw.FPDFFormObj_GetObject(page_object, inner)
                if raw.FPDFPageObj_GetType(inner_object) == raw.FPDF_PAGEOBJ_TEXT:
                    yield inner_object


def _unmapped_share(textpage: Any) -> float:
    """Return the share of sampled characters for which the font has no letter."""
    count = textpage.count_chars()
    sample = range(0, count, max(1, count // _ASKED))
    unmapped = sum(raw.FPDFText_HasUnicodeMapError(textpage.raw, index) == 1 for index in sample)
    return float(unmapped) / max(1, len(sample))
