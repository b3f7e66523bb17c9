"""Rows of runs: written with the first attempt, closed when the run ends.

A run whose process died is closed as ``DIED``, like its attempts (``attempts.py``); a run of a living process is never
closed by another. Its cost is in its attempts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from intermodal.store.attempts import DIED, now
from intermodal.store.process_identity import identity, is_dead
from intermodal.store.rows import RunRow

if TYPE_CHECKING:
    import sqlite3

    from intermodal.store.sqlite_file import Database


def start(database: Database, row: RunRow) -> None:
    with database.writing(later=True) as connection:
        connection.execute(
            "INSERT INTO runs (id, plan, inputs, endpoint, objective, parts, started, outcome, process)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.id, row.plan, row.inputs, row.endpoint, row.objective,
                msgspec.json.encode(row.parts).decode(), row.started or now(), row.outcome, identity(),
            ),
        )  # fmt: skip


def finish(database: Database, row: RunRow) -> None:
    with database.writing() as connection:
        connection.execute(
            "UPDATE runs SET finished = ?, outcome = ?, endpoint = ?, cost = ?, seconds = ? WHERE id = ?",
            (row.finished or now(), row.outcome, row.endpoint, row.cost, row.seconds, row.id),
        )


def newest(database: Database, limit: int) -> tuple[RunRow, ...]:
    """Newest first."""
    with database.reading() as connection:
        if connection is None:
            return ()
        columns = ", ".join(RunRow.__struct_fields__)
        rows = connection.execute(f"SELECT {columns} FROM runs ORDER BY rowid DESC LIMIT ?", (limit,)).fetchall()
    return tuple(msgspec.convert({**dict(row), "parts": msgspec.json.decode(row["parts"])}, RunRow) for row in rows)


def recover(database: Database) -> int:
    """Close runs of dead processes; returns how many. Takes the write lock only where there are any."""
    with database.reading() as connection:
        if connection is None:
            return 0
        rows = connection.execute("SELECT id, process FROM runs WHERE outcome = 'running'").fetchall()
        before = _of_attempts(connection) if any(not row["process"] for row in rows) else {}
    gone = [row["id"] for row in rows if _gone(row, before)]
    if not gone:
        return 0
    with database.writing() as connection:
        return connection.executemany(
            "UPDATE runs SET finished = ?, outcome = ? WHERE id = ? AND outcome = 'running'",
            [(now(), DIED, key) for key in gone],
        ).rowcount


def _gone(row: sqlite3.Row, before: Mapping[str, Sequence[str]]) -> bool:
    """Its process certainly ended. One of an older version whose attempts were deleted for their age did, too."""
    processes = [row["process"]] if row["process"] else before.get(row["id"], [])
    return all(map(is_dead, processes))


def _of_attempts(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """Whose the runs are of which an older version did not say so: their attempts say it."""
    found: dict[str, list[str]] = {}
    for run, process in connection.execute(
        "SELECT DISTINCT run, process FROM attempts WHERE run IN"
        " (SELECT id FROM runs WHERE outcome = 'running' AND process = '')"
    ):
        found.setdefault(run, []).append(process)
    return found
