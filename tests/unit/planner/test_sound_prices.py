"""What a plan takes sound to cost, by the units that hosts sell it in, and what is then billed for it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.plans import catalogs

from intermodal.catalog.nouns import Catalog
from intermodal.content import Audio, BytesSource
from intermodal.executor.bill import bill
from intermodal.planner import plan
from intermodal.plans.facts import Facts, PartFacts
from intermodal.plans.statistics import Statistics
from intermodal.quantity import exact
from intermodal.request import Message, Policy, Request, TranscriptOutput
from intermodal.store.rows import Work
from intermodal.wire.call import Usage

DAY = "2026-11-24"


def recording(seconds: float) -> tuple[Audio, Facts]:
    part = PartFacts(index=0, name="call.wav", kind="audio", seconds=exact(seconds), channels=1, size=1000)
    return Audio(source=BytesSource(data=b"RIFF")), Facts(parts=(part,))


@pytest.mark.parametrize(("seconds", "billed"), [(2.0, 10.0), (10.0, 10.0), (63.0, 63.0)])
def test_a_short_recording_costs_the_least_that_its_host_bills(seconds: float, billed: float) -> None:
    made = catalogs.catalog("acme", ("acme",))
    endpoint = next(each for each in made.endpoints if each.price.second)
    endpoint = replace(endpoint, price=replace(endpoint.price, second=0.001, least_seconds=10.0))
    part, facts = recording(seconds)
    said, policy = (Message(role="user", parts=(part,)),), Policy(max_cost=1.0)
    request = Request(messages=said, output=TranscriptOutput(), policy=policy)
    found = plan(request, facts, Catalog(endpoints=(endpoint,), consent=("acme",)), catalogs.LAPTOP, Statistics(), DAY)
    assert found.chosen.total.cost.mid == pytest.approx(billed * 0.001)
    assert bill(endpoint, Usage(seconds=seconds), Work(audio_seconds=seconds)) == pytest.approx(billed * 0.001)
