"""What a plan takes sound to cost, by the units that hosts sell it in, and what is then billed for it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.plans import catalogs

from intermodal.catalog.types import Catalog, Price
from intermodal.core.content import Audio, BytesSource, Text
from intermodal.core.quantity import exact
from intermodal.core.request import Message, Policy, Request, TranscriptOutput
from intermodal.executor.attempt.accounting import price_of_usage
from intermodal.planner import plan
from intermodal.plans.facts import Facts, PartFacts
from intermodal.plans.plan import Plan
from intermodal.plans.statistics import Statistics
from intermodal.plans.step import Call
from intermodal.protocols.calls import WireUsage
from intermodal.store.rows import Work

DAY = "2026-11-24"


TOKENS = Price(input_mtok=1.0, output_mtok=0.0)


def heard(price: Price, seconds: float = 63.0, max_cost: float = 1.0) -> Plan:
    """A plan to ask a named model that hears about a recording, at this price, beside an ear on this machine."""
    hears = next(each for each in catalogs.acme() if each.id == "acme:acme/sonata")
    part, facts = recording(seconds)
    said = (Message(role="user", parts=(Text(text="Who calls?"), part)),)
    request = Request(messages=said, policy=Policy(model="acme/sonata", max_cost=max_cost))
    prompt = PartFacts(index=0, name="prompt", kind="text", chars=10, size=10)
    facts = Facts(parts=(prompt, replace(facts.parts[0], index=1)))
    made = Catalog(endpoints=(replace(hears, price=price), catalogs.ear()), consent=("acme",))
    return plan(request, facts, made, catalogs.LAPTOP, Statistics(), DAY)


def test_whose_price_is_not_known_is_named_and_nobody_else() -> None:
    writes, ear = catalogs.acme()[1], catalogs.ear()
    hosted = replace(ear, id="acme:acme/hark", host=catalogs.ACME, price=Price(), memory=exact(0))
    part, facts = recording(63.0)
    said = (Message(role="user", parts=(Text(text="Who calls?"), part)),)
    prompt = PartFacts(index=0, name="prompt", kind="text", chars=10, size=10)
    facts = Facts(parts=(prompt, replace(facts.parts[0], index=1)))
    made = Catalog(endpoints=(writes, hosted), consent=("acme",))
    planned = plan(Request(messages=said, policy=Policy()), facts, made, catalogs.LAPTOP, Statistics(), DAY)
    assert not planned.chosen.total.cost.known and planned.chosen.endpoint == "acme:acme/vista-mini"
    assert [note for note in planned.notes if note.startswith("the price of acme:acme/hark is not known")]
    assert not any("price of acme:acme/vista-mini" in note for note in planned.notes)


@pytest.mark.parametrize("seconds", [2.0, 63.0, 600.0])
def test_sound_of_a_chat_that_is_sold_by_the_second_costs_its_seconds_beside_the_text(seconds: float) -> None:
    by_second, free = (
        heard(replace(TOKENS, second=usd, least_seconds=10.0), seconds).chosen.total.cost for usd in (0.001, 0.0)
    )
    assert by_second.mid - free.mid == pytest.approx(max(seconds, 10.0) * 0.001)
    assert by_second.high - free.high == pytest.approx(max(seconds, 10.0) * 0.001)


def test_what_a_chat_with_sound_by_the_second_cost_is_settled_like_that() -> None:
    hears = next(each for each in catalogs.acme() if each.id == "acme:acme/sonata")
    endpoint = replace(hears, price=replace(TOKENS, second=0.001))
    work, apart = Work(audio_seconds=60.0), (("text", 100), ("audio", 750))
    assert price_of_usage(endpoint, WireUsage(input_tokens=100, output_tokens=9, seconds=60.0), work) == pytest.approx(
        0.06 + 100e-6
    )
    told = WireUsage(input_tokens=850, output_tokens=9, input_by_modality=apart)
    assert price_of_usage(endpoint, told, work) == pytest.approx(0.06 + 100e-6)
    unstated = replace(hears, price=replace(TOKENS, unpriced=("audio",)))
    assert price_of_usage(unstated, told, work) is None


def test_an_unknown_price_of_sound_is_said_and_is_no_reason_to_say_it_cannot_be_heard() -> None:
    unstated = replace(TOKENS, unpriced=("audio",))
    bridged = heard(unstated)
    assert [step.op for step in bridged.chosen.steps if isinstance(step, Call)] == ["transcribe", "generate"]
    said = " ".join(bridged.notes)
    assert "price is not known" in said and "as it is" in said
    alone = heard(TOKENS)
    assert [step.op for step in alone.chosen.steps if isinstance(step, Call)] == [
        "generate"
    ]  # as text, where a row says so


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
    assert price_of_usage(endpoint, WireUsage(seconds=seconds), Work(audio_seconds=seconds)) == pytest.approx(
        billed * 0.001
    )
