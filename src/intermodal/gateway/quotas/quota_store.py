"""The shared side of the ledger, as an interface: what several worker processes agree on.

A process does not write for every request. It draws a *lease* of an account, reserves out of it in memory
(``lease_pool.py``), and now and then writes what became of it. So, whatever is interleaved or dies:

    spent + leases of all workers  <=  limit        what is admitted is part of a lease

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
    """``need`` of an account's period for requests that wait, and ``wish`` more where there is plenty.

    ``slot``: where this worker's journal will say what it has reserved and spent of it; -1 for nowhere. ``told``: what
    this worker spent of it, as the books know it by the time they answer.
    """

    account: Account
    start: str
    need: int
    wish: int = 0
    slot: int = -1
    told: int = 0


class LeaseGrant(Value, frozen=True):
    """What was drawn: all that was needed and perhaps more, or, when there is less than needed, all there is.

    Attributes:
        left: what nobody has drawn, after this. A bucket's fills up again.
        idle: drawn by other workers and not reserved, as they last said.
        spent: of a budget, by all.
    """

    amount: int
    left: int
    idle: int = 0
    spent: int = 0


class LeaseReport(Value, frozen=True):
    """What became of a lease. Sums since the lease began, so that writing a line twice does no harm.

    Attributes:
        spent: what was settled, ``unknown`` of it because nobody could tell and the upper bound counts.
        returned: given back; less than nothing where more was charged than had been drawn.
        idle: drawn and not reserved now.
        over: the lease ends with this.
    """

    account: Account
    start: str
    spent: int
    unknown: int
    returned: int
    idle: int
    over: bool = False


class AccountSpending(Value, frozen=True):
    """One account's period as ``intermodal keys list`` shows it. ``held``: drawn by workers, not settled yet."""

    account: str
    start: str
    spent: int
    unknown: int
    held: int


class LeaseHolder(Value, frozen=True):
    """A process that draws leases. ``journal``: file that says what it has set aside, None where nobody reads it."""

    id: str
    journal: Path | None = None


class FirstUse(Value, frozen=True):
    """Nobody asked under this idempotency key: go on, then ``finish``, ``forget`` or ``abandon`` it."""

    row: int


class StoredReply(Value, frozen=True):
    """It was answered before: send this. ``headers``: lines that are said again, each with its end."""

    status: int
    content_type: str
    body: bytes
    headers: str = ""


IdempotencyConflict = Literal["running", "other", "lost", "long", "full"]


class IdempotentRequest(Value, frozen=True):
    """A request under an ``Idempotency-Key``: whose, and a digest of path and body."""

    owner: str
    name: str
    digest: bytes


class QuotaStore(Protocol):
    """Methods block for as long as a transaction takes and raise StoreError; the ledger calls them in a thread."""

    # keys
    def version(self) -> int:
        """Changes whenever keys do; costs microseconds, waits for nobody."""
        ...

    def every_key(self) -> tuple[VirtualKey, ...]:
        """All that ever were, revoked and expired ones too."""
        ...

    def add(self, key: VirtualKey) -> None: ...
    def change(self, key: str, edit: Callable[[VirtualKey], VirtualKey]) -> VirtualKey:
        """Limits of a key that is in use, in one step; its id, name and secret stay. Returns it as it is now."""
        ...

    def revoke(self, key: str, now: float) -> None: ...
    def spent(self) -> tuple[AccountSpending, ...]: ...

    # budgets and buckets
    def enter(self) -> LeaseHolder:
        """This process takes part from now on."""
        ...

    def leave(self, worker: str) -> None:
        """It ended in order: all its leases are written and over."""
        ...

    def take(self, worker: str, wants: Sequence[LeaseRequest], now: float) -> tuple[LeaseGrant, ...]: ...
    def write(self, worker: str, lines: Sequence[LeaseReport], now: float) -> tuple[int, ...]:
        """Write what became of leases; returns what is left of each. Of none, it is a sign of life."""
        ...

    def prune(self) -> int:
        """Forget what was spent in periods that are long past, and replies kept for longer than they are; sums over
        all time stay. Returns how many rows."""
        ...

    def recover(self) -> int:
        """Charge what dead workers had set aside, at its upper bound; returns how many workers that were."""
        ...

    # idempotency
    def ask(
        self, worker: str, asked: IdempotentRequest, now: float
    ) -> FirstUse | StoredReply | IdempotencyConflict: ...
    def finish(self, row: int, reply: StoredReply, now: float) -> None: ...
    def forget(self, row: int) -> None: ...
    def abandon(self, row: int) -> None: ...
    def close(self) -> None: ...
