"""Runs whose bill is settled with a host's dated prices."""

from __future__ import annotations

import pytest
from tests.unit.executor.routes import Bench, asked, plan, route, say

from intermodal.catalog.rate_cards import RateCard
from intermodal.testing import FakeHost

pytestmark = pytest.mark.anyio


async def test_a_call_is_settled_with_the_hosts_prices_of_the_moment_it_was_made(bench: Bench) -> None:
    was = RateCard(units={"input_mtok": 9.0, "output_mtok": 9.0})
    now = RateCard(units={"input_mtok": 2.0, "output_mtok": 4.0, "cache_read_mtok": 0.5}, since="2026-11-01")
    with FakeHost(answer="yes") as host:
        host.cached = 2
        bench.endpoints = (model,) = (host.endpoint(),)
        for day, usd in (("2026-11-25T12:00", (2 * 0.5 + 2 * 2.0 + 4.0) / 1e6), ("2026-10-01T12:00", 5 * 9.0 / 1e6)):
            bench.options = {"tariff": lambda endpoint: (was, now), "moment": lambda day=day: day}
            result = await bench.run(plan(route(say(model))), *asked("four words are here"))
            assert result.cost == pytest.approx(usd)


async def test_a_call_whose_count_has_no_price_counts_at_what_was_set_aside(bench: Bench) -> None:
    with FakeHost() as host:
        bench.endpoints = (model,) = (host.endpoint(),)
        bench.options = {"tariff": lambda endpoint: (RateCard(units={"input_mtok": 2.0}),)}
        result = await bench.run(plan(route(say(model))), *asked("How much?"))
    assert bench.states() == ["estimated"] and result.cost == pytest.approx(0.001)
