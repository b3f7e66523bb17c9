"""The subset of Jinja that prompts need: parsed by Jinja2, rendered here, within limits and over plain data.

Jinja2's own sandbox prevents access to attributes and calls, but not nested loops. The parsed template is therefore
interpreted here: names, attributes of data, conditions, loops, a few filters and tests; nothing can be called or
included.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from intermodal.errors import NotInstalled
from intermodal.prompts.prompt_file import MediaValue
from intermodal.prompts.rendering import Placeholders, RenderingBudget, Slot, TemplateError, locate_error

if TYPE_CHECKING:
    from jinja2 import nodes

_MISSING = object()


@dataclass(frozen=True)
class JinjaTemplate:
    """A parsed template. Raises TemplateError with its line, and NotInstalled.

    ``slots``: names whose values are not text, with their placeholders. ``trims``: a line with only a block tag
    produces no line of text.
    """

    text: str
    slots: Mapping[str, Slot] = field(default_factory=dict)
    trims: bool = False

    def __post_init__(self) -> None:
        try:
            import jinja2
        except ImportError:
            todo = "run: pip install 'intermodal[prompts]'"
            raise NotInstalled("templates of Jinja need jinja2", todo=todo) from None
        try:
            language = jinja2.Environment(
                keep_trailing_newline=True, autoescape=False, trim_blocks=self.trims, lstrip_blocks=self.trims
            )
            program = language.parse(self.text)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(error.message or "is no template", error.lineno or 0) from None
        except RecursionError:
            raise TemplateError("is nested too deep", todo="use fewer blocks within blocks") from None
        object.__setattr__(self, "_program", program)

    @property
    def program(self) -> list[Any]:
        """The nodes of Jinja's parser."""
        body: list[Any] = self._program.body  # type: ignore[attr-defined]
        return body

    def names(self) -> dict[str, int]:
        """Return the names that the template reads and does not define, each with its first line."""
        from jinja2 import nodes

        assigned_names = {each.name for each in self._program.find_all(nodes.Name) if each.ctx == "store"}  # type: ignore[attr-defined]
        found: dict[str, int] = {}
        for each in self._program.find_all(nodes.Name):  # type: ignore[attr-defined]
            if each.ctx == "load" and each.name not in assigned_names and each.name != "loop":
                found.setdefault(each.name, each.lineno)
        return found

    def always_rendered_names(self) -> set[str]:
        """Return the names that are always rendered, regardless of other values."""
        from jinja2 import nodes

        found = set()
        for node in self.program:
            if isinstance(node, nodes.Output):
                found |= {each.name for each in node.find_all(nodes.Name)}
        return found

    def check(self) -> None:
        """Raise TemplateError, with its line, for an unsupported construct."""
        for node in _all_of(self._program):  # type: ignore[attr-defined]
            name = type(node).__name__
            if name not in _KNOWN:
                raise TemplateError(f"{node_name(node)} is not read here", node.lineno, todo=_TODO)
            if name == "Filter" and node.name not in _FILTERS:
                todo = f"filters are {', '.join(sorted(_FILTERS))}"
                raise TemplateError(f"no filter {node.name!r} is known", node.lineno, todo)
            if name == "Test" and node.name not in _TESTS:
                todo = f"tests are {', '.join(sorted(_TESTS))}"
                raise TemplateError(f"no test {node.name!r} is known", node.lineno, todo)

    def render(self, values: Mapping[str, Any]) -> list[str | Slot]:
        """Return texts, with placeholders between them. Raises TemplateError with its line."""
        walk = _Walk(self.slots)
        try:
            walk.nodes(self.program, dict(values))
        except RecursionError:
            raise TemplateError("is nested too deep", todo="use fewer blocks within blocks") from None
        return list(_join_texts(walk.pieces))


