"""Chats that are passed on without a task: which do, and that nothing is left of those that fail or are given up."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.gates.faulty_host import FaultyHost, ScriptedReply, answer, refusal
from tests.unit.gateway.direct.test_both_paths_openai_chat import whole
from tests.unit.gateway.direct.test_direct_cancellation import clean, request
from tests.unit.gateway.gateway_server import STRONG, GatewayServer, config, until

from intermodal.executor.direct.compiled_plan import CompiledPlan
from intermodal.gateway.http1 import response_writer
from intermodal.gateway.http1.connection import Connection
from intermodal.gateway.http1.http_types import GatewayRequest
from intermodal.gateway.http1.response_writer import ResponseWriter
from intermodal.gateway.quotas.budget_leases import QuotaReservation
from intermodal.gateway.server import Gateway
from intermodal.store import epochs
from intermodal.transport.http1 import ConnectionPool, HostConnection, HttpTarget

PLAYS: dict[str, ScriptedReply] = {}
OTHER = STRONG.replace("strong", "other").replace("0.1", "0.5")


@pytest.fixture
def wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyHost]:
    PLAYS.clear()
    PLAYS["now"] = whole("Paris")
    with FaultyHost(lambda model, number: PLAYS["now"]) as wall:
        path = config(tmp_path / "intermodal.toml", ("cloud", wall.base_url, STRONG))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        yield wall


def twice(house: GatewayServer, content: str = "hello", **more: Any) -> None:
    """Ask twice: the first is planned in a task, and the second needs none. What they took is settled: a client has its
    answer before its connection to the host is free for the next."""
    for _ in range(2):
        assert house.chat(content, **more).status_code == 200
        until(lambda: clean(house))


class Kinds:
    """How each request went: "passed" without a task, or in a "task"."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        self.given: list[Any] = []
        pass_on = Gateway.answer_without_task

        def noted(gateway: Gateway, request: GatewayRequest, reply: ResponseWriter, over: Any) -> Any:
            passage = pass_on(gateway, request, reply, over)
            self.seen.append("task" if passage is None else "passed")
            return passage

        monkeypatch.setattr(Gateway, "answer_without_task", noted)

    def watch(self, house: GatewayServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is set aside, and what is settled or released, by the ledger."""
        ledger = house.ledger
        settle, release = ledger.settle, ledger.release

        def settles(given: QuotaReservation, *, cost: float | None, **told: Any) -> None:
            self.given.append((given, cost))
            settle(given, cost=cost, **told)

        def releases(given: QuotaReservation) -> None:
            self.given.append((given, "released"))
            release(given)

        monkeypatch.setattr(ledger, "settle", settles)
        monkeypatch.setattr(ledger, "release", releases)


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> Kinds:
    # Neither the look once a second nor what is learned on the way, after which a shape is planned again in a task; nor
    # that a key is looked at again, in a task, where a busy machine or the answers before took 10 ms.
    monkeypatch.setattr("intermodal.gateway.server_client.REFRESH_SECONDS", 1e9)
    monkeypatch.setattr("intermodal.gateway.server.RECHECK_SECONDS", 60.0)
    monkeypatch.setattr(epochs, "learn", lambda *database, **how: None)
    return Kinds(monkeypatch)


def test_what_was_asked_before_goes_without_a_task(wall: FaultyHost, kinds: Kinds) -> None:
    """The first of a shape is planned, in a task; those after it, in other words, need none, streamed or not."""
    with GatewayServer() as house:
        for stream in (False, True):
            PLAYS["now"] = answer(["Pa", "ris"]) if stream else whole("Paris")
            kinds.seen.clear()
            for word in ("blue", "pink", "gray"):
                found = house.chat(f"a {word} house", stream=stream)
                assert found.status_code == 200 and "Pa" in found.text
                until(lambda: clean(house))
            assert kinds.seen == ["task", "passed", "passed"]
        assert house.taken == 6
        assert len({hit.body["messages"][0]["content"] for hit in wall.hits}) == 3


@pytest.mark.parametrize("headers", [{"idempotency-key": "once"}, {"x-intermodal-objective": "fastest"}])
def test_a_chat_that_needs_preparation_runs_in_a_task(wall: FaultyHost, kinds: Kinds, headers: dict[str, str]) -> None:
    with GatewayServer() as house:
        twice(house)
        assert house.chat(headers=headers).status_code == 200
        assert kinds.seen == ["task", "passed", "task"]


def test_a_look_at_what_there_is_takes_one(wall: FaultyHost, kinds: Kinds, monkeypatch: pytest.MonkeyPatch) -> None:
    with GatewayServer() as house:
        twice(house)
        monkeypatch.setattr(
            "intermodal.gateway.server_client.REFRESH_SECONDS", -1.0
        )  # the last look is always too long ago
        assert house.chat().status_code == 200
        assert kinds.seen == ["task", "passed", "task"]


@pytest.mark.parametrize("kind", ["refused", "silent", "cut"])
@pytest.mark.parametrize("stream", [False, True])
def test_what_fails_before_a_word_goes_on_with_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: Kinds, kind: str, stream: bool
) -> None:
    """What was set aside for it is settled once, with what the other took."""
    bad: dict[str, ScriptedReply] = {
        "refused": refusal(500),
        "silent": ScriptedReply((), "fin"),
        "cut": ScriptedReply((b"HTTP/1.1 20",), "rst"),
    }
    good = answer(["oth", "er"]) if stream else whole("other")
    failing = False

    def play(model: str, number: int) -> ScriptedReply:
        return bad[kind] if model == "strong" and failing else good

    with FaultyHost(play) as wall:
        monkeypatch.setenv(
            "INTERMODAL_CONFIG",
            str(config(tmp_path / "intermodal.toml", ("cloud", wall.base_url, f"{STRONG}\n{OTHER}"))),
        )
        with GatewayServer() as house:
            twice(house, model="auto", stream=stream)
            failing = True
            kinds.watch(house, monkeypatch)
            found = house.chat(model="auto", stream=stream)
            assert found.status_code == 200 and "oth" in found.text
            assert kinds.seen == ["task", "passed", "passed"]
            until(lambda: clean(house))
            assert len(kinds.given) == 1 and not house.gateway.held


def test_who_leaves_between_the_failure_and_the_next_attempt_leaves_nothing(
    wall: FaultyHost, kinds: Kinds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the task that goes on has begun, and never will."""
    in_a_task = Connection._in_a_task

    def gone(self: Connection, request: GatewayRequest, reply: ResponseWriter) -> None:
        in_a_task(self, request, reply)
        if request.after is not None:
            self._transport.abort()  # type: ignore[union-attr]
            self.connection_lost(None)

    monkeypatch.setattr(Connection, "_in_a_task", gone)
    with GatewayServer() as house:
        twice(house)
        kinds.watch(house, monkeypatch)
        PLAYS["now"] = refusal(503)
        with socket.create_connection(("127.0.0.1", house.gateway.port)) as line:
            line.sendall(request())
            with pytest.raises(ConnectionResetError):
                while line.recv(1000):
                    pass
                raise ConnectionResetError
        until(lambda: clean(house))
        assert kinds.seen == ["task", "passed", "passed"]
        assert len(kinds.given) == 1 and not house.gateway.held
        assert not any(breaker.probing for breaker in house.gateway.client.upstreams._breakers.values())


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_while_it_is_answered_pays_the_bound(
    wall: FaultyHost, kinds: Kinds, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    with GatewayServer() as house:
        PLAYS["now"] = answer(["Pa", "ris"]) if stream else whole("Paris")
        twice(house, stream=stream)
        kinds.watch(house, monkeypatch)
        PLAYS["now"] = ScriptedReply((30.0,), paid=True)
        with socket.create_connection(("127.0.0.1", house.gateway.port)) as line:
            line.sendall(request(stream=stream))
            until(lambda: len(wall.hits) == 3)
        until(lambda: wall.hits[2].left is not None)
        until(lambda: clean(house))
        assert kinds.seen == ["task", "passed", "passed"]
        (cost,), held = [cost for _, cost in kinds.given], house.gateway.held
        asked = {"model": "cloud/strong", "messages": [{"role": "user", "content": "hello"}], "stream": stream}
        plan = house.post("/v1/explain", asked).json()["plan"]
        assert cost == plan["chosen"]["total"]["cost"]["high"] and not held


def test_a_mistake_of_ours_is_an_error_and_leaves_nothing(
    wall: FaultyHost, kinds: Kinds, monkeypatch: pytest.MonkeyPatch
) -> None:
    with GatewayServer() as house:
        twice(house)
        kinds.watch(house, monkeypatch)

        def wrong(self: CompiledPlan, chat: Any, shortened: Any) -> Any:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(CompiledPlan, "body", wrong)
            assert house.chat().status_code == 500
        assert "ZeroDivisionError" in house.log[-1]
        until(lambda: clean(house))
        assert len(kinds.given) == 1 and not house.gateway.held
        assert house.chat().status_code == 200
        assert kinds.seen == ["task", "passed", "passed", "task"], "its connection was closed"


@pytest.mark.parametrize("tasked", [False, True])
def test_a_host_that_fails_as_the_client_leaves_is_settled_and_told(
    wall: FaultyHost, kinds: Kinds, monkeypatch: pytest.MonkeyPatch, tasked: bool
) -> None:
    """Both in one turn of the loop, which is held for a moment: the client first, then the other way round."""
    with GatewayServer() as house:
        twice(house)
        kinds.watch(house, monkeypatch)
        told: list[Any] = []
        house.gateway.tell = told.append
        left, answered = threading.Event(), threading.Event()
        held = threading.Event()

        def refused() -> Iterator[bytes | float]:
            left.wait(300)
            yield from refusal(503).pieces
            answered.set()

        def hold() -> None:
            held.set()
            answered.wait(300)
            time.sleep(0.1)

        PLAYS["now"] = ScriptedReply(refused())  # type: ignore[arg-type]
        headers = (b"x-intermodal-objective: fastest",) if tasked else ()
        before = len(wall.hits)
        with socket.create_connection(("127.0.0.1", house.gateway.port)) as line:
            line.sendall(request("hello", *headers))
            until(lambda: len(wall.hits) > before)
            house.loop.call_soon_threadsafe(hold)
            assert held.wait(300)
        left.set()
        until(lambda: clean(house))
        assert kinds.seen[-1] == ("task" if tasked else "passed")
        assert len(kinds.given) == 1 and not house.gateway.held
        assert [served.error for served in told] == ["client_left"]
        assert not any(breaker.probing for breaker in house.gateway.client.upstreams._breakers.values())
        assert not any(lease.held for lease in house.ledger._lease_pool._leases.values())


def test_a_server_that_stops_between_the_failure_and_the_next_attempt_says_so(
    wall: FaultyHost, kinds: Kinds, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_task = Connection._in_a_task

    def stops(self: Connection, request: GatewayRequest, reply: ResponseWriter) -> None:
        in_a_task(self, request, reply)
        if request.after is not None:
            self.cancel()

    monkeypatch.setattr(Connection, "_in_a_task", stops)
    with GatewayServer() as house:
        twice(house)
        PLAYS["now"] = refusal(503)
        found = house.raw(request())
        assert kinds.seen == ["task", "passed", "passed"]
        assert found.startswith(b"HTTP/1.1 503") and b"the server is stopping" in found
        until(lambda: clean(house))


def test_a_mistake_of_ours_as_the_client_leaves_is_written_once(
    wall: FaultyHost, kinds: Kinds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are there twice would never be taken, and nothing passed on that costs money."""
    now: list[Connection] = []
    pass_on = Connection._start_next_request

    def noted(self: Connection) -> None:
        now[:] = [self]
        pass_on(self)

    def wrong(self: CompiledPlan, chat: Any, shortened: Any) -> Any:
        now[0]._transport.abort()  # type: ignore[union-attr]
        raise ZeroDivisionError

    with GatewayServer() as house:
        twice(house)
        kinds.watch(house, monkeypatch)
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "_start_next_request", noted)
            patch.setattr(CompiledPlan, "body", wrong)
            with socket.create_connection(("127.0.0.1", house.gateway.port)) as line:
                line.sendall(request())
                until(lambda: bool(kinds.given) and not house.gateway.active)
        until(lambda: clean(house))
        assert len(kinds.given) == 1 and not house.gateway.direct.engine.rows._broken
        journal = house.gateway.direct.engine.rows._journal
        assert journal is not None and len(set(journal._free)) == len(journal._free)
        assert house.chat().status_code == 200


def test_a_stream_is_kept_open_while_its_host_is_connected_to(
    wall: FaultyHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, said = ConnectionPool.connect, threading.Event()

    async def slow(self: ConnectionPool, target: HttpTarget, where: str) -> HostConnection:
        while not said.is_set():
            await asyncio.sleep(0.01)
        return await connect(self, target, where)

    monkeypatch.setattr(response_writer, "FIRST_COMMENT_SECONDS", 0.2)
    monkeypatch.setattr(ConnectionPool, "connect", slow)
    PLAYS["now"] = answer(["Pa", "ris"])
    with GatewayServer() as house, socket.create_connection(("127.0.0.1", house.gateway.port), timeout=20) as line:
        line.sendall(request(stream=True))
        found = b""
        while b": generate: no word yet" not in found:
            found += line.recv(1000)
        said.set()
        while b"[DONE]" not in found:
            found += line.recv(1000)


def test_two_at_once_on_a_line_are_answered_in_order(wall: FaultyHost, kinds: Kinds) -> None:
    with GatewayServer() as house:
        twice(house, "number 9")
        with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=60) as line:
            line.sendall(b"".join(request(f"number {n}") for n in range(4)))
            found = b""
            while found.count(b"HTTP/1.1 ") < 4 or not found.endswith(b"}"):
                piece = line.recv(65536)
                assert piece, found
                found += piece
        assert found.count(b"HTTP/1.1 200") == 4
        assert [hit.body["messages"][0]["content"] for hit in wall.hits[2:]] == [f"number {n}" for n in range(4)]
        assert kinds.seen[2:] == ["passed"] * 4
