"""What a request is told: budgets with their numbers, rates with the time to wait, unknown prices."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from intermodal.gateway.quotas.budget_leases import Lease, LeasePool, QuotaReservation
from intermodal.gateway.quotas.lease_journal import LeaseJournal
from intermodal.gateway.quotas.quota_manager import QuotaManager
from intermodal.gateway.quotas.quota_store import LeaseGrant, LeaseReport, LeaseRequest
from intermodal.gateway.quotas.quota_types import (
    NANODOLLARS,
    Budget,
    QuotaClaim,
    QuotaRefusal,
    RateLimit,
    VirtualKey,
    period_at,
    to_nanodollars,
)
from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 1_764_106_200.0  # 2025-11-25 21:30 UTC

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def started(folder: Path, clock: Clock, limits: dict[str, RateLimit] | None = None) -> QuotaManager:
    ledger = QuotaManager(SqliteQuotaStore(folder / FILE), limits=limits, clock=clock)
    await ledger.start()
    return ledger


async def got(
    ledger: QuotaManager, key: VirtualKey, cost: float | None = 0.0, tokens: int | None = 1
) -> QuotaReservation:
    found = await ledger.admit(key, QuotaClaim(cost=cost, tokens=tokens, endpoints=("e",)))
    assert isinstance(found, QuotaReservation), found
    return found


async def refused(
    ledger: QuotaManager, key: VirtualKey, cost: float | None = 0.0, tokens: int | None = 1
) -> QuotaRefusal:
    async with asyncio.timeout(300):
        found = await ledger.admit(key, QuotaClaim(cost=cost, tokens=tokens, endpoints=("e",)))
    assert isinstance(found, QuotaRefusal)
    return found


async def test_a_budget_is_spent_to_the_last_cent_and_then_refuses_with_the_numbers(
    tmp_path: Path, clock: Clock
) -> None:
    ledger = await started(tmp_path, clock)
    key = VirtualKey(id="k", name="app", budgets=(Budget(unit="usd", limit=NANODOLLARS, period="month"),))
    for _ in range(10):
        ledger.settle(await got(ledger, key, cost=0.1), cost=0.1, tokens=5)
    await asyncio.sleep(0.15)
    clock.now += 1
    no = await refused(ledger, key, cost=0.1)
    assert (no.status, no.code, no.again, no.retry_after) == (429, "insufficient_quota", False, None)
    assert "$1.00 of the $1.00 that key 'app' has for 2025-11 is spent, with $0.00 left" in no.words
    assert "begins anew at 2025-12-01T00:00:00Z" in no.words
    clock.now += 6 * 86400
    await got(ledger, key, cost=0.1)
    await ledger.close()


async def test_what_running_requests_set_aside_may_be_free_again_soon(tmp_path: Path, clock: Clock) -> None:
    ledger = await started(tmp_path, clock)
    key = VirtualKey(id="k", name="app", budgets=(Budget(unit="usd", limit=NANODOLLARS, period="total"),))
    running = await got(ledger, key, cost=0.8)
    no = await refused(ledger, key, cost=0.3)
    assert (no.status, no.code, no.again, no.retry_after) == (429, "budget_reserved", True, 1.0)
    ledger.settle(running, cost=0.2, tokens=1)
    await got(ledger, key, cost=0.3)
    too_much = await refused(ledger, key, cost=1.1)
    assert not too_much.again and "max_tokens" in too_much.words and "$0.80 left" in too_much.words
    over = await refused(ledger, key, cost=0.9)
    assert "$0.20 of the $1.00" in over.words and "does not begin anew" in over.words
    await ledger.close()


async def test_an_unknown_price_is_never_nothing(tmp_path: Path, clock: Clock) -> None:
    ledger = await started(tmp_path, clock)
    bounded = VirtualKey(id="k", name="app", budgets=(Budget(unit="usd", limit=NANODOLLARS),))
    no = await refused(ledger, bounded, cost=None)
    assert (no.status, no.code) == (402, "price_unknown")
    free = VirtualKey(id="f", name="free")
    ledger.settle(await got(ledger, free, cost=None), cost=None, tokens=10)
    ledger.settle(await got(ledger, free, cost=None), cost=0.02, tokens=10)
    ledger.settle(await got(ledger, bounded, cost=0.3), cost=None, tokens=None)
    await ledger.close()
    spent = {row.account: row for row in SqliteQuotaStore(tmp_path / FILE).spending()}
    assert spent["f/unpriced/month"].spent == 1, "counted as a request of unknown price"
    assert spent["f/usd/month"].spent == 20_000_000
    assert (spent["k/usd/month"].spent, spent["k/usd/month"].unknown) == (300_000_000, 300_000_000)


async def test_tokens_that_cannot_be_told_are_refused_where_they_are_limited(tmp_path: Path, clock: Clock) -> None:
    ledger = await started(tmp_path, clock)
    for number, key in enumerate(
        (VirtualKey(id="a", name="a", budgets=(Budget(unit="tokens", limit=10),)),
         VirtualKey(id="b", name="b", rate=RateLimit(tpm=100)))
    ):  # fmt: skip
        assert (await refused(ledger, key, tokens=None)).code == "tokens_unknown", number
    await got(ledger, VirtualKey(id="c", name="c"), tokens=None)
    await ledger.close()


async def test_more_than_was_set_aside_is_charged_as_it_was_and_counts(tmp_path: Path, clock: Clock) -> None:
    ledger = await started(tmp_path, clock)
    key = VirtualKey(id="k", name="app", budgets=(Budget(unit="usd", limit=NANODOLLARS, period="total"),))
    ledger.settle(await got(ledger, key, cost=0.5), cost=0.9, tokens=1)
    await asyncio.sleep(0.15)
    clock.now += 1
    assert (await refused(ledger, key, cost=0.2)).code == "insufficient_quota"
    await got(ledger, key, cost=0.1)
    await ledger.close()
    (row,) = (row for row in SqliteQuotaStore(tmp_path / FILE).spending() if row.account == "k/usd/total")
    assert row.spent == NANODOLLARS


async def test_a_rate_lets_a_minutes_worth_through_and_says_when_there_is_more(tmp_path: Path, clock: Clock) -> None:
    ledger = await started(tmp_path, clock)
    key = VirtualKey(id="k", name="app", rate=RateLimit(rpm=6))
    for _ in range(6):
        ledger.settle(await got(ledger, key), cost=0, tokens=1)
    no = await refused(ledger, key)
    assert (no.status, no.code, no.again) == (429, "rate_limit_exceeded", True)
    assert no.retry_after == pytest.approx(10, abs=0.2) and "6 requests a minute" in no.words
    clock.now += no.retry_after or 0
    await got(ledger, key)
    assert (await refused(ledger, key)).retry_after == pytest.approx(10, abs=0.2)
    requests, tokens = ledger.rates(key)
    assert requests is not None and tokens is None
    assert (requests.limit, requests.remaining) == (6, 0) and requests.reset == pytest.approx(60)
    await ledger.close()


async def test_tokens_set_aside_and_not_taken_go_back_to_the_rate(tmp_path: Path, clock: Clock) -> None:
    ledger = await started(tmp_path, clock)
    key = VirtualKey(id="k", name="app", rate=RateLimit(tpm=1000))
    running = await got(ledger, key, tokens=900)
    assert (await refused(ledger, key, tokens=200)).retry_after == pytest.approx(6, abs=0.2)
    ledger.settle(running, cost=0, tokens=100)
    await got(ledger, key, tokens=800)
    no = await refused(ledger, key, tokens=1001)
    assert not no.again and "max_tokens" in no.words
    await ledger.close()


async def test_an_endpoints_rate_holds_for_all_keys_and_all_workers(tmp_path: Path, clock: Clock) -> None:
    ledgers = [await started(tmp_path, clock, {"e": RateLimit(rpm=40)}) for _ in range(2)]
    admitted = 0
    for turn in range(60):
        found = await ledgers[turn % 2].admit(
            VirtualKey(id=f"k{turn % 3}", name="k"), QuotaClaim(cost=0, tokens=1, endpoints=("e",))
        )
        admitted += isinstance(found, QuotaReservation)
        await asyncio.sleep(0.06 if turn > 40 else 0)
    assert admitted == 40
    for ledger in ledgers:
        await ledger.close()


async def test_a_request_whose_client_leaves_while_it_waits_sets_nothing_aside(tmp_path: Path, clock: Clock) -> None:
    ledger = await started(tmp_path, clock)
    keys = [
        VirtualKey(id=f"k{number}", name="app", budgets=(Budget(unit="usd", limit=NANODOLLARS, period="total"),))
        for number in range(20)  # each has to be drawn for first
    ]
    for number, key in enumerate(keys):
        waiting = asyncio.ensure_future(ledger.admit(key, QuotaClaim(cost=0.5, tokens=1)))
        for _ in range(number % 4):
            await asyncio.sleep(0)
        if waiting.cancel():
            with pytest.raises(asyncio.CancelledError):
                await waiting
        else:
            ledger.release(await waiting)  # type: ignore[arg-type]
    for key in keys:
        await got(ledger, key, cost=1.0)
    await ledger.close()


async def test_nothing_is_done_while_nobody_asks(tmp_path: Path, clock: Clock) -> None:
    ledger = await started(tmp_path, clock)
    key = VirtualKey(id="k", name="app", budgets=(Budget(unit="usd", limit=NANODOLLARS),))
    ledger.settle(await got(ledger, key, cost=0.1), cost=0.1, tokens=1)
    tick, ticks = ledger._lease_pool.tick, list[float]()

    def counted(now: float) -> list[tuple[Lease, LeaseReport]]:
        ticks.append(now)
        return tick(now)

    ledger._lease_pool.tick = counted  # type: ignore[method-assign]
    async with asyncio.timeout(300):
        while ledger._ticking is not None and len(ticks) <= 100:
            await asyncio.sleep(0.02)
    assert ledger._ticking is None, "an idle gateway wakes for nothing"
    (row,) = (row for row in SqliteQuotaStore(tmp_path / FILE).spending() if row.account == "k/usd/month")
    assert (row.spent, row.held) == (NANODOLLARS // 10, 0), "and nothing lies idle in it"
    await ledger.close()


@pytest.mark.parametrize(
    ("period", "start", "hours"),
    [("hour", "2025-11-25T21", 0.5), ("day", "2025-11-25", 2.5), ("month", "2025-11", 5 * 24 + 2.5)],
)
def test_periods_begin_on_the_hour_the_day_and_the_month_in_utc(period: str, start: str, hours: float) -> None:
    name, until = period_at(period, Clock().now)  # type: ignore[arg-type]
    assert (name, until) == (start, Clock().now + hours * 3600)
    assert period_at("total", 0.0)[1] > 1e300


@pytest.mark.parametrize(("usd", "expected"), [(0.1 + 0.2, 300_000_000), (1e-10, 1), (0.0, 0), (0.004, 4_000_000)])
def test_money_is_rounded_up_to_nanodollars_and_never_by_what_a_float_cannot_say(usd: float, expected: int) -> None:
    assert to_nanodollars(usd) == expected


async def test_a_worker_of_another_host_is_taken_for_dead_after_ten_silent_minutes(tmp_path: Path) -> None:
    """A container that was killed has another host name when it comes back: nobody sees that its processes ended."""
    now = [1e9]
    before = SqliteQuotaStore(tmp_path / FILE, process="container-1/boot/7/1", clock=lambda: now[0])
    key = VirtualKey(id="k", name="app", budgets=(Budget(unit="usd", limit=NANODOLLARS, period="total"),))
    ledger = QuotaManager(before)
    await ledger.start()
    await got(ledger, key, cost=0.25)
    assert ledger._ticking is not None
    ledger._ticking.cancel()  # what it writes is a sign of life
    after = SqliteQuotaStore(tmp_path / FILE, process="container-2/boot/7/1", clock=lambda: now[0])
    now[0] += 500
    assert after.recover() == 0
    await asyncio.get_running_loop().run_in_executor(None, before.write, ledger._worker, (), now[0])  # a sign of life
    now[0] += 500
    assert after.recover() == 0
    now[0] += 101
    assert after.recover() == 1
    (row,) = (row for row in after.spending() if row.account == "k/usd/total")
    assert (row.spent, row.unknown, row.held) == (NANODOLLARS // 4, NANODOLLARS // 4, 0)
    late = VirtualKey(id="late", name="late", budgets=(Budget(unit="usd", limit=NANODOLLARS),))
    assert (await refused(ledger, late, cost=0.1)).status == 503, "who was taken for dead admits nothing more"
    await ledger.close()


def test_another_process_that_looks_in_leaves_what_is_in_use(tmp_path: Path) -> None:
    """Two connections of one process; `keys list` beside them must not take itself for the last user."""
    path = tmp_path / FILE
    quota_store = SqliteQuotaStore(path)
    quota_store.enter()
    quota_store.spending()
    look = (
        f"from pathlib import Path; from {SqliteQuotaStore.__module__} import SqliteQuotaStore as B;"
        f" b = B(Path({str(path)!r}));"
    )
    subprocess.run([sys.executable, "-c", f"{look} b.every_key(); b.spending(); b.close()"], check=True)
    mine = quota_store.enter().id
    with closing(sqlite3.connect(path)) as other:
        assert (mine,) in other.execute("SELECT id FROM workers").fetchall()
    quota_store.close()


# ---- limits that are changed ---------------------------------------------------------------------------


def bounded(usd: float | None, rpm: int | None = None) -> VirtualKey:
    budgets = () if usd is None else (Budget(unit="usd", limit=to_nanodollars(usd), period="month"),)
    return VirtualKey(id="k", name="app", budgets=budgets, rate=RateLimit(rpm=rpm))


async def written(clock: Clock) -> None:
    await asyncio.sleep(0.15)
    clock.now += 1


def spent_in(folder: Path) -> float:
    return {row.account: row.spent for row in SqliteQuotaStore(folder / FILE).spending()}["k/usd/month"] / NANODOLLARS


async def test_a_budget_that_is_made_smaller_holds_at_once_and_forgets_nothing(tmp_path: Path, clock: Clock) -> None:
    ledger = await started(tmp_path, clock)
    for _ in range(3):
        ledger.settle(await got(ledger, bounded(1.0), cost=0.1), cost=0.1, tokens=1)
    running = await got(ledger, bounded(1.0), cost=0.1)
    await written(clock)
    less = bounded(0.5)
    ledger.settle(await got(ledger, less, cost=0.1), cost=0.1, tokens=1)
    await written(clock)
    no = await refused(ledger, less, cost=0.1)
    assert "$0.40 of the $0.50" in no.words, "with what an earlier limit let in counted"
    ledger.settle(running, cost=0.05, tokens=1)
    await written(clock)
    ledger.settle(await got(ledger, less, cost=0.05), cost=0.05, tokens=1)
    await ledger.close()
    assert spent_in(tmp_path) == pytest.approx(0.5)


async def test_a_budget_that_is_made_larger_lets_in_who_was_refused(tmp_path: Path, clock: Clock) -> None:
    ledger = await started(tmp_path, clock)
    ledger.settle(await got(ledger, bounded(0.2), cost=0.2), cost=0.2, tokens=1)
    await written(clock)
    assert (await refused(ledger, bounded(0.2), cost=0.1)).code == "insufficient_quota"
    more = bounded(0.35)
    ledger.settle(await got(ledger, more, cost=0.1), cost=0.1, tokens=1)
    await written(clock)
    assert (await refused(ledger, more, cost=0.1)).code == "insufficient_quota"
    await ledger.close()
    assert spent_in(tmp_path) == pytest.approx(0.3)


async def test_a_budget_can_be_given_and_taken_away_while_requests_run(tmp_path: Path, clock: Clock) -> None:
    """What was spent without a limit counts under the one that is given; sums go on through all of it."""
    ledger = await started(tmp_path, clock)
    free, tight, wide = bounded(None), bounded(0.6), bounded(2.0)
    for _ in range(4):
        ledger.settle(await got(ledger, free, cost=0.1), cost=0.1, tokens=1)
    running = await got(ledger, free, cost=0.1)
    await written(clock)
    ledger.settle(await got(ledger, tight, cost=0.1), cost=0.1, tokens=1)
    await written(clock)
    assert (await refused(ledger, tight, cost=0.1)).status == 429
    ledger.settle(await got(ledger, free, cost=5.0), cost=0.3, tokens=1)
    ledger.settle(running, cost=0.1, tokens=1)
    await written(clock)
    ledger.settle(await got(ledger, wide, cost=1.0), cost=1.0, tokens=1)
    await written(clock)
    assert (await refused(ledger, wide, cost=0.2)).status == 429
    await ledger.close()
    assert spent_in(tmp_path) == pytest.approx(0.4 + 0.1 + 0.1 + 0.3 + 1.0)


async def test_a_rate_can_be_changed(tmp_path: Path, clock: Clock) -> None:
    ledger = await started(tmp_path, clock)
    for _ in range(2):
        ledger.settle(await got(ledger, bounded(None, rpm=2)), cost=0.0, tokens=1)
    await written(clock)
    assert (await refused(ledger, bounded(None, rpm=2))).code == "rate_limit_exceeded"
    faster = bounded(None, rpm=120)
    clock.now += 1
    ledger.settle(await got(ledger, faster), cost=0.0, tokens=1)
    await ledger.close()


async def test_what_was_spent_long_ago_is_forgotten_and_sums_stay(tmp_path: Path, clock: Clock) -> None:
    budgets = tuple(
        Budget(unit="usd", limit=9 * NANODOLLARS, period=period) for period in ("hour", "day", "month", "total")
    )
    key = VirtualKey(id="k", name="app", budgets=budgets)
    for _ in range(3):
        ledger = await started(tmp_path, clock)
        ledger.settle(await got(ledger, key, cost=0.5), cost=0.5, tokens=1)
        await ledger.close()
        clock.now += 36 * 86400
    quota_store = SqliteQuotaStore(tmp_path / FILE, clock=clock)
    quota_store.prune()
    rows = [row for row in quota_store.spending() if "/usd/" in row.account]
    starts = {period: sorted(row.start for row in rows if row.account.endswith(period))
              for period in ("hour", "day", "month", "total")}  # fmt: skip
    assert starts["hour"] == []
    assert starts["day"] == ["2025-11-25", "2025-12-31", "2026-02-05"]
    assert starts["month"] == ["2025-11", "2025-12", "2026-02"]
    assert next(row.spent for row in rows if row.account.endswith("total")) == 1.5 * NANODOLLARS
    clock.now += 420 * 86400
    assert quota_store.prune() == 3
    assert next(row.spent for row in quota_store.spending() if row.account == "k/usd/total") == 1.5 * NANODOLLARS


class SlowQuotaStore(SqliteQuotaStore):
    """Whose drawing takes as long as the test wants: a disk under load."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.drawing, self.go_on = threading.Event(), threading.Event()

    def take(self, worker: str, wants: Sequence[LeaseRequest], now: float) -> tuple[LeaseGrant, ...]:
        self.drawing.set()
        assert self.go_on.wait(300)
        return super().take(worker, wants, now)


