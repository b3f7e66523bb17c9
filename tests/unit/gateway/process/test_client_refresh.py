"""A client that stays looks at what is so once a second: for all who ask meanwhile, and without waiting for writers."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from intermodal.client.request_builder import make_request
from intermodal.errors import StoreError
from intermodal.gateway.server_client import ServerClient
from intermodal.local.discovery import scanner, server_directory

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing grows old while a test stands still."""
    monkeypatch.setattr("intermodal.gateway.server_client.REFRESH_SECONDS", 1e9)


class Slow:
    """A look at the servers of this machine that takes as long as it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        self.goes = asyncio.Event()
        monkeypatch.delenv(server_directory.OFF)
        monkeypatch.setattr(scanner, "scan_servers", self._look)

    async def _look(self, *asked: Any, **how: Any) -> Sequence[Any]:
        self.begun += 1
        await self.goes.wait()
        return ()


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_client_that_leaves_does_not_end_the_look_that_others_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    async with ServerClient() as client:
        first, second = (asyncio.ensure_future(client.refresh()) for _ in range(2))
        await turns()
        assert slow.begun == 1 and not second.done() and not client.up_to_date
        first.cancel()
        await turns()
        slow.goes.set()
        await second
        assert client.up_to_date and client.today and client.moment.startswith(client.today) and client.epoch >= 0
        assert slow.begun == 1


async def test_who_asks_during_a_later_look_goes_on_with_what_was_seen_just_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("intermodal.gateway.server_client._GOOD", 1e9)
    monkeypatch.setattr(server_directory, "FRESH", 0.0)
    slow = Slow(monkeypatch)
    async with ServerClient() as client:
        slow.goes.set()
        await client.refresh()
        slow.goes.clear()
        client._looked = -math.inf  # a second went by
        later = asyncio.ensure_future(client.refresh())
        await turns()
        assert slow.begun == 2
        before = client.up_to_date
        slow.goes.set()
        await later
        assert before


async def test_a_look_that_failed_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ServerClient() as client:
        statistics = client.store.statistics

        def failing() -> Any:
            raise StoreError("is locked by another process", where="store.sqlite3", todo="wait")

        monkeypatch.setattr(client.store, "statistics", failing)
        with pytest.raises(StoreError):
            await client.refresh()
        assert not client.up_to_date
        monkeypatch.setattr(client.store, "statistics", statistics)
        await client.refresh()
        assert client.up_to_date and client.today


async def test_servers_are_looked_for_again_when_who_wanted_it_left(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    async with ServerClient() as client:
        left = asyncio.ensure_future(client.known.scan())
        await turns()
        left.cancel()
        await asyncio.wait((left,))
        slow.goes.set()
        await client.known.scan()
        assert slow.begun == 2


async def test_neither_a_look_nor_a_plan_waits_for_who_writes_to_the_store() -> None:
    """Whoever writes may wait for another process, and nobody at all would be served meanwhile."""
    begun, over = threading.Event(), threading.Event()

    def slowly() -> None:
        begun.set()
        over.wait(300)

    async with ServerClient() as client:
        client.store.ready()
        await client.refresh()
        written = client.store.write_in_group(slowly, later=True)
        assert begun.wait(300)
        client._looked = -math.inf
        await client.refresh()
        await client.prepare(make_request("hello"))
        waiting = not written.done()
        over.set()
        await asyncio.wrap_future(written)
        assert waiting
