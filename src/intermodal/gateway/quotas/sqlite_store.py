"""The quota store in one SQLite file, which the workers of one machine share. It decides how much each lease gets.

A draw on a budget with a limit waits until it is on disk, a report does not: a power loss may lose reports, and then
the whole lease counts as spent. Every writing transaction takes the write lock first, so that no two workers draw the
same remainder.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from intermodal.errors import StoreError, UsageError
from intermodal.files.atomic_file import display_path
from intermodal.gateway.quotas import idempotency, token_buckets
from intermodal.gateway.quotas import lease_journal as journals
from intermodal.gateway.quotas.authentication import new_id
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
from intermodal.gateway.quotas.quota_types import Account, Period, VirtualKey, period_at
from intermodal.store.process_identity import identity, is_dead
from intermodal.store.sqlite_file import Database

# Tables of the gateway's file, as migrations from version to version, like ``store/sqlite_file.py``.
#
# keys: the secret's hash, never the secret. spending: the amount that an account spent in a period, over all workers;
# ``unknown`` is the part that is an upper bound. leases: the amounts that a worker has drawn, as totals since the lease
# began; for a rate limit only its idle amount. workers: processes that draw, and when each last reported (seconds since
# the epoch). buckets: level of a token bucket at an instant. answers: replies stored under idempotency keys;
# answers_kept: their total bytes, maintained by triggers whichever version writes to the file.


CHANGES: dict[int, str] = {
    1: """
CREATE TABLE schema (version INTEGER NOT NULL);
CREATE TABLE keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, digest BLOB NOT NULL UNIQUE, row BLOB NOT NULL, revoked REAL
);
CREATE UNIQUE INDEX keys_named ON keys (name) WHERE revoked IS NULL;
CREATE TABLE keys_version (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL);
INSERT INTO keys_version VALUES (1, 0);
CREATE TABLE spending (
    account TEXT NOT NULL, start TEXT NOT NULL, spent INTEGER NOT NULL DEFAULT 0, unknown INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, start)
) WITHOUT ROWID;
CREATE TABLE workers (id TEXT PRIMARY KEY, process TEXT NOT NULL);
CREATE TABLE leases (
    worker TEXT NOT NULL, account TEXT NOT NULL, start TEXT NOT NULL, slot INTEGER NOT NULL,
    taken INTEGER NOT NULL, spent INTEGER NOT NULL DEFAULT 0, unknown INTEGER NOT NULL DEFAULT 0,
    returned INTEGER NOT NULL DEFAULT 0, idle INTEGER NOT NULL,
    PRIMARY KEY (account, start, worker)
) WITHOUT ROWID;
CREATE TABLE buckets (name TEXT PRIMARY KEY, level REAL NOT NULL, updated REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE answers (
    row INTEGER PRIMARY KEY, owner TEXT NOT NULL, name BLOB NOT NULL, digest BLOB NOT NULL, worker TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'long', 'lost')), expires REAL NOT NULL,
    status INTEGER NOT NULL DEFAULT 0, content_type TEXT NOT NULL DEFAULT '', body BLOB NOT NULL DEFAULT x'',
    UNIQUE (owner, name)
);
CREATE INDEX answers_expire ON answers (expires);
""",
    2: "ALTER TABLE workers ADD COLUMN seen REAL NOT NULL DEFAULT 0;",
    3: """
CREATE TABLE answers_kept (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL);
INSERT INTO answers_kept SELECT 1, COALESCE(SUM(LENGTH(body)), 0) FROM answers;
CREATE TRIGGER answers_come AFTER INSERT ON answers BEGIN
    UPDATE answers_kept SET bytes = bytes + LENGTH(NEW.body);
END;
CREATE TRIGGER answers_change AFTER UPDATE OF body ON answers BEGIN
    UPDATE answers_kept SET bytes = bytes - LENGTH(OLD.body) + LENGTH(NEW.body);
END;
CREATE TRIGGER answers_go AFTER DELETE ON answers BEGIN
    UPDATE answers_kept SET bytes = bytes - LENGTH(OLD.body);
