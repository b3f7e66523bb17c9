"""Who was refused for what: one row per reason, with counts; where a limit has a number, the nearest miss speaks."""

from __future__ import annotations

from collections.abc import Callable

from intermodal.planner import rules
from intermodal.planner.case import Case
from intermodal.planner.index import LISTED
from intermodal.planner.rules import Priced, Reason
from intermodal.planner.survivors import Refused

_MISS: dict[str, Callable[[Priced], float]] = {  # by how much a limit was missed
    "images": lambda held: float(held.pictures - (held.max_pictures or 0)),
    "context": lambda held: held.tokens + held.answer - held.context,
    "memory": lambda held: held.memory,
    "max_cost": lambda held: held.cost_high,
    "deadline": lambda held: held.seconds_high,
}


def miss(reason: Reason, held: Priced) -> float:
    """By how much; 0 for a rule without a number."""
    measure = _MISS.get(reason[0])
    return measure(held) if measure is not None else 0.0


class Refusals:
    """The refusals of one search."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._rows: dict[tuple[str, str], Refused] = {}

    def rows(self) -> list[Refused]:
        return list(self._rows.values())

    def add(self, new: Refused) -> None:
        """One row per rule with numbers (the nearest miss speaks for all), one per reason without."""
        key = (new.rule, "" if new.rule in _MISS else new.reason)
        held = self._rows.get(key)
        if held is None:
            self._rows[key] = new
            return
        near = held if held.miss <= new.miss else new
        ids = tuple(sorted({*held.ids, *new.ids}))[:LISTED]
        self._rows[key] = Refused(new.rule, near.reason, held.count + new.count, ids, near.miss)

    def add_nearest(self, reasons: list[tuple[Reason, Priced]], ids: tuple[str, ...], count: int) -> None:
        """Of all routes that failed, the one that came farthest speaks."""
        reason, held = max(reasons, key=lambda each: (rules.order(each[0][0]), -miss(*each)))
        self.add(Refused(reason[0], reason[1], count, ids, miss(reason, held)))

    def take_over(self, before: Refusals, *, contexts: bool) -> None:
        """Rows of an earlier pass that this one has not; short contexts only where they still are (``contexts``)."""
        for key, row in before._rows.items():
            if contexts or key[0] != "context":
                self._rows.setdefault(key, row)
