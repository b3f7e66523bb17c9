"""Requests to a host and their replies: a streaming GET or POST. Independent of protocol and provider.

A key goes to the host it was configured for and nowhere else: it comes with its base_url, redirects are not followed,
and ``.netrc`` is not read. Proxies of the environment are used for hosts on the internet only. A reply is closed
however its block is left; cancelling closes the connection at once, so that the host stops working (and charging).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING

from intermodal import errors
from intermodal.protocols.calls import EncodedRequest
from intermodal.transport.addresses import HostAddress, goes_by_proxy, parse_address
from intermodal.transport.connection_errors import UNREADABLE, unanswered_error
from intermodal.transport.response import PendingRequest, Response, SendRecord
from intermodal.transport.timeouts import Timeouts

if TYPE_CHECKING:
    from intermodal.transport.http1 import ConnectionPool, HostConnection, HttpTarget
    from intermodal.transport.proxy import Proxies

_HIGH, _LOW = 1 << 20, 256 << 10  # bytes waiting for the reader at which reading from the host pauses and resumes
_DEFAULT = Timeouts()


class _Reply:
    """A reply that a connection delivers and a reader awaits: a Listener, and the BodySource of its Response."""

    waits = False
    output_seen = False

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.connection: HostConnection | None = None  # until the reply is complete
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

    def on_failure(self, error: errors.CallError) -> None:
        self._error, self.connection = error, None
        self._wake()

    def _wake(self) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)

    # ---- the reader's side

    async def wait_for_headers(self) -> None:
        """Wait for the headers. Raises CallError."""
        while not self.status:
            if self._error is not None:
                raise self._take_error(self._error)
            await self._wait_for_change()

    def _take_error(self, error: errors.CallError) -> errors.CallError:
        """Return the error, which ends the reply, and forget it.

        Its traceback has frames that reference this reply, so all would stay until cycles are collected.
        """
        self._error, self._over = None, True
        return error

    async def receive(self) -> bytes | None:
        while not self._pieces:
            if self._error is not None:
                raise self._take_error(self._error)
            if self._over:
                return None
            await self._wait_for_change()
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self._size < _LOW and self.connection is not None:
            self.connection.resume()
        return piece

    async def _wait_for_change(self) -> None:
        self._awaited = asyncio.get_running_loop().create_future()
        try:
            await self._awaited
        finally:
            self._awaited = None


class Transport:
    """One connection pool for a whole run or client. Call ``aclose`` when done."""

    def __init__(self) -> None:
        self._pool: ConnectionPool | None = None
        self._proxied: Proxies | None = None

    @cached_property
    def proxies(self) -> bool:
        """True if the environment may name a proxy. Some systems have settings of their own, which httpx reads."""
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
        """Send a GET request to a path of a server; see :meth:`post`."""
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
        """Send a POST request to a server; the block gets the response as soon as its headers have arrived.

        Args:
            where: how errors name the host; its address if "".
            proxied: use the proxies of the environment (for hosts of zone internet), except to this machine.
            record: notified before the first byte is sent, which is not sent if that raises, and after the last byte.
            fresh: use a connection that has served no other request.

        Raises Unreachable, with ``sent`` True if the request may have been processed; ConfigError for an address or key
        that cannot be used. The caller evaluates the status.
        """
        exchange = PendingRequest(where or _name(server, encoded.path), timeouts, record)
        if goes_by_proxy(server.base_url, encoded.path, internet=proxied, proxies=self.proxies):
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
                    target, encoded.segments, reply, exchange.where, timed=False, on_written=exchange.begin_waiting
                )
                await reply.wait_for_headers()
            if deadline.over:
                raise exchange.timeout_error()
            exchange.begin_waiting()  # a host may answer before it has received everything
            yield Response(reply.status, reply.headers, reply, exchange)
        finally:
            if reply.connection is not None:
                reply.connection.abort()

    @staticmethod
    async def _connection(
        pool: ConnectionPool, target: HttpTarget, exchange: PendingRequest, *, fresh: bool
    ) -> HostConnection:
        """Return an open connection without unread input, after recording that the request is about to be sent."""
        noted = exchange.record is None
        while True:
            connection = None if fresh else pool.take(target, monotonic())
            is_reused = connection is not None
            connection = connection or await pool.connect(target, exchange.where)
            try:
                if exchange.record is not None and not noted:
                    await exchange.record.before()
                    noted = True
            except BaseException:
                pool.release(connection) if is_reused else connection.abort()
                raise
            if connection.open and not (is_reused and connection.has_input()):
                return connection
            connection.abort()
            if not is_reused:
                what = UNREADABLE if connection.spoke else "closed the connection"
                raise unanswered_error(what, exchange.where, was_sent=False, is_reused=False, seconds=0.0)

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
