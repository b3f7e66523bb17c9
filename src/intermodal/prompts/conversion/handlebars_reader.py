"""A template of dotprompt to a tree; what no tree expresses is refused with its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from intermodal.prompts.conversion.template_tree import (
    Fact,
    HistoryNode,
    IfNode,
    IsEqual,
    IsTruthy,
    LoopNode,
    Losses,
    MediumNode,
    Node,
    NodeBudget,
    NotTest,
    Path,
    RoleNode,
    TemplateTree,
    Test,
    TextNode,
    ValueNode,
    fact_of,
    fact_test,
    join_texts,
)
from intermodal.prompts.dotprompt.handlebars import BLOCKS, HELPERS, NUMBER, STEP
from intermodal.prompts.dotprompt.reader import ROLES, DotpromptTemplate
from intermodal.prompts.prompt_file import PromptFile
from intermodal.prompts.rendering import TemplateError, located

_FACTS: Mapping[str, Fact] = {"@index": "index", "@first": "first", "@last": "last"}
_MOST_DEEP = 60


class _Constant(NamedTuple):
    value: str | int | float | bool


@dataclass(frozen=True)
class _Scope:
    """Where paths begin: the values around, the innermost last; names of blocks and of partials."""

    around: tuple[Path, ...] = ((),)
    named: Mapping[str, Path | _Constant] = field(default_factory=dict)
    loops: int = 0

    def within(self, path: Path, named: Mapping[str, Path | _Constant] | None = None, *, loop: bool = False) -> _Scope:
        return _Scope((*self.around, path), {**self.named, **(named or {})}, self.loops + loop)


def read(file: PromptFile, losses: Losses) -> TemplateTree:
    """The tree of a dotprompt file. Raises PromptError with its line for what no tree says."""
    template = file.template
    assert isinstance(template, DotpromptTemplate)
    walk = _Walk(template, {each.name for each in file.arguments}, losses)
    try:
        nodes = walk.nodes(template.body._program, _Scope())  # type: ignore[attr-defined]
    except TemplateError as error:
        raise located(template.path, template.first, error) from None
    return TemplateTree(file, join_texts(nodes))


class _Walk:
    """Nodes of the parser are duck-typed: their classes have no public name."""

    def __init__(self, template: DotpromptTemplate, names: set[str], losses: Losses) -> None:
        self._template = template
        self._names = names
        self._losses = losses
        self._items = 0
        self._count = NodeBudget()
        self._lines: dict[str, int] = {}  # of words that were looked for: each look goes through the text
        self._deep = 0

    def nodes(self, program: Sequence[Any], scope: _Scope) -> list[Node]:
        self._deep += 1
        if self._deep > _MOST_DEEP:
            raise TemplateError("is nested too deep", todo="use fewer blocks within blocks")
        made: list[Node] = []
        for node in program:
            self._count.take()
            kind = type(node).__name__
            if kind == "Text":
                made.append(TextNode(node.value))
            elif kind == "Mustache":
                made += self._mustache(node.call, scope)
            elif kind == "Block":
                made += self._block(node, scope)
            elif kind == "Partial":
                made += self._partial(node, scope)
            else:
                word = getattr(node, "name", "") or "{{"
                raise self._refused(f"a {kind.lower()} block", word)
        self._deep -= 1
        return made

    def _mustache(self, call: Mapping[str, Any], scope: _Scope) -> list[Node]:
        name, words, named = call["name"], call["args"], call["hash"]
        line = self._line(name)
        if name == "role":
            word = words[0] if words else ""
            if word[:1] not in ("'", '"'):
                raise self._refused("a role that is a value", "role")
            return [RoleNode(ROLES[word[1:-1]], self._line(word[1:-1]))]
        if name == "media":
            return self._medium(named, scope)
        if name == "history":
            return [HistoryNode(line), RoleNode("assistant", line)]
        if name == "section":
            self._losses.say(line, "{{section}}, which marks a place for other readers")
            return []
        if name == "json":
            if named:
                raise self._refused("indented JSON", "json")
            path = self._path(words[0] if words else "", scope)
            return [] if isinstance(path, _Constant) else [ValueNode(path, json=True, line=line)]
        if name in (*BLOCKS, *HELPERS) or words:
            raise self._refused(f"{{{{{name}}}}} with words", name)
        fact = self._fact(name, scope)
        if fact is not None:
            return [fact_of(fact, line)]
        path = self._path(name, scope)
        if isinstance(path, _Constant):
            return [TextNode(str(path.value))] if name in scope.named else []
        return [ValueNode(path, line=line)]

    def _medium(self, named: Mapping[str, str], scope: _Scope) -> list[Node]:
        token, told = named.get("url", ""), named.get("contentType", "")
        if told and told[:1] not in ("'", '"'):
            raise self._refused("a content type that is a value", "media")
        if not token:
            return []
        path = self._path(token, scope)
        line = self._line("media")
        if isinstance(path, _Constant):
            return [MediumNode(url=str(path.value), media_type=told[1:-1], line=line)]
        return [MediumNode(path=path, media_type=told[1:-1], line=line)]

    def _block(self, node: Any, scope: _Scope) -> list[Node]:
        name, words, params = node.call["name"], node.call["args"], node.call["params"]
        line = self._line(name)
        if name in ("if", "unless"):
            if node.call["hash"]:
                raise self._refused("#if with includeZero", name)
            then, other = self.nodes(node.body, scope), self.nodes(node.inverse, scope)
            test = self._test(words[0] if words else "", scope)
            return [IfNode(test if name == "if" else NotTest(test), tuple(then), tuple(other), line)]
        if name in ("ifEquals", "unlessEquals") and len(words) == 2:
            then, other = self.nodes(node.body, scope), self.nodes(node.inverse, scope)
            equal: Test = self._equal(words, scope)
            return [IfNode(equal if name == "ifEquals" else NotTest(equal), tuple(then), tuple(other), line)]
        if name not in ("each", "with") or not words:
            raise self._refused(f"{{{{#{name}}}}}", name)
        path = self._path(words[0], scope)
        if isinstance(path, _Constant):
            raise self._refused(f"{{{{#{name}}}}} over what is no argument", name)
        if name == "with":
            inner = scope.within(path, {params[0]: path} if params else None)
            return [
                IfNode(
                    IsTruthy(path), tuple(self.nodes(node.body, inner)), tuple(self.nodes(node.inverse, scope)), line
                )
            ]
        if len(params) > 1:
            raise self._refused("a loop with a name for its index", params[1])
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
            raise self._refused(f"partial {node.name!r}, which is indented", node.name)
        if node.context_path:
            context = self._path(node.context_path, scope)
            if isinstance(context, _Constant):
                raise self._refused(f"partial {node.name!r} of what is no argument", node.name)
            scope = scope.within(context)
        named = {key: self._path(token, scope) for key, token in node.hash.items()}
        inner = _Scope(scope.around, {**scope.named, **named}, scope.loops)
        self._losses.say(self._line(node.name), f"partial {node.name!r}: its text stands in the file")
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
            raise self._refused(f"a condition of {token}", token)
        return IsTruthy(path)

    def _equal(self, words: Sequence[str], scope: _Scope) -> IsEqual:
        one, other = (self._path(word, scope) for word in words)
        if isinstance(one, _Constant):
            one, other = other, one
        if isinstance(one, _Constant) or not isinstance(other, _Constant):
            raise self._refused("a comparison of two values", words[0])
        return IsEqual(one, other.value)

    def _path(self, token: str, scope: _Scope) -> Path | _Constant:
        """The path that a token reads, or the constant that it is."""
        if token[:1] in "\"'" and token:
            return _Constant(token[1:-1])
        if token in ("true", "false"):
            return _Constant(token == "true")
        if NUMBER.fullmatch(token):
            return _Constant(float(token) if "." in token else int(token))
        if token.startswith("@root."):
            return tuple(_parts(token.removeprefix("@root.")))
        if not token or token[0] in "(@":
            raise self._refused(f"{token or 'an empty tag'}", token)
        parts, around = _parts(token), scope.around
        while parts and parts[0] == "..":
            around, parts = around[:-1], parts[1:]
        if not around or ".." in parts:
            raise self._refused(f"{token}, which leads out of the arguments", token)
        climbed = len(around) < len(scope.around)
        if not climbed and parts and parts[0] != "this" and str(parts[0]) in scope.named:
            start = scope.named[str(parts[0])]
            if isinstance(start, _Constant):
                return start
            return (*start, *parts[1:])
        path = (*around[-1], *(part for part in parts if part != "this"))
        if not path:
            raise self._refused(f"{token}: all arguments at once", token)
        return path

    # ---- lines ----------------------------------------------------------------------------------------

    def _line(self, word: str) -> int:
        """The line of the file with a tag that has the word."""
        if word not in self._lines:
            self._lines[word] = self._template.body.line_of(word) or 1
        return self._template.first + self._lines[word] - 1

    def _refused(self, what: str, word: str) -> TemplateError:
        line = self._template.body.line_of(word)
        return TemplateError(f"{what} cannot be converted", line, "write it with #if, #each and names")


def _parts(token: str) -> list[str | int]:
    return [int(word) if word.isdecimal() else bracket or word for bracket, word in STEP.findall(token)]
