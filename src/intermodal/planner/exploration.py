"""Selects an unmeasured endpoint that is worth a few requests, because it may be better than the chosen one.

A measurement always beats a cautious estimate, and an endpoint that is never chosen is never measured. The remedy is
optimism in the face of uncertainty (Lai and Robbins, Advances in Applied Mathematics, 1985): an unmeasured endpoint is
scored at the low end of its range. The cost of a bad guess is bounded: the endpoint is no more expensive than the
chosen one, no weaker, loses no more, and is in no farther zone, so at worst a few requests take longer. The plan names
the endpoint; ``executor`` decides which runs try it.
"""

from __future__ import annotations

import math

from intermodal.core.request import ZONES
from intermodal.cost_model.levels import LOW, MID, ZEROS
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.final_call_estimate import (
    AnswerTokens,
    final_call_cost,
    typical_call_cost,
    usual_answer,
)
from intermodal.planner.route_estimates.routes import Route
from intermodal.planner.session_affinity import continues_tool_call
from intermodal.plans.plan import EXPLORED_EVERY, EXPLORED_MOST


def exploration_route(case: PlanningCase, chosen_route: Route, routes: list[Route]) -> Route | None:
    """Return the unmeasured route whose optimistic score beats the chosen one; None if there is none."""
    if not _may_explore(case, chosen_route):
        return None
    eligible = [route for route in routes if _costs_no_more(case, route, chosen_route)]
    eligible = [route for route in eligible if optimistic_score(case, route, chosen_route) < chosen_route.score]
    return min(eligible, key=lambda route: (optimistic_score(case, route, chosen_route), route.key), default=None)


def exploration_note(endpoint: str) -> str:
    """Return the note about exploration for a plan."""
    return (
        f"{endpoint} is not measured yet and may be better at no higher cost: 1 of {EXPLORED_EVERY} such requests of a "
        f"client asks it first, {EXPLORED_MOST} at most (explore = false: none)"
    )


def optimistic_score(case: PlanningCase, route: Route, chosen_route: Route) -> float:
    """Return the objective's number of a route at its shortest time."""
    needs = route.demand
    _, seconds = final_call_cost(case, route.rates, LOW, needs, _answer(case, route).tokens[LOW])
    seconds += needs.before[LOW]
    if case.policy.objective == "fastest":
        return seconds
    return _cost(case, route, chosen_route) + seconds * case.policy.time_value + needs.penalty


def _cost(case: PlanningCase, route: Route, chosen_route: Route) -> float:
    """Return the USD of the chosen route's expected tokens at this route's prices.

    Using the same tokens for both keeps token estimates from deciding. Images and audio are counted by each model's own
    rules, which are exact.
    """
    words = (
        (ZEROS, ZEROS)
        == (route.demand.image, route.demand.audio)
        == (chosen_route.demand.image, chosen_route.demand.audio)
    )
    needs = chosen_route.demand if words else route.demand
    return typical_call_cost(case, route.rates, needs, _answer(case, chosen_route))[0] + route.demand.cost[MID]


def _answer(case: PlanningCase, route: Route) -> AnswerTokens:
    return usual_answer(case, route.endpoint, route.rates, route.numbers.cap, route.demand.sound)


def _may_explore(case: PlanningCase, chosen_route: Route) -> bool:
    """Return whether exploration is allowed.

    Time must decide, nothing else may depend on which endpoint answers, and a failure must leave enough time.
    """
    policy = case.policy
    return (
        policy.explore
        and policy.pay_twice
        and policy.deadline is None
        and policy.objective in ("default", "fastest")
        and case.job == "generate"
        and not case.request.previous_endpoint
        and not continues_tool_call(case.request)
        and chosen_route.endpoint.id in case.measured
    )


def _costs_no_more(case: PlanningCase, route: Route, chosen_route: Route) -> bool:
    """Return whether trying the route can cost nothing but time."""
    endpoint = route.endpoint
    return (
        endpoint.id not in case.measured
        and endpoint.id != chosen_route.endpoint.id
        and _cost(case, route, chosen_route) <= _cost(case, chosen_route, chosen_route) < math.inf
        and route.tier >= chosen_route.tier
        and (route.demand.missed, route.demand.penalty) <= (chosen_route.demand.missed, chosen_route.demand.penalty)
        and ZONES.index(endpoint.host.zone) <= ZONES.index(chosen_route.endpoint.host.zone)
        and (route.group.remote or endpoint.id in case.loaded)  # no server or model is loaded for exploration
    )
