"""A run continues after an attempt of the direct path: as its own only if its route makes the same call."""

from __future__ import annotations

import time
from copy import copy
from pathlib import Path

import pytest
from tests.unit.executor.routes import Bench, asked, kinds, plan, rename, route, say, see

from intermodal import errors
from intermodal.catalog.types import Endpoint, EndpointShortcoming
from intermodal.core.request import JsonOutput
from intermodal.events import AttemptFailed, Result, StepFinished
from intermodal.executor.attempt.accounting import AttemptEnding, Charge
from intermodal.executor.attempt.circuit_breaker import EndpointHealth
from intermodal.executor.attempt.step_caller import PriorAttempt
from intermodal.protocols.calls import Finish, WireTextDelta
from intermodal.protocols.errors.classification import SchemaRefused
from intermodal.store.rows import AttemptOutcome
from intermodal.testing import FakeHost

pytestmark = pytest.mark.anyio
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
VALID = '{"city": "Paris"}'


def tried(endpoint: Endpoint, error: errors.CallError | None, answer: str = "") -> PriorAttempt:
    """An attempt at ``endpoint``: it failed with ``error``, or ended with an answer to be repaired."""
    paid = error is None or error.billing != "free"
    charge = Charge("estimated" if paid else "void", None if paid else 0.0, paid)
    ending = AttemptEnding(charge, AttemptOutcome(), 0.001 if paid else 0.0)
    events = () if error is not None else (WireTextDelta(text=answer), Finish(reason="stop"))
    return PriorAttempt(error, endpoint.id, ending, run="r", seconds=0.1, events=events)


class World:
    """Endpoints of one fake host, each at a host of its own, and what the runs of a client share of them."""

    def __init__(self, folder: Path, host: FakeHost, *models: str) -> None:
        self.host = host
        self.kept: list[EndpointShortcoming] = []
        self.health = EndpointHealth(self.kept.append)
        self.endpoints = tuple(
            rename(endpoint, host=rename(endpoint.host, id=f"at-{place}"), id=f"at-{place}:{endpoint.model.id}")
            for place, endpoint in enumerate(host.endpoint(model, input=("text", "image")) for model in models)
        )
        self.bench = Bench(folder, endpoints=self.endpoints, options={"upstreams": self.health})

    async def run(self, attempt: PriorAttempt, *order: int, **more: object) -> Result:
        request, opened = asked("?", **more)  # type: ignore[arg-type]
        routes = [route(say(self.endpoints[place])) for place in order]
        return await self.bench.run(plan(*routes), request, opened, self.counted(attempt))

    def counted(self, attempt: PriorAttempt) -> PriorAttempt:
        """The attempt, of which the health of the endpoints knows: its account told it."""
        host, now = attempt.endpoint.partition(":")[0], time.monotonic()
        self.health.begin(attempt.endpoint, host, now, is_resend=False).end(attempt.error, now)
        return attempt

    @property
    def failures(self) -> list[tuple[str, str, str]]:
        failed = [event for event in self.bench.events if isinstance(event, AttemptFailed)]
        return [(event.endpoint, event.code, event.then) for event in failed]

    @property
    def called(self) -> list[str]:
        return [attempt.model for attempt in self.host.attempts]


@pytest.fixture
def world(tmp_path: Path, host: FakeHost) -> World:
    return World(tmp_path, host, "a", "b")


async def test_an_attempt_elsewhere_is_a_failed_route_and_the_planned_endpoint_is_called(world: World) -> None:
    a, b = world.endpoints
    result = await world.run(tried(a, errors.CallError("failed inside", status=500)), 1, 0)
    assert (result.endpoint, result.text) == (b.id, "The caller wants 42 apples.")
    assert world.failures == [(a.id, "call", "reroute")]
    assert result.notes == (f"{a.id} failed inside: going on with {b.id}",)
    assert result.cost is not None and result.cost > 0.001, "the attempt before the run is counted, and once"
    assert world.called == ["b"]


