"""A rate of which enough is left refuses nobody, whichever worker is asked, and however many at the same moment."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intermodal.gateway.quotas import quota_manager as ledger_module
from intermodal.gateway.quotas.budget_leases import QuotaReservation
from intermodal.gateway.quotas.quota_manager import QuotaManager
from intermodal.gateway.quotas.quota_store import LeaseGrant, LeaseReport, LeaseRequest
from intermodal.gateway.quotas.quota_types import QuotaClaim, RateLimit, VirtualKey
from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore

pytestmark = [pytest.mark.gate, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    """A machine that has much else to do must not decide: others give back within ticks of it, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger_module, "WAIT_SECONDS", 5.0)
        yield


class Slow(SqliteQuotaStore):
    """A disk that now and then takes its time."""

    def __init__(self, path: Path, number: int, chance: random.Random, slowest: float) -> None:
        super().__init__(path, process=f"h/b/{number}/1", is_gone=lambda process: False)
        self._chance, self._slowest = chance, slowest

    def _wait(self) -> None:
        if self._slowest and self._chance.random() < 0.3:
            time.sleep(self._chance.random() * self._slowest)

    def take(self, worker: str, wants: Sequence[LeaseRequest], now: float) -> tuple[LeaseGrant, ...]:
        self._wait()
        return super().take(worker, wants, now)

    def write(self, worker: str, reports: Sequence[LeaseReport], now: float) -> tuple[int, ...]:
        made = super().write(worker, reports, now)
        self._wait()
        return made


async def crowd(
    folder: Path, rate: RateLimit, amounts: Sequence[int], *, workers: int, rounds: int, chance: random.Random,
    slowest: float = 0.0, apart: float = 0.0,
) -> list[str]:  # fmt: skip
    """Each amount is asked for by a client of its own, so many times after another; what refusals said."""
    key = VirtualKey(id="k", name="fresh", digest=b"d", rate=rate)
    ledgers = [QuotaManager(Slow(folder / FILE, number, chance, slowest)) for number in range(workers)]
    for ledger in ledgers:
        await ledger.start()
    said: list[str] = []

    async def client(ledger: QuotaManager, amount: int) -> None:
        await asyncio.sleep(chance.random() * apart)
        for _ in range(rounds):
            claim = QuotaClaim(cost=0.0, tokens=amount)
            found = ledger.admit_now(key, claim) or await ledger.admit(key, claim)
            if not isinstance(found, QuotaReservation):
                said.append(found.words)
                continue
            await asyncio.sleep(chance.random() * 0.01)
            ledger.settle(found, cost=0.0, tokens=1)

    async with asyncio.timeout(120):
        await asyncio.gather(*(client(ledgers[number % workers], each) for number, each in enumerate(amounts)))
    for ledger in ledgers:
        await ledger.close()
    return said


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_fresh_key_is_not_refused_what_its_rate_holds(workers: int, tmp_path: Path) -> None:
    """Two hundred at once: they take four fifths of it, and each worker draws ahead."""
    amounts = [4000] * 200
    said = asyncio.run(
        crowd(tmp_path, RateLimit(rpm=10**6, tpm=10**6), amounts, workers=workers, rounds=10, chance=random.Random(1))
    )
    assert not said


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 1 << 32), workers=st.integers(1, 4), most=st.integers(1, 60_000), many=st.integers(1, 120),
    slowest=st.sampled_from([0.0, 0.02, 0.2]), apart=st.sampled_from([0.0, 0.1]),
)  # fmt: skip
def test_whoever_asks_gets_what_nobody_else_has(
    seed: int, workers: int, most: int, many: int, slowest: float, apart: float
) -> None:
    chance = random.Random(seed)
    amounts = [chance.randint(1, most) for _ in range(many)]
    limit = round(sum(amounts) * 1.1) + many * 5  # of all at once nine tenths, and what is taken in the end
    with tempfile.TemporaryDirectory() as folder:
        said = asyncio.run(
            crowd(
                Path(folder), RateLimit(rpm=10**6, tpm=limit), amounts, workers=workers, rounds=4, chance=chance,
                slowest=slowest, apart=apart,
            )
        )  # fmt: skip
    assert not said


class Noted(SqliteQuotaStore):
    """Whoever wants can see what is in the quota store: reports that were written, once they are."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reports: list[LeaseReport] = []

    def write(self, worker: str, reports: Sequence[LeaseReport], now: float) -> tuple[int, ...]:
        made = super().write(worker, reports, now)
        self.reports += reports
        return made

    async def given_back(self, tokens: int) -> None:
        """So many at least, since it began."""
        async with asyncio.timeout(300):
            while sum(line.returned for line in self.reports if line.account.id == "k/tpm") < tokens:
                await asyncio.sleep(0.01)


def test_what_one_worker_gave_back_another_gives_out(tmp_path: Path) -> None:
    """The clock stands but where it is put forward: what a rate gives meanwhile would be enough in six seconds."""

    async def work() -> None:
        key, now = VirtualKey(id="k", name="app", rate=RateLimit(tpm=1_000_000)), [1e9]
        quota_store = Noted(tmp_path / FILE)
        one, other = (
            QuotaManager(quota_store, clock=lambda: now[0]),
            QuotaManager(SqliteQuotaStore(tmp_path / FILE), clock=lambda: now[0]),
        )
        await one.start()
        await other.start()
        held = await one.admit(key, QuotaClaim(cost=0.0, tokens=990_000))
        assert isinstance(held, QuotaReservation)
        await quota_store.given_back(1)  # what it drew ahead
        small = await other.admit(key, QuotaClaim(cost=0.0, tokens=1))
        assert isinstance(small, QuotaReservation)
        assert not isinstance(await other.admit(key, QuotaClaim(cost=0.0, tokens=100_000)), QuotaReservation)
        one.settle(held, cost=0.0, tokens=1)
        await quota_store.given_back(200_000)
        now[0] += 0.1  # so long it may be believed that nothing more can be had
        async with asyncio.timeout(300):
            assert isinstance(await other.admit(key, QuotaClaim(cost=0.0, tokens=100_000)), QuotaReservation)
        await one.close()
        await other.close()

    asyncio.run(work())


def test_a_rate_that_is_used_up_refuses_without_waiting(tmp_path: Path) -> None:
    """What other workers hold for requests that run does not lie idle, and nobody waits for it: by a clock that is put
    forward between two requests only, waiting would never end."""

    async def work() -> None:
        key, now = VirtualKey(id="k", name="app", rate=RateLimit(tpm=100_000)), [1e9]
        quota_store = Noted(tmp_path / FILE)
        one, other = (
            QuotaManager(quota_store, clock=lambda: now[0]),
            QuotaManager(SqliteQuotaStore(tmp_path / FILE), clock=lambda: now[0]),
        )
        await one.start()
        await other.start()
        assert isinstance(await one.admit(key, QuotaClaim(cost=0.0, tokens=100_000)), QuotaReservation)
        async with asyncio.timeout(300):
            while not any(line.account.id == "k/tpm" and not line.idle for line in quota_store.reports):
                await asyncio.sleep(0.01)
            for _ in range(20):
                now[0] += 0.06  # it is not believed any more, and is looked up again
                assert not isinstance(await other.admit(key, QuotaClaim(cost=0.0, tokens=50_000)), QuotaReservation)
        await one.close()
        await other.close()

    asyncio.run(work())
