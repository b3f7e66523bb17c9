"""The state shared by the direct calls of one process: connections, rows, and the health of hosts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from intermodal.executor.direct.attempt_writer import AttemptWriter
from intermodal.transport.http1 import ConnectionPool

if TYPE_CHECKING:
    from intermodal.executor.attempt.circuit_breaker import EndpointHealth
    from intermodal.store.database import Store
    from intermodal.transport.http1 import Writer


class TokenCounts(Protocol):
    """Counts tokens with the vocabularies of this machine."""

    def count(self, tokenizer: str, text: str, /) -> int | None:
        """Return the tokens of a text; None if the vocabulary is not available."""
        ...


class DirectCaller(Protocol):
    """The parts of the calling client that direct calls need. ``moment``: the time of a bill, UTC."""

    upstreams: EndpointHealth
    moment: str

    @property
    def store(self) -> Store: ...

    @property
    def vocabularies(self) -> TokenCounts: ...


class LoopClock:
    """The current time, and timers of the running event loop, for code that reads replies and must not wait."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    def later(self, seconds: float, do: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, do)


class DirectEngine:
    """Shared by the direct calls of one process. ``taken``: number of answered calls."""

    def __init__(self, caller: DirectCaller, outbox: Writer | None = None) -> None:
        self.taken = 0
        self.caller = caller
        self.health = caller.upstreams
        self.pool = ConnectionPool(outbox)
        self.rows = AttemptWriter(lambda: caller.store)
        self.clock = LoopClock()

    def watch(self, now: float) -> None:
        """Time out silent hosts. ``now``: on the clock of the event loop."""
        self.pool.watch(now)

    async def close(self) -> None:
        """Close connections and write the pending rows."""
        self.pool.close()
        await self.rows.close()
