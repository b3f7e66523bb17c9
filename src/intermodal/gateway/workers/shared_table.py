"""A hash table in shared memory that several processes read and write without locks.

Rows have a fixed size and a place derived from their name. A row that two processes write at once, or whose writer was
killed midway, fails its checksum and counts as missing. So it is for data that may be missing.
"""

from __future__ import annotations

import struct
import time
from hashlib import sha256
from zlib import crc32

NAME = 32  # bytes of a name, which is a digest: its first bytes give the place
_HEAD = struct.Struct("<32sQII")  # name, when (ns, monotonic), bytes, checksum
_WAYS = 4  # places that a name may have; the oldest of them makes room
MAX_BYTES = 1 << 20  # bytes of an item that is kept in pieces


class SharedTable:
    """``view``: memory that is shared; ``row``: bytes of one row, its head of 48 bytes counted in.

    >>> table = SharedTable(memoryview(bytearray(4 * 128)), 128)
    >>> table.put(b"n" * 32, b"data"), table.put(b"m" * 32, b"x" * 81)
    (True, False)
    >>> table.get(b"n" * 32), table.get(b"m" * 32)
    (b'data', None)
    """

    def __init__(self, view: memoryview, row: int) -> None:
        self._view = view
        self._row = row
        self._sets = len(view) // (row * _WAYS)
        self.room = row - _HEAD.size  # bytes of data in a row

    def put(self, name: bytes, data: bytes) -> bool:
        """Store data, replacing the oldest row if there is no room; return False if it is too long for a row."""
        if len(data) > self.room:
            return False
        view, oldest, at = self._view, 1 << 64, 0
        for place in self._places(name):
            known, when, _, _ = _HEAD.unpack_from(view, place)
            if known == name:
                at = place
                break
            if when < oldest:
                oldest, at = when, place
        _HEAD.pack_into(view, at, name, time.monotonic_ns(), len(data), _sum(name, data))
        view[at + _HEAD.size : at + _HEAD.size + len(data)] = data
        return True

    def get(self, name: bytes) -> bytes | None:
        """Return the data stored last under this name, if it is still there and whole."""
        view = self._view
        for place in self._places(name):
            if view[place : place + NAME] == name:
                _, _, size, expected = _HEAD.unpack_from(view, place)
                data = bytes(view[place + _HEAD.size : place + min(_HEAD.size + size, self._row)])
                return data if _sum(name, data) == expected else None
        return None

    def _places(self, name: bytes) -> range:
        first = int.from_bytes(name[:8], "little") % self._sets * _WAYS * self._row
        return range(first, first + _WAYS * self._row, self._row)


class ChunkedSharedTable:
    """A table whose data may be longer than a row: stored in chunks, each with size and checksum of all."""

    _HEAD = struct.Struct("<II")  # bytes, checksum

    def __init__(self, table: SharedTable) -> None:
        self._table = table
        self._piece = table.room - self._HEAD.size

    def put(self, name: bytes, data: bytes) -> bool:
        """Store data; return False if it is too long to be shared."""
        if len(data) > MAX_BYTES:
            return False
        head = self._HEAD.pack(len(data), crc32(data))
        for number, start in enumerate(range(0, max(len(data), 1), self._piece)):
            self._table.put(_part(name, number), head + data[start : start + self._piece])
        return True

    def get(self, name: bytes) -> bytes | None:
        """Return the data stored last under this name, if all of it is still there."""
        found = self._table.get(name)
        if found is None:
            return None
        head = found[: self._HEAD.size]
        size, expected = self._HEAD.unpack(head)
        pieces = [found]
        for number in range(1, -(-size // self._piece)):
            piece = self._table.get(_part(name, number))
            if piece is None or not piece.startswith(head):
                return None
            pieces.append(piece)
        data = b"".join(piece[self._HEAD.size :] for piece in pieces)
        return data if crc32(data) == expected else None


def row_key(*words: str) -> bytes:
    """Return the name of a row for these words."""
    return sha256("\0".join(words).encode("utf-8", "replace")).digest()


def _part(name: bytes, number: int) -> bytes:
    return sha256(name + number.to_bytes(4, "little")).digest() if number else name


def _sum(name: bytes, data: bytes) -> int:
    return crc32(data, crc32(name))
