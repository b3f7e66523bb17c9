"""A3 to A6: what is sent again, when, how often, and at whose expense. Real sockets; the wall counts and charges."""

from __future__ import annotations

import random
import socket
import time
from collections import Counter
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import anyio
import pytest
from tests.gates.fault_runs import Bench, ask, endpoint, question, steps, world_of
from tests.gates.faulty_host import HEAD, ROLE, FaultyHost, ScriptedReply, answer, chunk, cut, refusal
from tests.unit.executor.routes import rename, until

from intermodal import errors
from intermodal.core.request import Policy
from intermodal.events import Note
from intermodal.executor.attempt.circuit_breaker import (
    MAX_TIMED_RESENDS,
    REROUTE_AFTER,
    RESENDS_PER_CALL,
    RESENDS_PER_SECOND,
    EndpointHealth,
)
from intermodal.executor.attempt.retry import MAX_WAIT
from intermodal.executor.run import run
from intermodal.transport.client import Transport
from intermodal.transport.timeouts import Timeouts

pytestmark = [pytest.mark.gate, pytest.mark.anyio, pytest.mark.timeout(3000)]

SEED = 20_261_125
WORDS = ["all", " is", " well"]
TEXT = "all is well"
NOW = 1_800_000_000
RICH = Policy(max_cost=1e9)


def http_date(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)


# ---- A3 ----------------------------------------------------------------------------------------

