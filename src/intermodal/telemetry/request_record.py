"""A gateway's record of one request, for its log line, its span and its metrics. Values only, without an SDK.

``redact`` makes text from clients safe to log: one line, printable, without secrets.
"""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct, field

from intermodal.catalog.types import Endpoint
from intermodal.core.content import Value
from intermodal.events import AttemptFailed, Event, Finished, StepFinished, StepStarted, TextDelta, Usage
from intermodal.plans.plan import Plan

_process = secrets.token_hex(5)
_number = itertools.count(1)


class ModelCall(Value, frozen=True):
    """An ended call of a model, or an ended conversion.

    Attributes:
        op: as in plans ("generate", "transcribe", "extract"). step: its id in the plan.
        endpoint: the endpoint called; None for none.
        began: seconds since the epoch; None: ``seconds`` ago. seconds: wall time, including loading and ``failures``.
        first: seconds from the start to the first word of a streamed answer, None if it was not streamed.
        usage: tokens as reported. cost: USD, None if unknown.
        finish_reason: as defined by OpenTelemetry, "" for a result that is not text.
        model: the model that answered according to the endpoint, "" if unknown.
        cached: the result came from the cache, without a call. error: error code, "" on success.
        attempts: number of attempts. failures: failed attempts that were followed by another at the same endpoint.
        output: requested kind of answer, as defined by OpenTelemetry, "" if not stated.
        content: attributes that hold content; the caller has checked that they are enabled.
    """

    op: str = "generate"
    step: str = ""
    endpoint: Endpoint | None = None
    began: float | None = None
    seconds: float = 0.0
    first: float | None = None
    usage: Usage = Usage()
    cost: float | None = 0.0
    finish_reason: str = ""
    model: str = ""
    cached: bool = False
    error: str = ""
    failures: tuple[AttemptFailed, ...] = ()
    output: str = ""
    content: tuple[tuple[str, str], ...] = ()

    @property
    def attempts(self) -> int:
        return 0 if self.cached else len(self.failures) + 1


class RecordSpan(Protocol):
    """The span of a request if tracing is on (``signals.RequestSpan``). ``trace``: id of its trace."""

    trace: str

    def enter(self) -> None:
        """Make runs of this task children of this span."""

    def record_plan(self, plan: Plan) -> None:
        """Add the attributes of the plan."""

    def record_files(self, media: Iterable[tuple[str, str]]) -> None:
        """Add the files of the request, each by modality and digest."""

    def record_call(self, call: ModelCall) -> None:
        """Add a call made without the executor."""

    def end(self, record: RequestRecord) -> None:
        """End the span with the facts about the request."""


