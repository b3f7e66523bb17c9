"""Whatever is pruned, whenever, and however often that is killed: what was used adds up to the same."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intermodal.events import Usage
from intermodal.store import learned_figures, pruning
from intermodal.store.attempt_journal import AttemptTemplate
from intermodal.store.attempts import DirectAttemptRow
from intermodal.store.database import Store
from intermodal.store.pruning import RetentionPolicy
from intermodal.store.rows import AttemptOutcome, Reservation, RunRow, Summary
from intermodal.store.sqlite_file import BUSY_SECONDS, Database

pytestmark = [pytest.mark.gate, pytest.mark.timeout(300)]

DAY = 86400.0
ALL_OLD = RetentionPolicy(seconds=0.0, rows=0)
ENDPOINTS = ("cloud:a", "cloud:b", "box:c", "embedded:d")


def sort(endpoint: str, high: float = 0.01) -> AttemptTemplate:
    made = Reservation(
        run="", step="s", op="generate", task="t", endpoint=endpoint, zone="internet", input_tokens=33.3,
        output_tokens=11.7, cost=high / 3, seconds=1.0, cost_high=high,
    )  # fmt: skip
    return AttemptTemplate(RunRow(id="", plan="p", inputs="i", endpoint=endpoint, objective="default", parts=()), made)


def passed(
    number: int, endpoint: str, cost: float | None, *, at: float, error: str = "", tokens: int = 7
) -> DirectAttemptRow:
    usage = Usage(input_tokens=tokens, output_tokens=tokens // 2)
    return DirectAttemptRow(
        sort(endpoint), f"{number:032x}", f"{number + (1 << 64):032x}", at - 1, at,
        "estimated" if cost is None else "void" if error == "unreachable" else "settled",
        AttemptOutcome(usage=usage, cost=cost, seconds=0.1 + number % 7 / 3, error=error),
    )  # fmt: skip


def said(store: Store) -> Summary:
    """All that is said of what was used, but for how many rows there still are."""
    return msgspec.structs.replace(store.summary(), added_up=0)


class History:
    """Rows as a gateway and a command line write them, over the last hundred days."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.path = folder / "store.sqlite3"
        self.store = Store(self.path)
        self.chance = chance
        self.number = 0
        self.open: list[str] = []

    def passed(self, many: int) -> None:
        rows = []
        for _ in range(many):
            self.number += 1
            cost = self.chance.choice([None, 0.0, self.chance.random() / 3, 1e-9 * self.chance.random(), 12345.678])
            error = self.chance.choice(["", "", "", "unreachable", "server_error"])
            at = time.time() - self.chance.random() * 100 * DAY
            rows.append(passed(self.number, self.chance.choice(ENDPOINTS), cost, at=at, error=error))
        self.store.record_direct_calls(rows)

    def own(self) -> None:
        endpoint = self.chance.choice(ENDPOINTS)
        self.number += 1
        run = RunRow(id=f"run {self.number}", plan="p", endpoint=endpoint)
        self.store.start_run(run)
        key = self.store.reserve(
            Reservation(
                run=run.id, step="s", op="describe", task="t", endpoint=endpoint, cost_high=0.1, input_tokens=5.5
            )
        )
        fate = self.chance.random()
        if fate < 0.3:
            self.open.append(key)
            return
        self.store.mark_sent(key)
        self.store.settle(key, AttemptOutcome(usage=Usage(input_tokens=6, output_tokens=1), cost=self.chance.random()))
        self.store.finish_run(msgspec.structs.replace(run, outcome="finished"))


