"""The gateway's log on standard error: one line per request, and notes. No request waits for it.

A thread formats and writes the lines. If the reader stops, lines queue up to a bound and are then dropped and counted,
as are lines that cannot be written to a full disk. No line contains content, a key, or client text longer than fits on
a line.
"""

from __future__ import annotations

import errno
import os
import queue
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import msgspec

from intermodal.telemetry.request_record import LONGEST, redact

if TYPE_CHECKING:
    from intermodal.config.tables import LogFormat, LogLevel
    from intermodal.telemetry.request_record import RequestRecord

LEVELS: Mapping[LogLevel, int] = {"debug": 0, "info": 1, "warning": 2, "error": 3}
MAX_QUEUED_LINES = 10_000  # lines that wait for a reader
BATCH_SECONDS = 0.05  # seconds for which lines are gathered before they are written together
_QUIET = 40  # empty rounds before the thread sleeps until the next line
_LOOK = 1.0  # seconds between two attempts to write to a slow reader
_READER_GONE_ERRORS = (
    errno.EPIPE,
    errno.ECONNRESET,
    errno.EBADF,
)  # the reader is gone for good; any other failure may pass
_POLLED_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})  # polled all day by machines


class _Line(msgspec.Struct, frozen=True, gc=False):
    at: float  # seconds since the epoch
    level: LogLevel
    what: RequestRecord | str


