"""XLSX as Markdown tables, inside the worker: a heading per sheet, values as they were last calculated.

Included and marked: hidden sheets, comments, the numbers of charts. A formula whose value was never saved is shown as
the formula. Nothing is calculated, no link to another workbook is followed, macros are never looked at.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from io import BytesIO
from itertools import repeat
from typing import Any

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from intermodal.errors import InputBroken, InputEmpty, InputTooLarge, InputUnsupported
from intermodal.media.office.converted import MAX_CELLS, MAX_CHARS, Converted, counted
from intermodal.media.office.gallery import Gallery, Probe
from intermodal.media.office.package import Package, chart_table, drawn_words, table, words

_BIG = 1_000  # rows from which a table's size is said
Row = list[str]


class _Count:
    """What was met on the way through the cells."""

    def __init__(self) -> None:
        self.cells = 0
        self.unsaved = 0


def convert(data: bytes, name: str, probe: Probe) -> Converted:
    package = Package(data)
    if "xl/workbook.bin" in package.names:
        raise InputUnsupported("is a binary workbook (XLSB), which is not taken", todo="save it as XLSX")
    gallery, count, notes, blocks = Gallery(probe), _Count(), list[str](), list[str]()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = openpyxl.load_workbook(BytesIO(data), read_only=True, data_only=True, keep_links=False)
            formulas = openpyxl.load_workbook(BytesIO(data), read_only=True, keep_links=False)
            for sheet in values.worksheets:
                other = formulas[sheet.title] if _calculates(package, sheet) else None
                blocks.append(_sheet(sheet, other, package, gallery, count, notes))
    except (InvalidFileException, KeyError, AttributeError, ValueError, TypeError, IndexError, SyntaxError):
        raise InputBroken("cannot be read as a workbook", todo="open it and save it again as XLSX") from None
    text = "\n\n".join(blocks)
    if not count.cells and not gallery.pictures and not any("\n" in block for block in blocks):
        raise InputEmpty("holds no cells and no pictures", where=name, todo="check what wrote this file")
    if len(text) > MAX_CHARS:
        raise InputTooLarge(f"holds {len(text):,} characters, more than {MAX_CHARS:,}", todo="pass one sheet as CSV")
    hidden = sum(sheet.sheet_state != "visible" for sheet in values.worksheets)
    if hidden:
        notes.append(f"{counted(hidden, 'hidden sheet')} included")
    if count.unsaved:
        notes.append(f"{counted(count.unsaved, 'formula')} without a saved value shown as written")
    return Converted(text=text, pictures=gallery.pictures, notes=(*notes, *gallery.notes()))


def _calculates(package: Package, sheet: Any) -> bool:
    return b"<f" in package.read(_member(sheet))


def _member(sheet: Any) -> str:
    return str(sheet._worksheet_path).lstrip("/")


def _sheet(
    sheet: Any, formulas: Any | None, package: Package, gallery: Gallery, count: _Count, notes: list[str]
) -> str:
    rows = _trimmed(_rows(sheet, formulas, count))
    hidden = " (hidden)" if sheet.sheet_state != "visible" else ""
    if len(rows) > _BIG:
        notes.append(f"sheet {sheet.title} has {len(rows):,} rows of {max(map(len, rows)):,} columns")
    blocks = [f"## Sheet: {sheet.title}{hidden}", table(rows), *_around(package, _member(sheet), gallery)]
    return "\n\n".join(block for block in blocks if block)


def _rows(sheet: Any, formulas: Any | None, count: _Count) -> Iterator[Row]:
    sheet.reset_dimensions()  # what a file says about its size may be anything
    if formulas is not None:
        formulas.reset_dimensions()
    others: Iterable[Any] = formulas.iter_rows() if formulas is not None else repeat(())
    for cells, written in zip(sheet.iter_rows(), others, strict=False):
        row = []
        for place, cell in enumerate(cells):
            value = cell.value
            if value is None and place < len(written) and isinstance(written[place].value, str):
                value = written[place].value
                count.unsaved += 1
            row.append(_shown(value, cell.number_format if value is not None else ""))
        count.cells += sum(map(bool, row))
        if count.cells > MAX_CELLS:
            raise InputTooLarge(f"has more than {MAX_CELLS:,} cells", todo="pass the part you need as CSV")
        yield row


def _trimmed(rows: Iterator[Row]) -> list[Row]:
    """Without blank rows, and without columns that are blank throughout."""
    kept = [row for row in rows if any(row)]
    used = sorted({place for row in kept for place, text in enumerate(row) if text})
    return [[row[place] if place < len(row) else "" for place in used] for row in kept]


def _shown(value: Any, form: str | None) -> str:
    """A value as people read it: dates without an empty time, shares as percent where the sheet shows them so."""
    match value:
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S" if value.time() != time.min else "%Y-%m-%d")
        case date():
            return value.isoformat()
        case int() | float():
            percent = form is not None and form.rstrip('"; ').endswith("%")
            number = value * 100 if percent else value
            plain = f"{number:.15g}" if isinstance(number, float) else str(number)
            return f"{plain}%" if percent else plain
    return " ".join(str(value).split())


def _around(package: Package, member: str, gallery: Gallery) -> Iterator[str]:
    """What lies over the cells: comments, pictures, charts, the words of shapes."""
    for relation in package.relations(member):
        if relation.outside:
            continue
        if relation.kind in ("comments", "threadedComment"):
            for cell, said in _comments(package, relation.target):
                yield f"Comment{f' on {cell}' if cell else ''}: {said}"
        elif relation.kind == "drawing":
            yield from drawn_words(package.read(relation.target))
            for each in package.relations(relation.target):
                if each.kind == "image" and each.outside:
                    gallery.outside += 1
                elif each.kind == "image":
                    yield gallery.mark(package.read(each.target))
                elif each.kind == "chart":
                    yield chart_table(package.read(each.target))


def _comments(package: Package, member: str) -> Iterator[tuple[str, str]]:
    root = package.xml(member)
    for element in root.iter() if root is not None else ():
        local = str(element.tag).rpartition("}")[2]
        if local == "comment":
            said = " ".join(each.text for each in element.iter() if str(each.tag).endswith("}t") and each.text)
            yield str(element.get("ref") or ""), " ".join(said.split())
        elif local == "threadedComment":
            yield str(element.get("ref") or ""), " ".join(words(element, "threadedComment", "text"))
