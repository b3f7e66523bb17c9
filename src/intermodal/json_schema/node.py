"""One compiled schema: its checks, and the members of a value that they evaluated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from intermodal.json_schema.budget import DEPTH, StepBudget
from intermodal.json_schema.errors import Violation
from intermodal.json_schema.references import Resource


class EvaluatedMembers:
    """The names and items of one value that a matching schema evaluated, for ``unevaluated...``.

    ``items``: how many from the beginning. ``at``: others, by index.
    """

    __slots__ = ("all_items", "all_names", "at", "items", "names")

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.at: set[int] = set()
        self.items = 0
        self.all_names = self.all_items = False

    def add(self, other: EvaluatedMembers, budget: StepBudget) -> None:
        budget.spend(1 + len(other.names) + len(other.at))
        self.names |= other.names
        self.at |= other.at
        self.items = max(self.items, other.items)
        self.all_names = self.all_names or other.all_names
        self.all_items = self.all_items or other.all_items


Check = Callable[[Any, StepBudget, "EvaluatedMembers | None"], "Violation | None"]


class SchemaNode:
    """A schema with its checks, filled in once it is compiled.

    ``collects``: it has a keyword for unevaluated members. ``scoped``: the path by which it was reached matters.
    """

    __slots__ = ("checks", "collects", "resource", "scoped")

    def __init__(self, resource: Resource, *, collects: bool = False) -> None:
        self.checks: list[Check] = []
        self.collects = collects
        self.resource = resource
        self.scoped = False

    def apply(self, value: Any, budget: StepBudget, seen: EvaluatedMembers | None) -> Violation | None:
        """Return the violation of a value, None if it is valid. ``seen`` collects evaluated members; None if not
        needed.

        Raises BudgetExhausted and Cancelled, after which ``budget`` must not be used again.
        """
        budget.left -= 1 + len(self.checks)
        if budget.left < 0:
            budget.refill()
        depth = budget.depth
        if depth >= DEPTH:
            raise budget.too_deep()
        budget.depth = depth + 1
        entered = self.scoped and self._enter(budget)
        noted = EvaluatedMembers() if self.collects else seen
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
        """Return whether this is in another resource than its reference."""
        if budget.scope and budget.scope[-1] is self.resource:
            return False
        budget.scope.append(self.resource)
        return True