@pytest.mark.parametrize("seconds", [0.0, 1.0], ids=["at once", "longer than anybody waits"])
async def test_who_comes_while_others_draw_is_not_refused_where_there_is_plenty(
    tmp_path: Path, clock: Clock, seconds: float
) -> None:
    quota_store = SlowQuotaStore(tmp_path / FILE)
    ledger = QuotaManager(quota_store, clock=clock)
    await ledger.start()
    key = VirtualKey(id="k", name="app", budgets=(Budget(unit="usd", limit=1_000_000 * NANODOLLARS, period="total"),))
    for cost in (0.01, 1, 100):  # more than was drawn before; the first time it looks for dead workers and is patient
        claim = QuotaClaim(cost=cost, tokens=1, endpoints=("e",))
        quota_store.drawing.clear()
        quota_store.go_on.clear()
        first = [asyncio.create_task(ledger.admit(key, claim)) for _ in range(20)]
        assert await asyncio.to_thread(quota_store.drawing.wait, 10)
        more = [asyncio.create_task(ledger.admit(key, claim)) for _ in range(400)]
        await asyncio.sleep(0)
        clock.now += seconds
        quota_store.go_on.set()
        async with asyncio.timeout(300):
            found = await asyncio.gather(*first, *more)
        assert [each.words for each in found if isinstance(each, QuotaRefusal)] == []
        for each in found:
            assert isinstance(each, QuotaReservation)
            ledger.settle(each, cost=0.001, tokens=1)
        clock.now += 0.3
    await ledger.close()


