"""The HTTP/1.1 client of the executor and the gateway, over kept-alive connections.

A client library costs 30 to 1,500 us of processor time per request. Here a request needs no task and a piece of its
reply no queue: received data is passed on in the callback that received it. llhttp parses the bytes.

Only its position tells which request a reply answers. If a host sends one reply too many, it would be taken for the
answer to the next request on the same connection, which may be another client's. So a connection is reused only if a
reply was read to its end and nothing followed it; it is checked once more when it is taken.

Failures use the wording and classes of ``connection_errors.py``.
"""

from __future__ import annotations

import asyncio
import math
import re
import select
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, cast

import httptools

from intermodal import errors
from intermodal.transport.addresses import (
    HostAddress,
    certificates,
    is_ip_address,
    parse_address,
    request_headers,
)
from intermodal.transport.connection_errors import (
    FAILURES,
    UNREADABLE,
    connection_failure_reason,
    silent_host_error,
    unanswered_error,
)
from intermodal.transport.response import DecompressionError, Decompressor, decompressor_for
from intermodal.transport.timeouts import KEEP_ALIVE, IdleTimeout, Timeouts

if TYPE_CHECKING:
    import ssl

MAX_CONNECTIONS = 4096  # to all hosts: more than the number of clients of a gateway
_NEXT_ADDRESS_SECONDS = 0.25  # without a connection to an address of a name after which the next one is tried, too
_HEADERS = 100  # headers of a reply; a reply with more is rejected
_HEAD = 64 << 10  # bytes of all headers, and of anything before a reply that is invalid
_SLICE = 256 << 10  # bytes of a body that are written at once; asyncio copies what the socket does not accept
_AT_ONCE = 8  # slices that are written before other work gets its turn
_UNSENDABLE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")  # RFC 9110, 5.5: characters that no field value may have
_ROOM = 64 << 10  # bytes buffered in asyncio before the rest of a body waits here


class Writer(Protocol):
    """Writes to sockets: immediately, or batched (``gateway/http1/response_writer.py``)."""

    def write(self, transport: asyncio.Transport, data: bytes) -> None: ...


class _AtOnce:
    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        transport.write(data)


