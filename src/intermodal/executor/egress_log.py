"""What left this machine in a run, over all the routes that were taken."""

from __future__ import annotations

from typing import Any

from intermodal.catalog.types import Catalog
from intermodal.executor.attempt.ledger import RunLedger
from intermodal.plans.plan import Candidate, calls_of, sent


class EgressLog:
    """Follows the routes of a run. ``route``: the one that is taken now."""

    def __init__(self, ledger: RunLedger, catalog: Catalog) -> None:
        self.route: Candidate | None = None
        self._ledger = ledger
        self._catalog = catalog
        self._before: list[dict[str, str]] = []

    def take(self, route: Candidate) -> dict[str, Any]:
        """Another route from here on. Gives what is told of it (``Replanned``): of what it sends, behind what hosts
        got, or may have got, of those before."""
        asked, self._ledger.asked = self._ledger.asked, set()
        hosts = {self._catalog.by_id[name].host.id for name in asked if name in self._catalog.by_id}
        if self.route is not None:
            self._before += [sent(send) for send in self.route.sends if send.host in hosts]
        self.route = route
        told: list[dict[str, str]] = []
        for send in (*self._before, *map(sent, route.sends)):
            if send not in told:
                told.append(send)
        return {
            "summary": route.summary, "loses": tuple(route.loses), "calls": calls_of(route), "sends": tuple(told),
            "verdict": route.verdict,
        }  # fmt: skip
