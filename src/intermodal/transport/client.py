"""Requests to a host and their replies: a streaming GET or POST. Independent of protocol and provider.

A key goes to the host it was configured for and nowhere else: it comes with its base_url, redirects are not followed,
and ``.netrc`` is not read. Proxies of the environment are used for hosts on the internet only. A reply is closed
however its block is left; cancelling closes the connection at once, so that the host stops working (and charging).
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from intermodal import errors
from intermodal.protocols.calls import EncodedRequest
from intermodal.transport.addresses import HostAddress, is_this_machine, parse_address
from intermodal.transport.connection_errors import UNREADABLE, silent_host_error, unanswered_error
from intermodal.transport.deadline import Deadline
from intermodal.transport.idle_timeout import IdleTimeout
from intermodal.transport.timeouts import Timeouts

if TYPE_CHECKING:
    from intermodal.transport.http1 import ConnectionPool, HostConnection, HttpTarget
    from intermodal.transport.proxy import Proxies

MAX_ERROR_BODY = 1 << 20  # bytes
_HIGH, _LOW = 1 << 20, 256 << 10  # bytes that wait for whoever reads: nothing is read from the host, and again
_DEFAULT = Timeouts()


class SendRecord(Protocol):
    """Who writes down that a request is sent."""

    async def before(self) -> None:
        """The connection stands, and the first byte is about to leave."""

    def after(self) -> None:
        """The last byte left."""


class BodySource(Protocol):
    """Where the body of a reply comes from."""

    async def receive(self) -> bytes | None:
        """Return what came next of it; None at its end. Raises CallError."""


class PendingRequest:
    """A request on its way: how long its reply is waited for, and what is said where it does not come."""

    def __init__(self, where: str, timeouts: Timeouts, record: SendRecord | None = None) -> None:
        self.where = where
        self.timeouts = timeouts
        self.record = record
        self.first_byte_deadline = math.inf  # known when the last byte of the request was taken
        self.deadline = Deadline()
        self.sent = False  # all of it may have arrived: half a body is not worked on, and not paid
        self.answering = False  # some of the body of the reply came

    def begin_waiting(self) -> None:
        """The host's turn: from now on its time is counted."""
        self.sent = True
        if self.first_byte_deadline == math.inf:
            self.first_byte_deadline = monotonic() + self.timeouts.first_byte
            self.deadline.until(self.first_byte_deadline)
            if self.record is not None:
                self.record.after()

    def silent(self, *, wordless: bool = False) -> errors.CallError:
        """Return the error for a host that was waited for in vain."""
        return silent_host_error(self.where, self.timeouts, sent=self.sent, answering=self.answering, wordless=wordless)