class Listener(Protocol):
    """The receiver of a reply. None of these methods may raise.

    ``waits``: the first bytes may not contain a word yet, so the time until the first word keeps running.
    ``output_seen``: a piece of the answer arrived since the connection last checked and cleared this.
    """

    waits: bool
    output_seen: bool

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Called when the status line and headers have arrived."""

    def data(self, data: bytes) -> None:
        """Called with a piece of the body."""

    def end(self) -> None:
        """Called when the reply is complete. The connection no longer belongs to this request."""

    def on_failure(self, error: errors.CallError) -> None:
        """Called when the reply broke off or timed out; nothing more follows."""


class HttpTarget:
    """The address of requests, and the head that all of them begin with.

    Raises ConfigError for an address or key that cannot be used, Unreachable for headers that cannot be sent.
    """

    def __init__(
        self,
        server: HostAddress,
        path: str,
        headers: Sequence[tuple[str, str]],
        timeouts: Timeouts,
        method: str = "POST",
    ) -> None:
        address = parse_address(server.base_url, path)
        self.secure = address.scheme != "http"
        self.host = address.host
        self.port = address.port or (443 if self.secure else 80)
        self.key = (self.secure, self.host, self.port)
        self.timeouts = timeouts
        self.secret = server.key  # never quoted in errors
        header_map = {**dict(headers), **request_headers(address, server.key, server.auth)}
        if _UNSENDABLE.search(
            "".join([*header_map, *header_map.values()])
        ):  # it would end the line and start another header
            raise errors.Unreachable(FAILURES["LocalProtocolError"][1], where=address.host, sent=False)
        lines = [f"{method} {address.path} HTTP/1.1", f"host: {address.netloc}"]
        lines += [f"{name}: {value}" for name, value in header_map.items()]
        end = "content-length: " if method == "POST" else "\r\n"
        self.head = ("\r\n".join(lines) + "\r\n" + end).encode("latin-1")

    def head_of(self, size: int) -> bytes:
        """Return the head of a request with a body of ``size`` bytes; only a POST has a body."""
        return b"%b%d\r\n\r\n" % (self.head, size) if self.head.endswith(b": ") else self.head


class ConnectionPool:
    """All connections of a client, in one event loop.

    Attributes:
        opened: connections opened. reused: requests on an existing connection.
    """

    def __init__(self, writer: Writer | None = None) -> None:
        self.writer = writer or _AtOnce()
        self.opened = 0
        self.reused = 0
        self._idle: dict[tuple[bool, str, int], list[HostConnection]] = {}
        self._all: set[HostConnection] = set()
        self._opening = 0  # connections being opened
        self._tls: ssl.SSLContext | None = None
        self._timer: asyncio.TimerHandle | None = None  # for closing connections that were unused for too long

    def take(self, target: HttpTarget, now: float) -> HostConnection | None:
        """Return an open, unused connection; None if one has to be opened."""
        waiting = self._idle.get(target.key)
        while waiting:
            connection = waiting.pop()  # the most recently used one is most likely still open
            if connection.open and now - connection.since < KEEP_ALIVE and not connection.has_input():
                self.reused += 1
                return connection
            connection.abort()
        return None

    def release(self, connection: HostConnection) -> None:
        """Return an unused connection to the pool."""
        self.reused -= 1
        self.free(connection)

    async def connect(self, target: HttpTarget, where: str) -> HostConnection:
        """Open a connection. Raises Unreachable."""
        if len(self._all) + self._opening >= MAX_CONNECTIONS:
            what = FAILURES["PoolTimeout"][1]
            raise errors.Unreachable(what, where=where, todo="try again later", sent=False)
        loop = asyncio.get_running_loop()
        more: dict[str, Any] = {}
        self._opening += 1
        try:
            if target.secure:
                more |= {"ssl": self._context(), "server_hostname": target.host}
            async with asyncio.timeout(target.timeouts.connect):
                connection = await self._open(target, loop, more)
        except TimeoutError:
            what = FAILURES["ConnectTimeout"][1]
            todo = "check the host's base_url and the network"
            raise errors.Unreachable(what, where=where, todo=todo, sent=False) from None
        except (OSError, ValueError) as error:
            reason, todo = connection_failure_reason(error)
            raise errors.Unreachable(FAILURES["ConnectError"][1] + reason, where=where, todo=todo, sent=False) from None
        finally:
            self._opening -= 1
        self.opened += 1
        return connection

    async def _open(
        self, target: HttpTarget, loop: asyncio.AbstractEventLoop, options: Mapping[str, Any]
    ) -> HostConnection:
        has_name = not is_ip_address(target.host)  # which may have several addresses
        delay = _NEXT_ADDRESS_SECONDS if has_name else None
        connecting = loop.create_connection(
            lambda: HostConnection(self, target, loop), target.host, target.port, happy_eyeballs_delay=delay, **options
        )
        if not has_name:
            return (await connecting)[1]
        # asyncio's race between the addresses of a name loses the socket of a connection if it is cancelled just after
        # that was made. So it is not cancelled with its request: what it makes afterwards is closed.
        opening = loop.create_task(connecting)
        try:
            return (await asyncio.shield(opening))[1]
        except asyncio.CancelledError:
            opening.add_done_callback(_abort_connection)
            loop.call_later(target.timeouts.connect, opening.cancel)
            raise

    def fail_silent_hosts(self, now: float) -> None:
        """Fail requests whose host has been silent for too long.

        Covers requests sent with ``timed``; call it regularly.
        """
        for connection in tuple(self._all):
            if connection.deadline < now:
                connection.expire()

    def _close_unused(self) -> None:
        self._timer = None
        now = monotonic()
        for waiting in tuple(self._idle.values()):
            for connection in tuple(waiting):
                if now - connection.since >= KEEP_ALIVE:
                    connection.abort()
        self._schedule_check()

    def _schedule_check(self) -> None:
        if self._timer is None and any(self._idle.values()):
            self._timer = asyncio.get_running_loop().call_later(KEEP_ALIVE, self._close_unused)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for connection in tuple(self._all):
            connection.abort()

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = certificates()
        return self._tls

    # ---- for the connections

    def began(self, connection: HostConnection) -> None:
        self._all.add(connection)

    def free(self, connection: HostConnection) -> None:
        self._idle.setdefault(connection.key, []).append(connection)
        self._schedule_check()

    def remove(self, connection: HostConnection) -> None:
        self._all.discard(connection)
        waiting = self._idle.get(connection.key)
        if waiting and connection in waiting:
            waiting.remove(connection)


def _abort_connection(opening: asyncio.Task[tuple[asyncio.Transport, HostConnection]]) -> None:
    """Close the connection that was made for a request that is gone; it may have failed as well."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[1].abort()


