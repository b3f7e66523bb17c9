"""Shared by all template languages: limits, errors with a line, placeholders."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

from intermodal.errors import PromptError

MOST_STEPS = 100_000  # nodes of a template that are rendered, repetitions included: a second of processor time
MOST_LETTERS = 32 << 20
MOST_NESTED = 60  # lists within lists
NO_LINE = 0


class TemplateError(ValueError):
    """An error in a template. ``line``: line in the template, from 1; 0 if unknown."""

    def __init__(self, what: str, line: int = NO_LINE, todo: str = "") -> None:
        super().__init__(what)
        self.line = line
        self.todo = todo


class Slot(NamedTuple):
    """An element in a text that is not text itself."""

    kind: Literal["role", "history", "media", "section"]
    value: Any = None
    content_type: str = ""


M = TypeVar("M")


class Placeholders(Generic[M]):
    """Marks in a text for parts that are not text. ``kept``: these parts, in the order of their numbers.

    A mark contains a random word, so no value can be mistaken for one.
    """

    def __init__(self) -> None:
        self.kept: list[M] = []
        self._word = secrets.token_hex(16)

    def add(self, what: M) -> str:
        """Store a part; return its mark."""
        self.kept.append(what)
        return f"{self._word}:{len(self.kept) - 1};"

    def split_at_marks(self, text: str) -> list[str | M]:
        """Split a text at its marks: the result alternates between texts and parts, and begins and ends with a text."""
        pieces = re.split(f"{self._word}:(\\d+);", text)
        return [self.kept[int(piece)] if number % 2 else piece for number, piece in enumerate(pieces)]


class RenderingBudget:
    """The steps and characters that a rendering may still use."""

    def __init__(self) -> None:
        self.steps, self.letters = MOST_STEPS, MOST_LETTERS

    def step(self, count: int, letters: int) -> None:
        """Consume steps and characters. Raises TemplateError if the budget is exhausted."""
        self.steps -= count
        self.letters -= letters
        if self.steps < 0:
            raise TemplateError(f"takes more than {MOST_STEPS:,} steps to render", todo="loop over fewer values")
        if self.letters < 0:
            what = f"makes more than {MOST_LETTERS >> 20} MiB of text"
            raise TemplateError(what, todo="put a long value into it once")

    def consume_value(self, value: Any, depth: int = 0) -> None:
        """Consume a step for everything that a value contains. Raises TemplateError.

        A value that contains the same object repeatedly is large when rendered.
        """
        self.step(1, 0)
        if depth > MOST_NESTED:
            raise TemplateError("holds lists within lists too deep", todo="use fewer")
        for each in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
            self.consume_value(each, depth + 1)


def locate_error(path: Path, first: int, error: TemplateError) -> PromptError:
    """Return the error with file and line. ``first``: the first line of the template."""
    return PromptError(str(error), where=f"{path}:{first + max(error.line, 1) - 1}", todo=error.todo)


class HasRole(Protocol):
    """A message, or an object that is converted to one."""

    @property
    def role(self) -> str: ...


T = TypeVar("T", bound=HasRole)


def with_history(messages: Sequence[T], history: Iterable[T]) -> tuple[T, ...]:
    """Insert earlier messages before the last user message, unless the file places them."""
    last = len(messages) - 1 if messages and messages[-1].role == "user" else len(messages)
    return (*messages[:last], *history, *messages[last:])
