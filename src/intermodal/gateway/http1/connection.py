"""One HTTP/1.1 connection on asyncio: request heads and bodies within limits, responses in order. It knows no route.

The parser is llhttp (httptools), which Node.js uses too. This module adds features that a framework hides from an
application: refusing a head before its body is read, bounding the bytes of bodies held in memory, noticing a disconnect
at once, and handling slow readers.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

import httptools

from intermodal.gateway.http1.http_types import GatewayRequest, HttpLimits, RequestHead
from intermodal.gateway.http1.response_writer import ResponseWriter, WriteBatcher
from intermodal.gateway.process.allocator import uninitialized_buffer
from intermodal.gateway.quotas.quota_types import ANONYMOUS, VirtualKey
from intermodal.protocols.errors.responses import RequestRefused

if TYPE_CHECKING:
    from intermodal.gateway.direct.handover import Handover


# Sizes that the chunks of a body announce (RFC 9112, section 7.1), read before the data that follows them.
#
# The HTTP parser reports the data of a chunk as it arrives, but not the announced size, so it could refuse a body that
# is too large only after it has arrived.


_HEX_DIGITS = 16  # of a size that a 64-bit parser accepts
_CRLF = 2


class ChunkSizes:
    """The chunk sizes of one body. The parser validates the framing; this class ignores what it cannot read."""

    def __init__(self) -> None:
        self._announced = 0
        self._skip = 0  # bytes before the next line: the data of a chunk and its line end
        self._line = b""  # the start of a line that is split between two reads
        self._size = -1  # the announced size; -1 until it is read
        self._over = False

    def add_data(self, data: bytes, start: int = 0) -> int:
        """Return the total bytes announced by all chunks so far, including those in ``data`` from ``start``."""
        while not self._over and start < len(data):
            if self._skip:
                step = min(self._skip, len(data) - start)
                self._skip -= step
                start += step
                continue
            end = data.find(b"\n", start)
            if self._size < 0:
                self._line += data[start : min(start + _HEX_DIGITS + _CRLF, len(data) if end < 0 else end + 1)]
                if end >= 0 or len(self._line) > _HEX_DIGITS:  # an extension may follow, of any length
                    self._announce(self._line)
            if end < 0:
                break
            self._skip, self._size, self._line = self._size + _CRLF, -1, b""
            start = end + 1
        return self._announced

    def _announce(self, line: bytes) -> None:
        try:
            self._size = int(line.partition(b";")[0].strip(), 16)
        except ValueError:
            self._size = 0
        self._announced += self._size
        self._over = self._size == 0


_MAX_WRITE_BUFFER = 32 << 10  # bytes that wait for a slow reader before the writer has to wait
_MAX_UNSENT = 64 << 10  # bytes that the kernel may hold unsent besides those
_TCP, _NOTSENT_LOWAT = 6, {"linux": 25, "darwin": 0x201}  # of setsockopt
_READ_SIZE = 64 << 10  # bytes per read: in chunks of one byte they cause 10,000 calls from the parser
_LARGE = 256 << 10  # bytes of a body that is received into its final buffer: joining pieces would hold it twice
_AT_ONCE = 1 << 20  # bytes of a large body that are received before other connections get their turn
_MAX_PIPELINED = 16  # complete requests that may wait for earlier answers
_DIGITS = 8
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ?([0-9]{1,%d})\r\n" % _DIGITS)


class _RepeatedHead(NamedTuple):
    """The last request head, split around the digits of its length: clients send the same head repeatedly.

    The parser's result holds for every head that differs only in these digits.
    """

    until: bytes
    after: bytes
    head: RequestHead


OnEnd = Callable[[GatewayRequest, ResponseWriter, "Handover | None"], None]


class RunningAnswer(Protocol):
    """An answer in progress that has no task."""

    def cancel(self) -> object:
        """Stop the answer: the client left, or the server stops."""


class HttpApplication(Protocol):
    """The application behind the connections."""

    limits: HttpLimits
    connections: set[Connection]
    held: int  # bytes of bodies received or announced
    outbox: WriteBatcher

    def screen(self, head: RequestHead) -> VirtualKey:
        """Return the key that a request presents, judging by the head alone. Raises RequestRefused."""
        ...

    def refuse_request(self, head: RequestHead | None, error: BaseException, reply: ResponseWriter) -> None:
        """Answer with an error, in the format of the route's API."""

    def answer_without_task(self, request: GatewayRequest, reply: ResponseWriter, over: OnEnd) -> RunningAnswer | None:
        """Answer without a task and call ``over`` at the end; return None if ``answer`` is needed."""

    async def answer(self, request: GatewayRequest, reply: ResponseWriter) -> None:
        """Answer a request. Raises only CancelledError."""

    def finish_request(self, request: GatewayRequest, reply: ResponseWriter) -> None:
        """Finish a request that was answered without a task."""

    def leave_to_task(self) -> None:
        """Continue in a task what failed without a task."""

    def close_unbegun(self, request: GatewayRequest, reply: ResponseWriter) -> None:
        """Close a request that was cancelled before ``answer`` began."""


