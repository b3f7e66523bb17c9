"""The limit on the work for one schema, counted in steps rather than time, so that it is the same on every machine.

A step is one keyword applied to one value, one name or item visited, or an amount of text or pattern that takes about
as long: 0.2 to 0.5 µs on one core. The size of a schema is checked first and without recursion (``check_size``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from intermodal.json_schema.errors import InvalidSchema

SLICE = 1_000  # steps between two checks for cancellation
DEPTH = 300  # nested schemas: two Python frames each, of at most 1,000


class BudgetExhausted(Exception):
    """The work needs more steps, or more depth (``deep``), than allowed: the result is neither valid nor invalid."""

    def __init__(self, what: str, *, deep: bool = False) -> None:
        super().__init__(what)
        self.deep = deep


class Cancelled(Exception):
    """The caller no longer waits for the result."""


class StepBudget:
    """The remaining steps of one task, and its position in the schema.

    Attributes:
        left: steps until ``refill`` must be called; callers subtract from it before they do the work.
        depth: number of nested schemas being applied.
        scope: schema resources entered, outermost first, for ``$dynamicRef``.
        cancelled: set from another thread to stop the task within ``SLICE`` steps.
    """

    __slots__ = ("_granted", "_parent", "_pause", "_spent", "cancelled", "depth", "left", "scope", "total")

    def __init__(
        self, total: int, pause: Callable[[], None] | None = None, *, parent: StepBudget | None = None
    ) -> None:
        """Create a budget of ``total`` steps.

        ``pause``: called after each ``SLICE`` steps, to let another thread run. ``parent``: the budget whose
        cancelling cancels this one.
        """
        self.total = total
        self._parent = parent
        self.depth = 0
        self.scope: list[Any] = []
        self.cancelled = False
        self._pause = pause
        self._spent = 0
        self._granted = self.left = min(SLICE, total)

    @property
    def steps_taken(self) -> int:
        """The steps taken so far, at most ``total``."""
        return min(self.total, self._spent + self._granted - self.left)

    def spend(self, steps: int) -> None:
        """Count steps before the work is done. Raises BudgetExhausted and Cancelled."""
        self.left -= steps
        if self.left < 0:
            self.refill()

    def refill(self) -> None:
        """Grant the next slice. Raises BudgetExhausted if no steps are left, and Cancelled."""
        self._spent += self._granted - self.left
        self._granted = self.left = 0
        if self.cancelled or (self._parent is not None and self._parent.cancelled):
            raise Cancelled
        if self._spent > self.total:
            raise BudgetExhausted(f"it would take more than {self.total:,} steps")
        if self._pause is not None:
            self._pause()
        self._granted = self.left = min(SLICE, self.total - self._spent)

    def part(self, steps: int) -> StepBudget:
        """Return a budget of at most ``steps`` for a part of the task; it is cancelled together with this one."""
        return StepBudget(min(steps, self.total - self.steps_taken), self._pause, parent=self)

    def too_deep(self) -> BudgetExhausted:
        return BudgetExhausted(f"more than {DEPTH} schemas would be applied inside each other", deep=True)


# ---- the size of a schema ---------------------------------------------------------------------------


VALUES = 10_000  # values of JSON in a schema: objects, lists and scalars. Several walks take 1 µs for each
CHARACTERS = 1 << 20  # of all names and texts together
NESTED = 100  # objects and lists inside each other


def check_size(schema: Any, budget: StepBudget) -> int:
    """Return the number of values in a schema.

    Raises InvalidSchema if it is too large, too deep, or not JSON; BudgetExhausted and Cancelled.
    """
    values = characters = 0
    waiting: list[tuple[Any, int]] = [(schema, 1)]
    while waiting:
        value, depth = waiting.pop()
        values += 1
        budget.spend(1)
        if isinstance(value, str):
            characters += len(value)
        elif isinstance(value, Mapping):
            if not all(isinstance(name, str) for name in value):
                raise InvalidSchema("a name in the schema is not a string")
            characters += sum(map(len, value))
            waiting.extend((inner, depth + 1) for inner in value.values())
        elif isinstance(value, (list, tuple)):
            if values + len(waiting) + len(value) > VALUES:
                values = VALUES + 1
            else:
                waiting.extend((inner, depth + 1) for inner in value)
        elif value is not None and not isinstance(value, (bool, int, float)):
            raise InvalidSchema(f"the schema holds a {type(value).__name__}, which is not JSON")
        if values > VALUES:
            raise InvalidSchema(f"the schema has more than {VALUES:,} values", todo="ask for less at once")
        if characters > CHARACTERS:
            raise InvalidSchema(f"the schema has more than {CHARACTERS:,} characters", todo="ask for less at once")
        if depth > NESTED and isinstance(value, (Mapping, list, tuple)):
            what = f"the schema is nested more than {NESTED} deep"
            raise InvalidSchema(what, todo="name its inner parts under $defs")
    return values
