"""The route rules as plain comparisons, for the hundreds of routes that are considered and not shown.

``rules`` gives the reason in words; this only the verdict, by the same limits. A test compares the two.
"""

from __future__ import annotations

import math

from msgspec import Struct

from intermodal.cost_model.rates import Rates
from intermodal.cost_model.request_limits import exceeds
from intermodal.planner.catalog_index import EndpointGroup
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.call_demand import CallDemand, context_tokens
from intermodal.planner.route_estimates.routes import RouteNumbers


class RouteLimits(Struct, frozen=True):
    """The limits of a request; infinite where there is none. ``unknown``: an unknown price is allowed."""

    cost: float
    unknown: bool
    seconds: float
    free: float
    floor: int
    counts_context: bool

    def allow(
        self,
        case: PlanningCase,
        endpoint: str,
        group: EndpointGroup,
        rates: Rates,
        needs: CallDemand,
        numbers: RouteNumbers,
        own_tier: int,
    ) -> bool:
        """Return whether a route is within every limit."""
        if own_tier < self.floor or numbers.seconds_high > self.seconds or numbers.memory > self.free:
            return False
        if numbers.cost_high > self.cost and not (self.unknown and numbers.cost_high == math.inf):
            return False
        most = group.first.host.max_images
        if most is not None and needs.pictures > most:
            return False
        published = case.book(group).limits
        if published is not None and exceeds(published, needs.held, rates.context):
            return False
        return not self.counts_context or context_tokens(case, endpoint, needs) + numbers.cap <= rates.context


def route_limits(case: PlanningCase, floor: int) -> RouteLimits:
    """Return the limits of a request on this machine."""
    policy, machine = case.policy, case.machine
    return RouteLimits(
        cost=policy.max_cost,
        unknown=policy.takes_unknown_prices,
        seconds=math.inf if policy.deadline is None else policy.deadline,
        free=math.inf if machine.memory == 0 else float(machine.free),
        floor=floor,
        counts_context=case.job != "transcribe",
    )
