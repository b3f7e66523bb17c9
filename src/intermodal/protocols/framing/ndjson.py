"""An incremental reader of newline-delimited JSON: takes bytes cut anywhere, returns lines. The sibling of
``sse.py``."""

from __future__ import annotations

from intermodal.protocols.framing.sse import MAX_LINE, LineTooLong, SseEvent


class NdjsonReader:
    """Feed it bytes as they arrive; it returns the lines that they complete, without blank ones."""

    def __init__(self) -> None:
        self._partial = bytearray()  # the unfinished line

    @property
    def pending(self) -> int:
        """Return the bytes of the unfinished line."""
        return len(self._partial)

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Return the lines that the bytes complete. Raises LineTooLong."""
        *whole, rest = chunk.split(b"\n")
        found: list[SseEvent] = []
        for piece in whole:
            self._partial += piece
            self._end_line(found)
        self._partial += rest
        if len(self._partial) > MAX_LINE:
            raise LineTooLong
        return found

    def close(self) -> list[SseEvent]:
        """Return the last line, where it ended without a newline."""
        found: list[SseEvent] = []
        self._end_line(found)
        return found

    def _end_line(self, found: list[SseEvent]) -> None:
        line = self._partial.decode("utf-8", "replace").strip()
        self._partial.clear()
        if line:
            found.append(SseEvent(data=line))
