"""A sheet of a workbook as a Markdown table, with its hidden rows and columns and its merged cells marked."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from typing import Any

from intermodal.errors import InputTooLarge
from intermodal.media.office.conversion_types import MAX_CELLS
from intermodal.media.office.office_package import table
from intermodal.plans.numbers import with_noun

_BIG = 1_000  # rows above which a note states the size of the table
_NAMED = 20  # hidden rows, hidden columns and merged areas listed by name; the rest is counted
Area = tuple[int, int, int, int]  # first row and column, last row and column, counted from 0


class SheetTable:
    """The rows of a sheet, and facts about them.

    Attributes:
     cells: number of non-empty cells.
     hidden_rows, hidden_columns: indices, counted from 0.
     merged: areas that are shown as one cell.
    """

    def __init__(self, name: str, hidden: bool = False) -> None:
        self.name = name
        self.hidden = hidden
        self.cells = 0
        self.hidden_rows = set[int]()
        self.hidden_columns = set[int]()
        self.merged: list[Area] = []
        self._rows: dict[int, list[str]] = {}  # by index, without blank rows
        self._place = 0

    def add(self, row: list[str], times: int = 1, *, hidden: bool = False, room: int = MAX_CELLS) -> None:
        """Append a row ``times`` times. Raises InputTooLarge if the sheet has more than ``room`` non-empty cells."""
        filled = sum(map(bool, row))
        if filled:
            self.cells += filled * times
            if self.cells > room:
                raise InputTooLarge(f"has more than {MAX_CELLS:,} cells", todo="pass the part you need as CSV")
            self._rows |= dict.fromkeys(range(self._place, self._place + times), row)
            if hidden:
                self.hidden_rows |= set(range(self._place, self._place + times))
        self._place += times

    def to_markdown(self) -> str:
        """Return a heading, the table, and one line each for hidden rows, hidden columns and merged cells."""
        head = f"## Sheet: {self.name}{' (hidden)' if self.hidden else ''}"
        return "\n\n".join(block for block in (head, table(self._without_blanks()), *self._hidden_notes()) if block)

    def notes(self) -> list[str]:
        found = []
        if len(self._rows) > _BIG:
            wide = max(map(len, self._without_blanks()))
            found.append(f"sheet {self.name} has {len(self._rows):,} rows of {wide:,} columns")
        rows, columns = len(self.hidden_rows), len(self._columns_unseen())
        if rows:
            found.append(f"sheet {self.name}: {with_noun(rows, 'hidden row')} included")
        if columns:
            found.append(f"sheet {self.name}: {with_noun(columns, 'hidden column')} included")
        return found

    def _used_columns(self) -> list[int]:
        return sorted({place for row in self._rows.values() for place, text in enumerate(row) if text})

    def _without_blanks(self) -> list[list[str]]:
        """Return the rows without blank rows and blank columns."""
        used = self._used_columns()
        return [[row[column] if column < len(row) else "" for column in used] for row in self._rows.values()]

    def _columns_unseen(self) -> list[int]:
        return [place for place in self._used_columns() if place in self.hidden_columns] if self.hidden_columns else []

    def _hidden_notes(self) -> list[str]:
        rows = [f"{place + 1} ({first})" for place in sorted(self.hidden_rows)
                if (first := next((text for text in self._rows[place] if text), ""))]  # fmt: skip
        columns = [f"{column_name(place)} ({self._header_of(place)})" for place in self._columns_unseen()]
        areas = [f"{column_name(left)}{top + 1}:{column_name(right)}{bottom + 1} ({cell_text})"
                 for top, left, bottom, right in self.merged if (cell_text := self._cell_text(top, left))]  # fmt: skip
        groups = (("Hidden rows", rows), ("Hidden columns", columns), ("Merged cells", areas))
        return [f"{what}: {', '.join(_first_items(each))}" for what, each in groups if each]

    def _cell_text(self, row: int, column: int) -> str:
        cells = self._rows.get(row, [])
        return _shorten(cells[column]) if column < len(cells) else ""

    def _header_of(self, column: int) -> str:
        return next((_shorten(row[column]) for row in self._rows.values() if column < len(row) and row[column]), "")


def _first_items(items: list[str]) -> list[str]:
    return items if len(items) <= _NAMED else [*items[:_NAMED], f"and {len(items) - _NAMED:,} more"]


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


def column_name(column: int) -> str:
    """Return the name of a column by its index, counted from 0.

    >>> column_name(0), column_name(25), column_name(26), column_name(701), column_name(702)
    ('A', 'Z', 'AA', 'ZZ', 'AAA')
    """
    name, column = "", column + 1
    while column:
        column, place = divmod(column - 1, 26)
        name = chr(ord("A") + place) + name
    return name


_LOCALE = re.compile(r"\[\$-[^\]]*\]")  # a language without a currency
_CURRENCY = re.compile(r"\[\$([^\]-]+)(?:-[0-9A-Fa-f]+)?\]|[$€£¥₹₽₩₺₴₪]|\b(?:EUR|USD|GBP|CHF|JPY|CNY)\b")


def column_index(name: str) -> int:
    """Return the index of a column, counted from 0, by its name.

    >>> column_index("A"), column_index("AA"), column_index("ZZ")
    (0, 26, 701)
    """
    place = 0
    for letter in name:
        place = place * 26 + ord(letter) - ord("A") + 1
    return place - 1


def displayed_value(value: Any, form: str | None = None) -> str:
    """Return a value as it is displayed, with all digits.

    Dates have no empty time. By the number format ``form``, shares are shown as a percentage and amounts with currency.

    >>> displayed_value(0.125, "0%"), displayed_value(4200, "#,##0.00 €"), displayed_value(7.5, "[$CHF-807] #,##0")
    ('12.5%', '4200 €', 'CHF 7.5')
    """
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
            return f"{plain}%" if percent else _with_currency(plain, form or "")
    return " ".join(str(value).split())


def _with_currency(number: str, form: str) -> str:
    """Return a number with the currency of its format (ECMA-376 part 1, 18.8.31), placed as in the format."""
    first = _LOCALE.sub("", form.partition(";")[0])
    found = _CURRENCY.search(first)
    if found is None:
        return number
    symbol = (found[1] or found[0]).strip()
    digits = re.search("[#0?]", first)
    if digits is None or found.start() > digits.start():
        return f"{number} {symbol}"
    return f"{symbol} {number}" if symbol.isalpha() else f"{symbol}{number}"
