"""A direct call that did not answer and is continued by a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from intermodal.executor.api import AttemptEnding, CompiledPlan, DirectEngine, PriorAttempt
    from intermodal.gateway.quotas.budget_leases import QuotaReservation
    from intermodal.gateway.quotas.quota_manager import QuotaManager


class Handover(NamedTuple):
    """An attempt that failed before any output was shown, and the quota reserved for its run.

    ``prior``: None if no attempt was made. ``compiled``: the plan of the call. ``engine``: that made it.
    """

    prior: PriorAttempt | None
    reservation: QuotaReservation | None
    compiled: CompiledPlan
    engine: DirectEngine

    def abandon(self, ledger: QuotaManager | None) -> None:
        """Release or settle the reservation because no run continues the call."""
        if ledger is not None and self.reservation is not None:
            if self.prior is None:
                ledger.release(self.reservation)
            else:
                settle_attempt(ledger, self.reservation, self.prior.ending)


def settle_attempt(ledger: QuotaManager, reservation: QuotaReservation, ending: AttemptEnding) -> None:
    """Charge an attempt to a budget: its cost and tokens if reported, else their upper bounds."""
    ledger.settle(
        reservation, cost=ending.counts, tokens=ending.tokens, unreported=ending.unreported,
        unreported_tokens=ending.unreported_tokens,
    )  # fmt: skip
