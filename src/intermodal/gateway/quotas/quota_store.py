"""The interface of the quota store, which the worker processes share.

A process does not write for every request. It draws a *lease* on an account, reserves from the lease in memory
(``budget_leases.py``), and regularly reports what it spent and returned. In whatever order the processes write, and
whichever of them die, this holds for each account:

    spent + leases of all workers  <=  limit        every admitted request is part of a lease

``sqlite_store.py`` implements the interface for the workers of one machine. An implementation for another database runs
each method in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

from intermodal.core.content import Value
from intermodal.gateway.quotas.quota_types import Account, VirtualKey


class LeaseRequest(Value, frozen=True):
    """A request to draw ``need`` from an account, and up to ``extra`` more if much is left.

    Attributes:
        start: the name of the period; "" for a token bucket.
        slot: the index of the lease in this worker's journal; -1 for none.
        spent_reported: what this worker spent of the lease, as of its last report.
    """

    account: Account
    start: str
    need: int
    extra: int = 0
    slot: int = -1
    spent_reported: int = 0


class LeaseGrant(Value, frozen=True):
    """The answer to a LeaseRequest.

    Attributes:
        amount: the drawn amount: at least the need, or all that was left if that is less.
        left: the undrawn remainder of the account. A token bucket refills.
        idle: the amount that other workers have drawn and not reserved, by their last reports.
        spent: the amount that all workers spent, for a budget.
    """

    amount: int
    left: int
    idle: int = 0
    spent: int = 0


class LeaseReport(Value, frozen=True):
    """A report on a lease. Its amounts are totals since the lease began, so writing a report twice does no harm.

    Attributes:
        spent: the settled amount.
        unknown: the part of ``spent`` that is an upper bound, because the host did not report the cost.
        returned: the amount given back; negative if more was charged than had been drawn.
        idle: the amount drawn and not reserved now.
        over: True if this report ends the lease.
    """

    account: Account
    start: str
    spent: int
    unknown: int
    returned: int
    idle: int
    over: bool = False


class AccountSpending(Value, frozen=True):
    """Spending of an account in a period, as shown by ``intermodal keys list``. ``held``: leased and not settled."""

    account: str
    start: str
    spent: int
    unknown: int
    held: int


class LeaseHolder(Value, frozen=True):
    """A worker process that draws leases. ``journal``: the file that records its reservations, if any."""

    id: str
    journal: Path | None = None


class FirstUse(Value, frozen=True):
    """The first request under an idempotency key.

    Run it, then call ``finish``, ``free_idempotency_key`` or ``abandon``.
    """

    row: int


class StoredReply(Value, frozen=True):
    """The reply to replay. ``headers``: the header lines to repeat, each with its line end."""

    status: int
    content_type: str
    body: bytes
    headers: str = ""


IdempotencyConflict = Literal["running", "other", "lost", "long", "full"]


class IdempotentRequest(Value, frozen=True):
    """A request under an ``Idempotency-Key``, with its owner and a digest of path and body."""

    owner: str
    name: str
    digest: bytes


class QuotaStore(Protocol):
    """The store that the workers share. Methods block for a transaction and raise StoreError; call them in a thread."""

    # keys
    def version(self) -> int:
        """Return a number that changes whenever keys change. Takes microseconds and waits for no lock."""
        ...

    def every_key(self) -> tuple[VirtualKey, ...]:
        """Return all keys ever created, including revoked and expired ones."""
        ...

    def add(self, key: VirtualKey) -> None: ...
    def change(self, key: str, edit: Callable[[VirtualKey], VirtualKey]) -> VirtualKey:
        """Edit the limits of an active key atomically and return it; id, name and secret do not change."""
        ...

    def revoke(self, key: str, now: float) -> None: ...
    def spending(self) -> tuple[AccountSpending, ...]: ...

    # budgets and buckets
    def enter(self) -> LeaseHolder:
        """Register this process."""
        ...

    def leave(self, worker: str) -> None:
        """Unregister a process that ends normally, after the last reports of all its leases."""
        ...

    def take(self, worker: str, wants: Sequence[LeaseRequest], now: float) -> tuple[LeaseGrant, ...]:
        """Draw leases in one transaction; return one grant per request."""
        ...

    def write(self, worker: str, reports: Sequence[LeaseReport], now: float) -> tuple[int, ...]:
        """Record reports on leases; return the remainder of each account. Without reports, record a sign of life."""
        ...

    def prune(self) -> int:
        """Delete old hourly and daily spending, and expired replies. Return the number of deleted rows."""
        ...

    def recover(self) -> int:
        """Charge the open reservations of dead workers at their upper bound; return the number of dead workers."""
        ...

    # idempotency
    def begin_idempotent(
        self, worker: str, request: IdempotentRequest, now: float
    ) -> FirstUse | StoredReply | IdempotencyConflict: ...
    def finish(self, row: int, reply: StoredReply, now: float) -> None: ...
    def free_idempotency_key(self, row: int) -> None: ...
    def abandon(self, row: int) -> None: ...
    def close(self) -> None: ...
