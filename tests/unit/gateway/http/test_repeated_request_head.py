"""A client sends the same head again and again. What follows such a head means what it means after any other."""

from __future__ import annotations

import random
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.unit.gateway.gateway_server import GatewayServer, until

from intermodal.gateway.http1.http_types import HttpLimits
from intermodal.testing import FakeHost, Fault

BODY = b'{"model":"cloud/strong","messages":[{"role":"user","content":"%b"}]}'
LINES = ("host: localhost", "content-type: application/json")
LAST = "x-intermodal-objective: cheapest"  # a letter of which makes it a wish that is none


def request(words: bytes = b"hi", *more: str, length: str = "", body: bytes = b"") -> bytes:
    body = body or BODY % words
    lines = ["POST /v1/chat/completions HTTP/1.1", *LINES, f"content-length: {length or len(body)}", *more, LAST]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture
def hasty(configured: Path) -> Iterator[GatewayServer]:
    """Who waits for the rest of a request says so soon."""
    with GatewayServer(limits=HttpLimits(head_seconds=0.3, body_seconds=0.3)) as served:
        yield served


def both(house: GatewayServer, first: bytes, second: bytes, pause: int = 0, *, answers: int = 2) -> list[int]:
    """Statuses of the answers to two requests, the second sent when the first was answered."""
    with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=20) as line:
        line.sendall(first)
        found = line.recv(65536)
        while found[-1:] != b"}":
            found += line.recv(65536)
        line.sendall(second[:pause])
        line.sendall(second[pause:])
        with suppress(ConnectionError):
            while found.count(b"HTTP/1.1 ") < answers or found[-1:] != b"}":
                piece = line.recv(65536)
                if not piece:
                    break
                found += piece
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", found)][:answers]


