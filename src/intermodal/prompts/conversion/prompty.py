"""Convert templates of Prompty and GitHub to trees, and trees to files of both.

Both are Jinja, but GitHub's templates only have names. Constructs that the tree cannot express are rejected with their
line. Prompty files are written as version 2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from intermodal.core.request import Tool
from intermodal.prompts.conversion import front_matter
from intermodal.prompts.conversion.template_tree import (
    AndTest,
    ArgumentShape,
    Fact,
    HistoryNode,
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
    RoleNode,
    TemplateTree,
    Test,
    TextNode,
    ValueNode,
    dotted_path,
    fact_of,
    fact_test,
    first_node,
    iterate_nodes,
    join_texts,
    media_names,
    messages_of,
    shapes_of,
)
from intermodal.prompts.github import NAME, GithubTemplate
from intermodal.prompts.jinja import MarkedTemplate, node_name
from intermodal.prompts.prompt_file import Argument, ArgumentKind, PromptFile
from intermodal.prompts.prompty import ROLE, ROLES, PromptyTemplate, output_schema
from intermodal.prompts.rendering import TemplateError, locate_error

_FACTS: Mapping[str, Fact] = {"index0": "index", "index": "number", "first": "first", "last": "last"}
_TODO = "write it with names, if and for"


def read_prompty(file: PromptFile, losses: Losses) -> TemplateTree:
    """Return the tree of a Prompty file, or of a LiteLLM file.

    Raises PromptError with the line of a construct that the tree cannot express.
    """
    template = file.template
    assert isinstance(template, MarkedTemplate)
    try:
        nodes = join_texts(Walk(template, media_names(file)).nodes(template.body.program, ()))
    except TemplateError as error:
        raise locate_error(template.path, 1, error) from None
    roles = isinstance(template, PromptyTemplate) and any(slot.kind == "role" for slot in template.marks.kept)
    if roles and not isinstance(first_node(nodes), RoleNode):
        nodes = (RoleNode("system", template.first), *nodes)  # of text before the first role line
    return TemplateTree(file, nodes, spelling="True")


def read_github(file: PromptFile, losses: Losses) -> TemplateTree:
    """Return the tree of a GitHub file."""
    template = file.template
    assert isinstance(template, GithubTemplate)
    nodes: list[Node] = []
    for message in template.templates:
        nodes.append(RoleNode(message.role, message.line))
        for number, piece in enumerate(NAME.split(message.content)):
            nodes.append(ValueNode((piece,), line=message.line) if number % 2 else TextNode(piece))
    return TemplateTree(file, join_texts(nodes))


class Walk:
    """Converts the nodes of Jinja's parser.

    ``loops``: names of the items of enclosing loops, innermost last. Lines are those of the file, also in errors.
    """

    def __init__(self, template: MarkedTemplate, media: Mapping[str, Any]) -> None:
        self._template = template
        self._media = media
        self._lists = set[str]()  # items of lists of media
        self._named: Mapping[str, Path] = {}  # names that are neither arguments nor items

    def nodes(self, body: Sequence[Any], loops: tuple[str, ...]) -> list[Node]:
        nodes: list[Node] = []
        for node in body:
            kind = type(node).__name__
            if kind == "Output":
                for each in node.nodes:
                    nodes += self._nodes_of(each, loops)
            elif kind == "If":
                nodes.append(self._if(node, loops))
            elif kind == "For":
                nodes.append(self._loop(node, loops))
            else:
                raise self._not_convertible(node, "set")  # the only other supported statement
        return nodes

    def _if(self, node: Any, loops: tuple[str, ...]) -> IfNode:
        other = tuple(self.nodes(node.else_, loops))
        for each in reversed(node.elif_):
            test = self._test(each.test, loops)
            other = (IfNode(test, tuple(self.nodes(each.body, loops)), other, self._line(each)),)
        return IfNode(self._test(node.test, loops), tuple(self.nodes(node.body, loops)), other, self._line(node))

    def _loop(self, node: Any, loops: tuple[str, ...]) -> LoopNode:
        if type(node.target).__name__ != "Name" or node.test is not None:
            raise self._not_convertible(node, "a loop with several names or a condition")
        item, path = self._item(node.target.name), self._path(node.iter, loops)
        if len(path) == 1 and path[0] in self._media:
            self._lists.add(item)
        around = self._named
        self._named = {**around, node.target.name: (item,)}
        body = self.nodes(node.body, (*loops, item))
        self._named = around
        return LoopNode(item, path, tuple(body), tuple(self.nodes(node.else_, loops)), self._line(node))

    def _item(self, name: str) -> str:
        """Return the name of a loop's item in the tree."""
        return name

    def _nodes_of(self, node: Any, loops: tuple[str, ...]) -> Iterator[Node]:
        kind = type(node).__name__
        line = self._line(node)
        if kind == "TemplateData":
            yield from self._static(node.data, line)
        elif kind == "Const" and isinstance(node.value, str):
            yield TextNode(node.value)
        elif kind == "Name" and node.name in self._template.body.slots:
            yield HistoryNode(line)
        elif kind == "Filter" and node.name == "tojson" and not node.args and not node.kwargs:
            yield ValueNode(self._path(node.node, loops), json=True, line=line)
        elif kind == "CondExpr":
            other = tuple(self._nodes_of(node.expr2, loops)) if node.expr2 is not None else ()
            yield IfNode(self._test(node.test, loops), tuple(self._nodes_of(node.expr1, loops)), other, line)
        elif (fact := self._fact(node, loops)) is not None:
            yield fact_of(fact, line, "True")
        else:
            path = self._path(node, loops)
            if path[0] in self._media or (len(path) == 1 and path[0] in self._lists):
                yield MediumNode(path=path, line=line)
            else:
                yield ValueNode(path, line=line)

    def _static(self, text: str, line: int) -> Iterator[Node]:
        for piece in self._template.marks.split_at_marks(text):
            if isinstance(piece, str):
                yield TextNode(piece)
                line += piece.count("\n")
            elif piece.kind == "role":
                yield RoleNode(ROLES[piece.value], line)
            else:
                yield MediumNode(url=str(piece.value), media_type="image/*", line=line)

    # ---- paths and tests ------------------------------------------------------------------------------

    def _fact(self, node: Any, loops: tuple[str, ...]) -> Fact | None:
        if type(node).__name__ != "Getattr" or type(node.node).__name__ != "Name" or node.node.name != "loop":
            return None
        return _FACTS.get(node.attr) if loops else None

    def _path(self, node: Any, loops: tuple[str, ...]) -> Path:
        kind = type(node).__name__
        if kind == "Name" and (node.name != "loop" or not loops):
            return self._named.get(node.name, (node.name,))
        if kind == "Getattr":
            return (*self._path(node.node, loops), node.attr)
        if kind == "Getitem" and type(node.arg).__name__ == "Const" and isinstance(node.arg.value, str | int):
            return (*self._path(node.node, loops), node.arg.value)
        raise self._not_convertible(node)

    def _test(self, node: Any, loops: tuple[str, ...]) -> Test:
        kind = type(node).__name__
        if kind == "Not":
            return NotTest(self._test(node.node, loops))
        if kind in ("And", "Or"):
            pair = self._test(node.left, loops), self._test(node.right, loops)
            return AndTest(*pair) if kind == "And" else OrTest(*pair)
        if kind == "Compare" and len(node.ops) == 1 and node.ops[0].op in ("eq", "ne"):
            other = node.ops[0].expr
            if type(other).__name__ == "Const" and isinstance(other.value, str | int | float):
                equal = IsEqual(self._path(node.expr, loops), other.value)
                return equal if node.ops[0].op == "eq" else NotTest(equal)
        fact = self._fact(node, loops)
        if fact is not None:
            return fact_test(fact)
        return IsTruthy(self._path(node, loops))

    def _line(self, node: Any) -> int:
        line: int = self._template.first + node.lineno - 1
        return line

    def _not_convertible(self, node: Any, what: str = "") -> TemplateError:
        more = f" ({node.name})" if type(node).__name__ in ("Filter", "Test") else ""
        return TemplateError(f"{what or node_name(node)}{more} cannot be converted", self._line(node), _TODO)


