"""Connections of the direct path: what they make of every way a host can answer, and that none is left behind."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from intermodal import errors
from intermodal.transport.addresses import HostAddress
from intermodal.transport.http1 import ConnectionPool, HostConnection, HttpTarget
from intermodal.transport.timeouts import Timeouts

pytestmark = pytest.mark.anyio

BODY = b'{"a": 1}'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\nt: r\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nabcdefgh"


class Heard:
    """A fake of who waits for a reply."""

    waits = False
    output_seen = False

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.body = b""
        self.whole = False
        self.error: errors.CallError | None = None
        self.over = asyncio.Event()
        self.taken: Callable[[], None] = lambda: None

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        self.status, self.headers = status, dict(headers)

    def data(self, data: bytes) -> None:
        self.output_seen = True
        self.body += data
        self.taken()

    def end(self) -> None:
        assert not self.over.is_set()
        self.whole = True
        self.over.set()

    def on_failure(self, error: errors.CallError) -> None:
        assert not self.over.is_set()
        self.error = error
        self.over.set()


class Site:
    """A fake host: what is written back to each request, piece by piece."""

    def __init__(self, *pieces: bytes | float, then: str = "keep") -> None:
        self.pieces = pieces
        self.then = then
        self.connections = 0
        self.requests: list[bytes] = []
        self.open = 0
        self.gone = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(size))
                for piece in self.pieces:
                    if isinstance(piece, float):
                        await asyncio.sleep(piece)
                    else:
                        writer.write(piece)
                        await writer.drain()
                if self.then != "keep":
                    if self.then == "abort":
                        writer.transport.abort()
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            self.gone.set()
            writer.close()


@asynccontextmanager
async def at(
    site: Site, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, **waits: float
) -> AsyncIterator[Any]:
    server = await asyncio.start_server(site.serve, host, 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    named = f"[{host}]" if ":" in host else host
    base = f"http{'s' if tls else ''}://{named}:{port}/v1"
    target = HttpTarget(HostAddress(base, "key"), "/chat/completions", (("x-a", "b"),), Timeouts(**waits))
    pool = ConnectionPool()
    try:
        yield pool, target
    finally:
        pool.close()
        server.close()
        await asyncio.sleep(0)


async def ask(pool: ConnectionPool, target: HttpTarget, body: bytes = BODY, heard: Heard | None = None) -> Heard:
    heard = heard or Heard()
    pipe = pool.take(target, asyncio.get_running_loop().time()) or await pool.connect(target, "host:m")
    pipe.send(target, [body], heard, "host:m")
    await asyncio.wait_for(heard.over.wait(), 300)
    return heard


@pytest.mark.parametrize(
    "reply", [CHUNKED, SIZED, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nlink: a\r\n\r\n" + SIZED]
)
async def test_a_reply_may_come_in_any_pieces(reply: bytes) -> None:
    for cut in range(1, len(reply)):
        site = Site(reply[:cut], 0.0, reply[cut:])
        async with at(site) as (pool, target):
            heard = await ask(pool, target)
            assert (heard.status, heard.body, heard.whole) == (200, b"abcdefgh", True)


async def test_chunks_that_come_at_once_go_on_at_once() -> None:
    chunks = b"".join(b"2\r\n%02d\r\n" % number for number in range(50))
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    async with at(Site(head, 0.02, chunks, 0.02, chunks + b"0\r\n\r\n")) as (pool, target):
        heard, times = Heard(), list[int]()
        heard.taken = lambda: times.append(len(heard.body))
        await ask(pool, target, heard=heard)
        assert (times, heard.whole) == ([100, 200], True)


async def test_what_came_before_a_reply_broke_is_handed_on_before_it_is_said() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    async with at(Site(head + b"3\r\nabc\r\n2\r\nde\r\nnot a length\r\n")) as (pool, target):
        heard = await ask(pool, target)
        assert (heard.body, heard.whole) == (b"abcde", False)
        assert isinstance(heard.error, errors.StreamCut)


async def test_a_connection_is_used_again_after_every_whole_reply() -> None:
    for reply in (CHUNKED, SIZED, b"HTTP/1.1 204 No\r\n\r\n", b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno"):
        site = Site(reply)
        async with at(site) as (pool, target):
            for _ in range(5):
                assert (await ask(pool, target)).whole
            assert (site.connections, pool.opened, pool.reused) == (1, 1, 4)
        await asyncio.wait_for(site.gone.wait(), 300)


@pytest.mark.parametrize(
    "reply",
    [SIZED.replace(b"OK\r\n", b"OK\r\nconnection: close\r\n"), SIZED + b"HTTP/1.1 200 OK\r\n", SIZED + b"more of it"],
)
async def test_what_is_not_over_in_good_order_is_not_used_again(reply: bytes) -> None:
    site = Site(reply)
    async with at(site) as (pool, target):
        assert (await ask(pool, target)).body == b"abcdefgh"
        await asyncio.sleep(0.02)
        assert (await ask(pool, target)).body == b"abcdefgh"
        assert site.connections == 2


async def test_what_came_while_this_thread_was_busy_is_no_answer_to_what_follows() -> None:
    """The loop had no turn between its coming and the next request."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        target = HttpTarget(HostAddress(f"http://127.0.0.1:{listening.getsockname()[1]}/v1"), "/x", (), Timeouts())
        pool, heard = ConnectionPool(), Heard()
        pipe = await pool.connect(target, "host:m")
        pipe.send(target, [BODY], heard, "host:m")
        await asyncio.sleep(0.01)
        with listening.accept()[0] as there:
            there.sendall(SIZED)
            await asyncio.wait_for(heard.over.wait(), 300)
            there.sendall(SIZED.replace(b"abcdefgh", b"a strang"))
            assert pool.take(target, asyncio.get_running_loop().time()) is None
        pool.close()
        await asyncio.sleep(0)


