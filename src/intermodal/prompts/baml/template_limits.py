"""What a template of BAML may hold, and how much rendering it may take.

The runtime renders without a bound and in this process, so what could run without end is refused: by its words when
a file is read, by its size when the values are known. The sums are upper bounds, in steps and letters.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from intermodal.prompts.rendering import MOST_LETTERS, TemplateError

MOST_STEPS = 1_000_000  # 0.2 s of the runtime
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
    """``{% for … in … %}``: the names that it makes, and what it goes through."""

    names: frozenset[str]
    source: str


class TemplateTag(NamedTuple):
    """A tag of a template. ``loops``: those around it, the outermost first. ``writes``: it makes text."""

    names: frozenset[str]
    loops: tuple[TemplateLoop, ...]
    writes: bool


@dataclass(frozen=True)
class MeasuredTemplate:
    """A template. ``made``: names that it sets. ``growth``: by how much it can make a value longer, at most."""

    tags: tuple[TemplateTag, ...]
    made: frozenset[str]
    growth: int


def measure_template(text: str, callable_names: frozenset[str]) -> MeasuredTemplate:
    """Read a template's tags. ``callable_names``: of template strings.

    Raises TemplateError with the template's line for what is not taken.
    """
    tags: list[TemplateTag] = []
    loops: list[TemplateLoop] = []
    made: set[str] = set()
    growth = 1
    for statement, body, line in _tags(text):
        plain = _QUOTED.sub(lambda found: f" 0{len(found[0]) - 2} ", body)  # lengths in place of texts
        _check(statement, plain, line, callable_names)
        if statement == "for":
            names, _, source = plain.partition(" in ")
            loops.append(TemplateLoop(frozenset(_NAME.findall(names)), source.strip()))
        elif statement == "endfor" and loops:
            loops.pop()
        elif statement == "set":
            made.update(_NAME.findall(plain.partition("=")[0]))
        growth *= _grown(statement, plain, line)
        tags.append(TemplateTag(frozenset(_NAME.findall(plain)), tuple(loops), not statement))
    return MeasuredTemplate(tuple(tags), frozenset(made), growth)


def _tags(text: str) -> Iterator[tuple[str, str, int]]:
    """Statement ("" of an expression), what stands in it, line."""
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


def _grown(statement: str, plain: str, line: int) -> int:
    """By how much a tag makes its longest value longer, at most."""
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
    prompt: MeasuredTemplate, strings: Mapping[str, MeasuredTemplate], values: Mapping[str, Any], told: int = 0
) -> None:
    """Hold what rendering may take against the bounds. ``told``: letters of ``ctx.output_format``. Raises
    TemplateError."""
    known = _Known(strings, values, told)
    steps, letters = known.cost(prompt, dict(values), ())
    if steps > MOST_STEPS:
        raise TemplateError(f"may take more than {MOST_STEPS:,} steps to render", todo="loop over fewer values")
    if letters > MOST_LETTERS:
        what = f"may make more than {MOST_LETTERS >> 20} MiB of text"
        raise TemplateError(what, todo="put a long value into it once")


class _Known:
    def __init__(self, strings: Mapping[str, MeasuredTemplate], values: Mapping[str, Any], told: int) -> None:
        self._strings = strings
        self._told = told
        self._sizes = {name: size(value) for name, value in values.items()}
        self._all = sum(self._sizes.values())
        self._most = max((most(value) for value in values.values()), default=0)
        self._cache: dict[str, tuple[int, int]] = {}

    def cost(self, one: MeasuredTemplate, values: Mapping[str, Any], within: tuple[str, ...]) -> tuple[int, int]:
        """Steps and letters, at most. ``within``: the template strings that it is called by."""
        steps = letters = 0
        for tag in one.tags:
            turns = [max(1, self._turns(each, values)) for each in tag.loops]
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

    def _turns(self, loop: TemplateLoop, values: Mapping[str, Any]) -> int:
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
        """Letters of a name, written in all turns. What a loop goes through it writes once, part by part."""
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


def size(value: Any) -> int:
    """Letters of a value, as it is written."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(str(key)) + size(each) + 4 for key, each in value.items())
    if isinstance(value, list):
        return sum(size(each) + 2 for each in value)
    return 8


def most(value: Any) -> int:
    """Items of the longest list or mapping in a value."""
    if isinstance(value, Mapping):
        return max(len(value), *(most(each) for each in value.values())) if value else 0
    if isinstance(value, list):
        return max(len(value), *(most(each) for each in value)) if value else 0
    return 0
