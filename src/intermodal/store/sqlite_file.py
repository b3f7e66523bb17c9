"""The SQLite file: opening, schema migration, and an error message for each kind of failure.

Write-ahead log, so that readers and one writer do not wait for each other; full synchronisation, because a row written
before money is spent must survive a power failure; owner-only file mode; deleted content is overwritten. All SQL of the
store is parametrised.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from intermodal.errors import StoreError
from intermodal.files.atomic_file import display_path

if TYPE_CHECKING:
    import sqlite3

BUSY_SECONDS = 2.0
CACHED = 512 << 10  # bytes of pages that a connection caches; the system caches the rest
_HAS_SCHEMA = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema'"

# Attempts: the state machine of store/attempts.py. `sequence` numbers rows in the order they ended, so that the first n
# ended rows are always the same: statistics of an epoch never change.
_FIRST = """
CREATE TABLE schema (version INTEGER NOT NULL);
CREATE TABLE attempts (
    id TEXT PRIMARY KEY,
    run TEXT NOT NULL, step TEXT NOT NULL, op TEXT NOT NULL, task TEXT NOT NULL,
    endpoint TEXT NOT NULL, zone TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'sent', 'settled', 'estimated', 'void')),
    process TEXT NOT NULL, sequence INTEGER UNIQUE,
    started TEXT NOT NULL, finished TEXT NOT NULL DEFAULT '',
    size_bucket INTEGER NOT NULL, audio_seconds REAL NOT NULL, megapixels REAL NOT NULL, pages INTEGER NOT NULL,
    est_input_tokens REAL, est_output_tokens REAL, est_cost REAL, est_seconds REAL, est_load_seconds REAL,
    cost_high REAL NOT NULL,
    input_tokens INTEGER, output_tokens INTEGER, cost REAL,
    seconds REAL, first_seconds REAL, load_seconds REAL,
    cold INTEGER NOT NULL DEFAULT 0, cached INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '', provider_id TEXT NOT NULL DEFAULT ''
);
CREATE INDEX attempts_open ON attempts (state) WHERE state IN ('reserved', 'sent');
CREATE TABLE runs (
    id TEXT PRIMARY KEY, plan TEXT NOT NULL, inputs TEXT NOT NULL, endpoint TEXT NOT NULL, objective TEXT NOT NULL,
    parts TEXT NOT NULL, started TEXT NOT NULL, finished TEXT NOT NULL DEFAULT '', outcome TEXT NOT NULL,
    cost REAL, seconds REAL
);
CREATE TABLE conversation (
    one INTEGER PRIMARY KEY CHECK (one = 1), messages BLOB NOT NULL, endpoint TEXT NOT NULL, updated TEXT NOT NULL
);
"""
# The changes of each version. A new store is version 1 plus all of these; an older one gets those it lacks. Columns are
# only added, never changed: they are null in rows of older versions.
_CHANGES: dict[int, str] = {
    1: _FIRST,
    2: """
ALTER TABLE attempts ADD COLUMN characters INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN pictures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN letters REAL NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN output TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN est_input_low REAL;
ALTER TABLE attempts ADD COLUMN est_input_high REAL;
ALTER TABLE attempts ADD COLUMN est_output_low REAL;
ALTER TABLE attempts ADD COLUMN est_output_high REAL;
ALTER TABLE attempts ADD COLUMN est_seconds_low REAL;
ALTER TABLE attempts ADD COLUMN est_seconds_high REAL;
ALTER TABLE attempts ADD COLUMN reasoning_tokens INTEGER;
ALTER TABLE attempts ADD COLUMN busy REAL;
CREATE INDEX attempts_ended ON attempts (endpoint, sequence);
CREATE TABLE transforms (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, step TEXT NOT NULL, op TEXT NOT NULL,
    amount REAL NOT NULL, seconds REAL NOT NULL, expected REAL, expected_low REAL, expected_high REAL, busy REAL,
    started TEXT NOT NULL
);
CREATE TABLE epochs (
    number INTEGER PRIMARY KEY, ended INTEGER NOT NULL, made INTEGER NOT NULL, looked INTEGER NOT NULL,
    statistics BLOB NOT NULL, written TEXT NOT NULL
);
""",
    3: """
