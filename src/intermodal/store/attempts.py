"""Rows of attempts: one per call, written before the call and closed after it.

::

    reserved ──▶ sent ──▶ settled     its cost is known
      │         ├─────▶ estimated   it may have been billed, the amount is unknown: the upper bound counts
      └─────────┴─────▶ void        certainly not billed

A closed row never changes. A reserved row whose process died becomes ``estimated`` too: although the state *sent* is
written before the first byte, cost limits are kept on the safe side.

Rows of runs are below: written with the first attempt, closed when the run ends. A run whose process died is closed as
``DIED``, like its attempts; a run of a living process is never closed by another process. Its cost is that of its
attempts.

Rows of calls in direct mode (``DirectAttemptRow``) are written after they ended, many in one statement, and have the
same form as the others. A call that was open when its process died is in the journal (``attempt_journal.py``).
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import astuple

from intermodal.events import AttemptState, Usage
from intermodal.store import attempt_journal
from intermodal.store.process_identity import identity, is_dead
from intermodal.store.rows import (
    SLICE,
    AttemptOutcome,
    AttemptRow,
    Pause,
    Range,
    Reservation,
    RunRow,
    TransformRow,
    Work,
    no_pause,
    size_bucket_of,
)

if TYPE_CHECKING:
    import sqlite3

    from intermodal.store.sqlite_file import Database

DIED = "process_died"  # error of attempts left open by a dead process, and outcome of its runs
_BEFORE: dict[AttemptState, tuple[AttemptState, ...]] = {
    "sent": ("reserved",),
    "settled": ("sent",),
    "estimated": ("sent",),
    "void": ("reserved", "sent"),
}


class WrongState(ValueError):
    """A programming error: a row was moved to a state that is not reachable from its current state."""


def utc_now_text() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="milliseconds")


def reserve(database: Database, reservation: Reservation) -> str:
    """Write the row of an attempt before the call; return its id, a UUID."""
    key = str(uuid.uuid4())
    attempt = AttemptRow(id=key, state="reserved", reservation=reservation, started=utc_now_text())
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
        **{name: getattr(reservation.work, name) for name in Work.__struct_fields__},
        "output": reservation.output,
        "est_input_tokens": reservation.input_tokens,
        "est_output_tokens": reservation.output_tokens,
        "est_cost": reservation.cost,
        "est_seconds": reservation.seconds,
        "est_load_seconds": reservation.load_seconds,
        "cost_high": reservation.cost_high,
        **_bounds("input", reservation.input_range),
        **_bounds("output", reservation.output_range),
        **_bounds("seconds", reservation.seconds_range),
    }
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    with database.writing(later=True) as connection:  # nothing is sent before the next step of this row is on disk
        connection.execute(f"INSERT INTO attempts ({names}) VALUES ({marks})", row)
    return key


def _bounds(name: str, found: Range | None) -> dict[str, float]:
    if found is None or not math.isfinite(found.high):
        return {}
    return {f"est_{name}_low": found.low, f"est_{name}_high": found.high}


def _range(row: sqlite3.Row, name: str) -> Range | None:
    low, high = row[f"est_{name}_low"], row[f"est_{name}_high"]
    return None if low is None or high is None else Range(low=low, high=high)


def move_row(database: Database, key: str, state: AttemptState, outcome: AttemptOutcome | None = None) -> None:
    """Move a row to ``state``; a closing state assigns its sequence number and records its outcome."""
    with database.writing() as connection:
        found = connection.execute("SELECT * FROM attempts WHERE id = ?", (key,)).fetchone()
        if found is None:
            raise WrongState(f"no attempt {key}")
        if found["state"] not in _BEFORE[state]:
            raise WrongState(f"attempt {key} is {found['state']}, it cannot become {state}")
        if state == "sent":
            connection.execute("UPDATE attempts SET state = 'sent' WHERE id = ?", (key,))
        else:
            _close(connection, found, state, outcome or AttemptOutcome(cost=None))


def _close(connection: sqlite3.Connection, row: sqlite3.Row, state: AttemptState, outcome: AttemptOutcome) -> None:
    cost = 0.0 if state == "void" else outcome.cost
    if state == "estimated" and cost is None:
        cost = row["cost_high"]
    closed = AttemptRow(
        id=row["id"], state=state, reservation=_reservation(row), started=row["started"], outcome=outcome
    )
    connection.execute(
        """UPDATE attempts SET state = ?, finished = ?,
           sequence = (SELECT COALESCE(MAX(sequence), 0) + 1 FROM attempts),
           input_tokens = ?, output_tokens = ?, cost = ?, seconds = ?, first_seconds = ?, load_seconds = ?,
           cold = ?, cached = ?, error = ?, provider_id = ?, size_bucket = ?, reasoning_tokens = ?, busy = ?,
           told_image = ?, told_audio = ?, bench = ?, cut = ?
           WHERE id = ?""",
        (
            state, utc_now_text(), outcome.usage.input_tokens, outcome.usage.output_tokens, cost, outcome.seconds,
            outcome.first_seconds, outcome.load_seconds, outcome.load_seconds > 0, outcome.cached, outcome.error,
            outcome.provider_id, closed.size_bucket, outcome.reasoning_tokens, outcome.busy,
            outcome.told_image, outcome.told_audio, outcome.bench, outcome.cut, row["id"],
        ),
    )  # fmt: skip


def recover(database: Database) -> int:
    """Close the rows that dead processes left open, at their upper bound; return the number of rows."""
    with database.reading() as connection:
        if connection is None or not connection.execute(_OPEN).fetchone():
            return 0  # the usual case must not take the write lock
    closed = 0
    with database.writing() as writer:
        for row in writer.execute(_OPEN).fetchall():
            if is_dead(row["process"]):
                _close(writer, row, "estimated", AttemptOutcome(cost=None, error=DIED))
                closed += 1
    return closed


_OPEN = "SELECT * FROM attempts WHERE state IN ('reserved', 'sent')"


def newest(database: Database, limit: int) -> tuple[AttemptRow, ...]:
    """Return the newest rows, newest first."""
    return _select(database, "SELECT * FROM attempts ORDER BY rowid DESC LIMIT ?", limit)


def recent(database: Database, most: int, *, upto: int | None = None) -> tuple[AttemptRow, ...]:
    """Return the newest ``most`` ended rows of each endpoint, in the order in which they ended.

    ``upto``: the highest sequence number to include.
    """
    found = [row for name in endpoints(database) for row in recent_of(database, name, most, upto=upto)]
    return tuple(sorted(found, key=lambda row: row.sequence))


def recent_of(
    database: Database, endpoint: str, most: int, *, upto: int | None = None, pause: Pause = no_pause,
    is_wanted: Callable[[AttemptRow], bool] | None = None, enough: int | None = None,
) -> list[AttemptRow]:  # fmt: skip
    """Return the newest ended rows of one endpoint, in the order in which they ended.

    Reads the newest ``most`` rows; returns those that are ``is_wanted``, at most ``enough``. Reads in slices, so that a
    gateway that does this every few seconds uses little memory.
    """
    found: list[AttemptRow] = []
    enough = most if enough is None else enough
    while most > 0 and len(found) < enough:
        rows = _newest(database, "*", endpoint, min(SLICE, most), upto)
        for row in map(_attempt, rows):
            if len(found) < enough and (is_wanted is None or is_wanted(row)):
                found.append(row)
        if len(rows) < SLICE:
            break
        most, upto = most - len(rows), rows[-1]["sequence"] - 1
        pause()
    return found[::-1]


def failed_attempts(database: Database, endpoint: str, most: int) -> set[tuple[str, str]]:
    """Return run and step of the failed attempts among the newest rows of an endpoint."""
    return {(row["run"], row["step"]) for row in _newest(database, "run, step, error", endpoint, most) if row["error"]}


def _newest(
    database: Database, columns: str, endpoint: str, most: int, upto: int | None = None
) -> Sequence[sqlite3.Row]:
    with database.reading() as connection:
        if connection is None:
            return ()
        found: list[sqlite3.Row] = connection.execute(
            f"SELECT {columns} FROM attempts WHERE endpoint = ? AND sequence <= ? ORDER BY sequence DESC LIMIT ?",
            (endpoint, LAST if upto is None else upto, most),
        ).fetchall()
        return found


def endpoints(database: Database) -> list[str]:
    """Return the endpoints that have rows."""
    with database.reading() as connection:
        return endpoints_of(connection) if connection is not None else []


def endpoints_of(connection: sqlite3.Connection) -> list[str]:
    """Return the endpoints that have rows, using an open connection.

    Walks the index from one endpoint to the next: DISTINCT would scan all of a million rows.
    """
    found: list[str] = []
    (name,) = connection.execute("SELECT MIN(endpoint) FROM attempts").fetchone()
    while name is not None:
        found.append(name)
        (name,) = connection.execute("SELECT MIN(endpoint) FROM attempts WHERE endpoint > ?", (name,)).fetchone()
    return found


LAST = (1 << 63) - 1


def count_ended(database: Database) -> int:
    with database.reading() as connection:
        if connection is None:
            return 0
        found: int = connection.execute("SELECT COALESCE(MAX(sequence), 0) FROM attempts").fetchone()[0]
        return found


# ---- transforms: no attempts, for nothing is spent ----------------------------------------------


def add_transform(database: Database, transform_row: TransformRow) -> None:
    expected = transform_row.expected_range
    with database.writing() as connection:
        connection.execute(
            "INSERT INTO transforms (run, step, op, amount, seconds, expected, expected_low, expected_high, busy,"
            " started) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                transform_row.run, transform_row.step, transform_row.op, transform_row.amount, transform_row.seconds,
                transform_row.expected,
                expected.low if expected else None, expected.high if expected else None, transform_row.busy,
                transform_row.started or utc_now_text(),
            ),
        )  # fmt: skip


def recent_transforms(database: Database, most: int) -> tuple[TransformRow, ...]:
    """Return the newest ``most`` transforms of each op, in the order they were done."""
    with database.reading() as connection:
        if connection is None:
            return ()
        found: list[TransformRow] = []
        for (op,) in connection.execute("SELECT DISTINCT op FROM transforms").fetchall():
            newest_first = "SELECT * FROM transforms WHERE op = ? ORDER BY sequence DESC LIMIT ?"
            found += map(_transform_row, connection.execute(newest_first, (op, most)))
    return tuple(sorted(found, key=lambda row: row.sequence))


def count_transforms(database: Database) -> int:
    with database.reading() as connection:
        if connection is None:
            return 0
        found: int = connection.execute("SELECT COALESCE(MAX(sequence), 0) FROM transforms").fetchone()[0]
        return found


def _transform_row(row: sqlite3.Row) -> TransformRow:
    low, high = row["expected_low"], row["expected_high"]
    return TransformRow(
        op=row["op"], amount=row["amount"], seconds=row["seconds"], run=row["run"], step=row["step"],
        expected=row["expected"], expected_range=None if low is None or high is None else Range(low=low, high=high),
        busy=row["busy"], started=row["started"], sequence=row["sequence"],
    )  # fmt: skip


def _select(database: Database, sql: str, argument: int) -> tuple[AttemptRow, ...]:
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
        work=Work(**{name: row[name] for name in Work.__struct_fields__} | {"text_exact": bool(row["text_exact"])}),
        output=row["output"],
        input_range=_range(row, "input"),
        output_range=_range(row, "output"),
        seconds_range=_range(row, "seconds"),
    )


def _attempt(row: sqlite3.Row) -> AttemptRow:
    outcome = None
    if row["state"] in ("settled", "estimated", "void"):
        outcome = AttemptOutcome(
            usage=Usage(input_tokens=row["input_tokens"], output_tokens=row["output_tokens"]),
            cost=row["cost"],
            seconds=row["seconds"] or 0.0,
            first_seconds=row["first_seconds"],
            load_seconds=row["load_seconds"] or 0.0,
            cached=bool(row["cached"]),
            error=row["error"],
            provider_id=row["provider_id"],
            reasoning_tokens=row["reasoning_tokens"],
            busy=row["busy"],
            told_image=row["told_image"],
            told_audio=row["told_audio"],
            bench=row["bench"],
            cut=bool(row["cut"]),
        )
    return AttemptRow(
        id=row["id"],
        state=row["state"],
        reservation=_reservation(row),
        started=row["started"],
        finished=row["finished"],
        outcome=outcome,
        sequence=row["sequence"] or 0,
    )


# ---- runs -------------------------------------------------------------------------------------------


def start_run(database: Database, row: RunRow) -> None:
    with database.writing(later=True) as connection:
        connection.execute(
            "INSERT INTO runs (id, plan, inputs, endpoint, objective, parts, started, outcome, process)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.id, row.plan, row.inputs, row.endpoint, row.objective,
                msgspec.json.encode(row.parts).decode(), row.started or utc_now_text(), row.outcome, identity(),
            ),
        )  # fmt: skip


def finish_run(database: Database, row: RunRow) -> None:
    with database.writing() as connection:
        connection.execute(
            "UPDATE runs SET finished = ?, outcome = ?, endpoint = ?, cost = ?, seconds = ? WHERE id = ?",
            (row.finished or utc_now_text(), row.outcome, row.endpoint, row.cost, row.seconds, row.id),
        )


def newest_runs(database: Database, limit: int) -> tuple[RunRow, ...]:
    """Return the newest runs, newest first."""
    with database.reading() as connection:
        if connection is None:
            return ()
        columns = ", ".join(RunRow.__struct_fields__)
        rows = connection.execute(f"SELECT {columns} FROM runs ORDER BY rowid DESC LIMIT ?", (limit,)).fetchall()
    return tuple(msgspec.convert({**dict(row), "parts": msgspec.json.decode(row["parts"])}, RunRow) for row in rows)


def recover_runs(database: Database) -> int:
    """Close runs of dead processes; return the number of runs. Takes the write lock only if there are any."""
    with database.reading() as connection:
        if connection is None:
            return 0
        rows = connection.execute("SELECT id, process FROM runs WHERE outcome = 'running'").fetchall()
        before = _of_attempts(connection) if any(not row["process"] for row in rows) else {}
    ended_runs = [row["id"] for row in rows if _has_process_ended(row, before)]
    if not ended_runs:
        return 0
    with database.writing() as connection:
        return connection.executemany(
            "UPDATE runs SET finished = ?, outcome = ? WHERE id = ? AND outcome = 'running'",
            [(utc_now_text(), DIED, key) for key in ended_runs],
        ).rowcount


def _has_process_ended(row: sqlite3.Row, before: Mapping[str, Sequence[str]]) -> bool:
    """Return whether the process of a run has certainly ended.

    Also True for a run of an older version whose attempts were deleted for their age.
    """
    processes = [row["process"]] if row["process"] else before.get(row["id"], [])
    return all(map(is_dead, processes))


def _of_attempts(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """Return the processes of runs by an older version that did not record them, taken from their attempts."""
    found: dict[str, list[str]] = {}
    for run, process in connection.execute(
        "SELECT DISTINCT run, process FROM attempts WHERE run IN"
        " (SELECT id FROM runs WHERE outcome = 'running' AND process = '')"
    ):
        found.setdefault(run, []).append(process)
    return found


# ---- direct mode ------------------------------------------------------------------------------------


_WORK = Work.__struct_fields__


class DirectAttemptRow(msgspec.Struct, frozen=True, eq=False):
    """An ended call. ``started``, ``finished``: seconds since the epoch. ``runs``: its run ended with it.

    ``attempt``: "" for the end of a run whose attempt has been written.
    """

    sort: attempt_journal.AttemptTemplate
    attempt: str
    run: str
    started: float
    finished: float
    state: AttemptState
    outcome: AttemptOutcome
    work: Work | None = None
    runs: bool = True
    ended: str = ""


_RUN = (
    "INSERT OR IGNORE INTO runs"
    " (id, plan, inputs, endpoint, objective, parts, started, finished, outcome, cost, seconds)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
# The columns that all calls of a kind share come first; they are computed once for all rows written together.
_NAMES = (
    "step", "op", "task", "endpoint", "zone", "process", "output", "est_input_tokens", "est_output_tokens", "est_cost",
    "est_seconds", "est_load_seconds", "cost_high", "est_input_low", "est_input_high", "est_output_low",
    "est_output_high", "est_seconds_low", "est_seconds_high",
    "id", "run", "state", "sequence", "started", "finished", "size_bucket", "input_tokens", "output_tokens", "cost",
    "seconds", "first_seconds", "load_seconds", "cold", "cached", "error", "provider_id", "reasoning_tokens", "busy",
    "told_image", "told_audio", "bench", "cut", *_WORK,
)  # fmt: skip
_ATTEMPT = f"INSERT INTO attempts ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))})"
_ONCE = _ATTEMPT.replace("INSERT", "INSERT OR IGNORE", 1)  # another process may insert the same rows concurrently


def add_direct(database: Database, rows: Sequence[DirectAttemptRow], *, insert: str = _ATTEMPT) -> None:
    """Write rows in the order in which they ended."""
    me = identity()
    with database.writing(later=True) as connection:
        number: int = connection.execute("SELECT COALESCE(MAX(sequence), 0) FROM attempts").fetchone()[0]
        moments = [(_moment(row.started), _moment(row.finished)) for row in rows]
        timed = list(zip(rows, moments, strict=True))
        connection.executemany(_RUN, [_run_values(row, when) for row, when in timed if row.runs])
        alike: dict[int, tuple[Any, ...]] = {}
        values: list[tuple[Any, ...]] = []
        for place, (row, when) in enumerate([each for each in timed if each[0].attempt], 1):
            common = alike.get(id(row.sort))
            if common is None:
                common = alike[id(row.sort)] = _common(row.sort.attempt, me)
            values.append((*common, *_attempt_values(row, when, number + place)))
        connection.executemany(insert, values)


def recover_journal(database: Database, folder: Path) -> int:
    """Write the rows of journaled attempts of dead processes, at the upper bound; return the number of rows."""
    recovered = 0
    for path, left in attempt_journal.orphaned_attempts(folder):
        outcome = AttemptOutcome(cost=None, error=DIED)
        rows = [
            DirectAttemptRow(each.sort, each.attempt, each.run, each.started, each.started, "estimated", outcome)
            for each in left
            if not _has_row(database, each.attempt)
        ]
        if rows:
            add_direct(database, rows, insert=_ONCE)
        attempt_journal.remove_journal(path)
        recovered += len(rows)
    return recovered


def _has_row(database: Database, attempt: str) -> bool:
    """Return whether the row of the attempt exists: its process may have died before it cleared the journal."""
    with database.reading() as connection:
        if connection is None:
            return False
        return connection.execute("SELECT 1 FROM attempts WHERE id = ?", (attempt,)).fetchone() is not None


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _moment(seconds: float) -> str:
    """Format a time as stored in rows: ISO 8601, with milliseconds."""
    whole = int(seconds)
    more, rest = divmod(round((seconds - whole) * 1e6), 1_000_000)
    return f"{_second(whole + more)}.{rest // 1000:03d}+00:00"


_parts = lru_cache(maxsize=256)(lambda parts: msgspec.json.encode(parts).decode())


def _run_values(row: DirectAttemptRow, when: tuple[str, str]) -> tuple[Any, ...]:
    run = row.sort.run
    return (
        row.run, run.plan, run.inputs, run.endpoint, run.objective, _parts(run.parts), *when,
        row.ended or row.outcome.error or "finished", _cost(row), round(row.finished - row.started, 3),
    )  # fmt: skip


def _cost(row: DirectAttemptRow) -> float | None:
    if row.state == "void":
        return 0.0
    if row.state == "estimated" and row.outcome.cost is None:
        return row.sort.attempt.cost_high
    return row.outcome.cost


def _common(reservation: Reservation, process: str) -> tuple[Any, ...]:
    return (
        reservation.step, reservation.op, reservation.task, reservation.endpoint, reservation.zone, process,
        reservation.output, reservation.input_tokens,
        reservation.output_tokens, reservation.cost, reservation.seconds, reservation.load_seconds,
        reservation.cost_high, *_started_and_ended(reservation.input_range),
        *_started_and_ended(reservation.output_range), *_started_and_ended(reservation.seconds_range),
    )  # fmt: skip


def _attempt_values(row: DirectAttemptRow, when: tuple[str, str], sequence: int) -> tuple[Any, ...]:
    out, work = row.outcome, row.work or row.sort.attempt.work
    return (
        row.attempt, row.run, row.state, sequence, *when, size_bucket_of(row.sort.attempt, out), out.usage.input_tokens,
        out.usage.output_tokens, _cost(row), out.seconds, out.first_seconds, out.load_seconds, out.load_seconds > 0,
        out.cached, out.error, out.provider_id, out.reasoning_tokens, out.busy, out.told_image, out.told_audio,
        out.bench, out.cut, *astuple(work),
    )  # fmt: skip


def _started_and_ended(found: Range | None) -> tuple[float | None, float | None]:
    return (None, None) if found is None or not math.isfinite(found.high) else (found.low, found.high)
