"""Signs of life while a model reads a long prompt and has not said a word yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

EVERY = 2.0  # seconds between two signs

Tell = Callable[[float], None]


class _Heartbeat:
    """Told in turn until they are ended. A timer, for a task costs ten times as much, and most calls need no sign."""

    def __init__(self, tell: Tell, is_over: Callable[[], bool]) -> None:
        self._tell = tell
        self._is_over = is_over
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._timer = self._loop.call_later(EVERY, self._sign)

    def _sign(self) -> None:
        if not self._is_over():
            self._tell(EVERY * round((self._loop.time() - self._began) / EVERY))
            self._timer = self._loop.call_later(EVERY, self._sign)

    def end(self) -> None:
        self._timer.cancel()


async def with_heartbeat(work: Callable[[], Awaitable[T]], tell: Tell, is_over: Callable[[], bool]) -> T:
    """What ``work`` returns; until then, and until ``is_over``, ``tell`` is called with the seconds that went by."""
    signs = _Heartbeat(tell, is_over)
    try:
        return await work()
    finally:
        signs.end()
