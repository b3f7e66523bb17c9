"""Repair of JSON that a model wrote with slips, where only one reading is possible.

Accepted are comments, unquoted names, single quotes, Python's literals, line breaks within strings, a trailing comma, a
missing comma at a line's end, and numbers such as ``+5``, ``.5`` and ``5.``. Refused is anything with two readings and,
above all, what was cut off: nothing is added that was not written.
"""

from __future__ import annotations

import json
import re

from intermodal.json_schema.budget import StepBudget
from intermodal.json_schema.json_reader import LONGEST, NESTED

_SKIPPED = re.compile(r"(?:[\s\ufeff]+|//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)+")
_WORD = re.compile(r"[A-Za-z_$][\w$-]*")
_NUMBER = re.compile(r"([+-]?)(\d*)(?:(\.)(\d*))?([eE][+-]?\d+)?(?![\w.])")
_QUOTES = {'"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL), "'": re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)}
_ESCAPE = re.compile(r"\\(.)|([\x00-\x1f\"])", re.DOTALL)
_WORDS = {"true": "true", "false": "false", "null": "null", "True": "true", "False": "false", "None": "null"}
_NO_TEXTS = ("NaN", "Infinity", "undefined")
_CONTROL = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def repair(text: str, begin: int, budget: StepBudget) -> tuple[str, int]:
    """Return the list or object that begins at a position as JSON, and where it ends in ``text``.

    >>> repair("{total: 12.50, 'paid': True,}", 0, StepBudget(1_000))[0]
    '{"total": 12.50, "paid": true}'

    Raises:
        ValueError: it is cut off, or something in it has two readings.
        BudgetExhausted, Cancelled: as ``table``.
    """
    if len(text) - begin > LONGEST:
        raise ValueError("it is too long to be put right")
    return _Repair(text, begin, budget).whole()


class _Repair:
    def __init__(self, text: str, begin: int, budget: StepBudget) -> None:
        self._text = text
        self._at = begin
        self._budget = budget
        self._open: list[str] = []
        self._made: list[str] = []

    def whole(self) -> tuple[str, int]:
        """Value after value, each with what has to stand before it."""
        self._begin()
        while self._open:
            self._budget.spend(1)
            end = "}" if self._open[-1] == "{" else "]"
            gap = self._skip()
            char = self._text[self._at : self._at + 1]
            comma = char == ","
            if comma:
                self._at += 1
                self._skip()
                char = self._text[self._at : self._at + 1]
            if char == end:  # a comma too many before it is left out
                if comma and self._made[-1] in ("{", "["):
                    raise self._unclear()
                self._at += 1
                self._open.pop()
                self._made.append(end)
                continue
            first = self._made[-1] in ("{", "[")
            if comma and first:
                raise self._unclear()
            if not comma and not first and "\n" not in gap:  # one is missing, which the end of a line stands for
                raise self._unclear()
            if not first:
                self._made.append(", ")
            if self._open[-1] == "{":
                self._name()
            self._value()
        return "".join(self._made), self._at

    def _begin(self) -> None:
        char = self._text[self._at : self._at + 1]
        if char not in ("{", "["):
            raise self._unclear()
        if len(self._open) >= NESTED:
            raise ValueError(f"it is nested more than {NESTED} deep")
        self._open.append(char)
        self._made.append(char)
        self._at += 1

    def _skip(self) -> str:
        """Leave out blanks and comments; what they were."""
        found = _SKIPPED.match(self._text, self._at)
        if found is None:
            return ""
        self._budget.spend(len(found[0]) // 64)
        self._at = found.end()
        return found[0]

    def _name(self) -> None:
        word = _WORD.match(self._text, self._at)
        if word is not None:
            self._made.append(json.dumps(word[0]))
            self._at = word.end()
        else:
            self._quoted()
        self._skip()
        if self._text[self._at : self._at + 1] != ":":
            raise self._unclear()
        self._at += 1
        self._skip()
        self._made.append(": ")

    def _value(self) -> None:
        char = self._text[self._at : self._at + 1]
        if char in ("{", "["):
            self._begin()
        elif char in _QUOTES:
            self._quoted()
        elif word := _WORD.match(self._text, self._at):
            if word[0] in _NO_TEXTS:
                raise self._unclear()
            self._at = word.end()
            self._made.append(_WORDS.get(word[0]) or json.dumps(word[0]))
        else:
            self._number()

    def _number(self) -> None:
        found = _NUMBER.match(self._text, self._at)
        if found is None or not (found[2] or found[4]):
            raise self._unclear()
        sign, whole, point, rest, power = found.groups("")
        if len(whole) > 1 and whole.startswith("0"):
            raise self._unclear()  # a number of a thing, such as 0071, or another base
        self._at = found.end()
        fraction = f".{rest}" if point and rest else ""
        self._made.append(f"{'-' if sign == '-' else ''}{whole or '0'}{fraction}{power}")

    def _quoted(self) -> None:
        quotes = _QUOTES.get(self._text[self._at : self._at + 1])
        found = quotes.match(self._text, self._at) if quotes is not None else None
        if found is None:
            raise self._unclear()
        self._budget.spend(len(found[0]) // 64)
        self._at = found.end()
        self._made.append('"' + _ESCAPE.sub(_escaped, found[1]) + '"')

    def _unclear(self) -> ValueError:
        if self._at >= len(self._text):
            return ValueError("it ends in the middle")
        return ValueError(f"what stands at character {self._at} can be read in more than one way")


def _escaped(found: re.Match[str]) -> str:
    """A sign as JSON has it within a text."""
    after, plain = found.groups()
    if plain is not None:
        return '\\"' if plain == '"' else _CONTROL.get(plain, f"\\u{ord(plain):04x}")
    if after == "'":
        return "'"
    return found[0]