@pytest.mark.parametrize("kind", [errors.CallError, errors.ContextExceeded])
async def test_an_endpoint_that_failed_before_the_run_is_no_fallback(
    tmp_path: Path, host: FakeHost, kind: type[errors.CallError]
) -> None:
    world = World(tmp_path, host, "a", "m-fault-broken")
    a, b = world.endpoints
    with pytest.raises(errors.CallError):
        await world.run(tried(a, kind("failed inside", status=500)), 1, 0)
    assert "a" not in world.called
    assert {endpoint for endpoint, _, _ in world.failures} == {a.id, b.id}


async def test_a_lesson_is_learned_of_the_endpoint_that_taught_it(world: World) -> None:
    a, b = world.endpoints
    error = errors.ContextExceeded("too long", where=a.id, status=400)
    error.limit = 1000
    result = await world.run(tried(a, error), 1)
    assert result.endpoint == b.id
    assert [(lesson.endpoint, lesson.context) for lesson in world.kept] == [(a.id, 1000)]
    assert world.failures == [(a.id, "context_exceeded", "reroute")]


async def test_a_part_that_the_endpoint_refused_may_still_be_described_to_it(world: World) -> None:
    """The attempt sent the image as it is. The plan that was made after it sends words instead."""
    a, b = world.endpoints
    error = errors.UnsupportedModality("takes no images", where=a.id, status=400)
    error.kind = "image"
    request, opened = asked("?", "cat.png")
    described = see(b)
    result = await world.bench.run(
        plan(route(described, say(a, f"step:{described.id}"))), request, opened, tried(a, error)
    )
    assert result.endpoint == a.id
    assert [(lesson.endpoint, lesson.lacks) for lesson in world.kept] == [(a.id, ("image",))]
    assert world.failures == [(a.id, "unsupported_modality", "reroute")]
    assert result.notes[0].startswith(f"{a.id} cannot take")
    assert world.called == ["b", "a"]


async def test_a_long_pause_is_that_of_the_endpoint_that_requested_it(world: World) -> None:
    a, b = world.endpoints
    result = await world.run(tried(a, errors.RateLimited("slow down", status=429, retry_after=30.0)), 1, 0)
    assert result.endpoint == b.id
    now = world.bench.dependencies(None).clock()  # type: ignore[arg-type]
    assert world.health.pause_left(a.id, now) > 20 and not world.health.pause_left(b.id, now)


async def test_an_endpoint_that_requested_a_pause_is_returned_to(tmp_path: Path, host: FakeHost) -> None:
    world = World(tmp_path, host, "a", "m-fault-gone")
    a, _ = world.endpoints
    result = await world.run(tried(a, errors.RateLimited("slow down", status=429, retry_after=30.0)), 1, 0)
    assert result.endpoint == a.id
    assert max(world.bench.slept) > 25


@pytest.mark.parametrize(
    "error",
    [
        errors.CallError("failed inside", status=500),
        errors.Overloaded("busy", status=503),
        errors.RateLimited("slow down", status=429, retry_after=30.0),
        None,
    ],
    ids=["500", "503", "429", "unusable"],
)
@pytest.mark.parametrize("more", [False, True], ids=["alone", "with a fallback of the same call"])
async def test_a_plan_that_asks_the_endpoint_in_another_way_is_run(
    world: World, error: errors.CallError | None, more: bool
) -> None:
    a, b = world.endpoints
    request, opened = asked("?", "cat.png")
    described = see(b)
    routes = [route(described, say(a, f"step:{described.id}")), *([route(say(a, "part:1"))] if more else [])]
    result = await world.bench.run(plan(*routes), request, opened, world.counted(tried(a, copy(error), "?")))
    assert result.endpoint == a.id
    assert world.called == ["b", "a"]
    asks_to_wait = error is not None and error.retry_after is not None
    assert (max(world.bench.slept, default=0) > 25) == asks_to_wait


