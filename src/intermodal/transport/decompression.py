"""Decompresses replies that are compressed although the request asked for none: as they arrive, with a size limit."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping

PIECE = 64 << 10  # bytes that are unpacked at once
MOST = 16 << 20  # bytes to which one piece may unpack; text and JSON shrink to a tenth


class DecompressionError(Exception):
    """The body cannot be unpacked; the text states why, as an error of the host."""


class Decompressor:
    """One reply. ``name``: its content-encoding."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._with: zlib._Decompress | None = None  # made when the first byte is there

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the unpacked data, piece by piece. Raises DecompressionError."""
        if not data:
            return
        if self._with is None:
            self._with = self._made(data[0])
        room = MOST
        more = True  # the output may exceed a piece although all input was consumed
        while (data or more) and not self._with.eof:
            try:
                piece = self._with.decompress(data, PIECE)
            except zlib.error:
                raise DecompressionError("sent a reply whose compression is broken") from None
            room -= len(piece)
            if room < 0:
                raise DecompressionError("sent a reply that is far larger than it came")
            if piece:
                yield piece
            data, more = self._with.unconsumed_tail, len(piece) == PIECE

    def _made(self, first: int) -> zlib._Decompress:
        if self._name in ("gzip", "x-gzip"):
            return zlib.decompressobj(zlib.MAX_WBITS | 16)
        if self._name == "deflate":  # some send it without the head that belongs to it, which begins so
            return zlib.decompressobj(zlib.MAX_WBITS if first & 15 == 8 else -zlib.MAX_WBITS)
        named = f" ({self._name})" if re.fullmatch(r"[\w-]{1,20}", self._name) else ""
        raise DecompressionError(f"compresses its replies in a way that cannot be read{named}")


def decompressor_for(headers: Mapping[str, str]) -> Decompressor | None:
    """For a reply with these headers (by lower-case names); None where it comes as it is."""
    name = headers.get("content-encoding", "").strip().lower()
    return Decompressor(name) if name not in ("", "identity") else None
