"""Totals of ended rows by day, endpoint and operation, for ``intermodal usage`` after the rows are deleted.

Ended rows are numbered in the order they ended and never change, so one number tells which of them are rolled up: all
up to it, each once. Totals and that number are written in one transaction. Rows up to it may be deleted at any time
without changing a total (``pruning.py``).

Money is summed in whole picodollars (1e-12 USD), each row rounded once, whether it is read from its row or was rolled
up before: so a total is the same to the last digit whatever was deleted meanwhile. Seconds are whole microseconds,
estimates whole thousandths of a token.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from intermodal.store.attempts import DIED

if TYPE_CHECKING:
    import sqlite3

    from intermodal.store.sqlite_file import Database

PICO = 1e12  # picodollars in a dollar
STEP = 5000  # rows that are added up in one transaction
_VAST = "1e6"  # USD: an impossible cost is not counted in picodollars, of which 64 bits hold nine million USD
_SPENT = "COALESCE(cost, cost_high)"
# Rows that inform estimates: ``figures.counts``, where input tokens were estimated and reported.
_COMPARED = (
    "state = 'settled' AND error = '' AND NOT cached AND bench <> 'crowded'"
    " AND COALESCE(input_tokens, 0) > 0 AND COALESCE(est_input_tokens, 0) <> 0"
)


def _whole(value: str, times: str) -> str:
    return f"CAST(ROUND({value} * {times}) AS INTEGER)"


_COLUMNS: dict[str, str] = {
    "attempts": "1",
    "failed": "error <> ''",
    "input_tokens": "COALESCE(input_tokens, 0)",
    "output_tokens": "COALESCE(output_tokens, 0)",
    "pico": f"CASE WHEN {_SPENT} < {_VAST} THEN {_whole(_SPENT, '1e12')} ELSE 0 END",
    "vast": f"CASE WHEN {_SPENT} < {_VAST} THEN 0.0 ELSE {_SPENT} END",
    "micros": _whole("COALESCE(seconds, 0)", "1e6"),
    "compared": f"({_COMPARED})",
    "input_estimated": f"CASE WHEN {_COMPARED} THEN {_whole('est_input_tokens', '1e3')} ELSE 0 END",
    "input_counted": f"CASE WHEN {_COMPARED} THEN input_tokens ELSE 0 END",
    "output_estimated": f"CASE WHEN {_COMPARED} THEN {_whole('COALESCE(est_output_tokens, 0)', '1e3')} ELSE 0 END",
    "output_counted": f"CASE WHEN {_COMPARED} THEN COALESCE(output_tokens, 0) ELSE 0 END",
    "pico_estimated": f"CASE WHEN {_COMPARED} AND est_cost < {_VAST} THEN {_whole('est_cost', '1e12')} ELSE 0 END",
    "pico_billed": f"CASE WHEN {_COMPARED} AND cost < {_VAST} THEN {_whole('cost', '1e12')} ELSE 0 END",
}
_OF_ROWS = ", ".join(f"SUM({expression}) AS {name}" for name, expression in _COLUMNS.items())
_OF_SUMS = ", ".join(f"SUM({name}) AS {name}" for name in _COLUMNS)
_OPEN = "state IN ('reserved', 'sent')"  # in the words of the index
_RUNS = (
    "SELECT COALESCE(SUM(runs), 0), COALESCE(SUM(runs * (outcome = 'running')), 0),"
    " COALESCE(SUM(runs * (outcome = ?)), 0)"
    " FROM (SELECT outcome, 1 AS runs FROM runs UNION ALL SELECT outcome, runs FROM run_sums)"
)


class EndpointTotal(NamedTuple):
    """Of one endpoint, in the units of this module."""

    endpoint: str
    attempts: int
    failed: int
    input_tokens: int
    output_tokens: int
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

    def plus(self, other: EndpointTotal) -> EndpointTotal:
        return EndpointTotal._make((self.endpoint, *(one + two for one, two in zip(self[1:], other[1:], strict=True))))

    @property
    def cost(self) -> float:
        """USD."""
        return self.pico / PICO + self.vast


class UsageTotals(NamedTuple):
    """All there ever was. ``endpoints`` by name; ``kept``: attempts that still have a row."""

    endpoints: tuple[EndpointTotal, ...] = ()
    runs: int = 0
    running: int = 0
    interrupted: int = 0
    open: int = 0
    kept: int = 0


def totals(database: Database) -> UsageTotals:
    """Return the totals, and the rows not yet added, as of one moment."""
    with database.snapshot() as connection:
        if connection is None:
            return UsageTotals()
        upto = rolled_up_to(connection)
        found: dict[str, EndpointTotal] = {}
        for row in _totals(connection, upto):
            found[row.endpoint] = found[row.endpoint].plus(row) if row.endpoint in found else row
        runs, running, interrupted = connection.execute(_RUNS, (DIED,)).fetchone()
        kept, open_ = connection.execute(
            f"SELECT (SELECT COUNT(*) FROM attempts), (SELECT COUNT(*) FROM attempts WHERE {_OPEN})"
        ).fetchone()
    return UsageTotals(tuple(found[name] for name in sorted(found)), runs, running, interrupted, open_, kept)


def _totals(connection: sqlite3.Connection, upto: int) -> Iterator[EndpointTotal]:
    selects = (
        f"SELECT endpoint, {_OF_SUMS} FROM sums GROUP BY endpoint",
        f"SELECT endpoint, {_OF_ROWS} FROM attempts WHERE sequence > {upto:d} GROUP BY endpoint",
        f"SELECT endpoint, {_OF_ROWS} FROM attempts WHERE {_OPEN} GROUP BY endpoint",
    )
    for select in selects:
        for row in connection.execute(select):
            yield EndpointTotal(*row)


def rolled_up_to(connection: sqlite3.Connection) -> int:
    """The number up to which ended rows are in the sums."""
    found: int = connection.execute("SELECT sequence FROM summed").fetchone()[0]
    return found


def roll_up(database: Database) -> int:
    """Take the next ended rows into the sums; returns how many numbers that were, 0 where there is nothing left.

    They are read without the write lock, which is held for a moment at the end; if another process was first, its
    result counts.
    """
    with database.snapshot() as connection:
        if connection is None:
            return 0
        since = rolled_up_to(connection)
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
        if rolled_up_to(connection) == since:
            connection.executemany(_ADD, map(tuple, groups))
            connection.execute("UPDATE summed SET sequence = ?", (upto,))
    return int(upto - since)


_ADD = (
    f"INSERT INTO sums (day, endpoint, op, {', '.join(_COLUMNS)}) VALUES (?, ?, ?{', ?' * len(_COLUMNS)})"
    f" ON CONFLICT DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in _COLUMNS)}"
)