class Connection(asyncio.Protocol):
    """One client connection.

    ``deadline`` (monotonic): when its silence becomes too long; None while the server works.
    """

    def __init__(self, serving: HttpApplication, loop: asyncio.AbstractEventLoop) -> None:
        self.disconnected = False
        self.deadline: float | None = None
        self.task: asyncio.Task[None] | RunningAnswer | None = None
        self._unbegun: tuple[GatewayRequest, ResponseWriter] | None = None  # the task's request, until it has begun
        self.refused = False
        self._serving = serving
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[GatewayRequest, bool]] = deque()
        self._closing = False  # close after the pending answers
        self._cut = False  # close after the answer that is being written
        self._last: tuple[RequestHead | None, RequestRefused] | None = None
        self._room: asyncio.Event | None = None  # set once a slow reader has caught up; None while there is room
        self._unread = 0  # unread bytes when its time began
        self._caught_up: Callable[[], None] | None = None
        self._before: _RepeatedHead | None = None
        self._last_head: RequestHead | None = None  # of the last complete head
        self._inside = False  # the parser has seen the first byte of a request but not its end
        self._began = False  # the parser saw the first byte of a request in the latest data
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._hosts = self._count = self._size = self._length = self._arrived = 0
        self._since = self._asked_on = 0.0  # when the head was complete; from when the body may arrive
        self._expects = False  # it waits for 100 Continue
        self._head: RequestHead | None = None
        self._key = ANONYMOUS
        self._body: list[bytes] = []
        self._space: bytearray | None = None  # of a large body, filled as it arrives
        self._gathered: bytearray | None = None  # a large body of undeclared length
        self._chunks: ChunkSizes | None = None  # of a chunked body, while the sizes can be followed
        self._head_tail = b""  # the last bytes of a head that has not ended

    # ---- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_MAX_WRITE_BUFFER)
        self._transport.max_size = _READ_SIZE  # type: ignore[attr-defined]
        _limit_socket_buffer(transport)
        self._serving.connections.add(self)
        self._set_deadline(self._serving.limits.head_seconds)
        if len(self._serving.connections) > self._serving.limits.connections:
            self._refuse(RequestRefused("too many connections", status=503, todo="try again later"))

    def eof_received(self) -> bool:
        """Write pending answers before asyncio closes the connection."""
        self._serving.outbox.flush()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.disconnected = True
        self._serving.connections.discard(self)
        self._release_memory(self._length)
        for request, _ in self._waiting:
            self._release_memory(len(request.body))
        self._length = 0
        self._waiting.clear()
        if self._room is not None:
            self._room.set()
        self.cancel()
        # The parser holds methods of this connection. For long-lived connections, only a rare full collection would
        # free that cycle, with the last request's head and the transport.
        del self._parser

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return
        headless = self._head is None
        inside, self._began = self._inside, False
        self._last_head = None
        begins = not (self._inside or self._answers_first)
        if begins and self._before is not None and self._repeat_request(data, self._before):
            return
        chunks = self._chunks
        if chunks is not None and chunks.add_data(data) > self._serving.limits.body:
            self._refuse(self._too_large())
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            self._ignore_upgrade(data[stopped.args[0] :])
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._refuse(
                cause
                if isinstance(cause, RequestRefused)
                else RequestRefused("not a request that can be read", status=400)
            )
        except httptools.HttpParserError:
            too_large = self._chunks is not chunks and self._announces_too_much(data)
            what = RequestRefused("malformed HTTP/1.1", status=400)
            self._refuse(self._too_large() if too_large else what)
        else:
            if self._chunks is not chunks and self._announces_too_much(data):
                self._refuse(self._too_large())
                return
            one = not self._answers_first or (inside and not self._began)  # the data was part of one head
            if headless and self._head is None and one:
                self._size += len(data)  # a header without end never reaches on_header
                self._head_tail = (self._head_tail + data[-3:])[-3:]
                if self._size > 2 * self._serving.limits.head:
                    self._refuse(RequestRefused("headers without end", status=431))
            elif self._space is not None and not self._parser.should_upgrade():
                assert self._transport is not None
                self._transport.set_protocol(_BodyReceiver(self, self._transport, self._space))
            elif begins:
                self._remember(data)

    def _announces_too_much(self, data: bytes) -> bool:
        """Return True if the chunks after the head that ends in ``data`` announce too large a body.

        Behind another request in the same data, chunk sizes are not followed; the body is counted as it arrives.
        """
        end = (self._head_tail + data).find(b"\r\n\r\n") if self._last_head is None else -1
        if self._chunks is None or end < 0:
            self._chunks = None
            return False
        return self._chunks.add_data(data, end + 4 - len(self._head_tail)) > self._serving.limits.body

    def _remember(self, data: bytes) -> None:
        """Remember the head of a request that arrived complete and alone, if a repetition is recognisable
        by its bytes.
        """
        head, end = self._last_head, data.find(b"\r\n\r\n") + 4
        if head is None or not head.sound or self._last is not None or end < 4 or not data.startswith(b"POST "):
            return
        raw = data[:end]
        plain = head.version == "1.1" and "expect" not in head.headers and "upgrade" not in head.headers
        if not plain or raw.count(b"\n") != self._count + 2 or raw.count(b"\r\n") != self._count + 2:
            return
        found = _LENGTH.search(raw)
        if found is not None and head.length == int(found[1]) == len(data) - end and self._parser.should_keep_alive():
            self._before = _RepeatedHead(raw[: found.start(1)], raw[found.end(1) :], head)

    def _repeat_request(self, data: bytes, before: _RepeatedHead) -> bool:
        """Handle a complete request whose head repeats the last one except for the length; return False for
        any other.
        """
        if not data.startswith(before.until):
            return False
        start = len(before.until)
        end = data.find(b"\r", start, start + _DIGITS + 1)
        digits = data[start:end]
        body = end + len(before.after)
        if end < 0 or not digits.isdigit() or not data.startswith(before.after, end) or len(data) - body != int(digits):
            return False
        if int(digits) > self._serving.limits.body:
            return False
        self._size = 0  # of empty lines before it, which some clients send after a body
        head = before.head.with_length(digits.decode())
        try:
            key = self._serving.screen(head)
            before.head.key = head.key
            self._reserve_memory(len(data) - body)
        except RequestRefused as error:
            self._head = head
            self._refuse(error)
            return True
        self._length = 0  # the held bytes are the request's now
        self._queue_request(GatewayRequest(head=head, body=data[body:], key=key, since=monotonic()), keep_alive=True)
        return True

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read the body of a request that offers a protocol upgrade, which HTTP allows a server to ignore.

        The parser stops at such a head, and Java's HTTP client offers HTTP/2 with every body. Data after the body is
        not HTTP.
        """
        head = self._head
        if head is None:
            self._closing = self.refused = True
            return
        framing = b"transfer-encoding: chunked" if head.length is None else b"content-length: %d" % head.length
        self._parser = httptools.HttpRequestParser(_BodyParser(self))
        self._parser.feed_data(b"POST / HTTP/1.1\r\nconnection: close\r\n" + framing + b"\r\n\r\n")
        self.data_received(rest)

    def pause_writing(self) -> None:
        self._room = asyncio.Event()
        self._set_deadline(self._serving.limits.write_seconds)
        self._unread = self._unsent_bytes

    def resume_writing(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None
        if self._caught_up is not None:
            self._caught_up()
        self.deadline = None if self.task is not None else self.deadline
        if self._waiting:
            self._start_next_request()

    # ---- the parser's side

    def on_message_begin(self) -> None:
        if len(self._waiting) >= _MAX_PIPELINED:
            raise RequestRefused("too many requests at once on one connection", status=429)
        self._inside = self._began = True
        self._begin()
        if self.task is None:  # from its first byte: a slow head times out like a stopped one
            self._set_deadline(self._serving.limits.head_seconds)

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > self._serving.limits.target:
            raise RequestRefused("the path is too long", status=414)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head is not None:  # a trailer
            return
        self._size += len(name) + len(value)
        self._count += 1
        if self._size > self._serving.limits.head or self._count > self._serving.limits.headers:
            raise RequestRefused("the headers are too large", status=431)
        key = name.decode("latin-1").lower()
        self._hosts += key == "host"
        text = value.decode("latin-1").strip()
        self._headers[key] = f"{self._headers[key]},{text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        path, _, query = self._target.decode("latin-1").partition("?")
        self._head = head = RequestHead(
            method=self._parser.get_method().decode("latin-1"), path=path, query=query, headers=self._headers,
            hosts=self._hosts, version=self._parser.get_http_version(),
        )  # fmt: skip
        self._key = self._serving.screen(head)
        coding = head.headers.get("transfer-encoding")
        if coding is not None and (coding.lower() != "chunked" or head.version != "1.1"):
            raise RequestRefused("bodies come whole, or in the chunks of HTTP/1.1", status=501)
        self._chunks = None if coding is None else ChunkSizes()
        announced = head.length
        if announced is not None and announced > self._serving.limits.body:
            raise self._too_large()
        self._reserve_memory(announced or 0)
        if announced is not None and announced >= _LARGE:
            self._space = uninitialized_buffer(announced)
        self._since = self._asked_on = monotonic()
        self._arrived = 0
        self._expects = head.version == "1.1" and head.headers.get("expect", "").lower() == "100-continue"
        if self._answers_first:  # the time limit starts when the earlier answers are written: _await_more
            return
        if self._expects:
            self._send_continue()
        else:
            self._set_deadline(self._serving.limits.body_seconds)

    @property
    def _answers_first(self) -> bool:
        """True if earlier requests of this connection are still to be answered."""
        return self.task is not None or bool(self._waiting)

    def _send_continue(self) -> None:
        """Send ``100 Continue`` if the client waits for it; the time limit of the body starts now."""
        if self._expects and not self._arrived:
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._asked_on = monotonic()
            self._set_deadline(self._serving.limits.body_seconds)
        self._expects = False

    def on_body(self, data: bytes) -> None:
        if self._space is not None:
            self._space[self._arrived : self._arrived + len(data)] = data
        elif self._gathered is not None:
            self._gathered += data
        else:
            self._body.append(data)
            if self._arrived + len(data) >= _LARGE:  # thousands of pieces take many times their size
                self._gathered, self._body = bytearray().join(self._body), []
        self.count_body_bytes(len(data))

    def count_body_bytes(self, size: int) -> None:
        """Count ``size`` bytes of the body as received."""
        assert self._head is not None
        if self._head.length is None:  # the length was not declared
            self._reserve_memory(size)
            if self._length > self._serving.limits.body:
                raise self._too_large()
        self._arrived += size
        if self._answers_first:
            return
        limits = self._serving.limits
        self._set_deadline(limits.body_seconds)
        slow = self._asked_on + limits.body_seconds + self._arrived / limits.slowest
        self.deadline = min(slow, self.deadline or slow)

    @property
    def bytes_received(self) -> int:
        """Bytes of the body received so far."""
        return self._arrived

    def complete_large_body(self) -> None:
        """Complete a large body that bypassed the parser; later data gets a new parser."""
        keep_alive = self._parser.should_keep_alive()
        self._parser = httptools.HttpRequestParser(self)
        self._complete(keep_alive)

    def on_message_complete(self) -> None:
        assert self._head is not None
        if self._parser.should_upgrade() and (self._head.length or "transfer-encoding" in self._head.headers):
            return  # not here yet, see _ignore_upgrade
        self._complete(self._parser.should_keep_alive())

    def _complete(self, keep_alive: bool) -> None:
        assert self._head is not None
        if self._space is not None:
            body = cast("bytes", self._space)  # it is no longer modified, and JSON is decoded from it as from bytes
        elif self._gathered is not None:
            body = cast("bytes", self._gathered)
        else:
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body, self._space, self._gathered = [], None, None
        self._last_head = self._head
        request = GatewayRequest(head=self._head, body=body, key=self._key, since=self._since)
        self._length, self._head, self._size, self._target = 0, None, 0, b""  # the held bytes are the request's now
        self._queue_request(request, keep_alive)

    def _queue_request(self, request: GatewayRequest, keep_alive: bool) -> None:
        self._inside = False
        self._waiting.append((request, keep_alive))
        if self._room is None:  # a reader that takes nothing gets no extra time by sending more requests
            self.deadline = None
        self._start_next_request()

    # ---- answering

    def _start_next_request(self) -> None:
        if self.task is not None or self.disconnected:
            return
        if self._waiting and not self._cut:
            if self._room is not None:  # the client does not read: answers would pile up
                return
            self.deadline = None
            request, keep_alive = self._waiting.popleft()
            reply = ResponseWriter(
                self,
                keep_alive=keep_alive,
                chunked=request.head.version == "1.1",
                headless=request.head.method == "HEAD",
            )
            self.task = self._serving.answer_without_task(request, reply, self._on_direct_end)
            if self.task is None:
                self._in_a_task(request, reply)
        elif self._last is not None:
            (head, error), self._last = self._last, None
            headless = head is not None and head.method == "HEAD"
            self._serving.refuse_request(head, error, ResponseWriter(self, keep_alive=False, headless=headless))
            self._close()
        elif self._closing and (self._cut or not self._is_body_arriving):
            self._close()
        else:
            self._await_more()

    def _await_more(self) -> None:
        if self._head is not None:
            self._send_continue()
            if self.deadline is None:  # the earlier answers are written
                self._asked_on = monotonic()
                self._set_deadline(self._serving.limits.body_seconds)
        else:
            limits = self._serving.limits
            self._set_deadline(limits.head_seconds if self._inside else limits.idle_seconds)

    def _in_a_task(self, request: GatewayRequest, reply: ResponseWriter) -> None:
        self._unbegun = (request, reply)
        self.task = self._loop.create_task(self._answer(request, reply))

    async def _answer(self, request: GatewayRequest, reply: ResponseWriter) -> None:
        self._unbegun = None
        try:
            await self._serving.answer(request, reply)
        except asyncio.CancelledError:
            if not self.disconnected and not reply.ended:
                self._close()
            raise
        finally:
            self._on_answered(request, reply)

    def _on_direct_end(self, request: GatewayRequest, reply: ResponseWriter, failure: Handover | None) -> None:
        if failure is None:
            try:
                self._serving.finish_request(request, reply)
            finally:
                self._on_answered(request, reply)
        else:
            self._serving.leave_to_task()
            request.after = failure
            self._in_a_task(request, reply)

    def _on_answered(self, request: GatewayRequest, reply: ResponseWriter) -> None:
        self._release_memory(len(request.body))
        self.task = None
        self._cut |= not reply.keep_alive or not reply.ended
        self._closing |= self._cut
        if not reply.ended and not self.disconnected and self._transport is not None:
            self._serving.outbox.flush()
            self._transport.abort()  # a truncated answer must not look complete
        if self._waiting or self._last is not None or self._closing:
            self._loop.call_soon(self._start_next_request)
        else:
            self._await_more()

    def cancel(self) -> None:
        """Cancel the current answer. A task that has not begun will not start."""
        if self.task is not None:
            self.task.cancel()
        if self._unbegun is not None:
            (request, reply), self._unbegun = self._unbegun, None
            self._serving.close_unbegun(request, reply)
            self._on_answered(request, reply)

    def write(self, data: bytes, *, last: bool = False) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._room is not None:
            self._unread += len(data)  # bytes that arrive now cannot have been read before
        if last:
            self._serving.outbox.write(self._transport, data)
        else:
            self._serving.outbox.flush()
            self._transport.write(data)

    @property
    def is_reader_behind(self) -> bool:
        """True if the reader is slow and has enough unread data."""
        return self._room is not None

    def when_caught_up(self, do: Callable[[], None] | None) -> None:
        """Call ``do`` each time a slow reader has caught up."""
        self._caught_up = do

    async def writable(self) -> None:
        """Wait until the reader has caught up. Raises ConnectionResetError if it left."""
        while self._room is not None and not self.disconnected:
            await self._room.wait()
        if self.disconnected:
            raise ConnectionResetError

    # ---- limits

    def close_idle(self) -> None:
        """Close a connection that was silent for too long; a client that is sending a request gets 408."""
        transport = self._transport
        if transport is None:
            return
        asking = self._head is not None or self._size or self._target
        if self.task is None and asking and self._room is None and not transport.is_closing():
            self._refuse(RequestRefused("the request did not come in time", status=408))
        elif not self._extend_deadline_if_read():
            transport.abort()

    def _extend_deadline_if_read(self) -> bool:
        """Return True and extend the deadline if the reader consumed enough since the last check."""
        limits, left = self._serving.limits, self._unsent_bytes
        if not left or self._unread - left < limits.slowest * limits.write_seconds:
            return False
        self._unread, self.deadline = left, monotonic() + limits.write_seconds
        return True

    @property
    def _unsent_bytes(self) -> int:
        """Bytes that a slow reader has not read yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def busy(self) -> bool:
        """True if a request is arriving or not yet fully answered."""
        return self._is_body_arriving or self._answers_first

    @property
    def _is_body_arriving(self) -> bool:
        return self._inside and not self.refused

    def close_when_idle(self, error: RequestRefused | None = None) -> None:
        """Accept no further request on this connection.

        ``error``: the answer to a request that has partly arrived; None lets it arrive and be answered.
        """
        self._closing = True
        if error is not None and self._is_body_arriving and not self._cut:
            self._refuse(error)
        else:
            self._start_next_request()

    def _too_large(self) -> RequestRefused:
        most = self._serving.limits.body >> 20
        return RequestRefused(
            f"the body is larger than {most} MiB", status=413, todo="send less, or set max_body in [serve]"
        )

    def _reserve_memory(self, size: int) -> None:
        if self._serving.held + size > self._serving.limits.in_flight:
            raise RequestRefused("too much is being uploaded at once", status=503, todo="try again later")
        self._serving.held += size
        self._length += size

    def _release_memory(self, size: int) -> None:
        self._serving.held -= size

    def _refuse(self, error: RequestRefused) -> None:
        """Answer a request that is not read to its end, and close the connection: later bytes may belong to
        its body.
        """
        self.refused = True
        self._last = (self._head, error)  # sent after the answers in progress
        self._start_next_request()

    def _close(self) -> None:
        self._closing = True
        if self._transport is not None:
            self._serving.outbox.flush()
            with suppress(OSError):
                self._transport.close()
            self._unread = self._unsent_bytes  # the connection is closed when they are read
            self.deadline = monotonic() + self._serving.limits.write_seconds if self._unread else None

    def _set_deadline(self, seconds: float) -> None:
        until = monotonic() + seconds
        if self._room is not None and self.deadline is not None:  # a client that sends more still has to read
            until = min(until, self.deadline)
        self.deadline = until


