"""Limits of BAML templates: allowed constructs, and bounds on rendering.

The runtime renders in this process and without a limit, so constructs that could run forever are rejected: by syntax
when a file is read, by size when the values are known. Sizes are upper bounds, in steps and characters.

The length of ``ctx.output_format`` is computed from the declarations before the runtime renders it. The runtime writes
a class out wherever a field has it, so classes that contain others twice double the length with each level: a small
file could produce gigabytes. Recursive classes are written once, and referred to by name elsewhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from intermodal.prompts.baml.declarations import BamlType, Declaration
from intermodal.prompts.rendering import MOST_LETTERS, TemplateError

MOST_STEPS = 1_000_000  # takes the runtime about 0.2 s
_TAG = re.compile(r"\{%[-+]?\s*(\w+)(.*?)[-+]?%\}|\{\{(.*?)\}\}|\{#.*?#\}", re.DOTALL)
_RAW_END = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_CALL = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\s*\(")
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_REPLACE = re.compile(r"\|\s*replace\b")
_REPLACED = re.compile(r"\|\s*replace\s*\(\s*0*\s*(\d+)\s*,\s*(\d+)\s*\)")
_TAKEN = ("if", "elif", "else", "endif", "for", "endfor", "set")
_NO_CALLS = ("in", "not", "and", "or", "if", "elif", "else", "is")  # words that a parenthesis may follow


class TemplateLoop(NamedTuple):
    """``{% for … in … %}``: the names that it defines, and the expression that it iterates."""

    names: frozenset[str]
    source: str


class TemplateTag(NamedTuple):
    """A tag of a template. ``loops``: the enclosing loops, outermost first. ``writes``: it outputs text."""

    names: frozenset[str]
    loops: tuple[TemplateLoop, ...]
    writes: bool


@dataclass(frozen=True)
class MeasuredTemplate:
    """A template. ``made``: names that it sets. ``growth``: maximum factor by which it can lengthen a value."""

    tags: tuple[TemplateTag, ...]
    made: frozenset[str]
    growth: int


def measure_template(text: str, callable_names: frozenset[str]) -> MeasuredTemplate:
    """Parse the tags of a template. ``callable_names``: names of template strings.

    Raises TemplateError with the template's line for a rejected construct.
    """
    tags: list[TemplateTag] = []
    loops: list[TemplateLoop] = []
    set_names: set[str] = set()
    growth = 1
    for statement, body, line in _tags(text):
        plain = _QUOTED.sub(lambda found: f" 0{len(found[0]) - 2} ", body)  # replace each text by its length
        _check(statement, plain, line, callable_names)
        if statement == "for":
            names, _, source = plain.partition(" in ")
            loops.append(TemplateLoop(frozenset(_NAME.findall(names)), source.strip()))
        elif statement == "endfor" and loops:
            loops.pop()
        elif statement == "set":
            set_names.update(_NAME.findall(plain.partition("=")[0]))
        growth *= _growth_factor(statement, plain, line)
        tags.append(TemplateTag(frozenset(_NAME.findall(plain)), tuple(loops), not statement))
    return MeasuredTemplate(tuple(tags), frozenset(set_names), growth)


def _tags(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield each tag as its statement ("" for an expression), its content, and its line."""
    at = 0
    while (found := _TAG.search(text, at)) is not None:
        at = found.end()
        if found[0].startswith("{#"):
            continue
        line = text.count("\n", 0, found.start()) + 1
        statement = found[1] or ""
        if statement == "raw":
            end = _RAW_END.search(text, at)
            at = end.end() if end else len(text)
            continue
        yield statement, found[2] if statement else found[3], line


def _check(statement: str, plain: str, line: int, callable_names: frozenset[str]) -> None:
    if statement and statement not in _TAKEN:
        todo = "write if, for, set, or a template_string"
        raise TemplateError(f"{{% {statement} %}} is not taken", line, todo)
    if statement == "set" and "=" not in plain:
        raise TemplateError("{% set %} around a block is not taken", line, "write {% set name = value %}")
    if "*" in plain:
        raise TemplateError("* is not taken: it repeats texts", line, "give the product as an argument")
    for name in _CALL.findall(plain):
        filters = re.search(rf"(?:\||\bis)\s*(?:not\s+)?{name}\s*\(", plain)
        if name not in callable_names and name not in _NO_CALLS and not filters:
            todo = "call template strings, _.role and ctx.output_format alone"
            raise TemplateError(f"{name}() is not taken", line, todo)