@settings(max_examples=30)
@given(seed=st.integers(0, 1 << 32), read=st.integers(1, 30))
def test_what_was_used_adds_up_to_the_same_whatever_is_pruned(seed: int, read: int) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(learned_figures, "READ", read)  # so few are kept for plans, so that there is something to delete
        patch.setattr(learned_figures, "WINDOW", max(1, read // 2))
        history = History(Path(folder), chance)
        for _ in range(chance.randint(1, 12)):
            what = chance.random()
            if what < 0.4:
                history.passed(chance.randint(1, 60))
            elif what < 0.6:
                history.own()
            elif what < 0.7 and history.open:
                key = history.open.pop()
                history.store.mark_sent(key)
                history.store.settle(key, AttemptOutcome(cost=chance.random()))
            else:
                history.store.learn()
                before, learned = said(history.store), (history.store.statistics(), history.store.drifts())
                keep = RetentionPolicy(
                    seconds=chance.choice([None, 0.0, 10 * DAY, 50 * DAY]), rows=chance.choice([0, 1, 20, 100])
                )
                assert history.store.prune(keep, rest=lambda seconds: None) is not None
                assert said(history.store) == before
                assert (history.store.statistics(), history.store.drifts()) == learned
        before = said(history.store)
        gone = history.store.prune(ALL_OLD, rest=lambda seconds: None)
        assert gone is not None and said(history.store) == before
        left = history.store.attempts(-1)
        assert history.store.summary().added_up == before.attempts - len(left)
        assert {row.id for row in left} >= set(history.open), "what is open stays"
        assert {row.outcome for row in history.store.runs(10_000)} <= {"running", "finished", "unreachable",
                                                                       "server_error"}  # fmt: skip
        history.store.close()


def filled(path: Path, many: int, *, at: float) -> Store:
    store = Store(path)
    for start in range(0, many, 5000):
        store.record_direct_calls([
            passed(number, ENDPOINTS[number % 4], None if number % 11 == 0 else number * 1e-7, at=at + number / 1000)
            for number in range(start, min(start + 5000, many))
        ])  # fmt: skip
    return store


KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from intermodal.store.database import Store
from intermodal.store.pruning import RetentionPolicy

steps, writes, last, connect = 0, False, int(sys.argv[2]), sqlite3.connect

def begin(statement):
    global writes
    writes = statement.startswith(("BEGIN IMMEDIATE", "DELETE", "INSERT", "UPDATE", "COMMIT"))

def step():
    global steps
    steps += writes
    if steps == last > 0:
        os.kill(os.getpid(), signal.SIGKILL)

def connected(*args, **options):
    connection = connect(*args, **options)
    connection.set_trace_callback(begin)
    connection.set_progress_handler(step, 10)
    return connection

sqlite3.connect = connected
Store(Path(sys.argv[1])).prune(RetentionPolicy(seconds=0.0, rows=0), rest=lambda seconds: None)
print(steps)
"""


def test_a_prune_that_is_killed_again_and_again_counts_nothing_twice_and_loses_nothing(tmp_path: Path) -> None:
    """Each kill comes after so many of SQLite's instructions, not after a time: a quick machine is killed as often."""
    path, chance = tmp_path / "store.sqlite3", random.Random(11)
    store = filled(path, 15_000, at=time.time() - 40 * DAY)
    before, kept = said(store), [30_000]

    def pruned(path: Path, last: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", KILLED, str(path), str(last)], text=True, stdout=subprocess.PIPE)

    for number in range(12):
        copy = tmp_path / f"{number}.sqlite3"
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        whole = int(pruned(copy, 0).stdout)
        assert pruned(path, round(whole * chance.uniform(0.05, 0.3))).returncode == -signal.SIGKILL
        assert said(store) == before
        kept.append(len(store.attempts(-1)) + len(store.runs(20_000)))
    assert len(set(kept)) > 8 and kept == sorted(kept, reverse=True), kept
    store.prune(ALL_OLD)
    assert said(store) == before and len(store.attempts(-1)) < 3000


def test_who_writes_meanwhile_waits_for_moments_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    store = filled(path, 20_000, at=time.time() - 40 * DAY)
    before, waits, over = said(store), [0.0], threading.Event()

    def write() -> None:
        other, number = Store(path), 1 << 40
        while not over.is_set():
            began = time.monotonic()
            other.record_direct_calls([passed(number, "cloud:new", 0.001, at=time.time())])
            waits.append(time.monotonic() - began)
            number += 1
            time.sleep(0.002)
        other.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        gone = store.prune(RetentionPolicy(seconds=DAY, rows=0))
    finally:
        over.set()
        writer.join()
    assert gone is not None and gone.attempts > 18_000 and gone.runs > 19_000
    after = said(store)
    many = len(waits) - 1
    assert many > 20 and after.attempts == before.attempts + many
    assert round((after.cost - before.cost) * 1e6) == many * 1000
    assert max(waits) < BUSY_SECONDS, "after which a writer gives up"


def test_what_an_attempt_journal_still_names_keeps_its_row(tmp_path: Path) -> None:
    """Whoever recovers that journal asks whether there is a row, and would make it a second time."""
    path = tmp_path / "store.sqlite3"
    store = filled(path, 3000, at=time.time() - 40 * DAY)
    journal = store.attempt_journal()
    journal.note(journal.add(sort("cloud:a")), (8).to_bytes(16, "big"), (9).to_bytes(16, "big"), time.time() - 40 * DAY)
    named = f"{8:032x}"
    with store._database.writing() as connection:  # ids as the direct path writes them
        connection.execute(
            "UPDATE attempts SET id = ? WHERE id = ?",
            (f"{named[:8]}-{named[8:12]}-{named[12:16]}-{named[16:20]}-{named[20:]}", named),
        )
    store.prune(ALL_OLD)
    numbers = [row.sequence for row in store.attempts(-1)]
    assert 9 in numbers and len(numbers) < 1500
    journal.close()


def test_only_one_process_prunes_at_a_time(tmp_path: Path) -> None:
    store = filled(tmp_path / "store.sqlite3", 10, at=time.time() - 40 * DAY)
    with pruning.prune_lock(store.path) as mine:
        assert mine and store.prune(ALL_OLD) is None
    assert store.prune(ALL_OLD) is not None


def test_free_pages_are_used_again(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    sizes = []
    for round_ in range(4):
        store = Store(path)
        at = time.time() - 40 * DAY
        store.record_direct_calls([passed(round_ * 10_000 + number, "cloud:a", 0.1, at=at) for number in range(5000)])
        store.prune(ALL_OLD, rest=lambda seconds: None)
        store.close()
        sizes.append(path.stat().st_size)
    assert sizes[-1] < 1.25 * sizes[0]


def test_days_are_those_on_which_rows_ended(tmp_path: Path) -> None:
    store = filled(tmp_path / "store.sqlite3", 5, at=datetime(2026, 3, 4, 23, 59, 59, 998_000, UTC).timestamp())
    store.prune(ALL_OLD)
    with store._database.reading() as connection:
        assert connection is not None
        days = dict(connection.execute("SELECT day, SUM(attempts) FROM sums GROUP BY day").fetchall())
    assert days == {"2026-03-04": 2, "2026-03-05": 3}


def test_several_that_prune_at_once_count_nothing_twice(tmp_path: Path) -> None:
    """Where locks of files do not work (some network folders) nobody is alone, and nothing is lost by that."""
    store = filled(tmp_path / "store.sqlite3", 6000, at=time.time() - 40 * DAY)
    before = said(store)

    def work(number: int) -> int:
        database = Database(store.path)
        try:
            return pruning.prune(database, ALL_OLD, store.path.with_name("slates"), rest=lambda _: None).attempts
        finally:
            database.close()

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(6) as pool:
        patch.setattr(pruning, "STEP", 100)
        gone = sum(pool.map(work, range(6)))
    assert said(store) == before
    assert gone == 6000 - len(store.attempts(-1)) > 4000
