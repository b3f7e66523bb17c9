"""The length of ``ctx.output_format``, computed from the declarations before the runtime writes it.

The runtime writes a class out wherever a field has it, so classes that hold others twice double with each level: a
small file makes gigabytes. Recursive classes are written once, and named elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from intermodal.prompts.baml.declarations import BamlType, Declaration

_PER_FIELD = 3  # a colon, a blank, a comma
_MORE = 200  # the sentence around it
_MOST = 10**12  # letters and lines that are told apart: numbers double with each level, too


class _Size(NamedTuple):
    letters: int
    lines: int  # below the first, which grow by an indentation


class FormatSize:
    """Sizes of the formats of some files. Each class is counted once."""

    def __init__(self, blocks: Mapping[str, Declaration]) -> None:
        self._blocks = {name: each for name, each in blocks.items() if each.kind in ("class", "enum", "type")}
        self._known: dict[str, _Size] = {}
        self._once: dict[str, int] = {}  # of what is written once: classes that lead back to themselves
        self._leads = {name: [each for each in _named(block) if each in self._blocks]
                       for name, block in self._blocks.items()}  # fmt: skip
        for group in _groups(self._leads):
            block = self._blocks[group[0]]
            if len(group) == 1 and group[0] not in self._leads[group[0]]:
                self._known[group[0]] = self._written(block)
                continue
            self._known.update({name: _Size(len(name), 0) for name in group})
            self._once.update({name: self._written(self._blocks[name]).letters + len(name) for name in group})

    def letters(self, type: BamlType) -> int:
        """Of the format of a type, about."""
        seen = set[str]()
        left = [each for each in _names_in(type) if each in self._blocks]
        while left:
            name = left.pop()
            if name not in seen:
                seen.add(name)
                left += self._leads[name]
        return self._of(type).letters + sum(self._once.get(name, 0) for name in seen) + _MORE

    def _written(self, block: Declaration) -> _Size:
        if block.kind == "type":
            return self._of(block.type)
        if block.kind == "enum":
            return _Size(sum(len(each.name) + len(str(each.said("description"))) + 4 for each in block.fields), 0)
        letters, lines = 2, 1
        for each in block.fields:
            inner, told = self._of(each.type), str(each.said("description"))
            name = str(each.said("alias") or each.name)
            letters += len(name) + _PER_FIELD + inner.letters + 2 * (inner.lines + 1) + (len(told) + 6) * bool(told)
            lines += 1 + inner.lines + bool(told)
        return _Size(min(letters + lines, _MOST), min(lines, _MOST))

    def _of(self, type: BamlType) -> _Size:
        if type.kind == "literal":
            return _Size(len(str(type.value)) + 2, 0)
        if type.items:
            each = [self._of(one) for one in type.items]
            return _Size(sum(one.letters for one in each) + 6 * len(each), sum(one.lines for one in each))
        return self._known.get(type.name) or _Size(len(type.name), 0)


def _named(block: Declaration) -> Iterator[str]:
    """The names that a declaration has in its types."""
    yield from _names_in(block.type, *(each.type for each in block.fields))


def _names_in(*types: BamlType) -> Iterator[str]:
    left = list(types)
    while left:
        each = left.pop()
        left += each.items
        if each.kind == "name":
            yield each.name


def _groups(leads: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """Names that lead to one another, those that others lead to first: Tarjan's strongly connected components.

    Without recursion, as a file may nest as deep as it likes.
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
