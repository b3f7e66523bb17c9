"""Breaker and budget of resends, by a clock of our own; what a failed call teaches; what EXPLAIN ANALYZE says of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.executor.routes import Bench, asked, plan, route, say, see

from intermodal import errors
from intermodal.catalog.types import Catalog, EndpointShortcoming
from intermodal.events import AttemptFailed
from intermodal.executor.attempt.circuit_breaker import (
    FAILURES_TO_OPEN,
    MAX_TIMED_RESENDS,
    PROBE_INTERVAL,
    RESENDS_PER_CALL,
    RESENDS_PER_SECOND,
    SUSPICION_SECONDS,
    EndpointHealth,
    TrackedCall,
)
from intermodal.plans.analyze import explain_analyze
from intermodal.testing import FakeHost

DOWN = errors.Overloaded("busy", status=503)


@pytest.fixture
def host() -> Iterator[FakeHost]:
    with FakeHost(answer="forty-two") as fake:
        yield fake


def shut(upstreams: EndpointHealth, failures: int = FAILURES_TO_OPEN, at: float = 0.0) -> EndpointHealth:
    for _ in range(failures):
        begun(upstreams, at).end(DOWN, at)
    return upstreams


def begun(upstreams: EndpointHealth, at: float = 0.0) -> TrackedCall:
    return upstreams.begin("h:m", "h", at, is_resend=False)


def test_an_endpoint_is_left_alone_after_failures_in_a_row_and_no_sooner() -> None:
    assert shut(EndpointHealth(), FAILURES_TO_OPEN - 1).seconds_open("h:m", 0.0) == 0
    upstreams = shut(EndpointHealth())
    assert upstreams.seconds_open("h:m", 0.0) == PROBE_INTERVAL
    assert upstreams.seconds_open("h:other", 0.0) == 0
    assert upstreams.seconds_open("h:m", PROBE_INTERVAL) == 0


def test_after_the_cooldown_one_call_finds_out_and_the_others_wait_for_it() -> None:
    upstreams = shut(EndpointHealth())
    probe = begun(upstreams, PROBE_INTERVAL)
    assert upstreams.seconds_open("h:m", PROBE_INTERVAL) > 0
    probe.end(DOWN, PROBE_INTERVAL + 1)
    assert upstreams.seconds_open("h:m", PROBE_INTERVAL + 2) == PROBE_INTERVAL - 1
    begun(upstreams, 20.0).end(None, 20.0)
    assert upstreams.seconds_open("h:m", 20.0) == 0


def test_a_call_of_before_does_not_end_the_probe() -> None:
    upstreams = EndpointHealth()
    old = begun(upstreams)
    shut(upstreams)
    probe = begun(upstreams, PROBE_INTERVAL)
    old.end(DOWN, PROBE_INTERVAL + 1)
    assert upstreams.seconds_open("h:m", 3 * PROBE_INTERVAL) > 0, "one at a time: the probe is still on its way"
    probe.end(DOWN, 3 * PROBE_INTERVAL)
    assert upstreams.seconds_open("h:m", 4 * PROBE_INTERVAL) == 0


def test_a_first_word_closes_the_breaker_and_an_answer_that_breaks_off_opens_it_again() -> None:
    upstreams = shut(EndpointHealth())
    probe = begun(upstreams, PROBE_INTERVAL)
    probe.first_word()
    assert upstreams.seconds_open("h:m", PROBE_INTERVAL) == 0, "nobody waits for the rest of a long answer"
    probe.end(errors.StreamCut("cut"), 2 * PROBE_INTERVAL)
    assert upstreams.seconds_open("h:m", 2 * PROBE_INTERVAL) == PROBE_INTERVAL


def test_streams_that_all_break_off_are_failures_in_a_row() -> None:
    upstreams = EndpointHealth()
    for _ in range(FAILURES_TO_OPEN):
        assert upstreams.seconds_open("h:m", 0.0) == 0
        call = begun(upstreams)
        call.first_word()
        call.end(errors.StreamCut("cut"), 0.0)
    assert upstreams.seconds_open("h:m", 0.0) == PROBE_INTERVAL


def test_a_good_end_between_a_first_word_and_its_break_ends_the_row() -> None:
    upstreams = shut(EndpointHealth(), FAILURES_TO_OPEN - 1)
    slow, quick = begun(upstreams), begun(upstreams)
    slow.first_word()
    quick.end(None, 0.0)
    slow.end(errors.StreamCut("cut"), 0.0)
    assert shut(upstreams, FAILURES_TO_OPEN - 2).seconds_open("h:m", 0.0) == 0
    assert shut(upstreams, 1).seconds_open("h:m", 0.0) > 0


def test_who_leaves_after_the_first_word_leaves_a_working_endpoint() -> None:
    upstreams = shut(EndpointHealth(), FAILURES_TO_OPEN - 1)
    call = begun(upstreams)
    call.first_word()
    call.abandon()
    assert shut(upstreams, 1).seconds_open("h:m", 0.0) == 0


def test_a_probe_that_is_given_up_says_nothing() -> None:
    upstreams = shut(EndpointHealth())
    begun(upstreams, PROBE_INTERVAL).abandon()
    assert upstreams.seconds_open("h:m", 2 * PROBE_INTERVAL) == 0


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
    upstreams = shut(EndpointHealth(), FAILURES_TO_OPEN - 1)
    begun(upstreams).end(error, 0.0)
    assert shut(upstreams, FAILURES_TO_OPEN - 1).seconds_open("h:m", 0.0) == 0


def test_what_never_reached_an_endpoint_neither_opens_nor_closes_it() -> None:
    upstreams = shut(EndpointHealth(), FAILURES_TO_OPEN - 1)
    begun(upstreams).end(errors.UnsupportedModality("cannot be said", sent=False), 0.0)
    begun(upstreams).end(errors.BudgetExceeded("too dear"), 0.0)
    assert shut(upstreams, 1).seconds_open("h:m", 0.0) > 0


def test_resends_are_a_share_of_the_calls_and_a_few_a_second() -> None:
    upstreams = EndpointHealth()
    sent = 0
    for call in range(1000):
        now = call / 100
        upstreams.begin("h:m", "h", now, is_resend=False)
        while upstreams.acquire_resend("h", now):
            upstreams.begin("h:m", "h", now, is_resend=True)
            sent += 1
    assert sent <= MAX_TIMED_RESENDS + RESENDS_PER_SECOND * 10 + RESENDS_PER_CALL * 1000
    assert sent >= RESENDS_PER_SECOND * 9 + RESENDS_PER_CALL * 900
    assert upstreams.acquire_resend("other", 10.0), "and another host has its own"


def test_processes_share_the_resends_of_a_second() -> None:
    sent = 0
    for _ in range(4):
        upstreams = EndpointHealth(processes=4)
        for second in range(100):
            while upstreams.acquire_resend("h", float(second)):
                sent += 1
    assert RESENDS_PER_SECOND * 99 <= sent <= MAX_TIMED_RESENDS + RESENDS_PER_SECOND * 99


def test_a_resend_that_was_not_sent_is_left_to_others() -> None:
    upstreams = EndpointHealth()
    for _ in range(3):
        while upstreams.acquire_resend("h", 0.0):
            pass
        upstreams.return_resend("h", 0.0)
        assert upstreams.acquire_resend("h", 0.0) and not upstreams.acquire_resend("h", 0.0)


def test_what_was_learned_corrects_a_catalog_and_nothing_else(host: FakeHost) -> None:
    seeing, other = host.endpoint("seeing", input=("text", "image")), host.endpoint("other", input=("text", "image"))
    catalog = Catalog(endpoints=(seeing, other))
    upstreams = EndpointHealth()
    assert upstreams.apply_lessons(catalog) is catalog
    upstreams.learn(EndpointShortcoming(endpoint="fake:seeing", lacks=("image",), message="no images"), 0.0)
    upstreams.learn(EndpointShortcoming(endpoint="fake:seeing", context=100), 0.0)
    upstreams.learn(EndpointShortcoming(endpoint="fake:seeing", images=2), 0.0)
    upstreams.learn(EndpointShortcoming(endpoint="fake:unknown", context=100), 0.0)
    found = upstreams.apply_lessons(catalog)
    assert (found.by_id["fake:seeing"].input, found.by_id["fake:seeing"].context) == (("text",), 100)
    assert found.by_id["fake:seeing"].host.max_images == 2
    assert found.by_id["fake:seeing"].evidence.level == "observed"
    assert found.by_id["fake:other"] == other
    assert upstreams.apply_lessons(found) is found, "nothing new"


@pytest.mark.anyio
async def test_a_describing_model_that_sees_nothing_is_known_by_its_refusal(tmp_path: Path, host: FakeHost) -> None:
    blind = host.endpoint("m-fault-blind", input=("text", "image"))
    upstreams = EndpointHealth()
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


def test_what_is_only_suspected_is_not_kept_and_forgotten_after_a_while() -> None:
    kept: list[EndpointShortcoming] = []
    upstreams = EndpointHealth(kept.append)
    upstreams.learn(EndpointShortcoming(endpoint="near:m", context=2000, suspected=True), 0.0)
    upstreams.learn(EndpointShortcoming(endpoint="near:m", context=1000, suspected=True), 10.0)
    upstreams.learn(EndpointShortcoming(endpoint="near:m", images=2), 10.0)
    assert [each.context for each in upstreams.learned] == [1000, None], "of what is suspected, the last"
    upstreams.drop_expired(10.0 + SUSPICION_SECONDS - 1)
    assert len(upstreams.learned) == 2
    upstreams.drop_expired(10.0 + SUSPICION_SECONDS)
    assert upstreams.learned == tuple(kept) == (EndpointShortcoming(endpoint="near:m", images=2),)
