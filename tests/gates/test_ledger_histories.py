"""C1 and C2 as a state machine: any interleaving of workers, crashes with and without a journal, periods that end,
limits that are changed while requests run.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from intermodal.gateway.quotas.budget_leases import Lease, LeasePool, QuotaReservation
from intermodal.gateway.quotas.lease_journal import LeaseJournal
from intermodal.gateway.quotas.quota_store import LeaseReport
from intermodal.gateway.quotas.quota_types import NANODOLLARS, Budget, QuotaClaim, VirtualKey
from intermodal.gateway.quotas.sqlite_store import SqliteQuotaStore

USD, TOKENS = 100, 400  # budgets of the one key: nanodollars an hour, tokens in all


def key_of(usd: int | None, tokens: int | None) -> VirtualKey:
    """The one key. Without a limit it is counted as with one, by a budget that nothing reaches."""
    budgets = (
        Budget(unit="usd", limit=usd, period="hour"),  # type: ignore[arg-type]  # None: as an account without a limit
        Budget(unit="tokens", limit=tokens, period="total"),  # type: ignore[arg-type]
    )
    return VirtualKey(id="k", name="k", budgets=budgets)


KEY = key_of(USD, TOKENS)
WORKERS = st.integers(0, 2)
HOUR = 3600.0
Given = tuple[QuotaReservation, int, int, str]  # it, nanodollars and tokens set aside, the hour


class Worker:
    """One process: its quota store, its leases, and what it admitted."""

    def __init__(self, path: Path, number: int, gone: set[str]) -> None:
        self.process = f"host/boot/{number}/1"
        self.quota_store = SqliteQuotaStore(path, process=self.process, is_gone=gone.__contains__)
        entered = self.quota_store.enter()
        self.id = entered.id
        assert entered.journal is not None
        self.journal = LeaseJournal(entered.journal)
        self.lease_pool = LeasePool(self.journal, {})
        self.key = KEY  # as it last looked
        self.open: list[Given] = []
        self.unconfirmed: list[tuple[Lease, LeaseReport]] = []


class Histories(RuleBasedStateMachine):
    """The model knows what was charged by reality: per hour in nanodollars, and in tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "gateway.sqlite3"
        self.gone: set[str] = set()
        self.number = 0
        self.now = 1000 * HOUR
        self.workers = [self.new() for _ in range(3)]
        self.charged: dict[str, int] = {}  # settled or lost, by account and start
        self.slack: dict[str, int] = {}  # what a crash without a journal may charge beyond that
        self.seen: dict[str, int] = {}
        self.key = KEY
        self.limits: dict[str, int | None] = {"usd": USD, "tokens": TOKENS}
        self.bound = {"usd": float(USD), "tokens": float(TOKENS)}  # what may be admitted, as far as workers know
        self.most = dict(self.bound)  # ever
        self.unheard: dict[str, set[int]] = {"usd": set(), "tokens": set()}  # workers, see ``change``
        self.loose: set[str] = set()  # counted without a limit when power was lost: what was not written is lost

    def new(self) -> Worker:
        self.number += 1
        made = Worker(self.path, self.number, self.gone)
        made.key = getattr(self, "key", KEY)
        return made

    def hour(self) -> str:
        return self.workers[0].lease_pool.key_leases(self.workers[0].key, self.now).usd[0].start

    def charge(self, hour: str, usd: int, tokens: int) -> None:
        self.charged["k/usd/hour" + hour] = self.charged.get("k/usd/hour" + hour, 0) + usd
        self.charged["k/tokens/total"] = self.charged.get("k/tokens/total", 0) + tokens

    @rule(number=WORKERS, usd=st.integers(0, 60), tokens=st.integers(0, 120))
    def admit(self, number: int, usd: int, tokens: int) -> None:
        worker = self.workers[number]
        claim = QuotaClaim(cost=usd / NANODOLLARS, tokens=tokens)
        key_leases = worker.lease_pool.key_leases(worker.key, self.now)
        parts = worker.lease_pool.lease_amounts(key_leases, claim, self.now)
        made = worker.lease_pool.reserve(worker.key, parts)
        if made is None:
            lacking = [(lease, need) for lease, need in parts if lease.free < need or not lease.ready]
            drawn = [(lease, need, lease.draw_request(need, need)) for lease, need in lacking]
            grants = worker.quota_store.take(worker.id, [want for _, _, want in drawn], self.now)
            worker.lease_pool.add_grants(drawn, grants, self.now)
            made = worker.lease_pool.reserve(worker.key, parts)
        if made is not None:
            worker.open.append((made, usd, tokens, key_leases.usd[0].start))

    @precondition(lambda self: any(worker.open for worker in self.workers))
    @rule(number=WORKERS, which=st.integers(0, 99), share=st.sampled_from([0.0, 0.3, 1.0, None]))
    def settle(self, number: int, which: int, share: float | None) -> None:
        worker = self.workers[number]
        if not worker.open:
            return
        made, usd, tokens, hour = worker.open.pop(which % len(worker.open))
        if share is None:  # nobody knows: the upper bound counts
            worker.lease_pool.settle(made, None, None)
            self.charge(hour, usd, tokens)
            return
        paid, taken = int(usd * share), int(tokens * share)
        worker.lease_pool.settle(made, paid / NANODOLLARS, taken)
        worker.lease_pool.settle(made, usd / NANODOLLARS, tokens)  # twice is once
        self.charge(hour, paid, taken)

    @rule(number=WORKERS)
    def release(self, number: int) -> None:
        worker = self.workers[number]
        if worker.open:
            worker.lease_pool.release(worker.open.pop()[0])

    @rule(
        usd=st.sampled_from([20, 60, USD, 250, None]),
        tokens=st.sampled_from([100, TOKENS, 900, None]),
        look=st.sets(WORKERS, min_size=1),
    )
    def change(self, usd: int | None, tokens: int | None, look: set[int]) -> None:
        """The limits are others now; a worker goes by the old ones until it looks. What it set aside while there was
        no limit nobody else knows until it writes next, a twentieth of a second later."""
        without = [unit for unit, limit in self.limits.items() if limit is None]
        self.limits = {"usd": usd, "tokens": tokens}
        self.key = key_of(usd, tokens)
        for unit, limit in (("usd", usd), ("tokens", tokens)):
            if limit is None or unit in without:
                self.unheard[unit] = set() if limit is None else set(range(3))
        for unit, limit in (("usd", usd), ("tokens", tokens)):
            self.bound[unit] = max(self.bound[unit], float("inf") if limit is None else limit)
            self.most[unit] = max(self.most[unit], self.bound[unit])
        for number in look:
            self.workers[number].key = self.key
            self.workers[number].lease_pool.key_leases(self.key, self.now)
        self.known()

    def known(self) -> None:
        """Where all workers know the limits, and of each other, these hold from now on, whatever was before."""
        if any(each.key is not self.key for each in self.workers):
            return
        held = self.held()
        for unit, limit in self.limits.items():
            there = [held.get(name, 0) + self.charged.get(name, 0) for name in {*held, *self.charged} if unit in name]
            if not self.unheard[unit]:
                self.bound[unit] = max([float("inf") if limit is None else limit, *there])

    @rule(number=WORKERS, lost=st.booleans())
    def tick(self, number: int, lost: bool) -> None:
        """Write; ``lost``: it was written, but the worker never heard so and writes it again."""
        worker = self.workers[number]
        lines = worker.lease_pool.tick(self.now)
        left = worker.quota_store.write(worker.id, [line for _, line in lines], self.now) if lines else ()
        if lost:
            worker.lease_pool.mark_unwritten(lines)
            lines = worker.lease_pool.tick(self.now)
            left = worker.quota_store.write(worker.id, [line for _, line in lines], self.now) if lines else ()
        worker.lease_pool.mark_written(lines, left)
        if worker.key is self.key:
            self.heard_of(number)

    def heard_of(self, number: int) -> None:
        for workers in self.unheard.values():
            workers.discard(number)
        self.known()

    @rule(number=WORKERS, power=st.booleans())
    def crash(self, number: int, power: bool) -> None:
        """Killed; with ``power`` lost too, its journal is not believed, and all it had drawn may count."""
        worker = self.workers[number]
        self.gone.add(worker.process)
        for made, usd, tokens, hour in worker.open:
            self.charge(hour, usd, tokens)
            made.open = False
        if power:
            assert worker.journal.path is not None
            worker.journal.path.unlink()
            with worker.quota_store._database.reading() as connection:
                assert connection is not None
                for row in connection.execute("SELECT * FROM leases WHERE worker = ?", (worker.id,)):
                    name = row["account"] + row["start"]
                    drawn = row["taken"] - row["spent"] - row["returned"]
                    self.slack[name] = self.slack.get(name, 0) + max(drawn, 0)
                    if self.most["usd" if "usd" in name else "tokens"] == float("inf"):
                        self.loose.add(name)
        worker.quota_store.close()
        self.workers[number] = self.new()
        assert self.workers[number].quota_store.recover() == 1
        assert self.workers[number].quota_store.recover() == 0
        self.heard_of(number)

    @rule(hours=st.sampled_from([0.01, 0.5, 1.0]))
    def later(self, hours: float) -> None:
        self.now += hours * HOUR

    @rule(number=WORKERS)
    def leave(self, number: int) -> None:
        """Ended in order; what is still open may have been sent, so it counts whole."""
        worker = self.workers[number]
        for _, usd, tokens, hour in worker.open:
            self.charge(hour, usd, tokens)
        lines = worker.lease_pool.close()
        if lines:
            worker.quota_store.write(worker.id, [line for _, line in lines], self.now)
        worker.quota_store.leave(worker.id)
        worker.quota_store.close()
        self.workers[number] = self.new()
        self.heard_of(number)

    def held(self) -> dict[str, int]:
        held: dict[str, int] = {}
        for worker in self.workers:
            for _, usd, tokens, hour in worker.open:
                held["k/usd/hour" + hour] = held.get("k/usd/hour" + hour, 0) + usd
                held["k/tokens/total"] = held.get("k/tokens/total", 0) + tokens
        return held

    @invariant()
    def admitted_never_exceeds_the_budget(self) -> None:
        held = self.held()
        for name in {*held, *self.charged}:
            limit = self.bound["usd" if "usd" in name else "tokens"]
            assert held.get(name, 0) + self.charged.get(name, 0) <= limit, name

    @invariant()
    def the_quota_store_agrees(self) -> None:
        for row in self.workers[0].quota_store.spending():
            name = row.account + row.start
            unit = next((unit for unit in self.most if unit in name), "")
            if unit:
                assert row.spent + row.held <= self.most[unit], f"drawn beyond the limit: {row}"
                assert row.spent >= self.seen.get(name, 0), f"what was spent dropped: {row}"
                assert row.unknown <= row.spent
                self.seen[name] = row.spent

    def teardown(self) -> None:
        try:
            for number in range(3):
                self.leave(number)
            for row in self.workers[0].quota_store.spending():
                name = row.account + row.start
                if "unpriced" not in name and name not in self.loose:
                    truth = self.charged.get(name, 0)
                    assert truth <= row.spent <= truth + self.slack.get(name, 0), f"{row}, in truth {truth}"
                    assert row.held == 0
        finally:
            for worker in self.workers:
                worker.quota_store.close()
            self.folder.cleanup()


