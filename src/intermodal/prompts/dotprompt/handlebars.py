"""Handlebars templates: their names, known before rendering, and rendering within limits.

Parsed and rendered by ``dotpromptz-handlebars``. Added here: no value is mistaken for a marker, steps and characters
are counted, partials must not be circular, and errors name a line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from intermodal.errors import NotInstalled
from intermodal.prompts.prompt_file import MediaValue
from intermodal.prompts.rendering import MOST_STEPS, NO_LINE, Placeholders, RenderingBudget, Slot, TemplateError

_WORD = re.compile(r"[\w-]+")
_TAG = re.compile(r"\{{0,2}~?\s*([#/^]?)\s*([>*]?)\s*([^\s}~]*)")  # parts of a tag


@dataclass
class TemplateUses:
    """The names that a template reads (the first word of each path), and how it uses them.

    Attributes:
        names: in the order of the template. needed: names that are always rendered. own: names read by the template
            itself rather than only by a partial, which other templates use too.
        media: names in ``{{media url=…}}``, with the content type stated there; "" if none is stated.
        lists: names of lists whose items are used as media. roles: literal roles opened by the template.
    """

    names: dict[str, None] = field(default_factory=dict)
    needed: set[str] = field(default_factory=set)
    own: set[str] = field(default_factory=set)
    media: dict[str, str] = field(default_factory=dict)
    lists: set[str] = field(default_factory=set)
    roles: list[str] = field(default_factory=list)
    calls: set[str] = field(default_factory=set)


class _CountedNodes(list[Any]):
    """Nodes of a program; each iteration is charged to the budget."""

    budget: RenderingBudget
    letters = 0

    def __iter__(self) -> Iterator[Any]:
        self.budget.step(len(self) + 1, self.letters)
        return super().__iter__()


class _ChargedValue(str):
    """A value whose characters are charged to the budget each time it is rendered."""

    budget: RenderingBudget

    def __str__(self) -> str:
        self.budget.step(0, len(self))
        return str.__str__(self)


class _ChargedMedia(MediaValue):
    budget: RenderingBudget


@dataclass(frozen=True)
class HandlebarsTemplate:
    """A parsed template, with its partials by name. Raises TemplateError."""

    text: str
    partials: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        programs = {name: parse(text, f"partial {name}: ") for name, text in self.partials.items()}
        _check_circles(programs)
        object.__setattr__(self, "_program", parse(self.text))
        object.__setattr__(self, "_programs", programs)

    def uses(self) -> TemplateUses:
        """Return the names that a template reads, including its partials."""
        found = TemplateUses()
        walk = _Walk(found, self._programs, MOST_STEPS)  # type: ignore[attr-defined]
        walk.nodes(self._program, _Scope(((),)), sure=True)  # type: ignore[attr-defined]
        for name in found.names:
            if name in found.calls:
                raise TemplateError(f"no helper is called {name!r}", self.line_of(name), todo=_HELPERS_KNOWN)
        return found

    def line_of(self, word: str) -> int:
        """Return the line of the first tag that contains the word."""
        if _WORD.fullmatch(word):
            return self._lines_of_words.get(word, NO_LINE)
        pattern = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
        return next((line for line, tag in self._tags() if pattern.search(tag)), NO_LINE)

    @cached_property
    def _lines_of_words(self) -> dict[str, int]:
        """The first line of each word in tags, computed once for all words."""
        found: dict[str, int] = {}
        for line, tag in self._tags():
            for word in _WORD.findall(tag):
                found.setdefault(word, line)
        return found

    def _tags(self) -> Iterator[tuple[int, str]]:
        """Yield each tag with its line."""
        line, at, tag_count = 1, 0, 0
        while (start := self.text.find("{{", at)) >= 0 and (at := self.text.find("}}", start)) >= 0:
            line += self.text.count("\n", tag_count, start)
            tag_count = start
            yield line, self.text[start:at]

    def render(self, values: Mapping[str, Any], data: Mapping[str, Any] | None = None) -> list[str | Slot]:
        """Return texts, with placeholders between them. ``data``: the values of ``@name`` variables."""
        from dotpromptz_handlebars._render import render_program

        budget, marks = RenderingBudget(), Placeholders[Slot]()
        try:
            text = render_program(
                _with_budget(self._program, budget),  # type: ignore[attr-defined]
                _charge_values(dict(values), budget),
                data=_charge_values(dict(data or {}), budget),
                helpers=_helpers(marks, budget),
                partials={name: _with_budget(each, budget) for name, each in self._programs.items()},  # type: ignore[attr-defined]
                escape_html=False,
                strict=False,
            )
        except TemplateError:
            raise
        except RecursionError:
            raise TemplateError("is nested too deep", todo="use fewer blocks within blocks") from None
        except ValueError as error:
            raise self._error_with_place(str(error)) from None
        return marks.split_at_marks(text)

    def _error_with_place(self, message: str) -> TemplateError:
        name = re.search(r'Missing helper: "([^"]*)"|partial (\S+) could not', message)
        if name is None:
            return TemplateError(message[:1].lower() + message[1:])
        word = name[1] or name[2]
        if name[1]:
            return TemplateError(f"no helper is called {word!r}", self.line_of(word), todo=_HELPERS_KNOWN)
        todo = f"put it into _{word}.prompt beside this file"
        return TemplateError(f"there is no partial {word!r}", self.line_of(word), todo=todo)


def parse(text: str, of: str = "") -> list[Any]:
    """Return the program of a template. Raises TemplateError with its line, and NotInstalled."""
    try:
        from dotpromptz_handlebars._render import compile_template
    except ImportError:
        todo = "run: pip install 'intermodal[prompts]'"
        raise NotInstalled("templates of Handlebars need dotpromptz-handlebars", todo=todo) from None
    try:
        return list(compile_template(text))
    except RecursionError:
        raise TemplateError(f"{of}is nested too deep", todo="use fewer blocks within blocks") from None
    except (ValueError, IndexError) as error:
        message = str(error) or "a tag is not complete"
        raise TemplateError(f"{of}{message}", NO_LINE if of else _line_of_mistake(text)) from None


def _line_of_mistake(text: str) -> int:
    """Return the line of the first unbalanced tag, found in the text, since the parser does not report it."""
    text = _without_comments(text)
    stack: list[tuple[str, int]] = []
    line, at = 1, 0
    while (start := text.find("{{", at)) >= 0:
        line += text.count("\n", at, start)
        at = text.find("}}", start)
        if at < 0:
            return line
        tag = _TAG.match(text[start + 2 : min(at, start + 200)])
        if tag is not None and tag[1] in ("#", "^") and (tag[2] or tag[3]):
            stack.append(("inline" if tag[2] == "*" else tag[3], line))
        elif tag is not None and tag[1] == "/":
            if not stack or stack[-1][0] != tag[3]:
                return line
            stack.pop()
        line += text.count("\n", start, at)
    return stack[-1][1] if stack else NO_LINE


def _without_comments(text: str) -> str:
    """Replace comments by spaces, keeping line breaks and length."""
    pieces, at = [], 0
    while (start := text.find("{{!--", at)) >= 0 and (end := text.find("--}}", start)) >= 0:
        pieces += [text[at:start], re.sub(r"[^\n]", " ", text[start : end + 4])]
        at = end + 4
    return "".join((*pieces, text[at:]))


def _check_circles(programs: Mapping[str, list[Any]]) -> None:
    """Raise TemplateError if a partial includes itself, directly or indirectly."""
    checked_names: set[str] = set()

    def follow(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            around = " -> ".join((*path[path.index(name) :], name))
            raise TemplateError(f"partials go round in a circle: {around}", todo="end it")
        if name in checked_names or name not in programs:
            return
        for each in _partials_in(programs[name]):
            follow(each, (*path, name))
        checked_names.add(name)

    for name in programs:
        follow(name, ())


def _partials_in(nodes: Sequence[Any]) -> Iterator[str]:
    for node in nodes:
        if type(node).__name__ in ("Partial", "PartialBlock"):
            yield node.name
        for inner in (getattr(node, "body", ()), getattr(node, "inverse", ())):
            yield from _partials_in(inner)


# ---- rendering ---------------------------------------------------------------------------------


def _with_budget(nodes: Sequence[Any], budget: RenderingBudget) -> _CountedNodes:
    """Return a copy of a program whose nodes are charged to the budget.

    It is copied since renderings share programs.
    """
    import copy

    counted_nodes = _CountedNodes()
    counted_nodes.budget = budget
    for node in nodes:
        inner = {name: getattr(node, name, None) for name in ("body", "inverse")}
        if any(isinstance(each, list) for each in inner.values()):
            node = copy.copy(node)
            for name, each in inner.items():
                if isinstance(each, list):
                    setattr(node, name, _with_budget(each, budget))
        counted_nodes.letters += len(getattr(node, "value", ""))
        counted_nodes.append(node)
    return counted_nodes


def _charge_values(value: Any, budget: RenderingBudget) -> Any:
    if isinstance(value, MediaValue):
        media = _ChargedMedia(value)
        media.part = value.part
        return media
    if isinstance(value, str):
        charged_value = _ChargedValue(value)
        charged_value.budget = budget
        return charged_value
    if isinstance(value, Mapping):
        return {key: _charge_values(each, budget) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_charge_values(each, budget) for each in value]
    return value


Helper = Callable[[list[Any], Any], Any]
HELPERS = ("history", "ifEquals", "json", "log", "lookup", "media", "role", "section", "unlessEquals")
BLOCKS = ("if", "unless", "each", "with")
_HELPERS_KNOWN = f"helpers are {', '.join(sorted({*HELPERS, *BLOCKS} - {'log'}))}"


def _helpers(marks: Placeholders[Slot], budget: RenderingBudget) -> dict[str, Helper]:
    put = marks.add

    def role(words: list[Any], options: Any) -> str:
        return put(Slot("role", str(words[0]))) if words else ""

    def media(words: list[Any], options: Any) -> str:
        url = options.hash.get("url")
        if not url:
            return ""
        kind = options.hash.get("contentType")
        return put(Slot("media", url, str(kind) if kind else ""))

    def as_json(words: list[Any], options: Any) -> str:
        if not words:
            return ""
        wanted_indent = options.hash.get("indent")
        indent = int(wanted_indent) if str(wanted_indent).isdecimal() and 0 < int(wanted_indent) <= 16 else None
        separators = (",", ":") if indent is None else None
        text = json.dumps(words[0], indent=indent, separators=separators, ensure_ascii=False)
        budget.step(0, len(text))
        return text

    return {
        "role": role,
        "media": media,
        "json": as_json,
        "history": lambda words, options: put(Slot("history")),
        "section": lambda words, options: put(Slot("section", str(words[0]))) if words else "",
        "ifEquals": lambda words, options: _block_body(
            options, len(words) > 1 and _strict_equal(words[0], words[1]), words
        ),
        "unlessEquals": lambda words, options: _block_body(
            options, len(words) > 1 and not _strict_equal(words[0], words[1]), words
        ),
        "lookup": lambda words, options: _look_up(*words[:2]) if len(words) > 1 else None,
        "log": lambda words, options: "",  # standard output is for answers
    }


def _block_body(options: Any, yes: bool, words: list[Any]) -> Any:
    if len(words) < 2:
        return ""
    return options.fn() if yes else options.inverse()


def _strict_equal(one: Any, other: Any) -> bool:
    """Return whether two values are equal as in JavaScript's ``===``: a boolean does not equal a number."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _look_up(place: Any, key: Any) -> Any:
    if isinstance(place, dict):
        return place.get(key) if isinstance(key, str) else None
    if isinstance(place, list) and str(key).isdecimal() and int(key) < len(place):
        return place[int(key)]
    return None


