"""The tree that templates of all formats are read into and written from: texts, values, media, roles, branches.

A value is a path: the name of an argument, or of the item of an enclosing loop, followed by fields. Any other construct
of a template language is rejected with its line, so that no conversion changes the meaning.

The shapes of arguments are derived from the tree (``shapes_of``): which are iterated as lists, and which fields are
read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as with_fields
from typing import Any, Literal, NamedTuple

from intermodal.core.content import Role as MessageRole
from intermodal.prompts.prompt_file import PromptFile
from intermodal.prompts.rendering import TemplateError

Path = tuple[str | int, ...]
Fact = Literal["index", "number", "first", "last"]  # of an item: its place from 0, from 1, whether it is the first
# How a language spells a boolean: like JavaScript and JSON, or like Python.
Spelling = Literal["true", "True"]
_TRUTHS: Mapping[Spelling, tuple[str, str]] = {"true": ("true", "false"), "True": ("True", "False")}


@dataclass(frozen=True)
class TextNode:
    """Literal text."""

    text: str


@dataclass(frozen=True)
class ValueNode:
    """A value as text, or as JSON if ``json`` is set."""

    path: Path
    json: bool = False
    line: int = 1


@dataclass(frozen=True)
class LoopPosition:
    """The position of an item in its loop, as text."""

    fact: Fact
    line: int = 1


@dataclass(frozen=True)
class MediumNode:
    """A medium: the value of an argument or an item, or a URL or relative file named by the prompt file itself."""

    path: Path = ()
    url: str = ""
    media_type: str = ""
    line: int = 1


@dataclass(frozen=True)
class RoleNode:
    """The start of a message with this role."""

    role: MessageRole
    line: int = 1


@dataclass(frozen=True)
class HistoryNode:
    """The place where earlier messages are inserted."""

    line: int = 1


@dataclass(frozen=True)
class IsTruthy:
    """True if a value is present, and not empty, 0 or false."""

    path: Path


@dataclass(frozen=True)
class ItemIs:
    """True if the item is the first or the last of the loop."""

    fact: Fact


@dataclass(frozen=True)
class IsEqual:
    path: Path
    value: str | int | float | bool


@dataclass(frozen=True)
class NotTest:
    test: Test


@dataclass(frozen=True)
class AndTest:
    left: Test
    right: Test


@dataclass(frozen=True)
class OrTest:
    left: Test
    right: Test


Test = IsTruthy | ItemIs | IsEqual | NotTest | AndTest | OrTest


@dataclass(frozen=True)
class IfNode:
    test: Test
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...] = ()
    line: int = 1


@dataclass(frozen=True)
class LoopNode:
    """``body`` once for each item of a list; ``otherwise`` if it is empty. ``item``: name of the item."""

    item: str
    path: Path
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...] = ()
    line: int = 1


Node = TextNode | ValueNode | LoopPosition | MediumNode | RoleNode | HistoryNode | IfNode | LoopNode


class Loss(NamedTuple):
    """Something that was not converted. ``meaning``: the loss changes the meaning of the prompt."""

    line: int
    what: str
    meaning: bool = False


MOST_NODES = 20_000  # of a tree, with repetitions by partials and conditions counted


class NodeBudget:
    """The number of nodes that a tree may still add."""

    def __init__(self) -> None:
        self._left = MOST_NODES

    def count_node(self) -> None:
        """Count one node. Raises TemplateError if the limit is reached."""
        self._left -= 1
        if self._left < 0:
            what = f"is more than {MOST_NODES:,} texts, values and branches once nothing stands for something else"
            raise TemplateError(what, todo="convert a part of it")


@dataclass
class Losses:
    """Losses in the order in which they were found, without duplicates."""

    _found: dict[Loss, None] = field(default_factory=dict)

    @property
    def all(self) -> tuple[Loss, ...]:
        return tuple(self._found)

    def record_loss(self, line: int, what: str, *, meaning: bool = False) -> None:
        self._found.setdefault(Loss(line, what, meaning))


@dataclass(frozen=True)
class TemplateTree:
    """A prompt file as a tree.

    Attributes:
        spelling: how its language spells booleans. folds: white space in values is folded to single spaces.
        joins: consecutive messages of one role are merged.
    """

    file: PromptFile
    nodes: tuple[Node, ...]
    spelling: Spelling = "true"
    folds: bool = False
    joins: bool = False


class MessageNodes(NamedTuple):
    """The nodes of a message."""

    role: MessageRole
    nodes: tuple[Node, ...]


def iterate_nodes(nodes: Iterable[Node]) -> Iterator[Node]:
    """Yield every node in depth-first order, parents first."""
    for node in nodes:
        yield node
        if isinstance(node, IfNode):
            yield from iterate_nodes(node.then)
            yield from iterate_nodes(node.otherwise)
        elif isinstance(node, LoopNode):
            yield from iterate_nodes(node.body)
            yield from iterate_nodes(node.otherwise)


def fact_of(fact: Fact, line: int, spelling: Spelling = "true") -> Node:
    """Return the node that renders a property of a loop's item as text."""
    return in_words(ItemIs(fact), line, spelling) if fact in ("first", "last") else LoopPosition(fact, line)


