"""What comes between two steps of the ledger: a write that fails, a client that leaves, a limit that is changed."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from intermodal.errors import StoreError
from intermodal.gateway.quotas.budget_leases import QuotaReservation
from intermodal.gateway.quotas.quota_manager import QuotaManager
from intermodal.gateway.quotas.quota_store import (
    FirstUse,
    IdempotentRequest,
    LeaseGrant,
    LeaseReport,
    LeaseRequest,
    StoredReply,
)
from intermodal.gateway.quotas.quota_types import (
    NANODOLLARS,
    Budget,
    QuotaClaim,
    QuotaRefusal,
    RateLimit,
    VirtualKey,
    to_nanodollars,
)
from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore

pytestmark = pytest.mark.anyio

KEY = VirtualKey(id="k", name="app", budgets=(Budget(unit="usd", limit=100 * NANODOLLARS, period="total"),))
OTHER = VirtualKey(id="o", name="other")
ASKED = IdempotentRequest(owner="k", name="order 1", digest=b"d")


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


class Held(SqliteQuotaStore):
    """Books in which something is held up until ``go_on``; it may fail then."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.holds = ""  # "over": the end of a lease, "take": a draw, "return": a report of what goes back
        self.fails = False
        self.ended = list[str]()  # accounts whose leases are over
        self.returned = 0  # to the rate of an endpoint

    def _held(self) -> None:
        self.holds = ""
        self.reached.set()
        assert self.go_on.wait(300)
        if self.fails:
            raise StoreError("is busy")

    def write(self, worker: str, reports: Sequence[LeaseReport], now: float) -> tuple[int, ...]:
        over = [report.account.id for report in reports if report.over]
        if self.holds == "over" and "k/usd/total" in over:
            self._held()
        if self.holds == "return" and any(report.returned for report in reports if report.account.id == "k/usd/total"):
            self._held()
        left = super().write(worker, reports, now)
        self.ended += over
        self.returned += sum(report.returned for report in reports if report.account.endpoint)
        return left

    def take(self, worker: str, wants: Sequence[LeaseRequest], now: float) -> tuple[LeaseGrant, ...]:
        grants = super().take(worker, wants, now)
        if self.holds == "take" and any(want.account.limit is not None for want in wants):
            self._held()
        return grants

    def finish(self, row: int, reply: StoredReply, now: float) -> None:
        if self.fails:
            raise StoreError("is busy")
        super().finish(row, reply, now)


async def until(true: object) -> None:
    async with asyncio.timeout(300):
        while not true():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def got(ledger: QuotaManager, key: VirtualKey, cost: float) -> QuotaReservation:
    found = await ledger.admit(key, QuotaClaim(cost=cost, tokens=1))
    assert isinstance(found, QuotaReservation), found
    return found


async def spent(quota_store: Held, clock: Clock, cost: float) -> QuotaManager:
    """A ledger in which so much was spent of the key, all of which is written."""
    ledger = QuotaManager(quota_store, clock=clock)
    await ledger.start()
    ledger.settle(await got(ledger, KEY, cost), cost=cost, tokens=1)
    await until(lambda: ledger._ticking is None)
    return ledger


def held(quota_store: SqliteQuotaStore) -> int:
    return sum(row.held for row in quota_store.spending() if row.account == "k/usd/total")


async def test_a_lease_that_ends_takes_no_part_of_the_next_one_with_it(tmp_path: Path) -> None:
    clock, quota_store = Clock(), Held(tmp_path / FILE)
    ledger = await spent(quota_store, clock, 1.0)
    quota_store.holds, quota_store.fails = "over", True
    clock.now += 70  # unused for a minute
    await got(ledger, OTHER, 0.0)
    assert await asyncio.to_thread(quota_store.reached.wait, 20)
    asking = asyncio.create_task(got(ledger, KEY, 60.0))
    for _ in range(10):
        await asyncio.sleep(0)  # what it needs is asked for, behind the end that cannot be written
    quota_store.go_on.set()
    await asking
    await until(lambda: "k/usd/total" in quota_store.ended)
    assert held(quota_store) >= to_nanodollars(60), "what it set aside is known to the others"
    await ledger.close()


