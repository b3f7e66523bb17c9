"""Derive strength tiers from the share of correct answers. The rule is a convention, stated here and in docs/eval.md.

The tier is decided by the lower end of the 95 % interval of correct answers, over at least ``ENOUGH`` items. The share
of correct answers depends on how hard the questions are, so a measured tier means "strong enough for questions like
these", not a rank among all models.

    lower end   below 0.30   0.30   0.60    0.80   0.95
    tier        tiny         small  medium  large  frontier

The number of items limits the tier: with all answers correct, 20 items reach large, 73 frontier.
The intervals and tests are at the end, with the sources of their formulas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from intermodal.catalog.types import Catalog, Evidence, Strength, Task
from intermodal.core.content import Value
from intermodal.core.request import Tier
from intermodal.evaluation.trial_journal import AGAIN, Trial

ENOUGH = 20  # items
THRESHOLDS: tuple[tuple[float, Tier], ...] = ((0.95, "frontier"), (0.80, "large"), (0.60, "medium"), (0.30, "small"))
# Failures that say nothing about the quality of an endpoint.
_NOT_ITS_FAULT = AGAIN | {"credentials_refused", "budget_exceeded", "not_installed", "weights", "call"}
LEVEL = 0.95  # of every interval
_Z = 1.959963984540054  # the normal quantile at (1 + LEVEL) / 2


class TierMeasurement(Value):
    """What an evaluation concludes about an endpoint.

    Attributes:
        right, items: over its first route for each item in the planner's order, which is the one a plan would use.
        sure: mean score of the best label over scored items; 0 if there are none.
        tier: by the rule; None if there are too few ``items``.
        before: the tier in the catalog and its evidence. why: the conclusion in words.
        remembered: whether plans use it from now on.
    """

    endpoint: str
    task: Task
    right: int
    items: int
    low: float
    high: float
    sure: float = 0.0
    tier: Tier | None = None
    before: str = ""
    why: str = ""
    remembered: bool = False


def tier_of(low: float) -> Tier:
    """Return the tier for a lower end of the interval.

    >>> tier_of(0.692), tier_of(0.1)
    ('medium', 'tiny')
    """
    for threshold, tier in THRESHOLDS:
        if low >= threshold:
            return tier
    return "tiny"


def measure_tiers(runs: Sequence[tuple[Trial, bool]], catalog: Catalog) -> tuple[TierMeasurement, ...]:
    """Return what runs, each with whether it was right, conclude about the answering endpoints.

    An endpoint that answers an item over several routes counts once: for the route that comes first in the planner's
    order, which does not depend on results. Runs that failed through no fault of the model do not count.
    """
    first: dict[tuple[str, Task, str], int] = {}
    for trial, _ in runs:
        key = (trial.route.endpoint, trial.route.task, trial.item)
        first[key] = min(trial.rank, first.get(key, trial.rank))
    verdicts_by_item: dict[tuple[str, Task], dict[str, list[bool]]] = {}
    best: dict[tuple[str, Task], list[float]] = {}
    for trial, right in runs:
        endpoint, task = trial.route.endpoint, trial.route.task
        if trial.error in _NOT_ITS_FAULT or trial.rank != first[endpoint, task, trial.item]:
            continue
        verdicts_by_item.setdefault((endpoint, task), {}).setdefault(trial.item, []).append(right)
        if trial.scores:
            best.setdefault((endpoint, task), []).append(max(trial.scores.values()))
    found = (
        (_measure_tier(*key, items, catalog), best.get(key, [])) for key, items in sorted(verdicts_by_item.items())
    )
    return tuple(
        _as_sure(measurement, sum(scores) / len(scores)) if scores else measurement for measurement, scores in found
    )


def _as_sure(measurement: TierMeasurement, sure: float) -> TierMeasurement:
    """Add the mean score of the best label, which shows whether scores are calibrated.

    For example, a mean of 0.9 is too high if only half of the answers are right.
    """
    why = f"{measurement.why}; its best label was at {sure:.2f} on average"
    return msgspec.structs.replace(measurement, sure=sure, why=why)


def _measure_tier(endpoint: str, task: Task, items: Mapping[str, list[bool]], catalog: Catalog) -> TierMeasurement:
    count = len(items)
    right = sum(2 * sum(some) > len(some) for some in items.values())
    low, high = wilson_interval(right, count)
    strength = catalog.by_id[endpoint].tier(task) if endpoint in catalog.by_id else None
    before = f"{strength.tier}, {strength.evidence.level}" if strength is not None else "not known"
    result_text = f"right on {right} of {count}, 95 % interval {low:.0%} to {high:.0%}"
    if count < ENOUGH:
        few = "1 item is" if count == 1 else f"{count} items are"
        why = f"{result_text}: {few} too few to give a tier, it takes {ENOUGH}"
        return TierMeasurement(
            endpoint=endpoint, task=task, right=right, items=count, low=low, high=high, before=before, why=why
        )
    tier = tier_of(low)
    floor = next((threshold for threshold, name in THRESHOLDS if name == tier), 0.0)
    why = f"{result_text}: a lower end of {floor:.0%} or more is {tier}"
    if floor == 0.0:
        why = f"{result_text}: a lower end below {THRESHOLDS[-1][0]:.0%} is {tier}"
    return TierMeasurement(
        endpoint=endpoint, task=task, right=right, items=count, low=low, high=high, tier=tier, before=before, why=why
    )


def strength(measurement: TierMeasurement, data: str, date: str) -> Strength | None:
    """Return a measurement as evidence; None if it gives no tier."""
    if measurement.tier is None:
        return None
    sure = f", its best label at {measurement.sure:.2f} on average" if measurement.sure else ""
    source = f"right on {measurement.right} of {measurement.items} of {data}{sure}, {date}"
    return Strength(
        task=measurement.task, tier=measurement.tier, evidence=Evidence(level="measured", source=source, checked=date)
    )


def wilson_interval(right: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share as (low, high); (0, 1) if ``count`` is 0.

    It stays within 0..1 and keeps its coverage with few items and shares near 0 or 1, where the textbook interval
    fails. Sources: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 1927; Brown,
    Cai and DasGupta, "Interval Estimation for a Binomial Proportion", Statistical Science 2001.

    >>> tuple(round(end, 3) for end in wilson_interval(41, 50))
    (0.692, 0.902)
    """
    if count <= 0:
        return (0.0, 1.0)
    share, square = right / count, _Z * _Z
    middle = share + square / (2 * count)
    reach = _Z * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    below = 1 + square / count
    low, high = (middle - reach) / below, (middle + reach) / below
    return (0.0 if right <= 0 else max(0.0, low), 1.0 if right >= count else min(1.0, high))


