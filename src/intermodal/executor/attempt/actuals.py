"""Two calls of one step, as one in the bill and in the actuals. Pure."""

from __future__ import annotations

import msgspec

from intermodal.events import Actual
from intermodal.plans.step import Call
from intermodal.quantity import between


def remaining_estimate(step: Call, first: Actual) -> Call:
    """The step of the second call: the plan's highest cost is for both calls, so what the first took is gone."""
    cost = step.estimate.cost
    if not cost.known or first.cost is None:
        return step
    left = max(0.0, cost.high - first.cost)
    rest = between(0.0, min(cost.mid, left), left, cost.basis)
    return msgspec.structs.replace(step, estimate=msgspec.structs.replace(step.estimate, cost=rest))


def add_actuals(first: Actual, second: Actual) -> Actual:
    """One step, two calls."""
    known = first.cost is not None and second.cost is not None
    return Actual(
        step=second.step,
        seconds=first.seconds + second.seconds,
        load_seconds=first.load_seconds + second.load_seconds,
        usage=second.usage,
        cost=(first.cost or 0.0) + (second.cost or 0.0) if known else None,
        peak_memory=max(first.peak_memory or 0, second.peak_memory or 0) or None,
        began=first.began,
    )