def _growth_factor(statement: str, plain: str, line: int) -> int:
    """Return the maximum factor by which a tag lengthens its longest value."""
    factor = 1
    replaces = len(_REPLACE.findall(plain))
    if replaces:
        pairs = _REPLACED.findall(plain)
        if len(pairs) != replaces:
            raise TemplateError("replace takes two texts", line, 'write replace("this", "that")')
        for _, to in pairs:
            factor *= max(1, int(to))
    if statement == "set":
        factor *= max(1, len(_NAME.findall(plain)) - 1)
    return factor


def check_size(
    prompt: MeasuredTemplate,
    strings: Mapping[str, MeasuredTemplate],
    values: Mapping[str, Any],
    description_size: int = 0,
) -> None:
    """Raise TemplateError if the upper bound of rendering exceeds the limits.

    ``description_size``: characters of ``ctx.output_format``.
    """
    known = _Known(strings, values, description_size)
    steps, letters = known.cost(prompt, dict(values), ())
    if steps > MOST_STEPS:
        raise TemplateError(f"may take more than {MOST_STEPS:,} steps to render", todo="loop over fewer values")
    if letters > MOST_LETTERS:
        what = f"may make more than {MOST_LETTERS >> 20} MiB of text"
        raise TemplateError(what, todo="put a long value into it once")


class _Known:
    def __init__(
        self, strings: Mapping[str, MeasuredTemplate], values: Mapping[str, Any], description_size: int
    ) -> None:
        self._strings = strings
        self._told = description_size
        self._sizes = {name: rendered_size(value) for name, value in values.items()}
        self._all = sum(self._sizes.values())
        self._most = max((longest_list(value) for value in values.values()), default=0)
        self._cache: dict[str, tuple[int, int]] = {}

    def cost(self, one: MeasuredTemplate, values: Mapping[str, Any], within: tuple[str, ...]) -> tuple[int, int]:
        """Return the maximum steps and characters. ``within``: the enclosing calls of template strings."""
        steps = letters = 0
        for tag in one.tags:
            turns = [max(1, self._loop_turns(each, values)) for each in tag.loops]
            times = math.prod(turns)
            steps += times
            if tag.writes:
                letters += sum(self._letters(name, one, tag.loops, turns, values) for name in tag.names)
                letters += times * self._told * ("ctx" in tag.names)
            for name in tag.names & self._strings.keys():
                some, more = self._of_string(name, within)
                steps += times * some
                letters += times * more
        return steps, letters * one.growth

    def _of_string(self, name: str, within: tuple[str, ...]) -> tuple[int, int]:
        if name in within:
            raise TemplateError(f"template_string {name} leads back to itself", todo="take the call out")
        if name not in self._cache:
            self._cache[name] = self.cost(self._strings[name], {}, (*within, name))
        return self._cache[name]

    def _loop_turns(self, loop: TemplateLoop, values: Mapping[str, Any]) -> int:
        if not _DOTTED.fullmatch(loop.source):
            return max(self._all, len(loop.source))
        root = values.get(_root(loop.source))
        return len(root) if isinstance(root, str) else self._most

    def _letters(
        self,
        name: str,
        one: MeasuredTemplate,
        loops: tuple[TemplateLoop, ...],
        turns: list[int],
        values: Mapping[str, Any],
    ) -> int:
        """Return the characters of a name, written in all iterations.

        The iterated value itself is written only once, item by item.
        """
        left = list(turns)
        for place in reversed(range(len(loops))):
            if name in loops[place].names:
                left[place] = 1
                name = _root(loops[place].source) if _DOTTED.fullmatch(loops[place].source) else ""
        if name in values:
            return math.prod(left) * self._sizes[name]
        unknown = not name or name in one.made or not values  # within a template string, its parameters
        return math.prod(left) * self._all if unknown else 0


def _root(source: str) -> str:
    return source.partition(".")[0]


