"""When the row of an attempt is written: what is promised of it, and what a first word does not wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
from tests.unit.executor.routes import PRICED, Bench, asked, plan, rename, route, say, using

from intermodal.core.quantity import exact, unknown
from intermodal.events import TextDelta
from intermodal.executor.run import run
from intermodal.store.database import Store
from intermodal.store.rows import Reservation
from intermodal.store.sqlite_file import StoreError
from intermodal.testing import FakeHost
from intermodal.transport.client import Transport

pytestmark = pytest.mark.anyio
FREE = rename(PRICED, cost=exact(0.0))


async def test_a_free_request_waits_for_no_row_and_a_slow_answer_has_one_before_its_first_word(
    bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Store.reserve
    asked_before: list[int] = []

    def spied(store: Store, row: Reservation) -> str:
        asked_before.append(len(host.attempts))
        return written(store, row)

    monkeypatch.setattr(Store, "reserve", spied)
    there, shown = list[list[str]](), list[list[str]]()

    def slow(attempt: object) -> str:
        """It takes until there is a row, if that is ever."""
        end = time.monotonic() + 300
        while not bench.states() and time.monotonic() < end:
            time.sleep(0.01)
        there.append(bench.states())
        return "The caller wants 42 apples."

    host.answer = slow
    step = say(*using(bench, host), estimate=FREE)
    request, opened = asked("?")
    transport = Transport()
    async for event in run(plan(route(step)), request, opened, bench.dependencies(transport)):
        if isinstance(event, TextDelta):
            shown.append(bench.states())
    await transport.aclose()
    assert asked_before == [1], "it was on its way before there was a row"
    assert there == [["sent"]] and shown[0] == ["sent"]
    assert bench.states() == ["settled"]


async def test_a_free_first_word_does_not_wait_for_a_slow_store(
    bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is written once the word was seen: who waits for it first waits in vain."""
    written, seen = Store.reserve, threading.Event()
    in_time: list[bool] = []

    def slow(store: Store, row: Reservation) -> str:
        in_time.append(seen.wait(300))
        return written(store, row)

    monkeypatch.setattr(Store, "reserve", slow)
    step = say(*using(bench, host), estimate=FREE)
    request, opened = asked("?")
    transport = Transport()
    async for event in run(plan(route(step)), request, opened, bench.dependencies(transport)):
        if isinstance(event, TextDelta):
            seen.set()
    await transport.aclose()
    assert in_time == [True]
    assert bench.states() == ["settled"], "and it has its row in the end"


@pytest.mark.parametrize("estimate", [PRICED, FREE], ids=["priced", "free"])
async def test_C4_an_answer_that_cannot_be_recorded_is_no_success(
    bench: Bench, host: FakeHost, estimate: object
) -> None:
    step = rename(say(*using(bench, host)), estimate=estimate)
    (bench.folder / "store.sqlite3").mkdir()
    request, opened = asked("?")
    with pytest.raises(StoreError):
        await bench.run(plan(route(step)), request, opened)
    assert not [attempt for attempt in host.attempts if attempt.paid and estimate is PRICED]


async def test_what_may_cost_money_waits_for_the_disk_and_what_is_free_does_not(
    bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power may fail as soon as money is spent. A price that nobody knows counts as one."""
    commit = Store.write_in_group
    later_each: list[bool] = []

    def spied(store: Store, write: Callable[[], object], *, later: bool = False) -> Future[object]:
        later_each.append(later)
        return commit(store, write, later=later)

    monkeypatch.setattr(Store, "write_in_group", spied)
    (model,) = using(bench, host)
    request, opened = asked("?")
    for estimate in (PRICED, rename(PRICED, cost=unknown("nobody says")), FREE):
        await bench.run(plan(route(say(model, estimate=estimate))), request, opened)
    assert later_each[::3] == [False, False, True]  # each run: its begin, the end of its attempt, its own end
    assert later_each[1:3] == [False, True]  # a run's own row counts no money


def test_writes_that_go_together_are_all_there_or_none(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite3")
    row = Reservation(run="r", step="s", op="generate", task="t", endpoint="e")

    def half() -> None:
        store.mark_sent(store.reserve(row))
        raise RuntimeError

    def whole() -> None:
        store.mark_sent(store.reserve(row))
        store.reserve(row)

    with pytest.raises(RuntimeError):
        store.write_in_group(half).result()
    assert store.attempts() == ()
    store.write_in_group(whole).result()
    assert [each.state for each in store.attempts()] == ["reserved", "sent"]
    store.close()
