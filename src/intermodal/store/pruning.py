"""Delete old rows: roll them up into daily totals and delete them, a few at a time, concurrently with writers.

Never deleted: open and running rows; the newest rows of every endpoint and the first that were made, from which
statistics, grades and drifts are computed (``learned_figures.READ``); attempts that a journal still names, as its
reader checks for their rows (``attempt_journal.py``). So pruning changes no plan, and no total of ``intermodal usage``.

A batch is one short transaction, as large as fits into ``_HELD`` seconds; then the lock stays free for the same time,
since a process that waits for SQLite's lock polls for it. If a process is killed, its batch is rolled back. Several
processes may prune at once without harm; ``prune_lock`` only avoids duplicate work.

The file does not shrink: its free pages are reused by the next rows. Releasing them would require moving pages under
the lock, only to allocate them again a moment later.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from intermodal.core.content import Value
from intermodal.errors import StoreError
from intermodal.files.atomic_file import display_path
from intermodal.store import attempt_journal, attempts, epochs, learned_figures
from intermodal.store.attempts import DIED
from intermodal.store.sqlite_file import Database

if TYPE_CHECKING:
    import sqlite3

    from intermodal.store.sqlite_file import Database


# Totals of ended rows by day, endpoint and operation, for ``intermodal usage`` after the rows are deleted.
#
# Ended rows are numbered in the order they ended and never change, so one number says which of them are rolled up: all
# up to it, each once. Totals and that number are written in one transaction. Rows up to it may be deleted at any time
# without changing a total (``prune`` below).
#
# Money is summed in whole picodollars (1e-12 USD), each row rounded once, whether it is read from its row or was rolled
# up before: so a total is the same to the last digit whatever was deleted. Seconds are whole microseconds, estimates
# whole thousandths of a token.


PICO = 1e12  # picodollars in a dollar
STEP = 5000  # rows that are added up in one transaction
_VAST = "1e6"  # USD: an impossible cost is not counted in picodollars, of which 64 bits hold nine million USD
_SPENT = "COALESCE(cost, cost_high)"

# Rows that inform estimates (see ``learned_figures.is_informative``), with estimated and reported input tokens.
_COMPARED = (
    "state = 'settled' AND error = '' AND NOT cached AND bench <> 'crowded'"
    " AND COALESCE(input_tokens, 0) > 0 AND COALESCE(est_input_tokens, 0) <> 0"
)


def _as_integer_sql(value: str, times: str) -> str:
    return f"CAST(ROUND({value} * {times}) AS INTEGER)"


def _unreported_sql(direction: str) -> str:
    """Return the condition of ``AttemptRow.is_unreported``."""
    condition = f"COALESCE(est_{direction}_tokens, 1) > 0"
    return f"(state IN ('settled', 'estimated') AND {direction}_tokens IS NULL AND {condition})"


_COLUMNS: dict[str, str] = {
    "attempts": "1",
    "failed": "error <> ''",
    "input_tokens": "COALESCE(input_tokens, 0)",
    "output_tokens": "COALESCE(output_tokens, 0)",
    "input_unreported": _unreported_sql("input"),
    "output_unreported": _unreported_sql("output"),
    "pico": f"CASE WHEN {_SPENT} < {_VAST} THEN {_as_integer_sql(_SPENT, '1e12')} ELSE 0 END",
    "vast": f"CASE WHEN {_SPENT} < {_VAST} THEN 0.0 ELSE {_SPENT} END",
    "micros": _as_integer_sql("COALESCE(seconds, 0)", "1e6"),
    "compared": f"({_COMPARED})",
    "input_estimated": f"CASE WHEN {_COMPARED} THEN {_as_integer_sql('est_input_tokens', '1e3')} ELSE 0 END",
    "input_counted": f"CASE WHEN {_COMPARED} THEN input_tokens ELSE 0 END",
    "output_estimated": f"CASE WHEN {_COMPARED} AND output_tokens IS NOT NULL"
    f" THEN {_as_integer_sql('COALESCE(est_output_tokens, 0)', '1e3')} ELSE 0 END",
    "output_counted": f"CASE WHEN {_COMPARED} THEN COALESCE(output_tokens, 0) ELSE 0 END",
    "pico_estimated": f"CASE WHEN {_COMPARED} AND est_cost < {_VAST}"
    f" THEN {_as_integer_sql('est_cost', '1e12')} ELSE 0 END",
    "pico_billed": f"CASE WHEN {_COMPARED} AND cost < {_VAST} THEN {_as_integer_sql('cost', '1e12')} ELSE 0 END",
}
_OF_ROWS = ", ".join(f"SUM({expression}) AS {name}" for name, expression in _COLUMNS.items())
_OF_SUMS = ", ".join(f"SUM({name}) AS {name}" for name in _COLUMNS)
_OPEN = "state IN ('reserved', 'sent')"  # as written in the index
_RUNS = (
    "SELECT COALESCE(SUM(runs), 0), COALESCE(SUM(runs * (outcome = 'running')), 0),"
    " COALESCE(SUM(runs * (outcome = ?)), 0)"
    " FROM (SELECT outcome, 1 AS runs FROM runs UNION ALL SELECT outcome, runs FROM run_sums)"
)


class EndpointTotal(NamedTuple):
    """The totals of one endpoint, in the units of this module."""

    endpoint: str
    attempts: int
    failed: int
    input_tokens: int
    output_tokens: int
    input_unreported: int
    output_unreported: int
    pico: int
    vast: float
    micros: int
    compared: int
    input_estimated: int
    input_counted: int
    output_estimated: int
    output_counted: int
    pico_estimated: int
    pico_billed: int

    def add(self, other: EndpointTotal) -> EndpointTotal:
        return EndpointTotal._make((self.endpoint, *(one + two for one, two in zip(self[1:], other[1:], strict=True))))

    @property
    def cost(self) -> float:
        """Cost in USD."""
        return self.pico / PICO + self.vast


class UsageTotals(NamedTuple):
    """The totals of all attempts and runs ever made.

    ``endpoints`` by name; ``kept``: attempts that still have a row.
    """

    endpoints: tuple[EndpointTotal, ...] = ()
    runs: int = 0
    running: int = 0
    interrupted: int = 0
    open: int = 0
    kept: int = 0


def totals(database: Database) -> UsageTotals:
    """Return the totals including rows not yet rolled up, as of one moment."""
    with database.snapshot() as connection:
        if connection is None:
            return UsageTotals()
        upto = _last_summed_row(connection)
        found: dict[str, EndpointTotal] = {}
        for row in _totals(connection, upto):
            found[row.endpoint] = found[row.endpoint].add(row) if row.endpoint in found else row
        runs, running, interrupted = connection.execute(_RUNS, (DIED,)).fetchone()
        pruned_attempts, open_ = connection.execute(
            f"SELECT (SELECT COUNT(*) FROM attempts), (SELECT COUNT(*) FROM attempts WHERE {_OPEN})"
        ).fetchone()
    return UsageTotals(tuple(found[name] for name in sorted(found)), runs, running, interrupted, open_, pruned_attempts)


def _totals(connection: sqlite3.Connection, upto: int) -> Iterator[EndpointTotal]:
    selects = (
        f"SELECT endpoint, {_OF_SUMS} FROM sums GROUP BY endpoint",
        f"SELECT endpoint, {_OF_ROWS} FROM attempts WHERE sequence > {upto:d} GROUP BY endpoint",
        f"SELECT endpoint, {_OF_ROWS} FROM attempts WHERE {_OPEN} GROUP BY endpoint",
    )
    for select in selects:
        for row in connection.execute(select):
            yield EndpointTotal(*row)


def _last_summed_row(connection: sqlite3.Connection) -> int:
    """Return the number up to which ended rows are included in the sums."""
    found: int = connection.execute("SELECT sequence FROM summed").fetchone()[0]
    return found


def _roll_up(database: Database) -> int:
    """Add the next ended rows to the sums; return their number, 0 if none are left.

    They are read without the write lock, which is held only briefly at the end; if another process was first, its
    result counts.
    """
    with database.snapshot() as connection:
        if connection is None:
            return 0
        since = _last_summed_row(connection)
        upto = connection.execute(
            "SELECT MAX(sequence) FROM (SELECT sequence FROM attempts WHERE sequence > ? ORDER BY sequence LIMIT ?)",
            (since, STEP),
        ).fetchone()[0]
        if upto is None:
            return 0
        groups = connection.execute(
            f"SELECT substr(finished, 1, 10) AS day, endpoint, op, {_OF_ROWS} FROM attempts"
            " WHERE sequence > ? AND sequence <= ? GROUP BY 1, 2, 3",
            (since, upto),
        ).fetchall()
    with database.writing(later=True) as connection:
        if _last_summed_row(connection) == since:
            connection.executemany(_ADD, map(tuple, groups))
            connection.execute("UPDATE summed SET sequence = ?", (upto,))
    return int(upto - since)


_ADD = (
    f"INSERT INTO sums (day, endpoint, op, {', '.join(_COLUMNS)}) VALUES (?, ?, ?{', ?' * len(_COLUMNS)})"
    f" ON CONFLICT DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in _COLUMNS)}"
)


_HELD = 0.01  # seconds that the write lock is held at a time
_FEWEST, _MOST = 20, 2000  # rows of a batch
_LOOKED = 2000  # rows examined together; if none is old, no later row is
_PLACES = 500  # values per statement; SQLite supports at least 999
_EPOCHS = 100  # the newest that are kept, besides the first


class RetentionPolicy(Value, frozen=True):
    """How long rows are kept.

    ``seconds``: after they ended, None for ever; ``rows``: maximum number of rows, 0 for no limit.
    """

    seconds: float | None
    rows: int


class PruneResult(Value, frozen=True):
    """The number of deleted rows.

    ``transforms``: conversions without a price; ``epochs``: former statistics for plans.
    """

    attempts: int = 0
    runs: int = 0
    transforms: int = 0
    epochs: int = 0


class PruneStopped(Exception):
    """The process is ending; completed batches stay deleted."""


def pause(seconds: float) -> None:
    time.sleep(seconds)


def prune(
    database: Database, keep: RetentionPolicy, journal_folder: Path, *, now: Callable[[], float] = time.time,
    rest: Callable[[float], None] = pause,
) -> PruneResult:  # fmt: skip
    """Roll up all ended rows, and delete those beyond the retention.

    ``rest``: waits the given seconds between batches, or raises ``PruneStopped``. Raises StoreError.
    """
    with database.reading() as connection:
        if connection is None:
            return PruneResult()
    while _roll_up(database):
        rest(_HELD)
    before = "" if keep.seconds is None else datetime.fromtimestamp(now() - keep.seconds, UTC).isoformat()
    batch = _Batch(database, rest)
    return PruneResult(
        attempts=_attempts(batch, keep, before, attempt_journal.journaled_attempts(journal_folder)),
        runs=_delete_runs(batch, keep, before),
        transforms=_transforms(batch, keep, before),
        epochs=_epochs(batch, before),
    )


class _Batch:
    """Deletes rows in batches that take about ``_HELD`` seconds each."""

    def __init__(self, database: Database, rest: Callable[[float], None]) -> None:
        self.database = database
        self._rest = rest
        self._size = 100

    def delete(
        self, keys: Sequence[tuple[object, ...]], do: Callable[[sqlite3.Connection, Sequence[tuple[object, ...]]], int]
    ) -> int:
        """Call ``do`` with all keys, in batches; return the number of deleted rows."""
        deleted = at = 0
        while at < len(keys):
            batch = keys[at : at + self._size]
            with self.database.writing(later=True) as connection:
                began = time.monotonic()
                deleted += do(connection, batch)
            took = time.monotonic() - began
            at += len(batch)
            if len(batch) == self._size or took > _HELD:
                self._size = round(min(max(self._size * min(max(_HELD / max(took, 1e-6), 0.5), 2.0), _FEWEST), _MOST))
            self._rest(max(took, _HELD))
        return deleted


def _old_rows(
    database: Database, select: str, upto: int, old: Callable[[sqlite3.Row], bool]
) -> Iterator[list[sqlite3.Row]]:
    """Yield batches of old rows in the order of their numbers (the first column); stop at a batch without any."""
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
        upto = _last_summed_row(connection)
        first = epochs.oldest(batch.database).ended
        kept_ranges = {name: _kept_ranges(connection, name, first) for name in attempts.endpoints_of(connection)}
        newest = connection.execute("SELECT COALESCE(MAX(sequence), 0) FROM attempts").fetchone()[0]
    much = newest - keep.rows if keep.rows else 0
    select = (
        "SELECT sequence, id, endpoint, finished FROM attempts WHERE sequence > ? AND sequence <= ?"
        " ORDER BY sequence LIMIT ?"
    )
    deleted = 0
    for old in _old_rows(batch.database, select, upto, lambda row: row["sequence"] <= much or row["finished"] < before):
        keys = [
            (row["sequence"],) for row in old
            if row["id"] not in noted
            and not any(low <= row["sequence"] <= high for low, high in kept_ranges[row["endpoint"]])
        ]  # fmt: skip
        deleted += batch.delete(keys, _delete_attempts)
    return deleted


def _kept_ranges(connection: sqlite3.Connection, endpoint: str, first: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the number ranges of an endpoint's rows that are never deleted.

    These are its newest rows, and those before the first epoch.
    """

    def lowest(upto: int) -> int:
        row = connection.execute(
            "SELECT MIN(sequence) FROM (SELECT sequence FROM attempts WHERE endpoint = ? AND sequence <= ?"
            " ORDER BY sequence DESC LIMIT ?)", (endpoint, upto, learned_figures.READ),
        ).fetchone()  # fmt: skip
        return int(row[0] or 0)

    return (lowest(attempts.LAST), attempts.LAST), (lowest(first), first)


