"""The events of a run as spans: one for each step of its plan, with failed attempts and what followed them."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from msgspec.structs import replace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context

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
from intermodal.request import JsonOutput
from intermodal.telemetry import conventions, message_attributes
from intermodal.telemetry.request_record import ModelCall
from intermodal.telemetry.request_span import within
from intermodal.telemetry.signals import Signals, plan_attributes, reroute_attributes


async def trace_run(
    signals: Signals, events: AsyncGenerator[Event], plan: Plan, inputs: Inputs, *, live: bool
) -> AsyncGenerator[Event]:
    """The same events; their spans end with them, however they end."""
    run = RunSpans(signals, plan, inputs, live=live)
    try:
        async with aclosing(events):
            async for event in events:
                run.feed(event)
                yield event
    except BaseException as error:
        run.close(error.code if isinstance(error, IntermodalError) else _word(error))
        raise
    run.close()


def _word(error: BaseException) -> str:
    return "internal" if isinstance(error, Exception) else "cancelled"


@dataclass
class _Open:
    """A step that began. Seconds since the epoch."""

    op: str
    endpoint: str
    began: float
    first: float | None = None
    failures: list[AttemptFailed] = field(default_factory=list)


class RunSpans:
    """One run. Its spans are below the gateway's request; outside of one, below a span ``run`` of its own.

    A span is made when its step has ended, with the times that the events tell: none is left open where a run is cut.
    ``live``: the answer is streamed, so there is a first word.
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
        self._asked = message_attributes.input_messages(inputs) if signals.content else ""
        self._words: list[str] = []
        request = within.get()
        self._own: Span | None = None
        if request is None:
            self._own = signals.tracer.start_span("run", attributes=plan_attributes(plan))
        self._below: Context = request.context if request is not None else set_span_in_context(self._running)
        media = [(part.kind, part.digest) for part in inputs.facts.parts if part.kind != "text"]
        if request is not None:
            request.given(media)
        elif media:
            self._running.set_attribute(conventions.MEDIA, [f"{kind} sha256:{digest}" for kind, digest in media])

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
            self._committed(event.endpoint)
        elif isinstance(event, StepFinished):
            self._finished(event)
        elif isinstance(event, AttemptFailed):
            self._failed(event)
        elif isinstance(event, Finished):
            self._answered(event)
        elif isinstance(event, (Checked, Replanned, Rerouted)):
            self._remarked(event)

    def _committed(self, endpoint: str) -> None:
        for step in self._open.values():
            if step.endpoint == endpoint and step.first is None and self._live:
                step.first = time.time()

    def _finished(self, event: StepFinished) -> None:
        self._let_go()
        actual = event.actual
        step = self._open.pop(actual.step, None) or self._planned(actual.step)
        began = self._zero + actual.began
        waited = sum(failure.seconds + failure.delay for failure in step.failures)
        self._held = ModelCall(
            op=step.op, step=actual.step, endpoint=self._catalog.by_id.get(step.endpoint), began=began,
            seconds=actual.load_seconds + actual.seconds + waited,
            first=None if step.first is None else max(0.0, step.first - began),
            usage=actual.usage, cost=actual.cost, cached=actual.cached, failures=tuple(step.failures),
        )  # fmt: skip

    def _failed(self, event: AttemptFailed) -> None:
        step = self._open.get(event.step)
        if step is not None and event.then == "resend":
            step.failures.append(event)
            return
        self._let_go()
        found = self._open.pop(event.step, None) or self._planned(event.step)
        ended = self._zero + event.at
        began = min(found.began, ended - event.seconds)
        self._tell(
            ModelCall(
                op=found.op, step=event.step, endpoint=self._catalog.by_id.get(event.endpoint), began=began,
                seconds=ended - began, cost=event.cost, error=event.code, failures=tuple(found.failures),
            )
        )  # fmt: skip

    def _planned(self, step: str) -> _Open:
        """A step that nobody said had begun: what it made was kept from before."""
        known = self._steps.get(step)
        endpoint = known.endpoint if isinstance(known, Call) else ""
        return _Open(known.op if known is not None else "step", endpoint, time.time())

    def _answered(self, event: Finished) -> None:
        held = self._held
        if held is not None and held.endpoint is not None and held.endpoint.id == event.endpoint:
            held = replace(held, finish_reason=event.finish_reason, output="json" if self._json else "")
            if self._asked:
                held = replace(
                    held, content=message_attributes.message_attributes_of(self._asked, "".join(self._words), event)
                )
            self._held = held
        self._let_go()
        if self._own is not None:
            self._own.set_attribute("intermodal.route", event.endpoint)
            if event.cost is not None:
                self._own.set_attribute("intermodal.cost", float(event.cost))

    def _remarked(self, event: Checked | Replanned | Rerouted) -> None:
        span = self._own or getattr(within.get(), "span", None)
        if span is None:
            return
        if isinstance(event, Checked):
            told = {"intermodal.step.id": event.step, "intermodal.check": event.check}
            told |= {"intermodal.problem": event.problem} if event.problem else {}
            span.add_event("intermodal.checked", told)
            return
        span.set_attributes(reroute_attributes(event))
        if isinstance(event, Replanned):
            told = {"intermodal.step.id": event.step, "intermodal.plan.id": event.plan}
            span.add_event("intermodal.replanned", told | {"intermodal.route": event.endpoint})

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._tell(held)

    def _tell(self, call: ModelCall) -> None:
        self._signals.called(call, self._below, self._plan)

    def close(self, error: str = "") -> None:
        """It has ended, with the code of an error or without."""
        self._let_go()
        now = time.time()
        for name, step in self._open.items():
            endpoint = self._catalog.by_id.get(step.endpoint)
            self._tell(
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
