"""The transport against a real server on loopback: what arrives, what it may have cost, and that it lets go.

Reliability ids: A6, B1, B4 to B6, E3, E5.
"""

from __future__ import annotations

import inspect
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager, suppress

import anyio
import httpx
import pytest
from tests.unit.executor.routes import until

from intermodal import errors
from intermodal.protocols.calls import EncodedRequest
from intermodal.testing import FakeHost, Fault
from intermodal.transport import http1
from intermodal.transport.addresses import HostAddress
from intermodal.transport.client import Transport
from intermodal.transport.connection_errors import FAILURES, Phase
from intermodal.transport.proxy import _Progress
from intermodal.transport.response import PendingRequest
from intermodal.transport.timeouts import Timeouts

pytestmark = pytest.mark.anyio


@pytest.fixture
async def sender() -> AsyncIterator[Transport]:
    sender = Transport()
    yield sender
    await sender.aclose()


def ask(model: str = "m", *, stream: bool = False, text: str = "hi") -> EncodedRequest:
    flag = b',"stream":true' if stream else b""
    segments = (
        b'{"model":"' + model.encode(),
        b'","messages":[{"role":"user","content":"',
        text.encode(),
        b'"}]',
        flag,
        b"}",
    )
    return EncodedRequest(path="/chat/completions", headers=(("content-type", "application/json"),), segments=segments)


async def send(
    sender: Transport, base_url: str, encoded: EncodedRequest, *, key: str = "", timeouts: Timeouts | None = None
) -> tuple[int, bytes]:
    async with sender.post(HostAddress(base_url, key), encoded, timeouts=timeouts or Timeouts()) as response:
        return response.status, b"".join([chunk async for chunk in response.chunks()])


