"""The Pareto frontier of a request: cost, seconds, strength and fidelity.

A plan needs only the best routes; the ends of the frontier are priced on request.
"""

from __future__ import annotations

import math
from operator import le

from intermodal.core.request import TIERS
from intermodal.planner.candidates.candidate_builder import CandidateBuilder
from intermodal.planner.planner import search_and_choose
from intermodal.planner.planning_case import make_case
from intermodal.planner.recognition import recognition_candidate
from intermodal.planner.route_estimates.routes import Route
from intermodal.planner.route_search.search import Search
from intermodal.planner.speech_translation import plan_each, planning_cases, translation_order
from intermodal.plans.plan import Candidate, Inputs

MOST = 6


def frontier(inputs: Inputs) -> tuple[Candidate, ...]:
    """Return the Pareto frontier in cost, seconds, strength and loss, and the chosen route; cheapest first.

    Raises NoRoute.
    """
    case = make_case(inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of)
    decisions, errors = plan_each(planning_cases(case), search_and_choose)
    alone = recognition_candidate(case)
    if not decisions:
        if alone is not None:
            return (alone,)
        raise errors[0]
    routes: dict[int, tuple[Route, CandidateBuilder]] = {}
    for decision in decisions:
        found = Search(decision.case, decision.left, decision.floor_search.floors, ends=True).run()
        builder = CandidateBuilder(decision.case, found.conversions)
        routes |= {id(route): (route, builder) for route in (decision.chosen, *found.routes)}
    chosen_route = min((decision.chosen for decision in decisions), key=lambda route: translation_order(case, route))
    frontier_routes = pareto([route for route, _ in routes.values()], chosen_route)
    candidates = [routes[id(route)][1].candidate(route) for route in frontier_routes]
    return tuple(candidates if alone is None else _with_candidate(candidates, alone))


def _with_candidate(candidates: list[Candidate], added: Candidate) -> list[Candidate]:
    """Return the frontier with a route of recognition alone added, and without routes that it beats."""
    added_figures = _figures(added)
    if any(all(map(le, _figures(each), added_figures)) for each in candidates):
        return candidates
    return sorted(
        [*(each for each in candidates if not all(map(le, added_figures, _figures(each)))), added], key=_figures
    )


def _figures(candidate: Candidate) -> tuple[float, ...]:
    """Return the figures by which routes are compared; less is better."""
    total = candidate.total
    cost = total.cost.mid if total.cost.known else math.inf
    return cost, total.seconds.mid, -TIERS.index(candidate.tier), candidate.lost


def pareto(routes: list[Route], chosen_route: Route) -> list[Route]:
    """Return the first ``MOST`` undominated routes, including the chosen one."""
    points = sorted([chosen_route, *routes], key=lambda route: (route.cost, route.seconds, -route.tier, route.key))
    undominated: list[Route] = []
    for route in points:
        if not any(_beats(other, route) for other in undominated):
            undominated.append(route)
    first = undominated[:MOST]
    if not any(_is_same_route(route, chosen_route) for route in first):
        first = sorted([*first[: MOST - 1], chosen_route], key=points.index)
    return first


def _beats(other: Route, route: Route) -> bool:
    """Return whether ``other`` is at least as good in every figure."""
    return (
        other.cost <= route.cost
        and other.seconds <= route.seconds
        and other.tier >= route.tier
        and other.loss <= route.loss
        and other.demand.penalty <= route.demand.penalty
    )


def _is_same_route(route: Route, other: Route) -> bool:
    return route.key == other.key
