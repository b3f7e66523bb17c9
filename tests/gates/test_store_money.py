"""A6 and C1 over real HTTP: what a host charges for is in our rows, whatever goes wrong, and budgets hold."""

from __future__ import annotations

import random
from pathlib import Path

import anyio
import pytest
from tests.unit.executor.routes import Bench, asked, plan, rename, route, say

from intermodal import errors
from intermodal.core.quantity import between
from intermodal.core.request import Policy
from intermodal.executor.attempt.accounting import AttemptEnding, Charge
from intermodal.plans.step import Call, StepEstimate
from intermodal.testing import FakeHost

pytestmark = pytest.mark.anyio
MAYBE_PAID = ("settled", "estimated")

# Where a request can fail, by the model's name: before anything is worked on, after the body, after headers,
# after one token, after the last token, and not at all.
FAULTS = (
    "limited-0", "limited-0-x1", "quota", "unavailable", "unavailable-x1", "overloaded", "broken", "broken-x1",
    "gateway", "key", "context", "policy", "gone", "cut-0", "cut-1", "cut-99", "reset-0", "reset-1", "end-0",
    "end-1", "end-99", "inband-0", "inband-1", "malformed-0", "malformed-1", "nodone", "split", "pings", "json",
)  # fmt: skip


@pytest.mark.timeout(900)
async def test_a6_no_double_pay(tmp_path: Path, full_gates: bool) -> None:
    """Paid attempts at the host == rows that may be paid, over random routes of random faults."""
    random_ = random.Random(6)
    for number in range(1000 if full_gates else 60):
        with FakeHost(answer="one two three") as host:
            # Some names are unique, so that the host's fault counters start anew.
            models = [
                host.endpoint(f"m{number}-{place}" + (f"-fault-{fault}" if fault else ""))
                for place, fault in enumerate(random_.choices([*FAULTS, "", "", ""], k=random_.randint(1, 3)))
            ]
            gone = rename(models[0], host=rename(models[0].host, base_url="http://127.0.0.1:9/v1"), id="gone:m")
            if random_.random() < 0.2:
                models.insert(random_.randrange(len(models)), gone)
            bench = Bench(tmp_path / str(number), endpoints=tuple(models))
            bench.folder.mkdir()
            request, opened = asked("?")
            failed: errors.IntermodalError | None = None
            try:
                await bench.run(plan(*(route(say(model)) for model in models)), request, opened)
            except errors.IntermodalError as error:
                failed = error
            rows = bench.store.attempts(100)
            seen = [attempt.model for attempt in host.attempts]
            rows_seen = [row for row in rows if row.reservation.endpoint != "gone:m"]
            case = f"run {number}: {seen} {[row.state for row in rows]} {failed}"
            assert len(host.attempts) == len(rows_seen), case
            paid = sum(attempt.paid for attempt in host.attempts)
            assert paid == sum(row.state in MAYBE_PAID for row in rows), case
            assert host.bill <= sum(row.spent for row in rows) + 1e-9, case
            assert paid <= 3, case
            if any(attempt.status == 400 and attempt.fault == "policy" for attempt in host.attempts):
                assert host.attempts[-1].fault == "policy", f"{case}: a refusal is the end"
            bench.store.close()


async def test_c1_parallel_calls_never_reserve_more_than_the_budget(tmp_path: Path, full_gates: bool) -> None:
    """Calls that each may cost 1 % of the budget: never more than it is set aside, and what was not used comes back."""
    from intermodal.executor.attempt.ledger import RunLedger
    from intermodal.store.rows import AttemptOutcome, Work

    bench = Bench(tmp_path)
    with FakeHost() as host:
        endpoint = host.endpoint()
    ledger = RunLedger(bench.store, "r", max_cost=1.0)
    estimate = StepEstimate(cost=between(0, 0.005, 0.01, "t"))
    step = Call(id="s", op="generate", task="text-generation", endpoint=endpoint.id, inputs=(), estimate=estimate)
    admitted, refused, most = 0, 0, 0.0

    async def one() -> None:
        nonlocal admitted, refused, most
        try:
            entry = await ledger.open(step, endpoint, Work())
        except errors.BudgetExceeded:
            refused += 1
            return
        admitted += 1
        most = max(most, ledger.spent + ledger.reserved)
        await entry.wait_until_written()
        await anyio.sleep(0)
        charge = Charge("settled", 0.004, maybe_paid=True)
        await entry.close(AttemptEnding(charge, AttemptOutcome(cost=0.004), 0.004))

    async with anyio.create_task_group() as group:
        for _ in range(1000 if full_gates else 300):
            group.start_soon(one)
    assert most <= 1.0 + 1e-9 and ledger.reserved == pytest.approx(0)
    assert refused > 0 and ledger.spent == pytest.approx(0.004 * admitted)
    before = admitted
    await one()
    assert admitted == before + 1, "what was set aside and not used can be spent"


async def test_a12_a_deadline_is_one_for_all_stages(tmp_path: Path) -> None:
    """Three slow stages under one deadline: it ends the whole run, not the stage that it passes in."""
    with FakeHost() as host:
        slow = [host.endpoint(f"m{number}-fault-slow-5") for number in range(3)]
        bench = Bench(tmp_path, endpoints=tuple(slow))
        bench.runtimes.wait = lambda: anyio.sleep(0.3)
        request, opened = asked("?", "a.wav", policy=Policy(deadline=0.8))
        from tests.unit.executor.routes import hear

        with pytest.raises(errors.CallError):
            await bench.run(plan(*(route(hear(1), say(model, "step:hear1r")) for model in slow)), request, opened)
        assert [attempt.model for attempt in host.attempts] in ([], ["m0-fault-slow-5"]), "each has a time of its own"
        assert "reserved" not in bench.states() and "sent" not in bench.states()
