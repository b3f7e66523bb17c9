"""A row per attempt, before it is made and after, whatever happens in between."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from intermodal.events import Usage
from intermodal.store.attempts import WrongState
from intermodal.store.database import Store, StoreError
from intermodal.store.rows import AttemptOutcome, Reservation, RunRow


def reservation(**fields: object) -> Reservation:
    values = {
        "run": "r",
        "step": "s",
        "op": "generate",
        "task": "text-generation",
        "endpoint": "wall:m",
        "cost_high": 0.01,
    }
    return Reservation(**{**values, **fields})  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "deep" / "store.sqlite3")


def test_a_settled_row_holds_estimate_and_actual_side_by_side(store: Store) -> None:
    key = store.reserve(reservation(input_tokens=100.0, seconds=2.0, cost=0.004))
    store.mark_sent(key)
    usage = Usage(input_tokens=120, output_tokens=9)
    store.settle(key, AttemptOutcome(usage=usage, cost=0.005, seconds=2.5, load_seconds=1.0, provider_id="p"))
    (row,) = store.attempts()
    assert row.id == key and row.state == "settled"
    assert row.reservation.input_tokens == 100 and row.reservation.cost == 0.004
    assert row.outcome is not None and row.outcome.usage == usage
    assert (row.outcome.cost, row.outcome.seconds, row.outcome.load_seconds) == (0.005, 2.5, 1.0)
    assert row.started <= row.finished


def test_a_row_without_usage_counts_at_its_upper_bound(store: Store) -> None:
    key = store.reserve(reservation())
    store.mark_sent(key)
    store.estimate(key, AttemptOutcome(cost=None, error="stream_cut"))
    (row,) = store.attempts()
    assert row.state == "estimated" and row.spent == 0.01


def test_a_void_row_costs_nothing(store: Store) -> None:
    store.void(store.reserve(reservation()), AttemptOutcome(error="unreachable"))
    (row,) = store.attempts()
    assert row.spent == 0 and row.outcome is not None and row.outcome.error == "unreachable"


@pytest.mark.parametrize("close", ["settle", "estimate"])
def test_what_was_not_sent_cannot_be_settled(store: Store, close: str) -> None:
    key = store.reserve(reservation())
    with pytest.raises(WrongState):
        getattr(store, close)(key, AttemptOutcome())


def test_a_closed_row_never_changes(store: Store) -> None:
    key = store.reserve(reservation())
    store.mark_sent(key)
    store.settle(key, AttemptOutcome(cost=0.002))
    before = store.attempts()
    moves: list[Callable[[], None]] = [lambda: store.mark_sent(key), lambda: store.void(key)]
    moves.append(lambda: store.settle(key, AttemptOutcome(cost=9.0)))
    for move in moves:
        with pytest.raises(WrongState):
            move()
    assert store.attempts() == before


def test_repeated_and_missing_provider_ids_keep_their_rows_apart(store: Store) -> None:
    for provider_id in ("same", "same", "", ""):
        key = store.reserve(reservation())
        store.mark_sent(key)
        store.settle(key, AttemptOutcome(provider_id=provider_id))
    assert len({row.id for row in store.attempts()}) == 4


def test_sql_in_any_field_is_only_text(store: Store) -> None:
    nasty = "x'); DROP TABLE attempts; --"
    key = store.reserve(reservation(run=nasty, step=nasty, endpoint=nasty))
    store.mark_sent(key)
    store.settle(key, AttemptOutcome(provider_id=nasty, error=nasty))
    (row,) = store.attempts()
    assert row.reservation.endpoint == nasty and row.outcome is not None and row.outcome.provider_id == nasty


def test_the_file_is_the_owners_alone(store: Store) -> None:
    store.reserve(reservation())
    for file in store.path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


def test_reading_a_store_that_was_never_written_creates_nothing(store: Store) -> None:
    assert store.attempts() == () and store.statistics().rows == {} and store.last_conversation() is None
    assert store.summary().attempts == 0
    assert not store.path.parent.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from intermodal.store.database import Store
from intermodal.store.rows import Reservation
store = Store(Path(sys.argv[1]))
def row(): return store.reserve(Reservation(run="r", step="s", op="generate", task="t", endpoint="e", cost_high=0.01))
row(); store.mark_sent(row()); print("ready", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_rows_of_a_killed_process_count_at_their_upper_bound(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path)], capture_output=True, check=False, timeout=300)
    assert ended.returncode == -signal.SIGKILL and b"ready" in ended.stdout, ended.stderr
    rows = Store(path).attempts()
    assert [row.state for row in rows] == ["estimated", "estimated"]
    assert sum(row.spent for row in rows) == pytest.approx(0.02)
    assert {row.outcome.error for row in rows if row.outcome} == {"process_died"}


def test_rows_of_a_living_process_are_left_alone(store: Store) -> None:
    store.mark_sent(store.reserve(reservation()))
    assert Store(store.path).recover() == 0
    assert store.attempts()[0].state == "sent"


def test_a_process_id_used_again_is_another_process() -> None:
    from intermodal.store.process_identity import identity, is_dead

    mine = identity()
    assert not is_dead(mine)
    assert is_dead(mine + "0"), "same id, another start time"
    assert not is_dead("elsewhere/" + mine.split("/", 1)[1]), "of another host nothing is known"


# ---- failures to write ------------------------------------------------------------------------


def test_a_locked_store_says_so_and_names_the_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intermodal.store.sqlite_file.BUSY_SECONDS", 0.05)
    Store(store.path).reserve(reservation())
    holder = sqlite3.connect(store.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="locked by another process") as caught:
        store.reserve(reservation())
    assert "store.sqlite3" in str(caught.value) and caught.value.todo
    holder.execute("ROLLBACK")
    holder.close()
    store.reserve(reservation())
    assert len(store.attempts()) == 2, "and works again afterwards"


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be opened for writing"):
        Store(tmp_path / "file" / "store.sqlite3").reserve(reservation())


def test_a_full_disk_says_so_and_loses_no_row(store: Store) -> None:
    store.reserve(reservation())
    with store._database.reading() as connection:
        assert connection is not None
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    written = 1
    with pytest.raises(StoreError, match="the disk is full"):
        for _ in range(1000):
            store.reserve(reservation())
            written += 1
    assert len(store.attempts(2000)) == written


def test_a_damaged_store_says_so_and_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    path.write_bytes(b"this is not a database, but somebody's file" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is not a database") as caught:
        Store(path).reserve(reservation())
    assert "move the file away" in caught.value.todo and path.read_bytes() == before


def test_a_store_of_a_newer_version_is_left_alone(store: Store) -> None:
    store.reserve(reservation())
    store.close()
    connection = sqlite3.connect(store.path)
    connection.execute("UPDATE schema SET version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="newer intermodal"):
        store.reserve(reservation())


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_store_says_so(store: Store) -> None:
    store.reserve(reservation())
    store.close()
    store.path.chmod(0o400)
    with pytest.raises(StoreError):
        store.reserve(reservation())


def test_runs_keep_names_and_outcomes(store: Store) -> None:
    store.start_run(RunRow(id="1", plan="p", objective="default", parts=("call.wav", "invoice.png")))
    store.finish_run(RunRow(id="1", plan="p", outcome="finished", endpoint="e", cost=0.1, seconds=2.0))
    (row,) = store.runs()
    assert row.parts == ("call.wav", "invoice.png") and row.outcome == "finished" and row.seconds == 2.0
