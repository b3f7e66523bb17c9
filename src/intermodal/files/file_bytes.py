"""The bytes of a file on disk, read in place: only requested ranges are in memory.

The file is held by its descriptor, which ``media/fetch.py`` opened and checked. It stays the same file even if another
file takes its name, and can be passed to a worker process (``concurrency/worker_process.py``) without copying it
through a pipe. Writes to it are detected by its size and modification time.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO, Self, SupportsIndex, overload

from intermodal.errors import InputBroken

if TYPE_CHECKING:
    from typing_extensions import Buffer

PIECE = 1 << 20  # bytes in memory where all of a file is gone through
_WINDOW = 1 << 16  # bytes read ahead for readers of headers, which ask for a few at a time


class FileBytes:
    """A regular file with the interface of ``bytes``: length, index, slice, ``find``, ``rfind`` and ``startswith``.

    If the file was truncated after it was opened, reads are short, as at its end. Reading moves no shared position.
    """

    __slots__ = ("_descriptor", "_state", "_window")

    def __init__(self, descriptor: int) -> None:
        """Take ownership of ``descriptor``, which refers to a regular file opened for reading."""
        self._descriptor = descriptor
        self._window: tuple[int, bytes] = (0, b"")
        self._state = self._looked()

    def _looked(self) -> tuple[int, int]:
        found = os.fstat(self._descriptor)
        return found.st_size, found.st_mtime_ns

    def fileno(self) -> int:
        return self._descriptor

    def __len__(self) -> int:
        return self._state[0]

    def __repr__(self) -> str:
        return f"FileBytes({len(self):,} bytes)"

    def check(self, name: str) -> None:
        """Raise InputBroken if the file was written to since it was opened: reads may mix old and new bytes."""
        if self._looked() != self._state:
            raise InputBroken(
                "was written to while it was read", where=name, todo="ask again when it is complete, or pass a copy"
            )

    # ---- as bytes ------------------------------------------------------------------------------

    @overload
    def __getitem__(self, place: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> bytes: ...
    def __getitem__(self, place: SupportsIndex | slice) -> int | bytes:
        if isinstance(place, slice):
            start, stop, step = place.indices(len(self))
            if step != 1:
                raise ValueError("bytes of a file are read in one direction, without gaps")
            return self._read_ahead(start, max(0, stop - start))
        index = place.__index__()
        found = self._read_ahead(index + len(self) if index < 0 else index, 1)
        if not found:
            raise IndexError("there is no such byte")
        return found[0]

    def startswith(self, prefix: bytes | tuple[bytes, ...], start: int = 0) -> bool:
        prefixes = prefix if isinstance(prefix, tuple) else (prefix,)
        return any(self._read_ahead(start, len(each)) == each for each in prefixes)

    def __contains__(self, pattern: bytes) -> bool:
        return self.find(pattern) >= 0

    def find(self, pattern: bytes, start: int = 0, end: int = sys.maxsize) -> int:
        """Return the first position of ``pattern`` between ``start`` and ``end``, -1 if there is none."""
        end = min(end, len(self))
        for offset in range(start, end, PIECE):
            found = self._read_ahead(offset, min(PIECE + len(pattern) - 1, end - offset)).find(pattern)
            if found >= 0:
                return offset + found
        return -1

    def rfind(self, pattern: bytes) -> int:
        """Return the last position of ``pattern``, -1 if there is none."""
        for offset in reversed(range(0, len(self), PIECE)):
            found = self._read_ahead(offset, PIECE + len(pattern) - 1).rfind(pattern)
            if found >= 0:
                return offset + found
        return -1

    def read_all(self, name: str) -> bytes:
        """Return all bytes, in memory. Raises InputBroken like ``check``."""
        found = self._read_ahead(0, len(self))
        self.check(name)
        return found

    def _read_ahead(self, start: int, size: int) -> bytes:
        """Read like ``read``, but read ahead if only a few bytes are requested."""
        first, buffer = self._window
        if first <= start and start + size <= first + len(buffer):
            return buffer[start - first : start - first + size]
        if size > _WINDOW // 2:
            return self.read(start, size)
        self._window = start, self.read(start, _WINDOW)
        return self._window[1][:size]

    def read(self, start: int, size: int) -> bytes:
        """Return ``size`` bytes from ``start`` on, fewer at the end of the file."""
        size = min(size, len(self) - start)
        found: list[bytes] = []
        while size > 0 and start >= 0:
            piece = os.pread(self._descriptor, size, start)  # 2 GiB at most
            if not piece:
                break
            found.append(piece)
            start, size = start + len(piece), size - len(piece)
        return found[0] if len(found) == 1 else b"".join(found)

    # ---- as a file -----------------------------------------------------------------------------

    def reader(self) -> BinaryIO:
        """Return a file object with its own position. Closing it leaves this object open."""
        return io.BufferedReader(_Reader(self), _WINDOW)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


Data = bytes | FileBytes  # the content of a file: in memory, or by reference


class Spool:
    """Collects bytes that arrive in pieces: in memory, or in an unnamed file if there are more than ``most``.

    The system deletes such a file with its last descriptor, however the process ends.
    """

    def __init__(self, most: int) -> None:
        self._file = tempfile.SpooledTemporaryFile(most)  # noqa: SIM115 - closed at the end of ``with``
        self._most = most
        self.size = 0

    def add(self, piece: bytes) -> None:
        """Add bytes. Raises OSError if the disk is full."""
        self.size += len(piece)
        self._file.write(piece)

    def zero_ranges(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Overwrite byte ranges (first, end) with zeros, as far as they lie within the added bytes."""
        for first, end in ranges:
            end = min(end, self.size)
            for offset in range(max(0, first), end, PIECE):
                self._file.seek(offset)
                self._file.write(bytes(min(PIECE, end - offset)))
        self._file.seek(0, io.SEEK_END)

    def to_bytes(self) -> Data:
        """Return all added bytes; they outlive the spool."""
        if self.size > self._most:
            self._file.flush()
            return FileBytes(os.dup(self._file.fileno()))
        self._file.seek(0)
        return self._file.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def read_whole(data: Data, name: str) -> bytes:
    """Return ``data`` in memory. Raises InputBroken for a file that was written to since it was opened."""
    return data.read_all(name) if isinstance(data, FileBytes) else data


def open_reader(data: Data) -> BinaryIO:
    """Return a file object over ``data``."""
    return data.reader() if isinstance(data, FileBytes) else io.BytesIO(data)


def memory_size(data: Data) -> int:
    """Return the number of bytes of ``data`` that are in memory while it is held."""
    return 0 if isinstance(data, FileBytes) else len(data)


class _Reader(io.RawIOBase):
    """A reader with its own position: a descriptor that two processes share has only one position."""

    def __init__(self, file: FileBytes) -> None:
        self._file, self._place = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: len(self._file)}[whence]
        if begin + offset < 0:
            raise ValueError("there is nothing before the beginning of a file")
        self._place = begin + offset
        return self._place

    def readinto(self, buffer: Buffer) -> int:
        room = memoryview(buffer).cast("B")
        found = self._file.read(self._place, len(room))
        room[: len(found)] = found
        self._place += len(found)
        return len(found)
