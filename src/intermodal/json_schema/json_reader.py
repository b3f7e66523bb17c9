"""A bounded reader of JSON that a model wrote.

Python's own reader is the fastest and blocks every other thread: 10 ms for each 250 KB of brackets. A long text is
therefore read piece by piece, by the same rules, with steps counted and without recursion.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from intermodal.json_schema.budget import BudgetExhausted, StepBudget

SHORT = 64 << 10  # characters that Python's own reader is given
LONGEST = 4 << 20  # characters that are read at all
NESTED = 500  # lists and objects inside each other

_BLANKS = re.compile(r"[ \t\n\r]*")


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def read_json(text: str, begin: int, budget: StepBudget) -> tuple[Any, int]:
    """Return the value that begins at a position, and where it ends.

    Raises:
        ValueError: it is not JSON; NaN and Infinity are not.
        BudgetExhausted: it is longer or deeper than the limits.
        Cancelled: the caller no longer waits.
    """
    if len(text) - begin > LONGEST:
        raise BudgetExhausted(f"it has more than {LONGEST:,} characters")
    budget.spend((len(text) - begin) // 64)
    if len(text) - begin > SHORT:
        return _Reader(text, budget).value(begin)
    try:
        return _DECODER.raw_decode(text, begin)
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> BudgetExhausted:
    return BudgetExhausted(f"it is nested more than {NESTED} deep", deep=True)


class _Reader:
    """One value of a long text. What is open is kept in a list: the innermost last, with the name that waits for a
    value in an object."""

    def __init__(self, text: str, budget: StepBudget) -> None:
        self._text = text
        self._budget = budget
        self._open: list[tuple[list[Any] | dict[str, Any], str]] = []

    def value(self, at: int) -> tuple[Any, int]:
        while True:
            self._budget.spend(1)
            char = self._text[at : at + 1]
            if char in ("[", "{"):
                at, empty = self._opened(char, at + 1)
                if empty is None:
                    continue
                found: Any = empty
            else:
                found, at = _DECODER.raw_decode(self._text, at)  # a text, a number or a word
            while self._open:
                found, at, more = self._placed(found, self._blank(at))
                if more:
                    break
            else:
                return found, at

    def _opened(self, char: str, at: int) -> tuple[int, list[Any] | dict[str, Any] | None]:
        """Where the first value in a list or an object begins; where there is none, the end of it, and it."""
        made: list[Any] | dict[str, Any] = [] if char == "[" else {}
        at = self._blank(at)
        if self._text[at : at + 1] == ("]" if char == "[" else "}"):
            return at + 1, made
        if len(self._open) >= NESTED:
            raise _too_deep()
        name = ""
        if char == "{":
            name, at = self._name(at, "Expecting property name enclosed in double quotes")
        self._open.append((made, name))
        return at, None

    def _placed(self, found: Any, at: int) -> tuple[Any, int, bool]:
        """Put a value into what is open, and go to the next one (True), or to the end of what is open."""
        inside, name = self._open.pop()
        char = self._text[at : at + 1]
        if isinstance(inside, list):
            inside.append(found)
            end = "]"
        else:
            inside[name] = found
            end = "}"
        if char == end:
            return inside, at + 1, False
        if char != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", self._text, at)
        at = self._blank(at + 1)
        if isinstance(inside, dict):
            name, at = self._name(at, "Expecting property name enclosed in double quotes")
        self._open.append((inside, name))
        return None, at, True

    def _name(self, at: int, otherwise: str) -> tuple[str, int]:
        if self._text[at : at + 1] != '"':
            raise json.JSONDecodeError(otherwise, self._text, at)
        name, at = _DECODER.raw_decode(self._text, at)
        at = self._blank(at)
        if self._text[at : at + 1] != ":":
            raise json.JSONDecodeError("Expecting ':' delimiter", self._text, at)
        return name, self._blank(at + 1)

    def _blank(self, at: int) -> int:
        found = _BLANKS.match(self._text, at)
        return found.end() if found is not None else at