def _delete_attempts(connection: sqlite3.Connection, keys: Sequence[tuple[object, ...]]) -> int:
    # Delete by number, which is stable: SQLite may renumber rowids (VACUUM).
    return connection.executemany("DELETE FROM attempts WHERE sequence BETWEEN ? AND ?", _ranges(keys)).rowcount


def _ranges(keys: Sequence[tuple[Any, ...]]) -> list[tuple[int, int]]:
    """Return ascending numbers as ranges without gaps."""
    found: list[tuple[int, int]] = []
    for (number,) in keys:
        if found and found[-1][1] == number - 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


# ---- runs -----------------------------------------------------------------------------------------
def _delete_runs(batch: _Batch, keep: RetentionPolicy, before: str) -> int:
    with batch.database.reading() as connection:
        assert connection is not None
        newest = connection.execute("SELECT COALESCE(MAX(rowid), 0) FROM runs").fetchone()[0]
    much = newest - keep.rows if keep.rows else 0
    select = "SELECT rowid, id, started, finished FROM runs WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?"
    upto, deleted = newest - learned_figures.READ, 0
    for old in _old_rows(batch.database, select, upto, lambda row: row["rowid"] <= much or row["started"] < before):
        ended = [
            (row["id"],) for row in old if row["finished"] and (row["rowid"] <= much or row["finished"] < before)
        ]  # fmt: skip
        deleted += batch.delete(ended, _delete_and_count_runs)
    return deleted


