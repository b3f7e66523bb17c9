"""Which ways of the bundles to put together: all combinations where they are few, the best of each weighting where not."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from intermodal.costing.levels import HIGH, MID
from intermodal.costing.rates import Rates
from intermodal.planner.case import Case
from intermodal.planner.index import Group
from intermodal.planner.routes import Assignment, assign, picture_tokens
from intermodal.planner.ways import Way

ALL_COMBINATIONS = 16  # up to which every combination of ways is tried
Weigh = Callable[[Way], tuple[float, ...]]


def assignments(case: Case, usable: list[list[Way]], group: Group) -> list[Assignment]:
    """All combinations of ways where they are few; otherwise the best way per bundle under each weighting."""
    rule = group.first.model.image_tokens
    if math.prod(len(choices) for choices in usable) <= ALL_COMBINATIONS:
        combinations = [tuple(each) for each in itertools.product(*usable)]
    else:
        ideal = case.index.ideal(group, case.as_of)
        weighings = [weigh(case, ideal, rule) for weigh in WEIGHTINGS]
        combinations = list(
            dict.fromkeys(tuple(min(choices, key=weigh) for choices in usable) for weigh in weighings)
        )
    made = [assign(case, each, rule) for each in combinations]
    return _undominated(made) if len(made) > 1 else made


def _time(way: Way) -> float:
    return way.transforms[MID] + way.local[MID] + way.network[MID]


def _overall(factor: float) -> Callable[[Case, Rates, str], Weigh]:
    """The default objective with tokens ``factor`` times as dear as the best endpoint's, and never free."""

    def make(case: Case, ideal: Rates, rule: str) -> Weigh:
        value = case.policy.time_value
        text = (max(ideal.text, 1e-9) if ideal.text < math.inf else 1e-6) * factor + value * ideal.read_in[MID]

        def weigh(way: Way) -> tuple[float, ...]:
            tokens = way.text[MID] + picture_tokens(way, rule)[MID] + way.sound[MID] * 10.0
            return (way.cost[MID] + value * _time(way) + tokens * text + way.penalty,)

        return weigh

    return make


def _least(measure: Callable[[Way, str], tuple[float, ...]]) -> Callable[[Case, Rates, str], Weigh]:
    def make(case: Case, ideal: Rates, rule: str) -> Weigh:
        return lambda way: measure(way, rule)

    return make


WEIGHTINGS: tuple[Callable[[Case, Rates, str], Weigh], ...] = (
    _overall(1.0),
    _overall(10.0),
    _overall(100.0),
    _least(lambda way, rule: (_time(way), way.cost[MID])),
    _least(lambda way, rule: (way.cost[MID], _time(way))),
    _least(lambda way, rule: (way.text[HIGH] + picture_tokens(way, rule)[MID] + way.sound[HIGH] * 32.0,)),
    _least(lambda way, rule: (float(sum(way.pictures.values())), _time(way))),
    _least(lambda way, rule: (-float(way.tier), float(len(way.missed)), way.cost[MID], _time(way))),
    _least(lambda way, rule: (float(way.endpoint is not None), way.penalty, _time(way))),
)


def _figures(one: Assignment) -> tuple[float, ...]:
    return (
        *one.text[1:], *one.image[1:], *one.audio[1:], *one.cost[1:], *one.before[1:], one.memory[HIGH], float(one.pictures), one.penalty, float(one.missed), -float(one.kept), -float(one.tier),
    )  # fmt: skip


def _undominated(made: list[Assignment]) -> list[Assignment]:
    """Assignments that no other one beats in everything, in their order."""
    figures = [_figures(one) for one in made]
    kept: list[Assignment] = []
    for place, mine in enumerate(figures):
        beaten = any(
            other != place
            and all(a <= b for a, b in zip(figures[other], mine, strict=True))
            and (figures[other] != mine or other < place)
            for other in range(len(figures))
        )
        if not beaten:
            kept.append(made[place])
    return kept
