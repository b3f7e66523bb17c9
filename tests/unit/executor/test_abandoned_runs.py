"""A reader may leave a run in any way: the work ends, the row is closed, and the reader's own task is left alone."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import anyio
import pytest
from tests.unit.executor.routes import PRICED, Bench, asked, between, plan, rename, route, say, until

from intermodal import errors
from intermodal.core.request import Policy
from intermodal.events import AttemptFailed, Event, Finished, TextDelta
from intermodal.executor.background_stream import ItemSender, cancel_tasks_of, stream_from_task
from intermodal.executor.run import run
from intermodal.testing import FakeHost
from intermodal.transport.client import Transport

pytestmark = pytest.mark.anyio
ANSWER = " ".join(f"word{number}" for number in range(12))


@pytest.fixture
def host() -> Iterator[FakeHost]:
    with FakeHost(answer=ANSWER) as fake:
        yield fake


@asynccontextmanager
async def events_of(folder: Path, host: FakeHost, model: str) -> AsyncGenerator[tuple[Bench, AsyncGenerator[Event]]]:
    bench = Bench(folder, endpoints=(host.endpoint(model),))
    request, opened = asked("?")
    transport, before = Transport(), asyncio.all_tasks()
    yield bench, run(plan(route(say(bench.endpoints[0]))), request, opened, bench.dependencies(transport))
    await until(lambda: asyncio.all_tasks() <= before)  # nobody stopped them
    await transport.aclose()


async def states_soon(bench: Bench) -> list[str]:
    """States of the rows, once there are some and none is open any more."""
    await until(lambda: bench.states() and not {"reserved", "sent"} & set(bench.states()))
    return bench.states()


async def to_first_word(events: AsyncGenerator[Event]) -> None:
    async for event in events:
        if isinstance(event, TextDelta):
            break


async def test_a_reader_who_breaks_goes_on_living(tmp_path: Path, host: FakeHost) -> None:
    async with events_of(tmp_path, host, "m-fault-stall-3") as (bench, events):
        await to_first_word(events)
        del events
        assert await states_soon(bench) == ["estimated"]
        await until(lambda: host.attempts[0].client_left is not None)


async def test_closing_waits_until_the_row_is_closed(tmp_path: Path, host: FakeHost) -> None:
    async with events_of(tmp_path, host, "m-fault-stall-3") as (bench, events):
        async with aclosing(events):
            await to_first_word(events)
        assert bench.states() == ["estimated"]


async def test_the_garbage_collector_may_close_it_from_another_task(tmp_path: Path, host: FakeHost) -> None:
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    async with events_of(tmp_path, host, "m-fault-stall-3") as (bench, events):
        reader = asyncio.create_task(to_first_word(events))
        await reader
        del events, reader
        gc.collect()
        assert await states_soon(bench) == ["estimated"]
    assert complaints == []


async def test_an_error_after_events_reaches_the_reader(tmp_path: Path, host: FakeHost) -> None:
    async with events_of(tmp_path, host, "m-fault-cut-3") as (bench, events):
        seen: list[Event] = []
        with pytest.raises(errors.CallError):
            async for event in events:
                seen.append(event)
        assert any(isinstance(event, TextDelta) for event in seen)
        assert bench.states() == ["estimated"]


async def test_a_cancelled_reader_leaves_a_closed_row(tmp_path: Path, host: FakeHost) -> None:
    async with events_of(tmp_path, host, "m-fault-stall-3") as (bench, events):

        async def read() -> None:
            async for _ in events:
                pass

        reader = asyncio.create_task(read())
        await until(lambda: host.attempts)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert bench.states() == ["estimated"]


async def test_an_attempt_that_was_not_sent_is_not_reported_as_made(tmp_path: Path) -> None:
    """Its row is void. It is written while the connection is made, and closed when the reader has left."""
    with socket.create_server(("127.0.0.1", 0)) as mute, FakeHost() as host:  # accepts connections, and says nothing
        endpoint = host.endpoint("m")
        at_mute = rename(endpoint.host, base_url=f"https://127.0.0.1:{mute.getsockname()[1]}/v1")
        bench = Bench(tmp_path, endpoints=(rename(endpoint, host=at_mute),))
        request, opened = asked("?")
        transport, seen = Transport(), list[Event]()
        route_there = plan(route(say(bench.endpoints[0])))
        async with aclosing(
            run(route_there, request, opened, bench.dependencies(transport), unread=seen.append)
        ) as events:
            seen.append(await anext(events))
            await until(lambda: bench.states() == ["sent"])
        await transport.aclose()
        assert bench.states() == ["void"]
        assert [event for event in seen if isinstance(event, AttemptFailed)] == []


async def test_a_timeout_around_the_reader_works(tmp_path: Path, host: FakeHost) -> None:
    async with events_of(tmp_path, host, "m-fault-stall-3") as (bench, events):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(300) as limit, anyio.create_task_group() as group:

                async def is_over() -> None:
                    await until(lambda: host.attempts)
                    limit.reschedule(asyncio.get_running_loop().time())

                group.start_soon(is_over)
                async for _ in events:
                    pass
        assert bench.states() == ["estimated"]


async def test_what_a_reader_left_behind_can_be_waited_for(tmp_path: Path, host: FakeHost) -> None:
    async with events_of(tmp_path, host, "m-fault-stall-3") as (bench, events):
        await to_first_word(events)
        await cancel_tasks_of(bench.store)
        assert bench.states() == ["estimated"]
        with pytest.raises(errors.UsageError, match="closed while"):
            await to_first_word(events)


async def test_a_run_read_in_turns_by_two_tasks_is_whole(tmp_path: Path, host: FakeHost) -> None:
    async with events_of(tmp_path, host, "whole") as (_, events):
        await asyncio.create_task(to_first_word(events))
        assert [event async for event in events if isinstance(event, Finished)]


async def test_what_a_reader_who_leaves_has_not_read_is_handed_over() -> None:
    """Also what a full queue held back, and what the clean-up reports."""
    sent = 0

    async def produce(send: ItemSender[int]) -> None:
        nonlocal sent
        try:
            while True:
                sent += 1
                await send.send(sent)
        finally:
            send.send_nowait(-1)

    unread: list[int] = []
    numbers = stream_from_task(produce, ahead=3, owner="test", unread=unread.append)
    assert await anext(numbers) == 1
    await until(lambda: sent == 5)  # three are queued, and one waits for room
    await numbers.aclose()
    assert unread == [2, 3, 4, 5, -1]


async def test_nothing_is_lost_of_a_reader_that_is_cancelled_as_an_event_arrives() -> None:
    seen: list[int] = []
    reader: asyncio.Task[None]

    async def produce(send: ItemSender[int]) -> None:
        await send.send(1)
        await until(lambda: seen == [1])
        await asyncio.sleep(0)
        send.send_nowait(2)
        reader.cancel()  # in the turn in which it would have been read
        await asyncio.sleep(60)

    async def read() -> None:
        async with aclosing(stream_from_task(produce, ahead=3, owner="test", unread=seen.append)) as numbers:
            async for number in numbers:
                seen.append(number)

    reader = asyncio.create_task(read())
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert seen == [1, 2]


async def test_a_deadline_is_reported_to_a_reader_that_is_behind(tmp_path: Path) -> None:
    """The queue is full when the deadline passes; what was paid for is told all the same."""
    with FakeHost(answer=" ".join(f"word{number}" for number in range(400))) as host:
        bench = Bench(tmp_path, endpoints=(host.endpoint("m"),))
        request, opened = asked("?", policy=Policy(deadline=5.0))
        transport, seen = Transport(), list[Event]()
        estimate = rename(PRICED, output_tokens=between(1, 10, 5000, "t"))
        dependencies = bench.dependencies(transport)
        events = run(plan(route(say(bench.endpoints[0], estimate=estimate))), request, opened, dependencies)
        async with aclosing(events):
            with pytest.raises(errors.CallError):
                async for event in events:
                    seen.append(event)
                    if len(seen) == 5:
                        await until(lambda: [row.outcome for row in bench.store.runs()] == ["call"])
        await transport.aclose()
        assert bench.states() == ["estimated"]
        assert len([event for event in seen if isinstance(event, AttemptFailed)]) == 1


async def test_a_deadline_that_passes_after_a_failover_names_the_endpoint_that_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline passes once the second endpoint, which is silent, has been called."""
    scopes, limits = list[anyio.CancelScope](), anyio.move_on_after

    def limited(seconds: float | None, **more: bool) -> anyio.CancelScope:
        scope = limits(seconds, **more)
        scopes.extend([scope] if seconds and seconds > 3000 else [])
        return scope

    monkeypatch.setattr(anyio, "move_on_after", limited)
    with FakeHost(answer=ANSWER) as host:
        refuses, silent = host.endpoint("m-fault-key"), host.endpoint("n-fault-silent")
        bench, transport = Bench(tmp_path, endpoints=(refuses, silent)), Transport()
        request, opened = asked("?", policy=Policy(deadline=3600.0))
        routes = plan(route(say(refuses)), route(say(silent)))

        async def passes() -> None:
            await until(lambda: len(host.attempts) == 2)
            scopes[0].cancel()

        passing = asyncio.create_task(passes())
        with pytest.raises(errors.CallError, match="took longer than the deadline") as late:
            async for _ in run(routes, request, opened, bench.dependencies(transport)):
                pass
        await passing
        await transport.aclose()
    assert late.value.where == silent.id
