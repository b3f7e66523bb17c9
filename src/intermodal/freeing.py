"""Frees what is large in slices, in a thread: to free a conversation of 30,000 messages takes 10 to 30 ms.

Whoever lets go of a value last frees all that hangs on it, in one go, and keeps everybody else from the interpreter
meanwhile. So a thread holds on to what is large (``free_slowly``), until nobody else does, and then takes it apart.
"""

from __future__ import annotations

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
SLICE = 500  # items that are freed at once: less than a millisecond
_DEEP = 4  # values in each other that are looked through for what is large
_AGAIN = 0.05  # seconds after which it is looked again whether others have let go
_LONGEST = 60.0  # seconds after which whoever still holds it may free it
_OURS = 3  # references to what only we hold: of what is kept, of the variable and of the call that counts them


def free_slowly(value: Any) -> None:
    """Have the large collections in a value freed in slices, once nobody else holds them. May be called anywhere."""
    found: list[Any] = []
    _gather(value, found, _DEEP)
    if found:
        _freeing().put(found)


def _gather(value: Any, found: list[Any], deep: int) -> None:
    if isinstance(value, (tuple, list, dict)):
        if len(value) >= LARGE:
            found.append(value)
        elif deep and isinstance(value, tuple):
            for each in value:
                _gather(each, found, deep - 1)
    elif deep and isinstance(value, Struct):
        for name in value.__struct_fields__:
            _gather(getattr(value, name), found, deep - 1)


@cache
def _freeing() -> SimpleQueue[list[Any]]:
    queue: SimpleQueue[list[Any]] = SimpleQueue()
    threading.Thread(target=_free, args=(queue,), name="intermodal-freeing", daemon=True).start()
    return queue


def _free(queue: SimpleQueue[list[Any]]) -> None:
    """Take what comes, and free what nobody else holds any more. Never ends."""
    held: dict[int, tuple[Any, float]] = {}  # by identity: the same one may come several times
    while True:
        with suppress(Empty):
            for each in queue.get(timeout=_AGAIN if held else None):
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
                    time.sleep(0)  # whoever waits for the interpreter has it
            value = None


def _slices_of(value: Any) -> list[list[Any]]:
    """All that is in it, in slices."""
    items: Iterable[Any] = value.values() if isinstance(value, dict) else value
    every = iter(items)
    return list(iter(lambda: list(islice(every, SLICE)), []))
