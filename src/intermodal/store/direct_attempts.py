"""Rows of calls in direct mode: written when they ended, many in one statement.

They equal the rows of ``attempts.py``. A call under way when its process died is in the journal
(``attempt_journal.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import astuple

from intermodal.events import AttemptState
from intermodal.store import attempt_journal
from intermodal.store.attempts import DIED
from intermodal.store.process_identity import identity
from intermodal.store.rows import AttemptOutcome, Range, Reservation, Work, size_bucket_of

if TYPE_CHECKING:
    from intermodal.store.sqlite_file import Database

_WORK = Work.__struct_fields__


class DirectAttemptRow(msgspec.Struct, frozen=True, eq=False):
    """A call that ended. ``started``, ``finished``: seconds since the epoch. ``runs``: its run ended with it."""

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
# First what all calls of a kind have in common, which is worked out once for all that are written together.
_NAMES = (
    "step", "op", "task", "endpoint", "zone", "process", "output", "est_input_tokens", "est_output_tokens", "est_cost",
    "est_seconds", "est_load_seconds", "cost_high", "est_input_low", "est_input_high", "est_output_low",
    "est_output_high", "est_seconds_low", "est_seconds_high",
    "id", "run", "state", "sequence", "started", "finished", "size_bucket", "input_tokens", "output_tokens", "cost",
    "seconds", "first_seconds", "load_seconds", "cold", "cached", "error", "provider_id", "reasoning_tokens", "busy",
    "told_image", "told_audio", "bench", "cut", *_WORK,
)  # fmt: skip
_ATTEMPT = f"INSERT INTO attempts ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))})"
_ONCE = _ATTEMPT.replace("INSERT", "INSERT OR IGNORE", 1)  # another process may make the same rows right now


def add(database: Database, rows: Sequence[DirectAttemptRow], *, insert: str = _ATTEMPT) -> None:
    """Write rows in the order they ended."""
    me = identity()
    with database.writing(later=True) as connection:
        number: int = connection.execute("SELECT COALESCE(MAX(sequence), 0) FROM attempts").fetchone()[0]
        moments = [(_moment(row.started), _moment(row.finished)) for row in rows]
        timed = list(zip(rows, moments, strict=True))
        connection.executemany(_RUN, [_run(row, when) for row, when in timed if row.runs])
        alike: dict[int, tuple[Any, ...]] = {}
        values: list[tuple[Any, ...]] = []
        for place, (row, when) in enumerate(timed, 1):
            common = alike.get(id(row.sort))
            if common is None:
                common = alike[id(row.sort)] = _common(row.sort.attempt, me)
            values.append((*common, *_own(row, when, number + place)))
        connection.executemany(insert, values)


def recover(database: Database, folder: Path) -> int:
    """Write the rows of journaled attempts of dead processes, at the upper bound; return their number."""
    made = 0
    for path, left in attempt_journal.orphaned_attempts(folder):
        outcome = AttemptOutcome(cost=None, error=DIED)
        rows = [
            DirectAttemptRow(each.sort, each.attempt, each.run, each.started, each.started, "estimated", outcome)
            for each in left
            if not _known(database, each.attempt)
        ]
        if rows:
            add(database, rows, insert=_ONCE)
        attempt_journal.remove(path)
        made += len(rows)
    return made


def _known(database: Database, attempt: str) -> bool:
    """Its row was written, and its process died before it could wipe the slate."""
    with database.reading() as connection:
        if connection is None:
            return False
        return connection.execute("SELECT 1 FROM attempts WHERE id = ?", (attempt,)).fetchone() is not None


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _moment(seconds: float) -> str:
    """As ``attempts.py`` writes it: ISO 8601, in milliseconds."""
    whole = int(seconds)
    more, rest = divmod(round((seconds - whole) * 1e6), 1_000_000)
    return f"{_second(whole + more)}.{rest // 1000:03d}+00:00"


_parts = lru_cache(maxsize=256)(lambda parts: msgspec.json.encode(parts).decode())


def _run(row: DirectAttemptRow, when: tuple[str, str]) -> tuple[Any, ...]:
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


def _common(made: Reservation, process: str) -> tuple[Any, ...]:
    return (
        made.step, made.op, made.task, made.endpoint, made.zone, process, made.output, made.input_tokens,
        made.output_tokens, made.cost, made.seconds, made.load_seconds, made.cost_high, *_ends(made.input_range),
        *_ends(made.output_range), *_ends(made.seconds_range),
    )  # fmt: skip


def _own(row: DirectAttemptRow, when: tuple[str, str], sequence: int) -> tuple[Any, ...]:
    out, work = row.outcome, row.work or row.sort.attempt.work
    return (
        row.attempt, row.run, row.state, sequence, *when, size_bucket_of(row.sort.attempt, out), out.usage.input_tokens,
        out.usage.output_tokens, _cost(row), out.seconds, out.first_seconds, out.load_seconds, out.load_seconds > 0,
        out.cached, out.error, out.provider_id, out.reasoning_tokens, out.busy, out.told_image, out.told_audio,
        out.bench, out.cut, *astuple(work),
    )  # fmt: skip


def _ends(found: Range | None) -> tuple[float | None, float | None]:
    return (None, None) if found is None or not math.isfinite(found.high) else (found.low, found.high)
