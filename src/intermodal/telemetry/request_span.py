"""The span of one gateway request, by the conventions for HTTP servers; spans of its runs are its children."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from intermodal.plans.plan import Plan
from intermodal.telemetry import conventions
from intermodal.telemetry.redaction import redact
from intermodal.telemetry.signals import Attributes, Signals, plan_attributes

if TYPE_CHECKING:
    from intermodal.telemetry.request_record import ModelCall, RequestRecord

within: ContextVar[RequestSpan | None] = ContextVar("intermodal.request", default=None)
_PROPAGATED = TraceContextTextMapPropagator()


class RequestSpan:
    """Begins when it is made. ``trace``: id of the trace, as ``traceparent`` writes it."""

    def __init__(self, signals: Signals, served: RequestRecord, headers: Mapping[str, str]) -> None:
        self._signals = signals
        self._http: Attributes = {
            "http.request.method": served.method if served.method in conventions.METHODS else "_OTHER",
            "url.scheme": "http",
            "network.protocol.version": served.version,
        }
        if served.route:
            self._http["http.route"] = served.route
        name = f"{self._http['http.request.method']} {served.route}".strip()
        about = {"url.path": redact(served.path), "intermodal.request.id": served.id}
        self.span = signals.tracer.start_span(
            name if self._http["http.request.method"] != "_OTHER" else "HTTP", _PROPAGATED.extract(headers, Context()),
            SpanKind.SERVER, {**self._http, **about, "http.request.body.size": served.size},
        )  # fmt: skip
        self.context = set_span_in_context(self.span, Context())
        self.trace = format_trace_id(self.span.get_span_context().trace_id)
        self._operation = ""
        self._plan = ""

    def enter(self) -> None:
        """Runs of this task, and of those that it begins, are below this request."""
        within.set(self)

    def planned(self, plan: Plan) -> None:
        if not self._plan:
            self._plan = plan.id
            self._operation = conventions.OPERATIONS.get(plan.chosen.last.op, plan.chosen.last.op)
            self.span.set_attributes(plan_attributes(plan))

    def given(self, media: Iterable[tuple[str, str]]) -> None:
        """Files that the request has, each as its kind and the SHA-256 of its bytes (hex)."""
        told = [f"{kind} sha256:{digest}" for kind, digest in media]
        if told:
            self.span.set_attribute(conventions.MEDIA, told)

    def called(self, call: ModelCall) -> None:
        """A call that was made without the executor."""
        self._signals.called(call, self.context, self._plan)

    def end(self, served: RequestRecord) -> None:
        wrong = served.error or str(served.status)
        failed = served.broken or served.status >= 500 or not served.status
        told: Attributes = {"http.response.body.size": served.sent, "intermodal.attempts": served.attempts}
        if served.status:
            self._http["http.response.status_code"] = served.status
        if failed:
            self._http["error.type"] = wrong
            self.span.set_status(Status(StatusCode.ERROR))
        elif served.error:
            told["intermodal.error"] = served.error  # the client's: no error of this server
        told |= {"intermodal.key.id": served.key} if served.key else {}
        told |= {"intermodal.model": redact(served.model)} if served.model else {}
        told |= {"intermodal.route": served.endpoint} if served.endpoint else {}
        told |= {"intermodal.cost": float(served.cost)} if served.cost is not None else {}
        self.span.set_attributes({**self._http, **told})
        self.span.end()
        self._signals.measure(conventions.HTTP_DURATION, served.seconds, self._http)
        if self._plan:
            self._measured(served, {"error.type": wrong} if failed or served.error else {})

    def _measured(self, served: RequestRecord, wrong: Attributes) -> None:
        """As a server of models: what is asked for is known here, since it could be planned."""
        about: Attributes = {
            "gen_ai.operation.name": self._operation, "gen_ai.provider.name": "intermodal",
            "gen_ai.request.model": redact(served.model),
        }  # fmt: skip
        if served.endpoint:
            about["gen_ai.response.model"] = served.endpoint
        self._signals.measure(conventions.SERVER_DURATION, served.seconds, about | wrong)
        if wrong or served.first is None:
            return
        self._signals.measure(conventions.FIRST_TOKEN, served.first, about)
        if served.output_tokens is not None and served.output_tokens > 1:
            rest = (served.seconds - served.first) / (served.output_tokens - 1)
            self._signals.measure(conventions.PER_TOKEN, rest, about)