class RequestLog:
    """The log of one process.

    ``level``: the lowest level written. ``descriptor``: the output, standard error by default. ``worker``: the number
    of this process among several, shown on each line; 0 for a single process.
    """

    def __init__(
        self, form: LogFormat = "text", level: LogLevel = "info", descriptor: int = 2, *, worker: int = 0
    ) -> None:
        self.dropped = 0  # lines dropped because the reader was too slow
        self.lost = 0  # lines that could not be written, not reported yet
        self._least = LEVELS[level]
        self._write = partial(_json if form == "json" else _line_text, worker=worker)
        self._descriptor = descriptor
        self._lines: queue.SimpleQueue[_Line | None] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._dropped_reported = 0
        self._why = ""  # why lines were lost
        self._rest = b""  # the rest of a line that was written in part
        self._gone = False  # the reader is gone for good
        self._heard: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._write_queued_lines, name="log", daemon=True)
        self._thread.start()

    def log_request(self, record: RequestRecord) -> None:
        """Log a request that was answered or turned away."""
        level = log_level(record)
        if LEVELS[level] >= self._least:
            self._enqueue(_Line(time.time(), level, record))

    def log_note(self, level: LogLevel, words: str, *, always: bool = False) -> None:
        """Log a note. ``always``: regardless of the level."""
        if always or LEVELS[level] >= self._least:
            self._enqueue(_Line(time.time(), level, words))

    def listen(self) -> None:
        """Log OpenTelemetry's own warnings too, such as a collector that cannot be reached."""
        import logging

        log = self

        class Theirs(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                level: LogLevel = "error" if record.levelno >= logging.ERROR else "warning"
                log.log_note(level, f"telemetry: {redact(record.getMessage(), 400)}")

        exporter_logger, handler = logging.getLogger("opentelemetry"), Theirs(logging.WARNING)
        exporter_logger.addHandler(handler)
        exporter_logger.propagate = False
        self._heard = lambda: exporter_logger.removeHandler(handler)

    def close(self, seconds: float = 1.0) -> None:
        """Write queued lines; wait at most ``seconds`` for a stalled reader."""
        self._heard()
        self._ending.set()
        self._lines.put(None)
        self._thread.join(seconds)

    async def aclose(self) -> None:
        import asyncio  # here: the parent of workers does not need it

        await asyncio.to_thread(self.close)

    def _enqueue(self, line: _Line) -> None:
        if self._gone or self._lines.qsize() >= MAX_QUEUED_LINES:
            self.dropped += 1
        else:
            self._lines.put(line)

    def _write_queued_lines(self) -> None:
        quiet = _QUIET
        while True:
            # Only the first line after a silence wakes this thread. Waking it for each would take the interpreter from
            # the requests being served.
            found = [self._lines.get()] if quiet >= _QUIET else []
            self._ending.wait(BATCH_SECONDS)
            while not self._lines.empty():
                found.append(self._lines.get())
            quiet = 0 if found else quiet + 1
            if not found:
                continue
            lines = [self._write(line) for line in found if line is not None]
            if self.dropped > self._dropped_reported:
                lines.append(
                    self._note(f"{self.dropped - self._dropped_reported} lines of the log were not read in time")
                )
                self._dropped_reported = self.dropped
            if self.lost:
                note = self._note(f"{self.lost} lines of the log could not be written ({self._why})")
                self.lost = self.lost if self._unwritten([note]) else 0
            self.lost += self._unwritten(lines)
            if self._gone or None in found:
                return

    def _note(self, words: str) -> str:
        return self._write(_Line(time.time(), "warning", words))

    def _unwritten(self, lines: list[str]) -> int:
        """Write lines; return how many could not be written. If the reader is gone, serving continues without a log."""
        left, has_begun = [self._rest, *_pieces(lines)], bool(self._rest)
        self._rest = b""
        try:
            while left:
                while left[0]:
                    out = self._write_some(left[0])
                    has_begun, left[0] = left[0][out - 1 : out] != b"\n", left[0][out:]
                del left[0]
        except OSError as error:
            end = left[0].index(b"\n") + 1 if has_begun else 0
            self._rest = left[0][:end]  # comes next, so that no line is half a line
            self._why = (error.strerror or type(error).__name__).lower()
            self._gone = error.errno in _READER_GONE_ERRORS
            return (left[0][end:] + b"".join(left[1:])).count(b"\n")
        return 0

    def _write_some(self, data: bytes) -> int:
        """Write as much as the descriptor accepts. It may be non-blocking; this thread may wait."""
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                select.select([], [self._descriptor], [], _LOOK)


def _pieces(lines: list[str]) -> Iterator[bytes]:
    """Yield whole lines in pieces that a pipe writes atomically, so that lines of other processes do not mix in."""
    piece = b""
    for line in lines:
        data = line.encode("utf-8", "replace")
        if piece and len(piece) + len(data) > select.PIPE_BUF:
            yield piece
            piece = b""
        piece += data
    yield piece


def log_level(record: RequestRecord) -> LogLevel:
    if record.status >= 500 or (record.broken and record.error != "client_left"):
        return "error"
    if record.status >= 400 or record.broken or not record.status:
        return "warning"
    return "debug" if record.route in _POLLED_PATHS else "info"


def _json(line: _Line, worker: int = 0) -> str:
    stamp = datetime.fromtimestamp(line.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head: dict[str, Any] = {"time": stamp, "level": line.level, **({"worker": worker} if worker else {})}
    if isinstance(line.what, str):
        return _dump_line({**head, "event": "note", "message": line.what})
    return _dump_line({**head, "event": "request", **log_fields(line.what)})


def _dump_line(tree: dict[str, Any]) -> str:
    return msgspec.json.encode(tree).decode() + "\n"


def log_fields(record: RequestRecord) -> dict[str, Any]:
    """Return the fields of a request line: the constant ones, and those that have a value."""
    fields: dict[str, Any] = {
        "trace_id": record.span.trace if record.span is not None else "",
        "key": record.key,
        "model": redact(record.model),
        "route": record.endpoint,
        "plan": record.plan,
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "cost": None if record.cost is None else float(f"{record.cost:.8g}"),
        "attempts": record.attempts or None,
        "first_seconds": None if record.first is None else round(record.first, 4),
        "error": record.error,
        "broken": record.broken or None,
        "direct": record.direct or None,
        "not_direct": record.not_direct if record.plan else "",  # what is refused unplanned has no path
    }
    return {
        "request_id": record.id, "method": redact(record.method), "path": redact(record.path), "status": record.status,
        "seconds": round(record.seconds, 4), "bytes_in": record.size, "bytes_out": record.sent,
        **{name: value for name, value in fields.items() if value not in ("", None)},
    }  # fmt: skip


@lru_cache(maxsize=4)
def _clock(second: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(second))


def _line_text(line: _Line, worker: int = 0) -> str:
    clock = _clock(int(line.at)) + (f" [{worker}]" if worker else "")
    if isinstance(line.what, str):
        return f"{clock} {line.level}: {line.what}\n"
    it = line.what
    words = [clock, _as_word(it.method), _as_word(it.path), str(it.status), f"{it.seconds:.3f}s"]
    if it.model:
        words.append(_as_word(it.model) + (f" -> {it.endpoint}" if it.endpoint and it.endpoint != it.model else ""))
    if it.input_tokens is not None or it.output_tokens is not None:
        input_tokens, output_tokens = ("?" if count is None else count for count in (it.input_tokens, it.output_tokens))
        words.append(f"{input_tokens}+{output_tokens} tok")
    if it.attempts:
        words.append("$?" if it.cost is None else f"${it.cost:.6g}")
    words += [f"{it.attempts} attempts"] if it.attempts > 1 else []
    words += [f"key {it.key}"] if it.key else []
    words += [f"{it.error}{', broken off' if it.broken else ''}"] if it.error else []
    return " ".join([*words, it.id]) + "\n"


def _as_word(text: str) -> str:
    """Return a client's text as one word. Most requests repeat the same text."""
    return _short_word(text) if len(text) <= LONGEST else _as_one(redact(text))


@lru_cache(maxsize=256)
def _short_word(text: str) -> str:
    return _as_one(redact(text))


def _as_one(text: str) -> str:
    return f'"{text}"' if " " in text else text
