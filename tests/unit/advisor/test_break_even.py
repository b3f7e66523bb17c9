"""A host's bill against hardware of one's own: arithmetic that can be done by hand."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from tests.plans import catalogs
from tests.unit.advisor.advice_of import advice, endpoints, strong_here

from intermodal.advisor.advice import RouteOffer
from intermodal.advisor.break_even import MONTH, break_even_volume, capacity, machines_for, mean_wait, own_cost
from intermodal.advisor.question import OwnedHardware
from intermodal.catalog.types import Endpoint, Price, Speed
from intermodal.core.quantity import between, exact, unknown

HOURS = 24 * 365.25 / 12


def dear() -> tuple[Endpoint, ...]:
    """A host that asks a cent for a request and nothing else, and a quick model here."""
    host = catalogs.hosted(catalogs.ACME, "acme/dear", "large", (0.0, 0.0))
    quick = Speed(decode=exact(100.0), prompt=exact(10_000.0), overhead=exact(0.0))
    return (
        msgspec.structs.replace(host, price=Price(input_mtok=0.0, output_mtok=0.0, request=0.01)),
        msgspec.structs.replace(strong_here(), speed=quick),
    )


def even(**options: Any) -> Any:
    return advice("text", among=dear(), out_tokens=100, **options).break_even


def test_a_machine_costs_its_share_and_its_power() -> None:
    owned = OwnedHardware(price=3600.0, months=36.0, watts=500.0, kwh=0.30)
    assert owned.per_month == pytest.approx(100.0 + 0.5 * HOURS * 0.30)
    assert OwnedHardware(price=3600.0).per_month == 100.0, "three years where nobody says"


def test_the_lines_cross_where_a_machine_costs_what_the_host_asks() -> None:
    found = even(hardware_price=3600.0, requests="20000/month")
    assert found.requests.mid == pytest.approx(100.0 / 0.01)
    assert "the hardware is cheaper" in found.words and "power not counted" in found.machine.basis
    below = even(hardware_price=3600.0, requests="2000/month")
    assert "the host is cheaper" in below.words


def test_one_machine_answers_one_request_after_the_other() -> None:
    found = even(hardware_price=3600.0)
    assert found.capacity.mid == pytest.approx(MONTH / 1.07, rel=0.1), "100 tokens at 100 a second, and reading"
    assert found.capacity.low <= found.capacity.mid <= found.capacity.high


def test_a_machine_that_cannot_answer_so_many_never_pays() -> None:
    found = even(hardware_price=36_000_000.0, requests="1000/day")
    assert not found.requests.known and found.words.startswith("buying is cheaper at no volume")


def test_more_requests_take_more_machines() -> None:
    owned = OwnedHardware(price=3600.0)
    assert [machines_for(each, 1000.0) for each in (1, 1000, 1001, 5000)] == [1, 1, 2, 5]
    assert own_cost(owned, 2500.0, 1000.0) == 300.0
    assert even(requests="100/s".replace("/s", "k/day")).machines > 1


def test_a_range_of_prices_is_a_range_of_volumes() -> None:
    owned, capacity = OwnedHardware(price=3600.0), exact(1e9)
    found = break_even_volume(owned, between(0.005, 0.01, 0.02, "tokens"), capacity)
    assert (found.low, found.mid, found.high) == (5_000.0, 10_000.0, 20_000.0)
    assert not break_even_volume(owned, unknown("no price"), capacity).known
    assert not break_even_volume(owned, exact(0.0), capacity).known, "a host that asks nothing is never dearer"
    assert not break_even_volume(owned, exact(0.01), unknown("nobody timed it")).known


def test_without_a_price_of_hardware_it_says_what_it_may_cost() -> None:
    found = even(requests="10000/month")
    assert not found.machine.known and found.worth.mid == pytest.approx(0.01 * 10_000 / found.machines)
    assert "--hardware-price" in found.words
    assert [(step.usd, step.requests) for step in found.milestones] == [
        (100.0, pytest.approx(10_000.0)), (1_000.0, pytest.approx(100_000.0)), (10_000.0, pytest.approx(1_000_000.0)),
    ]  # fmt: skip


def test_hardware_is_compared_only_where_it_keeps_what_is_needed() -> None:
    made = advice("image", shows="scene", prompt="What colour is the car?", hardware_price=1000.0)
    assert made.use == "vision" and "nothing here answers it" in made.break_even.words
    other = advice("image", prompt="What is the total?", hardware_price=1000.0, among=endpoints())
    assert other.break_even.here == "" or other.use == "cascade" or other.break_even.here_as


def test_a_queue_is_that_of_one_server_where_there_is_one() -> None:
    for busy in (0.1, 0.5, 0.9):
        assert mean_wait(2.0, 1, busy) == pytest.approx(2.0 * busy / (1 - busy)), "M/M/1, exactly"
    assert mean_wait(2.0, 1, 1.0) == math.inf


def test_more_servers_at_the_same_load_wait_less() -> None:
    assert mean_wait(2.0, 1, 0.8) > mean_wait(2.0, 2, 0.8) > mean_wait(2.0, 20, 0.8) > 0
    # Erlang's formula for 2 servers at 0.8 each: 2 * 0.64 / (1 - 0.64)
    assert mean_wait(2.0, 2, 0.8) == pytest.approx(2 * 0.64 / 0.36, rel=0.03)


def test_the_queue_at_the_volume_is_described() -> None:
    idle = even(requests="2000/month")
    assert idle.queue == "one machine is busy less than 1% of the time, hardly any request waits"
    per_month = even().capacity.mid
    full = even(requests=0.95 * per_month)
    assert "one machine is busy 95% of the time" in full.queue
    assert "less with 2" in full.queue
    assert even().queue == "", "no volume, no queue"


def test_requests_side_by_side_multiply_what_a_machine_answers() -> None:
    one, many = (capacity(RouteOffer(place="here", seconds=exact(2.0), slots=slots)) for slots in (1, 20))
    assert many.mid == pytest.approx(20 * one.mid) == pytest.approx(20 * MONTH / 2.0)
    assert (one.basis, many.basis) == ("one request at a time, day and night", "20 requests at a time, day and night")
