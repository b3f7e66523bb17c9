"""A client sends the same head again and again. What follows such a head means what it means after any other."""

from __future__ import annotations

import random
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.unit.gateway.house import House

from intermodal.gateway.messages import HttpLimits
from intermodal.testing import FakeHost

BODY = b'{"model":"cloud/strong","messages":[{"role":"user","content":"%b"}]}'
LINES = ("host: localhost", "content-type: application/json")
LAST = "x-intermodal-objective: cheapest"  # a letter of which makes it a wish that is none


def request(words: bytes = b"hi", *more: str, length: str = "") -> bytes:
    body = BODY % words
    lines = ["POST /v1/chat/completions HTTP/1.1", *LINES, f"content-length: {length or len(body)}", *more, LAST]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture
def hasty(configured: Path) -> Iterator[House]:
    """Who waits for the rest of a request says so soon."""
    with House(limits=HttpLimits(head_seconds=0.3, body_seconds=0.3)) as served:
        yield served


def both(house: House, first: bytes, second: bytes, pause: int = 0) -> list[int]:
    """Statuses of the answers to two requests, the second sent when the first was answered."""
    with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=20) as line:
        line.sendall(first)
        found = line.recv(65536)
        while found[-1:] != b"}":
            found += line.recv(65536)
        line.sendall(second[:pause])
        line.sendall(second[pause:])
        with suppress(ConnectionError):
            while found.count(b"HTTP/1.1 ") < 2 or found[-1:] != b"}":
                piece = line.recv(65536)
                if not piece:
                    break
                found += piece
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", found)][:2]


def test_a_head_that_comes_again_is_answered_with_its_own_body(house: House, host: FakeHost) -> None:
    with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=20) as line:
        for number in (1, 22, 333, 4444, 5, 66_666, 7):
            words = b"%d" % number * 3
            line.sendall(request(words))
            found = b""
            while not found.endswith(b"}"):
                found += line.recv(65536)
            assert found.startswith(b"HTTP/1.1 200")
            assert words.decode() in str(host.attempts[-1].body)


def mutated(chance: random.Random) -> tuple[bytes, int]:
    """A second request, nearly like the first, and where it is cut in two."""
    words = bytes(chance.choices(b"abc ", k=chance.randrange(1, 40))) + b"x"
    true = str(len(BODY % words))
    length = chance.choice([
        "", "", "", f"0{true}", f"+{true}", f" {true}", f"{true} ", f"{true},{true}", str(int(true) - 1),
        str(int(true) + 1), "0", "", "-1", "99999999999", "9" * 30, f"{true}\r\ncontent-length: 3",
    ])  # fmt: skip
    more = chance.choice([(), (), (), ("x: y",), ("transfer-encoding: chunked",), ("connection: close",), (" folded",)])
    data = bytearray(request(words, *more, length=length))
    end = data.find(b"\r\n\r\n")
    if chance.random() < 0.4:
        data[chance.randrange(end + 4)] = chance.choice(b"\r\n\0 :Xx9\xff")
    if chance.random() < 0.2:
        data = data.replace(b"\r\n", b"\n", chance.randrange(1, 8))
    if chance.random() < 0.1:
        data += b"POST / HTTP/1.1\r\n\r\n"
    return bytes(data), chance.choice([0, 0, 0, chance.randrange(len(data))])


@pytest.mark.parametrize("seed", range(8))
def test_nothing_can_be_said_by_what_was_said_before(hasty: House, host: FakeHost, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(10):
        second, pause = mutated(chance)
        told = []
        for first in (request(), request(b"hi", "x-other: head")):  # the second one's head comes again, or does not
            before = len(host.attempts)
            statuses = both(hasty, first, second, pause)
            told.append((statuses, [str(attempt.body) for attempt in host.attempts[before:]]))
        assert told[0] == told[1], second


def test_every_letter_of_it_counts(house: House, host: FakeHost) -> None:
    good = request()
    for place in (5, good.find(b"localhost"), good.find(b"json"), good.find(b"cheapest"), good.find(b"objective")):
        assert both(house, good, good[:place] + b"X" + good[place + 1 :])[1] >= 400
    assert both(house, good, request(b"other"))[1] == 200
