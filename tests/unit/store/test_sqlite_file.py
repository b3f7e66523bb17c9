"""What a connection to the store holds."""

from __future__ import annotations

import _sqlite3
import ctypes
import sqlite3
from pathlib import Path

import pytest

from intermodal.store.sqlite_file import CACHED, Database

PAGES = 4 << 20  # bytes of the file


def held() -> int:
    """Bytes that SQLite has allocated in this process (sqlite3_memory_used)."""
    used = ctypes.CDLL(_sqlite3.__file__).sqlite3_memory_used
    used.restype = ctypes.c_int64
    found: int = used()
    return found


def filled(path: Path) -> Database:
    made = Database(path)
    with made.writing() as connection:
        connection.execute("CREATE TABLE large (bytes BLOB)")
        connection.executemany("INSERT INTO large VALUES (randomblob(3000))", [()] * (PAGES // 3000))
    return made


def test_a_connection_that_went_through_a_large_store_holds_few_of_its_pages(tmp_path: Path) -> None:
    try:
        before = held()
    except AttributeError:
        pytest.skip("this Python's SQLite does not tell what it has allocated")
    database = filled(tmp_path / "store.sqlite3")
    with database.reading() as connection:
        assert isinstance(connection, sqlite3.Connection)
        assert connection.execute("SELECT sum(length(bytes)) FROM large").fetchone()[0] > PAGES * 0.9
        grown = held() - before
    database.close()
    assert grown < 2 * CACHED
