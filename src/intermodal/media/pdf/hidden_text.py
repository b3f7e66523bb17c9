"""Finds text of a PDF page that no reader sees, as other formats have their hidden text left out.

Such text has the colour of what lies behind it, is covered by a filled path, is smaller than a point, or is drawn
invisibly (rendering mode 3) where nothing else is drawn. An invisible layer over an image or over outlined letters is
not hidden text: its words are seen there.

What a text object *may* be is read from its properties, in microseconds. Whether it is hidden is decided by rendering
the page with it and without it, so that white text on a dark header, or on a photograph, is kept.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import pypdfium2
import pypdfium2.raw as raw
from PIL import Image, ImageChops

from intermodal.media.pdf.page_figures import (
    UNCHANGED,
    Matrix,
    displayed_box,
    matrix_of_form,
    object_bounds,
    pixels_inside,
    transform_box,
)
from intermodal.plans.facts import Box

_MAX_OBJECTS = 5_000  # objects of a page that is examined, those of its forms included
_MAX_FILLS = 200  # filled paths compared with each text
_MAX_PIXELS = 20_000_000  # pixels of the images of a page that is rendered for this
_DEEPEST = 4  # nested forms
_TINY = 1.0  # points
_FILL = 3.0  # points: lower or narrower filled paths are rules
_ALIKE = 12  # largest difference of a colour to the one behind it, of 255 per channel
_UNSEEN = 6  # largest difference of a pixel with and without the text
_EMPTY = 10  # largest difference between pixels of an area without drawings
_SCALE = (1.0, 2.0)  # pixels per point: the least that shows small print, and the most
_RENDERED = 4_000_000  # pixels
_FILLED, _STROKED, _INVISIBLE = (0, 4), (1, 2, 5, 6), 3  # rendering modes (ISO 32000-1, 9.3.6)
_NEVER_SEEN, _INVISIBLE_MODE, _LIKE_PAPER = "tiny", "mode", "colour"

Colour = tuple[int, int, int, int]
_CHANNELS = tuple(ctypes.c_uint() for _ in range(4))  # for the answers of pdfium
_CHANNEL_REFS = tuple(map(ctypes.byref, _CHANNELS))
_WHITE: Colour = (255, 255, 255, 255)


class _PageObject(NamedTuple):
    """An object with its box on the page. ``matrix``: of the form that holds it."""

    handle: Any
    kind: int
    box: Box
    matrix: Matrix
    form: Any


class _Backdrop(NamedTuple):
    """A filled path, image or shading, with its place in the order of drawing. ``colour``: None unless it is a path."""

    order: int
    box: Box
    colour: Colour | None


class HiddenText(NamedTuple):
    """The hidden text objects of a page: ``addresses`` of their handles, and each with the form that holds it."""

    addresses: frozenset[int] = frozenset()
    objects: tuple[tuple[Any, Any], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.addresses)


NOTHING_HIDDEN = HiddenText()


def find_hidden(
    page: pypdfium2.PdfPage, width: float, height: float, is_layer: Callable[[], bool]
) -> HiddenText:  # fmt: skip
    """Return the hidden text objects of a page. ``width`` and ``height``: of the page as displayed, in points.

    ``is_layer`` returns True if invisible text belongs to the images of the page, which are then not decoded for this.
    """
    page_objects = _objects(page)
    suspects = _possibly_hidden(page_objects)
    if not suspects:
        return NOTHING_HIDDEN
    found = [suspect for suspect, why in suspects if why == _NEVER_SEEN]
    to_render = [(suspect, why) for suspect, why in suspects if why != _NEVER_SEEN]
    if any(why == _INVISIBLE_MODE for _, why in to_render) and is_layer():
        to_render = []
    if to_render and pixels_inside(page) <= _MAX_PIXELS:
        found += _invisible_objects(page, page_objects, to_render, width, height)
    return HiddenText(
        frozenset(_address(suspect.handle) for suspect in found),
        tuple((suspect.handle, suspect.form) for suspect in found),
    )


def split_text(textpage: Any, hidden: HiddenText) -> tuple[str, str]:
    """Return the text of a page that is seen, and its hidden text."""
    visible: list[str] = []
    unseen: list[str] = []
    for start, count, is_hidden in _character_runs(textpage, hidden.addresses):
        words = textpage.get_text_range(start, count)
        (unseen if is_hidden else visible).append(words)
        if is_hidden:
            visible.append("\r\n" if "\n" in words else " ")
    return re.sub(r"[ ]+(?=\r?\n)|(?<=[ ])[ ]+", "", "".join(visible)).strip(" \r\n"), " ".join(unseen)


def remove_hidden(page: pypdfium2.PdfPage, hidden: HiddenText) -> None:
    """Remove hidden text from the content of a page that is open for reading."""
    for handle, form in hidden.objects:
        if form is None:
            raw.FPDFPage_RemoveObject(page.raw, handle)
        else:
            raw.FPDFFormObj_RemoveObject(form, handle)
        raw.FPDFPageObj_Destroy(handle)
    raw.FPDFPage_GenerateContent(page.raw)


def _character_runs(textpage: Any, addresses: Collection[int]) -> Iterator[tuple[int, int, bool]]:
    """Yield start, length and True if hidden, for each run of characters.

    Blanks and line ends that pdfium generates belong to the characters before them.
    """
    start, is_hidden, count = 0, False, textpage.count_chars()
    for index in range(count):
        if raw.FPDFText_IsGenerated(textpage.raw, index) == 1:
            continue
        text_object = raw.FPDFText_GetTextObject(textpage.raw, index)
        now = bool(text_object) and _address(text_object) in addresses
        if now != is_hidden:
            if index > start:
                yield start, index - start, is_hidden
            start, is_hidden = index, now
    if count > start:
        yield start, count - start, is_hidden


def _address(handle: Any) -> int:
    return ctypes.addressof(handle.contents)


def _objects(page: pypdfium2.PdfPage) -> list[_PageObject]:
    """Return the objects of a page and of its forms in the order of drawing; [] if there are too many."""
    found: list[_PageObject] = []

    def add(holder: Any, count: int, item: Any, matrix: Matrix, form: Any, depth: int) -> bool:
        if len(found) + count > _MAX_OBJECTS:
            return False
        for index in range(max(0, count)):
            handle = item(holder, index)
            kind = raw.FPDFPageObj_GetType(handle)
            if kind == raw.FPDF_PAGEOBJ_FORM and depth < _DEEPEST:
                inside = raw.FPDFFormObj_CountObjects(handle)
                if not add(
                    handle, inside, raw.FPDFFormObj_GetObject, matrix_of_form(handle, matrix), handle, depth + 1
                ):
                    return False
            elif (box := object_bounds(handle)) is not None:
                found.append(
                    _PageObject(handle, kind, box if matrix is UNCHANGED else transform_box(matrix, box), matrix, form)
                )
        return True

    count = raw.FPDFPage_CountObjects(page.raw)
    return found if add(page.raw, count, raw.FPDFPage_GetObject, UNCHANGED, None, 0) else []


def _possibly_hidden(page_objects: Sequence[_PageObject]) -> list[tuple[_PageObject, str]]:
    """Return the text objects that may be hidden, each with the reason."""
    behind = _backdrops(page_objects)
    found = []
    for order, page_object in enumerate(page_objects):
        if page_object.kind == raw.FPDF_PAGEOBJ_TEXT:
            why = _suspicion(page_object, order, behind)
            if why:
                found.append((page_object, why))
    return found


def _suspicion(page_object: _PageObject, order: int, behind: Sequence[_Backdrop]) -> str:
    mode = raw.FPDFTextObj_GetTextRenderMode(page_object.handle)
    if mode == _INVISIBLE:
        return _INVISIBLE_MODE
    _, bottom, _, top = page_object.box
    if top - bottom < _TINY and _font_size(page_object) < _TINY:
        return _NEVER_SEEN
    if mode not in (*_FILLED, *_STROKED):
        return ""
    colour = _colour(page_object.handle, stroke=mode in _STROKED)
    if colour is None:
        return ""
    if not behind:  # as on most pages
        return _LIKE_PAPER if colour[3] < _ALIKE or min(colour[:3]) >= 255 - _ALIKE else ""
    around = [each for each in behind if _contains_box(each.box, page_object.box)]
    before = next((each for each in reversed(around) if each.order < order), None)
    covered = any(each.order > order and each.colour is not None for each in around)
    under = _WHITE if before is None else before.colour
    like_paper = under is not None and (colour[3] < _ALIKE or under[3] < 255 or _distance(colour, under) <= _ALIKE)
    return _LIKE_PAPER if covered or like_paper else ""


def _backdrops(page_objects: Sequence[_PageObject]) -> list[_Backdrop]:
    found = []
    for order, page_object in enumerate(page_objects):
        if page_object.kind in (raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_SHADING):
            found.append(_Backdrop(order, page_object.box, None))
        elif page_object.kind == raw.FPDF_PAGEOBJ_PATH:
            left, bottom, right, top = page_object.box
            if min(right - left, top - bottom) >= _FILL and _is_filled(page_object.handle):
                colour = _colour(page_object.handle)
                if colour is not None:
                    found.append(_Backdrop(order, page_object.box, colour))
    if len(found) > _MAX_FILLS:
        found.sort(key=lambda each: (each.box[0] - each.box[2]) * (each.box[3] - each.box[1]))
        found = sorted(found[:_MAX_FILLS])
    return found


def _is_filled(handle: Any) -> bool:
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    return bool(raw.FPDFPath_GetDrawMode(handle, ctypes.byref(fill), ctypes.byref(stroke)) and fill.value)


def _colour(handle: Any, *, stroke: bool = False) -> Colour | None:
    ask = raw.FPDFPageObj_GetStrokeColor if stroke else raw.FPDFPageObj_GetFillColor
    if not ask(handle, *_CHANNEL_REFS):
        return None
    red, green, blue, alpha = _CHANNELS
    return red.value, green.value, blue.value, alpha.value


def _distance(first: Colour, second: Colour) -> int:
    return max(abs(a - b) for a, b in zip(first[:3], second[:3], strict=True))


def _contains_box(outer: Box, inner: Box) -> bool:
    return (
        outer[0] <= inner[0] + 1 and outer[1] <= inner[1] + 1 and outer[2] >= inner[2] - 1 and outer[3] >= inner[3] - 1
    )


def _font_size(page_object: _PageObject) -> float:
    """Return the font size of a text on the page, in points."""
    size, own = ctypes.c_float(), raw.FS_MATRIX()
    if not raw.FPDFTextObj_GetFontSize(page_object.handle, ctypes.byref(size)) or not raw.FPDFPageObj_GetMatrix(
        page_object.handle, ctypes.byref(own)
    ):
        return math.inf
    a, b, c, d, _, _ = page_object.matrix
    return size.value * math.hypot(own.c * a + own.d * c, own.c * b + own.d * d)


def _invisible_objects(
    page: pypdfium2.PdfPage, page_objects: Sequence[_PageObject], suspects: Sequence[tuple[_PageObject, str]],
    width: float, height: float,
) -> list[_PageObject]:  # fmt: skip
    """Return the suspects that change no pixel of the page, or that lie invisibly where nothing is drawn."""
    least, most = _SCALE
    scale = min(most, math.sqrt(_RENDERED / (width * height)))
    if scale < least:
        return []
    coloured = [suspect for suspect, why in suspects if why == _LIKE_PAPER]
    invisible = [suspect for suspect, why in suspects if why == _INVISIBLE_MODE]
    found: list[_PageObject] = []
    try:
        if coloured:
            changed = ImageChops.difference(_render_without(page, scale), _render_without(page, scale, coloured))
            for suspect in coloured:
                if _highest_value(changed.crop(_pixels(page, suspect.box, width, height, scale))) <= _UNSEEN:
                    found.append(suspect)
        if invisible:
            blank = _render_without(page, scale, [each for each in page_objects if each.kind == raw.FPDF_PAGEOBJ_TEXT])
            for suspect in invisible:
                area = blank.crop(_pixels(page, suspect.box, width, height, scale))
                if (
                    _highest_value(ImageChops.difference(area, Image.new("RGB", area.size, area.getpixel((0, 0)))))
                    <= _EMPTY
                ):
                    found.append(suspect)
    except (pypdfium2.PdfiumError, ValueError):
        return []
    return found


def _highest_value(image: Any) -> int:
    """Return the highest value of an image in any channel."""
    return max(int(most) for _, most in image.getextrema())


def _render_without(page: pypdfium2.PdfPage, scale: float, without: Sequence[_PageObject] = ()) -> Any:
    """Return a page as an image in colour, without some of its objects."""
    factor: Any = scale  # float: type checkers would infer int from the binding's defaults
    for page_object in without:
        raw.FPDFPageObj_SetIsActive(page_object.handle, False)
    try:
        bitmap = page.render(scale=factor, may_draw_forms=False)
        try:
            return bitmap.to_pil().convert("RGB")
        finally:
            bitmap.close()
    finally:
        for page_object in without:
            raw.FPDFPageObj_SetIsActive(page_object.handle, True)


def _pixels(page: pypdfium2.PdfPage, box: Box, width: float, height: float, scale: float) -> tuple[int, int, int, int]:
    left, top, right, bottom = displayed_box(page, box, width, height)
    return (
        math.floor(left * scale), math.floor(top * scale), math.ceil(right * scale) + 1, math.ceil(bottom * scale) + 1,
    )  # fmt: skip
