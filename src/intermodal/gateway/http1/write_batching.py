"""What is written to sockets: at once, or together at the end of a turn of the loop, where many are answered.

To write wakes who reads, and a processor that slept is woken slowly: 20 us of ours, of 150 that a small chat takes.
Thirty writes in a row wake it once. So who writes while others are being answered, right after another write, is
gathered; who is alone never waits.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Protocol

BATCH_SECONDS = 200e-6  # seconds between two writes that belong together: with fewer in them there is nothing to gather
LARGE_WRITE = 16 << 10  # bytes that are written at once: they wake nobody more often for being many


class ActiveRequests(Protocol):
    """How many requests are being answered."""

    active: int


class WriteBatcher:
    """Of one process. ``busy`` None: everything is written at once."""

    def __init__(self, busy: ActiveRequests | None = None) -> None:
        self._busy = busy
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []
        self._last = 0.0

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write it, after all that was written before."""
        if len(data) < LARGE_WRITE:
            if self._waiting:
                self._waiting.append((transport, data))
                return
            if self._busy is not None and self._busy.active > 1:
                now = monotonic()
                if now - self._last < BATCH_SECONDS:
                    self._waiting.append((transport, data))
                    asyncio.get_running_loop().call_soon(self.flush)
                    return
                self._last = now
        elif self._waiting:
            self.flush()
        transport.write(data)

    def flush(self) -> None:
        """Write what waits: before anything is done to a connection that is not a write."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            if not transport.is_closing():
                transport.write(data)
        self._last = monotonic()
