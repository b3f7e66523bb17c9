"""The write-ahead journal of a worker's leases: a memory-mapped file that outlives the process.

Writing a number takes 50 ns and no system call, and the number survives ``kill -9``. When two numbers change, the one
that raises the charge is written first, so the journal never understates it. After a power loss the file is not read,
and the whole lease counts as spent (``sqlite_store.py``).
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from intermodal.errors import StoreError
from intermodal.files.atomic_file import display_path

SLOTS = 4096  # accounts in use at once; a lease without a slot is charged in full if the process is killed
_BYTES = 24  # bytes per slot: spent, at risk, unknown


class LeaseJournal:
    """Slots of three numbers, starting at ``numbers[3 * slot]``.

    They are the amount spent since the lease began, the amount that open requests may have cost so far, and the part of
    the first that is an upper bound.

    Raises StoreError if the file cannot be created. Its space is allocated at the start: if the disk were full when a
    number is written to the mapped memory, the process would be killed.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        if path is None:
            self._map: mmap.mmap | None = None
            self.numbers = memoryview(bytearray(SLOTS * _BYTES)).cast("q")
        else:
            try:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o600)
                try:
                    _preallocate(file, SLOTS * _BYTES)
                    self._map = mmap.mmap(file, SLOTS * _BYTES)
                finally:
                    os.close(file)
            except OSError as error:
                raise StoreError(
                    f"cannot be made ({error.strerror or type(error).__name__})", where=display_path(path),
                    todo="free some space, or make its folder writable",
                ) from None  # fmt: skip
            self.numbers = memoryview(self._map).cast("q")
        self._free = list(range(SLOTS - 1, -1, -1))

    def slot(self) -> int:
        """Return a zeroed slot; -1 if all are taken."""
        return self._free.pop() if self._free else -1

    def free_slot(self, slot: int) -> None:
        """Free the slot of a lease that ended."""
        if slot >= 0:
            self.numbers[3 * slot] = self.numbers[3 * slot + 1] = self.numbers[3 * slot + 2] = 0
            self._free.append(slot)

    def close(self) -> None:
        self.numbers.release()
        if self._map is not None:
            self._map.close()

    def remove(self) -> None:
        self.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def read_journal(path: Path) -> memoryview | None:
    """Return the numbers of a worker that ended; None if there is no complete journal."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return memoryview(data).cast("q") if len(data) == SLOTS * _BYTES else None


def _preallocate(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:  # macOS: writing the bytes allocates the space as well
        os.write(file, bytes(size))
