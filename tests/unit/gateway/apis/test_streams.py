"""Streams through the gateway: what a client may rely on when a host dies, is slow, or the client itself leaves."""

from __future__ import annotations

import gc
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tests.unit.gateway.gateway_server import STRONG, GatewayServer, Said, config, sse, until

from intermodal.testing import FakeHost, Fault

pytestmark = pytest.mark.usefixtures("either_way")

WORDS = " ".join(f"word{n}" for n in range(12))
HEAD = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
ASKED = {"model": "cloud:cloud/strong", "messages": [{"role": "user", "content": "hi"}], "stream": True}


def said(events: list[dict[str, object]]) -> str:
    return "".join(
        choice["delta"].get("content") or ""
        for event in events
        for choice in event.get("choices", ())  # type: ignore[attr-defined]
    )


def test_a_stream_is_whole_and_tells_its_route(house: GatewayServer, host: FakeHost) -> None:
    host.answer = WORDS
    found = house.post("/v1/chat/completions", {**ASKED, "stream_options": {"include_usage": True}})
    assert found.headers["content-type"] == "text/event-stream"
    assert found.headers["x-intermodal-route"] == "cloud:cloud/strong"
    stream = sse(found.text)
    assert said(stream.events) == WORDS
    assert stream.done
    assert stream.events[-1]["usage"]["intermodal"]["route"] == "cloud:cloud/strong"
    assert [event for event in stream.events if "usage" in event] == stream.events[-1:]
    without = sse(house.post("/v1/chat/completions", ASKED).text)
    assert not [event for event in without.events if event.get("usage")]


@pytest.mark.parametrize("place", [1, 2, 5, 11])
@pytest.mark.parametrize("fault", ["cut", "reset", "inband", "malformed", "end"])
def test_a_stream_that_dies_says_so_last(house: GatewayServer, host: FakeHost, fault: str, place: int) -> None:
    host.answer = WORDS
    host.fault = Fault(fault, place)
    found = house.post("/v1/chat/completions", ASKED)
    stream = sse(found.text)
    assert found.status_code == 200
    assert "error" in stream.events[-1]
    assert not stream.done
    assert not [c for event in stream.events for c in event.get("choices", ()) if c["finish_reason"]]
    assert WORDS.startswith(said(stream.events)) and said(stream.events)


def test_a_missing_last_word_after_a_whole_answer_is_no_failure(house: GatewayServer, host: FakeHost) -> None:
    host.answer = WORDS
    for fault in ("nodone", "split", "pings", "json"):
        host.fault = Fault(fault)
        stream = sse(house.post("/v1/chat/completions", ASKED).text)
        assert stream.done and said(stream.events) == WORDS, fault


@pytest.mark.parametrize("fault", ["unavailable", "key", "policy"])
def test_a_failure_before_the_first_word_has_its_own_status(house: GatewayServer, host: FakeHost, fault: str) -> None:
    host.fault = Fault(fault)
    found = house.post("/v1/chat/completions", ASKED)
    assert found.status_code in (400, 502, 503)
    assert found.headers["content-type"] == "application/json"
    assert found.json()["error"]["message"]


def test_nothing_of_a_failed_attempt_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first chunk is waited for: an error before it is the next endpoint's turn."""
    with FakeHost(answer="from the first") as first, FakeHost(answer="from the second") as second:
        path = config(tmp_path / "i.toml", ("one", first.base_url, STRONG), ("two", second.base_url, STRONG))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        for fault in ("inband-0", "unavailable", "cut-0", "broken"):
            name, _, number = fault.partition("-")
            first.fault = second.fault = Fault(name, float(number) if number else None, times=1)
            first._hits.clear()
            second._hits = {"cloud/strong": 1}  # the second is well
            with GatewayServer() as house:
                found = house.post("/v1/chat/completions", {**ASKED, "model": "cloud/strong"})
                stream = sse(found.text)
                assert found.status_code == 200, (fault, found.text)
                assert said(stream.events) in ("from the first", "from the second")
                assert [c["delta"].get("role") for e in stream.events for c in e["choices"]].count("assistant") == 1
                assert stream.done


def kept_open(house: GatewayServer, host: FakeHost, comments: int, **headers: str) -> Said:
    """The host answers once there were so many comments: what came, to the end."""
    enough = threading.Event()
    host.answer = lambda _: WORDS if enough.wait(300) else "too late"
    text, url = "", f"{house.base_url}/chat/completions"
    with httpx.stream("POST", url, json=ASKED, headers=headers, timeout=300, trust_env=False) as found:
        for piece in found.iter_text():
            text += piece
            if len(sse(text).comments) >= comments:
                enough.set()
    return sse(text)


