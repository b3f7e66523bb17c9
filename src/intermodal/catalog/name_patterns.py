"""Data rows that apply to every model whose name matches their pattern (``data/*.toml``)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

DATA = Path(__file__).parent / "data"


class PatternRow(Protocol):
    """A row with a pattern for the names it applies to."""

    @property
    def match(self) -> str: ...


R = TypeVar("R", bound=PatternRow)
T = TypeVar("T")
Patterns = tuple[tuple[re.Pattern[str], T], ...]


def read_pattern_rows(name: str, kind: type[R]) -> Patterns[R]:
    """Read the rows of ``data/NAME.toml`` with their compiled patterns. The file has them in a list called NAME."""
    found = tomllib.loads((DATA / f"{name}.toml").read_text("utf-8"))[name]
    return compile_rows(msgspec.convert(found, tuple[kind, ...]))  # type: ignore[valid-type]


def compile_rows(rows: Iterable[R]) -> Patterns[R]:
    """Return rows, each with its compiled pattern."""
    return tuple((re.compile(row.match), row) for row in rows)


def first_match(patterns: Patterns[T], *names: str) -> T | None:
    """Return the first row that matches any of these names; None if there is none."""
    for pattern, row in patterns:
        for name in names:
            if pattern.search(name):
                return row
    return None
