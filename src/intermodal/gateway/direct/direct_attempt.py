"""One attempt at a direct call: reserve its budget, send it, answer the client, record its cost.

If a budget lease and an open connection are at hand, it is sent in the callback that received the request and answered
in the callback that receives the reply, without a task (``start``). Otherwise it waits for them in a task (``go``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NoReturn, Protocol

from intermodal import errors
from intermodal.content import together
from intermodal.cost_model.image_tokens import image_tokens
from intermodal.cost_model.tokens import text_tokens
from intermodal.events import Usage
from intermodal.executor.api import (
    AttemptAccount,
    AttemptEnding,
    BufferedResponse,
    PriorAttempt,
    StreamContext,
    StreamedResponse,
    UpstreamResponse,
    Verdict,
    answer_notes,
    context_lesson,
    count_answer_tokens,
    deadline_missed,
    detect_truncated_prompt,
    json_answer,
    refusal_error,
    repeats,
    reported_usage,
    stop_note,
    stops_loops,
    usage_is_complete,
)
from intermodal.gateway.billing import quota_error, rate_limit_headers
from intermodal.gateway.direct.attempt_ids import new_ids
from intermodal.gateway.direct.compiled_plan import CompiledPlan, ShortenedCall, run_metadata
from intermodal.gateway.direct.handover import Handover
from intermodal.gateway.error_answers import answer_cancelled, answer_failure
from intermodal.gateway.failures import interrupted
from intermodal.gateway.http1 import stream_keepalive
from intermodal.gateway.http1.http_types import GatewayRequest
from intermodal.gateway.http1.response_writer import ResponseWriter
from intermodal.gateway.http1.stream_keepalive import StreamKeepalive
from intermodal.gateway.quotas.lease_pool import QuotaReservation
from intermodal.gateway.quotas.quota_types import BUDGET_REFUSALS, QuotaRefusal
from intermodal.gateway.response_metadata import report_failure
from intermodal.gateway.state.conversations import digest_with_answer
from intermodal.json_schema import BudgetExhausted, StepBudget
from intermodal.media.text.script_counts import count_scripts
from intermodal.protocols.calls import WireEvent, WireUsage
from intermodal.protocols.reply_chunk import calls_of
from intermodal.protocols.reply_decoder import NO_REASON
from intermodal.request import JsonOutput
from intermodal.store.attempt_journal import uuid_of
from intermodal.store.attempts import DirectAttemptRow
from intermodal.store.rows import Work
from intermodal.telemetry.request_record import ModelCall
from intermodal.transport.http1 import HostConnection

if TYPE_CHECKING:
    from intermodal.gateway.context import GatewayContext
    from intermodal.gateway.direct.attempt_writer import AttemptWriter
    from intermodal.gateway.http1.connection import OnEnd
    from intermodal.gateway.quotas.quota_manager import QuotaManager
    from intermodal.protocols.parsed_chat import ParsedChat
    from intermodal.transport.http1 import ConnectionPool

_JSON = "application/json"
_SHORTENED = "the budget of this key has no room for an answer of {} tokens: it was asked for {} at most"
_UNCOUNTED = WireUsage()
_STREAMED = "cache-control: no-cache\r\nx-accel-buffering: no\r\n"


class DirectPath(Protocol):
    """What attempts share. ``taken`` counts those that answered."""

    taken: int
    pool: ConnectionPool
    rows: AttemptWriter

    def abandoned(self, failure: Handover) -> None:
        """Settle an attempt that nobody continues."""


class DirectAttempt:
    """One attempt at a direct call."""

    def __init__(
        self,
        context: GatewayContext,
        direct_path: DirectPath,
        chat: ParsedChat,
        compiled: CompiledPlan,
        asked: GatewayRequest,
        reply: ResponseWriter,
    ) -> None:
        self._context = context
        self._direct_path = direct_path
        self._chat = chat
        self._compiled = compiled
        self._asked = asked
        self._reply = reply
        self._loop = asyncio.get_running_loop()
        self._began = time.monotonic()
        self._started = time.time()
        self._ids = new_ids(self._started)
        self._account: AttemptAccount
        self._exchange: UpstreamResponse  # from when it listens until it is forgotten
        self._connection: HostConnection | None = None
        self._given: QuotaReservation | None = None
        self._shortened: ShortenedCall | None = None
        self._slot = -1  # in the attempt journal
        self._silence: StreamKeepalive | None = None
        self._weighed: Work | None = None
        self._over: OnEnd | None = None
        self._late: asyncio.TimerHandle | None = None  # the deadline
        self._connecting: asyncio.Task[HostConnection] | None = None
        self._verdict: errors.IntermodalError | Verdict | None = None
        self._forgotten = False

    # ---- in a task -----------------------------------------------------------------------------

    async def go(self) -> Handover | None:
        """Answer. Failure where nothing was shown and the executor is to go on.

        Raises RequestRefused where the key's budget does not allow it.
        """
        if not self._may_ask() or self._explores():
            return Handover(None, None)
        self._given = await self._admitted()
        self._asked.sent, self._asked.counted = 1, True
        if not self._may_ask() or not self._noted():  # meanwhile it may have failed too often
            return Handover(None, self._given)
        self._planned()
        self._asks()
        self._listen()
        future: asyncio.Future[Handover | None] = self._loop.create_future()
        self._over = lambda asked, reply, failure: None if future.done() else future.set_result(failure)
        try:
            await self._connected()
            return await future
        except asyncio.CancelledError:
            self.cancel()
            failure = future.result() if future.done() and not future.cancelled() else None
            if failure is not None:  # it failed in the very moment in which the client left: nothing continues
                self._direct_path.abandoned(failure)
            raise
        except Exception:  # a mistake of ours
            self._left()
            raise

    async def _connected(self) -> None:
        """Send it on a connection of before, or a new one."""
        compiled, pool = self._compiled, self._direct_path.pool
        connection = pool.take(compiled.target, self._began)
        if connection is None:
            try:
                connection = await self._new_connection()
            except errors.Unreachable as failure:
                self._ended(failure)
                return
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if self._over is None and (task is None or not task.cancelling()):
                    return  # its deadline passed, which has been reported
                raise
        self._send(connection)

    async def _new_connection(self) -> HostConnection:
        connecting = self._direct_path.pool.connect(self._compiled.target, self._compiled.endpoint.id)
        if self._late is None:
            return await connecting
        self._connecting = self._loop.create_task(connecting)
        return await self._connecting

    # ---- without one ---------------------------------------------------------------------------

    def start(self, over: OnEnd) -> bool:
        """Send it now, if that needs nothing to be waited for; ``over`` is called later, when it is answered, or has
        failed before anything was shown. False: nothing was done."""
        ledger, pool = self._context.ledger, self._direct_path.pool
        if not self._may_ask() or self._explores():
            return False
        connection = pool.take(self._compiled.target, self._began)
        if connection is None:
            return False
        if ledger is not None:
            given = ledger.admit_now(self._asked.key, self._compiled.claim)
            if given is None or isinstance(given, QuotaRefusal):
                pool.give_back(connection)
                return False
            self._given = given
        if not self._noted():
            pool.give_back(connection)
            self._release()
            return False
        self._over = over
        self._rates()
        self._asked.sent, self._asked.counted = 1, True
        self._asks()
        self._listen()
        self._send(connection)  # first of all: everything else happens while the request is on its way
        self._planned()
        return True

    # ---- both ----------------------------------------------------------------------------------

    def _may_ask(self) -> bool:
        """The endpoint is not left alone, nor is this the call that finds out whether it is back, which is for the
        executor: it is waited for less long."""
        return self._context.client.upstreams.free(self._compiled.endpoint.id, self._began)

    def _explores(self) -> bool:
        """Another endpoint is to be tried out first, which is for the executor."""
        name = self._compiled.explores
        return bool(name) and self._context.client.upstreams.should_explore(name, self._began)

    def _noted(self) -> bool:
        """Note the attempt in the journal; return False if it cannot be noted and does not come free."""
        if not self._compiled.free:
            self._slot = self._direct_path.rows.note(self._compiled, *self._ids, self._started)
            return self._slot >= 0
        return True

    def _asks(self) -> None:
        """Begin the tracked call, which ``_end`` or ``_left`` ends, and start the deadline."""
        compiled, short = self._compiled, self._shortened
        self._account = AttemptAccount.begin(
            self._context.client.upstreams, compiled.endpoint, compiled.estimated, time.monotonic(),
            streamed=self._chat.stream, bound=None if short is None else short.bound,
        )  # fmt: skip
        deadline = compiled.policy.deadline
        if deadline is not None:
            self._late = self._loop.call_later(deadline, self._too_late, deadline)

    def _too_late(self, deadline: float) -> None:
        """End the attempt at its deadline: the answer is no longer awaited, and no other endpoint is called."""
        if self._over is None:
            return
        self._exchange.over = True
        if self._connecting is not None:
            self._connecting.cancel()
        try:
            self._missed(deadline_missed(deadline, self._compiled.plan.chosen.endpoint))
        except Exception as problem:  # a mistake of ours
            answer_failure(self._context, self._asked, self._reply, problem)
        finally:
            self._let_go()
            self._done(None)

    def _missed(self, error: errors.CallError) -> None:
        reply, context = self._reply, self._context
        if self._give_up(error.code, tokens=0 if self._compiled.free else None):
            context.metrics.attempt(self._compiled.endpoint.id, "cancelled")
        if not reply.status:
            answer_failure(context, self._asked, reply, error)
            return
        context.note_failure(error)
        self._break_off(error)

    def _planned(self) -> None:
        """Record the plan in the plan history, the request record and the span."""
        compiled, context, served = self._compiled, self._context, self._asked.served
        context.plans[self._asked.owner, compiled.plan.id] = compiled.plan
        served.planned(compiled.plan, live=self._chat.stream)
        if served.span is not None:
            served.span.given(("image", each.digest.hex()) for each in self._chat.pictures)

    def _send(self, connection: HostConnection) -> None:
        exchange, compiled = self._exchange, self._compiled
        if isinstance(exchange, StreamedResponse):
            exchange.connection = connection
            self._reply.when_caught_up(connection.resume)
        self._connection = connection
        self._account.sending(time.monotonic())
        exchange.then(self._ended)
        try:
            connection.send(compiled.target, compiled.body(self._chat, self._shortened), exchange, compiled.endpoint.id)
        except Exception as problem:  # a mistake of ours
            connection.abort()
            self._left()
            answer_failure(self._context, self._asked, self._reply, problem)
            over, self._over = self._over, None  # it is settled: a client that leaves now gives up nothing
            self.forget()
            if over is not None:
                self._loop.call_soon(over, self._asked, self._reply, None)

    def _listen(self) -> None:
        """Prepare for the reply. The silence of a stream is measured from now on."""
        compiled = self._compiled
        if not self._chat.stream:
            self._exchange = BufferedResponse(
                compiled.endpoint.id, compiled.target.secret, compiled.adapter, self._limit
            )
            return
        guarded = stops_loops(compiled.endpoint, by_schema=compiled.schema is not None)
        teller = StreamContext(
            self._reply, self._chat.model, self._begin, self._metadata, self._found_wrong, self._count,
            self._chat.usage,
            guarded, self._chat.fields, NO_REASON in compiled.endpoint.host.quirks, self._limit,
            silent=compiled.schema is not None,
        )  # fmt: skip
        self._exchange = compiled.adapter.live(
            compiled.endpoint.id, compiled.target.secret, compiled.adapter, self._loop, teller
        )
        if compiled.adapter.dialect.comment:
            self._silence = StreamKeepalive(self._reply, self._comment)
            self._silence.last(stream_keepalive.FIRST_COMMENT_SECONDS)

    def _ended(self, error: errors.IntermodalError | None) -> None:
        """The exchange is over. Called by the connection, which must not hear of a mistake of ours."""
        handed = None
        try:
            self._let_go()
            handed = self._end(error)
        except Exception as problem:
            answer_failure(self._context, self._asked, self._reply, problem)
        finally:
            self._done(handed)

    def cancel(self) -> None:
        """The client left, or the server stops."""
        if self._over is None:
            return
        self._exchange.over = True
        try:
            self._left()  # its usage is reported with the rest
            self._stopped()
            answer_cancelled(self._asked, self._reply)
        finally:
            self._let_go()
            self._done(None)

    def _done(self, failure: Handover | None) -> None:
        over, self._over = self._over, None
        self.forget()
        if over is not None:
            over(self._asked, self._reply, failure)

    def _let_go(self) -> None:
        """The connection is no longer this request's."""
        exchange, connection = self._exchange, self._connection
        if connection is None:
            return
        live = isinstance(exchange, StreamedResponse)
        if live:
            self._reply.when_caught_up(None)
        if connection.listener is exchange:
            if live:
                connection.resume()  # a slow reader has everything: the end of the reply is still to be read
            if not exchange.finish or (live and exchange.stopped):
                connection.abort()  # nobody waits for its reply

    def _stopped(self) -> None:
        """End a stream that the server interrupts with an error event."""
        reply = self._reply
        if reply.status and not reply.ended and not reply.gone:
            reply.last(self._broken(interrupted(reply)))
            self._asked.served.failed("stopping", broken=True)

    def forget(self) -> None:
        """Its parts hold each other. They go now, and bodies with them, not when a collector looks for such circles."""
        if not self._forgotten:
            self._forgotten = True
            if self._silence is not None:
                self._silence.close()
            if self._late is not None:
                self._late.cancel()
            if isinstance(self._verdict, asyncio.Future):
                self._verdict.cancel()
            vars(self).pop("_exchange", None)

    async def _admitted(self) -> QuotaReservation | None:
        ledger, key = self._context.ledger, self._asked.key
        if ledger is None:
            return None
        given = ledger.admit_now(key, self._compiled.claim)
        if given is None:
            given = await ledger.admit(key, self._compiled.claim)
        if isinstance(given, QuotaRefusal) and given.code in BUDGET_REFUSALS:
            given = await self._admitted_for_less(ledger, given)
        self._rates()
        if isinstance(given, QuotaRefusal):
            raise quota_error(given)
        return given

    async def _admitted_for_less(self, ledger: QuotaManager, refusal: QuotaRefusal) -> QuotaReservation | QuotaRefusal:
        """With a lower limit, where it is known that such answers are short."""
        for room in (
            ledger.room,
            ledger.room,
            lambda key: (0.0, 0.0),
        ):  # other requests may hold what was left; then the least amount
            short = self._compiled.shortened(*room(self._asked.key))
            if short is None:
                break
            given = await ledger.admit(self._asked.key, short.claim)
            if not isinstance(given, QuotaRefusal):
                self._shortened = short
                return given
        return refusal

    def _rates(self) -> None:
        """Add the key's remaining rate limits to the response headers, whatever the outcome."""
        ledger, key = self._context.ledger, self._asked.key
        if ledger is not None and (key.rate.rpm is not None or key.rate.tpm is not None):
            self._asked.response_headers |= rate_limit_headers(*ledger.rates(key))

    @property
    def _heads(self) -> str:
        short = self._shortened
        heads = self._compiled.heads
        return heads if short is None else f"{heads}x-intermodal-max-tokens: {short.limit}\r\n"

    @property
    def _limit(self) -> int | None:
        """Tokens that the host was asked for at most."""
        return self._compiled.limit if self._shortened is None else self._shortened.limit

    def _settle(self, ending: AttemptEnding, tokens: int | None) -> None:
        """Charge the key's budget; ``tokens`` None where nobody can tell."""
        if self._given is not None:
            settle(self._context.ledger, self._given, ending, tokens)

    def _release(self) -> None:
        """Nothing was sent."""
        if self._context.ledger is not None and self._given is not None:
            self._context.ledger.release(self._given)

    # ---- a stream ------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._first_word()
        if self._silence is not None:
            self._silence.end()
        self._open()

    def _open(self) -> None:
        if not self._reply.status:
            self._reply.open(self._heads + _STREAMED, self._compiled.adapter.stream_type)

    def _first_word(self) -> None:
        if (first := self._exchange.first_at) is not None:
            self._account.first_word(first)

    def _metadata(self, live: StreamedResponse) -> bytes:
        self._bill()
        seconds = time.monotonic() - self._began
        return run_metadata(self._compiled, self._account.counts, 1, seconds, self._notes("".join(live.text)))

    def _notes(self, text: str) -> tuple[str, ...]:
        """Return the notes that the executor would have added to the answer."""
        exchange = self._exchange
        usage = exchange.usage
        made, thought = (usage.output_tokens, usage.reasoning_tokens) if usage is not None else (None, None)
        notes = answer_notes(
            exchange.finish, text, made or self._limit, called=bool(exchange.calls), thought=thought,
            stopped=stop_note(
                self._compiled.endpoint.id, self._limit, looped=exchange.looped, overran=exchange.overran
            ),
            repeats=self._compiled.schema is None and repeats(text),
        )  # fmt: skip
        return notes if self._shortened is None else (_SHORTENED.format(self._compiled.limit, self._limit), *notes)

    def _wrong(self, exchange: UpstreamResponse) -> errors.CallError | None:
        """A server near by that read less than it was sent."""
        counted = exchange.usage.input_tokens if exchange.usage is not None else None
        return detect_truncated_prompt(self._compiled.endpoint, self._work, counted, self._chat.words)

    def _found_wrong(self, live: StreamedResponse) -> errors.IntermodalError | Verdict | None:
        """Return the error of a stream that ended, or the pending check of its text against a schema; determined only
        once.
        """
        if self._verdict is None:
            self._verdict = self._wrong(live) or self._judged(live)
        elif isinstance(self._verdict, asyncio.Future) and self._verdict.done():
            return self._verdict.result()
        return self._verdict

    def _judged(self, live: StreamedResponse) -> errors.IntermodalError | Verdict | None:
        schema, text = self._compiled.schema, "".join(live.text)
        if schema is None or live.calls or not text.strip():  # without a word nothing is shown
            return None
        try:
            return self._fault(json_answer.parse(text, schema.schema, StepBudget(json_answer.INLINE)))
        except BudgetExhausted as problem:
            if problem.deep:
                return self._unchecked(problem)
        return self._loop.create_task(self._judged_apart(text, schema))

    async def _judged_apart(self, text: str, schema: JsonOutput) -> errors.IntermodalError | None:
        """The same of a long answer, in a thread."""
        try:
            return self._fault(await json_answer.run_in_thread(partial(json_answer.parse, text, schema.schema)))
        except BudgetExhausted as problem:
            return self._unchecked(problem)

    def _unchecked(self, problem: BudgetExhausted) -> errors.OutputUnchecked:
        return json_answer.unchecked(problem, endpoint=self._compiled.endpoint.id, step=self._compiled.step.id)

    def _fault(self, parsed: json_answer.ParsedAnswer) -> errors.OutputInvalid | None:
        schema, cut = self._compiled.schema, self._exchange.finish == "length"
        assert schema is not None
        return json_answer.fault(
            parsed,
            shown=True,
            cut=cut,
            whole=schema.whole,
            endpoint=self._compiled.endpoint.id,
            step=self._compiled.step.id,
        )

    def _stands(self) -> bool:
        """Return whether an answer not yet shown is delivered unchanged; otherwise the executor decides."""
        schema, exchange = self._compiled.schema, self._exchange
        if schema is None or exchange.calls:
            return True
        if isinstance(exchange, StreamedResponse):
            return exchange.begun
        text = "".join(exchange.text)
        try:
            parsed = json_answer.parse(text, schema.schema, StepBudget(json_answer.INLINE))
        except BudgetExhausted:
            return False
        return json_answer.stands(parsed, text, cut=exchange.finish == "length", whole=schema.whole)

    def _count(self, text: str) -> int:
        return count_answer_tokens(text, self._context.client.vocabularies.count)

    def _comment(self) -> None:
        self._open()
        waited = time.monotonic() - self._began
        self._reply.put(b": %b: no word yet, %d s\n\n" % (self._compiled.step.op.encode(), waited))
        if self._silence is not None:
            self._silence.last(stream_keepalive.COMMENT_SECONDS)

    # ---- the end -------------------------------------------------------------------------------

    def _end(self, error: errors.IntermodalError | None) -> Handover | None:
        self._first_word()
        if error is None and self._exchange.refused:
            self._refused()
        if error is None and isinstance(self._exchange, BufferedResponse):
            error = self._wrong(self._exchange)
        if error is None:
            if not self._stands():
                return self._handed_on()
            self._worked()
            return None
        if isinstance(error, errors.CallError):
            return self._failed(error)
        self._invalid(error)
        return None

    def _bill(self) -> None:
        """Price the answer by what its host counts."""
        usage = self._exchange.usage or _UNCOUNTED
        self._account.billed = self._compiled.bill(usage, self._work, self._context.client.moment)

    def _answered(self, code: str = "") -> AttemptEnding:
        """End an attempt that came to an answer, which was billed. ``code``: why it cannot be used."""
        exchange = self._exchange
        usage, ours = exchange.usage or _UNCOUNTED, exchange.counted_here
        return self._account.end(
            time.monotonic(), usage, out=usage.output_tokens if ours is None else ours, code=code,
            cut=exchange.finish == "length",
            counted=usage_is_complete(usage, looped=exchange.looped, overran=exchange.overran),
        )  # fmt: skip

    def _worked(self) -> None:
        context, compiled, exchange, chat = self._context, self._compiled, self._exchange, self._chat
        self._direct_path.taken += 1
        text = "".join(exchange.text)
        if exchange.items and bytes(chat.fields.get("store", b"")) != b"false":
            keep = context.items.keeper(self._asked.owner)
            for item in exchange.items:
                keep(item)
        if isinstance(exchange, BufferedResponse):  # of a stream it was told before its end
            self._bill()
            counts = self._account.counts
            metadata = run_metadata(compiled, counts, 1, time.monotonic() - self._began, self._notes(text))
            more = {} if compiled.adapter.again is None else {"asked": compiled.adapter.again(chat.fields)}
            body = compiled.adapter.write_reply(
                exchange.raw, chat.model, exchange.counted or compiled.adapter.uncounted, metadata, **more
            )
            cost = "" if counts is None else f"x-intermodal-cost: {counts:.8g}\r\n"
            self._reply.ready(f"{self._heads}{cost}x-intermodal-attempts: 1\r\n", _JSON, body)
        ending = self._answered()
        self._settle(ending, ending.tokens)
        self._write(ending)
        self._called(ending, ending.outcome.usage)
        context.metrics.passed(compiled.endpoint.id, *_counted(ending), ending.counts)
        name = digest_with_answer(chat.said, text, calls_of(exchange.calls) if exchange.calls else ())
        context.conversations.put(name, compiled.endpoint.id, compiled.policy)

    def _handed_on(self) -> Handover:
        """Hand an unusable answer that was not shown yet to the executor, which continues from there."""
        self._bill()
        ending = self._answered()
        self._write(ending, runs=False)
        return self._handover(None, ending, self._exchange.events())

    def _invalid(self, error: errors.IntermodalError) -> None:
        """End a stream whose text violates its schema: it has been read, so the error can only be reported."""
        self._context.note_failure(error)
        self._paid_in_vain(error, ended=error.code)
        self._break_off(error)

    def _handover(
        self, error: errors.CallError | None, ending: AttemptEnding, events: Sequence[WireEvent] = ()
    ) -> Handover:
        tried = PriorAttempt(
            error, self._compiled.endpoint.id, ending, run=self._ids[1].hex(), seconds=time.monotonic() - self._began,
            sent=self._connection is not None, events=events,
        )  # fmt: skip
        return Handover(tried, self._given)

    def _refused(self) -> NoReturn:
        """Raise the model's refusal. No other model is tried."""
        error = refusal_error(self._compiled.endpoint, "".join(self._exchange.refusal), self._compiled.step.id)
        self._paid_in_vain(error, code=error.code)
        if self._reply.status:
            self._break_off(error)
        raise error

    def _paid_in_vain(self, error: errors.IntermodalError, *, code: str = "", ended: str = "") -> None:
        """An answer came that is paid and cannot be used. ``code``: how the attempt did; ``ended``: how the run did."""
        self._bill()
        ending = self._answered(code)
        self._write(ending, ended=ended)
        self._settle(ending, ending.tokens)
        self._context.metrics.used(*_counted(ending))
        self._called(ending, ending.outcome.usage, error.code)

    def _break_off(self, error: errors.IntermodalError) -> None:
        """End what the client has begun to read with the error."""
        self._asked.served.failed(error.code, broken=True)
        self._reply.last(self._broken(error))

    def _failed(self, error: errors.CallError) -> Handover | None:
        compiled, exchange = self._compiled, self._exchange
        error.step = error.step or compiled.step.id
        shown = isinstance(exchange, StreamedResponse) and exchange.begun
        ending = self._account.fail(error, time.monotonic(), sent=exchange.first_at is not None or error.sent)
        self._write(ending, runs=shown)
        if not shown:
            return self._handover(error, ending)
        context = self._context
        if (lesson := context_lesson(error, compiled.endpoint)) is not None:
            context.client.upstreams.learn(lesson, time.monotonic())
        context.metrics.attempt(compiled.endpoint.id, error.code)
        self._settle(ending, None)
        context.note_failure(error)
        self._called(ending, _tokens(exchange.usage), error.code)
        self._break_off(error)
        return None

    def _broken(self, error: BaseException) -> bytes:
        """Return the last event of a stream that fails, and report the failure."""
        report_failure(error, self._asked.served)
        return self._exchange.broken(error)

    def _left(self) -> None:
        """The client left, or the server stops."""
        self._give_up("cancelled")

    def _give_up(self, ended: str, *, tokens: int | None = None) -> bool:
        """End an attempt whose answer is no longer awaited: its output is unknown, so the reservation counts.
        ``ended``: the outcome of the run; ``tokens``: those that are booked. Return whether a part of the request may
        have reached the host.
        """
        sent, exchange = self._connection is not None, self._exchange
        if exchange.judging:  # the answer is there, and paid
            self._bill()
            ending = self._answered()
            self._settle(ending, ending.tokens)
        else:
            ending = self._account.cancel(time.monotonic(), sent=sent)
            if sent:
                self._settle(ending, tokens)
            else:
                self._release()
        if sent:
            self._called(ending, _tokens(exchange.usage), "cancelled")
        self._write(ending, ended=ended)
        return sent

    def _called(self, ending: AttemptEnding, usage: Usage, code: str = "") -> None:
        """Record the call in the form of the executor's calls."""
        first = self._account.first_at if self._chat.stream else None
        self._asked.served.called(
            ModelCall(
                step=self._compiled.step.id, endpoint=self._compiled.endpoint, seconds=ending.outcome.seconds,
                first=None if first is None else first - self._account.began,
                usage=usage, cost=ending.counts, finish_reason=self._exchange.finish, error=code,
                output="text" if self._compiled.schema is None else "json",
            )
        )  # fmt: skip

    def _write(self, ending: AttemptEnding, *, runs: bool = True, ended: str = "") -> None:
        attempt, run = self._ids
        passed = DirectAttemptRow(
            self._compiled.sort, uuid_of(attempt), run.hex(), self._started, time.time(), ending.charge.state,
            ending.outcome, self._work, runs, ended,
        )  # fmt: skip
        self._direct_path.rows.add(passed, self._slot)

    @property
    def _work(self) -> Work:
        """The amount of work that was sent, by our own rules."""
        if self._weighed is None:
            self._weighed = self._weigh()
        return self._weighed

    def _weigh(self) -> Work:
        chat, compiled = self._chat, self._compiled
        if compiled.tools or compiled.held or not chat.plain:
            return Work()
        pictures = chat.pictures
        chars = size = max(0, len(chat.texts) - 1)  # a line's end between two
        for text in chat.texts:
            chars, size = chars + text.chars, size + text.size
        words = compiled.words(chat)
        made_of = [text.scripts for text in chat.texts]
        if words:  # which are in the last text, separated by two line breaks
            chars, size = chars + len(words) + 2, size + len(words.encode("utf-8", "replace")) + 2
            made_of[-1:] = [count_scripts(f"{compiled.last_words(chat)}\n\n{words}")]
        rough = text_tokens(chars, size, together(made_of), compiled.vocabulary)
        return Work(
            megapixels=round(sum(each.width * each.height for each in pictures) / 1e6, 4), pictures=len(pictures),
            text_tokens=rough.mid, messages=chat.messages,
            image_tokens=sum(
                image_tokens(compiled.book.image, each.width, each.height, "auto").mid for each in pictures
            ),
        )  # fmt: skip


def _tokens(usage: WireUsage | None) -> Usage:
    return Usage() if usage is None else reported_usage(usage, usage.output_tokens)


def _counted(ending: AttemptEnding) -> tuple[int, int]:
    """Return tokens in and out, 0 where nobody counted them."""
    usage = ending.outcome.usage
    return usage.input_tokens or 0, usage.output_tokens or 0


def settle(ledger: QuotaManager | None, given: QuotaReservation, ending: AttemptEnding, tokens: int | None) -> None:
    """Charge a budget for an attempt: what it cost, else what it may have cost."""
    if ledger is not None:
        ledger.settle(given, cost=ending.counts, tokens=tokens, unreported=ending.unreported)
