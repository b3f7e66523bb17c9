"""C1, C2 and C4 with real processes on one file: budgets hold, kills forget nothing, a broken disk sends nothing."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import pytest

from intermodal.gateway.quotas.budget_leases import QuotaReservation
from intermodal.gateway.quotas.quota_manager import QuotaManager
from intermodal.gateway.quotas.quota_store import AccountSpending
from intermodal.gateway.quotas.quota_types import NANODOLLARS, Budget, QuotaClaim, QuotaRefusal, RateLimit, VirtualKey
from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore

# A worker process: admits `calls` calls that may each cost `high` and cost `actual`, `together` at a time. It prints
# how many were admitted and what they cost. With "stop" it holds what it got until it is told to go on; with "tell" it
# says when it has settled its first call.
WORKER = """
import asyncio, sys
from pathlib import Path
from intermodal.gateway.quotas.quota_manager import QuotaManager
from intermodal.gateway.quotas.quota_types import QuotaClaim
from intermodal.gateway.quotas.sqlite_store import SqliteQuotaStore
from intermodal.gateway.quotas.budget_leases import QuotaReservation

async def main(path, calls, high, actual, together, mode):
    ledger = QuotaManager(SqliteQuotaStore(Path(path)))
    await ledger.start()
    (key,) = ledger.access._quota_store.every_key()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    admitted, held = 0, []
    claim, left = QuotaClaim(cost=high, tokens=10), calls

    async def one():
        nonlocal admitted, left, mode
        while left > 0:
            left -= 1
            made = await ledger.admit(key, claim)
            if not isinstance(made, QuotaReservation):
                continue
            admitted += 1
            if mode == "stop":
                held.append(made)
                continue
            await asyncio.sleep(0)
            ledger.settle(made, cost=actual, tokens=7)
            if mode == "tell":
                mode = "go"
                print("settled", flush=True)

    await asyncio.gather(*(one() for _ in range(together)))
    print("held", admitted, flush=True)
    if mode == "stop":
        await asyncio.to_thread(sys.stdin.readline)
        for made in held:
            ledger.settle(made, cost=actual, tokens=7)
    await ledger.close()
    print("done", admitted, flush=True)

