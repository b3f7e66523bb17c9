"""Deletes old rows: they are rolled up (``rollups.py``) and deleted, a few at a time, concurrently with writers.

Never deleted: open and running rows; the newest rows of every endpoint and the first that were made, from which
figures, grades and drifts are computed (``learned_figures.READ``); attempts that a journal still names, as its reader
checks for their rows (``attempt_journal.py``). So pruning changes no plan, and no total of ``intermodal usage``.

A batch is one short transaction, as large as takes ``HELD`` seconds; the lock is then free for as long, since a process
that waits for SQLite's lock polls for it. If a process is killed, its batch is rolled back. Several may prune at once
without harm; ``prune_lock`` only avoids duplicate work.

The file does not shrink: its free pages hold the next rows. Releasing them would mean to move pages under the lock,
only to allocate them again a moment later.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intermodal.content import Value
from intermodal.errors import StoreError
from intermodal.store import attempt_journal, attempts, epochs, learned_figures, rollups
from intermodal.store.sqlite_file import Database, shown

if TYPE_CHECKING:
    import sqlite3

HELD = 0.01  # seconds that the write lock is held at a time
_FEWEST, _MOST = 20, 2000  # rows of a batch
_LOOKED = 2000  # rows that are examined together; if none of them is old, no later one is
_PLACES = 500  # values of one statement; SQLite was built for 999 at least
_EPOCHS = 100  # the newest that are kept, besides the first


class RetentionPolicy(Value, frozen=True):
    """How long rows are kept: ``seconds`` after they ended (None: always), and at most ``rows`` of them (0: all)."""

    seconds: float | None
    rows: int


class PruneResult(Value, frozen=True):
    """The number of deleted rows. ``transforms`` are conversions without a price, ``epochs`` former statistics of
    plans.
    """

    attempts: int = 0
    runs: int = 0
    transforms: int = 0
    epochs: int = 0


class PruneStopped(Exception):
    """The process ends: finished slices remain."""


def rest(seconds: float) -> None:
    time.sleep(seconds)


def prune(
    database: Database, keep: RetentionPolicy, journal_folder: Path, *, now: Callable[[], float] = time.time,
    rest: Callable[[float], None] = rest,
) -> PruneResult:  # fmt: skip
    """Add up all ended rows, and delete those beyond the retention.

    ``rest``: waits so many seconds between batches, or raises ``PruneStopped``. Raises StoreError.
    """
    with database.reading() as connection:
        if connection is None:
            return PruneResult()
    while rollups.roll_up(database):
        rest(HELD)
    before = "" if keep.seconds is None else datetime.fromtimestamp(now() - keep.seconds, UTC).isoformat()
    batch = _Batch(database, rest)
    return PruneResult(
        attempts=_attempts(batch, keep, before, attempt_journal.journaled_attempts(journal_folder)),
        runs=_runs(batch, keep, before),
        transforms=_transforms(batch, keep, before),
        epochs=_epochs(batch, before),
    )


class _Batch:
    """Deletes rows, as many at a time as can be in ``HELD`` seconds."""

    def __init__(self, database: Database, rest: Callable[[float], None]) -> None:
        self.database = database
        self._rest = rest
        self._size = 100

    def delete(
        self, keys: Sequence[tuple[object, ...]], do: Callable[[sqlite3.Connection, Sequence[tuple[object, ...]]], int]
    ) -> int:
        """Do it with all these keys; returns how many rows are gone."""
        gone = at = 0
        while at < len(keys):
            taken = keys[at : at + self._size]
            with self.database.writing(later=True) as connection:
                began = time.monotonic()
                gone += do(connection, taken)
            took = time.monotonic() - began
            at += len(taken)
            if len(taken) == self._size or took > HELD:
                self._size = round(min(max(self._size * min(max(HELD / max(took, 1e-6), 0.5), 2.0), _FEWEST), _MOST))
            self._rest(max(took, HELD))
        return gone


def _old(database: Database, select: str, upto: int, old: Callable[[sqlite3.Row], bool]) -> Iterator[list[sqlite3.Row]]:
    """Rows that are old, some at a time in the order of their numbers (the first column), as far as there are any
    among those looked at together."""
    at = 0
    while True:
        with database.reading() as connection:
            assert connection is not None
            rows = connection.execute(select, (at, upto, _LOOKED)).fetchall()
        found = list(filter(old, rows))
        if not found:
            return
        at = rows[-1][0]
        yield found


# ---- attempts -------------------------------------------------------------------------------------


def _attempts(batch: _Batch, keep: RetentionPolicy, before: str, noted: frozenset[str]) -> int:
    with batch.database.snapshot() as connection:
        assert connection is not None
        upto = rollups.rolled_up_to(connection)
        first = epochs.oldest(batch.database).ended
        held = {name: _held(connection, name, first) for name in attempts.endpoints_of(connection)}
        newest = connection.execute("SELECT COALESCE(MAX(sequence), 0) FROM attempts").fetchone()[0]
    much = newest - keep.rows if keep.rows else 0
    select = (
        "SELECT sequence, id, endpoint, finished FROM attempts WHERE sequence > ? AND sequence <= ?"
        " ORDER BY sequence LIMIT ?"
    )
    gone = 0
    for old in _old(batch.database, select, upto, lambda row: row["sequence"] <= much or row["finished"] < before):
        keys = [
            (row["sequence"],) for row in old
            if row["id"] not in noted and not any(low <= row["sequence"] <= high for low, high in held[row["endpoint"]])
        ]  # fmt: skip
        gone += batch.delete(keys, _gone)
    return gone


def _held(connection: sqlite3.Connection, endpoint: str, first: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Numbers between which an endpoint's rows are never deleted: its newest, and those before the first epoch."""

    def lowest(upto: int) -> int:
        row = connection.execute(
            "SELECT MIN(sequence) FROM (SELECT sequence FROM attempts WHERE endpoint = ? AND sequence <= ?"
            " ORDER BY sequence DESC LIMIT ?)", (endpoint, upto, learned_figures.READ),
        ).fetchone()  # fmt: skip
        return int(row[0] or 0)

    return (lowest(attempts.LAST), attempts.LAST), (lowest(first), first)


