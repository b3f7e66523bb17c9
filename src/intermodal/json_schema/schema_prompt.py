"""The text about a schema in a prompt: a description if the host enforces the schema, otherwise the JSON Schema itself.

A host that constrains an answer by a grammar tells the model nothing about it: neither what a field means nor which
values exist. So the fields are named in one sentence, each with its description. Of some twenty forms tried with a
model of 135M parameters, this was among the best (benchmarks/extraction.py); the JSON Schema itself makes such a model
copy the schema, and a form with blanks makes it copy the brackets.

The text is bounded, whatever a client's schema contains, and recursive references are not followed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from intermodal.json_schema.allowed_values import resolve_reference

LONGEST = 6_000  # characters of the fields: 1,500 tokens
WHOLE = 32_000  # characters; a longer schema is not inserted unchanged
_NODES = 2_000  # schemas to visit, at most
_DEPTH = 8  # objects and lists inside each other
_VALUES = 40  # of an enumeration
_SAID = 300  # characters of a description, of a value, of a name
_ANY = "any JSON"
_MORE = "…"
_encode = msgspec.json.Encoder().encode
Schema = Mapping[str, Any]


def describe_schema(schema: Schema) -> str:
    """Return the instruction for a question whose answer the host constrains to ``schema``.

    >>> describe_schema({"properties": {"to": {"type": "string"}, "n": {"enum": [1, 2], "description": "how many"}}})
    'Answer with JSON: to (string), n (how many: 1 or 2).'
    """
    words = _Fields(schema).describe(schema)
    words = words if len(words) <= LONGEST else f"{words[:LONGEST]}{_MORE}"
    return f"Answer with JSON: {words}." if words != "object" else "Answer with a JSON object."


def embed_schema(schema: Schema) -> str:
    """Return the instruction for a host that cannot constrain the answer to ``schema``.

    It contains the schema itself, since only this text enforces it. A schema longer than ``WHOLE`` is described
    instead.
    """
    encoded = _encode(schema)
    if len(encoded) > WHOLE:
        return describe_schema(schema)
    return f"Answer with one JSON value that matches this JSON Schema, and with nothing else:\n{encoded.decode()}"


class _Fields:
    """Describes the fields of one schema. ``root``: the document in which references are resolved."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._nodes = _NODES
        self._left = LONGEST

    def describe(self, schema: Any, description: str = "", depth: int = 0, within: tuple[str, ...] = ()) -> str:
        """Describe a value.

        ``description``: the one next to the reference that led here; ``within``: the references followed so far.
        """
        self._nodes -= 1
        description = _description(schema) or description
        if not isinstance(schema, Mapping) or self._nodes < 0 or self._left < 0 or depth > _DEPTH:
            return self._scalar(description, "")
        reference = schema.get("$ref")
        if isinstance(reference, str) and not schema.keys() & {"properties", "enum", "const"}:
            if reference in within:
                return self._scalar(description, reference.rpartition("/")[2])
            return self.describe(resolve_reference(self._root, reference), description, depth + 1, (*within, reference))
        choices = ["null"] if schema.get("type") == "null" else list(_choices(schema))
        if choices:
            values = self._within_length(" or ".join(choices))
            return values if values == "null" else self._describe_after(description, values)
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list):
                each = [self.describe(choice, description, depth + 1, within) for choice in schema[key][:_VALUES]]
                return " or ".join(dict.fromkeys(each))
        properties = self._properties(schema, depth)
        if properties:
            return self._describe_after(description, self._property_texts(properties, depth, within))
        if "items" in schema:
            return self._describe_after(description, f"list of {self.describe(schema['items'], '', depth + 1, within)}")
        return self._scalar(description, _kind(schema))

    def _property_texts(self, properties: Mapping[str, Any], depth: int, within: tuple[str, ...]) -> str:
        texts: list[str] = []
        for name, each in properties.items():
            if self._left < 0 or self._nodes < 0:
                texts.append(_MORE)
                break
            texts.append(
                f"{self._within_length(' '.join(name.split())[:_SAID])} ({self.describe(each, '', depth + 1, within)})"
            )
        return ", ".join(texts)

    def _properties(self, schema: Schema, depth: int) -> dict[str, Any]:
        """Return the properties of an object, including those of the schemas it combines with ``allOf``."""
        own = schema.get("properties")
        found = dict(own) if isinstance(own, Mapping) else {}
        parts = schema.get("allOf")
        for each in parts if isinstance(parts, list) and depth <= _DEPTH else ():
            self._nodes -= 1
            if isinstance(each, Mapping) and isinstance(each.get("$ref"), str):
                each = resolve_reference(self._root, each["$ref"])
            if isinstance(each, Mapping) and self._nodes > 0:
                found |= self._properties(each, depth + 1)
        return found

    def _scalar(self, description: str, kind: str) -> str:
        if not description:
            return self._within_length(kind or _ANY)
        return self._within_length(description if kind in ("", "string") else f"{description}; {kind}")

    def _describe_after(self, description: str, words: str) -> str:
        return f"{self._within_length(description)}: {words}" if description else words

    def _within_length(self, text: str) -> str:
        self._left -= len(text)
        return text if self._left >= 0 else _MORE


def _choices(schema: Schema) -> Iterator[str]:
    if "const" in schema:
        yield _value(schema["const"])
    elif isinstance(schema.get("enum"), list):
        yield from map(_value, schema["enum"][:_VALUES])
        if len(schema["enum"]) > _VALUES:
            yield _MORE


def _kind(schema: Schema) -> str:
    kinds = schema.get("type")
    named_types = kinds[:_VALUES] if isinstance(kinds, list) else [kinds]
    kind_text = " or ".join(str(each)[:_SAID] for each in named_types if isinstance(each, str))
    return f"{kind_text}, {schema['format'][:_SAID]}" if isinstance(schema.get("format"), str) else kind_text


def _description(schema: Any) -> str:
    description = schema.get("description") if isinstance(schema, Mapping) else None
    return " ".join(description.split())[:_SAID] if isinstance(description, str) else ""


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:_SAID]
