"""A tree to a POML document: each message one paragraph whose white space is kept."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from intermodal.prompts.conversion import front_matter
from intermodal.prompts.conversion.template_tree import (
    AndTest,
    Fact,
    IfNode,
    IsEqual,
    IsTruthy,
    ItemIs,
    LoopNode,
    LoopPosition,
    Losses,
    MediumNode,
    Node,
    NotTest,
    OrTest,
    Path,
    TemplateTree,
    Test,
    TextNode,
    ValueNode,
    dotted_path,
    media_names,
    messages_of,
)
from intermodal.prompts.poml.expansion import ENTITIES
from intermodal.prompts.prompt_file import Argument, PromptFile

_TAGS = {"system": "system-msg", "user": "human-msg", "assistant": "ai-msg"}
_MEDIA = {"image": "img", "audio": "audio", "document": "document"}
_SIGNS = re.compile(r"[<>&]|\{(?=\{)|(?<=\{)\{|#(?=[a-z]+;)")
_WORD = re.compile(r"[A-Za-z_$][\w$]*")
_FACTS: Mapping[Fact, str] = {
    "index": "loop.index", "number": "loop.index + 1", "first": "loop.first", "last": "loop.last",
}  # fmt: skip
_PLAIN = ("text", "number", "integer", "boolean")  # of which emptiness and falsehood are what they are elsewhere


def write(read: TemplateTree, nodes: Sequence[Node], losses: Losses) -> str:
    """The text of a ``.poml`` file."""
    file = read.file
    writer = _Writer(file, losses)
    lines = ["<poml>"]
    for each in messages_of(nodes, losses):
        tag = _TAGS[each.role]
        lines.append(f'  <{tag}><p whiteSpace="pre">{writer.message(each.nodes)}</p></{tag}>')
    lines += _beside(file, losses)
    lines.append("</poml>")
    for argument in file.arguments:
        _check_argument(argument, losses)
    return "\n".join(lines) + "\n"


def _beside(file: PromptFile, losses: Losses) -> list[str]:
    """Schema, tools and settings."""
    lines = []
    schema = front_matter.schema_of(file)
    if schema is not None:
        lines.append(f"  <output-schema>\n{_json(schema, 2)}\n  </output-schema>")
    front_matter.lose_strict(file, "POML", losses)
    for tool in file.tools:
        about = f' description="{_attribute(tool.description)}"' if tool.description else ""
        lines.append(f'  <tool-definition name="{tool.name}"{about}>{_json(tool.schema)}</tool-definition>')
    front_matter.lose_undefined_tools(file, losses)
    said: dict[str, Any] = {"model": file.model} if file.model else {}
    said |= front_matter.settings_of(file)
    if said:
        written = " ".join(f"{name}='{_setting(value)}'" for name, value in said.items())
        lines.append(f"  <runtime {written}/>")
    if file.description:
        losses.say(file.lines.get("description", 1), "the description")
    return lines


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _json(value: Any, indent: int | None = None) -> str:
    """JSON that holds no tag and no expression."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return re.sub(r"<|&|\{(?=\{)", lambda found: f"\\u{ord(found[0]):04x}", text)


def _attribute(text: str) -> str:
    return text.replace('"', "'").replace("{{", "{ {")


def _check_argument(argument: Argument, losses: Losses) -> None:
    name = argument.name
    if argument.kind in ("video", "file"):
        losses.say(argument.line, f"argument {name!r} takes a {argument.kind}, which POML has no tag for", meaning=True)
    if argument.default is not None:
        losses.say(argument.line, f"the default of argument {name!r}")
    if argument.description:
        losses.say(argument.line, f"the description of argument {name!r}")
    if argument.schema and argument.kind != "text" and not argument.is_media:
        losses.say(argument.line, f"what argument {name!r} has to be: names there take anything")


class _Writer:
    def __init__(self, file: PromptFile, losses: Losses) -> None:
        self._losses = losses
        self._media = media_names(file)
        self._items: dict[str, str] = {}  # items of lists of media, by their names
        self._plain = {each.name for each in file.arguments if each.kind in _PLAIN and each.schema}

    def message(self, nodes: Sequence[Node]) -> str:
        """The nodes of a message; media in a paragraph itself would end it, and fold the rest."""
        text = self.written(nodes)
        return f"<span>{text}</span>" if any(isinstance(each, MediumNode) for each in nodes) else text

    def written(self, nodes: Sequence[Node]) -> str:
        return "".join(self._node(each) for each in nodes)

    def _node(self, node: Node) -> str:
        if isinstance(node, TextNode):
            return _SIGNS.sub(lambda found: ENTITIES[found[0]], node.text)
        if isinstance(node, ValueNode):
            if node.json:
                self._losses.say(node.line, f"{node.path[0]!r} as JSON: a text goes in as it is", meaning=True)
            return f"{{{{ {self._name(node.path)} }}}}"
        if isinstance(node, LoopPosition):
            return f"{{{{ {_FACTS[node.fact]} }}}}"
        if isinstance(node, MediumNode):
            return self._medium(node)
        if isinstance(node, IfNode):
            then = self._span("if", self._test(node.test), node.then) if node.then else ""
            other = self._span("if", f"!({self._test(node.test)})", node.otherwise) if node.otherwise else ""
            return then + other
        assert isinstance(node, LoopNode)
        if len(node.path) == 1 and node.path[0] in self._media:
            self._items[node.item] = self._media[str(node.path[0])]
        name = self._name(node.path)
        made = f"<span for='{node.item} in {name}'>{self.written(node.body)}</span>"
        empty = self._span("if", f"!({name} && {name}.length !== 0)", node.otherwise) if node.otherwise else ""
        return made + empty

    def _span(self, attribute: str, word: str, nodes: Sequence[Node]) -> str:
        return f"<span {attribute}='{{{{ {word} }}}}'>{self.written(nodes)}</span>"

    def _medium(self, node: MediumNode) -> str:
        if not node.path:
            tag = _MEDIA.get(node.media_type.partition("/")[0], "document")
            return f'<{tag} src="{_attribute(node.url)}"/>'
        kind = self._media.get(str(node.path[0])) or self._items.get(str(node.path[0]), "file")
        return f'<{_MEDIA.get(kind, "document")} src="{{{{ {self._name(node.path)} }}}}"/>'

    def _test(self, test: Test) -> str:
        if isinstance(test, IsTruthy):
            name = self._name(test.path)
            plain = len(test.path) == 1 and test.path[0] in self._plain
            return name if plain else f"({name} && {name}.length !== 0)"  # an empty list is true there
        if isinstance(test, ItemIs):
            return _FACTS[test.fact]
        if isinstance(test, IsEqual):
            return f"{self._name(test.path)} === {_quoted(test.value)}"
        if isinstance(test, NotTest):
            return f"!({self._test(test.test)})"
        sign = "&&" if isinstance(test, AndTest) else "||"
        assert isinstance(test, AndTest | OrTest)
        return f"({self._test(test.left)} {sign} {self._test(test.right)})"

    def _name(self, path: Path) -> str:
        root = path[0]
        if not _WORD.fullmatch(str(root)) or root in ("true", "false", "null", "undefined", "loop"):
            self._losses.say(1, f"the name {root!r}, which POML does not take", meaning=True)
        return dotted_path(path, _WORD, _quoted)


def _quoted(value: Any) -> str:
    """A constant of an expression."""
    return json.dumps(value, ensure_ascii=False)