def test_a_silent_stream_is_kept_open_by_comments(
    house: GatewayServer, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intermodal.gateway.http1.response_writer.FIRST_COMMENT_SECONDS", 0.1)
    monkeypatch.setattr("intermodal.gateway.http1.response_writer.COMMENT_SECONDS", 0.1)
    stream = kept_open(house, host, 3)
    assert said(stream.events) == WORDS and stream.done
    host.answer = WORDS
    host.fault = Fault("gone")  # fails after a comment was sent: the last event says it
    found = sse(house.post("/v1/chat/completions", ASKED).text)
    assert not found.done


def test_a_buffered_stream_is_kept_open_and_comes_at_once(
    house: GatewayServer, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intermodal.gateway.http1.response_writer.FIRST_COMMENT_SECONDS", 0.1)
    monkeypatch.setattr("intermodal.gateway.http1.response_writer.COMMENT_SECONDS", 0.1)
    stream = kept_open(house, host, 2, **{"x-intermodal-stream": "buffered"})
    assert stream.done
    (delta,) = [event["choices"][0]["delta"] for event in stream.events if event["choices"][0]["delta"].get("content")]
    assert delta["content"] == WORDS
    refused = house.post("/v1/chat/completions", ASKED, x_intermodal_stream="sometimes")
    assert refused.status_code == 400


def leave(
    house: GatewayServer,
    tree: dict[str, object],
    *,
    after: bytes = b"",
    headers: dict[str, str] | None = None,
    host: FakeHost | None = None,
    when: Callable[[], object] | None = None,
) -> None:
    """Ask, wait for these bytes of the answer, and hang up. Without any: once the host is asked, or ``when``."""
    import json

    body = json.dumps(tree).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"{HEAD}{more}content-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=60) as line:
        line.sendall(head.encode() + body)
        found = b""
        while after and after not in found:
            piece = line.recv(4096)
            assert piece, found
            found += piece
        if not after:
            until(when or (lambda: host is None or host.attempts))


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_the_call_of_the_host(house: GatewayServer, host: FakeHost, stream: bool) -> None:
    host.answer = WORDS
    host.fault = Fault("stall", 3)
    leave(house, {**ASKED, "stream": stream}, after=b"word1" if stream else b"", host=host)
    until(lambda: not house.gateway.active)
    until(lambda: not host._server.connections)  # hung up on, not only left alone
    until(lambda: house.gateway.client.store.attempts(10))
    rows = house.gateway.client.store.attempts(10)
    assert len(rows) == 1
    assert rows[0].state in ("settled", "estimated", "void")


def test_many_who_leave_leave_nothing_behind(house: GatewayServer, host: FakeHost) -> None:
    host.answer = WORDS
    assert house.chat(model="cloud:cloud/strong").status_code == 200
    host.fault = Fault("stall", 3)
    threads = [threading.Thread(target=leave, args=(house, ASKED), kwargs={"after": b"word1"}) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    until(lambda: not house.gateway.active and not host._server.connections)
    assert house.gateway.held == 0
    host.fault = None
    assert house.chat(model="cloud:cloud/strong").status_code == 200
    assert house.log == []


def test_a_slow_reader_slows_the_host_and_not_the_memory(house: GatewayServer, host: FakeHost) -> None:
    host.answer = " ".join(random.Random(n).randbytes(2000).hex() for n in range(3000))  # twelve megabytes as a stream
    import json

    body = json.dumps({**ASKED, "max_tokens": 4000}).encode()
    head = f"{HEAD}content-length: {len(body)}\r\n\r\n"
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", house.gateway.port))
    with line:
        line.sendall(head.encode() + body)
        line.recv(1)
        until(lambda: any(c._room is not None for c in house.gateway.connections), 20)
        time.sleep(0.5)
        waiting = [c._transport.get_write_buffer_size() for c in house.gateway.connections if c._transport is not None]
        assert max(waiting) < 300_000
        assert house.http.get("/healthz").status_code == 200  # nobody else waits
    until(lambda: not house.gateway.active)


def test_stopping_lets_answers_end_and_refuses_new_ones(configured: Path, host: FakeHost) -> None:
    host.answer = WORDS
    with GatewayServer(drain=5) as house:
        host.fault = Fault("slow", 1.0)
        answers: list[object] = []
        asking = threading.Thread(target=lambda: answers.append(house.post("/v1/chat/completions", ASKED)))
        asking.start()
        until(lambda: house.gateway.active)
        house.loop.call_soon_threadsafe(house.gateway.stop)
        until(lambda: house.gateway.stopping)
        late = house.raw(b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert late.startswith(b"HTTP/1.1 503") and b"retry-after: 5" in late
        asking.join(300)
        [found] = answers
        assert sse(found.text).done  # type: ignore[attr-defined]


def test_nobody_who_comes_while_it_stops_is_forgotten(configured: Path) -> None:
    """A socket that nobody closed is an error when it is collected, which every test here fails by."""
    came: list[socket.socket] = []
    leave = threading.Event()

    def come() -> None:
        while not leave.is_set():
            with suppress(OSError):
                came.append(socket.create_connection(("127.0.0.1", port), timeout=1))

    with GatewayServer() as house:
        port = house.gateway.port
        coming = threading.Thread(target=come)
        coming.start()
        until(lambda: len(came) > 20)
    leave.set()
    coming.join(300)
    for each in came:
        each.close()
    del house
    gc.collect()


def test_stopping_tells_those_who_are_cut(configured: Path, host: FakeHost) -> None:
    host.answer = WORDS
    host.fault = Fault("stall", 3)
    with GatewayServer(drain=0.3) as house:
        url, text = f"{house.base_url}/chat/completions", ""
        with httpx.stream("POST", url, json=ASKED, timeout=300, trust_env=False) as found:
            for piece in found.iter_text():
                text += piece
                if "word1" in piece:
                    house.loop.call_soon_threadsafe(house.gateway.stop)
        stream = sse(text)
        assert "stopping" in stream.events[-1]["error"]["message"]
        assert not stream.done