@pytest.mark.timeout(1800)
def test_C1_C2_no_history_spends_more_than_the_budget_or_forgets_what_was_spent(full_gates: bool) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call,unused-ignore]
        Histories,
        settings=settings(
            max_examples=2000 if full_gates else 25,
            stateful_step_count=50,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_C1_what_is_given_back_under_a_lower_limit_is_not_set_aside_again() -> None:
    history = Histories()
    history.admit(number=1, usd=0, tokens=1)
    history.admit(number=0, usd=0, tokens=100)
    history.change(look={0, 1, 2}, usd=USD, tokens=100)  # 101 are on their way
    history.release(number=1)
    history.known()
    history.admit(number=1, usd=0, tokens=1)
    history.admitted_never_exceeds_the_budget()
    history.the_quota_store_agrees()
    history.teardown()


def test_C1_what_is_drawn_under_a_higher_limit_is_not_set_aside_under_a_lower_one() -> None:
    history = Histories()
    history.admit(number=1, usd=0, tokens=90)
    worker, claim = history.workers[0], QuotaClaim(cost=0.0, tokens=30)
    parts = worker.lease_pool.lease_amounts(worker.lease_pool.key_leases(KEY, history.now), claim, history.now)
    drawn = [(lease, need, lease.draw_request(need, need)) for lease, need in parts]
    grants = worker.quota_store.take(worker.id, [want for _, _, want in drawn], history.now)
    history.change(look={0, 1, 2}, usd=USD, tokens=100)  # while the draw is on its way
    worker.lease_pool.add_grants(drawn, grants, history.now)
    history.admit(number=0, usd=0, tokens=30)
    history.admitted_never_exceeds_the_budget()
    history.tick(number=0, lost=False)  # what was drawn goes back
    history.tick(number=1, lost=False)
    history.admit(number=0, usd=0, tokens=10)
    assert history.held()["k/tokens/total"] == 100
    history.admitted_never_exceeds_the_budget()
    history.teardown()
