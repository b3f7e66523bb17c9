"""Time that a host gets: what came while our own loop stood still is taken, and who is silent is cut."""

from __future__ import annotations

import asyncio
import math
import selectors
import socket
import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from intermodal.transport.timeouts import Deadline

pytestmark = pytest.mark.anyio


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


class Late(selectors.DefaultSelector):
    """Once, nothing is looked for and time goes by: so it is when a process is stopped, or gets no turn, just then."""

    sleeps = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if self.sleeps:
            seconds, self.sleeps = self.sleeps, 0.0
            time.sleep(seconds)
            return []
        return super().select(timeout)


def test_what_came_while_the_process_stood_still_is_taken(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    selector = Late()
    loop = asyncio.SelectorEventLoop(selector)

    async def wait() -> tuple[bytes, bool]:
        data = b""
        with Deadline(loop.time() + 0.05) as limit:
            loop.call_soon(theirs.send, b"word")  # once it is waited for
            selector.sleeps = 0.1
            data = await loop.sock_recv(ours, 9)
        return data, limit.over

    try:
        assert loop.run_until_complete(wait()) == (b"word", False)
    finally:
        loop.close()


async def test_who_is_silent_is_cut_when_time_is_up(pair: tuple[socket.socket, socket.socket]) -> None:
    began = time.monotonic()
    with Deadline(asyncio.get_running_loop().time() + 0.05) as limit:
        await asyncio.get_running_loop().sock_recv(pair[0], 9)
    assert limit.over and time.monotonic() - began > 0.04


async def test_a_limit_can_be_set_while_it_runs_and_not_any_more_after_it() -> None:
    clock = asyncio.get_running_loop().time
    with Deadline() as limit:
        limit.set_deadline(clock() + 60)
        limit.set_deadline(clock() + 0.01)
        await asyncio.sleep(30)
    assert limit.over
    with Deadline(clock() + 0.01) as limit:
        limit.set_deadline(math.inf)
        await asyncio.sleep(0.05)
    limit.set_deadline(clock())
    await asyncio.sleep(0.01)
    assert not limit.over


async def test_errors_and_who_cancels_from_outside_pass_through() -> None:
    limit = Deadline(asyncio.get_running_loop().time() + 60)
    with pytest.raises(KeyError), limit:
        raise KeyError
    with anyio.move_on_after(0.01) as outer, Deadline(asyncio.get_running_loop().time() + 60) as limit:
        await asyncio.sleep(30)
    assert outer.cancelled_caught and not limit.over
