"""Low, mid and high as plain floats, and their conversion to a ``Quantity``.

Search compares hundreds of routes, so prices and times are computed on plain floats by formulas for one level at a
time; the displayed range is the same formula at all three levels. Unknown values are infinite.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from intermodal.core.quantity import Quantity, unknown

Levels = tuple[float, float, float]  # low, mid, high
Level = Literal[0, 1, 2]
LOW: Level = 0
MID: Level = 1
HIGH: Level = 2
LEVELS: tuple[Level, Level, Level] = (0, 1, 2)
ZEROS: Levels = (0.0, 0.0, 0.0)


def levels(quantity: Quantity) -> Levels:
    """Return the three levels of a quantity; all infinite if it is unknown."""
    if quantity.certainty == "unknown":
        return (math.inf, math.inf, math.inf)
    return (float(quantity.low), float(quantity.mid), float(quantity.high))


def add_levels(a: Levels, b: Levels) -> Levels:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def sum_levels(values: Iterable[Levels]) -> Levels:
    """Return the sum of many levels."""
    low = mid = high = 0.0
    for value in values:
        low, mid, high = low + value[0], mid + value[1], high + value[2]
    return (low, mid, high)


def max_levels(a: Levels, b: Levels) -> Levels:
    """Return the maximum at each level."""
    return (a[0] if a[0] > b[0] else b[0], a[1] if a[1] > b[1] else b[1], a[2] if a[2] > b[2] else b[2])


def times(a: Levels, factor: float) -> Levels:
    return (a[0] * factor, a[1] * factor, a[2] * factor)


def product(a: Levels, b: Levels) -> Levels:
    return (a[0] * b[0], a[1] * b[1], a[2] * b[2])


def quantity(values: Levels, basis: str, digits: int) -> Quantity:
    """Return levels as a quantity rounded to ``digits`` decimals, so that a plan reads well and compares by value.

    >>> quantity((1.0, 1.0, 1.0), "counted", 0).certainty
    'exact'
    """
    low, mid, high = values
    if high == 0.0:
        found = _NOTHING.get(basis)
        if found is None:
            found = _NOTHING[basis] = Quantity(basis=basis)
        return found
    if high == math.inf or mid == math.inf:
        return unknown(basis)
    if digits:
        low, mid, high = round(low, digits), round(mid, digits), round(high, digits)
    else:  # same result as with digits=0, four times faster
        low, mid, high = float(round(low)), float(round(mid)), float(round(high))
    return Quantity(low=low, mid=mid, high=high, certainty="exact" if low == mid == high else "estimated", basis=basis)


_NOTHING: dict[str, Quantity] = {}  # cache: most costs and loads are zero, for one of a few reasons
