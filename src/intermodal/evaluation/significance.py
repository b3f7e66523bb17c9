"""Statistics of right answers: intervals and tests, with the sources of their formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

LEVEL = 0.95  # of every interval
_Z = 1.959963984540054  # the normal quantile at (1 + LEVEL) / 2


def wilson_interval(right: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share, (low, high); (0, 1) for nothing counted.

    It stays inside 0..1 and holds its level with few items and shares near the ends, where the textbook interval
    fails. Sources: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 1927;
    Brown, Cai and DasGupta, "Interval Estimation for a Binomial Proportion", Statistical Science 2001.

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
    """How likely two routes that are equally good differ this much or more: exact and two-sided.

    ``first`` and ``second`` are the items that only the one and only the other got right. Items that both or neither
    got right say nothing about a difference. Each of the rest is a coin thrown: twice the tail of Binomial(n, 1/2).
    Source: McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika
    1947, with the binomial in place of its chi-squared approximation, which is too bold for few items.

    >>> mcnemar_test(0, 5), mcnemar_test(3, 3)
    (0.0625, 1.0)
    """
    count, few = first + second, min(first, second)
    if count == 0:
        return 1.0
    tail = sum(math.comb(count, each) for each in range(few + 1))
    return min(1.0, float(Fraction(2 * tail, 1 << count)))  # exact: 2 ** count may be no float


def holm_correction(chances: Sequence[float]) -> list[float]:
    """The same chances, corrected for having been many: the smallest times n, the next times n - 1, never falling.

    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 1979.

    >>> holm_correction([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    found = [1.0] * len(chances)
    worst = 0.0
    order = sorted(range(len(chances)), key=lambda place: chances[place])
    for done, place in enumerate(order):
        worst = max(worst, min(1.0, chances[place] * (len(chances) - done)))
        found[place] = worst
    return found
