"""Why an endpoint or model was not chosen: applies the rules to one endpoint. Every endpoint gets an answer."""

from __future__ import annotations

from collections.abc import Sequence

from intermodal.catalog.model_names import resolve_name
from intermodal.catalog.types import Endpoint
from intermodal.planner.catalog_index import Job
from intermodal.planner.conversion.converters import VERB
from intermodal.planner.eligibility import rules
from intermodal.planner.eligibility.eligible_endpoints import (
    EligibleEndpoints,
    EndpointFilter,
    eligible_endpoints,
    needed_jobs,
)
from intermodal.planner.eligibility.strength_floors import search_with_floors
from intermodal.planner.planner import PlanDecision, compare_routes, plan_from, search_and_choose
from intermodal.planner.planning_case import PlanningCase, make_case
from intermodal.planner.recognition import asks_for_recognition
from intermodal.planner.route_estimates.routes import Route
from intermodal.planner.route_estimates.voice_selection import speaks
from intermodal.planner.route_search.search import Search
from intermodal.planner.speech_translation import case_for, fallback_order, plan_each, planning_cases, translation_order
from intermodal.plans.plan import Inputs, Plan
from intermodal.plans.step import Call

MOST = 5  # maximum number of endpoints explained per model
_DOES: dict[str, str] = {
    "transcribe": "transcribes",
    "read": "reads",
    "describe": "describes",
    "generate": "answers",
    "translate": "translates",
    "embed": "embeds",
    "score": "scores",
    "speak": "speaks",
    "draw": "draws",
}


def not_chosen_reasons(inputs: Inputs, name: str) -> str:
    """Return why an endpoint or model was not chosen, one line per endpoint.

    Raises UnknownModel, with similar names, if the catalog has no such name.
    """
    endpoints = resolve_name(inputs.catalog, name)
    case = make_case(inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of)
    kinds = planning_cases(case)
    decisions, _ = plan_each(kinds, search_and_choose)
    alone = _recognition_plan(inputs, case)
    lines = []
    for endpoint in endpoints[:MOST]:
        if alone is None:
            words = _reason_in_kind(kinds, decisions, endpoint)
        else:
            words = _beside_recognition(alone, endpoint) or _answer(case, next(iter(decisions), None), endpoint)
        lines.append(f"{endpoint.id}: {words}")
    if len(endpoints) > MOST:
        lines.append(f"… and {len(endpoints) - MOST} more hosts of it")
    return "\n".join(lines)


def _recognition_plan(inputs: Inputs, case: PlanningCase) -> Plan | None:
    """Return the plan if recognition alone answers; None otherwise."""
    plan = plan_from(inputs) if asks_for_recognition(case) else None
    return plan if plan is not None and plan.chosen.words_alone else None


def _beside_recognition(new_plan: Plan, endpoint: Endpoint) -> str:
    """Return the role of an endpoint in a plan of recognition alone; "" if it has none."""
    if endpoint.id == new_plan.chosen.endpoint:
        return "it is the chosen one"
    for step in new_plan.chosen.steps:
        if isinstance(step, Call) and step.endpoint == endpoint.id:
            return f"it is in the plan: it {_DOES[step.op]} {step.title}"
    places = [place for place, each in enumerate(new_plan.fallbacks, 1) if each.endpoint == endpoint.id]
    return f"it is fallback {places[0]}: {new_plan.chosen.summary} needs no answer of it" if places else ""


def _reason_in_kind(kinds: Sequence[PlanningCase], decisions: list[PlanDecision], endpoint: Endpoint) -> str:
    """Return the answer for the chosen kind of route, if there are several kinds (``speech_translation.py``)."""
    if decisions:
        best, *others = sorted(decisions, key=lambda each: translation_order(each.case, each.chosen))
        if used := _use_text(best, endpoint):
            return used
        for other in others:
            order = fallback_order(_ids(best), _ids(other), str)
            kind = "of the other kind of route into another language"
            if endpoint.id in order:
                return f"it is fallback {order.index(endpoint.id)}: {kind}"
            if endpoint.id in _ids(other):
                return f"not chosen: {kind}"
    own_case = case_for(kinds, endpoint)
    return _answer(own_case, next((each for each in decisions if each.case is own_case), None), endpoint)


