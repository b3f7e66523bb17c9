"""Convert a dotprompt file to a tree, and a tree to a file: front matter with Picoschema, and a Handlebars template.

Constructs that the tree cannot express are rejected with their line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from intermodal.prompts.argument_values import TYPES
from intermodal.prompts.conversion import front_matter
from intermodal.prompts.conversion.template_tree import (
    AndTest,
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
    NodeBudget,
    NotTest,
    OrTest,
    Path,
    RoleNode,
    TemplateTree,
    Test,
    TextNode,
    ValueNode,
    fact_of,
    fact_test,
    join_texts,
    media_names,
)
from intermodal.prompts.dotprompt.handlebars import BLOCKS, HELPERS, NUMBER, STEP
from intermodal.prompts.dotprompt.reader import ROLES, DotpromptTemplate, is_dialect, json_schema
from intermodal.prompts.prompt_file import Argument, PromptFile
from intermodal.prompts.rendering import MOST_LETTERS, TemplateError, locate_error

_FACTS: Mapping[str, Fact] = {"@index": "index", "@first": "first", "@last": "last"}
_MOST_DEEP = 60


class _Constant(NamedTuple):
    value: str | int | float | bool


@dataclass(frozen=True)
class _Scope:
    """The enclosing contexts of paths, innermost last, and the names of block parameters and partial arguments."""

    around: tuple[Path, ...] = ((),)
    named: Mapping[str, Path | _Constant] = field(default_factory=dict)
    loops: int = 0

    def within(
        self, path: Path, bindings: Mapping[str, Path | _Constant] | None = None, *, loop: bool = False
    ) -> _Scope:
        return _Scope((*self.around, path), {**self.named, **(bindings or {})}, self.loops + loop)


def read_dotprompt(file: PromptFile, losses: Losses) -> TemplateTree:
    """Return the tree of a dotprompt file.

    Raises PromptError with the line of a construct that the tree cannot express.
    """
    template = file.template
    assert isinstance(template, DotpromptTemplate)
    walk = _Walk(template, {each.name for each in file.arguments}, losses)
    try:
        nodes = walk.nodes(template.body._program, _Scope())  # type: ignore[attr-defined]
    except TemplateError as error:
        raise locate_error(template.path, template.first, error) from None
    return TemplateTree(file, join_texts(nodes))


class _Walk:
    """Converts parser nodes, which are duck-typed: their classes have no public name."""

    def __init__(self, template: DotpromptTemplate, names: set[str], losses: Losses) -> None:
        self._template = template
        self._names = names
        self._losses = losses
        self._items = 0
        self._count = NodeBudget()
        self._lines: dict[str, int] = {}  # line by word, since each lookup scans the text
        self._deep = 0

    def nodes(self, program: Sequence[Any], scope: _Scope) -> list[Node]:
        self._deep += 1
        if self._deep > _MOST_DEEP:
            raise TemplateError("is nested too deep", todo="use fewer blocks within blocks")
        tree_nodes: list[Node] = []
        for node in program:
            self._count.count_node()
            kind = type(node).__name__
            if kind == "Text":
                tree_nodes.append(TextNode(node.value))
            elif kind == "Mustache":
                tree_nodes += self._mustache(node.call, scope)
            elif kind == "Block":
                tree_nodes += self._block(node, scope)
            elif kind == "Partial":
                tree_nodes += self._partial(node, scope)
            else:
                word = getattr(node, "name", "") or "{{"
                raise self._not_convertible(f"a {kind.lower()} block", word)
        self._deep -= 1
        return tree_nodes

    def _mustache(self, call: Mapping[str, Any], scope: _Scope) -> list[Node]:
        name, words, named_arguments = call["name"], call["args"], call["hash"]
        line = self._line_of_word(name)
        if name == "role":
            word = words[0] if words else ""
            if word[:1] not in ("'", '"'):
                raise self._not_convertible("a role that is a value", "role")
            return [RoleNode(ROLES[word[1:-1]], self._line_of_word(word[1:-1]))]
        if name == "media":
            return self._medium(named_arguments, scope)
        if name == "history":
            return [HistoryNode(line), RoleNode("assistant", line)]
        if name == "section":
            self._losses.record_loss(line, "{{section}}, which marks a place for other readers")
            return []
        if name == "json":
            if named_arguments:
                raise self._not_convertible("indented JSON", "json")
            path = self._path(words[0] if words else "", scope)
            return [] if isinstance(path, _Constant) else [ValueNode(path, json=True, line=line)]
        if name in (*BLOCKS, *HELPERS) or words:
            raise self._not_convertible(f"{{{{{name}}}}} with words", name)
        fact = self._fact(name, scope)
        if fact is not None:
            return [fact_of(fact, line)]
        path = self._path(name, scope)
        if isinstance(path, _Constant):
            return [TextNode(str(path.value))] if name in scope.named else []
        return [ValueNode(path, line=line)]

    def _medium(self, named_arguments: Mapping[str, str], scope: _Scope) -> list[Node]:
        token, media_type = named_arguments.get("url", ""), named_arguments.get("contentType", "")
        if media_type and media_type[:1] not in ("'", '"'):
            raise self._not_convertible("a content type that is a value", "media")
        if not token:
            return []
        path = self._path(token, scope)
        line = self._line_of_word("media")
        if isinstance(path, _Constant):
            return [MediumNode(url=str(path.value), media_type=media_type[1:-1], line=line)]
        return [MediumNode(path=path, media_type=media_type[1:-1], line=line)]

    def _block(self, node: Any, scope: _Scope) -> list[Node]:
        name, words, params = node.call["name"], node.call["args"], node.call["params"]
        line = self._line_of_word(name)
        if name in ("if", "unless"):
            if node.call["hash"]:
                raise self._not_convertible("#if with includeZero", name)
            then, other = self.nodes(node.body, scope), self.nodes(node.inverse, scope)
            test = self._test(words[0] if words else "", scope)
            return [IfNode(test if name == "if" else NotTest(test), tuple(then), tuple(other), line)]
        if name in ("ifEquals", "unlessEquals") and len(words) == 2:
            then, other = self.nodes(node.body, scope), self.nodes(node.inverse, scope)
            equal: Test = self._equal(words, scope)
            return [IfNode(equal if name == "ifEquals" else NotTest(equal), tuple(then), tuple(other), line)]
        if name not in ("each", "with") or not words:
            raise self._not_convertible(f"{{{{#{name}}}}}", name)
        path = self._path(words[0], scope)
        if isinstance(path, _Constant):
            raise self._not_convertible(f"{{{{#{name}}}}} over what is no argument", name)
        if name == "with":
            inner = scope.within(path, {params[0]: path} if params else None)
            return [
                IfNode(
                    IsTruthy(path), tuple(self.nodes(node.body, inner)), tuple(self.nodes(node.inverse, scope)), line
                )
            ]
        if len(params) > 1:
            raise self._not_convertible("a loop with a name for its index", params[1])
        self._items += 1
        item = params[0] if params else f"item{self._items if self._items > 1 else ''}"
        while item in self._names:
            item += "_"
        inner = scope.within((item,), {params[0]: (item,)} if params else None, loop=True)
        body = self.nodes(node.body, inner)
        return [LoopNode(item, path, tuple(body), tuple(self.nodes(node.inverse, scope)), line)]

    def _partial(self, node: Any, scope: _Scope) -> list[Node]:
        program = self._template.body._programs.get(node.name)  # type: ignore[attr-defined]
        if program is None:
            raise TemplateError(f"there is no partial {node.name!r}", self._template.body.line_of(node.name))
        if getattr(node, "indent", ""):
            raise self._not_convertible(f"partial {node.name!r}, which is indented", node.name)
        if node.context_path:
            context = self._path(node.context_path, scope)
            if isinstance(context, _Constant):
                raise self._not_convertible(f"partial {node.name!r} of what is no argument", node.name)
            scope = scope.within(context)
        bindings = {key: self._path(token, scope) for key, token in node.hash.items()}
        inner = _Scope(scope.around, {**scope.named, **bindings}, scope.loops)
        self._losses.record_loss(self._line_of_word(node.name), f"partial {node.name!r}: its text stands in the file")
        return self.nodes(program, inner)

    # ---- paths and tests ------------------------------------------------------------------------------

    def _fact(self, token: str, scope: _Scope) -> Fact | None:
        return _FACTS.get(token) if scope.loops else None

    def _test(self, token: str, scope: _Scope) -> Test:
        fact = self._fact(token, scope)
        if fact is not None:
            return fact_test(fact)
        path = self._path(token, scope)
        if isinstance(path, _Constant):
            raise self._not_convertible(f"a condition of {token}", token)
        return IsTruthy(path)

    def _equal(self, words: Sequence[str], scope: _Scope) -> IsEqual:
        one, other = (self._path(word, scope) for word in words)
        if isinstance(one, _Constant):
            one, other = other, one
        if isinstance(one, _Constant) or not isinstance(other, _Constant):
            raise self._not_convertible("a comparison of two values", words[0])
        return IsEqual(one, other.value)

    def _path(self, token: str, scope: _Scope) -> Path | _Constant:
        """Return the path that a token reads, or the constant that it is."""
        if token[:1] in "\"'" and token:
            return _Constant(token[1:-1])
        if token in ("true", "false"):
            return _Constant(token == "true")
        if NUMBER.fullmatch(token):
            return _Constant(float(token) if "." in token else int(token))
        if token.startswith("@root."):
            return tuple(_path_parts(token.removeprefix("@root.")))
        if not token or token[0] in "(@":
            raise self._not_convertible(f"{token or 'an empty tag'}", token)
        parts, around = _path_parts(token), scope.around
        while parts and parts[0] == "..":
            around, parts = around[:-1], parts[1:]
        if not around or ".." in parts:
            raise self._not_convertible(f"{token}, which leads out of the arguments", token)
        climbed = len(around) < len(scope.around)
        if not climbed and parts and parts[0] != "this" and str(parts[0]) in scope.named:
            start = scope.named[str(parts[0])]
            if isinstance(start, _Constant):
                return start
            return (*start, *parts[1:])
        path = (*around[-1], *(part for part in parts if part != "this"))
        if not path:
            raise self._not_convertible(f"{token}: all arguments at once", token)
        return path

    # ---- lines ----------------------------------------------------------------------------------------

    def _line_of_word(self, word: str) -> int:
        """Return the line in the file of the first tag that contains the word."""
        if word not in self._lines:
            self._lines[word] = self._template.body.line_of(word) or 1
        return self._template.first + self._lines[word] - 1

    def _not_convertible(self, what: str, word: str) -> TemplateError:
        line = self._template.body.line_of(word)
        return TemplateError(f"{what} cannot be converted", line, "write it with #if, #each and names")


def _path_parts(token: str) -> list[str | int]:
    return [int(word) if word.isdecimal() else bracket or word for bracket, word in STEP.findall(token)]


# ---- writing ----------------------------------------------------------------------------------------


_ROLES = {"system": "system", "user": "user", "assistant": "model", "tool": "tool"}
_NAME = re.compile(r"[^\W\d][\w-]*")


def write_dotprompt(read: TemplateTree, nodes: Sequence[Node], losses: Losses) -> str:
    """Return the text of a ``.prompt`` file."""
    writer = HandlebarsWriter(losses)
    writer.nodes(nodes)
    front, body = _front(read.file), writer.text.strip()
    if is_dialect(front, body):  # a tag of dotprompt makes text of what would be Jinja to LiteLLM
        body = f'{{{{role "user"}}}}\n{body}'
    return f"---\n{front_matter.yaml_of(front)}---\n{body}\n" if front else f"{body}\n"


def _front(file: PromptFile) -> dict[str, Any]:
    front: dict[str, Any] = {}
    if file.description:
        front["description"] = file.description
    if file.model:
        front["model"] = file.model
    if settings := front_matter.settings_of(file):
        front["config"] = settings
    if file.arguments:
        default = {each.name: each.default for each in file.arguments if each.default is not None}
        schema = {
            "type": "object",
            "properties": {each.name: _argument_schema(each) for each in file.arguments},
            "required": [each.name for each in file.arguments if each.required],
            "additionalProperties": False,
        }
        front["input"] = {**({"default": default} if default else {}), "schema": picoschema(schema)}
    output = front_matter.schema_of(file)
    if output is not None:
        front["output"] = {"schema": picoschema(output)}
    if file.tools:
        front["toolDefs"] = [
            {"name": each.name, "description": each.description, "inputSchema": picoschema(each.schema)}
            for each in file.tools
        ]
    if file.undefined_tools:
        front["tools"] = list(file.undefined_tools)
    options = {**front_matter.options_of(file), **({"strict": True} if front_matter.is_strict(file) else {})}
    if media := media_names(file):
        options = {"media": media, **options}
    if options:
        front["ext"] = {"intermodal": options}
    return front


_TYPES = {kind: name for name, kind in TYPES.items()}


def _argument_schema(argument: Argument) -> dict[str, Any]:
    """Return the schema of an argument; an optional argument may be null, as in Picoschema."""
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
    """A growing text, stored in pieces so that appending does not copy it."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._letters = 0
        self.line = 1

    def append(self, text: str) -> None:
        """Append text. Raises TemplateError if the length limit of a prompt is exceeded."""
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
        """Make the text end in exactly one line break; an empty text stays empty."""
        while self._pieces:
            piece = self._pieces.pop()
            text = piece.rstrip("\r\n")
            self._letters -= len(piece) - len(text)
            self.line -= piece.count("\n") - text.count("\n")
            if text:
                self._pieces.append(text)
                self.append("\n")
                return

    @property
    def empty(self) -> bool:
        return not self._pieces

    def __str__(self) -> str:
        return "".join(self._pieces)


