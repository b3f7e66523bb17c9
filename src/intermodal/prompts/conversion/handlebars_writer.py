"""A tree to a file of dotprompt: front matter with Picoschema, and a template of Handlebars."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from intermodal.prompts.arguments import TYPES
from intermodal.prompts.conversion import front_matter
from intermodal.prompts.conversion.template_tree import (
    AndTest,
    HistoryNode,
    IfNode,
    IsEqual,
    IsTruthy,
    ItemIs,
    LoopPosition,
    Losses,
    MediumNode,
    Node,
    NodeBudget,
    NotTest,
    OrTest,
    Path,
    RoleNode,
    TemplateTree,
    Test,
    TextNode,
    ValueNode,
    media_names,
)
from intermodal.prompts.dotprompt.handlebars import HELPERS
from intermodal.prompts.dotprompt.litellm_dialect import is_dialect
from intermodal.prompts.dotprompt.picoschema import json_schema
from intermodal.prompts.prompt_file import Argument, PromptFile
from intermodal.prompts.rendering import MOST_LETTERS, TemplateError

_ROLES = {"system": "system", "user": "user", "assistant": "model", "tool": "tool"}
_NAME = re.compile(r"[^\W\d][\w-]*")


def write(read: TemplateTree, nodes: Sequence[Node], losses: Losses) -> str:
    """The text of a ``.prompt`` file."""
    writer = HandlebarsWriter(losses)
    writer.nodes(nodes)
    front, body = _front(read.file), writer.text.strip()
    if is_dialect(front, body):  # a tag of dotprompt's own makes text of what would be LiteLLM's Jinja
        body = f'{{{{role "user"}}}}\n{body}'
    return f"---\n{front_matter.yaml_of(front)}---\n{body}\n" if front else f"{body}\n"


def _front(file: PromptFile) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if file.description:
        made["description"] = file.description
    if file.model:
        made["model"] = file.model
    if settings := front_matter.settings_of(file):
        made["config"] = settings
    if file.arguments:
        default = {each.name: each.default for each in file.arguments if each.default is not None}
        schema = {
            "type": "object",
            "properties": {each.name: _declared(each) for each in file.arguments},
            "required": [each.name for each in file.arguments if each.required],
            "additionalProperties": False,
        }
        made["input"] = {**({"default": default} if default else {}), "schema": picoschema(schema)}
    output = front_matter.schema_of(file)
    if output is not None:
        made["output"] = {"schema": picoschema(output)}
    if file.tools:
        made["toolDefs"] = [
            {"name": each.name, "description": each.description, "inputSchema": picoschema(each.schema)}
            for each in file.tools
        ]
    if file.undefined_tools:
        made["tools"] = list(file.undefined_tools)
    wishes = {**front_matter.options_of(file), **({"strict": True} if front_matter.is_strict(file) else {})}
    if media := media_names(file):
        wishes = {"media": media, **wishes}
    if wishes:
        made["ext"] = {"intermodal": wishes}
    return made


_TYPES = {kind: name for name, kind in TYPES.items()}


def _declared(argument: Argument) -> dict[str, Any]:
    """The schema of an argument; one that may be left out may be null, as Picoschema has it."""
    schema: dict[str, Any] = dict(argument.schema)
    if argument.is_media:
        schema = {"type": "array", "items": {"type": "string"}} if argument.many else {"type": "string"}
    elif not schema and argument.kind in _TYPES:
        schema = {"type": _TYPES[argument.kind]}
    if argument.description:
        schema["description"] = argument.description
    if not argument.required and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    return schema


class _Written:
    """A text that grows. It is kept in pieces: what is there is not copied for each one more."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._letters = 0
        self.line = 1

    def put(self, text: str) -> None:
        """Add a text. Raises TemplateError where it grows beyond what a prompt may have."""
        if not text:
            return
        self._pieces.append(text)
        self._letters += len(text)
        self.line += text.count("\n")
        if self._letters > MOST_LETTERS:
            what = f"becomes more than {MOST_LETTERS >> 20} MiB of Handlebars, which has no word for and, or, not"
            raise TemplateError(what, todo="join fewer conditions around long texts")

    def ends_in(self, letter: str) -> bool:
        return bool(self._pieces) and self._pieces[-1].endswith(letter)

    def end_line(self) -> None:
        """Have it end in one line break, whatever it ended in; a text that is empty stays empty."""
        while self._pieces:
            piece = self._pieces.pop()
            kept = piece.rstrip("\r\n")
            self._letters -= len(piece) - len(kept)
            self.line -= piece.count("\n") - kept.count("\n")
            if kept:
                self._pieces.append(kept)
                self.put("\n")
                return

    @property
    def empty(self) -> bool:
        return not self._pieces

    def __str__(self) -> str:
        return "".join(self._pieces)


