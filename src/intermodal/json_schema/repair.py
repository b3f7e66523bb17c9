"""Read JSON that a model wrote: a bounded reader, repair of slips, and alignment with a schema.

``read_json``: Python's own reader is the fastest and blocks every other thread: 10 ms for each 250 KB of brackets. A
long text is therefore read piece by piece, by the same rules, with steps counted and without recursion.

``repair``, where only one reading is possible: accepted are comments, unquoted names, single quotes, Python's literals,
line breaks within strings, a trailing comma, a missing comma at a line's end, and numbers such as ``+5``, ``.5`` and
``5.``. Refused is anything with two readings and, above all, what was cut off: nothing is added that was not written.

``align_value``, where every reader would agree: an enum word in other case, a number in quotes. Nothing is guessed:
"twelve" and "1,284" stay text, a word that resembles two enum values stays unchanged, and no member is added or
removed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from intermodal.json_schema.allowed_values import resolve_reference
from intermodal.json_schema.budget import BudgetExhausted, StepBudget

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
        BudgetExhausted, Cancelled: as ``read_json``.
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
            if not comma and not first and "\n" not in gap:  # a missing comma, for which the line end stands
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
        """Skip blanks and comments; return them."""
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
    """Return a sign as JSON has it within a text."""
    after, plain = found.groups()
    if plain is not None:
        return '\\"' if plain == '"' else _CONTROL.get(plain, f"\\u{ord(plain):04x}")
    if after == "'":
        return "'"
    return found[0]


# ---- reading ----------------------------------------------------------------------------------------


SHORT = 64 << 10  # characters that Python's own reader is given
LONGEST = 4 << 20  # characters parsed at most
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
    """A parser of one value in a long text. Open containers are kept in a list: the innermost last, with the name that
    waits for a value in an object.
    """

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
        """Return where the first value in a list or an object begins; where there is none, the end of it, and it."""
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
        """Put a value into the open container, and go to the next one (True), or to the container's end."""
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


# ---- alignment with a schema ------------------------------------------------------------------------


_MOST_STEPS = 32  # from a reference to its target: there may be a cycle
_DEEPEST = 100  # values inside each other that are looked at: three frames of Python each, of which there are 1,000
_PLAIN_NUMBER = re.compile(r"[+-]?\d{1,300}(?:\.\d{1,300})?")


def align_value(data: Any, schema: Any, budget: StepBudget) -> tuple[Any, tuple[str, ...]]:
    """Return the value aligned with its schema, and the changes, in a few words each; the value itself if there are
    none.

    >>> align_value({"unit": "eur"}, {"properties": {"unit": {"enum": ["EUR", "USD"]}}}, StepBudget(100))
    ({'unit': 'EUR'}, ("unit: 'eur' is read as 'EUR'",))
    """
    changes: list[str] = []
    made = _Aligner(schema, budget, changes).value(data, schema, "")
    return (made, tuple(changes)) if changes else (data, ())


class _Aligner:
    def __init__(self, root: Any, budget: StepBudget, changes: list[str]) -> None:
        self._root = root
        self._budget = budget
        self._changes = changes

    def value(self, data: Any, schema: Any, path: str, depth: int = 0) -> Any:
        self._budget.spend(1)
        schema = self._schema(schema, data)
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return data
        kinds = schema.get("type", ())
        kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds) if isinstance(kinds, list) else ()
        if isinstance(data, list) and kinds == ("object",) and len(data) == 1 and isinstance(data[0], dict):
            self._say(path, "the one object of a list is taken")
            data = data[0]
        elif "array" in kinds and not isinstance(data, list) and not (data is None and "null" in kinds):
            self._say(path, "a single value is read as a list of one")
            data = [data]
        if isinstance(data, dict):
            return self._object(data, schema, path, depth)
        if isinstance(data, list):
            items = schema.get("items")
            return [self.value(each, items, f"{path}[{place}]", depth + 1) for place, each in enumerate(data)]
        return self._scalar(data, schema, kinds, path)

    def _object(self, data: dict[str, Any], schema: Mapping[str, Any], path: str, depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        if not isinstance(properties, Mapping):
            return data
        within = f"{path}." if path else ""
        return {
            name: self.value(each, properties[name], f"{within}{name}", depth + 1) if name in properties else each
            for name, each in data.items()
        }

    def _scalar(self, data: Any, schema: Mapping[str, Any], kinds: tuple[Any, ...], path: str) -> Any:
        words = schema.get("enum")
        if isinstance(words, list) and isinstance(data, str) and data not in words:
            self._budget.spend(len(words) // 8)
            like = [each for each in words if isinstance(each, str) and each.casefold() == data.strip().casefold()]
            return self._read(path, data, like[0]) if len(like) == 1 else data
        if not kinds or _is(data, kinds):
            return data
        if isinstance(data, str):
            return self._of_text(data, kinds, path)
        if "string" in kinds and isinstance(data, int) and not isinstance(data, bool):
            return self._read(path, data, str(data))
        return data

    def _of_text(self, data: str, kinds: tuple[Any, ...], path: str) -> Any:
        word = data.strip()
        if {"number", "integer"} & set(kinds) and _PLAIN_NUMBER.fullmatch(word):
            number = float(word) if "." in word else int(word)
            return self._read(path, data, number) if "number" in kinds or isinstance(number, int) else data
        if "boolean" in kinds and word.casefold() in ("true", "false"):
            return self._read(path, data, word.casefold() == "true")
        return data

    def _schema(self, schema: Any, data: Any) -> Any:
        """Return the target of a reference, and of a nullable schema the other alternative."""
        for _ in range(_MOST_STEPS):
            if not isinstance(schema, Mapping):
                return schema
            reference, choices = schema.get("$ref"), schema.get("anyOf")
            if isinstance(reference, str):
                schema = resolve_reference(self._root, reference)
            elif isinstance(choices, list) and len(choices) == 2 and {"type": "null"} in choices and data is not None:
                schema = next((each for each in choices if each != {"type": "null"}), None)
            else:
                return schema
            self._budget.spend(1)
        return schema

    def _read(self, path: str, data: Any, made: Any) -> Any:
        self._say(path, f"{_short(data)} is read as {_short(made)}")
        return made

    def _say(self, path: str, what: str) -> None:
        self._changes.append(f"{path}: {what}" if path else what)


def _is(data: Any, kinds: tuple[Any, ...]) -> bool:
    """Return whether a value that is neither list nor object is of one of these types."""
    if data is None or isinstance(data, bool):
        return ("null" if data is None else "boolean") in kinds
    if isinstance(data, str):
        return "string" in kinds
    return "number" in kinds or ("integer" in kinds and (isinstance(data, int) or data.is_integer()))


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"
