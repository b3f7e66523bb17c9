"""B1 and B3 in every protocol: streams as the vendors' references have them, cut between and within events."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from tests.gates.fault_runs import ask, endpoint, world_of
from tests.gates.faulty_host import HEAD, LAST, FaultyHost, ScriptedReply, answer, chunk
from tests.unit.executor.routes import rename

from intermodal import errors
from intermodal.catalog.types import Endpoint
from intermodal.events import Finished
from intermodal.testing.attempts import Attempt
from intermodal.testing.protocols import Anthropic, FakeAnswer, FakeProtocol, Gemini, Ollama, Responses

pytestmark = [pytest.mark.gate, pytest.mark.anyio, pytest.mark.timeout(3000)]

SEED = 20_261_125
TOKENS = tuple(f" tökën{number} 東{number}" for number in range(60))
TEXT = "".join(TOKENS)
DIALECTS: dict[str, type[FakeProtocol]] = {
    "anthropic": Anthropic, "gemini": Gemini, "ollama": Ollama, "openai-responses": Responses,
}  # fmt: skip


def events_of(protocol: str) -> list[bytes]:
    attempt = Attempt(path="/", headers={}, key=False, body=b"", began=0.0, model="m", output_tokens=60)
    return list(DIALECTS[protocol]().stream(attempt, FakeAnswer(tokens=TOKENS)))


def speaking(wall: FaultyHost, protocol: Any, model: str = "broken") -> Endpoint:
    found = endpoint(wall, model)
    return rename(found, host=rename(found.host, protocol=protocol))


@pytest.mark.parametrize("manner", ["fin", "rst", "ended", "torn"])
@pytest.mark.parametrize("protocol", sorted(DIALECTS))
async def test_B1_a_cut_is_never_an_answer_in_any_protocol(
    tmp_path: Path, protocol: str, manner: str, full_gates: bool
) -> None:
    events = events_of(protocol)
    places = range(len(events)) if full_gates else random.Random(SEED).sample(range(len(events)), 6)
    current = ScriptedReply()
    with FaultyHost(lambda *_: current) as wall:
        broken = speaking(wall, protocol)
        bench = world_of(tmp_path, broken)
        for place in places:
            begun = [HEAD, *map(chunk, events[:place])]
            if manner == "torn":  # within an event, and within a character of it where there is one
                begun.append(chunk(events[place][: len(events[place]) // 2]))
            over = [LAST] if manner in ("ended", "torn") else []
            current = ScriptedReply([*begun, *over], end="" if over else manner, paid=True)  # type: ignore[arg-type]
            try:
                result = await ask(bench, broken)
            except errors.CallError:
                assert TEXT.startswith(bench.shown)
                assert not any(isinstance(event, Finished) for event in bench.events)
            else:
                assert result.text == TEXT, f"a text that stops at event {place} of {len(events)} is no answer"


@pytest.mark.parametrize("protocol", sorted(DIALECTS))
async def test_B1_a_whole_stream_is_whole_in_pieces_of_any_size(
    tmp_path: Path, protocol: str, full_gates: bool
) -> None:
    body = b"".join(events_of(protocol))
    current = ScriptedReply()
    with FaultyHost(lambda *_: current) as wall:
        whole = speaking(wall, protocol)
        bench = world_of(tmp_path, whole)
        for size in range(1, 41) if full_gates else (1, 3, 64):
            pieces = [chunk(body[at : at + size]) for at in range(0, len(body), size)]
            current = ScriptedReply([HEAD, *pieces, LAST], paid=True)
            assert (await ask(bench, whole)).text == TEXT


def _sse(tree: Any, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(tree).encode() + b"\n\n"


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
UNAVAILABLE = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
FAILED = {"type": "response.failed", "response": {"status": "failed", "error": {
    "code": "server_error", "message": "The server had an error"}, "output": [], "usage": None}}  # fmt: skip
# A vendor's own way to fail within a stream -> the error that it is.
OWN: dict[str, tuple[str, bytes, type[errors.CallError]]] = {
    "Anthropic": ("anthropic", _sse(OVERLOADED, "error"), errors.Overloaded),
    "Gemini": ("gemini", _sse(UNAVAILABLE), errors.Overloaded),
    "Ollama": ("ollama", b'{"error":"llama runner process has terminated: exit status 2"}\n', errors.RuntimeCrashed),
    "OpenAI's responses": ("openai-responses", _sse(FAILED, "response.failed"), errors.CallError),
    "OpenAI's responses, bare": (
        "openai-responses", _sse({"type": "error", "code": "rate_limit_exceeded", "message": "slow down"}, "error"),
        errors.RateLimited,
    ),
    "OpenRouter": (
        "openai", _sse({"error": {"code": 502, "message": "Provider returned error"}, "choices": []}),
        errors.Unreachable,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(OWN))
async def test_B3_an_error_in_the_vendor_s_own_words_is_that_error_and_invisible_before_the_first_word(
    tmp_path: Path, name: str
) -> None:
    protocol, event, kind = OWN[name]
    first = events_of(protocol)[:1] if protocol in ("anthropic", "openai-responses") else []
    played = ScriptedReply([HEAD, *map(chunk, [*first, event]), LAST], paid=True)
    with FaultyHost(lambda model, _: answer(["all", " well"]) if model == "other" else played) as wall:
        broken, other = speaking(wall, protocol), endpoint(wall, "other")
        bench = world_of(tmp_path, broken, other)
        result = await ask(bench, broken, other)
        assert (bench.shown, result.endpoint) == ("all well", "wall:other")
        assert result.failures[-1].code == kind.code
        with pytest.raises(errors.CallError) as raised:
            await ask(bench, broken)
        assert type(raised.value) is kind
