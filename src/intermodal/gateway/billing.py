"""Authentication, budgets, settlement of runs and idempotent replies, in terms of HTTP.

``quotas/`` keeps the accounts and knows nothing of HTTP. This module turns its refusals into responses and adds up the
cost of each run.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from math import inf, isfinite
from time import monotonic
from typing import TypedDict

from msgspec.structs import replace

from intermodal.core.request import Policy
from intermodal.errors import StoreError
from intermodal.events import AttemptFailed, Event, Finished, Replanned, StepFinished, StepStarted
from intermodal.executor.api import PriorAttempt, RunCharges
from intermodal.gateway.http1.http_types import POLICY_HEADER, GatewayRequest, RequestHead
from intermodal.gateway.http1.response_writer import ResponseWriter
from intermodal.gateway.quotas import quota_store
from intermodal.gateway.quotas.budget_leases import QuotaReservation
from intermodal.gateway.quotas.quota_manager import QuotaManager
from intermodal.gateway.quotas.quota_types import (
    QuotaClaim,
    QuotaRefusal,
    RateRemaining,
    VirtualKey,
    claim_for_plan,
    max_run_cost,
)
from intermodal.gateway.requests.multipart import multipart_boundary
from intermodal.plans.plan import Plan
from intermodal.plans.step import Call
from intermodal.protocols.errors.responses import RequestRefused

IDEMPOTENCY_HEADER = "idempotency-key"
MAX_IDEMPOTENCY_KEY = 255
_REPEATED_HEADERS = (POLICY_HEADER, "retry-after:", "x-should-retry:")


def quota_error(refusal: QuotaRefusal) -> RequestRefused:
    """Return a quota refusal as an HTTP error."""
    headers = {"x-should-retry": "true" if refusal.again else "false"}
    if refusal.retry_after is not None:
        headers["retry-after"] = str(max(1, -(-refusal.retry_after // 1)))[:10].removesuffix(".0")
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    return RequestRefused(refusal.words, status=refusal.status, headers=headers, code=refusal.code)


def authenticate(ledger: QuotaManager, head: RequestHead) -> VirtualKey:
    """Return the key that a request presents. Raises RequestRefused."""
    try:
        found = ledger.access.who(head.headers)
    except StoreError:
        raise RequestRefused(
            "the keys cannot be read, so every request is refused", status=503, code="ledger_unavailable"
        ) from None
    if isinstance(found, QuotaRefusal):
        raise quota_error(found)
    return found


@asynccontextmanager
async def billed_run(
    allowance: KeyAllowance, request: GatewayRequest, plan: Plan, policy: Policy, events: AsyncGenerator[Event],
    tried: PriorAttempt | None = None,
) -> AsyncIterator[AsyncGenerator[Event]]:  # fmt: skip
    """Reserve budget for a run, yield its events, and settle its cost when it ends, fails or is cancelled.

    ``allowance``: the run's budget; a reservation is made if it has none. ``tried``: an attempt made before the run.
    Raises RequestRefused.
    """
    ledger, given = allowance.ledger, allowance.given
    bill = RunBill(plan, tried, max_run_cost(plan, policy))
    if ledger is None:
        try:
            async with aclosing(bill.watched(events)) as watched:
                yield watched
        finally:
            request.served.spent(bill.cost)
        return
    if given is None:
        try:
            given = allowance.given = await _admit(ledger, request, claim_for_plan(plan))
        except RequestRefused:
            await events.aclose()
            raise
    if tried is None:
        allowance.expose(RunCharges())  # nothing was sent yet
    else:
        ending = tried.ending
        allowance.expose(
            RunCharges(ending.counts or 0.0, ending.tokens, ending.unreported_tokens, ending.charge.maybe_paid)
        )
    try:
        async with aclosing(bill.watched(events)) as watched:
            yield watched
    finally:
        took = allowance.counted(bill)
        request.served.spent(took["cost"])
        request.sent -= not bill.carried_out
        if bill.nothing_sent:
            ledger.release(given)
        else:
            ledger.settle(given, **took)


@asynccontextmanager
async def billed_call(
    ledger: QuotaManager | None, request: GatewayRequest, claim: QuotaClaim
) -> AsyncIterator[Callable[[int | None, float | None], None]]:
    """Admit a call without a plan under the key's rate limits and budgets; yield a function that records tokens and
    USD.

    A call that records nothing is settled at zero. Of what is recorded as None, the whole claim is charged.

    Raises RequestRefused.
    """
    took: tuple[int | None, float | None] = (0, 0.0)

    def record(tokens: int | None, cost: float | None) -> None:
        nonlocal took
        took = (tokens, cost)

    given = await _admit(ledger, request, claim) if ledger is not None else None
    try:
        yield record
    finally:
        tokens, cost = took
        request.served.spent(cost)
        if ledger is not None and given is not None:
            ledger.settle(given, cost=cost, tokens=tokens, unreported=0.0)


async def _admit(ledger: QuotaManager, request: GatewayRequest, claim: QuotaClaim) -> QuotaReservation:
    """Reserve a claim for the request's key and report the key's rate limits in the response headers.

    Raises RequestRefused.
    """
    async with request.admitting:  # the texts of one request run concurrently but count as one request
        found = await ledger.admit(request.key, replace(claim, requests=0 if request.counted else 1))
        request.counted = request.counted or not isinstance(found, QuotaRefusal)
    request.response_headers |= rate_limit_headers(*ledger.rates(request.key))
    if isinstance(found, QuotaRefusal):
        raise quota_error(found)
    request.sent += 1
    return found


class RunSettlement(TypedDict):
    """The settlement of a run for the quota manager.

    ``unreported``: the part of the cost that is an upper bound, in USD; ``unreported_tokens``: that of the tokens.
    """

    cost: float | None
    tokens: int | None
    unreported: float
    unreported_tokens: int


class KeyAllowance:
    """The budget of one run, in the interface that the executor uses (``executor/attempt/ledger.py``).

    ``given``: the reservation, made before anything is sent; None if no budget is charged.
    """

    def __init__(self, ledger: QuotaManager | None, given: QuotaReservation | None = None) -> None:
        self.ledger = ledger
        self.given = given
        self._charges = RunCharges()

    async def raise_to(self, usd: float, tokens: int) -> bool:
        """Raise the reservation of the whole run; return False if a budget or a rate has no room."""
        if self.ledger is None or self.given is None or not isfinite(usd):
            return True
        return await self.ledger.extend(self.given, usd, tokens)

    def expose(self, charges: RunCharges) -> None:
        """Record what the run is charged if this process is killed now."""
        if self.ledger is not None and self.given is not None and isfinite(charges.usd):
            self._charges = charges
            self.ledger.expose(self.given, charges.usd, charges.tokens, taken=charges.taken)

    def counted(self, bill: RunBill) -> RunSettlement:
        """Return the cost and tokens to settle.

        An interrupted run is charged for the requests that were sent, and nothing else: events report that a step
        began, the exposure reports how much of it was sent. Tokens are those of the exposure in any case.
        """
        charges = self._charges
        cost, unreported = bill.cost, bill.unreported
        if cost is not None and not bill.finished:
            cost = min(cost, charges.usd)
            unreported = min(unreported, cost)
        return RunSettlement(
            cost=cost, tokens=charges.tokens, unreported=unreported, unreported_tokens=charges.unreported_tokens
        )


class RunBill:
    """Adds up the cost of a run from its events.

    An attempt whose cost was not reported counts at the plan's upper bound. An attempt that was not made counts zero.

    Args:
        tried: an attempt made before the run. most: the maximum cost of the whole run in USD; None if unknown.
    """

    def __init__(self, plan: Plan, tried: PriorAttempt | None = None, most: float | None = None) -> None:
        self._bounds = _bounds_of(plan)
        self._handed = tried if tried is not None and tried.ending.charge.maybe_paid else None
        self._most = inf if most is None else most
        self._known = 0.0  # USD reported by attempts
        self._guessed: float | None = 0.0  # USD of attempts without a report; None if the plan has no price for them
        self._finished: Finished | None = None
        self._began = False
        self._paid = self._handed is not None  # something was paid for, or may have been
        # Steps that have begun and not ended, with their endpoint.
        self._open: dict[str, str] = {}
        self._before: dict[str, list[str]] = {}  # endpoints of earlier calls of a step that began again
        self._waits: dict[str, float] = {}  # when a step will be sent again, by step
        self._shared = set[str]()  # steps with several concurrent calls: one failure says nothing about the others

    async def watched(self, events: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
        async with aclosing(events):
            async for event in events:
                self.feed(event)
                yield event

    def feed(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self._begin(event)
        elif isinstance(event, StepFinished):
            self._add(event.actual.cost, event.actual.step, self._open.pop(event.actual.step, ""))
            if event.actual.step not in self._shared:
                self._before.pop(event.actual.step, None)  # a later event reports these as well
        elif isinstance(event, AttemptFailed):
            self._fail(event)
        elif isinstance(event, Replanned):
            self._bounds = {name: bound for name, bound in self._bounds.items() if bound == 0}  # of another plan
        elif isinstance(event, Finished):
            self._finished = event

    def _begin(self, event: StepStarted) -> None:
        self._began = True
        if self._handed is not None and self._handed.error is None:  # from here on it counts as this step
            self._handed = None
        if event.step in self._open:  # an answer that will be repaired, or requested elsewhere
            self._before.setdefault(event.step, []).append(self._open[event.step])
        self._open[event.step] = event.endpoint
        self._waits.pop(event.step, None)
        if event.op == "describe":
            self._shared.add(event.step)

    def _fail(self, event: AttemptFailed) -> None:
        self._handed = None  # the first to report
        self._paid = self._paid or event.charged == "maybe"
        if event.step in self._shared:  # whose reservation still counts in full
            return
        if event.then == "resend":
            self._waits[event.step] = monotonic() + event.delay
        else:
            self._open.pop(event.step, None)
        self._add(event.cost if event.charged == "maybe" else event.cost or 0.0, event.step, event.endpoint)

    def _add(self, cost: float | None, step: str, endpoint: str) -> None:
        self._paid = self._paid or cost != 0
        if cost is not None:
            self._known += cost
        else:
            self._guessed = self._and(self._guessed, step, endpoint)

    def _and(self, guessed: float | None, step: str, endpoint: str) -> float | None:
        """Return ``guessed`` plus the upper bound of one attempt of ``step`` at ``endpoint``; None if either is
        unknown.
        """
        bound = self._bounds.get((step, endpoint)) if endpoint else 0.0
        return None if guessed is None or bound is None else guessed + bound

    @property
    def finished(self) -> bool:
        """Whether the run ended and reported its cost."""
        return self._finished is not None

    @property
    def nothing_sent(self) -> bool:
        """True if the run was stopped before its first step."""
        return not self._began and self._finished is None and self._handed is None

    @property
    def carried_out(self) -> bool:
        """True if the run answered, or may have been paid for: a retry must not run it twice."""
        return self._finished is not None or self._paid or any(endpoint for _, endpoint in self._running)

    @property
    def _running(self) -> list[tuple[str, str]]:
        """Attempts that may have been sent and have not reported back, as (step, endpoint)."""
        now = monotonic()
        running = [each for each in self._open.items() if now >= self._waits.get(each[0], 0.0)]
        return running + [(step, endpoint) for step, earlier in self._before.items() for endpoint in earlier]

    @property
    def unreported(self) -> float:
        """The part of ``cost`` that is an upper bound, in USD."""
        cost = self.cost
        return 0.0 if cost is None else max(cost - self._known, 0.0)

    @property
    def cost(self) -> float | None:
        """The cost in USD. None if unknown: the whole reservation is charged."""
        if self._finished is not None:
            return self._finished.cost
        guessed = self._guessed
        for step, endpoint in self._running:
            guessed = self._and(guessed, step, endpoint)
        if self._handed is not None:
            counts = self._handed.ending.counts
            guessed = None if guessed is None or counts is None else guessed + counts
        return None if guessed is None else self._known + min(guessed, max(self._most - self._known, 0.0))


def _bounds_of(plan: Plan) -> dict[tuple[str, str], float | None]:
    """Return the upper bound in USD of one attempt at each (step, endpoint); None if unknown."""
    found: dict[tuple[str, str], float] = {}
    for route in (plan.chosen, *plan.fallbacks):
        for step in route.steps:
            if isinstance(step, Call):
                name = step.id, step.endpoint
                found[name] = max(step.estimate.cost.for_limit(), found.get(name, 0.0))
    return {name: bound if isfinite(bound) else None for name, bound in found.items()}


def rate_limit_headers(requests: RateRemaining | None, tokens: RateRemaining | None) -> dict[str, str]:
    """Return the remaining rate limits of a key as OpenAI's ``x-ratelimit-*`` headers."""
    headers: dict[str, str] = {}
    for name, left in (("requests", requests), ("tokens", tokens)):
        if left is not None:
            headers[f"x-ratelimit-limit-{name}"] = str(left.limit)
            headers[f"x-ratelimit-remaining-{name}"] = str(left.remaining)
            headers[f"x-ratelimit-reset-{name}"] = f"{left.reset:.3f}s"
    return headers


