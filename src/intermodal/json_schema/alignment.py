"""Alignment of values with a schema where only one reading is possible: an enum word in other case, a number in quotes.

It accepts what models write instead of what a schema asks for, where every reader would agree. Nothing is guessed:
"twelve" and "1,284" stay text, a word that resembles two enum values stays unchanged, and no member is added or
removed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from intermodal.json_schema.allowed_values import resolve_reference
from intermodal.json_schema.budget import StepBudget

_MOST_STEPS = 32  # from a reference to what it stands for: it may lead in a circle
_DEEPEST = 100  # values inside each other that are looked at: three frames of Python each, of which there are 1,000
_NUMBER = re.compile(r"[+-]?\d{1,300}(?:\.\d{1,300})?")


def align_value(data: Any, schema: Any, budget: StepBudget) -> tuple[Any, tuple[str, ...]]:
    """The value as its schema has it, and what was changed, in a few words each; the value itself where nothing was.

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
            self._say(path, "what is no list is read as a list of one")
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
        if {"number", "integer"} & set(kinds) and _NUMBER.fullmatch(word):
            number = float(word) if "." in word else int(word)
            return self._read(path, data, number) if "number" in kinds or isinstance(number, int) else data
        if "boolean" in kinds and word.casefold() in ("true", "false"):
            return self._read(path, data, word.casefold() == "true")
        return data

    def _schema(self, schema: Any, data: Any) -> Any:
        """What a schema refers to, and of one that may also be null the other."""
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
    """Whether a value that is neither list nor object is of one of these types."""
    if data is None or isinstance(data, bool):
        return ("null" if data is None else "boolean") in kinds
    if isinstance(data, str):
        return "string" in kinds
    return "number" in kinds or ("integer" in kinds and (isinstance(data, int) or data.is_integer()))


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"