path, calls, high, actual, together, mode = sys.argv[1:]
asyncio.run(main(path, int(calls), float(high), float(actual), int(together), mode))
"""


class Process:
    def __init__(
        self, path: Path, calls: int, high: float, actual: float, together: int = 50, *,
        mode: Literal["go", "stop", "tell"] = "go",
    ) -> None:  # fmt: skip
        arguments = [str(path), str(calls), repr(high), repr(actual), str(together), mode]
        self.child = subprocess.Popen(
            [sys.executable, "-c", WORKER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.line() == "ready"

    def line(self) -> str:
        assert self.child.stdout is not None
        return self.child.stdout.readline().strip()

    def go(self) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write("go\n")
        self.child.stdin.flush()

    def admitted(self) -> int:
        word, _, number = self.line().partition(" ")
        assert word in ("held", "done")
        return int(number)

    def end(self) -> None:
        self.child.communicate(timeout=300)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / FILE


def make(file: Path, *budgets: Budget, rate: RateLimit | None = None) -> VirtualKey:
    quota_store = SqliteQuotaStore(file)
    quota_store.add(VirtualKey(id="k", name="app", digest=b"d", budgets=budgets, rate=rate or RateLimit()))
    (key,) = quota_store.every_key()
    quota_store.close()
    return key


def row(file: Path, account: str) -> AccountSpending:
    quota_store = SqliteQuotaStore(file)
    (found,) = (row for row in quota_store.spending() if row.account == account)
    quota_store.close()
    return found


@pytest.mark.timeout(300)
def test_C1_four_workers_never_set_aside_more_than_the_budget(file: Path, full_gates: bool) -> None:
    """1,000 calls at once in 4 processes, each up to 1 % of $1: exactly 100 get in, and unused money is free again."""
    make(file, Budget(unit="usd", limit=NANODOLLARS, period="total"))
    for round_ in range(10 if full_gates else 2):
        workers = [Process(file, 250, 0.01, 0.0, 250, mode="stop") for _ in range(4)]
        for worker in workers:
            worker.go()
        admitted = [worker.admitted() for worker in workers]
        assert sum(admitted) == 100, f"round {round_}: admitted {admitted} of 100 that fit"
        held = row(file, "k/usd/total")
        assert held.spent + held.held <= NANODOLLARS
        for worker in workers:
            worker.go()
            worker.end()
        after = row(file, "k/usd/total")
        assert (after.spent, after.held) == (0, 0), "nothing of it was used, so all of it is free again"


@pytest.mark.timeout(600)
def test_C1_thousands_of_reservations_by_four_workers_add_up_exactly(file: Path, full_gates: bool) -> None:
    """Each admitted call costs less than it might: the budget runs out to the last call that fits, never beyond."""
    make(file, Budget(unit="usd", limit=10 * NANODOLLARS), Budget(unit="tokens", limit=10**9, period="day"))
    calls = 40_000 if full_gates else 4_000
    high, actual = 10.0 / calls, 7.0 / calls  # of all the calls, some have to be refused
    workers = [Process(file, calls, high, actual) for _ in range(4)]
    for worker in workers:
        worker.go()
    counted = [worker.admitted() for worker in workers]
    for worker in workers:
        worker.end()
    spent = row(file, "k/usd/month")
    assert spent.spent == sum(counted) * round(actual * NANODOLLARS), f"{counted}"
    assert spent.spent <= 10 * NANODOLLARS and spent.held == 0 and spent.unknown == 0
    assert 10 * NANODOLLARS - spent.spent < 50 * 4 * high * NANODOLLARS, "refused although there was room"
    assert row(file, "k/tokens/day").spent == 7 * sum(counted)


@pytest.mark.timeout(900)
def test_C2_a_killed_worker_costs_its_upper_bound_and_nothing_is_forgotten(file: Path, full_gates: bool) -> None:
    """kill -9 while calls are open: what was spent never drops, and what was open counts whole, marked as not known."""
    make(file, Budget(unit="usd", limit=1000 * NANODOLLARS, period="total"))
    random_, open_, before = random.Random(2), 0, 0
    for _ in range(50 if full_gates else 4):
        worker = Process(file, random_.randint(1, 300), 0.01, 0.003, 20, mode="stop")
        worker.go()
        open_ += worker.admitted()
        worker.child.send_signal(signal.SIGKILL)
        worker.child.communicate()
        quota_store = SqliteQuotaStore(file)
        assert quota_store.recover() == 1
        assert quota_store.recover() == 0
        quota_store.close()
        now = row(file, "k/usd/total")
        assert now.spent >= before
        assert (now.spent, now.unknown, now.held) == (open_ * NANODOLLARS // 100, open_ * NANODOLLARS // 100, 0)
        before = now.spent


@pytest.mark.timeout(900)
def test_C2_killed_at_any_instant_counts_all_that_was_admitted(file: Path, full_gates: bool) -> None:
    """kill -9 in the middle of admitting and settling: at least what was settled counts, at most what was admitted."""
    make(file, Budget(unit="tokens", limit=10**12, period="total"), Budget(unit="usd", limit=10**15, period="total"))
    random_, before, kills = random.Random(3), 0, 50 if full_gates else 4
    usd = tokens = AccountSpending(account="", start="", spent=0, unknown=0, held=0)
    for _ in range(kills):
        worker = Process(file, 10**7, 0.01, 0.003, 20, mode="tell")
        worker.go()
        assert worker.line() == "settled"
        time.sleep(random_.uniform(0.02, 0.4))
        worker.child.send_signal(signal.SIGKILL)
        worker.child.communicate()
        quota_store = SqliteQuotaStore(file)
        quota_store.recover()
        quota_store.close()
        usd, tokens = row(file, "k/usd/total"), row(file, "k/tokens/total")
        assert usd.spent > before and usd.held == tokens.held == 0
        before = usd.spent
    # Every call took 7 tokens and $0.003, or was open and counts whole: 10 tokens and $0.01.
    assert usd.unknown % (NANODOLLARS // 100) == 0, "only whole upper bounds are marked as not known"
    assert (usd.spent - usd.unknown) % (3 * NANODOLLARS // 1000) == 0
    # A kill between the two accounts leaves one call settled in one and open in the other.
    settled = (usd.spent - usd.unknown) // (3 * NANODOLLARS // 1000), (tokens.spent - tokens.unknown) // 7
    whole = usd.unknown // (NANODOLLARS // 100), tokens.unknown // 10
    assert settled[1] <= settled[0] <= settled[1] + kills
    assert abs(whole[0] - whole[1]) <= kills and 0 < max(whole) <= 20 * kills


def test_C2_after_a_loss_of_power_the_whole_lease_counts(file: Path) -> None:
    """The journal of another boot is not believed: what had been drawn counts, never less than was set aside."""
    make(file, Budget(unit="usd", limit=NANODOLLARS, period="total"))
    worker = Process(file, 10, 0.01, 0.003, 5, mode="stop")
    worker.go()
    assert worker.admitted() == 10
    worker.child.send_signal(signal.SIGKILL)
    worker.child.communicate()
    for journal in (file.parent / "gateway-journals").iterdir():
        journal.unlink()
    drawn = row(file, "k/usd/total").held
    quota_store = SqliteQuotaStore(file)
    quota_store.recover()
    quota_store.close()
    found = row(file, "k/usd/total")
    assert found.spent == found.unknown == drawn >= NANODOLLARS // 10


# ---- C4: a disk that takes nothing --------------------------------------------------------------


@pytest.mark.parametrize("how", ["locked", "read-only", "full"])
def test_C4_what_cannot_be_written_down_is_not_admitted_and_what_was_settled_is_written_later(
    file: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intermodal.gateway.quotas.sqlite_store.BUSY_SECONDS", 0.05)
    key = make(file, Budget(unit="usd", limit=NANODOLLARS, period="total"))
    # Its rows are long, so that they need pages that a full disk does not have.
    other = VirtualKey(id="o" * 20_000, name="other", budgets=(Budget(unit="usd", limit=NANODOLLARS),))

    async def work() -> None:
        ledger = QuotaManager(SqliteQuotaStore(file))
        await ledger.start()
        made = await ledger.admit(key, QuotaClaim(cost=0.01, tokens=5))
        assert isinstance(made, QuotaReservation)
        blocker = sqlite3.connect(file, isolation_level=None)
        database = ledger._quota_store._database  # type: ignore[attr-defined]
        if how == "locked":
            blocker.execute("BEGIN IMMEDIATE")
        elif how == "read-only":
            database._open().execute("PRAGMA query_only=ON")
        else:
            database._open().execute("PRAGMA max_page_count=1")  # SQLite: no more than there are
        ledger.settle(made, cost=0.004, tokens=5)
        await asyncio.sleep(0.3)
        refused = await ledger.admit(other, QuotaClaim(cost=0.01, tokens=5))
        assert isinstance(refused, QuotaRefusal) and (refused.status, refused.again) == (503, True)
        if how != "full":  # what is there can be written in place
            refused = await ledger.admit(key, QuotaClaim(cost=0.01, tokens=5))
            assert isinstance(refused, QuotaRefusal) and refused.status == 503, (
                "the last write failed: nothing goes out"
            )
        if how == "locked":
            blocker.execute("ROLLBACK")
        elif how == "read-only":
            database._open().execute("PRAGMA query_only=OFF")
        else:
            database._open().execute("PRAGMA max_page_count=1000000")
        again = await ledger.admit(other, QuotaClaim(cost=0.01, tokens=5))
        assert isinstance(again, QuotaReservation), "it works again by itself"
        ledger.release(again)
        await ledger.close()
        blocker.close()

    asyncio.run(work())
    assert row(file, "k/usd/total").spent == 4 * NANODOLLARS // 1000


def test_C4_a_journal_that_cannot_be_made_ends_the_start(file: Path) -> None:
    from intermodal.errors import StoreError

    make(file)
    (file.parent / "gateway-journals").write_text("in the way")

    async def work() -> None:
        with pytest.raises(StoreError, match="cannot be made"):
            await QuotaManager(SqliteQuotaStore(file)).start()

    asyncio.run(work())


def test_a_hundred_requests_at_once_are_all_answered(file: Path) -> None:
    """More than any pool holds, all of which have to draw first: nobody waits for another's turn for ever."""
    key = make(file, Budget(unit="usd", limit=100 * NANODOLLARS), rate=RateLimit(rpm=100_000, tpm=10_000_000))

    async def work() -> None:
        ledger = QuotaManager(SqliteQuotaStore(file))
        await ledger.start()
        async with asyncio.timeout(300):
            made = await asyncio.gather(*(ledger.admit(key, QuotaClaim(cost=0.01, tokens=50)) for _ in range(500)))
        assert all(isinstance(each, QuotaReservation) for each in made)
        for each in made:
            assert isinstance(each, QuotaReservation)
            ledger.settle(each, cost=0.01, tokens=50)
        await ledger.close()

    asyncio.run(work())
    assert row(file, "k/usd/month").spent == 5 * NANODOLLARS
    assert not list((file.parent / "gateway-journals").iterdir()), os.listdir(file.parent)
