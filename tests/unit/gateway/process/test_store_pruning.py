"""A gateway keeps its store short by itself, beside the requests, and ends without waiting for that."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal.gateway.process import store_pruning
from intermodal.store import learned_figures
from intermodal.store.pruning import PruneResult, PruneStopped, RetentionPolicy


def test_old_rows_go_while_requests_are_answered(configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured.write_text(configured.read_text() + "\n[store]\nrows = 1\n")
    monkeypatch.setattr(store_pruning, "PRUNE_SECONDS", 0.05)
    monkeypatch.setattr(learned_figures, "READ", 3)
    with GatewayServer() as house:
        for _ in range(12):
            assert house.chat().status_code == 200
        store = house.gateway.client.store
        end = time.monotonic() + 300
        while len(store.attempts(-1)) > 6 or store.summary().attempts < 12:  # the first three, and the newest
            assert time.monotonic() < end
            time.sleep(0.05)
        summary = store.summary()
    assert (summary.attempts, summary.runs) == (12, 12)
    assert summary.endpoints[0].input_tokens == 12 * (summary.endpoints[0].input_tokens // 12) > 0


def test_a_gateway_that_is_stopped_does_not_wait_for_a_long_prune(
    configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def endless(self: object, keep: RetentionPolicy, rest: object) -> PruneResult:
        seen.append("began")
        try:
            while True:
                rest(0.01)  # type: ignore[operator]
        except PruneStopped:
            seen.append("stopped")
            raise

    monkeypatch.setattr(store_pruning, "PRUNE_SECONDS", 0.01)
    monkeypatch.setattr("intermodal.store.database.Store.prune", endless)
    with GatewayServer():
        end = time.monotonic() + 300
        while not seen:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert seen == ["began", "stopped"]
