"""Leases of this process on budgets and rate limits: reserve, settle and release in memory, and report to the store.

    free ──reserve──▶ held ──settle──▶ spent        an amount that was not used becomes free again

A ``Lease`` is on one account; the ``LeasePool`` holds those of all keys. ``quota_manager.py`` draws and renews leases
in the background. How a quota is divided between worker processes is decided elsewhere: ``quota_store.py`` has the
rules, ``sqlite_store.py`` the transactions.

A request reserves from several accounts at once: budgets in money and in tokens, rate limits of the key and of the
endpoint. It gets all of them or none in one step, so that no two requests wait for each other. Every method takes
microseconds on the event loop's thread and does no I/O: the journal is written as mapped memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from intermodal.core.bounded_cache import BoundedCache
from intermodal.gateway.quotas.quota_store import LeaseGrant, LeaseReport, LeaseRequest
from intermodal.gateway.quotas.quota_types import (
    PERIODS,
    Account,
    Period,
    QuotaClaim,
    RateLimit,
    Unit,
    VirtualKey,
    endpoint_account,
    period_at,
    to_nanodollars,
)

if TYPE_CHECKING:
    from intermodal.gateway.quotas.lease_journal import LeaseJournal

CACHED_CLAIMS = 256
IDLE_SECONDS = 60.0  # seconds after which an unused lease ends

TICKS_AHEAD = 4  # the lease keeps enough free for the demand of this many ticks
FIRST_REQUESTS = 8  # the first draw requests enough for this many requests
UNLIMITED_FREE = 1 << 61  # the free amount of an account without a limit
EXHAUSTED_SECONDS = 0.05  # how long a refusal by the store holds before the store is asked again


class Lease:
    """A lease on one account. ``free`` is negative before the first draw, and after a charge that exceeded it."""

    __slots__ = (
        "_base",
        "_journal",
        "_numbers",
        "_older",
        "_spent_included",
        "_spent_reported",
        "_total_spent",
        "account",
        "active",
        "drawing",
        "drawn",
        "exhausted_until",
        "free",
        "held",
        "idle_reported",
        "left",
        "obtainable",
        "pace",
        "quiet_since",
        "ready",
        "returned",
        "returning",
        "risk",
        "slot",
        "spent",
        "start",
        "touched",
        "unit",
        "unknown",
        "until",
        "used",
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
        self.drawing = 0  # draws in progress
        self.left = 0  # undrawn in the account, as the store last answered
        self.idle_reported = 0  # free amount that the store knows of
        self._total_spent = 0  # spent by all workers, as the store last answered
        self._older = 0  # the part of ``held`` reserved under an earlier limit
        self._spent_included = 0  # the part of ``_total_spent`` that was spent here
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
            self._return_surplus(held, actual)

    def _return_surplus(self, held: int, actual: int) -> None:
        """Return what a settled reservation of an earlier limit leaves: the current limit may have no room for it."""
        older = min(held, self._older)
        self._older -= older
        back = max(older - actual, 0)
        self.free -= back
        self._shrink(back)

    def _shrink(self, amount: int) -> None:
        """Reduce the lease by ``amount``; a negative amount extends it."""
        self.returned += amount
        self.returning += max(amount, 0)
        self.touched = True

    # ---- drawing ------------------------------------------------------------------------------

    def lacks(self, amount: int) -> bool:
        """Return True if it does not have ``amount`` now."""
        return self.free < amount or not self.ready

    def is_exhausted_for(self, amount: int, now: float) -> bool:
        """Return True if the store had too little for ``amount`` a moment ago, in other workers, too."""
        return now < self.exhausted_until and amount > self.obtainable

    def draw_request(self, need: int, one: int) -> LeaseRequest:
        """Return the draw that makes ``need`` available. ``one``: the amount of the largest waiting request."""
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

    def add_grant(self, want: LeaseRequest, grant: LeaseGrant, need: int, now: float) -> None:
        """Add the store's grant for ``draw_request``. ``need``: the amount that waiting requests need."""
        if not self.ready:
            self.ready = True
            self.free = 0 if self._has_limit else UNLIMITED_FREE
        if self.account == want.account:
            self.free += grant.amount
        else:  # drawn under another limit, which may have been higher
            self._shrink(grant.amount)
        self.drawn += grant.amount
        self.idle_reported += grant.amount
        self.left = grant.left
        self._total_spent, self._spent_included = grant.spent, want.spent_reported
        if self.free < need:
            self.obtainable, self.exhausted_until = (
                self.free + grant.left + grant.idle + self.returning,
                now + EXHAUSTED_SECONDS,
            )

    def report_written(self, report: LeaseReport, left: int) -> None:
        """Record that ``report`` was written. ``left``: the account's remainder, which may end an exhaustion."""
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
            back = self.free if self._has_limit else self.drawn - self.spent - self.held - self.returned
            self._shrink(back)
            self.free = 0 if account.limit is not None else UNLIMITED_FREE
        self._older = self.held if account.limit is not None else 0
        self.account = account
        self.obtainable, self.exhausted_until = 0, 0.0

    @property
    def total_spent(self) -> int:
        """The amount spent by all workers: the store's last answer, and what this worker spent since."""
        return self._total_spent + self.spent - self._spent_included

    @property
    def _has_limit(self) -> bool:
        return self.account.limit is not None

    @property
    def busy(self) -> bool:
        """True if the next tick has to visit this lease: an amount is held or idle, or a report is due."""
        return bool(self.touched or self.held or self.pace or (self._has_limit and self.ready and self.free))

    # ---- reporting to the quota store ---------------------------------------------------------

    def needs_draw(self) -> bool:
        """Return True if more should be drawn now, before a request has to wait for the store."""
        return self.ready and self._has_limit and self.pace > 0 and self.left > 0 and self.free < 2 * self.pace

    def tick(self, now: float) -> None:
        """Return quota that will not be needed soon to the store, or all of ``free`` if the account has little left."""
        if self.used or self.held:
            self.quiet_since = now
        self.pace = max(float(self.used), self.pace * 0.75)
        if self.pace < 0.5:
            self.pace = 0.0
        self.used = 0
        if not (self.ready and self._has_limit):
            return
        self.touched |= max(self.free, 0) != self.idle_reported  # other workers wait for an amount that is idle here
        if self.free == 0 or (self.free > 0 and self.drawing):  # a request draws what it lacks beside this
            return
        ahead, share = int(TICKS_AHEAD * self.pace), max(self.left, 0) // 4
        keep = 0 if now >= self.until else min(ahead, share)
        if self.free < 0 or (self.free > keep and (share < ahead or 2 * keep <= self.free)):
            keep = max(keep, 0) if self.free > 0 else 0
            self._shrink(self.free - keep)
            self.free = keep

    def report(self, *, over: bool = False) -> LeaseReport:
        """Return the report to write now. For a token bucket, ``returned`` counts since the previous report."""
        self.touched = False
        self.idle_reported = max(self.free, 0) if self._has_limit else 0
        self._spent_reported = self.spent
        lease_report = LeaseReport(
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
        return lease_report

    def is_ended(self, now: float, quiet: float) -> bool:
        """Return True if the lease can end: it holds nothing, and its period ended or it was idle for ``quiet``
        seconds.
        """
        return (
            self.ready and not self.held and not self.drawing and (now >= self.until or now - self.quiet_since > quiet)
        )

    def end(self) -> None:
        """Return the whole free amount. The lease reserves nothing after that."""
        if self._has_limit and self.free != 0:
            self.returned += self.free
        self.free, self.ready = -1, False

    def free_slot(self) -> None:
        """Free the journal slot. Call it after the last report was written."""
        self._journal.free_slot(self.slot)
        self.slot = -1


LeaseAmount = tuple[Lease, int]
_MEASURED: frozenset[Unit] = frozenset({"usd", "tokens"})  # units whose amount is known only after a request


class QuotaReservation:
    """The reservation of one request in several leases. It is settled or released once; later calls do nothing.

    Attributes:
        parts: each lease and the amount reserved from it at the start.
        more: amounts that were reserved later by ``LeasePool.extend``, by unit: in each lease of that unit.
        exposed: amounts that each lease of a unit is charged if the process is killed now; a unit that is missing is
            charged its whole part.
        taken: whether each lease of requests is charged its part if the process is killed now.
    """

    __slots__ = ("exposed", "key", "more", "open", "parts", "taken")

    def __init__(self, key: VirtualKey, parts: list[LeaseAmount]) -> None:
        self.key = key
        self.parts = parts
        self.open = True
        self.more: dict[Unit, int] = {}
        self.exposed: dict[Unit, int] = {}
        self.taken = True

    @property
    def endpoint(self) -> str:
        """The endpoint whose rate a reservation of a single call is drawn from."""
        return self.parts[0][0].account.endpoint

    def reserved_amount(self, lease: Lease, part: int) -> int:
        """Return the amount reserved from a lease now."""
        return part + self.more.get(lease.unit, 0)

    def charge_if_killed(self, lease: Lease, part: int) -> int:
        """Return the amount that a lease is charged if the process is killed now."""
        if lease.unit in _MEASURED:
            return self.exposed.get(lease.unit, part)
        return part if self.taken else 0


class KeyLeases(NamedTuple):
    """The leases of one key. ``until``: when the first of their periods ends and they must be looked up again."""

    key: VirtualKey
    until: float
    usd: tuple[Lease, ...]
    tokens: tuple[Lease, ...]
    unpriced: Lease
    rpm: Lease | None
    tpm: Lease | None
    counted: bool  # whether a budget or a rate limits the tokens
    priced: bool  # whether a budget limits cost
    parts: BoundedCache[QuotaClaim, list[LeaseAmount]]


class LeasePool:
    """All leases of this process. ``limits``: rate limits by endpoint id."""

    def __init__(self, journal: LeaseJournal, limits: Mapping[str, RateLimit]) -> None:
        self._journal = journal
        self._leases: dict[tuple[str, str], Lease] = {}
        self._leases_by_key: dict[str, KeyLeases] = {}
        self._limits = limits
        self._ending: list[tuple[Lease, LeaseReport]] = []
        self._active: list[Lease] = []  # the leases that a tick visits; there may be thousands of others
        self._swept = 0.0
        self.changed = False  # a limit changed, and the amount to return was not reported yet

    # ---- leases of a request ------------------------------------------------------------------

    def key_leases(self, key: VirtualKey, now: float) -> KeyLeases:
        found = self._leases_by_key.get(key.id)
        if found is None or now >= found.until or found.key is not key:
            found = self._leases_by_key[key.id] = self._open_leases(key, now)
        return found

    def lease_amounts(self, key_leases: KeyLeases, claim: QuotaClaim, now: float) -> list[LeaseAmount]:
        """Return every lease that a claim reserves from, with the amount of each."""
        if not self._limits:
            found = key_leases.parts.get(claim)  # shared by requests with the same claim, never modified
            if found is None:
                found = key_leases.parts[claim] = self._compute_lease_amounts(key_leases, claim, now)
            return found
        return self._compute_lease_amounts(key_leases, claim, now)

    def _compute_lease_amounts(self, key_leases: KeyLeases, claim: QuotaClaim, now: float) -> list[LeaseAmount]:
        cost, tokens = claim.cost, claim.tokens or 0
        money = 0 if cost is None else to_nanodollars(cost)
        parts: list[LeaseAmount] = [(lease, money) for lease in key_leases.usd]
        for lease in key_leases.tokens:
            parts.append((lease, tokens))
        if cost is None:
            parts.append((key_leases.unpriced, 1))
        if key_leases.rpm is not None:
            parts.append((key_leases.rpm, claim.requests))
        if key_leases.tpm is not None:
            parts.append((key_leases.tpm, tokens))
        if self._limits:
            for endpoint in claim.endpoints[:1]:
                most = tokens if claim.call_tokens is None else claim.call_tokens
                parts += self.of_endpoint(endpoint, most, now)
        return parts

    def of_endpoint(self, endpoint: str, tokens: int, now: float) -> list[LeaseAmount]:
        """Return the leases on the rate of an endpoint, with what a call of ``tokens`` takes of each."""
        rate = self._limits.get(endpoint)
        if rate is None:
            return []
        rpm, tpm = self._rates(endpoint_account(endpoint), rate, now)
        return [*([(rpm, 1)] if rpm else []), *([(tpm, tokens)] if tpm else [])]

    def _open_leases(self, key: VirtualKey, now: float) -> KeyLeases:
        budgets: dict[str, dict[Period, int | None]] = {"usd": {}, "tokens": {}}
        for budget in key.budgets:
            budgets[budget.unit][budget.period] = budget.limit
        usd, tokens = budgets["usd"] or {"month": None}, budgets["tokens"] or {"month": None}
        rpm, tpm = self._rates(key.id, key.rate, now)

        def leases(unit: Literal["usd", "tokens"], limits: dict[Period, int | None]) -> tuple[Lease, ...]:
            return tuple(
                self._lease(
                    Account(id=f"{key.id}/{unit}/{period}", unit=unit, limit=limits[period], period=period), now
                )
                for period in PERIODS
                if period in limits
            )

        in_usd, in_tokens = leases("usd", usd), leases("tokens", tokens)
        unpriced = self._lease(Account(id=f"{key.id}/unpriced/month", unit="unpriced", period="month"), now)
        return KeyLeases(
            key=key,
            until=min(lease.until for lease in (*in_usd, *in_tokens, unpriced)),
            usd=in_usd,
            tokens=in_tokens,
            unpriced=unpriced,
            rpm=rpm,
            tpm=tpm,
            counted=bool(budgets["tokens"]) or tpm is not None,
            priced=bool(budgets["usd"]),
            parts=BoundedCache("leases by claim", CACHED_CLAIMS),
        )

    def _rates(self, name: str, rate: RateLimit, now: float) -> tuple[Lease | None, Lease | None]:
        rpm = tpm = None
        if rate.rpm is not None:
            rpm = self._lease(Account(id=f"{name}/rpm", unit="requests", limit=rate.rpm), now)
        if rate.tpm is not None:
            tpm = self._lease(Account(id=f"{name}/tpm", unit="tokens", limit=rate.tpm), now)
        return rpm, tpm

    def _lease(self, account: Account, now: float) -> Lease:
        start, until = period_at(account.period, now) if account.period else ("", float("inf"))
        found = self._leases.get((account.id, start))
        if found is None:
            found = self._leases[account.id, start] = Lease(account, start, until, self._journal)
            found.quiet_since = now
        elif found.account != account:
            found.change_limit(account)
            self.changed = True
            if not found.active:
                self._activate(found)
        return found

    # ---- reserve, settle, release ---------------------------------------------------------------

    def reserve(self, key: VirtualKey, parts: list[LeaseAmount]) -> QuotaReservation | None:
        """Reserve all parts and return the reservation. If a lease has too little, reserve nothing and return None."""
        for lease, amount in parts:
            if lease.lacks(amount):
                return None
        for lease, amount in parts:
            lease.hold(amount)
            if not lease.active:
                self._activate(lease)
        return QuotaReservation(key, parts)

    @staticmethod
    def settle(
        reservation: QuotaReservation, cost: float | None, tokens: int | None, unreported: float = 0.0,
        unreported_tokens: int = 0,
    ) -> None:  # fmt: skip
        """Settle a reservation at its actual ``cost`` in USD and ``tokens``.

        None means unknown: the reserved amount is charged. ``unreported``, ``unreported_tokens``: the part that is an
        upper bound.
        """
        if not reservation.open:
            return
        reservation.open = False
        for lease, part in reservation.parts:
            unit, held, risk = (
                lease.unit,
                reservation.reserved_amount(lease, part),
                reservation.charge_if_killed(lease, part),
            )
            if unit == "usd" and cost is not None:
                bound = to_nanodollars(unreported) if unreported else 0
                lease.settle(held, to_nanodollars(cost), risk=risk, unreported=bound)
            elif unit == "tokens" and tokens is not None:
                lease.settle(held, tokens, risk=risk, unreported=unreported_tokens)
            elif unit in _MEASURED:
                lease.settle(held, held, risk=risk, unreported=held)
            else:
                lease.settle(held, 0 if unit == "unpriced" and cost is not None else held, risk=risk)

    @staticmethod
    def release(reservation: QuotaReservation) -> None:
        """Free a reservation whose request was not sent."""
        if reservation.open:
            reservation.open = False
            for lease, part in reservation.parts:
                lease.settle(
                    reservation.reserved_amount(lease, part), 0, risk=reservation.charge_if_killed(lease, part)
                )

    def split_rate(self, reservation: QuotaReservation) -> QuotaReservation | None:
        """Take the part out of a reservation that is drawn from the rate of an endpoint; return None if there is none.

        It is settled with the call that it was drawn for, the rest with the whole request.
        """
        rate = [part for part in reservation.parts if part[0].account.endpoint] if self._limits else []
        if not rate:
            return None
        reservation.parts = [part for part in reservation.parts if not part[0].account.endpoint]
        return QuotaReservation(reservation.key, rate)

    @staticmethod
    def shortfalls(reservation: QuotaReservation, usd: int, tokens: int) -> list[LeaseAmount]:
        """Return each lease in which less than ``usd`` nanodollars or ``tokens`` are reserved, and what it lacks."""
        wanted_amounts = {"usd": usd, "tokens": tokens}
        lacks = [
            (lease, wanted_amounts.get(lease.unit, 0) - reservation.reserved_amount(lease, part))
            for lease, part in reservation.parts
        ]
        return [(lease, amount) for lease, amount in lacks if amount > 0]

    @staticmethod
    def extend(reservation: QuotaReservation, lacks: list[LeaseAmount]) -> bool:
        """Reserve the amounts found by ``shortfalls`` in all leases or none.

        A kill charges them only after ``expose``.
        """
        if any(lease.lacks(amount) for lease, amount in lacks):
            return False
        for lease, amount in lacks:
            lease.hold(amount)
            lease.expose(-amount)
        raised: dict[Unit, int] = {lease.unit: amount for lease, amount in lacks}  # the same in each lease of a unit
        for unit, amount in raised.items():
            reservation.more[unit] = reservation.more.get(unit, 0) + amount
        return True

    @staticmethod
    def expose(reservation: QuotaReservation, usd: int, tokens: int | None, *, is_taken: bool) -> None:
        """Set what is charged if the process is killed now: ``usd`` nanodollars, ``tokens``, requests if ``is_taken``.

        ``tokens``: None for all that are reserved.
        """
        if not reservation.open:
            return
        before = [reservation.charge_if_killed(lease, part) for lease, part in reservation.parts]
        reservation.exposed["usd"], reservation.taken = usd, is_taken
        if tokens is not None:
            reservation.exposed["tokens"] = tokens
        for (lease, part), risk in zip(reservation.parts, before, strict=True):
            lease.expose(reservation.charge_if_killed(lease, part) - risk)

    # ---- reporting to the quota store ---------------------------------------------------------

    def _activate(self, lease: Lease) -> None:
        lease.active = True
        self._active.append(lease)

    def add_grants(
        self, draws: Iterable[tuple[Lease, int, LeaseRequest]], grants: Iterable[LeaseGrant], now: float
    ) -> None:
        for (lease, need, want), grant in zip(draws, grants, strict=True):
            lease.add_grant(want, grant, need, now)
            if not lease.active:
                self._activate(lease)

    def tick(self, now: float) -> list[tuple[Lease, LeaseReport]]:
        """Return the reports to write now. Call ``mark_written`` or ``mark_unwritten`` with them afterwards."""
        self.changed = False
        for lease in self._active:
            lease.tick(now)
        if now - self._swept > IDLE_SECONDS / 2:
            self._end_unused(now)
        reports = [*self._ending, *((lease, lease.report()) for lease in self._active if lease.touched)]
        still = []
        for lease in self._active:
            lease.active = lease.busy
            if lease.active:
                still.append(lease)
        self._active = still
        return reports

    def _end_unused(self, now: float) -> None:
        """End the leases that are unused or whose period ended."""
        self._swept = now
        for name, lease in list(self._leases.items()):
            if lease.is_ended(now, IDLE_SECONDS):
                del self._leases[name]
                self._leases_by_key.clear()
                lease.end()
                self._ending.append((lease, lease.report(over=True)))

    def mark_written(self, reports: list[tuple[Lease, LeaseReport]], left: Iterable[int]) -> None:
        for (lease, report), rest in zip(reports, left, strict=True):
            lease.report_written(report, rest)
            if report.over:
                lease.free_slot()
        self._ending = [each for each in self._ending if all(each[1] is not report for _, report in reports)]

    def mark_unwritten(self, reports: list[tuple[Lease, LeaseReport]]) -> None:
        """Mark the leases of these reports to report again, since the reports may not have been written."""
        for lease, report in reports:
            if not report.over:
                lease.touched = True
                if not lease.active:
                    self._activate(lease)
                if not report.account.period:
                    lease.returned += report.returned

    @property
    def ending(self) -> bool:
        """True while the last report of an ended lease is unwritten.

        The store could not tell a new lease of the same account from the ended one.
        """
        return bool(self._ending)

    def leases_to_draw(self) -> list[Lease]:
        return [lease for lease in self._active if lease.needs_draw()]

    @property
    def busy(self) -> bool:
        """True if there is, or will be, something to report."""
        return bool(self._ending or self._active)

    def close(self) -> list[tuple[Lease, LeaseReport]]:
        """End all leases and return their last reports.

        A reservation that is still open is charged its exposed amount.
        """
        for lease in self._leases.values():
            if lease.ready:
                if lease.held:
                    lease.settle(lease.held, lease.risk, risk=lease.risk, unreported=lease.risk)
                lease.end()
                self._ending.append((lease, lease.report(over=True)))
        self._leases.clear()
        self._leases_by_key.clear()
        self._active.clear()
        return list(self._ending)
