"""Which chats are passed on, and what a run owes for each: plan, admission, breakers, rows, what the client is told.

A chat's shape is looked up first; of a shape that was not seen lately the first is planned as every request is, and
``way.py`` decides whether such chats need more than to be sent. An attempt that fails before anything was shown is
handed to the executor as the first of its run, which goes on from there as after any failure.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from msgspec.structs import replace

from intermodal import errors
from intermodal.asking import guarded
from intermodal.catalog.load import tariffs
from intermodal.catalog.nouns import Catalog
from intermodal.config import snapshot_file
from intermodal.content import Image
from intermodal.costing.images import image_tokens
from intermodal.costing.tokens import text_tokens
from intermodal.events import AttemptState
from intermodal.events import Usage as Told
from intermodal.executor import check
from intermodal.executor.call import Tried, outcome_of, tokens_of
from intermodal.executor.guard import STOPPED
from intermodal.executor.heard import cut_in_silence
from intermodal.executor.replies import ending
from intermodal.executor.replies import refused as refusal_of
from intermodal.executor.transport import Timeouts
from intermodal.gateway import chats
from intermodal.gateway.charging import rates_told, refused
from intermodal.gateway.conversations import Place, answered, going_on
from intermodal.gateway.counted import LARGE, check_values, read_large
from intermodal.gateway.dialects import Dialect
from intermodal.gateway.foreseen import FIRST, SHARE
from intermodal.gateway.lane.exchange import Exchange, Live, Teller, Whole
from intermodal.gateway.lane.ids import new_id
from intermodal.gateway.lane.lifted import Body, lifted
from intermodal.gateway.lane.measures import Measures
from intermodal.gateway.lane.pipes import Pipes
from intermodal.gateway.lane.reading import Chat
from intermodal.gateway.lane.replies import calls_of
from intermodal.gateway.lane.rows import Rows
from intermodal.gateway.lane.tongues import TONGUES, Tongue
from intermodal.gateway.lane.way import Means, Way, about, way_of
from intermodal.gateway.latest import Latest
from intermodal.gateway.ledger.nouns import Refusal
from intermodal.gateway.ledger.till import Reservation
from intermodal.gateway.messages import Asked
from intermodal.gateway.naming import HEADER, allowed, policy_of, tightened, wishes_of
from intermodal.gateway.reply import Reply
from intermodal.gateway.silence import Silence
from intermodal.incoming import request_of
from intermodal.keys import find_key
from intermodal.plans.facts import PartFacts
from intermodal.plans.machine import Machine
from intermodal.plans.plan import Inputs, Plan
from intermodal.request import Policy, Request
from intermodal.store.passed import Passed
from intermodal.store.rows import Outcome, Work
from intermodal.store.slate import uuid_of
from intermodal.telemetry.served import Called
from intermodal.wire.call import NotExpressible, Usage
from intermodal.wire.served import Refused

if TYPE_CHECKING:
    from intermodal.gateway.lasting import LastingClient
    from intermodal.gateway.serving import Gateway

_WAYS = 4096
_WORDS = 64 << 10  # bytes of a body besides its media: to count so many words takes 6 ms, and more is for a thread
_POLICIES = 1024
_JSON = "application/json"
_STREAMED = "cache-control: no-cache\r\nx-accel-buffering: no\r\n"


class _Known(NamedTuple):
    """What was found out about a shape, and what it was found out with."""

    way: Way | None
    catalog: Catalog
    machine: Machine
    epoch: int
    as_of: str
    refusals: int

    def holds(self, catalog: Catalog, client: LastingClient) -> bool:
        """Whether nothing changed since that a plan depends on."""
        return (
            self.catalog is catalog and self.machine is client.machine and self.epoch == client.epoch
            and self.as_of == client.today and self.refusals == client.upstreams.refusals
        )  # fmt: skip


class Ready(NamedTuple):
    """A chat that the lane may take. ``way`` None: its shape is new."""

    chat: Chat
    tongue: Tongue
    key: tuple[object, ...]
    way: Way | None
    policy: Policy
    place: Place | None


class Failure(NamedTuple):
    """An attempt that failed before anything was shown, and what is set aside for its run. ``tried`` None: no attempt
    was made."""

    tried: Tried | None
    given: Reservation | None


class Lane:
    """One for each gateway. ``taken`` counts chats that were answered here."""

    def __init__(self, gateway: Gateway) -> None:
        self.taken = 0
        self.pipes = Pipes()
        self.rows = Rows(gateway.client)
        self._gateway = gateway
        self._ways: Latest[tuple[object, ...], _Known] = Latest(_WAYS)
        self._policies: Latest[tuple[object, ...], Policy] = Latest(_POLICIES)
        self._measures = Measures(gateway.client)

    # ---- may it be taken? ----------------------------------------------------------------------

    async def ready(self, asked: Asked, dialect: Dialect) -> Ready | None:
        """What is asked, if it may be for the lane. Raises Refused for a wish or a name that is none."""
        tongue = TONGUES.get(dialect.reads)
        if tongue is None:
            return None
        client, telemetry = self._gateway.client, self._gateway.telemetry
        if telemetry is not None and telemetry.content:  # what is said is read by the executor alone
            return None
        await client.looked()
        check_values(asked)
        chat = await self._read(asked, tongue)
        if chat is None:
            return None
        asked.served.model = chat.model
        headers = asked.head.headers
        wished = tuple((name, value) for name, value in headers.items() if name.startswith(HEADER))
        own = bytes(chat.fields["intermodal"]) if "intermodal" in chat.fields else b""
        policy = self._policies.get((chat.model, wished, own))
        if policy is None:
            policy = tightened(policy_of(chat.model, client.config), wishes_of(headers, chat.fields))
            self._policies[chat.model, wished, own] = policy
        if chat.stream and policy.streaming != "live":
            return None
        if asked.key.models or asked.key.policies:
            allowed(asked.key, chat.model, client.config)
        catalog = client.catalog_for(policy)
        if self._measures.count_by(catalog):  # its sizes are in another's vocabularies
            chat = await self._read(asked, tongue)
            assert chat is not None
        place = self._gateway.conversations.place(chat.before) if chat.before is not None else None
        where = None if place is None else (place.endpoint, place.policy)
        key = (asked.owner, wished, where, chat.shape)
        known = self._ways.get(key)
        if known is not None and known.holds(catalog, client):
            return None if known.way is None else Ready(chat, tongue, key, known.way, policy, place)
        return Ready(chat, tongue, key, None, policy, place)

    async def _read(self, asked: Asked, tongue: Tongue) -> Chat | None:
        body = await read_large(lifted, asked.body)
        if len(body.text) > SHARE * FIRST:
            return None  # more than many take: the executor's way refuses that before all of it is counted
        if len(asked.body) > LARGE or len(body.text) > _WORDS:
            return await asyncio.to_thread(_read, asked, body, tongue, self._measures.alone())
        return _read(asked, body, tongue, self._measures)

    # ---- a shape that is new -------------------------------------------------------------------

    async def learned(self, ready: Ready, asked: Asked) -> Way | None:
        """Plan the first chat of a shape, and remember how such chats go. Raises what planning raises."""
        gateway = self._gateway
        inputs = await self._inputs(ready, asked)
        plan = gateway.shapes.shared(inputs) if inputs is not None else None
        way = self._way(ready, inputs, plan) if inputs is not None and plan is not None else None
        client = gateway.client
        catalog = inputs.catalog if inputs is not None else client.catalog_for(ready.policy)
        epoch = inputs.statistics.epoch if inputs is not None else client.epoch  # what it was planned with
        client.epoch = max(client.epoch, epoch)  # else all of this shape are planned until the next look
        refusals = client.upstreams.refusals
        self._ways[ready.key] = _Known(way, catalog, client.machine, epoch, client.today, refusals)
        return way

    def _way(self, ready: Ready, inputs: Inputs, plan: Plan) -> Way | None:
        client = self._gateway.client
        endpoint = inputs.catalog.by_id.get(plan.chosen.endpoint)
        if endpoint is None:
            return None
        means = Means(
            find_key(endpoint.host, client.env) or "", tariffs(snapshot_file(client.env))(endpoint),
            Timeouts().as_said(client.config.timeouts), client.proxies,
        )  # fmt: skip
        try:
            return way_of(ready.chat, inputs, plan, ready.tongue, means)
        except (errors.ConfigError, NotExpressible):
            return None  # the executor says what is wrong with it

    async def _inputs(self, ready: Ready, asked: Asked) -> Inputs | None:
        """What planning reads. Pictures are seen as the lane sees them: nobody counts what is written on them."""
        from intermodal.media.opened import named_apart

        gateway = self._gateway
        decode, body = ready.tongue.dialect.decode, ready.chat.body.text
        call = await read_large(decode, body)
        if call.candidates or (call.sampling.max_tokens is not None and call.sampling.max_tokens < 1):
            return None
        call = chats.limited(call, gateway.client.config)
        request = going_on(request_of(call, ready.policy), ready.place)
        parts = list(request.parts())
        pictures = sum(isinstance(part, Image) for _, _, part in parts)
        if pictures != len(ready.chat.pictures):
            return None
        prepared = await gateway.client.prepare(_without_pictures(request) if pictures else request)
        texts = list(prepared.inputs.facts.parts)
        if prepared.inputs.asked or len(texts) + pictures != len(parts):
            return None
        seen = iter(ready.chat.pictures)
        facts: list[PartFacts] = []
        for index, _, part in parts:
            if isinstance(part, Image):
                found = next(seen)
                facts.append(
                    PartFacts(
                        index=index, name=getattr(part.source, "name", "") or "bytes", kind="image",
                        media_type=found.media_type, digest=found.digest.hex(), size=found.size,
                        width=found.width, height=found.height,
                    )
                )  # fmt: skip
            else:
                facts.append(replace(texts.pop(0), index=index))
        whole = guarded(request, gateway.client.config.private)
        return replace(prepared.inputs, request=whole, facts=replace(prepared.inputs.facts, parts=named_apart(facts)))

    # ---- passing on ----------------------------------------------------------------------------

    async def run(self, ready: Ready, way: Way, asked: Asked, reply: Reply) -> Failure | None:
        """Answer. Failure where nothing was shown and the executor is to go on.

        Raises Refused where the key's budget does not allow it.
        """
        passage = _Passage(self._gateway, self, ready, way, asked, reply)
        try:
            return await passage.go()
        finally:
            passage.forget()

    def abandoned(self, failure: Failure) -> None:
        """The executor did not come to go on: what is set aside is given back, or counts."""
        tried, given = failure
        gateway = self._gateway
        if tried is not None:
            gateway.client.upstreams.end(tried.endpoint, tried.error, time.monotonic())
        if gateway.ledger is not None and given is not None:
            if tried is None:
                gateway.ledger.release(given)
            else:
                gateway.ledger.settle(given, cost=tried.cost, tokens=None)

    def watch(self, now: float) -> None:
        self.pipes.watch(now)

    async def close(self) -> None:
        self.pipes.close()
        await self.rows.close()


def _read(asked: Asked, body: Body, tongue: Tongue, measures: Measures) -> Chat | None:
    chat = tongue.chat_of(body, asked.owner, measures)
    if body.lifted and not body.complete:  # something in it only looks like a picture
        chat = tongue.chat_of(Body(asked.body), asked.owner, measures)
    return chat


def _without_pictures(request: Request) -> Request:
    messages = tuple(
        replace(message, parts=tuple(part for part in message.parts if not isinstance(part, Image)))
        for message in request.messages
    )
    return replace(request, messages=messages)


class _Passage:
    """One chat on its way."""

    def __init__(self, gateway: Gateway, lane: Lane, ready: Ready, way: Way, asked: Asked, reply: Reply) -> None:
        self._gateway = gateway
        self._lane = lane
        self._chat = ready.chat
        self._way = way
        self._asked = asked
        self._reply = reply
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._sent_at = self._began
        self._started = time.time()
        self._ids = (new_id(), new_id())
        self._exchange: Exchange = Whole(way.endpoint.id, way.target.secret, way.tongue, self._loop)
        self._sent = False
        self._cost: float | None = None
        self._silence = Silence(reply, self._comment)
        self._weighed: Work | None = None

    async def go(self) -> Failure | None:
        way, gateway, reply = self._way, self._gateway, self._reply
        upstreams, name = gateway.client.upstreams, way.endpoint.id
        now = time.monotonic()
        if upstreams.shut_for(name, now) or upstreams.paused_for(name, now):
            return Failure(None, None)
        given = await self._admitted()
        self._asked.sent = self._asked.counted = True
        slot = -1
        if not way.free:
            slot = self._lane.rows.note(way, *self._ids, self._started)
            if slot < 0:
                return Failure(None, given)
        gateway.plans[self._asked.owner, way.plan.id] = way.plan
        served = self._asked.served
        served.planned(way.plan, live=self._chat.stream)
        if served.span is not None:
            served.span.given(("image", each.digest.hex()) for each in self._chat.pictures)
        upstreams.begin(name, way.endpoint.host.id, now, again=False)
        settled = False
        try:
            error = await self._pass_on()
            settled = True
            return self._over(error, given, slot)
        except asyncio.CancelledError:
            if reply.status and not reply.ended and not reply.gone:  # the server stops
                stops = Refused("the server is stopping", status=503, todo="ask again")
                reply.last(self._exchange.broken(stops))
            raise
        finally:
            if not settled:
                self._left(given, slot, sent=self._sent)

    def forget(self) -> None:
        """Its parts hold each other. They go now, and bodies with them, not when a collector looks for such circles."""
        self._silence.close()
        del self._exchange

    async def _admitted(self) -> Reservation | None:
        ledger, key = self._gateway.ledger, self._asked.key
        if ledger is None:
            return None
        given = ledger.admit_now(key, self._way.claim)
        if given is None:
            given = await ledger.admit(key, self._way.claim)
        if key.rate.rpm is not None or key.rate.tpm is not None:
            self._asked.told |= rates_told(*ledger.rates(key))
        if isinstance(given, Refusal):
            raise refused(given)
        return given

    async def _pass_on(self) -> errors.CallError | None:
        """Send it, and wait for its end; why it failed."""
        way, chat, reply = self._way, self._chat, self._reply
        live: Live | None = None
        if chat.stream:
            guarded = way.endpoint.host.zone != "internet"
            teller = Teller(reply, chat.model, self._begin, self._told, self._wrong, self._count, chat.usage, guarded)
            live = way.tongue.live(way.endpoint.id, way.target.secret, way.tongue, self._loop, teller)
            self._exchange = live
            if way.tongue.dialect.comment:
                self._silence.last(chats.QUIET)
        pipes = self._lane.pipes
        pipe = pipes.take(way.target, self._began)
        if pipe is None:
            try:
                pipe = await pipes.connect(way.target, way.endpoint.id)
            except errors.Unreachable as failure:
                return failure
        try:
            if live is not None:
                live.pipe = pipe
                reply.when_caught_up(pipe.resume)
            self._sent_at = self._loop.time()
            self._sent = True
            pipe.send(way.target, way.body(chat), self._exchange, way.endpoint.id)
            return await self._exchange.outcome
        finally:
            if live is not None:
                reply.when_caught_up(None)
                if pipe.listener is live:
                    pipe.resume()  # a slow reader has all there is: the end of the reply is still to be read
            if pipe.listener is self._exchange and (not self._exchange.finish or self._exchange.looped):
                pipe.abort()  # it works for nobody

    # ---- a stream ------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._silence.end()
        self._open()

    def _open(self) -> None:
        if not self._reply.status:
            self._reply.open(self._way.heads + _STREAMED, self._way.tongue.stream_type)

    def _told(self, live: Live) -> bytes:
        self._cost = self._bill(None if live.looped else live.usage)
        return about(self._way, self._counts(), 1, self._loop.time() - self._began, self._notes())

    def _counts(self) -> float | None:
        """What it cost, as it is told and charged: where the host counts nothing, what was set aside."""
        return self._way.bound if self._cost is None else self._cost

    def _notes(self) -> tuple[str, ...]:
        """What the executor would have said of the answer."""
        exchange = self._exchange
        if exchange.looped:
            return (STOPPED,)
        text = "".join(exchange.text)
        made = exchange.usage.output_tokens if exchange.usage is not None else None
        said = ending(exchange.finish, text, made or self._way.limit, called=bool(exchange.calls))
        return (*said, check.REPEATS) if check.repeats(text) else tuple(said)

    def _wrong(self, exchange: Exchange) -> errors.CallError | None:
        """A server near by that read less than it was sent."""
        counted = exchange.usage.input_tokens if exchange.usage is not None else None
        return cut_in_silence(self._way.endpoint, self._work, counted)

    def _count(self, text: str) -> int:
        return tokens_of(text, self._gateway.client.vocabularies.count)

    def _comment(self) -> None:
        self._open()
        waited = self._loop.time() - self._began
        self._reply.put(b": %b: no word yet, %d s\n\n" % (self._way.step.op.encode(), waited))
        self._silence.last(chats.AGAIN)

    # ---- the end -------------------------------------------------------------------------------

    def _over(self, error: errors.CallError | None, given: Reservation | None, slot: int) -> Failure | None:
        if error is None and self._exchange.refused:
            self._refused(given, slot)
        if error is None and isinstance(self._exchange, Whole):
            error = self._wrong(self._exchange)
        if error is None:
            self._worked(given, slot)
            return None
        return self._failed(error, given, slot)

    def _bill(self, usage: Usage | None) -> float | None:
        return self._way.bill(usage or Usage(), self._work, self._gateway.client.moment)

    def _worked(self, given: Reservation | None, slot: int) -> None:
        gateway, way, exchange, chat = self._gateway, self._way, self._exchange, self._chat
        self._lane.taken += 1
        gateway.client.upstreams.end(way.endpoint.id, None, time.monotonic())
        usage = exchange.usage
        seconds = self._loop.time() - self._began
        if exchange.items and bytes(chat.fields.get("store", b"")) != b"false":
            keep = gateway.items.keeper(self._asked.owner)
            for item in exchange.items:
                keep(item)
        if isinstance(exchange, Whole):
            self._cost = self._bill(usage)
            told = about(way, self._counts(), 1, seconds, self._notes())
            body = way.tongue.told(exchange.raw, chat.model, exchange.counted or way.tongue.uncounted, told)
            counts = self._counts()
            cost = "" if counts is None else f"x-intermodal-cost: {counts:.8g}\r\n"
            self._reply.ready(f"{way.heads}{cost}x-intermodal-attempts: 1\r\n", _JSON, body)
        given_tokens = usage.input_tokens if usage is not None else None
        made_tokens = usage.output_tokens if usage is not None else None
        if gateway.ledger is not None and given is not None:
            tokens = None if given_tokens is None and made_tokens is None else (given_tokens or 0) + (made_tokens or 0)
            gateway.ledger.settle(given, cost=self._counts(), tokens=tokens)
        unsure = exchange.looped or (self._cost is None and bool(way.bound))
        self._write("estimated" if unsure else "settled", self._outcome(seconds, usage), slot)
        self._called(seconds)
        gateway.metrics.passed(way.endpoint.id, given_tokens or 0, made_tokens or 0, self._counts())
        name = answered(chat.said, "".join(exchange.text), calls_of(exchange.calls))
        gateway.conversations.put(name, way.endpoint.id, way.policy)

    def _refused(self, given: Reservation | None, slot: int) -> NoReturn:
        """The model would not. Nobody else is asked instead; raises what it is."""
        gateway, way, exchange = self._gateway, self._way, self._exchange
        error = refusal_of(way.endpoint, "".join(exchange.refusal), way.step.id)
        gateway.client.upstreams.end(way.endpoint.id, None, time.monotonic())
        self._cost = self._bill(exchange.usage)
        seconds = self._loop.time() - self._began
        unsure = self._cost is None and bool(way.bound)
        self._write("estimated" if unsure else "settled", self._outcome(seconds, exchange.usage, error.code), slot)
        if gateway.ledger is not None and given is not None:
            gateway.ledger.settle(given, cost=None, tokens=None)
        self._called(seconds, error.code)
        if self._reply.status:
            self._asked.served.failed(error.code, broken=True)
            self._reply.last(exchange.broken(error))
        raise error

    def _failed(self, error: errors.CallError, given: Reservation | None, slot: int) -> Failure | None:
        way, exchange = self._way, self._exchange
        error.step = error.step or way.step.id
        shown = isinstance(exchange, Live) and exchange.begun
        paid = exchange.first_at is not None or (error.sent and error.billing != "free")
        cost: float | None = 0.0 if not paid or way.free else None
        self._cost = cost
        seconds = self._loop.time() - self._began
        outcome = self._outcome(seconds, None, error.code)
        self._write("estimated" if paid else "void", outcome, slot, runs=shown)
        if not shown:
            tried = Tried(
                error, way.endpoint.id, run=self._ids[1].hex(), cost=cost, counts=self._counts(), paid=paid,
                seconds=seconds,
            )  # fmt: skip
            return Failure(tried, given)
        gateway = self._gateway
        gateway.client.upstreams.end(way.endpoint.id, error, time.monotonic())
        gateway.metrics.attempts[way.endpoint.id, error.code] += 1
        if gateway.ledger is not None and given is not None:
            gateway.ledger.settle(given, cost=cost, tokens=None)
        gateway.note_failure(error)
        self._called(seconds, error.code)
        self._asked.served.failed(error.code, broken=True)
        self._reply.last(exchange.broken(error))
        return None

    def _left(self, given: Reservation | None, slot: int, *, sent: bool) -> None:
        """The client left, or the server stops: nobody knows what was made, so what was set aside counts."""
        gateway, way = self._gateway, self._way
        gateway.client.upstreams.left(way.endpoint.id)
        if gateway.ledger is not None and given is not None:
            if sent:
                gateway.ledger.settle(given, cost=0.0 if way.free else None, tokens=None)
            else:
                gateway.ledger.release(given)
        self._cost = 0.0 if way.free or not sent else None
        seconds = self._loop.time() - self._began
        outcome = self._outcome(seconds, None, "cancelled")
        if sent:
            self._called(seconds, "cancelled")
        self._write("estimated" if sent else "void", outcome, slot)

    def _called(self, seconds: float, code: str = "") -> None:
        """Told as what the executor runs is told of its events."""
        exchange = self._exchange
        first = exchange.first_at if self._chat.stream else None
        self._asked.served.called(
            Called(
                step=self._way.step.id, endpoint=self._way.endpoint, seconds=seconds,
                first=None if first is None else first - self._began,
                usage=_tokens(exchange.usage), cost=self._cost, finish_reason=exchange.finish, error=code,
                output="text",
            )
        )  # fmt: skip

    def _write(self, state: AttemptState, outcome: Outcome, slot: int, *, runs: bool = True) -> None:
        attempt, run = self._ids
        passed = Passed(
            self._way.sort, uuid_of(attempt), run.hex(), self._started, time.time(), state, outcome, self._work, runs
        )
        self._lane.rows.add(passed, slot)

    def _outcome(self, seconds: float, usage: Usage | None, code: str = "") -> Outcome:
        first = self._exchange.first_at if self._chat.stream else None
        return outcome_of(
            usage or Usage(), _tokens(usage), cost=self._cost, seconds=seconds,
            first=None if first is None else max(0.0, first - self._sent_at), error=code,
        )  # fmt: skip

    @property
    def _work(self) -> Work:
        """How much was sent, by our own rules."""
        if self._weighed is None:
            self._weighed = self._weigh()
        return self._weighed

    def _weigh(self) -> Work:
        chat, way = self._chat, self._way
        if way.tools or not chat.plain:
            return Work()
        pictures = chat.pictures
        chars = size = words = max(0, len(chat.texts) - 1)  # a line's end between two
        for text in chat.texts:
            chars, size, words = chars + text.chars, size + text.size, words + text.pretokens
        rough = text_tokens(chars, size, words)
        return Work(
            megapixels=round(sum(each.width * each.height for each in pictures) / 1e6, 4), pictures=len(pictures),
            text_tokens=rough.mid, messages=chat.messages,
            image_tokens=sum(image_tokens(way.book.image, each.width, each.height, "auto").mid for each in pictures),
        )  # fmt: skip


def _tokens(usage: Usage | None) -> Told:
    return Told() if usage is None else Told(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
