"""A promise about time, on a machine that others use too: it is kept where nothing holds this process up.

A single measurement, or the best of three, tells as much of the machine as of the code. So it is tried again until it
is kept: what is too slow by itself is so each time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

TRIES = 10


async def assert_duration(measured: Callable[[], Awaitable[float]], least: float, most: float) -> None:
    """``least`` holds for each that is ``measured``, ``most`` for one of them at least: none is held up for less."""
    taken: list[float] = []
    while _again(taken, least, most):
        taken.append(await measured())


def assert_within(measured: Callable[[], float], most: float) -> None:
    """The same for what does not await."""
    taken: list[float] = []
    while _again(taken, 0.0, most):
        taken.append(measured())


def _again(taken: list[float], least: float, most: float) -> bool:
    assert min(taken, default=least) >= least, taken
    if taken and taken[-1] <= most:
        return False
    assert len(taken) < TRIES, f"never within {most:g}: {taken}"
    return True
