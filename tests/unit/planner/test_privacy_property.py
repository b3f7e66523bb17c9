"""A private part never leaves, nor anything made from it, unless its release says so: by the steps, not by the sends.

``test_properties.py`` holds the sends of a plan against the planner's own reading of labels. Here labels are read
anew, and followed through the steps: what an endpoint elsewhere reads, it has been sent, whatever the plan says.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.plans import invariants, runner
from tests.unit.planner.requests import part

from intermodal.errors import IntermodalError
from intermodal.planner import frontier
from intermodal.plans.plan import Plan

pytestmark = pytest.mark.slow

ASKS = ("What is the total?", "Is the caller angry?", "What does the chart show?")
quick = settings(max_examples=150, derandomize=True)


@st.composite
def labelled_cases(draw: st.DrawFn) -> dict[str, Any]:
    """Parts of which some are private, by kind or by name, with releases that may or may not be about them."""
    parts = draw(st.lists(part, min_size=1, max_size=4))
    for place, each in enumerate(parts):
        each["name"] = f"{each['kind']}{place}"
    names = sorted({str(each[label]) for each in parts for label in ("kind", "name")})
    private = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    pairs = [f"{name}:{kind}" for name in [*private, *names] for kind in ("text", "image")]
    policy: dict[str, Any] = {
        "private": private,
        "release": draw(st.lists(st.sampled_from(pairs), max_size=3, unique=True)),
        "objective": draw(st.sampled_from(("default", "cheapest", "fastest", "best"))),
        "max_cost": 5.0,
        "language": "en",
    }
    return {
        "catalog": draw(st.sampled_from(("acme", "acme", "acme_unpulled", "all", "chat"))),
        "consent": ["acme", "plain"],
        "ask": draw(st.sampled_from(ASKS)),
        "output": draw(st.sampled_from(("text", "text", "json", "embedding"))),
        "policy": policy,
        "part": parts,
    }


@quick
@given(labelled_cases())
def test_no_endpoint_elsewhere_reads_anything_private_that_was_not_released(case: dict[str, Any]) -> None:
    inputs = runner.inputs_of(case)
    try:
        made: Plan = invariants.plan_of(inputs)
    except IntermodalError:
        event("no route")
        return
    routes = (made.chosen, *made.fallbacks, *frontier(inputs))
    for candidate in routes:
        invariants.nothing_private_leaves(inputs, candidate)
    event("something is sent" if any(candidate.sends for candidate in routes) else "all stays here")


@quick
@given(labelled_cases())
def test_a_release_is_never_needed_for_what_stays_here(case: dict[str, Any]) -> None:
    """Labels keep things here; they never keep a route out that sends nothing."""
    case["policy"] |= {"farthest": "machine"}
    open_policy = {**case["policy"], "private": [], "release": []}
    assert _endpoint(case) == _endpoint({**case, "policy": open_policy})


def _endpoint(case: dict[str, Any]) -> str:
    try:
        return invariants.plan_of(runner.inputs_of(case)).chosen.endpoint
    except IntermodalError as error:
        return type(error).__name__
