"""Creates spans and metrics. Imported only where telemetry is on."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.metrics import Meter
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer

from intermodal.events import Replanned, Rerouted
from intermodal.plans.plan import Plan
from intermodal.telemetry import conventions
from intermodal.telemetry.request_record import ModelCall

Attributes = dict[str, str | int | float | bool]
_NANO = 1_000_000_000


class Signals:
    """What spans and measures go to.

    Args:
        content: prompts and answers may be in them. close: sends what waits, in so many seconds at most.
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
            for each in conventions.MEASURES
        }
        self._cost = meter.create_counter(conventions.COST, "{USD}", "What calls cost, where that is known.")

    def measure(self, what: conventions.Histogram, value: float, attributes: Attributes) -> None:
        self._measures[what.name].record(value, attributes)

    def called(self, call: ModelCall, within: Context | None, plan: str) -> None:
        """A call or a conversion that has ended: its span, and its measures."""
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
            attributes |= about | _took(call) | dict(call.content)
            name = f"{about['gen_ai.operation.name']} {about['gen_ai.request.model']}"
            kind = SpanKind.INTERNAL if call.endpoint.host.zone == "process" else SpanKind.CLIENT
            self._measured(call, about)
        span = self.tracer.start_span(name, within, kind, attributes, start_time=int(began * _NANO))
        if call.finish_reason:
            span.set_attribute("gen_ai.response.finish_reasons", [call.finish_reason])
        ago = 0.0
        for failure in call.failures:  # what followed each is its pause, then the next
            ago += failure.seconds
            told: Attributes = {"error.type": failure.code, "intermodal.seconds": failure.seconds}
            told |= {"intermodal.charged": failure.charged, "intermodal.delay": failure.delay}
            told |= {"http.response.status_code": failure.status} if failure.status else {}
            span.add_event("intermodal.attempt_failed", told, int((began + ago) * _NANO))
            ago += failure.delay
        if call.error:
            span.set_attribute("error.type", call.error)
            span.set_status(Status(StatusCode.ERROR))
        span.end(int((began + call.seconds) * _NANO))

    def _measured(self, call: ModelCall, about: Attributes) -> None:
        wrong: Attributes = {"error.type": call.error} if call.error else {}
        self.measure(conventions.DURATION, call.seconds, about | wrong)
        for kind, count in (("input", call.usage.input_tokens), ("output", call.usage.output_tokens)):
            if count is not None:
                self.measure(conventions.TOKENS, count, {**about, "gen_ai.token.type": kind})
        if call.first is not None:
            self.measure(conventions.FIRST_CHUNK, call.first, about)
        if call.cost:
            self._cost.add(call.cost, about)


def endpoint_attributes(call: ModelCall) -> Attributes:
    """What is called, who serves it, and where."""
    endpoint = call.endpoint
    assert endpoint is not None
    found: Attributes = {
        "gen_ai.operation.name": conventions.OPERATIONS.get(call.op, call.op),
        "gen_ai.provider.name": conventions.PROVIDERS.get(endpoint.host.id, endpoint.host.id),
        "gen_ai.request.model": endpoint.served_as or endpoint.model.id,
    }
    if call.model:
        found["gen_ai.response.model"] = call.model
    address, port = _place(endpoint.host.base_url)
    return found | ({"server.address": address, "server.port": port} if address else {})


def _took(call: ModelCall) -> Attributes:
    found: Attributes = {}
    for name, counted in conventions.COUNTED.items():
        if (tokens := getattr(call.usage, counted)) is not None:
            found[name] = tokens
    if call.first is not None:
        found |= {"gen_ai.request.stream": True, "gen_ai.response.time_to_first_chunk": call.first}
    kind = call.output or conventions.OUTPUTS.get(call.op, "")
    return found | ({"gen_ai.output.type": kind} if kind else {})


@lru_cache(256)
def _place(base_url: str) -> tuple[str, int]:
    parts = urlsplit(base_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def plan_attributes(plan: Plan) -> dict[str, str | list[str]]:
    """What a plan says before it is run: which it is, who is to answer, what is lost, to which hosts content goes."""
    chosen = plan.chosen
    return {
        "intermodal.plan.id": plan.id,
        "intermodal.route": chosen.endpoint,
        "intermodal.loses": list(chosen.loses),
        "intermodal.sends": list(dict.fromkeys(send.host for send in chosen.sends)),
    }


def reroute_attributes(event: Replanned | Rerouted) -> dict[str, list[str]]:
    """The same of what is done instead of the plan."""
    hosts = [send["host"] for send in event.sends]
    return {"intermodal.loses": list(event.loses), "intermodal.sends": list(dict.fromkeys(hosts))}


__all__ = ["Signals", "reroute_attributes", "plan_attributes", "endpoint_attributes"]
