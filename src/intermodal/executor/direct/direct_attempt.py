"""One attempt at a direct call: admit it, send it, answer the client, record its cost.

If its budget and an open connection are available, it is sent in the callback that received the request and answered in
the callback that receives the reply, without a task (``start``). Otherwise it waits for them in a task (``go``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, NoReturn

from msgspec.structs import replace

from intermodal import errors
from intermodal.core.content import sum_scripts
from intermodal.cost_model.tokens import text_tokens
from intermodal.executor.attempt.accounting import (
    AttemptAccount,
    AttemptEnding,
    reported_usage,
    usage_is_complete,
)
from intermodal.executor.attempt.answer_notes import (
    answer_notes,
    deadline_error,
    refusal_error,
    stop_note,
    stops_loops,
)
from intermodal.executor.attempt.capability_learning import context_lesson, detect_truncated_prompt
from intermodal.executor.attempt.ledger import EndpointRateExceeded
from intermodal.executor.attempt.step_caller import PriorAttempt, count_answer_tokens
from intermodal.executor.conversion.checks import repeats
from intermodal.executor.direct.compiled_plan import CompiledPlan, ShortenedCall
from intermodal.executor.direct.engine import DirectEngine, new_ids
from intermodal.executor.direct.sink import CallReport, DirectSink, Unanswered
from intermodal.executor.outputs import json_answer
from intermodal.executor.preparation.part_inputs import measure_images
from intermodal.executor.preparation.request_size import with_tokens
from intermodal.json_schema import BudgetExhausted, StepBudget
from intermodal.media.text.script_counts import count_scripts
from intermodal.protocols.calls import WireEvent, WireUsage
from intermodal.protocols.reply_chunk import calls_of
from intermodal.protocols.reply_decoder import NO_REASON
from intermodal.protocols.upstream_response import (
    BufferedResponse,
    StreamContext,
    StreamedResponse,
    UpstreamResponse,
)
from intermodal.store.attempt_journal import uuid_of
from intermodal.store.attempts import DirectAttemptRow
from intermodal.store.rows import Work
from intermodal.transport.http1 import HostConnection

if TYPE_CHECKING:
    from intermodal.protocols.parsed_chat import ParsedChat

_NO_USAGE = WireUsage()
_NO_WORK = Work()
Verdict = asyncio.Future["errors.IntermodalError | None"]
_FAILED_LATELY = "its endpoint failed lately"
OnEnd = Callable[["Unanswered | None"], None]  # called with None once the client is answered


class DirectAttempt:
    """One attempt at a direct call."""

    # Class attributes hold the defaults that most attempts keep, so that creating an attempt is cheap.
    _connection: HostConnection | None = None
    _shortened: ShortenedCall | None = None
    _slot = -1  # in the attempt journal
    _weighed: Work | None = None
    _over: OnEnd | None = None
    _late: asyncio.TimerHandle | None = None  # the deadline
    _connecting: asyncio.Task[HostConnection] | None = None
    _verdict: errors.IntermodalError | Verdict | None = None
    _forgotten = False
    _ending: AttemptEnding | None = None
    _written = False  # True once its row is queued
    _reported = False  # True once its charge is reported

    def __init__(self, engine: DirectEngine, chat: ParsedChat, compiled: CompiledPlan, sink: DirectSink) -> None:
        self._engine = engine
        self._chat = chat
        self._compiled = compiled
        self._sink = sink
        self._writer = sink.writer
        self._loop = asyncio.get_running_loop()
        self._began = time.monotonic()
        self._started = time.time()
        self._ids = new_ids(self._started)
        self._account: AttemptAccount
        self._exchange: UpstreamResponse  # from when it listens until ``break_references``

    # ---- in a task -----------------------------------------------------------------------------

    async def go(self) -> Unanswered | None:
        """Answer the client; return the attempt if nothing was shown and a run is to continue.

        Raises whatever ``DirectSink.admit`` raises.
        """
        if not self._may_call_directly():
            return Unanswered(None, _FAILED_LATELY)
        if self._explores():
            return Unanswered(None, "another endpoint is measured first")
        try:
            self._shortened = await self._sink.admit()
        except EndpointRateExceeded:
            return Unanswered(None, "the rate of its endpoint has no room")
        if not self._may_call_directly():  # it may have failed too often meanwhile
            return Unanswered(None, _FAILED_LATELY)
        if not self._note_in_journal():
            return Unanswered(None, "its row cannot be written")
        self._sink.record_plan()
        self._begin_call()
        self._listen()
        future: asyncio.Future[Unanswered | None] = self._loop.create_future()
        failed: list[Unanswered] = []  # apart from the future, which a client that leaves cancels at once

        def over(failure: Unanswered | None) -> None:
            failed.extend([] if failure is None else [failure])
            if not future.done():
                future.set_result(failure)

        self._over = over
        try:
            await self._send_when_connected()
            return await future
        except asyncio.CancelledError:
            self.cancel()
            for failure in failed:  # it failed at the moment at which the client left: nothing continues it
                self._sink.abandon(failure)
            raise
        except Exception:
            self._give_up("failed", "internal", "internal")
            raise

    async def _send_when_connected(self) -> None:
        """Send the request on an open connection, or on a new one."""
        compiled, pool = self._compiled, self._engine.pool
        connection = pool.take(compiled.target, self._began)
        if connection is None:
            try:
                connection = await self._new_connection()
            except errors.Unreachable as failure:
                if self._over is not None:
                    self._on_exchange_end(failure)
                return
            except asyncio.CancelledError:
                self._close_new_connection()
                task = asyncio.current_task()
                if self._over is None and (task is None or not task.cancelling()):
                    return  # its deadline passed, which was reported
                raise
            if self._over is None:  # its deadline passed in the turn in which it was connected
                connection.abort()
                return
        self._send(connection)

    async def _new_connection(self) -> HostConnection:
        connecting = self._engine.pool.connect(self._compiled.target, self._compiled.endpoint.id)
        if self._late is None:
            return await connecting
        self._connecting = self._loop.create_task(connecting)
        return await self._connecting

    def _close_new_connection(self) -> None:
        """Close a connection that was made in the turn in which its request was cancelled: nothing else holds it."""
        task = self._connecting
        if task is not None and task.done() and not task.cancelled() and task.exception() is None:
            task.result().abort()

    # ---- without one ---------------------------------------------------------------------------

    def start(self) -> bool:
        """Send the request now if nothing has to be awaited; return False if nothing was done.

        ``DirectSink.continue_after`` is called later, when the request was answered, or failed before any output was
        shown.
        """
        pool = self._engine.pool
        if not self._may_call_directly():
            return False
        connection = pool.take(self._compiled.target, self._began)
        if connection is None:
            return False
        if not self._sink.admit_now():
            pool.release(connection)
            return False
        if self._explores() or not self._note_in_journal():
            pool.release(connection)
            self._sink.release()
            return False
        self._over = self._sink.continue_after
        self._sink.confirm_admission()
        self._begin_call()
        self._listen()
        self._send(connection)  # send first: the rest overlaps with the host's work
        self._sink.record_plan()
        return True

    # ---- both ----------------------------------------------------------------------------------

    def _may_call_directly(self) -> bool:
        """Return True if the endpoint may be called directly.

        The probe of an endpoint that was down is left to the executor, which waits less long for it.
        """
        return self._engine.health.may_call_now(self._compiled.endpoint.id, self._began)

    def _explores(self) -> bool:
        """Return True if another endpoint is to be explored first, which is left to the executor.

        A request for which this returns False counts as one that did not explore, so ``start`` asks only once nothing
        else sends the request to ``go``, which asks again.
        """
        name = self._compiled.explores
        return bool(name) and self._engine.health.should_explore(name, self._began)

    def _note_in_journal(self) -> bool:
        """Note the attempt in the journal; return False if it cannot be noted and may cost money."""
        if not self._compiled.free:
            self._slot = self._engine.rows.note(self._compiled, *self._ids, self._started)
            return self._slot >= 0
        return True

    def _begin_call(self) -> None:
        """Begin the tracked call, which ``_end`` or ``_abandon`` ends, and start the deadline."""
        compiled, short = self._compiled, self._shortened
        self._account = AttemptAccount(
            self._engine.health, compiled.endpoint, compiled.step.estimate, time.monotonic(),
            streamed=self._chat.stream, bound=None if short is None else short.bound,
        )  # fmt: skip
        deadline = compiled.policy.deadline
        if deadline is not None:
            self._late = self._loop.call_later(deadline, self._on_deadline, deadline)

    def _on_deadline(self, deadline: float) -> None:
        """End the attempt at its deadline: its answer is no longer awaited, and no other endpoint is called."""
        if self._over is None:
            return
        self._exchange.over = True
        if self._connecting is not None:
            self._connecting.cancel()
        try:
            self._fail_at_deadline(deadline_error(deadline, self._compiled.plan.chosen.endpoint))
        except Exception as problem:  # an internal error
            self._sink.fail(problem)
        finally:
            self._release_connection()
            self._report_end(None)

    def _fail_at_deadline(self, error: errors.CallError) -> None:
        self._give_up("late", error.code)
        if self._writer.status:
            self._break_off(error)
        else:
            self._sink.fail(error)

    def _send(self, connection: HostConnection) -> None:
        exchange, compiled = self._exchange, self._compiled
        if isinstance(exchange, StreamedResponse):
            exchange.connection = connection
            self._writer.when_caught_up(connection.resume)
        self._connection = connection
        self._account.sending(time.monotonic())
        exchange.call_at_end(self._on_exchange_end)
        try:
            connection.send(compiled.target, compiled.body(self._chat, self._shortened), exchange, compiled.endpoint.id)
        except Exception as problem:  # an internal error
            connection.abort()
            self._fail_answer(problem)
            over, self._over = self._over, None  # it is settled: a client that leaves now abandons nothing
            self.break_references()
            if over is not None:
                self._loop.call_soon(over, None)

    def _listen(self) -> None:
        """Prepare for the reply."""
        compiled = self._compiled
        if not self._chat.stream:
            self._exchange = BufferedResponse(
                compiled.endpoint.id, compiled.target.secret, compiled.adapter, self._engine.clock, self._limit
            )
            return
        guarded = stops_loops(compiled.endpoint, by_schema=compiled.schema is not None)
        teller = StreamContext(
            self._writer, self._chat.model, self._begin, self._metadata, self._error_or_pending_check, self._count,
            self._chat.usage, guarded, self._chat.fields, NO_REASON in compiled.endpoint.host.quirks, self._limit,
            silent=compiled.schema is not None,
        )  # fmt: skip
        self._exchange = compiled.adapter.live(
            compiled.endpoint.id, compiled.target.secret, compiled.adapter, self._engine.clock, teller
        )
        self._sink.wait()

    def _on_exchange_end(self, error: errors.IntermodalError | None) -> None:
        """End the exchange. Called by the connection, which must not see an internal error."""
        handed = None
        try:
            self._release_connection()
            if self._exchange.problem is not None:
                raise self._exchange.problem
            handed = self._end(error)
        except Exception as problem:
            self._fail_answer(problem)
        finally:
            self._report_end(handed)

    def _fail_answer(self, problem: Exception) -> None:
        """End the attempt and its answer with an error that no run continues: an internal one, or a refusal."""
        try:
            self._give_up("failed", "internal", "internal")
        except Exception as second:  # the client is told all the same
            problem.add_note(f"and then: {second!r}")
        if self._writer.status and not self._writer.ended:
            self._break_off(problem)
        else:
            self._sink.fail(problem)

    def cancel(self) -> None:
        """Cancel the attempt: the client left, or the server stops."""
        if self._over is None:
            return
        self._exchange.over = True
        try:
            self._abandon()  # its usage is reported with the rest
            self._on_server_stop()
            self._sink.end_cancelled()
        finally:
            self._release_connection()
            self._report_end(None)

    def _report_end(self, failure: Unanswered | None) -> None:
        over, self._over = self._over, None
        self.break_references()
        if over is not None:
            over(failure)

    def _release_connection(self) -> None:
        """Release the connection, which may already serve another request."""
        exchange, connection = self._exchange, self._connection
        if connection is None:
            return
        live = isinstance(exchange, StreamedResponse)
        if live:
            self._writer.when_caught_up(None)
        if connection.listener is exchange:
            if live:
                connection.resume()  # a slow reader has everything: the end of the reply is still unread
            if not exchange.finish or (live and exchange.stopped):
                connection.abort()  # its reply is no longer awaited

    def _on_server_stop(self) -> None:
        """End a stream that the server interrupts with an error event."""
        writer = self._writer
        if writer.status and not writer.ended and not writer.disconnected:
            self._break_off(self._sink.interruption())

    def break_references(self) -> None:
        """Break the reference cycles of this attempt, so that bodies are freed without garbage collection."""
        if not self._forgotten:
            self._forgotten = True
            self._sink.close()
            if self._late is not None:
                self._late.cancel()
            if isinstance(self._verdict, asyncio.Future):
                self._verdict.cancel()
            vars(self).pop("_exchange", None)

    @property
    def _limit(self) -> int | None:
        """The token limit requested of the host."""
        return self._compiled.limit if self._shortened is None else self._shortened.limit

    # ---- a stream ------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._first_word()
        self._sink.begin()

    def _first_word(self) -> None:
        exchange = self._exchange
        if (first := exchange.first_at) is not None or exchange.calls:
            self._account.first_word(time.monotonic() if first is None else first)

    def _metadata(self, exchange: UpstreamResponse) -> bytes:
        """Bill the attempt, and return the metadata of its answer."""
        self._bill()
        seconds, notes = time.monotonic() - self._began, self._notes("".join(exchange.text))
        return self._sink.metadata(self._account.counts, seconds, notes, self._usage.missing_counts)

    @property
    def _reported_usage(self) -> WireUsage:
        usage = self._exchange.usage
        return _NO_USAGE if usage is None or usage.is_empty else usage

    @property
    def _usage(self) -> WireUsage:
        """The host's usage; of a stopped answer with the output that was counted here."""
        usage, counted_here = self._reported_usage, self._exchange.counted_here
        return usage if counted_here is None else replace(usage, output_tokens=counted_here)

    def _notes(self, text: str) -> tuple[str, ...]:
        """Return the notes that the executor would have added to the answer."""
        exchange = self._exchange
        output_tokens, reasoning_tokens = self._reported_usage.output_tokens, self._reported_usage.reasoning_tokens
        stopped = stop_note(
            self._compiled.endpoint.id, self._limit, looped=exchange.stopped_for_loop, overran=exchange.overran,
            refusal="".join(exchange.refusal),
        )  # fmt: skip
        return answer_notes(
            exchange.finish, text, output_tokens or self._limit, called=bool(exchange.calls), thought=reasoning_tokens,
            stopped=stopped, repeats=self._compiled.schema is None and repeats(text),
        )  # fmt: skip

    def _truncated_prompt_error(self, exchange: UpstreamResponse) -> errors.CallError | None:
        """Return the error if a local server read fewer tokens than it was sent; None if it read all."""
        input_tokens = self._reported_usage.input_tokens
        return detect_truncated_prompt(
            self._compiled.endpoint, self._sent_work, input_tokens, self._chat.strings_in_fields
        )

    def _error_or_pending_check(self, live: StreamedResponse) -> errors.IntermodalError | Verdict | None:
        """Return the error of a stream that ended, or the pending check of its text against a schema.

        Computed only once.
        """
        if self._verdict is None:
            self._verdict = self._truncated_prompt_error(live) or self._check_schema(live)
        elif isinstance(self._verdict, asyncio.Future) and self._verdict.done():
            return self._verdict.result()
        return self._verdict

    def _check_schema(self, live: StreamedResponse) -> errors.IntermodalError | Verdict | None:
        schema = self._compiled.schema
        if schema is None or live.calls:
            return None
        text = "".join(live.text)
        if not text.strip():  # nothing is shown without a word
            return None
        try:
            return self._fault(self._compiled.parse(text, StepBudget(json_answer.INLINE)))
        except BudgetExhausted as problem:
            if problem.deep:
                return self._unchecked_error(problem)
        return self._loop.create_task(self._check_in_thread(text))

    async def _check_in_thread(self, text: str) -> errors.IntermodalError | None:
        """Return the error of a long answer, checked in a thread."""
        try:
            return self._fault(await json_answer.run_in_thread(partial(self._compiled.parse, text)))
        except BudgetExhausted as problem:
            return self._unchecked_error(problem)

    def _unchecked_error(self, problem: BudgetExhausted) -> errors.OutputUnchecked:
        return json_answer.unchecked_error(problem, endpoint=self._compiled.endpoint.id, step=self._compiled.step.id)

    def _fault(self, parsed: json_answer.ParsedAnswer) -> errors.OutputInvalid | None:
        schema, cut = self._compiled.schema, self._exchange.finish == "length"
        assert schema is not None
        return json_answer.fault(
            parsed,
            was_shown=True,
            cut=cut,
            whole=schema.whole,
            endpoint=self._compiled.endpoint.id,
            step=self._compiled.step.id,
        )

    def _is_deliverable(self) -> bool:
        """Return True if an answer not yet shown is delivered unchanged; otherwise the executor decides."""
        schema, exchange = self._compiled.schema, self._exchange
        if schema is None or exchange.calls:
            return True
        if isinstance(exchange, StreamedResponse):
            return exchange.begun
        text = "".join(exchange.text)
        try:
            parsed = self._compiled.parse(text, StepBudget(json_answer.INLINE))
        except BudgetExhausted:
            return False
        return json_answer.is_deliverable_unchanged(parsed, text, cut=exchange.finish == "length", whole=schema.whole)

    def _count(self, text: str) -> int:
        return count_answer_tokens(text, self._engine.caller.vocabularies.count)

    # ---- the end -------------------------------------------------------------------------------

    def _end(self, error: errors.IntermodalError | None) -> Unanswered | None:
        self._first_word()
        if error is None and self._exchange.refused:
            self._raise_refusal()
        if error is None and isinstance(self._exchange, BufferedResponse):
            error = self._truncated_prompt_error(self._exchange)
        if error is None:
            if not self._is_deliverable():
                return self._hand_over()
            self._record_success()
            return None
        if isinstance(error, errors.CallError):
            return self._record_failure(error)
        self._invalid(error)
        return None

    def _bill(self) -> None:
        """Compute the cost of the answer from the host's usage."""
        self._account.billed = self._compiled.bill(self._reported_usage, self._sent_work, self._engine.caller.moment)

    def _end_billed(self, code: str = "") -> AttemptEnding:
        """End an attempt whose answer was billed. ``code``: why it cannot be used."""
        exchange = self._exchange
        usage, counted_here = self._reported_usage, exchange.counted_here
        self._ending = self._account.end(
            time.monotonic(), usage, out=usage.output_tokens if counted_here is None else counted_here, code=code,
            cut=exchange.finish == "length",
            usage_complete=not exchange.stopped
            or usage_is_complete(usage, looped=exchange.stopped_for_loop, overran=exchange.overran),
        )  # fmt: skip
        return self._ending

    def _record_success(self) -> None:
        compiled, exchange, chat = self._compiled, self._exchange, self._chat
        self._engine.answered_calls += 1
        text = "".join(exchange.text)
        if isinstance(exchange, BufferedResponse):  # for a stream it was written before its end
            metadata = self._metadata(exchange)
            more = {} if compiled.adapter.again is None else {"request_fields": compiled.adapter.again(chat.fields)}
            body = compiled.adapter.write_reply(
                exchange.raw, chat.model, exchange.raw_usage or compiled.adapter.uncounted, metadata, **more
            )
            self._sink.write_whole(body, self._account.counts)
        ending = self._end_billed()
        self._write_row(ending)
        self._report(ending, "answered")
        self._sink.store_turn(text, calls_of(exchange.calls) if exchange.calls else (), exchange.items)

    def _hand_over(self) -> Unanswered:
        """Return an unusable answer that was not shown yet; a run continues from there."""
        events = self._exchange.events()
        self._bill()
        ending = self._end_billed()
        self._write_row(ending, runs=False)
        return self._handover_report(None, ending, events)

    def _invalid(self, error: errors.IntermodalError) -> None:
        """End a stream whose text violates its schema: the client has read it, so the error can only be reported."""
        self._charge_unusable(error, ended=error.code)
        self._break_off(error)

    def _handover_report(
        self, error: errors.CallError | None, ending: AttemptEnding, events: Sequence[WireEvent] = ()
    ) -> Unanswered:
        prior = PriorAttempt(
            error, self._compiled.endpoint.id, ending, run=self._ids[1].hex(), seconds=time.monotonic() - self._began,
            sent=self._connection is not None, events=events,
        )  # fmt: skip
        return Unanswered(prior, "its call failed" if error is not None else "its answer has to be repaired")

    def _raise_refusal(self) -> NoReturn:
        """Raise the model's refusal. No other model is tried."""
        error = refusal_error(self._compiled.endpoint, "".join(self._exchange.refusal), self._compiled.step.id)
        self._charge_unusable(error, code=error.code)
        if self._writer.status and not self._writer.ended:
            self._break_off(error)
        raise error

    def _charge_unusable(self, error: errors.IntermodalError, *, code: str = "", ended: str = "") -> None:
        """Account for an answer that must be paid for and cannot be used.

        ``code``: the outcome of the attempt; ``ended``: the outcome of the run.
        """
        self._bill()
        ending = self._end_billed(code)
        self._write_row(ending, ended=ended)
        self._report(ending, "unusable", error.code)

    def _break_off(self, error: BaseException) -> None:
        """End a partly sent answer with the error."""
        self._sink.break_off(error)
        self._writer.write_last(self._exchange.failure_event(error))

    def _record_failure(self, error: errors.CallError) -> Unanswered | None:
        compiled, exchange = self._compiled, self._exchange
        error.step = error.step or compiled.step.id
        visible = isinstance(exchange, StreamedResponse) and exchange.begun
        ending = self._account.fail(error, time.monotonic(), sent=exchange.first_at is not None or error.sent)
        self._ending = ending
        self._write_row(ending, runs=visible)
        if not visible:
            return self._handover_report(error, ending)
        if (lesson := context_lesson(error, compiled.endpoint)) is not None:
            self._engine.health.learn(lesson, time.monotonic())
        self._report(ending, "failed", error.code)
        self._break_off(error)
        return None

    def _abandon(self) -> None:
        """Abandon the attempt: the client left, or the server stops."""
        self._give_up("left", "cancelled")

    def _give_up(self, reason: Literal["failed", "late", "left"], ended: str, code: str = "cancelled") -> None:
        """End an attempt whose answer is no longer awaited. What it cost is unknown, so the reservation is charged,
        unless it has ended before.

        ``ended``: the outcome of the run; ``code``: that of the attempt.
        """
        was_sent = self._connection is not None
        if self._ending is None and self._exchange.judging:  # the answer is complete and must be paid for
            self._bill()
            self._end_billed()
        ending = self._ending or self._account.cancel(time.monotonic(), sent=was_sent, code=code)
        if not self._reported:
            self._report(ending, reason, code, was_sent=was_sent)
        if not self._written:
            self._write_row(ending, ended=ended)

    def _report(
        self, ending: AttemptEnding, outcome: Literal["answered", "unusable", "failed", "late", "left"],
        code: str = "", *, was_sent: bool = True,
    ) -> None:  # fmt: skip
        """Have the caller charge and record the call."""
        self._reported = True
        exchange, account, reported = self._exchange, self._account, self._reported_usage
        complete = outcome in ("answered", "unusable")
        first = account.first_at if self._chat.stream else None
        self._sink.record_end(
            CallReport(
                ending, outcome, code, was_sent,
                usage=ending.outcome.usage if complete else reported_usage(reported, reported.output_tokens),
                first=None if first is None else first - account.began,
                finish=exchange.finish,
            )
        )  # fmt: skip

    def _write_row(self, ending: AttemptEnding, *, runs: bool = True, ended: str = "") -> None:
        attempt, run = self._ids
        row = DirectAttemptRow(
            self._compiled.sort, uuid_of(attempt), run.hex(), self._started, time.time(), ending.charge.state,
            ending.outcome, self._sent_work, runs, ended,
        )  # fmt: skip
        self._engine.rows.add(row, self._slot)
        self._written = True

    @property
    def _sent_work(self) -> Work:
        """The amount of work that was sent, by our own counting rules."""
        if self._weighed is None:
            self._weighed = self._measure_work()
        return self._weighed

    def _measure_work(self) -> Work:
        """Add up what was measured of the chat, as ``measure_request`` does of a call."""
        chat, compiled = self._chat, self._compiled
        work = measure_images(chat.pictures) if chat.pictures else _NO_WORK
        if compiled.tools or compiled.schema_enforced or not chat.plain:
            return work
        texts, words = chat.texts, compiled.schema_instruction_for(chat)
        if len(texts) == 1 and not words:
            (text,) = texts
            chars, size, scripts = text.chars, text.size, text.scripts
        else:
            chars = size = max(0, len(texts) - 1)  # a line break between two texts
            for text in texts:
                chars, size = chars + text.chars, size + text.size
            made_of = [text.scripts for text in texts]
            if words:  # the instruction is in the last text, after two line breaks
                chars, size = chars + len(words) + 2, size + len(words.encode("utf-8", "replace")) + 2
                made_of[-1:] = [count_scripts(f"{compiled.final_text(chat)}\n\n{words}")]
            scripts = sum_scripts(made_of)
        rough = text_tokens(chars, size, scripts, compiled.vocabulary)
        return with_tokens(work, rough.mid, chat.pictures, compiled.book, messages=chat.messages)
