"""How long planning takes: medians over requests of 1 to 1,000 parts and catalogs of 10 to 5,000 endpoints.

    python benchmarks/plan_speed.py            prints the tables and writes benchmarks/results/plan_speed.md

"warm" is a plan of a shape seen before in this process (everything counts: digesting the request, rules,
search, steps, EXPLAIN-ready plan). "first" is the first plan of a fresh process, its imports counted apart and
with compiled bytecode at hand, as an installed package has it.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.plans import catalogs  # noqa: E402

from intermodal.catalog.types import Catalog  # noqa: E402
from intermodal.core.content import File, Part, PathSource, Text  # noqa: E402
from intermodal.core.quantity import between, exact  # noqa: E402
from intermodal.core.request import Message, Policy, Request  # noqa: E402
from intermodal.plans.facts import Facts, PageFacts, PartFacts  # noqa: E402
from intermodal.plans.plan import Plan  # noqa: E402
from intermodal.plans.statistics import Statistics  # noqa: E402

AS_OF = "2026-11-24"
RESULTS = ROOT / "benchmarks" / "results" / "plan_speed.md"


def request_of(parts: int, shapes: int = 20, policy: Policy | None = None) -> tuple[Request, Facts]:
    """A prompt and files: pictures, speech, documents and texts in turn, in about ``shapes`` sizes of each."""
    facts = [PartFacts(index=0, name="prompt", kind="text", chars=80, size=80, tokens={"smollm2": 18})]
    for index in range(1, parts):
        size = index % shapes
        if index % 5 == 4:
            facts.append(
                PartFacts(index=index, name=f"note{index}.txt", kind="text", chars=900 + size, size=900 + size)
            )
        elif index % 5 == 3:
            pages = tuple(PageFacts(number=n, width=595, height=842, chars=1800 + size) for n in (1, 2))
            facts.append(PartFacts(index=index, name=f"r{index}.pdf", kind="document", pages=pages, digest=f"d{size}"))
        elif index % 5 == 2:
            facts.append(
                PartFacts(
                    index=index, name=f"c{index}.wav", kind="audio", seconds=exact(4.0 + size), digest=f"a{index}"
                )
            )
        else:
            facts.append(
                PartFacts(
                    index=index, name=f"p{index}.png", kind="image", digest=f"i{index}",
                    width=640 + 16 * size, height=480, text_density=between(0.1, 0.15, 0.2, "sampled"),
                )
            )  # fmt: skip
    content: list[Part] = [Text(text="What do these say about the order, and do they agree with each other? ")]
    for part in facts[1:]:
        content.append(
            Text(text="x" * part.chars, name=part.name)
            if part.kind == "text"
            else File(source=PathSource(path=part.name))
        )
    request = Request(messages=(Message(role="user", parts=tuple(content)),), policy=policy or Policy(max_cost=1e9))
    return request, Facts(parts=tuple(facts))


def median_ms(call: Callable[[], object], repeat: int) -> float:
    """Median wall time of a call, in milliseconds."""
    call()
    call()
    gc.collect()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def warm(parts: int, catalog: Catalog, repeat: int, shapes: int = 20) -> float:
    from intermodal.planner import plan

    request, facts = request_of(parts, shapes)
    return median_ms(lambda: plan(request, facts, catalog, catalogs.LAPTOP, Statistics(), AS_OF), repeat)


def pricing(catalog: Catalog, few: Catalog, repeat: int) -> float:
    """What 5,000 endpoints take more than 15 in a plan of a question and a picture: looking at them and pricing them.

    The two are timed in turn, and each round's difference counts, so that a busy machine disturbs both alike.
    """
    from intermodal.planner import plan

    request, facts = request_of(2)
    differences = []
    for _ in range(repeat):
        taken = []
        for some in (catalog, few):
            start = time.perf_counter()
            plan(request, facts, some, catalogs.LAPTOP, Statistics(), AS_OF)
            taken.append(time.perf_counter() - start)
        differences.append(taken[0] - taken[1])
    return statistics.median(differences[repeat // 10 :]) * 1e3


def new_shape(parts: int, catalog: Catalog, repeat: int) -> float:
    """A shape not seen before: the kept outcome of the endpoint rules is thrown away each time."""
    from intermodal.planner import plan
    from intermodal.planner.catalog_index import catalog_index

    request, facts = request_of(parts)

    def call() -> None:
        catalog_index(catalog).survivors.clear()
        plan(request, facts, catalog, catalogs.LAPTOP, Statistics(), AS_OF)

    return median_ms(call, repeat)


def without_waiting(planning: Coroutine[None, None, Plan]) -> Plan:
    """The plan, which is made at once: an event loop would take longer than it."""
    try:
        planning.send(None)
    except StopIteration as end:
        plan: Plan = end.value
        return plan
    raise AssertionError("it waited")


def known_shape(catalog: Catalog, repeat: int) -> float:
    """A question of a shape that was planned before, as the gateway plans it: its sizes, and the plan that is kept."""
    from intermodal.gateway.state.plan_cache import PlanCache
    from intermodal.plans.plan import Inputs

    request, facts = request_of(1, policy=Policy())
    shapes = PlanCache()
    inputs = Inputs(
        request=request, facts=facts, catalog=catalog, machine=catalogs.LAPTOP, statistics=Statistics(), as_of=AS_OF
    )
    found = median_ms(lambda: without_waiting(shapes.plan(inputs)), repeat)
    assert shapes.misses == 1
    assert shapes.hits > repeat
    return found


FIRST = """
import json, sys, time
sys.path.insert(0, "."); sys.path.insert(0, "benchmarks")
import plan_speed
count = int(sys.argv[1])
few = plan_speed.catalogs.catalog("all", ("acme",))
catalog = plan_speed.catalogs.many(count) if count > 100 else few
request, facts = plan_speed.request_of(10)
start = time.perf_counter()
from intermodal.planner import plan
imported = time.perf_counter()
plan(request, facts, catalog, plan_speed.catalogs.LAPTOP, plan_speed.Statistics(), plan_speed.AS_OF)
first = time.perf_counter()
plan(request, facts, catalog, plan_speed.catalogs.LAPTOP, plan_speed.Statistics(), plan_speed.AS_OF)
print(json.dumps([imported - start, first - imported, time.perf_counter() - first]))
"""


def first_plan(endpoints: int, runs: int = 5) -> tuple[float, float, float]:
    """Import, first plan and second plan of a fresh process, milliseconds."""
    rows = []
    with tempfile.TemporaryDirectory() as bytecode:
        env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONPYCACHEPREFIX": bytecode}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(runs + 1):
            done = subprocess.run(
                [sys.executable, "-c", FIRST, str(endpoints)],
                cwd=ROOT, capture_output=True, text=True, check=True, env=env,
            )  # fmt: skip
            rows.append(json.loads(done.stdout))
    columns = list(zip(*rows[1:], strict=True))  # the first one compiled
    return tuple(statistics.median(column) * 1e3 for column in columns)


def main() -> None:
    quick = "--quick" in sys.argv
    repeat = 15 if quick else 60
    big = catalogs.many(5000)
    few_hosts = catalogs.many(5000, consented=2)
    priced = pricing(big, catalogs.many(15), repeat * 3)
    lines = [
        "# Planning time", "",
        f"Medians in milliseconds, {os.cpu_count()} cores, Python {sys.version.split()[0]}.",
        "Requests mix pictures, recordings, documents and texts; the catalogs are synthetic, see",
        "`tests/plans/catalogs.py`. The same machine also did other work.",
        "Written by `python benchmarks/plan_speed.py`.", "",
        "| case | target | ms |", "|---|---|---|",
        f"| 10 parts, 5,000 endpoints, all hosts consented | 2 | {warm(10, big, repeat):.2f} |",
        f"| the same, a request shape not seen before | - | {new_shape(10, big, repeat):.2f} |",
        f"| the same, 2 of 40 hosts consented | 2 | {warm(10, few_hosts, repeat):.2f} |",
        f"| pricing 5,000 endpoints instead of 15 inside a plan, a question and a picture | 1 | {priced:.2f} |",
        f"| 1,000 parts in about 80 shapes, 5,000 endpoints | 20 | {warm(1000, big, repeat // 3):.2f} |",
        f"| 1,000 parts, every one of another shape, 5,000 endpoints | - | {warm(1000, big, repeat // 3, 1000):.2f} |",
        f"| one question of a known shape, in the gateway | 0.06 | {known_shape(few_hosts, 10 * repeat):.3f} |",
        "", "Growth, warm:", "",
        "| parts | 10 endpoints | 100 | 1,000 | 5,000 |", "|---|---|---|---|---|",
    ]  # fmt: skip
    sizes = [catalogs.many(count) for count in (10, 100, 1000)] + [big]
    for parts in (1, 3, 10, 100, 1000):
        times = [warm(parts, each, max(5, repeat // (4 if parts > 99 else 1))) for each in sizes]
        lines.append(f"| {parts:,} | " + " | ".join(f"{each:.2f}" for each in times) + " |")
    lines += [
        "",
        "First plan of a process (10 parts), bytecode compiled:",
        "",
        "| endpoints | import planner | first plan | second |",
        "|---|---|---|---|",
    ]
    for count in (15, 5000):
        imported, first, second = first_plan(count, 3 if quick else 7)
        lines.append(f"| {count:,} | {imported:.1f} | {first:.1f} | {second:.2f} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if not quick:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(text)


if __name__ == "__main__":
    main()
