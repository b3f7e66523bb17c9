"""Plans by shape: a shape covers requests that differ only in their text, by at most a sixteenth in size.

Images must have exactly the same size, and their text is not measured. Planning takes longer than parsing a small
request. A cached plan is a real plan for the longest request of the shape: its reservation is an upper bound for each
of them, and its numbers are at most a sixteenth above those of a fresh plan. It is cached only if the shortest request
of the shape is planned the same way; otherwise each request is planned separately. Everything else that a plan depends
on is part of the shape, so a cached plan is never stale.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple
from weakref import ref

import msgspec
from msgspec.structs import replace

from intermodal.catalog.reasoning_effort import thinking_request_of
from intermodal.catalog.types import Catalog
from intermodal.client.async_client import plan_from
from intermodal.concurrency.offload import is_long_request, offload
from intermodal.core.bounded_cache import BoundedCache
from intermodal.core.content import (
    BytesSource,
    Image,
    Opaque,
    Reasoning,
    Scripts,
    Text,
    ToolCall,
    ToolResult,
    scale_scripts,
)
from intermodal.cost_model.answer_length import kind_of
from intermodal.cost_model.tokens import text_tokens
from intermodal.errors import IntermodalError
from intermodal.planner.planning_case import question_of
from intermodal.plans.facts import PartFacts
from intermodal.plans.plan import Candidate, Inputs, Plan
from intermodal.questions.keyword_needs import needed_aspects

MAX_SHAPES = 512
MAX_PARTS = 1_000  # parts of a request whose plan is shared: computing a longer shape takes as long as planning
_BITS = 5  # significant bits of a size: sixteen steps between two powers of two
_encode = msgspec.msgpack.Encoder().encode


class _CachedPlan(NamedTuple):
    catalog: ref[Catalog]  # weak: each unknown model that a client names has a catalog of its own
    plan: Plan | None  # None: each request is planned separately


class PlanCache:
    """The latest 512 shapes. ``hits`` and ``misses`` count requests that have a shape."""

    def __init__(self) -> None:
        self._known: BoundedCache[tuple[int, bytes], _CachedPlan] = BoundedCache("plans by shape", MAX_SHAPES)
        self.hits = 0
        self.misses = 0

    async def plan(self, inputs: Inputs) -> Plan:
        """Return a plan for these inputs. Raises NoRoute."""
        shared = await self.shared_plan(inputs)
        if shared is not None:
            return shared
        await asyncio.sleep(0)  # others have a turn before it is planned for its own sizes
        return await offload(is_long_request(inputs.request), plan_from, inputs, "http")

    async def shared_plan(self, inputs: Inputs) -> Plan | None:
        """Return the plan shared by all requests of this shape; None if each is planned separately."""
        long = is_long_request(inputs.request)
        shape = await offload(long, _shape, inputs)
        if shape is None:
            return None
        key = (id(inputs.catalog), shape)
        known = self._known.get(key)
        if known is None or known.catalog() is not inputs.catalog:
            self.misses += 1
            planned = await offload(long, _plan_for_bounds, inputs)
            known = self._known[key] = _CachedPlan(ref(inputs.catalog), planned)
        elif known.plan is not None:
            self.hits += 1
        return known.plan


def _shape(inputs: Inputs) -> bytes | None:
    """Return a digest of what a plan depends on; None for other media, computed outcomes, or too many parts."""
    request = inputs.request
    if len(inputs.facts.parts) > MAX_PARTS:
        return None
    parts: list[object] = []
    pictured = False
    if inputs.original_messages:
        return None
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, Image) and isinstance(part.source, BytesSource):
                pictured = True
                parts.append(part.detail)
            elif isinstance(part, (Opaque, Reasoning, ToolCall, ToolResult)):
                parts.append(type(part).__name__)
            elif not isinstance(part, Text) or part.name or part.origins or part.notes:
                return None
        parts.append((message.role, len(message.parts)))
    for fact in inputs.facts.parts:
        if fact.outcomes:
            return None
        if fact.kind == "image" and not fact.letters.known and not fact.text_density.known:
            parts.append(
                (fact.name, fact.origins, fact.media_type, fact.width, fact.height, fact.frames, bucket_top(fact.size))
            )
            continue
        if fact.kind != "text":
            return None
        rough = estimate_tokens(fact.chars, fact.size, fact.scripts, inputs.catalog.vocabularies)
        sizes = sorted((name, bucket_top(count)) for name, count in fact.tokens.items())
        parts.append(
            (
                fact.name,
                fact.origins,
                fact.language,
                bucket_top(fact.chars),
                [*map(bucket_top, rough)],
                bucket_top(fact.size),
                sizes,
            )
        )
    question = question_of(request)
    needs = (inputs.facts.question or sorted(needed_aspects(question))) if pictured else ()
    shape = _encode((
        parts, kind_of(question), needs, request.policy, request.output, request.sampling, request.tools,
        request.tool_choice, request.parallel_tools, request.previous_endpoint, inputs.machine,
        inputs.statistics.epoch, inputs.as_of, inputs.facts.tools, inputs.facts.schema,
        thinking_request_of(request.settings),
    ))  # fmt: skip
    return blake2b(shape, digest_size=16).digest()


@lru_cache(1_024)  # three entries per request: its shape, its largest text and its smallest
def estimate_tokens(chars: int, size: int, scripts: Scripts, vocabularies: tuple[str, ...]) -> tuple[int, ...]:
    """Return the typical and largest token counts of a text in each of these vocabularies."""
    found = (text_tokens(chars, size, scripts, name) for name in vocabularies if scripts)
    return tuple(round(tokens) for each in found for tokens in (each.mid, each.high))


@lru_cache(2_048)
def bucket_top(size: int) -> int:
    """Return the largest size of the same shape.

    >>> [bucket_top(size) for size in (9, 31, 33, 100, 1000)]
    [9, 31, 34, 100, 1024]
    """
    step = _step(size)
    return -(-size // step) * step


def _step(size: int) -> int:
    return 1 << max(0, (size - 1).bit_length() - _BITS)


@lru_cache(2_048)
def _bucket_bottom(size: int) -> int:
    return max(0, bucket_top(size) - _step(size) + 1) if size else 0


def _plan_for_bounds(inputs: Inputs) -> Plan | None:
    try:
        most, least = (
            plan_from(_with_bucket_sizes(inputs, most=True), "http"),
            plan_from(_with_bucket_sizes(inputs, most=False), "http"),
        )
    except IntermodalError:
        return None
    return most if _decisions(most) == _decisions(least) else None


def _with_bucket_sizes(inputs: Inputs, *, most: bool) -> Inputs:
    size = bucket_top if most else _bucket_bottom

    def in_bucket(part: PartFacts) -> PartFacts:
        tokens = {name: size(count) for name, count in part.tokens.items()}
        rough = estimate_tokens(part.chars, part.size, part.scripts, inputs.catalog.vocabularies)
        shares = [(size(each) + most) / each for each in rough if size(each) != each]
        scripts = scale_scripts(part.scripts, (max if most else min)(shares, default=1.0))
        return replace(part, chars=size(part.chars), scripts=scripts, size=size(part.size), tokens=tokens)

    return replace(inputs, facts=replace(inputs.facts, parts=tuple(map(in_bucket, inputs.facts.parts))))


def _decisions(plan: Plan) -> object:
    """Return everything in a plan except its numbers. The headline is left out: it may contain a price."""
    verdict = plan.verdict
    others = [other and (other.endpoint, other.summary) for other in (verdict.language_model, verdict.keeps)]
    return (
        verdict.value, verdict.parts, others, plan.policy_line, plan.notes,
        [_route(each) for each in (plan.chosen, *plan.fallbacks)],
        [(each.rule, each.count, each.endpoints) for each in plan.rejected],
    )  # fmt: skip


def _route(route: Candidate) -> object:
    steps = [(step.id, step.op) for step in route.steps]
    checks = [(check.id, check.op) for check in route.checks]
    return route.endpoint, steps, checks, route.tier, route.keeps, route.loses, route.warnings, route.summary
