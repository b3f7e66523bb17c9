"""Token buckets for rate limits, shared by the workers: a bucket holds one minute's worth and refills evenly.

In any span of t seconds at most ``limit * (1 + t / 60)`` pass. Workers draw a few tokens at a time, as from a budget,
so most requests need no transaction; idle tokens are given back when they are scarce. The number of idle tokens is
recorded with the leases, so that a request that they would satisfy waits a moment for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intermodal.gateway.quotas.quota_store import LeaseGrant, LeaseReport, LeaseRequest
from intermodal.gateway.quotas.quota_types import Account

if TYPE_CHECKING:
    import sqlite3


def draw(connection: sqlite3.Connection, worker: str, want: LeaseRequest, now: float) -> LeaseGrant:
    level, since = _level(connection, want.account, now)
    left = int(level)
    amount = min(want.need, left) if left < want.need else want.need + min(want.extra, (left - want.need) // 4)
    amount = max(amount, 0)
    _set(connection, want.account, level - amount, since)
    connection.execute(
        "INSERT INTO leases (worker, account, start, slot, taken, idle) VALUES (?, ?, '', -1, 0, ?)"
        " ON CONFLICT DO UPDATE SET idle = idle + excluded.idle",
        (worker, want.account.id, amount),
    )
    (idle,) = connection.execute(
        "SELECT COALESCE(SUM(idle), 0) FROM leases WHERE account = ? AND start = '' AND worker <> ?",
        (want.account.id, worker),
    ).fetchone()
    return LeaseGrant(amount=amount, left=left - amount, idle=idle)


def give_back(connection: sqlite3.Connection, worker: str, report: LeaseReport, now: float) -> int:
    """Return ``report.returned`` to the bucket. It is not a running total: a lost report is made up for by time."""
    level, since = _level(connection, report.account, now)
    level = min(level + report.returned, float(report.account.limit or 0))
    _set(connection, report.account, level, since)
    key = (worker, report.account.id)
    if report.over:
        connection.execute("DELETE FROM leases WHERE worker = ? AND account = ? AND start = ''", key)
    else:
        connection.execute(
            "UPDATE leases SET idle = ? WHERE worker = ? AND account = ? AND start = ''", (report.idle, *key)
        )
    return int(level)


def _level(connection: sqlite3.Connection, account: Account, now: float) -> tuple[float, float]:
    """Return the current level and the time to store with it. A clock that was set back refills nothing."""
    full = float(account.limit or 0)
    row = connection.execute("SELECT level, updated FROM buckets WHERE name = ?", (account.id,)).fetchone()
    if row is None:
        return full, now
    if now < row["updated"] - 60:  # the clock was set back by more than a bucket's window: it counts from here
        return min(row["level"], full), now
    elapsed = max(now - row["updated"], 0.0)
    return min(row["level"] + elapsed * full / 60, full), max(now, row["updated"])


def _set(connection: sqlite3.Connection, account: Account, level: float, since: float) -> None:
    connection.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?, ?)", (account.id, level, since))
