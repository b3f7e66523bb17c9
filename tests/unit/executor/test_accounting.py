"""What an attempt is charged for, by how it ended."""

from __future__ import annotations

import pytest
from tests.unit.executor.routes import PRICED, Bench, asked, plan, route, say

from intermodal import errors
from intermodal.executor.attempt import accounting
from intermodal.executor.attempt.accounting import Charge
from intermodal.plans.step import StepEstimate
from intermodal.protocols.calls import WireUsage
from intermodal.quantity import Quantity, between, unknown
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
    assert accounting.charge_answer(billed, estimated, counted=counted) == (state, billed, True)


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
