"""The write-ahead journal of open attempts without a row, in a memory-mapped file that outlives the process.

Writing a row to disk before anything is sent costs a millisecond. In direct mode, with thousands of calls per second,
an attempt is recorded here instead, which takes a microsecond. After ``kill -9`` the mapped file is as good as a row:
the next process that opens the store writes the row, at its upper bound. After a power failure the journal is not
reliable.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from intermodal.errors import StoreError
from intermodal.files.atomic_file import display_path
from intermodal.store.process_identity import is_dead
from intermodal.store.rows import Reservation, RunRow

SLOTS = 8192
TEMPLATES = 2048  # at this many, all templates are discarded as soon as no attempt is open
# Seconds since the epoch, ids of attempt and run, number of the template + 1 (0: free). The number is written last, so
# a process killed while writing leaves a free slot.
_SLOT = struct.Struct("=d16s16sQ")
_NUMBER = _SLOT.size - 8  # where in a slot it stands


class AttemptTemplate(msgspec.Struct, frozen=True):
    """The part of a row that attempts of one kind share: everything but ids and times."""

    run: RunRow
    attempt: Reservation


class OpenAttempt(NamedTuple):
    """A journaled attempt without a row."""

    sort: AttemptTemplate
    attempt: str
    run: str
    started: float


class AttemptJournal:
    """The journal of one process in ``folder``. Raises OSError if it cannot be created."""

    def __init__(self, folder: Path, process: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = process.replace("/", "_")
        self._path = folder / f"{name}.slate"
        self._sorts = (folder / f"{name}.sorts").open("ab", buffering=0)
        file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600)
        try:
            # Allocate all space at once: with a full disk, writing to a slot would kill the process.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file, 0, SLOTS * _SLOT.size)
            else:
                os.write(file, bytes(SLOTS * _SLOT.size))
            self._map = mmap.mmap(file, SLOTS * _SLOT.size)
        finally:
            os.close(file)
        (folder / f"{name}.process").write_text(process)
        self._free = list(range(SLOTS - 1, -1, -1))
        self._numbers: dict[bytes, int] = {}  # by digests
        self.since = 0  # number of times the templates were discarded: template numbers are valid for one generation

    def add(self, sort: AttemptTemplate) -> int:
        """Store a template; return its number. Raises OSError if it cannot be written."""
        if len(self._numbers) >= TEMPLATES and self.empty:  # no journaled attempt refers to a template
            self._sorts.truncate(0)
            self._numbers.clear()
            self.since += 1
        data = msgspec.msgpack.encode(sort)
        name = hashlib.blake2b(data, digest_size=16).digest()
        if name not in self._numbers:
            whole, end = len(data).to_bytes(4, "big") + data, self._sorts.seek(0, os.SEEK_END)
            if self._sorts.write(whole) != len(whole):  # a full disk may accept only a part
                self._sorts.truncate(end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._numbers[name] = len(self._numbers)
        return self._numbers[name]

    def note(self, sort: int, attempt: bytes, run: bytes, started: float) -> int:
        """Write an attempt to a slot and return the slot; -1 if all are taken, in which case nothing may be sent."""
        if not self._free:
            return -1
        slot = self._free.pop()
        _SLOT.pack_into(self._map, slot * _SLOT.size, started, attempt, run, sort + 1)
        return slot

    def free_slot(self, slot: int) -> None:
        """Free the slot of an attempt whose row is written."""
        place = slot * _SLOT.size + _NUMBER
        self._map[place : place + 8] = bytes(8)
        self._free.append(slot)

    @property
    def empty(self) -> bool:
        """Whether every attempt has a row."""
        return len(self._free) == SLOTS

    def close(self) -> None:
        """Close the journal. Attempts without a row are left for the next process that opens the store."""
        self._map.close()
        self._sorts.close()
        if self.empty:
            remove_journal(self._path)


def orphaned_attempts(folder: Path) -> Iterator[tuple[Path, list[OpenAttempt]]]:
    """Yield the journals of dead processes with their open attempts.

    Call ``remove_journal`` for each once its rows are written.
    """
    found: list[Path] = []
    with suppress(OSError):  # no descriptor left: the next process that opens the store finds them
        found = sorted(folder.glob("*.process"))
    for journal in found:
        with suppress(OSError):
            if is_dead(journal.read_text()):
                yield journal.with_suffix(".slate"), _read_open_attempts(journal)


def _read_open_attempts(journal: Path) -> list[OpenAttempt]:
    sorts = list(_read_templates(journal.with_suffix(".sorts").read_bytes()))
    data = journal.with_suffix(".slate").read_bytes()
    whole = len(data) // _SLOT.size * _SLOT.size
    return [
        OpenAttempt(sorts[number - 1], uuid_of(attempt), run.hex(), started)
        for started, attempt, run, number in _SLOT.iter_unpack(data[:whole])
        if 0 < number <= len(sorts)
    ]


def journaled_attempts(folder: Path) -> frozenset[str]:
    """Return the ids of the attempts in all journals, of every process.

    Raises StoreError if a journal cannot be read: an attempt would be written a second time.
    """
    found: set[str] = set()
    try:
        for journal in folder.glob("*.slate"):
            with suppress(FileNotFoundError):  # its rows were made just now
                data = journal.read_bytes()
                whole = len(data) // _SLOT.size * _SLOT.size
                found |= {uuid_of(attempt) for _, attempt, _, number in _SLOT.iter_unpack(data[:whole]) if number}
    except OSError as error:
        what = f"cannot be read ({(error.strerror or type(error).__name__).lower()})"
        raise StoreError(what, where=display_path(folder), todo="allow more open files (ulimit -n)") from None
    return frozenset(found)


def _read_templates(data: bytes) -> Iterator[AttemptTemplate]:
    at = 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        with suppress(msgspec.MsgspecError):
            yield msgspec.msgpack.decode(data[at + 4 : at + 4 + size], type=AttemptTemplate)
        at += 4 + size


def uuid_of(data: bytes) -> str:
    """Format 16 bytes as an attempt id."""
    return b"-".join(_PARTS(data.hex().encode())).decode()


_PARTS = struct.Struct("8s4s4s4s12s").unpack


def remove_journal(path: Path) -> None:
    """Remove a journal whose rows have been written."""
    for suffix in (".slate", ".sorts", ".process"):
        path.with_suffix(suffix).unlink(missing_ok=True)
