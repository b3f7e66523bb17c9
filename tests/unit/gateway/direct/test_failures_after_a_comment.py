"""A stream that has begun with a comment, or with words, ends with the error of whatever fails next."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.gates.faulty_host import HEAD, FaultyHost, ScriptedReply, chunk, cut, refusal
from tests.unit.gateway.gateway_server import GatewayServer, priced, until

from intermodal import errors
from intermodal.executor.direct.direct_attempt import DirectAttempt
from intermodal.gateway.http1 import response_writer
from intermodal.telemetry.request_record import RequestRecord

pytestmark = pytest.mark.usefixtures("either_way")

DOORS = {
    "openai": "/v1/chat/completions", "anthropic": "/v1/messages", "openai-responses": "/v1/responses",
    "ollama": "/api/chat",
}  # fmt: skip
COMMENTED = sorted(DOORS.keys() - {"ollama"})  # Ollama's lines have no comments


class Told(NamedTuple):
    """What a client got, and what the log says of its request. ``last``: the error in the last event."""

    status: int
    text: str
    last: Any
    record: RequestRecord


@contextmanager
def gateway(folder: Path, patch: pytest.MonkeyPatch, protocol: str, wall: FaultyHost) -> Iterator[GatewayServer]:
    path = folder / "intermodal.toml"
    path.write_text(priced("first", wall.base_url, 1.0, protocol=protocol))
    patch.setenv("INTERMODAL_CONFIG", str(path))
    with GatewayServer() as house:
        yield house


def stream(house: GatewayServer, protocol: str, begun: threading.Event) -> Told:
    """Ask for a stream. ``begun`` is set once some of it has arrived."""
    told: list[RequestRecord] = []
    house.gateway.tell = told.append
    said = [{"role": "user", "content": "hello"}]
    tree: dict[str, Any] = {"model": "cloud/strong", "stream": True}
    tree |= {"input": said, "max_output_tokens": 50} if protocol == "openai-responses" else {"messages": said}
    tree |= {"max_tokens": 50} if protocol in ("openai", "anthropic") else {}
    text = ""
    with house.http.stream("POST", DOORS[protocol], json=tree) as found:
        for piece in found.iter_text():
            text += piece
            begun.set()
    until(lambda: bool(told))
    last = json.loads(text.rstrip().rpartition("\n")[2].removeprefix("data: "))
    return Told(found.status_code, text, last.get("response", last)["error"], told[0])


def stream_after_a_comment(
    folder: Path, patch: pytest.MonkeyPatch, protocol: str, planned: Callable[[GatewayServer], Awaitable[None]]
) -> Told:
    """A stream whose direct call fails once a comment has arrived. ``planned``: instead of planning its run."""
    begun = threading.Event()

    async def plan_request(*args: object, **more: object) -> None:
        await planned(house)

    patch.setattr(response_writer, "FIRST_COMMENT_SECONDS", 0.1)
    patch.setattr("intermodal.gateway.endpoints.chat.plan_request", plan_request)
    with (
        FaultyHost(lambda model, number: refusal(503) if begun.wait(300) else ScriptedReply()) as wall,
        gateway(folder, patch, protocol, wall) as house,
    ):
        told = stream(house, protocol, begun)
    assert told.status == 200 and told.text.startswith(": generate: no word yet")
    return told


@pytest.mark.parametrize("protocol", COMMENTED)
def test_a_plan_that_fails_after_a_comment_is_the_last_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    """The direct call fails, and so does the planning of the run that is to continue."""

    async def fails(house: GatewayServer) -> None:
        raise errors.NoRoute("no route is left")

    told = stream_after_a_comment(tmp_path, monkeypatch, protocol, fails)
    assert "no route is left" in told.last["message"]
    assert told.last["intermodal"]["attempts"] == 1
    assert "[DONE]" not in told.text
    assert (told.record.error, told.record.broken) == ("no_route", True)


@pytest.mark.parametrize("protocol", COMMENTED)
def test_a_stop_while_a_run_is_planned_after_a_comment_is_the_last_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    async def stops(house: GatewayServer) -> None:
        house.gateway.stop()
        house.gateway.stop()
        await asyncio.sleep(30)

    told = stream_after_a_comment(tmp_path, monkeypatch, protocol, stops)
    assert "the server is stopping" in told.last["message"]
    assert (told.record.error, told.record.broken) == ("stopping", True)


@pytest.mark.parametrize("protocol", ["openai", "ollama"])
def test_a_mistake_of_ours_after_words_is_the_last_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    def wrong(*args: object) -> None:
        raise ZeroDivisionError

    said = {"model": "first", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": "Pa"}}
    line = json.dumps({**said, "done": False}).encode() + b"\n"
    play = ScriptedReply((HEAD, chunk(line)), end="fin") if protocol == "ollama" else cut(["Pa"], 1, "fin")
    monkeypatch.setattr(DirectAttempt, "_record_failure", wrong)
    with FaultyHost(lambda model, number: play) as wall, gateway(tmp_path, monkeypatch, protocol, wall) as house:
        told = stream(house, protocol, threading.Event())
        assert ["ZeroDivisionError" in line for line in house.log] == [True]
    assert told.status == 200 and "Pa" in told.text
    assert "failed inside" in str(told.last)
    assert (told.record.error, told.record.broken) == ("internal", True)
