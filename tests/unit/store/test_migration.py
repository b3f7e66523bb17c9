"""A store that an older intermodal wrote keeps its rows, its money and its last conversation, and is learned from."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from intermodal.store.database import Store, StoreError
from intermodal.store.process_identity import identity
from intermodal.store.rows import AttemptOutcome, Reservation, TransformRow
from intermodal.store.sqlite_file import SCHEMA_VERSION

DUMP = Path(__file__).parent / "version1.sql"  # as version 0.1.0 wrote it: 12 settled rows, one left open


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "store.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.executescript(DUMP.read_text())
    connection.close()
    return path


def version(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT version FROM schema").fetchone()[0])
    finally:
        connection.close()


def test_rows_money_and_the_conversation_of_an_older_version_are_there(old: Path) -> None:
    assert version(old) == 1
    store = Store(old)
    summary = store.summary()
    assert summary.attempts == 13 and summary.runs == 1
    assert summary.cost == pytest.approx(12 * 0.002 + 0.01), "the open row counts at its upper bound"
    conversation = store.last_conversation()
    assert conversation is not None and conversation.endpoint == "e:m"
    assert version(old) == SCHEMA_VERSION


@pytest.mark.parametrize(
    ("whose", "outcome"), [("dead", "process_died"), ("mine", "running"), ("gone", "process_died")]
)
def test_a_run_that_an_older_version_left_open_is_whose_its_attempts_are(old: Path, whose: str, outcome: str) -> None:
    """It wrote no process beside a run. Where the attempts were deleted for their age, so is the run's process."""
    with sqlite3.connect(old) as connection:
        if whose == "gone":
            connection.execute("DELETE FROM attempts")
        else:
            process = identity() + ("0" if whose == "dead" else "")
            connection.execute("UPDATE attempts SET process = ?, run = 'r1'", (process,))
    connection.close()
    assert [row.outcome for row in Store(old).runs()] == [outcome]


def test_an_older_versions_rows_are_learned_from(old: Path) -> None:
    statistics = Store(old).statistics()
    assert statistics.epoch == 1
    assert statistics.rows["e:m|prompt"].mid == pytest.approx(500, rel=0.05)
    assert statistics.rows["e:m|decode"].mid == pytest.approx(10, rel=0.02)
    assert Store(old).statistics() == statistics


def test_an_older_store_takes_new_rows(old: Path) -> None:
    store = Store(old)
    key = store.reserve(Reservation(run="n", step="s", op="generate", task="t", endpoint="e:m", output="fact"))
    store.mark_sent(key)
    store.settle(key, AttemptOutcome(seconds=1.0, reasoning_tokens=5))
    store.record_transform(TransformRow(op="extract", amount=3, seconds=0.1))
    row = store.attempts(1)[0]
    assert row.reservation.output == "fact" and row.outcome is not None and row.outcome.reasoning_tokens == 5
    assert store.transforms()[0].amount == 3
    assert store.attempts()[1].reservation.output == "", "an old row says nothing there"


def test_two_processes_may_meet_at_the_same_old_store(old: Path) -> None:
    one, other = Store(old), Store(old)
    assert len(one.attempts()) == len(other.attempts()) == 13
    assert version(old) == SCHEMA_VERSION


def test_a_store_of_a_newer_version_is_left_alone(old: Path) -> None:
    Store(old).summary()
    with sqlite3.connect(old) as connection:
        connection.execute("UPDATE schema SET version = ?", (SCHEMA_VERSION + 1,))
    connection.close()
    with pytest.raises(StoreError, match="newer intermodal"):
        Store(old).summary()
    assert version(old) == SCHEMA_VERSION + 1
