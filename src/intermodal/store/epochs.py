"""Epochs: the statistics that plans use, changed seldom and only for a reason.

Every ``EPOCH_ROWS`` ended rows the figures are worked out again, by the process that wrote the last of them; in a large
store every eighth of its rows, as one row among hundreds changes little (``due``). Only when a figure changed
materially do they become the next epoch, which is stored; planning reads the newest epoch and never writes. So two
plans with a run or two between them are the same bytes, and an epoch does not depend on the version of the arithmetic
that reads it. Before there is a first epoch, a row numbered 0 records how many rows were examined, or a store in which
all attempts failed would be read for every plan.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from intermodal.content import Value
from intermodal.plans.statistics import Statistics
from intermodal.quantity import Quantity
from intermodal.store import attempts, learned_figures
from intermodal.store.rows import AttemptRow, Pause, no_pause

if TYPE_CHECKING:
    from intermodal.store.sqlite_file import Database

_MID_MOVED = math.log(1.1)  # a figure that is 10 % off the one in use
_RANGE_MOVED = math.log(1.5)  # a range whose ends are this far off: plans compare limits with them


class Epoch(Value, frozen=True):
    """One epoch: ``statistics`` of the first ``ended`` attempts and ``made`` transforms.

    ``looked`` is how many rows there were when the figures were last worked out, changed or not.
    """

    statistics: Statistics = Statistics()
    ended: int = 0
    made: int = 0
    looked: int = 0

    @property
    def number(self) -> int:
        return self.statistics.epoch


def newest(database: Database) -> Epoch:
    """Return the epoch that plans are made with; number 0 before there is one, or where another version wrote it."""
    return _read(database, "SELECT * FROM epochs ORDER BY number DESC LIMIT 1")


def oldest(database: Database) -> Epoch:
    """Return the first epoch: rows up to it were planned with nothing learned."""
    return _read(database, "SELECT * FROM epochs WHERE number > 0 ORDER BY number LIMIT 1")


def learn(database: Database, *, at_once: bool = False, pause: Pause = no_pause) -> None:
    """Work the figures out again where enough (``at_once``: anything) happened; begin an epoch where they changed.

    In slices, with a ``pause`` after each, in which the store may be written to. No lock is held while they are
    computed, and the result need not reach the disk before anything else happens: it can be computed again.
    """
    ended, made = attempts.count_ended(database), attempts.count_made(database)
    last = newest(database)
    if ended + made - last.looked < (1 if at_once else due(last.looked)):
        return
    endpoints = attempts.endpoints(database)
    failed: set[tuple[str, str]] = set()
    for endpoint in endpoints:
        failed |= attempts.failed_of(database, endpoint, learned_figures.READ)
        pause()
    transforms = attempts.recent_made(database, learned_figures.WINDOW)
    pause()

    def wanted(row: AttemptRow) -> bool:
        return learned_figures.informs(row, failed)

    def rows_of(endpoint: str) -> list[AttemptRow]:
        return attempts.recent_of(
            database, endpoint, learned_figures.READ, upto=ended, pause=pause, wanted=wanted,
            enough=learned_figures.WINDOW,
        )  # fmt: skip

    found = learned_figures.of_endpoints(last.number + 1, endpoints, rows_of, failed, transforms, pause)
    begin, looked = "INSERT OR IGNORE INTO epochs VALUES (?, ?, ?, ?, ?, ?)", ended + made
    with database.writing(later=True) as connection:
        if moved(last.statistics, found):
            row = (found.epoch, ended, made, looked, msgspec.json.encode(found), attempts.now())
            connection.execute(begin, row)
        elif not connection.execute("UPDATE epochs SET looked = ? WHERE number = ?", (looked, last.number)).rowcount:
            connection.execute(begin, (0, 0, 0, looked, msgspec.json.encode(Statistics()), attempts.now()))


def due(looked: int) -> int:
    """Return rows after which it is time to look again: no more than a window of them, so that each is looked at."""
    return max(learned_figures.EPOCH_ROWS, min(looked // 8, learned_figures.WINDOW))


def moved(before: Statistics, after: Statistics) -> bool:
    """Return whether any figure has changed: new, gone, or off by more than the tolerance."""
    if before.rows.keys() != after.rows.keys():
        return True
    return any(_moved(quantity, after.rows[name]) for name, quantity in before.rows.items())


def _moved(before: Quantity, after: Quantity) -> bool:
    return (
        _apart(before.mid, after.mid) > _MID_MOVED
        or _apart(before.low, after.low) > _RANGE_MOVED
        or _apart(before.high, after.high) > _RANGE_MOVED
    )


def _apart(one: float, other: float) -> float:
    return abs(math.log(one / other)) if one > 0 and other > 0 else (0.0 if one == other else math.inf)


def _read(database: Database, sql: str) -> Epoch:
    with database.reading() as connection:
        row = connection.execute(sql).fetchone() if connection is not None else None
    if row is None:
        return Epoch()
    try:
        statistics = msgspec.json.decode(row["statistics"], type=Statistics)
    except msgspec.DecodeError:
        statistics = Statistics()
    return Epoch(
        statistics=msgspec.structs.replace(statistics, epoch=row["number"]),
        ended=row["ended"], made=row["made"], looked=row["looked"],
    )  # fmt: skip
