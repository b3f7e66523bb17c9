"""The quota manager of one worker: finds a request's key, admits it within its budgets, and settles its cost.

Most requests need no I/O: they are reserved from leases in memory and settled there (``budget_leases.py``) within
microseconds. A dedicated thread draws leases and writes reports, twenty times a second while there is something to
write, so no draw waits behind other work of a shared thread pool.

Call all methods from the event loop's thread.
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
from typing import Any, TypeVar

from intermodal.errors import StoreError
from intermodal.gateway.quotas import quota_errors
from intermodal.gateway.quotas.authentication import Authenticator
from intermodal.gateway.quotas.budget_leases import KeyLeases, Lease, LeaseAmount, LeasePool, QuotaReservation
from intermodal.gateway.quotas.lease_journal import LeaseJournal
from intermodal.gateway.quotas.quota_store import (
    FirstUse,
    IdempotencyConflict,
    IdempotentRequest,
    LeaseGrant,
    LeaseReport,
    LeaseRequest,
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
KEEPALIVE_SECONDS = 60.0  # how often a sign of life is written, for processes of other hosts and containers
WAIT_SECONDS = (
    0.25  # how long a request waits for an amount that is idle in other workers; each of their ticks may return it
)
PRUNE_SECONDS = 6 * 3600.0  # how often old spending rows are deleted
RECOVER_SECONDS = 1.0  # the shortest time between two searches for dead workers, while requests wait

T = TypeVar("T")


class _Waiter:
    """A request that waits until its leases have enough available."""

    __slots__ = ("claim", "future", "key", "until")

    def __init__(
        self, key: VirtualKey, claim: QuotaClaim, future: asyncio.Future[QuotaReservation | QuotaRefusal], until: float
    ):
        self.key = key
        self.claim = claim
        self.future = future
        self.until = until

    def has_waited_enough(self, now: float) -> bool:
        """Return True if it waited long enough, or if a clock change makes the wait unmeasurable."""
        return not self.until - 2 * WAIT_SECONDS <= now < self.until


class QuotaManager:
    """Admits and settles any number of concurrent requests between ``await start()`` and ``await close()``.

    Args:
        quota_store: the store that the workers share.
        limits: rate limits by endpoint id.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        quota_store: QuotaStore,
        *,
        limits: Mapping[str, RateLimit] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.access = Authenticator(quota_store, clock)
        self._quota_store = quota_store
        self._limits = limits or {}
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._lease_pool: LeasePool
        self._journal: LeaseJournal
        self._worker = ""
        self._waiters: list[_Waiter] = []
        self._woken = asyncio.Event()
        self._refilling: asyncio.Task[None] | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._keeping_alive: asyncio.Task[None] | None = None
        self._forgetting: set[asyncio.Task[None]] = set()
        self._accesses: set[asyncio.Future[Any]] = set()  # accesses to the store whose callers were cancelled
        self._failed = False  # the last write failed
        self._reporting = 0  # writes in progress
        self._to_retry: list[Callable[[], None]] = []  # writes of Idempotency-Keys that failed and are tried again
        self._recovered = 0.0
        self._closed = False

    async def start(self) -> None:
        """Charge the open leases of dead workers, and register this one. Raises StoreError."""
        await self._in_thread(self._quota_store.recover)
        await self._in_thread(self._quota_store.prune)
        entered = await self._in_thread(self._quota_store.enter)
        self._worker = entered.id
        self._journal = LeaseJournal(entered.journal)
        self._lease_pool = LeasePool(self._journal, self._limits)
        self._keeping_alive = asyncio.get_running_loop().create_task(self._keep_alive())

    # ---- a request --------------------------------------------------------------------------------

    def admit_now(self, key: VirtualKey, claim: QuotaClaim) -> QuotaReservation | QuotaRefusal | None:
        """Return a decision if one can be made without the store; None if ``await admit`` is needed."""
        lease_pool, now = self._lease_pool, self._clock()
        key_leases = self._key_leases(key, now)
        if claim.cost is None and key_leases.priced:
            return quota_errors.price_unknown(key)
        if claim.tokens is None and key_leases.counted:
            return quota_errors.tokens_unknown(key)
        parts = lease_pool.lease_amounts(key_leases, claim, now)
        reservation = (
            None if self._failed and not self._needs_no_record(key_leases, claim) else lease_pool.reserve(key, parts)
        )
        if reservation is None:
            for lease, amount in parts:
                if lease.free < amount and lease.is_exhausted_for(amount, now):
                    return quota_errors.exhausted_account_refusal(key, lease, amount)
        else:
            self._start_ticking()
        return reservation

    def _key_leases(self, key: VirtualKey, now: float) -> KeyLeases:
        return self._lease_pool.key_leases(self.access.as_it_is(key), now)

    def _needs_no_record(self, key_leases: KeyLeases, claim: QuotaClaim) -> bool:
        """Return True if a request may run without being recorded: it costs nothing, and no limit applies."""
        limited = (
            key_leases.counted
            or key_leases.rpm is not None
            or any(name in self._limits for name in claim.endpoints[:1])
        )
        return claim.cost == 0 and not limited

    async def admit(self, key: VirtualKey, claim: QuotaClaim) -> QuotaReservation | QuotaRefusal:
        """Reserve ``claim`` in every account it draws from, or return the refusal.

        A full disk does not raise: the answer is a refusal with status 503, except for requests that cost nothing and
        have no limit, which are admitted and not counted.
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
                reservation = waiter.future.result()  # it was reserved just before the client left
                if isinstance(reservation, QuotaReservation):
                    self.release(reservation)
            raise

    def settle(
        self, reservation: QuotaReservation, *, cost: float | None, tokens: int | None, unreported: float = 0.0,
        unreported_tokens: int = 0,
    ) -> None:  # fmt: skip
        """Record the actual ``cost`` of a request in USD and its input and output ``tokens``.

        None means unknown: the whole reservation is charged. ``unreported``, ``unreported_tokens``: the part that is an
        upper bound.
        """
        self._lease_pool.settle(reservation, cost, tokens, unreported, unreported_tokens)
        self._start_ticking()

    def release(self, reservation: QuotaReservation) -> None:
        """Release a reservation because nothing was sent."""
        self._lease_pool.release(reservation)
        self._start_ticking()

    async def extend(self, reservation: QuotaReservation, usd: float, tokens: int) -> bool:
        """Raise a reservation to ``usd`` and ``tokens`` in total; return False if a budget or a rate has too little, or
        the store fails.

        The addition counts in the periods in which the request began. Like ``admit``, it waits a moment for amounts
        that are idle in other workers.
        """
        amount = to_nanodollars(usd)
        extended = await self._obtain(
            lambda: self._lease_pool.shortfalls(reservation, amount, tokens),
            lambda lacks: reservation if self._lease_pool.extend(reservation, lacks) else None,
        )
        return isinstance(extended, QuotaReservation)

    def limits_rate(self, endpoint: str) -> bool:
        """Return True if the config gives the endpoint a rate."""
        return endpoint in self._limits

    async def draw_rate(self, key: VirtualKey, endpoint: str, tokens: int) -> QuotaReservation | QuotaRefusal:
        """Reserve a call of at most ``tokens`` in the rate of an endpoint, or return the refusal.

        It waits as ``extend`` does. Settle or release it.
        """
        found = await self._obtain(
            lambda: self._lease_pool.of_endpoint(endpoint, tokens, self._clock()),
            lambda parts: self._lease_pool.reserve(key, parts),
        )
        if isinstance(found, QuotaReservation):
            return found
        refusals = [quota_errors.exhausted_account_refusal(key, lease, need) for lease, need in found]
        return max(refusals, key=_wait, default=quota_errors.STORE_UNAVAILABLE)

    async def _obtain(
        self, lacking_parts: Callable[[], list[LeaseAmount]],
        reserve: Callable[[list[LeaseAmount]], QuotaReservation | None],
    ) -> QuotaReservation | list[LeaseAmount]:  # fmt: skip
        """Return what ``reserve`` made once it got what is lacking; the parts that lack room, [] if the store fails.

        Draw what is lacking, and wait a moment for what is idle in other workers.
        """
        until = self._clock() + WAIT_SECONDS
        while True:
            lacks = lacking_parts()
            if (reservation := reserve(lacks)) is not None:
                self._start_ticking()
                return reservation
            lacking = [(lease, need) for lease, need in lacks if lease.lacks(need)]
            try:
                if any(lease.returning for lease, _ in lacking):
                    await self._report_leases()  # the store cannot grant a returned amount before it is reported
                await self._draw_leases([(lease, need, need) for lease, need in lacking])
            except StoreError:
                return []
            lacks = lacking_parts()
            if (reservation := reserve(lacks)) is not None:
                self._start_ticking()
                return reservation
            lacking, now = [(lease, need) for lease, need in lacks if lease.lacks(need)], self._clock()
            # An amount that this worker is returning itself will become available, however long its write takes.
            waited = now >= until and not any(lease.returning for lease, _ in lacking)
            if waited or any(lease.is_exhausted_for(need, now) for lease, need in lacking):
                self._start_ticking()  # return what was drawn in vain
                return lacking
            await asyncio.sleep(TICK_SECONDS)

    def split_rate(self, reservation: QuotaReservation) -> QuotaReservation | None:
        """Take the part that is drawn from the rate of an endpoint out of a reservation that was not exposed yet.

        Settle it when the call ends for which it was drawn, or release it. Return None if there is no such part.
        """
        return self._lease_pool.split_rate(reservation)

    def expose(self, reservation: QuotaReservation, usd: float, tokens: int | None, *, is_taken: bool) -> None:
        """Set the amounts charged if this process is killed now: ``usd``, ``tokens``, and the request if ``is_taken``.

        ``tokens``: None for all that are reserved.
        """
        self._lease_pool.expose(reservation, to_nanodollars(usd), tokens, is_taken=is_taken)

    def remaining_budget(self, key: VirtualKey) -> tuple[float, float]:
        """Return what the key's budgets have left, in USD and tokens; infinity if there is no budget."""
        key_leases = self._key_leases(key, self._clock())
        return _smallest_remaining(key_leases.usd) / NANODOLLARS, _smallest_remaining(key_leases.tokens)

    def rates(self, key: VirtualKey) -> tuple[RateRemaining | None, RateRemaining | None]:
        """Return what is left of the key's rate limits, in requests and tokens; None if there is no limit."""
        key_leases = self._key_leases(key, self._clock())
        return _rate_remaining(key_leases.rpm), _rate_remaining(key_leases.tpm)

    # ---- Idempotency-Key ---------------------------------------------------------------------------

    async def begin_idempotent(self, request: IdempotentRequest) -> FirstUse | StoredReply | QuotaRefusal:
        """Register a request under its Idempotency-Key.

        Pass a FirstUse to ``finish``, ``free_idempotency_key`` or ``abandon``.
        """
        asking: asyncio.Future[FirstUse | StoredReply | IdempotencyConflict] = self._start(
            lambda: self._quota_store.begin_idempotent(self._worker, request, self._clock())
        )
        try:
            found = await asyncio.shield(asking)
        except StoreError:
            return quota_errors.STORE_UNAVAILABLE
        except asyncio.CancelledError:
            asking.add_done_callback(self._forget_abandoned)
            raise
        return found if isinstance(found, FirstUse | StoredReply) else quota_errors.idempotency_refusal(found)

    def _forget_abandoned(self, asking: asyncio.Future[FirstUse | StoredReply | IdempotencyConflict]) -> None:
        """Forget a registration whose client left while it was being written."""
        if not asking.cancelled() and asking.exception() is None and not self._closed:
            found = asking.result()
            if isinstance(found, FirstUse):
                task = asyncio.get_running_loop().create_task(self.free_idempotency_key(found))
                self._forgetting.add(task)
                task.add_done_callback(self._forgetting.discard)

    async def finish(self, fresh: FirstUse, reply: StoredReply) -> None:
        """Store the reply for replay to retries."""
        # If it cannot be stored, the next request learns at least that this key was used.
        lost = partial(self._quota_store.abandon, fresh.row)
        await self._write_or_retry(lambda: self._quota_store.finish(fresh.row, reply, self._clock()), or_later=lost)

    async def free_idempotency_key(self, fresh: FirstUse) -> None:
        """Free the idempotency key because nothing was sent."""
        forget = partial(self._quota_store.free_idempotency_key, fresh.row)
        await self._write_or_retry(forget, or_later=forget)

    async def abandon(self, fresh: FirstUse) -> None:
        """Mark the call as lost: it was sent, and its answer is unknown. It is not run again under this key."""
        abandon = partial(self._quota_store.abandon, fresh.row)
        await self._write_or_retry(abandon, or_later=abandon)

    # ---- drawing ----------------------------------------------------------------------------------

    async def _refill(self) -> None:
        try:
            while self._waiters:
                self._woken.clear()
                try:
                    if self._failed or self._lease_pool.changed:
                        await self._report_leases()
                    while self._lease_pool.ending:
                        await self._report_leases()
                    await self._draw()
                except StoreError:
                    self._admit_without_record()
                    self._refuse_all_waiting(quota_errors.STORE_UNAVAILABLE)
                    return
                if self._serve() and self._waiters:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._woken.wait(), TICK_SECONDS / 2)
        except BaseException:
            self._refuse_all_waiting(quota_errors.STORE_UNAVAILABLE)
            raise
        finally:
            self._refilling = None
            self._start_ticking()

    async def _draw(self) -> None:
        """Draw what all waiting requests lack, in one transaction."""
        now = self._clock()
        needs: dict[Lease, tuple[int, int]] = {}
        for waiter in self._waiters:
            for lease, amount in self._lease_pool.lease_amounts(self._key_leases(waiter.key, now), waiter.claim, now):
                before, most = needs.get(lease, (0, 0))
                needs[lease] = before + amount, max(most, amount)
        draws = [(lease, *need) for lease, need in needs.items() if lease.lacks(need[0])]
        if draws:
            await self._draw_leases(draws)

    async def _draw_leases(self, request: Sequence[tuple[Lease, int, int]]) -> None:
        """Draw for each lease.

        Each item is a lease, the total need of its requests, and the need of the largest request.
        """
        draws = [(lease, need, lease.draw_request(need, most)) for lease, need, most in request]
        wants = [want for _, _, want in draws]
        for lease, _, _ in draws:
            lease.drawing += 1
        taking = self._start(lambda: self._quota_store.take(self._worker, wants, self._clock()))
        await self._complete(taking, partial(self._end_draws, draws))

    def _end_draws(
        self, draws: Sequence[tuple[Lease, int, LeaseRequest]], taking: asyncio.Future[tuple[LeaseGrant, ...]]
    ) -> None:
        for lease, _, _ in draws:
            lease.drawing -= 1
        if taking.exception() is None:
            self._lease_pool.add_grants(draws, taking.result(), self._clock())
            self._start_ticking()  # return what nobody waits for any more

    def _serve(self) -> bool:
        """Admit or refuse waiting requests in order; return True if some still wait."""
        now, still = self._clock(), []
        waiters, self._waiters = self._waiters, []
        recovering = now - self._recovered > RECOVER_SECONDS
        for waiter in waiters:
            if waiter.future.done():
                continue
            key_leases = self._key_leases(waiter.key, now)
            parts = self._lease_pool.lease_amounts(key_leases, waiter.claim, now)
            reservation = self._lease_pool.reserve(waiter.key, parts)
            if reservation is not None:
                waiter.future.set_result(reservation)
                continue
            lacking = next((part for part in parts if part[0].ready and part[0].free < part[1]), None)
            if lacking is None:  # a period began since
                still.append(waiter)
                continue
            lease, amount = lacking
            # Only the store can say that an account is exhausted: the lease may have been drawn for another request.
            hopeless = lease.is_exhausted_for(amount, now) and not (recovering and lease.account.period)
            # An amount that this worker is returning itself will become available, however long its write takes.
            if hopeless or (waiter.has_waited_enough(now) and lease.left < amount and not lease.returning):
                waiter.future.set_result(quota_errors.exhausted_account_refusal(waiter.key, lease, amount))
            else:
                still.append(waiter)
        self._waiters = still + self._waiters
        if still and recovering:
            self._recovered = now
            self._thread.submit(self._recover)
        return bool(still)

    def _recover(self) -> None:
        with contextlib.suppress(StoreError):
            self._quota_store.recover()

    def _admit_without_record(self) -> None:
        now = self._clock()
        for waiter in self._waiters:
            if not waiter.future.done() and self._needs_no_record(self._key_leases(waiter.key, now), waiter.claim):
                waiter.future.set_result(QuotaReservation(waiter.key, []))

    def _refuse_all_waiting(self, refusal: QuotaRefusal) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.future.done():
                waiter.future.set_result(refusal)

    # ---- writing ----------------------------------------------------------------------------------

    def _start_ticking(self) -> None:
        if self._ticking is None and not self._closed:
            self._ticking = asyncio.get_running_loop().create_task(self._tick())

    async def _tick(self) -> None:
        """Write reports until nothing is held, idle or unwritten."""
        try:
            while self._lease_pool.busy or self._to_retry:
                await asyncio.sleep(10 * TICK_SECONDS if self._failed or self._to_retry else TICK_SECONDS)
                with contextlib.suppress(StoreError):  # the next tick reports it again
                    await self._report_leases()
                    low = self._lease_pool.leases_to_draw()
                    if low:
                        await self._draw_leases([(lease, 0, 0) for lease in low])
                    await self._retry_writes()
        finally:
            self._ticking = None

    async def _write_or_retry(self, do: Callable[[], None], *, or_later: Callable[[], None]) -> None:
        try:
            await self._in_thread(do)
        except StoreError:
            self._to_retry.append(or_later)
            self._start_ticking()

    async def _retry_writes(self) -> None:
        while self._to_retry:
            await self._in_thread(self._to_retry[0])
            del self._to_retry[0]

    async def _keep_alive(self) -> None:
        for minute in itertools.count(1):
            await asyncio.sleep(KEEPALIVE_SECONDS)
            with contextlib.suppress(StoreError):
                await self._in_thread(lambda: self._quota_store.write(self._worker, (), self._clock()))
                if not minute % (PRUNE_SECONDS // KEEPALIVE_SECONDS):
                    await self._in_thread(self._quota_store.prune)

    async def _report_leases(self) -> None:
        reports = self._lease_pool.tick(self._clock())
        if not reports and self.access.had_recent_request:
            await self._in_thread(self._check_keys_ahead)
        await self._report(reports)

    async def _report(self, reports: list[tuple[Lease, LeaseReport]]) -> None:
        if not reports:
            self._failed = self._failed and self._reporting > 0  # another write may still be unfinished
            return
        values = [report for _, report in reports]
        self._reporting += 1
        writing = self._start(lambda: self._write_reports(values))
        await self._complete(writing, partial(self._end_report, reports))

    def _end_report(self, reports: list[tuple[Lease, LeaseReport]], writing: asyncio.Future[Sequence[int]]) -> None:
        self._reporting -= 1
        self._failed = writing.exception() is not None
        if self._failed:
            self._lease_pool.mark_unwritten(reports)
        else:
            self._lease_pool.mark_written(reports, writing.result())

    def _write_reports(self, values: Sequence[LeaseReport]) -> Sequence[int]:
        if self.access.had_recent_request:
            self._check_keys_ahead()
        return self._quota_store.write(self._worker, values, self._clock())

    def _check_keys_ahead(self) -> None:
        with contextlib.suppress(StoreError):  # the next request looks itself, and is refused
            self.access.check_for_changes()

    async def _complete(self, access: asyncio.Future[T], record: Callable[[asyncio.Future[T]], None]) -> None:
        """Wait for an access to the store, and ``record`` its outcome even if the caller is cancelled.

        The store keeps what was written: an amount that only the store knows of would be lost to its key. A caller that
        was not cancelled continues in the turn of the loop in which the outcome is recorded, so no tick returns what it
        waited for. Raises StoreError.
        """
        try:
            await asyncio.wait((access,))
        except asyncio.CancelledError:
            self._accesses.add(access)
            access.add_done_callback(record)
            access.add_done_callback(self._accesses.discard)
            raise
        record(access)
        access.result()

    async def _in_thread(self, do: Callable[[], T]) -> T:
        """Run ``do`` in the manager's thread; it finishes even if the caller is cancelled."""
        return await asyncio.shield(self._start(do))

    def _start(self, do: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, do)

    async def close(self) -> None:
        """Write everything and unregister.

        Open reservations may have been sent, and are charged their exposed amount.
        """
        if self._closed:
            return
        self._closed = True
        for task in (self._ticking, self._refilling, self._keeping_alive, *self._forgetting):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._refuse_all_waiting(quota_errors.STORE_UNAVAILABLE)
        await asyncio.gather(*self._accesses, return_exceptions=True)
        if self._worker and hasattr(self, "_lease_pool"):
            try:
                await self._report(self._lease_pool.close())
                await self._retry_writes()
                await self._in_thread(lambda: self._quota_store.leave(self._worker))
                self._journal.remove()
            except StoreError:
                self._journal.close()  # its file stays: recovery reads it
        self._thread.shutdown()
        self._quota_store.close()


def _wait(refusal: QuotaRefusal) -> float:
    return math.inf if refusal.retry_after is None else refusal.retry_after


def _smallest_remaining(leases: Sequence[Lease]) -> float:
    left = [max(lease.free, 0) + max(lease.left, 0) for lease in leases if lease.account.limit is not None]
    return min(left, default=math.inf)


def _rate_remaining(lease: Lease | None) -> RateRemaining | None:
    if lease is None:
        return None
    limit = lease.account.limit or 0
    remaining = limit if not lease.ready else min(max(lease.free, 0) + max(lease.left, 0), limit)
    return RateRemaining(limit=limit, remaining=remaining, reset=(limit - remaining) * 60 / limit if limit else 0.0)
