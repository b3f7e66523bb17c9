"""How a run ends when it does not end well: deadlines, cancelling, a store that cannot be written."""

from __future__ import annotations

import gc

import anyio
import pytest
from tests.unit.executor.routes import Bench, asked, plan, route, say, until, using

from intermodal import errors
from intermodal.core.request import Policy
from intermodal.events import Finished, TextDelta
from intermodal.executor.attempt.retry import Reroute
from intermodal.executor.run import PlanRun
from intermodal.testing import FakeHost

pytestmark = pytest.mark.anyio


async def test_the_deadline_ends_a_slow_run_and_says_so(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host, "fake/m-fault-slow-20")
    for seconds in (0.3, 3.0, 12.0):  # on a machine that is held up it may be over before anything was sent
        request, opened = asked("?", policy=Policy(deadline=seconds))
        with pytest.raises(errors.CallError, match=f"deadline of {seconds:g} s|no answer within"):
            await bench.run(plan(route(say(model))), request, opened)
        if host.attempts:
            break
    (attempt,) = host.attempts
    await until(lambda: attempt.client_left or attempt.ended)
    assert attempt.client_left is not None, "nobody waited for its answer"
    assert bench.states()[-1] == "estimated"


async def test_a_store_that_cannot_be_written_means_nothing_is_sent(
    bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C4"""
    from intermodal.store.sqlite_file import StoreError

    (model,) = using(bench, host)
    (bench.folder / "store.sqlite3").mkdir()
    request, opened = asked("?")
    with pytest.raises(StoreError):
        await bench.run(plan(route(say(model))), request, opened)
    assert host.attempts == []


async def test_a_run_that_is_cancelled_settles_its_row_and_waits_for_no_host(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host, "fake/m-fault-silent")
    request, opened = asked("?")
    async with anyio.create_task_group() as group:
        group.start_soon(bench.run, plan(route(say(model))), request, opened)
        await until(lambda: host.attempts)
        group.cancel_scope.cancel()
    assert group.cancel_scope.cancelled_caught
    assert bench.states() == ["estimated"] and bench.store.runs()[0].outcome == "cancelled"


async def test_closing_the_iterator_early_cancels_and_settles(bench: Bench, host: FakeHost) -> None:
    from contextlib import aclosing

    from intermodal.executor.run import run
    from intermodal.transport.client import Transport

    (model,) = using(bench, host, "fake/m-fault-stall-2")
    request, opened = asked("?")
    transport = Transport()
    async with aclosing(run(plan(route(say(model))), request, opened, bench.dependencies(transport))) as events:
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


async def test_a_run_that_fails_leaves_no_error_and_no_request_for_the_collector(bench: Bench, host: FakeHost) -> None:
    """What waits for a collection of all generations stays for a minute in a gateway."""
    first, second = using(bench, host, "fake/m-fault-http-503", "fake/n-fault-http-503")

    async def failed() -> None:
        request, opened = asked("?")
        with pytest.raises(errors.CallError):
            await bench.run(plan(route(say(first)), route(say(second))), request, opened)

    def left() -> list[object]:
        return [each for each in gc.get_objects() if isinstance(each, (Reroute, PlanRun))]

    await failed()
    await anyio.lowlevel.checkpoint()
    gc.collect()
    gc.disable()
    try:
        before = left()  # of other tests, whose errors pytest may still hold
        await failed()
        with anyio.fail_after(300):  # a turn of the loop or a few, and no collection
            while len(left()) > len(before):
                await anyio.sleep(0.01)
    finally:
        gc.enable()
