"""Sizes that the chunks of a body announce (RFC 9112, section 7.1), read ahead of the bytes that follow them.

The HTTP parser reports the bytes of a chunk as they arrive and not how many were announced, so a body that is larger
than allowed would be refused only once it has arrived.
"""

from __future__ import annotations

_DIGITS = 16  # of a size that a 64-bit parser takes
_CRLF = 2


class ChunkSizes:
    """The chunk sizes of one body. The parser judges whether the framing is valid; what this cannot read it ignores."""

    def __init__(self) -> None:
        self._announced = 0
        self._skip = 0  # bytes before the next line: the data of a chunk and its line end
        self._line = b""  # the start of a line that is split between two reads
        self._size = -1  # that the line announces; -1 while it is not read
        self._over = False

    def feed(self, data: bytes, start: int = 0) -> int:
        """Return how many bytes all chunks have announced so far, those in ``data`` from ``start`` included."""
        while not self._over and start < len(data):
            if self._skip:
                step = min(self._skip, len(data) - start)
                self._skip -= step
                start += step
                continue
            end = data.find(b"\n", start)
            if self._size < 0:
                self._line += data[start : min(start + _DIGITS + _CRLF, len(data) if end < 0 else end + 1)]
                if end >= 0 or len(self._line) > _DIGITS:  # an extension may follow, of any length
                    self._announce(self._line)
            if end < 0:
                break
            self._skip, self._size, self._line = self._size + _CRLF, -1, b""
            start = end + 1
        return self._announced

    def _announce(self, line: bytes) -> None:
        try:
            self._size = int(line.partition(b";")[0].strip(), 16)
        except ValueError:
            self._size = 0
        self._announced += self._size
        self._over = self._size == 0
