"""Breaker and budget of resends, by a clock of our own; what a failed call teaches; what EXPLAIN ANALYZE says of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.executor.routes import Bench, asked, plan, route, say, see

from intermodal import errors
from intermodal.catalog.nouns import Catalog, Shortcoming
from intermodal.events import AttemptFailed
from intermodal.executor.upstream import BURST, COOLDOWN, FLOOR, SHARE, TRIPS, Upstreams
from intermodal.plans.analyze import explain_analyze
from intermodal.testing import FakeHost

DOWN = errors.Overloaded("busy", status=503)


@pytest.fixture
def host() -> Iterator[FakeHost]:
    with FakeHost(answer="forty-two") as fake:
        yield fake


def shut(upstreams: Upstreams, failures: int = TRIPS, at: float = 0.0) -> Upstreams:
    for _ in range(failures):
        upstreams.begin("h:m", "h", at, again=False)
        upstreams.end("h:m", DOWN, at)
    return upstreams


def test_an_endpoint_is_left_alone_after_failures_in_a_row_and_no_sooner() -> None:
    assert shut(Upstreams(), TRIPS - 1).shut_for("h:m", 0.0) == 0
    upstreams = shut(Upstreams())
    assert upstreams.shut_for("h:m", 0.0) == COOLDOWN
    assert upstreams.shut_for("h:other", 0.0) == 0
    assert upstreams.shut_for("h:m", COOLDOWN) == 0


def test_after_the_cooldown_one_call_finds_out_and_the_others_wait_for_it() -> None:
    upstreams = shut(Upstreams())
    upstreams.begin("h:m", "h", COOLDOWN, again=False)
    assert upstreams.shut_for("h:m", COOLDOWN) > 0
    upstreams.end("h:m", DOWN, COOLDOWN + 1)
    assert upstreams.shut_for("h:m", COOLDOWN + 2) == COOLDOWN - 1
    upstreams.begin("h:m", "h", 20.0, again=False)
    upstreams.end("h:m", None, 20.0)
    assert upstreams.shut_for("h:m", 20.0) == 0


def test_a_probe_that_is_given_up_says_nothing() -> None:
    upstreams = shut(Upstreams())
    upstreams.begin("h:m", "h", COOLDOWN, again=False)
    upstreams.left("h:m")
    assert upstreams.shut_for("h:m", 2 * COOLDOWN) == 0


@pytest.mark.parametrize(
    "error",
    [
        errors.RateLimited("slow", status=429),
        errors.CallError("bad", status=400),
        errors.UnsupportedModality("no", status=500),
        errors.ContextExceeded("long", status=400),
        errors.ContentRefused("no", status=400),
        errors.Overloaded("crashed", status=400),
    ],
    ids=lambda error: f"{error.code}-{error.status}",
)
def test_an_endpoint_that_says_no_is_at_work(error: errors.CallError) -> None:
    upstreams = shut(Upstreams(), TRIPS - 1)
    upstreams.end("h:m", error, 0.0)
    assert shut(upstreams, TRIPS - 1).shut_for("h:m", 0.0) == 0


def test_what_never_reached_an_endpoint_neither_opens_nor_closes_it() -> None:
    upstreams = shut(Upstreams(), TRIPS - 1)
    upstreams.end("h:m", errors.UnsupportedModality("cannot be said", sent=False), 0.0)
    upstreams.end("h:m", errors.BudgetExceeded("too dear"), 0.0)
    assert shut(upstreams, 1).shut_for("h:m", 0.0) > 0


def test_resends_are_a_share_of_the_calls_and_a_few_a_second() -> None:
    upstreams = Upstreams()
    sent = 0
    for call in range(1000):
        now = call / 100
        upstreams.begin("h:m", "h", now, again=False)
        while upstreams.affords("h", now):
            upstreams.begin("h:m", "h", now, again=True)
            sent += 1
    assert sent <= BURST + FLOOR * 10 + SHARE * 1000
    assert sent >= FLOOR * 9 + SHARE * 900
    assert Upstreams().affords("h", 0.0), "and another host has its own"


def test_what_was_learned_corrects_a_catalog_and_nothing_else(host: FakeHost) -> None:
    seeing, other = host.endpoint("seeing", input=("text", "image")), host.endpoint("other", input=("text", "image"))
    catalog = Catalog(endpoints=(seeing, other))
    upstreams = Upstreams()
    assert upstreams.corrected(catalog) is catalog
    upstreams.learn(Shortcoming(endpoint="fake:seeing", lacks=("image",), said="no pictures"))
    upstreams.learn(Shortcoming(endpoint="fake:seeing", context=100))
    upstreams.learn(Shortcoming(endpoint="fake:seeing", images=2))
    upstreams.learn(Shortcoming(endpoint="fake:unknown", context=100))
    found = upstreams.corrected(catalog)
    assert (found.by_id["fake:seeing"].input, found.by_id["fake:seeing"].context) == (("text",), 100)
    assert found.by_id["fake:seeing"].host.max_images == 2
    assert found.by_id["fake:seeing"].evidence.level == "observed"
    assert found.by_id["fake:other"] == other
    assert upstreams.corrected(found) is found, "nothing new"


@pytest.mark.anyio
async def test_a_describing_model_that_sees_nothing_is_known_by_its_refusal(tmp_path: Path, host: FakeHost) -> None:
    blind = host.endpoint("m-fault-blind", input=("text", "image"))
    upstreams = Upstreams()
    bench = Bench(tmp_path, endpoints=(blind, host.endpoint("text")), options={"upstreams": upstreams})
    request, opened = asked("What is it?", "a.png")
    answering = say(bench.endpoints[1], "step:see1")
    with pytest.raises(errors.UnsupportedModality):
        await bench.run(plan(route(see(blind), answering)), request, opened)
    (known,) = upstreams.learned
    assert (known.endpoint, known.lacks) == ("fake:m-fault-blind", ("image",))


@pytest.mark.anyio
async def test_explain_analyze_and_the_store_tell_every_attempt(tmp_path: Path, host: FakeHost) -> None:
    shaky, whole = host.endpoint("m-fault-broken-x9"), host.endpoint("whole")
    bench = Bench(tmp_path, endpoints=(shaky, whole))
    request, opened = asked("What is it?")
    made = plan(route(say(shaky)), route(say(whole)))
    result = await bench.run(made, request, opened)
    first, second = result.failures
    assert isinstance(first, AttemptFailed)
    assert (first.then, first.status, first.charged, first.code) == ("resend", 500, "maybe", "call")
    assert second.then == "reroute"
    text = explain_analyze(made, result)
    assert "Attempt failed: fake:m-fault-broken-x9 failed inside (500)" in text
    assert "may be charged; sent again after 0.5 s" in text
    assert "may be charged; another way was taken" in text
    assert bench.states() == ["estimated", "estimated", "settled"]
    assert [row.outcome.error for row in bench.store.attempts(9) if row.outcome] == ["", "call", "call"]
