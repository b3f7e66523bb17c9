"""JSON Schema with one spelling for constructs that formats write differently: definitions, null, closed objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from intermodal.core.request import JsonOutput, Output
from intermodal.json_schema.allowed_values import resolve_reference

_MOST_DEEP = 40
_MOST_MADE = 10_000  # parts of an inlined schema, which may grow exponentially with its depth
_SAID_BY_ENUM = ("string", "integer", "boolean")


def inline_definitions(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema with every ``$ref`` inlined, null as a type, and no ``type`` beside enumerated values.

    A recursive schema, or one that becomes too large, is returned unchanged.
    """
    try:
        inlined: dict[str, Any] = _inline(schema, schema, 0, count(1))
        return inlined
    except RecursionError:
        return dict(schema)


def same_output(one: Output, other: Output) -> bool:
    """Return whether two outputs are equivalent, regardless of the spelling and names of their schemas."""
    if not isinstance(one, JsonOutput) or not isinstance(other, JsonOutput):
        return type(one) is type(other)
    return one.strict == other.strict and _comparable_schema(inline_definitions(one.schema)) == _comparable_schema(
        inline_definitions(other.schema)
    )


def _inline(root: Mapping[str, Any], schema: Any, deep: int, parts: Iterator[int]) -> Any:
    if deep > _MOST_DEEP or next(parts) > _MOST_MADE:
        raise RecursionError
    if isinstance(schema, list):
        return [_inline(root, each, deep + 1, parts) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    if isinstance(schema.get("$ref"), str):
        more = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**(resolve_reference(root, schema["$ref"]) or {}), **more}
    inlined = {
        key: {name: _inline(root, each, deep + 1, parts) for name, each in value.items()}
        if key == "properties" and isinstance(value, Mapping)
        else value if key in ("enum", "const", "default") else _inline(root, value, deep + 1, parts)
        for key, value in schema.items()
        if key not in ("$defs", "definitions")
    }  # fmt: skip
    if isinstance(inlined.get("enum"), list):
        inlined.pop("type", None)  # implied by its values
    return _normalize_nullable(inlined)


def _normalize_nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Replace ``anyOf`` of one type and null by that type with null."""
    choices = schema.get("anyOf")
    if not isinstance(choices, list) or len(choices) != 2 or {"type": "null"} not in choices:
        return schema
    (one,) = [each for each in choices if each != {"type": "null"}] or [None]
    if not isinstance(one, Mapping) or not ("enum" in one or isinstance(one.get("type"), str)):
        return schema
    normalized = {**one, **{key: value for key, value in schema.items() if key != "anyOf"}}
    if isinstance(one.get("type"), str):
        normalized["type"] = [one["type"], "null"]
    if "enum" in one and None not in one["enum"]:
        normalized["enum"] = [*one["enum"], None]
    return normalized


def _takes_null(schema: Any) -> bool:
    if not isinstance(schema, Mapping):
        return False
    choices = schema.get("anyOf")
    inner = isinstance(choices, list) and any(map(_takes_null, choices))
    return inner or None in schema.get("enum", ()) or "null" in (schema.get("type") or ())


def _comparable_schema(schema: Any, *, optional: bool = False) -> Any:
    """Return the schema in comparable form. ``optional``: a field that may be missing may be null, and vice versa."""
    if isinstance(schema, list):
        return [_comparable_schema(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    fields = schema.get("properties")
    fields = fields if isinstance(fields, Mapping) else {}
    needed = [name for name in schema.get("required") or () if not _takes_null(fields.get(name))]
    comparable: dict[str, Any] = {
        key: {name: _comparable_schema(each, optional=name not in needed) for name, each in value.items()}
        if key == "properties" and isinstance(value, Mapping)
        else value if key in ("enum", "const", "default") else _comparable_schema(value)
        for key, value in schema.items()
        if key not in ("additionalProperties", "title", "$schema")
    }  # fmt: skip
    if schema.get("additionalProperties") not in (None, False):
        comparable["additionalProperties"] = _comparable_schema(schema["additionalProperties"])
    comparable["required"] = sorted(needed)
    types = comparable.get("type")
    type_names = [types] if isinstance(types, str) else list(types or ())
    if optional:
        type_names = [each for each in type_names if each != "null"]
    if "const" in comparable:
        comparable["enum"] = [comparable.pop("const")]
    if isinstance(comparable.get("enum"), list):
        values = [each for each in comparable["enum"] if each is not None or not optional]
        comparable["enum"] = values
        type_names = [each for each in type_names if each not in (*_SAID_BY_ENUM, "null")]
    comparable.pop("type", None)
    return {**comparable, "type": sorted(type_names)} if type_names else comparable