async def test_a_reply_without_a_length_ends_with_its_connection() -> None:
    async with at(Site(b"HTTP/1.1 200 OK\r\n\r\nabc", 0.01, b"def", then="close")) as (pool, target):
        heard = await ask(pool, target)
        assert (heard.body, heard.whole) == (b"abcdef", True)


@pytest.mark.parametrize("then", ["close", "abort"])
@pytest.mark.parametrize("place", ["nothing", "head", "sized", "chunked"])
async def test_a_reply_that_breaks_off_is_an_error(place: str, then: str) -> None:
    sent = {"nothing": b"", "head": SIZED[:20], "sized": SIZED[:-2], "chunked": CHUNKED[:-14]}[place]
    async with at(Site(sent, 0.01, then=then)) as (pool, target):
        heard = await ask(pool, target)
        assert heard.error is not None and heard.error.sent
        kind = errors.Unreachable if place in ("nothing", "head") else errors.StreamCut
        assert type(heard.error) is kind
        assert pool.take(target, 0.0) is None


@pytest.mark.parametrize(
    "reply",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(200)) + b"content-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * (1 << 20), b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)  # fmt: skip
async def test_what_is_no_reply_is_an_error_and_not_read_further(reply: bytes) -> None:
    async with at(Site(reply)) as (pool, target):
        heard = await ask(pool, target)
        assert heard.error is not None and not heard.whole
        assert "host:m" in str(heard.error)


async def test_an_idle_connection_that_its_host_closed_is_not_used() -> None:
    site = Site(SIZED, then="close")
    async with at(site) as (pool, target):
        for _ in range(3):
            assert (await ask(pool, target)).whole
            await asyncio.sleep(0.02)
        assert site.connections == 3


async def test_a_host_gets_its_time_and_no_more() -> None:
    loop = asyncio.get_running_loop()
    for pieces, waits, kind, words in (
        ((60.0,), False, errors.Unreachable, "gave no answer within 0.2 s"),
        ((SIZED[:-4], 60.0), False, errors.StreamCut, "went silent for 0.1 s"),
        ((SIZED[:-4], 60.0), True, errors.StreamCut, "said no word within 0.2 s"),
    ):
        async with at(Site(*pieces), first_byte=0.2, idle=0.1) as (pool, target):
            heard = Heard()
            heard.waits = waits
            pipe = await pool.connect(target, "host:m")
            pipe.send(target, [BODY], heard, "host:m")
            while not heard.over.is_set():
                pool.fail_silent_hosts(loop.time())
                await asyncio.sleep(0.01)
            assert type(heard.error) is kind and words in str(heard.error)


async def test_while_the_reader_is_behind_no_time_runs_and_nothing_is_read() -> None:
    loop = asyncio.get_running_loop()
    rest = b"x" * 4_000_000
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(rest)
    async with at(Site(head + rest[:10], 0.01, rest[10:]), first_byte=5, idle=0.1) as (pool, target):
        heard = Heard()
        pipe = await pool.connect(target, "host:m")
        heard.taken = pipe.pause
        pipe.send(target, [BODY], heard, "host:m")
        while not heard.body:
            await asyncio.sleep(0.01)
        end, had = loop.time() + 0.3, 0
        while loop.time() < end:
            pool.fail_silent_hosts(loop.time())
            await asyncio.sleep(0.01)
            had = had or len(heard.body)
        assert not heard.over.is_set(), heard.error
        assert len(heard.body) == had < len(rest)
        heard.taken = lambda: None
        pipe.resume()
        await asyncio.wait_for(heard.over.wait(), 300)
        assert heard.whole and len(heard.body) == len(rest)