def fact_test(fact: Fact) -> Test:
    """Return a test for a property of a loop's item: a zero-based index is true for all items but the first."""
    return ItemIs(fact) if fact in ("first", "last") else NotTest(ItemIs("first"))


def in_words(test: Test, line: int, spelling: Spelling) -> IfNode:
    """Return the node that renders a test as a boolean."""
    yes, no = _TRUTHS[spelling]
    return IfNode(test, (TextNode(yes),), (TextNode(no),), line)


def _replace_children(node: Node, change: Callable[[tuple[Node, ...]], tuple[Node, ...]]) -> Node:
    """Return the node with its children changed."""
    if isinstance(node, IfNode):
        return with_fields(node, then=change(node.then), otherwise=change(node.otherwise))
    if isinstance(node, LoopNode):
        return with_fields(node, body=change(node.body), otherwise=change(node.otherwise))
    return node


def join_texts(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Merge adjacent texts, and remove empty ones."""
    joined_nodes: list[Node] = []
    for each in nodes:
        node = _replace_children(each, join_texts)
        if isinstance(node, TextNode) and joined_nodes and isinstance(joined_nodes[-1], TextNode):
            joined_nodes[-1] = TextNode(joined_nodes[-1].text + node.text)
        elif not isinstance(node, TextNode) or node.text:
            joined_nodes.append(node)
    return tuple(joined_nodes)


def messages_of(nodes: Sequence[Node], losses: Losses) -> list[MessageNodes]:
    """Split the tree into messages, without blank lines around them, for a format that lists messages.

    Losses: a role within a branch, which makes the number of messages depend on values; a tool message; and a place for
    earlier messages that is not before the last question.
    """
    messages: list[MessageNodes | HistoryNode] = []
    role, inner = RoleNode("user"), list[Node]()

    def close() -> None:
        trimmed = _trim(join_texts(inner))
        if not trimmed:
            return
        if role.role == "tool":
            losses.record_loss(role.line, "a message of a tool", meaning=True)
        messages.append(MessageNodes("user" if role.role == "tool" else role.role, trimmed))

    for node in nodes:
        if isinstance(node, RoleNode | HistoryNode):
            close()
            inner.clear()
            if isinstance(node, HistoryNode):
                messages.append(node)
            else:
                role = node
            continue
        if isinstance(node, IfNode | LoopNode) and any(
            isinstance(each, RoleNode | HistoryNode) for each in iterate_nodes((node,))
        ):
            losses.record_loss(
                node.line, "messages that are there under a condition or once for each item", meaning=True
            )
            continue
        inner.append(node)
    close()
    for each in messages[:-2]:
        if isinstance(each, HistoryNode):
            losses.record_loss(
                each.line, "the place of earlier messages, which go before the last question", meaning=True
            )
    return [each for each in messages if isinstance(each, MessageNodes)]


def first_node(nodes: Iterable[Node]) -> Node | None:
    """Return the first node that is not white space; None if there is none."""
    return next((each for each in nodes if not isinstance(each, TextNode) or each.text.strip()), None)


def _trim(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    trimmed = list(nodes)
    if trimmed and isinstance(trimmed[0], TextNode):
        trimmed[0] = TextNode(trimmed[0].text.lstrip("\r\n"))
    if trimmed and isinstance(trimmed[-1], TextNode):
        trimmed[-1] = TextNode(trimmed[-1].text.rstrip())
    joined_nodes = join_texts(trimmed)
    return joined_nodes if first_node(joined_nodes) is not None else ()


def with_spelling(read: TemplateTree, spelling: Spelling) -> tuple[Node, ...]:
    """Return the nodes with booleans written out, if the two languages spell them differently."""
    if read.spelling == spelling:
        return read.nodes
    truths = {each.name for each in read.file.arguments if each.kind == "boolean"}

    def spell_all(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        return tuple(map(one, nodes))

    def one(node: Node) -> Node:
        if isinstance(node, ValueNode) and not node.json and len(node.path) == 1 and node.path[0] in truths:
            return in_words(IsTruthy(node.path), node.line, read.spelling)
        return _replace_children(node, spell_all)

    return join_texts(spell_all(read.nodes))


def test_paths(test: Test) -> Iterator[Path]:
    """Yield the paths that a test reads."""
    if isinstance(test, IsTruthy | IsEqual):
        yield test.path
    elif isinstance(test, NotTest):
        yield from test_paths(test.test)
    elif isinstance(test, AndTest | OrTest):
        yield from test_paths(test.left)
        yield from test_paths(test.right)


def dotted_path(path: Path, name: re.Pattern[str], constant: Callable[[str | int], str]) -> str:
    """Return a path in the syntax of Jinja and JavaScript.

    A field is ``a.b`` if it is a name, else ``a["b c"]`` or ``a[0]``.
    """
    root, *rest = path
    return str(root) + "".join(
        f".{each}" if isinstance(each, str) and name.fullmatch(each) else f"[{constant(each)}]" for each in rest
    )


def media_names(file: PromptFile) -> dict[str, Any]:
    """Return the modalities of media arguments, by name."""
    return {each.name: each.kind for each in file.arguments if each.is_media}


# ---- shapes of arguments ----------------------------------------------------------------------------


_WORDS = "some words"
_MOST_TWICE = 4  # lists within lists that have two items each


@dataclass
class ArgumentShape:
    """How a template uses a value. ``items``: shape of the items if it is a list, else None. ``fields``: by name."""

    items: ArgumentShape | None = None
    fields: dict[str, ArgumentShape] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """Whether the value is rendered as text without reading items or fields."""
        return self.items is None and not self.fields

    def sample(self, depth: int = 0) -> Any:
        """Return a small value of this shape.

        ``depth``: number of enclosing lists. Deeply nested lists get one item each, as rendering would otherwise take
        hours.
        """
        if self.items is not None:
            return [self.items.sample(depth + 1)] * (2 if depth < _MOST_TWICE else 1)
        return {name: each.sample(depth) for name, each in self.fields.items()} if self.fields else _WORDS


def shapes_of(nodes: Iterable[Node]) -> dict[str, ArgumentShape]:
    """Return the shape of each argument that a template reads."""
    found: dict[str, ArgumentShape] = {}
    _collect(nodes, found, {})
    return found


def _collect(nodes: Iterable[Node], shapes: dict[str, ArgumentShape], items: Mapping[str, ArgumentShape]) -> None:
    for node in nodes:
        if isinstance(node, ValueNode | MediumNode):
            _at(node.path, shapes, items)
        elif isinstance(node, IfNode):
            for path in test_paths(node.test):
                _at(path, shapes, items)
            _collect(node.then, shapes, items)
            _collect(node.otherwise, shapes, items)
        elif isinstance(node, LoopNode):
            place = _at(node.path, shapes, items)
            place.items = place.items or ArgumentShape()
            _collect(node.body, shapes, {**items, node.item: place.items})
            _collect(node.otherwise, shapes, items)


def _at(path: Path, shapes: dict[str, ArgumentShape], items: Mapping[str, ArgumentShape]) -> ArgumentShape:
    if not path:
        return ArgumentShape()
    root, *rest = path
    place = items[str(root)] if root in items else shapes.setdefault(str(root), ArgumentShape())
    for step in rest:
        if isinstance(step, int):
            place.items = place.items or ArgumentShape()
            place = place.items
        else:
            place = place.fields.setdefault(step, ArgumentShape())
    return place
