"""Whether each keyword of a schema has a valid value, as the metaschema of draft 2020-12 says."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from intermodal.json_schema.budget import StepBudget
from intermodal.json_schema.invalid_schema import InvalidSchema
from intermodal.json_schema.references import NAMED, SEVERAL
from intermodal.json_schema.values import TYPES, is_number
from intermodal.json_schema.violation import shorten

_ANCHOR = re.compile(r"[A-Za-z_][-A-Za-z0-9._]*\Z")
_TEXTS = (
    "$id", "$schema", "$ref", "$dynamicRef", "$comment", "title", "description", "format", "pattern",
    "contentEncoding", "contentMediaType", "$recursiveRef",
)  # fmt: skip
_COUNTS = (
    "maxLength", "minLength", "maxItems", "minItems", "maxContains", "minContains", "maxProperties", "minProperties",
)  # fmt: skip
_LIMITS = ("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum")
_FLAGS = ("uniqueItems", "deprecated", "readOnly", "writeOnly")

Shape = tuple[Callable[[Any, StepBudget], bool], str]


def check_shape(keyword: str, value: Any, place: str, budget: StepBudget) -> None:
    """Raise InvalidSchema unless a keyword may have this value; schemas inside it are not checked."""
    shape = _SHAPES.get(keyword)
    if shape is not None and not shape[0](value, budget):
        raise InvalidSchema(f"{shorten(value)} is not {shape[1]}", place)


def _is_text(value: Any, budget: StepBudget) -> bool:
    return isinstance(value, str)


def _is_count(value: Any, budget: StepBudget) -> bool:
    return TYPES["integer"](value) and value >= 0


def _is_factor(value: Any, budget: StepBudget) -> bool:
    return is_number(value) and value > 0


def _is_names(value: Any, budget: StepBudget) -> bool:
    if not isinstance(value, list):
        return False
    budget.spend(len(value))
    return all(isinstance(name, str) for name in value) and len(set(value)) == len(value)


def _is_types(value: Any, budget: StepBudget) -> bool:
    if isinstance(value, str):
        return value in TYPES
    return _is_names(value, budget) and bool(value) and all(name in TYPES for name in value)


def _is_named(inner: Callable[[Any, StepBudget], bool]) -> Callable[[Any, StepBudget], bool]:
    def check(value: Any, budget: StepBudget) -> bool:
        if not isinstance(value, dict):
            return False
        budget.spend(len(value))
        return all(inner(each, budget) for each in value.values())

    return check


def _is_schema(value: Any, budget: StepBudget) -> bool:
    return isinstance(value, (dict, bool))


_SHAPES: dict[str, Shape] = {
    **dict.fromkeys(_TEXTS, (_is_text, "a text")),
    **dict.fromkeys(_COUNTS, (_is_count, "a whole number of 0 or more")),
    **dict.fromkeys(_LIMITS, (lambda value, budget: is_number(value), "a number")),
    **dict.fromkeys(_FLAGS, (lambda value, budget: isinstance(value, bool), "true or false")),
    **dict.fromkeys(
        SEVERAL, (lambda value, budget: isinstance(value, list) and bool(value), "a list of one or more schemas")
    ),
    **dict.fromkeys(NAMED, (lambda value, budget: isinstance(value, dict), "an object of schemas")),
    "$id": (lambda value, budget: isinstance(value, str) and "#" not in value[:-1], "a URI without a fragment"),
    "$anchor": (lambda value, budget: isinstance(value, str) and _ANCHOR.match(value) is not None, "an anchor's name"),
    "$vocabulary": (_is_named(lambda value, budget: isinstance(value, bool)), "an object of true and false"),
    "dependencies": (
        _is_named(lambda value, budget: _is_schema(value, budget) or _is_names(value, budget)),
        "an object of schemas and lists of names",
    ),
    "dependentRequired": (_is_named(_is_names), "an object of lists of names"),
    "enum": (lambda value, budget: isinstance(value, list), "a list"),
    "examples": (lambda value, budget: isinstance(value, list), "a list"),
    "multipleOf": (_is_factor, "a number above 0"),
    "required": (_is_names, "a list of different names"),
    "type": (_is_types, f"a type or a list of different types; there are {', '.join(sorted(TYPES))}"),
}
_SHAPES["$dynamicAnchor"] = _SHAPES["$recursiveAnchor"] = _SHAPES["$anchor"]
