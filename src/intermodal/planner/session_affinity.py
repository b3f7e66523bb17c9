"""Session affinity: within a conversation, the plan switches endpoints only for a good reason.

A good reason is a stated need or a substantial saving.
"""

from __future__ import annotations

from intermodal.core.content import ToolResult
from intermodal.core.hints import hint
from intermodal.core.request import Objective, Request
from intermodal.planner.conversion.converters import StrengthFloors
from intermodal.planner.eligibility import rules
from intermodal.planner.eligibility.eligible_endpoints import EligibleEndpoints, EndpointFilter, EndpointRejection
from intermodal.planner.eligibility.strength_floors import FloorSearch
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.routes import Route
from intermodal.planner.route_search.search import Search

SAVING = 0.5  # switch if the other costs less than half ...
LEAST: dict[Objective, float] = {
    "default": 0.002,
    "cheapest": 0.002,
    "fastest": 1.0,
    "best": 0.0,
}  # ... and by this much


def prefer_previous_endpoint(
    case: PlanningCase, left: EligibleEndpoints, floor_search: FloorSearch, best: Route
) -> tuple[Route, list[str]]:
    """Return the route to use, and notes on staying or switching."""
    previous = case.request.previous_endpoint
    if not previous or best.endpoint.id == previous:
        return best, []
    if previous not in case.index.group_of:
        return best, [f"switches from {previous}, which is no longer in the catalog"]
    if case.named_endpoints is not None and previous not in case.named_endpoints:
        return best, [f"switches from {previous}: {rules.other_model_named(case)}"]
    previous_route = next((route for route in floor_search.found.routes if route.endpoint.id == previous), None)
    if previous_route is None:
        alone = Search(case, left, floor_search.floors, EndpointFilter(previous, case.job)).run()
        if not alone.routes and case.policy.at_least is None:  # the default floor is not a stated need
            alone = Search(case, left, StrengthFloors(0, 0, 0), EndpointFilter(previous, case.job)).run()
        if not alone.routes:
            return best, [hint("switches from {}: {}", previous, _switch_reason(alone.refused, previous, case))]
        previous_route = alone.routes[0]
        floor_search.found.routes.append(previous_route)
        floor_search.found.routes.sort(key=lambda route: route.key)
    if continues_tool_call(case.request):
        return previous_route, [f"stays with {previous}, whose tool call this answers"]
    if _is_worth_switching(case, previous_route, best):
        return best, [f"switches from {previous}: {_saving(case, previous_route, best)}"]
    return previous_route, [f"stays with {previous}, which answered the last turn"]


def continues_tool_call(request: Request) -> bool:
    """Return whether the last message is a tool result, so that the model that called the tool must continue."""
    last = request.messages[-1].parts if request.messages else ()
    return any(isinstance(part, ToolResult) for part in last)


def _is_worth_switching(case: PlanningCase, previous_route: Route, best: Route) -> bool:
    if best.loss != previous_route.loss:
        return best.loss < previous_route.loss
    objective = case.policy.objective
    if objective == "best":
        return best.tier > previous_route.tier
    return best.score < previous_route.score * SAVING and previous_route.score - best.score >= LEAST[objective]


def _saving(case: PlanningCase, previous_route: Route, best: Route) -> str:
    if best.loss < previous_route.loss:
        return f"{best.endpoint.id} keeps more of what the question seems to need"
    if case.policy.objective == "best":
        return f"{best.endpoint.id} is stronger"
    if case.policy.objective == "fastest":
        return f"saves {previous_route.score - best.score:.2g} s"
    aside = ", time counted as money" if case.policy.objective == "default" else ""
    return f"saves ${previous_route.score - best.score:.3g}{aside}"


def _switch_reason(refused: list[EndpointRejection], previous: str, case: PlanningCase) -> str:
    reason = rules.endpoint_rejection(case.index.group_of[previous], case.job, case)
    if reason is not None:
        return reason[1]
    for each in refused:
        if previous in each.ids:
            return each.reason
    return "it cannot serve this turn"