async def test_a_lease_does_not_end_while_it_is_drawn_for(tmp_path: Path) -> None:
    clock, quota_store = Clock(), Held(tmp_path / FILE)
    ledger = await spent(quota_store, clock, 60.0)
    clock.now += 20
    quota_store.holds = "take"
    asking = asyncio.create_task(got(ledger, KEY, 1.0))
    assert await asyncio.to_thread(quota_store.reached.wait, 20)
    clock.now += 50  # a minute since it was used
    ledger._lease_pool.tick(clock.now)
    quota_store.go_on.set()
    ledger.settle(await asking, cost=1.0, tokens=1)
    await until(lambda: ledger._ticking is None)
    assert "k/usd/total" not in quota_store.ended
    await ledger.close()
    (row,) = (row for row in SqliteQuotaStore(tmp_path / FILE).spending() if row.account == "k/usd/total")
    assert (row.spent, row.held) == (to_nanodollars(61), 0)


async def test_who_may_have_what_goes_back_just_now_waits_for_it(tmp_path: Path) -> None:
    quota_store = Held(tmp_path / FILE)
    ledger = QuotaManager(quota_store)
    await ledger.start()
    running = await got(ledger, KEY, 50.0)
    quota_store.holds = "take"
    asking = asyncio.create_task(ledger.admit(KEY, QuotaClaim(cost=80.0, tokens=1)))
    assert await asyncio.to_thread(quota_store.reached.wait, 20)
    ledger.settle(running, cost=10.0, tokens=1)
    await asyncio.sleep(0.5)  # longer than it is waited for what others have; meanwhile what lies idle here goes back
    quota_store.go_on.set()
    found = await asking
    assert isinstance(found, QuotaReservation), found.words
    await ledger.close()


async def cancelled_draw(ledger: QuotaManager, quota_store: Held, reservation: QuotaReservation) -> None:
    """Cancel a request that is to be raised to $80 while its draw is held up."""
    quota_store.holds = "take"
    extending = asyncio.create_task(ledger.extend(reservation, 80.0, 1))
    assert await asyncio.to_thread(quota_store.reached.wait, 20)
    extending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await extending


async def test_the_amount_drawn_for_a_request_that_leaves_is_there_for_the_next(tmp_path: Path) -> None:
    quota_store = Held(tmp_path / FILE)
    ledger = QuotaManager(quota_store)
    await ledger.start()
    running = await got(ledger, KEY, 1.0)
    await cancelled_draw(ledger, quota_store, running)
    ledger.settle(running, cost=0.0, tokens=1)
    quota_store.go_on.set()
    ledger.release(await got(ledger, KEY, 50.0))
    await until(lambda: not held(quota_store))
    await ledger.close()


