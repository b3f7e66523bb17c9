"""The bridge: sync callers get the same items, errors and clean-up as async ones."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Iterator

import anyio
import pytest

from intermodal.concurrency.sync_bridge import SyncBridge
from intermodal.errors import UsageError


@pytest.fixture
def bridge() -> Iterator[SyncBridge]:
    made = SyncBridge()
    yield made
    made.close()


def test_a_coroutine_runs_and_returns(bridge: SyncBridge) -> None:
    async def double(x: int) -> int:
        await anyio.sleep(0)
        return 2 * x

    assert bridge.run(double, 21) == 42


def test_items_arrive_in_order_even_when_there_are_more_than_the_queue_holds(bridge: SyncBridge) -> None:
    async def count() -> AsyncGenerator[int]:
        for number in range(2000):
            yield number

    assert list(bridge.iterate(count)) == list(range(2000))


def test_an_error_after_some_items_reaches_the_caller(bridge: SyncBridge) -> None:
    async def fail() -> AsyncGenerator[int]:
        yield 1
        raise ValueError("broke")

    items = bridge.iterate(fail)
    assert next(items) == 1
    with pytest.raises(ValueError, match="broke"):
        next(items)


def test_closing_early_runs_the_generators_clean_up(bridge: SyncBridge) -> None:
    cleaned = threading.Event()

    async def forever() -> AsyncGenerator[int]:
        try:
            while True:
                yield 1
                await anyio.sleep(0.01)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.05)
                cleaned.set()

    items = bridge.iterate(forever)
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert cleaned.wait(300)


def test_a_client_in_a_forked_child_says_so_instead_of_hanging(bridge: SyncBridge) -> None:
    import os

    async def one() -> int:
        return 1

    assert bridge.run(one) == 1
    child = os.fork()
    if child == 0:
        try:
            bridge.run(one)
        except UsageError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_what_is_half_read_does_not_hold_up_the_end(bridge: SyncBridge) -> None:
    async def forever() -> AsyncGenerator[int]:
        while True:
            yield 1

    items = bridge.iterate(forever)
    assert next(items) == 1
    bridge.close()
    assert not bridge.started