async def test_another_way_waits_until_other_endpoints_have_failed(tmp_path: Path, host: FakeHost) -> None:
    world = World(tmp_path, host, "a", "b", "m-fault-gone")
    a, b, gone = world.endpoints
    request, opened = asked("?", "cat.png")
    described = see(b)
    routes = plan(route(described, say(a, f"step:{described.id}")), route(say(gone, "part:1")))
    error = errors.RateLimited("slow down", status=429, retry_after=30.0)
    result = await world.bench.run(routes, request, opened, world.counted(tried(a, error)))
    assert result.endpoint == a.id
    assert world.called[0] == "m-fault-gone" and world.called[-2:] == ["b", "a"]
    assert max(world.bench.slept) > 25


@pytest.mark.parametrize("kind", [errors.CredentialsRefused, errors.ContentRefused])
async def test_an_endpoint_that_may_not_be_called_again_is_not(world: World, kind: type[errors.CallError]) -> None:
    a, b = world.endpoints
    request, opened = asked("?", "cat.png")
    described = see(b)
    with pytest.raises(kind):
        await world.bench.run(
            plan(route(described, say(a, f"step:{described.id}"))), request, opened, tried(a, kind("no", status=401))
        )
    assert world.called == []


async def test_a_schema_that_the_endpoint_refused_may_be_enforced_by_another(world: World) -> None:
    a, b = world.endpoints
    world.host.answer = VALID
    error = SchemaRefused("cannot be held to this schema", where=a.id, status=400)
    result = await world.run(tried(a, error), 1, output=JsonOutput(schema=SCHEMA))
    assert (result.endpoint, result.data) == (b.id, {"city": "Paris"})
    assert world.failures == [(a.id, "schema_refused", "reroute")]


async def test_an_answer_to_be_repaired_is_none_of_another_endpoint(world: World) -> None:
    a, b = world.endpoints
    world.host.answer = VALID
    result = await world.run(tried(a, None, "no JSON"), 1, output=JsonOutput(schema=SCHEMA))
    assert (result.endpoint, result.data) == (b.id, {"city": "Paris"})
    assert world.failures == [(a.id, "call", "reroute")]
    assert [event.actual.calls for event in world.bench.events if isinstance(event, StepFinished)] == [1]
    assert "no JSON" not in str(world.host.attempts[0].body)


async def test_an_answer_to_be_repaired_is_that_of_its_own_endpoint(world: World) -> None:
    a, _ = world.endpoints
    world.host.answer = VALID
    world.bench.options["live"] = False
    result = await world.run(tried(a, None, "no JSON"), 0, 1, output=JsonOutput(schema=SCHEMA))
    assert (result.endpoint, result.data, world.failures) == (a.id, {"city": "Paris"}, [])
    assert "no JSON" in str(world.host.attempts[0].body)


@pytest.mark.parametrize("error", [None, errors.CallError("failed inside", status=500), errors.StreamCut("cut")])
async def test_what_may_have_been_paid_is_not_repeated_elsewhere_without_permission(
    world: World, error: errors.CallError | None
) -> None:
    a, _ = world.endpoints
    world.bench.options["pay_twice"] = False
    with pytest.raises(errors.CallError) as caught:
        await world.run(tried(a, error, "no JSON"), 1, output=JsonOutput(schema=SCHEMA))
    assert caught.value.where in ("", a.id)
    assert [then for _, _, then in world.failures] == ["stop"]
    assert world.called == []
    assert kinds(world.bench.events) == ["AttemptFailed"]


async def test_an_attempt_elsewhere_counts_among_the_three_that_may_be_paid(tmp_path: Path, host: FakeHost) -> None:
    world = World(tmp_path, host, "a", "m-fault-broken", "c")
    a, b, _ = world.endpoints
    with pytest.raises(errors.CallError):
        await world.run(tried(a, errors.CallError("failed inside", status=500)), 1, 2)
    assert world.failures == [(a.id, "call", "reroute"), (b.id, "call", "resend"), (b.id, "call", "stop")]
    assert "c" not in world.called
