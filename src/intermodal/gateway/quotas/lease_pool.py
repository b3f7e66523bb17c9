"""All leases of one process: reserve, settle and release in memory, and the reports to write.

A request draws from several accounts at once: budgets in money and tokens, buckets of the key and of the endpoint. It
gets all of them or none, in one step without waiting, so that no two requests wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from intermodal.bounded_cache import BoundedCache
from intermodal.gateway.quotas.budget_periods import period_at
from intermodal.gateway.quotas.lease import Lease
from intermodal.gateway.quotas.quota_store import LeaseGrant, LeaseReport, LeaseRequest
from intermodal.gateway.quotas.quota_types import (
    PERIODS,
    Account,
    Period,
    QuotaClaim,
    RateLimit,
    VirtualKey,
    to_nanodollars,
)

if TYPE_CHECKING:
    from intermodal.gateway.quotas.lease_journal import LeaseJournal

CACHED_CLAIMS = 256
IDLE_SECONDS = 60.0  # seconds after which an unused lease ends

LeaseAmount = tuple[Lease, int]


class QuotaReservation:
    """The reservation of one request. It is settled or released once; further calls are ignored.

    Attributes:
        more: nanodollars in each budget in money beyond its part.
        usd: nanodollars of each that count if the process is killed; None for the whole part, as at the start.
        taken: whether its tokens count then.
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
    """The leases of a key now, valid ``until`` the first of their periods ends."""

    key: VirtualKey
    until: float
    usd: tuple[Lease, ...]
    tokens: tuple[Lease, ...]
    unpriced: Lease
    rpm: Lease | None
    tpm: Lease | None
    counted: bool  # in tokens, by a budget or a rate
    priced: bool  # it has a budget in money
    parts: BoundedCache[QuotaClaim, list[LeaseAmount]]


