"""Who is in the middle of asking when the gateway stops, or when others take over."""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.gateway_server import BY_EXECUTOR, GatewayServer, until

from intermodal.gateway.http1.http_types import HttpLimits
from intermodal.testing import FakeHost, Fault


def half(house: GatewayServer, cut: int = 10) -> tuple[socket.socket, bytes]:
    """A connection on which a part of a request has come, and the rest of it."""
    body = json.dumps({"model": "cloud/strong", "messages": [{"role": "user", "content": "hello"}]}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    whole = head + b"content-length: %d\r\n\r\n" % len(body) + body
    line = socket.create_connection(("127.0.0.1", house.gateway.port), timeout=10)
    line.sendall(whole[:-cut])
    until(lambda: any(each._inside for each in house.gateway.connections))
    return line, whole[-cut:]


def read_to_the_end(line: socket.socket) -> bytes:
    found = b""
    with line:
        while piece := line.recv(65536):
            found += piece
    return found


@pytest.mark.parametrize("cut", [10, 150], ids=["body", "head"])
def test_who_is_in_the_middle_of_asking_is_told_that_it_stops(configured: Path, host: FakeHost, cut: int) -> None:
    with GatewayServer(drain=5) as house:
        line, _ = half(house, cut)
        house.loop.call_soon_threadsafe(house.gateway.stop)
        said = read_to_the_end(line)
        assert said.startswith(b"HTTP/1.1 503") and b"the server is stopping" in said and b"retry-after: 5" in said
    assert not host.attempts


def test_who_is_in_the_middle_of_asking_behind_an_answer_is_told_after_it(configured: Path, host: FakeHost) -> None:
    host.fault = Fault("slow", 1.0)
    with GatewayServer(drain=5) as house:
        line, rest = half(house)
        line.sendall(rest)
        until(lambda: host.attempts)
        line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: local")
        until(lambda: any(each._inside for each in house.gateway.connections))
        house.loop.call_soon_threadsafe(house.gateway.stop)
        said = read_to_the_end(line)
        assert [int(each[:3]) for each in said.split(b"HTTP/1.1 ")[1:]] == [200, 503]


@pytest.mark.parametrize("cut", [10, 150], ids=["body", "head"])
def test_what_is_half_here_when_others_take_over_comes_and_is_answered(configured: Path, cut: int) -> None:
    with GatewayServer(drain=10) as house:
        line, rest = half(house, cut)
        house.loop.call_soon_threadsafe(house.gateway.hand_over)
        time.sleep(2.5)
        line.sendall(rest)
        said = read_to_the_end(line)
        assert said.startswith(b"HTTP/1.1 200") and b"\r\nconnection: close\r\n" in said
        house._thread.join(300)
        assert not house._thread.is_alive(), "nobody is left"


def test_what_stays_half_here_when_others_take_over_is_told_at_the_end(configured: Path) -> None:
    with GatewayServer(drain=0.5) as house:
        line, _ = half(house)
        house.loop.call_soon_threadsafe(house.gateway.hand_over)
        said = read_to_the_end(line)
        assert said.startswith(b"HTTP/1.1 503") and b"the server is stopping" in said
    with GatewayServer(drain=10, limits=HttpLimits(body_seconds=3)) as house:
        line, _ = half(house)
        house.loop.call_soon_threadsafe(house.gateway.hand_over)
        assert read_to_the_end(line).startswith(b"HTTP/1.1 408")


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_shutdown_error_is_not_stored_under_an_idempotency_key(
    configured: Path, host: FakeHost, streamed: bool
) -> None:
    body = {"model": "cloud:cloud/strong", "messages": [{"role": "user", "content": "hello"}], "stream": streamed}
    host.answer = "one two three four five"
    host.fault = Fault("stall", 3) if streamed else Fault("silent")
    said = list[str]()
    with GatewayServer(drain=0.3) as house, ThreadPoolExecutor(1) as pool:

        def ask() -> None:
            headers = {"idempotency-key": "one"}
            with house.http.stream("POST", "/v1/chat/completions", json=body, headers=headers) as reply:
                for piece in reply.iter_text():
                    said.append(piece)

        asking = pool.submit(ask)
        until(lambda: said if streamed else host.attempts)
        house.loop.call_soon_threadsafe(house.gateway.stop)
        asking.result(300)
        assert "the server is stopping" in "".join(said)
    host.fault = None
    with GatewayServer() as house:
        again = house.post("/v1/chat/completions", body, idempotency_key="one")
        assert (again.status_code, again.json()["error"]["code"]) == (409, "idempotency_lost")
    assert len(host.attempts) == 1


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("more", [{}, BY_EXECUTOR], ids=["direct", "executor"])
@pytest.mark.parametrize(
    ("path", "limit"),
    [("/v1/chat/completions", "max_tokens"), ("/v1/messages", "max_tokens"), ("/v1/responses", "max_output_tokens")],
)
def test_a_stream_without_a_word_is_a_503_when_the_gateway_stops(
    host: FakeHost, path: str, limit: str, more: dict[str, Any]
) -> None:
    said = {"input": "hello"} if path == "/v1/responses" else {"messages": [{"role": "user", "content": "hello"}]}
    host.fault = Fault("silent")
    with GatewayServer(drain=0.3) as house, ThreadPoolExecutor(1) as pool:
        body = {"model": "cloud:cloud/strong", "stream": True, limit: 50, **said, **more}
        asking = pool.submit(house.post, path, body)
        until(lambda: host.attempts)
        house.loop.call_soon_threadsafe(house.gateway.stop)
        found = asking.result(300)
    assert found.status_code == 503 and "the server is stopping" in found.json()["error"]["message"]