END;
CREATE INDEX answers_oldest ON answers (expires) WHERE state = 'done' AND LENGTH(body) > 0;
""",
    4: "ALTER TABLE answers ADD COLUMN headers TEXT NOT NULL DEFAULT '';",
}


# Rows of virtual keys. They are never deleted: a gateway that once had keys does not become open again.


def version(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("SELECT number FROM keys_version").fetchone()[0]
    return number


def _all_keys(connection: sqlite3.Connection) -> tuple[VirtualKey, ...]:
    """Return all keys in order of creation."""
    rows = connection.execute("SELECT row, digest, revoked FROM keys ORDER BY rowid").fetchall()
    return tuple(
        msgspec.structs.replace(
            msgspec.json.decode(row["row"], type=VirtualKey), digest=row["digest"], revoked=row["revoked"]
        )
        for row in rows
    )


def add(connection: sqlite3.Connection, key: VirtualKey) -> None:
    """Add a key. Raises UsageError if an active key has that name."""
    body = msgspec.json.encode(msgspec.structs.replace(key, digest=b"", revoked=None))
    if connection.execute("SELECT 1 FROM keys WHERE name = ? AND revoked IS NULL", (key.name,)).fetchone():
        raise UsageError(
            f"there is a key {key.name!r} already",
            where="keys create",
            todo=f"take another name, or: intermodal keys revoke {key.name}",
        )
    connection.execute("INSERT INTO keys (id, name, digest, row) VALUES (?, ?, ?, ?)",
                       (key.id, key.name, key.digest, body))  # fmt: skip
    connection.execute("UPDATE keys_version SET number = number + 1")


def _update(connection: sqlite3.Connection, key: str, edit: Callable[[VirtualKey], VirtualKey]) -> VirtualKey:
    """Edit a key and return it. Raises UsageError if it was revoked meanwhile."""
    found = next((each for each in _all_keys(connection) if each.id == key and each.revoked is None), None)
    if found is None:
        raise UsageError("the key is revoked", where="keys set", todo="see: intermodal keys list")
    edited = edit(found)
    edited_key = msgspec.structs.replace(edited, id=found.id, name=found.name, digest=found.digest, start=found.start)
    body = msgspec.json.encode(msgspec.structs.replace(edited_key, digest=b"", revoked=None))
    connection.execute("UPDATE keys SET row = ? WHERE id = ?", (body, key))
    connection.execute("UPDATE keys_version SET number = number + 1")
    return edited_key


def revoke(connection: sqlite3.Connection, key: str, now: float) -> None:
    connection.execute("UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", (now, key))
    connection.execute("UPDATE keys_version SET number = number + 1")


FILE = "gateway.sqlite3"
_SILENT_SECONDS = (
    600.0  # a worker of another host is dead after this time without a sign of life; workers give one a minute
)

# Days for which hourly and daily spending is kept; months and totals are few and are not deleted.
_SPENDING_RETENTION_DAYS: Mapping[Period, int] = {"hour": 35, "day": 400}
PRUNE_ROUNDS = 100  # transactions in which old replies are deleted: one large transaction would delay requests
BUSY_SECONDS = 5.0  # how long a transaction waits for the write lock
_OUT = "taken - spent - returned"  # SQL: the amount of a lease that is drawn and not settled


class SqliteQuotaStore:
    """The ``QuotaStore`` in the file ``path``. The journals of the workers are in a folder beside it.

    Args:
        process: the identity of this process, as in ``store/process_identity.py``.
        is_gone: tells whether a process of a given identity certainly ended.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        path: Path,
        *,
        process: str = "",
        is_gone: Callable[[str], bool] = is_dead,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self._database = Database(path, changes=CHANGES, busy=BUSY_SECONDS)
        self._reader = Database(
            path, changes=CHANGES, busy=BUSY_SECONDS
        )  # a second connection: reads do not wait for a write of this process
        self._process = process or identity()
        self._is_gone = is_gone
        self._clock = clock

    # ---- keys ---------------------------------------------------------------------------------

    def version(self) -> int:
        with self._reader.reading() as connection:
            return version(connection) if connection is not None else 0

    def every_key(self) -> tuple[VirtualKey, ...]:
        with self._reader.reading() as connection:
            return _all_keys(connection) if connection is not None else ()

    def add(self, key: VirtualKey) -> None:
        with self._database.writing() as connection:
            add(connection, key)

    def change(self, key: str, edit: Callable[[VirtualKey], VirtualKey]) -> VirtualKey:
        with self._database.writing() as connection:
            return _update(connection, key, edit)

    def revoke(self, key: str, now: float) -> None:
        with self._database.writing() as connection:
            revoke(connection, key, now)

    def spending(self) -> tuple[AccountSpending, ...]:
        with self._reader.reading() as connection:
            if connection is None:
                return ()
            rows = connection.execute(
                f"SELECT account, start, spent, unknown, (SELECT MAX(COALESCE(SUM({_OUT}), 0), 0) FROM leases"
                " WHERE leases.account = spending.account AND leases.start = spending.start) AS held FROM spending"
            ).fetchall()
        return tuple(AccountSpending(**dict(row)) for row in rows)

    def prune(self) -> int:
        now, deleted = self._clock(), 0
        with self._database.writing(later=True) as connection:
            for period, days in _SPENDING_RETENTION_DAYS.items():
                deleted += connection.execute(
                    "DELETE FROM spending WHERE account LIKE ? AND start < ? AND NOT EXISTS (SELECT 1 FROM leases"
                    " WHERE leases.account = spending.account AND leases.start = spending.start)",
                    (f"%/{period}", period_at(period, now - 86400 * days)[0]),
                ).rowcount
        for _ in range(PRUNE_ROUNDS):
            with self._database.writing(later=True) as connection:
                dropped = idempotency.prune_expired(connection, now)
            deleted += dropped
            if not dropped:
                break
        return deleted

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
        ended = [
            row["id"] for row in known if self._is_process_ended(row["process"], row["seen"])
        ]  # before the write lock is taken
        if not ended:
            return 0
        charged = []
        with self._database.writing() as connection:
            for worker in ended:
                if not connection.execute("DELETE FROM workers WHERE id = ?", (worker,)).rowcount:
                    continue  # another worker was first
                _charge_dead_worker(connection, worker, journals.read_journal(self._journal(worker)))
                idempotency.mark_lost(connection, worker)
                charged.append(worker)
        for worker in charged:
            with suppress(OSError):  # a leftover journal does no harm
                for left in self._journal(worker).parent.glob(f"{worker}.*"):
                    left.unlink(missing_ok=True)
        return len(charged)

    def _is_process_ended(self, process: str, last_seen: float) -> bool:
        """Return True if a process ended. A process of another host or container counts as ended if it is silent."""
        if self._is_gone(process):
            return True
        return process.split("/")[0] != self._process.split("/")[0] and self._clock() - last_seen > _SILENT_SECONDS

    def _journal(self, worker: str) -> Path:
        # The boot id in the name keeps journals from before a restart of the machine from being read: after a power
        # loss their last pages may be missing.
        boot = self._boot()
        return self.path.parent / "gateway-journals" / f"{worker}.{boot}"

    def _boot(self) -> str:
        return self._process.split("/")[1] if self._process.count("/") >= 2 else "0"

    # ---- budgets and buckets ------------------------------------------------------------------

    def take(self, worker: str, wants: Sequence[LeaseRequest], now: float) -> tuple[LeaseGrant, ...]:
        durable = any(want.account.limit is not None and want.account.period for want in wants)
        with self._database.writing(later=not durable) as connection:
            self._record_sign_of_life(connection, worker)
            return tuple(_draw_lease(connection, worker, want, now) for want in wants)

    def write(self, worker: str, reports: Sequence[LeaseReport], now: float) -> tuple[int, ...]:
        with self._database.writing(later=True) as connection:
            self._record_sign_of_life(connection, worker)
            return tuple(_write_report(connection, worker, report, now) for report in reports)

    def _record_sign_of_life(self, connection: sqlite3.Connection, worker: str) -> None:
        """Record a sign of life. Raises StoreError if this worker was declared dead and charged."""
        if not connection.execute("UPDATE workers SET seen = ? WHERE id = ?", (self._clock(), worker)).rowcount:
            raise StoreError("this worker was silent for too long and was declared dead", where=display_path(self.path),
                             todo="start it again")  # fmt: skip

    # ---- idempotency --------------------------------------------------------------------------

    def begin_idempotent(
        self, worker: str, request: IdempotentRequest, now: float
    ) -> FirstUse | StoredReply | IdempotencyConflict:
        with self._database.writing() as connection:
            return idempotency.begin(connection, worker, request, now)

    def finish(self, row: int, reply: StoredReply, now: float) -> None:
        with self._database.writing() as connection:
            idempotency.finish(connection, row, reply, now)

    def free_idempotency_key(self, row: int) -> None:
        with self._database.writing(later=True) as connection:
            idempotency.free_key(connection, row)

    def abandon(self, row: int) -> None:
        with self._database.writing(later=True) as connection:
            idempotency.abandon(connection, row)

    def close(self) -> None:
        self._database.close()
        self._reader.close()