def _ids(decision: PlanDecision) -> list[str]:
    return [route.endpoint.id for route in (decision.chosen, *decision.fallbacks)]


def _answer(case: PlanningCase, decision: PlanDecision | None, endpoint: Endpoint) -> str:
    """Return how the endpoint compares with the chosen one, or the rule that rejects it."""
    jobs = needed_jobs(case)
    left = eligible_endpoints(case, jobs)
    group = case.index.group_of[endpoint.id]
    possible_jobs: list[Job] = []
    reasons: list[rules.Reason] = []
    for job in jobs:
        reason = rules.endpoint_rejection(group, job, case)
        if (
            reason is None
            and job == case.job
            and case.named_endpoints is not None
            and endpoint.id not in case.named_endpoints
        ):
            reason = ("model", rules.other_model_named(case))
        if reason is None:
            possible_jobs.append(job)
        else:
            reasons.append(reason)
    if not possible_jobs:
        return _rejection_text(max(reasons, key=lambda reason: rules.rule_order(reason[0])))
    return next(filter(None, (_reason_for_job(case, decision, left, endpoint, job) for job in possible_jobs)))


def _use_text(decision: PlanDecision, endpoint: Endpoint) -> str:
    if endpoint.id == decision.chosen.endpoint.id:
        return "it is the chosen one"
    for bundle, option in zip(decision.case.bundles, decision.chosen.assignment.options, strict=True):
        for step in (each for conversion in option.conversions for each in conversion.steps):
            if step.endpoint is not None and step.endpoint.id == endpoint.id:
                return f"it is in the plan: it {_DOES[step.op]} {bundle.title}"
    voice = decision.voice
    if voice is not None and voice.endpoint.id == endpoint.id and not speaks(decision.chosen.endpoint):
        return "it is in the plan: it speaks the answer"
    for place, route in enumerate(decision.fallbacks, 1):
        if route.endpoint.id == endpoint.id:
            return f"it is fallback {place}: {compare_routes(decision.case, route, decision.chosen)}"
    return ""


def _reason_for_job(
    case: PlanningCase, decision: PlanDecision | None, left: EligibleEndpoints, endpoint: Endpoint, job: Job
) -> str:
    """Return the answer for one job that the endpoint could do."""
    floors = decision.floor_search.floors if decision is not None else search_with_floors(case, left).floors
    found = Search(case, left, floors, EndpointFilter(endpoint.id, job)).run()
    own_routes = [route for route in found.routes if _uses(route, endpoint, job, case)]
    if decision is not None:
        case.voice = decision.voice  # the search above may have replaced it
    if own_routes and decision is not None:
        words = compare_routes(case, own_routes[0], decision.chosen)
        start = "not chosen" if job == case.job else f"could {VERB[job]}, but was not chosen"
        return f"{start}: {words}"
    for refused in found.refused:
        if endpoint.id in refused.ids or _rejection_covers(case, refused.ids, endpoint):
            return _rejection_text((refused.rule, refused.reason))
    if job != case.job:
        verb = VERB[job]
        nearest = max(found.refused, key=lambda each: rules.rule_order(each.rule), default=None)
        why = "no available model can answer"
        if nearest is not None:
            why = f"every route through it is rejected ({nearest.rule}: {nearest.reason})"
        return f"could {verb}, but {why}"
    return "could, but no complete route through it is open"


def _uses(route: Route, endpoint: Endpoint, job: Job, case: PlanningCase) -> bool:
    if job == case.job:
        return route.endpoint.id == endpoint.id
    if job == "speak":
        return case.voice is not None and case.voice.endpoint.id == endpoint.id and not speaks(route.endpoint)
    return any(used.id == endpoint.id for option in route.assignment.options for used in option.converters)


def _rejection_covers(case: PlanningCase, ids: tuple[str, ...], endpoint: Endpoint) -> bool:
    """Return whether a rejection covers this endpoint's group, of which it lists only a few ids."""
    group = case.index.group_of[endpoint.id]
    return any(case.index.group_of[each] is group for each in ids if each in case.index.group_of)


def _rejection_text(reason: rules.Reason) -> str:
    return f"rejected ({reason[0]}): {reason[1]}"
