"""What an attempt is charged for, by how it ended."""

from __future__ import annotations

import pytest
from tests.unit.executor.routes import PRICED, Bench, asked, plan, route, say

from intermodal import errors
from intermodal.catalog.types import Endpoint, Host, Model
from intermodal.core.quantity import Quantity, between, unknown
from intermodal.executor.attempt import accounting
from intermodal.executor.attempt.accounting import AttemptAccount, CallBound, Charge, TokenBound
from intermodal.executor.attempt.circuit_breaker import FAILURES_TO_OPEN, EndpointHealth
from intermodal.executor.attempt.retry import RetryLimits, decide_retry
from intermodal.plans.step import StepEstimate
from intermodal.protocols.calls import WireUsage
from intermodal.testing import FakeHost

FREE, DEAR, UNPRICED = between(0, 0, 0, "free"), between(0.001, 0.002, 0.003, "priced"), unknown("no price")
CUT = errors.StreamCut("cut off", sent=True)
DOWN = errors.Unreachable("no route to host")
VOID = Charge("void", 0.0, maybe_paid=False)


@pytest.mark.parametrize(
    ("estimated", "cost"), [(FREE, 0.0), (DEAR, None), (UNPRICED, None)], ids=["free", "priced", "unpriced"]
)
def test_what_may_have_been_billed_costs_nothing_only_where_the_endpoint_is_free(
    estimated: Quantity, cost: float | None
) -> None:
    expected = Charge("estimated", cost, maybe_paid=True)
    assert accounting.charge_failure(CUT, estimated, sent=True, begun=True) == expected
    assert accounting.charge_cancel(estimated, sent=True) == expected


@pytest.mark.parametrize("estimated", [FREE, DEAR, UNPRICED], ids=["free", "priced", "unpriced"])
def test_what_was_never_sent_or_is_certainly_not_billed_costs_nothing(estimated: Quantity) -> None:
    assert accounting.charge_failure(DOWN, estimated, sent=False, begun=False) == VOID
    assert (
        accounting.charge_failure(errors.RateLimited("slow down", status=429), estimated, sent=True, begun=False)
        == VOID
    )
    assert accounting.charge_cancel(estimated, sent=False) == VOID


def test_a_failure_after_the_first_word_may_have_been_billed_whatever_it_was() -> None:
    late = errors.RateLimited("slow down", status=429)
    assert accounting.charge_failure(late, DEAR, sent=True, begun=True).maybe_paid


@pytest.mark.parametrize(
    ("billed", "estimated", "counted", "state"),
    [
        (0.002, DEAR, True, "settled"), (0.002, DEAR, False, "estimated"), (None, DEAR, True, "estimated"),
        (0.0, FREE, True, "settled"), (None, UNPRICED, True, "settled"),
    ],
)  # fmt: skip
def test_an_answer_is_settled_where_it_was_counted(
    billed: float | None, estimated: Quantity, counted: bool, state: str
) -> None:
    charge = accounting.charge_answer(billed, estimated, usage_complete=counted)
    assert (charge.state, charge.cost, charge.maybe_paid) == (state, billed, True)


def test_an_answer_that_was_stopped_is_not_counted() -> None:
    said = WireUsage(input_tokens=3, output_tokens=4)
    assert accounting.usage_is_complete(said, looped=False, overran=True)
    assert not accounting.usage_is_complete(said, looped=True, overran=False)
    assert not accounting.usage_is_complete(WireUsage(input_tokens=3), looped=False, overran=True)
    assert not accounting.usage_is_complete(None, looped=False, overran=True)


@pytest.mark.anyio
async def test_a_run_whose_failed_attempt_has_no_known_price_does_not_know_what_it_cost(bench: Bench) -> None:
    with FakeHost(answer="forty-two") as host:
        bench.endpoints = (shaky, whole) = (host.endpoint("m-fault-broken-x9"), host.endpoint("whole"))
        unpriced = StepEstimate(
            input_tokens=PRICED.input_tokens, output_tokens=PRICED.output_tokens, cost=UNPRICED, seconds=PRICED.seconds
        )
        made = plan(route(say(shaky, estimate=unpriced)), route(say(whole)))
        result = await bench.run(made, *asked("What is it?"))
    assert [(failure.charged, failure.cost) for failure in result.failures] == [("maybe", None), ("maybe", None)]
    assert result.cost is None


# ---- one attempt, from its beginning to its end -------------------------------------------------


READS, WRITES = 100, 40  # tokens at most


def account(cost: Quantity, health: EndpointHealth | None = None, *, bound: float | None = None) -> AttemptAccount:
    endpoint = Endpoint(id="h:m", model=Model(id="m"), host=Host(id="h"))
    estimate = StepEstimate(
        cost=cost, input_tokens=between(1, 50, READS, "rule"), output_tokens=between(1, 9, WRITES, "limit")
    )
    most = None if bound is None else CallBound(bound, TokenBound(READS, 20))
    return AttemptAccount(health or EndpointHealth(), endpoint, estimate, 10.0, streamed=True, bound=most)


