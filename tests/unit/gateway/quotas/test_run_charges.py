"""What a key pays for a request whose client leaves: what its rows say, as far as it came."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.gates.faulty_host import HEAD, ROLE, FaultyHost, ScriptedReply, chunk, delta, refusal
from tests.unit.gateway.gateway_server import BY_EXECUTOR, STRONG, GatewayServer, config, priced, until

from intermodal.config.config_file import data_dir
from intermodal.executor.attempt.accounting import AttemptEnding, Charge
from intermodal.executor.attempt.ledger import AttemptEntry, RunCharges
from intermodal.executor.attempt.step_caller import CallAttempt
from intermodal.gateway.quotas.authentication import digest
from intermodal.gateway.quotas.quota_types import NANODOLLARS, Budget, VirtualKey
from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore
from intermodal.store.rows import AttemptOutcome
from intermodal.telemetry.request_record import RequestRecord

SECRET = f"im-leaves-{'0' * 40}"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
JSON = {"response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}}
LIVE = {"stream": True}


def whole(content: str) -> ScriptedReply:
    counts = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return refusal(200, {"choices": [choice], "usage": counts}, paid=True)


SILENT = ScriptedReply((60.0,), paid=True)
BEGUN = ScriptedReply((HEAD, chunk(ROLE), chunk(delta("Pa")), 60.0), paid=True)
LATER = refusal(429, headers={"retry-after": "30"})
# What the host does with one request after the other, the rest of the body, how many attempts are guessed at, and the
# outcomes that the metrics count.
COURSES: dict[str, tuple[tuple[ScriptedReply, ...], Mapping[str, Any], int, tuple[str, ...]]] = {
    "unanswered": ((SILENT,), {}, 1, ("cancelled",)),
    "begun": ((BEGUN,), LIVE, 1, ("cancelled",)),
    "waits": ((LATER,), {}, 0, ("rate_limited",)),
    "maybepaid": ((refusal(500), SILENT), {}, 2, ("call", "cancelled")),
    "repair": ((whole("no JSON"), SILENT), JSON, 1, ("cancelled",)),
    "repairwaits": ((whole("no JSON"), LATER), JSON, 0, ("rate_limited",)),
}


@pytest.fixture
def wall(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyHost]:
    plays = COURSES[request.node.callspec.params["course"]][0]
    with FaultyHost(lambda model, number: plays[number]) as wall:
        path = config(tmp_path / "intermodal.toml", ("cloud", wall.base_url, STRONG))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        yield wall


def add_key(budget: Budget = Budget(unit="usd", limit=1000 * NANODOLLARS)) -> None:  # noqa: B008 - a frozen value
    store = SqliteQuotaStore(data_dir(os.environ) / FILE)
    key = VirtualKey(id="k-leaves", name="leaves", budgets=(budget,))
    store.add(msgspec.structs.replace(key, digest=digest(SECRET)))
    store.close()


def raw_request(tree: Mapping[str, Any]) -> bytes:
    """A chat by the key, as bytes: its client may leave at any moment."""
    raw = json.dumps(tree).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {SECRET}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw


@pytest.mark.parametrize("more", [{}, BY_EXECUTOR], ids=["direct", "executor"])
@pytest.mark.parametrize("course", COURSES)
def test_a_client_that_leaves_pays_what_the_rows_of_its_attempts_say(
    wall: FaultyHost, course: str, more: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record of the request, from which its log line is made, counts the same attempts and the same cost.

    The metrics count how each attempt ended.
    """
    plays, body, guessed, outcomes = COURSES[course]
    settled: list[dict[str, Any]] = []
    records: list[RequestRecord] = []
    add_key()
    with GatewayServer() as house:
        settle = house.ledger.settle

        def settles(given: Any, **told: Any) -> None:
            settled.append(told)
            settle(given, **told)

        monkeypatch.setattr(house.ledger, "settle", settles)
        monkeypatch.setattr(house.gateway, "tell", records.append)
        tree = {"model": "cloud/strong", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 100}
        store = house.gateway.client.store
        with socket.create_connection(("127.0.0.1", house.gateway.port)) as line:
            line.sendall(raw_request({**tree, **body, **more}))
            until(lambda: len(wall.hits) == len(plays))
            if plays[-1] is BEGUN:
                assert line.recv(100)
            if plays[-1] is LATER:  # it is read, and waited for
                until(lambda: _closed(store) == len(plays))
        until(lambda: not house.gateway.active and bool(settled) and bool(records))
        house.until_written()
        rows = store.attempts(-1)
        counted = dict(house.gateway.context.metrics.attempts)
    (told,) = settled
    assert len(rows) == len(plays)
    assert [row.state for row in rows].count("estimated") == guessed
    assert told["cost"] == pytest.approx(sum(row.spent for row in rows), abs=1e-9)
    assert told["unreported"] == pytest.approx(sum(row.spent for row in rows if row.state == "estimated"), abs=1e-9)
    (record,) = records
    assert (record.error, record.attempts, record.last_endpoint) == ("client_left", len(rows), "cloud:cloud/strong")
    assert record.cost == pytest.approx(told["cost"], abs=1e-9)
    assert counted == {("cloud:cloud/strong", outcome): 1 for outcome in outcomes}


