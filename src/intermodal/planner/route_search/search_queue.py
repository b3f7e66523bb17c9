"""The search queue: groups of endpoints waiting to be priced, best lower bound first.

A batch of groups waits as one, under a bound below those of all its groups; most batches are never opened, since
enough good routes are known before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush

from msgspec import Struct

from intermodal.cost_model.rates import Rates
from intermodal.planner.catalog_index import EndpointGroup
from intermodal.planner.eligibility.eligible_endpoints import GroupBatch
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_search.lower_bounds import BatchBound, known_coefficients, least_coefficients
from intermodal.planner.route_search.objectives import Key, is_scalar_objective, lower_bound_key, objective_weights

FIRST: Key = (-math.inf,)


class QueuedGroup(Struct, eq=False, gc=False):
    """A group waiting to be priced, with its best figures and the key no member can undercut."""

    bound: Key
    group: EndpointGroup
    row: GroupBatch | None
    hull: BatchBound | None
    ideal: Rates | None


class QueuedBatch(Struct, eq=False, gc=False):
    """A batch waiting to be opened."""

    row: GroupBatch
    hull: BatchBound


class SearchQueue:
    """Groups and batches ordered by bound, then by catalog order."""

    def __init__(self, case: PlanningCase) -> None:
        self.case = case
        self._weights = objective_weights(case)
        self._by_number = is_scalar_objective(case)
        self._entries: list[tuple[Key, int, QueuedGroup | QueuedBatch]] = []

    def add(self, group: EndpointGroup) -> None:
        """Add a group first in order, as no bound is known for it."""
        self._entries.append((FIRST, group.number, QueuedGroup(FIRST, group, None, None, None)))

    def add_row(self, row: GroupBatch, hull: BatchBound) -> None:
        """Add a batch; one with endpoints known from more than the catalog comes first."""
        special = self.case.special
        bound = FIRST
        if self._by_number and not (special and any(group.number in special for group in row.groups)):
            least = least_coefficients(self.case, row, self._weights)
            bound = (*hull.fan.least, hull.bounds(least, self._weights, counted=False)[0])
        # A number before all classes: at the same bound a row is opened before any class is priced.
        self._entries.append((bound, -1 - len(self._entries), QueuedBatch(row, hull)))

    def until(self, beyond: Callable[[Key], bool]) -> Iterator[QueuedGroup]:
        """Yield the groups in order, up to the first bound that is ``beyond`` what is worth pricing."""
        waiting = list(self._entries)
        heapify(waiting)
        while waiting:
            bound, _, entry = heappop(waiting)
            if beyond(bound):
                return
            if isinstance(entry, QueuedGroup):
                yield entry
            else:
                for each in self._opened(entry):
                    heappush(waiting, (each.bound, each.group.number, each))

    def _opened(self, waiting: QueuedBatch) -> Iterator[QueuedGroup]:
        case, row, hull = self.case, waiting.row, waiting.hull
        if case.job == "transcribe":
            numbers = [hull.bound(ideal, self._weights) for ideal in row.ideals]
        else:
            numbers = hull.bounds(known_coefficients(case, row, self._weights), self._weights)
        for group, ideal, number in zip(row.groups, row.ideals, numbers, strict=True):
            tier = min(group.strongest, hull.fan.tier)
            bound: Key = lower_bound_key(case, hull.fan.least, number, tier)
            yield QueuedGroup(FIRST if group.number in case.special else bound, group, row, hull, ideal)
