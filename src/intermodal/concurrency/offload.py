"""Runs computations whose length depends on the input in a thread where they are long, off the event loop.

Reading, planning and writing a conversation of 20,000 messages takes seconds of pure Python. In a thread, the loop gets
its turn after each switch interval (0.2 ms in the gateway), and other requests are served meanwhile. Short computations
stay on the loop: a thread costs 50 to 100 µs.

The threads are used for nothing else. They are few, so that the loop never competes with many of them for the
interpreter, and more than one, so that a short computation does not wait behind a long one. A function that runs here
depends on its arguments alone: it shares no mutable state with the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, ParamSpec, TypeVar

from intermodal.concurrency.background_free import free_in_background

P = ParamSpec("P")
T = TypeVar("T")
THREADS = 4
MANY = 100  # parts of a request; a step over more takes more than a few milliseconds
TOOLS = 16  # each with a schema
VALUES = 1_000  # of their schemas and that of the answer together
_TREES = (dict, list)
LONG = 64 << 10  # characters, or bytes of JSON
HEAVY = 1 << 20  # bytes of media from which on a digest is computed in a thread


def is_long(messages: Sequence[Any], tools: Sequence[Any] = (), output: Any = None) -> bool:
    """Return whether a step over a conversation takes long, or over the schemas of its tools and of the ``output``.

    The answer comes after ``MANY`` parts and ``VALUES`` of the schemas at the latest.
    """
    if len(messages) > MANY or len(tools) > TOOLS:
        return True
    schema = getattr(output, "schema", None)
    schemas = [tool.schema for tool in tools] if schema is None else [schema, *(tool.schema for tool in tools)]
    if schemas and _many_values(schemas):
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


def _many_values(trees: list[Any]) -> bool:
    """Return whether trees of JSON hold more than ``VALUES`` objects and arrays, and keys in objects."""
    left = VALUES
    while trees and left >= 0:
        tree = trees.pop()
        if isinstance(tree, (dict, list)):
            left -= len(tree)
            trees += [each for each in (tree.values() if isinstance(tree, dict) else tree) if type(each) in _TREES]
    return left < 0


async def offload(long: bool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function, in a thread if it takes ``long``; return its result or raise its error.

    A cancelled caller continues at once; the thread is free when the function has returned.
    """
    if not long:
        return function(*args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(
        _threads(), partial(_run_and_free, function, *args, **kwargs)
    )


def _run_and_free(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    made = function(*args, **kwargs)
    free_in_background(made)
    return made


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="intermodal-offload")
