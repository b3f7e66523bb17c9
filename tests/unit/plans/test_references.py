"""References of steps to their inputs: one form in JSON, and a sentence for anything else."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.plans import example_plans

from intermodal.client.saved_plan import check_plan_steps
from intermodal.errors import PlanStale
from intermodal.plans.plan import (
    PartRef,
    Reference,
    StepRef,
    input_steps,
    parse_reference,
    takes_part,
    takes_step,
)


@given(st.one_of(st.integers(0, 10**6).map(PartRef), st.text(min_size=1).map(StepRef)))
def test_a_reference_is_read_as_it_is_written(reference: Reference) -> None:
    assert parse_reference(str(reference)) == reference


def test_a_step_says_which_steps_and_parts_it_takes() -> None:
    last = example_plans.film().chosen.last
    assert last.inputs == ("part:0", "step:t1", "step:r1", "step:s1", "step:r2", "part:2")
    assert input_steps(last) == ("t1", "r1", "s1", "r2")
    assert takes_part(last)
    assert takes_step(last, "r2") and not takes_step(last, "0") and not takes_step(last, "t2")


@pytest.mark.parametrize("text", ["", "part:", "part:x", "part:-1", "step:", "call:1", "0"])
def test_a_plan_with_an_input_that_is_no_reference_is_refused(text: str) -> None:
    plan = example_plans.film()
    last = msgspec.structs.replace(plan.chosen.last, inputs=(text,))
    chosen = msgspec.structs.replace(plan.chosen, steps=(*plan.chosen.steps[:-1], last))
    with pytest.raises(PlanStale) as caught:
        check_plan_steps(msgspec.structs.replace(plan, chosen=chosen), parts=3)
    assert f"step {last.id} (generate): the input {text!r} is neither part:NUMBER nor step:ID" in str(caught.value)


@pytest.mark.parametrize("text", ["part:3", "step:nobody"])
def test_a_plan_with_an_input_that_is_not_there_is_refused(text: str) -> None:
    plan = example_plans.film()
    check_plan_steps(plan, parts=3)
    last = msgspec.structs.replace(plan.chosen.last, inputs=("part:0", text))
    chosen = msgspec.structs.replace(plan.chosen, steps=(*plan.chosen.steps[:-1], last))
    with pytest.raises(PlanStale, match=f"the input '{text}' is not in the plan"):
        check_plan_steps(msgspec.structs.replace(plan, chosen=chosen), parts=3)
