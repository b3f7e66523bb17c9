"""What the workers of one gateway know of each other: one file in memory, without a name, that all of them map.

It is gone with the last of them, however they end, and no part of it is ever on a disk where the system has files that
are only memory. Only what is written to takes any.

    places   where conversations were answered       rows by digest
    plans    for GET /v1/plans/ID                    rows by digest, in pieces
    items    that clients name by their id           the same
    counts   of each worker, for /metrics            two pages each, written in turn: one of them is always whole
"""

from __future__ import annotations

import mmap
import os
import struct
from zlib import crc32

from intermodal.gateway.workers.table import Long, Table

_PLACE, _PLACES = 512, 16_384  # bytes of a row, and rows
_PIECE, _PIECES = 16 << 10, 4_096  # of plans, and of items; most need one
_PAGE = 256 << 10
_HEAD = struct.Struct("<QII")  # number of the writing, bytes, checksum


def made(numbers: int) -> int:
    """The descriptor of a new one, for so many workers at once."""
    size = _PLACE * _PLACES + 2 * _PIECE * _PIECES + 2 * _PAGE * numbers
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("intermodal-workers")
    else:
        import tempfile

        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor


class Memory:
    """``descriptor``: of :func:`made`, for ``numbers`` workers."""

    def __init__(self, descriptor: int, numbers: int) -> None:
        self.numbers = numbers
        view = memoryview(mmap.mmap(descriptor, 0))
        plans = _PLACE * _PLACES
        items = plans + _PIECE * _PIECES
        counts = items + _PIECE * _PIECES
        self.places = Table(view[:plans], _PLACE)
        self.plans = Long(Table(view[plans:items], _PIECE))
        self.items = Long(Table(view[items:counts], _PIECE))
        self._counts = view[counts:]

    def write(self, number: int, data: bytes) -> bool:
        """Put it in the place of what this worker wrote before; False where it is too long."""
        if len(data) > _PAGE - _HEAD.size:
            return False
        newest = max(self._heads(number))
        at = self._page(number, (newest + 1) % 2)
        self._counts[at + _HEAD.size : at + _HEAD.size + len(data)] = data
        _HEAD.pack_into(self._counts, at, newest + 1, len(data), crc32(data))
        return True

    def read(self, number: int) -> bytes | None:
        """What a worker wrote last; None where none of that number ever did."""
        for newest in sorted(self._heads(number), reverse=True):
            at = self._page(number, newest % 2)
            _, size, expected = _HEAD.unpack_from(self._counts, at)
            data = bytes(self._counts[at + _HEAD.size : at + _HEAD.size + min(size, _PAGE)])
            if newest and crc32(data) == expected:
                return data
        return None

    def _heads(self, number: int) -> tuple[int, int]:
        first, second = (_HEAD.unpack_from(self._counts, self._page(number, half))[0] for half in (0, 1))
        return first, second

    def _page(self, number: int, half: int) -> int:
        return (2 * number + half) * _PAGE
