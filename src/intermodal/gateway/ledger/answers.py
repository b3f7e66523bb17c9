"""Replies kept for ``Idempotency-Key``: the same key and the same body is one call, however often it is sent.

What a client sent twice while the first was running, or whose worker died, is refused rather than sent again: whether
the first call was made, and paid, is not known then. Bounded in bytes, in number and in time. The name is kept as a
hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intermodal.gateway.ledger.books import Asked, Clash, Fresh, Replay
from intermodal.gateway.ledger.minting import digest

if TYPE_CHECKING:
    import sqlite3

KEPT_SECONDS = 24 * 3600.0
LONGEST = 1 << 20  # bytes of a reply that is kept
MOST = 10_000  # of one key
FORGOTTEN = 20  # that are past, at each request
MOST_BYTES = 256 << 20  # of all


def ask(connection: sqlite3.Connection, worker: str, asked: Asked, now: float) -> Fresh | Replay | Clash:
    name = digest(asked.name)
    connection.execute(  # others go a few at a time: a day's worth of them would hold up every request
        "DELETE FROM answers WHERE expires <= ? AND state <> 'running' AND (owner = ? AND name = ? OR row IN"
        " (SELECT row FROM answers WHERE expires <= ? AND state <> 'running' ORDER BY expires LIMIT ?))",
        (now, asked.owner, name, now, FORGOTTEN),
    )
    found = connection.execute("SELECT * FROM answers WHERE owner = ? AND name = ?", (asked.owner, name)).fetchone()
    if found is not None:
        if found["digest"] != asked.digest:
            return "other"
        if found["state"] == "done":
            return Replay(
                status=found["status"], content_type=found["content_type"], body=found["body"], headers=found["headers"]
            )
        state: Clash = found["state"]
        return state
    kept = "SELECT COUNT(*) FROM answers WHERE owner = ? AND (expires > ? OR state = 'running')"
    if connection.execute(kept, (asked.owner, now)).fetchone()[0] >= MOST:
        return "full"
    row = connection.execute(
        "INSERT INTO answers (owner, name, digest, worker, state, expires) VALUES (?, ?, ?, ?, 'running', ?)",
        (asked.owner, name, asked.digest, worker, now + KEPT_SECONDS),
    ).lastrowid
    assert row is not None
    return Fresh(row=row)


def drop(connection: sqlite3.Connection, now: float) -> int:
    """Forget some of what is past, where nobody asks; returns how many."""
    return connection.execute(
        "DELETE FROM answers WHERE row IN (SELECT row FROM answers WHERE expires <= ? AND state <> 'running'"
        " ORDER BY expires LIMIT ?)", (now, FORGOTTEN),
    ).rowcount  # fmt: skip


def finish(connection: sqlite3.Connection, row: int, reply: Replay, now: float) -> None:
    """Keep the reply; one that is too long is remembered as such, and the oldest make room."""
    long = len(reply.body) > LONGEST
    connection.execute(
        "UPDATE answers SET state = ?, status = ?, content_type = ?, headers = ?, body = ?, expires = ? WHERE row = ?",
        ("long" if long else "done", reply.status, reply.content_type, reply.headers, b"" if long else reply.body,
         now + KEPT_SECONDS, row),
    )  # fmt: skip
    while connection.execute("SELECT bytes FROM answers_kept").fetchone()[0] > MOST_BYTES:
        connection.execute(
            "UPDATE answers SET state = 'long', body = x'' WHERE row ="
            " (SELECT row FROM answers WHERE state = 'done' AND LENGTH(body) > 0 ORDER BY expires LIMIT 1)"
        )


def forget(connection: sqlite3.Connection, row: int) -> None:
    """Nothing was carried out: the key may be used again."""
    connection.execute("DELETE FROM answers WHERE row = ? AND state = 'running'", (row,))


def abandon(connection: sqlite3.Connection, row: int) -> None:
    """It was sent, and nobody knows how it ended: the client left, the server stopped."""
    connection.execute("UPDATE answers SET state = 'lost' WHERE row = ? AND state = 'running'", (row,))


def lose(connection: sqlite3.Connection, worker: str) -> None:
    """The worker ended: what became of its calls is not known."""
    connection.execute("UPDATE answers SET state = 'lost' WHERE worker = ? AND state = 'running'", (worker,))
