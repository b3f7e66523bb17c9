"""Objectives: one sort key per objective, smaller is better.

First, whatever the objective: media reach a named model unconverted where it accepts them, and nothing is lost that the
question cannot be answered without. Neither has a price, so neither a low price nor a guessed speed decides it. Then:

default    money + seconds x time_value, and a small price for other needs that are lost
cheapest   money, then the model's own vendor          fastest   seconds
best       strength, then inferred needs kept, then the evidence of that strength, then the price of the model,
           then its size, then its own vendor, then money

Ties are decided by seconds, kept aspects, money, the model's own vendor, the id. Seconds that are a placeholder
(``catalog/default_speeds.py``) decide no tie and come after stated ones; they can be the fastest route only by their
high end. An unknown price counts as more than any other; where money does not decide, it excludes no endpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from intermodal.planner.conversion.conversion_option import Loss
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.call_demand import CallDemand, answering_task
from intermodal.planner.route_estimates.routes import RouteNumbers
from intermodal.request import Objective, Policy

UNKNOWN_PRICE = 1e6  # USD: after every known price, and still a number that JSON can carry
Key = tuple[float | str, ...]
NUMBER_PLACE = 2  # place of the objective's first number in a key


class _RouteMeasures(NamedTuple):
    """The inputs of the objectives. ``surely``: the seconds, at their high end if they are a placeholder. ``away``: 1
    if neither the model's vendor nor this machine serves it.
    """

    case: PlanningCase
    endpoint: str
    money: float
    seconds: float
    surely: float
    needs: CallDemand
    tier: int
    away: float


def _default(of: _RouteMeasures) -> tuple[float, ...]:
    return (round(objective_number(of.case.request.policy, of.money, of.seconds, of.needs.penalty), 9),)


def _cheapest(of: _RouteMeasures) -> tuple[float, ...]:
    return (round(of.money, 9), of.away)


def _fastest(of: _RouteMeasures) -> tuple[float, ...]:
    return (round(of.surely, 6),)


def _best(of: _RouteMeasures) -> tuple[float, ...]:
    standing = of.case.index.standing(of.endpoint, answering_task(of.case, of.needs))
    return (-float(of.tier), float(of.needs.missed), *standing, of.away, round(of.money, 9))


_FIRST: dict[Objective, Callable[[_RouteMeasures], tuple[float, ...]]] = {
    "default": _default,
    "cheapest": _cheapest,
    "fastest": _fastest,
    "best": _best,
}
MONEY_PLACE_OF_BEST = 6  # place of the money among the numbers of "best"


_WEIGHTS: dict[Objective, tuple[float, float, float]] = {
    "cheapest": (1.0, 0.0, 0.0),
    "fastest": (0.0, 1.0, 0.0),
    "best": (1.0, 0.0, 0.0),
}


def objective_weights(policy: Policy) -> tuple[float, float, float]:
    """Return the weights of a USD, a second and a USD of penalty in the objective's number."""
    return _WEIGHTS.get(policy.objective, (1.0, policy.time_value, 1.0))


def objective_number(policy: Policy, money: float, seconds: float, penalty: float = 0.0) -> float:
    """Return the objective's number, for "best" the money. An unknown price, which is infinite, counts only where money
    does."""
    usd, second, lost = objective_weights(policy)
    return (money * usd if usd else 0.0) + seconds * second + penalty * lost


def is_scalar_objective(case: PlanningCase) -> bool:
    """Return whether one number ranks routes that the formulas of token calls can bound."""
    return case.policy.objective != "best" and case.job not in ("transcribe", "draw")


def lower_bound_key(case: PlanningCase, least: Loss, number: float, tier: int) -> Key:
    """Return a key that no route of a group can undercut: its least loss, least number and best tier."""
    return (*least, -float(tier), 0.0, -math.inf) if case.policy.objective == "best" else (*least, number)


def ranking_key(case: PlanningCase, endpoint_id: str, numbers: RouteNumbers, needs: CallDemand, tier: int) -> Key:
    """Return the sort key of a route; ``tier`` is its weakest link's."""
    seconds = numbers.seconds + numbers.missing_seconds
    money = numbers.cost + numbers.missing_cost if numbers.cost < math.inf else UNKNOWN_PRICE
    away = case.index.away(endpoint_id)
    surely = numbers.seconds_high if numbers.untimed else seconds
    measured = _RouteMeasures(case, endpoint_id, money, seconds, surely, needs, tier, away)
    first = _FIRST[case.request.policy.objective](measured)
    paced = (1.0, 0.0) if numbers.untimed else (0.0, round(seconds, 6))
    rest = (*paced, -float(needs.kept), round(money, 9), away, endpoint_id)
    return (needs.diverted, needs.lost, *first, *rest)


def candidate_score(case: PlanningCase, ordered: Key) -> float:
    """Return the number a candidate shows: what its objective minimises; for "best" the money."""
    shown = ordered[NUMBER_PLACE + MONEY_PLACE_OF_BEST if case.policy.objective == "best" else NUMBER_PLACE]
    assert isinstance(shown, float)
    return shown
