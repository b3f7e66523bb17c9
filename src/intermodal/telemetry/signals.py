"""OpenTelemetry spans and metrics of runs and requests. Imported only if telemetry is on.

``Signals`` creates them. ``RequestSpan`` is the span of one gateway request, by the conventions for HTTP servers;
``trace_run`` turns the events of a run into spans, one for each step of its plan, with failed attempts and what
followed them. Prompts and answers are attributes only if the user enabled them, and media are never included.

Names are those of OpenTelemetry's semantic conventions: for HTTP, and for generative AI as last released (1.41.1). The
latter moved to a registry of their own (open-telemetry/semantic-conventions-genai), which has released nothing yet; its
drafts replace ``gen_ai.client.token.usage``. A test compares names and units with the published package.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace
from opentelemetry.context import Context
from opentelemetry.metrics import Meter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from intermodal.core.content import Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from intermodal.core.request import JsonOutput
from intermodal.errors import IntermodalError
from intermodal.events import (
    AttemptFailed,
    Checked,
    Committed,
    Event,
    Finished,
    Replanned,
    Rerouted,
    StepFinished,
    StepStarted,
    TextDelta,
)
from intermodal.plans.plan import Inputs, Plan
from intermodal.plans.step import Call
from intermodal.telemetry.request_record import ModelCall, redact

if TYPE_CHECKING:
    from intermodal.telemetry.request_record import ModelCall, RequestRecord


SCHEMA = "https://opentelemetry.io/schemas/1.41.1"

# Our operation names -> those of the conventions, if they define one. Others keep our name.
OPERATIONS: Mapping[str, str] = {"generate": "chat", "translate": "chat", "describe": "chat", "embed": "embeddings"}
# Ids of hosts that have another name in the conventions; every other host is named by its id.
PROVIDERS: Mapping[str, str] = {"google": "gcp.gemini", "mistral": "mistral_ai", "xai": "x_ai"}
OUTPUTS: Mapping[str, str] = {"speak": "speech", "draw": "image"}
# Attributes of a call -> field of ``Usage``.
COUNTED: Mapping[str, str] = {
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
    "gen_ai.usage.cache_read.input_tokens": "cached_tokens",
    "gen_ai.usage.cache_creation.input_tokens": "cache_write_tokens",
    "gen_ai.usage.reasoning.output_tokens": "reasoning_tokens",
}
# HTTP methods; others are reported as "_OTHER", since a client can send arbitrary ones.
METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})


class Histogram(NamedTuple):
    """A histogram: name, unit, description, and the bucket boundaries recommended by the conventions."""

    name: str
    unit: str
    about: str
    buckets: tuple[float, ...]


_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
DURATION = Histogram("gen_ai.client.operation.duration", "s", "GenAI operation duration.", _SECONDS)
TOKENS = Histogram(
    "gen_ai.client.token.usage", "{token}", "Number of input and output tokens used.",
    (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864),
)  # fmt: skip
FIRST_CHUNK = Histogram(
    "gen_ai.client.operation.time_to_first_chunk", "s",
    "Time to receive the first chunk, measured from when the client issues the generation request to when the first "
    "chunk is received in the response stream.", _SECONDS,
)  # fmt: skip
SERVER_DURATION = Histogram(
    "gen_ai.server.request.duration", "s",
    "Generative AI server request duration such as time-to-last byte or last output token.", _SECONDS,
)  # fmt: skip
FIRST_TOKEN = Histogram(
    "gen_ai.server.time_to_first_token", "s", "Time to generate first token for successful responses.",
    (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)  # fmt: skip
PER_TOKEN = Histogram(
    "gen_ai.server.time_per_output_token", "s",
    "Time per output token generated after the first token for successful responses.",
    (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5),
)  # fmt: skip
HTTP_DURATION = Histogram(
    "http.server.request.duration", "s", "Duration of HTTP server requests.",
    (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)  # fmt: skip
MEASURES = (DURATION, TOKENS, FIRST_CHUNK, SERVER_DURATION, FIRST_TOKEN, PER_TOKEN, HTTP_DURATION)
COST = "intermodal.cost"
MEDIA = "intermodal.media"


Attributes = dict[str, str | int | float | bool]
_NANO = 1_000_000_000


class Signals:
    """The destination of spans and metrics.

    Args:
        content: whether prompts and answers may be included. close: sends what is queued, within the given seconds.
    """

    def __init__(
        self, tracer: Tracer, meter: Meter, *, content: bool = False,
        close: Callable[[float], None] = lambda seconds: None,
    ) -> None:  # fmt: skip
        self.tracer = tracer
        self.content = content
        self.close = close
        self._measures = {
            each.name: meter.create_histogram(
                each.name, each.unit, each.about, explicit_bucket_boundaries_advisory=each.buckets
            )
            for each in MEASURES
        }
        self._cost = meter.create_counter(COST, "{USD}", "What calls cost, where that is known.")

    def measure(self, what: Histogram, value: float, attributes: Attributes) -> None:
        self._measures[what.name].record(value, attributes)

    def record_call(self, call: ModelCall, within: Context | None, plan: str) -> None:
        """Record an ended call or conversion: its span and its metrics."""
        began = time.time() - call.seconds if call.began is None else call.began
        attributes: Attributes = {"intermodal.plan.id": plan, "intermodal.step.op": call.op}
        if call.step:
            attributes["intermodal.step.id"] = call.step
        name, kind = call.op, SpanKind.INTERNAL
        if call.endpoint is not None:
            attributes |= {"intermodal.route": call.endpoint.id, "intermodal.attempts": call.attempts}
            if call.cost is not None:
                attributes["intermodal.cost"] = float(call.cost)
        if call.cached:
            attributes["intermodal.cached"] = True
        elif call.endpoint is not None:
            about = endpoint_attributes(call)
            attributes |= about | _duration_attributes(call) | dict(call.content)
            name = f"{about['gen_ai.operation.name']} {about['gen_ai.request.model']}"
            kind = SpanKind.INTERNAL if call.endpoint.host.zone == "process" else SpanKind.CLIENT
            self._record_metrics(call, about)
        span = self.tracer.start_span(name, within, kind, attributes, start_time=int(began * _NANO))
        if call.finish_reason:
            span.set_attribute("gen_ai.response.finish_reasons", [call.finish_reason])
        seconds_ago = 0.0
        for failure in call.failures:  # a failure is followed by its pause, and then by the next attempt
            seconds_ago += failure.seconds
            failure_attributes: Attributes = {"error.type": failure.code, "intermodal.seconds": failure.seconds}
            failure_attributes |= {"intermodal.charged": failure.charged, "intermodal.delay": failure.delay}
            failure_attributes |= {"http.response.status_code": failure.status} if failure.status else {}
            span.add_event("intermodal.attempt_failed", failure_attributes, int((began + seconds_ago) * _NANO))
            seconds_ago += failure.delay
        if call.error:
            span.set_attribute("error.type", call.error)
            span.set_status(Status(StatusCode.ERROR))
        span.end(int((began + call.seconds) * _NANO))

    def _record_metrics(self, call: ModelCall, about: Attributes) -> None:
        wrong: Attributes = {"error.type": call.error} if call.error else {}
        self.measure(DURATION, call.seconds, about | wrong)
        for kind, count in (("input", call.usage.input_tokens), ("output", call.usage.output_tokens)):
            if count is not None:
                self.measure(TOKENS, count, {**about, "gen_ai.token.type": kind})
        if call.first is not None:
            self.measure(FIRST_CHUNK, call.first, about)
        if call.cost:
            self._cost.add(call.cost, about)


def endpoint_attributes(call: ModelCall) -> Attributes:
    """Return the attributes of a call's model, its host, and its address."""
    endpoint = call.endpoint
    assert endpoint is not None
    found: Attributes = {
        "gen_ai.operation.name": OPERATIONS.get(call.op, call.op),
        "gen_ai.provider.name": PROVIDERS.get(endpoint.host.id, endpoint.host.id),
        "gen_ai.request.model": endpoint.served_as or endpoint.model.id,
    }
    if call.model:
        found["gen_ai.response.model"] = call.model
    address, port = _server_address(endpoint.host.base_url)
    return found | ({"server.address": address, "server.port": port} if address else {})


