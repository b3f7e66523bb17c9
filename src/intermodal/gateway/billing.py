"""Authentication, budgets, settlement of runs and idempotent replies, in terms of HTTP.

``quotas/`` keeps the accounts and knows nothing of HTTP. This module turns its refusals into responses and settles the
cost of each run, which the executor adds up (``RunLedger``).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from math import isfinite

from msgspec.structs import replace

from intermodal.errors import StoreError
from intermodal.events import Event, Finished, StepStarted
from intermodal.executor.api import EndpointRateExceeded, PriorAttempt, RateDraw, RateRefusal, RunCharges
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
)
from intermodal.gateway.requests.multipart import multipart_boundary
from intermodal.plans.plan import Plan
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.protocols.errors.retry_after import retry_after_header

IDEMPOTENCY_HEADER = "idempotency-key"
MAX_IDEMPOTENCY_KEY = 255
_REPEATED_HEADERS = (POLICY_HEADER, "retry-after:", "x-should-retry:")


def quota_error(refusal: QuotaRefusal) -> RequestRefused:
    """Return a quota refusal as an HTTP error."""
    headers = {"x-should-retry": "true" if refusal.again else "false"}
    if refusal.retry_after is not None:
        headers["retry-after"] = retry_after_header(refusal.retry_after)
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    return RequestRefused(refusal.words, status=refusal.status, headers=headers, code=refusal.code)


def authenticate(ledger: QuotaManager, head: RequestHead) -> VirtualKey:
    """Return the key that a request presents. Raises RequestRefused."""
    try:
        found = ledger.access.authenticate(head.headers)
    except StoreError:
        raise RequestRefused(
            "the keys cannot be read, so every request is refused", status=503, code="ledger_unavailable"
        ) from None
    if isinstance(found, QuotaRefusal):
        raise quota_error(found)
    return found


@asynccontextmanager
async def billed_run(
    allowance: KeyAllowance, request: GatewayRequest, plan: Plan, events: AsyncGenerator[Event],
    prior: PriorAttempt | None = None,
) -> AsyncIterator[AsyncGenerator[Event]]:  # fmt: skip
    """Reserve budget for a run, yield its events, and settle its cost when it ends, fails or is cancelled.

    ``allowance``: the run's budget; a reservation is made if it has none. ``prior``: an attempt made before the run.
    Raises RequestRefused.
    """
    ledger = allowance.ledger
    if ledger is not None and allowance.reservation is None:
        try:
            allowance.reservation = await _admit_run(ledger, request, claim_for_plan(plan))
        except RequestRefused:
            await events.aclose()
            raise
    allowance.begin(prior)
    before = RunCharges() if prior is None else RunCharges().with_attempt(prior.ending)
    allowance.expose(before)  # until the run reports its own charges
    progress = _RunProgress()
    try:
        async with aclosing(progress.watched(events)) as watched:
            yield watched
    except EndpointRateExceeded as error:
        raise _rate_error(error) from None
    finally:
        charges = allowance.charges
        request.served.add_cost(charges.cost)
        allowance.end()
        if ledger is not None and allowance.reservation is not None:
            forget_void_call(request, carried_out=progress.finished or charges.maybe_paid)
            if progress.began or charges.maybe_paid:  # it may have sent before its first event was read
                ledger.settle(
                    allowance.reservation, cost=charges.cost, tokens=charges.tokens, unreported=charges.unreported,
                    unreported_tokens=charges.unreported_tokens,
                )  # fmt: skip
            else:
                ledger.release(allowance.reservation)


def forget_void_call(request: GatewayRequest, *, carried_out: bool) -> None:
    """Stop counting an admitted run or call unless it was carried out: its Idempotency-Key may be used again then.

    ``carried_out``: it answered, or may have been charged.
    """
    request.sent -= not carried_out


def _rate_error(error: EndpointRateExceeded) -> RequestRefused:
    """Return the error of a run whose endpoints' rates have no room: as if the request had been refused before it."""
    wait = error.retry_after
    words = str(error.wording_for("http"))
    return quota_error(
        QuotaRefusal(status=429, code="rate_limit_exceeded", words=words, retry_after=wait, again=wait is not None)
    )


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

    reservation = await _admit(ledger, request, claim) if ledger is not None else None
    try:
        yield record
    finally:
        tokens, cost = took
        request.served.add_cost(cost)
        if ledger is not None and reservation is not None:
            ledger.settle(reservation, cost=cost, tokens=tokens, unreported=0.0)


def leaves_another(refusal: QuotaRefusal, claim: QuotaClaim) -> bool:
    """Return True if only the rate of the first endpoint has no room, and the plan has others."""
    return refusal.endpoint != "" and len(claim.endpoints) > 1


async def _admit_run(ledger: QuotaManager, request: GatewayRequest, claim: QuotaClaim) -> QuotaReservation:
    """Reserve the claim of a run; if a fallback may answer, without the rate of its first endpoint.

    Each call of the run draws from the rate of its endpoint itself then. Raises RequestRefused.
    """
    found = await _reserve(ledger, request, claim)
    if isinstance(found, QuotaRefusal) and leaves_another(found, claim):
        found = await _reserve(ledger, request, replace(claim, endpoints=()))
    return _admitted(found, request)