def rendered_size(value: Any) -> int:
    """Return the number of characters of a value when rendered."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(str(key)) + rendered_size(each) + 4 for key, each in value.items())
    if isinstance(value, list):
        return sum(rendered_size(each) + 2 for each in value)
    return 8


def longest_list(value: Any) -> int:
    """Return the number of items of the longest list or mapping in a value."""
    if isinstance(value, Mapping):
        return max(len(value), *(longest_list(each) for each in value.values())) if value else 0
    if isinstance(value, list):
        return max(len(value), *(longest_list(each) for each in value)) if value else 0
    return 0


# ---- the length of the output format ----------------------------------------------------------------


_PER_FIELD = 3  # a colon, a blank, a comma
_MORE = 200  # the sentence around it
_MOST = 10**12  # cap of a size, in letters or lines: sizes may double with each level


class _Size(NamedTuple):
    letters: int
    lines: int  # below the first, which grow by an indentation


class FormatSize:
    """Sizes of the output formats of a set of files. Each class is measured once."""

    def __init__(self, blocks: Mapping[str, Declaration]) -> None:
        self._blocks = {name: each for name, each in blocks.items() if each.kind in ("class", "enum", "type")}
        self._known: dict[str, _Size] = {}
        self._once: dict[str, int] = {}  # sizes of types that are written once: classes that refer to themselves
        self._leads = {name: [each for each in _referenced_types(block) if each in self._blocks]
                       for name, block in self._blocks.items()}  # fmt: skip
        for group in _groups(self._leads):
            block = self._blocks[group[0]]
            if len(group) == 1 and group[0] not in self._leads[group[0]]:
                self._known[group[0]] = self._size_of_block(block)
                continue
            self._known.update({name: _Size(len(name), 0) for name in group})
            self._once.update({name: self._size_of_block(self._blocks[name]).letters + len(name) for name in group})

    def letters(self, type: BamlType) -> int:
        """Return the approximate number of characters of the format of a type."""
        seen = set[str]()
        left = [each for each in _names_in(type) if each in self._blocks]
        while left:
            name = left.pop()
            if name not in seen:
                seen.add(name)
                left += self._leads[name]
        return self._size_of_type(type).letters + sum(self._once.get(name, 0) for name in seen) + _MORE

    def _size_of_block(self, block: Declaration) -> _Size:
        if block.kind == "type":
            return self._size_of_type(block.type)
        if block.kind == "enum":
            return _Size(sum(len(each.name) + len(str(each.attribute("description"))) + 4 for each in block.fields), 0)
        letters, lines = 2, 1
        for each in block.fields:
            inner, description = self._size_of_type(each.type), str(each.attribute("description"))
            name = str(each.attribute("alias") or each.name)
            letters += (
                len(name)
                + _PER_FIELD
                + inner.letters
                + 2 * (inner.lines + 1)
                + (len(description) + 6) * bool(description)
            )
            lines += 1 + inner.lines + bool(description)
        return _Size(min(letters + lines, _MOST), min(lines, _MOST))

    def _size_of_type(self, type: BamlType) -> _Size:
        if type.kind == "literal":
            return _Size(len(str(type.value)) + 2, 0)
        if type.items:
            each = [self._size_of_type(one) for one in type.items]
            return _Size(sum(one.letters for one in each) + 6 * len(each), sum(one.lines for one in each))
        return self._known.get(type.name) or _Size(len(type.name), 0)


def _referenced_types(block: Declaration) -> Iterator[str]:
    """Yield the type names that a declaration refers to."""
    yield from _names_in(block.type, *(each.type for each in block.fields))


def _names_in(*types: BamlType) -> Iterator[str]:
    left = list(types)
    while left:
        each = left.pop()
        left += each.items
        if each.kind == "name":
            yield each.name


def _groups(leads: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """Yield groups of names that refer to each other, dependencies first: Tarjan's strongly connected components.

    Without recursion, as a file may nest arbitrarily deep.
    """
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: dict[str, None] = {}
    for start in leads:
        if start in number:
            continue
        number[start] = low[start] = len(number)
        open_[start] = None
        path = [(start, iter(leads[start]))]
        while path:
            name, rest = path[-1]
            following = next((each for each in rest if each in leads), None)
            if following is None:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[name])
                if low[name] == number[name]:
                    group: list[str] = []
                    while name not in group[-1:]:
                        group.append(open_.popitem()[0])
                    yield group
            elif following not in number:
                number[following] = low[following] = len(number)
                open_[following] = None
                path.append((following, iter(leads[following])))
            elif following in open_:
                low[name] = min(low[name], number[following])
