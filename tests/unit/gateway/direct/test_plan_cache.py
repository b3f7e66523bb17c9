"""A plan that is kept for a shape is as good as a fresh one, and never older than what it was made of."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal.client.async_client import AsyncClient, plan_from
from intermodal.core.content import Text
from intermodal.core.request import Message, Policy, Request, Sampling, Settings
from intermodal.errors import NoRoute
from intermodal.gateway.quotas.quota_types import claim_for_plan
from intermodal.gateway.state.plan_cache import PlanCache, bucket_top
from intermodal.plans.plan import Inputs

SAID = "what does the picture show in red a caller says 42 Äpfel code def return 日本語 page chart colour why not"
WORDS = SAID.split()


def asked(
    words: int, seed: int = 0, *, model: str = "cloud/strong", most: int | None = None, policy: Policy | None = None
) -> Request:
    chance = random.Random(seed)
    text = " ".join(chance.choices(WORDS, k=words))
    return Request(
        messages=(
            Message(role="system", parts=(Text(text="Be brief."),)),
            Message(role="user", parts=(Text(text=text),)),
        ),
        policy=policy or Policy(model=model), sampling=Sampling(max_tokens=most),
    )  # fmt: skip


def inputs_of(*requests: Request) -> list[Inputs]:
    async def opened() -> list[Inputs]:
        async with AsyncClient() as client:
            return [(await client.prepare(request)).inputs for request in requests]

    made = asyncio.run(opened())
    return [replace(each, catalog=made[0].catalog, machine=made[0].machine) for each in made]


@pytest.mark.usefixtures("configured")
def test_the_plan_of_a_shape_takes_the_route_of_a_fresh_one_and_bounds_it_from_above() -> None:
    chance = random.Random(6)
    policies = [Policy(model="cloud/strong"), Policy(), Policy(objective="fastest"), Policy(max_cost=0.004)]
    requests = [
        asked(
            int(2 ** chance.uniform(0, 13)), seed, most=chance.choice([None, 20, 300]), policy=chance.choice(policies)
        )
        for seed in range(120)
    ]
    shapes, compared = PlanCache(), 0
    for inputs in inputs_of(*requests, *requests):
        try:
            fresh = plan_from(inputs)
        except NoRoute:
            with pytest.raises(NoRoute):
                asyncio.run(shapes.plan(inputs))
            continue
        kept = asyncio.run(shapes.plan(inputs))
        compared += 1
        assert [route.endpoint for route in (kept.chosen, *kept.fallbacks)] == [
            route.endpoint for route in (fresh.chosen, *fresh.fallbacks)
        ]
        assert [step.id for step in kept.chosen.steps] == [step.id for step in fresh.chosen.steps]
        assert kept.notes == fresh.notes
        mine, exact = kept.chosen.total, fresh.chosen.total
        for more, less in (
            (mine.cost, exact.cost),
            (mine.input_tokens, exact.input_tokens),
            (mine.seconds, exact.seconds),
        ):
            assert less.high <= more.high <= less.high * 17 / 16 + 2
        claim, needed = claim_for_plan(kept), claim_for_plan(fresh)
        assert (claim.cost or 0) >= (needed.cost or 0)
        assert (claim.tokens or 0) >= (needed.tokens or 0)
    assert compared > 200
    assert shapes.hits >= 80


@pytest.mark.usefixtures("configured")
def test_another_catalog_another_day_and_new_figures_are_planned_anew() -> None:
    (inputs,) = inputs_of(asked(50))
    shapes = PlanCache()
    asyncio.run(shapes.plan(inputs))
    asyncio.run(shapes.plan(inputs))
    assert (shapes.hits, shapes.misses) == (1, 1)
    fewer = replace(
        inputs.catalog, endpoints=tuple(e for e in inputs.catalog.endpoints if e.model.id != "cloud/strong")
    )
    free = replace(inputs, request=replace(inputs.request, policy=Policy()))
    assert asyncio.run(shapes.plan(free)).chosen.endpoint
    for changed in (
        replace(inputs, as_of="2031-01-01"),
        replace(inputs, statistics=replace(inputs.statistics, epoch=inputs.statistics.epoch + 1)),
        replace(inputs, request=replace(inputs.request, policy=replace(inputs.request.policy, max_cost=0.5))),
        replace(inputs, request=replace(inputs.request, settings=Settings(protocol="openai", effort="high"))),
        replace(free, catalog=fewer),
    ):
        misses = shapes.misses
        asyncio.run(shapes.plan(changed))
        assert shapes.misses == misses + 1


@pytest.mark.usefixtures("configured")
def test_a_known_shape_is_not_planned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = inputs_of(asked(60), asked(60))
    shapes = PlanCache()
    plan = asyncio.run(shapes.plan(first))
    planned: list[Inputs] = []
    monkeypatch.setattr("intermodal.gateway.state.plan_cache.plan_from", planned.append)
    assert asyncio.run(shapes.plan(first)) is plan
    assert asyncio.run(shapes.plan(second)) is plan
    assert not planned


def test_a_chat_goes_by_its_shape_and_explain_by_its_own_sizes(house: GatewayServer) -> None:
    for text in ("one two three", "four five six"):
        assert house.chat(text, max_tokens=50).status_code == 200
    assert house.gateway.context.plan_cache.misses >= 1
    before = house.gateway.context.plan_cache.hits + house.gateway.context.plan_cache.misses
    body = {"model": "cloud/strong", "messages": [{"role": "user", "content": "one two three"}], "max_tokens": 50}
    assert house.post("/v1/explain", body).status_code == 200
    assert house.gateway.context.plan_cache.hits + house.gateway.context.plan_cache.misses == before


def test_sizes_of_a_shape_are_at_most_a_sixteenth_apart(tmp_path: Path) -> None:
    for size in range(1, 5000):
        assert size <= bucket_top(size) <= size * 17 / 16
        assert bucket_top(bucket_top(size)) == bucket_top(size)
