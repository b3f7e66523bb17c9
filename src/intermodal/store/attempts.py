"""Rows of attempts: one per call that is made, written before it is made and closed after.

::

    reserved ──▶ sent ──▶ settled     what it took is known
        │         ├─────▶ estimated   it may have been billed, nobody said how much: the upper bound counts
        └─────────┴─────▶ void        certainly not billed

A closed row never changes. A reserved row whose process died is ``estimated`` too: the mark *sent* is
written before the first byte, but a promise about money is kept to the safe side.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from intermodal.events import AttemptState, Usage
from intermodal.store.process import dead, identity
from intermodal.store.rows import Attempt, Outcome, Reservation, Work

if TYPE_CHECKING:
    import sqlite3

    from intermodal.store.connection import Database

_BEFORE: dict[AttemptState, tuple[AttemptState, ...]] = {
    "sent": ("reserved",),
    "settled": ("sent",),
    "estimated": ("sent",),
    "void": ("reserved", "sent"),
}


class WrongState(ValueError):
    """A programming error: a row was asked to leave a state it is not in."""


def now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="milliseconds")


def reserve(database: Database, reservation: Reservation) -> str:
    """Write the row of an attempt that is about to be made; returns its id, a UUID of our own."""
    key = str(uuid.uuid4())
    attempt = Attempt(id=key, state="reserved", reservation=reservation, started=now())
    row: dict[str, Any] = {
        "id": key,
        "run": reservation.run,
        "step": reservation.step,
        "op": reservation.op,
        "task": reservation.task,
        "endpoint": reservation.endpoint,
        "zone": reservation.zone,
        "state": "reserved",
        "process": identity(),
        "started": attempt.started,
        "size_bucket": attempt.size_bucket,
        "audio_seconds": reservation.work.audio_seconds,
        "megapixels": reservation.work.megapixels,
        "pages": reservation.work.pages,
        "est_input_tokens": reservation.input_tokens,
        "est_output_tokens": reservation.output_tokens,
        "est_cost": reservation.cost,
        "est_seconds": reservation.seconds,
        "est_load_seconds": reservation.load_seconds,
        "cost_high": reservation.cost_high,
    }
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    with database.writing() as connection:
        connection.execute(f"INSERT INTO attempts ({names}) VALUES ({marks})", row)
    return key


def move(database: Database, key: str, state: AttemptState, outcome: Outcome | None = None) -> None:
    """Bring a row into ``state``; closing states number it and record its outcome."""
    with database.writing() as connection:
        found = connection.execute("SELECT * FROM attempts WHERE id = ?", (key,)).fetchone()
        if found is None:
            raise WrongState(f"no attempt {key}")
        if found["state"] not in _BEFORE[state]:
            raise WrongState(f"attempt {key} is {found['state']}, it cannot become {state}")
        if state == "sent":
            connection.execute("UPDATE attempts SET state = 'sent' WHERE id = ?", (key,))
        else:
            _close(connection, found, state, outcome or Outcome(cost=None))


def _close(connection: sqlite3.Connection, row: sqlite3.Row, state: AttemptState, outcome: Outcome) -> None:
    cost = 0.0 if state == "void" else outcome.cost
    if state == "estimated" and cost is None:
        cost = row["cost_high"]
    closed = Attempt(id=row["id"], state=state, reservation=_reservation(row), started=row["started"], outcome=outcome)
    connection.execute(
        """UPDATE attempts SET state = ?, finished = ?,
           sequence = (SELECT COALESCE(MAX(sequence), 0) + 1 FROM attempts),
           input_tokens = ?, output_tokens = ?, cost = ?, seconds = ?, first_seconds = ?, load_seconds = ?,
           cold = ?, cached = ?, error = ?, provider_id = ?, size_bucket = ? WHERE id = ?""",
        (
            state, now(), outcome.usage.input_tokens, outcome.usage.output_tokens, cost, outcome.seconds,
            outcome.first_seconds, outcome.load_seconds, outcome.load_seconds > 0, outcome.cached, outcome.error,
            outcome.provider_id, closed.size_bucket, row["id"],
        ),
    )  # fmt: skip


def recover(database: Database) -> int:
    """Close what dead processes left open, at its upper bound. Returns how many rows that were."""
    with database.reading() as connection:
        if connection is None or not connection.execute(_OPEN).fetchone():
            return 0  # the usual case must not take the write lock
    closed = 0
    with database.writing() as writer:
        for row in writer.execute(_OPEN).fetchall():
            if dead(row["process"]):
                _close(writer, row, "estimated", Outcome(cost=None, error="process_died"))
                closed += 1
    return closed


_OPEN = "SELECT * FROM attempts WHERE state IN ('reserved', 'sent')"


def newest(database: Database, limit: int) -> tuple[Attempt, ...]:
    """The newest rows, newest first."""
    return _select(database, "SELECT * FROM attempts ORDER BY rowid DESC LIMIT ?", limit)


def ended(database: Database, up_to: int) -> tuple[Attempt, ...]:
    """Closed rows numbered 1..up_to, in that order."""
    return _select(database, "SELECT * FROM attempts WHERE sequence <= ? ORDER BY sequence", up_to)


def count_ended(database: Database) -> int:
    with database.reading() as connection:
        if connection is None:
            return 0
        found: int = connection.execute("SELECT COALESCE(MAX(sequence), 0) FROM attempts").fetchone()[0]
        return found


def _select(database: Database, sql: str, argument: int) -> tuple[Attempt, ...]:
    with database.reading() as connection:
        if connection is None:
            return ()
        return tuple(_attempt(row) for row in connection.execute(sql, (argument,)))


def _reservation(row: sqlite3.Row) -> Reservation:
    return Reservation(
        run=row["run"],
        step=row["step"],
        op=row["op"],
        task=row["task"],
        endpoint=row["endpoint"],
        zone=row["zone"],
        input_tokens=row["est_input_tokens"],
        output_tokens=row["est_output_tokens"],
        cost=row["est_cost"],
        seconds=row["est_seconds"],
        load_seconds=row["est_load_seconds"],
        cost_high=row["cost_high"],
        work=Work(audio_seconds=row["audio_seconds"], megapixels=row["megapixels"], pages=row["pages"]),
    )


def _attempt(row: sqlite3.Row) -> Attempt:
    outcome = None
    if row["state"] in ("settled", "estimated", "void"):
        outcome = Outcome(
            usage=Usage(input_tokens=row["input_tokens"], output_tokens=row["output_tokens"]),
            cost=row["cost"],
            seconds=row["seconds"] or 0.0,
            first_seconds=row["first_seconds"],
            load_seconds=row["load_seconds"] or 0.0,
            cached=bool(row["cached"]),
            error=row["error"],
            provider_id=row["provider_id"],
        )
    return Attempt(
        id=row["id"],
        state=row["state"],
        reservation=_reservation(row),
        started=row["started"],
        finished=row["finished"],
        outcome=outcome,
    )
