"""Makes a step's call: one attempt after another, each with its own row, until one succeeds or the route is given up.

``StepCaller.call`` is the retry loop; ``CallAttempt`` is one attempt: reserve, call the driver, settle. ``retry.py``
decides how to proceed after a failed attempt, ``accounting.py`` computes its cost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from typing import cast

import msgspec

from intermodal import errors
from intermodal.catalog.host_rows import HTTP_PROTOCOLS
from intermodal.catalog.plugin_rows import runtime_plugins
from intermodal.catalog.types import Endpoint, Protocol
from intermodal.core.content import Kind, Value
from intermodal.core.request import Tool
from intermodal.events import (
    Actual,
    AttemptFailed,
    Drawn,
    Event,
    Sketched,
    StepFinished,
    StepProgress,
    StepStarted,
    Thought,
)
from intermodal.executor.attempt import accounting, retry
from intermodal.executor.attempt.accounting import AttemptAccount, AttemptEnding, price_of_usage, reported_usage
from intermodal.executor.attempt.capability_learning import lesson_from_error, media_kinds_of
from intermodal.executor.attempt.ledger import AttemptEntry, EndpointRateExceeded, RunLedger, original_failure
from intermodal.executor.attempt.retry import Reroute, RetryDecision
from intermodal.executor.chat_answer import ChatAnswer, read_thought
from intermodal.executor.dependencies import Dependencies
from intermodal.executor.drivers.interface import CallJob, CallResult, Driver
from intermodal.local.embedded.ocr_layout import lines_to_text
from intermodal.media.text.tool_definitions import tools_digest
from intermodal.plans.plan import Candidate
from intermodal.plans.step import Call
from intermodal.protocols import calls as wire
from intermodal.protocols.answer_state import is_refusal
from intermodal.protocols.errors.classification import SchemaRefused, hide_key

# The driver of each protocol. HTTP protocols share one, which takes its codec from ``drivers/codecs.py``.
HTTP_DRIVER = "intermodal.executor.drivers.http:drive_http"
RUNTIME_DRIVER = "intermodal.executor.drivers.embedded:run_plugin"
DRIVERS: Mapping[Protocol, str] = {
    **dict.fromkeys(HTTP_PROTOCOLS, HTTP_DRIVER),
    "started": "intermodal.executor.drivers.started_servers:call",
    "llama": "intermodal.executor.drivers.started_servers:chat",
    "whisper": "intermodal.executor.drivers.embedded:transcribe",
    "ocr": "intermodal.executor.drivers.embedded:recognize_text",
    "e5": "intermodal.executor.drivers.embedded:embed_sentences",
    "contrastive": "intermodal.executor.drivers.embedded:embed_contrastive",
    "encoder": "intermodal.executor.drivers.embedded:run_head",
    "diffusion": "intermodal.executor.drivers.embedded:generate_images",
    "piper": "intermodal.executor.drivers.embedded:speak",
}


def driver_of(protocol: Protocol) -> Driver:
    """Return the driver of a protocol. Its module is loaded on first use."""
    place = DRIVERS.get(protocol) or (RUNTIME_DRIVER if protocol in runtime_plugins() else HTTP_DRIVER)
    module, _, function = place.partition(":")
    return cast("Driver", getattr(import_module(module), function))


class ReplanReason(Value, frozen=True):
    """Why a plan may no longer be right.

    Attributes:
        only_size: only the size of the product differs from the plan.
        blocked: the route cannot continue as it is.
        already_reported: the reason reaches the user in any case.
        answers: the answer itself is wrong, so repeating the same steps changes nothing.
        nothing_read: no text was found in the images and pages, so reading them is no longer an option.
    """

    step: str
    reason: str
    only_size: bool = False
    blocked: bool = False
    already_reported: bool = False
    answers: bool = False
    nothing_read: bool = False


class ReplanRequested(Exception):
    """Stops a route so that the rest of the run can be planned again."""

    def __init__(self, surprise: ReplanReason) -> None:
        super().__init__(surprise.reason)
        self.surprise = surprise


class FinishedCall(Value, frozen=True):
    """A successful call: its result, and the combined figures of all its attempts."""

    result: CallResult
    actual: Actual


async def _do_nothing() -> None:
    """Do nothing."""


class StepCaller:
    """Makes the calls of one run.

    Args:
        emit: receives events. hint: receives progress, which may be dropped if nobody reads.
        deadline: on the clock of the dependencies; None for none. started: when the run began, on the same clock.

    Attributes:
        others: remaining routes.
        force: call endpoints whose breaker is open or that requested a pause, because no other is left.
        passed_over: endpoints that requested a pause, or failed before the run and may be called again.
        exploring: an endpoint that is being measured; it is not called again if it fails.
        unreported: the figures of calls whose steps have not ended, by step; the one who emits the end of a step
            removes them.
        prior: the first attempt, if it was made before the run began. The first route takes it up if it makes the same
            call (``call``); otherwise its endpoint has failed (``fail_prior``).
    """

    def __init__(
        self,
        dependencies: Dependencies,
        ledger: RunLedger,
        emit: Callable[[Event], Awaitable[None]],
        hint: Callable[[Event], None],
        deadline: float | None,
        started: float = 0.0,
    ) -> None:
        self.force = False
        self.exploring = ""
        self.prior: PriorAttempt | None = None
        self.unreported: dict[str, list[Actual]] = {}
        self.passed_over: dict[str, retry.PassedOver] = {}
        self.others: Sequence[Candidate] = ()
        self.started = started
        self.dependencies = dependencies
        self.ledger = ledger
        self.emit = emit
        self.hint = hint
        self.deadline = deadline

    @property
    def remaining(self) -> float | None:
        return None if self.deadline is None else self.deadline - self.dependencies.clock()

    async def call(
        self,
        job: CallJob,
        *,
        begin: Callable[[], Awaitable[None]] = _do_nothing,
        say: Callable[[str], Awaitable[None]] | None = None,
        think: Callable[[Thought], Awaitable[None]] | None = None,
        committed: Callable[[], bool] = lambda: False,
        retract: Callable[[], None] = lambda: None,
    ) -> FinishedCall:
        """Make the call, resending it if the retry rules allow.

        Args:
            begin: awaited once, before the first attempt is made; not if the endpoint is passed over or no budget
                has room for it.
            say: receives the pieces of the answer. think: receives the reasoning.
            committed: whether some of the answer was shown; from then on nothing is retried.
            retract: discards the output of a failed attempt.

        Raises Reroute if another endpoint may make the call, else the error of the last attempt.
        """
        prior, self.prior = self.prior, None
        number = 0  # attempts at this endpoint for this request so far
        if prior is None:
            if (shut := retry.breaker_error(self, job)) is not None:
                raise Reroute(shut, job.step, shut.what, passed_over=True)
            number = await retry.return_to_endpoint(self, job)
            job = retry.as_trial(self, job)
        first = number + 1
        failed: errors.IntermodalError | None = None
        spent: list[float | None] = []
        while True:
            number += 1
            if prior is not None:
                await begin()
                attempt: CallAttempt | PriorAttempt = prior
            else:
                starts = begin if number == first else _do_nothing
                attempt = CallAttempt(self, job, starts, say, think, is_resend=number > 1)
            prior = None
            try:
                result = await (
                    attempt.replay(job.step.id, say, think) if isinstance(attempt, PriorAttempt) else attempt.make()
                )
            except errors.IntermodalError as error:
                error.step = error.step or job.step.id
                if (unsent := _unsent_error(error, failed, job)) is not None:
                    raise unsent from None
                spent.append(attempt.ending.charge.cost)
                self.ledger.maybe_paid += attempt.ending.charge.maybe_paid
                self._learn(error, job.endpoint, media_kinds_of(job), job.chat.tools if job.chat is not None else ())
                decision, passed_over = retry.decide_next(self, error, job, number, committed())
                await self._report_attempt_failure(attempt, error, decision)
                if passed_over:
                    self.passed_over[job.endpoint.id] = retry.PassedOver(error, number)
                if decision.kind == "reroute":
                    raise Reroute(error, job.step, decision.reason, passed_over=passed_over) from error
                if decision.kind == "stop":
                    raise
                retract()
                await retry.wait_to_resend(self, error, job, decision)
                job = msgspec.structs.replace(job, fresh=error.stale)
                failed = error.with_traceback(None)  # a frame that holds its own error would stay alive
            except BaseException:
                self._give_up(attempt)
                raise
            else:
                actual = attempt.actual(tuple(spent))
                self.unreported.setdefault(job.step.id, []).append(actual)
                return FinishedCall(result=result, actual=actual)

    def _learn(
        self, error: errors.IntermodalError, endpoint: Endpoint, media_kinds: tuple[Kind, ...], tools: tuple[Tool, ...]
    ) -> None:
        """Record the limit of an endpoint that an error names. ``media_kinds``, ``tools``: what the call sent it."""
        upstreams, now = self.dependencies.upstreams, self.dependencies.clock()
        if (lesson := lesson_from_error(error, endpoint, media_kinds)) is not None:
            upstreams.learn(lesson, now)
            if lesson.lacks and isinstance(error, errors.CallError):
                error.taught, error.resendable = True, False
        if isinstance(error, errors.ContextExceeded) and tools:
            upstreams.record_tools_refused(endpoint.id, tools_digest(tools))

    async def fail_prior(self, step: str, media_kinds: tuple[Kind, ...], tools: tuple[Tool, ...]) -> Reroute:
        """Account for the attempt that was made before the run, whose call the next route does not make.

        It is a failed attempt at its own endpoint, whatever the next route calls, also if it ended with an answer to be
        repaired. Raises its error if the retry rules allow no other attempt.

        Args:
            step: the step that answers on the next route. media_kinds, tools: what the attempt sent.
        """
        prior, self.prior = self.prior, None
        assert prior is not None
        error = prior.error or _unusable_answer(prior.endpoint)
        error.step = step
        if isinstance(error, SchemaRefused):
            error.retry = "once"  # nothing is repeated: another call may enforce the schema, or state it in words
        self.ledger.maybe_paid += prior.ending.charge.maybe_paid
        if (endpoint := self.dependencies.catalog.by_id.get(prior.endpoint)) is not None:
            self._learn(error, endpoint, media_kinds, tools)
        decision, passed_over, resendable = retry.decide_elsewhere(self, error)
        if prior.error is None:
            resendable = True  # its endpoint works
            decision = msgspec.structs.replace(decision, reason=error.what)
        await self._report_attempt_failure(prior, error, decision)
        if decision.kind == "stop":
            try:
                raise error
            finally:
                del error, prior  # a frame that holds its own error would stay alive
        if resendable and prior.error is not None:
            self.passed_over[prior.endpoint] = retry.PassedOver(error, 1)
        call = Call(id=step, op="generate", task="text-generation", endpoint=prior.endpoint, inputs=())
        return Reroute(error, call, decision.reason, passed_over=passed_over, resendable=resendable)

    def elapsed(self) -> float:
        """Return seconds since the run began."""
        return round(self.dependencies.clock() - self.started, 6)

    def _give_up(self, attempt: CallAttempt | PriorAttempt) -> None:
        """Report an abandoned attempt: it may have been paid for, or failed. One that was not sent has a void row."""
        if isinstance(attempt, CallAttempt) and (attempt.has_failed or attempt.ending.charge.state != "void"):
            self.hint(_abandoned_event(attempt, attempt.step, self.elapsed()))

    def report_rest(self, step: str) -> None:
        """Report what no step has reported when the run ends without an answer.

        That is the attempt made before the run, if no step took it up (``step``: which would have), and calls that have
        ended and been paid for, but whose steps have not ended.
        """
        prior, self.prior = self.prior, None
        if prior is not None and prior.error is None:  # it answered, and its usage is known
            self.hint(StepStarted(step=step, title=prior.endpoint, op="generate", endpoint=prior.endpoint))
            self.hint(StepFinished(actual=prior.actual_of(step)))
        elif prior is not None:
            self.hint(_abandoned_event(prior, step, self.elapsed()))
        for figures in list(self.unreported.values()):
            for actual in figures:
                self.hint(StepFinished(actual=actual))

    async def _report_attempt_failure(
        self, attempt: CallAttempt | PriorAttempt, error: errors.IntermodalError, decision: RetryDecision
    ) -> None:
        await self.emit(
            AttemptFailed(
                step=error.step,
                endpoint=attempt.endpoint,
                code=error.code,
                reason=decision.reason,
                status=error.status if isinstance(error, errors.CallError) else 0,
                charged=attempt.ending.charge.charged,
                cost=attempt.ending.charge.cost,
                seconds=round(attempt.seconds, 6),
                then=decision.kind,
                delay=round(decision.delay, 3),
                at=self.elapsed(),
            )
        )

    async def sleep(self, seconds: float) -> None:
        import anyio

        await (self.dependencies.sleep or anyio.sleep)(seconds)


class PriorAttempt:
    """The first attempt of a run, made before the run began (``executor/direct/``). Its row is written.

    It failed with ``error``, or ended with an answer (its decoded ``events``) from which the run continues.

    Attributes:
        endpoint: its id. ending: what it cost.
        run: the id of its run. seconds: since the run began.
        sent: a part of the request may have reached the host.
    """

    def __init__(
        self, error: errors.CallError | None, endpoint: str, ending: AttemptEnding, *, run: str, seconds: float,
        sent: bool = True, events: Sequence[wire.WireEvent] = (),
    ) -> None:  # fmt: skip
        self.error = error
        self.endpoint = endpoint
        self.ending = ending
        self.run = run
        self.seconds = seconds
        self.sent = sent
        self._events = events
        self._step = ""

    async def replay(
        self, step: str, say: Callable[[str], Awaitable[None]] | None,
        think: Callable[[Thought], Awaitable[None]] | None,
    ) -> CallResult:  # fmt: skip
        """Report the answer again as that of ``step`` and return it. Raises the error that the attempt failed with."""
        self._step = step
        if self.error is not None:
            raise self.error
        for event in self._events:
            thought = read_thought(event)
            if isinstance(event, wire.WireTextDelta) and say is not None:
                await say(event.text)
            elif thought is not None and think is not None:
                await think(thought)
        return self._result

    @cached_property
    def _result(self) -> CallResult:
        return ChatAnswer(self._events).result()

    def actual(self, before: tuple[float | None, ...]) -> Actual:
        """Return the actual figures of the step that took the attempt up."""
        return self.actual_of(self._step)

    def actual_of(self, step: str) -> Actual:
        """Return the actual figures of ``step``."""
        usage = self._result.usage
        reported = reported_usage(usage, usage.output_tokens)
        return Actual(step=step, seconds=self.seconds, usage=reported, cost=self.ending.charge.cost)


class CallAttempt:
    """One attempt at a call, and the ``AttemptContext`` that its driver receives.

    Attributes:
        ending: what it cost; set once ``make`` returned or raised. has_failed: its endpoint failed.
    """

    ending: AttemptEnding
    has_failed = False

    def __init__(
        self,
        caller: StepCaller,
        job: CallJob,
        begin: Callable[[], Awaitable[None]],
        say: Callable[[str], Awaitable[None]] | None,
        think: Callable[[Thought], Awaitable[None]] | None,
        *,
        is_resend: bool,
    ) -> None:
        dependencies = caller.dependencies
        self.key = dependencies.find_key(job.endpoint.host) or ""
        self.endpoint = job.endpoint.id
        self.step = job.step.id
        self._caller = caller
        self._job = job
        self._begin = begin
        self._say = say
        self._think = think
        self._entry: AttemptEntry | None = None
        self._clock = dependencies.clock
        self._account = AttemptAccount(
            dependencies.upstreams, job.endpoint, job.step.estimate, dependencies.clock(), is_resend=is_resend,
            streamed=job.chat is None or job.chat.stream,
        )  # fmt: skip
        self._moment = dependencies.moment()
        self._peak: int | None = None

    # ---- the driver's callbacks (``AttemptContext``) ----------------------------------------------------

    @property
    def remaining(self) -> float | None:
        return self._caller.remaining

    async def sending(self) -> None:
        await self.record().wait_until_written()
        self._account.sending(self._clock())

    def record(self) -> AttemptEntry:
        assert self._entry is not None
        self._account.sending(self._clock())
        self._entry.begin()
        return self._entry

    def answering(self) -> None:
        if self._account.first_at is None:
            self._account.first_word(self._clock())

    async def say(self, text: str) -> None:
        if self._say is not None:
            await self._say(text)
        if self._entry is not None:
            self._entry.start()

    async def think(self, thought: Thought) -> None:
        if self._think is not None:
            await self._think(thought)

    def report_load_seconds(self, seconds: float) -> None:
        self._account.load_seconds = seconds

    def progress(self, fraction: float | None, note: str = "") -> None:
        self._caller.hint(StepProgress(step=self._job.step.id, fraction=fraction, note=note))

    def report_preview(self, picture: Drawn, done: int, steps: int) -> None:
        self._caller.hint(Sketched(step=self._job.step.id, picture=picture, done=done, steps=steps))

    # ---- the attempt --------------------------------------------------------------------------

    async def make(self) -> CallResult:
        """Reserve, call the driver, settle. The row is closed when this returns or raises."""
        import anyio

        job, account = self._job, self._account
        try:
            self._entry = await self._caller.ledger.open(job.step, job.endpoint, job.work)
            await self._begin()
            account.start(self._clock())
            result = await driver_of(job.endpoint.host.protocol)(job, self._caller.dependencies, self)
            refused = is_refusal(result.finish_reason, (result.text,), called=result.calls_tool)
            output_tokens = self._output_tokens(result)
            account.billed = price_of_usage(
                job.endpoint, result.usage, job.work, self._caller.dependencies.tariff(job.endpoint), self._moment,
                image_count=len(result.images),
            )  # fmt: skip
        except errors.IntermodalError as error:
            self.has_failed = isinstance(error, errors.CallError)
            await self._close(account.fail(error, self._clock(), sent=self.sent))
            raise hide_key(error, self.key) from None
        except anyio.get_cancelled_exc_class():
            await self._close(account.cancel(self._clock(), sent=self.sent))
            raise
        except BaseException:
            await self._close(account.cancel(self._clock(), sent=self.sent, code="internal"))
            raise
        self._peak = result.peak_memory
        await self._close(
            account.end(
                self._clock(), result.usage, out=output_tokens, cut=result.finish_reason == "length",
                usage_complete=accounting.usage_is_complete(result.usage, looped=result.looped, overran=result.overran),
                code="content_refused" if refused else "",
            )
        )  # fmt: skip
        return result

    def actual(self, before: tuple[float | None, ...]) -> Actual:
        """Return the figures of the step. ``before``: the costs of the failed attempts."""
        outcome = self.ending.outcome
        costs = (*before, self.ending.charge.cost)
        known_costs = [cost for cost in costs if cost is not None]
        return Actual(
            step=self._job.step.id,
            seconds=outcome.seconds,
            load_seconds=outcome.load_seconds,
            usage=outcome.usage,
            cost=sum(known_costs) if len(known_costs) == len(costs) else None,
            peak_memory=self._peak or None,
        )

    @property
    def seconds(self) -> float:
        """Seconds of the attempt, excluding the loading of a runtime."""
        return self.ending.outcome.seconds

    @property
    def sent(self) -> bool:
        """True if some of the request may have reached the endpoint."""
        return self._entry is not None and self._entry.sent

    async def _close(self, ending: AttemptEnding) -> None:
        self.ending = ending
        if self._entry is not None:
            await self._entry.close(ending)

    def _output_tokens(self, result: CallResult) -> int | None:
        """Return the tokens of the answer as reported; for a conversion, those of the text it produced."""
        out = result.usage.output_tokens
        if result.transcript is not None:
            out = self._tokens(result.transcript.text)
        elif result.looped or (result.overran and out is None):
            out = self._tokens(result.text + result.beside)
        elif self._job.step.op == "read":
            out = self._tokens("\n".join(lines_to_text(lines) for lines in result.lines))
        return out

    def _tokens(self, text: str) -> int:
        return count_answer_tokens(text, self._caller.dependencies.count)


def _unusable_answer(endpoint: str) -> errors.CallError:
    """Return the error of an attempt whose answer has to be repaired, if its endpoint is not called again."""
    what = "gave an answer that breaks the schema"
    error = errors.CallError(what, where=endpoint, todo="ask again", status=200)
    error.billing = "billed"
    return error


def _abandoned_event(attempt: CallAttempt | PriorAttempt, step: str, run_seconds: float) -> AttemptFailed:
    """Return the event for an attempt that was abandoned at a deadline or because of another failure."""
    charge = attempt.ending.charge
    return AttemptFailed(
        step=step, endpoint=attempt.endpoint, code=attempt.ending.outcome.error or "cancelled",
        reason="was given up before its answer was whole", charged=charge.charged, cost=charge.cost,
        seconds=round(attempt.seconds, 6), at=run_seconds,
    )  # fmt: skip


def count_answer_tokens(text: str, count: Callable[[str, str], int | None]) -> int:
    """Count tokens with the vocabulary of the embedded model: one measure for everything that no host counts."""
    tokens = count("smollm2", text)
    return round(len(text) / 4) if tokens is None else tokens


def _unsent_error(
    error: errors.IntermodalError, failed: errors.IntermodalError | None, job: CallJob
) -> Exception | None:  # fmt: skip
    """Return what to raise for an attempt that no budget or rate had room for, or whose input or row was refused; None
    for any other error.

    ``failed``: the error of the attempt before it. The rate of an endpoint leaves other endpoints to call.
    """
    if isinstance(error, EndpointRateExceeded):
        return Reroute(original_failure(error, failed), job.step, error.what)
    if isinstance(error, (errors.BudgetExceeded, errors.InputError)) or error.code == "store":
        return original_failure(error, failed)
    return None
