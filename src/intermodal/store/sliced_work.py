"""Long work in slices: a function of many rows calls a ``Pause`` between them; its caller decides what happens then.

Slices are of rows and not of time, so that the same work is divided in the same way everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Pause: TypeAlias = Callable[[], None]
SLICE = 50  # rows; reading one takes 40 µs, fitting it a few µs


def no_pause() -> None:
    """Continue at once."""


def sliced(rows: Iterable[T], pause: Pause) -> Iterator[T]:
    """The rows, with a pause after every ``SLICE`` of them.

    >>> pauses = []
    >>> len(list(sliced(range(120), lambda: pauses.append("pause")))), len(pauses)
    (120, 2)
    """
    for number, row in enumerate(rows, 1):
        yield row
        if number % SLICE == 0:
            pause()
