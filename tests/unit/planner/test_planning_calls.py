"""What a plan costs, in calls of functions, which no load on the machine changes.

``benchmarks/plan_speed.py`` measures the same plans in milliseconds: 1,000 calls take 0.15 to 0.2 ms.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.call_counts import CallCount
from tests.plans import catalogs

from intermodal.catalog.types import Catalog
from intermodal.core.content import File, Part, PathSource, Text
from intermodal.core.quantity import between, exact
from intermodal.core.request import Message, Policy, Request
from intermodal.planner import plan
from intermodal.plans.facts import Facts, PageFacts, PartFacts
from intermodal.plans.statistics import Statistics

pytestmark = pytest.mark.slow

DAY = "2026-11-24"
ROOT = Path(__file__).parents[3]
ASK = "What do these say about the order, and do they agree with each other?"


def mixed(count: int) -> tuple[Request, Facts]:
    """A question about images, recordings, documents and texts in turn."""
    facts = [PartFacts(index=0, name="prompt", kind="text", chars=len(ASK), size=len(ASK))]
    content: list[Part] = [Text(text=ASK)]
    for index in range(1, count):
        size = index % 20
        made: PartFacts
        if index % 4 == 0:
            made = PartFacts(index=index, name=f"n{index}.txt", kind="text", chars=900 + size, size=900 + size)
        elif index % 4 == 1:
            density = between(0.1, 0.15, 0.2, "sampled")
            made = PartFacts(
                index=index, name=f"p{index}.png", kind="image", digest=f"i{index}", width=640 + 16 * size, height=480,
                text_density=density,
            )  # fmt: skip
        elif index % 4 == 2:
            made = PartFacts(
                index=index, name=f"c{index}.wav", kind="audio", seconds=exact(4.0 + size), digest=f"a{index}"
            )
        else:
            pages = tuple(PageFacts(number=n, width=595, height=842, chars=1800 + size) for n in (1, 2))
            made = PartFacts(index=index, name=f"r{index}.pdf", kind="document", pages=pages, digest=f"d{size}")
        facts.append(made)
        text = made.kind == "text"
        content.append(Text(text="x" * made.chars, name=made.name) if text else File(source=PathSource(path=made.name)))
    request = Request(messages=(Message(role="user", parts=tuple(content)),), policy=Policy(max_cost=1e9))
    return request, Facts(parts=tuple(facts))


def calls_of_planning(parts: int, catalog: Catalog) -> int:
    request, facts = mixed(parts)
    with CallCount() as count:
        plan(request, facts, catalog, catalogs.LAPTOP, Statistics(), DAY)
    return count.calls


@pytest.mark.parametrize(("parts", "endpoints", "most"), [(1, 5000, 7_000), (10, 5000, 14_000), (10, 15, 8_500)])
def test_a_plan_of_a_known_shape_takes_few_calls(parts: int, endpoints: int, most: int) -> None:
    catalog = catalogs.many(endpoints)
    calls_of_planning(parts, catalog)
    assert calls_of_planning(parts, catalog) <= most


def test_ten_times_the_parts_take_less_than_ten_times_the_calls() -> None:
    catalog = catalogs.many(1000)
    for parts in (300, 30):
        calls_of_planning(parts, catalog)
    assert calls_of_planning(300, catalog) < 10 * calls_of_planning(30, catalog)


FIRST = """
from tests.plans import catalogs
from tests.unit.planner.test_planning_calls import calls_of_planning
print(calls_of_planning(10, catalogs.catalog("all", ("acme",))))
"""


def test_the_first_plan_of_a_process_compiles_no_expression_that_its_question_rules_out() -> None:
    """All sentences that ask for the words of an image alone took 400,000 calls to compile."""
    done = subprocess.run([sys.executable, "-c", FIRST], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 250_000
