"""Plans a request and runs its plan within the budget of the requesting key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TYPE_CHECKING

from intermodal.client.async_client import PreparedRequest, plan_from
from intermodal.concurrency.offload import is_long, is_long_request, offload
from intermodal.events import Event, Finished, Rerouted, StepFinished, StepStarted, TextDelta
from intermodal.gateway.billing import KeyAllowance, billed_run
from intermodal.gateway.requests.prompt_size_check import check_prompt_size
from intermodal.gateway.state.conversations import conversation_digest
from intermodal.plans.plan import Inputs, Plan

if TYPE_CHECKING:
    from intermodal.core.request import Request
    from intermodal.gateway.context import GatewayContext
    from intermodal.gateway.direct.handover import Handover
    from intermodal.gateway.http1.http_types import GatewayRequest
    from intermodal.gateway.metrics import Metrics
    from intermodal.gateway.requests.prompt_variables import RenderedPrompt
    from intermodal.gateway.response_metadata import RunMetadata
    from intermodal.telemetry.request_record import RequestRecord


async def plan_request(
    context: GatewayContext,
    request: Request,
    owner: str,
    *,
    exact: bool = False,
    rendered: RenderedPrompt | None = None,
) -> tuple[PreparedRequest, Plan]:
    """Prepare and plan a request, and keep the plan for its owner.

    ``exact``: plan for this request's own sizes, not those of its shape. ``rendered``: the prompt file of the request,
    whose models are tried first.
    """
    client = context.client
    await client.look_up(request.policy)
    await check_prompt_size(client, request)

    async def plan_inputs(inputs: Inputs) -> Plan:
        if not exact:
            return await context.plan_cache.plan(inputs)
        long = is_long_request(request)
        return await offload(long, plan_from, inputs, "http")

    if rendered is None:
        prepared = await client.prepare(request, counting=True)
        await asyncio.sleep(0)
        plan = await plan_inputs(prepared.inputs)
    else:
        prepared = await client.prepare(request, counting=True, also=rendered.models)
        prepared, plan = await rendered.plan_with_models(prepared, plan_inputs)
    context.plans[owner, plan.id] = plan
    return prepared, plan


def run_plan(
    context: GatewayContext,
    prepared: PreparedRequest,
    plan: Plan,
    request: GatewayRequest,
    *,
    live: bool = False,
    after: Handover | None = None,
) -> AbstractAsyncContextManager[AsyncGenerator[Event]]:
    """Return the events of a run within the key's budget, as a context manager.

    Leaving it, or a client disconnect, ends the run, closes its resources and settles its cost. ``live``: the client
    reads along. ``after``: the attempt made before the run. Raises RequestRefused.
    """
    prior = None if after is None else after.prior
    allowance = KeyAllowance(context.ledger, None if after is None else after.reservation)
    record = request.served
    record.record_plan(plan, live=live)
    counter = _EventCounter(context.metrics, record)
    running = context.client.execute(
        prepared, plan, live=live, prior=prior, allowance=allowance, unread=counter.count_unread
    )
    return billed_run(allowance, request, plan, counter.count_events(running), prior)


class _EventCounter:
    """Counts the events of a run in the metrics and in the record of its request."""

    def __init__(self, metrics: Metrics, record: RequestRecord) -> None:
        self._metrics = metrics
        self._record = record
        self._ops: dict[str, str] = {}  # operations by step

    async def count_events(self, running: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
        async with aclosing(running) as events:
            async for event in events:
                self._count_event(event)
                yield event

    def count_unread(self, event: Event) -> None:
        """Count an event of a run whose client left before reading it: attempts were made, words were not shown."""
        if not isinstance(event, TextDelta):
            self._count_event(event)

    def _count_event(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self._ops[event.step] = event.op
        op = self._ops.get(event.actual.step, "") if isinstance(event, StepFinished) else ""
        self._metrics.count_event(event, op)
        self._record.feed(event)


async def remember_turn(
    context: GatewayContext, request: Request, metadata: RunMetadata, finished: Finished, owner: str
) -> None:
    """Store what the next turn of this conversation needs: its endpoint, policy and signatures."""
    if not finished.endpoint:
        return
    digest = await offload(is_long(request.messages), conversation_digest, request, metadata.text, finished, owner)
    context.conversations.store_route(
        digest, finished.endpoint, request.policy, instead=isinstance(metadata.now, Rerouted)
    )
    context.signatures.store_signatures(digest, finished, owner)
