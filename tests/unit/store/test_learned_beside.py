"""Working figures out takes longer than anybody may wait: others write meanwhile, and it stops after every slice."""

from __future__ import annotations

import sqlite3
import sys
import tracemalloc
from concurrent.futures import wait
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from intermodal.events import Usage
from intermodal.plans.statistics import Statistics
from intermodal.store import attempts, epochs, learned_figures
from intermodal.store.database import Store
from intermodal.store.rows import AttemptOutcome, Reservation, Work
from intermodal.store.speed_regression import stated_speed
from intermodal.store.sqlite_file import Database

SLICE = 10_000  # calls of functions between two pauses: 1 to 2 ms
_work_out = learned_figures.of_endpoints


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store.sqlite3")


def end_one(store: Store, number: int, endpoint: str = "e:m", tokens: int = 100) -> None:
    key = store.reserve(
        Reservation(
            run=f"r{number}", step="s", op="generate", task="t", endpoint=endpoint, zone="internet", output="fact",
            work=Work(text_tokens=float(tokens), messages=2),
        )
    )  # fmt: skip
    store.mark_sent(key)
    usage = Usage(input_tokens=tokens + 12 + number % 7, output_tokens=20 + number % 30)
    seconds = 0.3 + tokens / 2000 + number % 30 / 50
    store.settle(key, AttemptOutcome(usage=usage, seconds=seconds, first_seconds=0.3 + tokens / 2000))


def written(store: Store, rows: int) -> None:
    """So many rows, each in a commit that runs share."""
    for number in range(rows):
        store.write_in_group(lambda number=number: end_one(store, number)).result(300)  # type: ignore[misc]


def test_other_processes_write_while_figures_are_worked_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    wrote: list[int] = []

    def watched(*given: Any) -> Statistics:
        with sqlite3.connect(store.path, timeout=0, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            wrote.append(1)
            other.execute("ROLLBACK")
        return _work_out(*given)

    monkeypatch.setattr(learned_figures, "of_endpoints", watched)
    written(store, learned_figures.EPOCH_ROWS)
    store.close()
    assert wrote == [1] and store.statistics().epoch == 1


def test_runs_write_while_figures_are_worked_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    meanwhile: list[bool] = []

    def watched(*given: Any) -> Statistics:
        pause = given[-1]
        if not meanwhile:
            mine = store.write_in_group(lambda: end_one(store, 99))
            pause()
            meanwhile.append(mine.done())
        return _work_out(*given)

    monkeypatch.setattr(learned_figures, "of_endpoints", watched)
    written(store, learned_figures.EPOCH_ROWS)
    store.close()
    assert meanwhile == [True] and len(store.attempts()) == learned_figures.EPOCH_ROWS + 1


def test_a_run_does_not_wait_for_the_figures_that_its_end_calls_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[bool] = []
    last: list[Any] = []

    def watched(*given: Any) -> Statistics:
        ended.append(bool(wait(last, timeout=300).done))
        return _work_out(*given)

    monkeypatch.setattr(learned_figures, "of_endpoints", watched)
    written(store, learned_figures.EPOCH_ROWS - 1)
    last.append(store.write_in_group(lambda: end_one(store, 9)))
    store.close()
    assert ended == [True] and store.statistics().epoch == 1


def test_a_store_that_is_closed_has_learned_from_what_it_was_told(store: Store) -> None:
    written(store, learned_figures.EPOCH_ROWS)
    store.close()
    assert Store(store.path).statistics().epoch == 1


def test_figures_that_cannot_be_worked_out_keep_nobody_from_writing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr("threading.excepthook", lambda args: told.append(args.exc_type))
    monkeypatch.setattr(learned_figures, "of_endpoints", lambda *_: 1 // 0)
    written(store, learned_figures.EPOCH_ROWS + 1)
    store.close()
    assert told and set(told) == {ZeroDivisionError} and len(store.attempts()) == learned_figures.EPOCH_ROWS + 1


@pytest.mark.slow
def test_no_slice_of_working_figures_out_is_long_however_many_rows_and_endpoints_there_are(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_learn", lambda: None)
    with store._database.writing(later=True):
        for number in range(learned_figures.READ):
            for endpoint in ("a:m", "b:m", "c:n"):
                end_one(store, number, endpoint, tokens=50 * (number % 40 + 1))
    stated_speed("a:m")  # whoever plans has the catalog
    counted = Counted()
    sys.setprofile(counted.event)
    try:
        epochs.learn(Database(store.path), at_once=True, pause=counted.pause)
    finally:
        sys.setprofile(None)
    assert counted.total > 20 * SLICE, "there is something to divide"
    assert counted.longest < SLICE


class Counted:
    """Counts calls of functions, of Python's and of C's, between two pauses."""

    def __init__(self) -> None:
        self.now = self.longest = self.total = 0

    def event(self, frame: FrameType, event: str, argument: object) -> None:
        self.now += event in ("call", "c_call")

    def pause(self) -> None:
        self.longest = max(self.longest, self.now)
        self.total += self.now
        self.now = 0


@pytest.mark.slow
def test_what_is_held_while_figures_are_worked_out_does_not_grow_with_the_endpoints(tmp_path: Path) -> None:
    """A gateway does it every few seconds, and what a process holds at once is not given back."""

    def peak(endpoints: int) -> int:
        store = Store(tmp_path / f"{endpoints}.sqlite3")
        for number in range(60 * endpoints):
            end_one(store, number, f"host{number % endpoints}:acme/model")
        store.close()
        database = Database(store.path)
        epochs.learn(database, at_once=True)  # what is imported and compiled once is not counted
        end_one(store, 60 * endpoints, "host0:acme/model")
        tracemalloc.start()
        try:
            epochs.learn(database, at_once=True)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            database.close()

    assert peak(8) < 2 * peak(2), "figures of more endpoints, and no rows of theirs"


def test_rows_that_teach_nothing_are_not_held_and_change_no_figure(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []

    def watched(epoch: int, endpoints: list[str], rows_of: Any, *rest: Any) -> Statistics:
        def counted(endpoint: str) -> Any:
            rows = rows_of(endpoint)
            held.append(len(rows))
            return rows

        return _work_out(epoch, endpoints, counted, *rest)

    monkeypatch.setattr(store, "_learn", lambda: None)
    with store._database.writing(later=True):
        for number in range(3 * learned_figures.READ):
            if number % 5:
                end_one(store, number, tokens=50 * (number % 40 + 1))
            else:
                key = store.reserve(Reservation(run=f"r{number}", step="s", op="generate", task="t", endpoint="e:m"))
                store.mark_sent(key)
                store.void(key, AttemptOutcome(error="call"))
    database = Database(store.path)
    rows = attempts.recent(database, learned_figures.READ)
    monkeypatch.setattr(learned_figures, "of_endpoints", watched)
    epochs.learn(database, at_once=True)
    assert held == [learned_figures.WINDOW]
    monkeypatch.undo()
    assert epochs.newest(database).statistics == learned_figures.statistics(1, rows)
