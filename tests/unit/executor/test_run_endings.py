"""How a run ends when it does not end well: deadlines, cancelling, a store that cannot be written."""

from __future__ import annotations

import anyio
import pytest
from tests.unit.executor.routes import Bench, asked, plan, route, say, using

from intermodal import errors
from intermodal.events import Finished, TextDelta
from intermodal.request import Policy
from intermodal.testing import FakeHost

pytestmark = pytest.mark.anyio


async def test_the_deadline_ends_a_slow_run_and_says_so(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host, "fake/m-fault-slow-20")
    request, opened = asked("?", policy=Policy(deadline=0.3))
    with anyio.fail_after(2), pytest.raises(errors.CallError, match="deadline of 0.3 s|no answer within"):
        await bench.run(plan(route(say(model))), request, opened)
    assert bench.states() == ["estimated"]


async def test_a_store_that_cannot_be_written_means_nothing_is_sent(
    bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C4"""
    from intermodal.store.connection import StoreError

    (model,) = using(bench, host)
    (bench.folder / "store.sqlite3").mkdir()
    request, opened = asked("?")
    with pytest.raises(StoreError):
        await bench.run(plan(route(say(model))), request, opened)
    assert host.attempts == []


async def test_a_run_that_is_cancelled_settles_its_row_within_a_second(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host, "fake/m-fault-silent")
    request, opened = asked("?")
    with anyio.move_on_after(0.3) as scope:
        await bench.run(plan(route(say(model))), request, opened)
    assert scope.cancelled_caught
    assert anyio.current_time() - scope.deadline < 1
    assert bench.states() == ["estimated"] and bench.store.runs()[0].outcome == "cancelled"


async def test_closing_the_iterator_early_cancels_and_settles(bench: Bench, host: FakeHost) -> None:
    from contextlib import aclosing

    from intermodal.executor.run import run
    from intermodal.executor.transport import Transport

    (model,) = using(bench, host, "fake/m-fault-stall-2")
    request, opened = asked("?")
    transport = Transport()
    async with aclosing(run(plan(route(say(model))), request, opened, bench.world(transport))) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    await transport.aclose()
    assert bench.states() == ["estimated"]


async def test_a_reader_that_never_came_back_leaves_no_finished_event(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host, "fake/m-fault-end-2")
    request, opened = asked("?")
    with pytest.raises(errors.StreamCut):
        await bench.run(plan(route(say(model))), request, opened)
    assert not any(isinstance(event, Finished) for event in bench.events)