# ---- Idempotency-Key -----------------------------------------------------------------------------------


async def begin_idempotent(
    ledger: QuotaManager, request: GatewayRequest
) -> quota_store.FirstUse | quota_store.StoredReply | None:
    """Register a request under its Idempotency-Key, or return the stored reply; None without such a key.

    Raises RequestRefused.
    """
    name = request.head.headers.get(IDEMPOTENCY_HEADER, "")
    if not name or request.head.method != "POST":
        return None
    if len(name) > MAX_IDEMPOTENCY_KEY:
        raise RequestRefused(f"the Idempotency-Key is longer than {MAX_IDEMPOTENCY_KEY} letters", status=400)
    found = await ledger.ask(
        quota_store.IdempotentRequest(owner=request.owner, name=name, digest=await asyncio.to_thread(_digest, request))
    )
    if isinstance(found, QuotaRefusal):
        raise quota_error(found)
    return found


def _digest(request: GatewayRequest) -> bytes:
    """Return the SHA-256 of the path and body.

    The multipart boundary is left out, since each retry chooses a new one.
    """
    parted = multipart_boundary(request.head.headers.get("content-type", ""))
    body = request.body.replace(b"--" + parted, b"--") if parted else request.body
    return hashlib.sha256(request.head.path.encode("latin-1") + b"\0" + body).digest()


@asynccontextmanager
async def store_idempotent(
    ledger: QuotaManager, fresh: quota_store.FirstUse, request: GatewayRequest, reply: ResponseWriter
) -> AsyncIterator[None]:
    """Store the answer for replay under the request's Idempotency-Key.

    If nothing was carried out (no host was asked, or all of them refused), the key may be used again.
    """
    reply.kept = []
    try:
        yield
    finally:
        if not request.sent:
            await ledger.forget(fresh)
        elif reply.ended and reply.kept is not None:
            answer = quota_store.StoredReply(
                status=reply.status, content_type=reply.type, body=b"".join(reply.kept), headers=_kept_of(reply.head)
            )
            await ledger.finish(fresh, answer)
        else:
            await ledger.abandon(fresh)


def _kept_of(head: str) -> str:
    """Return the header lines that a replay repeats: those about the request, not about the client or the time."""
    return "".join(line for line in head.splitlines(keepends=True) if line.startswith(_REPEATED_HEADERS))
