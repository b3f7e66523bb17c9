"""What a request took is told with its error as with an answer, in every protocol: plan, route, attempts, cost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.gates.faulty_host import HEAD, ROLE, FaultyHost, ScriptedReply, answer, chunk, cut, delta, refusal
from tests.unit.gateway.apis import contract
from tests.unit.gateway.gateway_server import GatewayServer, priced, until

from intermodal.executor.attempt.circuit_breaker import FAILURES_TO_OPEN

pytestmark = pytest.mark.usefixtures("either_way")

WORDS = ["all", " is", " well"]
DOORS = {
    "openai": "/v1/chat/completions", "anthropic": "/v1/messages", "responses": "/v1/responses", "ollama": "/api/chat",
}  # fmt: skip
SPEED = "speed = { overhead = [0.01, 0.02, 0.03], decode = [1e4, 2e4, 3e4], prompt = [1e4, 2e4, 3e4] }\n"


class Gateway:
    """A gateway before two hosts of a model; ``plays`` is what each of them does."""

    def __init__(self, house: GatewayServer, plays: dict[str, ScriptedReply]) -> None:
        self.house, self._plays = house, plays

    def ask(
        self, protocol: str, first: ScriptedReply, second: ScriptedReply, *, stream: bool = False,
        more: dict[str, Any] | None = None, **headers: str,
    ) -> httpx.Response:  # fmt: skip
        self._plays.update(first=first, second=second)
        tree: dict[str, Any] = {"model": "cloud/strong", "stream": stream}
        said = [{"role": "user", "content": "hello"}]
        tree |= {"input": said, "max_output_tokens": 50} if protocol == "responses" else {"messages": said}
        tree |= {"max_tokens": 50} if protocol in ("openai", "anthropic") else {}
        found = self.house.post(DOORS[protocol], tree | (more or {}), **headers)
        if not (protocol == "openai" and stream):  # which is passed on as the host wrote it
            contract.held(found)
        return found

    def spent(self, attempts: int) -> float:
        """By the rows of so many attempts, which are written in a moment."""
        store = self.house.gateway.client.store
        until(lambda: len(closed := [row for row in store.attempts(-1) if row.outcome]) == attempts and bool(closed))
        return sum(row.spent or 0.0 for row in store.attempts(-1))


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    with _gateway(tmp_path, monkeypatch) as found:
        yield found


@contextmanager
def _gateway(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    plays: dict[str, ScriptedReply] = {}
    with FaultyHost(lambda model, number: plays[model]) as wall:
        path = folder / "intermodal.toml"
        rows = (priced(host, wall.base_url, price) + SPEED for host, price in (("first", 1.0), ("second", 2.0)))
        path.write_text("".join(rows))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer() as house:
            yield Gateway(house, plays)


def told(protocol: str, found: httpx.Response) -> dict[str, Any]:
    """What the error says of its request, of an answer with a status of its own or of a stream."""
    kind = found.headers["content-type"]
    if kind.startswith("text/event-stream"):
        lines = [line.removeprefix("data: ") for line in found.text.splitlines() if line.startswith("data: ")]
        tree = json.loads(next(line for line in reversed(lines) if line != "[DONE]"))
        tree = tree.get("response", tree)
    else:
        tree = json.loads(found.text.splitlines()[-1])
    about: dict[str, Any] = tree["intermodal"] if protocol == "ollama" else tree["error"]["intermodal"]
    return about


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("protocol", sorted(DOORS))
def test_an_error_after_attempts_says_what_they_were(gateway: Gateway, protocol: str, stream: bool) -> None:
    found = gateway.ask(protocol, refusal(502, paid=True), refusal(401), stream=stream)
    assert found.status_code == 502
    about = told(protocol, found)
    assert (about["attempts"], about["route"]) == (2, "second:cloud/strong")
    assert found.headers["x-intermodal-plan"] == about["plan"]
    assert gateway.house.http.get(f"/v1/plans/{about['plan']}").status_code == 200, "the plan can be looked at"
    assert found.headers["x-intermodal-attempts"] == "2"
    assert found.headers["x-intermodal-route"] == about["route"]
    assert float(found.headers["x-intermodal-cost"]) == pytest.approx(about["cost"])
    assert about["cost"] == pytest.approx(gateway.spent(2))
    assert about["cost"] > 0, "a gateway that failed may have asked its model"


@pytest.mark.parametrize("how", ["live", "buffered"])
@pytest.mark.parametrize("protocol", sorted(DOORS))
def test_the_last_event_of_a_stream_that_breaks_says_what_it_took(gateway: Gateway, protocol: str, how: str) -> None:
    broken = cut(WORDS, 2, "fin")
    found = gateway.ask(protocol, broken, broken, stream=True, x_intermodal_stream=how)
    about = told(protocol, found)
    attempts = 1 if how == "live" else 2
    assert about["attempts"] == attempts
    assert found.status_code == (200 if how == "live" else 502)
    assert about["cost"] == pytest.approx(gateway.spent(attempts)) and about["cost"] > 0
    assert found.headers["x-intermodal-plan"] == about["plan"]


TOO_HOT = {"error": {"message": "temperature: range: 0..1", "type": "invalid_request_error", "param": "temperature"}}


@pytest.mark.parametrize("protocol", sorted(DOORS))
def test_a_temperature_is_its_hosts_to_refuse_and_the_refusal_costs_nothing(gateway: Gateway, protocol: str) -> None:
    """Ollama, llama.cpp and vLLM state no highest one, so the gateway passes on what came."""
    hot: dict[str, Any] = {"options": {"temperature": 99}} if protocol == "ollama" else {"temperature": 99}
    assert gateway.ask(protocol, answer(WORDS), answer(WORDS), stream=True, more=hot).status_code == 200
    found = gateway.ask(protocol, refusal(400, TOO_HOT), refusal(400, TOO_HOT), more=hot)
    assert found.status_code == 400 and "temperature: range: 0..1" in found.text
    assert told(protocol, found)["cost"] == 0
    if protocol != "ollama":
        assert found.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("protocol", sorted(DOORS))
def test_an_error_before_any_attempt_says_that_nothing_was_asked(gateway: Gateway, protocol: str) -> None:
    too_dear = gateway.ask(protocol, answer(WORDS), answer(WORDS), x_intermodal_max_cost="0.0000001")
    assert too_dear.status_code >= 400
    about = told(protocol, too_dear)
    assert {name: about[name] for name in ("plan", "route", "attempts", "cost")} == {
        "plan": None, "route": "none", "attempts": 0, "cost": 0.0,
    }  # fmt: skip
    assert "x-intermodal-plan" not in too_dear.headers
    assert (too_dear.headers["x-intermodal-attempts"], too_dear.headers["x-intermodal-cost"]) == ("0", "0")
    assert not gateway.house.gateway.client.store.attempts(-1)


@pytest.mark.parametrize("protocol", sorted(DOORS))
def test_an_attempt_that_the_deadline_ended_is_one(gateway: Gateway, protocol: str) -> None:
    silent = ScriptedReply((HEAD, chunk(ROLE), chunk(delta("all"))), end="stall", paid=True)
    found = gateway.ask(protocol, silent, silent, x_intermodal_deadline="3")
    about = told(protocol, found)
    assert (found.status_code, about["attempts"], about["route"]) == (502, 1, "first:cloud/strong")
    assert about["cost"] == pytest.approx(gateway.spent(1)) and about["cost"] > 0


def test_an_endpoint_that_the_breaker_passes_over_adds_nothing_to_what_a_request_took(gateway: Gateway) -> None:
    down = refusal(502)  # no resend follows it: one request is one call
    for _ in range(FAILURES_TO_OPEN):
        gateway.ask("openai", down, answer(WORDS))
    before = gateway.spent(2 * FAILURES_TO_OPEN)
    found = gateway.ask("openai", down, refusal(401))  # the second fails first, then the one that was passed over
    about = told("openai", found)
    assert (about["attempts"], about["route"]) == (2, "first:cloud/strong")
    assert about["cost"] == pytest.approx(gateway.spent(2 * FAILURES_TO_OPEN + 2) - before) and about["cost"] > 0


def test_a_request_that_is_refused_early_names_no_run(gateway: Gateway) -> None:
    found = gateway.house.http.get("/v1/nothing")
    assert found.status_code == 404 and not any(name.startswith("x-intermodal") for name in found.headers)


@pytest.mark.parametrize("how", ["live", "buffered"])
def test_a_host_that_names_a_date_and_has_no_clock_is_passed_on_in_seconds(gateway: Gateway, how: str) -> None:
    when = format_datetime(datetime.fromtimestamp(time.time() + 1000, UTC), usegmt=True)
    busy = refusal(429, headers={"retry-after": when})
    found = gateway.ask("openai", busy, busy, stream=True, x_intermodal_stream=how)
    assert found.status_code == 429 and 500 < int(found.headers["retry-after"]) <= 1000


def test_a_wait_that_a_host_requests_is_rounded_up(gateway: Gateway) -> None:
    """A client that asks again before the host allows it is refused again."""
    busy = refusal(429, headers={"retry-after": "1000.4"})
    assert gateway.ask("openai", busy, busy).headers["retry-after"] == "1001"
