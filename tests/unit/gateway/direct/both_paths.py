"""Three gateways over one fault wall: in one the direct path is open, in one everything goes through the executor, and
in one what the direct path takes goes without a task.

What a client, a host, the store and whoever watches see of a request in any is put side by side.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import msgspec
import pytest
from tests.gates.faulty_host import FaultyHost, ScriptedReply
from tests.unit.gateway.apis import contract
from tests.unit.gateway.direct.both_paths_protocols import WireProtocol, counted_apart
from tests.unit.gateway.direct.without_task import TasklessCalls, without_tasks
from tests.unit.gateway.gateway_server import GatewayServer, sse, through_the_executor

from intermodal.executor.attempt.step_caller import StepCaller
from intermodal.gateway.quotas.authentication import digest
from intermodal.gateway.quotas.quota_types import NANODOLLARS, Budget, VirtualKey
from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore
from intermodal.gateway.server import Gateway
from intermodal.transport.http1 import ConnectionPool, HostConnection, HttpTarget

ASKED = [{"role": "user", "content": "What is the capital of France?"}]
NOWHERE = "http://127.0.0.1:9/v1"  # the discard port: below those that tests listen on
SECRET = f"im-beside-{'0' * 40}"
# May differ: ids, times, how busy the machine was, and the plan: the direct path plans the longest chat of a shape.
NOT_COMPARED = frozenset({
    "id", "run", "plan", "inputs", "started", "finished", "seconds", "first_seconds", "process", "sequence", "busy",
})  # fmt: skip


@dataclass
class Model:
    """A model at the wall, at a host of its own. ``plays``: what each request gets; the last one again and again."""

    plays: Sequence[ScriptedReply]
    host: str = ""
    row: str = 'input = ["text"]'
    zone: str = "internet"
    price: float | None = 0.1
    down: bool = False  # nothing listens there
    context: int = 32000


@dataclass
class Case:
    """A request. ``models`` can do it; the first is the cheapest. ``by``: whether the direct path answers it.
    ``wire_protocol``: how client and hosts speak, None for OpenAI's chat."""

    models: Sequence[Model]
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    by: bool = True
    wire_protocol: WireProtocol | None = None


@dataclass
class Seen:
    """What one gateway made of a case."""

    status: int
    headers: dict[str, str]
    answer: Any
    hits: dict[int, list[dict[str, Any]]]
    attempts: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    metrics: Any
    served: Any
    spent: Any
    taken: int