def _duration_attributes(call: ModelCall) -> Attributes:
    found: Attributes = {}
    for name, count_name in COUNTED.items():
        if (tokens := getattr(call.usage, count_name)) is not None:
            found[name] = tokens
    if call.first is not None:
        found |= {"gen_ai.request.stream": True, "gen_ai.response.time_to_first_chunk": call.first}
    kind = call.output or OUTPUTS.get(call.op, "")
    return found | ({"gen_ai.output.type": kind} if kind else {})


@lru_cache(256)
def _server_address(base_url: str) -> tuple[str, int]:
    parts = urlsplit(base_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def plan_attributes(plan: Plan) -> dict[str, str | list[str]]:
    """Return the attributes of a plan before it is run.

    These are its id, the answering endpoint, losses, and the hosts that receive content.
    """
    chosen_route = plan.chosen
    return {
        "intermodal.plan.id": plan.id,
        "intermodal.route": chosen_route.endpoint,
        "intermodal.loses": list(chosen_route.loses),
        "intermodal.sends": list(dict.fromkeys(send.host for send in chosen_route.sends)),
    }


def reroute_attributes(event: Replanned | Rerouted) -> dict[str, list[str]]:
    """Return the attributes of the route that replaced the plan's."""
    hosts = [send["host"] for send in event.sends]
    return {"intermodal.loses": list(event.loses), "intermodal.sends": list(dict.fromkeys(hosts))}


# ---- the span of a request --------------------------------------------------------------------------


within: ContextVar[RequestSpan | None] = ContextVar("intermodal.request", default=None)
_PROPAGATED = TraceContextTextMapPropagator()


class RequestSpan:
    """The span of a gateway request, started on creation. ``trace``: id of the trace, as in ``traceparent``."""

    def __init__(self, signals: Signals, record: RequestRecord, headers: Mapping[str, str]) -> None:
        self._signals = signals
        self._http: Attributes = {
            "http.request.method": record.method if record.method in METHODS else "_OTHER",
            "url.scheme": "http",
            "network.protocol.version": record.version,
        }
        if record.route:
            self._http["http.route"] = record.route
        name = f"{self._http['http.request.method']} {record.route}".strip()
        about = {"url.path": redact(record.path), "intermodal.request.id": record.id}
        self.span = signals.tracer.start_span(
            name if self._http["http.request.method"] != "_OTHER" else "HTTP", _PROPAGATED.extract(headers, Context()),
            SpanKind.SERVER, {**self._http, **about, "http.request.body.size": record.size},
        )  # fmt: skip
        self.context = set_span_in_context(self.span, Context())
        self.trace = format_trace_id(self.span.get_span_context().trace_id)
        self._operation = ""
        self._plan = ""

    def enter(self) -> None:
        """Make runs of this task, and of the tasks it starts, children of this request."""
        within.set(self)

    def record_plan(self, plan: Plan) -> None:
        if not self._plan:
            self._plan = plan.id
            self._operation = OPERATIONS.get(plan.chosen.last.op, plan.chosen.last.op)
            self.span.set_attributes(plan_attributes(plan))

    def record_files(self, media: Iterable[tuple[str, str]]) -> None:
        """Add the files of the request, each as its modality and the SHA-256 of its bytes (hex)."""
        file_texts = [f"{kind} sha256:{digest}" for kind, digest in media]
        if file_texts:
            self.span.set_attribute(MEDIA, file_texts)

    def record_call(self, call: ModelCall) -> None:
        """Record a call made without the executor."""
        self._signals.record_call(call, self.context, self._plan)

    def end(self, record: RequestRecord) -> None:
        wrong = record.error or str(record.status)
        failed = record.broken or record.status >= 500 or not record.status
        attributes: Attributes = {"http.response.body.size": record.sent, "intermodal.attempts": record.attempts}
        if record.status:
            self._http["http.response.status_code"] = record.status
        if failed:
            self._http["error.type"] = wrong
            self.span.set_status(Status(StatusCode.ERROR))
        elif record.error:
            attributes["intermodal.error"] = record.error  # the client's: no error of this server
        attributes |= {"intermodal.key.id": record.key} if record.key else {}
        attributes |= {"intermodal.model": redact(record.model)} if record.model else {}
        attributes |= {"intermodal.route": record.endpoint} if record.endpoint else {}
        attributes |= {"intermodal.cost": float(record.cost)} if record.cost is not None else {}
        self.span.set_attributes({**self._http, **attributes})
        self.span.end()
        self._signals.measure(HTTP_DURATION, record.seconds, self._http)
        if self._plan:
            self._record_server_metrics(record, {"error.type": wrong} if failed or record.error else {})

    def _record_server_metrics(self, record: RequestRecord, wrong: Attributes) -> None:
        """Record metrics as a model server. The requested model is known, since it could be planned."""
        about: Attributes = {
            "gen_ai.operation.name": self._operation, "gen_ai.provider.name": "intermodal",
            "gen_ai.request.model": redact(record.model),
        }  # fmt: skip
        if record.endpoint:
            about["gen_ai.response.model"] = record.endpoint
        self._signals.measure(SERVER_DURATION, record.seconds, about | wrong)
        if wrong or record.first is None:
            return
        self._signals.measure(FIRST_TOKEN, record.first, about)
        if record.output_tokens is not None and record.output_tokens > 1:
            rest = (record.seconds - record.first) / (record.output_tokens - 1)
            self._signals.measure(PER_TOKEN, rest, about)


# ---- the spans of a run -----------------------------------------------------------------------------


async def trace_run(
    signals: Signals, events: AsyncGenerator[Event], plan: Plan, inputs: Inputs, *, live: bool
) -> AsyncGenerator[Event]:
    """Yield the events unchanged, and record their spans, however the run ends."""
    run = RunSpans(signals, plan, inputs, live=live)
    try:
        async with aclosing(events):
            async for event in events:
                run.feed(event)
                yield event
    except BaseException as error:
        run.close(error.code if isinstance(error, IntermodalError) else _error_word(error))
        raise
    run.close()


def _error_word(error: BaseException) -> str:
    return "internal" if isinstance(error, Exception) else "cancelled"


@dataclass
class _Open:
    """A step that has started. Times are in seconds since the epoch."""

    op: str
    endpoint: str
    began: float
    first: float | None = None
    failures: list[AttemptFailed] = field(default_factory=list)


class RunSpans:
    """The spans of one run: children of the gateway request or, outside of one, of a span ``run``.

    A span is created when its step has ended, with the times in the events, so that none is left open if a run is cut
    off. ``live``: the answer is streamed, so there is a first word.
    """

    def __init__(self, signals: Signals, plan: Plan, inputs: Inputs, *, live: bool) -> None:
        self._signals = signals
        self._plan = plan.id
        self._catalog = inputs.catalog
        self._live = live
        self._json = isinstance(inputs.request.output, JsonOutput)
        self._zero = time.time()
        self._open: dict[str, _Open] = {}
        self._held: ModelCall | None = None  # how an answer ended is known after its step has
        routes = (plan.chosen, *plan.fallbacks)
        self._steps = {step.id: step for route in routes for step in route.steps}
        self._asked = input_messages(inputs) if signals.content else ""
        self._words: list[str] = []
        request = within.get()
        self._own: Span | None = None
        if request is None:
            self._own = signals.tracer.start_span("run", attributes=plan_attributes(plan))
        self._below: Context = request.context if request is not None else set_span_in_context(self._running)
        media = [(part.kind, part.digest) for part in inputs.facts.parts if part.kind != "text"]
        if request is not None:
            request.record_files(media)
        elif media:
            self._running.set_attribute(MEDIA, [f"{kind} sha256:{digest}" for kind, digest in media])

    @property
    def _running(self) -> Span:
        assert self._own is not None
        return self._own

    def feed(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            if self._asked:
                self._words.append(event.text)
        elif isinstance(event, StepStarted):
            self._open.setdefault(event.step, _Open(event.op, event.endpoint, time.time()))
        elif isinstance(event, Committed):
            self._on_committed(event.endpoint)
        elif isinstance(event, StepFinished):
            self._on_step_finished(event)
        elif isinstance(event, AttemptFailed):
            self._on_attempt_failed(event)
        elif isinstance(event, Finished):
            self._on_finished(event)
        elif isinstance(event, (Checked, Replanned, Rerouted)):
            self._add_event(event)

    def _on_committed(self, endpoint: str) -> None:
        for step in self._open.values():
            if step.endpoint == endpoint and step.first is None and self._live:
                step.first = time.time()

    def _on_step_finished(self, event: StepFinished) -> None:
        self._release_spans()
        actual = event.actual
        step = self._open.pop(actual.step, None) or self._step_from_plan(actual.step)
        began = self._zero + actual.began
        waited = sum(failure.seconds + failure.delay for failure in step.failures)
        self._held = ModelCall(
            op=step.op, step=actual.step, endpoint=self._catalog.by_id.get(step.endpoint), began=began,
            seconds=actual.load_seconds + actual.seconds + waited,
            first=None if step.first is None else max(0.0, step.first - began),
            usage=actual.usage, cost=actual.cost, cached=actual.cached, failures=tuple(step.failures),
        )  # fmt: skip

    def _on_attempt_failed(self, event: AttemptFailed) -> None:
        step = self._open.get(event.step)
        if step is not None and event.then == "resend":
            step.failures.append(event)
            return
        self._release_spans()
        found = self._open.pop(event.step, None) or self._step_from_plan(event.step)
        ended = self._zero + event.at
        began = min(found.began, ended - event.seconds)
        self._record_call(
            ModelCall(
                op=found.op, step=event.step, endpoint=self._catalog.by_id.get(event.endpoint), began=began,
                seconds=ended - began, cost=event.cost, error=event.code, failures=tuple(found.failures),
            )
        )  # fmt: skip

    def _step_from_plan(self, step: str) -> _Open:
        """Return a step without a start event: its result came from the cache."""
        known = self._steps.get(step)
        endpoint = known.endpoint if isinstance(known, Call) else ""
        return _Open(known.op if known is not None else "step", endpoint, time.time())

    def _on_finished(self, event: Finished) -> None:
        held_spans = self._held
        if held_spans is not None and held_spans.endpoint is not None and held_spans.endpoint.id == event.endpoint:
            held_spans = replace(held_spans, finish_reason=event.finish_reason, output="json" if self._json else "")
            if self._asked:
                held_spans = replace(
                    held_spans, content=message_attributes_of(self._asked, "".join(self._words), event)
                )
            self._held = held_spans
        self._release_spans()
        if self._own is not None:
            self._own.set_attribute("intermodal.route", event.endpoint)
            if event.cost is not None:
                self._own.set_attribute("intermodal.cost", float(event.cost))

    def _add_event(self, event: Checked | Replanned | Rerouted) -> None:
        span = self._own or getattr(within.get(), "span", None)
        if span is None:
            return
        if isinstance(event, Checked):
            attributes = {"intermodal.step.id": event.step, "intermodal.check": event.check}
            attributes |= {"intermodal.problem": event.problem} if event.problem else {}
            span.add_event("intermodal.checked", attributes)
            return
        span.set_attributes(reroute_attributes(event))
        if isinstance(event, Replanned):
            attributes = {"intermodal.step.id": event.step, "intermodal.plan.id": event.plan}
            span.add_event("intermodal.replanned", attributes | {"intermodal.route": event.endpoint})

    def _release_spans(self) -> None:
        held_spans, self._held = self._held, None
        if held_spans is not None:
            self._record_call(held_spans)

    def _record_call(self, call: ModelCall) -> None:
        self._signals.record_call(call, self._below, self._plan)

    def close(self, error: str = "") -> None:
        """End the span, with an error code if there is one."""
        self._release_spans()
        now = time.time()
        for name, step in self._open.items():
            endpoint = self._catalog.by_id.get(step.endpoint)
            self._record_call(
                ModelCall(
                    op=step.op, step=name, endpoint=endpoint, began=step.began, seconds=now - step.began, cost=None,
                    first=None if step.first is None else step.first - step.began, error=error or "cancelled",
                    failures=tuple(step.failures),
                )
            )  # fmt: skip
        self._open.clear()
        if self._own is not None:
            if error:
                self._own.set_attribute("error.type", error)
                self._own.set_status(Status(StatusCode.ERROR))
            self._own.end()


# ---- prompts and answers ----------------------------------------------------------------------------


LONGEST = 16_384  # characters of one text
_INPUT, _OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"


def input_messages(inputs: Inputs) -> str:
    """Return the messages of a request as JSON. A file is represented by its modality and the digest of its bytes."""
    facts = {part.index: part for part in inputs.facts.parts}
    index, messages = 0, []
    for message in inputs.request.messages:
        parts: list[dict[str, Any]] = []
        for part in message.parts:
            message_part = _message_part(part)
            if message_part is None:
                known = facts.get(index)
                message_part = {"type": "file", "modality": known.kind if known else "unknown"}
                if known is not None:
                    message_part |= {"mime_type": known.media_type, "file_id": f"sha256:{known.digest}"}
            parts.append(message_part)
            index += 1
        messages.append({"role": message.role, "parts": parts})
    return _json(messages)


def message_attributes_of(input_text: str, words: str, finished: Finished) -> tuple[tuple[str, str], ...]:
    """Return the content attributes of the call that answered."""
    parts: list[dict[str, Any]] = [{"type": "text", "content": _shorten(words)}] if words else []
    parts += [message_part for part in finished.tool_calls if (message_part := _message_part(part)) is not None]
    answer = [{"role": "assistant", "parts": parts, "finish_reason": finished.finish_reason}]
    return ((_INPUT, input_text), (_OUTPUT, _json(answer)))


def _message_part(part: Part) -> dict[str, Any] | None:
    """Return a message part as defined by the conventions; None for a file."""
    if isinstance(part, Text):
        return {"type": "text", "content": _shorten(part.text)}
    if isinstance(part, (Reasoning, Refusal)):
        return {"type": "reasoning" if isinstance(part, Reasoning) else "refusal", "content": _shorten(part.text)}
    if isinstance(part, ToolCall):
        return {"type": "tool_call", "id": part.id, "name": part.name, "arguments": _shorten(part.arguments)}
    if isinstance(part, ToolResult):
        return {"type": "tool_call_response", "id": part.id, "response": _shorten(part.text)}
    return {"type": "opaque"} if isinstance(part, Opaque) else None


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


__all__ = [
    "RequestSpan",
    "RunSpans",
    "Signals",
    "endpoint_attributes",
    "input_messages",
    "message_attributes_of",
    "plan_attributes",
    "reroute_attributes",
    "trace_run",
]
