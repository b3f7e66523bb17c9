"""Epochs: the statistics that plans use, which change rarely and only for a reason.

After every ``EPOCH_ROWS`` ended rows, the process that wrote the last of them recomputes the statistics; in a large
store after an eighth of its rows, as one row among hundreds changes little (``rows_until_update``). Only if a value
changed materially do they become the next epoch, which is stored; planning reads the newest epoch and never writes. So
two plans with a run or two between them are identical byte for byte, and an epoch does not depend on the version of the
code that reads it. Before the first epoch, a row numbered 0 records how many rows were examined; otherwise a store in
which all attempts failed would be read for every plan.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from intermodal.core.content import Value
from intermodal.core.quantity import Quantity
from intermodal.plans.statistics import Statistics
from intermodal.store import attempts, learned_figures
from intermodal.store.rows import AttemptRow, Pause, no_pause

if TYPE_CHECKING:
    from intermodal.store.sqlite_file import Database

_MID_MOVED = math.log(1.1)  # a figure that is 10 % off the one in use
_RANGE_MOVED = math.log(1.5)  # a range whose ends are this far off: plans compare limits with them


class Epoch(Value, frozen=True):
    """One epoch: the statistics of the first ``ended`` attempts and ``made`` transforms.

    ``looked``: number of rows when the statistics were last computed, whether they changed or not.
    """

    statistics: Statistics = Statistics()
    ended: int = 0
    made: int = 0
    looked: int = 0

    @property
    def number(self) -> int:
        return self.statistics.epoch


def newest(database: Database) -> Epoch:
    """Return the epoch that plans use; number 0 if there is none, or if another version wrote it."""
    return _read_epoch(database, "SELECT * FROM epochs ORDER BY number DESC LIMIT 1")


def oldest(database: Database) -> Epoch:
    """Return the first epoch: rows before it were planned without learned statistics."""
    return _read_epoch(database, "SELECT * FROM epochs WHERE number > 0 ORDER BY number LIMIT 1")


def learn(database: Database, *, at_once: bool = False, pause: Pause = no_pause) -> None:
    """Recompute the statistics if enough rows were added (``at_once``: any), and start an epoch if they changed.

    Works in slices, with a ``pause`` after each, in which the store may be written. No lock is held during the
    computation, and the result need not be synced to disk: it can be computed again.
    """
    ended, made_count = attempts.count_ended(database), attempts.count_transforms(database)
    last = newest(database)
    if ended + made_count - last.looked < (1 if at_once else rows_until_update(last.looked)):
        return
    endpoints = attempts.endpoints(database)
    failed: set[tuple[str, str]] = set()
    for endpoint in endpoints:
        failed |= attempts.failed_attempts(database, endpoint, learned_figures.READ)
        pause()
    transforms = attempts.recent_transforms(database, learned_figures.WINDOW)
    pause()

    def is_informative(row: AttemptRow) -> bool:
        return learned_figures.informs(row, failed)

    def rows_of(endpoint: str) -> list[AttemptRow]:
        return attempts.recent_of(
            database, endpoint, learned_figures.READ, upto=ended, pause=pause, is_wanted=is_informative,
            enough=learned_figures.WINDOW,
        )  # fmt: skip

    found = learned_figures.of_endpoints(last.number + 1, endpoints, rows_of, failed, transforms, pause)
    begin, looked = "INSERT OR IGNORE INTO epochs VALUES (?, ?, ?, ?, ?, ?)", ended + made_count
    with database.writing(later=True) as connection:
        if has_changed(last.statistics, found):
            row = (found.epoch, ended, made_count, looked, msgspec.json.encode(found), attempts.utc_now_text())
            connection.execute(begin, row)
        elif not connection.execute("UPDATE epochs SET looked = ? WHERE number = ?", (looked, last.number)).rowcount:
            connection.execute(begin, (0, 0, 0, looked, msgspec.json.encode(Statistics()), attempts.utc_now_text()))


def rows_until_update(looked: int) -> int:
    """Return the number of new rows after which to recompute: at most a window, so that every row is examined."""
    return max(learned_figures.EPOCH_ROWS, min(looked // 8, learned_figures.WINDOW))


def has_changed(before: Statistics, after: Statistics) -> bool:
    """Return whether any value has changed: added, removed, or off by more than the tolerance."""
    if before.rows.keys() != after.rows.keys():
        return True
    return any(_has_moved(quantity, after.rows[name]) for name, quantity in before.rows.items())


def _has_moved(before: Quantity, after: Quantity) -> bool:
    return (
        _log_difference(before.mid, after.mid) > _MID_MOVED
        or _log_difference(before.low, after.low) > _RANGE_MOVED
        or _log_difference(before.high, after.high) > _RANGE_MOVED
    )


def _log_difference(one: float, other: float) -> float:
    return abs(math.log(one / other)) if one > 0 and other > 0 else (0.0 if one == other else math.inf)


def _read_epoch(database: Database, sql: str) -> Epoch:
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
