"""Replies stored for ``Idempotency-Key``: the same key with the same body is one call, however often it is sent.

A retry that arrives while the first call runs, or after its worker died, is refused: whether that call was made, and
paid, is unknown. Storage is bounded in bytes, number and time. The key is stored as a hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intermodal.gateway.quotas.authentication import digest
from intermodal.gateway.quotas.quota_store import FirstUse, IdempotencyConflict, IdempotentRequest, StoredReply

if TYPE_CHECKING:
    import sqlite3

RETENTION_SECONDS = 24 * 3600.0
MAX_STORED_BYTES = 1 << 20  # bytes of the largest stored reply
MAX_PER_KEY = 10_000  # stored replies of one key
PRUNE_BATCH = 20  # expired replies deleted with each request
MAX_TOTAL_BYTES = 256 << 20  # bytes of all stored replies


def begin(
    connection: sqlite3.Connection, worker: str, request: IdempotentRequest, now: float
) -> FirstUse | StoredReply | IdempotencyConflict:
    """Register a request under its key; return its stored reply or a conflict if it is not the first."""
    name = digest(request.name)
    connection.execute(  # the rest a few at a time: deleting a day's rows at once would delay every request
        "DELETE FROM answers WHERE expires <= ? AND state <> 'running' AND (owner = ? AND name = ? OR row IN"
        " (SELECT row FROM answers WHERE expires <= ? AND state <> 'running' ORDER BY expires LIMIT ?))",
        (now, request.owner, name, now, PRUNE_BATCH),
    )
    found = connection.execute("SELECT * FROM answers WHERE owner = ? AND name = ?", (request.owner, name)).fetchone()
    if found is not None:
        if found["digest"] != request.digest:
            return "other"
        if found["state"] == "done":
            return StoredReply(
                status=found["status"], content_type=found["content_type"], body=found["body"], headers=found["headers"]
            )
        state: IdempotencyConflict = found["state"]
        return state
    count_sql = "SELECT COUNT(*) FROM answers WHERE owner = ? AND (expires > ? OR state = 'running')"
    if connection.execute(count_sql, (request.owner, now)).fetchone()[0] >= MAX_PER_KEY:
        return "full"
    row = connection.execute(
        "INSERT INTO answers (owner, name, digest, worker, state, expires) VALUES (?, ?, ?, ?, 'running', ?)",
        (request.owner, name, request.digest, worker, now + RETENTION_SECONDS),
    ).lastrowid
    assert row is not None
    return FirstUse(row=row)


def prune_expired(connection: sqlite3.Connection, now: float) -> int:
    """Delete some expired rows; return their number."""
    return connection.execute(
        "DELETE FROM answers WHERE row IN (SELECT row FROM answers WHERE expires <= ? AND state <> 'running'"
        " ORDER BY expires LIMIT ?)", (now, PRUNE_BATCH),
    ).rowcount  # fmt: skip


def finish(connection: sqlite3.Connection, row: int, reply: StoredReply, now: float) -> None:
    """Store the reply. A reply that is too long is only marked as such; the oldest replies make room."""
    long = len(reply.body) > MAX_STORED_BYTES
    connection.execute(
        "UPDATE answers SET state = ?, status = ?, content_type = ?, headers = ?, body = ?, expires = ? WHERE row = ?",
        ("long" if long else "done", reply.status, reply.content_type, reply.headers, b"" if long else reply.body,
         now + RETENTION_SECONDS, row),
    )  # fmt: skip
    while connection.execute("SELECT bytes FROM answers_kept").fetchone()[0] > MAX_TOTAL_BYTES:
        connection.execute(
            "UPDATE answers SET state = 'long', body = x'' WHERE row ="
            " (SELECT row FROM answers WHERE state = 'done' AND LENGTH(body) > 0 ORDER BY expires LIMIT 1)"
        )


def free_key(connection: sqlite3.Connection, row: int) -> None:
    """Free the idempotency key because nothing was carried out."""
    connection.execute("DELETE FROM answers WHERE row = ? AND state = 'running'", (row,))


def abandon(connection: sqlite3.Connection, row: int) -> None:
    """Mark a call as lost: it was sent, and its result is unknown because the client left or the server stopped."""
    connection.execute("UPDATE answers SET state = 'lost' WHERE row = ? AND state = 'running'", (row,))


def mark_lost(connection: sqlite3.Connection, worker: str) -> None:
    """Mark all running calls of a worker that ended as lost."""
    connection.execute("UPDATE answers SET state = 'lost' WHERE worker = ? AND state = 'running'", (worker,))
