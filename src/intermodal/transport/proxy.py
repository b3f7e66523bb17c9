"""Requests through a proxy of the environment, using httpx, which selects the proxy and speaks to it.

Each request has its own connection: httpx does not report whether unsolicited bytes arrived on one.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from intermodal import errors
from intermodal.protocols.calls import EncodedRequest
from intermodal.transport.addresses import HostAddress, certificates, parse_address, request_headers
from intermodal.transport.connection_errors import (
    FAILURES,
    UNREADABLE,
    Phase,
    connection_failure_reason,
    unanswered_error,
)
from intermodal.transport.response import DecompressionError, PendingRequest, Response, decompressor_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import httpx

_ENDED = re.compile(r"disconnected|closed connection")  # RemoteProtocolErrors that mean a closed connection


class Proxies:
    """Sends requests through the environment's proxies. Call ``aclose`` when done."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def post(
        self, server: HostAddress, encoded: EncodedRequest, exchange: PendingRequest
    ) -> AsyncIterator[Response]:
        """Send a POST request; the block gets the response as soon as its headers have arrived.

        Raises as ``Transport.post``.
        """
        import anyio
        import httpx

        address = parse_address(server.base_url, encoded.path)
        timeouts, progress = exchange.timeouts, _Progress(encoded.segments, exchange)
        headers = {**dict(encoded.headers), **request_headers(address, server.key, server.auth)}
        headers["content-length"] = str(encoded.size)
        # Reads are timed by the exchange and not by httpx, which restarts its timeout with each read.
        limits = httpx.Timeout(connect=timeouts.connect, pool=timeouts.connect, write=timeouts.idle, read=None)
        extensions: dict[str, Any] = {"timeout": limits.as_dict(), "trace": progress.trace}
        raw: httpx.Response | None = None
        try:
            if self._client is None:
                never = httpx.Limits(max_keepalive_connections=0)
                self._client = httpx.AsyncClient(
                    verify=certificates(), trust_env=True, follow_redirects=False, limits=never
                )
            built = httpx.Request("POST", str(address), headers=headers, content=progress, extensions=extensions)
            with exchange.deadline:
                raw = await self._client.send(built, stream=True)
            if raw is None:
                raise exchange.timeout_error()
            exchange.begin_waiting()  # a host may answer before it has received everything
            header_map = {name.lower(): value for name, value in raw.headers.items()}
            async with aclosing(_Body(raw, header_map, progress)) as body:
                yield Response(raw.status_code, header_map, body, exchange)
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            if raw is not None:
                raise
            raise progress.failure(error) from None
        finally:
            if raw is not None:
                with anyio.move_on_after(1, shield=True):
                    await raw.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        import anyio

        client, self._client = self._client, None
        if client is not None:
            with anyio.CancelScope(shield=True):
                await client.aclose()


class _Progress:
    """How far a request got, and the meaning of httpx's errors at that point.

    Iterates over the request's body, as httpx requires. It is not a generator, which a cancelled send would leave
    hanging.
    """

    def __init__(self, segments: Sequence[bytes], exchange: PendingRequest) -> None:
        self._left = deque(segments)
        self._exchange = exchange
        self._phase: Phase = "connecting"
        self.where = exchange.where

    def __aiter__(self) -> _Progress:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            self._exchange.begin_waiting()
            raise StopAsyncIteration
        segment = self._left.popleft()
        # With the last segment the host may have everything it needs to work and to charge.
        self._phase, self._exchange.sent = ("sending", False) if self._left else ("waiting", True)
        return segment

    async def trace(self, event: str, info: object) -> None:
        """Record httpcore's next step, by its event names: https://www.encode.io/httpcore/extensions/#trace"""
        if self._exchange.record is not None and event.endswith(".send_request_headers.started"):
            await self._exchange.record.before()

    def failure(self, error: Exception) -> errors.CallError:
        """Return our error for an exception of httpx or of a layer below it."""
        exchange = self._exchange
        names = [kind.__name__ for kind in type(error).__mro__]
        phase, what = next((FAILURES[name] for name in names if name in FAILURES), ("", "cannot be reached"))
        if "RemoteProtocolError" in names and not _ENDED.search(str(error)):
            what = UNREADABLE
        phase = phase or ("answering" if exchange.answering else self._phase)
        if phase == "answering":
            return errors.StreamCut(f"{what} in the middle of its answer", where=exchange.where, todo="ask again")
        if phase == "connecting":
            reason, todo = connection_failure_reason(error)
            return errors.Unreachable(what + reason, where=exchange.where, todo=todo, sent=False)
        return unanswered_error(what, exchange.where, was_sent=phase == "waiting", is_reused=False, seconds=math.inf)


class _Body:
    """The body of a reply: a ``BodySource``."""

    def __init__(self, raw: httpx.Response, headers: dict[str, str], progress: _Progress) -> None:
        # httpx returns a generator, but declares a broader type.
        self._pieces = cast("AsyncGenerator[bytes, None]", raw.aiter_raw())
        self._unpacker = decompressor_for(headers)
        self._progress = progress
        self._waiting: deque[bytes] = deque()

    async def receive(self) -> bytes | None:
        while not self._waiting:
            try:
                piece = await anext(self._pieces, None)
                if piece is None:
                    return None
                self._waiting += (piece,) if self._unpacker is None else self._unpacker.feed(piece)
            except DecompressionError as error:
                raise errors.StreamCut(str(error), where=self._progress.where, todo="ask again") from None
            except Exception as error:
                raise self._progress.failure(error) from None
        return self._waiting.popleft()

    async def aclose(self) -> None:
        await self._pieces.aclose()
