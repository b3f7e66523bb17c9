"""Parse the declarations of BAML files, with lines. Only files that the runtime has validated are parsed.

The runtime lists neither functions nor types. This module parses only declarations: templates and expressions stay
text.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from intermodal.prompts.media_references import PLACE, kinds_within
from intermodal.prompts.prompt_file import ArgumentKind

_TOKEN = re.compile(
    r"""
    (?P<doc>///[^\n]*) | (?P<comment>//[^\n]*|\{//.*?//\}|\{\#.*?\#\})
    | (?P<block>(?P<marks>\#+)"(?P<inner>.*?)"(?P=marks))
    | (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<jinja>\{\{.*?\}\})
    | (?P<word>-?\w+(?:[./:-]+\w+)*)
    | (?P<mark>->|@@|[^\w\s])
    """,
    re.VERBOSE | re.DOTALL,
)
_MOST_DEEP = 60
_LITERALS: Mapping[str, Any] = {"true": True, "false": False}
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


class Token(NamedTuple):
    kind: str
    text: str
    line: int
    start: int
    end: int


class Attribute(NamedTuple):
    """An attribute such as ``@description("…")``: its name, and the values between its parentheses."""

    name: str
    values: tuple[Any, ...] = ()
    line: int = 1


@dataclass(frozen=True)
class BamlType:
    """A type.

    ``items``: the item type of a list, key and value types of a map, or the members of a union. ``attributes``:
    attributes of the type itself when nested in another type; they do not affect equality.
    """

    kind: Literal["name", "list", "map", "union", "literal"]
    name: str = ""
    items: tuple[BamlType, ...] = ()
    value: Any = None
    attributes: tuple[Attribute, ...] = field(default=(), compare=False)


class Attributed:
    """A declaration with attributes."""

    attributes: tuple[Attribute, ...]

    def attribute(self, name: str) -> Any:
        """Return the value of an attribute; "" if it is absent."""
        value = next((each.values[0] for each in self.attributes if each.name == name and each.values), "")
        return value.dedented if isinstance(value, QuotedText) else value

    def has(self, name: str) -> bool:
        return any(each.name == name for each in self.attributes)


@dataclass(frozen=True)
class FieldDeclaration(Attributed):
    """A field of a class, an argument of a function, or a value of an enum, which has no type."""

    name: str
    type: BamlType = field(default_factory=lambda: BamlType("name", "null"))
    attributes: tuple[Attribute, ...] = ()
    line: int = 1


@dataclass(frozen=True)
class Declaration(Attributed):
    """A declaration.

    Attributes:
        kind: "function", "class", "enum", "type", "client", "retry_policy", "test", "template_string" …
        fields: of a class or an enum; arguments of a function. type: return type of a function, definition of a type
            alias.
        settings: content between the braces of other declarations, as data. lines: of their top-level keys.
        code: a function without a prompt, which runs code.
    """

    kind: str
    name: str
    line: int
    file: str = ""
    about: str = ""
    fields: tuple[FieldDeclaration, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    type: BamlType = field(default_factory=lambda: BamlType("name", "null"))
    settings: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    code: bool = False


class Expression(str):
    """The text between ``{{`` and ``}}``."""


class QuotedText(str):
    """A quoted text. ``line``: its first line.

    ``block``: it is a block string, whose indentation is not part of the text.
    """

    line = 1
    block = False

    @property
    def dedented(self) -> str:
        """The text as BAML reads it: without the indentation of a block string."""
        return textwrap.dedent(self).strip() if self.block else str(self)


def read_declarations(file: str, text: str) -> tuple[Declaration, ...]:
    """Return the declarations of a file, in order. Raises ValueError for text that the runtime would reject."""
    return _Reader(file, text).blocks()


class _Reader:
    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0
        self._about: list[str] = []

    def blocks(self) -> tuple[Declaration, ...]:
        found = []
        while (token := self._peek()) is not None:
            if token.kind == "doc":
                self._about.append(self._peek_token().text[3:].strip())
                continue
            about, self._about = " ".join(self._about), []
            block = self._block(about)
            if block is not None:
                found.append(block)
        return tuple(found)

    def _block(self, about: str) -> Declaration | None:
        first = self._peek_token()
        kind, line = first.text, first.line
        if kind == "client" and self._is_at("<"):
            self._skip_section("<", ">")
        if kind == "dynamic":
            kind = self._peek_token().text
        read = _DECLARATIONS.get(kind)
        if read is None:  # code at the top level, or a construct of a later version
            self._skip_line(line)
            return Declaration(kind="code", name=kind, line=line, file=self._file, code=True)
        name = self._peek_token().text
        fields: dict[str, Any] = read(self)
        return Declaration(kind=kind, name=name, line=line, file=self._file, about=about, **fields)

    # ---- declarations ---------------------------------------------------------------------------------

    def _of_class(self) -> dict[str, Any]:
        return self._members(self._of_field)

    def _of_field(self, token: Token) -> FieldDeclaration | None:
        if token.text == "function":  # a method: code
            self._skip_to("{")
            self._skip_section("{", "}")
            return None
        self._accept(":")
        field_type = self._type()
        return FieldDeclaration(_token_text(token), field_type, self._attributes(), token.line)

    def _of_enum(self) -> dict[str, Any]:
        return self._members(
            lambda token: FieldDeclaration(_token_text(token), attributes=self._attributes(), line=token.line)
        )

    def _members(self, read: Callable[[Token], FieldDeclaration | None]) -> dict[str, Any]:
        """Parse the members between braces; ``read`` parses a field, starting from its name token."""
        fields: list[FieldDeclaration] = []
        attributes: list[Attribute] = []
        self._expect("{")
        while not self._accept("}"):
            if self._peek_kind() == "doc":
                self._peek_token()
            elif self._is_at("@@"):
                attributes.append(self._attribute())
            elif (one := read(self._peek_token())) is not None:
                fields.append(one)
                self._accept(",")
        return {"fields": tuple(fields), "attributes": tuple(attributes)}

    def _of_type(self) -> dict[str, Any]:
        self._expect("=")
        return {"type": self._type(), "attributes": self._attributes()}

    def _of_function(self) -> dict[str, Any]:
        fields = self._parameters()
        returns = BamlType("name", "null")
        if self._accept("->"):
            returns = self._type()
            returns = replace(returns, attributes=(*returns.attributes, *self._attributes()))
        start = self._peek()
        if start is None or start.text != "{":
            return {"fields": fields, "type": returns, "code": True}
        if not self._is_prompt():
            self._skip_section("{", "}")
            return {"fields": fields, "type": returns, "code": True}
        settings, lines, attributes = self._settings()
        return {"fields": fields, "type": returns, "settings": settings, "lines": lines, "attributes": attributes}

    def _is_prompt(self) -> bool:
        """Return whether the braces contain a client and a prompt rather than code."""
        at, self._at = self._at, self._at + 1
        while self._peek_kind() == "doc":
            self._at += 1
        found = self._peek()
        self._at = at
        return found is not None and found.text in ("client", "prompt", "retry_policy")

    def _of_settings(self) -> dict[str, Any]:
        settings, lines, attributes = self._settings()
        return {"settings": settings, "lines": lines, "attributes": attributes}

    def _of_template(self) -> dict[str, Any]:
        fields = self._parameters() if self._is_at("(") else ()
        self._accept("->")
        token = self._peek_token()
        text = _quoted_text(token)
        return {"fields": fields, "settings": {"prompt": text}, "lines": {"prompt": token.line}}

    def _parameters(self) -> tuple[FieldDeclaration, ...]:
        found: list[FieldDeclaration] = []
        self._expect("(")
        while not self._accept(")"):
            token = self._peek_token()
            if token.kind == "doc":
                continue
            self._accept(":")
            found.append(FieldDeclaration(token.text, self._type(), self._attributes(), token.line))
            self._accept(",")
        return tuple(found)

    # ---- types ----------------------------------------------------------------------------------------

    def _type(self, depth: int = 0) -> BamlType:
        if depth > _MOST_DEEP:
            raise ValueError("types are nested too deep")
        self._accept("|")
        found = [self._member(depth)]
        while self._accept("|"):
            found.append(self._member(depth))
        return found[0] if len(found) == 1 else union(*found)

    def _member(self, depth: int) -> BamlType:
        """Parse a member of a union.

        Within parentheses, attributes belong to the member, elsewhere to the field.
        """
        member = self._postfix_type(depth)
        found = self._attributes() if depth else ()
        return replace(member, attributes=(*member.attributes, *found)) if found else member

    def _postfix_type(self, depth: int) -> BamlType:
        base = self._simple(depth)
        while True:
            if self._is_at("[") and (after := self._peek(1)) is not None and after.text == "]":
                self._at += 2
                base = BamlType("list", items=(base,))
            elif self._accept("?"):
                base = union(base, BamlType("name", "null"))
            else:
                return base

    def _simple(self, depth: int) -> BamlType:
        token = self._peek_token()
        if token.text == "(":
            inner = self._type(depth + 1)
            self._expect(")")
            return inner
        if token.text == "map" and self._accept("<"):
            key = self._type(depth + 1)
            self._expect(",")
            value = self._type(depth + 1)
            self._expect(">")
            return BamlType("map", items=(key, value))
        if token.kind == "string":
            return BamlType("literal", value=str(_quoted_text(token)))
        if token.text in _LITERALS:
            return BamlType("literal", value=_LITERALS[token.text])
        if _NUMBER.fullmatch(token.text):
            return BamlType("literal", value=_parse_number(token.text))
        return BamlType("name", token.text)

    # ---- attributes -----------------------------------------------------------------------------------

    def _attributes(self) -> tuple[Attribute, ...]:
        found = []
        while self._is_at("@"):
            found.append(self._attribute())
        return tuple(found)

    def _attribute(self) -> Attribute:
        line = self._peek_token().line
        name = self._peek_token().text
        values: list[Any] = []
        if self._accept("("):
            while not self._accept(")"):
                values.append(self._value(")"))
                self._accept(",")
        return Attribute(name, tuple(values), line)

    # ---- settings -------------------------------------------------------------------------------------

    def _settings(self, depth: int = 0) -> tuple[dict[str, Any], dict[str, int], tuple[Attribute, ...]]:
        settings: dict[str, Any] = {}
        lines: dict[str, int] = {}
        attributes: list[Attribute] = []
        self._expect("{")
        while not self._accept("}"):
            if self._peek_kind() == "doc" or self._is_at(","):
                self._peek_token()
            elif self._is_at("@@"):
                attributes.append(self._attribute())
            elif self._is_at("@"):
                self._attribute()
            else:
                token = self._peek_token()
                if token.text == "type_builder":
                    self._skip_section("{", "}")
                    continue
                self._accept(":")
                name = _token_text(token)
                lines.setdefault(name, token.line)
                settings[name] = self._value("}", depth + 1)
        return settings, lines, tuple(attributes)

    def _value(self, closing: str, depth: int = 0) -> Any:
        if depth > _MOST_DEEP:
            raise ValueError("values are nested too deep")
        token = self._peek()
        if token is None:
            raise ValueError("a value is missing")
        if token.text == "{":
            return self._settings(depth)[0]
        if token.text == "[":
            self._peek_token()
            found = []
            while not self._accept("]"):
                if self._peek_kind() == "doc" or self._is_at(","):
                    self._peek_token()
                    continue
                found.append(self._value("]", depth + 1))
            return found
        if token.kind in ("string", "block"):
            return _quoted_text(self._peek_token())
        if token.kind == "jinja":
            return Expression(self._peek_token().text[2:-2].strip())
        return self._unquoted_text(closing)

    def _unquoted_text(self, closing: str) -> Any:
        """Parse unquoted text up to the end of the line, a comma or the closing token."""
        first = last = self._peek_token()
        while (token := self._peek()) is not None and token.line == first.line:
            if token.text in (closing, ",", "]", "}", "@", "@@") or token.kind in ("doc", "block"):
                break
            last = self._peek_token()
        text = self._text[first.start : last.end].strip()
        if _NUMBER.fullmatch(text):
            return _parse_number(text)
        return {"true": True, "false": False, "null": None}.get(text, text)

    # ---- tokens ---------------------------------------------------------------------------------------

    def _peek(self, ahead: int = 0) -> Token | None:
        place = self._at + ahead
        return self._tokens[place] if place < len(self._tokens) else None

    def _peek_kind(self) -> str:
        token = self._peek()
        return token.kind if token is not None else ""

    def _peek_token(self) -> Token:
        token = self._peek()
        if token is None:
            raise ValueError("the file ends within a declaration")
        self._at += 1
        return token

    def _is_at(self, mark: str) -> bool:
        token = self._peek()
        return token is not None and token.kind == "mark" and token.text == mark

    def _accept(self, mark: str) -> bool:
        if self._is_at(mark):
            self._at += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        token = self._peek_token()
        if token.text != mark:
            raise ValueError(f"line {token.line}: {token.text!r} stands where {mark!r} is expected")

    def _skip_to(self, mark: str) -> None:
        while not self._is_at(mark):
            self._peek_token()

    def _skip_section(self, opening: str, closing: str) -> None:
        """Skip a bracketed section, including nested ones."""
        self._expect(opening)
        depth = 1
        while depth:
            token = self._peek_token()
            depth += (token.text == opening) - (token.text == closing)

    def _skip_line(self, line: int) -> None:
        while (token := self._peek()) is not None and token.line == line:
            if token.text == "{":
                self._skip_section("{", "}")
            else:
                self._peek_token()


_DECLARATIONS = {
    "class": _Reader._of_class,
    "enum": _Reader._of_enum,
    "type": _Reader._of_type,
    "function": _Reader._of_function,
    "template_string": _Reader._of_template,
    "string_template": _Reader._of_template,
    "client": _Reader._of_settings,
    "retry_policy": _Reader._of_settings,
    "generator": _Reader._of_settings,
    "test": _Reader._of_settings,
}


def union(*types: BamlType) -> BamlType:
    """Return the union of types, flattened and without duplicates."""
    flat = [each for one in types for each in (one.items if one.kind == "union" else (one,))]
    found = tuple(dict.fromkeys(flat))
    return found[0] if len(found) == 1 else BamlType("union", items=found)


def _tokens(text: str) -> Any:
    line, at = 1, 0
    for found in _TOKEN.finditer(text):
        line += text.count("\n", at, found.start())
        at = found.start()
        kind = found.lastgroup or ""
        if kind != "comment":
            yield Token(kind, found[0], line, found.start(), found.end())


def _quoted_text(token: Token) -> QuotedText:
    """Return the text between quotation marks, unchanged."""
    if token.kind == "block":
        marks = len(token.text) - len(token.text.lstrip("#"))
        text = QuotedText(token.text[marks + 1 : -marks - 1])
        text.block = True
    else:
        text = QuotedText(re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), token.text[1:-1]))
    text.line = token.line
    return text


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def _token_text(token: Token) -> str:
    return str(_quoted_text(token)) if token.kind in ("string", "block") else token.text


def _parse_number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


# BAML's types as JSON Schema, and as arguments of a prompt.


MEDIA: Mapping[str, ArgumentKind] = {"image": "image", "audio": "audio", "video": "video", "pdf": "document"}
_PLAIN: Mapping[str, tuple[ArgumentKind, str]] = {
    "string": ("text", "string"), "int": ("integer", "integer"), "float": ("number", "number"),
    "bool": ("boolean", "boolean"),
}  # fmt: skip
_MEDIA_TYPES = {"image": "image/*", "audio": "audio/*", "video": "video/*", "pdf": "application/pdf"}
_NULL = BamlType("name", "null")


class BamlArgument(NamedTuple):
    """An argument of a function.

    ``media``: BAML's name of its modality, "" for none. ``holds``: modalities nested within it.
    """

    kind: ArgumentKind
    many: bool
    required: bool
    media: str
    schema: dict[str, Any]
    holds: tuple[ArgumentKind, ...] = ()


class BamlTypes:
    """The classes, enums and type aliases of a set of files."""

    def __init__(self, blocks: Mapping[str, Declaration]) -> None:
        self._blocks = blocks

    def to_argument(self, type: BamlType) -> BamlArgument:
        """Convert a type to that of an argument."""
        plain, required = self._without_null(self._resolve(type))
        media = MEDIA.get(plain.name, "file") if plain.kind == "name" and plain.name in MEDIA else None
        if media is not None:
            return BamlArgument(media, False, required, plain.name, {})
        if plain.kind == "list":
            each = self._resolve(plain.items[0])
            if each.kind == "name" and each.name in MEDIA:
                return BamlArgument(MEDIA[each.name], True, required, each.name, {})
        schema = self.schema(plain if required else type, aliases=False)
        if holds := kinds_within(schema):
            return BamlArgument("json", False, required, "", schema, holds)
        if plain.kind == "name" and plain.name in _PLAIN:
            return BamlArgument(_PLAIN[plain.name][0], False, required, "", schema)
        return BamlArgument("text" if self.is_text(plain) else "json", False, required, "", schema)

    def type_text(self, type: BamlType) -> str:
        """Return a type in BAML syntax."""
        if type.kind == "list":
            inner = self.type_text(type.items[0])
            return f"({inner})[]" if type.items[0].kind == "union" else f"{inner}[]"
        if type.kind == "map":
            return f"map<{self.type_text(type.items[0])}, {self.type_text(type.items[1])}>"
        if type.kind == "literal":
            return f'"{type.value}"' if isinstance(type.value, str) else str(type.value).lower()
        if type.kind == "union":
            rest = [self.type_text(each) for each in type.items if each != _NULL]
            optional = len(rest) < len(type.items)
            return f"{rest[0]}?" if optional and len(rest) == 1 else " | ".join((*rest, *["null"] * optional))
        return type.name

    def schema(self, type: BamlType, *, aliases: bool) -> dict[str, Any]:
        """Return the JSON Schema of a type.

        ``aliases``: use the names shown to the model instead of those of the file.
        """
        schemas = _Schemas(self._blocks, aliases)
        body = schemas.schema_of(type)
        if schemas.definitions:
            body = {**body, "$defs": schemas.definitions}
        from intermodal.client.answer_schema import inline_root

        return inline_root(body)

    def as_told(self, type: BamlType, path: list[str], value: Any) -> tuple[list[str], Any]:
        """Convert a path in an answer and the value there to the names shown to the model."""
        lines = []
        for name in path:
            block = self._blocks.get(self._without_null(self._resolve(type))[0].name)
            field = next((each for each in block.fields if each.name == name), None) if block is not None else None
            lines.append(str(field.attribute("alias") or name) if field is not None else name)
            type = field.type if field is not None else BamlType("name", "null")
        block = self._blocks.get(self._without_null(self._resolve(type))[0].name)
        if block is not None and block.kind == "enum":
            value = next((str(each.attribute("alias") or value) for each in block.fields if each.name == value), value)
        return lines, value

    def is_object(self, type: BamlType) -> bool:
        """Return whether an answer of the type is an object whose fields are declared in the file."""
        found = self._resolve(type)
        block = self._blocks.get(found.name) if found.kind == "name" else None
        return block is not None and block.kind == "class" and not block.has("dynamic") and bool(block.fields)

    def with_attributes(self, type: BamlType, name: str) -> list[tuple[str, int]]:
        """Return the classes, fields and enum values of a type that have an attribute, with its line."""
        found: list[tuple[str, int]] = []
        seen = set[str]()
        left = [type]
        while left:
            each = left.pop()
            left += each.items
            owner = self.type_text(replace(each, attributes=()))
            found += [(owner, attribute.line) for attribute in each.attributes if attribute.name == name]
            block = self._blocks.get(each.name) if each.kind == "name" else None
            if block is None or each.name in seen:
                continue
            seen.add(each.name)
            left += [block.type] if block.kind == "type" else [field.type for field in block.fields]
            owners = (block.name, block), *((f"{block.name}.{field.name}", field) for field in block.fields)
            for owner, has in owners:
                found += [(owner, attribute.line) for attribute in has.attributes if attribute.name == name]
        return sorted(found, key=lambda one: one[1])

    def _resolve(self, type: BamlType) -> BamlType:
        """Follow type aliases to the type they stand for."""
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
        return (self._resolve(rest[0]) if len(rest) == 1 else BamlType("union", items=rest)), False

    def is_text(self, type: BamlType) -> bool:
        """Return whether every value is a string: a string, an enum, or a union of string literals."""
        type = self._resolve(type)
        if type.kind == "union":
            return all(self.is_text(each) for each in type.items)
        if type.kind == "literal":
            return isinstance(type.value, str)
        block = self._blocks.get(type.name) if type.kind == "name" else None
        return type.name == "string" or (block is not None and block.kind == "enum")


class _Schemas:
    """Builds schemas of types, with the definitions that they refer to."""

    def __init__(self, blocks: Mapping[str, Declaration], aliases: bool) -> None:
        self._blocks = blocks
        self._aliases = aliases
        self.definitions: dict[str, Any] = {}

    def schema_of(self, type: BamlType) -> dict[str, Any]:
        if type.kind == "list":
            return {"type": "array", "items": self.schema_of(type.items[0])}
        if type.kind == "map":
            return {"type": "object", "additionalProperties": self.schema_of(type.items[1])}
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
            self.definitions[type.name] = {}  # a type may be recursive
            self.definitions[type.name] = self._define(block)
        return {"$ref": f"#/$defs/{type.name}"}

    def _union(self, type: BamlType) -> dict[str, Any]:
        literals = [each.value for each in type.items if each.kind == "literal"]
        rest = [self.schema_of(each) for each in type.items if each.kind != "literal"]
        if literals:
            rest.insert(0, {"enum": literals})
        return rest[0] if len(rest) == 1 else {"anyOf": rest}

    def _define(self, block: Declaration) -> dict[str, Any]:
        if block.kind == "type":
            return self.schema_of(block.type)
        about = str(block.attribute("description") or block.about)
        if block.kind == "enum":
            return self._enum(block, about)
        properties, required = {}, []
        for each in block.fields:
            if self._aliases and each.has("skip"):
                continue
            name = self._name(each)
            description = str(each.attribute("description"))
            body = self.schema_of(each.type)
            properties[name] = {**body, "description": description} if description else body
            if not (each.type.kind == "union" and _NULL in each.type.items):
                required.append(name)
        schema: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
        if not block.has("dynamic"):
            schema["additionalProperties"] = False
        return {**schema, "description": about} if about else schema

    def _enum(self, block: Declaration, about: str) -> dict[str, Any]:
        values = [each for each in block.fields if not (self._aliases and each.has("skip"))]
        lines = [
            f"{self._name(each)}: {each.attribute('description')}" for each in values if each.attribute("description")
        ]
        words = "; ".join([about, *lines] if about else lines)
        schema: dict[str, Any] = {"type": "string"}
        if not block.has("dynamic"):
            schema["enum"] = [self._name(each) for each in values]
        return {**schema, "description": words} if words else schema

    def _name(self, field: FieldDeclaration) -> str:
        return (str(field.attribute("alias")) or field.name) if self._aliases else field.name
