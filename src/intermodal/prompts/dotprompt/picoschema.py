"""Picoschema, dotprompt's short way to write a schema, to JSON Schema.

https://google.github.io/dotprompt/reference/picoschema: ``name?(array, what it is): string, each of them``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from intermodal.prompts.source_text import shown_value

_SCALARS = frozenset({"string", "boolean", "null", "number", "integer", "any"})
_KINDS = _SCALARS | {"object", "array"}
_WILDCARD = "(*)"
Fail = Callable[[tuple[str | int, ...], str, str], Exception]


def json_schema(schema: Any, fail: Fail) -> dict[str, Any] | None:
    """JSON Schema of what stands in a file; None where nothing does. JSON Schema is taken as it is.

    ``fail`` makes the error of a place within ``schema``, of what is wrong there and what to do.
    """
    if schema is None or schema == "" or schema == {}:
        return None
    if isinstance(schema, Mapping):
        kind = schema.get("type")
        if isinstance(kind, list) or (isinstance(kind, str) and kind in _KINDS - {"any"}):
            return dict(schema)
        if isinstance(schema.get("properties"), Mapping):
            return {**schema, "type": "object"}
        if any(key in schema for key in ("$ref", "anyOf", "oneOf", "allOf")):
            return dict(schema)
    return _pico(schema, fail, ())


def _pico(node: Any, fail: Fail, at: tuple[str | int, ...]) -> dict[str, Any]:
    if isinstance(node, str):
        return _scalar(node, fail, at)
    if not isinstance(node, Mapping):
        raise fail(at, f"{shown_value(node)} is no type", f"write one of {', '.join(sorted(_SCALARS))}, or fields")
    found: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    for key, value in node.items():
        if key == _WILDCARD:
            found["additionalProperties"] = _pico(value, fail, (*at, key))
            continue
        name, _, told = key.partition("(")
        optional = name.endswith("?")
        name = name.removesuffix("?")
        if not optional:
            found["required"].append(name)
        made = _field(value, told.removesuffix(")"), fail, (*at, key))
        found["properties"][name] = _or_null(made) if optional else made
    if not found["required"]:
        del found["required"]
    return found


def _field(value: Any, told: str, fail: Fail, at: tuple[str | int, ...]) -> dict[str, Any]:
    if not told:
        return _pico(value, fail, at)
    kind, description = _described(told)
    if kind == "array":
        made: dict[str, Any] = {"type": "array", "items": _pico(value, fail, at)}
    elif kind == "object":
        made = _pico(value, fail, at)
    elif kind == "enum":
        if not isinstance(value, list):
            raise fail(at, "an enum is a list of values", "write field(enum): [one, two]")
        made = {"enum": list(value)}
    else:
        raise fail(at, f"{shown_value(kind)} in parentheses is no type", "write array, object or enum")
    return {**made, "description": description} if description else made


def _scalar(text: str, fail: Fail, at: tuple[str | int, ...]) -> dict[str, Any]:
    kind, description = _described(text)
    if kind not in _SCALARS:
        what = f"{shown_value(kind)} is no type, and of schemas that a program registers none is known here"
        raise fail(at, what, f"write its fields, or one of {', '.join(sorted(_SCALARS))}")
    made: dict[str, Any] = {} if kind == "any" else {"type": kind}
    return {**made, "description": description} if description else made


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A field that may be missing may be null, too: models that are held to a schema have no other way to leave out."""
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema and None not in schema["enum"]:
        return {**schema, "enum": [*schema["enum"], None]}
    return schema


def _described(text: str) -> tuple[str, str]:
    kind, _, description = text.partition(",")
    return kind.strip(), description.strip()
