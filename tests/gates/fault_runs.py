"""Runs over the fault wall: endpoints of its models, and a world of their own in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace
from tests.gates.faulty_host import FaultyHost
from tests.unit.executor.routes import PRICED as SHORT
from tests.unit.executor.routes import Bench, FakeOpened, asked, plan, route, say

from intermodal.catalog.types import Endpoint, Host, Model, Price
from intermodal.core.quantity import between
from intermodal.core.request import Policy, Request
from intermodal.events import Result
from intermodal.plans.plan import Plan

__all__ = ["PRICED", "Bench", "asked", "ask", "endpoint", "plan", "route", "say", "world_of"]

PRICED = replace(SHORT, output_tokens=between(1, 10, 256, "t"))  # the wall says up to 120 words, and is not cut


def endpoint(wall: FaultyHost, model: str, **fields: Any) -> Endpoint:
    """A model at the wall, at a host of its own so that no two share a budget of resends."""
    host = Host(id=model, base_url=wall.base_url, zone="internet", forced_json=True)
    values: dict[str, Any] = {
        "id": f"wall:{model}", "model": Model(id=model, context=8192), "host": host, "served_as": model,
        "context": 8192, "price": Price(input_mtok=1.0, output_mtok=2.0), **fields,
    }  # fmt: skip
    return Endpoint(**values)


def world_of(folder: Path, *endpoints: Endpoint, **options: Any) -> Bench:
    return Bench(folder, endpoints=endpoints, options=options)


def steps(*endpoints: Endpoint) -> Plan:
    """The first answers; the others are its fallbacks."""
    first, *others = (route(say(each, estimate=PRICED)) for each in endpoints)
    return plan(first, *others)


async def ask(bench: Bench, *endpoints: Endpoint, policy: Policy | None = None) -> Result:
    """One question to the first endpoint, with the others as fallbacks. Raises what the run raises."""
    request, opened = question(policy)
    return await bench.run(steps(*endpoints), request, opened)


def question(policy: Policy | None = None) -> tuple[Request, FakeOpened]:
    return asked("What is it?", policy=policy or Policy(max_cost=1e9))