# ---- names that a template uses ------------------------------------------------------------------

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
STEP = re.compile(r"\[([^\]]*)\]|(\.\.|[^./\[\]]+)")  # of a path: a name in brackets, or a word
_Path = tuple[str, ...]
_ITEM = "[]"


class _Scope(NamedTuple):
    """The scope of paths: the enclosing contexts, innermost last; None is a context that is not part of an argument."""

    around: tuple[_Path | None, ...]
    named: Mapping[str, _Path | None] = {}

    def within(self, path: _Path | None, bindings: Mapping[str, _Path | None] | None = None) -> _Scope:
        return _Scope((*self.around, path), {**self.named, **(bindings or {})})

    def path(self, token: str) -> _Path | None:
        """Return the path from the arguments to the value that a token reads; None if it reads no argument."""
        if not token or token[0] in "\"'(@" or token in ("true", "false") or NUMBER.fullmatch(token):
            return None
        parts = [bracket or word for bracket, word in STEP.findall(token)]
        around = self.around
        while parts and parts[0] == "..":
            around, parts = around[:-1], parts[1:]
        if not around:
            return None
        parts = [part for part in parts if part != "this"]
        if parts and parts[0] in self.named and ".." not in token:
            start = self.named[parts[0]]
            return None if start is None else (*start, *parts[1:])
        return None if around[-1] is None else (*around[-1], *parts)


