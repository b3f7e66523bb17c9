"""What holds for every plan, whatever is asked."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from tests.unit.planner.requests import cases, inputs_of

from intermodal.core.content import KINDS
from intermodal.errors import IntermodalError, NoRoute
from intermodal.planner import frontier, not_chosen_reasons, plan
from intermodal.planner.catalog_index import catalog_index
from intermodal.planner.planning_case import is_private, make_case
from intermodal.plans.explain import explain, explain_all
from intermodal.plans.plan import Inputs, Plan
from intermodal.plans.step import Call

pytestmark = pytest.mark.slow

quick = settings(max_examples=120, derandomize=True)


def planned(inputs: Inputs) -> Plan | None:
    """The plan, or None where there is no route; every other error is a failure of the test."""
    try:
        return plan(inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of)
    except NoRoute as error:
        assert error.reasons, "a refusal gives its reasons"
        return None


@quick
@given(cases())
def test_same_inputs_same_bytes_whatever_was_planned_before(case: dict[str, object]) -> None:
    first, second = inputs_of(case), inputs_of(case)
    once = planned(first)
    again = planned(first)  # with everything cached
    other = planned(second)  # a fresh catalog, nothing cached
    assert msgspec.json.encode(once) == msgspec.json.encode(again) == msgspec.json.encode(other)


@quick
@given(cases())
def test_a_plan_survives_json_and_explains_itself_from_there(case: dict[str, object]) -> None:
    made = planned(inputs_of(case))
    if made is not None:
        back = msgspec.json.decode(msgspec.json.encode(made), type=Plan)
        assert back == made
        assert explain(back) == explain(made) and explain_all(back)


@quick
@given(cases())
def test_nothing_private_leaves_unless_it_was_released(case: dict[str, object]) -> None:
    inputs = inputs_of(case)
    made = planned(inputs)
    if made is None:
        return
    policy = inputs.request.policy
    private = {part.name: part for part in inputs.facts.parts if is_private(policy, part)}
    for candidate in (made.chosen, *made.fallbacks, *frontier(inputs)):
        for sent in candidate.sends:
            for name, part in private.items():
                if name == sent.origin or name in sent.origin.split():
                    assert f"{part.kind}:{sent.kind}" in policy.release, f"{sent.what} of {name} would leave"


@quick
@given(cases())
def test_every_step_on_a_remote_endpoint_is_in_the_sends(case: dict[str, object]) -> None:
    inputs = inputs_of(case)
    made = planned(inputs)
    if made is None:
        return
    for candidate in (made.chosen, *made.fallbacks):
        hosts = {sent.host for sent in candidate.sends}
        for step in candidate.steps:
            if isinstance(step, Call):
                host = inputs.catalog.by_id[step.endpoint].host
                assert (host.zone in ("process", "machine")) or host.id in hosts


@quick
@given(cases())
def test_the_chosen_route_is_within_every_limit(case: dict[str, object]) -> None:
    inputs = inputs_of(case)
    made = planned(inputs)
    if made is None:
        return
    policy, machine = inputs.request.policy, inputs.machine
    for candidate in (made.chosen, *made.fallbacks, *frontier(inputs)):
        total = candidate.total
        if total.cost.known:
            assert total.cost.high <= policy.max_cost + 1e-6
        if policy.deadline is not None:
            assert total.seconds.high <= policy.deadline + 0.01
        assert not set(policy.keep) & set(candidate.loses)
        answering = inputs.catalog.by_id[candidate.endpoint]
        last = candidate.steps[-1]
        # A contrastive model looks at each image and each text by itself. Where nobody else keeps what is needed, one
        # that counts images in a way nobody knows may try, and the plan says so.
        tries = any("so it may refuse" in note for note in made.notes)
        by_itself = answering.model.matches_images
        if answering.context and last.estimate.input_tokens.known and not by_itself and not tries:
            assert last.estimate.input_tokens.high <= answering.context
        assert total.memory.high <= machine.memory


@quick
@given(cases())
def test_steps_run_in_order_and_stand_for_every_part(case: dict[str, object]) -> None:
    inputs = inputs_of(case)
    made = planned(inputs)
    if made is None:
        return
    for candidate in (made.chosen, *made.fallbacks):
        seen: set[str] = set()
        for step in candidate.steps:
            for ref in step.inputs:
                kind, _, name = ref.partition(":")
                assert kind == "part" or name in seen, "a step reads what an earlier one made"
            seen.add(step.id)
        last = candidate.steps[-1]
        assert isinstance(last, Call) and last.endpoint == candidate.endpoint and last.part == -1
        by_id = {step.id: step for step in candidate.steps}
        stands = {int(n) if k == "part" else by_id[n].part for k, _, n in (ref.partition(":") for ref in last.inputs)}
        assert stands == set(range(len(inputs.facts.parts)))
        parts = [int(n) if k == "part" else by_id[n].part for k, _, n in (ref.partition(":") for ref in last.inputs)]
        assert parts == sorted(parts)


@settings(max_examples=40, derandomize=True)
@given(cases())
def test_why_not_has_an_answer_for_every_endpoint(case: dict[str, object]) -> None:
    inputs = inputs_of(case)
    made = planned(inputs)
    used = {step.endpoint for step in made.chosen.steps if isinstance(step, Call)} if made else set()
    for endpoint in inputs.catalog.endpoints:
        answer = not_chosen_reasons(inputs, endpoint.id)
        assert answer.startswith(f"{endpoint.id}: ") and len(answer) > len(endpoint.id) + 8
        if endpoint.id in used:
            assert "chosen" in answer or "in the plan" in answer
        else:
            words = ("rejected (", "not chosen", "fallback", "no available model can answer")
            assert any(word in answer for word in words), answer


@quick
@given(cases())
def test_bundles_hold_every_media_part_once(case: dict[str, object]) -> None:
    inputs = inputs_of(case)
    made = make_case(inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of)
    held = sorted(part.index for bundle in made.bundles for part in bundle.parts)
    assert held == [part.index for part in inputs.facts.parts if part.kind != "text"]
    assert all(bundle.kind in KINDS for bundle in made.bundles)


@pytest.mark.parametrize("slice_", ["all", "embedded"])
def test_every_endpoint_belongs_to_one_class(slice_: str) -> None:
    from tests.plans import catalogs

    known = catalog_index(catalogs.catalog(slice_))
    ids = [endpoint.id for group in known.groups for endpoint in group.members]
    assert sorted(ids) == sorted(endpoint.id for endpoint in known.catalog.endpoints)


def test_errors_are_of_our_tree() -> None:
    with pytest.raises(IntermodalError):
        inputs = inputs_of({"ask": "x", "policy": {"private": ["nothing.wav"]}})
        planned(inputs)