# ---- writing ----------------------------------------------------------------------------------------


_MARKS = re.compile(r"\{\{|\{%|\{#|\{\Z")
_WORD = re.compile(r"[^\W\d]\w*")
_FACT_NAMES: Mapping[Fact, str] = {
    "index": "loop.index0", "number": "loop.index", "first": "loop.first", "last": "loop.last",
}  # fmt: skip
_KINDS: Mapping[ArgumentKind, str] = {
    "text": "string", "number": "float", "integer": "integer", "boolean": "boolean", "image": "image",
    "audio": "audio", "document": "file", "file": "file",
}  # fmt: skip
_HISTORY = "history"


# ---- Prompty --------------------------------------------------------------------------------------------


def write_prompty(read: TemplateTree, nodes: Sequence[Node], losses: Losses) -> str:
    """Return the text of a ``.prompty`` file."""
    writer = JinjaWriter(losses)
    body = []
    if any(isinstance(each, RoleNode) for each in iterate_nodes(nodes)) and not isinstance(first_node(nodes), RoleNode):
        body.append("user:\n")
    history = any(isinstance(each, HistoryNode) for each in iterate_nodes(nodes))
    body.append(writer.write(nodes))
    front = _prompty_front(read, losses, history=history)
    return f"---\n{front_matter.yaml_of(front)}---\n{''.join(body).strip()}\n"