@pytest.mark.parametrize(
    ("cost", "kinds"), [(DEAR, ("reroute", "stop")), (UNPRICED, ("reroute", "stop")), (FREE, ("resend", "resend"))]
)
def test_an_attempt_that_began_is_not_repeated_where_it_may_have_been_billed(
    cost: Quantity, kinds: tuple[str, str]
) -> None:
    """Neither at its endpoint, nor elsewhere without permission, whatever error followed its first word."""
    for late in (errors.RateLimited("slow down", status=429), errors.CallError("failed inside", status=500)):
        attempt = account(cost)
        attempt.first_word(11.0)
        attempt.fail(late, 12.0, sent=True)
        for pay_twice, kind in zip((True, False), kinds, strict=True):
            decision = decide_retry(
                late, attempt=1, committed=False, allowed=RetryLimits(pay_twice=pay_twice), remaining=None, jitter=0.5
            )
            assert decision.kind == kind


@pytest.mark.parametrize(
    ("usage", "tokens", "unreported"),
    [
        (WireUsage(input_tokens=3, output_tokens=4), 7, 0),
        (WireUsage(input_tokens=3), 3 + WRITES, WRITES),
        (WireUsage(output_tokens=4), READS + 4, READS),
        (WireUsage(), READS + WRITES, READS + WRITES),
    ],
)
def test_a_count_that_was_not_reported_is_charged_at_the_most_it_may_be(
    usage: WireUsage, tokens: int, unreported: int
) -> None:
    ending = account(DEAR).end(14.0, usage, out=usage.output_tokens)
    assert (ending.tokens, ending.unreported_tokens) == (tokens, unreported)


def test_an_answer_that_was_stopped_is_charged_the_tokens_it_may_have_had_beyond_that() -> None:
    ending = account(DEAR).end(14.0, WireUsage(input_tokens=3), out=5, usage_complete=False)
    assert ending.outcome.usage.output_tokens == 5, "what was counted here"
    assert (ending.tokens, ending.unreported_tokens) == (3 + WRITES, WRITES)


def test_an_attempt_takes_tokens_if_its_host_may_have_read_it() -> None:
    assert account(FREE).cancel(11.0, sent=False).tokens == 0
    assert account(FREE).cancel(11.0, sent=True).tokens == READS + WRITES
    assert account(DEAR, bound=0.001).cancel(11.0, sent=True).tokens == READS + 20


def test_an_answer_costs_what_was_reported_and_its_times_are_those_of_the_attempt() -> None:
    made = account(DEAR)
    made.start(11.0)
    made.sending(12.0)
    made.first_word(12.5)
    made.first_word(19.0)
    made.billed = 0.002
    ending = made.end(14.0, WireUsage(input_tokens=3, output_tokens=4), out=4, cut=True)
    assert ending.charge == Charge("settled", 0.002, maybe_paid=True)
    assert (ending.counts, ending.unreported, ending.tokens) == (0.002, 0.0, 7)
    outcome = ending.outcome
    assert (outcome.seconds, outcome.first_seconds, outcome.cost, outcome.cut) == (3.0, 0.5, 0.002, True)


def test_an_answer_that_nobody_counted_counts_at_the_most_that_it_may_have_cost() -> None:
    ending = account(DEAR).end(14.0, WireUsage(), out=None)
    assert ending.charge == Charge("estimated", None, maybe_paid=True)
    assert (ending.counts, ending.unreported, ending.tokens) == (0.003, 0.003, READS + WRITES)


def test_a_row_says_the_lower_bound_of_a_call_that_was_shortened() -> None:
    made = account(DEAR, bound=0.001)
    made.first_word(10.5)
    assert made.cancel(11.0, sent=True).outcome.cost == 0.001
    assert account(DEAR).cancel(11.0, sent=True).outcome.cost is None, "the row knows the bound"
    assert account(FREE, bound=0.0).cancel(11.0, sent=False).charge == VOID


def test_a_failure_counts_against_the_endpoint_and_its_first_word_makes_it_cost() -> None:
    health = EndpointHealth()
    for _ in range(FAILURES_TO_OPEN):
        assert not health.seconds_open("h:m", 10.0)
        assert account(DEAR, health).fail(DOWN, 10.0, sent=False).charge == VOID
    assert health.seconds_open("h:m", 10.0)
    late = errors.RateLimited("slow down", status=429)
    spoke = account(DEAR, health)
    spoke.first_word(10.0)
    assert spoke.fail(late, 11.0, sent=True).counts == 0.003
    assert not health.seconds_open("h:m", 10.0), "it answers"


def test_an_attempt_that_is_abandoned_says_nothing_of_its_endpoint_unless_it_spoke() -> None:
    health = EndpointHealth()
    for _ in range(FAILURES_TO_OPEN):
        account(DEAR, health).fail(DOWN, 10.0, sent=False)
    account(DEAR, health).cancel(10.0, sent=True)
    assert health.seconds_open("h:m", 10.0)
    spoke = account(DEAR, health)
    spoke.first_word(10.0)
    ending = spoke.cancel(11.0, sent=True)
    assert not health.seconds_open("h:m", 10.0)
    assert (ending.outcome.error, ending.counts, ending.unreported) == ("cancelled", 0.003, 0.003)
