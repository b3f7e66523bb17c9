"""The route rules as plain comparisons, for the hundreds of routes that are looked at and not shown.

``rules`` says why in words; this says only whether, by the same limits. A test holds the two together.
"""

from __future__ import annotations

import math

from msgspec import Struct

from intermodal.costing.limits import breaks
from intermodal.costing.rates import Rates
from intermodal.planner.case import Case
from intermodal.planner.demand import Demand, held_tokens
from intermodal.planner.index import Group
from intermodal.planner.routes import Numbers


class Limits(Struct, frozen=True):
    """``cost`` and ``seconds`` infinite when there is no limit; ``unknown``: an unknown price is let through."""

    cost: float
    unknown: bool
    seconds: float
    free: float
    floor: int
    counts_context: bool

    def allow(
        self, case: Case, endpoint: str, group: Group, rates: Rates, needs: Demand, numbers: Numbers, own_tier: int
    ) -> bool:
        """Whether a route is within every limit."""
        if own_tier < self.floor or numbers.seconds_high > self.seconds or numbers.memory > self.free:
            return False
        if numbers.cost_high > self.cost and not (self.unknown and numbers.cost_high == math.inf):
            return False
        most = group.first.host.max_images
        if most is not None and needs.pictures > most:
            return False
        published = case.book(group).limits
        if published is not None and breaks(published, needs.held, rates.context):
            return False
        return not self.counts_context or held_tokens(case, endpoint, needs) + numbers.cap <= rates.context


def limits(case: Case, floor: int) -> Limits:
    """The limits of a request on this machine."""
    policy, machine = case.policy, case.machine
    return Limits(
        cost=policy.max_cost,
        unknown=policy.takes_unknown_prices,
        seconds=math.inf if policy.deadline is None else policy.deadline,
        free=math.inf if machine.memory == 0 else float(machine.free),
        floor=floor,
        counts_context=case.job != "transcribe",
    )
