"""A number with its range and its certainty.

Hard limits use ``high``, objectives use ``mid``. An unknown quantity fails a limit that the user set; elsewhere it
sorts last and is reported. Sums of mixed certainty are estimates; a sum with an unknown is unknown.
"""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct

Certainty = Literal["exact", "estimated", "unknown"]


class Quantity(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A low / mid / high triple, in the units of the field that holds it.

    Attributes:
        low, mid, high: 0 <= low <= mid <= high; all 0 when unknown.
        certainty: ``exact``, ``estimated`` or ``unknown``.
        basis: where the number comes from, in the words that EXPLAIN prints.
    """

    low: float = 0.0
    mid: float = 0.0
    high: float = 0.0
    certainty: Certainty = "exact"
    basis: str = ""

    def __add__(self, other: Quantity) -> Quantity:
        if self.certainty == "exact" and self.mid == 0:
            return other
        if other.certainty == "exact" and other.mid == 0:
            return self
        certainty: Certainty = "estimated"
        if "unknown" in (self.certainty, other.certainty):
            certainty = "unknown"
        elif self.certainty == other.certainty == "exact":
            certainty = "exact"
        return Quantity(
            low=self.low + other.low,
            mid=self.mid + other.mid,
            high=self.high + other.high,
            certainty=certainty,
            basis=self.basis if self.basis == other.basis else "sum",
        )

    def scaled(self, factor: float, *, basis: str = "") -> Quantity:
        """Return this quantity times a known, non-negative factor."""
        return Quantity(
            low=self.low * factor,
            mid=self.mid * factor,
            high=self.high * factor,
            certainty=self.certainty,
            basis=basis or self.basis,
        )

    def times(self, other: Quantity, *, basis: str = "") -> Quantity:
        """Return the product of two non-negative quantities."""
        certainty: Certainty = "estimated"
        if "unknown" in (self.certainty, other.certainty):
            certainty = "unknown"
        elif self.certainty == other.certainty == "exact":
            certainty = "exact"
        return Quantity(
            low=self.low * other.low,
            mid=self.mid * other.mid,
            high=self.high * other.high,
            certainty=certainty,
            basis=basis or self.basis,
        )

    @property
    def known(self) -> bool:
        return self.certainty != "unknown"

    def for_limit(self) -> float:
        """Return the value to compare with a hard limit: ``high``, infinity if unknown."""
        return self.high if self.known else math.inf

    def for_ranking(self) -> float:
        """Return the value to compare in an objective: ``mid``, infinity if unknown."""
        return self.mid if self.known else math.inf


ZERO = Quantity()


def exact(value: float, basis: str = "") -> Quantity:
    """Return a counted or measured value."""
    return Quantity(low=value, mid=value, high=value, certainty="exact", basis=basis)


def between(low: float, mid: float, high: float, basis: str) -> Quantity:
    """Return an estimate with its range. Raises ValueError unless ``0 <= low <= mid <= high``."""
    if not 0 <= low <= mid <= high:
        raise ValueError(f"not a range: {low}, {mid}, {high}")
    return Quantity(low=low, mid=mid, high=high, certainty="estimated", basis=basis)


def unknown(basis: str) -> Quantity:
    """Return an unknown quantity; ``basis`` is the reason."""
    return Quantity(certainty="unknown", basis=basis)


def total(quantities: list[Quantity] | tuple[Quantity, ...]) -> Quantity:
    """Return the sum; exact 0 for an empty sequence."""
    result = ZERO
    for quantity in quantities:
        result = result + quantity
    return result


def q_error(estimate: float, actual: float) -> float:
    """Return ``max(estimate / actual, actual / estimate)``, as databases grade cardinality estimates.

    1.0 is perfect; infinity when exactly one of the two is 0.
    Source: Moerkotte, Neumann, Steidl, "Preventing Bad Plans by Bounding the Impact of
    Cardinality Estimation Errors", VLDB 2009.
    """
    if estimate == actual:
        return 1.0
    if estimate <= 0 or actual <= 0:
        return math.inf
    return max(estimate / actual, actual / estimate)
