"""Streams split into lines and events, whatever their protocol: incremental readers of bytes that are cut anywhere.

Forwarded data is split without being decoded; server-sent events and newline-delimited JSON are parsed.
"""

from __future__ import annotations

from intermodal.core.content import Value

# Splits a stream into lines or events without decoding them.


MAX_PIECE = 8 << 20  # bytes of a line or event that is forwarded
_LONG = 64 << 10  # bytes of a piece that is neither copied nor searched again with each read


class LineTooLong(ValueError):
    """The server sent a line or an event that exceeds the size limit."""


class LineSplitter:
    """Splits a stream into lines. Feed it bytes as they arrive; it returns the completed lines, without their ends."""

    end = b"\n"
    folds = False  # a carriage return ends a line, too
    _half = b""  # a trailing carriage return, which may be half of a line end

    def __init__(self, most: int = MAX_PIECE) -> None:
        self.rest = b""  # the beginning of an unfinished line
        self._long = bytearray()  # the same for a long line
        self._most = most

    @property
    def pending(self) -> int:
        """The number of bytes of the unfinished line."""
        return len(self.rest) + len(self._long)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that the bytes complete. Raises LineTooLong if the unfinished line is too long."""
        end = self.end
        if self.folds and (self._half or b"\r" in data):
            data = self._normalize_line_ends(data)
        if not self.rest and not self._long and data.endswith(end):  # as in nearly all reads
            return data[: -len(end)].split(end)
        if len(self.rest) > _LONG or self._long:
            self._long += self.rest + data
            self.rest = b""
            if end not in self._long[-len(data) - len(end) + 1 :]:
                return self._keep_unfinished()
            data = bytes(self._long)
            self._long.clear()
        elif self.rest:
            data = self.rest + data
        cut = data.rfind(end)
        if cut < 0:
            self.rest = data
            return self._keep_unfinished()
        self.rest = data[cut + len(end) :]
        return data[:cut].split(end)

    def _normalize_line_ends(self, data: bytes) -> bytes:
        data = self._half + data
        self._half = data[-1:] if data.endswith(b"\r") else b""
        return data.removesuffix(self._half).replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _keep_unfinished(self) -> list[bytes]:
        if self.pending > self._most:
            raise LineTooLong
        return []

    def close(self) -> list[bytes]:
        """Return the unfinished last line, if any."""
        rest = self.rest or bytes(self._long)
        self.rest = b""
        self._long.clear()
        return [rest] if rest else []


class EventSplitter(LineSplitter):
    """Splits server-sent events, which end with an empty line. Line ends are converted to newlines."""

    end = b"\n\n"
    folds = True

    def close(self) -> list[bytes]:
        if self._half:
            self._half = b""
            return [*super().feed(b"\n"), *super().close()]
        return super().close()


def event_data(event: bytes) -> bytes:
    """Return the data of an event in one line, without comments and other fields.

    Its lines are joined by a tab, which JSON accepts wherever it accepts a line end. A bare line of JSON is data, too.
    """
    name, _, data = event.partition(b"\n")  # as nearly all named events
    if data.startswith(b"data:") and b"\n" not in data and not name.startswith(b"data:"):
        return data[5:].strip()
    lines = [line[5:].lstrip(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\t".join(lines or [line for line in event.split(b"\n") if line.startswith(b"{")][:1]).strip()


def names_error(event: bytes) -> bool:
    """Return True if an event is named "error"."""
    return any(line[6:].strip() == b"error" for line in event.split(b"\n") if line.startswith(b"event:"))


# An incremental reader of server-sent events, whose input may be cut anywhere.
#
# It follows "event stream interpretation" of the WHATWG HTML standard, with two allowances for real servers: a stream
# without its last blank line still yields its last event, and a bare line of JSON (an error written without framing)
# counts as an event.


MAX_LINE = 32 << 20  # bytes; no legitimate event is longer
_BOM = b"\xef\xbb\xbf"


class SseEvent(Value, frozen=True):
    """One event. ``event`` is "" unless the server named it; the lines of ``data`` are joined by newlines."""

    data: str
    event: str = ""


class SseReader:
    """Reads server-sent events. Feed it bytes as they arrive; it returns the completed events."""

    def __init__(self) -> None:
        self._partial = bytearray()  # the unfinished line
        self._skip_newline = False  # the last chunk ended in CR, so a leading LF belongs to it
        self._at_start = True
        self._data: list[str] = []
        self._data_length = 0  # characters in self._data
        self._event = ""

    @property
    def pending(self) -> int:
        """The size of the unfinished event."""
        return len(self._partial) + self._data_length

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Return the events that the bytes complete. Raises LineTooLong."""
        found: list[SseEvent] = []
        if self._skip_newline and chunk:
            self._skip_newline = False
            chunk = chunk.removeprefix(b"\n")
        for piece in chunk.splitlines(keepends=True):
            self._partial += piece
            if len(self._partial) > MAX_LINE:
                raise LineTooLong
            if piece[-1:] in b"\r\n":
                self._end_line(found)
        self._skip_newline = self._skip_newline or chunk.endswith(b"\r")
        return found

    def close(self) -> list[SseEvent]:
        """Return the events that were waiting for a line end or a blank line."""
        found: list[SseEvent] = []
        if self._partial:
            self._end_line(found)
        self._dispatch(found)
        return found

    def _end_line(self, events: list[SseEvent]) -> None:
        raw = bytes(self._partial)
        self._partial.clear()
        if self._at_start:
            self._at_start = False
            raw = raw.removeprefix(_BOM)
        line = raw.rstrip(b"\r\n").decode("utf-8", "replace")
        if not line:
            self._dispatch(events)
        elif line.startswith("{"):
            events.append(SseEvent(data=line))
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                self._data.append(value)
                self._data_length += len(value)
            elif name == "event":
                self._event = value

    def _dispatch(self, events: list[SseEvent]) -> None:
        if self._data:
            events.append(SseEvent(data="\n".join(self._data), event=self._event))
        self._data, self._data_length = [], 0
        self._event = ""


# An incremental reader of newline-delimited JSON, whose input may be cut anywhere.


class NdjsonReader:
    """Reads newline-delimited JSON. Feed it bytes as they arrive; it returns the completed, non-blank lines."""

    def __init__(self) -> None:
        self._lines = LineSplitter(MAX_LINE)

    @property
    def pending(self) -> int:
        """The number of bytes of the unfinished line."""
        return self._lines.pending

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Return the lines that the bytes complete. Raises LineTooLong."""
        return _events(self._lines.feed(chunk))

    def close(self) -> list[SseEvent]:
        """Return the last line if it ended without a newline."""
        return _events(self._lines.close())


def _events(lines: list[bytes]) -> list[SseEvent]:
    found = (line.decode("utf-8", "replace").strip() for line in lines)
    return [SseEvent(data=line) for line in found if line]