@dataclass(frozen=True)
class MarkedTemplate:
    """The body of a file, in which ``marks`` replace everything that is not text. ``first``: its first line."""

    path: Path
    body: JinjaTemplate
    marks: Placeholders[Slot]
    first: int

    @classmethod
    def parse(
        cls, path: Path, text: str, first: int, marks: Placeholders[Slot], slots: Mapping[str, Slot] | None = None
    ) -> Self:
        """Parse and check the body. Raises PromptError with file and line."""
        try:
            body = JinjaTemplate(text, slots or {})
            body.check()
        except TemplateError as error:
            raise locate_error(path, first, error) from None
        return cls(path, body, marks, first)

    def pieces(self, values: Mapping[str, Any]) -> Iterator[str | Slot]:
        """Yield texts, with placeholders between them. Raises PromptError with file and line."""
        try:
            rendered = self.body.render(values)
        except TemplateError as error:
            raise locate_error(self.path, self.first, error) from None
        for piece in rendered:
            yield from self.marks.split_at_marks(piece) if isinstance(piece, str) else (piece,)


def _join_texts(pieces: list[str | Slot]) -> Iterator[str | Slot]:
    """Merge adjacent texts."""
    texts: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            texts.append(piece)
            continue
        if texts:
            yield "".join(texts)
            texts = []
        yield piece
    if texts:
        yield "".join(texts)


_TODO = "use names, attributes, if, for, set and filters"


def _all_of(node: nodes.Node) -> Iterator[Any]:
    for each in node.iter_child_nodes():
        yield each
        yield from _all_of(each)


_NAMES = {
    "FromImport": "import", "Call": "a call", "CallBlock": "a call", "Slice": "a slice", "FilterBlock": "filter",
    "AssignBlock": "a block of set", "Filter": "a filter", "Test": "a test", "Compare": "a comparison",
    "Add": "a sum", "Sub": "a difference", "Mul": "a product", "Pow": "a power", "Concat": "texts that are joined",
    "Dict": "a table", "List": "a list",
}  # fmt: skip


def node_name(node: Any) -> str:
    """Return a readable name of a template node, for an error."""
    name = type(node).__name__
    return _NAMES.get(name, name.lower())


# ---- rendering ---------------------------------------------------------------------------------


class _Walk:
    """Renders once. ``pieces``: the output so far."""

    def __init__(self, slots: Mapping[str, Slot]) -> None:
        self.pieces: list[str | Slot] = []
        self._slots = slots
        self._budget = RenderingBudget()

    def nodes(self, body: list[Any], names: dict[str, Any]) -> None:
        for node in body:
            kind = type(node).__name__
            self._budget.step(1, 0)
            if kind == "Output":
                for each in node.nodes:
                    self._render(each, names)
            elif kind == "If":
                self.nodes(self._branch(node, names), names)
            elif kind == "For":
                self._loop(node, names)
            elif kind == "Assign" and type(node.target).__name__ == "Name":
                names[node.target.name] = self.value(node.node, names)
            elif kind == "Scope":
                self.nodes(node.body, dict(names))
            else:
                raise TemplateError(f"{node_name(node)} is not read here", node.lineno, todo=_TODO)

    def _branch(self, node: Any, names: dict[str, Any]) -> list[Any]:
        for each in (node, *node.elif_):
            if _is_truthy(self.value(each.test, names)):
                body: list[Any] = each.body
                return body
        other: list[Any] = node.else_
        return other

    def _loop(self, node: Any, names: dict[str, Any]) -> None:
        items = self.value(node.iter, names)
        if items is _MISSING or items is None:
            items = []
        if isinstance(items, Mapping):
            items = list(items)
        if not isinstance(items, list | tuple):
            raise TemplateError("a loop iterates something that is not a list", node.lineno, todo="give a list")
        if not items:
            self.nodes(node.else_, names)
        for number, item in enumerate(items):
            self._budget.step(1, 0)
            inner = dict(names)
            inner["loop"] = {"index": number + 1, "index0": number, "first": number == 0,
                             "last": number == len(items) - 1, "length": len(items)}  # fmt: skip
            _bind(node.target, item, inner)
            if node.test is None or _is_truthy(self.value(node.test, inner)):
                self.nodes(node.body, inner)

    def _render(self, node: Any, names: dict[str, Any]) -> None:
        if type(node).__name__ == "TemplateData":
            self._text(node.data)
            return
        if type(node).__name__ == "Name" and node.name in self._slots:
            self.pieces.append(self._slots[node.name])
            return
        value = self.value(node, names)
        for each in value if isinstance(value, list) and value and isinstance(value[0], MediaValue) else [value]:
            if isinstance(each, MediaValue):
                self.pieces.append(Slot("media", each))
            else:
                self._text(_value_text(each))

    def _text(self, text: str) -> None:
        self._budget.step(1, len(text))
        self.pieces.append(text)

    def value(self, node: Any, names: Mapping[str, Any]) -> Any:
        """Return the value of an expression; ``_MISSING`` if it is absent."""
        self._budget.step(1, 0)
        kind = type(node).__name__
        render = _VALUES.get(kind)
        if render is None:
            raise TemplateError(f"{node_name(node)} is not read here", node.lineno, todo=_TODO)
        value = render(self, node, names)
        if isinstance(value, str) and kind in _MAKES:
            self._budget.step(0, len(value))
        if kind in ("List", "Tuple", "Dict"):
            self._budget.consume_value(value)
        return value


