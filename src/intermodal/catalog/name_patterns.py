"""Rows of data that hold for every model whose name matches their pattern (``data/*.toml``)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

DATA = Path(__file__).parent / "data"


class PatternRow(Protocol):
    """A row that says which names it is of."""

    @property
    def match(self) -> str: ...


R = TypeVar("R", bound=PatternRow)
T = TypeVar("T")
Patterns = tuple[tuple[re.Pattern[str], T], ...]


def read_pattern_rows(name: str, kind: type[R]) -> Patterns[R]:
    """The rows of a file, each with its pattern. They stand in a list that is called like the file."""
    found = tomllib.loads((DATA / f"{name}.toml").read_text("utf-8"))[name]
    return compile_rows(msgspec.convert(found, tuple[kind, ...]))  # type: ignore[valid-type]


def compile_rows(rows: Iterable[R]) -> Patterns[R]:
    """Rows that were read, each with its pattern."""
    return tuple((re.compile(row.match), row) for row in rows)


def first_match(patterns: Patterns[T], *names: str) -> T | None:
    """The first row that matches any of these names; None where none does."""
    for pattern, row in patterns:
        for name in names:
            if pattern.search(name):
                return row
    return None
