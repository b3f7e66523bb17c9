"""Run computations whose duration depends on the input in a thread if they are long, off the event loop.

Reading, planning and writing a conversation of 20,000 messages takes seconds of pure Python. If this runs in a thread,
the loop gets its turn after each switch interval (0.2 ms in the gateway), and other requests are served meanwhile.
Short computations stay on the loop: a thread costs 50 to 100 µs.

The threads are used for nothing else. They are few, so that the loop never competes with many of them for the
interpreter, and more than one, so that a short computation does not wait behind a long one. A function that runs here
depends only on its arguments: it shares no mutable state with the loop.
"""

from __future__ import annotations

import asyncio
import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

from msgspec import Struct

# Frees large values in slices, in a thread: freeing a conversation of 30,000 messages takes 10 to 30 ms.
#
# Dropping the last reference to a value frees everything in it at once, and holds the interpreter meanwhile. So a
# thread keeps large values (``free_in_background``) until nothing else refers to them, and then takes them apart.


LARGE = 1_000  # a collection of at least this many items is freed in slices
LOOKS = 500  # values inspected in the calling thread: a tenth of a millisecond
SLICE = 500  # items that are freed at once: less than a millisecond
_DEEP = 4  # levels of nesting that are searched for large values
_AGAIN = 0.05  # seconds between checks for other references
_LONGEST = 60.0  # seconds after which it is left to its remaining holder
_OURS = 3  # references held here: by the container, the variable and the counting call


class _Unscanned(Struct, frozen=True):
    """A value that has not been scanned for large collections yet."""

    value: Any


def free_in_background(value: Any) -> None:
    """Free the large collections in a value in slices, once nothing else refers to them. Thread-safe."""
    found = _find_large(value, LOOKS)
    if found is None:
        _free_queue().put([_Unscanned(value)])
    elif found:
        _free_queue().put(found)


def _find_large(value: Any, looks: float) -> list[Any] | None:
    """Return the large collections in a value; None if more than ``looks`` values would have to be inspected."""
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
    """Free the collections received through the queue once nothing else refers to them. Never returns."""
    held_values: dict[int, tuple[Any, float]] = {}  # by identity: a value may be handed over several times
    while True:
        with suppress(Empty):
            for each in _large_collections(queue.get(timeout=_AGAIN if held_values else None)):
                held_values.setdefault(id(each), (each, time.monotonic() + _LONGEST))
        each = None
        for key in list(held_values):
            value, until = held_values[key]
            alone = sys.getrefcount(value) <= _OURS
            if alone or time.monotonic() > until:
                del held_values[key]
                left = _slices_of(value) if alone else []
                del value
                while left:
                    left.pop().clear()
                    time.sleep(0)  # yield the interpreter to waiting threads
            value = None


def _large_collections(values: list[Any]) -> list[Any]:
    """Return the large collections of the values that were queued."""
    if len(values) == 1 and isinstance(values[0], _Unscanned):
        return _find_large(values[0].value, math.inf) or []
    return values


def _slices_of(value: Any) -> list[list[Any]]:
    """Return the contents of a collection in slices."""
    items: Iterable[Any] = value.values() if isinstance(value, dict) else value
    every = iter(items)
    return list(iter(lambda: list(islice(every, SLICE)), []))


P = ParamSpec("P")
T = TypeVar("T")
THREADS = 4
MANY = 100  # parts of a request; processing more takes more than a few milliseconds
TOOLS = 16  # each with a schema
VALUES = 500  # of their schemas, that of the answer and further settings together
_TREES = (dict, list)
LONG = 64 << 10  # characters, or bytes of JSON
HEAVY = 1 << 20  # bytes of media; above this, they are digested and inspected in a thread


def is_long(messages: Sequence[Any], tools: Sequence[Any] = (), output: Any = None, settings: Any = None) -> bool:
    """Return whether a step over a conversation, the schemas of its tools or the ``output`` takes long.

    Inspects at most ``MANY`` parts and ``VALUES`` values of the schemas.
    """
    if len(messages) > MANY or len(tools) > TOOLS:
        return True
    schema = getattr(output, "schema", None)
    trees = [tool.schema for tool in tools] if schema is None else [schema, *(tool.schema for tool in tools)]
    trees += [value for _, value in getattr(settings, "own", ())]
    if trees and _many_values(trees):
        return True
    parts, letters, media = MANY, LONG, HEAVY
    for message in messages:
        parts -= len(message.parts)
        if parts < 0:
            return True
        for part in message.parts:
            letters -= len(getattr(part, "text", "")) + len(getattr(part, "arguments", ""))
            media -= len(getattr(getattr(part, "source", part), "data", b""))
    return letters < 0 or media < 0


def is_long_request(request: Any) -> bool:
    """Return whether a step over a whole ``Request`` or ``ChatCall`` takes long: messages, tools, output, settings."""
    return is_long(request.messages, request.tools, request.output, request.settings)


def _many_values(trees: list[Any]) -> bool:
    """Return whether JSON trees contain more than ``VALUES`` values."""
    left = VALUES
    while trees and left >= 0:
        tree = trees.pop()
        if isinstance(tree, (dict, list)):
            left -= len(tree)
            trees += [each for each in (tree.values() if isinstance(tree, dict) else tree) if type(each) in _TREES]
    return left < 0


async def offload(long: bool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function, in a thread if ``long`` is set; return its result or raise its error.

    A cancelled caller continues at once; the thread becomes free when the function returns.
    """
    if not long:
        return function(*args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(
        _threads(), partial(_run_and_free, function, *args, **kwargs)
    )


def _run_and_free(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    result = function(*args, **kwargs)
    free_in_background(result)
    return result


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="intermodal-offload")
