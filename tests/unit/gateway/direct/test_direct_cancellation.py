"""What is left behind when somebody goes: nothing set aside, no breaker half open, no call, no journal entry."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.gates.faulty_host import DONE, HEAD, LAST, ROLE, FaultyHost, ScriptedReply, answer, chunk, delta, refusal
from tests.unit.gateway.direct.test_both_paths_openai_chat import whole
from tests.unit.gateway.gateway_server import STRONG, GatewayServer, config, until

from intermodal import errors
from intermodal.executor.direct.direct_attempt import DirectAttempt
from intermodal.gateway.metrics import Metrics
from intermodal.gateway.quotas.budget_leases import QuotaReservation
from intermodal.protocols.upstream_response import UpstreamResponse
from intermodal.store.attempt_journal import SLOTS
from intermodal.store.rows import AttemptRow, RunRow
from intermodal.telemetry.request_record import RequestRecord
from intermodal.transport.http1 import ConnectionPool, HostConnection

pytestmark = pytest.mark.usefixtures("either_way")

PLAYS: dict[str, ScriptedReply] = {}


@pytest.fixture
def wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyHost]:
    with FaultyHost(lambda model, number: PLAYS["now"]) as wall:
        roomy = STRONG.replace("context = 32000", "context = 1000000")
        path = config(tmp_path / "intermodal.toml", ("cloud", wall.base_url, roomy))
        waits = 'zone = "internet"\ntimeouts = { between_tokens = 0.6 }'
        path.write_text(path.read_text().replace('zone = "internet"', waits, 1))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        yield wall


def request(content: str = "hello", *headers: bytes, **more: Any) -> bytes:
    tree = {"model": "cloud/strong", "messages": [{"role": "user", "content": content}], **more}
    body = json.dumps(tree).encode()
    head = [b"POST /v1/chat/completions HTTP/1.1", b"host: localhost", b"content-type: application/json", *headers]
    return b"\r\n".join([*head, b"content-length: %d" % len(body), b"", body])


def clean(house: GatewayServer) -> bool:
    """Nothing is on its way any more, and nothing is left of it."""
    direct = house.gateway.direct
    journal = direct.engine.rows._journal
    free = journal is None or len(journal._free) == SLOTS
    busy = [pipe for pipe in tuple(direct.engine.pool._all) if pipe.listener is not None]
    return not house.gateway.active and free and not busy and not direct.engine.rows._waiting


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_the_call_and_pays_the_bound(wall: FaultyHost, stream: bool) -> None:
    begun = (HEAD, chunk(ROLE), chunk(delta("Pa"))) if stream else ()
    PLAYS["now"] = ScriptedReply((*begun, 30.0), paid=True)
    with GatewayServer() as house:
        with socket.create_connection(("127.0.0.1", house.gateway.port)) as line:
            line.sendall(request(stream=stream, max_tokens=100))
            until(lambda: bool(wall.hits))
            if stream:
                assert line.recv(100)
        until(lambda: wall.hits[0].left is not None)
        until(lambda: clean(house))
        until(lambda: bool(house.gateway.client.store.attempts(-1)))
        (row,) = house.gateway.client.store.attempts(-1)
        assert (row.state, row.spent) == ("estimated", row.reservation.cost_high)


def test_a_client_that_leaves_before_the_executor_goes_on_leaves_nothing(
    wall: FaultyHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The direct path's attempt failed; the next one is being planned."""
    PLAYS["now"] = refusal(503)
    at = threading.Event()
    with GatewayServer() as house:
        gateway = house.gateway
        given_back: list[QuotaReservation] = []
        release, settle = house.ledger.release, house.ledger.settle

        def releases(given: QuotaReservation) -> None:
            given_back.append(given)
            release(given)

        def settles(given: QuotaReservation, **told: Any) -> None:
            given_back.append(given)
            settle(given, **told)

        async def slow(*args: object, **more: object) -> None:
            at.set()
            await asyncio.sleep(30)

        monkeypatch.setattr(house.ledger, "release", releases)
        monkeypatch.setattr(house.ledger, "settle", settles)
        monkeypatch.setattr("intermodal.gateway.endpoints.chat.plan_request", slow)
        with socket.create_connection(("127.0.0.1", gateway.port)) as line:
            line.sendall(request(stream=False, max_tokens=100))
            assert at.wait(300)
        until(lambda: clean(house))
        assert len(given_back) == 1
        assert not any(breaker.probing for breaker in gateway.client.upstreams._breakers.values())


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
JSON = {"response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}}


def leave_during(
    function: str, patch: pytest.MonkeyPatch, *, failed: bool
) -> tuple[AttemptRow, RunRow, RequestRecord, Metrics]:
    """Have a client leave while this function works after its first attempt, which failed or is to be repaired.

    Returns the rows of the attempt and of its run, the record of the request, and the metrics.
    """
    PLAYS["now"] = refusal(500) if failed else whole("no JSON")
    more: dict[str, Any] = {} if failed else JSON
    at = threading.Event()

    async def slow(*args: object, **more: object) -> None:
        at.set()
        await asyncio.sleep(30)

    patch.setattr(function, slow)
    with GatewayServer() as house:
        told: list[RequestRecord] = []
        patch.setattr(house.gateway, "tell", told.append)
        with socket.create_connection(("127.0.0.1", house.gateway.port)) as line:
            line.sendall(request(stream=False, max_tokens=100, **more))
            assert at.wait(300)
        until(lambda: clean(house) and bool(told))
        house.until_written()
        store = house.gateway.client.store
        (row,), (run,), (served,) = store.attempts(-1), store.runs(), told
        return row, run, served, house.gateway.context.metrics


FAILED_OR_NOT = pytest.mark.parametrize("failed", [True, False], ids=["failed", "to be repaired"])


@FAILED_OR_NOT
def test_the_log_has_the_attempt_of_a_client_that_leaves_before_the_executor_goes_on(
    wall: FaultyHost, monkeypatch: pytest.MonkeyPatch, failed: bool
) -> None:
    """It may have been charged, or was answered with what has to be repaired: row, log and metrics say so."""
    found = leave_during("intermodal.gateway.endpoints.chat.plan_request", monkeypatch, failed=failed)
    row, run, served, metrics = found
    assert (row.spent == row.reservation.cost_high) is failed and row.spent > 0
    assert (served.attempts, served.cost) == (1, pytest.approx(row.spent, abs=1e-9))
    assert (served.error, served.last_endpoint) == ("client_left", "cloud:cloud/strong")
    assert (served.input_tokens, served.output_tokens) == ((None, None) if failed else (7, 5))
    assert served.endpoint == "", "nothing answered"
    assert metrics.attempts["cloud:cloud/strong", "call"] == failed
    assert metrics.tokens == ({} if failed else {"input": 7, "output": 5})
    assert (run.id, run.cost, run.endpoint) == (row.reservation.run, row.spent, "cloud:cloud/strong")
    assert run.outcome == ("call" if failed else "cancelled")
    assert run.plan and run.started <= row.started and row.outcome is not None and run.seconds is not None
    assert run.seconds >= row.outcome.seconds


@FAILED_OR_NOT
def test_the_log_has_the_attempt_of_a_client_that_leaves_before_the_run_takes_it_up(
    wall: FaultyHost, monkeypatch: pytest.MonkeyPatch, failed: bool
) -> None:
    row, run, served, metrics = leave_during("intermodal.executor.run.run_to_answer", monkeypatch, failed=failed)
    assert metrics.tokens == ({} if failed else {"input": 7, "output": 5})
    assert (served.input_tokens, served.output_tokens) == ((None, None) if failed else (7, 5))
    assert (run.id, run.cost, run.outcome) == (row.reservation.run, pytest.approx(row.spent), "cancelled")
    assert (served.attempts, served.cost) == (1, pytest.approx(row.spent, abs=1e-9))
    assert (served.error, served.last_endpoint) == ("client_left", "cloud:cloud/strong")


def test_a_client_that_leaves_at_the_moment_at_which_its_call_fails_leaves_nothing_reserved(
    wall: FaultyHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its task is cancelled, and before that runs the host's refusal is read."""
    PLAYS["now"] = ScriptedReply((30.0,), paid=True)
    sent: list[tuple[UpstreamResponse, asyncio.Task[Any]]] = []
    send = DirectAttempt._send

    def sends(attempt: DirectAttempt, connection: HostConnection) -> None:
        task = asyncio.current_task()
        assert task is not None
        sent.append((attempt._exchange, task))
        send(attempt, connection)

    monkeypatch.setattr(GatewayServer, "taskless", False)
    monkeypatch.setattr(DirectAttempt, "_send", sends)
    with GatewayServer() as house:

        def leaves_as_it_fails() -> None:
            exchange, task = sent[-1]
            task.cancel()
            exchange.head(503, {})
            exchange.data(b"{}")
            exchange.end()

        with socket.create_connection(("127.0.0.1", house.gateway.port)) as line:
            line.sendall(request(stream=False, max_tokens=100))
            until(lambda: bool(wall.hits))
            house.loop.call_soon_threadsafe(leaves_as_it_fails)
            until(lambda: bool(house.gateway.client.store.attempts(-1)))
            until(lambda: clean(house))
        assert sum(lease.held for lease in house.ledger._lease_pool._leases.values()) == 0


@pytest.mark.parametrize("by", ["its deadline", "its client", "its deadline, and it fails"])
def test_nothing_is_left_of_a_connection_that_is_made_in_the_turn_in_which_its_chat_ends(
    wall: FaultyHost, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """A chat with a deadline connects in a task of its own, whose result arrives a turn later."""
    PLAYS["now"] = whole("hi")
    waiting: list[tuple[DirectAttempt, asyncio.Task[Any]]] = []
    send, connect = DirectAttempt._send_when_connected, ConnectionPool.connect

    async def sends(attempt: DirectAttempt) -> None:
        task = asyncio.current_task()
        assert task is not None
        waiting.append((attempt, task))
        await send(attempt)

    async def ends_as_it_connects(pool: ConnectionPool, *to: Any) -> HostConnection:
        connection = await connect(pool, *to)
        attempt, task = waiting[-1]
        if by == "its client":
            attempt._loop.call_soon(task.cancel)
        else:
            attempt._loop.call_soon(attempt._on_deadline, 30.0)
        if by == "its deadline, and it fails":
            connection.abort()
            raise errors.Unreachable("it cannot be reached", where="cloud:cloud/strong", sent=False)
        return connection

    monkeypatch.setattr(GatewayServer, "taskless", False)
    monkeypatch.setattr(DirectAttempt, "_send_when_connected", sends)
    monkeypatch.setattr(ConnectionPool, "connect", ends_as_it_connects)
    with GatewayServer() as house:
        told: list[RequestRecord] = []
        house.gateway.tell = told.append
        with socket.create_connection(("127.0.0.1", house.gateway.port)) as line:
            line.sendall(request("hello", b"x-intermodal-deadline: 30", stream=False, max_tokens=100))
            until(lambda: bool(told))
        until(lambda: clean(house))
        assert house.log == []
        assert told[0].error == ("stopping" if by == "its client" else "call")
        until(lambda: not house.gateway.direct.engine.pool._all)
        assert not wall.hits, "it was sent"


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_is_left_of_a_call_whose_end_fails_for_an_internal_reason(
    wall: FaultyHost, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """The answer was made, so its upper bound is charged."""
    PLAYS["now"] = answer(["hi"]) if stream else whole("hi")

    def fails(*of: object) -> float:
        raise RuntimeError("a fault of ours")

    with GatewayServer() as house:
        settled: list[Any] = []
        settle = house.ledger.settle

        def settles(given: QuotaReservation, **told: Any) -> None:
            settled.append(told)
            settle(given, **told)

        monkeypatch.setattr(house.ledger, "settle", settles)
        monkeypatch.setattr("intermodal.executor.direct.compiled_plan.CompiledPlan.bill", fails)
        found = house.raw(request("hello", b"connection: close", stream=stream, max_tokens=100))
        assert found.startswith(b"HTTP/1.1 200" if stream else b"HTTP/1.1 500"), found
        assert b'"error"' in found and b"a fault of ours" not in found
        until(lambda: clean(house))
        until(lambda: bool(house.gateway.client.store.attempts(-1)))
        (row,) = house.gateway.client.store.attempts(-1)
        assert (row.state, row.spent) == ("estimated", row.reservation.cost_high)
        (told,) = settled
        assert told["cost"] == pytest.approx(row.spent)


IDEMPOTENT = (b"idempotency-key: one", b"x-intermodal-deadline: 30", b"connection: close")


@pytest.mark.parametrize("by", ["its deadline", "its client"])
def test_an_idempotency_key_is_free_again_after_a_chat_that_ended_while_it_connected(
    wall: FaultyHost, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    PLAYS["now"] = whole("hi")
    waiting: list[DirectAttempt] = []
    send = DirectAttempt._send_when_connected

    async def sends(attempt: DirectAttempt) -> None:
        waiting.append(attempt)
        await send(attempt)

    async def hangs(*to: object) -> None:
        if by == "its deadline":
            waiting[-1]._loop.call_soon(waiting[-1]._on_deadline, 30.0)
        await asyncio.sleep(3600)

    monkeypatch.setattr(GatewayServer, "taskless", False)
    again = request("hello", *IDEMPOTENT, stream=False, max_tokens=100)
    with GatewayServer() as house:
        with monkeypatch.context() as patch:
            patch.setattr(DirectAttempt, "_send_when_connected", sends)
            patch.setattr(ConnectionPool, "connect", hangs)
            with socket.create_connection(("127.0.0.1", house.gateway.port)) as line:
                line.sendall(again)
                if by == "its deadline":
                    assert line.recv(1 << 16).startswith(b"HTTP/1.1 5")
                until(lambda: bool(waiting))
            until(lambda: clean(house))
        answer = house.raw(again)
        assert answer.startswith(b"HTTP/1.1 200") and b"idempotency-replayed" not in answer, answer
        assert len(wall.hits) == 1


@pytest.mark.parametrize(("status", "found"), [(None, b"200"), (503, b"200"), (500, b"409")])
def test_an_idempotency_key_is_free_again_after_a_call_that_no_run_continues_if_it_cost_nothing(
    wall: FaultyHost, monkeypatch: pytest.MonkeyPatch, status: int | None, found: bytes
) -> None:
    """``status``: of the host; None if it was not called."""
    PLAYS["now"] = refusal(status or 200)
    at = threading.Event()

    async def slow(*args: object, **more: object) -> None:
        at.set()
        await asyncio.sleep(3600)

    again = request("hello", *IDEMPOTENT, stream=False, max_tokens=100)
    with GatewayServer() as house:
        with monkeypatch.context() as patch:
            patch.setattr("intermodal.gateway.endpoints.chat.plan_request", slow)
            if status is None:
                patch.setattr(DirectAttempt, "_note_in_journal", lambda attempt: False)
            with socket.create_connection(("127.0.0.1", house.gateway.port)) as line:
                line.sendall(again)
                assert at.wait(300)
            until(lambda: clean(house))
        PLAYS["now"] = whole("hi")
        assert house.raw(again).startswith(b"HTTP/1.1 " + found)


def test_a_reader_that_is_slow_slows_its_host_and_loses_nothing(wall: FaultyHost) -> None:
    """For longer than the host may be silent: it is not the one that is."""
    words = "=" * 4000  # as few tokens as there can be
    pieces = [chunk(delta(words)) for _ in range(2500)]
    PLAYS["now"] = ScriptedReply((HEAD, chunk(ROLE), *pieces, chunk(delta(None, "stop")), chunk(DONE), LAST), paid=True)
    with GatewayServer() as house:
        with socket.create_connection(("127.0.0.1", house.gateway.port)) as line:
            line.sendall(request(stream=True, max_tokens=200_000))
            until(lambda: wall.hits)
            time.sleep(2.0)
            assert wall.hits[0].ended is None, "nobody held it"
            data = b""
            while not data.endswith(b"0\r\n\r\n"):
                piece = line.recv(1 << 20)
                assert piece, data[-200:]
                data += piece
        assert data.count(words.encode()) == 2500
        assert b"[DONE]" in data and b'"error"' not in data
        until(lambda: clean(house))
        assert house.taken == 1


def test_connections_are_used_again_over_answers_and_streams(wall: FaultyHost) -> None:
    said = {"role": "assistant", "content": "hi"}
    tree = {
        "id": "w", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
    }  # fmt: skip
    live = ScriptedReply((HEAD, *map(chunk, (ROLE, delta("hi"), delta(None, "stop"), DONE)), LAST))
    with GatewayServer() as house:
        for number in range(12):
            PLAYS["now"] = refusal(200, tree) if number % 2 else live
            data = house.raw(request("hello", b"connection: close", stream=not number % 2, max_tokens=100))
            assert data.startswith(b"HTTP/1.1 200")
            until(lambda: clean(house))
        assert house.taken == 12
        assert house.gateway.direct.engine.pool.opened == 1
