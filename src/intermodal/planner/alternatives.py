"""Enumerate every feasible route, for comparing them side by side (``eval``) and for measuring plan regret."""

from __future__ import annotations

from itertools import zip_longest

import msgspec

from intermodal.errors import NoRoute
from intermodal.planner.candidates.candidate_builder import CandidateBuilder
from intermodal.planner.conversion.converters import StrengthFloors
from intermodal.planner.eligibility.eligible_endpoints import eligible_endpoints, needed_jobs
from intermodal.planner.planner import plan_of_decision, search_and_choose, with_id
from intermodal.planner.planning_case import PlanningCase, make_case
from intermodal.planner.route_estimates.routes import Route
from intermodal.planner.route_search.search import Search
from intermodal.planner.speech_translation import case_for, plan_each, planning_cases
from intermodal.plans.plan import Candidate, Inputs, Plan


def alternatives(inputs: Inputs, *, most: int = 12, below_floor: bool = True) -> tuple[Candidate, ...]:
    """Return feasible routes, best first, starting with the one that ``plan`` chooses.

    ``plan`` prices the most promising options of each endpoint; this function prices all of them. Limits, consent and
    privacy apply as usual. ``below_floor``: include weaker endpoints, unless the request states a floor.

    Raises:
        NoRoute: nothing is feasible.
    """
    case = make_case(
        inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of
    )  # fmt: skip
    found, errors = plan_each(planning_cases(case), lambda each: _candidates_of(each, most, below_floor=below_floor))
    if not found:
        raise errors[0]
    return tuple(
        candidate
        for candidates_of_rank in zip_longest(*found)
        for candidate in candidates_of_rank
        if candidate is not None
    )[:most]


def _candidates_of(case: PlanningCase, most: int, *, below_floor: bool) -> list[Candidate]:
    decision = search_and_choose(case)
    floors = decision.floor_search.floors
    if below_floor and case.policy.at_least is None:
        floors = StrengthFloors(0, 0, 0)
    found = Search(case, eligible_endpoints(case, needed_jobs(case)), floors, every=True).run()
    builder = CandidateBuilder(case, found.conversions)
    route_by_key: dict[tuple[str, ...], Route] = {}
    for route in (decision.chosen, *found.routes):
        options = tuple(
            f"{option.name} {' '.join(each.id for each in option.converters)}" for option in route.assignment.options
        )
        route_by_key.setdefault((route.endpoint.id, *options), route)
    return [builder.candidate(route) for route in list(route_by_key.values())[:most]]


def plan_of_candidate(inputs: Inputs, candidate: Candidate) -> Plan:
    """Return the plan for these inputs with ``candidate`` chosen and no fallbacks, so that a run uses this route."""
    case = make_case(
        inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of
    )  # fmt: skip
    planned = case_for(planning_cases(case), case.index.catalog.by_id[candidate.endpoint])
    plan = msgspec.structs.replace(
        plan_of_decision(search_and_choose(planned)), chosen=candidate, fallbacks=(), outranked=()
    )
    return with_id(case, plan)


__all__ = ["NoRoute", "alternatives", "plan_of_candidate"]
