"""The quota manager of one worker: it finds a request's key, admits it within its budgets, and settles its cost.

The hot path needs no I/O: a request is reserved from leases in memory and settled there (``lease_pool.py``) within
microseconds. A single thread draws leases and writes reports, twenty times a second while there is something to write;
with one thread no request waits for another's turn in a pool.

All methods but ``close`` belong to the event loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from intermodal.errors import StoreError
from intermodal.gateway.quotas import quota_errors
from intermodal.gateway.quotas.authentication import Authenticator
from intermodal.gateway.quotas.lease import Lease
from intermodal.gateway.quotas.lease_journal import LeaseJournal
from intermodal.gateway.quotas.lease_pool import KeyLeases, LeasePool, QuotaReservation
from intermodal.gateway.quotas.quota_store import (
    FirstUse,
    IdempotencyConflict,
    IdempotentRequest,
    LeaseReport,
    QuotaStore,
    StoredReply,
)
from intermodal.gateway.quotas.quota_types import (
    NANODOLLARS,
    QuotaClaim,
    QuotaRefusal,
    RateLimit,
    RateRemaining,
    VirtualKey,
    to_nanodollars,
)

TICK_SECONDS = 0.05
KEEPALIVE_SECONDS = 60.0  # a heartbeat for processes that cannot see this one
WAIT_SECONDS = 0.25  # how long a request waits for budget that is idle in other workers; they look every tick
PRUNE_SECONDS = 6 * 3600.0  # how often old spending rows are deleted
RECOVER_SECONDS = 1.0  # how often dead workers are looked for when something is short

T = TypeVar("T")


class _Waiter:
    """A request that waits for more quota than is at hand."""

    __slots__ = ("claim", "future", "key", "until")

    def __init__(
        self, key: VirtualKey, claim: QuotaClaim, future: asyncio.Future[QuotaReservation | QuotaRefusal], until: float
    ):
        self.key = key
        self.claim = claim
        self.future = future
        self.until = until

    def waited(self, now: float) -> bool:
        """Return True if it waited long enough, or the clock was set back and the wait cannot be measured."""
        return not self.until - 2 * WAIT_SECONDS <= now < self.until


class QuotaManager:
    """Make it, ``await start()``, then any number of concurrent requests, then ``await close()``.

    Args:
        books: the store that workers share. limits: rate limits by endpoint id. clock: seconds since the epoch.
    """

    def __init__(
        self,
        books: QuotaStore,
        *,
        limits: Mapping[str, RateLimit] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.access = Authenticator(books, clock)
        self._books = books
        self._limits = limits or {}
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._till: LeasePool
        self._journal: LeaseJournal
        self._worker = ""
        self._waiters: list[_Waiter] = []
        self._woken = asyncio.Event()
        self._refilling: asyncio.Task[None] | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._living: asyncio.Task[None] | None = None
        self._forgetting: set[asyncio.Task[None]] = set()
        self._failed = False  # the last write was not taken
        self._telling = 0  # writes under way
        self._owed: list[Callable[[], None]] = []  # writes of Idempotency-Keys that failed and are tried again
        self._recovered = 0.0
        self._closed = False

    async def start(self) -> None:
        """Charge what dead workers left, and register. Raises StoreError."""
        await self._off(self._books.recover)
        await self._off(self._books.prune)
        entered = await self._off(self._books.enter)
        self._worker = entered.id
        self._journal = LeaseJournal(entered.journal)
        self._till = LeasePool(self._journal, self._limits)
        self._living = asyncio.get_running_loop().create_task(self._live())

    # ---- a request --------------------------------------------------------------------------------

    def admit_now(self, key: VirtualKey, claim: QuotaClaim) -> QuotaReservation | QuotaRefusal | None:
        """Return a decision if one can be made without the store; None if ``await admit`` is needed."""
        till, now = self._till, self._clock()
        tab = self._tab(key, now)
        if (claim.cost is None and tab.priced) or (claim.tokens is None and tab.counted):
            return quota_errors.unbounded_claim(key, claim, priced=tab.priced, counted=tab.counted)
        parts = till.parts(tab, claim, now)
        made = None if self._failed and not self._harmless(tab, claim) else till.reserve(key, parts)
        if made is None:
            for purse, amount in parts:
                if purse.free < amount and now < purse.dry_until and amount > purse.dry:
                    return quota_errors.account_exhausted(key, purse, amount, now)
        else:
            self._stir()
        return made

    def _tab(self, key: VirtualKey, now: float) -> KeyLeases:
        return self._till.tab(self.access.as_it_is(key), now)

    def _harmless(self, tab: KeyLeases, claim: QuotaClaim) -> bool:
        """Return True if a request may go on unrecorded: it costs nothing, and no limit applies."""
        limited = tab.counted or tab.rpm is not None or any(name in self._limits for name in claim.endpoints[:1])
        return claim.cost == 0 and not limited

    async def admit(self, key: VirtualKey, claim: QuotaClaim) -> QuotaReservation | QuotaRefusal:
        """Reserve ``claim`` in every account it draws from, or return why not.

        Never raises for a full disk: that is a 503, except for requests that cost nothing and have no limit, which then
        go uncounted.
        """
        found = self.admit_now(key, claim)
        if found is not None:
            return found
        loop = asyncio.get_running_loop()
        waiter = _Waiter(key, claim, loop.create_future(), self._clock() + WAIT_SECONDS)
        self._waiters.append(waiter)
        self._woken.set()
        if self._refilling is None:
            self._refilling = loop.create_task(self._refill())
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled():
                given = waiter.future.result()  # it was set aside in the very moment the client left
                if isinstance(given, QuotaReservation):
                    self.release(given)
            raise

    def settle(
        self, reservation: QuotaReservation, *, cost: float | None, tokens: int | None, untold: float = 0.0
    ) -> None:
        """Record what a request took: USD and tokens in and out.

        None means unknown: the whole reservation counts then. ``untold``: USD of the cost that are an upper bound.
        """
        self._till.settle(reservation, cost, tokens, untold)
        self._stir()

    def release(self, reservation: QuotaReservation) -> None:
        """Free a reservation: nothing was sent."""
        self._till.release(reservation)
        self._stir()

    async def extend(self, reservation: QuotaReservation, usd: float) -> bool:
        """Raise a reservation to ``usd`` in all; return False if a budget has no room or nothing can be written.

        It is drawn from the periods that the request began in. Quota idle in other workers is waited for as in
        ``admit``.
        """
        amount, until = to_nanodollars(usd), self._clock() + WAIT_SECONDS
        while True:
            lacks = self._till.short_of(reservation, amount)
            if self._till.extend(reservation, lacks):
                self._stir()
                return True
            dry = [purse for purse, need in lacks if purse.free < need]
            try:
                if any(purse.returning for purse in dry):
                    await self._write()  # the store returns only what it knows to be lent
                await self._take([(purse, need, need) for purse, need in lacks if purse in dry])
            except StoreError:
                return False
            lacks = self._till.short_of(reservation, amount)
            if self._till.extend(reservation, lacks):
                self._stir()
                return True
            # Only this worker waits for what it returns itself, as in ``_serve``.
            waited = self._clock() >= until and not any(purse.returning for purse in dry)
            if waited or any(need > purse.dry for purse, need in lacks if purse in dry):
                self._stir()  # what was reserved in vain goes back
                return False
            await asyncio.sleep(TICK_SECONDS)

    def expose(self, reservation: QuotaReservation, usd: float, *, taken: bool) -> None:
        """Record what counts if this process is killed now: ``usd``, and the tokens if ``taken``."""
        self._till.expose(reservation, to_nanodollars(usd), taken=taken)

    def room(self, key: VirtualKey) -> tuple[float, float]:
        """Return what the key's budgets have left, in USD and in tokens; infinity without a budget."""
        tab = self._tab(key, self._clock())
        return _smallest_remaining(tab.usd) / NANODOLLARS, _smallest_remaining(tab.tokens)

    def rates(self, key: VirtualKey) -> tuple[RateRemaining | None, RateRemaining | None]:
        """Return what the key's rate limits leave, in requests and in tokens; None without a limit."""
        tab = self._tab(key, self._clock())
        return _rate_remaining(tab.rpm), _rate_remaining(tab.tpm)

    # ---- Idempotency-Key ---------------------------------------------------------------------------

    async def ask(self, asked: IdempotentRequest) -> FirstUse | StoredReply | QuotaRefusal:
        """Register a request under its Idempotency-Key. A FirstUse has to be finished, forgotten or abandoned."""
        asking: asyncio.Future[FirstUse | StoredReply | IdempotencyConflict] = self._started(
            lambda: self._books.ask(self._worker, asked, self._clock())
        )
        try:
            found = await asyncio.shield(asking)
        except StoreError:
            return quota_errors.STORE_UNAVAILABLE
        except asyncio.CancelledError:
            asking.add_done_callback(self._unasked)
            raise
        return found if isinstance(found, FirstUse | StoredReply) else quota_errors.idempotency_refusal(found)

    def _unasked(self, asking: asyncio.Future[FirstUse | StoredReply | IdempotencyConflict]) -> None:
        """Forget a registration whose client left while it was written."""
        if not asking.cancelled() and asking.exception() is None and not self._closed:
            found = asking.result()
            if isinstance(found, FirstUse):
                task = asyncio.get_running_loop().create_task(self.forget(found))
                self._forgetting.add(task)
                task.add_done_callback(self._forgetting.discard)

    async def finish(self, fresh: FirstUse, reply: StoredReply) -> None:
        """Store the reply for retries."""
        # If it cannot be stored, the next request learns at least that this key was used.
        lost = partial(self._books.abandon, fresh.row)
        await self._noted(lambda: self._books.finish(fresh.row, reply, self._clock()), or_later=lost)

    async def forget(self, fresh: FirstUse) -> None:
        """Free the idempotency key: nothing was sent."""
        forget = partial(self._books.forget, fresh.row)
        await self._noted(forget, or_later=forget)

    async def abandon(self, fresh: FirstUse) -> None:
        """Mark the call as lost: it was sent, and its answer is unknown. It is not run again under this key."""
        abandon = partial(self._books.abandon, fresh.row)
        await self._noted(abandon, or_later=abandon)

    # ---- drawing ----------------------------------------------------------------------------------

    async def _refill(self) -> None:
        try:
            while self._waiters:
                self._woken.clear()
                try:
                    if self._failed or self._till.changed:
                        await self._write()
                    while self._till.ending:
                        await self._write()
                    await self._draw()
                except StoreError:
                    self._pass_harmless()
                    self._answer_all(quota_errors.STORE_UNAVAILABLE)
                    return
                if self._serve() and self._waiters:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._woken.wait(), TICK_SECONDS / 2)
        except BaseException:
            self._answer_all(quota_errors.STORE_UNAVAILABLE)
            raise
        finally:
            self._refilling = None
            self._stir()

    async def _draw(self) -> None:
        """Draw what all waiting requests lack, in one transaction."""
        now = self._clock()
        needs: dict[Lease, tuple[int, int]] = {}
        for waiter in self._waiters:
            for purse, amount in self._till.parts(self._tab(waiter.key, now), waiter.claim, now):
                before, most = needs.get(purse, (0, 0))
                needs[purse] = before + amount, max(most, amount)
        drawn = [(purse, *need) for purse, need in needs.items() if purse.free < need[0] or not purse.ready]
        if drawn:
            await self._take(drawn)

    async def _take(self, asked: Sequence[tuple[Lease, int, int]]) -> None:
        """Draw from each lease what its requests need; the third number is the largest of them."""
        drawn = [(purse, need, purse.want(need, most)) for purse, need, most in asked]
        wants = [want for _, _, want in drawn]
        for purse, _, _ in drawn:
            purse.drawing += 1
        try:
            grants = await self._off(lambda: self._books.take(self._worker, wants, self._clock()))
        finally:
            for purse, _, _ in drawn:
                purse.drawing -= 1
        self._till.granted(drawn, grants, self._clock())

    def _serve(self) -> bool:
        """Give waiting requests what there is, first come first served; return True if some still wait."""
        now, still = self._clock(), []
        waiters, self._waiters = self._waiters, []
        recovering = now - self._recovered > RECOVER_SECONDS
        for waiter in waiters:
            if waiter.future.done():
                continue
            tab = self._tab(waiter.key, now)
            parts = self._till.parts(tab, waiter.claim, now)
            made = self._till.reserve(waiter.key, parts)
            if made is not None:
                waiter.future.set_result(made)
                continue
            lacking = next((part for part in parts if part[0].ready and part[0].free < part[1]), None)
            if lacking is None:  # a period began since
                still.append(waiter)
                continue
            purse, amount = lacking
            # Only an answer from the store counts: the amount may have arrived while others drew.
            dry = now < purse.dry_until and amount > purse.dry
            hopeless = dry and not (recovering and purse.account.period)
            # Only this worker waits for what it returns itself, however long the write takes.
            if hopeless or (waiter.waited(now) and purse.left < amount and not purse.returning):
                waiter.future.set_result(quota_errors.account_exhausted(waiter.key, purse, amount, now))
            else:
                still.append(waiter)
        self._waiters = still + self._waiters
        if still and recovering:
            self._recovered = now
            self._thread.submit(self._recover)
        return bool(still)

    def _recover(self) -> None:
        with contextlib.suppress(StoreError):
            self._books.recover()

    def _pass_harmless(self) -> None:
        now = self._clock()
        for waiter in self._waiters:
            if not waiter.future.done() and self._harmless(self._tab(waiter.key, now), waiter.claim):
                waiter.future.set_result(QuotaReservation(waiter.key, []))

    def _answer_all(self, refusal: QuotaRefusal) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.future.done():
                waiter.future.set_result(refusal)

    # ---- writing ----------------------------------------------------------------------------------

    def _stir(self) -> None:
        if self._ticking is None and not self._closed:
            self._ticking = asyncio.get_running_loop().create_task(self._tick())

    async def _tick(self) -> None:
        """Write reports while there is something to write; ends when nothing is held and nothing is idle."""
        try:
            while self._till.busy or self._owed:
                await asyncio.sleep(10 * TICK_SECONDS if self._failed or self._owed else TICK_SECONDS)
                with contextlib.suppress(StoreError):  # kept, and reported again
                    await self._write()
                    low = self._till.low()
                    if low:
                        await self._take([(purse, 0, 0) for purse in low])
                    await self._catch_up()
        finally:
            self._ticking = None

    async def _noted(self, do: Callable[[], None], *, or_later: Callable[[], None]) -> None:
        try:
            await self._off(do)
        except StoreError:
            self._owed.append(or_later)
            self._stir()

    async def _catch_up(self) -> None:
        while self._owed:
            await self._off(self._owed[0])
            del self._owed[0]

    async def _live(self) -> None:
        for minute in itertools.count(1):
            await asyncio.sleep(KEEPALIVE_SECONDS)
            with contextlib.suppress(StoreError):
                await self._off(lambda: self._books.write(self._worker, (), self._clock()))
                if not minute % (PRUNE_SECONDS // KEEPALIVE_SECONDS):
                    await self._off(self._books.prune)

    async def _write(self) -> None:
        lines = self._till.tick(self._clock())
        if not lines and self.access.expecting:
            await self._off(self._look_ahead)
        await self._tell(lines)

    async def _tell(self, lines: list[tuple[Lease, LeaseReport]]) -> None:
        if not lines:
            self._failed = self._failed and self._telling > 0  # another write may still be unfinished
            return
        values = [line for _, line in lines]
        self._telling += 1
        try:
            left = await self._off(lambda: self._written(values))
        except StoreError:
            self._till.failed(lines)
            self._failed = True
            raise
        finally:
            self._telling -= 1
        self._till.written(lines, left)
        self._failed = False

    def _written(self, values: Sequence[LeaseReport]) -> Sequence[int]:
        if self.access.expecting:
            self._look_ahead()
        return self._books.write(self._worker, values, self._clock())

    def _look_ahead(self) -> None:
        with contextlib.suppress(StoreError):  # the next request looks and is told
            self.access.look_ahead()

    async def _off(self, do: Callable[[], T]) -> T:
        """Run ``do`` in the manager's thread; it finishes even if the caller is cancelled."""
        return await asyncio.shield(self._started(do))

    def _started(self, do: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, do)

    async def close(self) -> None:
        """Write everything and unregister. Amounts still held count in full, since they may have been sent."""
        if self._closed:
            return
        self._closed = True
        for task in (self._ticking, self._refilling, self._living, *self._forgetting):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._answer_all(quota_errors.STORE_UNAVAILABLE)
        if self._worker and hasattr(self, "_till"):
            try:
                await self._tell(self._till.close())
                await self._catch_up()
                await self._off(lambda: self._books.leave(self._worker))
                self._journal.remove()
            except StoreError:
                self._journal.close()  # kept: recovery reads it
        self._thread.shutdown()
        self._books.close()


def _smallest_remaining(purses: Sequence[Lease]) -> float:
    left = [max(purse.free, 0) + max(purse.left, 0) for purse in purses if purse.account.limit is not None]
    return min(left, default=math.inf)


def _rate_remaining(purse: Lease | None) -> RateRemaining | None:
    if purse is None:
        return None
    limit = purse.account.limit or 0
    there = limit if not purse.ready else min(max(purse.free, 0) + max(purse.left, 0), limit)
    return RateRemaining(limit=limit, remaining=there, reset=(limit - there) * 60 / limit if limit else 0.0)