def _prompty_front(read: TemplateTree, losses: Losses, *, history: bool) -> dict[str, Any]:
    file = read.file
    front: dict[str, Any] = {"name": file.name}
    if file.description:
        front["description"] = file.description
    model: dict[str, Any] = {"id": file.model} if file.model else {}
    options = front_matter.settings_of(file)
    shapes = shapes_of(read.nodes)
    inputs = [
        _input(each, shapes.get(each.name, ArgumentShape()), losses) for each in file.arguments if not _is_untyped(each)
    ]
    if history:
        inputs.append({"name": _HISTORY, "kind": "thread"})
    schema = front_matter.schema_of(file)
    strict = {"strict": True} if front_matter.is_strict(file) else {}  # which outputs have no word for
    outputs = _outputs(schema) if schema is not None and not strict else None
    if schema is not None and outputs is None:
        whole = {"name": "answer", **strict, "schema": schema}
        options["response_format"] = {"type": "json_schema", "json_schema": whole}
    if options:
        model["options"] = options
    if model:
        front["model"] = model
    if inputs:
        front["inputs"] = inputs
    if outputs is not None:
        front["outputs"] = outputs
    if file.tools:
        front["tools"] = [_tool(each) for each in file.tools]
    front_matter.lose_undefined_tools(file, losses)
    front["template"] = {"format": {"kind": "jinja2"}, "parser": {"kind": "prompty"}}
    return front


def _tool(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "kind": "function", "description": tool.description, "parameters": dict(tool.schema)}


def _is_untyped(argument: Argument) -> bool:
    """Return whether an argument is known only from its use in the template.

    The converted file then leaves it undeclared as well, since it has no type for such an argument.
    """
    return argument.kind == "json" and not (argument.schema or argument.description or argument.default is not None)


def _json_kind(argument: Argument, shape: ArgumentShape) -> str:
    """Return the type of a JSON argument, from its schema or else from its use in the template."""
    type_name = argument.schema.get("type")
    if isinstance(type_name, list):
        type_name = next((each for each in type_name if each != "null"), None)
    if type_name in ("object", "array"):
        return str(type_name)
    return "array" if shape.items is not None else "object" if shape.fields else "string"


def _input(argument: Argument, shape: ArgumentShape, losses: Losses) -> dict[str, Any]:
    kind = _KINDS.get(argument.kind) or _json_kind(argument, shape)
    if argument.kind == "video":
        losses.record_loss(
            argument.line, f"argument {argument.name!r} is a film, which Prompty has no kind for", meaning=True
        )
        kind = "file"
    elif argument.kind == "file":
        losses.record_loss(
            argument.line, f"argument {argument.name!r} takes any file, and there a document", meaning=True
        )
    elif argument.is_media and argument.many:
        losses.record_loss(argument.line, f"argument {argument.name!r} is a list of media, and there one", meaning=True)
    checked = {"type", "description", *(("items",) if kind == "array" else ())}
    if not argument.is_media and (set(argument.schema) - checked or argument.schema.get("items")):
        losses.record_loss(argument.line, f"what argument {argument.name!r} has to be, beyond its type")
    entry: dict[str, Any] = {"name": argument.name, "kind": kind}
    if argument.description:
        entry["description"] = argument.description
    entry["required"] = argument.required
    if argument.default is not None:
        entry["default"] = argument.default
    return entry


