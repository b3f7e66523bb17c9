"""Writes that share a commit: each is whole or not there, whatever the others do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from intermodal.errors import StoreError
from intermodal.store.database import Store
from intermodal.store.rows import Reservation
from intermodal.store.sqlite_file import Database

ROW = Reservation(run="r", step="s", op="generate", task="t", endpoint="e")


@contextmanager
def busy(store: Store) -> Iterator[None]:
    """The writer at work, so that what is handed in meanwhile comes into one commit."""
    begun, gate = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        assert gate.wait(300)

    held = store.write_in_group(wait)
    assert begun.wait(300)
    yield
    gate.set()
    held.result(300)


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each commit that was begun, whether it need not wait for the disk."""
    seen: list[bool] = []
    writing = Database.writing

    def spied(database: Database, *, later: bool = False) -> Any:
        connection = database._connection
        if connection is None or not connection.in_transaction:
            seen.append(later)
        return writing(database, later=later)

    monkeypatch.setattr(Database, "writing", spied)
    return seen


def test_writes_at_once_share_a_commit_and_one_that_is_wrong_is_undone_alone(
    tmp_path: Path, commits: list[bool]
) -> None:
    store = Store(tmp_path / "store.sqlite3")
    store.reserve(ROW)

    def wrong() -> None:
        store.reserve(ROW)
        raise ValueError("wrong")

    with busy(store):
        before = len(commits)
        good = [store.write_in_group(lambda: store.reserve(ROW), later=True) for _ in range(3)]
        bad = store.write_in_group(wrong)
    with pytest.raises(ValueError, match="wrong"):
        bad.result(300)
    names = {each.result(300) for each in good}
    assert commits[before:] == [False]  # one of them waits for the disk, so all do
    assert {row.id for row in store.attempts(3)} == names
    assert len(store.attempts()) == 4
    store.close()


def test_a_write_that_the_file_refuses_fails_alone_and_the_others_are_made(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite3")

    def refused() -> None:
        with store._database.writing() as connection:
            connection.execute("INSERT INTO nowhere VALUES (1)")

    with busy(store):
        good, bad = store.write_in_group(lambda: store.reserve(ROW)), store.write_in_group(refused)
    with pytest.raises(StoreError):
        bad.result(300)
    assert [row.id for row in store.attempts()] == [good.result(300)]
    store.close()


def test_closing_waits_for_what_is_to_be_written(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite3")
    made = [store.write_in_group(lambda: store.reserve(ROW)) for _ in range(20)]
    store.close()
    assert all(each.done() for each in made)
    again = Store(tmp_path / "store.sqlite3")
    assert {row.id for row in again.attempts()} == {each.result() for each in made}
    again.close()


def test_a_write_for_which_no_thread_can_be_started_fails_and_the_next_one_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store.sqlite3")

    def none(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", none)
        refused = [store.write_in_group(lambda: store.reserve(ROW)) for _ in range(2)]
    made = store.write_in_group(lambda: store.reserve(ROW))
    for each in refused:
        with pytest.raises(StoreError, match="can't start new thread"):
            each.result(300)
    name = made.result(300)
    assert [row.id for row in store.attempts()] == [name]
    store.close()