def mcnemar_test(first: int, second: int) -> float:
    """Return the probability that two equally good routes differ at least this much: exact and two-sided.

    ``first`` and ``second`` are the numbers of items that only the first or only the second route got right. Items that
    both or neither got right do not count. Each of the rest is a coin toss: twice the tail of Binomial(n, 1/2). Source:
    McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 1947, with the
    binomial in place of its chi-squared approximation, which is too optimistic for few items.

    >>> mcnemar_test(0, 5), mcnemar_test(3, 3)
    (0.0625, 1.0)
    """
    count, few = first + second, min(first, second)
    if count == 0:
        return 1.0
    tail = sum(math.comb(count, each) for each in range(few + 1))
    return min(1.0, float(Fraction(2 * tail, 1 << count)))  # exact: 2 ** count may exceed the range of floats


def holm_correction(chances: Sequence[float]) -> list[float]:
    """Correct probabilities for multiple comparisons: the smallest times n, the next times n - 1, never decreasing.

    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 1979.

    >>> holm_correction([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    found = [1.0] * len(chances)
    worst = 0.0
    order = sorted(range(len(chances)), key=lambda place: chances[place])
    for rank, place in enumerate(order):
        worst = max(worst, min(1.0, chances[place] * (len(chances) - rank)))
        found[place] = worst
    return found
