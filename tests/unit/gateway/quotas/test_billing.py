"""What a run took, by its events: what nobody told is not nothing, and what was not sent is."""

from __future__ import annotations

import pytest

from intermodal import errors
from intermodal.core.quantity import between, unknown
from intermodal.events import Actual, AttemptFailed, Event, Finished, Replanned, StepFinished, StepStarted, Usage
from intermodal.executor.attempt.accounting import AttemptEnding, Charge
from intermodal.executor.attempt.step_caller import PriorAttempt
from intermodal.gateway import billing
from intermodal.gateway.billing import RunBill
from intermodal.plans.plan import Candidate, Plan
from intermodal.plans.step import Call, Step, StepEstimate
from intermodal.store.rows import AttemptOutcome

BOUND = 0.5  # USD of an attempt to answer


def _call(name: str, endpoint: str, estimate: StepEstimate) -> Call:
    return Call(id=name, op="generate", task="text-generation", endpoint=endpoint, inputs=(), estimate=estimate)


def _route(*steps: Step) -> Candidate:
    return Candidate(id="r", steps=steps, endpoint="e", total=StepEstimate(), score=0.0, tier="medium")


PRICED = StepEstimate(cost=between(0.1, 0.2, BOUND, "prices"))
PLAN = Plan(
    id="p", headline="", policy_line="", objective="default",
    chosen=_route(_call("hear", "ear", StepEstimate()), _call("say", "e", PRICED)),
    fallbacks=(_route(_call("say", "unpriced", StepEstimate(cost=unknown("no price")))),),
)  # fmt: skip


def bill(*events: Event) -> tuple[bool, float | None, float]:
    """Whether nothing was sent; USD, and how much of it nobody told."""
    made = RunBill(PLAN, most=3 * BOUND)
    for event in events:
        made.feed(event)
    return made.nothing_sent, made.cost, made.unreported


def done(step: str, cost: float | None, *tokens: int) -> StepFinished:
    usage = Usage(input_tokens=tokens[0], output_tokens=tokens[1]) if tokens else Usage()
    return StepFinished(actual=Actual(step=step, seconds=1.0, cost=cost, usage=usage))


def failed(then: str = "stop", delay: float = 0.0, **more: object) -> AttemptFailed:
    return AttemptFailed(step="say", endpoint="e", code="c", reason="r", then=then, delay=delay, **more)  # type: ignore[arg-type]


BEGAN = StepStarted(step="say", title="answer", endpoint="e")
END = Finished(endpoint="e", cost=0.02)
MAYBE = failed("reroute", charged="maybe", cost=None)


def test_a_run_that_ended_costs_what_it_says() -> None:
    assert bill(BEGAN, done("say", 0.02, 100, 20), END) == (False, 0.02, 0.0)


def test_what_counts_since_no_usage_was_told_is_known_to() -> None:
    heard = [StepStarted(step="hear", title="transcribe", endpoint="ear"), done("hear", 0.005, 0, 50)]
    assert bill(*heard, BEGAN, done("say", None), Finished(endpoint="e", cost=0.505)) == (False, 0.505, 0.5)


def test_a_run_that_was_left_in_the_middle_counts_one_attempt() -> None:
    assert bill() == (True, 0.0, 0.0)
    assert bill(BEGAN) == (False, BOUND, BOUND)
    heard = [StepStarted(step="hear", title="transcribe", endpoint="ear"), done("hear", 0.005, 0, 50)]
    assert bill(*heard, BEGAN) == (False, BOUND + 0.005, pytest.approx(BOUND))


def test_who_leaves_while_it_waits_to_be_sent_again_pays_nothing_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(billing, "monotonic", lambda: now)
    made = RunBill(PLAN)
    for event in (BEGAN, failed("resend", delay=7.0)):
        made.feed(event)
    assert made.cost == 0.0
    now = 107.5
    assert made.cost == BOUND, "it may have been sent again"


def test_what_failed_for_good_and_was_not_charged_costs_nothing() -> None:
    assert bill(BEGAN, failed("resend"), failed("resend"), failed()) == (False, 0.0, 0.0)


def test_each_attempt_that_may_be_paid_counts_once() -> None:
    assert bill(BEGAN, MAYBE) == (False, BOUND, BOUND)
    assert bill(BEGAN, MAYBE, BEGAN, MAYBE) == (False, 2 * BOUND, 2 * BOUND)
    assert bill(BEGAN, MAYBE, BEGAN) == (False, 2 * BOUND, 2 * BOUND)


def test_where_the_plan_knows_no_bound_all_that_was_set_aside_counts() -> None:
    elsewhere = StepStarted(step="say", title="answer", endpoint="unpriced")
    assert bill(BEGAN, failed("reroute"), elsewhere)[1] is None
    again = Replanned(step="hear", reason="longer", before="r", after="s", endpoint="e", plan="q")
    assert bill(again, BEGAN)[1] is None


def test_an_answer_that_was_to_be_repaired_counts_though_its_repair_was_refused() -> None:
    assert bill(BEGAN, BEGAN, failed()) == (False, BOUND, BOUND)
    assert bill(BEGAN, BEGAN, done("say", 0.04, 9, 9)) == (False, 0.04, 0.0), "what it says is of both"


def test_a_step_of_several_calls_counts_whole_whatever_becomes_of_one_of_them() -> None:
    looking = StepStarted(step="say", title="describe", op="describe", endpoint="e")
    for one in (failed(), failed("resend", delay=30.0), failed("resend", charged="maybe", cost=None)):
        assert bill(looking, *[one] * 9) == (False, BOUND, BOUND)


def test_guesses_are_no_more_than_was_set_aside_and_what_is_told_is_the_truth() -> None:
    assert bill(*[BEGAN, MAYBE] * 9) == (False, 3 * BOUND, 3 * BOUND)
    assert bill(BEGAN, done("say", 9.0, 1, 1), *[BEGAN, MAYBE] * 2) == (False, 9.0, 0.0)


@pytest.mark.parametrize("paid", [False, True])
def test_an_attempt_that_was_made_before_the_run_counts_until_it_is_told_of(paid: bool) -> None:
    error = errors.StreamCut("cut", where="e")
    charge = Charge("estimated", None, True) if paid else Charge("void", 0.0, False)
    ending = AttemptEnding(charge, AttemptOutcome(cost=charge.cost), 0.3)
    tried = PriorAttempt(error, "e", ending, run="r", seconds=1.0)
    made = RunBill(PLAN, tried, 3 * BOUND)
    assert (made.nothing_sent, made.cost) == ((False, 0.3) if paid else (True, 0.0))
    made.feed(BEGAN)
    made.feed(MAYBE if paid else failed("reroute"))
    assert (made.nothing_sent, made.cost) == (False, BOUND if paid else 0.0)
