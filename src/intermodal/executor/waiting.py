"""Signs of life while a model reads a long prompt and has not said a word yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

EVERY = 2.0  # seconds between two signs

Tell = Callable[[float], None]


async def with_signs(work: Callable[[], Awaitable[T]], tell: Tell, is_over: Callable[[], bool]) -> T:
    """What ``work`` returns; until then, and until ``is_over``, ``tell`` is called with the seconds that went by."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    timer: asyncio.TimerHandle

    def sign() -> None:
        nonlocal timer
        if not is_over():
            tell(EVERY * round((loop.time() - began) / EVERY))
            timer = loop.call_later(EVERY, sign)

    timer = loop.call_later(EVERY, sign)  # a task for it would cost ten times as much, and most calls need no sign
    try:
        return await work()
    finally:
        timer.cancel()
