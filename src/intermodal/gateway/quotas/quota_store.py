"""The interface of the shared quota store: what several worker processes agree on.

A process does not write for every request. It draws a *lease* on an account, reserves from it in memory
(``lease_pool.py``), and reports now and then what became of it. Whatever is interleaved or dies:

    spent + leases of all workers  <=  limit        an admitted request is part of a lease

SQLite keeps it for the workers of one machine (``sqlite_store.py``). Another database has to do the same, each method
in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

from intermodal.content import Value
from intermodal.gateway.quotas.quota_types import Account, VirtualKey


class LeaseRequest(Value, frozen=True):
    """A request for ``need`` of an account's period, and ``wish`` more where there is plenty.

    ``slot``: the place in this worker's journal for the amounts it reserved and spent of the lease; -1 for none.
    ``told``: the amount this worker spent of it that the store will know when it answers.
    """

    account: Account
    start: str
    need: int
    wish: int = 0
    slot: int = -1
    told: int = 0


class LeaseGrant(Value, frozen=True):
    """The amount drawn: everything needed and perhaps more, or all that is left if that is less.

    Attributes:
        left: what remains undrawn after this. A token bucket refills.
        idle: drawn by other workers and not reserved, as they last reported.
        spent: of a budget, by all workers.
    """

    amount: int
    left: int
    idle: int = 0
    spent: int = 0


class LeaseReport(Value, frozen=True):
    """A report on a lease, as sums since it began, so that writing a report twice is harmless.

    Attributes:
        spent: the settled amount; ``unknown`` of it is an upper bound, since the actual cost was not reported.
        returned: given back; negative if more was charged than had been drawn.
        idle: drawn and not reserved now.
        over: this report ends the lease.
    """

    account: Account
    start: str
    spent: int
    unknown: int
    returned: int
    idle: int
    over: bool = False


class AccountSpending(Value, frozen=True):
    """One account's period, as ``intermodal keys list`` shows it. ``held``: leased and not settled yet."""

    account: str
    start: str
    spent: int
    unknown: int
    held: int


class LeaseHolder(Value, frozen=True):
    """A process that draws leases. ``journal``: the file that records its reservations, None without one."""

    id: str
    journal: Path | None = None


class FirstUse(Value, frozen=True):
    """The first request under an idempotency key: proceed, then ``finish``, ``forget`` or ``abandon`` it."""

    row: int


class StoredReply(Value, frozen=True):
    """The reply to replay. ``headers``: the header lines to repeat, each with its line end."""

    status: int
    content_type: str
    body: bytes
    headers: str = ""


IdempotencyConflict = Literal["running", "other", "lost", "long", "full"]


class IdempotentRequest(Value, frozen=True):
    """A request under an ``Idempotency-Key``: its owner, and a digest of path and body."""

    owner: str
    name: str
    digest: bytes


class QuotaStore(Protocol):
    """Methods block for one transaction and raise StoreError; the quota manager calls them in a thread."""

    # keys
    def version(self) -> int:
        """Return a number that changes whenever keys do. Takes microseconds and waits for no lock."""
        ...

    def every_key(self) -> tuple[VirtualKey, ...]:
        """Return all keys ever made, revoked and expired ones included."""
        ...

    def add(self, key: VirtualKey) -> None: ...
    def change(self, key: str, edit: Callable[[VirtualKey], VirtualKey]) -> VirtualKey:
        """Edit the limits of an active key in one step and return it; id, name and secret stay."""
        ...

    def revoke(self, key: str, now: float) -> None: ...
    def spent(self) -> tuple[AccountSpending, ...]: ...

    # budgets and buckets
    def enter(self) -> LeaseHolder:
        """Register this process."""
        ...

    def leave(self, worker: str) -> None:
        """Unregister a process that ended in order; all its leases are reported and over."""
        ...

    def take(self, worker: str, wants: Sequence[LeaseRequest], now: float) -> tuple[LeaseGrant, ...]: ...
    def write(self, worker: str, lines: Sequence[LeaseReport], now: float) -> tuple[int, ...]:
        """Record reports on leases; return the remainder of each account. An empty report is a sign of life."""
        ...

    def prune(self) -> int:
        """Delete spending of periods long past, and expired replies; all-time sums stay. Return how many rows."""
        ...

    def recover(self) -> int:
        """Charge what dead workers had reserved, at its upper bound; return how many workers."""
        ...

    # idempotency
    def ask(
        self, worker: str, asked: IdempotentRequest, now: float
    ) -> FirstUse | StoredReply | IdempotencyConflict: ...
    def finish(self, row: int, reply: StoredReply, now: float) -> None: ...
    def forget(self, row: int) -> None: ...
    def abandon(self, row: int) -> None: ...
    def close(self) -> None: ...
