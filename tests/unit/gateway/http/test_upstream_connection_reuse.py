"""A host that ends a kept connection while a request is on its way to it has said nothing about that request."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import msgspec
import pytest
from tests.unit.gateway.gateway_server import STRONG, GatewayServer, house_before

import intermodal
from intermodal import errors
from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config.config_file import load_config
from intermodal.executor.attempt.retry import RetryLimits, decide_retry

WORDS = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":{"role":"assistant","content":"Paris."},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],'
    b'"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}\n\ndata: [DONE]\n\n'
)
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%b" % (len(WORDS), WORDS)


class Crossing:
    """A host that answers ``answers`` requests on each connection, and ends it when the next one arrives."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.read: list[int] = []  # the number of each request on its connection
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as file, suppress(OSError, ValueError):
            for number in range(self.answers + 1):
                size = 0
                while (line := file.readline()) not in (b"\r\n", b""):
                    name, _, value = line.partition(b":")
                    size = int(value) if name.lower() == b"content-length" else size
                if not line:
                    return
                file.read(size)
                if not size:  # a look at what it serves
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    return
                self.read.append(number)
                if number < self.answers:
                    connection.sendall(STREAM)


@pytest.fixture(params=[1])
def host(request: pytest.FixtureRequest) -> Iterator[Crossing]:
    made = Crossing(request.param)
    yield made
    made.close()


def test_every_question_of_a_client_is_answered(host: Crossing) -> None:
    talker = ServedRow(id="acme/talker-70b", served_as="talker", context=8192, input_mtok=1.0, output_mtok=2.0)
    row = HostRow(id="box", base_url=host.base_url, models=(talker,))
    with intermodal.Client(msgspec.structs.replace(load_config(os.environ), hosts=(row,))) as client:
        said = [client.ask("Which is the capital?", model="box:acme/talker-70b").text for _ in range(3)]
    assert said == ["Paris."] * 3
    assert host.read == [0, 1, 0, 1, 0]  # each that was not answered was sent once more, on a connection of its own


@pytest.fixture
def house(host: Crossing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    with house_before(monkeypatch, tmp_path, ("cloud", host.base_url, STRONG)) as served:
        yield served


@pytest.mark.usefixtures("either_way")
def test_every_request_to_the_gateway_is_answered(house: GatewayServer, host: Crossing) -> None:
    asked = {"model": "cloud/strong", "stream": True, "messages": [{"role": "user", "content": "Which is it?"}]}
    for _ in range(3):
        reply: httpx.Response = house.post("/v1/chat/completions", asked)
        assert reply.status_code == 200
        assert "Paris." in reply.text
    assert host.read == [0, 1, 0, 0]


@pytest.mark.parametrize("host", [0], indirect=True)
def test_a_first_request_that_is_hung_up_on_is_not_sent_there_again(house: GatewayServer, host: Crossing) -> None:
    asked = {"model": "cloud/strong", "messages": [{"role": "user", "content": "Which is it?"}]}
    assert house.post("/v1/chat/completions", asked).status_code == 502
    assert host.read == [0]


def test_what_may_not_be_paid_twice_is_not_sent_twice() -> None:
    error = errors.Unreachable("closed the connection", where="h:m", sent=True)
    error.record_close(is_reused=True, seconds=0.01)
    given = {"attempt": 1, "committed": False, "remaining": None, "jitter": 0.5}
    assert decide_retry(error, **given, allowed=RetryLimits()).kind == "resend"
    assert decide_retry(error, **given, allowed=RetryLimits(pay_twice=False)).kind == "stop"


def test_an_end_after_a_while_of_work_is_no_crossing() -> None:
    error = errors.Unreachable("closed the connection", where="h:m", sent=True)
    error.record_close(is_reused=True, seconds=20)
    assert error.hung_up
    assert not error.stale
    assert error.retry == "reroute"