class Response:
    """A reply whose headers have come. Valid inside its ``async with`` block.

    Attributes:
        status: of HTTP.
        headers: with lower-case names.
        wordless: no word of the answer came yet, whatever else did: the time until the first one still runs.
        by_words: whoever reads says when a word came (``word``); else each byte is a sign that the answer goes on.
        document: what comes is one document, which may not be broken off for as long as its first byte is waited for.
    """

    def __init__(self, status: int, headers: Mapping[str, str], source: BodySource, exchange: PendingRequest) -> None:
        self.status = status
        self.headers = headers
        self.wordless = False
        self.by_words = False
        self.document = False
        self._silence = IdleTimeout(exchange.timeouts.idle, exchange.timeouts.thinking)
        self._source = source
        self._exchange = exchange

    def word(self) -> None:
        """A piece of the answer was in what came last."""
        self.wordless = False
        self._silence.word(monotonic())

    def _silent_at(self, now: float) -> float:
        """Until when the next chunk is waited for."""
        exchange = self._exchange
        if not exchange.answering:
            return exchange.first_byte_deadline
        if self.wordless:
            return min(exchange.first_byte_deadline, now + exchange.timeouts.idle if self.document else math.inf)
        if not self.by_words:
            self._silence.word(now)
        return self._silence.until(now)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives. Raises StreamCut, and Unreachable where nothing of it came in time."""
        exchange = self._exchange
        given_at = math.inf
        while True:
            now = monotonic()
            self._silence.paused(max(0.0, now - given_at))
            chunk = None
            with Deadline(self._silent_at(now)) as deadline:
                chunk = await self._source.receive()
            if deadline.over:
                raise exchange.silent(wordless=self.wordless and not self.document)
            if chunk is None:
                return
            given_at = monotonic()
            if chunk:
                exchange.answering = True
                yield chunk

    async def read(self, limit: int = MAX_ERROR_BODY) -> bytes:
        """The body, at most ``limit`` bytes of it."""
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) >= limit:
                break
        return bytes(body[:limit])


class _Reply:
    """What a connection says, kept until somebody awaits it: a Listener, and the Source of its Response."""

    waits = False
    said = False

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.connection: HostConnection | None = None  # while the reply is not over
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._over = False
        self._error: errors.CallError | None = None
        self._awaited: asyncio.Future[None] | None = None

    # ---- the connection's side

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        self.status, self.headers = status, headers
        self._wake()

    def data(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _HIGH and self.connection is not None:
            self.connection.pause()
        self._wake()

    def end(self) -> None:
        self._over, self.connection = True, None
        self._wake()

    def failed(self, error: errors.CallError) -> None:
        self._error, self.connection = error, None
        self._wake()

    def _wake(self) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)

    # ---- the reader's side

    async def begun(self) -> None:
        """Wait for the headers. Raises CallError."""
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._changed()

    async def receive(self) -> bytes | None:
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._over:
                return None
            await self._changed()
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self._size < _LOW and self.connection is not None:
            self.connection.resume()
        return piece

    async def _changed(self) -> None:
        self._awaited = asyncio.get_running_loop().create_future()
        try:
            await self._awaited
        finally:
            self._awaited = None


class Transport:
    """One connection pool for a whole run or client. ``aclose`` it when done."""

    def __init__(self) -> None:
        self._pool: ConnectionPool | None = None
        self._proxied: Proxies | None = None

    @cached_property
    def proxies(self) -> bool:
        """Whether the environment may name any. Some systems have settings of their own, which httpx reads."""
        import os
        import sys

        return sys.platform in ("darwin", "win32") or any(name.lower().endswith("_proxy") for name in os.environ)

    def get(
        self,
        server: HostAddress,
        path: str,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        where: str = "",
    ) -> AbstractAsyncContextManager[Response]:
        """GET a path of a server; see :meth:`post`."""
        nothing = EncodedRequest(path=path, headers=headers, segments=())
        return self._direct("GET", server, nothing, PendingRequest(where or _name(server, path), _DEFAULT), fresh=False)

    def post(
        self,
        server: HostAddress,
        encoded: EncodedRequest,
        *,
        where: str = "",
        proxied: bool = False,
        timeouts: Timeouts = _DEFAULT,
        record: SendRecord | None = None,
        fresh: bool = False,
    ) -> AbstractAsyncContextManager[Response]:
        """POST a request to a server, at its path; the block gets the reply as soon as its headers are there.

        Args:
            where: how errors name the host; its address when "".
            proxied: use the proxies of the environment (hosts of zone internet), except to this machine.
            record: told before the first byte leaves, which then does not where that raises, and after the last.
            fresh: on a connection that has served no other request.

        Raises Unreachable, with ``sent`` True when the request may have been worked on; ConfigError for
        an address or key that cannot be used. The status is the caller's to judge.
        """
        exchange = PendingRequest(where or _name(server, encoded.path), timeouts, record)
        if proxied and self.proxies and not is_this_machine(parse_address(server.base_url, encoded.path).host):
            from intermodal.transport.proxy import Proxies

            if self._proxied is None:
                self._proxied = Proxies()
            return self._proxied.post(server, encoded, exchange)
        return self._direct("POST", server, encoded, exchange, fresh=fresh)

    @asynccontextmanager
    async def _direct(
        self, method: str, server: HostAddress, encoded: EncodedRequest, exchange: PendingRequest, *, fresh: bool
    ) -> AsyncIterator[Response]:
        from intermodal.transport.http1 import ConnectionPool, HttpTarget

        target = HttpTarget(server, encoded.path, encoded.headers, exchange.timeouts, method)
        if self._pool is None:
            self._pool = ConnectionPool()
        connection = await self._connection(self._pool, target, exchange, fresh=fresh)
        reply = _Reply()
        try:
            reply.connection = connection
            with exchange.deadline as deadline:
                connection.send(
                    target, encoded.segments, reply, exchange.where, timed=False, written=exchange.begin_waiting
                )
                await reply.begun()
            if deadline.over:
                raise exchange.silent()
            exchange.begin_waiting()  # a host may answer before it has taken everything
            yield Response(reply.status, reply.headers, reply, exchange)
        finally:
            if reply.connection is not None:
                reply.connection.abort()

    @staticmethod
    async def _connection(
        pool: ConnectionPool, target: HttpTarget, exchange: PendingRequest, *, fresh: bool
    ) -> HostConnection:
        """A connection that is open, on which nothing came, with the request written down as about to leave."""
        noted = exchange.record is None
        while True:
            connection = None if fresh else pool.take(target, monotonic())
            kept = connection is not None
            connection = connection or await pool.connect(target, exchange.where)
            try:
                if exchange.record is not None and not noted:
                    await exchange.record.before()
                    noted = True
            except BaseException:
                pool.give_back(connection) if kept else connection.abort()
                raise
            if connection.open and not (kept and connection.has_input()):
                return connection
            connection.abort()
            if not kept:
                what = UNREADABLE if connection.spoke else "closed the connection"
                raise unanswered_error(what, exchange.where, sent=False, kept=False, seconds=0.0)

    async def aclose(self) -> None:
        """Close every connection."""
        if self._pool is not None:
            self._pool.close()
        if self._proxied is not None:
            await self._proxied.aclose()
        self._pool = self._proxied = None


def _name(server: HostAddress, path: str) -> str:
    address = parse_address(server.base_url, path)
    return f"{address.host}:{address.port or address.scheme}"