async def _admit(ledger: QuotaManager, request: GatewayRequest, claim: QuotaClaim) -> QuotaReservation:
    """Reserve a claim for the request's key. Raises RequestRefused."""
    return _admitted(await _reserve(ledger, request, claim), request)


async def _reserve(
    ledger: QuotaManager, request: GatewayRequest, claim: QuotaClaim
) -> QuotaReservation | QuotaRefusal:  # fmt: skip
    """Reserve a claim for the request's key, and report the key's rate limits in the response headers."""
    async with request.admitting:  # the texts of one request run concurrently but count as one request
        found = await ledger.admit(request.key, replace(claim, requests=0 if request.counted else 1))
        request.counted = request.counted or not isinstance(found, QuotaRefusal)
    request.response_headers |= rate_limit_headers(*ledger.rates(request.key))
    return found


def _admitted(found: QuotaReservation | QuotaRefusal, request: GatewayRequest) -> QuotaReservation:
    if isinstance(found, QuotaRefusal):
        raise quota_error(found)
    request.sent += 1
    return found


class KeyAllowance:
    """The budget of one run, in the interface that the executor uses (``executor/attempt/ledger.py``).

    ``reservation``: made before anything is sent; None if no budget is charged. ``charges``: what the run is charged
    so far.
    """

    def __init__(self, ledger: QuotaManager | None, reservation: QuotaReservation | None = None) -> None:
        self.ledger = ledger
        self.reservation = reservation
        self.charges = RunCharges()
        self._rate: QuotaReservation | None = None  # drawn from the rate of an endpoint for its first call

    def begin(self, prior: PriorAttempt | None) -> None:
        """Begin the run. ``prior``: the call whose endpoint rate the reservation has drawn from, if it was sent."""
        if self.ledger is None or self.reservation is None:
            return
        self._rate = self.ledger.split_rate(self.reservation)
        if self._rate is not None and prior is not None and prior.sent:
            self._draw().settle(prior.ending.tokens)

    def end(self) -> None:
        """Release the rate that was drawn for a call which was not made."""
        if self.ledger is not None and self._rate is not None:
            self.ledger.release(self._rate)

    def _draw(self) -> _EndpointDraw:
        rate, self._rate = self._rate, None
        return _EndpointDraw(self.ledger, rate)

    async def raise_to(self, usd: float, tokens: int) -> bool:
        """Raise the reservation of the whole run; return False if a budget or a rate has no room."""
        if self.ledger is None or self.reservation is None or not isfinite(usd):
            return True
        return await self.ledger.extend(self.reservation, usd, tokens)

    async def draw_rate(self, endpoint: str, tokens: int) -> RateDraw | RateRefusal:
        """Draw a call from the rate of its endpoint, unless the reservation has or that has no room."""
        ledger, reservation = self.ledger, self.reservation
        if ledger is None or reservation is None or not ledger.limits_rate(endpoint):
            return _EndpointDraw(ledger, None)
        if self._rate is not None and self._rate.endpoint == endpoint:
            return self._draw()
        rate_draw = await ledger.draw_rate(reservation.key, endpoint, tokens)
        return (
            RateRefusal(rate_draw.retry_after)
            if isinstance(rate_draw, QuotaRefusal)
            else _EndpointDraw(ledger, rate_draw)
        )

    def expose(self, charges: RunCharges) -> None:
        """Record what the run is charged if it ends, or this process is killed, now."""
        self.charges = charges
        if self.ledger is not None and self.reservation is not None and isfinite(charges.usd):
            self.ledger.expose(self.reservation, charges.usd, charges.tokens, is_taken=charges.maybe_paid)


class _EndpointDraw:
    """A call drawn from the rate of its endpoint; ``rate_draw``: None if it has none."""

    def __init__(self, ledger: QuotaManager | None, rate_draw: QuotaReservation | None) -> None:
        self._ledger = ledger
        self._made = rate_draw

    def settle(self, tokens: int | None) -> None:
        if self._ledger is not None and self._made is not None:
            self._ledger.settle(self._made, cost=0.0, tokens=tokens)


class _RunProgress:
    """How far a run came, by the events that were read. ``began``: it began a step."""

    def __init__(self) -> None:
        self.began = False
        self.finished = False

    async def watched(self, events: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
        async with aclosing(events):
            async for event in events:
                self.finished = self.finished or isinstance(event, Finished)
                self.began = self.began or self.finished or isinstance(event, StepStarted)
                yield event


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
    found = await ledger.begin_idempotent(
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
            await ledger.free_idempotency_key(fresh)
        elif reply.ended and reply.kept is not None:
            answer = quota_store.StoredReply(
                status=reply.status,
                content_type=reply.type,
                body=b"".join(reply.kept),
                headers=_repeated_headers(reply.head),
            )
            await ledger.finish(fresh, answer)
        else:
            await ledger.abandon(fresh)


def _repeated_headers(head: str) -> str:
    """Return the header lines that a replay repeats: those about the request, not about the client or the time."""
    return "".join(line for line in head.splitlines(keepends=True) if line.startswith(_REPEATED_HEADERS))
