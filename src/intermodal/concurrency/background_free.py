"""Frees large values in slices, in a thread: freeing a conversation of 30,000 messages takes 10 to 30 ms.

Dropping the last reference to a value frees everything in it at once, and holds the interpreter meanwhile. So a thread
keeps large values (``free_in_background``) until nothing else refers to them, and then takes them apart.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any

from msgspec import Struct

LARGE = 1_000  # items, from which on a collection is freed so
LOOKS = 500  # values of a structure that are inspected when it is handed over: a tenth of a millisecond
SLICE = 500  # items that are freed at once: less than a millisecond
_DEEP = 4  # levels of nesting that are searched for large values
_AGAIN = 0.05  # seconds after which it is looked again whether others have let go
_LONGEST = 60.0  # seconds after which any remaining holder may free it
_OURS = 3  # references of our own: the container's, the variable's and the counting call's


class _Unscanned(Struct, frozen=True):
    """A value that has not been scanned for large collections yet."""

    value: Any


def free_in_background(value: Any) -> None:
    """Free the large collections in a value in slices, once nothing else refers to them. May be called anywhere."""
    found = _large(value, LOOKS)
    if found is None:
        _free_queue().put([_Unscanned(value)])
    elif found:
        _free_queue().put(found)


def _large(value: Any, looks: float) -> list[Any] | None:
    """Return the large collections in a value; None where it has more than ``looks`` values."""
    found: list[Any] = []
    left: list[tuple[Any, int]] = [(value, _DEEP)]
    while left:
        looks -= 1
        if looks < 0:
            return None
        each, deep = left.pop()
        if isinstance(each, (tuple, list, dict)):
            if len(each) >= LARGE:
                found.append(each)
            elif deep and isinstance(each, tuple):
                left += [(inner, deep - 1) for inner in each]
        elif deep and isinstance(each, Struct):
            left += [(getattr(each, name), deep - 1) for name in each.__struct_fields__]
    return found


@cache
def _free_queue() -> SimpleQueue[list[Any]]:
    queue: SimpleQueue[list[Any]] = SimpleQueue()
    threading.Thread(target=_free, args=(queue,), name="intermodal-freeing", daemon=True).start()
    return queue


def _free(queue: SimpleQueue[list[Any]]) -> None:
    """Free what comes through the queue once nothing else refers to it. Never returns."""
    held: dict[int, tuple[Any, float]] = {}  # by identity: a value may be handed over several times
    while True:
        with suppress(Empty):
            for each in _scanned(queue.get(timeout=_AGAIN if held else None)):
                held.setdefault(id(each), (each, time.monotonic() + _LONGEST))
        each = None
        for key in list(held):
            value, until = held[key]
            alone = sys.getrefcount(value) <= _OURS
            if alone or time.monotonic() > until:
                del held[key]
                left = _slices_of(value) if alone else []
                del value
                while left:
                    left.pop().clear()
                    time.sleep(0)  # yield the interpreter to waiting threads
            value = None


def _scanned(values: list[Any]) -> list[Any]:
    """Return the large collections of the values that were queued."""
    if len(values) == 1 and isinstance(values[0], _Unscanned):
        return _large(values[0].value, math.inf) or []
    return values


def _slices_of(value: Any) -> list[list[Any]]:
    """Return the contents of a collection in slices."""
    items: Iterable[Any] = value.values() if isinstance(value, dict) else value
    every = iter(items)
    return list(iter(lambda: list(islice(every, SLICE)), []))
