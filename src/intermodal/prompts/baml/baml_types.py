"""BAML's types as JSON Schema, and as arguments of a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from intermodal.prompts.baml.declarations import BamlType, Declaration, FieldDeclaration
from intermodal.prompts.media_references import PLACE, kinds_within
from intermodal.prompts.prompt_file import ArgumentKind

MEDIA: Mapping[str, ArgumentKind] = {"image": "image", "audio": "audio", "video": "video", "pdf": "document"}
_PLAIN: Mapping[str, tuple[ArgumentKind, str]] = {
    "string": ("text", "string"), "int": ("integer", "integer"), "float": ("number", "number"),
    "bool": ("boolean", "boolean"),
}  # fmt: skip
_MEDIA_TYPES = {"image": "image/*", "audio": "audio/*", "video": "video/*", "pdf": "application/pdf"}
_NULL = BamlType("name", "null")


class BamlArgument(NamedTuple):
    """An argument of a function. ``media``: BAML's word for its kind, "" for none. ``holds``: kinds of media within
    it.
    """

    kind: ArgumentKind
    many: bool
    required: bool
    media: str
    schema: dict[str, Any]
    holds: tuple[ArgumentKind, ...] = ()


class BamlTypes:
    """The classes, enums and names of types of some files."""

    def __init__(self, blocks: Mapping[str, Declaration]) -> None:
        self._blocks = blocks

    def taken(self, type: BamlType) -> BamlArgument:
        """A type as that of an argument."""
        plain, required = self._without_null(self._resolved(type))
        media = MEDIA.get(plain.name, "file") if plain.kind == "name" and plain.name in MEDIA else None
        if media is not None:
            return BamlArgument(media, False, required, plain.name, {})
        if plain.kind == "list":
            each = self._resolved(plain.items[0])
            if each.kind == "name" and each.name in MEDIA:
                return BamlArgument(MEDIA[each.name], True, required, each.name, {})
        schema = self.schema(plain if required else type, aliases=False)
        if holds := kinds_within(schema):
            return BamlArgument("json", False, required, "", schema, holds)
        if plain.kind == "name" and plain.name in _PLAIN:
            return BamlArgument(_PLAIN[plain.name][0], False, required, "", schema)
        return BamlArgument("text" if self.is_text(plain) else "json", False, required, "", schema)

    def words(self, type: BamlType) -> str:
        """A type as the file writes it."""
        if type.kind == "list":
            inner = self.words(type.items[0])
            return f"({inner})[]" if type.items[0].kind == "union" else f"{inner}[]"
        if type.kind == "map":
            return f"map<{self.words(type.items[0])}, {self.words(type.items[1])}>"
        if type.kind == "literal":
            return f'"{type.value}"' if isinstance(type.value, str) else str(type.value).lower()
        if type.kind == "union":
            rest = [self.words(each) for each in type.items if each != _NULL]
            optional = len(rest) < len(type.items)
            return f"{rest[0]}?" if optional and len(rest) == 1 else " | ".join((*rest, *["null"] * optional))
        return type.name

    def schema(self, type: BamlType, *, aliases: bool) -> dict[str, Any]:
        """Return the JSON Schema of a type. ``aliases``: with the names that the model sees, instead of those of the
        file.
        """
        made = _Schemas(self._blocks, aliases)
        body = made.of(type)
        if made.definitions:
            body = {**body, "$defs": made.definitions}
        from intermodal.answer_schema import inline_root

        return inline_root(body)

    def as_told(self, type: BamlType, path: list[str], value: Any) -> tuple[list[str], Any]:
        """Return a place in an answer and the value there, by the names that the model sees."""
        told = []
        for name in path:
            block = self._blocks.get(self._without_null(self._resolved(type))[0].name)
            field = next((each for each in block.fields if each.name == name), None) if block is not None else None
            told.append(str(field.said("alias") or name) if field is not None else name)
            type = field.type if field is not None else BamlType("name", "null")
        block = self._blocks.get(self._without_null(self._resolved(type))[0].name)
        if block is not None and block.kind == "enum":
            value = next((str(each.said("alias") or value) for each in block.fields if each.name == value), value)
        return told, value

    def is_object(self, type: BamlType) -> bool:
        """Return whether an answer of the type is an object with fields declared in the file."""
        found = self._resolved(type)
        block = self._blocks.get(found.name) if found.kind == "name" else None
        return block is not None and block.kind == "class" and not block.has("dynamic") and bool(block.fields)

    def attributed(self, type: BamlType, name: str) -> list[tuple[str, int]]:
        """Classes, fields and values of enums that a type is made of and that have an attribute, with its line."""
        found: list[tuple[str, int]] = []
        seen = set[str]()
        left = [type]
        while left:
            each = left.pop()
            left += each.items
            owner = self.words(replace(each, attributes=()))
            found += [(owner, said.line) for said in each.attributes if said.name == name]
            block = self._blocks.get(each.name) if each.kind == "name" else None
            if block is None or each.name in seen:
                continue
            seen.add(each.name)
            left += [block.type] if block.kind == "type" else [field.type for field in block.fields]
            owners = (block.name, block), *((f"{block.name}.{field.name}", field) for field in block.fields)
            for owner, has in owners:
                found += [(owner, said.line) for said in has.attributes if said.name == name]
        return sorted(found, key=lambda one: one[1])

    def _resolved(self, type: BamlType) -> BamlType:
        """The type that a name of one stands for."""
        for _ in range(20):
            block = self._blocks.get(type.name) if type.kind == "name" else None
            if block is None or block.kind != "type":
                return type
            type = block.type
        return type

    def _without_null(self, type: BamlType) -> tuple[BamlType, bool]:
        if type.kind != "union" or _NULL not in type.items:
            return type, True
        rest = tuple(each for each in type.items if each != _NULL)
        return (self._resolved(rest[0]) if len(rest) == 1 else BamlType("union", items=rest)), False

    def is_text(self, type: BamlType) -> bool:
        """Return whether every value is a string: an enum, or a choice of strings."""
        type = self._resolved(type)
        if type.kind == "union":
            return all(self.is_text(each) for each in type.items)
        if type.kind == "literal":
            return isinstance(type.value, str)
        block = self._blocks.get(type.name) if type.kind == "name" else None
        return type.name == "string" or (block is not None and block.kind == "enum")


class _Schemas:
    """Schemas of types, with the definitions that they refer to."""

    def __init__(self, blocks: Mapping[str, Declaration], aliases: bool) -> None:
        self._blocks = blocks
        self._aliases = aliases
        self.definitions: dict[str, Any] = {}

    def of(self, type: BamlType) -> dict[str, Any]:
        if type.kind == "list":
            return {"type": "array", "items": self.of(type.items[0])}
        if type.kind == "map":
            return {"type": "object", "additionalProperties": self.of(type.items[1])}
        if type.kind == "literal":
            return {"enum": [type.value]}
        if type.kind == "union":
            return self._union(type)
        if type.name in _PLAIN:
            return {"type": _PLAIN[type.name][1]}
        if type.name in MEDIA:
            return {PLACE: _MEDIA_TYPES[type.name]}
        block = self._blocks.get(type.name)
        if block is None or block.kind not in ("class", "enum", "type"):
            return {"type": "null"} if type.name == "null" else {}
        if type.name not in self.definitions:
            self.definitions[type.name] = {}  # a type may hold itself
            self.definitions[type.name] = self._defined(block)
        return {"$ref": f"#/$defs/{type.name}"}

    def _union(self, type: BamlType) -> dict[str, Any]:
        literals = [each.value for each in type.items if each.kind == "literal"]
        rest = [self.of(each) for each in type.items if each.kind != "literal"]
        if literals:
            rest.insert(0, {"enum": literals})
        return rest[0] if len(rest) == 1 else {"anyOf": rest}

    def _defined(self, block: Declaration) -> dict[str, Any]:
        if block.kind == "type":
            return self.of(block.type)
        about = str(block.said("description") or block.about)
        if block.kind == "enum":
            return self._enum(block, about)
        properties, required = {}, []
        for each in block.fields:
            if self._aliases and each.has("skip"):
                continue
            name = self._name(each)
            told = str(each.said("description"))
            body = self.of(each.type)
            properties[name] = {**body, "description": told} if told else body
            if not (each.type.kind == "union" and _NULL in each.type.items):
                required.append(name)
        made: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
        if not block.has("dynamic"):
            made["additionalProperties"] = False
        return {**made, "description": about} if about else made

    def _enum(self, block: Declaration, about: str) -> dict[str, Any]:
        values = [each for each in block.fields if not (self._aliases and each.has("skip"))]
        told = [f"{self._name(each)}: {each.said('description')}" for each in values if each.said("description")]
        words = "; ".join([about, *told] if about else told)
        made: dict[str, Any] = {"type": "string"}
        if not block.has("dynamic"):
            made["enum"] = [self._name(each) for each in values]
        return {**made, "description": words} if words else made

    def _name(self, field: FieldDeclaration) -> str:
        return (str(field.said("alias")) or field.name) if self._aliases else field.name