async def test_who_was_behind_at_the_end_does_not_stop_the_next() -> None:
    """Its last bytes came with those that made it stop."""
    async with at(Site(SIZED)) as (pool, target):
        heard = Heard()
        pipe = await pool.connect(target, "host:m")
        heard.taken = pipe.pause
        pipe.send(target, [BODY], heard, "host:m")
        await asyncio.wait_for(heard.over.wait(), 300)
        assert (await ask(pool, target)).whole and pool.reused == 1


async def test_a_large_body_arrives_as_it_is() -> None:
    body = bytes(range(256)) * 20_000
    site = Site(SIZED)
    async with at(site) as (pool, target):
        assert (await ask(pool, target, body)).whole
        assert site.requests[0].partition(b"\r\n\r\n")[2] == body
        assert (await ask(pool, target)).whole
        assert site.connections == 1


async def test_who_leaves_ends_the_request_at_its_host() -> None:
    site = Site(SIZED[:-2], 60.0)
    async with at(site) as (pool, target):
        pipe = await pool.connect(target, "host:m")
        heard = Heard()
        pipe.send(target, [BODY], heard, "host:m")
        while not heard.body:
            await asyncio.sleep(0.01)
        pipe.abort()
        await asyncio.sleep(0.02)
        assert not heard.over.is_set()
        assert pool.take(target, 0.0) is None


async def test_an_address_in_brackets_is_dialled() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    site = Site(SIZED)
    try:
        async with at(site, host="::1") as (pool, target):
            assert (await ask(pool, target)).whole
            assert b"host: [::1]:" in site.requests[0]
    except OSError:
        pytest.skip("this machine has no IPv6")


async def test_nobody_there_is_said_and_nothing_was_sent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        target = HttpTarget(HostAddress(f"http://127.0.0.1:{taken.getsockname()[1]}/v1"), "/x", (), Timeouts())
        with pytest.raises(errors.Unreachable, match="nothing listens there") as found:
            await ConnectionPool().connect(target, "host:m")
    assert found.value.billing == "free"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_connection_whose_request_is_cancelled_while_it_is_made_is_closed(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any turn of the loop, also between its socket's connection and the first use of it."""

    async def resolved(loop: Any, host: str, port: int, **more: Any) -> Any:
        return socket.getaddrinfo(host, port, **more)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolved)
    async with at(Site(SIZED)) as (pool, target):
        target = HttpTarget(HostAddress(f"http://{host}:{target.port}/v1"), "/x", (), Timeouts())
        with warnings.catch_warnings(record=True) as leaks:
            warnings.simplefilter("always", ResourceWarning)
            for turns in [*range(16)] * 3:
                connecting = asyncio.create_task(pool.connect(target, "host:m"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                connecting.cancel()
                (made,) = await asyncio.gather(connecting, return_exceptions=True)
                if isinstance(made, HostConnection):
                    made.abort()
            del connecting, made
            while any("create_connection" in repr(task) for task in asyncio.all_tasks()):
                await asyncio.sleep(0.01)
            gc.collect()
        assert [str(each.message) for each in leaks] == []


async def test_no_more_connections_are_made_at_once_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intermodal.transport.http1.MAX_CONNECTIONS", 5)
    async with at(Site(SIZED)) as (pool, target):
        for _ in range(2):
            found = await asyncio.gather(*(pool.connect(target, "host:m") for _ in range(20)), return_exceptions=True)
            made = [each for each in found if isinstance(each, HostConnection)]
            assert len(made) == 5
            for each in found:
                assert isinstance(each, HostConnection) or (isinstance(each, errors.Unreachable) and not each.sent)
            for pipe in made:
                pipe.abort()
            while pool._all:
                await asyncio.sleep(0)


async def test_connections_that_could_not_be_made_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intermodal.transport.http1.MAX_CONNECTIONS", 2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        target = HttpTarget(HostAddress(f"http://127.0.0.1:{taken.getsockname()[1]}/v1"), "/x", (), Timeouts())
        pool = ConnectionPool()
        for _ in range(5):
            with pytest.raises(errors.Unreachable, match="nothing listens there"):
                await pool.connect(target, "host:m")
