"""What "better" means: one key per objective, smaller is better.

First, whatever the objective: media reach a named model that takes them as they are, and nothing is lost that the
question cannot be answered without. Neither has a price, so neither a low price nor a guessed speed decides it. Then:

default    money + seconds x time_value, and a small price for other needs that are lost
cheapest   money          fastest   seconds          best   strength, then inferred needs kept, then money

Ties fall to seconds, then kept aspects, then money, then the id. A price nobody knows counts as more than any
other; where money does not decide, it does not hold anybody back.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from intermodal.planner.case import Case
from intermodal.planner.demand import Demand
from intermodal.planner.routes import Numbers
from intermodal.planner.way import Loss
from intermodal.request import Objective

UNKNOWN = 1e6  # USD: after every known price, and still a number that JSON can carry
Key = tuple[float | str, ...]
NUMBER = 2  # place of the objective's first number in a key


def _default(money: float, seconds: float, needs: Demand, tier: int, time_value: float) -> tuple[float, ...]:
    return (round(money + seconds * time_value + needs.penalty, 9),)


def _cheapest(money: float, seconds: float, needs: Demand, tier: int, time_value: float) -> tuple[float, ...]:
    return (round(money, 9),)


def _fastest(money: float, seconds: float, needs: Demand, tier: int, time_value: float) -> tuple[float, ...]:
    return (round(seconds, 6),)


def _best(money: float, seconds: float, needs: Demand, tier: int, time_value: float) -> tuple[float, ...]:
    return (-float(tier), float(needs.missed), round(money, 9))


_FIRST: dict[Objective, Callable[[float, float, Demand, int, float], tuple[float, ...]]] = {
    "default": _default,
    "cheapest": _cheapest,
    "fastest": _fastest,
    "best": _best,
}


_WEIGHTS: dict[Objective, tuple[float, float, float]] = {
    "cheapest": (1.0, 0.0, 0.0),
    "fastest": (0.0, 1.0, 0.0),
    "best": (1.0, 0.0, 0.0),
}


def weights(case: Case) -> tuple[float, float, float]:
    """What a USD, a second and a USD of penalty weigh in the objective's number."""
    return _WEIGHTS.get(case.policy.objective, (1.0, case.policy.time_value, 1.0))


def is_one_number(case: Case) -> bool:
    """One number ranks routes, and it can be bounded by the formulas of calls that take tokens."""
    return case.policy.objective != "best" and case.job not in ("transcribe", "draw")


def least_key(case: Case, least: Loss, number: float, tier: int) -> Key:
    """A key no route of a class can come below: from the least loss, the least number and the best tier it can have."""
    return (*least, -float(tier), 0.0, number) if case.policy.objective == "best" else (*least, number)


def key(case: Case, endpoint_id: str, numbers: Numbers, needs: Demand, tier: int) -> Key:
    """The key of a route; ``tier`` is its weakest link's."""
    policy, seconds = case.request.policy, numbers.seconds + numbers.missing_seconds
    money = numbers.cost + numbers.missing_cost if numbers.cost < math.inf else UNKNOWN
    first = _FIRST[policy.objective](money, seconds, needs, tier, policy.time_value)
    return (needs.diverted, needs.lost, *first, round(seconds, 6), -float(needs.kept), round(money, 9), endpoint_id)


def score(case: Case, ordered: Key) -> float:
    """The number a candidate shows: what its objective minimises; for "best" the money it comes down to."""
    shown = ordered[NUMBER + 2 if case.policy.objective == "best" else NUMBER]
    assert isinstance(shown, float)
    return shown