def _outputs(schema: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the schema as a list of named fields; None if that would change it."""
    outputs = [_output(name, each, schema) for name, each in (schema.get("properties") or {}).items()]
    return outputs if outputs and output_schema(outputs) == {"required": [], **schema} else None


def _output(name: str, each: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    property_schema: Mapping[str, Any] = each if isinstance(each, Mapping) else {}
    entry: dict[str, Any] = {"name": name, "kind": str(property_schema.get("type", "string"))}
    if property_schema.get("description"):
        entry["description"] = property_schema["description"]
    if "enum" in property_schema:
        entry["enumValues"] = property_schema["enum"]
    if isinstance(property_schema.get("items"), Mapping):
        items = _output("", property_schema["items"], {})
        entry["items"] = {key: value for key, value in items.items() if key not in ("name", "required")}
    if isinstance(property_schema.get("properties"), Mapping):
        entry["properties"] = [
            _output(inner, one, property_schema) for inner, one in property_schema["properties"].items()
        ]
    if name and name not in schema.get("required", ()):
        entry["required"] = False
    return entry


class JinjaWriter:
    """Writes Jinja."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses

    def write(self, nodes: Sequence[Node], *, nested: bool = False) -> str:
        """Return the nodes as Jinja. ``nested``: they follow a block tag on the same line."""
        text, opened = "", False  # the text of a role begins here
        for node in nodes:
            if isinstance(node, RoleNode):
                text = text.rstrip("\r\n") + ("\n" if text or nested else "") + self.role(node)
            else:
                more = self._node(node)
                text += more.lstrip("\r\n") if opened else more
            opened = isinstance(node, RoleNode)
        return text

    def role(self, node: RoleNode) -> str:
        return f"{node.role}:\n"

    def history(self) -> str:
        return f"{{{{ {_HISTORY} }}}}"

    def escaped_text(self, text: str) -> str:
        """Return text with template syntax and role lines escaped."""
        text = _MARKS.sub(lambda found: f"{{{{ '{found[0]}' }}}}", text)
        return ROLE.sub(lambda found: found[0].replace(found[1], f"{{{{ '{found[1]}' }}}}", 1), text)

    def medium(self, node: MediumNode) -> str:
        if not node.path:
            self._losses.record_loss(node.line, f"{node.url[:60]!r}: media that the file itself names", meaning=True)
            return ""
        return f"{{{{ {self.name(node.path)} }}}}"

    def _node(self, node: Node) -> str:
        if isinstance(node, TextNode):
            return self.escaped_text(node.text)
        if isinstance(node, ValueNode):
            return f"{{{{ {self.name(node.path)}{' | tojson' if node.json else ''} }}}}"
        if isinstance(node, LoopPosition):
            return f"{{{{ {_FACT_NAMES[node.fact]} }}}}"
        if isinstance(node, MediumNode):
            return self.medium(node)
        if isinstance(node, HistoryNode):
            return self.history()
        if isinstance(node, IfNode):
            opening, then, closing = f"if {self.test(node.test)}", node.then, "endif"
        else:
            assert isinstance(node, LoopNode)
            opening, then, closing = f"for {node.item} in {self.name(node.path)}", node.body, "endfor"
        body = self.write(then, nested=True)
        other = f"{self.tag('else')}{self.write(node.otherwise, nested=True)}" if node.otherwise else ""
        return f"{self.tag(opening)}{body}{other}{self.tag(closing)}"

    def tag(self, inner: str) -> str:
        """Return a block tag."""
        return f"{{% {inner} %}}"

    def test(self, test: Test) -> str:
        if isinstance(test, IsTruthy):
            return self.name(test.path)
        if isinstance(test, ItemIs):
            return _FACT_NAMES[test.fact]
        if isinstance(test, IsEqual):
            return f"{self.name(test.path)} == {_constant(test.value)}"
        if isinstance(test, NotTest):
            inner = self.test(test.test)
            return f"not ({inner})" if isinstance(test.test, AndTest | OrTest | IsEqual) else f"not {inner}"
        word = "and" if isinstance(test, AndTest) else "or"
        return f"({self.test(test.left)} {word} {self.test(test.right)})"

    def name(self, path: Path) -> str:
        if not _WORD.fullmatch(str(path[0])):
            self._losses.record_loss(1, f"the name {path[0]!r}, which Jinja does not take", meaning=True)
        return dotted_path(path, _WORD, _constant)


def _constant(value: str | int | float | bool) -> str:
    if isinstance(value, str) and "'" not in value:
        return f"'{value}'".replace("\\", "\\\\")
    return json.dumps(value, ensure_ascii=False)


# ---- GitHub -----------------------------------------------------------------------------------------------


def write_github(read: TemplateTree, nodes: Sequence[Node], losses: Losses) -> str:
    """Return the text of a ``.prompt.yml`` file."""
    file = read.file
    front: dict[str, Any] = {"name": file.name}
    if file.description:
        front["description"] = file.description
    if file.model:
        front["model"] = file.model
    if settings := front_matter.settings_of(file, {**front_matter.CAMEL, "max_tokens": "maxTokens", "stop": "stop"}):
        front["modelParameters"] = settings
    schema = front_matter.schema_of(file)
    if schema is not None:
        front["responseFormat"] = "json_schema"
        whole = {"name": "answer", "strict": front_matter.is_strict(file), "schema": schema}
        front["jsonSchema"] = json.dumps(whole, indent=2, ensure_ascii=False)
    messages = messages_of(nodes, losses)
    used_names = {str(each.path[0]) for each in iterate_nodes(nodes) if isinstance(each, ValueNode)}
    contents = [(each.role, _content(each.nodes, losses).strip("\r\n")) for each in messages]
    front["messages"] = [{"role": role, "content": content} for role, content in contents if content.strip()]
    _github_arguments(read, used_names, losses)
    front_matter.lose_tools(file, losses)
    plain = front_matter.plain_examples(file, losses)
    if data := [_data(dict(each.arguments), each.checks) for each in plain]:
        front["testData"] = data
    return front_matter.yaml_of(front)


def _github_arguments(read: TemplateTree, used_names: set[str], losses: Losses) -> None:
    for each in read.file.arguments:
        if each.is_media:
            losses.record_loss(each.line,
                               f"argument {each.name!r}: GitHub's files take no {each.words.partition(',')[0]}",
                       meaning=True)  # fmt: skip
        elif each.name in used_names:
            if each.default is not None:
                losses.record_loss(each.line, f"the default of argument {each.name!r}: it has to be given")
            elif not each.required:
                losses.record_loss(each.line, f"argument {each.name!r} may not be left out there")
            if each.schema and each.kind != "text":
                losses.record_loss(each.line, f"what argument {each.name!r} has to be: names there take anything")
            if each.description:
                losses.record_loss(each.line, f"the description of argument {each.name!r}")


def _content(nodes: Sequence[Node], losses: Losses) -> str:
    text = ""
    for node in nodes:
        if isinstance(node, TextNode):
            if NAME.search(node.text):
                losses.record_loss(1, f"{NAME.search(node.text)[0]!r} as text, which is a name there", meaning=True)  # type: ignore[index]
            text += node.text
        elif isinstance(node, ValueNode) and len(node.path) == 1 and NAME.fullmatch(f"{{{{{node.path[0]}}}}}"):
            text += f"{{{{{node.path[0]}}}}}"
            if node.json:
                losses.record_loss(node.line, f"{node.path[0]!r} as JSON: a text goes in as it is", meaning=True)
        elif isinstance(node, ValueNode):
            losses.record_loss(node.line, f"{'.'.join(map(str, node.path))}: a part of a value", meaning=True)
        elif isinstance(node, IfNode):
            losses.record_loss(node.line, "a condition", meaning=True)
            text += _content(node.then, losses)
        elif isinstance(node, LoopNode):
            losses.record_loss(node.line, "a loop", meaning=True)
        elif isinstance(node, MediumNode):
            what = f"the medium {node.path[0] if node.path else node.url[:60]!r}"
            losses.record_loss(node.line, what, meaning=True)
    return text


def _data(arguments: dict[str, Any], checks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a row of test data, with the right answer as ``expected`` if it is a single value."""
    expected = next((each["expected"] for each in checks if each.get("compare") in ("json", "exact")), None)
    return {**arguments, **({"expected": expected} if expected is not None else {})}
