"""``intermodal usage --prune``: what was used is said as before, with fewer rows behind it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli

from intermodal.client.async_client import AsyncClient
from intermodal.store import pruning
from intermodal.store.database import Store
from intermodal.store.rows import AttemptOutcome, Reservation, RunRow

MANY = 300


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    path = tmp_path / "intermodal.toml"
    path.write_text("[store]\nrows = 10\n")
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    store = AsyncClient().store

    def write() -> None:
        for number in range(MANY):
            run = RunRow(id=f"r{number}", plan="p")
            store.start_run(run)
            row = Reservation(run=run.id, step="s", op="generate", task="t", endpoint="cloud:m", cost_high=0.1)
            key = store.reserve(row)
            store.mark_sent(key)
            store.settle(key, AttemptOutcome(cost=0.1))
            store.finish_run(RunRow(id=run.id, plan="p", outcome="finished"))

    store.write_in_group(write).result()
    return store


def test_pruning_leaves_every_sum_as_it_was(cli: Cli, store: Store) -> None:
    before = cli("usage", "--json").document
    done = cli("usage", "--prune", "--json")
    assert done.code == 0, done.err
    after = done.document
    assert after.pop("pruned") == {"attempts": MANY - 240, "runs": MANY - 240, "transforms": 0, "epochs": 0}
    assert (before.pop("added_up"), after.pop("added_up")) == (0, MANY - 240)
    assert after == before and after["cost"] == 30.0 and after["runs"] == MANY
    told = cli("usage")
    assert "60 attempts are kept as daily totals only" in told.out


def test_a_store_that_is_being_pruned_is_said_to_be(cli: Cli, store: Store) -> None:
    with pruning.prune_lock(store.path):
        done = cli("usage", "--prune")
    assert done.code == 2 and "another process is pruning it right now" in done.err


def test_pruning_what_is_not_there_makes_nothing(cli: Cli) -> None:
    assert cli("usage", "--prune").code == 0
    assert not (Path(os.environ["INTERMODAL_HOME"]) / "data").exists()


SERVED = """
import sys
from pathlib import Path
from intermodal.store.database import Store
from intermodal.store.rows import Reservation, RunRow
store = Store(Path(sys.argv[1]))
store.start_run(RunRow(id=sys.argv[2], plan="p", endpoint="cloud:m"))
store.mark_sent(store.reserve(Reservation(run=sys.argv[2], step="s", op="generate", task="t", endpoint="cloud:m")))
print("sent", flush=True)
sys.stdin.read()
"""


def at_work(path: Path, run: str) -> subprocess.Popen[bytes]:
    """A process with a run on its way."""
    child = subprocess.Popen(
        [sys.executable, "-c", SERVED, str(path), run], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None and child.stdout.readline() == b"sent\n"
    return child


def test_runs_of_killed_processes_are_told_apart_from_those_that_are_running(cli: Cli, tmp_path: Path) -> None:
    path = AsyncClient().store.path
    with at_work(path, "killed") as killed, at_work(path, "alive") as alive:
        both = cli("usage", "--json").document
        assert (both["runs"], both["running"], both["interrupted"]) == (2, 2, 0)
        killed.kill()
        killed.wait()
        one = cli("usage", "--json").document
        assert (one["runs"], one["running"], one["interrupted"]) == (2, 1, 1)
        assert "2 runs (1 running, 1 interrupted by the end of their process)" in cli("usage").out
        found = {row.id: (row.outcome, bool(row.finished)) for row in AsyncClient().store.runs()}
        assert found == {"killed": ("process_died", True), "alive": ("running", False)}
        alive.kill()


@pytest.mark.slow
def test_runs_of_killed_processes_are_pruned_in_time_and_stay_in_the_sums(cli: Cli, store: Store) -> None:
    with at_work(store.path, "killed") as killed:
        killed.kill()
    assert cli("usage", "--json").document["interrupted"] == 1
    for number in range(MANY):
        store.start_run(RunRow(id=f"later{number}", plan="p"))
        store.finish_run(RunRow(id=f"later{number}", plan="p", outcome="finished"))
    assert cli("usage", "--prune").code == 0
    assert "killed" not in {row.id for row in store.runs(-1)}
    assert cli("usage", "--json").document["interrupted"] == 1
