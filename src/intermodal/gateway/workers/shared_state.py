"""State that the workers of one gateway share: one file in memory, without a name, mapped by all of them.

It disappears with the last of them, however they end, and is never on a disk where the system has memory files. Only
pages that are written take memory.

    places   routes of conversations                 rows by digest
    plans    for GET /v1/plans/ID                    rows by digest, in chunks
    items    that clients refer to by id             the same
    counts   of each worker, for /metrics            two pages each, written in turn: one of them is always whole
    beats    of each worker's event loop             a number each, that the parent reads (``heartbeat.py``)
"""

from __future__ import annotations

import mmap
import os
import struct
from zlib import crc32

from intermodal.gateway.workers.heartbeat import Heartbeats
from intermodal.gateway.workers.shared_table import ChunkedSharedTable, SharedTable

_PLACE, CONVERSATIONS = 512, 16_384  # bytes of a row, and rows
_PIECE, PLANS, ITEMS = 8 << 10, 1_024, 2_048  # bytes of a piece, and pieces of plans and of items; most need one
SHARED_BYTES = _PLACE * CONVERSATIONS + _PIECE * (PLANS + ITEMS)  # bytes once fully written
_PAGE = 256 << 10
_HEAD = struct.Struct("<QII")  # number of the writing, bytes, checksum
_LOOKS = 8  # at pages both of which were written to meanwhile


def create_shared_memory(numbers: int) -> int:
    """Return the descriptor of new shared memory for so many workers at once."""
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
    """Map the heartbeats alone, which is all that the parent reads."""
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
        """Replace what this worker published; return False if it is too long."""
        if len(data) > _PAGE - _HEAD.size:
            return False
        written, _ = self._last(number)
        at = self._page(number, (written + 1) % 2)
        self._counts[at + _HEAD.size : at + _HEAD.size + len(data)] = data
        _HEAD.pack_into(self._counts, at, written + 1, len(data), _sum(written + 1, data))
        return True

    def read(self, number: int) -> bytes | None:
        """Return what a worker published last; None if no worker of that number ever did."""
        for _ in range(_LOOKS):
            written, data = self._last(number)
            if written:
                return data
        return None

    def _last(self, number: int) -> tuple[int, bytes]:
        """Return the newest whole page and its sequence number; 0 if there is none."""
        newest = 0, b""
        for half in (0, 1):
            at = self._page(number, half)
            written, size, expected = _HEAD.unpack_from(self._counts, at)
            if written > newest[0]:
                data = bytes(self._counts[at + _HEAD.size : at + min(_HEAD.size + size, _PAGE)])
                if _sum(written, data) == expected:
                    newest = written, data
        return newest

    def _page(self, number: int, half: int) -> int:
        return (2 * number + half) * _PAGE


def _sum(written: int, data: bytes) -> int:
    """Of the head, too: it is not written at once either, and nothing is a checksum of nothing."""
    return crc32(data, crc32(written.to_bytes(8, "little")))