def with_one_length(reply: bytes) -> bytes:
    """Return a reply that repeats the same content-length with the header stated once; b"" for any other reply.

    RFC 9110 (8.6) permits the repetition, and llhttp refuses it. An incomplete head also gives b"".
    """
    head, end, rest = reply.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    lengths = [line for line in lines if line[:15].lower() == b"content-length:"]
    if not end or len(lengths) < 2 or len({line[15:].strip() for line in lengths}) > 1:
        return b""
    return b"\r\n".join([*(line for line in lines if line not in lengths), lengths[0]]) + end + rest


class _Socket(Protocol):
    def fileno(self) -> int: ...


def _input_probe(of: _Socket) -> Callable[[], object]:
    """Return a check for readable input: a system call that takes half a microsecond."""
    if not hasattr(select, "poll"):  # Windows
        return lambda: of.fileno() < 0 or select.select([of], [], [], 0)[0]
    poll = select.poll()
    poll.register(of, select.POLLIN)
    return partial(poll.poll, 0)


class HostConnection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, pool: ConnectionPool, target: HttpTarget, loop: asyncio.AbstractEventLoop) -> None:
        self.key = target.key
        self.open = False
        self.since = monotonic()  # when it was last used
        self.deadline = math.inf
        self.listener: Listener | None = None
        self.wordless = False  # no word of the answer has arrived: the time until the first word keeps running
        self._pool = pool
        self._loop = loop
        self._transport: asyncio.Transport
        # Whether unread input is waiting: the end of the connection, or an unsolicited reply.
        self.has_input: Callable[[], object]
        self._parser = httptools.HttpResponseParser(self)  # of consecutive replies
        self._timeouts = target.timeouts
        self._silence = IdleTimeout(0.0, 0.0)
        self._where = ""
        self._answering = False  # some of a reply arrived
        self._more = False  # an unsolicited reply began
        self._left: list[memoryview] = []  # the unwritten rest of a body
        self._paused = False
        self._behind = False  # the reader of the answer is slow: the silence is not the host's
        self._before = 0  # bytes that arrived before the headers were complete
        self._head = b""  # and those bytes
        self._got: list[bytes] = []  # pieces that arrived together: hosts put each token into its own chunk
        self._unpacker: Decompressor | None = None  # for a compressed reply
        self._whole = False  # the reply is complete
        self._stays = False  # and the host keeps the connection open
        self._kept = False  # it has served a request before
        self._timed = True
        self._timer: asyncio.TimerHandle | None = None  # while a body is written, if the caller keeps the deadlines
        self._written: Callable[[], None] | None = None
        self._asked_at = 0.0  # when the last byte of the request was sent
        self.spoke = False  # the host sent something before any request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_ROOM)
        self.has_input = _input_probe(transport.get_extra_info("socket"))
        self.open = True
        self._pool.began(self)

    # ---- a request

    def send(
        self, target: HttpTarget, body: Sequence[bytes | memoryview], listener: Listener, where: str,
        *, timed: bool = True, on_written: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        """Write a request; its reply goes to ``listener``.

        Args:
            timed: keep a deadline, which the pool's ``fail_silent_hosts`` enforces; otherwise the caller keeps its own
                once the request is written.
            on_written: called when the last byte has been passed to the socket.
        """
        self.listener, self._where, self._timeouts = listener, where, target.timeouts
        self._timed, self._written = timed, on_written
        self._answering = self._more = self._behind = self._whole = False
        self._before, self._head = 0, b""
        self.wordless = True
        waits = target.timeouts
        self._silence = IdleTimeout(waits.idle, waits.thinking if listener.waits else waits.first_byte)
        self._headers: dict[str, str] = {}
        self._said: list[tuple[bytes, bytes]] = []
        size = sum(map(len, body))
        head = target.head_of(size)
        if size <= _ROOM and listener.waits:  # a stream: its first word is not delayed by batching
            self._transport.write(b"".join((head, *body)))
        elif size <= _ROOM:
            self._pool.writer.write(self._transport, b"".join((head, *body)))
        else:
            self._left = [memoryview(head), *(memoryview(piece) for piece in body)]
            self._write_body()
        self._start_waiting()

    @property
    def sent(self) -> bool:
        """True if the whole request may have arrived: a partial body is not processed, and not billed."""
        return not self._left

    def _write_body(self) -> None:
        """Write as much of the body as there is room for, in slices: asyncio copies what a socket does not accept.

        After a few slices other work gets its turn: a local host accepts twenty megabytes without a pause.
        """
        for _ in range(_AT_ONCE):
            if not self._left or self._paused or not self.open:
                self._start_waiting()
                return
            first = self._left[0]
            self._transport.write(first[:_SLICE])
            if len(first) > _SLICE:
                self._left[0] = first[_SLICE:]
            else:
                self._left.pop(0)
        self._loop.call_soon(self._write_body)

    def _start_waiting(self) -> None:
        """Start the host's time when the last byte was sent; until then the host must keep reading the request."""
        if not self._left and self._written is not None:
            on_written, self._written = self._written, None
            on_written()
        if self._answering:
            return
        self._asked_at = monotonic()
        if self._timed:
            self.deadline = self._asked_at + (self._timeouts.idle if self._left else self._timeouts.first_byte)
        else:
            self._stop_timer()
            if self._left:
                self._timer = self._loop.call_later(self._timeouts.idle, self.expire)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def is_reader_behind(self) -> bool:
        """True if reading is paused because the reader of the answer is behind."""
        return self._behind

    def pause(self) -> None:
        """Pause reading because the reader of the answer is behind."""
        if self.open:
            self._transport.pause_reading()
        self._behind = True
        self.deadline = math.inf

    def resume(self) -> None:
        if not self._behind:
            return
        self._behind = False
        if self.open:
            self._transport.resume_reading()
        if self._timed:
            now = monotonic()
            self._silence.record_answer_piece(now)  # words were arriving, otherwise the reader would not be behind
            self.deadline = self._silence.deadline_after(now)

    def abort(self) -> None:
        """Close the connection immediately: a host stops working, and charging, for an abandoned request."""
        self.listener = None
        self.open = False
        self._stop_timer()
        self._transport.abort()

    def expire(self) -> None:
        """Fail the request: the host has been silent for too long."""
        if self._left and not self._answering:
            what = FAILURES["WriteTimeout"][1]
            self._fail_with(unanswered_error(what, self._where, was_sent=False, is_reused=self._kept, seconds=math.inf))
            return
        self._fail_with(silent_host_error(
            self._where, self._timeouts, was_sent=self.sent, answering=self._answering, wordless=self.wordless
        ))  # fmt: skip

    def _fail_with(self, error: errors.CallError) -> None:
        listener = self.listener
        self.abort()
        if listener is not None:
            listener.on_failure(error)

    # ---- asyncio's side

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._left:
            self._write_body()

    def data_received(self, data: bytes) -> None:
        if self.listener is None:
            self.spoke = True
            self.abort()  # unsolicited
            return
        if not self._answering:
            self._before += len(data)
            self._head += data
        try:
            self._feed_parser(data)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError):
            self._deliver_pieces()
            if self._whole:
                self._more = True  # the rest is not part of the reply
                self._on_reply_end()
            else:
                self._fail_with(self._break_off_error(UNREADABLE))
        else:
            if self._whole and not self._more:
                self._more = self._has_data_beyond_reply(data)
            self._deliver_pieces()
            if self._whole:
                self._on_reply_end()
            elif self.listener is None:
                if self._more:
                    self.abort()  # an unsolicited reply
            elif not self._answering and self._before > _HEAD:
                self._fail_with(self._break_off_error(UNREADABLE))
            elif self._timed and not self._behind:
                self._extend_deadline(self.listener)

    def _has_data_beyond_reply(self, data: bytes) -> bool:
        """Return True if blank lines, which llhttp skips, follow the end of a reply. ``data``: the latest data."""
        if self._headers.get("transfer-encoding"):
            return data.endswith(b"\r\n\r\n\r\n")
        return bool(self._got) and not data.endswith(self._got[-1])

    def _extend_deadline(self, listener: Listener) -> None:
        """Extend the deadline after data arrived."""
        now = monotonic()
        if listener.output_seen:
            listener.output_seen = False
            if listener.waits:
                self._silence.record_answer_piece(now)
            elif self.wordless:  # in a single document the first byte counts, then the time for the whole
                self.wordless = False
                self._silence.record_answer_piece(now)
        if not self.wordless:
            self.deadline = self._silence.deadline_after(now)

    def _feed_parser(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            repeated = b"" if self._answering else with_one_length(self._head)
            if not repeated:
                raise
            self._said, self._parser = [], httptools.HttpResponseParser(self)
            self._parser.feed_data(repeated)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._stop_timer()
        self._pool.remove(self)
        del self._parser  # it holds methods of this connection: a cycle that only the garbage collector would free
        listener, self.listener = self.listener, None
        if listener is None:
            return
        if self._answering and self._until_close:
            listener.end()  # a reply without a length ends with its connection
            return
        listener.on_failure(self._break_off_error(FAILURES["ReadError" if self.sent else "WriteError"][1]))

    @property
    def _until_close(self) -> bool:
        headers = self._headers
        return "content-length" not in headers and headers.get("transfer-encoding", "").lower() != "chunked"

    def _break_off_error(self, what: str) -> errors.CallError:
        if self._answering:
            return errors.StreamCut(f"{what} in the middle of its answer", where=self._where, todo="ask again")
        waited = monotonic() - self._asked_at
        return unanswered_error(what, self._where, was_sent=self.sent, is_reused=self._kept, seconds=waited)

    # ---- the parser's side

    def on_message_begin(self) -> None:
        self._more = self._whole or self.listener is None

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self._said) >= _HEADERS:
            raise ValueError("too many headers")  # ends the parsing
        self._said.append((name, value))

    def on_headers_complete(self) -> None:
        head_pairs, self._said = self._said, []
        if self._whole:
            return
        headers = self._headers = dict[str, str]()
        for raw_name, raw_value in head_pairs:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        status = self._parser.get_status_code()
        if status >= 200 and self.listener is not None:
            self._answering, self._head = True, b""
            self._stop_timer()
            self.wordless = True
            self._unpacker = decompressor_for(headers) if "content-encoding" in headers else None
            self.listener.head(status, headers)

    def on_body(self, data: bytes) -> None:
        if not self._whole:
            self._got.append(data)

    def _deliver_pieces(self) -> None:
        """Pass on pieces that arrived together in one call: the client is written to once for fifty words, not fifty
        times.
        """
        if self._got:
            data = self._got[0] if len(self._got) == 1 else b"".join(self._got)
            self._got.clear()
            if self._unpacker is not None:
                self._unpack(self._unpacker, data)
            elif self.listener is not None:
                self.listener.data(data)

    def _unpack(self, by: Decompressor, data: bytes) -> None:
        try:
            for piece in by.feed(data):
                if self.listener is None:  # the listener is done
                    return
                self.listener.data(piece)
        except DecompressionError as error:
            self._fail_with(errors.StreamCut(str(error), where=self._where, todo="ask again"))

    def on_message_complete(self) -> None:
        if not self._answering:  # 100 Continue, 103 Early Hints
            self._headers = {}
        elif not self._whole:
            self._whole, self._stays = True, self._parser.should_keep_alive()

    def _on_reply_end(self) -> None:
        """Report that the reply is complete, after the parser has returned: the listener may send the next request
        immediately.
        """
        self._whole = False
        listener, self.listener = self.listener, None
        self.resume()  # a reader that was behind must not affect the next request
        self.deadline, self.since = math.inf, monotonic()
        if self._stays and not self._left and self.open and not self._more:
            self._kept = True
            self._pool.free(self)
        else:
            self.abort()
        if listener is not None:
            listener.end()
