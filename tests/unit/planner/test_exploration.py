"""What a model is at one endpoint is known of it at others, and what was never measured is tried out within bounds."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from intermodal import errors
from intermodal.catalog.default_speeds import ZONE_SPEEDS
from intermodal.catalog.types import Catalog, Endpoint, Evidence, Host, Model, Price, Speed, Strength
from intermodal.core.content import Text
from intermodal.core.quantity import Quantity, between
from intermodal.core.request import Message, Policy, Request, Tier, Zone
from intermodal.executor.attempt.circuit_breaker import FAILURES_TO_OPEN, PROBE_INTERVAL, EndpointHealth
from intermodal.planner import plan
from intermodal.plans.explain import explain
from intermodal.plans.facts import Facts, PartFacts
from intermodal.plans.machine import Machine
from intermodal.plans.plan import EXPLORED_EVERY, EXPLORED_MOST, Plan
from intermodal.plans.statistics import Statistics

SEEN = "20 runs here"


def endpoint(
    host: str, model: str = "acme/strong", *, price: float = 1.0, tier: Tier = "large", zone: Zone = "internet",
    **more: Any,
) -> Endpoint:  # fmt: skip
    made = Model(
        id=model, input=("text",), output=("text",), tasks=("text-generation",), context=32000,
        strength=(Strength(task="text-generation", tier=tier, evidence=Evidence(level="declared")),),
    )  # fmt: skip
    values: dict[str, Any] = {
        "id": f"{host}:{model}", "model": made, "host": Host(id=host, base_url="http://127.0.0.1:9/v1", zone=zone),
        "context": 32000, "input": ("text",), "price": Price(input_mtok=price, output_mtok=4 * price),
        "speed": ZONE_SPEEDS[zone], **more,
    }  # fmt: skip
    return Endpoint(**values)


def measured(*names: str, overhead: float = 0.4, decode: float = 90.0, **more: Quantity) -> Statistics:
    rows: dict[str, Quantity] = {}
    for name in names:
        rows[f"{name}|overhead"] = between(overhead / 2, overhead, overhead * 2, SEEN)
        rows[f"{name}|prompt"] = between(1000.0, 4000.0, 9000.0, SEEN)
        rows[f"{name}|decode"] = between(decode / 2, decode, decode * 2, SEEN)
        rows |= {f"{name}|{figure}": quantity for figure, quantity in more.items()}
    return Statistics(epoch=1, rows=rows)


def planned(statistics: Statistics, *endpoints: Endpoint, previous: str = "", **policy: Any) -> Plan:
    bounds: dict[str, Any] = {"max_cost": 10.0, **policy}
    request = Request(
        messages=(Message(role="user", parts=(Text(text="Who wrote this?"),)),), policy=Policy(**bounds),
        previous_endpoint=previous,
    )  # fmt: skip
    facts = Facts(parts=(PartFacts(index=0, name="prompt", kind="text", chars=15, size=15),))
    catalog = Catalog(endpoints=endpoints, consent=tuple({each.host.id for each in endpoints}))
    return plan(request, facts, catalog, Machine(), statistics, "2026-11-28")


# ---- the same model elsewhere -------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["default", "fastest"])
def test_of_one_model_at_two_hosts_being_measured_does_not_decide(objective: str) -> None:
    cheap, dear = endpoint("cheap", price=1.0), endpoint("dear", price=2.0)
    for who in (dear.id, cheap.id):
        made = planned(measured(who, overhead=0.002, decode=3000.0), cheap, dear, objective=objective)
        assert made.chosen.endpoint == "cheap:acme/strong"
        assert made.chosen.total.seconds.mid == made.fallbacks[0].total.seconds.mid


def test_a_figure_from_elsewhere_says_so_and_is_no_surer_than_before() -> None:
    cheap, dear = endpoint("cheap"), endpoint("dear", price=2.0)
    before = planned(Statistics(), cheap, dear).chosen.total.seconds
    after = planned(measured(dear.id), cheap, dear).chosen.total.seconds
    assert after.low <= before.low and after.high >= before.high, "limits are kept as before"
    assert after.mid < before.mid
    own = planned(measured(cheap.id), cheap, dear).chosen.total.seconds
    assert own.high < after.high


def test_how_long_answers_are_is_the_model_s_own_and_how_fast_it_is_is_the_place_s() -> None:
    here, there = endpoint("here", zone="network"), endpoint("there", price=2.0)
    length = between(400.0, 500.0, 600.0, SEEN)
    statistics = measured(there.id, overhead=0.001, decode=10_000.0, output_tokens_short=length)
    kinds = {f"{there.id}|output_tokens_{kind}": length for kind in ("fact", "short", "text", "long", "open", "answer")}
    statistics = msgspec.structs.replace(statistics, rows={**statistics.rows, **kinds})
    made = planned(statistics, here, there, model=here.id)
    assert made.chosen.total.seconds.mid > 1, "another kind of place says nothing of its speed"
    from intermodal.cost_model.sibling_statistics import with_sibling_figures

    found = with_sibling_figures(statistics, {"acme/strong": [here, there]})
    assert found.get(here.id, "output_tokens_short") == between(400 / 1.5, 500.0, 900.0, f"as {there.id}, {SEEN}")
    assert found.get(here.id, "decode") is None


def test_money_is_planned_with_the_average_answer_and_time_with_the_middle_one() -> None:
    cheap = endpoint("cheap", price=1.0)
    rows = {
        f"{cheap.id}|output_tokens_{kind}": between(10.0, 50.0, 250.0, SEEN)
        for kind in ("fact", "other", "word", "long", "list", "whole", "sentence")
    }
    middle = planned(Statistics(rows=rows), cheap).chosen.total
    rows |= {name.replace("tokens", "mean"): between(150.0, 150.0, 150.0, SEEN) for name in rows}
    average = planned(Statistics(rows=rows), cheap).chosen.total
    assert average.output_tokens.mid == middle.output_tokens.mid == 50
    assert average.seconds == middle.seconds
    per_token = (average.cost.mid - middle.cost.mid) / 100
    assert per_token > 0 and (average.cost.low, average.cost.high) == (middle.cost.low, middle.cost.high)
    assert average.cost.mid > 2 * middle.cost.mid, "nearly all of it is the answer"


def test_a_speed_that_the_catalog_states_of_a_place_stays() -> None:
    from intermodal.cost_model.sibling_statistics import with_sibling_figures

    stated = Speed(overhead=between(0.1, 0.2, 0.3, "stated"), decode=between(100.0, 200.0, 300.0, "stated"))
    quick, other = endpoint("quick", speed=stated), endpoint("other")
    found = with_sibling_figures(measured(other.id), {"acme/strong": [quick, other]})
    assert found.get(quick.id, "decode") is None and found.get(quick.id, "prompt") is not None


def test_what_was_measured_is_not_touched_and_the_middle_of_several_counts() -> None:
    from intermodal.cost_model.sibling_statistics import with_sibling_figures

    some = [endpoint(name) for name in ("a", "b", "c", "new")]
    rows = {f"{each.id}|overhead": between(0.1 * n, 0.2 * n, 0.3 * n, SEEN) for n, each in enumerate(some[:3], start=1)}
    before = Statistics(epoch=3, rows=rows)
    after = with_sibling_figures(before, {"acme/strong": some})
    assert rows.items() <= after.rows.items() and after.epoch == 3
    found = after.get("new:acme/strong", "overhead")
    assert found is not None and (found.mid, found.basis) == (0.4, f"as b:acme/strong, {SEEN}")
    assert with_sibling_figures(before, {"acme/strong": some[:3]}) is before


# ---- this machine -------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["machine", "process"])
def test_a_server_of_a_slow_machine_is_not_chosen_for_having_never_been_asked(zone: Zone) -> None:
    steady, other = endpoint("steady", "a/one", price=0.0, zone=zone), endpoint("other", "a/two", price=0.0, zone=zone)
    slow = measured(steady.id, overhead=0.02, decode=12.0)
    rows = slow.rows | {f"{steady.id}|prompt": between(30.0, 70.0, 180.0, SEEN)}
    learned = Statistics(epoch=1, rows=rows)
    made = planned(learned, steady, other, explore=False)
    for each in (made.chosen, made.fallbacks[0]):
        assert each.total.seconds.mid > 3, "as fast as the machine turned out to be"
    before = planned(Statistics(), steady, other, explore=False)
    assert before.chosen.total.seconds.mid < made.chosen.total.seconds.mid / 2


@pytest.mark.parametrize(
    ("there", "model"),
    [
        ({"zone": "network"}, {}),
        ({}, {"parameters": 8e9}),
        ({}, {"tasks": ("image-to-text",)}),
        ({"speed": Speed(decode=between(100.0, 200.0, 300.0, "stated"))}, {}),
    ],
)
def test_a_machine_says_nothing_of_other_places_other_models_and_what_is_stated(
    there: dict[str, Any], model: dict[str, Any]
) -> None:
    from intermodal.cost_model.sibling_statistics import with_sibling_figures

    known, other = endpoint("known", "a/one", zone="machine"), endpoint("new", "a/two", **{"zone": "machine", **there})
    other = msgspec.structs.replace(other, model=msgspec.structs.replace(other.model, **model))
    alike = endpoint("alike", "a/three", zone="machine")
    found = with_sibling_figures(measured(known.id), {each.model.id: [each] for each in (known, other, alike)})
    assert found.get(other.id, "decode") is None
    assert found.get(alike.id, "decode") == between(5.0, 90.0, 180.0, f"as {known.id}, {SEEN}")


# ---- what is tried out ---------------------------------------------------------------------------

KNOWN = endpoint("known", "acme/known", price=1.0)
NEW = endpoint("new", "acme/new", price=0.9)


def test_an_unmeasured_endpoint_that_may_be_better_is_named_and_explained() -> None:
    made = planned(measured(KNOWN.id), KNOWN, NEW)
    assert (made.chosen.endpoint, made.explores) == (KNOWN.id, NEW.id)
    assert made.explores in [each.endpoint for each in made.fallbacks]
    assert f"{NEW.id} is not measured yet and may be better" in explain(made)
    assert made == planned(measured(KNOWN.id), KNOWN, NEW), "planning is a function of its inputs"


@pytest.mark.parametrize(
    ("other", "policy"),
    [
        (NEW, {"explore": False}),
        (NEW, {"pay_twice": False}),
        (NEW, {"deadline": 60.0}),
        (NEW, {"objective": "cheapest"}),
        (NEW, {"objective": "best"}),
        (NEW, {"model": KNOWN.id}),
        (NEW, {"previous": KNOWN.id}),
        (endpoint("new", "acme/new", price=1.1), {}),
        (endpoint("new", "acme/new", price=0.5, tier="medium"), {}),
        (endpoint("new", "acme/new", price=0.5, speed=Speed(overhead=between(9.0, 9.5, 10.0, "stated"))), {}),
    ],
    ids=["off", "no second payment", "deadline", "cheapest", "best", "another is named", "a conversation", "dearer",
         "weaker", "surely slower"],
)  # fmt: skip
def test_nothing_is_tried_out_at_somebody_s_expense(other: Endpoint, policy: dict[str, Any]) -> None:
    assert planned(measured(KNOWN.id), KNOWN, other, **policy).explores == ""


def test_nothing_is_tried_out_farther_away_and_nothing_before_the_chosen_one_is_known() -> None:
    near, far = endpoint("near", "acme/known", zone="network"), endpoint("far", "acme/new", price=0.5)
    made = planned(measured(near.id, overhead=0.01), near, far)
    assert made.chosen.endpoint == near.id and made.explores == ""
    assert planned(Statistics(), KNOWN, NEW).explores == ""
    assert planned(measured(KNOWN.id, NEW.id), KNOWN, NEW).explores == ""


@pytest.mark.slow
def test_over_many_requests_what_is_lost_by_trying_out_is_bounded() -> None:
    """Of any number of endpoints, whatever they turn out to take: a few requests each, never dearer, never weaker."""
    draw = random.Random(20_261_128)
    for _ in range(5):
        some = [endpoint(f"h{n}", f"acme/m{n}", price=draw.uniform(0.3, 1.0)) for n in range(4)]
        truth = {each.id: draw.uniform(0.05, 6.0) for each in some}
        known = endpoint("known", "acme/known", price=1.0)
        truth[known.id] = 0.4
        runs: dict[str, list[float]] = {known.id: [truth[known.id]] * 3}
        upstreams, asked = EndpointHealth(), {each.id: 0 for each in some}
        regret, last, prices = 0.0, dict.fromkeys(asked, -EXPLORED_EVERY), {each.id: each for each in (known, *some)}
        statistics = Statistics()
        for number in range(200):
            if number % 10 == 0:  # an epoch
                rows: dict[str, Quantity] = {}
                for name, took in runs.items():
                    if len(took) >= 3:
                        rows |= measured(name, overhead=sum(took) / len(took)).rows
                statistics = Statistics(epoch=1 + number, rows=rows)
            made = planned(statistics, known, *some)
            chosen = made.chosen.endpoint
            if made.explores and upstreams.explore(made.explores, float(number)):
                name = made.explores
                assert number - last[name] >= EXPLORED_EVERY
                assert (prices[name].price.input_mtok or 0) <= (prices[chosen].price.input_mtok or 0)
                last[name], asked[name] = number, asked[name] + 1
                regret += max(0.0, truth[name] - truth[chosen])
                chosen = name
            runs.setdefault(chosen, []).append(truth[chosen])
        assert max(asked.values()) <= EXPLORED_MOST
        assert regret <= EXPLORED_MOST * len(some) * 6.0
        assert sum(asked.values()) > 0


def test_one_that_is_down_is_asked_once_a_cooldown_until_it_is_back() -> None:
    upstreams = EndpointHealth()
    for _ in range(FAILURES_TO_OPEN):
        upstreams.begin("x", "h", 0.0, is_resend=False).end(errors.Overloaded("down", status=503), 0.0)
    times = []
    for tick in range(400):
        now = tick * 0.1
        if upstreams.explore("x", now) is not None and not upstreams.seconds_open("x", now):
            times.append(now)
            upstreams.begin("x", "h", now, is_resend=False).end(errors.Overloaded("down", status=503), now)
    assert len(times) >= 6 and all(later - one >= PROBE_INTERVAL - 1e-9 for one, later in pairwise(times))
    upstreams.begin("x", "h", 100.0, is_resend=False).end(None, 100.0)
    numbers = [upstreams.explore("x", 100.0) for _ in range(20 * EXPLORED_EVERY)]
    assert [number for number in numbers if number is not None] == list(range(1, EXPLORED_MOST + 1)), (
        "as if it were new"
    )