class HandlebarsWriter:
    """Writes Handlebars. ``text`` is what there is until now."""

    def __init__(self, losses: Losses) -> None:
        self._written = _Written()
        self._losses = losses
        self._loops: list[str] = []
        self._count = NodeBudget()

    @property
    def text(self) -> str:
        return str(self._written)

    def nodes(self, nodes: Sequence[Node]) -> None:
        opened = False  # a role whose text begins here
        for node in nodes:
            self._node(TextNode(node.text.lstrip("\r\n")) if opened and isinstance(node, TextNode) else node)
            opened = isinstance(node, RoleNode)

    def _node(self, node: Node) -> None:
        self._count.take()
        if isinstance(node, TextNode):
            self._words(node.text)
        elif isinstance(node, ValueNode):
            name = self._name(node.path)
            self._tag(f"json {name}" if node.json else name)
        elif isinstance(node, LoopPosition):
            if node.fact == "number":
                self._losses.say(node.line, "the number of an item, counted from 1", meaning=True)
            self._tag("@index")
        elif isinstance(node, MediumNode):
            self._medium(node)
        elif isinstance(node, RoleNode):
            self._written.end_line()
            self._tag(f'role "{_ROLES[node.role]}"')
            self._written.put("\n")
        elif isinstance(node, HistoryNode):
            self._tag("history")
        elif isinstance(node, IfNode):
            self._if(node.test, node.then, node.otherwise)
        else:
            self._block_tag(f"#each {self._name(node.path)}")
            self._loops.append(node.item)
            self.nodes(node.body)
            self._loops.pop()
            if node.otherwise:
                self._block_tag("else")
                self.nodes(node.otherwise)
            self._block_tag("/each")

    def _if(self, test: Test, then: Sequence[Node], otherwise: Sequence[Node]) -> None:
        """A branch. Handlebars asks for one value; what joins two is a branch within a branch."""
        if isinstance(test, NotTest):
            if not otherwise and not isinstance(test.test, AndTest | OrTest | NotTest):
                self._branch(test.test, then, (), negated=True)
            else:
                self._if(test.test, otherwise, then)
        elif isinstance(test, AndTest):
            self._if(test.left, (IfNode(test.right, tuple(then), tuple(otherwise)),), otherwise)
        elif isinstance(test, OrTest):
            self._if(test.left, then, (IfNode(test.right, tuple(then), tuple(otherwise)),))
        else:
            self._branch(test, then, otherwise)

    def _branch(
        self,
        test: IsTruthy | ItemIs | IsEqual,
        then: Sequence[Node],
        otherwise: Sequence[Node],
        *,
        negated: bool = False,
    ) -> None:
        if not then and not otherwise:
            return
        if not then:
            self._branch(test, otherwise, (), negated=not negated)
            return
        if isinstance(test, IsEqual):
            helper, words = ("unlessEquals" if negated else "ifEquals"), f"{self._name(test.path)} {_said(test.value)}"
        else:
            helper = "unless" if negated else "if"
            words = f"@{test.fact}" if isinstance(test, ItemIs) else self._name(test.path)
        self._block_tag(f"#{helper} {words}")
        self.nodes(then)
        if otherwise:
            self._block_tag("else")
            self.nodes(otherwise)
        self._block_tag(f"/{helper}")

    def _medium(self, node: MediumNode) -> None:
        url = self._name(node.path) if node.path else _said(node.url)
        kind = f" contentType={_said(node.media_type)}" if node.media_type and not node.path else ""
        self._tag(f"media url={url}{kind}")

    # ---- letters --------------------------------------------------------------------------------------

    def _words(self, text: str) -> None:
        if "\\{{" in text:
            self._losses.say(1, "a backslash before two opening braces", meaning=True)
        self._written.put(text.replace("{{", "\\{{"))

    def _tag(self, inner: str) -> None:
        if self._written.ends_in("\\"):
            self._written.put("\\")  # a single one would make text of the tag
        elif self._written.ends_in("{"):
            self._losses.say(self._written.line, "an opening brace right before a value", meaning=True)
        self._written.put(f"{{{{{inner}}}}}")

    def _block_tag(self, inner: str) -> None:
        """A tag of a block. One that begins a line ends it: a line with nothing else is no line of the text."""
        begins = self._written.empty or self._written.ends_in("\n")
        self._tag(inner)
        self._written.put("\n" if begins else "")

    def _name(self, path: Path) -> str:
        root, *rest = path
        up = next((depth for depth, item in enumerate(reversed(self._loops)) if item == root), len(self._loops))
        if up < len(self._loops):
            words = ["this", *map(_part, rest)]
        else:
            words = [_part(root), *map(_part, rest)]
            if words[0] in HELPERS and not rest and not up:
                words.insert(0, "this")
        return "../" * up + ".".join(words)


def _part(word: str | int) -> str:
    return word if isinstance(word, str) and _NAME.fullmatch(word) else f"[{word}]"


def _said(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value}'" if '"' in value else f'"{value}"'
    return json.dumps(value)


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
