"""A request in progress and its response, whichever connection carries them; and decompression of replies within
limits.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import AsyncGenerator, Iterator, Mapping
from time import monotonic
from typing import Protocol

from intermodal import errors
from intermodal.transport.connection_errors import silent_host_error
from intermodal.transport.timeouts import Deadline, IdleTimeout, Timeouts

MAX_ERROR_BODY = 1 << 20  # bytes
UNPACK_SIZE = 64 << 10  # bytes that are decompressed at once
_MAX_UNPACKED = 16 << 20  # bytes to which one piece may expand; text and JSON compress to a tenth


class SendRecord(Protocol):
    """Records that a request is sent."""

    async def before(self) -> None:
        """Called when the connection is established, right before the first byte is sent."""

    def after(self) -> None:
        """Called after the last byte was sent."""


class BodySource(Protocol):
    """The source of a reply's body."""

    async def receive(self) -> bytes | None:
        """Return the next piece of the body; None at its end. Raises CallError."""


class PendingRequest:
    """A request in progress: the timeout for its reply, and the error if there is none."""

    def __init__(self, where: str, timeouts: Timeouts, record: SendRecord | None = None) -> None:
        self.where = where
        self.timeouts = timeouts
        self.record = record
        self.first_byte_deadline = math.inf  # known once the last byte of the request was accepted
        self.deadline = Deadline()
        self.sent = False  # the host may have the whole request: a partial body is neither processed nor billed
        self.answering = False  # some of the reply's body arrived

    def begin_waiting(self) -> None:
        """Start counting the host's time."""
        self.sent = True
        if self.first_byte_deadline == math.inf:
            self.first_byte_deadline = monotonic() + self.timeouts.first_byte
            self.deadline.set_deadline(self.first_byte_deadline)
            if self.record is not None:
                self.record.after()

    def timeout_error(self, *, wordless: bool = False) -> errors.CallError:
        """Return the error for a host that did not answer in time."""
        return silent_host_error(
            self.where, self.timeouts, was_sent=self.sent, answering=self.answering, wordless=wordless
        )


class Response:
    """A response whose headers have arrived. Valid inside its ``async with`` block.

    Attributes:
        status: HTTP status.
        headers: with lower-case names.
        wordless: no word of the answer has arrived, whatever else did: the time until the first word keeps running.
        by_words: the reader reports words (``record_answer_piece``); otherwise every byte is a sign of progress.
        document: the reply is a single document, which may pause for as long as the wait for its first byte.
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

    def record_answer_piece(self) -> None:
        """Record that the latest data contained a piece of the answer."""
        self.wordless = False
        self._silence.record_answer_piece(monotonic())

    def _silent_at(self, now: float) -> float:
        """Return the deadline for the next chunk."""
        exchange = self._exchange
        if not exchange.answering:
            return exchange.first_byte_deadline
        if self.wordless:
            return min(exchange.first_byte_deadline, now + exchange.timeouts.idle if self.document else math.inf)
        if not self.by_words:
            self._silence.record_answer_piece(now)
        return self._silence.deadline_after(now)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it arrives. Raises StreamCut, and Unreachable if none of it arrived in time."""
        exchange = self._exchange
        given_at = math.inf
        while True:
            now = monotonic()
            self._silence.add_pause(max(0.0, now - given_at))
            chunk = None
            with Deadline(self._silent_at(now)) as deadline:
                chunk = await self._source.receive()
            if deadline.over:
                raise exchange.timeout_error(wordless=self.wordless and not self.document)
            if chunk is None:
                return
            given_at = monotonic()
            if chunk:
                exchange.answering = True
                yield chunk

    async def read_body(self, limit: int = MAX_ERROR_BODY) -> bytes:
        """Return the body, truncated to ``limit`` bytes."""
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) >= limit:
                break
        return bytes(body[:limit])


class DecompressionError(Exception):
    """The body cannot be decompressed; the text states why, as an error of the host."""


class Decompressor:
    """Decompresses a reply that is compressed although the request accepts no compression.

    ``name``: its content-encoding.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._with: zlib._Decompress | None = None  # chosen by the first byte

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decompressed data in pieces. Raises DecompressionError."""
        if not data:
            return
        if self._with is None:
            self._with = self._make_decompressor(data[0])
        room = _MAX_UNPACKED
        more = True  # the output may exceed a piece although all input was consumed
        while (data or more) and not self._with.eof:
            try:
                piece = self._with.decompress(data, UNPACK_SIZE)
            except zlib.error:
                raise DecompressionError("sent a reply whose compression is broken") from None
            room -= len(piece)
            if room < 0:
                raise DecompressionError("sent a reply that is far larger than it came")
            if piece:
                yield piece
            data, more = self._with.unconsumed_tail, len(piece) == UNPACK_SIZE

    def _make_decompressor(self, first: int) -> zlib._Decompress:
        if self._name in ("gzip", "x-gzip"):
            return zlib.decompressobj(zlib.MAX_WBITS | 16)
        if self._name == "deflate":  # some servers send it without its zlib header, which begins this way
            return zlib.decompressobj(zlib.MAX_WBITS if first & 15 == 8 else -zlib.MAX_WBITS)
        name_text = f" ({self._name})" if re.fullmatch(r"[\w-]{1,20}", self._name) else ""
        raise DecompressionError(f"compresses its replies in a way that cannot be read{name_text}")


def decompressor_for(headers: Mapping[str, str]) -> Decompressor | None:
    """Return the decompressor for a reply with these headers (lower-case names); None if it is not compressed."""
    name = headers.get("content-encoding", "").strip().lower()
    return Decompressor(name) if name not in ("", "identity") else None
