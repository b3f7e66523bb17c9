"""``intermodal usage --prune``: what was used is said as before, with fewer rows behind it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli

from intermodal.client import AsyncClient
from intermodal.store import pruning
from intermodal.store.database import Store
from intermodal.store.rows import Outcome, Reservation, RunRow

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
            store.sent(key)
            store.settle(key, Outcome(cost=0.1))
            store.finish_run(RunRow(id=run.id, plan="p", outcome="finished"))

    store.together(write).result()
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
    assert "60 attempts of long ago are in these sums" in told.out


def test_a_store_that_is_being_pruned_is_said_to_be(cli: Cli, store: Store) -> None:
    with pruning.alone(store.path):
        done = cli("usage", "--prune")
    assert done.code == 2 and "another process is pruning it right now" in done.err


def test_pruning_what_is_not_there_makes_nothing(cli: Cli) -> None:
    assert cli("usage", "--prune").code == 0
    assert not (Path(os.environ["INTERMODAL_HOME"]) / "data").exists()
