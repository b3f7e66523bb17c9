"""Objectives: one sort key per objective, smaller is better.

Under every objective, two criteria come first: media reach a named model unconverted if it accepts them, and no aspect
is lost that the answer depends on. Neither has a price, so neither a low price nor an estimated speed outweighs it.
Then:

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

from intermodal.core.request import Objective, Policy
from intermodal.planner.catalog_index import EndpointGroup
from intermodal.planner.conversion.conversion_option import Loss
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.call_demand import CallDemand, answering_task
from intermodal.planner.route_estimates.routes import RouteNumbers

UNKNOWN_PRICE = 1e6  # USD; ranks after every known price, and can be represented in JSON
Key = tuple[float | str, ...]
NUMBER_PLACE = 2  # index of the objective's first number in a key
MONEY_PLACE_OF_BEST = 6  # index of the cost among the numbers of "best"
_WEIGHTS: dict[Objective, tuple[float, float, float]] = {
    "cheapest": (1.0, 0.0, 0.0),
    "fastest": (0.0, 1.0, 0.0),
    "best": (1.0, 0.0, 0.0),
}


def objective_weights(policy: Policy) -> tuple[float, float, float]:
    """Return the weights of a USD, a second and a USD of penalty in the objective's number."""
    return _WEIGHTS.get(policy.objective, (1.0, policy.time_value, 1.0))


def objective_number(policy: Policy, money: float, seconds: float, penalty: float = 0.0) -> float:
    """Return the objective's number; for "best", the cost.

    An unknown (infinite) price counts only if the objective weighs cost.
    """
    usd, second, lost = objective_weights(policy)
    return (money * usd if usd else 0.0) + seconds * second + penalty * lost


def is_scalar_objective(case: PlanningCase) -> bool:
    """Return whether the objective is a single number that the bounds for token-based calls apply to."""
    return case.policy.objective != "best" and case.job not in ("transcribe", "draw")


def lower_bound_keys(
    case: PlanningCase, groups: list[EndpointGroup], least: Loss, numbers: list[float], converters_tier: int
) -> list[Key]:
    """Return a key per group that none of its routes can beat: its minimum loss, minimum number and best tier."""
    if case.policy.objective == "best":
        return [(*least, -float(min(group.strongest, converters_tier)), 0.0, -math.inf) for group in groups]
    return [(*least, number) for number in numbers]


def ranking_key(case: PlanningCase, endpoint_id: str, numbers: RouteNumbers, needs: CallDemand, tier: int) -> Key:
    """Return the sort key of a route. ``tier``: strength of its weakest link."""
    seconds = numbers.seconds + numbers.missing_seconds
    money = numbers.cost + numbers.missing_cost if numbers.cost < math.inf else UNKNOWN_PRICE
    third_party_rank = case.index.third_party_rank(endpoint_id)
    policy = case.request.policy
    first: tuple[float, ...]
    if policy.objective == "default":
        first = (round(objective_number(policy, money, seconds, needs.penalty), 9),)
    elif policy.objective == "cheapest":
        first = (round(money, 9), third_party_rank)
    elif policy.objective == "fastest":
        first = (round(numbers.seconds_high if numbers.untimed else seconds, 6),)
    else:
        standing = case.index.tie_break_key(endpoint_id, answering_task(case, needs))
        first = (-float(tier), float(needs.missed), *standing, third_party_rank, round(money, 9))
    paced = (1.0, 0.0) if numbers.untimed else (0.0, round(seconds, 6))
    rest = (*paced, -float(needs.kept_aspects), round(money, 9), third_party_rank, endpoint_id)
    return (needs.diverted, needs.lost, *first, *rest)


def candidate_score(case: PlanningCase, key: Key) -> float:
    """Return the score shown for a candidate: the objective's number; for "best", the cost."""
    objective = case.request.policy.objective
    score = key[NUMBER_PLACE + MONEY_PLACE_OF_BEST if objective == "best" else NUMBER_PLACE]
    assert isinstance(score, float)
    return score