ALTER TABLE attempts ADD COLUMN text_tokens REAL NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN text_exact INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN image_tokens REAL NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN audio_tokens REAL NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN told_image INTEGER;
ALTER TABLE attempts ADD COLUMN told_audio INTEGER;
""",
    4: """
ALTER TABLE attempts ADD COLUMN bench TEXT NOT NULL DEFAULT '';
""",
    5: """
CREATE TABLE sums (
    day TEXT NOT NULL, endpoint TEXT NOT NULL, op TEXT NOT NULL,
    attempts INTEGER NOT NULL, failed INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    pico INTEGER NOT NULL, vast REAL NOT NULL, micros INTEGER NOT NULL,
    compared INTEGER NOT NULL, input_estimated INTEGER NOT NULL, input_counted INTEGER NOT NULL,
    output_estimated INTEGER NOT NULL, output_counted INTEGER NOT NULL,
    pico_estimated INTEGER NOT NULL, pico_billed INTEGER NOT NULL,
    PRIMARY KEY (day, endpoint, op)
) WITHOUT ROWID;
CREATE TABLE summed (one INTEGER PRIMARY KEY CHECK (one = 1), sequence INTEGER NOT NULL);
INSERT INTO summed VALUES (1, 0);
CREATE TABLE run_sums (
    day TEXT NOT NULL, endpoint TEXT NOT NULL, outcome TEXT NOT NULL, runs INTEGER NOT NULL,
    PRIMARY KEY (day, endpoint, outcome)
) WITHOUT ROWID;
""",
    6: """
ALTER TABLE runs ADD COLUMN process TEXT NOT NULL DEFAULT '';
CREATE INDEX runs_open ON runs (outcome) WHERE outcome = 'running';
""",
    7: """
ALTER TABLE attempts ADD COLUMN cut INTEGER NOT NULL DEFAULT 0;
""",
    8: """
ALTER TABLE attempts ADD COLUMN denoised REAL NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN made REAL NOT NULL DEFAULT 0;
""",
    9: """
