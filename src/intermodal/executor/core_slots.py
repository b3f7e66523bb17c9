"""Who may begin: the steps of one run that share this machine's cores, by the rules of ``plans/cpu_schedule.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from intermodal.plans.cpu_schedule import CoreUse, concurrent_steps


class CoreSlots:
    """``async with places.taken(use):`` waits until what a step needs is free, and gives all of it back.

    A step takes everything at once or nothing, so that no two can wait for what the other has. ``decoders``: how many
    may work at a time.
    """

    def __init__(self, cores: int, decoders: int = 1) -> None:
        self.cores = cores
        self.decoders = decoders
        self._free = cores
        self._busy = Counter[str]()
        self._waiting: dict[Any, CoreUse] = {}  # an event for each that waits, the first first

    @asynccontextmanager
    async def taken(self, use: CoreUse) -> AsyncIterator[None]:
        """Nothing is waited for where a step runs elsewhere."""
        if not use.cores:
            yield
            return
        await self._take(use)
        try:
            yield
        finally:
            self._give_back(use)

    async def _take(self, use: CoreUse) -> None:
        import anyio

        turn = anyio.Event()
        self._waiting[turn] = use
        self._let_begin()
        try:
            await turn.wait()
        except BaseException:
            if self._waiting.pop(turn, None) is None:  # it was its turn as it was cancelled
                self._give_back(use)
            else:
                self._let_begin()  # who comes next may need less
            raise

    def _give_back(self, use: CoreUse) -> None:
        self._free += self._needed(use)
        self._busy[use.process] -= 1
        self._let_begin()

    def _let_begin(self) -> None:
        for turn, use in list(self._waiting.items()):
            if self._busy[use.process] >= concurrent_steps(use.process, self.decoders):
                continue
            if self._needed(use) > self._free:
                return
            self._free -= self._needed(use)
            self._busy[use.process] += 1
            del self._waiting[turn]
            turn.set()

    def _needed(self, use: CoreUse) -> int:
        return min(self.cores, use.cores)
