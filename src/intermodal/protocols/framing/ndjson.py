"""An incremental reader of newline-delimited JSON: bytes in, cut anywhere; lines out. The sibling of ``sse.py``."""

from __future__ import annotations

from intermodal.protocols.framing.sse import MAX_LINE, LineTooLong, SseEvent


class NdjsonReader:
    """Feed it whatever arrived; it gives the lines that became complete, blank ones left out."""

    def __init__(self) -> None:
        self._partial = bytearray()  # the line that has not ended yet

    @property
    def pending(self) -> int:
        """Bytes of a line whose end did not come yet."""
        return len(self._partial)

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Raises LineTooLong."""
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
        """The stream ended: the line that was waiting for its end."""
        found: list[SseEvent] = []
        self._end_line(found)
        return found

    def _end_line(self, found: list[SseEvent]) -> None:
        line = self._partial.decode("utf-8", "replace").strip()
        self._partial.clear()
        if line:
            found.append(SseEvent(data=line))
