"""Rows of virtual keys. They are never deleted: a gateway that once had keys does not become open again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import msgspec

from intermodal.errors import UsageError
from intermodal.gateway.quotas.quota_types import VirtualKey


def version(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("SELECT number FROM keys_version").fetchone()[0]
    return number


def all_keys(connection: sqlite3.Connection) -> tuple[VirtualKey, ...]:
    """Return all keys in the order in which they were made."""
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


def update(connection: sqlite3.Connection, key: str, edit: Callable[[VirtualKey], VirtualKey]) -> VirtualKey:
    """Edit a key and return it. Raises UsageError if it was revoked meanwhile."""
    found = next((each for each in all_keys(connection) if each.id == key and each.revoked is None), None)
    if found is None:
        raise UsageError("the key is revoked", where="keys set", todo="see: intermodal keys list")
    edited = edit(found)
    made = msgspec.structs.replace(edited, id=found.id, name=found.name, digest=found.digest, start=found.start)
    body = msgspec.json.encode(msgspec.structs.replace(made, digest=b"", revoked=None))
    connection.execute("UPDATE keys SET row = ? WHERE id = ?", (body, key))
    connection.execute("UPDATE keys_version SET number = number + 1")
    return made


def revoke(connection: sqlite3.Connection, key: str, now: float) -> None:
    connection.execute("UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", (now, key))
    connection.execute("UPDATE keys_version SET number = number + 1")