async def test_what_goes_back_from_here_is_waited_for_by_an_attempt_that_needs_it(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick has taken it off this lease, and the quota store does not know yet: it is neither here nor there."""
    monkeypatch.setattr("intermodal.gateway.quotas.quota_manager.WAIT_SECONDS", 0.0)
    ledger = await started(tmp_path, clock)
    running, other = [await got(ledger, bounded(1.0), cost=cost) for cost in (0.3, 0.6)]
    ledger.settle(other, cost=0.0, tokens=0)
    ledger._lease_pool.tick(clock())
    assert await ledger.extend(running, 0.9, 0)
    await ledger.close()


@pytest.mark.parametrize("given_back", [False, True])
async def test_an_attempt_waits_for_tokens_that_are_idle_elsewhere_also_if_its_money_had_to_be_drawn(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, given_back: bool
) -> None:
    """``given_back``: a tick gives back what was drawn of the money before it is used, as the tokens are lacking."""
    ours, theirs = await started(tmp_path, clock), await started(tmp_path, clock)
    for ledger in (ours, theirs):
        monkeypatch.setattr(ledger, "_start_ticking", lambda: None)
    money = Budget(unit="usd", limit=NANODOLLARS, period="total")
    key = VirtualKey(id="k", name="app", budgets=(money, Budget(unit="tokens", limit=1000, period="total")))
    running = await got(ours, key, cost=0.001, tokens=10)
    theirs.settle(await got(theirs, key, cost=0.0, tokens=800), cost=0.0, tokens=0)
    draw, ticks = ours._draw_leases, [clock()] * given_back

    async def draw_and_tick(request: Sequence[tuple[Lease, int, int]]) -> None:
        await draw(request)
        if ticks:
            ours._lease_pool.tick(ticks.pop())

    monkeypatch.setattr(ours, "_draw_leases", draw_and_tick)
    extending = asyncio.create_task(ours.extend(running, 0.9, 900))
    await asyncio.sleep(0.1)
    await theirs._report_leases()
    async with asyncio.timeout(300):
        assert await extending
    for ledger in (ours, theirs):
        await ledger.close()


def test_what_was_spent_is_told_whole_while_two_draws_are_on_their_way(tmp_path: Path, clock: Clock) -> None:
    """The second asks after more was spent, and the first answers with what the quota store knew before."""
    quota_store = SqliteQuotaStore(tmp_path / FILE)
    entered = quota_store.enter()
    lease_pool = LeasePool(LeaseJournal(entered.journal), {})
    key = VirtualKey(id="k", name="app", budgets=(Budget(unit="usd", limit=NANODOLLARS, period="total"),))
    parts = lease_pool.lease_amounts(lease_pool.key_leases(key, clock.now), QuotaClaim(cost=0.5, tokens=1), clock.now)

    def asked() -> list[tuple[Lease, int, LeaseRequest]]:
        return [(lease, need, lease.draw_request(need, need)) for lease, need in parts]

    def answered(drawn: list[tuple[Lease, int, LeaseRequest]]) -> tuple[LeaseGrant, ...]:
        return quota_store.take(entered.id, [want for _, _, want in drawn], clock.now)

    def spent() -> int:
        return max(lease.total_spent for lease, _ in parts if lease.unit == "usd")

    first = asked()
    lease_pool.add_grants(first, answered(first), clock.now)
    made = lease_pool.reserve(key, parts)
    assert made is not None
    before = asked()
    known = answered(before)
    lease_pool.settle(made, 0.5, 1)
    lines = lease_pool.tick(clock.now)
    after = asked()
    lease_pool.add_grants(before, known, clock.now)
    assert spent() == NANODOLLARS // 2
    lease_pool.mark_written(lines, quota_store.write(entered.id, [line for _, line in lines], clock.now))
    lease_pool.add_grants(after, answered(after), clock.now)
    assert spent() == NANODOLLARS // 2
    quota_store.close()
