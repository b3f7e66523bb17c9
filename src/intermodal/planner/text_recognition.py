"""Requests for the words of a picture or a scan and nothing else: text recognition alone, beside the routes on which a
model answers.

The route is a conversion without the call after it: the same steps, estimates and checks as where a model is given the
words. It is considered only where the whole question asks for the words (``QuestionFacts.words_alone``), or where a
model that reads text was named. Whatever it loses counts as on any route; the objective decides between the two.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import msgspec
from msgspec import Struct

from intermodal.catalog.types import Endpoint
from intermodal.cost_model.levels import HIGH, MID, ZEROS, quantity
from intermodal.errors import NoRoute
from intermodal.hints import hint
from intermodal.planner.candidates.egress import converter_sends
from intermodal.planner.candidates.step_builder import StepBuilder
from intermodal.planner.catalog_index import tier_name
from intermodal.planner.conversion.conversion_option import TEXT, ConversionOption, ConvertersByJob
from intermodal.planner.conversion.conversion_options import conversion_options
from intermodal.planner.conversion.converters import StrengthFloors, shortlist_converters
from intermodal.planner.eligibility.eligible_endpoints import eligible_endpoints, jobs_needed
from intermodal.planner.eligibility.strength_floors import DEFAULT_FLOOR
from intermodal.planner.explanation.plan_text import part_needs, policy_line
from intermodal.planner.explanation.verdict_builder import part_judgements
from intermodal.planner.planning_case import PlanningCase, make_case
from intermodal.planner.route_estimates.assignment import Assignment, assign
from intermodal.planner.route_estimates.routes import Route, peak_memory_levels, route_limits
from intermodal.planner.route_search.objectives import objective_number
from intermodal.plans import numbers
from intermodal.plans.plan import Candidate, Outranked, Plan
from intermodal.plans.step import Call, StepEstimate
from intermodal.plans.verdict import Other, Verdict, judge
from intermodal.request import TIERS

SUMMARY = "text recognition alone"


class _Recognition(Struct):
    """A route that ends with text recognition. ``number``: what the objective minimises."""

    case: PlanningCase
    conversions: ConvertersByJob
    assignment: Assignment
    endpoint: Endpoint
    number: float

    @property
    def order(self) -> tuple[float | str, ...]:
        return (*self.assignment.loss, self.number, self.assignment.before[MID], self.endpoint.id)


def asks_for_recognition(case: PlanningCase) -> bool:
    """Return whether text recognition by itself may answer: one picture or document, and a question for its words."""
    request = case.request
    if case.job != "generate" or case.output != "text" or request.tools or len(request.messages) != 1:
        return False
    if case.text_files or case.policy.translate or len(case.bundles) != 1 or len(case.bundles[0].parts) != 1:
        return False
    bundle = case.bundles[0]
    if bundle.kind not in ("image", "document") or bundle.parts[0].frames > 1:
        return False
    if case.named is None:
        return case.asked.words_alone
    named = [case.index.group_of[name] for name in case.named]
    return all("read" in group.jobs for group in named) and (case.asked.words_alone or not case.question.strip())


def plan_recognition(case: PlanningCase, plan_of: Callable[[PlanningCase], tuple[Route, Plan]]) -> Plan:
    """Return the plan of the better route: text recognition alone, or the one on which a model answers.

    Raises NoRoute where neither is open.
    """
    try:
        route, plan = plan_of(case)
    except NoRoute as error:
        found = _best(case)
        if found is None:
            raise
        return _plan(found, None, error)
    found = _best(case)
    if found is None:
        return plan
    why = _why_not(found, route)
    if why:
        return msgspec.structs.replace(plan, outranked=(_outranked(found, why), *plan.outranked))
    return _plan(found, plan, None)


def recognition_candidate(case: PlanningCase) -> Candidate | None:
    """Return the route of text recognition alone where it may answer this request, None elsewhere."""
    found = _best(case) if asks_for_recognition(case) else None
    return None if found is None else _candidate(found)


def _best(case: PlanningCase) -> _Recognition | None:
    """Return the best route of text recognition alone within the limits of the request, None where none is open."""
    if case.named is not None:
        request = case.request
        free = msgspec.structs.replace(request, policy=msgspec.structs.replace(case.policy, model=""))
        unnamed = make_case(free, case.facts, case.index.catalog, case.machine, case.statistics, case.as_of)
        found = [each for each in _all(unnamed) if each.endpoint.id in case.named]
    else:
        found = _all(case)
    return min(filter(_is_within_limits, found), key=lambda each: each.order, default=None)


def _all(case: PlanningCase) -> list[_Recognition]:
    left, bundle = eligible_endpoints(case, jobs_needed(case)), case.bundles[0]
    stated = case.policy.at_least
    floors = range(DEFAULT_FLOOR, -1, -1) if stated is None else (TIERS.index(stated),)
    for floor in floors:
        conversions, _ = shortlist_converters(case, left, StrengthFloors(answer=0, hear=0, read=floor), None)
        options = [
            each for each in conversion_options(case, bundle, conversions)
            if _ends_with_reading(each) and not set(case.policy.keep) & set(each.loses)
        ]  # fmt: skip
        if options:
            return [_recognition(case, conversions, each) for each in options]
    return []


def _ends_with_reading(option: ConversionOption) -> bool:
    """Return whether an option is text recognition and what leads to it, of all there is."""
    steps = option.conversions[0].steps
    reads = [step for step in steps if step.op == "read"]
    return (
        option.kinds <= TEXT and len(reads) == 1 and steps[-1] is reads[0] and not option.left_out
        and all(step.op in ("read", "render") for step in steps)
    )  # fmt: skip


def _recognition(case: PlanningCase, conversions: ConvertersByJob, option: ConversionOption) -> _Recognition:
    endpoint = option.conversions[0].steps[-1].endpoint
    assert endpoint is not None
    made = assign(case, (option,), case.token_rules(case.index.group_of[endpoint.id]))
    number = objective_number(case.policy, made.cost[MID], made.before[MID], made.penalty)
    return _Recognition(case, conversions, made, endpoint, round(number, 9))


def _is_within_limits(found: _Recognition) -> bool:
    made = found.assignment
    return route_limits(found.case, 0).afford(made.cost[HIGH], made.before[HIGH], made.peak[HIGH])


def _why_not(found: _Recognition, route: Route) -> str:
    """Return why a route on which a model answers is better, "" where it is not."""
    case, made = found.case, found.assignment
    if made.loss != route.loss:
        return "loses words that the question asks for" if made.loss > route.loss else ""
    objective = case.policy.objective
    if objective == "best":
        return f"{tier_name(made.tier)} < {tier_name(route.tier)}" if made.tier < route.tier else ""
    theirs = {"default": route.score, "fastest": route.seconds}.get(objective, route.cost)
    if found.number <= theirs:
        return ""
    if objective == "fastest":
        return f"{numbers.plain_seconds(found.number)} s > {numbers.plain_seconds(theirs)} s"
    return f"${numbers.plain_money(found.number)} > ${numbers.plain_money(theirs)}"


def _compared(found: _Recognition, other: Outranked) -> Outranked:
    """Return a route that was compared with the best one on which a model answers, compared with this one."""
    cost, seconds, objective = other.total.cost, other.total.seconds, found.case.policy.objective
    if not (cost.known and seconds.known) or objective == "best" or other.reason.startswith("loses"):
        return other
    money, time = f"${numbers.plain_money(cost.mid)}", f"{numbers.plain_seconds(seconds.mid)} s"
    if objective == "fastest":
        return msgspec.structs.replace(other, reason=f"{time} > {numbers.plain_seconds(found.number)} s")
    spent = f"{money} + {time}" if objective == "default" else money
    return msgspec.structs.replace(other, reason=f"{spent} > ${numbers.plain_money(found.number)}")


def _outranked(found: _Recognition, why: str) -> Outranked:
    return Outranked(endpoint=found.endpoint.id, summary=SUMMARY, total=_total(found), reason=why)


def _total(found: _Recognition) -> StepEstimate:
    made = found.assignment
    return StepEstimate(
        output_tokens=quantity(made.made, "sum", 0),
        cost=quantity(made.cost, "price not known" if made.cost[HIGH] == math.inf else "price list", 8),
        seconds=quantity(made.before, "schedule over cores and network", 3),
        load_seconds=quantity(made.load, "cold start", 3),
        memory=quantity(peak_memory_levels(made, ZEROS, ends=False), "of what is loaded for it", 0),
    )


def _candidate(found: _Recognition) -> Candidate:
    case, made = found.case, found.assignment
    before, total = StepBuilder(case, found.conversions).before(made), _total(found)
    assert isinstance(before.steps[-1], Call)
    hashed = hashlib.sha256(msgspec.json.encode((before.names, SUMMARY, total, found.number)))
    return Candidate(
        id=hashed.hexdigest()[:12],
        steps=before.steps,
        endpoint=found.endpoint.id,
        total=total,
        score=found.number,
        tier=tier_name(made.tier),
        keeps=before.keeps,
        loses=before.loses,
        sends=tuple(converter_sends(case, made, {})),
        warnings=before.warnings,
        summary=SUMMARY,
        checks=tuple(each for each in before.checks if each.op != "size"),  # no model is given what is made
        lost=made.lost,
        verdict=_verdict(found, None).value,
        cores=case.machine.cores,
        decoders=made.decoders,
    )


def _verdict(found: _Recognition, beside: Other | None) -> Verdict:
    parts = part_judgements(found.case, found.assignment)
    value = judge(parts, answers=False)
    return Verdict(value=value, parts=parts, instead="text recognition", language_model=beside)


def _plan(found: _Recognition, plan: Plan | None, error: NoRoute | None) -> Plan:
    """Return the plan of text recognition alone. ``plan``: that of a model, ``error``: why there is none."""
    case, chosen = found.case, _candidate(found)
    beside = _beside(plan, error)
    others = () if plan is None else (plan.chosen, *plan.fallbacks)
    return Plan(
        id="",
        headline=_headline(case, beside),
        policy_line=policy_line(case, TIERS[DEFAULT_FLOOR]),
        objective=case.policy.objective,
        chosen=chosen,
        fallbacks=others,
        outranked=() if plan is None else tuple(_compared(found, each) for each in plan.outranked),
        rejected=() if plan is None else plan.rejected,
        catalog=case.index.catalog.version,
        statistics=case.statistics.epoch,
        as_of=case.as_of,
        needs=part_needs(case),
        verdict=_verdict(found, beside),
    )


def _beside(plan: Plan | None, error: NoRoute | None) -> Other:
    """Return the route on which a model answers, in numbers, or why there is none."""
    if plan is not None:
        total = plan.chosen.total
        return Other(endpoint=plan.chosen.endpoint, summary=plan.chosen.summary, cost=total.cost, seconds=total.seconds)
    assert error is not None
    return Other(endpoint="", summary="", kept_out=str(error.hints.reasons[0] if error.reasons else error.hints.what))


def _headline(case: PlanningCase, beside: Other) -> str:
    what = f"only the words of {case.bundles[0].title} are asked for"
    text = f"no language model needed: text recognition alone, as {what}"
    if not beside.endpoint or beside.seconds is None:
        return text
    price = f"{numbers.money(beside.cost)}, {numbers.seconds(beside.seconds)}"
    return hint("{}; a model that answers: {} ({})", text, beside.endpoint, price)


__all__ = ["asks_for_recognition", "plan_recognition", "recognition_candidate"]
