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
from intermodal.content import Value
from intermodal.events import AttemptFailed, Event, Finished, StepFinished, StepStarted, TextDelta, Usage
from intermodal.plans.plan import Plan

_process = secrets.token_hex(5)
_number = itertools.count(1)


class ModelCall(Value, frozen=True):
    """One call of a model, or one conversion, that has ended.

    Attributes:
        op: as in plans ("generate", "transcribe", "extract"). step: its id in the plan.
        endpoint: that was called; None for none.
        began: seconds since the epoch; None: ``seconds`` ago. seconds: wall time, with loading and ``failures``.
        first: seconds from its beginning to the first word of a streamed answer, None if it came whole.
        usage: tokens as reported. cost: USD, None if unknown.
        finish_reason: in OpenTelemetry's words, "" for a result that is not words.
        model: the one that the endpoint reports to have answered, "" if unknown.
        cached: the result came from the cache, without a call. error: the code of its failure, "" on success.
        attempts: how many were made. failures: those that were followed by another at the same endpoint.
        output: the requested kind of answer, in OpenTelemetry's words, "" if unstated.
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
    """The span of a request where tracing is on (``signals.RequestSpan``). ``trace``: id of its trace."""

    trace: str

    def enter(self) -> None:
        """Have runs of this task below it."""

    def planned(self, plan: Plan) -> None:
        """Add the attributes of the plan."""

    def given(self, media: Iterable[tuple[str, str]]) -> None:
        """Add the files of the request, each by kind and digest."""

    def called(self, call: ModelCall) -> None:
        """Add a call that was made without the executor."""

    def end(self, served: RequestRecord) -> None:
        """End it with what is known of the request."""


class RequestRecord(Struct, eq=False):
    """The facts about one request. It is filled in while the request is answered, and read once at the end.

    Runs of the executor pass it their events (``feed``). Code that answers without the executor calls ``planned``, then
    ``called`` once for each attempt; that covers spans and metrics, too.

    Attributes:
        method, path: the path without its query. route: one of few; "" if there is none.
        id: for ``x-request-id``; one of a process, and not secret. began: on the monotonic clock.
        key: id of the key, never the key. model: as requested. plan: its id.
        endpoint: that answered. last_endpoint: that was called last.
        cost: USD of everything that was run, None if unknown. attempts: calls that were made.
        live: it is streamed. first: seconds to the first word of a stream.
        error: a stable code, "" for none.
        direct: it was passed on as one call, and answered. not_direct: why a run was to answer it, "" if none was, or
            if it is no chat.
        broken: the answer ended in the middle. status: of HTTP, 0 without a response. sent: bytes of the answer.
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

    def planned(self, plan: Plan, *, live: bool = False) -> None:
        """Record the plan; the first of several runs gives the id. ``live``: the client reads along, so that there is a
        first word.
        """
        self.live = live
        self.plan = self.plan or plan.id
        if self.span is not None:
            self.span.planned(plan)

    def feed(self, event: Event) -> None:
        """Record an event of a run by the executor."""
        if isinstance(event, TextDelta):
            if self.first is None and self.live:
                self.first = time.monotonic() - self.began
        elif isinstance(event, StepStarted):
            if event.endpoint:
                self._calls[event.step] = event.endpoint
        elif isinstance(event, StepFinished):
            self._used(event.actual.usage)
            if event.actual.step in self._calls and not event.actual.cached:
                self.attempts += 1
                self.last_endpoint = self._calls[event.actual.step]
        elif isinstance(event, AttemptFailed):
            self.attempts += 1
            self.last_endpoint = event.endpoint
        elif isinstance(event, Finished):
            self.endpoint = event.endpoint

    def called(self, call: ModelCall) -> None:
        """Record an attempt that was made without the executor; the one that answered has no ``error``.

        With OpenTelemetry on, it becomes a span below the request's, with its measures.
        """
        self.attempts += call.attempts
        self.last_endpoint = call.endpoint.id if call.endpoint is not None else self.last_endpoint
        self._used(call.usage)
        self.spent(call.cost)
        if not call.error:
            self.endpoint = call.endpoint.id if call.endpoint is not None else ""
            if call.first is not None and self.first is None:
                since = time.monotonic() - self.began
                self.first = max(0.0, since - call.seconds + call.first)
        if self.span is not None:
            self.span.called(call)

    def failed(self, code: str, *, broken: bool = False) -> None:
        """Record that it was not answered, or (``broken``) not to the end. The first reason stays."""
        self.error = self.error or code
        self.broken |= broken

    def _used(self, usage: Usage) -> None:
        if usage.input_tokens is not None:
            self.input_tokens = (self.input_tokens or 0) + usage.input_tokens
        if usage.output_tokens is not None:
            self.output_tokens = (self.output_tokens or 0) + usage.output_tokens

    def spent(self, cost: float | None) -> None:
        """Add the cost of a run, or a call: USD, None if unknown."""
        if not self._runs:
            self.cost = cost
        elif self.cost is not None:
            self.cost = None if cost is None else self.cost + cost
        self._runs += 1

    @property
    def spent_so_far(self) -> float | None:
        """USD; 0 if nothing was run, None if unknown."""
        return self.cost if self._runs else 0.0

    # ---- afterwards

    def ended(self, status: int, sent: int, *, whole: bool) -> None:
        """Record that the answer has been sent, or was cut (not ``whole``)."""
        self.seconds = time.monotonic() - self.began
        self.status, self.sent = status, sent
        if not whole:
            self.failed("client_left", broken=bool(status))
        if self.span is not None:
            self.span.end(self)


# ---- text that is safe to log -----------------------------------------------------------------------


LONGEST = 120  # letters
# Our keys and those of hosts, wherever somebody has put one by mistake.
_SECRET = re.compile(r"\b((?:im|sk|pk|xai)-|gsk_|AIza)[A-Za-z0-9_-]{12,}")


def redact(text: str, longest: int = LONGEST) -> str:
    """Return one line of printable letters, not long, without what looks like a key.

    >>> redact("gpt\\n5"), redact("im-0123456789abcdef")
    ('gpt\\\\x0a5', 'im-…')
    """
    short = text if len(text) <= longest else f"{text[:longest]}…"
    if not short.isprintable():
        short = "".join(letter if letter.isprintable() else _escaped(letter) for letter in short)
    return _SECRET.sub(r"\1…", short) if len(short) > 12 else short


def _escaped(letter: str) -> str:
    number = ord(letter)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