async def test_nothing_goes_back_of_what_a_request_has_while_it_draws_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would draw it again, while the next tick returned that: on a busy machine without end."""
    quota_store = Held(tmp_path / FILE)
    ledger = QuotaManager(quota_store)
    monkeypatch.setattr(ledger, "_start_ticking", lambda: None)  # the ticks are those of the test
    await ledger.start()
    running = await got(ledger, KEY, 1.0)
    ledger.release(await got(ledger, KEY, 60.0))
    (lease,) = ledger._key_leases(KEY, time.time()).usd
    quota_store.holds = "take"
    extending = asyncio.create_task(ledger.extend(running, 90.0, 1))
    assert await asyncio.to_thread(quota_store.reached.wait, 20)
    free = lease.free
    for _ in range(20):  # as after some quiet seconds
        lease.tick(time.time())
    assert lease.free == free > 0
    quota_store.go_on.set()
    assert await extending
    assert not lease.returning
    await ledger.close()


@pytest.mark.parametrize("closes", [False, True])
async def test_the_rate_drawn_for_a_request_that_leaves_goes_back_when_nobody_asks(
    closes: bool, tmp_path: Path
) -> None:
    quota_store = Held(tmp_path / FILE)
    ledger = QuotaManager(quota_store, limits={"cloud:strong": RateLimit(tpm=1000)})
    await ledger.start()
    quota_store.holds = "take"
    drawing = asyncio.create_task(ledger.draw_rate(OTHER, "cloud:strong", 600))
    assert await asyncio.to_thread(quota_store.reached.wait, 20)
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    closing = asyncio.create_task(ledger.close()) if closes else None
    await asyncio.sleep(0)
    quota_store.go_on.set()
    if closing is not None:
        await closing
        assert quota_store.returned >= 600
    else:
        await until(lambda: quota_store.returned >= 600)
        await ledger.close()


async def test_a_draw_that_fails_after_its_request_left_is_no_error_that_nobody_retrieved(tmp_path: Path) -> None:
    quota_store, errors = Held(tmp_path / FILE), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    ledger = QuotaManager(quota_store)
    await ledger.start()
    running = await got(ledger, KEY, 1.0)
    quota_store.fails = True
    await cancelled_draw(ledger, quota_store, running)
    quota_store.go_on.set()
    await ledger.close()
    gc.collect()
    assert not errors


async def test_who_leaves_while_its_idempotency_key_is_written_down_leaves_no_request_that_runs(tmp_path: Path) -> None:
    ledger = QuotaManager(SqliteQuotaStore(tmp_path / FILE))
    await ledger.start()
    for turns in range(4):
        asking = asyncio.create_task(ledger.begin_idempotent(ASKED))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        async with asyncio.timeout(300):
            while not isinstance(found := await ledger.begin_idempotent(ASKED), FirstUse):
                await asyncio.sleep(0.01)
        await ledger.free_idempotency_key(found)
    await ledger.close()


async def test_an_answer_that_could_not_be_kept_is_said_to_be_lost_and_not_to_run(tmp_path: Path) -> None:
    quota_store = Held(tmp_path / FILE)
    ledger = QuotaManager(quota_store)
    await ledger.start()
    fresh = await ledger.begin_idempotent(ASKED)
    assert isinstance(fresh, FirstUse)
    quota_store.fails = True
    await ledger.finish(fresh, StoredReply(status=200, content_type="text/plain", body=b"said"))
    quota_store.fails = False
    codes = list[str]()
    async with asyncio.timeout(300):
        while codes[-1:] != ["idempotency_lost"]:
            found = await ledger.begin_idempotent(ASKED)
            assert isinstance(found, QuotaRefusal)
            codes.append(found.code)
            await asyncio.sleep(0.01)
    await ledger.close()


async def test_a_limit_that_was_changed_while_a_request_was_planned_holds_for_it(tmp_path: Path) -> None:
    quota_store = SqliteQuotaStore(tmp_path / FILE)
    ledger = QuotaManager(quota_store)
    await ledger.start()
    head = {"authorization": "Bearer im-secret"}
    digest = hashlib.sha256(b"im-secret").digest()
    quota_store.add(VirtualKey(id="k", name="app", digest=digest, budgets=KEY.budgets))
    early = ledger.access.authenticate(head)
    assert isinstance(early, VirtualKey)
    ledger.settle(await got(ledger, early, 0.1), cost=0.1, tokens=1)
    SqliteQuotaStore(tmp_path / FILE).change(
        "k",
        lambda _: VirtualKey(
            id="k", name="app", digest=digest, budgets=(Budget(unit="usd", limit=NANODOLLARS, period="total"),)
        ),
    )
    await until(lambda: ledger.access.authenticate(head) is not early)
    found = await ledger.admit(early, QuotaClaim(cost=50.0, tokens=1))
    assert isinstance(found, QuotaRefusal) and "$1.00" in found.words
    await ledger.close()


async def cancelled_return(ledger: QuotaManager, quota_store: Held, *, fails: bool) -> QuotaReservation:
    """Cancel a request that reports, before it draws, that $60 go back; return a reservation of $1 that is still open.

    ``fails``: the report cannot be written.
    """
    running = await got(ledger, KEY, 1.0)
    ledger.release(await got(ledger, KEY, 60.0))
    (lease,) = ledger._key_leases(KEY, time.time()).usd
    quota_store.holds, quota_store.fails = "return", fails
    lease.used, lease.pace = 0, 0.0  # as after some quiet seconds
    lease.tick(time.time())
    extending = asyncio.create_task(ledger.extend(running, 90.0, 1))
    assert await asyncio.to_thread(quota_store.reached.wait, 20)
    extending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await extending
    quota_store.go_on.set()
    await ledger._in_thread(lambda: None)  # behind it
    return running


async def test_a_report_that_fails_after_its_request_left_is_written_again(tmp_path: Path) -> None:
    quota_store = Held(tmp_path / FILE)
    ledger = QuotaManager(quota_store)
    await ledger.start()
    await cancelled_return(ledger, quota_store, fails=True)
    quota_store.fails = False
    await until(lambda: held(quota_store) < to_nanodollars(2))
    await ledger.close()


async def test_what_a_request_that_left_has_returned_is_not_waited_for(tmp_path: Path) -> None:
    quota_store = Held(tmp_path / FILE)
    ledger, worker = QuotaManager(quota_store), QuotaManager(SqliteQuotaStore(tmp_path / FILE))
    await ledger.start()
    await worker.start()
    running = await cancelled_return(ledger, quota_store, fails=False)
    await until(lambda: held(quota_store) == to_nanodollars(1))
    await got(worker, KEY, 99.0)
    async with asyncio.timeout(300):
        found = await ledger.admit(KEY, QuotaClaim(cost=60.0, tokens=1))
    assert isinstance(found, QuotaRefusal) and found.code == "budget_reserved"
    ledger.release(running)
    await ledger.close()
    await worker.close()
