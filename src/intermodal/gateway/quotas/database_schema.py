"""Tables of the gateway's file, as changes from version to version, like ``store/sqlite_file.py``.

keys: the secret's hash, never the secret. spending: the amount that an account spent in a period, over all workers;
``unknown`` is the part that counts at an upper bound. leases: the amounts that a worker has drawn, as sums since the
lease began; of a rate limit only its idle amount. workers: processes that draw, and when each last reported (seconds
since the epoch). buckets: level of a token bucket at an instant. answers: replies stored under idempotency keys;
answers_kept: their total bytes, maintained by triggers whichever version writes to the file.
"""

from __future__ import annotations

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
