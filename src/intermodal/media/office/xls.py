"""Converts XLS of Excel 97 to 2003 to a table per sheet, with the values as last calculated. Runs in the worker.

Included and marked: hidden sheets, merged areas. Left out: formulas without a value, comments, charts, images. Values
displayed as a percentage or in a currency are plain numbers. Macros are never read.
"""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from typing import Any

import python_calamine

from intermodal.errors import InputBroken, InputEmpty, InputEncrypted, InputTooLarge
from intermodal.media.office.conversion_types import MAX_CELLS, MAX_CHARS, ConvertedFile
from intermodal.media.office.image_collector import Probe
from intermodal.media.office.sheet_table import SheetTable, displayed_value
from intermodal.plans.numbers import with_noun

_VISIBLE = python_calamine.SheetVisibleEnum.Visible


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    grids = list[SheetTable]()
    try:
        book = python_calamine.load_workbook(BytesIO(data))
        for about in book.sheets_metadata:
            room = MAX_CELLS - sum(grid.cells for grid in grids)
            grids.append(_grid(book, about, room))
    except python_calamine.PasswordError:
        raise InputEncrypted("is locked by a password", todo="save an unlocked copy") from None
    except InputTooLarge:
        raise
    except BaseException as error:  # a panic of the library does not derive from Exception
        if isinstance(error, MemoryError | KeyboardInterrupt | SystemExit):
            raise
        raise InputBroken("cannot be read as a workbook", todo="open it and save it again as XLSX") from None
    if not any(grid.cells for grid in grids):
        raise InputEmpty("holds no cells", where=name, todo="check what wrote this file")
    text = "\n\n".join(grid.to_markdown() for grid in grids)
    if len(text) > MAX_CHARS:
        raise InputTooLarge(f"holds {len(text):,} characters, more than {MAX_CHARS:,}", todo="pass one sheet as CSV")
    notes = [note for grid in grids for note in grid.notes()]
    hidden = sum(grid.hidden for grid in grids)
    if hidden:
        notes.append(f"{with_noun(hidden, 'hidden sheet')} included")
    return ConvertedFile(text=text, notes=tuple(notes))


def _grid(book: Any, about: Any, room: int) -> SheetTable:
    grid = SheetTable(about.name, about.visible != _VISIBLE)
    if about.typ != python_calamine.SheetTypeEnum.WorkSheet:
        return grid
    sheet = book.get_sheet_by_name(about.name)
    top, left = sheet.start or (0, 0)
    grid.add([], top)
    for row in sheet.iter_rows():
        grid.add([""] * left + [_value(cell) for cell in row], room=room)
    grid.merged = [(*first, *last) for first, last in sheet.merged_cell_ranges or ()]
    return grid


def _value(cell: Any) -> str:
    return str(cell) if isinstance(cell, timedelta) else displayed_value(int(cell) if _is_whole_number(cell) else cell)


def _is_whole_number(cell: Any) -> bool:
    return isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15
