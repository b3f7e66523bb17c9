"""Benchmark endpoints on one request: time to first token, tokens per second, concurrency, and cost.

Every request is an ordinary run of the plan that a user gets who names the endpoint, so the measured time is what that
user would wait. Each prompt starts differently, so that no server answers from its prompt cache. Requests at
concurrency 1 update an endpoint's learned speed; concurrent ones are stored but do not (``store/learned_figures.py``).
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from intermodal.catalog.model_names import resolve_name
from intermodal.catalog.types import Endpoint
from intermodal.client.async_client import AsyncClient, plan_from
from intermodal.client.request_builder import make_request
from intermodal.core.content import Value
from intermodal.core.hints import hint, setting
from intermodal.errors import BudgetExceeded, IntermodalError, UnknownModel
from intermodal.events import TextDelta, fold
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.store.speed_regression import percentile

if TYPE_CHECKING:
    from intermodal.client.async_client import PreparedRequest
    from intermodal.events import Event
    from intermodal.plans.plan import Plan

PROMPT = (
    "Write a long story about a lighthouse keeper who finds a letter in a bottle. Describe the sea, the storm, the "
    "light and the letter in detail."
)
LEAST = 8  # minimum number of requests per level
_ROUNDS = 2  # minimum number of requests per concurrent worker
_IN_A_ROW = 5  # consecutive failures after which an endpoint is abandoned


class Percentiles(Value):
    """Median, 10th and 90th percentile of ``count`` values; all None if there are none."""

    median: float | None = None
    low: float | None = None
    high: float | None = None
    count: int = 0


class BenchSample(Value):
    """One request: seconds to the first token and in total, tokens as reported; ``error`` is an error code."""

    seconds: float
    first: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = 0.0
    error: str = ""
    message: str = msgspec.field(default="", name="said")

    @property
    def decode(self) -> float | None:
        """Return the tokens per second after the first."""
        if self.first is None or not self.output_tokens or self.output_tokens < 2 or self.seconds <= self.first:
            return None
        return (self.output_tokens - 1) / (self.seconds - self.first)


class LoadLevel(Value):
    """An endpoint measured at one concurrency.

    Attributes:
        wall: seconds from the first request to the end of the last.
        first: seconds to the first token. decode: tokens per second of one request. seconds: of a whole request.
        throughput: tokens per second of all requests together; None if the tokens of a request were not reported.
        errors: count by error code. memory: resident bytes of the server's process at the end of the level, None if it
            is not on this machine or not found.
    """

    endpoint: str
    concurrency: int
    requests: int
    wall: float
    first: Percentiles
    decode: Percentiles
    seconds: Percentiles
    throughput: float | None
    requests_per_second: float
    input_tokens: Percentiles
    output_tokens: Percentiles
    errors: dict[str, int]
    memory: int | None
    cost: float | None
    message: str = msgspec.field(default="", name="said")


class BenchEndpoint(Value):
    """A measured endpoint.

    ``input_mtok``, ``output_mtok``: USD per million tokens, None if unknown. ``own``: on the user's own hardware.
    ``high_cost``: maximum USD of a request.
    """

    endpoint: str
    zone: str
    input_mtok: float | None
    output_mtok: float | None
    own: bool
    route: str
    high_cost: float


@dataclass
class BenchSettings:
    """Settings of a benchmark. ``most``: maximum USD in total. ``common``: options of every request."""

    names: tuple[str, ...]
    prompt: str = PROMPT
    files: tuple[Any, ...] = ()
    concurrency: tuple[int, ...] = (1, 4, 16)
    requests: int = 0
    tokens: int = 64
    most: float = 0.1
    common: dict[str, Any] = field(default_factory=dict)

    def count(self, concurrency: int) -> int:
        return max(self.requests or LEAST, _ROUNDS * concurrency if not self.requests else concurrency)


@dataclass
class Bench:
    """One benchmark. Call ``plan`` first, which spends nothing, then ``run``."""

    client: AsyncClient
    settings: BenchSettings
    resident: Callable[[Endpoint], int | None] = lambda endpoint: None
    subjects: list[BenchEndpoint] = field(default_factory=list)
    levels: list[LoadLevel] = field(default_factory=list)
    spent: float = 0.0  # USD; the upper bound of a request whose cost is unknown
    left: dict[str, str] = field(default_factory=dict)  # endpoint -> why it was abandoned
    _endpoints: list[Endpoint] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Return the number of requests, warm-up included."""
        return len(self._endpoints) * (1 + sum(map(self.settings.count, self.settings.concurrency)))

    @property
    def cost_bound(self) -> float:
        """Return the maximum cost in USD; infinite if a price is unknown."""
        each = self.total / max(1, len(self._endpoints))
        return sum(subject.high_cost * each for subject in self.subjects)

    async def plan(self) -> None:
        """Find the endpoints and their prices. Raises UnknownModel, NoRoute, and BudgetExceeded above ``most``."""
        catalog = self.client.catalog
        found: dict[str, Endpoint] = {}
        for name in self.settings.names:
            by_host = [e for e in catalog.endpoints if e.host.id == name and e.model.output == ("text",)]
            endpoints = by_host or list(resolve_name(self.client.catalog_with((), (name,)), name))
            ready = [
                e for e in endpoints if e.ready and (e.host.zone in LOCAL_ZONES or self._is_allowed(e, catalog.consent))
            ]
            for endpoint in ready or endpoints[:1]:  # if none may be called, planning one reports why
                found.setdefault(endpoint.id, endpoint)
        self._endpoints = list(found.values())
        if not self._endpoints:
            raise UnknownModel("nothing to measure was named", todo="see: intermodal models")
        for endpoint in self._endpoints:
            _, plan = await self._prepare(endpoint)
            price = endpoint.price_on(plan.as_of)
            chosen = plan.chosen
            self.subjects.append(
                BenchEndpoint(
                    endpoint=endpoint.id, zone=endpoint.host.zone, input_mtok=price.input_mtok,
                    output_mtok=price.output_mtok, own=endpoint.host.zone in LOCAL_ZONES,
                    route=" -> ".join(step.title for step in chosen.steps if step.title) or chosen.endpoint,
                    high_cost=chosen.total.cost.for_limit(),
                )
            )  # fmt: skip
        if self.cost_bound > self.settings.most:
            words = "an unknown price" if math.isinf(self.cost_bound) else f"up to ${self.cost_bound:.4f}"
            raise BudgetExceeded(
                f"{self.total} requests would cost {words}, and ${self.settings.most:g} is allowed",
                where=setting("max-cost"),
                todo=hint("raise {max-cost}, ask for fewer {requests} or {tokens}, or leave hosted endpoints out"),
            )  # fmt: skip

    def _is_allowed(self, endpoint: Endpoint, consent: tuple[str, ...]) -> bool:
        return endpoint.host.id in (*consent, *self.settings.common.get("hosts", ()))

    async def _prepare(self, endpoint: Endpoint) -> tuple[PreparedRequest, Plan]:
        """Return a request whose prompt starts differently from any before it, and its plan."""
        settings = self.settings
        prompt = f"[{secrets.token_hex(4)}] {settings.prompt}"
        options: dict[str, Any] = {**settings.common, "model": endpoint.id, "max_tokens": settings.tokens}
        request = make_request(prompt, *settings.files, **options)
        # The limit covers all requests: ``plan`` checks their bound, and ``_level`` checks the spending before each.
        unlimited = msgspec.structs.replace(request.policy, max_cost=math.inf)
        prepared = await self.client.prepare(msgspec.structs.replace(request, policy=unlimited))
        return prepared, plan_from(prepared.inputs)

    async def run(self, on_sample: Callable[[BenchSample], None] = lambda sample: None) -> None:
        """Warm up every endpoint, then measure it level by level. ``told`` is called with each request as it ends."""
        store = self.client.store
        try:
            for endpoint in self._endpoints:
                store.bench = "alone"
                warm = await self._run_request(*await self._prepare(endpoint))
                on_sample(warm)
                if warm.error:
                    self.left[endpoint.id] = f"its warm-up failed: {warm.message}"
                    continue
                for concurrency in self.settings.concurrency:
                    store.bench = "crowded" if concurrency > 1 else "alone"
                    await self._level(endpoint, concurrency, on_sample)
                    if endpoint.id in self.left:
                        break
                    if not self.levels[-1].first.count and self.levels[-1].errors:
                        self.left[endpoint.id] = f"every request failed: {self.levels[-1].message}"
                        break
        finally:
            store.bench = ""
        store.learn()

    async def _level(self, endpoint: Endpoint, concurrency: int, on_sample: Callable[[BenchSample], None]) -> None:
        import anyio

        # Planning is not measured.
        waiting = [await self._prepare(endpoint) for _ in range(self.settings.count(concurrency))]
        samples: list[BenchSample] = []

        async def work() -> None:
            while waiting:
                prepared, plan = waiting.pop()
                if self.spent + concurrency * plan.chosen.total.cost.for_limit() > self.settings.most:
                    self.left[endpoint.id] = (
                        f"${self.spent:.4f} are spent, and one more could pass ${self.settings.most:g}"
                    )
                    return
                samples.append(await self._run_request(prepared, plan))
                on_sample(samples[-1])
                if len(samples) >= _IN_A_ROW and all(each.error for each in samples[-_IN_A_ROW:]):
                    waiting.clear()

        started = time.perf_counter()
        async with anyio.create_task_group() as group:
            for _ in range(concurrency):
                group.start_soon(work)
        wall = time.perf_counter() - started
        self.levels.append(summarize_level(endpoint.id, concurrency, samples, wall, self.resident(endpoint)))

    async def _run_request(self, prepared: PreparedRequest, plan: Plan) -> BenchSample:
        first: float | None = None
        events: list[Event] = []
        started = time.perf_counter()
        try:
            async for event in self.client.execute(prepared, plan, exact=True):
                if first is None and isinstance(event, TextDelta) and event.text:
                    first = time.perf_counter() - started
                events.append(event)
        except IntermodalError as error:
            self.spent += plan.chosen.total.cost.for_limit()
            message = str(error.wording_for("command line"))
            return BenchSample(seconds=time.perf_counter() - started, error=error.code, message=message, cost=None)
        seconds = time.perf_counter() - started
        result = fold(events)
        self.spent += plan.chosen.total.cost.for_limit() if result.cost is None else result.cost
        usage = result.actuals[-1].usage if result.actuals else None
        return BenchSample(
            seconds=seconds, first=first, cost=result.cost,
            input_tokens=usage.input_tokens if usage is not None else None,
            output_tokens=usage.output_tokens if usage is not None else None,
        )  # fmt: skip


