"""Connections that are used again: only those on which nothing came that belongs to no request.

Nothing but its place says which request a reply answers. A host that sends one too many would have it read as the
answer to the next request on the same connection, which may be another client's. httpcore looks at the socket before
it uses a connection again, and not at what it has read off it already; so a connection counts as spent here until a
reply was read and nothing is left, neither in h11 nor in TLS nor in anyio. It is looked at again when the next request
is about to be written: until then a row may have gone to disk.

Of the parts that are not for others' eyes each is looked for, and where one is not found the connection is not kept.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx
from anyio.streams.tls import TLSStream
from httpcore._backends.anyio import AnyIOBackend

_INWARDS = ("_stream", "_httpcore_stream", "_connection")  # from httpx's stream of a reply to what has its h11

# Whether the request of this task goes on a connection that has served no other.
FRESH: ContextVar[bool] = ContextVar("FRESH", default=False)

# ruff: noqa: ASYNC109 - httpcore's interface


@contextmanager
def fresh_connection(wanted: bool) -> Iterator[None]:
    """Send the request of the block on a connection that has served no other, where ``wanted``."""
    token = FRESH.set(wanted)
    try:
        yield
    finally:
        FRESH.reset(token)


class Line(httpcore.AsyncNetworkStream):
    """A connection. ``free``: a reply was read off it, and nothing more."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self.free = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Raises ConnectionNotAvailable where something came while nobody asked, and for a request that wants a
        fresh connection: the pool then takes another."""
        if self.free:
            self.free = False
            if self._holds_something or FRESH.get():
                raise httpcore.ConnectionNotAvailable
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return Line(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # which the pool asks before it uses a connection again, and closes it then
            return not self.free or self._holds_something
        return self._stream.get_extra_info(info)

    @property
    def _holds_something(self) -> bool:
        return bool(self._stream.get_extra_info("is_readable")) or _buffered(self._stream)


class Lines(AnyIOBackend):
    """Makes them."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return Line(await super().connect_tcp(host, port, timeout, local_address, socket_options))


def over_lines(sender: httpx.AsyncClient | httpx.AsyncHTTPTransport) -> None:
    """Have its connections made so."""
    ways = [sender] if isinstance(sender, httpx.AsyncHTTPTransport) else [sender._transport, *sender._mounts.values()]
    for way in ways:
        if isinstance(way, httpx.AsyncHTTPTransport):
            pool: Any = way._pool
            pool._network_backend = Lines()


async def keep_or_not(raw: httpx.Response) -> None:
    """A reply is about to give its connection back, which may be used again where nothing came after it."""
    line = raw.extensions.get("network_stream")
    if isinstance(line, Line):
        line.free = not _goes_on(raw)
    elif line is not None:
        await line.aclose()


def _goes_on(raw: httpx.Response) -> bool:
    """Whether more was read than the reply."""
    found: Any = raw.stream
    while found is not None:
        if hasattr(found, "_h11_state"):
            return bool(found._h11_state.trailing_data[0])
        found = next((getattr(found, name) for name in _INWARDS if hasattr(found, name)), None)
    return True


def _buffered(stream: httpcore.AsyncNetworkStream) -> bool:
    """Whether something was taken off the socket and not read."""
    found: Any = getattr(stream, "_stream", None)
    try:
        while isinstance(found, TLSStream):
            if found._ssl_object.pending() or found._read_bio.pending:
                return True
            found = found.transport_stream
        return bool(found._protocol.read_queue)
    except AttributeError:
        return True