def _gone(connection: sqlite3.Connection, keys: Sequence[tuple[object, ...]]) -> int:
    # By number, which stays: SQLite may number the rows themselves anew (VACUUM).
    return connection.executemany("DELETE FROM attempts WHERE sequence BETWEEN ? AND ?", _ranges(keys)).rowcount


def _ranges(keys: Sequence[tuple[Any, ...]]) -> list[tuple[int, int]]:
    """Numbers in ascending order as ranges without gaps."""
    found: list[tuple[int, int]] = []
    for (number,) in keys:
        if found and found[-1][1] == number - 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


# ---- runs -----------------------------------------------------------------------------------------


def _runs(batch: _Batch, keep: RetentionPolicy, before: str) -> int:
    with batch.database.reading() as connection:
        assert connection is not None
        newest = connection.execute("SELECT COALESCE(MAX(rowid), 0) FROM runs").fetchone()[0]
    much = newest - keep.rows if keep.rows else 0
    select = "SELECT rowid, id, started, finished FROM runs WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?"
    upto, gone = newest - learned_figures.READ, 0
    for old in _old(batch.database, select, upto, lambda row: row["rowid"] <= much or row["started"] < before):
        ended = [
            (row["id"],) for row in old if row["finished"] and (row["rowid"] <= much or row["finished"] < before)
        ]  # fmt: skip
        gone += batch.delete(ended, _counted)
    return gone


def _counted(connection: sqlite3.Connection, keys: Sequence[tuple[object, ...]]) -> int:
    """Runs are counted in the transaction that deletes them: those already deleted by another process are not there."""
    gone = 0
    for at in range(0, len(keys), _PLACES):
        some = [key[0] for key in keys[at : at + _PLACES]]
        which = f"id IN ({', '.join('?' * len(some))}) AND outcome <> 'running'"
        connection.execute(
            "INSERT INTO run_sums (day, endpoint, outcome, runs)"
            f" SELECT substr(finished, 1, 10), endpoint, outcome, COUNT(*) FROM runs WHERE {which} GROUP BY 1, 2, 3"
            " ON CONFLICT DO UPDATE SET runs = runs + excluded.runs", some,
        )  # fmt: skip
        gone += connection.execute(f"DELETE FROM runs WHERE {which}", some).rowcount
    return gone


# ---- the rest -------------------------------------------------------------------------------------


def _transforms(batch: _Batch, keep: RetentionPolicy, before: str) -> int:
    """They cost nothing, and no total includes them."""
    keys: list[tuple[object, ...]] = []
    with batch.database.snapshot() as connection:
        assert connection is not None
        newest = connection.execute("SELECT COALESCE(MAX(sequence), 0) FROM transforms").fetchone()[0]
        for (op,) in connection.execute("SELECT DISTINCT op FROM transforms").fetchall():
            keys += map(tuple, connection.execute(
                "SELECT sequence FROM transforms WHERE op = ? AND (started < ? OR sequence <= ?) AND sequence <"
                " (SELECT MIN(sequence) FROM (SELECT sequence FROM transforms WHERE op = ? ORDER BY sequence DESC"
                " LIMIT ?))", (op, before, newest - keep.rows if keep.rows else 0, op, learned_figures.WINDOW),
            ))  # fmt: skip
    return batch.delete(
        keys,
        lambda connection, some: connection.executemany("DELETE FROM transforms WHERE sequence = ?", some).rowcount,
    )


def _epochs(batch: _Batch, before: str) -> int:
    """Plans are made with the newest, grades with the first; those in between were good for a while."""
    with batch.database.reading() as connection:
        assert connection is not None
        keys = connection.execute(
            "SELECT number FROM epochs WHERE number > (SELECT MIN(number) FROM epochs WHERE number > 0) AND written < ?"
            " ORDER BY number LIMIT MAX(0, (SELECT COUNT(*) FROM epochs WHERE number > 0) - ?)", (before, _EPOCHS + 1),
        ).fetchall()  # fmt: skip
    return batch.delete(
        [tuple(key) for key in keys],
        lambda connection, some: connection.executemany("DELETE FROM epochs WHERE number = ?", some).rowcount,
    )


# ---- the pruning thread ---------------------------------------------------------------------------


@contextmanager
def prune_lock(store: Path) -> Iterator[bool]:
    """Return whether this process holds the lock, so that no other prunes this store. The kernel releases it when a
    process dies.

    Raises StoreError if that is unknown.
    """
    import fcntl

    path = store.with_name(f"{store.name}.pruning")
    try:
        file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise StoreError(f"cannot be made ({reason})", where=shown(path), todo="make its folder writable") from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(file)
