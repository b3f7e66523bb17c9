"""Templates of Prompty and GitHub to trees; what no tree expresses is refused with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from intermodal.prompts.conversion.template_tree import (
    AndTest,
    Fact,
    HistoryNode,
    IfNode,
    IsEqual,
    IsTruthy,
    LoopNode,
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
    fact_of,
    fact_test,
    first_node,
    join_texts,
    media_names,
)
from intermodal.prompts.github import NAME, GithubTemplate
from intermodal.prompts.jinja import MarkedTemplate, node_name
from intermodal.prompts.prompt_file import PromptFile
from intermodal.prompts.prompty import ROLES, PromptyTemplate
from intermodal.prompts.rendering import TemplateError, located

_FACTS: Mapping[str, Fact] = {"index0": "index", "index": "number", "first": "first", "last": "last"}
_TODO = "write it with names, if and for"


def read_prompty(file: PromptFile, losses: Losses) -> TemplateTree:
    """The tree of a Prompty file, or of one of LiteLLM's. Raises PromptError with its line for what no tree says."""
    template = file.template
    assert isinstance(template, MarkedTemplate)
    try:
        nodes = join_texts(Walk(template, media_names(file)).nodes(template.body.program, ()))
    except TemplateError as error:
        raise located(template.path, 1, error) from None
    roles = isinstance(template, PromptyTemplate) and any(slot.kind == "role" for slot in template.marks.kept)
    if roles and not isinstance(first_node(nodes), RoleNode):
        nodes = (RoleNode("system", template.first), *nodes)  # of what stands before the first line of a role
    return TemplateTree(file, nodes, spelling="True")


def read_github(file: PromptFile, losses: Losses) -> TemplateTree:
    """The tree of a file of GitHub's."""
    template = file.template
    assert isinstance(template, GithubTemplate)
    nodes: list[Node] = []
    for told in template.told:
        nodes.append(RoleNode(told.role, told.line))
        for number, piece in enumerate(NAME.split(told.content)):
            nodes.append(ValueNode((piece,), line=told.line) if number % 2 else TextNode(piece))
    return TemplateTree(file, join_texts(nodes))


class Walk:
    """Nodes of Jinja's parser. ``loops`` are the names of the items around, the innermost last. Lines are those of the
    file, in errors as well."""

    def __init__(self, template: MarkedTemplate, media: Mapping[str, Any]) -> None:
        self._template = template
        self._media = media
        self._lists = set[str]()  # items of lists of media
        self._named: Mapping[str, Path] = {}  # what names stand for that are neither arguments nor items

    def nodes(self, body: Sequence[Any], loops: tuple[str, ...]) -> list[Node]:
        made: list[Node] = []
        for node in body:
            kind = type(node).__name__
            if kind == "Output":
                for each in node.nodes:
                    made += self._put(each, loops)
            elif kind == "If":
                made.append(self._if(node, loops))
            elif kind == "For":
                made.append(self._loop(node, loops))
            else:
                raise self._refused(node, "set")  # the one other statement that is rendered
        return made

    def _if(self, node: Any, loops: tuple[str, ...]) -> IfNode:
        other = tuple(self.nodes(node.else_, loops))
        for each in reversed(node.elif_):
            test = self._test(each.test, loops)
            other = (IfNode(test, tuple(self.nodes(each.body, loops)), other, self._line(each)),)
        return IfNode(self._test(node.test, loops), tuple(self.nodes(node.body, loops)), other, self._line(node))

    def _loop(self, node: Any, loops: tuple[str, ...]) -> LoopNode:
        if type(node.target).__name__ != "Name" or node.test is not None:
            raise self._refused(node, "a loop with several names or a condition")
        item, path = self._item(node.target.name), self._path(node.iter, loops)
        if len(path) == 1 and path[0] in self._media:
            self._lists.add(item)
        around = self._named
        self._named = {**around, node.target.name: (item,)}
        body = self.nodes(node.body, (*loops, item))
        self._named = around
        return LoopNode(item, path, tuple(body), tuple(self.nodes(node.else_, loops)), self._line(node))

    def _item(self, name: str) -> str:
        """What the item of a loop is called in the tree."""
        return name

    def _put(self, node: Any, loops: tuple[str, ...]) -> Iterator[Node]:
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
            other = tuple(self._put(node.expr2, loops)) if node.expr2 is not None else ()
            yield IfNode(self._test(node.test, loops), tuple(self._put(node.expr1, loops)), other, line)
        elif (fact := self._fact(node, loops)) is not None:
            yield fact_of(fact, line, "True")
        else:
            path = self._path(node, loops)
            if path[0] in self._media or (len(path) == 1 and path[0] in self._lists):
                yield MediumNode(path=path, line=line)
            else:
                yield ValueNode(path, line=line)

    def _static(self, text: str, line: int) -> Iterator[Node]:
        for piece in self._template.marks.cut(text):
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
        raise self._refused(node)

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

    def _refused(self, node: Any, what: str = "") -> TemplateError:
        more = f" ({node.name})" if type(node).__name__ in ("Filter", "Test") else ""
        return TemplateError(f"{what or node_name(node)}{more} cannot be converted", self._line(node), _TODO)
