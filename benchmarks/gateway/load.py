"""Load on a gateway: connections that ask again as soon as they were answered. Counts what came back."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple


class Measured(NamedTuple):
    """Requests a second, milliseconds of the median and of the 99th of a hundred, events of streams a second, and
    answers that were not whole or not 200."""

    rps: float
    p50: float
    p99: float
    events: float
    failed: int


class _Asking(asyncio.Protocol):
    def __init__(self, request: bytes, times: list[float], stop: float) -> None:
        self._request = request
        self._times = times
        self._stop = stop
        self.events = self.failed = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.failed += 1
            self.done.set_result(None)

    def _ask(self) -> None:
        self._buffer = bytearray()
        self._want = -1  # bytes of the whole answer, -1 while that is not known, -2 for chunks
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._want == -1:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            self.failed += not head.startswith(b"http/1.1 200")
            at = head.find(b"content-length:")
            self._want = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else -2
        if len(self._buffer) >= self._want if self._want >= 0 else self._buffer.endswith(b"0\r\n\r\n"):
            self._answered()

    def _answered(self) -> None:
        now = time.perf_counter()
        self._times.append(now - self._began)
        if self._want == -2:
            self.events += self._buffer.count(b"data: ")
            self.failed += b"[DONE]" not in self._buffer
        if now < self._stop:
            self._ask()
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()


async def load(port: int, request: bytes, *, connections: int, seconds: float) -> Measured:
    """Ask the same of a server on this machine, over and over."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    began = time.perf_counter()
    made = [
        (await loop.create_connection(lambda: _Asking(request, times, began + seconds), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.wait([each.done for each in made], timeout=seconds + 60)
    took = time.perf_counter() - began
    times.sort()
    failed = sum(each.failed for each in made) + sum(not each.done.done() for each in made)
    events = sum(each.events for each in made)
    return Measured(
        rps=len(times) / took,
        p50=1000 * times[len(times) // 2] if times else 0.0,
        p99=1000 * times[len(times) * 99 // 100] if times else 0.0,
        events=events / took,
        failed=failed,
    )
