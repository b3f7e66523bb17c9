"""The values that a schema enumerates (``enum``, ``const``) for a place in an answer.

Used to tell whether a value of an answer was chosen from a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from intermodal.json_schema.errors import steps

_STEPS = 10_000  # schemas inspected for one answer; those beyond count as no choice
_NESTED = ("anyOf", "oneOf", "allOf")


class AllowedValues:
    """The enumerated values of one schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._root = schema
        self._left = _STEPS

    def values_at(self, path: tuple[str | int, ...]) -> tuple[Any, ...]:
        """Return the values that the schema enumerates for the value at ``path``.

        >>> AllowedValues({"properties": {"paid": {"enum": ["card", "cash"]}}}).values_at(("paid",))
        ('card', 'cash')
        """
        schemas = list(self._combined_schemas(self._root))
        for step in path:
            schemas = [
                schema
                for each in schemas
                for part in _subschemas_under(each, step)
                for schema in self._combined_schemas(part)
            ]
        return tuple(each for schema in schemas for each in _values_of(schema))

    def _combined_schemas(self, schema: Any) -> Iterator[Mapping[str, Any]]:
        """Yield a schema, the target of its reference, and the schemas it combines, recursively."""
        seen: list[Any] = []
        waiting = [schema]
        while waiting and self._left > 0:
            self._left -= 1
            each = waiting.pop()
            if not isinstance(each, Mapping) or any(each is other for other in seen):
                continue
            seen.append(each)
            yield each
            reference = each.get("$ref")
            if isinstance(reference, str):
                waiting.append(resolve_reference(self._root, reference))
            for key in _NESTED:
                if isinstance(each.get(key), list):
                    waiting += each[key]


def _values_of(schema: Mapping[str, Any]) -> Iterator[Any]:
    if "const" in schema:
        yield schema["const"]
    values = schema.get("enum")
    yield from values if isinstance(values, list) else ()


def _subschemas_under(schema: Mapping[str, Any], step: str | int) -> Iterator[Any]:
    if isinstance(step, int):
        first = schema.get("prefixItems")
        if isinstance(first, list) and step < len(first):
            yield first[step]
        else:
            yield schema.get("items")
        return
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and step in properties:
        yield properties[step]
    else:
        yield schema.get("additionalProperties")


def resolve_reference(root: Any, reference: str) -> Any:
    """Return the target of a reference within a schema; None if it has no target, or is outside the schema.

    >>> resolve_reference({"$defs": {"a/b": {"type": "null"}}}, "#/$defs/a~1b")
    {'type': 'null'}
    """
    if reference != "#" and not reference.startswith("#/"):
        return None
    found = root
    for key in steps(reference):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