def _limit_socket_buffer(transport: asyncio.BaseTransport) -> None:
    """Keep the kernel from buffering megabytes for a slow reader.

    Otherwise a run would keep producing output before a stalled reader is noticed. Data in flight to a fast reader does
    not count.
    """
    line = transport.get_extra_info("socket")
    if line is not None and sys.platform in _NOTSENT_LOWAT:
        with suppress(OSError):
            line.setsockopt(_TCP, _NOTSENT_LOWAT[sys.platform], _MAX_UNSENT)


class _BodyReceiver(asyncio.BufferedProtocol):
    """Receives a large body directly into its buffer. The parser would only copy it twice."""

    def __init__(self, connection: Connection, transport: asyncio.Transport, space: bytearray) -> None:
        self._connection = connection
        self._transport = transport
        self._space = memoryview(space)
        self.pause_writing = connection.pause_writing  # type: ignore[method-assign]
        self.resume_writing = connection.resume_writing  # type: ignore[method-assign]
        self.connection_lost = connection.connection_lost  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:
        at = self._connection.bytes_received
        return self._space[at : at + _AT_ONCE]

    def buffer_updated(self, nbytes: int) -> None:
        if self._connection.refused:  # its deadline passed; further bytes overwrite the space
            return
        self._connection.count_body_bytes(nbytes)
        if self._connection.bytes_received == len(self._space):
            self._transport.set_protocol(self._connection)
            self._connection.complete_large_body()


class _BodyParser:
    """The callbacks of a parser that reads only the body."""

    def __init__(self, connection: Connection) -> None:
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_message_complete
