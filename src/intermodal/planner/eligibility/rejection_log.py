"""Rejections of one search: one row per reason, with counts; where a limit has a number, the nearest miss is shown."""

from __future__ import annotations

from collections.abc import Callable

from intermodal.hints import hint
from intermodal.planner.catalog_index import LISTED
from intermodal.planner.eligibility import rules
from intermodal.planner.eligibility.eligible_endpoints import EndpointRejection
from intermodal.planner.eligibility.rules import PricedRoute, Reason
from intermodal.planner.planning_case import PlanningCase

_MISS: dict[str, Callable[[PricedRoute], float]] = {  # by how much a limit was missed
    "media": lambda held: float(held.held.pages + held.held.pictures + held.held.seconds + held.held.size),
    "images": lambda held: float(held.pictures - (held.max_pictures or 0)),
    "context": lambda held: held.tokens + held.answer - held.context,
    "memory": lambda held: held.memory,
    "max_cost": lambda held: held.cost_high,
    "deadline": lambda held: held.seconds_high,
}


def miss(reason: Reason, held: PricedRoute) -> float:
    """Return by how much a limit was missed; 0 for a rule without a number."""
    measure = _MISS.get(reason[0])
    return measure(held) if measure is not None else 0.0


class RejectionLog:
    """The rejections of one search."""

    def __init__(self, case: PlanningCase) -> None:
        self.case = case
        self._rows: dict[tuple[str, str], EndpointRejection] = {}
        self._nearest: dict[tuple[str, str], str] = {}  # whose reason a row has; "" for the best of a class
        self._several: set[tuple[str, str]] = set()  # rows that stand for several reasons

    def rows(self) -> list[EndpointRejection]:
        """Return the rejections. Where reasons differ the nearest miss is named: one number never stands for
        several.
        """
        found: list[EndpointRejection] = []
        for key, row in self._rows.items():
            if key in self._several:
                who = f", {self._nearest[key]}," if self._nearest[key] else ""
                row = EndpointRejection(
                    row.rule, hint("the nearest{} {}", who, row.reason), row.count, row.ids, row.miss
                )
            found.append(row)
        return found

    def add(self, new: EndpointRejection) -> None:
        """Add a rejection: one row per rule with numbers (the nearest miss represents it), one per reason without."""
        key = (new.rule, "" if new.rule in _MISS else new.reason)
        held = self._rows.get(key)
        near = held if held is not None and held.miss <= new.miss else new
        if near is new:
            self._nearest[key] = new.ids[0] if new.count == 1 and new.ids else ""
        if held is None:
            self._rows[key] = new
            return
        if held.reason != new.reason:
            self._several.add(key)
        ids = tuple(sorted({*held.ids, *new.ids}))[:LISTED]
        self._rows[key] = EndpointRejection(new.rule, near.reason, held.count + new.count, ids, near.miss)

    def add_nearest(self, reasons: list[tuple[Reason, PricedRoute]], ids: tuple[str, ...], count: int) -> None:
        """Add the rejection of the route that came farthest."""
        reason, held = max(reasons, key=lambda each: (rules.rule_order(each[0][0]), -miss(*each)))
        self.add(EndpointRejection(reason[0], reason[1], count, ids, miss(reason, held)))

    def take_over(self, before: RejectionLog, *, contexts: bool) -> None:
        """Add the rows of an earlier pass that are missing here; short contexts only if ``contexts``."""
        for key, row in before._rows.items():
            if (contexts or key[0] != "context") and key not in self._rows:
                self._rows[key], self._nearest[key] = row, before._nearest[key]
                if key in before._several:
                    self._several.add(key)