class BothPaths:
    """Runs cases by their names in both."""

    def __init__(self, cases: Mapping[str, Case], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._cases = cases
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._houses: dict[str, GatewayServer] = {}
        self._homes: dict[str, Path] = {}
        self._settled: dict[str, list[Any]] = {}
        self._began = 0.0  # the case that is asked
        self.text = ""  # what the client got last
        self._taskless = TasklessCalls()

    @contextmanager
    def open(self) -> Iterator[BothPaths]:
        async def at_once(caller: StepCaller, seconds: float) -> None:
            assert seconds >= 0

        self._monkeypatch.setattr(StepCaller, "sleep", at_once)
        self._monkeypatch.setattr(ConnectionPool, "take", self._connection_of_this_case)
        with FaultyHost(self._play) as self._wall:
            path = self._folder / "intermodal.toml"
            path.write_text(config(self._cases, self._wall.base_url))
            self._monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
            for way in ("direct", "executor", "taskless"):
                home = self._homes[way] = self._folder / way
                (home / "data").mkdir(parents=True)
                self._monkeypatch.setenv("INTERMODAL_HOME", str(home))
                quota_store = SqliteQuotaStore(home / "data" / FILE)
                key = VirtualKey(
                    id="k-beside", name="beside", budgets=(Budget(unit="usd", limit=1000 * NANODOLLARS),)
                )  # fmt: skip
                quota_store.add(msgspec.structs.replace(key, digest=digest(SECRET)))
                quota_store.close()

                def before(gateway: Gateway, way: str = way) -> None:
                    gateway.client.env = dict(os.environ)
                    if way == "executor":
                        through_the_executor(gateway)
                    elif way == "taskless":
                        self._taskless = without_tasks(gateway)

                house = self._houses[way] = GatewayServer(before=before).__enter__()
                self._settled[way] = _settlements(house, self._monkeypatch)
            try:
                yield self
            finally:
                for house in self._houses.values():
                    house.__exit__(None, None, None)

    @property
    def _connection_of_this_case(self) -> Callable[[ConnectionPool, HttpTarget, float], HostConnection | None]:
        """Take no connection that another case left: one path may have such a one and the other none, and then only one
        of them sends again when it ends."""
        take = ConnectionPool.take

        def taken(pool: ConnectionPool, target: HttpTarget, now: float) -> HostConnection | None:
            while (connection := take(pool, target, now)) is not None and connection.since < self._began:
                pool.reused -= 1
                connection.abort()
            return connection

        return taken

    def _play(self, model: str, number: int) -> ScriptedReply:
        name, place = model.rsplit("-", 1)
        plays = self._cases[name].models[int(place)].plays
        since = self._wall.asked(model) - self._before.get(model, 0) - 1
        return plays[min(since, len(plays) - 1)]

    def both(self, name: str) -> tuple[Seen, Seen]:
        """By the direct path, and by the executor. Without a task the direct path does the same."""
        direct = self.ask("direct", name)
        before = len(self._taskless.ids)
        taskless = self.ask("taskless", name)
        assert not (found := unlike(vars(taskless), vars(direct))), "\n".join(found)
        taken = len(self._taskless.ids) - before
        assert taken == 1 or not direct.taken, f"it needed a task: {self._taskless.reason or taken}"
        return direct, self.ask("executor", name)

    def house(self, way: str, name: str) -> GatewayServer:
        """The gateway of a way, whose hosts are about to be asked for a case."""
        places = range(len(self._cases[name].models))
        self._before = {f"{name}-{place}": self._wall.asked(f"{name}-{place}") for place in places}
        return self._houses[way]

    def ask(self, way: str, name: str, **more: Any) -> Seen:
        case, house, wall = self._cases[name], self.house(way, name), self._wall
        gateway = house.gateway
        self._began = monotonic()
        told: list[Any] = []
        gateway.tell = told.append
        spent = self._settled[way]
        spent.clear()
        metrics = gateway.context.metrics
        before = (Counter(metrics.attempts), Counter(metrics.tokens), metrics.cost, metrics.unpriced)
        unreported = Counter(metrics.unreported)
        taken, first = gateway.direct.engine.answered_calls, len(wall.hits)
        rows = self._rows(way, name)
        wire_protocol = case.wire_protocol
        usual = {"messages": ASKED, "max_tokens": 50} if wire_protocol is None else wire_protocol.asked
        tree = {"model": f"cloud/{name}", **usual, **case.body, **more}
        tree = {key: value for key, value in tree.items() if value is not None}
        headers = {"authorization": f"Bearer {SECRET}", **case.headers}
        path = "/v1/chat/completions" if wire_protocol is None else wire_protocol.path
        found = house.http.post(path, json=tree, headers=headers)
        self.text = found.text
        if wire_protocol is not None:
            contract.held(found)
        house.until_written()
        hits = wall.hits[first:]
        told_of = told[0]
        attempts, runs = self._rows(way, name)
        by_place: dict[int, list[dict[str, Any]]] = {}
        for hit in hits:
            by_place.setdefault(int(hit.model.rsplit("-", 1)[1]), []).append(
                _body(hit.body) if wire_protocol is None else hit.body
            )
        return Seen(
            status=found.status_code, headers=_headers(found),
            answer=_answer(found) if wire_protocol is None else wire_protocol.answer(found), hits=by_place,
            attempts=attempts[len(rows[0]) :], runs=runs[len(rows[1]) :],
            metrics=(
                metrics.attempts - before[0], metrics.tokens - before[1], round(metrics.cost - before[2], 9),
                metrics.unpriced - before[3], metrics.unreported - unreported,
            ),
            served=_served(told_of), spent=spent[:], taken=gateway.direct.engine.answered_calls - taken,
        )  # fmt: skip

    def _rows(self, way: str, name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        path = self._homes[way] / "data" / "store.sqlite3"
        if not path.exists():
            return [], []
        connection = sqlite3.connect(path)
        connection.row_factory = sqlite3.Row
        try:
            rows = connection.execute(
                "SELECT * FROM attempts WHERE endpoint LIKE ? ORDER BY started, sequence", (f"{name}-%",)
            ).fetchall()
            names = {row["run"] for row in rows}
            runs = [row for row in connection.execute("SELECT * FROM runs ORDER BY started") if row["id"] in names]
        except sqlite3.OperationalError:
            return [], []
        finally:
            connection.close()
        number = {row["id"]: place for place, row in enumerate(runs)}
        return (
            [{**_kept(row), "of": number.get(row["run"])} for row in rows],
            [_kept(row) for row in runs],
        )


def _body(tree: dict[str, Any]) -> dict[str, Any]:
    """A request at the wall. The executor puts images before words, the direct path leaves them where they are."""
    messages = [
        {**message, "content": sorted(message["content"], key=json.dumps)} if isinstance(message["content"], list)
        else message
        for message in tree["messages"]
    ]  # fmt: skip
    return {**tree, "messages": messages}


def unlike(one: Any, other: Any, place: str = "") -> list[str]:
    """Where two differ, a line each."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = sorted({*one, *other}, key=str)
        return [line for name in names for line in unlike(one.get(name), other.get(name), f"{place}.{name}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [line for n, pair in enumerate(zip(one, other, strict=True)) for line in unlike(*pair, f"{place}[{n}]")]
    return [] if one == other else [f"{place}: {one!r} is not {other!r}"]


def _settlements(house: GatewayServer, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is settled with the key's account from now on."""
    found: list[Any] = []
    ledger = house.ledger
    settle, release = ledger.settle, ledger.release

    def settled(
        given: Any, *, cost: float | None, tokens: int | None, unreported: float = 0.0, unreported_tokens: int = 0
    ) -> None:
        found.append((None if cost is None else round(cost, 9), round(unreported, 9), tokens, unreported_tokens))
        settle(given, cost=cost, tokens=tokens, unreported=unreported, unreported_tokens=unreported_tokens)

    def released(given: Any) -> None:
        found.append("released")
        release(given)

    monkeypatch.setattr(ledger, "settle", settled)
    monkeypatch.setattr(ledger, "release", released)
    return found


def _kept(row: sqlite3.Row) -> dict[str, Any]:
    return {
        name: round(row[name], 6) if isinstance(row[name], float) else row[name]
        for name in row.keys()  # noqa: SIM118 - of a Row
        if name not in NOT_COMPARED
    }


def _headers(found: httpx.Response) -> dict[str, str]:
    # What is passed on as it is has a question that nobody looked at: its verdict is "unknown".
    varies = {"date", "x-request-id", "x-intermodal-plan", "content-length", "x-intermodal-verdict"}
    said = {name: value for name, value in found.headers.items() if name not in varies}
    for name in list(said):
        if name.startswith("x-ratelimit-"):
            said[name] = ""
    return said


def _answer(found: httpx.Response) -> Any:
    """What the client made of it."""
    if not found.headers.get("content-type", "").startswith("text/event-stream"):
        tree = found.json()
        if "error" in tree:
            return {**tree, "error": _error(tree["error"])}
        choice = tree["choices"][0]
        return {
            "model": tree["model"], "object": tree["object"], "message": _said(choice["message"]),
            "finish": choice["finish_reason"], "usage": _usage(tree["usage"]),
        }  # fmt: skip
    stream = sse(found.text)
    message: dict[str, Any] = {}
    calls: dict[int, dict[str, str]] = {}
    finish, usage, error, models = None, None, None, set()
    for event in stream.events:
        if "error" in event:
            error = _error(event["error"])
            continue
        models.add(event.get("model"))
        usage = event.get("usage") or usage
        for choice in event["choices"]:
            delta = choice["delta"]
            for name in ("content", "refusal"):
                if delta.get(name):
                    message[name] = message.get(name, "") + delta[name]
            for call in delta.get("tool_calls") or ():
                kept = calls.setdefault(call["index"], {"id": "", "name": "", "arguments": ""})
                kept["id"] += call.get("id") or ""
                kept["name"] += call["function"].get("name") or ""
                kept["arguments"] += call["function"].get("arguments") or ""
            finish = choice.get("finish_reason") or finish
    return {
        "models": models, "message": message, "calls": calls, "finish": finish,
        "usage": None if usage is None else _usage(usage), "error": error, "done": stream.done,
        "comments": stream.comments,
    }  # fmt: skip


def _error(error: Mapping[str, Any]) -> Any:
    return {**error, "intermodal": _about(error["intermodal"])}


def _about(about: Mapping[str, Any]) -> Any:
    return {name: value for name, value in about.items() if name not in ("plan", "seconds")}


def _said(message: Mapping[str, Any]) -> Any:
    return {
        name: value for name, value in message.items() if name not in ("annotations", "reasoning_content") and value
    }


def _usage(usage: Mapping[str, Any]) -> Any:
    counts = {name: usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    apart = counted_apart(usage, "prompt_tokens_details", "completion_tokens_details")
    return {**counts, **apart, "intermodal": _about(usage["intermodal"])}


def _served(served: Any) -> Any:
    names = ("route", "status", "key", "model", "broken", "error")
    return {name: getattr(served, name) for name in names}


def config(cases: Mapping[str, Case], url: str) -> str:
    """Each model at its hosts, each of which costs more than the one before, so that plans take them in their order."""
    lines: list[str] = []
    for name, case in cases.items():
        for place, model in enumerate(case.models):
            price = ""
            if model.price is not None:
                price = f"input_mtok = {model.price * (place + 1):g}\noutput_mtok = {4 * model.price * (place + 1):g}\n"
            host = f"{name}-{place}"
            at = NOWHERE if model.down else url
            spoken = "" if case.wire_protocol is None else f'protocol = "{case.wire_protocol.protocol}"\n'
            if case.wire_protocol is not None and not case.wire_protocol.versioned:
                at = at.removesuffix("/v1")
            lines.append(
                f'[hosts.{host}]\nbase_url = "{at}"\nzone = "{model.zone}"\n{spoken}{model.host}\n'
                f'[[hosts.{host}.models]]\nid = "cloud/{name}"\nserved_as = "{host}"\ncontext = {model.context}\n'
                f'tier = "large"\n{price}{model.row}\n'
            )
    return "\n".join(lines)
