"""The shared quota store in one SQLite file, for the workers of one machine.

Drawing a lease waits for the disk, reporting does not: after a power loss the lease is still there and counts whole.
Every transaction takes the write lock first, so that no two workers read the same remainder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from intermodal.errors import StoreError
from intermodal.gateway.quotas import idempotency, key_rows, token_buckets
from intermodal.gateway.quotas import lease_journal as journals
from intermodal.gateway.quotas.budget_periods import period_at
from intermodal.gateway.quotas.database_schema import CHANGES
from intermodal.gateway.quotas.key_generation import new_id
from intermodal.gateway.quotas.quota_store import (
    AccountSpending,
    FirstUse,
    IdempotencyConflict,
    IdempotentRequest,
    LeaseGrant,
    LeaseHolder,
    LeaseReport,
    LeaseRequest,
    StoredReply,
)
from intermodal.gateway.quotas.quota_types import Account, Period, VirtualKey
from intermodal.store.process_identity import identity, is_dead
from intermodal.store.sqlite_file import Database, shown

if TYPE_CHECKING:
    import sqlite3

FILE = "gateway.sqlite3"
SILENT_SECONDS = 600.0  # without a sign of life; workers give one a minute
# How many days hourly and daily spending is kept; months and totals are few, and stay.
SPENDING_RETENTION_DAYS: Mapping[Period, int] = {"hour": 35, "day": 400}
PRUNE_ROUNDS = 100  # rounds of deleting old replies; each is a transaction, so that no request waits for all of them
BUSY_SECONDS = 5.0  # workers write in turn; SQLite's waiting is not fair
_OUT = "taken - spent - returned"  # of a lease: drawn and not settled


class SqliteQuotaStore:
    """The ``QuotaStore`` in ``path``; journals of the workers lie beside it.

    Args:
        process: identity of this process, as in ``store/process_identity.py``. gone: whether such a process certainly
        ended. clock: seconds since the epoch.
    """

    def __init__(
        self,
        path: Path,
        *,
        process: str = "",
        gone: Callable[[str], bool] = is_dead,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self._database = Database(path, changes=CHANGES, busy=BUSY_SECONDS)
        self._reader = Database(path, changes=CHANGES, busy=BUSY_SECONDS)  # reading waits for no transaction of ours
        self._process = process or identity()
        self._gone = gone
        self._clock = clock

    # ---- keys ---------------------------------------------------------------------------------

    def version(self) -> int:
        with self._reader.reading() as connection:
            return key_rows.version(connection) if connection is not None else 0

    def every_key(self) -> tuple[VirtualKey, ...]:
        with self._reader.reading() as connection:
            return key_rows.all_keys(connection) if connection is not None else ()

    def add(self, key: VirtualKey) -> None:
        with self._database.writing() as connection:
            key_rows.add(connection, key)

    def change(self, key: str, edit: Callable[[VirtualKey], VirtualKey]) -> VirtualKey:
        with self._database.writing() as connection:
            return key_rows.update(connection, key, edit)

    def revoke(self, key: str, now: float) -> None:
        with self._database.writing() as connection:
            key_rows.revoke(connection, key, now)

    def spent(self) -> tuple[AccountSpending, ...]:
        with self._reader.reading() as connection:
            if connection is None:
                return ()
            rows = connection.execute(
                f"SELECT account, start, spent, unknown, (SELECT MAX(COALESCE(SUM({_OUT}), 0), 0) FROM leases"
                " WHERE leases.account = spending.account AND leases.start = spending.start) AS held FROM spending"
            ).fetchall()
        return tuple(AccountSpending(**dict(row)) for row in rows)

    def prune(self) -> int:
        now, gone = self._clock(), 0
        with self._database.writing(later=True) as connection:
            for period, days in SPENDING_RETENTION_DAYS.items():
                gone += connection.execute(
                    "DELETE FROM spending WHERE account LIKE ? AND start < ? AND NOT EXISTS (SELECT 1 FROM leases"
                    " WHERE leases.account = spending.account AND leases.start = spending.start)",
                    (f"%/{period}", period_at(period, now - 86400 * days)[0]),
                ).rowcount
        for _ in range(PRUNE_ROUNDS):
            with self._database.writing(later=True) as connection:
                dropped = idempotency.prune_expired(connection, now)
            gone += dropped
            if not dropped:
                break
        return gone

    # ---- workers ------------------------------------------------------------------------------

    def enter(self) -> LeaseHolder:
        worker = new_id()
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO workers (id, process, seen) VALUES (?, ?, ?)", (worker, self._process, self._clock())
            )
        return LeaseHolder(id=worker, journal=self._journal(worker))

    def leave(self, worker: str) -> None:
        with self._database.writing() as connection:
            idempotency.mark_lost(connection, worker)
            connection.execute("DELETE FROM leases WHERE worker = ?", (worker,))
            connection.execute("DELETE FROM workers WHERE id = ?", (worker,))

    def recover(self) -> int:
        with self._database.reading() as connection:
            known = connection.execute("SELECT * FROM workers").fetchall() if connection is not None else []
        ended = [row["id"] for row in known if self._ended(row["process"], row["seen"])]  # takes no lock
        if not ended:
            return 0
        charged = []
        with self._database.writing() as connection:
            for worker in ended:
                if not connection.execute("DELETE FROM workers WHERE id = ?", (worker,)).rowcount:
                    continue  # another worker was first
                _charge(connection, worker, journals.read_journal(self._journal(worker)))
                idempotency.mark_lost(connection, worker)
                charged.append(worker)
        for worker in charged:
            with suppress(OSError):  # it does no harm if it stays
                for left in self._journal(worker).parent.glob(f"{worker}.*"):
                    left.unlink(missing_ok=True)
        return len(charged)

    def _ended(self, process: str, seen: float) -> bool:
        """Return True if a process ended. One of another host or container is judged by its silence."""
        if self._gone(process):
            return True
        return process.split("/")[0] != self._process.split("/")[0] and self._clock() - seen > SILENT_SECONDS

    def _journal(self, worker: str) -> Path:
        # A journal of before the machine last started is not believed: its last pages may never have reached the disk.
        boot = self._boot()
        return self.path.parent / "gateway-journals" / f"{worker}.{boot}"

    def _boot(self) -> str:
        return self._process.split("/")[1] if self._process.count("/") >= 2 else "0"

    # ---- budgets and buckets ------------------------------------------------------------------

    def take(self, worker: str, wants: Sequence[LeaseRequest], now: float) -> tuple[LeaseGrant, ...]:
        durable = any(want.account.limit is not None and want.account.period for want in wants)
        with self._database.writing(later=not durable) as connection:
            self._heard(connection, worker)
            return tuple(_draw(connection, worker, want, now) for want in wants)

    def write(self, worker: str, lines: Sequence[LeaseReport], now: float) -> tuple[int, ...]:
        with self._database.writing(later=True) as connection:
            self._heard(connection, worker)
            return tuple(_write(connection, worker, line, now) for line in lines)

    def _heard(self, connection: sqlite3.Connection, worker: str) -> None:
        """Record a sign of life. Raises StoreError if this worker was declared dead and charged."""
        if not connection.execute("UPDATE workers SET seen = ? WHERE id = ?", (self._clock(), worker)).rowcount:
            raise StoreError("this worker was silent for too long and was declared dead", where=shown(self.path),
                             todo="start it again")  # fmt: skip

    # ---- idempotency --------------------------------------------------------------------------

    def ask(self, worker: str, asked: IdempotentRequest, now: float) -> FirstUse | StoredReply | IdempotencyConflict:
        with self._database.writing() as connection:
            return idempotency.begin(connection, worker, asked, now)

    def finish(self, row: int, reply: StoredReply, now: float) -> None:
        with self._database.writing() as connection:
            idempotency.finish(connection, row, reply, now)

    def forget(self, row: int) -> None:
        with self._database.writing(later=True) as connection:
            idempotency.forget(connection, row)

    def abandon(self, row: int) -> None:
        with self._database.writing(later=True) as connection:
            idempotency.abandon(connection, row)

    def close(self) -> None:
        self._database.close()
        self._reader.close()


def _draw(connection: sqlite3.Connection, worker: str, want: LeaseRequest, now: float) -> LeaseGrant:
    if not want.account.period:
        return token_buckets.draw(connection, worker, want, now)
    account, start = want.account, want.start
    connection.execute("INSERT OR IGNORE INTO spending (account, start) VALUES (?, ?)", (account.id, start))
    spent, left, idle = _balance(connection, account, start, worker)
    amount = min(want.need, left) if left < want.need else want.need + min(want.wish, (left - want.need) // 4)
    amount = max(amount, 0)
    connection.execute(
        "INSERT INTO leases (worker, account, start, slot, taken, idle) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET taken = taken + excluded.taken, idle = idle + excluded.idle, slot = excluded.slot",
        (worker, account.id, start, want.slot, amount, amount),
    )
    return LeaseGrant(amount=amount, left=left - amount, idle=idle, spent=spent)


def _balance(connection: sqlite3.Connection, account: Account, start: str, worker: str) -> tuple[int, int, int]:
    """Return the amount spent by all workers, the amount undrawn, and the amount idle in other workers."""
    row = connection.execute(
        "SELECT spent FROM spending WHERE account = ? AND start = ?", (account.id, start)
    ).fetchone()
    out, idle = connection.execute(
        f"SELECT COALESCE(SUM({_OUT}), 0), COALESCE(SUM(CASE WHEN worker = ? THEN 0 ELSE idle END), 0)"
        " FROM leases WHERE account = ? AND start = ?",
        (worker, account.id, start),
    ).fetchone()
    spent = row["spent"] if row is not None else 0
    limit = account.limit if account.limit is not None else UNLIMITED
    return spent, limit - spent - out, idle


UNLIMITED = 1 << 62


def _write(connection: sqlite3.Connection, worker: str, line: LeaseReport, now: float) -> int:
    account = line.account
    if not account.period:
        return token_buckets.give_back(connection, worker, line, now)
    key = (worker, account.id, line.start)
    row = connection.execute(
        "SELECT spent, unknown FROM leases WHERE worker = ? AND account = ? AND start = ?", key
    ).fetchone()
    if row is None:  # written before, and over
        return _balance(connection, account, line.start, worker)[1]
    connection.execute(
        "UPDATE spending SET spent = spent + ?, unknown = unknown + ? WHERE account = ? AND start = ?",
        (line.spent - row["spent"], line.unknown - row["unknown"], account.id, line.start),
    )
    if line.over:
        connection.execute("DELETE FROM leases WHERE worker = ? AND account = ? AND start = ?", key)
    else:
        connection.execute(
            "UPDATE leases SET spent = ?, unknown = ?, returned = ?, idle = ?"
            " WHERE worker = ? AND account = ? AND start = ?",
            (line.spent, line.unknown, line.returned, line.idle, *key),
        )
    return _balance(connection, account, line.start, worker)[1]


def _charge(connection: sqlite3.Connection, worker: str, numbers: memoryview | None) -> None:
    """Settle a dead worker's leases by its journal; without one, everything it had drawn."""
    for row in connection.execute("SELECT * FROM leases WHERE worker = ?", (worker,)).fetchall():
        if numbers is None or row["slot"] < 0:
            spent = unknown = max(row["taken"] - row["spent"] - row["returned"], 0)
        else:
            settled, held, untold = numbers[3 * row["slot"] : 3 * row["slot"] + 3]
            spent = settled - row["spent"] + held
            unknown = untold - row["unknown"] + held
        connection.execute(
            "UPDATE spending SET spent = spent + ?, unknown = unknown + ? WHERE account = ? AND start = ?",
            (spent, unknown, row["account"], row["start"]),
        )
    connection.execute("DELETE FROM leases WHERE worker = ?", (worker,))
