"""JSON Schema in Picoschema, where that says the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intermodal.prompts.dotprompt.picoschema import json_schema

_SCALARS = ("string", "boolean", "number", "integer")
_ODD = frozenset("(),?")  # letters that mean something in the name of a field


def picoschema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as dotprompt writes it: in Picoschema, or where that says something else as JSON Schema."""
    try:
        short = _fields(schema)
    except _NoWordsError:
        return dict(schema)
    return short if _read(short) == {"required": [], **schema} else dict(schema)


def _read(short: Any) -> dict[str, Any]:
    def fail(at: Any, what: str, todo: str) -> Exception:
        return _NoWordsError(what)

    try:
        return {"required": [], **(json_schema(short, fail) or {})}
    except _NoWordsError:
        return {}


class _NoWordsError(ValueError):
    """Picoschema has no words for it."""


def _fields(schema: Mapping[str, Any]) -> dict[str, Any]:
    fields = schema.get("properties")
    if schema.get("type") != "object" or not isinstance(fields, Mapping) or not fields:
        raise _NoWordsError
    required = set(schema.get("required", ()))
    made: dict[str, Any] = {}
    for name, each in fields.items():
        if not isinstance(each, Mapping) or _ODD & set(name) or name in ("type", "properties", "$ref"):
            raise _NoWordsError
        key, value = _field(name if name in required else f"{name}?", each, name in required)
        made[key] = value
    return made


def _field(name: str, schema: Mapping[str, Any], required: bool) -> tuple[str, Any]:
    about = schema.get("description", "")
    if not isinstance(about, str) or about != " ".join(about.split()) or ")" in about:
        raise _NoWordsError
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), None)
    more = f", {about}" if about else ""
    if "enum" in schema:
        values = [each for each in schema["enum"] if required or each is not None]
        return f"{name}(enum{more})", values
    if kind in _SCALARS:
        return name, f"{kind}{more}"
    if kind == "array" and isinstance(schema.get("items"), Mapping):
        items = schema["items"]
        inner = _fields(items) if items.get("type") == "object" else _field("", items, True)[1]
        return f"{name}(array{more})", inner
    if kind == "object":
        return f"{name}(object{more})" if about else name, _fields(schema)
    if not kind and not set(schema) - {"description"}:
        return name, f"any{more}"
    raise _NoWordsError
