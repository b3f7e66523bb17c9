"""What must hold for every planned case, whatever its text says: a blessed text could hide any of these.

Everything here is worked out from the request, the facts, the catalog and the plan's own steps; the planner's
helpers are not asked, so that a mistake in them is not repeated.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from intermodal.catalog.types import Host
from intermodal.core.content import Text
from intermodal.core.quantity import Quantity
from intermodal.core.request import Policy
from intermodal.errors import IntermodalError
from intermodal.planner import frontier, not_chosen_reasons, plan
from intermodal.plans.facts import PartFacts
from intermodal.plans.plan import Candidate, Inputs, Plan
from intermodal.plans.step import Call, DescribeImages, Step, Transform, parameters_of

HERE = ("process", "machine")
CENT_OF_A_CENT = 1e-6  # estimates are rounded to 8 decimals, step by step
MADE = {
    "extract": "text", "read": "text", "transcribe": "text", "describe": "text",
    "render": "image", "frames": "image", "resize": "image", "demux": "audio",
}  # fmt: skip


def plan_of(inputs: Inputs) -> Plan:
    return plan(inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of)


def check(inputs: Inputs, made: Plan) -> None:
    """All of them, on the plan as it is."""
    same_bytes_again(inputs, made)
    nothing_that_loses_what_is_needed_is_called_enough(made)
    for candidate in (made.chosen, *made.fallbacks, *frontier(inputs)):
        steps_can_run(inputs, candidate)
        parameters_are_written_as_they_are_read(candidate)
        last_step_answers(inputs, candidate)
        sums_are_right(candidate)
        nothing_private_leaves(inputs, candidate)
        all_that_leaves_is_said(inputs, candidate)
        within_limits(inputs, candidate)
    everyone_has_an_answer(inputs, made)


def nothing_that_loses_what_is_needed_is_called_enough(made: Plan) -> None:
    """The first line, the field of the plan and that of each route agree with what is lost."""
    assert made.verdict.value == made.chosen.verdict
    for route in (made.chosen, *made.fallbacks):
        assert not route.lost or route.verdict in ("not_enough", "unknown"), f"{route.summary}: {route.verdict}"
    said = "a language model is enough," in made.headline or "a language model would be enough" in made.headline
    assert said == (made.verdict.value in ("enough", "enough_with_loss")), made.headline


def same_refusal_again(inputs: Inputs, error: IntermodalError) -> None:
    """A refusal is as reproducible as a plan, and its inputs can be replayed too."""
    for again in (inputs, replayed(inputs)):
        try:
            plan_of(again)
        except IntermodalError as other:
            assert type(other) is type(error) and str(other) == str(error)
        else:
            raise AssertionError(f"refused once, then planned: {error}")


def replayed(inputs: Inputs) -> Inputs:
    """The inputs as ``explain --inputs`` reads them back."""
    return msgspec.json.decode(msgspec.json.encode(inputs), type=Inputs)


def same_bytes_again(inputs: Inputs, made: Plan) -> None:
    assert msgspec.json.encode(plan_of(inputs)) == msgspec.json.encode(made), "the same inputs, other bytes"
    assert plan_of(replayed(inputs)).id == made.id, "replayed from JSON, another plan"


# ---- steps ------------------------------------------------------------------------------------


def steps_can_run(inputs: Inputs, candidate: Candidate) -> None:
    """Every step reads parts of the request or what an earlier step made, on an endpoint that exists and is ready."""
    made: set[str] = set()
    for step in candidate.steps:
        assert step.inputs, f"{step.op} reads nothing"
        for ref in step.inputs:
            kind, _, name = ref.partition(":")
            assert name in made if kind == "step" else int(name) < len(inputs.facts.parts), (
                f"{step.op} cannot read {ref}"
            )
        if isinstance(step, Call):
            assert inputs.catalog.by_id[step.endpoint].ready, f"{step.endpoint} is not ready"
        assert step.id not in made, f"two steps have the id {step.id}"
        made.add(step.id)


def parameters_are_written_as_they_are_read(candidate: Candidate) -> None:
    """The executor gets what the planner meant, and the bytes of a plan do not depend on who wrote it last."""
    for step in candidate.steps:
        if isinstance(step, Transform | Call):
            assert parameters_of(step).pairs() == step.params, step


def last_step_answers(inputs: Inputs, candidate: Candidate) -> None:
    """The last step is a call at the route's endpoint over every part, in part order; every step leads to it.

    Of a route of words alone it is their conversion, or puts the texts together.
    """
    last = candidate.answering
    calls = [step for step in candidate.steps if isinstance(step, Call)]
    if candidate.words_alone:
        assert candidate.endpoint == (calls[-1].endpoint if calls else ""), "the last that recognises, if any does"
        assert not any(step.op in ("generate", "describe") for step in calls), "no model answers"
    else:
        assert isinstance(last, Call) and last.endpoint == candidate.endpoint
    by_id = {step.id: step for step in candidate.steps}
    stands_for = [_part_of(ref, by_id) for ref in last.inputs]
    assert stands_for == sorted(stands_for), "parts out of order"
    every = {part.index for part in inputs.facts.parts}
    if last.op == "transcribe" and last.part < 0:
        every = {part.index for part in inputs.facts.parts if part.kind == "audio" or part.channels}
    if candidate.words_alone:
        every = {part.index for part in inputs.facts.parts if part.kind != "text"}
    assert set(stands_for) == every, f"stands for parts {stands_for}, asked were {sorted(every)}"
    assert candidate.last is last or candidate.last.inputs == (f"step:{last.id}",), "a voice speaks the answer"
    used = {candidate.last.id}
    for step in reversed(candidate.steps):
        assert step.id in used, f"{step.op} is not used"
        used.update(ref.partition(":")[2] for ref in step.inputs if ref.startswith("step:"))


def _part_of(ref: str, by_id: dict[str, Step]) -> int:
    kind, _, name = ref.partition(":")
    return int(name) if kind == "part" else by_id[name].part


def sums_are_right(candidate: Candidate) -> None:
    """Cost and loading are the sum of the steps; time is no less than its longest step, no more than all in a row."""
    total, steps = candidate.total, candidate.steps
    costs = [step.estimate.cost for step in steps]
    assert total.cost.known == all(cost.known for cost in costs), "an unknown price is part of the sum"
    if total.cost.known:
        _equal(total.cost, costs, CENT_OF_A_CENT * len(steps), "cost")
    _equal(total.load_seconds, [step.estimate.load_seconds for step in steps], 0.002 * len(steps), "loading")
    for level in ("low", "mid", "high"):
        each = [getattr(step.estimate.seconds, level) for step in steps]
        loading = sum(getattr(step.estimate.load_seconds, level) for step in steps)
        slack = 0.002 * len(steps)
        assert max(each) - slack <= getattr(total.seconds, level) <= sum(each) + loading + slack, (
            "seconds do not add up"
        )
    last = candidate.answering.estimate
    assert total.input_tokens == last.input_tokens
    for quantity in (total.cost, total.seconds, total.memory, last.input_tokens, last.output_tokens):
        assert not quantity.known or 0 <= quantity.low <= quantity.mid <= quantity.high


def _equal(total: Quantity, parts: list[Quantity], slack: float, what: str) -> None:
    for level in ("low", "mid", "high"):
        added, said = sum(getattr(part, level) for part in parts), getattr(total, level)
        assert abs(added - said) <= slack, f"{what} ({level}): steps make {added}, the total says {said}"


def within_limits(inputs: Inputs, candidate: Candidate) -> None:
    """Hard limits are held against the high estimate; but what templates make of tools need not be the most, if the
    plan says that it may be."""
    policy, total = inputs.request.policy, candidate.total
    assert not total.cost.known or total.cost.high <= policy.max_cost + CENT_OF_A_CENT
    assert policy.deadline is None or total.seconds.high <= policy.deadline + 0.01
    assert not set(policy.keep) & set(candidate.loses), "a stated aspect is lost"
    if candidate.words_alone:
        return  # no model is given what is made
    answering, last = inputs.catalog.by_id[candidate.endpoint], candidate.answering.estimate
    if answering.model.matches_images:
        return  # each image and each text is looked at by itself
    holds = answering.context or answering.model.context
    fits = not (holds and last.input_tokens.known) or last.input_tokens.high <= holds
    assert fits or (inputs.request.tools and last.input_tokens.low <= holds)


# ---- what leaves ------------------------------------------------------------------------------


def nothing_private_leaves(inputs: Inputs, candidate: Candidate) -> None:
    """Neither by what the plan says it sends, nor by what its steps read at endpoints elsewhere."""
    policy = inputs.request.policy
    private = [part for part in inputs.facts.parts if labelled(policy.private, part)]
    for sent in candidate.sends:
        for part in private:
            if _is_from(sent.origin, part.name):
                assert may_leave(policy, part, sent.kind), f"sends {sent.what} from {part.name}, which is private"
    for step, host in _elsewhere(inputs, candidate):
        for part, kind in _read_by(step, inputs, candidate):
            if part in private:
                assert may_leave(policy, part, kind), f"{step.op} at {host.id} reads {kind} of {part.name}: private"


def all_that_leaves_is_said(inputs: Inputs, candidate: Candidate) -> None:
    """Whatever a step elsewhere reads is a ``Send`` to that host; nothing is said to leave that does not."""
    leaving = {
        (host.id, part.name or "prompt", kind)
        for step, host in _elsewhere(inputs, candidate)
        for part, kind in _read_by(step, inputs, candidate)
    }
    said = [(sent.host, sent.origin, sent.kind) for sent in candidate.sends]
    for host, name, kind in leaving:
        assert any(h == host and k == kind and _is_from(o, name) for h, o, k in said), f"{kind} of {name} goes unsaid"
    for host, origin, kind in said:
        if origin == "the request" and inputs.request.tools:
            continue  # its tools
        if origin == "instruction" and candidate.last.op == "translate":
            continue  # what the planner asks in the sender's place
        assert any(h == host and k == kind and _is_from(origin, n) for h, n, k in leaving), f"{origin} is not sent"
    assert {sent.zone for sent in candidate.sends}.isdisjoint(HERE)


def labelled(labels: Iterable[str], part: PartFacts) -> bool:
    """By kind, by name, or by the last part of a path."""
    names = {part.kind, part.name, part.name.rpartition("/")[2]}
    return any(label in names or label.rpartition("/")[2] in names for label in labels)


def may_leave(policy: Policy, part: PartFacts, kind: str) -> bool:
    """Only what was derived, and only as released. A part as it came never may."""
    if kind == part.kind:
        return False
    return any(labelled([pair.rpartition(":")[0]], part) for pair in policy.release if pair.endswith(f":{kind}"))


def _elsewhere(inputs: Inputs, candidate: Candidate) -> list[tuple[Call, Host]]:
    calls = [step for step in candidate.steps if isinstance(step, Call)]
    hosts = [inputs.catalog.by_id[step.endpoint].host for step in calls]
    return [(step, host) for step, host in zip(calls, hosts, strict=True) if host.zone not in HERE]


def _read_by(step: Step, inputs: Inputs, candidate: Candidate) -> list[tuple[PartFacts, str]]:
    """The parts a step reads, each with the kind of what it gets of it; a question that goes along is read, too."""
    by_id = {other.id: other for other in candidate.steps}
    found: list[tuple[PartFacts, str]] = []
    if isinstance(step, Call) and step.op == "describe" and DescribeImages.parameters_of(step).question_digest:
        last = inputs.request.messages[-1].parts
        with_facts = zip(last, inputs.facts.parts[-len(last) :], strict=True)
        found += [(fact, "text") for part, fact in with_facts if isinstance(part, Text) and not part.name]
    for ref in step.inputs:
        if _part_of(ref, by_id) < 0:
            continue  # the answer itself: see ``answers_are_not_private``
        part = inputs.facts.parts[_part_of(ref, by_id)]
        kind, _, name = ref.partition(":")
        found.append((part, part.kind if kind == "part" else MADE[by_id[name].op]))
    return found


def _is_from(origin: str, name: str) -> bool:
    """``origin`` is a part's name, or stands for a part among many alike ("a.png and 8 more", "9 texts")."""
    return origin == name or " more" in origin or origin.endswith(" texts")


# ---- everyone ---------------------------------------------------------------------------------


def everyone_has_an_answer(inputs: Inputs, made: Plan) -> None:
    """Chosen, fallback, outranked, rejected: each endpoint is one of them, and ``why_not`` agrees with the plan."""
    used = {step.endpoint for step in made.chosen.steps if isinstance(step, Call)}
    fallbacks = {candidate.endpoint for candidate in made.fallbacks}
    for endpoint in inputs.catalog.endpoints:
        answer = not_chosen_reasons(inputs, endpoint.id)
        assert answer.startswith(f"{endpoint.id}: ") and "\n" not in answer, answer
        words = answer.removeprefix(f"{endpoint.id}: ")
        assert len(words) > 12 and words.strip() == words, answer
        if endpoint.id in used:
            assert words == "it is the chosen one" or words.startswith("it is in the plan: "), answer
        elif endpoint.id in fallbacks:
            assert words.startswith("it is fallback "), answer
        else:
            assert not words.startswith("it is "), answer
    assert made.chosen.endpoint not in fallbacks, "a fallback is another endpoint"
    assert len(fallbacks) == len(made.fallbacks)
    for row in made.rejected:
        assert row.reason and row.count >= max(1, len(row.endpoints)), row
