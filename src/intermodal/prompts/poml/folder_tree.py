"""POML's ``<folder>``: the tree of a folder beside the prompt, as a list of lists.

Folders come before files, each by name, as in Microsoft's own renderer. A filter is a regular expression over names, of
folders too; it is matched in linear time. Links are not followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from intermodal.errors import IntermodalError
from intermodal.json_schema.budget import BudgetExhausted, StepBudget
from intermodal.json_schema.errors import InvalidSchema
from intermodal.json_schema.patterns import compile_pattern
from intermodal.prompts.media_references import within
from intermodal.prompts.rendering import TemplateError
from intermodal.prompts.source_text import names_of

DEPTH = 3  # levels below the folder, where maxDepth says nothing else
_DEEPEST = 16
_MOST = 2_000  # names
_STEPS = 1_000_000  # of matching a filter


class FolderEntry(NamedTuple):
    """A name, and what is in it where it is a folder that is looked into."""

    name: str
    children: tuple[FolderEntry, ...] = ()


class FolderTree:
    """Reads the tree of a folder. ``chosen``: a value takes part in its name."""

    def __init__(self, home: Path, line: int, *, chosen: bool) -> None:
        self._home = home
        self._line = line
        self._chosen = chosen
        self._left = _MOST

    def read(self, name: str, depth: str, pattern: str) -> FolderEntry:
        """The tree. Raises TemplateError for a folder that is not there or not beside the prompt, and for one with more
        than 2,000 names."""
        place = self._home / name
        if not name or not within(self._home, place):
            raise TemplateError(f"{name[:80]!r} is not in the folder of the prompt", self._line, todo="move it there")
        if not depth.isdecimal() or not 1 <= int(depth) <= _DEEPEST:
            raise TemplateError(f"maxDepth is {depth[:20]!r}", self._line, todo=f"write a number, 1 to {_DEEPEST}")
        keeps = self._filter(pattern)
        return FolderEntry(place.resolve().name, tuple(self._entries(place, int(depth), keeps)))

    def _entries(self, place: Path, depth: int, keeps: Callable[[str], bool]) -> Iterator[FolderEntry]:
        try:
            found = names_of(place, chosen=self._chosen)
        except IntermodalError as error:
            raise TemplateError(f"{place.name}: {error.what}", self._line, error.todo) from None
        for name, folder in found:
            if not keeps(name):
                continue
            self._left -= 1
            if self._left < 0:
                todo = "name a smaller folder, or give it a filter or a maxDepth"
                raise TemplateError(f"a folder has more than {_MOST:,} names", self._line, todo)
            inner = tuple(self._entries(place / name, depth - 1, keeps)) if folder and depth > 1 else ()
            yield FolderEntry(name, inner)

    def _filter(self, pattern: str) -> Callable[[str], bool]:
        if not pattern:
            return lambda name: True
        budget = StepBudget(_STEPS)
        try:
            compiled = compile_pattern(pattern, budget)
        except InvalidSchema as error:
            raise TemplateError(f"filter: {error.what}", self._line, "write a simpler one") from None

        def keeps(name: str) -> bool:
            try:
                return compiled.found(name, budget)
            except BudgetExhausted:
                raise TemplateError("filter: takes too long", self._line, "write a simpler one") from None

        return keeps
