"""Answers of many megabytes: whole for every reader, and no long turn of the loop for the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gates.slow_inputs import config_of
from tests.unit.gateway.gateway_server import GatewayServer, through_the_executor

from intermodal.gateway.http1.response_writer import WRITE_PIECE, ResponseWriter
from intermodal.testing import FakeHost

LONG = " ".join(str(number * 7919 % 1_000_003) * 40 for number in range(6_000))  # 1.4 MB, and no loop


class Line:
    """A connection that notes what is written, and in which turn of the loop."""

    disconnected = False
    behind = True

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.turns: list[int] = []
        self.turn = 0

    def write(self, data: bytes, *, last: bool = False) -> None:
        self.written.append(data)
        self.turns.append(self.turn)

    async def writable(self) -> None:
        raise AssertionError("an answer that is whole waits for nobody")

    def when_caught_up(self, do: Callable[[], None] | None) -> None: ...

    async def count_turns(self) -> None:
        while True:
            self.turn += 1
            await asyncio.sleep(0)


def test_others_have_their_turn_between_the_pieces_of_a_large_answer() -> None:
    line, body = Line(), bytes(5 * WRITE_PIECE + 7)
    reply = ResponseWriter(line)

    async def sent() -> None:
        others = asyncio.create_task(line.count_turns())
        await reply.send(200, body, {"content-type": "application/json"})
        others.cancel()

    asyncio.run(sent())
    head, *pieces = line.written
    assert f"content-length: {len(body)}\r\n".encode() in head
    assert b"".join(pieces) == body
    assert max(map(len, pieces)) <= WRITE_PIECE
    assert len(set(line.turns[1:])) == len(pieces)
    assert reply.ended and reply.sent == len(body)


def test_a_small_answer_is_one_write() -> None:
    line = Line()
    asyncio.run(ResponseWriter(line).send(200, b"{}"))
    assert len(line.written) == 1


def test_a_large_answer_arrives_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeHost(answer=LONG) as host:
        path = tmp_path / "intermodal.toml"
        path.write_text(config_of(host.base_url))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer(before=through_the_executor) as house:
            said = house.chat("go on", max_tokens=4_000_000)
    assert len(said.content) > 4 * WRITE_PIECE
    assert said.json()["choices"][0]["message"]["content"] == LONG
