"""A process's lease on one account: its free, held and spent amounts. No I/O except to the journal's memory.

    free ──reserve──▶ held ──settle──▶ spent        and what was not used goes back to free

Everything here takes microseconds on the event loop's thread; nothing waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intermodal.gateway.quotas.quota_store import LeaseGrant, LeaseReport, LeaseRequest
from intermodal.gateway.quotas.quota_types import Account, Unit

if TYPE_CHECKING:
    from intermodal.gateway.quotas.lease_journal import LeaseJournal

TICKS_AHEAD = 4  # ticks of demand that are kept at hand
FIRST_REQUESTS = 8  # as many requests like the first are drawn for at once
UNLIMITED_FREE = 1 << 61  # free of an account without a limit
EXHAUSTED_SECONDS = 0.05  # how long it is believed that nothing more can be had


class Lease:
    """One lease. ``free`` below 0: not drawn from yet, or more was charged than had been reserved."""

    __slots__ = (
        "_base", "_by_all", "_in_that", "_journal", "_numbers", "_older", "_written", "account", "drawing",
        "drawn", "dry", "dry_until", "free", "held", "left", "pace", "quiet_since", "ready", "returned", "returning",
        "risk", "slot", "spent", "start", "told", "touched", "unit", "unknown", "until", "used", "warm",
    )  # fmt: skip

    def __init__(self, account: Account, start: str, until: float, journal: LeaseJournal) -> None:
        self.account = account
        self.unit: Unit = account.unit
        self.start = start
        self.until = until  # the period's end
        self.free = -1
        self.held = 0
        self.risk = 0  # what counts if this process is killed now: the share of the reservations that was sent
        self.drawn = self.spent = self.unknown = self.returned = 0  # since the lease began
        self.returning = 0  # given back, but the books may not know it yet
        self.ready = False  # the lease is in the books
        self.drawing = 0  # times that it is drawn for just now
        self.left = 0  # left in the store, as last reported
        self.told = 0  # idle in this lease, as the store knows it
        self._by_all = 0  # spent by all workers, as the store last reported
        self._older = 0  # reserved under an earlier limit
        self._in_that = self._written = 0  # share of it spent here; share of that reported so far
        self.used = 0  # since the last tick
        self.pace = 0.0  # reserved a tick, lately
        self.quiet_since = 0.0
        self.touched = False  # there is something to write
        self.warm = False  # ticks look at it
        self.dry, self.dry_until = 0, 0.0
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
        self.risk += amount
        self._numbers[self._base + 1] = self.risk

    def expose(self, change: int) -> None:
        """Change what counts if this process is killed now by ``change``."""
        self.risk += change
        self._numbers[self._base + 1] = self.risk

    def settle(self, held: int, actual: int, *, risk: int, untold: int = 0) -> None:
        """Settle a reservation of ``held`` at ``actual``.

        ``risk`` of it was exposed; ``untold`` of the cost is an upper bound. ``actual`` may exceed ``held``: the
        charged amount counts.
        """
        numbers, base = self._numbers, self._base
        if untold:
            self.unknown += untold
            numbers[base + 2] = self.unknown
        self.spent += actual
        numbers[base] = self.spent
        self.held -= held
        self.risk -= risk
        numbers[base + 1] = self.risk
        self.free += held - actual
        self.touched = True
        if self._older:
            self._return_older(held, actual)

    def _return_older(self, held: int, actual: int) -> None:
        """Return the amount reserved under another limit: it may be too much under the current one."""
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
        """Return what to draw so that ``need`` is free, for requests of which the largest takes ``one``."""
        short = need - (self.free if self.ready else 0)
        wish = max(int(TICKS_AHEAD * self.pace), (FIRST_REQUESTS - 1) * one if not self.pace else 0)
        return LeaseRequest(
            account=self.account,
            start=self.start,
            need=max(short, 0),
            wish=wish,
            slot=self.slot,
            told=self._written,
        )

    def granted(self, want: LeaseRequest, grant: LeaseGrant, need: int, now: float) -> None:
        """Take what the store granted for ``want``; more may have been requested since."""
        if not self.ready:
            self.ready = True
            self.free = 0 if self._limited else UNLIMITED_FREE
        if self.account == want.account:
            self.free += grant.amount
        else:  # it was drawn under another limit, and may be too much
            self._give_back(grant.amount)
        self.drawn += grant.amount
        self.told += grant.amount
        self.left = grant.left
        self._by_all, self._in_that = grant.spent, want.told
        if self.free < need:
            self.dry, self.dry_until = self.free + grant.left + grant.idle + self.returning, now + EXHAUSTED_SECONDS

    def heard(self, line: LeaseReport, left: int) -> None:
        """Record what the store has left after a report; exhausted quota may be available again."""
        known = line.returned if self.account.period else 0  # of a window that is reported once
        self.left, self.returning = left, max(self.returned - known, 0)
        if self.free + left > self.dry:
            self.dry_until = 0.0

    def limited(self, account: Account) -> None:
        """Apply a changed limit.

        Idle quota is returned and drawn again under the new limit. Held and spent amounts stay as they are.
        """
        if self.ready:
            # Without a limit nothing was taken from what is free, so the amount drawn tells what is idle.
            back = self.free if self._limited else self.drawn - self.spent - self.held - self.returned
            self._give_back(back)
            self.free = 0 if account.limit is not None else UNLIMITED_FREE
        self._older = self.held if account.limit is not None else 0
        self.account = account
        self.dry, self.dry_until = 0, 0.0

    @property
    def spent_by_all(self) -> int:
        """Spent by all workers, as far as this one knows: its latest spending may not be written yet."""
        return self._by_all + self.spent - self._in_that

    @property
    def _limited(self) -> bool:
        return self.account.limit is not None

    @property
    def busy(self) -> bool:
        """True if something is held, idle or unwritten, so that the next tick has to look at it."""
        return bool(self.touched or self.held or self.pace or (self._limited and self.ready and self.free))

    # ---- telling the books --------------------------------------------------------------------

    def low(self) -> bool:
        """Return True if more should be drawn before a request has to wait for it."""
        return self.ready and self._limited and self.pace > 0 and self.left > 0 and self.free < 2 * self.pace

    def tick(self, now: float) -> None:
        """Return quota that is not needed soon; all of it if quota is scarce."""
        if self.used or self.held:
            self.quiet_since = now
        self.pace = max(float(self.used), self.pace * 0.75)
        if self.pace < 0.5:
            self.pace = 0.0
        self.used = 0
        if not (self.ready and self._limited):
            return
        self.touched |= max(self.free, 0) != self.told  # other workers wait for what they believe to be idle here
        if self.free == 0:
            return
        ahead, share = int(TICKS_AHEAD * self.pace), max(self.left, 0) // 4
        keep = 0 if now >= self.until else min(ahead, share)
        if self.free < 0 or (self.free > keep and (share < ahead or 2 * keep <= self.free)):
            keep = max(keep, 0) if self.free > 0 else 0
            self._give_back(self.free - keep)
            self.free = keep

    def line(self, *, over: bool = False) -> LeaseReport:
        """Return the report to write now. A bucket's ``returned`` is reported once and starts again at 0."""
        self.touched = False
        self.told = max(self.free, 0) if self._limited else 0
        self._written = self.spent
        made = LeaseReport(
            account=self.account,
            start=self.start,
            spent=self.spent,
            unknown=self.unknown,
            returned=self.returned,
            idle=self.told,
            over=over,
        )
        if not self.account.period:
            self.returned = 0
        return made

    def over(self, now: float, quiet: float) -> bool:
        """Return True if nothing is held and its period is past, or it was unused for ``quiet`` seconds."""
        return (
            self.ready and not self.held and not self.drawing and (now >= self.until or now - self.quiet_since > quiet)
        )

    def end(self) -> None:
        """Give everything back; nothing is reserved from it again."""
        if self._limited and self.free != 0:
            self.returned += self.free
        self.free, self.ready = -1, False

    def drop(self) -> None:
        """Free the journal slot once the store has the last report."""
        self._journal.give_back(self.slot)
        self.slot = -1
