"""One HTTP response: whole, or streamed to a client that may be slow or gone. Small writes are batched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from time import monotonic
from typing import Protocol

# ---- write batching ---------------------------------------------------------------------------------
#
# Writes to sockets, at once or batched at the end of a turn of the event loop.
#
# A write wakes its reader, and waking a sleeping processor takes 20 us of the 150 us of a small chat. Thirty writes
# in a row wake it once. So a write that follows another within 200 us while other requests are active is batched; a
# single client never waits.

BATCH_SECONDS = 200e-6  # seconds between two writes that belong together
LARGE_WRITE = 16 << 10  # bytes that are written at once: batching gains nothing at this size


class ActiveRequests(Protocol):
    """Counts the requests being answered."""

    active: int


class WriteBatcher:
    """Writes for one process. Without ``busy``, every write goes out at once."""

    def __init__(self, busy: ActiveRequests | None = None) -> None:
        self._busy = busy
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []
        self._last = 0.0

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write data after everything written before."""
        if len(data) < LARGE_WRITE:
            if self._waiting:
                self._waiting.append((transport, data))
                return
            if self._busy is not None and self._busy.active > 1:
                now = monotonic()
                if now - self._last < BATCH_SECONDS:
                    self._waiting.append((transport, data))
                    asyncio.get_running_loop().call_soon(self.flush)
                    return
                self._last = now
        elif self._waiting:
            self.flush()
        transport.write(data)

    def flush(self) -> None:
        """Write the batched data. Call it before a connection is used for anything but a write."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            if not transport.is_closing():
                transport.write(data)
        self._last = monotonic()


# ---- response writer --------------------------------------------------------------------------------

_REASONS = {status.value: status.phrase for status in HTTPStatus}
WRITE_PIECE = 256 << 10  # bytes of a large answer that are written at a time
_lines_by_status: tuple[int, dict[int, str]] = (0, {})


class ResponseConnection(Protocol):
    """The interface of a connection that a response needs."""

    disconnected: bool

    def write(self, data: bytes, *, last: bool = False) -> None:
        """Write data. ``last``: nothing of this response follows, so it may be batched with other writes."""

    async def writable(self) -> None: ...

    @property
    def is_reader_behind(self) -> bool: ...

    def when_caught_up(self, do: Callable[[], None] | None) -> None: ...


class ResponseWriter:
    """Writes one response: ``write_whole``, or ``begin``, ``write`` and ``end``. ``status`` is 0 before that."""

    __slots__ = (
        "_chunked",
        "_headless",
        "_line",
        "_opening",
        "ended",
        "extra",
        "head",
        "keep_alive",
        "kept",
        "sent",
        "status",
        "type",
    )

    def __init__(
        self, line: ResponseConnection, *, keep_alive: bool = True, chunked: bool = True, headless: bool = False
    ) -> None:
        """``chunked``: the client speaks HTTP/1.1. ``headless``: it requested only the head."""
        self._line = line
        self._chunked = chunked
        self._headless = headless
        self._opening = b""  # a head that is sent with the first piece
        self.keep_alive = keep_alive
        self.status = 0
        self.ended = False
        self.sent = 0  # bytes of body
        self.extra: Mapping[str, str] = {}  # headers besides those of the answer
        self.kept: list[bytes] | None = None  # the body, if it is needed afterwards
        self.head = ""  # the header lines, if the body is kept
        self.type = ""

    @property
    def disconnected(self) -> bool:
        """True if the client left."""
        return self._line.disconnected

    @property
    def is_reader_behind(self) -> bool:
        """True if the reader is slow and enough data is waiting for it."""
        return self._line.is_reader_behind

    def exclude_from_replay(self) -> None:
        """Stop keeping the body for replays: the response that follows is about the gateway, not an answer."""
        self.kept = None

    def when_caught_up(self, do: Callable[[], None] | None) -> None:
        """Call ``do`` each time a slow reader has caught up."""
        self._line.when_caught_up(do)

    def write_whole(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Write the whole response at once."""
        self.status, self.ended, self.sent = status, True, len(body)
        if self.kept is not None:
            self.kept.append(body)
        length = {"content-length": str(len(body))} if status != HTTPStatus.NO_CONTENT else {}
        head = self._head(status, {**(headers or {}), **length})
        self._line.write(head if self._headless or not body else head + body, last=True)

    async def send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Write the whole response; a large one lets other requests run between pieces.

        Handing over 20 MiB at once copies what the socket does not accept, which blocks for 25 ms. This does not wait
        for the reader: the connection holds the data.
        """
        if len(body) <= WRITE_PIECE or self._headless:
            self.write_whole(status, body, headers)
            return
        self.status = status
        if self.kept is not None:
            self.kept.append(body)
        self._line.write(self._head(status, {**(headers or {}), "content-length": str(len(body))}))
        every = memoryview(body)
        for at in range(0, len(body), WRITE_PIECE):
            await asyncio.sleep(0)
            piece = bytes(every[at : at + WRITE_PIECE])
            self.sent += len(piece)
            self.ended = self.sent == len(body)
            self._line.write(piece, last=self.ended)

    def write_prepared(self, lines: str, kind: str, body: bytes) -> None:
        """Write a 200 response whose head was mostly prepared before."""
        self.status, self.ended, self.sent, self.type = 200, True, len(body), kind
        if self.kept is not None:
            self.kept.append(body)
        head = self._start(200, f"{lines}content-type: {kind}\r\ncontent-length: {len(body)}\r\n")
        self._line.write(head + body, last=True)

    def open(self, lines: str, kind: str) -> None:
        """Begin a 200 stream whose head was mostly prepared before.

        The head is sent with the first piece, which must follow: one packet less before the first token.
        """
        self.status, self.type = 200, kind
        framing = "transfer-encoding: chunked\r\n" if self._chunked else ""
        self.keep_alive &= self._chunked
        self._opening = self._start(200, f"{lines}content-type: {kind}\r\n{framing}")

    def _start(self, status: int, lines: str) -> bytes:
        """Return a head. ``lines``: header lines, each with its line end."""
        if self.kept is not None:
            self.head = lines
        end = "connection: close\r\n"
        if self.keep_alive:  # the default of HTTP/1.1, but not of HTTP/1.0
            end = "" if self._chunked else "connection: keep-alive\r\n"
        return f"{_status_lines(status)}{lines}{header_lines(self.extra)}{end}\r\n".encode("latin-1", "replace")

    def write_last(self, data: bytes) -> None:
        """Write the last piece of a stream, and end it.

        Nothing is written after the end: a client would read it as the next response on its connection.
        """
        if self.ended:
            return
        self.sent += len(data)
        self.ended = True
        if self.kept is not None:
            self.kept.append(data)
        opening, self._opening = self._opening, b""
        self._line.write(b"%b%x\r\n%b\r\n0\r\n\r\n" % (opening, len(data), data) if self._chunked else opening + data)

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Write the head of a stream."""
        self.status = status
        if self._chunked:
            self._line.write(self._head(status, {**headers, "transfer-encoding": "chunked"}))
        else:
            self.keep_alive = False
            self._line.write(self._head(status, headers))

    def write_unbuffered(self, data: bytes) -> None:
        """Write a piece of a stream without waiting for a slow reader: for small and rare pieces."""
        if data:
            self.sent += len(data)
            if self.kept is not None:
                self.kept.append(data)
            opening, self._opening = self._opening, b""
            self._line.write(b"%b%x\r\n%b\r\n" % (opening, len(data), data) if self._chunked else opening + data)

    async def write(self, data: bytes) -> None:
        """Write a piece of a stream; wait while the reader is behind, which slows the run down with it."""
        if data:
            self.write_unbuffered(data)
            await self._line.writable()

    def end(self) -> None:
        """End a stream normally."""
        self.ended = True
        if self._chunked:
            self._line.write(b"0\r\n\r\n")

    def _head(self, status: int, headers: Mapping[str, str]) -> bytes:
        self.type = headers.get("content-type", "")
        return self._start(
            status, header_lines({name: value for name, value in headers.items() if name not in self.extra})
        )


