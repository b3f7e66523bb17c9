"""Who pays: a key by the head of a request, its budget before anything is sent, and what it took in the end.

``ledger/`` keeps the accounts and knows no HTTP; this says what it answers as HTTP does, and adds up a run for it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from intermodal.errors import StoreError
from intermodal.events import AttemptFailed, Event, Finished, StepFinished, StepStarted
from intermodal.gateway.ledger import books
from intermodal.gateway.ledger.ledger import Ledger
from intermodal.gateway.ledger.nouns import Left, Refusal, VirtualKey, claim_of
from intermodal.gateway.ledger.till import Reservation
from intermodal.gateway.messages import Asked, Head
from intermodal.gateway.reply import Reply
from intermodal.plans.plan import Plan
from intermodal.request import Policy
from intermodal.wire.served import Refused

NAME = "idempotency-key"
LONGEST_NAME = 255


def refused(refusal: Refusal) -> Refused:
    """The ledger's no, as HTTP says it."""
    headers = {"x-should-retry": "true" if refusal.again else "false"}
    if refusal.retry_after is not None:
        headers["retry-after"] = str(max(1, -(-refusal.retry_after // 1)))[:10].removesuffix(".0")
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Refused(refusal.words, status=refusal.status, headers=headers, code=refusal.code)


def who(ledger: Ledger, head: Head) -> VirtualKey:
    """Whose request this is. Raises Refused."""
    try:
        found = ledger.access.who(head.headers)
    except StoreError:
        raise Refused("the keys cannot be read, so nobody is let in", status=503, code="ledger_unavailable") from None
    if isinstance(found, Refusal):
        raise refused(found)
    return found


@asynccontextmanager
async def charged(
    ledger: Ledger | None, asked: Asked, plan: Plan, policy: Policy, events: AsyncGenerator[Event],
    given: Reservation | None = None,
) -> AsyncIterator[AsyncGenerator[Event]]:  # fmt: skip
    """The events of a run that was admitted; what it took is settled however it ends. Raises Refused.

    ``given``: what is set aside for it already.
    """
    bill = Bill()
    if ledger is None:
        asked.sent = True
        try:
            async with aclosing(bill.watched(events)) as watched:
                yield watched
        finally:
            asked.served.spent(bill.cost)
        return
    if given is None:
        async with asked.admitting:  # texts of one request are several runs at once, and one request of a rate
            found = await ledger.admit(asked.key, claim_of(plan, policy, 0 if asked.counted else 1))
            asked.counted = asked.counted or not isinstance(found, Refusal)
        asked.told |= rates_told(*ledger.rates(asked.key))
        if isinstance(found, Refusal):
            await events.aclose()
            raise refused(found)
        given = found
    asked.sent = True
    try:
        async with aclosing(bill.watched(events)) as watched:
            yield watched
    finally:
        asked.served.spent(bill.cost)
        if bill.nothing_sent:
            ledger.release(given)
        else:
            ledger.settle(given, cost=bill.cost, tokens=bill.tokens)


class Bill:
    """What a run took, as far as its events tell. ``cost`` in USD; None where nobody can tell, and the bound counts."""

    def __init__(self) -> None:
        self._cost: float | None = 0.0
        self._tokens: int | None = 0
        self._finished: Finished | None = None
        self._open = set[str]()  # steps that began and of which nothing more was heard; a step begins at each attempt
        self._began = False
        # The last step that ended said how many tokens it took: the one that answers does, or no one.
        self._told = False

    async def watched(self, events: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
        async with aclosing(events):
            async for event in events:
                self.feed(event)
                yield event

    def feed(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self._began = True
            self._open.add(event.step)
        elif isinstance(event, StepFinished):
            self._open.discard(event.actual.step)
            self._add(event.actual.cost)
            usage = event.actual.usage
            self._told = event.actual.cached or usage.input_tokens is not None or usage.output_tokens is not None
            if self._tokens is not None:
                self._tokens += (usage.input_tokens or 0) + (usage.output_tokens or 0)
        elif isinstance(event, AttemptFailed):
            if event.then != "resend":  # which may have been sent again already
                self._open.discard(event.step)
            self._add(event.cost if event.charged == "no" or event.cost is not None else None)
            if event.charged == "maybe":
                self._tokens = None
        elif isinstance(event, Finished):
            self._finished = event
            if not self._told:
                self._tokens = None

    def _add(self, cost: float | None) -> None:
        self._cost = None if cost is None or self._cost is None else self._cost + cost

    @property
    def nothing_sent(self) -> bool:
        """No step began: the run was stopped before it."""
        return not self._began and self._finished is None

    @property
    def cost(self) -> float | None:
        if self._finished is not None:
            return self._finished.cost
        return None if self._open else self._cost

    @property
    def tokens(self) -> int | None:
        return self._tokens if self._finished is not None or not self._open else None


def rates_told(requests: Left | None, tokens: Left | None) -> dict[str, str]:
    """What the key's rates leave, in OpenAI's headers."""
    said: dict[str, str] = {}
    for name, left in (("requests", requests), ("tokens", tokens)):
        if left is not None:
            said[f"x-ratelimit-limit-{name}"] = str(left.limit)
            said[f"x-ratelimit-remaining-{name}"] = str(left.remaining)
            said[f"x-ratelimit-reset-{name}"] = f"{left.reset:.3f}s"
    return said


# ---- Idempotency-Key -----------------------------------------------------------------------------------


async def once(ledger: Ledger, asked: Asked) -> books.Fresh | books.Replay | None:
    """Whether this was asked before; None where nobody says so. Raises Refused."""
    name = asked.head.headers.get(NAME, "")
    if not name or asked.head.method != "POST":
        return None
    if len(name) > LONGEST_NAME:
        raise Refused(f"the Idempotency-Key is longer than {LONGEST_NAME} letters", status=400)
    path = asked.head.path.encode("latin-1")
    digest = await asyncio.to_thread(lambda: hashlib.sha256(path + b"\0" + asked.body).digest())
    found = await ledger.ask(books.Asked(owner=asked.owner, name=name, digest=digest))
    if isinstance(found, Refusal):
        raise refused(found)
    return found


@asynccontextmanager
async def kept(ledger: Ledger, fresh: books.Fresh, asked: Asked, reply: Reply) -> AsyncIterator[None]:
    """Keep the answer for who asks again under this Idempotency-Key; where nothing was sent, it may be used again."""
    reply.kept = []
    try:
        yield
    finally:
        if not asked.sent:
            await ledger.forget(fresh)
        elif reply.ended:
            answer = books.Replay(status=reply.status, content_type=reply.type, body=b"".join(reply.kept))
            await ledger.finish(fresh, answer)
        else:
            await ledger.abandon(fresh)
