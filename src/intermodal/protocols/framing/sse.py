"""An incremental reader of server-sent events: bytes in, cut anywhere; events out.

Follows the "event stream interpretation" section of the WHATWG HTML standard, with two liberties that
real servers need: a stream that ends without its last blank line still yields its last event, and a
bare line of JSON (an error that a server wrote without framing it) counts as an event of its own.
"""

from __future__ import annotations

from intermodal.content import Value

MAX_LINE = 32 << 20  # bytes; no honest event is longer
_BOM = b"\xef\xbb\xbf"


class SseEvent(Value, frozen=True):
    """``event`` is "" unless the server named it; ``data`` has its lines joined by a newline."""

    data: str
    event: str = ""


class LineTooLong(ValueError):
    """The server sent a line longer than ``MAX_LINE``."""


class SseReader:
    """Feed it whatever arrived; it gives the events that became complete."""

    def __init__(self) -> None:
        self._partial = bytearray()  # the line that has not ended yet
        self._skip_newline = False  # the last chunk ended in CR: a leading LF belongs to it
        self._at_start = True
        self._data: list[str] = []
        self._said = 0  # characters of them
        self._event = ""

    @property
    def pending(self) -> int:
        """Bytes of an event whose end did not come yet."""
        return len(self._partial) + self._said

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Raises LineTooLong."""
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
        """The stream ended: whatever was waiting for its line end or blank line."""
        found: list[SseEvent] = []
        if self._partial:
            self._end_line(found)
        self._dispatch(found)
        return found

    def _end_line(self, found: list[SseEvent]) -> None:
        raw = bytes(self._partial)
        self._partial.clear()
        if self._at_start:
            self._at_start = False
            raw = raw.removeprefix(_BOM)
        line = raw.rstrip(b"\r\n").decode("utf-8", "replace")
        if not line:
            self._dispatch(found)
        elif line.startswith("{"):
            found.append(SseEvent(data=line))
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                self._data.append(value)
                self._said += len(value)
            elif name == "event":
                self._event = value

    def _dispatch(self, found: list[SseEvent]) -> None:
        if self._data:
            found.append(SseEvent(data="\n".join(self._data), event=self._event))
        self._data, self._said = [], 0
        self._event = ""