def _delete_and_count_runs(connection: sqlite3.Connection, keys: Sequence[tuple[object, ...]]) -> int:
    """Delete runs and count them in the same transaction.

    Runs deleted by another process are therefore not counted twice.
    """
    deleted = 0
    for at in range(0, len(keys), _PLACES):
        some = [key[0] for key in keys[at : at + _PLACES]]
        which = f"id IN ({', '.join('?' * len(some))}) AND outcome <> 'running'"
        connection.execute(
            "INSERT INTO run_sums (day, endpoint, outcome, runs)"
            f" SELECT substr(finished, 1, 10), endpoint, outcome, COUNT(*) FROM runs WHERE {which} GROUP BY 1, 2, 3"
            " ON CONFLICT DO UPDATE SET runs = runs + excluded.runs", some,
        )  # fmt: skip
        deleted += connection.execute(f"DELETE FROM runs WHERE {which}", some).rowcount
    return deleted


# ---- the rest -------------------------------------------------------------------------------------
def _transforms(batch: _Batch, keep: RetentionPolicy, before: str) -> int:
    """Delete old transforms, which cost nothing and are not included in totals."""
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
    """Delete epochs between the first, which grades use, and the newest ones."""
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
    """Yield whether this process holds the lock, so that no other process prunes this store.

    The kernel releases it when a process dies. Raises StoreError if the lock file cannot be used.
    """
    import fcntl

    path = store.with_name(f"{store.name}.pruning")
    try:
        file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise StoreError(
            f"cannot be made ({reason})", where=display_path(path), todo="make its folder writable"
        ) from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(file)
