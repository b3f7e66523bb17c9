"""An attempt of the direct path that the executor continues as the first of its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from intermodal.executor.api import PriorAttempt
    from intermodal.gateway.quotas.lease_pool import QuotaReservation


class Handover(NamedTuple):
    """An attempt that failed before any output was shown, and the quota reserved for its run. ``tried`` None: no
    attempt was made.
    """

    tried: PriorAttempt | None
    given: QuotaReservation | None
