"""Whether a plan runs as one call is a property of the plan: the planner says why it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.plans import runner

from intermodal.planner import plan
from intermodal.plans.explain import explain, explain_all
from intermodal.plans.plan import Plan

CASES = Path(runner.__file__).parent


def planned(name: str) -> Plan:
    case, _ = runner.parse(CASES / f"{name}.case")
    inputs = runner.inputs_of(case)
    return plan(inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of)


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("best", ""),
        ("appearance_cheapest", ""),  # an image that a hosted model takes
        ("audio", "its plan has several steps"),
        ("draw_here_only", "its call is not a chat"),
        ("text_only", "intermodal runs its model itself"),
        ("native_pdf", "it has files that are not images"),
        ("pictures_over_the_limit", "its images are encoded again for a host nearby"),
    ],
)
def test_a_plan_states_why_it_is_more_than_one_call_that_is_passed_on(case: str, why: str) -> None:
    made = planned(case)
    assert made.not_direct == why
    assert (len(made.chosen.steps) > 1) == (why == "its plan has several steps")


def test_explain_all_says_how_a_plan_runs_and_explain_leaves_it_out() -> None:
    stepwise, direct = planned("audio"), planned("best")
    assert "runs: step by step, because its plan has several steps" in explain_all(stepwise)
    assert "runs: as one call; " in explain_all(direct) and "step by step" not in explain_all(direct)
    assert "runs: " not in explain(stepwise) and "runs: " not in explain(direct)
    assert "runs: " in explain(direct, runs=True)
