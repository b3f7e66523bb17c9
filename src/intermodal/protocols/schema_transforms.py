"""Transforms of a JSON Schema before it is sent. An answer is always validated against the original schema. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from intermodal.catalog.schema_enforcement import DATA_KEYWORDS, NAMED_SCHEMA_KEYWORDS, is_object_schema, subschemas

Schema = dict[str, Any]
MAX_LENGTH = 200  # characters of a string without a limit: a line of an invoice, not a page
MAX_ITEMS = 16  # items of an array without a limit

_SAYS_ITS_LENGTH = frozenset({"maxLength", "enum", "const", "pattern", "format"})
_SAYS_ITS_NUMBER = frozenset({"maxItems", "enum", "const", "prefixItems"})


def references(schema: Any) -> Iterator[str]:
    """Yield every ``$ref`` and ``$dynamicRef`` of a schema, except those inside data (an ``enum``, a default)."""
    for node in subschemas(schema):
        for key in ("$ref", "$dynamicRef"):
            if isinstance(node.get(key), str):
                yield node[key]


def name_root(schema: Schema) -> Schema:
    """Return the schema without ``"$ref": "#"``, which llama.cpp refuses: the root is also named in ``$defs``.

    >>> name_root({"items": {"$ref": "#"}})
    {'items': {'$ref': '#/$defs/root'}, '$defs': {'root': {'items': {'$ref': '#/$defs/root'}}}}
    """
    if "#" not in references(schema):
        return schema
    name = "root"
    while name in schema.get("$defs", {}):
        name += "_"

    def rename_reference(node: Schema) -> Schema:
        return {**node, "$ref": f"#/$defs/{name}"} if node.get("$ref") == "#" else node

    renamed = _map_schemas(schema, rename_reference)
    own = {key: value for key, value in renamed.items() if key != "$defs"}
    return {**own, "$defs": {**renamed.get("$defs", {}), name: own}}


def limit_lengths(schema: Schema) -> Schema:
    """Return the schema with a limit on every unlimited string and array, so that a small model cannot write forever.

    Everything valid against the result is valid against the original schema.

    >>> limit_lengths({"type": "array", "items": {"type": "string"}})
    {'type': 'array', 'items': {'type': 'string', 'maxLength': 200}, 'maxItems': 16}
    """
    limited: Schema = _map_schemas(schema, _with_limits)
    return limited


def close_objects(schema: Schema) -> Schema:
    """Return the schema with ``additionalProperties: false`` in every object, as Anthropic requires.

    >>> close_objects({"type": "object", "properties": {"n": {}}})
    {'type': 'object', 'properties': {'n': {}}, 'additionalProperties': False}
    """

    def close_object(node: Schema) -> Schema:
        return {**node, "additionalProperties": False} if is_object_schema(node) else node

    closed: Schema = _map_schemas(schema, close_object)
    return closed


def _with_limits(node: Schema) -> Schema:
    kinds = node.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    limits: Schema = {}
    if "string" in kinds and not _SAYS_ITS_LENGTH & node.keys() and node.get("minLength", 0) <= MAX_LENGTH:
        limits["maxLength"] = MAX_LENGTH
    if "array" in kinds and not _SAYS_ITS_NUMBER & node.keys() and node.get("minItems", 0) <= MAX_ITEMS:
        limits["maxItems"] = MAX_ITEMS
    return {**node, **limits}


def _map_schemas(node: Any, change: Callable[[Schema], Schema]) -> Any:
    """Return a copy with ``change`` applied to every schema in it."""
    if isinstance(node, list):
        return [_map_schemas(item, change) for item in node]
    if not isinstance(node, Mapping):
        return node
    mapped: Schema = {}
    for key, value in node.items():
        if key in NAMED_SCHEMA_KEYWORDS and isinstance(value, Mapping):
            mapped[key] = {name: _map_schemas(subschema, change) for name, subschema in value.items()}
        else:
            mapped[key] = value if key in DATA_KEYWORDS else _map_schemas(value, change)
    return change(mapped)
