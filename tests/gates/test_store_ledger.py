"""C3: the ledger's invariants hold under any history of attempts, restarts and kills."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from intermodal.events import Usage
from intermodal.store.attempts import WrongState
from intermodal.store.database import Store
from intermodal.store.rows import AttemptOutcome, Reservation

MONEY = st.integers(0, 1000).map(lambda cents: cents / 1000)
PROVIDER_IDS = st.sampled_from(["", "same", "same", "chatcmpl-1", "'; DROP TABLE attempts; --"])


class LedgerMachine(RuleBasedStateMachine):
    """A model of the table: state and money of each row. The store must agree after every step."""

    rows = Bundle("rows")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "store.sqlite3"
        self.store = Store(self.path)
        self.model: dict[str, tuple[str, float, float]] = {}  # id -> state, upper bound, cost

    @rule(target=rows, high=MONEY)
    def reserve(self, high: float) -> str:
        row = Reservation(run="r", step="s", op="generate", task="t", endpoint="e", cost_high=high)
        key = self.store.reserve(row)
        assert key not in self.model, "ids of our own are never used twice"
        self.model[key] = ("reserved", high, high)
        return key

    @rule(key=rows)
    def sent(self, key: str) -> None:
        self._move(key, ("reserved",), "sent", None, lambda: self.store.mark_sent(key))

    @rule(key=rows, cost=MONEY, provider_id=PROVIDER_IDS)
    def settle(self, key: str, cost: float, provider_id: str) -> None:
        outcome = AttemptOutcome(usage=Usage(input_tokens=1), cost=cost, provider_id=provider_id)
        self._move(key, ("sent",), "settled", cost, lambda: self.store.settle(key, outcome))

    @rule(key=rows)
    def estimate(self, key: str) -> None:
        high = self.model[key][1]
        self._move(key, ("sent",), "estimated", high, lambda: self.store.estimate(key, AttemptOutcome(cost=None)))

    @rule(key=rows)
    def void(self, key: str) -> None:
        self._move(key, ("reserved", "sent"), "void", 0.0, lambda: self.store.void(key))

    @rule()
    def restart(self) -> None:
        """The same process opens its store again: its own open rows are alive."""
        self.store.close()
        self.store = Store(self.path)

    @rule()
    def die(self) -> None:
        """The process that wrote the open rows was killed."""
        with self.store._database.writing() as connection:
            connection.execute("UPDATE attempts SET process = process || '0' WHERE state IN ('reserved', 'sent')")
        self.store.close()
        self.store = Store(self.path)
        for key, (state, high, _) in self.model.items():
            if state in ("reserved", "sent"):
                self.model[key] = ("estimated", high, high)

    def _move(self, key: str, before: tuple[str, ...], after: str, cost: float | None, do: Any) -> None:
        state, high, held = self.model[key]
        if state in before:
            do()
            self.model[key] = (after, high, held if cost is None else cost)
            return
        with pytest.raises(WrongState):
            do()

    @invariant()
    def one_row_each_in_the_right_state_and_no_cent_lost(self) -> None:
        rows = {row.id: row for row in self.store.attempts(10_000)}
        assert {key: row.state for key, row in rows.items()} == {key: row[0] for key, row in self.model.items()}
        assert sum(row.spent for row in rows.values()) == pytest.approx(sum(row[2] for row in self.model.values()))

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


@pytest.mark.timeout(900)
def test_c3_ledger_invariants(full_gates: bool) -> None:
    examples = 2000 if full_gates else 25
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


KILLED_MID_SPEND = """
import os, signal, sys, threading, time
from pathlib import Path
from intermodal.store.database import Store
from intermodal.store.rows import AttemptOutcome, Reservation
store = Store(Path(sys.argv[1]))

def spend():
    key = store.reserve(Reservation(run="r", step="s", op="generate", task="t", endpoint="e", cost_high=0.01))
    store.mark_sent(key)
    store.settle(key, AttemptOutcome(cost=0.01))

spend()
print("spends", flush=True)
while True:
    spend()
"""


def test_c2_the_total_spent_never_drops_when_processes_are_killed(tmp_path: Path, full_gates: bool) -> None:
    import random
    import signal
    import subprocess
    import sys
    import time

    path = tmp_path / "store.sqlite3"
    random_ = random.Random(2)
    total = 0.0
    for _ in range(50 if full_gates else 4):
        child = subprocess.Popen([sys.executable, "-c", KILLED_MID_SPEND, str(path)], stdout=subprocess.PIPE)
        assert child.stdout is not None and child.stdout.readline() == b"spends\n"
        time.sleep(random_.uniform(0.01, 0.15))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        store = Store(path)
        rows = store.attempts(1_000_000)
        assert {row.state for row in rows} <= {"settled", "estimated"}, "nothing stays open"
        now = sum(row.spent for row in rows)
        assert now == pytest.approx(0.01 * len(rows)) and now >= total, "an open reservation counts at its upper bound"
        total = now
        store.close()
    assert total > 0
