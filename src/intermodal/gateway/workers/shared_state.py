"""State that the workers of one gateway share: one unnamed file in memory, mapped by all of them.

It disappears with the last worker, however they end, and is never on a disk if the system has memory files. Only pages
that are written take memory.

    places   routes of conversations                 rows by digest
    plans    for GET /v1/plans/ID                    rows by digest, in chunks
    items    that clients refer to by id             rows by digest, in chunks
    counts   of each worker, for /metrics            two pages each, written in turn: one is always complete
    beats    of each worker's event loop             a number each, read by the parent (``heartbeat.py``)
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from hashlib import sha256
from zlib import crc32

from intermodal.gateway.workers.heartbeat import Heartbeats

# A hash table in shared memory that several processes read and write without locks.
#
# Rows have a fixed size and a position derived from their name. A row that two processes write at once, or whose writer
# was killed midway, fails its checksum and counts as missing. So the table is only for data that may be missing.


NAME = 32  # bytes of a name, which is a digest: its first bytes give the place
_HEAD = struct.Struct("<32sQII")  # name, when (ns, monotonic), bytes, checksum
_WAYS = 4  # rows that a name may be stored in; the oldest of them is replaced
MAX_BYTES = 1 << 20  # bytes of the largest item stored in chunks


class SharedTable:
    """A table of fixed-size rows. ``view``: shared memory; ``row``: bytes of one row, including its header of 48 bytes.

    >>> table = SharedTable(memoryview(bytearray(4 * 128)), 128)
    >>> table.store(b"n" * 32, b"data"), table.store(b"m" * 32, b"x" * 81)
    (True, False)
    >>> table.get(b"n" * 32), table.get(b"m" * 32)
    (b'data', None)
    """

    def __init__(self, view: memoryview, row: int) -> None:
        self._view = view
        self._row = row
        self._sets = len(view) // (row * _WAYS)
        self.room = row - _HEAD.size  # bytes of data in a row

    def store(self, name: bytes, data: bytes) -> bool:
        """Store data, replacing the oldest row if there is no room; return False if it is too long for a row."""
        if len(data) > self.room:
            return False
        view, oldest, at = self._view, 1 << 64, 0
        for place in self._row_offsets(name):
            known, when, _, _ = _HEAD.unpack_from(view, place)
            if known == name:
                at = place
                break
            if when < oldest:
                oldest, at = when, place
        _HEAD.pack_into(view, at, name, time.monotonic_ns(), len(data), _checksum(name, data))
        view[at + _HEAD.size : at + _HEAD.size + len(data)] = data
        return True

    def get(self, name: bytes) -> bytes | None:
        """Return the data stored last under this name, if it is still there and whole."""
        view = self._view
        for place in self._row_offsets(name):
            if view[place : place + NAME] == name:
                _, _, size, expected = _HEAD.unpack_from(view, place)
                data = bytes(view[place + _HEAD.size : place + min(_HEAD.size + size, self._row)])
                return data if _checksum(name, data) == expected else None
        return None

    def _row_offsets(self, name: bytes) -> range:
        first = int.from_bytes(name[:8], "little") % self._sets * _WAYS * self._row
        return range(first, first + _WAYS * self._row, self._row)


class ChunkedSharedTable:
    """A table whose data may be longer than a row: it is stored in chunks, each with the size and checksum of the
    whole.
    """

    _HEAD = struct.Struct("<II")  # bytes, checksum

    def __init__(self, table: SharedTable) -> None:
        self._table = table
        self._piece = table.room - self._HEAD.size

    def store(self, name: bytes, data: bytes) -> bool:
        """Store data; return False if it is too long to be shared."""
        if len(data) > MAX_BYTES:
            return False
        head = self._HEAD.pack(len(data), crc32(data))
        for number, start in enumerate(range(0, max(len(data), 1), self._piece)):
            self._table.store(_part_name(name, number), head + data[start : start + self._piece])
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
            piece = self._table.get(_part_name(name, number))
            if piece is None or not piece.startswith(head):
                return None
            pieces.append(piece)
        data = b"".join(piece[self._HEAD.size :] for piece in pieces)
        return data if crc32(data) == expected else None


def row_key(*words: str) -> bytes:
    """Return the name of a row for these words."""
    return sha256("\0".join(words).encode("utf-8", "replace")).digest()


def _part_name(name: bytes, number: int) -> bytes:
    return sha256(name + number.to_bytes(4, "little")).digest() if number else name


def _checksum(name: bytes, data: bytes) -> int:
    return crc32(data, crc32(name))


_PLACE, CONVERSATIONS = 512, 16_384  # bytes of a row, and rows
_PIECE, PLANS, ITEMS = 8 << 10, 1_024, 2_048  # bytes of a piece, and pieces of plans and of items; most need one
SHARED_BYTES = _PLACE * CONVERSATIONS + _PIECE * (PLANS + ITEMS)  # bytes once fully written
_PAGE = 256 << 10
_STATE_HEAD = struct.Struct("<QII")  # number of the writing, bytes, checksum
_LOOKS = 8  # reads attempted while both pages are being written


def create_shared_memory(numbers: int) -> int:
    """Return the descriptor of new shared memory for ``numbers`` concurrent workers."""
    size = _heartbeats_offset(numbers) + Heartbeats.size(numbers)
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("intermodal-workers")
    else:
        import tempfile

        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor


def map_heartbeats(descriptor: int, numbers: int) -> Heartbeats:
    """Map only the heartbeats: the parent reads nothing else."""
    at = _heartbeats_offset(numbers)
    assert at % mmap.ALLOCATIONGRANULARITY == 0
    return Heartbeats(memoryview(mmap.mmap(descriptor, Heartbeats.size(numbers), offset=at)))


def _heartbeats_offset(numbers: int) -> int:
    return SHARED_BYTES + 2 * _PAGE * numbers


class SharedState:
    """The shared memory behind ``descriptor`` (see :func:`create_shared_memory`), for ``numbers`` workers."""

    def __init__(self, descriptor: int, numbers: int) -> None:
        self.numbers = numbers
        view = memoryview(mmap.mmap(descriptor, 0))
        plans = _PLACE * CONVERSATIONS
        items = plans + _PIECE * PLANS
        counts = items + _PIECE * ITEMS
        self.places = SharedTable(view[:plans], _PLACE)
        self.plans = ChunkedSharedTable(SharedTable(view[plans:items], _PIECE))
        self.items = ChunkedSharedTable(SharedTable(view[items:counts], _PIECE))
        self._counts = view[counts : _heartbeats_offset(numbers)]
        self.beats = Heartbeats(view[_heartbeats_offset(numbers) :])

    def write(self, number: int, data: bytes) -> bool:
        """Replace the published data of worker ``number``; return False if it is too long."""
        if len(data) > _PAGE - _STATE_HEAD.size:
            return False
        sequence, _ = self._newest_page(number)
        at = self._page(number, (sequence + 1) % 2)
        self._counts[at + _STATE_HEAD.size : at + _STATE_HEAD.size + len(data)] = data
        _STATE_HEAD.pack_into(self._counts, at, sequence + 1, len(data), _state_sum(sequence + 1, data))
        return True

    def read(self, number: int) -> bytes | None:
        """Return the data that a worker last published; None if no worker of this number ever did."""
        for _ in range(_LOOKS):
            sequence, data = self._newest_page(number)
            if sequence:
                return data
        return None

    def _newest_page(self, number: int) -> tuple[int, bytes]:
        """Return the sequence number and content of the newest complete page; 0 and b"" if there is none."""
        newest = 0, b""
        for half in (0, 1):
            at = self._page(number, half)
            sequence, size, expected = _STATE_HEAD.unpack_from(self._counts, at)
            if sequence > newest[0]:
                data = bytes(self._counts[at + _STATE_HEAD.size : at + min(_STATE_HEAD.size + size, _PAGE)])
                if _state_sum(sequence, data) == expected:
                    newest = sequence, data
        return newest

    def _page(self, number: int, half: int) -> int:
        return (2 * number + half) * _PAGE


def _state_sum(sequence: int, data: bytes) -> int:
    """Return the checksum of a page, including its sequence number: the head is not written atomically either."""
    return crc32(data, crc32(sequence.to_bytes(8, "little")))
