"""Which options of the bundles to combine: all where they are few, otherwise the best of each weighting."""

from __future__ import annotations

import itertools
import math

from intermodal.cost_model.levels import HIGH, MID
from intermodal.cost_model.token_rules import TokenRules
from intermodal.planner.conversion.conversion_option import ConversionOption, NativeTokens, native_tokens
from intermodal.planner.conversion.fidelity import DETAIL_PENALTY
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.assignment import Assignment, assign
from intermodal.request import TIERS

ALL_COMBINATIONS = 16  # up to which every combination of ways is tried
TOKEN_PRICES = (1e-7, 2e-6, 2e-5)  # USD per input token, from cheap to dear: which way is best depends on it
LARGE = TIERS.index("large")
READING = 3e-4  # seconds per input token, typical


def candidate_assignments(
    case: PlanningCase, usable: list[list[ConversionOption]], book: TokenRules
) -> list[Assignment]:
    """Return the assignments worth pricing, for endpoints under these token rules."""
    if math.prod(len(choices) for choices in usable) <= ALL_COMBINATIONS:
        combinations = list(itertools.product(*usable))
    else:
        open_ones = [choices for choices in usable if len(choices) > 1]
        best: list[list[ConversionOption]] = []
        for choices in open_ones:
            measured = [(option_weights(case, way, book), way) for way in choices]
            best.append([min(measured, key=lambda pair: pair[0][place])[1] for place in range(WEIGHTINGS)])
        columns = dict.fromkeys(zip(*best, strict=True))
        combinations = [_filled(usable, column) for column in columns]
    made = [assign(case, each, book) for each in combinations]
    return undominated(made) if len(made) > 1 else made


def _filled(usable: list[list[ConversionOption]], column: tuple[ConversionOption, ...]) -> tuple[ConversionOption, ...]:
    """Return the chosen options of the bundles with a choice, among the only options of the others."""
    chosen = iter(column)
    return tuple(next(chosen) if len(choices) > 1 else choices[0] for choices in usable)


def option_weights(case: PlanningCase, way: ConversionOption, book: TokenRules) -> tuple[tuple[float, ...], ...]:
    """Return an option's score under every weighting, smaller is better; cached on the option."""
    key = book if way.counted else None
    found = way.weighed.get(key)
    if found is None:
        found = way.weighed[key] = _weigh(case, way, native_tokens(way, book) if way.counted else NativeTokens())
    return found


def _weigh(case: PlanningCase, way: ConversionOption, taken: NativeTokens) -> tuple[tuple[float, ...], ...]:
    time = way.transforms[MID] + way.local[MID] + way.network[MID]
    cost, value = way.cost[MID], case.policy.time_value
    tokens = way.text[MID] + sum(each[MID] for each in taken)
    high = way.text[HIGH] + sum(each[HIGH] for each in taken)
    fixed = cost + value * (time + tokens * READING) + way.penalty
    quick = (time + tokens * READING, cost)
    loss = (float(way.diverted), float(way.lost))
    return (
        *((*loss, fixed + tokens * price) for price in TOKEN_PRICES),
        (*loss, *quick),
        (*loss, cost, time),
        (*loss, -float(way.tier), float(len(way.missed)), cost, time),
        # A converter stronger than the answer makes no route stronger.
        (*loss, -float(min(way.tier, LARGE)), float(len(way.missed)), cost, time),
        (float(len(way.converters)), *loss, way.penalty, time),
        # What no price buys may still be beyond a limit: then some of it has to go, best where it helps most.
        *((fixed + tokens * price + DETAIL_PENALTY * sum(loss),) for price in TOKEN_PRICES),
        quick,
        (cost, time),
        (high,),
        (sum(count[HIGH] for count in way.pictures.values()), time),
    )


WEIGHTINGS = 2 * len(TOKEN_PRICES) + 9


def _figures(one: Assignment) -> tuple[float, ...]:
    return (
        *one.text[1:], *one.image[1:], *one.audio[1:], *one.cost[1:], *one.before[1:], one.memory[HIGH],
        float(one.pictures), one.penalty, float(one.diverted), float(one.lost),
        float(one.missed), -float(one.kept), -float(one.tier),
    )  # fmt: skip


def undominated(made: list[Assignment]) -> list[Assignment]:
    """Return the assignments that no other one beats in everything, in their order."""
    figures = [_figures(one) for one in made]
    kept: list[Assignment] = []
    for place, mine in enumerate(figures):
        for other, theirs in enumerate(figures):
            if other == place or (theirs == mine and other > place):
                continue
            for a, b in zip(theirs, mine, strict=True):
                if a > b:
                    break
            else:
                break  # beaten
        else:
            kept.append(made[place])
    return kept