class HandlebarsWriter:
    """Writes Handlebars. ``text``: the text written so far."""

    def __init__(self, losses: Losses) -> None:
        self._written = _Written()
        self._losses = losses
        self._loops: list[str] = []
        self._count = NodeBudget()

    @property
    def text(self) -> str:
        return str(self._written)

    def nodes(self, nodes: Sequence[Node]) -> None:
        opened = False  # the text of a role begins here
        for node in nodes:
            self._node(TextNode(node.text.lstrip("\r\n")) if opened and isinstance(node, TextNode) else node)
            opened = isinstance(node, RoleNode)

    def _node(self, node: Node) -> None:
        self._count.count_node()
        if isinstance(node, TextNode):
            self._write_text(node.text)
        elif isinstance(node, ValueNode):
            name = self._name(node.path)
            self._tag(f"json {name}" if node.json else name)
        elif isinstance(node, LoopPosition):
            if node.fact == "number":
                self._losses.record_loss(node.line, "the number of an item, counted from 1", meaning=True)
            self._tag("@index")
        elif isinstance(node, MediumNode):
            self._medium(node)
        elif isinstance(node, RoleNode):
            self._written.end_line()
            self._tag(f'role "{_ROLES[node.role]}"')
            self._written.append("\n")
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
        """Write a branch. Handlebars tests one value; conjunctions and disjunctions become nested branches."""
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
            helper, words = (
                ("unlessEquals" if negated else "ifEquals"),
                f"{self._name(test.path)} {_literal(test.value)}",
            )
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
        url = self._name(node.path) if node.path else _literal(node.url)
        kind = f" contentType={_literal(node.media_type)}" if node.media_type and not node.path else ""
        self._tag(f"media url={url}{kind}")

    # ---- letters --------------------------------------------------------------------------------------

    def _write_text(self, text: str) -> None:
        if "\\{{" in text:
            self._losses.record_loss(1, "a backslash before two opening braces", meaning=True)
        self._written.append(text.replace("{{", "\\{{"))

    def _tag(self, inner: str) -> None:
        if self._written.ends_in("\\"):
            self._written.append("\\")  # a single backslash would escape the tag
        elif self._written.ends_in("{"):
            self._losses.record_loss(self._written.line, "an opening brace right before a value", meaning=True)
        self._written.append(f"{{{{{inner}}}}}")

    def _block_tag(self, inner: str) -> None:
        """Write a block tag, followed by a line break if it begins a line.

        A line with only a block tag is not part of the text.
        """
        begins = self._written.empty or self._written.ends_in("\n")
        self._tag(inner)
        self._written.append("\n" if begins else "")

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


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value}'" if '"' in value else f'"{value}"'
    return json.dumps(value)


_SCALARS = ("string", "boolean", "number", "integer")

_ODD = frozenset("(),?")  # letters that mean something in the name of a field


def picoschema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema in dotprompt's form: Picoschema, or JSON Schema if Picoschema cannot express it exactly."""
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
    """Picoschema cannot express the schema."""


def _fields(schema: Mapping[str, Any]) -> dict[str, Any]:
    fields = schema.get("properties")
    if schema.get("type") != "object" or not isinstance(fields, Mapping) or not fields:
        raise _NoWordsError
    required = set(schema.get("required", ()))
    schema_fields: dict[str, Any] = {}
    for name, each in fields.items():
        if not isinstance(each, Mapping) or _ODD & set(name) or name in ("type", "properties", "$ref"):
            raise _NoWordsError
        key, value = _field(name if name in required else f"{name}?", each, name in required)
        schema_fields[key] = value
    return schema_fields


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
