"""Converts XLSX to Markdown tables: a heading per sheet, and the values as last calculated. Runs in the worker.

Included and marked: hidden sheets, rows and columns, merged areas, comments, the numbers of charts. A formula without a
saved value is shown as the formula. Nothing is calculated, links to other workbooks are not followed, and macros are
never read.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import repeat
from typing import Any

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from intermodal.errors import InputBroken, InputEmpty, InputTooLarge, InputUnsupported
from intermodal.media.office.conversion_types import MAX_CELLS, MAX_CHARS, ConvertedFile
from intermodal.media.office.image_collector import ImageCollector, Probe
from intermodal.media.office.office_package import OfficePackage, chart_table, drawn_words, local_name, paragraph_texts
from intermodal.media.office.sheet_table import SheetTable, column_index, displayed_value
from intermodal.plans.numbers import with_noun

_MAX_COLUMNS = 16_384  # of a sheet of Excel
_COLUMN, _ROW = re.compile(rb"<(?:\w{1,20}:)?col ([^>]{1,500})"), re.compile(rb"<(?:\w{1,20}:)?row ([^>]{1,500})")
_MERGED = re.compile(rb'<(?:\w{1,20}:)?mergeCell ref="([A-Z]{1,3})([0-9]{1,7}):([A-Z]{1,3})([0-9]{1,7})"')
_ATTRIBUTE = re.compile(rb'(\w{1,20})="([^"]{0,50})"')
_TRUE = (b"1", b"true")
Row = list[str]


class _Count:
    """Counts that are collected while the cells are read."""

    def __init__(self) -> None:
        self.cells = 0
        self.unsaved = 0
        self.hidden = 0


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    package = OfficePackage(data)
    if "xl/workbook.bin" in package.names:
        raise InputUnsupported("is a binary workbook (XLSB), which is not taken", todo="save it as XLSX")
    gallery, count, notes, blocks = ImageCollector(probe), _Count(), list[str](), list[str]()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = openpyxl.load_workbook(BytesIO(data), read_only=True, data_only=True, keep_links=False)
            formulas = openpyxl.load_workbook(BytesIO(data), read_only=True, keep_links=False)
            for sheet in values.worksheets:
                other = formulas[sheet.title] if _calculates(package, sheet) else None
                blocks.append(_sheet(sheet, other, package, gallery, count, notes))
    except (InvalidFileException, KeyError, AttributeError, ValueError, TypeError, IndexError, SyntaxError, OSError):
        raise InputBroken("cannot be read as a workbook", todo="open it and save it again as XLSX") from None
    text = "\n\n".join(blocks)
    if not count.cells and not gallery.collected_images and not any("\n" in block for block in blocks):
        raise InputEmpty("holds no cells and no images", where=name, todo="check what wrote this file")
    if len(text) > MAX_CHARS:
        raise InputTooLarge(f"holds {len(text):,} characters, more than {MAX_CHARS:,}", todo="pass one sheet as CSV")
    if count.hidden:
        notes.append(f"{with_noun(count.hidden, 'hidden sheet')} included")
    if count.unsaved:
        notes.append(f"{with_noun(count.unsaved, 'formula')} without a saved value shown as written")
    return ConvertedFile(text=text, pictures=gallery.collected_images, notes=(*notes, *gallery.notes()))


def _calculates(package: OfficePackage, sheet: Any) -> bool:
    return b"<f" in package.read_member(_member(sheet))


def _member(sheet: Any) -> str:
    return str(sheet._worksheet_path).lstrip("/")


def _sheet(
    sheet: Any, formulas: Any | None, package: OfficePackage, gallery: ImageCollector, count: _Count, notes: list[str]
) -> str:
    grid = SheetTable(sheet.title, sheet.sheet_state != "visible")
    markup = package.read_member(_member(sheet))
    unseen = _hidden_rows(markup, grid)
    for place, row in enumerate(_rows(sheet, formulas, count)):
        grid.add(row, hidden=place in unseen, room=MAX_CELLS - count.cells)
    count.cells += grid.cells
    count.hidden += grid.hidden
    notes += grid.notes()
    return "\n\n".join(
        block for block in (grid.to_markdown(), *_drawings_and_comments(package, _member(sheet), gallery)) if block
    )


def _hidden_rows(markup: bytes, grid: SheetTable) -> set[int]:
    """Return the indices of hidden rows; hidden columns and merged areas are put into the grid (ECMA-376-1, 18.3.1)."""
    for column in _COLUMN.findall(markup) if b"hidden=" in markup else ():
        about = dict(_ATTRIBUTE.findall(column))
        if about.get(b"hidden") in _TRUE:
            first, last = int(about.get(b"min", 1)), int(about.get(b"max", 1))
            grid.hidden_columns |= set(range(first - 1, min(last, _MAX_COLUMNS)))
    for area in _MERGED.findall(markup)[:MAX_CELLS]:
        grid.merged.append((int(area[1]) - 1, column_index(area[0].decode()),
                            int(area[3]) - 1, column_index(area[2].decode())))  # fmt: skip
    rows = (dict(_ATTRIBUTE.findall(row)) for row in (_ROW.findall(markup) if b"hidden=" in markup else ()))
    return {int(about[b"r"]) - 1 for about in rows if about.get(b"hidden") in _TRUE and about.get(b"r", b"").isdigit()}


def _rows(sheet: Any, formulas: Any | None, count: _Count) -> Iterator[Row]:
    sheet.reset_dimensions()  # the size that a file states may be wrong
    if formulas is not None:
        formulas.reset_dimensions()
    others: Iterable[Any] = formulas.iter_rows() if formulas is not None else repeat(())
    for cells, formula_cells in zip(sheet.iter_rows(), others, strict=False):
        row = []
        for place, cell in enumerate(cells):
            value = cell.value
            if value is None and place < len(formula_cells) and isinstance(formula_cells[place].value, str):
                value = formula_cells[place].value
                count.unsaved += 1
            row.append(displayed_value(value, cell.number_format if value is not None else ""))
        yield row


def _drawings_and_comments(package: OfficePackage, member: str, gallery: ImageCollector) -> Iterator[str]:
    """Yield the contents that lie over the cells: comments, images, charts, text of shapes."""
    for relation in package.relations(member):
        if relation.outside:
            continue
        if relation.kind in ("comments", "threadedComment"):
            for cell, comment in _comments(package, relation.target):
                yield f"Comment{f' on {cell}' if cell else ''}: {comment}"
        elif relation.kind == "drawing":
            yield from drawn_words(package.read_member(relation.target))
            for each in package.relations(relation.target):
                if each.kind == "image" and each.outside:
                    gallery.outside += 1
                elif each.kind == "image":
                    yield gallery.image_mark(package.read_member(each.target))
                elif each.kind == "chart":
                    yield chart_table(package.read_member(each.target))


def _comments(package: OfficePackage, member: str) -> Iterator[tuple[str, str]]:
    root = package.xml(member)
    for element in root.iter() if root is not None else ():
        kind = local_name(element)
        if kind == "comment":
            text = " ".join(each.text for each in element.iter() if str(each.tag).endswith("}t") and each.text)
            yield str(element.get("ref") or ""), " ".join(text.split())
        elif kind == "threadedComment":
            yield str(element.get("ref") or ""), " ".join(paragraph_texts(element, "threadedComment", "text"))
