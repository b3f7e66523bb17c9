"""Finds the contents of a page besides its text layer: images, drawings, letters drawn as curves."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import pypdfium2
import pypdfium2.raw as raw
from msgspec import Struct

from intermodal.media.pdf.markdown import bounding_box
from intermodal.plans.facts import Box

_GRID = 32  # cells per side of the grid on which the area under figures is counted
_MAX_OBJECTS = 20_000  # objects per page that are searched for figures
_THIN = 3.0  # points: thinner paths are rules and borders, not figures
_BACKGROUND = 0.9  # share of the page from which on a path is its background
_STRAIGHT = 6  # segments up to which a path is a line, a rectangle or the like, and not a letter
_FEW = 12  # number of such paths up to which they are frames and rules, not letters of a plotter
_LOGO = 0.02  # share of the page under images below which they are a logo beside the text
_NO_TEXT = 2  # bytes of a text without characters: its terminator
_LEAST = 36.0  # points: a smaller image contains no text worth reading
_MOST = 6  # images per page that are sampled, the largest first
_TYPE = 72.0  # points: lines of drawn letters are not higher
_CURVES = 200  # segments of low curved paths from which on they may be letters
_PAPER = 12.0  # points around drawn letters that are sampled with them
_REPEATED = 3  # pages with an image at the same place from which on it belongs to the paper


Matrix = tuple[float, float, float, float, float, float]  # as in ISO 32000-1, 8.3.3
UNCHANGED: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
_DEEPEST = 4  # nested forms


class ImageRegion(Struct, frozen=True):
    """An image on a page, in points.

    ``box``: left, top, right, bottom as displayed; ``own``: left, bottom, right, top in the coordinates of the page
    content.
    """

    box: Box
    own: Box


class DrawnObject(NamedTuple):
    """An object drawn on a page: its pdfium handle, its kind, its box."""

    handle: Any
    kind: int
    box: Box


def drawn_objects(page: pypdfium2.PdfPage) -> list[DrawnObject]:
    """Return the objects on a page other than text, up to a limit."""
    found: list[DrawnObject] = []
    for handle, kind in islice(_objects(page.raw), _MAX_OBJECTS):
        box = object_bounds(handle)
        if box is not None:
            found.append(DrawnObject(handle, kind, box))
    return found


def image_regions(
    page: pypdfium2.PdfPage, objects: Sequence[DrawnObject], width: float, height: float
) -> list[ImageRegion]:
    """Return the regions of a text page that may contain text as an image, the largest first.

    These are images larger than a logo, and curves as low as lines of type. ``width`` and ``height``: of the page as
    displayed, in points.
    """
    found: list[Box] = []
    curved: list[Box] = []
    segments = 0
    for handle, kind, box in objects:
        if kind == raw.FPDF_PAGEOBJ_IMAGE:
            found.append(box)
        elif kind == raw.FPDF_PAGEOBJ_PATH:
            for count, low in _letters(handle, box):
                segments += count
                curved.append(low)
    if not found and segments < _CURVES:
        return []
    sheet = page.get_bbox()
    disjoint = _merge_overlapping([_clip_box(box, sheet) for box in found])
    large = [
        box
        for box in disjoint
        if min(box[2] - box[0], box[3] - box[1]) >= _LEAST
        and (box[2] - box[0]) * (box[3] - box[1]) >= _LOGO * width * height
    ]
    if segments >= _CURVES:
        hull = bounding_box(curved)
        padded = (hull[0] - _PAPER, hull[1] - _PAPER, hull[2] + _PAPER, hull[3] + _PAPER)
        large = _merge_overlapping([_clip_box(padded, sheet), *large])
    large.sort(key=lambda box: (box[0] - box[2]) * (box[3] - box[1]))
    return [ImageRegion(displayed_box(page, box, width, height), box) for box in large[:_MOST]]


def _letters(handle: Any, box: Box) -> Iterator[tuple[int, Box]]:
    """Yield number of segments and box of curves as low as letters.

    The curves are the path itself, or the paths in a form and its nested forms.
    """
    if raw.FPDFPageObj_GetType(handle) != raw.FPDF_PAGEOBJ_FORM:
        count = raw.FPDFPath_CountSegments(handle)
        if count > _STRAIGHT and box[3] - box[1] <= _TYPE:
            yield count, box
        return
    left, forms = _MAX_OBJECTS, [(handle, matrix_of_form(handle, UNCHANGED), 1)]
    while forms:
        form, matrix, depth = forms.pop()
        count = min(left, max(0, raw.FPDFFormObj_CountObjects(form)))
        left -= count
        for index in range(count):
            page_object = raw.FPDFFormObj_GetObject(form, index)
            kind = raw.FPDFPageObj_GetType(page_object)
            if kind == raw.FPDF_PAGEOBJ_FORM and depth < _DEEPEST:
                forms.append((page_object, matrix_of_form(page_object, matrix), depth + 1))
            elif kind == raw.FPDF_PAGEOBJ_PATH and (own := object_bounds(page_object)) is not None:
                low, segments = transform_box(matrix, own), raw.FPDFPath_CountSegments(page_object)
                if segments > _STRAIGHT and low[3] - low[1] <= _TYPE:
                    yield segments, low


def matrix_of_form(form: Any, outer: Matrix) -> Matrix:
    """Return the matrix from a form's coordinates to the page's: its own, then that of the containing form."""
    own = raw.FS_MATRIX()
    if not raw.FPDFPageObj_GetMatrix(form, ctypes.byref(own)):
        return outer
    a, b, c, d, e, f = outer
    return (
        own.a * a + own.b * c, own.a * b + own.b * d, own.c * a + own.d * c, own.c * b + own.d * d,
        own.e * a + own.f * c + e, own.e * b + own.f * d + f,
    )  # fmt: skip


def transform_box(matrix: Matrix, box: Box) -> Box:
    a, b, c, d, e, f = matrix
    corners = [(x, y) for x in (box[0], box[2]) for y in (box[1], box[3])]
    across, down = [a * x + c * y + e for x, y in corners], [b * x + d * y + f for x, y in corners]
    return min(across), min(down), max(across), max(down)


def without_repeats(pages: Sequence[tuple[int, Sequence[Box]]]) -> dict[int, tuple[Box, ...]]:
    """Return the images of each page.

    Images that many pages have at the same place (letterheads) are kept on the first page only.
    """
    places: dict[Box, int] = {}
    for _, boxes in pages:
        for box in boxes:
            places[box] = places.get(box, 0) + 1
    earlier_boxes: set[Box] = set()
    found: dict[int, tuple[Box, ...]] = {}
    for number, boxes in pages:
        found[number] = tuple(box for box in boxes if places[box] < _REPEATED or box not in earlier_boxes)
        earlier_boxes.update(boxes)
    return found


def _merge_overlapping(boxes: Sequence[Box]) -> list[Box]:
    """Return boxes that do not overlap: overlapping ones are merged."""
    found: list[Box] = []
    for box in boxes[:200]:
        while True:
            over = [other for other in found if _overlap(box, other)]
            if not over:
                break
            found = [other for other in found if other not in over]
            box = bounding_box([box, *over])
        found.append(box)
    return found


def _clip_box(box: Box, sheet: Box) -> Box:
    return max(box[0], sheet[0]), max(box[1], sheet[1]), min(box[2], sheet[2]), min(box[3], sheet[3])


def _overlap(first: Box, second: Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def displayed_box(page: pypdfium2.PdfPage, box: Box, width: float, height: float) -> Box:
    """Return a box of the page content as displayed.

    It is turned by ``/Rotate``, measured from the upper left corner, in tenths of a point.
    """
    xs, ys = [], []
    for x, y in ((box[0], box[1]), (box[2], box[3])):
        across, down = ctypes.c_int(), ctypes.c_int()
        size = (round(width * 10), round(height * 10))
        raw.FPDF_PageToDevice(page.raw, 0, 0, *size, 0, x, y, ctypes.byref(across), ctypes.byref(down))
        xs.append(min(size[0], max(0, across.value)) / 10)
        ys.append(min(size[1], max(0, down.value)) / 10)
    return min(xs), min(ys), max(xs), max(ys)


def has_only_its_layer(page: pypdfium2.PdfPage, width: float, height: float, *, empty: bool) -> bool:
    """Return True if a page of few characters has nothing besides its text layer that can contain text.

    Text may be in images (even one as small as a logo, if there is no other text), in curves that draw letters as
    outlines, in text with unmapped characters, and in the overlay. A few straight paths are a frame or a rule.
    """
    count = raw.FPDFPage_CountObjects(page.raw)
    if count > _MAX_OBJECTS or _has_notes(page):
        return False
    rows, straight = [0] * _GRID, 0
    textpage = page.get_textpage()
    try:
        for index in range(count):
            page_object = raw.FPDFPage_GetObject(page.raw, index)
            kind = raw.FPDFPageObj_GetType(page_object)
            if kind == raw.FPDF_PAGEOBJ_IMAGE:
                box = object_bounds(page_object)
                if box is None or empty:
                    return False
                _mark_cells(rows, (box[0] / width, box[1] / height, box[2] / width, box[3] / height))
            elif kind == raw.FPDF_PAGEOBJ_PATH:
                straight += 1
                if raw.FPDFPath_CountSegments(page_object) > _STRAIGHT or straight > _FEW:
                    return False
            elif kind == raw.FPDF_PAGEOBJ_TEXT:
                if raw.FPDFTextObj_GetText(page_object, textpage.raw, None, 0) <= _NO_TEXT:
                    return False
            elif kind != raw.FPDF_PAGEOBJ_SHADING:
                return False
    finally:
        textpage.close()
    return sum(row.bit_count() for row in rows) < _LOGO * _GRID * _GRID


def _has_notes(page: pypdfium2.PdfPage) -> bool:
    """Return True if stamps, filled fields or annotations cover the page. Links draw nothing of their own."""
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


def covered_share(objects: Sequence[DrawnObject], width: float, height: float) -> float:
    """Return the share of a page under images, shadings and paths, counted on a grid of 32 x 32 cells.

    Thin paths (rules and borders) and paths as large as the page (its background) are not counted.
    """
    rows = [0] * _GRID
    for _, kind, (left, bottom, right, top) in objects:
        if kind == raw.FPDF_PAGEOBJ_PATH and (
            min(right - left, top - bottom) < _THIN or (right - left) * (top - bottom) > _BACKGROUND * width * height
        ):
            continue
        _mark_cells(rows, (left / width, bottom / height, right / width, top / height))
    return sum(row.bit_count() for row in rows) / (_GRID * _GRID)


def _objects(page: Any) -> Iterator[tuple[Any, int]]:
    """Yield images, shadings and paths of a page.

    A form that contains one of them counts as a figure by its own bounds.
    """
    for index in range(raw.FPDFPage_CountObjects(page)):
        page_object = raw.FPDFPage_GetObject(page, index)
        kind = raw.FPDFPageObj_GetType(page_object)
        if kind == raw.FPDF_PAGEOBJ_FORM:
            inner = min(raw.FPDFFormObj_CountObjects(page_object), 200)
            kinds = {raw.FPDFPageObj_GetType(raw.FPDFFormObj_GetObject(page_object, i)) for i in range(max(0, inner))}
            if kinds - {raw.FPDF_PAGEOBJ_TEXT}:
                yield (
                    page_object,
                    raw.FPDF_PAGEOBJ_PATH if raw.FPDF_PAGEOBJ_IMAGE not in kinds else raw.FPDF_PAGEOBJ_IMAGE,
                )
        elif kind in (raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_SHADING, raw.FPDF_PAGEOBJ_PATH):
            yield page_object, kind


def pixels_inside(page: pypdfium2.PdfPage) -> int:
    """Return the pixels of the images that lie directly on the page. Rendering decodes all of them at any size."""
    pixels = 0
    for index in range(min(raw.FPDFPage_CountObjects(page.raw), _MAX_OBJECTS)):
        page_object = raw.FPDFPage_GetObject(page.raw, index)
        width, height = ctypes.c_uint(), ctypes.c_uint()
        if raw.FPDFPageObj_GetType(page_object) == raw.FPDF_PAGEOBJ_IMAGE and raw.FPDFImageObj_GetImagePixelSize(
            page_object, ctypes.byref(width), ctypes.byref(height)
        ):
            pixels += width.value * height.value
    return pixels


_NUMBERS = tuple(ctypes.c_float() for _ in range(4))  # for answers of pdfium; allocating takes as long as asking
_NUMBER_REFS = tuple(map(ctypes.byref, _NUMBERS))


def object_bounds(page_object: Any) -> Box | None:
    """Return left, bottom, right and top of an object, in the coordinates of what holds it."""
    if not raw.FPDFPageObj_GetBounds(page_object, *_NUMBER_REFS):
        return None
    left, bottom, right, top = _NUMBERS
    return left.value, bottom.value, right.value, top.value


def _mark_cells(rows: list[int], box: Box) -> None:
    """Set the cells whose middle lies under ``box``, which is given as shares of width and height."""
    left, bottom, right, top = (min(1.0, max(0.0, value)) * _GRID for value in box)
    first, last = int(left + 0.5), int(right + 0.5)
    bits = (1 << max(0, last - first)) - 1 << first
    for row in range(int(bottom + 0.5), min(_GRID, int(top + 0.5))):
        rows[row] |= bits