class _Walk:
    """Visits a program once. Nodes are duck-typed: their classes have no public name."""

    def __init__(self, template_uses: TemplateUses, programs: Mapping[str, list[Any]], left: int) -> None:
        self._found = template_uses
        self._programs = programs
        self._left = left
        self._partials = 0  # that it is within

    def nodes(self, nodes: Sequence[Any], scope: _Scope, *, sure: bool, depth: int = 0) -> None:
        for node in nodes:
            self._left -= 1
            if self._left < 0 or depth > 100:
                raise TemplateError("is nested too deep", todo="use fewer partials within partials")
            kind = type(node).__name__
            if kind == "Mustache":
                self._call(node.call, scope, sure=sure)
            elif kind == "Block":
                self._block(node, scope, sure, depth + 1)
            elif kind in ("Partial", "PartialBlock"):
                self._partial(node, scope, sure, depth + 1)
            elif kind == "InlinePartial":
                self.nodes(node.body, scope, sure=False, depth=depth + 1)

    def _call(self, call: Mapping[str, Any], scope: _Scope, *, sure: bool) -> None:
        name, words, named_arguments = call["name"], call["args"], call["hash"]
        if name not in HELPERS:
            if words or named_arguments:
                self._found.calls.add(name)
            self._read(name, scope, sure=sure)
        if name == "role" and words and words[0][:1] in "\"'":
            self._found.roles.append(words[0][1:-1])
        for token in (*words, *(value for key, value in named_arguments.items() if (name, key) != ("media", "url"))):
            self._read(token, scope, sure=sure)
        if name == "media" and "url" in named_arguments:
            self._media(named_arguments, scope, sure=sure)

    def _media(self, named_arguments: Mapping[str, str], scope: _Scope, *, sure: bool) -> None:
        path, media_type = scope.path(named_arguments["url"]), named_arguments.get("contentType", "")
        self._read(named_arguments["url"], scope, sure=sure)
        if path and path[1:] in ((), (_ITEM,)):
            self._found.media.setdefault(path[0], media_type[1:-1] if media_type[:1] in ("'", '"') else "")
            if path[1:]:
                self._found.lists.add(path[0])

    def _read(self, token: str, scope: _Scope, *, sure: bool) -> None:
        if token.startswith("("):
            for word in re.findall(r"[^\s()]+", token)[1:]:
                self._read(word.partition("=")[2] or word, scope, sure=False)
            return
        path = scope.path(token)
        if path and path[0] != _ITEM:
            self._found.names.setdefault(path[0])
            if sure:
                self._found.needed.add(path[0])
            if not self._partials:
                self._found.own.add(path[0])

    def _block(self, node: Any, scope: _Scope, sure: bool, depth: int) -> None:
        name, words, params = node.call["name"], node.call["args"], node.call["params"]
        inner = scope
        if name in ("each", "with") and words:
            path = scope.path(words[0])
            inner_path = None if path is None else (*path, _ITEM) if name == "each" else path
            bindings = {params[0]: inner_path} if params else {}
            bindings.update(dict.fromkeys(params[1:]))
            inner = scope.within(inner_path, bindings)
            self._read(words[0], scope, sure=False)
        elif name in (*BLOCKS, *HELPERS):
            for token in (*words, *node.call["hash"].values()):
                self._read(token, scope, sure=False)
        else:  # {{#name}} is a section: of a list each item, of a value itself
            self._read(name, scope, sure=False)
            path = scope.path(name)
            self.nodes(node.body, scope, sure=False, depth=depth)  # of a truth, the values around
            inner = scope.within(None if path is None else (*path, _ITEM))
        self.nodes(node.body, inner, sure=False, depth=depth)
        self.nodes(node.inverse, scope, sure=False, depth=depth)

    def _partial(self, node: Any, scope: _Scope, sure: bool, depth: int) -> None:
        for token in node.hash.values():
            self._read(token, scope, sure=False)
        if type(node).__name__ == "PartialBlock":
            self.nodes(node.body, scope, sure=False, depth=depth)
        program = self._programs.get(node.name)
        if program is None:
            return
        context = scope.path(node.context_path) if node.context_path else scope.around[-1]
        bindings = {key: scope.path(token) for key, token in node.hash.items()}
        self._partials += 1
        self.nodes(program, _Scope((context,), bindings), sure=sure and not node.context_path, depth=depth)
        self._partials -= 1