ALTER TABLE sums ADD COLUMN input_unreported INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sums ADD COLUMN output_unreported INTEGER NOT NULL DEFAULT 0;
""",
}
SCHEMA_VERSION = max(_CHANGES)


class Database:
    """One connection, used under a lock, opened by the first call that needs it.

    Reading a store that does not exist finds nothing and creates nothing; the first write creates it. Raises StoreError
    for a file that cannot be opened, read or written.

    Args:
        changes: the schema: what each version adds to the one before it.
        busy: seconds to wait for another process's lock.
        remedy: what to do about a file that is damaged or of another program.
    """

    def __init__(
        self, path: Path, *, changes: Mapping[int, str] = MappingProxyType(_CHANGES), busy: float = BUSY_SECONDS,
        remedy: str = "move the file away and run again: a new one is made",
    ) -> None:  # fmt: skip
        self.path = path
        self._changes = changes
        self._busy = busy
        self._remedy = remedy
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._later = False  # how the connection commits now

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """Yield the connection, or None if there is no store yet."""
        with self._lock, self._store_errors():
            if self._connection is None and not self.path.exists():
                yield None
            else:
                yield self._open()

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection | None]:
        """Yield the connection as ``reading`` does, in one read transaction, so that all reads see the same state."""
        with self.reading() as connection:
            if connection is None or connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")

    @contextmanager
    def writing(self, *, later: bool = False) -> Iterator[sqlite3.Connection]:
        """Yield the connection inside one transaction: committed at the end, rolled back on any error.

        ``later``: do not sync. The commit survives the end of this process, but a power failure only after the next
        commit without ``later``. A nested block is part of the outer transaction.
        """
        with self._lock, self._store_errors():
            connection = self._open()
            if connection.in_transaction:
                yield connection
                return
            if later != self._later:
                connection.execute(f"PRAGMA synchronous={'NORMAL' if later else 'FULL'}")
                self._later = later
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def check(self) -> None:
        """Raise StoreError if a write would fail; create nothing."""
        import os

        if os.path.lexists(self.path):
            with self.writing():
                return
        folder = next(parent for parent in self.path.absolute().parents if os.path.lexists(parent))
        if not folder.is_dir():
            raise self._error(f"cannot be made: {display_path(folder)} is not a folder", _NO_FOLDER)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise self._error(f"cannot be made: {display_path(folder)} is not writable", _WRITABLE)

    def ready(self) -> None:
        """Open the file unless it is already open. Raises StoreError; costs nothing after the first call."""
        if self._connection is None:
            with self.writing(later=True):
                pass

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        import os
        import sqlite3

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Created before SQLite opens it: its log files inherit the mode of the database. An existing file is opened
            # by SQLite only: closing any descriptor of a file drops all locks of this process on it (POSIX), and then
            # another process would consider itself the last user and remove the log that is in use.
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            if self.path.is_dir() or not os.access(self.path, os.W_OK):
                raise PermissionError(0, "not a file that can be written")
        except OSError as error:
            raise self._error(
                f"cannot be opened for writing ({error.strerror or type(error).__name__})", _WRITABLE
            ) from None
        connection = sqlite3.connect(self.path, timeout=self._busy, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            for pragma in (
                "journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "foreign_keys=ON",
                f"cache_size=-{CACHED >> 10}",
            ):  # fmt: skip
                connection.execute(f"PRAGMA {pragma}")
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        self._connection, self._later = connection, False
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Migrate the file to the current schema in one transaction, so that other processes see all or nothing."""
        found, newest = self._version(connection), max(self._changes)
        if found < newest:
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._migrate_schema(connection, self._version(connection))  # another process may have been first
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        elif found > newest:
            raise self._error(
                f"was written by a newer intermodal (store version {found}, this one knows {newest})",
                "upgrade with: pip install -U intermodal",
            )

    def _version(self, connection: sqlite3.Connection) -> int:
        """Return the schema version, 0 for an empty file."""
        if not connection.execute(_HAS_SCHEMA).fetchone():
            return 0
        found: int = connection.execute("SELECT version FROM schema").fetchone()[0]
        return found

    def _migrate_schema(self, connection: sqlite3.Connection, found: int) -> None:
        newest = max(self._changes)
        for version in range(found + 1, newest + 1):
            for statement in _statements(self._changes[version]):
                connection.execute(statement)
        connection.execute("DELETE FROM schema")
        connection.execute("INSERT INTO schema VALUES (?)", (newest,))

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        import sqlite3

        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            what, todo = _FAILURES.get(code, (f"cannot be used ({error.__class__.__name__})", ""))
            raise self._error(what, todo or self._remedy) from None

    def _error(self, what: str, todo: str) -> StoreError:
        return StoreError(what, where=display_path(self.path), todo=todo)


def _statements(script: str) -> Iterator[str]:
    """Yield statements one by one; a trigger contains semicolons of its own."""
    import sqlite3

    statement = ""
    for piece in script.split(";"):
        statement += f"{piece};"
        if piece.strip() and sqlite3.complete_statement(statement):
            yield statement
            statement = ""


_NO_FOLDER = "move that file away, or choose another place with INTERMODAL_HOME"
_WRITABLE = "make its folder writable, or choose another with INTERMODAL_HOME"
# The failure and the remedy ("" for the file's own remedy) by SQLite's primary result codes:
# https://www.sqlite.org/rescode.html
_FAILURES: dict[int, tuple[str, str]] = {
    5: ("is locked by another process", "wait for it to finish, or end it"),
    6: ("is locked by another process", "wait for it to finish, or end it"),
    8: ("cannot be written", _WRITABLE),
    10: ("cannot be read or written (disk error)", "see whether its disk is full or failing"),
    11: ("is damaged", ""),
    13: ("cannot be written: the disk is full", "free some space"),
    14: ("cannot be opened", _WRITABLE),
    26: ("is not a database", ""),
}
