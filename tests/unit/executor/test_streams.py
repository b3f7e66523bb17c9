"""B1 to B3, as a run sees them: a stream that dies is an error with what was shown, one that is whole is an answer."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from tests.unit.executor.routes import Bench, asked, plan, route, say, see, until

from intermodal import errors
from intermodal.testing import FakeHost

pytestmark = pytest.mark.anyio
WORDS = [f"word{number}" for number in range(12)]
ANSWER = " ".join(WORDS)


@pytest.mark.parametrize("manner", ["cut", "reset", "end", "inband", "malformed"])
async def test_b1_a_cut_stream_is_never_sold_as_an_answer(tmp_path: Path, manner: str) -> None:
    with FakeHost(answer=ANSWER) as host:
        for position in (1, 2, 5, 11, 12):
            broken, whole = host.endpoint(f"m-fault-{manner}-{position}"), host.endpoint("whole")
            bench = Bench(tmp_path, endpoints=(broken, whole))
            request, opened = asked("?")
            with pytest.raises(errors.CallError):
                await bench.run(plan(route(say(broken)), route(say(whole))), request, opened)
            assert ANSWER.startswith(bench.shown)
            if manner != "reset":  # a reset may overtake what was sent before it
                assert bench.shown == " ".join(WORDS[:position])
        assert all(attempt.model != "whole" for attempt in host.attempts), "B2: no second model goes on"


@pytest.mark.parametrize("manner", ["nodone", "open", "split", "pings", "json"])
async def test_b1_a_whole_answer_is_an_answer_however_it_is_sent(tmp_path: Path, manner: str) -> None:
    with FakeHost(answer="größer als 東京 " + ANSWER) as host:
        bench = Bench(tmp_path, endpoints=(host.endpoint(f"m-fault-{manner}"),))
        request, opened = asked("?")
        with anyio.fail_after(300):
            result = await bench.run(plan(route(say(bench.endpoints[0]))), request, opened)
        assert result.text == "größer als 東京 " + ANSWER and result.finish_reason == "stop"


@pytest.mark.parametrize("fault", ["cut-0", "reset-0", "end-0", "inband-0", "malformed-0", "gone", "broken"])
async def test_b3_a_failure_before_the_first_word_is_invisible_with_a_fallback(tmp_path: Path, fault: str) -> None:
    with FakeHost(answer=ANSWER) as host:
        broken, whole = host.endpoint(f"m-fault-{fault}"), host.endpoint("whole")
        bench = Bench(tmp_path, endpoints=(broken, whole))
        request, opened = asked("?")
        result = await bench.run(plan(route(say(broken)), route(say(whole))), request, opened)
        assert bench.shown == result.text == ANSWER and result.endpoint == "fake:whole"


async def test_b5_a_reader_who_leaves_closes_the_hosts_connection(tmp_path: Path) -> None:
    with FakeHost(answer=ANSWER) as host:
        bench = Bench(tmp_path, endpoints=(host.endpoint("m-fault-stall-3"),))
        request, opened = asked("?")
        async with anyio.create_task_group() as group:
            group.start_soon(bench.run, plan(route(say(bench.endpoints[0]))), request, opened)
            await until(lambda: bench.shown == " ".join(WORDS[:3]))
            assert host.attempts[0].client_left is None
            group.cancel_scope.cancel()
        await until(lambda: host.attempts[0].client_left is not None)
        assert bench.states() == ["estimated"]


async def test_an_answer_read_to_its_end_gives_its_connection_to_the_next_request(tmp_path: Path) -> None:
    with FakeHost(answer="A cat.") as host:
        met: set[object] = set()
        taken = host._server.process_request_thread

        def count(request: object, address: object) -> None:
            met.add(address)
            taken(request, address)

        host._server.process_request_thread = count  # type: ignore[method-assign]
        box = host.endpoint(input=("text", "image"))
        bench = Bench(tmp_path, endpoints=(box,))
        request, opened = asked("?", "cat.png")
        look = see(box)
        await bench.run(plan(route(look, say(box, f"step:{look.id}"))), request, opened)
    assert len(host.attempts) == 2
    assert len(met) == 1