def header_lines(headers: Mapping[str, str]) -> str:
    """Return headers as they are sent, each with its line end."""
    return "".join([
        f"{name}: {value if value.isascii() and value.isprintable() else _printable(value)}\r\n"
        for name, value in headers.items()
    ])  # fmt: skip


def _printable(value: str) -> str:
    """Return a header value as one line of printable ASCII; file and model names may contain anything."""
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in value)


def _status_lines(status: int) -> str:
    """Return the first lines of a response: status, date and server. They are cached within one second."""
    global _lines_by_status
    second = int(time.time())
    if _lines_by_status[0] != second:
        _lines_by_status = (second, {})
    found = _lines_by_status[1].get(status)
    if found is None:
        date = formatdate(second, usegmt=True)
        found = f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\ndate: {date}\r\nserver: intermodal\r\n"
        _lines_by_status[1][status] = found
    return found


# Comments that keep a silent stream open: clients close a stream that is silent for long.


FIRST_COMMENT_SECONDS = (
    5.0  # seconds of silence after which a stream begins with a comment; until then an error has its own status
)
COMMENT_SECONDS = 10.0  # seconds of silence between two comments


class StreamKeepalive:
    """Calls ``say`` after a silence, unless the client is gone or the response has ended."""

    def __init__(self, reply: ResponseWriter, say: Callable[[], None]) -> None:
        self._reply = reply
        self._say = say
        self._timer: asyncio.TimerHandle | None = None

    def start(self, seconds: float) -> None:
        """Call ``say`` after ``seconds`` unless ``end`` is called first."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self._break)

    def end(self) -> None:
        """Stop waiting: something was written, or nothing will be."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Stop for good and release the callback, which references the request's body."""
        self.end()
        self._say = _do_nothing

    def _break(self) -> None:
        if not self._reply.disconnected and not self._reply.ended:
            self._say()


def _do_nothing() -> None:
    """Do nothing: the callback of a closed keepalive."""
