"""Answers of many megabytes: whole for every reader, and no long turn of the loop for the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gates.slow_inputs import config_of
from tests.unit.gateway.house import House, through_the_executor

from intermodal.gateway.reply import PIECE, Reply
from intermodal.testing import FakeHost

LONG = " ".join(str(number * 7919 % 1_000_003) * 40 for number in range(6_000))  # 1.4 MB, and no loop


class Slow:
    """A connection whose reader takes one piece at a time, and may leave after some."""

    gone = False
    behind = True

    def __init__(self, leaves_after: int = 1_000) -> None:
        self.written: list[bytes] = []
        self.waited = 0
        self._leaves_after = leaves_after

    def write(self, data: bytes, *, last: bool = False) -> None:
        self.written.append(data)

    async def writable(self) -> None:
        self.waited += 1
        if self.waited > self._leaves_after:
            raise ConnectionResetError

    def when_caught_up(self, do: Callable[[], None] | None) -> None: ...


def test_a_large_answer_is_written_a_piece_at_a_time_as_its_reader_takes_it() -> None:
    line, body = Slow(), bytes(5 * PIECE + 7)
    reply = Reply(line)
    asyncio.run(reply.send(200, body, {"content-type": "application/json"}))
    head, *pieces = line.written
    assert f"content-length: {len(body)}\r\n".encode() in head
    assert b"".join(pieces) == body
    assert max(map(len, pieces)) <= PIECE
    assert line.waited == len(pieces)
    assert reply.ended and reply.sent == len(body)


def test_an_answer_whose_reader_left_in_the_middle_has_not_ended() -> None:
    line = Slow(leaves_after=2)
    reply = Reply(line)
    with pytest.raises(ConnectionResetError):
        asyncio.run(reply.send(200, bytes(5 * PIECE)))
    assert not reply.ended
    assert reply.sent == 2 * PIECE


def test_a_small_answer_is_one_write() -> None:
    line = Slow()
    asyncio.run(Reply(line).send(200, b"{}"))
    assert len(line.written) == 1 and line.waited == 0


def test_a_large_answer_arrives_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeHost(answer=LONG) as host:
        path = tmp_path / "intermodal.toml"
        path.write_text(config_of(host.base_url))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with House(before=through_the_executor) as house:
            said = house.chat("go on", max_tokens=4_000_000)
    assert len(said.content) > 4 * PIECE
    assert said.json()["choices"][0]["message"]["content"] == LONG