def test_a_head_that_comes_again_is_answered_with_its_own_body(house: GatewayServer, host: FakeHost) -> None:
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
def test_nothing_can_be_said_by_what_was_said_before(hasty: GatewayServer, host: FakeHost, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(10):
        second, pause = mutated(chance)
        told = []
        for first in (request(), request(b"hi", "x-other: head")):  # the second one's head comes again, or does not
            before = len(host.attempts)
            statuses = both(hasty, first, second, pause)
            told.append((statuses, [str(attempt.json["messages"]) for attempt in host.attempts[before:]]))
        assert told[0] == told[1], second


def test_every_letter_of_it_counts(house: GatewayServer, host: FakeHost) -> None:
    good = request()
    for place in (5, good.find(b"localhost"), good.find(b"json"), good.find(b"cheapest"), good.find(b"objective")):
        assert both(house, good, good[:place] + b"X" + good[place + 1 :])[1] >= 400
    assert both(house, good, request(b"other"))[1] == 200


# ---- what may change between two heads that are alike ----------------------------------------------------


def answer(line: socket.socket) -> int:
    """The status of a whole answer; 0 where the line is closed instead."""
    found = b""
    while not found.endswith(b"}"):
        try:
            piece = line.recv(65536)
        except ConnectionError:
            return 0
        if not piece:
            return 0
        found += piece
    return int(found.split(b" ", 2)[1])


def opened(house: GatewayServer) -> socket.socket:
    """A connection on which such a head was answered already."""
    line = socket.create_connection(("127.0.0.1", house.gateway.port), timeout=20)
    line.sendall(request())
    assert answer(line) == 200
    assert any(connection._before is not None for connection in house.gateway.connections)
    return line


OTHERS = {
    "chunked": request().replace(b"content-length: 68", b"transfer-encoding: chunked").partition(b"\r\n\r\n")[0]
    + b"\r\n\r\n44\r\n"
    + BODY % b"hi"
    + b"\r\n0\r\n\r\n",
    "both lengths": request(b"hi", "transfer-encoding: chunked"),
    "both lengths, the other way round": request().replace(b"host:", b"transfer-encoding: chunked\r\nhost:"),
    "HTTP/1.0": request().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "expects": request(b"hi", "expect: 100-continue"),
    "another host": request().replace(b"localhost", b"evil.loc1"),
    "two hosts": request(b"hi", "host: evil.example"),
    "a page": request(b"hi", "origin: http://evil.example"),
    "a second length": request(b"hi", "content-length: 3"),
    "two at once": request() + request(b"and"),
    "one hidden in the body of another": request(body=request(b"inner")),
    "one after a body of none": request(length="0"),
    "shorter than it says": request(length="69"),
    "longer than it says": request(length="67"),
    "nine figures": request(length="000000068"),
    "eight figures": request(length="00000068"),
    "lines that end early": request().replace(b"\r\n", b"\n"),
    "closes": request(b"hi", "connection: close"),
    "upgrades": request(b"hi", "connection: upgrade", "upgrade: h2c"),
}


@pytest.mark.parametrize("pause", [0, 1, 40], ids=["whole", "after a letter", "in its head"])
def test_what_is_nearly_the_same_means_what_it_means_alone(hasty: GatewayServer, host: FakeHost, pause: int) -> None:
    assert len(BODY % b"hi") == 68
    for name, second in OTHERS.items():
        told = []
        for first in (request(), request(b"hi", "x-other: head")):
            before = len(host.attempts)
            statuses = both(hasty, first, second, pause, answers=3 if name == "two at once" else 2)
            told.append((statuses, [str(attempt.json["messages"]) for attempt in host.attempts[before:]]))
        assert told[0] == told[1], name
        until(lambda: not hasty.gateway.held)


def test_bodies_have_the_same_limits(configured: Path, host: FakeHost) -> None:
    full = BODY % (b"x" * 934)
    assert len(full) == 1000
    with GatewayServer(limits=HttpLimits(body=1000, in_flight=1500)) as house:
        with opened(house) as line:
            line.sendall(request(body=full))
            assert answer(line) == 200
            line.sendall(request(body=full + b" "))
            assert answer(line) == 413
        host.fault = Fault("slow", 0.5)
        with opened(house) as line, opened(house) as other:
            line.sendall(request(body=full))
            until(lambda: house.gateway.held == 1000)
            other.sendall(request(body=full))
            assert answer(other) == 503
            assert answer(line) == 200
        until(lambda: not house.gateway.held)


def test_who_is_silent_after_it_is_ended_as_ever(configured: Path, host: FakeHost) -> None:
    with GatewayServer(limits=HttpLimits(idle_seconds=1.0)) as house, opened(house) as line:
        line.sendall(request())
        assert answer(line) == 200
        assert line.recv(100) == b"", "idle"
    with GatewayServer(limits=HttpLimits(head_seconds=0.3, body_seconds=0.3)) as house:
        for cut in (10, len(request()) - 5):
            with opened(house) as line:
                line.sendall(request())
                assert answer(line) == 200
                line.sendall(request()[:cut])
                assert answer(line) == 408
        host.fault = Fault("slow", 1.0)
        with opened(house) as line:
            line.sendall(request())
            assert answer(line) == 200, "while we work nobody's silence is too long"
    assert not house.gateway.held


def test_nobody_is_served_after_the_end_has_begun(configured: Path, host: FakeHost) -> None:
    with GatewayServer() as house:
        lines = [opened(house) for _ in range(8)]
        host.fault = Fault("slow", 0.5)
        working, before = opened(house), len(host.attempts) + 1
        working.sendall(request(b"before"))
        until(lambda: len(host.attempts) == before)
        house.loop.call_soon_threadsafe(house.gateway.stop)
        until(lambda: house.gateway.stopping)
        told = []
        for line in lines:
            with suppress(ConnectionError):
                line.sendall(request(b"after"))
            told.append(answer(line))
            line.close()
        assert set(told) <= {0, 503}
        assert answer(working) == 200
        working.close()
        assert not [attempt for attempt in host.attempts[before:] if "after" in str(attempt.body)]


def test_empty_lines_between_requests_add_up_to_nothing(configured: Path) -> None:
    with GatewayServer(limits=HttpLimits(head=400)) as house, opened(house) as line:
        for _ in range(8):
            line.sendall(b"\r\n" * 150)
            time.sleep(0.02)  # so that they come alone
            line.sendall(request())
            assert answer(line) == 200
