"""The circuit breaker acts alike whether the direct path or the executor makes the calls: sequences of requests."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.gates.faulty_host import HEAD, ROLE, FaultyHost, ScriptedReply, answer, chunk, delta, refusal
from tests.unit.gateway.direct.without_task import without_tasks
from tests.unit.gateway.gateway_server import STRONG, GatewayServer, config, through_the_executor, until

from intermodal.executor.attempt.circuit_breaker import FAILURES_TO_OPEN
from intermodal.gateway.server import Gateway

ENDPOINT = "cloud:cloud/strong"
DOWN = refusal(502)  # no resend follows it: one request is one call
WORKS = answer(["all", " is", " well"])
BEGINS = ScriptedReply((HEAD, chunk(ROLE), chunk(delta("Pa")), 30.0), paid=True)
BREAKS = ScriptedReply((HEAD, chunk(ROLE), chunk(delta("Pa"))), end="fin", paid=True)
SLOW = ScriptedReply((60.0, *refusal(200, {}).pieces), paid=True)
FAST = f"{STRONG}; speed = {{ overhead = [0.01, 0.02, 0.03], prompt = [1e5, 2e5, 3e5], decode = [1e4, 2e4, 3e4] }}"
SOON = {"intermodal": {"deadline": 2.0}}  # a busy machine plans within it
JSON = {"response_format": {"type": "json_object"}}
NO_JSON = refusal(200, {"choices": [{"index": 0, "message": {"content": "no"}, "finish_reason": "stop"}]}, paid=True)


class Sequence:
    """A gateway before a host that plays what it is told to next."""

    def __init__(self, house: GatewayServer, wall: FaultyHost, plays: list[ScriptedReply]) -> None:
        self._house, self._wall, self._plays = house, wall, plays

    def ask(self, play: ScriptedReply, **more: Any) -> int:
        self._plays[:] = [play]
        status = self._house.chat(max_tokens=50, **more).status_code
        self._rest()
        return status

    def leave(self, play: ScriptedReply) -> None:
        """Read the first word, and go."""
        self._plays[:] = [play]
        tree = {"model": "cloud/strong", "messages": [{"role": "user", "content": "hello"}], "stream": True}
        body = json.dumps({**tree, "max_tokens": 50}).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", self._house.gateway.port)) as line:
            line.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
            found = b""
            while b"Pa" not in found:
                found += line.recv(4096)
        until(lambda: self._wall.hits[-1].left is not None)
        self._rest()

    def _rest(self) -> None:
        until(lambda: not self._house.gateway.active)

    @property
    def is_open(self) -> bool:
        return self._house.gateway.client.upstreams.seconds_open(ENDPOINT, time.monotonic()) > 0

    @property
    def taken(self) -> int:
        return self._house.taken


@pytest.fixture(params=["executor", "direct", "direct without a task"])
def sequence(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sequence]:
    plays: list[ScriptedReply] = []

    def before(gateway: Gateway) -> None:
        if request.param == "executor":
            through_the_executor(gateway)
        elif request.param == "direct without a task":
            without_tasks(gateway)

    with FaultyHost(lambda model, number: plays[0]) as wall:
        monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path / "i.toml", ("cloud", wall.base_url, FAST))))
        with GatewayServer(before=before) as house:
            found = Sequence(house, wall, plays)
            yield found
            assert found.ask(WORKS) == 200 and (found.taken > 0) == (request.param != "executor")


def test_a_stream_that_worked_until_its_reader_left_ends_a_row_of_failures(sequence: Sequence) -> None:
    for _ in range(FAILURES_TO_OPEN - 1):
        assert sequence.ask(DOWN) == 502
    sequence.leave(BEGINS)
    assert sequence.ask(DOWN) == 502
    assert not sequence.is_open
    for _ in range(FAILURES_TO_OPEN - 1):
        assert not sequence.is_open
        sequence.ask(DOWN)
    assert sequence.is_open, "and those that follow are counted from there"
    assert sequence.ask(WORKS) == 200
    assert not sequence.is_open


def test_streams_that_break_off_are_failures_in_a_row(sequence: Sequence) -> None:
    for _ in range(FAILURES_TO_OPEN):
        assert not sequence.is_open
        assert sequence.ask(BREAKS, stream=True) == 200, "a word was shown"
    assert sequence.is_open
    assert sequence.ask(WORKS) == 200


def test_a_whole_answer_ends_a_row_of_failures(sequence: Sequence) -> None:
    for _ in range(FAILURES_TO_OPEN - 1):
        sequence.ask(DOWN)
    assert sequence.ask(WORKS) == 200
    sequence.ask(DOWN)
    assert not sequence.is_open


def test_missed_deadlines_neither_end_a_row_of_failures_nor_lengthen_it(sequence: Sequence) -> None:
    for _ in range(FAILURES_TO_OPEN - 1):
        sequence.ask(DOWN)
    assert sequence.ask(SLOW, **SOON) == 502
    assert not sequence.is_open
    sequence.ask(DOWN)
    assert sequence.is_open
    assert sequence.ask(WORKS) == 200


def test_an_answer_that_breaks_its_schema_ends_a_row_of_failures(sequence: Sequence) -> None:
    for _ in range(FAILURES_TO_OPEN - 1):
        sequence.ask(DOWN)
    assert sequence.ask(NO_JSON, **JSON) == 502
    sequence.ask(DOWN)
    assert not sequence.is_open
