"""An endpoint that was never measured is tried out by a few requests, and nobody notices where it fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from tests.gates.faulty_host import FaultyHost, ScriptedReply, refusal
from tests.gates.upstreams import document, whole
from tests.unit.gateway.gateway_server import GatewayServer, priced, through_the_executor, until

from intermodal.executor.attempt.circuit_breaker import FAILURES_TO_OPEN
from intermodal.gateway.server import Gateway
from intermodal.plans.plan import EXPLORED_EVERY, EXPLORED_MOST
from intermodal.transport.http1 import ConnectionPool

WORDS = ["all", " is", " well"]
# Slow as it is expected to be, quick as it may be.
UNSURE = "speed = { overhead = [0.0001, 3.0, 6.0], decode = [10.0, 20.0, 1e6], prompt = [100.0, 1000.0, 1e6] }\n"


@contextmanager
def served(
    way: str, folder: Path, monkeypatch: pytest.MonkeyPatch, new: ScriptedReply | None, more: str = ""
) -> Iterator[GatewayServer]:
    """A gateway before a host that works and one that is ``new``, and does so too, or fails in this way."""

    def before(gateway: Gateway) -> None:
        if way == "executor":
            through_the_executor(gateway)

    def play(model: str, number: int) -> ScriptedReply:
        if model == "new" and new is not None:
            return new
        return (whole if wall.hits[-1].body.get("stream") else document)("openai", WORDS)

    with FaultyHost(play) as wall:
        path = folder / "intermodal.toml"
        rows = [
            priced(host, wall.base_url, price, model=f"acme/{host}") for host, price in (("known", 1.0), ("new", 0.9))
        ]
        path.write_text("".join([more, *rows, UNSURE]))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer(before=before) as house:
            house.http.event_hooks = {}  # the wall writes less than the document says
            for _ in range(4):
                assert house.chat(model="auto", max_tokens=50).status_code == 200
            client = house.gateway.client
            until(lambda: any(name.startswith("known:") for name in client.store.learn().rows))
            client._looked = client._seen = 0.0  # it looks now, and not in a second
            yield house


def asks(house: GatewayServer, count: int) -> list[tuple[str, str]]:
    """Who answered so many requests, and what was said of each."""
    found = []
    for _ in range(count):
        said = house.chat(model="auto", max_tokens=50)
        assert said.status_code == 200 and said.json()["choices"][0]["message"]["content"] == "".join(WORDS)
        notes = " ".join(said.json()["usage"]["intermodal"]["notes"])
        found.append((said.headers["x-intermodal-route"], notes))
    return found


@pytest.mark.parametrize("way", ["direct", "executor"])
@pytest.mark.parametrize("works", [True, False])
def test_a_few_requests_try_out_what_was_never_measured(
    way: str, works: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(way, tmp_path, monkeypatch, None if works else refusal(503)) as house:
        found = asks(house, 7 * EXPLORED_EVERY)
        tried = [place for place, (_, notes) in enumerate(found) if "explores new:acme/new" in notes]
        assert 1 <= len(tried) <= EXPLORED_MOST
        assert all(later - one >= EXPLORED_EVERY for one, later in pairwise(tried))
        assert f"not measured yet (request 1 of {EXPLORED_MOST})" in found[tried[0]][1]
        for place, (who, _) in enumerate(found):
            if place not in tried and (not works or place < tried[-1]):
                assert who == "known:acme/known"
        assert {found[place][0] for place in tried} == {"new:acme/new" if works else "known:acme/known"}
        rows = [row for row in house.gateway.client.store.attempts(-1) if row.reservation.endpoint == "new:acme/new"]
        if not works:
            assert len(rows) == len(tried), "it is asked once in such a request"
        assert (house.taken > 0) == (way == "direct"), "all others go as they would"


def test_a_request_that_has_to_connect_counts_once_towards_the_next_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at without a task first, which finds no connection, and then in one."""
    monkeypatch.setattr(ConnectionPool, "take", lambda *asked: None)
    with served("direct", tmp_path, monkeypatch, refusal(503)) as house:
        found = asks(house, 7 * EXPLORED_EVERY)
        tried = [place for place, (_, notes) in enumerate(found) if "explores new:acme/new" in notes]
        assert len(tried) > 1
        assert all(later - one >= EXPLORED_EVERY for one, later in pairwise(tried))


@pytest.mark.parametrize("way", ["direct", "executor"])
def test_nothing_is_tried_out_where_the_config_says_so(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(way, tmp_path, monkeypatch, None, "explore = false\n") as house:
        assert {who for who, _ in asks(house, 3 * EXPLORED_EVERY)} == {"known:acme/known"}


SILENT = ScriptedReply((), end="stall")
TRIAL = "[timeouts]\ntrial = 0.5\n"


@pytest.mark.parametrize("way", ["direct", "executor"])
def test_an_endpoint_that_is_tried_out_and_silent_is_not_waited_for_as_long_as_others(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(way, tmp_path, monkeypatch, SILENT, TRIAL) as house:
        found = asks(house, 2 * EXPLORED_EVERY)  # each within the 60 s that this client waits
        assert {who for who, _ in found} == {"known:acme/known"}
        rows = [row for row in house.gateway.client.store.attempts(-1) if row.reservation.endpoint == "new:acme/new"]
        assert rows and {row.outcome.error for row in rows if row.outcome} == {"unreachable"}


@contextmanager
def probed(
    way: str, folder: Path, monkeypatch: pytest.MonkeyPatch, first: list[ScriptedReply], *hosts: str
) -> Iterator[GatewayServer]:
    """A gateway before a model at these hosts, of which the first, the cheapest, plays ``first``."""

    def play(model: str, number: int) -> ScriptedReply:
        return first[0] if model == hosts[0] else document("openai", WORDS)

    with FaultyHost(play) as wall:
        path = folder / "intermodal.toml"
        rows = [priced(host, wall.base_url, 1.0 + place) for place, host in enumerate(hosts)]
        path.write_text("".join([TRIAL, *rows]))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer(before=through_the_executor if way == "executor" else None) as house:
            house.http.event_hooks = {}  # the wall writes less than the document says
            yield house


@pytest.mark.parametrize("way", ["direct", "executor"])
def test_a_probe_of_a_silent_endpoint_is_not_waited_for_as_long_as_others(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [refusal(502)]
    with probed(way, tmp_path, monkeypatch, first, "first", "second") as house:
        for _ in range(FAILURES_TO_OPEN):
            assert house.chat(max_tokens=50).headers["x-intermodal-route"] == "second:cloud/strong"
        first[:] = [SILENT]
        upstreams = house.gateway.client.upstreams
        until(lambda: not upstreams.seconds_open("first:cloud/strong", time.monotonic()))
        found = house.chat(max_tokens=50)
        assert found.headers["x-intermodal-route"] == "second:cloud/strong"
        assert found.headers["x-intermodal-attempts"] == "2", "it was asked whether it is back"


@pytest.mark.parametrize("way", ["direct", "executor"])
def test_a_probe_is_waited_for_as_long_as_any_call_where_no_other_route_is_left(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [refusal(502)]
    with probed(way, tmp_path, monkeypatch, first, "first") as house:
        for _ in range(FAILURES_TO_OPEN):
            assert house.chat(max_tokens=50).status_code == 502
        found_slow = document("openai", WORDS)
        first[:] = [found_slow._replace(pieces=(1.5, *found_slow.pieces))]
        upstreams = house.gateway.client.upstreams
        until(lambda: not upstreams.seconds_open("first:cloud/strong", time.monotonic()))
        assert house.chat(max_tokens=50).status_code == 200
