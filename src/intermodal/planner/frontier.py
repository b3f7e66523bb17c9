"""The Pareto frontier: what money, seconds and strength can be had for one another. Asked of the planner's inputs.

A plan needs the best route and the next best; the ends of the frontier are priced only where somebody wants to see it.
"""

from __future__ import annotations

import math

from intermodal.planner.build import Builder
from intermodal.planner.case import make_case
from intermodal.planner.choose import decide
from intermodal.planner.routes import Route
from intermodal.planner.search import Search
from intermodal.plans.plan import Candidate, Inputs
from intermodal.request import TIERS

MOST = 6


def frontier(inputs: Inputs) -> tuple[Candidate, ...]:
    """Routes that no other beats in cost, seconds and strength at once, cheapest first. Raises NoRoute."""
    case = make_case(inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of)
    decision = decide(case)
    found = Search(case, decision.left, decision.settled.floors, ends=True).run()
    builder = Builder(case, found.conversions)
    return tuple(builder.candidate(route) for route in pareto([decision.chosen, *found.routes]))


def pareto(routes: list[Route]) -> list[Route]:
    """The first few of them."""
    points = sorted(routes, key=lambda route: (route.cost, route.seconds, -route.tier, route.key))
    fastest = [math.inf] * len(TIERS)  # by strength, among the cheaper ones
    kept: list[Route] = []
    for route in points:
        if route.seconds < min(fastest[route.tier :]):
            fastest[route.tier] = route.seconds
            kept.append(route)
    return kept[:MOST]