def _bind(target: Any, item: Any, names: dict[str, Any]) -> None:
    if type(target).__name__ == "Name":
        names[target.name] = item
        return
    several = item if isinstance(item, list | tuple) else []
    for place, each in enumerate(getattr(target, "items", ())):
        _bind(each, several[place] if place < len(several) else _MISSING, names)


def _value_text(value: Any) -> str:
    if value is _MISSING or value is None:
        return "" if value is _MISSING else "None"
    if isinstance(value, str):
        return str.__str__(value)
    return (
        str(value)
        if isinstance(value, bool | int | float)
        else json.dumps(value, ensure_ascii=False, default=_missing_value_json)
    )


def _missing_value_json(value: Any) -> str:
    """Return the JSON form of a missing value inside another value."""
    return ""


def _step(value: Any, key: Any) -> Any:
    """Return an item of data; other attributes are not accessible."""
    if isinstance(value, Mapping):
        return value.get(key, _MISSING) if isinstance(key, str) else _MISSING
    if isinstance(value, list | tuple) and isinstance(key, int) and not isinstance(key, bool):
        return value[key] if -len(value) <= key < len(value) else _MISSING
    return _MISSING


def _attribute(walk: _Walk, node: Any, names: Mapping[str, Any]) -> Any:
    place = walk.value(node.node, names)
    if type(node).__name__ == "Getattr":
        return _step(place, node.attr)
    return _step(place, walk.value(node.arg, names))


def _compare(walk: _Walk, node: Any, names: Mapping[str, Any]) -> bool:
    left = walk.value(node.expr, names)
    for each in node.ops:
        right = walk.value(each.expr, names)
        try:
            if not _COMPARES[each.op](left, right):
                return False
        except TypeError:
            return False
        left = right
    return True


def _contains_item(one: Any, other: Any) -> bool:
    return other is not _MISSING and isinstance(other, str | list | tuple | Mapping) and one in other


_COMPARES: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "lteq": operator.le, "gt": operator.gt,
    "gteq": operator.ge, "in": _contains_item, "notin": lambda one, other: not _contains_item(one, other),
}  # fmt: skip


def _render_sum(walk: _Walk, node: Any, names: Mapping[str, Any]) -> Any:
    left, right = walk.value(node.left, names), walk.value(node.right, names)
    both_texts = isinstance(left, str) and isinstance(right, str)
    both_numbers = all(isinstance(each, int | float) for each in (left, right))
    if not (both_texts or both_numbers):
        raise TemplateError(
            "adds something other than two numbers or two strings", node.lineno, todo="join texts with ~"
        )
    return str(left) + str(right) if both_texts else left + right


def _apply_filter(walk: _Walk, node: Any, names: Mapping[str, Any]) -> Any:
    if node.name not in _FILTERS:
        raise TemplateError(f"no filter {node.name!r} is known", node.lineno)
    value = walk.value(node.node, names)
    arguments = [walk.value(each, names) for each in node.args]
    arguments += [walk.value(each.value, names) for each in node.kwargs]
    try:
        return _FILTERS[node.name](value, *arguments)
    except (TypeError, ValueError, AttributeError, KeyError, IndexError):
        what = f"filter {node.name!r} does not fit its value"
        raise TemplateError(what, node.lineno, todo="give it another") from None


def _text_of(value: Any) -> str:
    return _value_text(value)


