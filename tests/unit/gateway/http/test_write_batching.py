"""Answers that are ready in one turn of the loop go out together; who is alone does not wait."""

from __future__ import annotations

import asyncio

import pytest

from intermodal.gateway.http1.response_writer import LARGE_WRITE, WriteBatcher

pytestmark = pytest.mark.anyio


class Line(asyncio.Transport):
    def __init__(self, name: str, written: list[tuple[str, bytes]]) -> None:
        super().__init__()
        self.name, self.written, self.closed = name, written, False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append((self.name, bytes(data)))

    def is_closing(self) -> bool:
        return self.closed


class Busy:
    active = 1


async def test_a_single_connection_is_written_immediately() -> None:
    written: list[tuple[str, bytes]] = []
    box, line = WriteBatcher(Busy()), Line("a", written)
    for number in range(3):
        box.write(line, b"%d" % number)
        assert len(written) == number + 1


async def test_many_go_out_together_in_the_order_they_came() -> None:
    written: list[tuple[str, bytes]] = []
    busy = Busy()
    busy.active = 3
    box, lines = WriteBatcher(busy), [Line(name, written) for name in "abc"]
    for number in range(9):
        box.write(lines[number % 3], b"%d" % number)
    assert len(written) <= 1, "only the first goes out at once"
    await asyncio.sleep(0)
    assert written == [("abc"[number % 3], b"%d" % number) for number in range(9)]
    box.flush()
    assert len(written) == 9


async def test_what_is_large_goes_at_once_and_after_what_came_before() -> None:
    written: list[tuple[str, bytes]] = []
    busy = Busy()
    busy.active = 2
    box, line = WriteBatcher(busy), Line("a", written)
    for data in (b"one", b"two", b"x" * LARGE_WRITE, b"three"):
        box.write(line, data)
    assert [data for _, data in written][:3] == [b"one", b"two", b"x" * LARGE_WRITE]
    await asyncio.sleep(0)
    assert written[-1] == ("a", b"three") and len(written) == 4


async def test_who_has_gone_is_not_written_to() -> None:
    written: list[tuple[str, bytes]] = []
    busy = Busy()
    busy.active = 2
    box, here, gone = WriteBatcher(busy), Line("here", written), Line("gone", written)
    for line in (here, gone, here):
        box.write(line, b"said")
    gone.closed = True
    await asyncio.sleep(0)
    assert written == [("here", b"said"), ("here", b"said")]


async def test_without_anybody_to_ask_all_goes_out_at_once() -> None:
    written: list[tuple[str, bytes]] = []
    box, line = WriteBatcher(), Line("a", written)
    for number in range(3):
        box.write(line, b"%d" % number)
    assert len(written) == 3
