"""Resolution of a schema's references: resources with an ``$id``, anchors, JSON Pointers. Nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from intermodal.json_schema.budget import StepBudget
from intermodal.json_schema.errors import InvalidSchema, steps

# Keywords whose value is one schema, a list of schemas, or an object of schemas.
ONE = frozenset({
    "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames", "then",
    "unevaluatedItems", "unevaluatedProperties",
})  # fmt: skip
SEVERAL = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
NAMED = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})


class Resource:
    """A schema with an identity: the whole document, or a part with ``$id``."""

    __slots__ = ("anchors", "dynamic", "root", "uri")

    def __init__(self, uri: str, root: Any) -> None:
        self.uri = uri
        self.root = root
        self.anchors: dict[str, Any] = {}
        self.dynamic: dict[str, Any] = {}


class SchemaResources:
    """All resources of one document."""

    def __init__(self, document: Any, budget: StepBudget) -> None:
        self._budget = budget
        self._by_schema_id: dict[int, Resource] = {}
        self._by_uri: dict[str, Resource] = {}
        self.main = self.resource_of(document, Resource("", document))
        self._by_uri.setdefault("", self.main)
        self._index(document)

    def resource_of(self, schema: Any, outer: Resource) -> Resource:
        """Return the resource of a schema that lies in ``outer``: its own if it has an ``$id``, else ``outer``."""
        name = schema.get("$id") if isinstance(schema, dict) else None
        if not isinstance(name, str):
            return outer
        resource = self._by_schema_id.get(id(schema))
        if resource is None:
            self._budget.spend(10 + len(name) // 16)
            resource = Resource(_resolve_uri(outer.uri, name.removesuffix("#")), schema)
            self._by_schema_id[id(schema)] = resource
            self._by_uri.setdefault(resource.uri, resource)
        return resource

    def all(self) -> Iterator[Resource]:
        """Yield every resource of the document once."""
        yield self.main
        yield from (resource for resource in self._by_schema_id.values() if resource is not self.main)

    def target(self, reference: str, base: Resource, place: str) -> tuple[Any, Resource, str]:
        """Return the target of a reference, its resource, and its anchor if that is a ``$dynamicAnchor``.

        Raises InvalidSchema for a reference outside the document.
        """
        self._budget.spend(5 + len(reference) // 8)
        address, fragment = urldefrag(reference)
        found = base
        if address:
            resource = self._by_uri.get(_resolve_uri(base.uri, address))
            if resource is None:
                what = f"the schema refers to {reference[:120]}, outside of itself, and nothing is fetched"
                raise InvalidSchema(what, place, todo="put what it refers to under $defs")
            found = resource
        if not fragment:
            return found.root, found, ""
        if not fragment.startswith("/"):
            name = unquote(fragment)
            if name in found.anchors:
                return found.anchors[name], found, name if name in found.dynamic else ""
        elif (pointed := self._resolve_pointer(unquote(fragment), found)) is not None:
            return *pointed, ""
        raise InvalidSchema(f"the schema refers to {reference[:120]}, which it does not define", place)

    def _resolve_pointer(self, pointer: str, resource: Resource) -> tuple[Any, Resource] | None:
        """Return the target of a JSON Pointer (RFC 6901)."""
        node = resource.root
        for key in steps(pointer):
            self._budget.spend(1)
            if isinstance(node, list) and key.isdecimal() and len(key) < 9 and int(key) < len(node):
                node = node[int(key)]
            elif isinstance(node, dict) and key in node:
                node = node[key]
            else:
                return None
            resource = self.resource_of(node, resource)
        return node, resource

    def _index(self, document: Any) -> None:
        """Record every ``$id`` and anchor, so that forward references can be resolved."""
        waiting = [(document, self.main)]
        while waiting:
            schema, outer = waiting.pop()
            if not isinstance(schema, dict):
                continue
            self._budget.spend(1 + len(schema))
            resource = self.resource_of(schema, outer)
            for keyword in ("$anchor", "$dynamicAnchor"):
                name = schema.get(keyword)
                if isinstance(name, str):
                    resource.anchors.setdefault(name, schema)
                    if keyword == "$dynamicAnchor":
                        resource.dynamic.setdefault(name, schema)
            waiting.extend((inner, resource) for inner in _subschemas(schema))


def _subschemas(schema: dict[str, Any]) -> Iterator[Any]:
    """Yield the direct subschemas of a schema."""
    for keyword, value in schema.items():
        if keyword in ONE:
            yield value
        elif keyword in SEVERAL and isinstance(value, list):
            yield from value
        elif keyword in NAMED and isinstance(value, dict):
            yield from value.values()


def _resolve_uri(base: str, reference: str) -> str:
    try:
        return urljoin(base, reference)
    except ValueError:  # an invalid address in brackets
        return reference