class RequestRecord(Struct, eq=False):
    """The facts about one request, filled in while it is answered and read once at the end.

    Runs of the executor pass it their events (``feed``). Code that answers without the executor calls ``record_plan``,
    then ``record_call`` once for each attempt; that covers spans and metrics, too.

    Attributes:
        method, path: the path without its query. route: one of a fixed set; "" if no route matches.
        id: for ``x-request-id``; unique within a process, and not secret. began: on the monotonic clock.
        key: id of the API key, never the key itself. model: as requested. plan: its id.
        endpoint: the endpoint that answered. last_endpoint: the endpoint that was called last.
        cost: USD of all runs and calls, None if unknown. attempts: number of calls.
        live: the answer is streamed. first: seconds to the first word of a stream.
        error: a stable code, "" for none.
        direct: it was forwarded as one call, and answered. not_direct: why it needed a run instead, "" if it did not,
            or if it is not a chat.
        broken: the answer ended in the middle. status: HTTP status, 0 without a response. sent: bytes of the answer.
    """

    method: str = ""
    path: str = ""
    route: str = ""
    size: int = 0
    key: str = ""
    version: str = "1.1"
    id: str = field(default_factory=lambda: f"{_process}-{next(_number):x}")
    began: float = field(default_factory=time.monotonic)
    model: str = ""
    plan: str = ""
    endpoint: str = ""
    last_endpoint: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    attempts: int = 0
    live: bool = False
    first: float | None = None
    error: str = ""
    direct: bool = False
    not_direct: str = ""
    broken: bool = False
    status: int = 0
    sent: int = 0
    seconds: float = 0.0
    span: RecordSpan | None = None
    _calls: dict[str, str] = field(default_factory=dict)
    _runs: int = 0

    # ---- while it is answered

    def record_plan(self, plan: Plan, *, live: bool = False) -> None:
        """Record the plan; if there are several runs, the first one sets the plan id.

        ``live``: the answer is streamed to the client, so that there is a first word.
        """
        self.live = live
        self.plan = self.plan or plan.id
        if self.span is not None:
            self.span.record_plan(plan)

    def feed(self, event: Event) -> None:
        """Record an event of a run by the executor."""
        if isinstance(event, TextDelta):
            if self.first is None and self.live:
                self.first = time.monotonic() - self.began
        elif isinstance(event, StepStarted):
            if event.endpoint:
                self._calls[event.step] = event.endpoint
        elif isinstance(event, StepFinished):
            for usage in (*event.actual.replaced, event.actual.usage):
                self._add_usage(usage)
            if event.actual.step in self._calls and not event.actual.cached:
                self.attempts += event.actual.calls
                self.last_endpoint = self._calls[event.actual.step]
        elif isinstance(event, AttemptFailed):
            self.attempts += 1
            self.last_endpoint = event.endpoint
        elif isinstance(event, Finished):
            self.endpoint = event.endpoint

    def record_call(self, call: ModelCall) -> None:
        """Record an attempt made without the executor; the attempt that answered has no ``error``.

        If OpenTelemetry is on, it becomes a child span of the request, with its metrics.
        """
        self.attempts += call.attempts
        self.last_endpoint = call.endpoint.id if call.endpoint is not None else self.last_endpoint
        self._add_usage(call.usage)
        self.add_cost(call.cost)
        if not call.error:
            self.endpoint = call.endpoint.id if call.endpoint is not None else ""
            if call.first is not None and self.first is None:
                since = time.monotonic() - self.began
                self.first = max(0.0, since - call.seconds + call.first)
        if self.span is not None:
            self.span.record_call(call)

    def record_failure(self, code: str, *, broken: bool = False) -> None:
        """Record that the request was not answered, or (``broken``) not completely. The first error code is kept."""
        self.error = self.error or code
        self.broken |= broken

    def _add_usage(self, usage: Usage) -> None:
        if usage.input_tokens is not None:
            self.input_tokens = (self.input_tokens or 0) + usage.input_tokens
        if usage.output_tokens is not None:
            self.output_tokens = (self.output_tokens or 0) + usage.output_tokens

    def add_cost(self, cost: float | None) -> None:
        """Add the cost of a run or a call in USD; None if unknown."""
        if not self._runs:
            self.cost = cost
        elif self.cost is not None:
            self.cost = None if cost is None else self.cost + cost
        self._runs += 1

    @property
    def spent_so_far(self) -> float | None:
        """Cost in USD; 0 if nothing was run, None if unknown."""
        return self.cost if self._runs else 0.0

    # ---- afterwards

    def record_end(self, status: int, sent_bytes: int, *, whole: bool) -> None:
        """Record that the answer has been sent, or was cut off (not ``whole``)."""
        self.seconds = time.monotonic() - self.began
        self.status, self.sent = status, sent_bytes
        if not whole:
            self.record_failure("client_left", broken=bool(status))
        if self.span is not None:
            self.span.end(self)


# ---- text that is safe to log -----------------------------------------------------------------------


LONGEST = 120  # letters
# API keys of intermodal and of hosts, wherever a client put one by mistake.
_SECRET = re.compile(r"\b((?:im|sk|pk|xai)-|gsk_|AIza)[A-Za-z0-9_-]{12,}")


def redact(text: str, longest: int = LONGEST) -> str:
    """Return a text as one short printable line, with anything that looks like an API key removed.

    >>> redact("gpt\\n5"), redact("im-0123456789abcdef")
    ('gpt\\\\x0a5', 'im-…')
    """
    short = text if len(text) <= longest else f"{text[:longest]}…"
    if not short.isprintable():
        short = "".join(letter if letter.isprintable() else _escape(letter) for letter in short)
    return _SECRET.sub(r"\1…", short) if len(short) > 12 else short


def _escape(letter: str) -> str:
    number = ord(letter)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
