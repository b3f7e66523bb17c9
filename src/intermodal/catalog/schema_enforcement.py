"""Which hosts enforce a JSON Schema during generation (structured outputs), and how the schema reaches the model.

The planner and the executor read this; a codec omits a schema that its protocol cannot express. An answer that violates
its schema anyway is repaired in ``executor/outputs/``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from intermodal.catalog.types import Host, Protocol

Schema = Mapping[str, Any]
ANY_OBJECT: dict[str, Any] = {"type": "object"}  # the schema of JSON mode

# Protocols that enforce only schemas whose objects list all their properties.
CLOSED_OBJECT_PROTOCOLS: frozenset[Protocol] = frozenset({"anthropic"})
DATA_KEYWORDS = frozenset({"const", "enum", "default", "examples"})  # these hold data, which may look like a schema
_COMBINING_KEYWORDS = frozenset({"allOf", "anyOf", "oneOf"})
NAMED_SCHEMA_KEYWORDS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})


def can_force(host: Host, closable: bool) -> bool:
    """Return whether this host enforces a schema, which is ``closable`` or not; otherwise the prompt states it."""
    return host.forced_json and (closable or host.protocol not in CLOSED_OBJECT_PROTOCOLS)


# How a schema reaches a model. "asked": only in the prompt; the answer is checked. "told": the host enforces it without
# showing it to the model, so the prompt states it. "forced": the host enforces it and shows it to the model itself.
SchemaDelivery = Literal["asked", "told", "forced"]


def schema_delivery(host: Host, closable: bool) -> SchemaDelivery:
    """Return how a schema, which is ``closable`` or not, reaches a model of this host."""
    if not can_force(host, closable):
        return "asked"
    return "forced" if host.tells_schema else "told"


def fits_host_subset(host: Host, schema: Schema) -> bool:
    """Return whether this host accepts a schema in strict mode."""
    return "strict_subset" not in host.quirks or fits_strict_subset(schema)


def is_schema_guaranteed(host: Host, schema: Schema, closable: bool) -> bool:
    """Return whether no answer of this host can violate the schema."""
    return can_force(host, closable) and fits_host_subset(host, schema)


def is_closable(schema: Schema) -> bool:
    """Return whether every object in a schema lists its properties, so that closing it does not change its meaning.

    >>> is_closable({"type": "object", "properties": {"name": {"type": "string"}}})
    True
    >>> is_closable({"type": "object", "properties": {"meta": {"type": "object"}}})
    False
    """
    return not any(_open(node) or _combines_properties(node) for node in subschemas(schema))


def is_object_schema(node: Schema) -> bool:
    """Return whether a node is the schema of an object.

    A value under an unknown keyword may look like a schema but be data.
    """
    kinds = node.get("type")
    return kinds == "object" or (isinstance(kinds, list) and "object" in kinds)


def subschemas(schema: Any) -> Iterator[Schema]:
    """Yield a schema and every schema in it.

    Iterative, since recursion would visit each level of a deep schema repeatedly.
    """
    waiting: list[Any] = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, Mapping):
            yield node
            for key, value in node.items():
                if key in NAMED_SCHEMA_KEYWORDS and isinstance(value, Mapping):
                    waiting.extend(value.values())
                elif key not in DATA_KEYWORDS and isinstance(value, (list, Mapping)):
                    waiting.append(value)


def _open(node: Schema) -> bool:
    """Return whether a node is an object that allows additional properties, or lists none."""
    if not is_object_schema(node) or node.get("additionalProperties") is False:
        return False
    return not node.get("properties") or "additionalProperties" in node or "patternProperties" in node


def _combines_properties(node: Schema) -> bool:
    """Return whether several combined schemas list properties of one object.

    If each of them were closed, no value would match all of them.
    """
    if _COMBINING_KEYWORDS.isdisjoint(node):
        return False
    every = [_lists_properties(each) for each in _list_at(node, "allOf")]
    either = [any(map(_lists_properties, _list_at(node, key))) for key in ("anyOf", "oneOf")]
    return sum((_lists_properties(node), *every, *either)) > 1


def _lists_properties(node: Any) -> bool:
    return isinstance(node, Mapping) and ("properties" in node or "$ref" in node)


def _list_at(node: Schema, key: str) -> list[Any]:
    found = node.get(key)
    return found if isinstance(found, list) else []


def fits_strict_subset(schema: Schema) -> bool:
    """Return whether OpenAI's strict mode accepts this schema.

    It requires an object at the root, and every object closed with all its properties required. Source: the "Supported
    schemas" section of its structured outputs guide.
    """
    return schema.get("type") == "object" and "anyOf" not in schema and _is_closed(schema)


_UNSUPPORTED_KEYWORDS = frozenset(
    {"allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas"}
)


def _is_closed(node: Any) -> bool:
    if isinstance(node, list):
        return all(map(_is_closed, node))
    if not isinstance(node, Mapping):
        return True
    if _UNSUPPORTED_KEYWORDS & node.keys():
        return False
    properties = node.get("properties", {})
    closed = node.get("additionalProperties") is False and set(node.get("required", ())) == set(properties)
    if (node.get("type") == "object" or properties) and not closed:
        return False
    inside = [*properties.values(), *node.get("$defs", {}).values(), *node.get("anyOf", ()), node.get("items")]
    return all(map(_is_closed, inside))
