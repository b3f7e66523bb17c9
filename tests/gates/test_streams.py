"""B1 to B4: whatever happens to a stream, what is shown is the truth. Real sockets, a wall that fails byte by byte."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from tests.gates.fault_runs import ask, endpoint, world_of
from tests.gates.faulty_host import (
    BROKEN,
    DONE,
    HEAD,
    LAST,
    PING,
    ROLE,
    FaultyHost,
    ScriptedReply,
    answer,
    chunk,
    cut,
    delta,
    refusal,
    split,
)  # fmt: skip
from tests.unit.executor.routes import Bench, until

from intermodal import errors
from intermodal.catalog.types import Endpoint, TimeoutSettings
from intermodal.events import AttemptFailed, Committed, Finished, Note, TextDelta
from intermodal.transport.client import Transport
from intermodal.transport.timeouts import Timeouts

pytestmark = [pytest.mark.gate, pytest.mark.anyio, pytest.mark.timeout(3000)]

SEED = 20_261_125
TOKENS = [f" tökën{number} 東{number}" for number in range(60)]
TEXT = "".join(TOKENS)
OTHER = ["the", " other", " model", " says", " no", " such", " thing"]
CUTS = ("fin", "rst", "stall", "inband", "malformed", "ended")
CALM = Timeouts(connect=20.0, first_byte=20.0, idle=20.0)
QUICK = Timeouts(connect=20.0, first_byte=5.0, idle=0.5)


def first_failure(bench: Bench) -> AttemptFailed:
    """The first attempt that failed, timed by its caller: a wall on a busy machine notes late when it began."""
    return next(event for event in bench.events if isinstance(event, AttemptFailed))


async def leaving(bench: Bench, one: Endpoint, error: type[Exception]) -> float:
    """Seconds until an endpoint, which would never end, is left with this error."""
    with pytest.raises(error):
        await ask(bench, one)
    return first_failure(bench).seconds


@pytest.mark.parametrize("manner", CUTS)
async def test_B1_a_cut_at_any_token_is_an_error_after_what_was_said(
    tmp_path: Path, manner: str, full_gates: bool
) -> None:
    positions = range(1, 61) if full_gates else random.Random(SEED).sample(range(1, 61), 5)
    with FaultyHost(lambda model, _: cut(TOKENS, int(model), manner)) as wall:
        for position in positions:
            broken = endpoint(wall, str(position))
            bench = world_of(tmp_path, broken, timeouts=QUICK if manner == "stall" else CALM)
            with pytest.raises(errors.CallError) as raised:
                await ask(bench, broken)
            assert raised.value.exit_code == 5
            assert TEXT.startswith(bench.shown)
            if manner != "rst":  # a reset may overtake what was sent before it
                assert bench.shown == "".join(TOKENS[:position]), manner
            assert not any(isinstance(event, Finished) for event in bench.events), "a cut is no success"
            assert bench.states()[-1] == "estimated"


async def test_B1_a_whole_answer_is_whole_however_it_comes(tmp_path: Path, full_gates: bool) -> None:
    def script(model: str, _: int) -> ScriptedReply:
        if model == "no done":
            return ScriptedReply((*answer(TOKENS, done=False).pieces[:-1],), end="stall", paid=True)
        return split(TOKENS, size=int(model))

    sizes = range(1, 41) if full_gates else (1, 2, 7)
    with FaultyHost(script) as wall:
        for model in ("no done", *map(str, sizes)):
            whole = endpoint(wall, model)
            with anyio.fail_after(300):
                result = await ask(world_of(tmp_path, whole), whole)
            assert result.text == TEXT.strip() or result.text == TEXT, model
            assert result.finish_reason == "stop"


async def test_B2_no_answer_mixes_two_models(tmp_path: Path, full_gates: bool) -> None:
    """Cuts anywhere, before the first word too, with a fallback at hand."""
    chance = random.Random(SEED)
    runs = 10_000 if full_gates else 60
    plays: dict[str, ScriptedReply] = {}

    def script(model: str, _: int) -> ScriptedReply:
        return plays.get(model) or answer(OTHER)

    with FaultyHost(script) as wall:
        broken, other = endpoint(wall, "broken"), endpoint(wall, "other")
        for number in range(runs):
            position, manner = (
                chance.choice((0, 1, chance.randrange(60))),
                chance.choice(("fin", "rst", "inband", "ended")),
            )
            plays["broken"] = cut(TOKENS, position, manner)
            if number % 1000 == 0:
                bench = world_of(tmp_path / str(number), broken, other)
            try:
                result = await ask(bench, broken, other)
            except errors.CallError:
                assert TEXT.startswith(bench.shown) and (bench.shown or position == 0), (position, manner)
            else:
                assert result.text == "".join(OTHER), (position, manner)
                assert bench.shown == result.text
            assert sum(isinstance(event, Committed) for event in bench.events) <= 1, "one model speaks"


def _before_the_first_word() -> dict[str, ScriptedReply]:
    pings = [chunk(PING)] * 20
    return {
        "an error as the first event": ScriptedReply([HEAD, chunk(BROKEN), LAST], paid=True),
        "a role, then an error": ScriptedReply([HEAD, chunk(ROLE), chunk(BROKEN), LAST], paid=True),
        "comments, a role, then an error": ScriptedReply(
            [HEAD, *pings, chunk(ROLE), *pings, chunk(BROKEN), LAST], paid=True
        ),
        "blanks, then an error": ScriptedReply(
            [HEAD, chunk(ROLE), *[chunk(delta(" \n"))] * 30, chunk(BROKEN), LAST], paid=True
        ),
        "a role, then the end": ScriptedReply([HEAD, chunk(ROLE), LAST], paid=True),
        "thoughts, then a reset": ScriptedReply(
            [HEAD, chunk(delta(None, reasoning_content="hm"))], end="rst", paid=True
        ),
        "half an event, then the end": ScriptedReply([HEAD, chunk(b'data: {"choi')], end="fin", paid=True),
        "comments and silence": ScriptedReply([HEAD, *pings], end="stall", paid=True),
        "blanks without end": ScriptedReply([HEAD, *[chunk(delta(" " * 4096))] * 70, chunk(DONE), LAST], paid=True),
        "a plain 500": refusal(500, paid=True),
    }


@pytest.mark.parametrize("name", sorted(_before_the_first_word()))
async def test_B3_nothing_is_seen_of_an_attempt_that_fails_before_its_first_word(tmp_path: Path, name: str) -> None:
    plays = _before_the_first_word()
    with FaultyHost(lambda model, _: plays.get(model) or answer(OTHER)) as wall:
        broken, other = endpoint(wall, name), endpoint(wall, "other")
        bench = world_of(tmp_path, broken, other, timeouts=QUICK)
        result = await ask(bench, broken, other)
        assert result.text == bench.shown == "".join(OTHER) and result.endpoint == "wall:other"
        shown = [event for event in bench.events if isinstance(event, (TextDelta, Committed))]
        assert isinstance(shown[0], Committed) and shown[0].endpoint == "wall:other"
        assert any(isinstance(event, Note) and "wall:other" in event.text for event in bench.events), "and it is said"
        assert [event.endpoint for event in bench.events if isinstance(event, AttemptFailed)][-1] == f"wall:{name}"


async def test_B4_each_attempt_has_its_whole_window_and_a_silent_one_is_left(tmp_path: Path) -> None:
    """One that never begins, then one that answers well within its window: of one for both, nothing would be left."""
    window = 2.4

    def script(model: str, _: int) -> ScriptedReply:
        return answer(OTHER, pause=0.1) if model == "late" else ScriptedReply(end="stall", paid=True)

    with FaultyHost(script) as wall:
        names = ("one", "late")
        endpoints = [endpoint(wall, name) for name in names]
        bench = world_of(tmp_path, *endpoints, timeouts=Timeouts(connect=20.0, first_byte=window, idle=20.0))
        result = await ask(bench, *endpoints)
        assert result.endpoint == "wall:late" and result.text == "".join(OTHER)
        assert bench.states() == ["estimated", "settled"]
        assert first_failure(bench).seconds >= window - 0.02


async def test_B4_a_silent_one_is_left_when_its_window_is_over(tmp_path: Path) -> None:
    with FaultyHost(lambda *_: ScriptedReply(end="stall", paid=True)) as wall:
        silent = endpoint(wall, "silent")
        bench = world_of(tmp_path, silent, timeouts=Timeouts(connect=20.0, first_byte=0.4, idle=20.0))
        assert await leaving(bench, silent, errors.Unreachable) >= 0.38


async def test_B4_an_answer_that_goes_silent_is_cut(tmp_path: Path) -> None:
    with FaultyHost(lambda *_: cut(TOKENS, 5, "stall")) as wall:
        silent = endpoint(wall, "silent")
        bench = world_of(tmp_path, silent, timeouts=Timeouts(connect=20.0, first_byte=20.0, idle=0.3))
        assert await leaving(bench, silent, errors.StreamCut) >= 0.28


_ALIVE = {"comments": PING, "nothing": b'data: {"choices": []}\n\n', "a role": ROLE}


@pytest.mark.parametrize("name", _ALIVE)
async def test_B4_what_keeps_a_connection_alive_is_no_first_word(tmp_path: Path, name: str) -> None:
    """An endpoint that sends signs of life for ever has its window for a word, and no more."""
    window = 0.6
    signs: list[bytes | float] = [chunk(_ALIVE[name]), 0.1]
    with FaultyHost(lambda *_: ScriptedReply([HEAD, *signs * 6_000], end="stall", paid=True)) as wall:
        alive = endpoint(wall, "alive")
        bench = world_of(tmp_path, alive, timeouts=Timeouts(connect=20.0, first_byte=window, idle=0.3))
        with pytest.raises(errors.StreamCut, match=r"no word within 0\.6 s"):
            await ask(bench, alive)
        assert first_failure(bench).seconds >= window - 0.02


async def test_B4_a_limit_that_ends_the_wait_for_a_connection_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def never(*_: Any, **options: Any) -> AsyncIterator[None]:
        await anyio.sleep_forever()
        yield

    monkeypatch.setattr(Transport, "post", never)
    with FaultyHost(lambda *_: ScriptedReply([])) as wall:
        far = endpoint(wall, "far")
        far = msgspec.structs.replace(far, host=msgspec.structs.replace(far.host, timeouts=TimeoutSettings(total=0.2)))
        bench = world_of(tmp_path, far, pay_twice=False)
        with pytest.raises(errors.Unreachable, match=r"end within 0\.2 s") as raised:
            await ask(bench, far)
        assert raised.value.billing == "free"
        assert set(bench.states()) == {"void"}


@pytest.mark.parametrize("protocol", ["openai", "llama"])
async def test_B4_a_call_has_a_limit_for_all_of_it_where_its_host_says_so(tmp_path: Path, protocol: Any) -> None:
    """Each word comes in time, and the answer never ends. A server that intermodal started is no exception."""
    words: list[bytes | float] = [chunk(delta("on ")), 0.1]
    with FaultyHost(lambda *_: ScriptedReply([HEAD, *words * 6_000], end="stall", paid=True)) as wall:
        endless = endpoint(wall, "endless")
        host = msgspec.structs.replace(endless.host, timeouts=TimeoutSettings(total=0.7), protocol=protocol)
        endless = msgspec.structs.replace(endless, host=host)
        bench = world_of(tmp_path, endless, timeouts=CALM)
        bench.runtimes.url = host.base_url
        with pytest.raises(errors.Unreachable, match=r"end within 0\.7 s"):
            await ask(bench, endless)
        assert set(bench.states()) == {"estimated"}
        await until(lambda: all(hit.left is not None for hit in wall.hits))
        assert max(hit.left - hit.at for hit in wall.hits if hit.left is not None) >= 400