@contextmanager
def tcp(handle: str) -> Iterator[str]:
    """A server below HTTP: it takes one connection and does what ``handle`` says, after the headers or the body."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            if handle == "close at once":
                return
            connection.recv(65536)
            if handle == "close in the upload":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            elif handle == "drip headers":
                for byte in b"HTTP/1.1 200 OK\r\n" + b"x-a: 1\r\n" * 1000:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.02)
            elif handle == "junk":
                connection.sendall(b"220 this is a mail server\r\n\r\n")

    def quiet() -> None:
        with suppress(OSError):
            serve()

    thread = threading.Thread(target=quiet)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        thread.join(5)


# ---- what arrives --------------------------------------------------------------------------------


async def test_segments_arrive_as_one_body_with_its_length(sender: Transport) -> None:
    with FakeHost(answer="fine") as host:
        status, _ = await send(sender, host.base_url, ask(text="x" * 3_000_000))
    (attempt,) = host.attempts
    assert status == 200
    assert len(attempt.text) == 3_000_000
    assert attempt.headers["content-length"] == str(len(attempt.body))
    assert "transfer-encoding" not in attempt.headers
    assert attempt.headers["accept-encoding"] == "identity"


async def test_a_stream_comes_as_it_is_made(sender: Transport) -> None:
    with FakeHost(answer="one two") as host:
        async with sender.post(HostAddress(host.base_url), ask("m-fault-stall-1", stream=True)) as response:
            assert response.headers["content-type"] == "text/event-stream"
            async with aclosing(response.chunks()) as chunks:
                body = b""
                async for chunk in chunks:
                    body += chunk
                    if b"one" in body:
                        break


async def test_connections_are_kept_and_reused(sender: Transport) -> None:
    with FakeHost() as host:
        for _ in range(5):
            await send(sender, host.base_url, ask())
        assert len(host._server.connections) == 1


async def test_E3_a_redirect_is_not_followed_and_the_key_is_not_sent(sender: Transport) -> None:
    with FakeHost(fault=Fault("redirect")) as host:
        status, _ = await send(sender, host.base_url, ask(), key="sk-canary")
    assert status == 307
    assert [attempt.key for attempt in host.attempts] == [True]


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("http://user:pw@127.0.0.1:9/v1", "/chat"),
        ("ftp://127.0.0.1/v1", "/chat"),
        ("127.0.0.1:9/v1", "/chat"),
        ("", "/chat"),
        ("http://", "/chat"),
        ("http://127.0.0.1:9", "@evil.example/chat"),
        ("http://127.0.0.1:9", ".evil.example/chat"),
        ("http://127.0.0.1:99999999/v1", "/chat"),
        ("http://a b/v1", "/chat"),
        ("http://\x00/v1", "/chat"),
    ],
)
async def test_E3_an_address_that_is_not_plain_is_refused(sender: Transport, base_url: str, path: str) -> None:
    with pytest.raises(errors.ConfigError, match="base_url"):
        await send(sender, base_url, EncodedRequest(path=path, headers=(), segments=(b"{}",)), key="sk-canary")


@pytest.mark.parametrize("key", ["sk\r\nx-evil: 1", "schlüssel", "two words"])
async def test_E5_a_key_that_cannot_be_one_is_refused_without_being_shown(sender: Transport, key: str) -> None:
    with FakeHost() as host, pytest.raises(errors.ConfigError) as caught:
        await send(sender, host.base_url, ask(), key=key)
    assert key not in str(caught.value)
    assert host.attempts == []


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\0", "名"])
async def test_a_header_that_would_be_two_is_not_sent(sender: Transport, value: str) -> None:
    with FakeHost() as host, pytest.raises(errors.Unreachable, match="cannot be sent a request like this") as caught:
        await send(
            sender, host.base_url, EncodedRequest(path="/chat/completions", headers=(("x-a", value),), segments=())
        )
    assert not caught.value.sent and host.attempts == []


async def test_a_proxy_of_the_environment_is_used_when_asked_for_and_never_to_this_machine(
    sender: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeHost() as host, FakeHost() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url.removesuffix("/v1"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        await send(sender, host.base_url, ask())
        async with sender.post(HostAddress(host.base_url), ask(), proxied=True):
            pass
        assert (len(host.attempts), len(proxy.attempts)) == (2, 0)
        async with sender.post(HostAddress("http://api.example.invalid/v1"), ask(), proxied=True):
            pass
        assert [attempt.path for attempt in proxy.attempts] == ["http://api.example.invalid/v1/chat/completions"]


# ---- A6: what it may have cost -------------------------------------------------------------------


async def test_A6_nothing_listens_there(sender: Transport) -> None:
    with socket.socket() as taken:  # nobody else gets it, and nobody takes calls
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(errors.Unreachable, match="nothing listens there") as caught:
            await send(sender, f"http://127.0.0.1:{port}/v1", ask())
    assert not caught.value.sent
    assert str(caught.value).startswith(f"127.0.0.1:{port}: ")


async def test_A6_a_name_nobody_knows(sender: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*arguments: object, **options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(errors.Unreachable, match="its name is not known") as caught:
        await send(sender, "http://no-such-host.invalid/v1", ask())
    assert not caught.value.sent


async def test_A6_https_to_a_server_that_speaks_http(sender: Transport) -> None:
    with FakeHost() as host, pytest.raises(errors.Unreachable, match="TLS") as caught:
        await send(sender, host.base_url.replace("http:", "https:"), ask())
    assert not caught.value.sent


async def test_A6_closed_in_the_middle_of_the_upload_is_not_paid(sender: Transport) -> None:
    encoded = EncodedRequest(path="/x", headers=(), segments=tuple(b"x" * 1_000_000 for _ in range(30)))
    with tcp("close in the upload") as base_url, pytest.raises(errors.Unreachable) as caught:
        await send(sender, base_url, encoded)
    assert not caught.value.sent


async def test_A6_closed_after_the_request_without_a_byte_may_be_paid(sender: Transport) -> None:
    with FakeHost(fault=Fault("gone")) as host, pytest.raises(errors.Unreachable, match="without an answer") as caught:
        await send(sender, host.base_url, ask())
    assert caught.value.sent
    assert host.bill > 0


async def test_A6_a_server_that_does_not_speak_http(sender: Transport) -> None:
    with tcp("junk") as base_url, pytest.raises(errors.Unreachable):
        await send(sender, base_url, ask())


@pytest.mark.parametrize("name", ["cut", "reset"])
async def test_B1_a_connection_that_ends_in_the_answer_is_a_cut(sender: Transport, name: str) -> None:
    with FakeHost(answer="one two three") as host, pytest.raises(errors.StreamCut) as caught:
        await send(sender, host.base_url, ask(f"m-fault-{name}-2", stream=True))
    assert caught.value.sent


def exceptions_of(module: object) -> list[type[Exception]]:
    kinds = [kind for _, kind in inspect.getmembers(module, inspect.isclass)]
    return [kind for kind in kinds if issubclass(kind, Exception) and not issubclass(kind, Warning)]


async def test_every_exception_of_httpx_is_in_the_table() -> None:
    assert {kind.__name__ for kind in exceptions_of(httpx)} == set(FAILURES)


@pytest.mark.parametrize("kind", exceptions_of(httpx), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("phase", ["connecting", "sending", "waiting", "answering"])
async def test_A6_sent_is_never_denied_once_the_body_is_out(kind: type[Exception], phase: Phase) -> None:
    exchange = PendingRequest("h", Timeouts())
    exchange.answering = phase == "answering"
    progress = _Progress((b"a",), exchange)
    progress._phase = phase
    error = progress.failure(Exception.__new__(kind))
    proven_unsent = FAILURES[kind.__name__][0] == "connecting"
    assert error.sent == (
        not proven_unsent and (phase in ("waiting", "answering") or isinstance(error, errors.StreamCut))
    )
    assert error.where == "h"
    assert "0x" not in str(error)


# ---- B4: how long it waits -----------------------------------------------------------------------


async def waited(sender: Transport, base_url: str, encoded: EncodedRequest, timeouts: Timeouts) -> float:
    """Seconds until the transport gave up."""
    began = time.monotonic()
    with pytest.raises(errors.CallError):
        await send(sender, base_url, encoded, timeouts=timeouts)
    return time.monotonic() - began


async def test_B4_a_silent_host_is_left_after_the_first_byte_timeout(sender: Transport) -> None:
    with FakeHost(fault=Fault("silent")) as host:
        assert await waited(sender, host.base_url, ask(), Timeouts(first_byte=0.3)) >= 0.3
        with pytest.raises(errors.Unreachable, match=r"no answer within 0\.1 s") as caught:
            await send(sender, host.base_url, ask(), timeouts=Timeouts(first_byte=0.1))
    assert caught.value.sent


async def test_B4_headers_in_single_bytes_do_not_prolong_the_wait(sender: Transport) -> None:
    with tcp("drip headers") as base_url:
        # At 20 ms a byte the headers would take three minutes.
        assert await waited(sender, base_url, ask(), Timeouts(first_byte=0.3)) < 60


async def test_B4_a_stream_that_goes_silent_is_cut_after_the_idle_timeout(sender: Transport) -> None:
    with FakeHost(answer="one two three", fault=Fault("stall", 2)) as host:
        assert await waited(sender, host.base_url, ask(stream=True), Timeouts(idle=0.3)) >= 0.3
        with pytest.raises(errors.StreamCut, match="silent"):
            await send(sender, host.base_url, ask(stream=True), timeouts=Timeouts(idle=0.1))


async def test_B4_each_attempt_has_its_own_window(sender: Transport) -> None:
    """Together they take longer than one may."""
    with FakeHost(fault=Fault("slow", 0.5)) as host:
        began = time.monotonic()
        for _ in range(7):
            assert (await send(sender, host.base_url, ask(), timeouts=Timeouts(first_byte=3.0)))[0] == 200
        assert time.monotonic() - began > 3.0


# ---- B5, B6: letting go --------------------------------------------------------------------------


async def left(host: FakeHost) -> None:
    """Wait until the host, which would never end its reply, notices that its client left."""
    await until(lambda: host.attempts[-1].client_left is not None)


@pytest.mark.parametrize("fault", ["silent", "stall"])
async def test_B5_cancelling_closes_the_connection(sender: Transport, fault: str) -> None:
    with FakeHost(answer="one two three") as host:
        async with anyio.create_task_group() as group:
            group.start_soon(send, sender, host.base_url, ask(f"m-fault-{fault}-1", stream=True))
            await until(lambda: bool(host.attempts) and bool(host.attempts[-1].fault))
            await anyio.sleep(0.05)
            group.cancel_scope.cancel()
        await left(host)


async def test_B5_leaving_the_block_early_closes_the_connection(sender: Transport) -> None:
    with FakeHost(answer="one two three") as host:
        async with sender.post(HostAddress(host.base_url), ask("m-fault-stall-1", stream=True)) as response:
            assert response.status == 200
        await left(host)


async def test_B6_abandoned_replies_do_not_use_up_the_pool(sender: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "MAX_CONNECTIONS", 3)
    with FakeHost(answer="one two three") as host:
        for model in ["m-fault-stall-1", "m-fault-broken", "m-fault-limited", "m-fault-cut-1"] * 5:
            with pytest.raises(RuntimeError, match="of the test"):
                async with sender.post(
                    HostAddress(host.base_url), ask(model, stream=True), timeouts=Timeouts(connect=20)
                ):
                    raise RuntimeError("of the test")
        assert (await send(sender, host.base_url, ask(), timeouts=Timeouts(connect=20)))[0] == 200


async def test_an_error_body_is_read_only_so_far(sender: Transport) -> None:
    with FakeHost(answer="x" * 100_000) as host:
        async with sender.post(HostAddress(host.base_url), ask()) as response:
            assert len(await response.read_body(1000)) == 1000


async def test_an_error_of_the_caller_passes_through_untouched(sender: Transport) -> None:
    with FakeHost() as host, pytest.raises(OSError, match="disk full"):
        async with sender.post(HostAddress(host.base_url), ask()):
            raise OSError("disk full")
