"""An incremental reader of server-sent events: takes bytes cut anywhere, returns events.

It follows "event stream interpretation" of the WHATWG HTML standard, with two allowances that real servers need: a
stream without its last blank line still yields its last event, and a bare line of JSON (an error written without
framing) counts as an event.
"""

from __future__ import annotations

from intermodal.content import Value

MAX_LINE = 32 << 20  # bytes; no legitimate event is longer
_BOM = b"\xef\xbb\xbf"


class SseEvent(Value, frozen=True):
    """One event. ``event`` is "" unless the server named it; the lines of ``data`` are joined by newlines."""

    data: str
    event: str = ""


class LineTooLong(ValueError):
    """The server sent a line longer than ``MAX_LINE``."""


class SseReader:
    """Feed it bytes as they arrive; it returns the events that they complete."""

    def __init__(self) -> None:
        self._partial = bytearray()  # the unfinished line
        self._skip_newline = False  # the last chunk ended in CR, so a leading LF belongs to it
        self._at_start = True
        self._data: list[str] = []
        self._said = 0  # characters in self._data
        self._event = ""

    @property
    def pending(self) -> int:
        """Return the bytes of the unfinished event."""
        return len(self._partial) + self._said

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