_FILTERS: Mapping[str, Callable[..., Any]] = {
    "upper": lambda value: _text_of(value).upper(),
    "lower": lambda value: _text_of(value).lower(),
    "capitalize": lambda value: _text_of(value).capitalize(),
    "title": lambda value: _text_of(value).title(),
    "trim": lambda value: _text_of(value).strip(),
    "length": len,
    "count": len,
    "first": lambda value: value[0] if value else _MISSING,
    "last": lambda value: value[-1] if value else _MISSING,
    "join": lambda value, by="": _text_of(by).join(map(_value_text, value)),
    "default": lambda value, other="", empty=False: other if value is _MISSING or (empty and not value) else value,
    "d": lambda value, other="", empty=False: other if value is _MISSING or (empty and not value) else value,
    "replace": lambda value, old, new: _bounded_replace(_text_of(value), _text_of(old), _text_of(new)),
    "tojson": lambda value, indent=None: json.dumps(
        value, indent=indent, ensure_ascii=False, default=_missing_value_json
    ),
    "int": lambda value, other=0: int(value) if str(value).lstrip("-").isdecimal() else other,
    "string": _text_of,
    "safe": lambda value: value,
}


def _bounded_replace(text: str, old: str, new: str) -> str:
    """Return the text with ``old`` replaced. Raises ValueError if that would make it many times longer."""
    if len(text) + text.count(old) * len(new) > 4 * len(text) + (1 << 20):
        raise ValueError
    return text.replace(old, new)


_TESTS: Mapping[str, Callable[[Any], bool]] = {
    "defined": lambda value: value is not _MISSING,
    "undefined": lambda value: value is _MISSING,
    "none": lambda value: value is None,
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "mapping": lambda value: isinstance(value, Mapping),
    "sequence": lambda value: isinstance(value, list | tuple | str),
}


def _is_truthy(value: Any) -> bool:
    return value is not _MISSING and bool(value)


def _render_and(walk: _Walk, node: Any, names: Mapping[str, Any]) -> Any:
    left = walk.value(node.left, names)
    return walk.value(node.right, names) if _is_truthy(left) else left


def _render_or(walk: _Walk, node: Any, names: Mapping[str, Any]) -> Any:
    left = walk.value(node.left, names)
    return left if _is_truthy(left) else walk.value(node.right, names)


def _conditional(walk: _Walk, node: Any, names: Mapping[str, Any]) -> Any:
    if _is_truthy(walk.value(node.test, names)):
        return walk.value(node.expr1, names)
    return walk.value(node.expr2, names) if node.expr2 is not None else _MISSING


def _apply_test(walk: _Walk, node: Any, names: Mapping[str, Any]) -> bool:
    if node.name not in _TESTS:
        raise TemplateError(f"no test {node.name!r} is known", node.lineno)
    return _TESTS[node.name](walk.value(node.node, names))


_VALUES: Mapping[str, Callable[[_Walk, Any, Mapping[str, Any]], Any]] = {
    "Name": lambda walk, node, names: names.get(node.name, _MISSING),
    "Const": lambda walk, node, names: node.value,
    "TemplateData": lambda walk, node, names: node.data,
    "Getattr": _attribute,
    "Getitem": _attribute,
    "Compare": _compare,
    "Add": _render_sum,
    "Filter": _apply_filter,
    "Test": _apply_test,
    "And": _render_and,
    "Or": _render_or,
    "CondExpr": _conditional,
    "Not": lambda walk, node, names: not _is_truthy(walk.value(node.node, names)),
    "Neg": lambda walk, node, names: -walk.value(node.node, names),
    "Concat": lambda walk, node, names: "".join(_value_text(walk.value(each, names)) for each in node.nodes),
    "List": lambda walk, node, names: [walk.value(each, names) for each in node.items],
    "Tuple": lambda walk, node, names: [walk.value(each, names) for each in node.items],
    "Dict": lambda walk, node, names: {
        _value_text(walk.value(each.key, names)): walk.value(each.value, names) for each in node.items
    },
}
_MAKES = frozenset({"Concat", "Add", "Filter"})  # texts that were not there before
_KNOWN = frozenset({*_VALUES, "Output", "If", "For", "Assign", "Scope", "Operand", "Pair", "Keyword"})
