"""What a run took, by its events: what nobody told is not nothing."""

from __future__ import annotations

from intermodal.events import Actual, AttemptFailed, Event, Finished, StepFinished, StepStarted, Usage
from intermodal.gateway.charging import Bill


def bill(*events: Event) -> tuple[bool, float | None, int | None]:
    made = Bill()
    for event in events:
        made.feed(event)
    return made.nothing_sent, made.cost, made.tokens


def done(step: str, cost: float | None, *tokens: int) -> StepFinished:
    usage = Usage(input_tokens=tokens[0], output_tokens=tokens[1]) if tokens else Usage()
    return StepFinished(actual=Actual(step=step, seconds=1.0, cost=cost, usage=usage))


BEGAN = StepStarted(step="say", title="answer")
END = Finished(endpoint="e", cost=0.02)


def test_a_run_that_ended_costs_what_it_says() -> None:
    assert bill(BEGAN, done("say", 0.02, 100, 20), END) == (False, 0.02, 120)


def test_a_host_that_tells_no_usage_is_not_free_of_tokens() -> None:
    heard = [StepStarted(step="hear", title="transcribe"), done("hear", 0.0, 0, 50)]
    assert bill(*heard, BEGAN, done("say", 0.02), END)[2] is None


def test_a_run_that_was_left_in_the_middle_counts_whole() -> None:
    assert bill() == (True, 0.0, 0)
    assert bill(BEGAN) == (False, None, None)
    failed = AttemptFailed(step="say", endpoint="e", code="overloaded", reason="503", then="resend")
    assert bill(BEGAN, failed) == (False, None, None), "it may have been sent again"


def test_what_failed_for_good_and_was_not_charged_costs_nothing() -> None:
    again = AttemptFailed(step="say", endpoint="e", code="overloaded", reason="503", then="resend")
    last = AttemptFailed(step="say", endpoint="e", code="overloaded", reason="503")
    assert bill(BEGAN, again, BEGAN, again, BEGAN, last) == (False, 0.0, 0)
    maybe = AttemptFailed(step="say", endpoint="e", code="stream_cut", reason="cut", charged="maybe", cost=None)
    assert bill(BEGAN, maybe) == (False, None, None)