ASKED: dict[str, tuple[dict[str, str], float | None]] = {
    "seconds": ({"retry-after": "7"}, 7.0),
    "a fraction": ({"retry-after": "1.5"}, 1.5),
    "nothing": ({"retry-after": "0"}, 0.0),
    "milliseconds": ({"retry-after-ms": "1500"}, 1.5),
    "a date": ({"retry-after": http_date(30), "date": http_date(0)}, 30.0),
    "a date that is over": ({"retry-after": http_date(-30), "date": http_date(0)}, None),
    "a limit that is lifted": (
        {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "2m59.56s"}, 179.56,
    ),
    "a limit that is not used up": (
        {"x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "2m59.56s"}, None,
    ),
    "a moment": (
        {"date": http_date(0), "anthropic-ratelimit-requests-reset": f"{datetime.fromtimestamp(NOW + 20, UTC):%FT%TZ}"},
        20.0,
    ),
    "less than nothing": ({"retry-after": "-5"}, None),
    "for ever": ({"retry-after": "inf"}, 86_400.0),
    "more than a float": ({"retry-after": "1e400"}, 86_400.0),
    "a day": ({"retry-after": "86400"}, 86_400.0),
    "just a minute": ({"retry-after": "60"}, 60.0),
    "junk": ({"retry-after": "soon, promised"}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(ASKED))
@pytest.mark.parametrize("status", [429, 503])
async def test_A3_an_endpoint_gets_the_time_it_asks_for_or_another_is_asked(
    tmp_path: Path, name: str, status: int
) -> None:
    headers, asked = ASKED[name]

    def script(model: str, number: int) -> ScriptedReply:
        return refusal(status, headers=headers) if model == "busy" and number == 0 else answer(WORDS)

    with FaultyHost(script) as wall:
        busy, other = endpoint(wall, "busy"), endpoint(wall, "other")
        bench = world_of(tmp_path, busy, other, jitter=random.Random(SEED).random)
        result = await ask(bench, busy, other)
        if asked is not None and asked > REROUTE_AFTER:
            assert (result.endpoint, bench.slept) == ("wall:other", []), "where there is another, at once"
        else:
            assert result.endpoint == "wall:busy" and result.text == TEXT
            (slept,) = bench.slept
            assert (asked or 0.0) <= slept <= (asked or 0.0) + 1.0


@pytest.mark.parametrize("name", sorted(ASKED))
async def test_A3_where_nobody_else_is_left_it_gets_its_time_and_more_than_a_minute_is_passed_on(
    tmp_path: Path, name: str
) -> None:
    headers, asked = ASKED[name]

    def script(model: str, number: int) -> ScriptedReply:
        if model == "down":
            return refusal(401)
        return refusal(429, headers=headers) if number == 0 else answer(WORDS)

    for others in ((), ("down",)):
        with FaultyHost(script) as wall:
            endpoints = [endpoint(wall, model) for model in ("busy", *others)]
            now = [1000.0]
            bench = world_of(tmp_path, *endpoints, clock=lambda now=now: now[0])
            if asked is not None and asked > MAX_WAIT:
                with pytest.raises(errors.CallError) as raised:
                    await ask(bench, *endpoints)
                assert bench.slept == []
                assert others or raised.value.retry_after == pytest.approx(asked), "passed on to whoever asks"
                continue
            result = await ask(bench, *endpoints)
            assert result.endpoint == "wall:busy" and result.text == TEXT
            (slept,) = bench.slept
            assert (asked or 0.0) - 0.001 <= slept <= (asked or 0.0) + 1.0


@pytest.mark.parametrize("junk", [{}, {"date": "yesterday"}], ids=["none", "junk"])
async def test_A3_a_date_is_measured_on_our_clock_where_the_reply_has_no_date(
    tmp_path: Path, junk: dict[str, str]
) -> None:
    """Of more than a minute, which is not waited for but passed on."""
    told: list[float | None] = []
    for ahead in (1000.0, -1000.0):
        when = format_datetime(datetime.fromtimestamp(time.time() + ahead, UTC), usegmt=True)
        headers = {"retry-after": when, **junk}
        with FaultyHost(lambda *_, headers=headers: refusal(429, headers=headers)) as wall:
            busy = endpoint(wall, "busy")
            bench = world_of(tmp_path / str(ahead), busy)
            with pytest.raises(errors.RateLimited) as raised:
                await ask(bench, busy)
            told.append(raised.value.retry_after)
    assert told[0] is not None and 500 < told[0] <= 1000 and told[1] is None


# ---- A4 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
async def test_A4_a_host_that_is_down_gets_little_more_than_the_calls_that_are_made(
    tmp_path: Path, status: int, full_gates: bool
) -> None:
    """429s do not trip the breaker, so the budget alone holds them back."""
    calls = 10_000 if full_gates else 120
    now = [0.0]
    with FaultyHost(lambda *_: refusal(status)) as wall:
        down = endpoint(wall, "down")
        bench = world_of(tmp_path, down, upstreams=EndpointHealth(), clock=lambda: now[0])
        for _ in range(calls):
            now[0] += 0.001
            with pytest.raises(errors.CallError):
                await ask(bench, down)
        extra = len(wall.hits) - calls
        assert extra <= RESENDS_PER_CALL * calls + RESENDS_PER_SECOND * now[0] + MAX_TIMED_RESENDS
        assert len(bench.store.attempts(1_000_000)) == len(wall.hits)


@pytest.mark.parametrize("headers", [{}, {"retry-after": "1"}, {"retry-after": "10"}], ids=["", "1 s", "10 s"])
@pytest.mark.parametrize("others", [0, 1])
async def test_A4_the_budget_holds_for_any_number_of_requests_side_by_side(
    tmp_path: Path, full_gates: bool, headers: dict[str, str], others: int
) -> None:
    """A hundred at once fail before the first of them is sent again. The clock stands still: nothing is added to the
    budget meanwhile."""
    calls = 2000 if full_gates else 200
    waiting = [0]

    async def together(seconds: float) -> None:
        waiting[0] += 1
        for _ in range(calls):  # until all that are to wait have begun to
            before = waiting[0]
            await anyio.sleep(0.002)
            if waiting[0] == before:
                break

    asked = [0] * (1 + others)

    def script(model: str, number: int) -> ScriptedReply:
        asked[int(model.removeprefix("down"))] += 1
        return refusal(503, headers=headers)

    with FaultyHost(script, keeps=False) as wall:
        endpoints = [endpoint(wall, f"down{number}") for number in range(1 + others)]
        bench = world_of(
            tmp_path, *endpoints, upstreams=EndpointHealth(), clock=lambda: 1000.0, sleep=together,
            jitter=random.Random(SEED).random,
        )  # fmt: skip
        request, opened = question()
        transport = Transport()
        room = anyio.CapacityLimiter(100)  # connections at once: what the wall's machine takes

        async def client() -> None:
            async with room:
                with pytest.raises(errors.CallError):
                    async for _ in run(steps(*endpoints), request, opened, bench.dependencies(transport)):
                        pass

        async with anyio.create_task_group() as group:
            for _ in range(calls):
                group.start_soon(client)
        await transport.aclose()
    assert max(asked) <= calls + int(RESENDS_PER_CALL * calls) + MAX_TIMED_RESENDS


@pytest.mark.parametrize(("pause", "resends"), [(30, None), (30, 0), (600, None), (600, 0)])
async def test_A4_an_endpoint_that_asked_for_a_pause_is_left_alone_by_other_requests_while_another_answers(
    tmp_path: Path, pause: int, resends: int | None
) -> None:
    now = [1000.0]

    def script(model: str, number: int) -> ScriptedReply:
        busy = model == "busy" and now[0] < 1000.0 + pause
        return refusal(429, headers={"retry-after": str(pause)}) if busy else answer(WORDS)

    with FaultyHost(script) as wall:
        busy, other = endpoint(wall, "busy"), endpoint(wall, "other")
        bench = world_of(tmp_path, busy, other, upstreams=EndpointHealth(), clock=lambda: now[0], resends=resends)
        for _ in range(3):
            assert (await ask(bench, busy, other)).endpoint == other.id
        assert (wall.asked("busy"), wall.asked("other")) == (1, 3)
        assert any(f"busy asked not to be called for {pause} s: going on" in each.text for each in notes(bench))
        now[0] = 1001.0 + pause
        assert (await ask(bench, busy, other)).endpoint == busy.id


async def test_A4_a_pause_of_more_than_a_minute_is_not_waited_for_where_no_other_endpoint_answers(
    tmp_path: Path,
) -> None:
    """Another request was told to wait: this one may be answered, and nothing is lost by asking."""
    upstreams = EndpointHealth()
    with FaultyHost(lambda model, _: answer(WORDS) if model == "busy" else refusal(401)) as wall:
        busy, other = endpoint(wall, "busy"), endpoint(wall, "other")
        upstreams.pause(busy.id, 1600.0)
        bench = world_of(tmp_path, busy, other, upstreams=upstreams, clock=lambda: 1000.0)
        assert (await ask(bench, busy, other)).endpoint == busy.id
        assert (wall.asked("busy"), wall.asked("other"), bench.slept) == (1, 1, [])


async def test_A4_an_endpoint_that_answers_during_its_pause_is_called_by_other_requests_again(tmp_path: Path) -> None:
    """Only an answer to a call that was made after the endpoint requested the pause shows that the pause is over."""
    upstreams = EndpointHealth()
    with FaultyHost(lambda *_: answer(WORDS)) as wall:
        busy, other = endpoint(wall, "busy"), endpoint(wall, "other")
        before = upstreams.begin(busy.id, busy.host.id, 1000.0, is_resend=False)
        upstreams.pause(busy.id, 1600.0)
        bench = world_of(tmp_path, busy, other, upstreams=upstreams, clock=lambda: 1000.0)
        before.end(None, 1000.0)
        assert (await ask(bench, busy, other)).endpoint == other.id
        assert (await ask(bench, busy)).endpoint == busy.id
        assert (await ask(bench, busy, other)).endpoint == busy.id


async def test_A4_an_endpoint_that_asked_for_a_pause_is_called_where_no_other_is_left(tmp_path: Path) -> None:
    """The pause may have been for another kind of call, and nothing is lost by asking."""
    upstreams = EndpointHealth()
    with FaultyHost(lambda *_: answer(WORDS)) as wall:
        only = endpoint(wall, "only")
        upstreams.pause(only.id, 1030.0)
        bench = world_of(tmp_path, only, upstreams=upstreams, clock=lambda: 1000.0)
        assert (await ask(bench, only)).endpoint == only.id


def notes(bench: Bench) -> list[Note]:
    return [event for event in bench.events if isinstance(event, Note)]


@pytest.mark.parametrize(("resends", "calls"), [(None, 3), (0, 1), (1, 2), (4, 5)])
async def test_A4_an_endpoint_that_is_returned_to_is_called_no_more_often_than_others(
    tmp_path: Path, resends: int | None, calls: int
) -> None:
    """It asks for a pause that sends the run elsewhere, and the run comes back to it when nothing else is left."""

    def script(model: str, number: int) -> ScriptedReply:
        return refusal(429, headers={"retry-after": "10"}) if model == "busy" else refusal(401)

    async def at_once(seconds: float) -> None:
        pass

    with FaultyHost(script) as wall:
        busy, other = endpoint(wall, "busy"), endpoint(wall, "other")
        bench = world_of(tmp_path, busy, other, sleep=at_once, resends=resends)
        with pytest.raises(errors.CallError):
            await ask(bench, busy, other)
        assert (wall.asked("busy"), wall.asked("other")) == (calls, 1)


@pytest.mark.parametrize("end", [1050.0, 1090.0], ids=["after the deadline", "more than a minute"])
async def test_A4_a_pause_for_which_no_time_is_left_takes_no_resend(tmp_path: Path, end: float) -> None:
    """The run is about to return to the endpoint, and gives up. Other requests may use the host's budget."""
    upstreams, fresh = EndpointHealth(), EndpointHealth()

    def script(model: str, number: int) -> ScriptedReply:
        if model == "other":  # meanwhile another request is told to wait longer
            upstreams.pause("wall:busy", end)
        return refusal(503, headers={"retry-after": "40"}) if model == "busy" else refusal(401)

    with FaultyHost(script) as wall:
        busy, other = endpoint(wall, "busy"), endpoint(wall, "other")
        bench = world_of(tmp_path, busy, other, upstreams=upstreams, clock=lambda: 1000.0)
        with pytest.raises(errors.CallError):
            await ask(bench, busy, other, policy=Policy(max_cost=1e9, deadline=45.0))
        assert (wall.asked("busy"), wall.asked("other")) == (1, 1)
    fresh.begin(busy.id, busy.host.id, 1000.0, is_resend=False)
    assert resends_left(upstreams, busy.host.id) == resends_left(fresh, busy.host.id)


def resends_left(health: EndpointHealth, host: str) -> int:
    return next(number for number in range(10_000) if not health.acquire_resend(host, 1000.0))


async def test_A4_a_few_failures_are_mended(tmp_path: Path, full_gates: bool) -> None:
    calls = 10_000 if full_gates else 120
    chance = random.Random(SEED)
    failed = 0
    with FaultyHost(lambda *_: refusal(503) if chance.random() < 0.01 else answer(WORDS)) as wall:
        shaky = endpoint(wall, "shaky")
        bench = world_of(tmp_path, shaky, upstreams=EndpointHealth())
        for _ in range(calls):
            try:
                assert (await ask(bench, shaky)).text == TEXT
            except errors.CallError:
                failed += 1
    assert failed <= calls * 0.001


# ---- A5 ----------------------------------------------------------------------------------------


async def test_A5_a_burst_does_not_come_back_as_a_burst(tmp_path: Path, full_gates: bool) -> None:
    """Clients hit by one 503 at the same moment. When each comes back is what it asked its clock for."""
    clients = 500 if full_gates else 60
    draw = random.Random(SEED)
    with FaultyHost(lambda _, number: refusal(503) if number < clients else answer(WORDS)) as wall:
        down = endpoint(wall, "down")
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            await until(lambda: len(wall.hits) >= clients)  # nobody comes back before all were hit

        bench = world_of(tmp_path, down, jitter=draw.random, sleep=sleep)
        request, opened = question()
        transport = Transport()

        async def client() -> None:
            try:
                async for _ in run(steps(down), request, opened, bench.dependencies(transport)):
                    pass
            except errors.CallError:
                return

        async with anyio.create_task_group() as group:
            for _ in range(clients):
                group.start_soon(client)
        await transport.aclose()
    first = slept[:clients]
    most = max(Counter(int(delay * 10) for delay in first).values())
    assert len(first) == clients
    assert most <= clients * (0.15 if full_gates else 0.25)


# ---- A6 ----------------------------------------------------------------------------------------

IMPATIENT = Timeouts(connect=1.0, first_byte=0.3, idle=0.3)
# What the primary does -> whether the same endpoint may get it again, and how often at most.
FAULTS: dict[str, tuple[ScriptedReply | None, int]] = {
    "nothing listens": (None, 2),
    "closed after the body": (ScriptedReply(end="fin", paid=True), 0),
    "silent": (ScriptedReply(end="stall", paid=True), 0),
    "closed after the headers": (ScriptedReply((HEAD,), end="fin", paid=True), 0),
    "closed after the role": (ScriptedReply((HEAD, chunk(ROLE)), end="fin", paid=True), 0),
    "closed after a word": (cut(WORDS, 1, "fin"), 0),
    "closed after the last word": (cut(WORDS, 3, "fin"), 0),
    "429": (refusal(429), 2),
    "503": (refusal(503), 2),
    "529": (refusal(529), 2),
    "500": (refusal(500, paid=True), 1),
    "502": (refusal(502, paid=True), 0),
    "504": (refusal(504, paid=True), 0),
    "400": (refusal(400), 0),
    "401": (refusal(401), 0),
    "413": (refusal(413), 0),
    "503 that counts tokens": (refusal(503, {"error": {"message": "x"}, "usage": {"total_tokens": 9}}, paid=True), 0),
}


async def test_A6_what_may_be_paid_is_sent_again_to_nobody_without_leave_and_every_payment_has_its_row(
    tmp_path: Path, full_gates: bool
) -> None:
    chance = random.Random(SEED)
    runs = 1000 if full_gates else 60
    names = sorted(FAULTS)
    current: dict[str, tuple[ScriptedReply | None, int]] = {}

    def script(model: str, number: int) -> ScriptedReply:
        play, times = current.get(model, (None, 0))
        return play if play is not None and number < times else answer(WORDS)

    with socket.socket() as silent, FaultyHost(script) as wall:
        silent.bind(("127.0.0.1", 0))  # nobody else gets it, and nobody takes calls
        nobody = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        for number in range(runs):
            if number % 50 == 0:  # what a store learns of thousands of endpoints is not what this is about
                bench = world_of(tmp_path / str(number))
            fault = names[number % len(names)]
            play, resends = FAULTS[fault]
            times, pay_twice, has_other = chance.choice((1, 2, 9)), chance.random() < 0.5, chance.random() < 0.7
            primary, other = endpoint(wall, f"p{number}"), endpoint(wall, f"o{number}")
            if play is None:
                primary = endpoint(wall, f"p{number}", host=rename(primary.host, base_url=nobody))
            current = {f"p{number}": (play, times)}
            bench.endpoints = (primary, other)
            bench.options = {"pay_twice": pay_twice, "timeouts": IMPATIENT if fault == "silent" else None}
            try:
                result = await ask(bench, primary, *([other] if has_other else []), policy=RICH)
                assert result.text == TEXT
            except errors.CallError:
                assert "".join(WORDS).startswith(bench.shown)
            hits = [hit for hit in wall.hits if hit.model == f"p{number}"]
            assert len(hits) <= resends + 1, fault
            failed_paid = [hit for hit in hits[: min(times, len(hits))] if hit.paid]
            if failed_paid and not pay_twice:
                assert wall.asked(f"o{number}") == 0, f"{fault}: paid twice without leave"
            _agree(bench, wall, number, fault)


def _agree(bench: Bench, wall: FaultyHost, number: int, fault: str) -> None:
    """The wall's bill and the rows of the store, attempt by attempt."""
    ours = (f"wall:p{number}", f"wall:o{number}")
    rows = [row for row in bench.store.attempts(20) if row.reservation.endpoint in ours]
    assert {row.state for row in rows} <= {"settled", "estimated", "void"}, fault
    for model in (f"p{number}", f"o{number}"):
        paid = sum(hit.paid for hit in wall.hits if hit.model == model)
        counted = sum(row.state != "void" for row in rows if row.reservation.endpoint == f"wall:{model}")
        assert counted == paid, f"{fault}: the wall charges {paid} attempts, the store has {counted}"
        arrived, made = wall.asked(model), sum(row.reservation.endpoint == f"wall:{model}" for row in rows)
        assert made == arrived or (fault == "nothing listens" and arrived == 0), fault
