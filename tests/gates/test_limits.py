"""A8 to A12: what is too large, refused, not taken, down or late. Real sockets; the wall counts who was asked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.gates import upstreams
from tests.gates.fault_runs import Bench, ask, endpoint, world_of
from tests.gates.faulty_host import HEAD, LAST, ROLE, FaultyHost, ScriptedReply, answer, chunk, delta, refusal
from tests.unit.executor.routes import asked, look, plan, route, say, see, until
from tests.unit.gateway.gateway_server import GatewayServer, priced

from intermodal import errors
from intermodal.core.request import Policy
from intermodal.events import AttemptFailed, Note
from intermodal.executor.attempt import circuit_breaker as breaker
from intermodal.executor.attempt.circuit_breaker import FAILURES_TO_OPEN, PROBE_INTERVAL, EndpointHealth
from intermodal.plans.plan import Plan
from intermodal.transport.timeouts import Timeouts

pytestmark = [pytest.mark.gate, pytest.mark.anyio, pytest.mark.timeout(3000)]

WORDS = ["all", " is", " well"]
TEXT = "all is well"


def failed(bench: Bench) -> list[str]:
    return [event.endpoint for event in bench.events if isinstance(event, AttemptFailed)]


# ---- A8 ----------------------------------------------------------------------------------------

TOO_MUCH: dict[str, ScriptedReply] = {
    "context": refusal(400, {"error": {"code": "context_length_exceeded", "message": "This model's maximum context "
                                       "length is 64 tokens. However, your messages resulted in 9000 tokens."}}),
    "llama.cpp": refusal(400, {"error": {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 302,
                                         "n_ctx": 256, "message": "request (302 tokens) exceeds the available context "
                                         "size (256 tokens), try increasing it"}}),
    "pictures": refusal(400, {"error": {"message": "At most 1 image(s) may be provided in one prompt."}}),
    "bytes": refusal(413, b"<html>413 Request Entity Too Large</html>"),
    "tokens a minute": refusal(429, {"error": {
        "code": "rate_limit_exceeded", "type": "tokens",
        "message": "Request too large for m on tokens per min (TPM): Limit 30000, Requested 45051.",
    }}),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(TOO_MUCH))
async def test_A8_too_much_is_never_sent_again_at_the_same_size(tmp_path: Path, name: str) -> None:
    with FaultyHost(lambda model, _: TOO_MUCH[name] if model == "small" else answer(WORDS)) as wall:
        small, same = endpoint(wall, "small"), endpoint(wall, "same")
        large = endpoint(wall, "large", context=100_000)
        upstreams = EndpointHealth()
        bench = world_of(tmp_path, small, same, large, upstreams=upstreams)
        result = await ask(bench, small, same, large)
        assert result.text == TEXT and wall.asked("small") == 1
        if name in ("context", "llama.cpp"):
            assert (result.endpoint, wall.asked("same")) == ("wall:large", 0), "only one that holds more is asked"
        for _ in range(2 * FAILURES_TO_OPEN):
            with pytest.raises(errors.ContextExceeded) as raised:
                await ask(bench, small)
        assert raised.value.todo
        assert upstreams.seconds_open("wall:small", time.monotonic()) == 0, "the breaker is not concerned"
        assert {row.state for row in bench.store.attempts(100) if row.reservation.endpoint == "wall:small"} == {"void"}


# ---- A9 ----------------------------------------------------------------------------------------

REFUSED: dict[str, ScriptedReply] = {
    "an error": refusal(400, {"error": {"message": "Your request was rejected by our safety system",
                                        "code": "content_policy_violation"}}),
    "an error in the stream": ScriptedReply((HEAD, chunk(ROLE), chunk(
        b'data: {"error":{"message":"flagged by our safety system","code":"content_filter"}}\n\n'), LAST), paid=True),
    "a reason to stop": ScriptedReply((HEAD, chunk(ROLE), chunk(delta(None, refusal="I cannot help with that.")),
                              chunk(delta(None, "content_filter")), LAST), paid=True),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(REFUSED))
async def test_A9_a_refusal_is_one_attempt_with_its_reason_and_nobody_else_is_asked(tmp_path: Path, name: str) -> None:
    with FaultyHost(lambda model, _: REFUSED[name] if model == "strict" else answer(WORDS)) as wall:
        strict, other = endpoint(wall, "strict"), endpoint(wall, "other")
        bench = world_of(tmp_path, strict, other)
        with pytest.raises(errors.ContentRefused) as raised:
            await ask(bench, strict, other)
        assert "safety system" in str(raised.value) or "cannot help" in str(raised.value)
        assert (len(wall.hits), bench.shown) == (1, "")
        (row,) = bench.store.attempts(10)
        assert row.outcome is not None and row.outcome.error == "content_refused"


# ---- A10, as it is met at run time ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"error": {"code": 500, "type": "server_error", "message": "image input is not supported - hint: if this "
                         "is unexpected, you may need to provide the mmproj"}}),
        (400, {"error": "Model does not support images. Please use a model that does."}),
        (400, {"error": {"message": "invalid message format", "type": "invalid_request_error"}}),
        (404, {"error": {"message": "No endpoints found that support image input", "code": 404}}),
    ],
    ids=["llama.cpp", "LM Studio", "Ollama", "OpenRouter"],
)  # fmt: skip
async def test_A10_a_picture_that_is_not_taken_is_planned_around_and_never_sent_there_again(
    tmp_path: Path, status: int, body: Any, full_gates: bool
) -> None:
    """The catalog was wrong. The same endpoint gets its words instead, in this run and in all that follow."""
    tries = 500 if full_gates else 25
    upstreams = EndpointHealth()

    def script(model: str, _: int) -> ScriptedReply:
        with_picture = b"image_url" in wall.hits[-1].raw
        return refusal(status, body) if with_picture else answer(WORDS)

    with FaultyHost(script) as wall:
        blind = endpoint(wall, "blind", input=("text", "image"))
        bench = world_of(tmp_path, blind, upstreams=upstreams)
        whole = plan(route(say(blind, "part:1")))
        read = plan(route(look(), say(blind, "step:look1")))

        def again(request: Any, facts: Any) -> Plan:
            """What the planner does: no way for images where the catalog has none."""
            found = upstreams.apply_lessons(bench.dependencies(None).catalog).by_id[blind.id]  # type: ignore[arg-type]
            return whole if "image" in found.input else read

        bench.options |= {"plan_again": again}
        for number in range(tries):
            request, opened = asked("What does it say?", "sign.png", policy=Policy(max_cost=1e9, hosts=("blind",)))
            result = await bench.run(again(None, None), request, opened)
            assert result.text == TEXT and result.endpoint == "wall:blind"
            assert bool(result.replans) == (number == 0)
        assert sum(b"image_url" in hit.raw for hit in wall.hits) == 1
        (known,) = upstreams.learned
        assert (known.endpoint, known.lacks) == ("wall:blind", ("image",))


# ---- A11 ---------------------------------------------------------------------------------------


async def test_A11_an_outage_is_served_by_the_fallback_and_probed_once_a_cooldown(tmp_path: Path) -> None:
    """One call a second for 15 s of outage, then until the primary is back. The clock is ours."""
    now = [1000.0]
    up = False
    probes: list[float] = []

    def script(model: str, _: int) -> ScriptedReply:
        if model == "primary" and not up:
            probes.append(now[0])
            return refusal(503)
        return answer(WORDS)

    with FaultyHost(script) as wall:
        primary, other = endpoint(wall, "primary"), endpoint(wall, "other")
        bench = world_of(tmp_path, primary, other, upstreams=EndpointHealth(), clock=lambda: now[0])
        for _ in range(15):
            now[0] += 1
            result = await ask(bench, primary, other)
            assert (result.text, result.endpoint) == (TEXT, "wall:other")
        opened = probes[FAILURES_TO_OPEN - 1]
        later = probes[FAILURES_TO_OPEN:]
        windows = [sum(begin <= at < begin + PROBE_INTERVAL for at in later) for begin in (opened, *later)]
        assert max(windows) <= 1 and later, "it is found out, but not hammered"
        assert any(isinstance(event, Note) and "left alone" in event.text for event in bench.events)
        up, recovered = True, now[0]
        while (await ask(bench, primary, other)).endpoint != "wall:primary":
            now[0] += 1
        assert now[0] - recovered <= 10


async def test_A11_where_nobody_else_is_left_it_is_asked_all_the_same(tmp_path: Path) -> None:
    with FaultyHost(lambda _, number: refusal(500) if number < 12 else answer(WORDS)) as wall:
        only = endpoint(wall, "only")
        bench = world_of(tmp_path, only, upstreams=EndpointHealth(), clock=lambda: 1000.0)
        ends = []
        for _ in range(14):
            try:
                ends.append((await ask(bench, only)).text)
            except errors.CallError as error:
                ends.append(error.code)
        assert ends[-1] == TEXT and wall.asked("only") >= 13


async def test_A11_no_4xx_shuts_an_endpoint_out(tmp_path: Path) -> None:
    upstreams = EndpointHealth()
    with FaultyHost(lambda _, number: refusal((400, 401, 403, 404, 408, 413, 422, 429)[number % 8])) as wall:
        strict = endpoint(wall, "strict")
        bench = world_of(tmp_path, strict, upstreams=upstreams, clock=lambda: 1000.0)
        for _ in range(4 * FAILURES_TO_OPEN):
            with pytest.raises(errors.CallError):
                await ask(bench, strict)
            assert upstreams.seconds_open("wall:strict", 1000.0) == 0


# ---- A12 ---------------------------------------------------------------------------------------


async def test_A12_the_deadline_holds_over_all_stages_and_attempts(tmp_path: Path, full_gates: bool) -> None:
    """Two conversions that take their time, then an answer that never comes, with fallbacks that never come either."""
    limit = 8.0 if full_gates else 1.2

    def script(model: str, _: int) -> ScriptedReply:
        if model == "eye":
            return answer(WORDS, pause=limit * 0.3)
        return ScriptedReply((HEAD, chunk(ROLE)), end="stall", paid=True)

    with FaultyHost(script) as wall:
        eye = endpoint(wall, "eye", input=("text", "image"))
        never, neither = endpoint(wall, "never"), endpoint(wall, "neither")
        # Each stage alone would have five minutes to begin.
        timeouts = Timeouts(connect=300, first_byte=300, idle=limit * 0.25)
        bench = world_of(tmp_path, eye, never, neither, timeouts=timeouts)
        request, opened = asked("?", "a.png", "b.png", policy=Policy(max_cost=1e9, deadline=limit))
        first, second = see(eye, 1), see(eye, 2, source="part:2")
        sources = ("step:see1", "step:see2")
        chosen = route(first, second, say(never, *sources))
        with anyio.fail_after(limit + 100), pytest.raises(errors.CallError) as raised:
            await bench.run(plan(chosen, route(first, second, say(neither, *sources))), request, opened)
        assert raised.value.exit_code == 5
        attempts = len(wall.hits)
        await until(lambda: all(hit.left is not None or hit.ended is not None for hit in wall.hits))  # none goes on
        await anyio.sleep(0.1)
        assert len(wall.hits) == attempts, "no attempt begins after the end"
        assert {row.state for row in bench.store.attempts(100)} <= {"settled", "estimated"}


async def test_A12_a_wait_that_would_outlast_the_deadline_is_not_begun(tmp_path: Path) -> None:
    with FaultyHost(
        lambda model, _: refusal(429, headers={"retry-after": "30"}) if model == "busy" else answer(WORDS)
    ) as wall:
        busy, other = endpoint(wall, "busy"), endpoint(wall, "other")
        bench = world_of(tmp_path, busy, other)
        result = await ask(bench, busy, other, policy=Policy(max_cost=1e9, deadline=5.0))
        assert (result.endpoint, bench.slept) == ("wall:other", [])
        assert failed(bench) == ["wall:busy"]


# ---- A11, through a gateway: a primary that fails from its very first request ---------------------

S15_DOORS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


class Flapping:
    """A gateway before one model at two hosts. The cheaper one is down until it is told to be ``up``."""

    def __init__(self, protocol: str, mode: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.up = False
        self._protocol, self._mode, self._folder, self._monkeypatch = protocol, mode, folder, monkeypatch

    @contextmanager
    def open(self) -> Iterator[Flapping]:
        def script(body: Mapping[str, Any]) -> ScriptedReply:
            if body["model"] == "primary" and not self.up:
                return refusal(503)
            made = upstreams.whole if body.get("stream") else upstreams.document
            return made(self._protocol, WORDS)

        with FaultyHost(lambda *_: answer(WORDS), reader=script) as self.wall:
            path = self._folder / "intermodal.toml"
            path.write_text("".join(
                priced(host, self.wall.base_url, price, model="acme/strong", protocol=self._protocol)
                for host, price in (("primary", 1.0), ("fallback", 2.0))
            ))  # fmt: skip
            self._monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
            with GatewayServer() as self.house:
                self.house.http.event_hooks = {}  # the wall writes less than the document says
                yield self

    def ask(self, *said: str) -> tuple[str, str]:
        """Who answered a conversation, and with what; users and assistants take turns."""
        roles = ("user", "assistant")
        messages = [{"role": roles[place % 2], "content": text} for place, text in enumerate(said)]
        tree = {"model": "acme/strong", "max_tokens": 50, "messages": messages, "stream": self._mode != "plain"}
        headers = {"x_intermodal_stream": "buffered"} if self._mode == "buffered" else {}
        found = self.house.post(S15_DOORS[self._protocol], tree, **headers)
        assert found.status_code == 200, found.text
        return found.headers["x-intermodal-route"].partition(":")[0], found.text

    def probes(self) -> list[float]:
        """When the primary was asked, in seconds."""
        return [hit.at / 1000 for hit in self.wall.hits if hit.model == "primary"]


@pytest.fixture
def flapping(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_gates: bool
) -> Iterator[Flapping]:
    if not full_gates:
        monkeypatch.setattr(breaker, "PROBE_INTERVAL", 1.0)
    protocol, mode = request.param
    with Flapping(protocol, mode, tmp_path, monkeypatch).open() as found:
        yield found


S15 = [(protocol, mode) for protocol in S15_DOORS for mode in ("buffered", "plain", "live")]


@pytest.mark.parametrize("flapping", S15, indirect=True, ids=" ".join)
async def test_S15_a_primary_that_failed_before_it_was_measured_is_asked_again_and_preferred_when_it_is_back(
    flapping: Flapping,
) -> None:
    """Its fallback is measured meanwhile, and the primary is not: that must not decide between equals."""
    outage = time.monotonic() + 3 * breaker.PROBE_INTERVAL
    number = 0
    while number < 15 or time.monotonic() < outage:
        number += 1
        who, text = flapping.ask(f"request {number}")
        assert who == "fallback" and "well" in text
        await anyio.sleep(0.1)
    probes = flapping.probes()[FAILURES_TO_OPEN:]
    assert probes, "it is asked again while it is down"
    assert all(later - one >= breaker.PROBE_INTERVAL for one, later in pairwise(probes)), "once a cooldown at most"
    flapping.up = True
    while flapping.ask(f"request {(number := number + 1)}")[0] != "primary":
        await anyio.sleep(0.1)


@pytest.mark.parametrize("flapping", [("openai", "live"), ("openai", "buffered")], indirect=True, ids=" ".join)
async def test_S15_a_conversation_that_a_fallback_took_over_returns(flapping: Flapping) -> None:
    said = ["request 1"]
    for turn in range(8):
        who, _ = flapping.ask(*said)
        assert who == "fallback"
        said += ["".join(WORDS), f"and then {turn}?"]
    flapping.up = True
    while (who := flapping.ask(*said)[0]) != "primary":
        said += ["".join(WORDS), "and then?"]
        await anyio.sleep(0.1)
    assert who == "primary"
