"""All leases of this process: reserve, settle and release in memory, and make the reports to write.
How a quota is divided into leases between worker processes is decided elsewhere: ``quota_store.py`` has the rules,
``sqlite_store.py`` the transactions.

A request reserves from several accounts at once: budgets in money and in tokens, rate limits of the key and of the
endpoint. It gets all of them or none in one step, so that no two requests wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from intermodal.bounded_cache import BoundedCache
from intermodal.gateway.quotas.lease import Lease
from intermodal.gateway.quotas.quota_store import LeaseGrant, LeaseReport, LeaseRequest
from intermodal.gateway.quotas.quota_types import (
    PERIODS,
    Account,
    Period,
    QuotaClaim,
    RateLimit,
    VirtualKey,
    period_at,
    to_nanodollars,
)

if TYPE_CHECKING:
    from intermodal.gateway.quotas.lease_journal import LeaseJournal

CACHED_CLAIMS = 256
IDLE_SECONDS = 60.0  # seconds after which an unused lease ends

LeaseAmount = tuple[Lease, int]


class QuotaReservation:
    """The reservation of one request in several leases. It is settled or released once; later calls do nothing.

    Attributes:
        parts: each lease and the amount reserved from it at the start.
        more: nanodollars that were reserved later, in each money lease, by ``LeasePool.extend``.
        usd: nanodollars that each money lease is charged if the process is killed now; None: the whole part.
        taken: whether each other lease is charged its part if the process is killed now.
    """

    __slots__ = ("key", "more", "open", "parts", "taken", "usd")

    def __init__(self, key: VirtualKey, parts: list[LeaseAmount]) -> None:
        self.key = key
        self.parts = parts
        self.open = True
        self.more = 0
        self.usd: int | None = None
        self.taken = True


class KeyLeases(NamedTuple):
    """The leases of one key. ``until``: when the first of their periods ends and they have to be looked up again."""

    key: VirtualKey
    until: float
    usd: tuple[Lease, ...]
    tokens: tuple[Lease, ...]
    unpriced: Lease
    rpm: Lease | None
    tpm: Lease | None
    counted: bool  # whether a budget or a rate limits the tokens
    priced: bool  # whether a budget limits the money
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
            found = self._leases_by_key[key.id] = self._opened(key, now)
        return found

    def parts(self, key_leases: KeyLeases, claim: QuotaClaim, now: float) -> list[LeaseAmount]:
        """Return every lease that a claim reserves from, with the amount of each."""
        if not self._limits:
            found = key_leases.parts.get(claim)  # shared by requests with the same claim, never modified
            if found is None:
                found = key_leases.parts[claim] = self._parts(key_leases, claim, now)
            return found
        return self._parts(key_leases, claim, now)

    def _parts(self, key_leases: KeyLeases, claim: QuotaClaim, now: float) -> list[LeaseAmount]:
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
                parts += self._of_endpoint(endpoint, tokens, now)
        return parts

    def _of_endpoint(self, endpoint: str, tokens: int, now: float) -> list[LeaseAmount]:
        rate = self._limits.get(endpoint)
        if rate is None:
            return []
        rpm, tpm = self._rates(f"at/{endpoint}", rate, now)
        return [*([(rpm, 1)] if rpm else []), *([(tpm, tokens)] if tpm else [])]

    def _opened(self, key: VirtualKey, now: float) -> KeyLeases:
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
            if lease.free < amount or not lease.ready:
                return None
        for lease, amount in parts:
            lease.hold(amount)
            if not lease.active:
                self._activate(lease)
        return QuotaReservation(key, parts)

    @staticmethod
    def settle(reservation: QuotaReservation, cost: float | None, tokens: int | None, unreported: float = 0.0) -> None:
        """Settle a reservation at its actual ``cost`` in USD and ``tokens``.

        None: unknown, the reserved amount counts. ``unreported``: the part of ``cost`` that is an upper bound.
        """
        if not reservation.open:
            return
        reservation.open = False
        usd, more, taken = reservation.usd, reservation.more, reservation.taken
        for lease, held in reservation.parts:
            unit = lease.unit
            if unit == "usd":
                risk = held if usd is None else usd
                held += more
                if cost is None:
                    lease.settle(held, held, risk=risk, unreported=held)
                else:
                    lease.settle(
                        held,
                        to_nanodollars(cost),
                        risk=risk,
                        unreported=to_nanodollars(unreported) if unreported else 0,
                    )
                continue
            risk = held if taken else 0
            if unit == "tokens":
                if tokens is None:
                    lease.settle(held, held, risk=risk, unreported=held)
                else:
                    lease.settle(held, tokens, risk=risk)
            elif unit == "unpriced":
                lease.settle(held, held if cost is None else 0, risk=risk)
            else:
                lease.settle(held, held, risk=risk)

    @staticmethod
    def release(reservation: QuotaReservation) -> None:
        """Free a reservation whose request was not sent."""
        if reservation.open:
            reservation.open = False
            for lease, held in reservation.parts:
                if lease.unit == "usd":
                    risk = held if reservation.usd is None else reservation.usd
                    lease.settle(held + reservation.more, 0, risk=risk)
                else:
                    lease.settle(held, 0, risk=held if reservation.taken else 0)

    @staticmethod
    def short_of(reservation: QuotaReservation, usd: int) -> list[LeaseAmount]:
        """Return each money lease in which less than ``usd`` nanodollars are reserved, and the amount it lacks."""
        lacks = [(lease, usd - held - reservation.more) for lease, held in reservation.parts if lease.unit == "usd"]
        return [(lease, amount) for lease, amount in lacks if amount > 0]

    @staticmethod
    def extend(reservation: QuotaReservation, lacks: list[LeaseAmount]) -> bool:
        """Reserve what ``short_of`` found, in all leases or none. A kill charges the addition only after ``expose``."""
        if any(lease.free < amount or not lease.ready for lease, amount in lacks):
            return False
        for lease, amount in lacks:
            lease.hold(amount)
            lease.expose(-amount)
        reservation.more += lacks[0][1] if lacks else 0
        return True

    @staticmethod
    def expose(reservation: QuotaReservation, usd: int, *, taken: bool) -> None:
        """Set what is charged if the process is killed now: ``usd`` nanodollars, and the tokens if ``taken``."""
        if not reservation.open:
            return
        for lease, held in reservation.parts:
            if lease.unit == "usd":
                lease.expose(usd - (held if reservation.usd is None else reservation.usd))
            elif taken != reservation.taken:
                lease.expose(held if taken else -held)
        reservation.usd, reservation.taken = usd, taken

    # ---- reporting to the quota store ---------------------------------------------------------

    def _activate(self, lease: Lease) -> None:
        lease.active = True
        self._active.append(lease)

    def granted(
        self, drawn: Iterable[tuple[Lease, int, LeaseRequest]], grants: Iterable[LeaseGrant], now: float
    ) -> None:
        for (lease, need, want), grant in zip(drawn, grants, strict=True):
            lease.granted(want, grant, need, now)
            if not lease.active:
                self._activate(lease)

    def tick(self, now: float) -> list[tuple[Lease, LeaseReport]]:
        """Return the reports to write now. Call ``written`` or ``failed`` with them afterwards."""
        self.changed = False
        for lease in self._active:
            lease.tick(now)
        if now - self._swept > IDLE_SECONDS / 2:
            self._sweep(now)
        reports = [*self._ending, *((lease, lease.report()) for lease in self._active if lease.touched)]
        still = []
        for lease in self._active:
            lease.active = lease.busy
            if lease.active:
                still.append(lease)
        self._active = still
        return reports

    def _sweep(self, now: float) -> None:
        """End the leases that are unused or whose period ended."""
        self._swept = now
        for name, lease in list(self._leases.items()):
            if lease.over(now, IDLE_SECONDS):
                del self._leases[name]
                self._leases_by_key.clear()
                lease.end()
                self._ending.append((lease, lease.report(over=True)))

    def written(self, reports: list[tuple[Lease, LeaseReport]], left: Iterable[int]) -> None:
        for (lease, report), rest in zip(reports, left, strict=True):
            lease.report_written(report, rest)
            if report.over:
                lease.drop()
        self._ending = [each for each in self._ending if all(each[1] is not report for _, report in reports)]

    def failed(self, reports: list[tuple[Lease, LeaseReport]]) -> None:
        """Make the leases of these reports report again: the reports may not have been written."""
        for lease, report in reports:
            if not report.over:
                lease.touched = True
                if not lease.active:
                    self._activate(lease)
                if not report.account.period:
                    lease.returned += report.returned

    @property
    def ending(self) -> bool:
        """True while the last report of an ended lease is unwritten. The store could not tell a new lease of the same
        account from it."""
        return bool(self._ending)

    def low(self) -> list[Lease]:
        return [lease for lease in self._active if lease.low()]

    @property
    def busy(self) -> bool:
        """True if there is, or will be, something to report."""
        return bool(self._ending or self._active)

    def close(self) -> list[tuple[Lease, LeaseReport]]:
        """End all leases and return their last reports. A reservation that is still open counts at what it exposed."""
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
