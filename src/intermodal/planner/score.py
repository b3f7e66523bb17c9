"""What "better" means: one key per objective, smaller is better.

default    money + seconds x time_value, and a small price for inferred needs that are lost
cheapest   money          fastest   seconds          best   strength, then inferred needs kept, then money

Ties fall to seconds, then kept aspects, then the id. A price nobody knows sorts last.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from intermodal.planner.case import Case
from intermodal.planner.routes import Assignment
from intermodal.planner.rules import Priced
from intermodal.request import Objective

UNKNOWN = 1e6  # USD: after every known price, and still a number that JSON can carry
Key = tuple[float | str, ...]


def _default(money: float, priced: Priced, assignment: Assignment, time_value: float) -> tuple[float, ...]:
    return (round(money + priced.seconds * time_value + assignment.penalty, 9),)


def _cheapest(money: float, priced: Priced, assignment: Assignment, time_value: float) -> tuple[float, ...]:
    return (round(money, 9),)


def _fastest(money: float, priced: Priced, assignment: Assignment, time_value: float) -> tuple[float, ...]:
    return (round(priced.seconds, 6), 1.0 if money >= UNKNOWN else 0.0)


def _best(money: float, priced: Priced, assignment: Assignment, time_value: float) -> tuple[float, ...]:
    return (-float(priced.tier), float(assignment.missed), round(money, 9))


_FIRST: dict[Objective, Callable[[float, Priced, Assignment, float], tuple[float, ...]]] = {
    "default": _default,
    "cheapest": _cheapest,
    "fastest": _fastest,
    "best": _best,
}
# The number a candidate shows as its score: the first part of the key, for "best" the money it comes down to.
_SHOWN: dict[Objective, int] = {"default": 0, "cheapest": 0, "fastest": 0, "best": 2}


def key(case: Case, endpoint_id: str, priced: Priced, assignment: Assignment) -> tuple[Key, float]:
    """The key of a route, and its score."""
    policy = case.policy
    money = priced.cost if priced.cost < math.inf else UNKNOWN
    first = _FIRST[policy.objective](money, priced, assignment, policy.time_value)
    return (*first, round(priced.seconds, 6), -float(assignment.kept), endpoint_id), first[_SHOWN[policy.objective]]
