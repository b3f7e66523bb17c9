"""The client's side of a direct call: budget, response head, errors, run metadata and the request record."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from intermodal.core.content import ToolCall
from intermodal.core.hints import spell_text
from intermodal.executor.api import (
    CallReport,
    CompiledPlan,
    DirectEngine,
    EndpointRateExceeded,
    ShortenedCall,
    Unanswered,
)
from intermodal.gateway.billing import forget_void_call, leaves_another, quota_error, rate_limit_headers
from intermodal.gateway.direct.handover import Handover, settle_attempt
from intermodal.gateway.error_answers import answer_cancelled, answer_failure
from intermodal.gateway.failures import error_code, shutdown_refusal
from intermodal.gateway.http1 import response_writer
from intermodal.gateway.http1.http_types import GatewayRequest
from intermodal.gateway.http1.response_writer import ResponseWriter, StreamKeepalive, header_lines
from intermodal.gateway.quotas.budget_leases import QuotaReservation
from intermodal.gateway.quotas.quota_types import BUDGET_REFUSALS, QuotaRefusal, claim_for_plan
from intermodal.gateway.response_metadata import (
    STREAM_HEADERS,
    cost_headers,
    plan_headers,
    report_failure,
    route_summary,
)
from intermodal.gateway.state.conversations import digest_with_answer
from intermodal.protocols.framing.json_body import dumps
from intermodal.telemetry.request_record import ModelCall

if TYPE_CHECKING:
    from intermodal.gateway.context import GatewayContext
    from intermodal.gateway.http1.connection import OnEnd
    from intermodal.gateway.quotas.quota_manager import QuotaManager
    from intermodal.protocols.parsed_chat import ParsedChat

_JSON = "application/json"
_SHORTENED_NOTE = "the budget of this key has no room for an answer of {} tokens: it was asked for {} at most"
_STREAM_HEADER_LINES = header_lines(STREAM_HEADERS)


class _RunMetadata(msgspec.Struct, omit_defaults=True):
    cost: float | None
    attempts: int
    seconds: float
    notes: tuple[str, ...]
    unreported: tuple[str, ...] = ()


_encode = msgspec.json.Encoder().encode


class ChatPlan:
    """A compiled plan, with the quota claim and response metadata of chats that use it.

    Attributes:
        claim: on the budget of a key. bound: of the planned call, None if that is the claim. heads: header lines of the
            response. about: the beginning of the run metadata.
        notes: notes of the plan, which are part of the metadata.
    """

    __slots__ = ("about", "bound", "claim", "compiled", "heads", "notes")

    def __init__(self, compiled: CompiledPlan) -> None:
        plan = compiled.plan
        self.compiled = compiled
        self.claim = claim_for_plan(plan)
        bound = compiled.call_bound
        is_whole_claim = (bound.usd, bound.tokens.total) == (self.claim.cost, self.claim.tokens)
        self.bound = None if is_whole_claim or not isfinite(bound.usd) else bound
        self.heads = header_lines(plan_headers(plan, ignored=compiled.ignored))
        self.about = dumps(route_summary(plan, compiled.endpoint.id))[:-1]
        self.notes = (*plan.notes, *plan.chosen.warnings)


def abandon_handover(context: GatewayContext, request: GatewayRequest, handover: Handover) -> None:
    """Release or settle the reservation of a call that no run continues, and record its attempt and its run."""
    handover.abandon(context.ledger)
    prior = handover.prior
    if handover.reservation is not None:
        forget_void_call(request, carried_out=prior is not None and prior.ending.charge.maybe_paid)
    if prior is None:
        return
    ending, step = prior.ending, handover.compiled.step
    code = "cancelled" if prior.error is None else prior.error.code  # its answer was to be repaired, or it failed
    handover.engine.rows.end_run(handover.compiled, prior, code)
    request.served.record_call(
        ModelCall(
            step=step.id, endpoint=handover.compiled.endpoint, seconds=ending.outcome.seconds,
            usage=ending.outcome.usage, cost=ending.counts, error=code,
        )
    )  # fmt: skip
    if prior.error is not None:
        context.metrics.attempt(prior.endpoint, code)
    else:
        context.metrics.count_tokens(ending.outcome.usage.input_tokens, ending.outcome.usage.output_tokens)


class ClientSink:
    """The client that waits for a direct call: the executor's ``DirectSink``.

    ``over``: called when a call that runs without a task ends.
    """

    def __init__(
        self, context: GatewayContext, engine: DirectEngine, planned: ChatPlan, chat: ParsedChat,
        request: GatewayRequest, reply: ResponseWriter, over: OnEnd | None = None,
    ) -> None:  # fmt: skip
        self.writer = reply
        self._over = over
        self._began = time.monotonic()
        self._context = context
        self._engine = engine
        self._planned = planned
        self._compiled = planned.compiled
        self._chat = chat
        self._asked = request
        self._reservation: QuotaReservation | None = None
        self._shortened: ShortenedCall | None = None
        self._silence: StreamKeepalive | None = None

    def handover(self, failure: Unanswered) -> Handover:
        """Return the handover of a call that did not answer, with its quota reservation."""
        self._asked.served.not_direct = failure.why
        return Handover(failure.prior, self._reservation, self._compiled, self._engine)

    # ---- before it is sent

    def admit_now(self) -> bool:
        ledger = self._context.ledger
        if ledger is None:
            return True
        reservation = ledger.admit_now(self._asked.key, self._planned.claim)
        if reservation is None or isinstance(reservation, QuotaRefusal):
            return False
        self._hold(ledger, reservation)
        return True

    async def admit(self) -> ShortenedCall | None:
        """Reserve quota; return the shortened call if the budget requires one.

        Raises RequestRefused if it allows none, and EndpointRateExceeded if another endpoint may be called.
        """
        ledger = self._context.ledger
        if ledger is not None:
            self._hold(ledger, await self._reserve(ledger))
        self._asked.sent, self._asked.counted = 1, True
        return self._shortened

    def _hold(self, ledger: QuotaManager, reservation: QuotaReservation) -> None:
        """Hold the reservation, which covers the dearest fallback, too.

        If this process is killed, the key is charged the bound of this call, as its row is.
        """
        self._reservation = reservation
        bound = self._planned.bound if self._shortened is None else self._shortened.bound
        if bound is not None:
            ledger.expose(reservation, bound.usd, bound.tokens.total, is_taken=True)

    async def _reserve(self, ledger: QuotaManager) -> QuotaReservation:
        key, claim = self._asked.key, self._planned.claim
        reservation = ledger.admit_now(key, claim)
        if reservation is None:
            reservation = await ledger.admit(key, claim)
        if isinstance(reservation, QuotaRefusal) and reservation.code in BUDGET_REFUSALS:
            reservation = await self._reserve_less(ledger, reservation)
        self._rates(ledger)
        if isinstance(reservation, QuotaRefusal):
            if leaves_another(reservation, claim):
                raise EndpointRateExceeded(reservation.words, where=reservation.endpoint)
            raise quota_error(reservation)
        return reservation

    async def _reserve_less(self, ledger: QuotaManager, refusal: QuotaRefusal) -> QuotaReservation | QuotaRefusal:
        """Retry the reservation with a lower token limit, if answers to such chats are known to be short."""
        for room in (
            ledger.remaining_budget,
            ledger.remaining_budget,
            lambda key: (0.0, 0.0),
        ):  # other requests may have reserved what was left; the last try takes the least amount
            short = self._compiled.shorten(*room(self._asked.key))
            if short is None:
                break
            claim = replace(
                self._planned.claim, cost=short.bound.usd, tokens=short.bound.tokens.total, call_tokens=None
            )
            reservation = await ledger.admit(self._asked.key, claim)
            if not isinstance(reservation, QuotaRefusal):
                self._shortened = short
                return reservation
        return refusal

    def confirm_admission(self) -> None:
        if self._context.ledger is not None:
            self._rates(self._context.ledger)
        self._asked.sent, self._asked.counted = 1, True

    def _rates(self, ledger: QuotaManager) -> None:
        """Add the key's remaining rate limits to the response headers, whatever the outcome."""
        key = self._asked.key
        if key.rate.rpm is not None or key.rate.tpm is not None:
            self._asked.response_headers |= rate_limit_headers(*ledger.rates(key))

    def release(self) -> None:
        if self._context.ledger is not None and self._reservation is not None:
            self._context.ledger.release(self._reservation)

    def abandon(self, failure: Unanswered) -> None:
        handover = Handover(failure.prior, self._reservation, self._compiled, self._engine)
        abandon_handover(self._context, self._asked, handover)

    def record_plan(self) -> None:
        """Record the plan in the plan history, the request record and the span."""
        plan, record = self._compiled.plan, self._asked.served
        self._context.plans[self._asked.owner, plan.id] = plan
        record.record_plan(plan, live=self._chat.stream)
        if record.span is not None:
            record.span.record_files(("image", each.digest.hex()) for each in self._chat.pictures)

    # ---- while it is answered

    def wait(self) -> None:
        if self._compiled.adapter.dialect.comment:
            self._silence = StreamKeepalive(self.writer, self._comment)
            self._silence.start(response_writer.FIRST_COMMENT_SECONDS)

    def begin(self) -> None:
        if self._silence is not None:
            self._silence.end()
        self._open()

    def _open(self) -> None:
        if not self.writer.status:
            self.writer.open(self._heads + _STREAM_HEADER_LINES, self._compiled.adapter.stream_type)

    @property
    def _heads(self) -> str:
        short, heads = self._shortened, self._planned.heads
        return heads if short is None else f"{heads}x-intermodal-max-tokens: {short.limit}\r\n"

    def _comment(self) -> None:
        self._open()
        waited = time.monotonic() - self._began
        doing = f"{self._compiled.step.op}: no word yet, {int(waited)} s"
        self.writer.write_unbuffered(self._compiled.adapter.dialect.comment % doing.encode())
        if self._silence is not None:
            self._silence.start(response_writer.COMMENT_SECONDS)

    def metadata(self, cost: float | None, seconds: float, notes: Sequence[str], unreported: tuple[str, ...]) -> bytes:
        """Return the run metadata in the format of ``response_metadata.py``."""
        planned = self._planned
        if self._shortened is not None:
            notes = (_SHORTENED_NOTE.format(self._compiled.limit, self._shortened.limit), *notes)
        noted = (*planned.notes, *(spell_text(each, "http") for each in notes)) if notes else planned.notes
        return planned.about + b"," + _encode(_RunMetadata(cost, 1, round(seconds, 3), noted, unreported))[1:]

    def write_whole(self, body: bytes, cost: float | None) -> None:
        self.writer.write_prepared(f"{self._heads}{header_lines(cost_headers(cost, 1))}", _JSON, body)

    # ---- its end

    def record_end(self, report: CallReport) -> None:
        forget_void_call(self._asked, carried_out=report.ending.charge.maybe_paid)
        if not report.sent:
            self.release()
            return
        context, ending, compiled = self._context, report.ending, self._compiled
        if context.ledger is not None and self._reservation is not None:
            settle_attempt(context.ledger, self._reservation, ending)
        self._asked.served.record_call(
            ModelCall(
                step=compiled.step.id, endpoint=compiled.endpoint, seconds=ending.outcome.seconds, first=report.first,
                usage=report.usage, cost=ending.counts, finish_reason=report.finish, error=report.code,
                output="text" if compiled.schema is None else "json",
            )
        )  # fmt: skip
        if report.how == "answered":
            usage = ending.outcome.usage
            context.metrics.count_direct(compiled.endpoint.id, usage.input_tokens, usage.output_tokens, ending.counts)
        elif report.how == "unusable":
            context.metrics.count_tokens(ending.outcome.usage.input_tokens, ending.outcome.usage.output_tokens)
        else:
            context.metrics.attempt(compiled.endpoint.id, report.code)

    def store_turn(self, text: str, calls: tuple[ToolCall, ...], items: Sequence[Mapping[str, Any]]) -> None:
        context = self._context
        self._asked.served.direct = True
        if items and bytes(self._chat.fields.get("store", b"")) != b"false":
            keep = context.items.keeper(self._asked.owner)
            for item in items:
                keep(item)
        name = digest_with_answer(self._chat.conversation_digest, text, calls)
        context.conversations.store_route(name, self._compiled.endpoint.id, self._compiled.policy)

    def fail(self, error: Exception) -> None:
        answer_failure(self._context, self._asked, self.writer, error)

    def break_off(self, error: BaseException) -> None:
        self._context.note_failure(error)
        self._asked.served.record_failure(error_code(error), broken=True)
        report_failure(error, self._asked.served)

    def interruption(self) -> BaseException:
        return shutdown_refusal(self.writer)

    def end_cancelled(self) -> None:
        answer_cancelled(self._asked, self.writer)

    def continue_after(self, failure: Unanswered | None) -> None:
        over, self._over = self._over, None
        if over is not None:
            over(self._asked, self.writer, None if failure is None else self.handover(failure))

    def close(self) -> None:
        if self._silence is not None:
            self._silence.close()
