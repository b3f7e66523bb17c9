"""The lease of this process on one account: its free, held and spent amounts.

    free ──reserve──▶ held ──settle──▶ spent        an amount that was not used becomes free again

Every method takes microseconds on the event loop's thread and does no I/O: the journal is written as mapped memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intermodal.gateway.quotas.quota_store import LeaseGrant, LeaseReport, LeaseRequest
from intermodal.gateway.quotas.quota_types import Account, Unit

if TYPE_CHECKING:
    from intermodal.gateway.quotas.lease_journal import LeaseJournal

TICKS_AHEAD = 4  # the lease keeps enough free for the demand of this many ticks
FIRST_REQUESTS = 8  # the first draw asks enough for this many requests
UNLIMITED_FREE = 1 << 61  # the free amount of an account without a limit
EXHAUSTED_SECONDS = 0.05  # how long a refusal by the store holds before the store is asked again


class Lease:
    """A lease on one account. ``free`` is negative before the first draw, and after a charge above what was free."""

    __slots__ = (
        "_base", "_journal", "_numbers", "_older", "_spent_by_all", "_spent_included", "_spent_reported", "account",
        "active", "drawing", "drawn", "exhausted_until", "free", "held", "idle_reported", "left", "obtainable", "pace",
        "quiet_since", "ready", "returned", "returning", "risk", "slot", "spent", "start", "touched", "unit", "unknown",
        "until", "used",
    )  # fmt: skip

    def __init__(self, account: Account, start: str, until: float, journal: LeaseJournal) -> None:
        self.account = account
        self.unit: Unit = account.unit
        self.start = start
        self.until = until  # when the period ends, in seconds since the epoch
        self.free = -1
        self.held = 0
        self.risk = 0  # what open requests may have cost so far; charged if this process is killed now
        self.drawn = self.spent = self.unknown = self.returned = 0  # sums since the lease began
        self.returning = 0  # returned, and not yet confirmed by the quota store
        self.ready = False  # the quota store has recorded the lease
        self.drawing = 0  # draws under way
        self.left = 0  # undrawn in the account, as the store last answered
        self.idle_reported = 0  # free amount that the store knows of
        self._spent_by_all = 0  # spent by all workers, as the store last answered
        self._older = 0  # the part of ``held`` reserved under an earlier limit
        self._spent_included = 0  # the part of ``_spent_by_all`` that was spent here
        self._spent_reported = 0  # spent here, as of the last report
        self.used = 0  # reserved since the last tick
        self.pace = 0.0  # recent reservations per tick
        self.quiet_since = 0.0
        self.touched = False  # a report is due
        self.active = False  # it is in the pool's list of leases that a tick visits
        self.obtainable = 0  # the most a request could get when the store last had too little
        self.exhausted_until = 0.0  # until when ``obtainable`` holds
        self._journal = journal
        self.slot = journal.slot() if account.period else -1
        if self.slot >= 0:
            self._numbers, self._base = journal.numbers, 3 * self.slot
        else:
            self._numbers, self._base = memoryview(bytearray(24)).cast("q"), 0

    # ---- the hot path -------------------------------------------------------------------------

    def hold(self, amount: int) -> None:
        """Reserve ``amount`` for a request that is about to be sent."""
        self.free -= amount
        self.used += amount
        self.held += amount
        risk = self.risk = self.risk + amount
        self._numbers[self._base + 1] = risk

    def expose(self, change: int) -> None:
        """Add ``change`` to the amount charged if this process is killed now."""
        self.risk += change
        self._numbers[self._base + 1] = self.risk

    def settle(self, held: int, actual: int, *, risk: int, unreported: int = 0) -> None:
        """Settle a reservation of ``held`` at ``actual``.

        Args:
            risk: the part of ``held`` that was exposed.
            unreported: the part of ``actual`` that is an upper bound, because the host did not report the cost.

        ``actual`` may exceed ``held``; it counts in full.
        """
        numbers, base = self._numbers, self._base
        if unreported:
            self.unknown += unreported
            numbers[base + 2] = self.unknown
        numbers[base] = self.spent = self.spent + actual
        self.held -= held
        numbers[base + 1] = self.risk = self.risk - risk
        self.free += held - actual
        self.touched = True
        if self._older:
            self._return_older(held, actual)

    def _return_older(self, held: int, actual: int) -> None:
        """Return what a settled reservation of an earlier limit leaves: the current limit may have no room for it."""
        older = min(held, self._older)
        self._older -= older
        back = max(older - actual, 0)
        self.free -= back
        self._give_back(back)

    def _give_back(self, amount: int) -> None:
        """Reduce the lease by ``amount``; a negative amount extends it."""
        self.returned += amount
        self.returning += max(amount, 0)
        self.touched = True

    # ---- drawing ------------------------------------------------------------------------------

    def want(self, need: int, one: int) -> LeaseRequest:
        """Return the draw that makes ``need`` free. ``one``: the amount of the largest waiting request."""
        short = need - (self.free if self.ready else 0)
        extra = max(int(TICKS_AHEAD * self.pace), (FIRST_REQUESTS - 1) * one if not self.pace else 0)
        return LeaseRequest(
            account=self.account,
            start=self.start,
            need=max(short, 0),
            extra=extra,
            slot=self.slot,
            spent_reported=self._spent_reported,
        )

    def granted(self, want: LeaseRequest, grant: LeaseGrant, need: int, now: float) -> None:
        """Add the store's grant for ``want``. ``need``: the amount that waiting requests need."""
        if not self.ready:
            self.ready = True
            self.free = 0 if self._limited else UNLIMITED_FREE
        if self.account == want.account:
            self.free += grant.amount
        else:  # drawn under another limit, which may have been higher
            self._give_back(grant.amount)
        self.drawn += grant.amount
        self.idle_reported += grant.amount
        self.left = grant.left
        self._spent_by_all, self._spent_included = grant.spent, want.spent_reported
        if self.free < need:
            self.obtainable, self.exhausted_until = (
                self.free + grant.left + grant.idle + self.returning,
                now + EXHAUSTED_SECONDS,
            )

    def report_written(self, report: LeaseReport, left: int) -> None:
        """Record that ``report`` was written and what the account has ``left``, which may end an exhaustion."""
        known = report.returned if self.account.period else 0  # a bucket's return is reported once and is not a sum
        self.left, self.returning = left, max(self.returned - known, 0)
        if self.free + left > self.obtainable:
            self.exhausted_until = 0.0

    def change_limit(self, account: Account) -> None:
        """Apply a changed limit.

        Idle quota is returned and drawn again under the new limit. Held and spent amounts stay as they are.
        """
        if self.ready:
            # Without a limit, ``free`` is only a large constant; the idle amount follows from what was drawn.
            back = self.free if self._limited else self.drawn - self.spent - self.held - self.returned
            self._give_back(back)
            self.free = 0 if account.limit is not None else UNLIMITED_FREE
        self._older = self.held if account.limit is not None else 0
        self.account = account
        self.obtainable, self.exhausted_until = 0, 0.0

    @property
    def spent_by_all(self) -> int:
        """The amount spent by all workers: the store's last answer, and what this worker spent since."""
        return self._spent_by_all + self.spent - self._spent_included

    @property
    def _limited(self) -> bool:
        return self.account.limit is not None

    @property
    def busy(self) -> bool:
        """True if the next tick has to visit this lease: an amount is held or idle, or a report is due."""
        return bool(self.touched or self.held or self.pace or (self._limited and self.ready and self.free))

    # ---- reporting to the quota store ---------------------------------------------------------

    def low(self) -> bool:
        """Return True if more should be drawn now, before a request has to wait for the store."""
        return self.ready and self._limited and self.pace > 0 and self.left > 0 and self.free < 2 * self.pace

    def tick(self, now: float) -> None:
        """Return the part of ``free`` that will not be needed soon, or all of it when the account has little left."""
        if self.used or self.held:
            self.quiet_since = now
        self.pace = max(float(self.used), self.pace * 0.75)
        if self.pace < 0.5:
            self.pace = 0.0
        self.used = 0
        if not (self.ready and self._limited):
            return
        self.touched |= max(self.free, 0) != self.idle_reported  # other workers wait for an amount that is idle here
        if self.free == 0:
            return
        ahead, share = int(TICKS_AHEAD * self.pace), max(self.left, 0) // 4
        keep = 0 if now >= self.until else min(ahead, share)
        if self.free < 0 or (self.free > keep and (share < ahead or 2 * keep <= self.free)):
            keep = max(keep, 0) if self.free > 0 else 0
            self._give_back(self.free - keep)
            self.free = keep

    def report(self, *, over: bool = False) -> LeaseReport:
        """Return the report to write now. Of a token bucket, ``returned`` counts since the previous report."""
        self.touched = False
        self.idle_reported = max(self.free, 0) if self._limited else 0
        self._spent_reported = self.spent
        made = LeaseReport(
            account=self.account,
            start=self.start,
            spent=self.spent,
            unknown=self.unknown,
            returned=self.returned,
            idle=self.idle_reported,
            over=over,
        )
        if not self.account.period:
            self.returned = 0
        return made

    def over(self, now: float, quiet: float) -> bool:
        """Return True if the lease can end: it holds nothing, and its period ended or ``quiet`` seconds passed idle."""
        return (
            self.ready and not self.held and not self.drawing and (now >= self.until or now - self.quiet_since > quiet)
        )

    def end(self) -> None:
        """Return the whole free amount. The lease reserves nothing after that."""
        if self._limited and self.free != 0:
            self.returned += self.free
        self.free, self.ready = -1, False

    def drop(self) -> None:
        """Free the journal slot. Call it after the last report was written."""
        self._journal.give_back(self.slot)
        self.slot = -1