def _draw_lease(connection: sqlite3.Connection, worker: str, want: LeaseRequest, now: float) -> LeaseGrant:
    if not want.account.period:
        return token_buckets.draw(connection, worker, want, now)
    account, start = want.account, want.start
    connection.execute("INSERT OR IGNORE INTO spending (account, start) VALUES (?, ?)", (account.id, start))
    spent, left, idle = _balance(connection, account, start, worker)
    amount = min(want.need, left) if left < want.need else want.need + min(want.extra, (left - want.need) // 4)
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
    limit = account.limit if account.limit is not None else _NO_LIMIT
    return spent, limit - spent - out, idle


_NO_LIMIT = 1 << 62


def _write_report(connection: sqlite3.Connection, worker: str, report: LeaseReport, now: float) -> int:
    account = report.account
    if not account.period:
        return token_buckets.give_back(connection, worker, report, now)
    key = (worker, account.id, report.start)
    row = connection.execute(
        "SELECT spent, unknown FROM leases WHERE worker = ? AND account = ? AND start = ?", key
    ).fetchone()
    if row is None:  # the last report of this lease was already written
        return _balance(connection, account, report.start, worker)[1]
    connection.execute(
        "UPDATE spending SET spent = spent + ?, unknown = unknown + ? WHERE account = ? AND start = ?",
        (report.spent - row["spent"], report.unknown - row["unknown"], account.id, report.start),
    )
    if report.over:
        connection.execute("DELETE FROM leases WHERE worker = ? AND account = ? AND start = ?", key)
    else:
        connection.execute(
            "UPDATE leases SET spent = ?, unknown = ?, returned = ?, idle = ?"
            " WHERE worker = ? AND account = ? AND start = ?",
            (report.spent, report.unknown, report.returned, report.idle, *key),
        )
    return _balance(connection, account, report.start, worker)[1]


def _charge_dead_worker(connection: sqlite3.Connection, worker: str, numbers: memoryview | None) -> None:
    """Charge a dead worker's leases by its journal; without a journal, charge everything it had drawn."""
    for row in connection.execute("SELECT * FROM leases WHERE worker = ?", (worker,)).fetchall():
        if numbers is None or row["slot"] < 0:
            spent = unknown = max(row["taken"] - row["spent"] - row["returned"], 0)
        else:
            settled, held, unreported = numbers[3 * row["slot"] : 3 * row["slot"] + 3]
            spent = settled - row["spent"] + held
            unknown = unreported - row["unknown"] + held
        connection.execute(
            "UPDATE spending SET spent = spent + ?, unknown = unknown + ? WHERE account = ? AND start = ?",
            (spent, unknown, row["account"], row["start"]),
        )
    connection.execute("DELETE FROM leases WHERE worker = ?", (worker,))