class LeasePool:
    """All leases of a process. ``limits``: rate limits by endpoint id."""

    def __init__(self, journal: LeaseJournal, limits: Mapping[str, RateLimit]) -> None:
        self._journal = journal
        self._purses: dict[tuple[str, str], Lease] = {}
        self._tabs: dict[str, KeyLeases] = {}
        self._limits = limits
        self._ending: list[tuple[Lease, LeaseReport]] = []
        self._warm: list[Lease] = []  # those that something happens to; thousands of others cost a tick nothing
        self._swept = 0.0
        self.changed = False  # a limit has changed, and the amount to return is not in the store yet

    # ---- leases of a request ------------------------------------------------------------------

    def tab(self, key: VirtualKey, now: float) -> KeyLeases:
        found = self._tabs.get(key.id)
        if found is None or now >= found.until or found.key is not key:
            found = self._tabs[key.id] = self._opened(key, now)
        return found

    def parts(self, tab: KeyLeases, claim: QuotaClaim, now: float) -> list[LeaseAmount]:
        """Return every lease that a claim draws from, with the amount of each."""
        if not self._limits:
            found = tab.parts.get(claim)  # shared by all requests with the same claim: it is never modified
            if found is None:
                found = tab.parts[claim] = self._parts(tab, claim, now)
            return found
        return self._parts(tab, claim, now)

    def _parts(self, tab: KeyLeases, claim: QuotaClaim, now: float) -> list[LeaseAmount]:
        cost, tokens = claim.cost, claim.tokens or 0
        money = 0 if cost is None else to_nanodollars(cost)
        parts: list[LeaseAmount] = [(purse, money) for purse in tab.usd]
        for purse in tab.tokens:
            parts.append((purse, tokens))
        if cost is None:
            parts.append((tab.unpriced, 1))
        if tab.rpm is not None:
            parts.append((tab.rpm, claim.requests))
        if tab.tpm is not None:
            parts.append((tab.tpm, tokens))
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

        def purses(unit: Literal["usd", "tokens"], limits: dict[Period, int | None]) -> tuple[Lease, ...]:
            return tuple(
                self._purse(
                    Account(id=f"{key.id}/{unit}/{period}", unit=unit, limit=limits[period], period=period), now
                )
                for period in PERIODS
                if period in limits
            )

        in_usd, in_tokens = purses("usd", usd), purses("tokens", tokens)
        unpriced = self._purse(Account(id=f"{key.id}/unpriced/month", unit="unpriced", period="month"), now)
        return KeyLeases(
            key=key,
            until=min(purse.until for purse in (*in_usd, *in_tokens, unpriced)),
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
            rpm = self._purse(Account(id=f"{name}/rpm", unit="requests", limit=rate.rpm), now)
        if rate.tpm is not None:
            tpm = self._purse(Account(id=f"{name}/tpm", unit="tokens", limit=rate.tpm), now)
        return rpm, tpm

    def _purse(self, account: Account, now: float) -> Lease:
        start, until = period_at(account.period, now) if account.period else ("", float("inf"))
        found = self._purses.get((account.id, start))
        if found is None:
            found = self._purses[account.id, start] = Lease(account, start, until, self._journal)
            found.quiet_since = now
        elif found.account != account:
            found.limited(account)
            self.changed = True
            if not found.warm:
                self._warmed(found)
        return found

    # ---- reserve, settle, release ---------------------------------------------------------------

    def reserve(self, key: VirtualKey, parts: list[LeaseAmount]) -> QuotaReservation | None:
        """Reserve all parts or none; None if one of them has too little free."""
        for purse, amount in parts:
            if purse.free < amount or not purse.ready:
                return None
        for purse, amount in parts:
            purse.hold(amount)
            if not purse.warm:
                self._warmed(purse)
        return QuotaReservation(key, parts)

    @staticmethod
    def settle(reservation: QuotaReservation, cost: float | None, tokens: int | None, untold: float = 0.0) -> None:
        """Settle a reservation at USD and tokens.

        None counts at the reserved upper bound; ``untold`` of the USD is an upper bound as well.
        """
        if not reservation.open:
            return
        reservation.open = False
        usd, more, taken = reservation.usd, reservation.more, reservation.taken
        for purse, held in reservation.parts:
            unit = purse.unit
            if unit == "usd":
                risk = held if usd is None else usd
                held += more
                if cost is None:
                    purse.settle(held, held, risk=risk, untold=held)
                else:
                    purse.settle(held, to_nanodollars(cost), risk=risk, untold=to_nanodollars(untold) if untold else 0)
                continue
            risk = held if taken else 0
            if unit == "tokens":
                if tokens is None:
                    purse.settle(held, held, risk=risk, untold=held)
                else:
                    purse.settle(held, tokens, risk=risk)
            elif unit == "unpriced":
                purse.settle(held, held if cost is None else 0, risk=risk)
            else:
                purse.settle(held, held, risk=risk)

    @staticmethod
    def release(reservation: QuotaReservation) -> None:
        """Free a reservation: nothing was sent."""
        if reservation.open:
            reservation.open = False
            for purse, held in reservation.parts:
                if purse.unit == "usd":
                    risk = held if reservation.usd is None else reservation.usd
                    purse.settle(held + reservation.more, 0, risk=risk)
                else:
                    purse.settle(held, 0, risk=held if reservation.taken else 0)

    @staticmethod
    def short_of(reservation: QuotaReservation, usd: int) -> list[LeaseAmount]:
        """Return the money leases with less than ``usd`` nanodollars reserved, and the amount each lacks."""
        lacks = [(purse, usd - held - reservation.more) for purse, held in reservation.parts if purse.unit == "usd"]
        return [(purse, amount) for purse, amount in lacks if amount > 0]

    @staticmethod
    def extend(reservation: QuotaReservation, lacks: list[LeaseAmount]) -> bool:
        """Reserve what ``short_of`` found, in all budgets or none. The addition is not exposed yet."""
        if any(purse.free < amount or not purse.ready for purse, amount in lacks):
            return False
        for purse, amount in lacks:
            purse.hold(amount)
            purse.expose(-amount)
        reservation.more += lacks[0][1] if lacks else 0
        return True

    @staticmethod
    def expose(reservation: QuotaReservation, usd: int, *, taken: bool) -> None:
        """Record what counts if the process is killed now: nanodollars, and the tokens if ``taken``."""
        if not reservation.open:
            return
        for purse, held in reservation.parts:
            if purse.unit == "usd":
                purse.expose(usd - (held if reservation.usd is None else reservation.usd))
            elif taken != reservation.taken:
                purse.expose(held if taken else -held)
        reservation.usd, reservation.taken = usd, taken

    # ---- telling the books --------------------------------------------------------------------

    def _warmed(self, purse: Lease) -> None:
        purse.warm = True
        self._warm.append(purse)

    def granted(
        self, drawn: Iterable[tuple[Lease, int, LeaseRequest]], grants: Iterable[LeaseGrant], now: float
    ) -> None:
        for (purse, need, want), grant in zip(drawn, grants, strict=True):
            purse.granted(want, grant, need, now)
            if not purse.warm:
                self._warmed(purse)

    def tick(self, now: float) -> list[tuple[Lease, LeaseReport]]:
        """Return the reports to write now. ``written`` or ``failed`` has to follow."""
        self.changed = False
        for purse in self._warm:
            purse.tick(now)
        if now - self._swept > IDLE_SECONDS / 2:
            self._sweep(now)
        lines = [*self._ending, *((purse, purse.line()) for purse in self._warm if purse.touched)]
        still = []
        for purse in self._warm:
            purse.warm = purse.busy
            if purse.warm:
                still.append(purse)
        self._warm = still
        return lines

    def _sweep(self, now: float) -> None:
        """End the leases of past periods and unused leases."""
        self._swept = now
        for name, purse in list(self._purses.items()):
            if purse.over(now, IDLE_SECONDS):
                del self._purses[name]
                self._tabs.clear()
                purse.end()
                self._ending.append((purse, purse.line(over=True)))

    def written(self, lines: list[tuple[Lease, LeaseReport]], left: Iterable[int]) -> None:
        for (purse, line), rest in zip(lines, left, strict=True):
            purse.heard(line, rest)
            if line.over:
                purse.drop()
        self._ending = [each for each in self._ending if all(each[1] is not line for _, line in lines)]

    def failed(self, lines: list[tuple[Lease, LeaseReport]]) -> None:
        """Mark reports that may not have been written as unwritten."""
        for purse, line in lines:
            if not line.over:
                purse.touched = True
                if not purse.warm:
                    self._warmed(purse)
                if not line.account.period:
                    purse.returned += line.returned

    @property
    def ending(self) -> bool:
        """True while a closed lease is unsaved; a new one for the same account would be confused with it."""
        return bool(self._ending)

    def low(self) -> list[Lease]:
        return [purse for purse in self._warm if purse.low()]

    @property
    def busy(self) -> bool:
        """True if something is held or idle, so that there will be something to report."""
        return bool(self._ending or self._warm)

    def close(self) -> list[tuple[Lease, LeaseReport]]:
        """Return the last reports of all leases. Amounts that were sent and never settled count in full."""
        for purse in self._purses.values():
            if purse.ready:
                if purse.held:
                    purse.settle(purse.held, purse.risk, risk=purse.risk, untold=purse.risk)
                purse.end()
                self._ending.append((purse, purse.line(over=True)))
        self._purses.clear()
        self._tabs.clear()
        self._warm.clear()
        return list(self._ending)