def _throughput(tokens: list[int | None], wall: float) -> float | None:
    counts = [count for count in tokens if count is not None]
    if len(counts) < len(tokens):
        return None
    return sum(counts) / wall if wall > 0 else 0.0


def summarize_level(
    endpoint: str, concurrency: int, samples: list[BenchSample], wall: float, memory: int | None
) -> LoadLevel:
    """Summarize the requests of a level. Failed requests count as errors and in nothing else."""
    good = [each for each in samples if not each.error]
    errors: dict[str, int] = {}
    for each in samples:
        if each.error:
            errors[each.error] = errors.get(each.error, 0) + 1
    costs = [each.cost for each in samples]
    return LoadLevel(
        endpoint=endpoint, concurrency=concurrency, requests=len(samples), wall=wall,
        first=percentiles([each.first for each in good]), decode=percentiles([each.decode for each in good]),
        seconds=percentiles([each.seconds for each in good]),
        throughput=_throughput([each.output_tokens for each in good], wall),
        requests_per_second=len(good) / wall if wall > 0 else 0.0,
        input_tokens=percentiles([each.input_tokens for each in good]),
        output_tokens=percentiles([each.output_tokens for each in good]),
        errors=errors, memory=memory,
        cost=None if None in costs else sum(cost for cost in costs if cost is not None),
        message=next((each.message for each in samples if each.error), ""),
    )  # fmt: skip


def percentiles(values: Sequence[float | None]) -> Percentiles:
    """Return the percentiles of the known values.

    >>> percentiles([1.0, 2.0, None, 3.0]).median
    2.0
    """
    known_values = [float(value) for value in values if value is not None]
    if not known_values:
        return Percentiles()
    return Percentiles(
        median=percentile(known_values, 0.5),
        low=percentile(known_values, 0.1),
        high=percentile(known_values, 0.9),
        count=len(known_values),
    )