def test_a_free_run_whose_client_leaves_in_the_turn_in_which_it_sends_counts_its_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the run has been read by then."""
    plays = [whole("hi"), SILENT]
    settled: list[dict[str, Any]] = []
    add_key(Budget(unit="tokens", limit=1_000_000))
    with FaultyHost(lambda model, number: plays[number]) as wall:
        path = tmp_path / "intermodal.toml"
        path.write_text(priced("cloud", wall.base_url, 0.0))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer() as house:
            headers = {"authorization": f"Bearer {SECRET}"}
            assert house.chat(max_tokens=100, headers=headers, **BY_EXECUTOR).status_code == 200
            settle, after = house.ledger.settle, AttemptEntry.after

            def settles(given: Any, **told: Any) -> None:
                settled.append(told)
                settle(given, **told)

            def leaves(entry: AttemptEntry) -> None:
                after(entry)
                (task,) = [each.task for each in house.gateway.connections if each.task is not None]
                task.cancel()

            monkeypatch.setattr(house.ledger, "settle", settles)
            monkeypatch.setattr(AttemptEntry, "after", leaves)
            assert house.chat(max_tokens=100, headers=headers, **BY_EXECUTOR).status_code == 503
            until(lambda: not house.gateway.active)
            house.until_written()
            rows = house.gateway.client.store.attempts(-1)
    assert len(wall.hits) == 2 and rows[0].state == "estimated"
    (told,) = settled
    assert told["tokens"] is not None and told["tokens"] >= 100


@pytest.mark.parametrize("course", ["waits"])
def test_an_attempt_that_fails_as_its_client_leaves_is_counted(
    wall: FaultyHost, course: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row is being closed, and nothing is reported of it yet."""
    records: list[RequestRecord] = []
    add_key()
    closing = threading.Event()
    close = CallAttempt._close

    async def closes(attempt: CallAttempt, ending: AttemptEnding) -> None:
        await close(attempt, ending)
        closing.set()
        await asyncio.sleep(3600)

    monkeypatch.setattr(CallAttempt, "_close", closes)
    with GatewayServer() as house:
        monkeypatch.setattr(house.gateway, "tell", records.append)
        tree = {"model": "cloud/strong", "messages": [{"role": "user", "content": "hello"}], **BY_EXECUTOR}
        with socket.create_connection(("127.0.0.1", house.gateway.port)) as line:
            line.sendall(raw_request(tree))
            assert closing.wait(300)
        until(lambda: not house.gateway.active and bool(records))
        counted = dict(house.gateway.context.metrics.attempts)
    assert (records[0].attempts, records[0].last_endpoint) == (1, "cloud:cloud/strong")
    assert counted == {("cloud:cloud/strong", "rate_limited"): 1}


def _closed(store: Any) -> int:
    return sum(row.state not in ("reserved", "sent") for row in store.attempts(-1))


def ended(counts: float | None, *, state: str = "settled", tokens: int | None = 0, guessed: int = 0) -> AttemptEnding:
    cost = None if state == "estimated" else counts
    charge = Charge(state, cost, state != "void")  # type: ignore[arg-type]
    return AttemptEnding(charge, AttemptOutcome(cost=cost), counts, tokens, guessed)


def test_an_attempt_without_a_report_counts_at_its_bound_and_one_without_a_price_as_unknown() -> None:
    charges = RunCharges().with_attempt(ended(0.02, tokens=120)).with_attempt(ended(0.0, state="void"))
    assert charges == RunCharges(usd=0.02, tokens=120, maybe_paid=True)
    charges = charges.with_attempt(ended(0.5, state="estimated", tokens=100, guessed=80))
    assert (charges.cost, charges.unreported) == (0.52, 0.5)
    assert (charges.tokens, charges.unreported_tokens) == (220, 80)
    charges = charges.with_attempt(ended(None, tokens=None))
    assert charges.cost is None and charges.tokens is None
    assert RunCharges().with_attempt(ended(0.0, state="void")) == RunCharges()
