"""Cut a stream into lines or events as they came: bytes that go through are not decoded.

``sse.py`` and ``ndjson.py`` read what they say.
"""

from __future__ import annotations

MAX_PIECE = 8 << 20  # bytes of a line or event that goes through
_LONG = 64 << 10  # bytes of one that is neither copied nor searched again with each read


class PieceTooLong(ValueError):
    """The server sent a line or an event longer than a stream may have."""


class LineSplitter:
    """Feed it bytes as they arrive; it returns the lines that they complete, without their ends."""

    end = b"\n"
    folds = False  # a carriage return ends a line, too
    _half = b""  # one at the very end, which may be half of a line's end

    def __init__(self, most: int = MAX_PIECE) -> None:
        self.rest = b""  # of a line, its beginning
        self._long = bytearray()  # the same of a long one
        self._most = most

    @property
    def pending(self) -> int:
        """Return the bytes of the unfinished line."""
        return len(self.rest) + len(self._long)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that the bytes complete. Raises PieceTooLong where they complete none of one that is."""
        end = self.end
        if self.folds and (self._half or b"\r" in data):
            data = self._folded(data)
        if not self.rest and not self._long and data.endswith(end):  # as nearly all reads
            return data[: -len(end)].split(end)
        if len(self.rest) > _LONG or self._long:
            self._long += self.rest + data
            self.rest = b""
            if end not in self._long[-len(data) - len(end) + 1 :]:
                return self._none()
            data = bytes(self._long)
            self._long.clear()
        elif self.rest:
            data = self.rest + data
        cut = data.rfind(end)
        if cut < 0:
            self.rest = data
            return self._none()
        self.rest = data[cut + len(end) :]
        return data[:cut].split(end)

    def _folded(self, data: bytes) -> bytes:
        data = self._half + data
        self._half = data[-1:] if data.endswith(b"\r") else b""
        return data.removesuffix(self._half).replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _none(self) -> list[bytes]:
        if self.pending > self._most:
            raise PieceTooLong
        return []

    def close(self) -> list[bytes]:
        """Return what had no end."""
        rest = self.rest or bytes(self._long)
        self.rest = b""
        self._long.clear()
        return [rest] if rest else []


class EventSplitter(LineSplitter):
    """The same of server-sent events, which end in an empty line. Ends of lines become newlines."""

    end = b"\n\n"
    folds = True

    def close(self) -> list[bytes]:
        if self._half:
            self._half = b""
            return [*super().feed(b"\n"), *super().close()]
        return super().close()


def event_data(event: bytes) -> bytes:
    """Return the data of an event that is not one line of it: comments and other fields are left out.

    Its lines are joined by a tab, which JSON takes where it takes the end of a line, so that it can be sent in one.
    """
    name, _, data = event.partition(b"\n")  # as nearly all that have a name
    if data.startswith(b"data:") and b"\n" not in data and not name.startswith(b"data:"):
        return data[5:].strip()
    lines = [line[5:].lstrip(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\t".join(lines).strip()
