"""An incremental reader of newline-delimited JSON: takes bytes cut anywhere, returns lines. The sibling of
``sse.py``."""

from __future__ import annotations

from intermodal.protocols.framing.splitter import LineSplitter, PieceTooLong
from intermodal.protocols.framing.sse import MAX_LINE, LineTooLong, SseEvent


class NdjsonReader:
    """Feed it bytes as they arrive; it returns the lines that they complete, without blank ones."""

    def __init__(self) -> None:
        self._lines = LineSplitter(MAX_LINE)

    @property
    def pending(self) -> int:
        """Return the bytes of the unfinished line."""
        return self._lines.pending

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Return the lines that the bytes complete. Raises LineTooLong."""
        try:
            return _events(self._lines.feed(chunk))
        except PieceTooLong:
            raise LineTooLong from None

    def close(self) -> list[SseEvent]:
        """Return the last line, where it ended without a newline."""
        return _events(self._lines.close())


def _events(lines: list[bytes]) -> list[SseEvent]:
    found = (line.decode("utf-8", "replace").strip() for line in lines)
    return [SseEvent(data=line) for line in found if line]
