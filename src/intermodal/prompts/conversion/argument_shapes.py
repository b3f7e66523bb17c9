"""What a template makes of its arguments: which are iterated as lists, and of which it reads fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from intermodal.prompts.conversion.template_tree import IfNode, LoopNode, MediumNode, Node, Path, ValueNode, paths_of

_WORDS = "some words"
_MOST_TWICE = 4  # lists within lists that have two items each


@dataclass
class ArgumentShape:
    """``items``: of what a list is made; None where it is none. ``fields``: by name."""

    items: ArgumentShape | None = None
    fields: dict[str, ArgumentShape] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """Whether it goes into the text as it is."""
        return self.items is None and not self.fields

    def sample(self, depth: int = 0) -> Any:
        """A small value of this shape. ``depth``: of lists around it; two items of each would be as many as a template
        nested that deep goes through for hours."""
        if self.items is not None:
            return [self.items.sample(depth + 1)] * (2 if depth < _MOST_TWICE else 1)
        return {name: each.sample(depth) for name, each in self.fields.items()} if self.fields else _WORDS


def shapes_of(nodes: Iterable[Node]) -> dict[str, ArgumentShape]:
    """The shape of each argument that a template reads."""
    found: dict[str, ArgumentShape] = {}
    _collect(nodes, found, {})
    return found


def _collect(nodes: Iterable[Node], found: dict[str, ArgumentShape], items: Mapping[str, ArgumentShape]) -> None:
    for node in nodes:
        if isinstance(node, ValueNode | MediumNode):
            _at(node.path, found, items)
        elif isinstance(node, IfNode):
            for path in paths_of(node.test):
                _at(path, found, items)
            _collect(node.then, found, items)
            _collect(node.otherwise, found, items)
        elif isinstance(node, LoopNode):
            place = _at(node.path, found, items)
            place.items = place.items or ArgumentShape()
            _collect(node.body, found, {**items, node.item: place.items})
            _collect(node.otherwise, found, items)


def _at(path: Path, found: dict[str, ArgumentShape], items: Mapping[str, ArgumentShape]) -> ArgumentShape:
    if not path:
        return ArgumentShape()
    root, *rest = path
    place = items[str(root)] if root in items else found.setdefault(str(root), ArgumentShape())
    for step in rest:
        if isinstance(step, int):
            place.items = place.items or ArgumentShape()
            place = place.items
        else:
            place = place.fields.setdefault(step, ArgumentShape())
    return place
