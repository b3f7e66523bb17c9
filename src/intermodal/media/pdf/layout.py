"""Finds the blocks of a page and their reading order with LiteParse.

LiteParse opens no file and no socket: text recognition and images are off, and its library is loaded before the user's
bytes are read. It uses its own PDFium. Pages that it cannot read are read without it by ``media/pdf/document.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pypdfium2.raw as raw

from intermodal.media import sandbox
from intermodal.media.pdf.markdown import LayoutBlock, LayoutLine, page
from intermodal.media.pdf.wrapped_tables import with_wrapped_tables


def _import_parser() -> Any:
    try:  # the worker imports this module with files allowed
        from liteparse import LiteParse
    except ImportError:
        return None
    return LiteParse


LiteParse = _import_parser()

AT_ONCE = 64  # pages in memory at a time; one page takes about half a megabyte
_EMPTY = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>"
)
_MOST_STROKES = 20_000  # strokes of a page that is laid out, including its text
_DEEPEST = 4  # nested forms


@cache
def is_installed() -> bool:
    """Return True if LiteParse is installed. The first call loads its PDFium by parsing an empty page."""
    if LiteParse is None:
        return False
    with sandbox.allow_files():
        _parser([1]).parse(_EMPTY)
    return True


def pages(data: bytes, numbers: Sequence[int]) -> dict[int, str]:
    """Return the given pages (1-based, at most ``AT_ONCE``) as Markdown. Pages that cannot be laid out are missing."""
    with sandbox.allow_files():  # its event loop needs descriptors; no user file is opened meanwhile
        parser = _parser(numbers)
    try:
        parsed_pages = parser.parse(data).pages
    except Exception:  # its own errors, under any name
        return {}
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # a panic of the library does not derive from Exception
            raise
        return {}
    return {found.page_num: _page_markdown(found) for found in parsed_pages}


def is_light(page: Any) -> bool:
    """Return True if a page has few enough strokes to be laid out: the time grows with their square.

    20,000 took 1.0 s, 40,000 took 3.9 s. Strokes in forms count too, up to four levels deep.
    """
    left, pending = _MOST_STROKES, [(page.raw, 0)]
    while pending:
        holder, depth = pending.pop()
        inside = raw.FPDFFormObj_CountObjects(holder) if depth else raw.FPDFPage_CountObjects(holder)
        left -= max(0, inside)
        if left < 0 or depth > _DEEPEST:
            return False
        for index in range(max(0, inside)):
            page_object = raw.FPDFFormObj_GetObject(holder, index) if depth else raw.FPDFPage_GetObject(holder, index)
            kind = raw.FPDFPageObj_GetType(page_object)
            if kind == raw.FPDF_PAGEOBJ_PATH:
                left -= max(0, raw.FPDFPath_CountSegments(page_object))
            elif kind == raw.FPDF_PAGEOBJ_FORM:
                pending.append((page_object, depth + 1))
    return left >= 0


def _parser(numbers: Sequence[int]) -> Any:
    return LiteParse(
        ocr_enabled=False,
        output_format="json",
        image_mode="off",
        quiet=True,
        num_workers=1,
        max_pages=max(numbers),
        target_pages=",".join(map(str, numbers)),
        continue_on_page_error=True,
        keep_headers_footers=True,
        preserve_very_small_text=True,
        extract_links=False,
        extract_blocks=True,
    )


def _page_markdown(found: Any) -> str:
    lines = [
        LayoutLine(item.text, (item.x, item.y, item.x + item.width, item.y + item.height)) for item in found.text_items
    ]
    blocks = [_block(block) for block in found.blocks or ()]
    return page(with_wrapped_tables(blocks, lines), lines)


def _block(block: Any) -> LayoutBlock:
    box = block.bbox
    rows = [*([block.header] if block.header else ()), *(block.rows or ())]
    bands = [_band([cell.bbox for cell in row if cell.bbox is not None]) for row in rows]
    return LayoutBlock(
        kind=block.kind,
        text=block.text or "",
        level=block.level or 0,
        marker=(block.marker or "").strip(),
        lines=tuple(block.lines or ()),
        rows=tuple(tuple(cell.text for cell in row) for row in rows),
        bands=tuple(band for band in bands if band is not None) if all(bands) else (),
        columns=_columns(rows),
        box=None if box is None else (box.x, box.y, box.x + box.width, box.y + box.height),
    )


def _columns(rows: list[Any]) -> tuple[tuple[float, float], ...]:
    """Return left and right end of each column, from the first row with text in every column; () if there is none."""
    width = max(map(len, rows), default=0)
    for row in rows:
        if len(row) == width and all(cell.text.strip() and cell.bbox is not None for cell in row):
            found = tuple((cell.bbox.x, cell.bbox.x + cell.bbox.width) for cell in row)
            return found if list(found) == sorted(found) else ()
    return ()


def _band(boxes: list[Any]) -> tuple[float, float] | None:
    """Return top and bottom of a row of cells, None for an empty row."""
    return (min(box.y for box in boxes), max(box.y + box.height for box in boxes)) if boxes else None
