"""What keys and budgets cost a request: who, admit, settle and the rates' remainders, in one process and in four.

    python benchmarks/ledger_speed.py          prints the table and writes benchmarks/results/ledger_speed.md

The key has a budget in money, one in tokens and both rates, all shared by the processes in one file on disk; drawing
and writing are part of what is measured. 32 requests are under way at once in each process. What all processes
booked is added up afterwards and must be what they settled, to the nanodollar.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from intermodal.gateway.quotas.authentication import digest, new_secret
from intermodal.gateway.quotas.quota_manager import QuotaManager
from intermodal.gateway.quotas.quota_types import NANODOLLARS, Budget, QuotaClaim, QuotaRefusal, RateLimit, VirtualKey
from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore

RESULTS = Path(__file__).resolve().parent / "results" / "ledger_speed.md"
REQUESTS = 100_000  # of each process
TOGETHER = 32
COST, TOKENS = 0.004, 700  # what a request takes in the end


async def work(path: Path, secret: str) -> dict[str, float]:
    """One process: ``REQUESTS`` requests; microseconds of processor and of wall a request."""
    ledger = QuotaManager(SqliteQuotaStore(path))
    await ledger.start()
    ledger.access.check_bind("127.0.0.1")
    headers = {"authorization": f"Bearer {secret}"}
    claim = QuotaClaim(cost=0.01, tokens=2000, endpoints=("openai:gpt-5-mini",))
    waited = 0

    async def some() -> None:
        nonlocal waited
        for number in range(REQUESTS // TOGETHER):
            key = ledger.access.authenticate(headers)
            assert not isinstance(key, QuotaRefusal)
            given = ledger.admit_now(key, claim)
            if given is None:
                waited += 1
                given = await ledger.admit(key, claim)
            assert not isinstance(given, QuotaRefusal), given
            if number % 16 == 0:
                await asyncio.sleep(0)
            ledger.settle(given, cost=COST, tokens=TOKENS)
            ledger.rates(key)

    began, processor = time.perf_counter(), time.process_time()
    await asyncio.gather(*(some() for _ in range(TOGETHER)))
    wall, used = time.perf_counter() - began, time.process_time() - processor
    await ledger.close()
    return {"cpu": used / REQUESTS * 1e6, "wall": wall / REQUESTS * 1e6, "waited": waited}


def measure(processes: int) -> list[dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        secret = new_secret()
        quota_store = SqliteQuotaStore(path)
        budgets = (Budget(unit="usd", limit=10**6 * NANODOLLARS), Budget(unit="tokens", limit=10**12, period="day"))
        quota_store.add(VirtualKey(id="k", name="bench", digest=digest(secret), budgets=budgets,
                             rate=RateLimit(rpm=10**9, tpm=10**12)))  # fmt: skip
        started = [
            subprocess.Popen([sys.executable, __file__, str(path), secret], stdout=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        found = [json.loads(child.communicate()[0]) for child in started]
        (spent,) = (row.spent for row in quota_store.spending() if "usd" in row.account)
        quota_store.close()
        settled = processes * (REQUESTS // TOGETHER * TOGETHER) * round(COST * NANODOLLARS)
        assert spent == settled, f"booked {spent}, settled {settled}"
        return found


def main() -> None:
    if len(sys.argv) == 3:
        print(json.dumps(asyncio.run(work(Path(sys.argv[1]), sys.argv[2]))))
        return
    lines = [
        "# What keys and budgets cost a request\n",
        f"Microseconds a request: who, admit, settle, remainders. {os.cpu_count()} cores, Python "
        f"{platform.python_version()}. The same machine also did other work: load {os.getloadavg()[0]:.1f}.",
        "Written by `python benchmarks/ledger_speed.py`.\n",
        "| processes | processor, µs | wall, µs | requests that waited for a lease |",
        "|---|---|---|---|",
    ]
    for processes in (1, 4):
        rounds = [each for _ in range(3) for each in measure(processes)]
        cpu, wall = (statistics.median(each[name] for each in rounds) for name in ("cpu", "wall"))
        waited = statistics.median(each["waited"] for each in rounds)
        lines.append(f"| {processes} | {cpu:.1f} | {wall:.1f} | {waited:,.0f} of {REQUESTS:,} |")
    print("\n".join(lines))
    RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
