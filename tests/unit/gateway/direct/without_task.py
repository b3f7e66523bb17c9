"""For tests: a gateway in which whatever may go without a task does so the first time that it is asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import monotonic
from weakref import WeakKeyDictionary

from intermodal.executor.direct.compiled_plan import CompiledPlan
from intermodal.executor.direct.direct_attempt import DirectAttempt
from intermodal.gateway.billing import IDEMPOTENCY_HEADER
from intermodal.gateway.http1.connection import Connection, OnEnd
from intermodal.gateway.http1.http_types import GatewayRequest
from intermodal.gateway.http1.response_writer import ResponseWriter
from intermodal.gateway.quotas.budget_leases import QuotaReservation
from intermodal.gateway.quotas.quota_manager import QuotaManager
from intermodal.gateway.routes import find_route
from intermodal.gateway.server import Gateway

LONGEST_WAIT = 120.0  # seconds: what is learned in between has shapes planned again, and a store in use is asked again


@dataclass
class TasklessCalls:
    """What went without a task: ``ids`` of its requests, in order.

    ``reason``: why the last request needed a task; empty if it did not.
    """

    ids: list[str] = field(default_factory=list)
    reason: str = ""


_in_a_task = Connection._in_a_task
_calls: WeakKeyDictionary[Gateway, TasklessCalls] = WeakKeyDictionary()


def without_tasks(gateway: Gateway) -> TasklessCalls:
    """Plan each shape, open a connection and draw from the budget before it is passed on.

    Gives what went without a task, as it comes.
    """
    Connection._in_a_task = _prepared  # type: ignore[method-assign]
    pass_on, calls = gateway.answer_without_task, _calls.setdefault(gateway, TasklessCalls())

    def noted(request: GatewayRequest, reply: ResponseWriter, over: OnEnd) -> DirectAttempt | None:
        passage = pass_on(request, reply, over)
        if passage is not None:
            calls.ids.append(request.served.id)
        return passage

    gateway.answer_without_task = noted  # type: ignore[method-assign]
    return calls


def _prepared(self: Connection, request: GatewayRequest, reply: ResponseWriter) -> None:
    gateway = self._serving
    if not isinstance(gateway, Gateway) or gateway not in _calls or request.after is not None:
        _in_a_task(self, request, reply)
        return

    async def prepared() -> None:
        calls = _calls[gateway]
        try:
            passage = await _start(self, gateway, request, reply)
        except asyncio.CancelledError:
            self._on_answered(request, reply)
            raise
        except Exception as error:  # the task says what is wrong with it
            passage = repr(error)
        if isinstance(passage, str):
            calls.reason = passage
            _in_a_task(self, request, reply)
        else:
            calls.reason = ""
            self.task = passage

    self.task = self._loop.create_task(prepared())


async def _start(
    connection: Connection, gateway: Gateway, request: GatewayRequest, reply: ResponseWriter
) -> DirectAttempt | str:
    """Start the call without a task once what it needs is at hand; otherwise return why it needs one."""
    began = monotonic()
    while monotonic() - began <= LONGEST_WAIT:
        compiled = await _known(gateway, request)
        if compiled is None:
            return "it has no plan to go by"
        passage = gateway.answer_without_task(request, reply, connection._on_direct_end)
        if passage is not None:
            return passage
        if not gateway.client.upstreams.may_call_now(compiled.endpoint.id, monotonic()):
            return "its host may not be called now"
        await asyncio.sleep(0.005)  # for what is being learned or opened
    return f"what it needs was not at hand within {LONGEST_WAIT:.0f} s"


async def _known(gateway: Gateway, request: GatewayRequest) -> CompiledPlan | None:
    """How it may go without a task, now that what it needs is at hand; None where it may not."""
    dialect, direct = find_route(request.head).passes, gateway.direct
    if dialect is None or gateway.telemetry is not None or IDEMPOTENCY_HEADER in request.head.headers:
        return None
    ready = await direct.match(request, dialect)
    while not gateway.client.up_to_date:  # on a slow machine a look takes longer than it is good for
        await asyncio.sleep(0.005)
        await gateway.client.refresh()
    planned = None if ready is None else ready.planned or await direct.plan_and_cache(ready, request)
    if planned is None:
        return None
    compiled = planned.compiled
    open_one = direct.engine.pool.take(compiled.target, monotonic())
    direct.engine.pool.free(open_one or await direct.engine.pool.connect(compiled.target, "test"))
    direct.engine.pool.reused -= open_one is not None
    if gateway.ledger is not None:
        reservation = await gateway.ledger.admit(request.key, planned.claim)
        if not isinstance(reservation, QuotaReservation):
            return None
        QuotaManager.release(gateway.ledger, reservation)
    request.since = monotonic()
    return compiled
