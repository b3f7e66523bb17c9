"""A price that was announced holds in plans from its day on, and not before."""

from __future__ import annotations

import msgspec
import pytest
from tests.plans import catalogs

from intermodal.catalog.types import Price
from intermodal.core.content import Text
from intermodal.core.request import Message, Policy, Request
from intermodal.planner import plan
from intermodal.plans.facts import Facts, PartFacts
from intermodal.plans.statistics import Statistics


@pytest.mark.parametrize(("day", "dearer"), [("2026-11-30", False), ("2026-12-01", True)])
def test_an_announced_price_holds_from_its_day_on(day: str, dearer: bool) -> None:
    made = catalogs.catalog("acme", ("acme",))
    later = Price(input_mtok=1000.0, output_mtok=1000.0, effective_from="2026-12-01")
    endpoints = tuple(msgspec.structs.replace(each, later=(later,)) for each in made.endpoints)
    made = msgspec.structs.replace(made, endpoints=endpoints)
    request = Request(
        messages=(Message(role="user", parts=(Text(text="Who wrote this?"),)),),
        policy=Policy(model="acme/vista", max_cost=100.0),
    )
    facts = Facts(parts=(PartFacts(index=0, name="prompt", kind="text", chars=15, size=15),))
    cost = plan(request, facts, made, catalogs.LAPTOP, Statistics(), day).chosen.total.cost
    assert (cost.mid > 0.01) == dearer
