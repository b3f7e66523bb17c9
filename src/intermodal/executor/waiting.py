"""Signs of life while a model reads a long prompt and has not said a word yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

EVERY = 2.0  # seconds between two signs

Tell = Callable[[float], None]


async def with_signs(work: Callable[[], Awaitable[T]], tell: Tell, is_over: Callable[[], bool]) -> T:
    """What ``work`` returns; until then, and until ``is_over``, ``tell`` is called with the seconds that went by."""
    import anyio

    made: list[T] = []
    failed: list[Exception] = []

    async def signs() -> None:
        waited = 0.0
        while True:
            await anyio.sleep(EVERY)
            if is_over():
                return
            waited += EVERY
            tell(waited)

    async with anyio.create_task_group() as group:
        group.start_soon(signs)
        try:
            made.append(await work())
        except Exception as error:  # raised outside, or the group would wrap it
            failed.append(error)
        group.cancel_scope.cancel()
    if failed:
        raise failed[0]
    return made[0]
