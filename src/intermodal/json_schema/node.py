"""One schema as the checks it consists of, and what they have looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from intermodal.json_schema.budget import DEPTH, StepBudget
from intermodal.json_schema.resources import Resource
from intermodal.json_schema.violation import Violation


class Seen:
    """Which names and items of one value were looked at by a schema that fits: for ``unevaluated...``.

    ``items``: so many from the beginning. ``at``: others, by their place.
    """

    __slots__ = ("all_items", "all_names", "at", "items", "names")

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.at: set[int] = set()
        self.items = 0
        self.all_names = self.all_items = False

    def add(self, other: Seen, budget: StepBudget) -> None:
        budget.spend(1 + len(other.names) + len(other.at))
        self.names |= other.names
        self.at |= other.at
        self.items = max(self.items, other.items)
        self.all_names = self.all_names or other.all_names
        self.all_items = self.all_items or other.all_items


Check = Callable[[Any, StepBudget, "Seen | None"], "Violation | None"]


class Node:
    """A schema: its checks, filled in once it is compiled.

    ``collects``: it has a word for what nothing looked at. ``scoped``: somebody asks by which way it was come to.
    """

    __slots__ = ("checks", "collects", "resource", "scoped")

    def __init__(self, resource: Resource, *, collects: bool = False) -> None:
        self.checks: list[Check] = []
        self.collects = collects
        self.resource = resource
        self.scoped = False

    def apply(self, value: Any, budget: StepBudget, seen: Seen | None) -> Violation | None:
        """What is wrong with a value, None where it fits. ``seen``: takes what was looked at; None if nobody asks.

        Raises BudgetExhausted and Cancelled, after which ``budget`` is of no use for anything else.
        """
        budget.left -= 1 + len(self.checks)
        if budget.left < 0:
            budget.refill()
        depth = budget.depth
        if depth >= DEPTH:
            raise budget.too_deep()
        budget.depth = depth + 1
        entered = self.scoped and self._enter(budget)
        noted = Seen() if self.collects else seen
        found = None
        for check in self.checks:
            found = check(value, budget, noted)
            if found is not None:
                break
        else:
            if self.collects and seen is not None and noted is not None:
                seen.add(noted, budget)
        if entered:
            budget.scope.pop()
        budget.depth = depth
        return found

    def _enter(self, budget: StepBudget) -> bool:
        """Whether this is in another resource than what referred to it."""
        if budget.scope and budget.scope[-1] is self.resource:
            return False
        budget.scope.append(self.resource)
        return True
