"""The metadata of an answer: ``x-intermodal-*`` headers, and an object beside its usage. No substitution is silent."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from intermodal.events import (
    AttemptFailed,
    Event,
    FieldEvidence,
    Finished,
    Note,
    Replanned,
    Rerouted,
    StepFinished,
    StepStarted,
    TextDelta,
)
from intermodal.plans.plan import Plan, calls_of, send_fields
from intermodal.protocols.errors.responses import attach_run_summary
from intermodal.telemetry.request_record import RequestRecord

RouteChange = Replanned | Rerouted
NO_ROUTE = "none"  # instead of an endpoint, if none was called
STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # so that proxies do not buffer


def plan_headers(
    plan: Plan, *, route: str = "", ignored: Iterable[str] = (), now: RouteChange | None = None
) -> dict[str, str]:
    """Return the headers that are known before the first token.

    ``route``: the endpoint that answers, where it is not the plan's first choice. ``now``: the route taken instead.
    """
    chosen_route = plan.chosen
    headers = {
        "x-intermodal-plan": plan.id,
        "x-intermodal-route": route or (now.endpoint if now is not None else chosen_route.endpoint),
        "x-intermodal-steps": "; ".join(now.calls if now is not None else calls_of(chosen_route)),
        "x-intermodal-sends": host_names(now.sends if now is not None else map(send_fields, chosen_route.sends)),
    }
    lost = ", ".join(now.loses if now is not None else chosen_route.loses)
    if plan.verdict.parts:  # a text-only request has nothing to judge
        headers["x-intermodal-verdict"] = (now.verdict if now is not None else "") or plan.verdict.value
    if lost:
        headers["x-intermodal-loses"] = lost
    return headers | ignored_header(ignored)


def ignored_header(ignored: Iterable[str]) -> dict[str, str]:
    """Return the header that names request fields that are not understood or are sent to no host."""
    unread = _join_names(sorted(set(ignored)))
    return {"x-intermodal-ignored": unread} if unread else {}


def host_names(sends: Iterable[Mapping[str, str]]) -> str:
    """Return the hosts that receive content, in one line."""
    return ", ".join(dict.fromkeys(send["host"] for send in sends)) or "nothing"


_LONGEST = 1000  # characters of a header filled with client text: clients refuse answers with long heads


def _join_names(names: list[str]) -> str:
    """Join names in one line, with the number of those left out."""
    names_text = ", ".join(names)
    if len(names_text) <= _LONGEST:
        return names_text
    kept_names = names_text[: _LONGEST - 20].rpartition(", ")[0]
    return f"{kept_names}, … and {len(names) - kept_names.count(', ') - bool(kept_names)} more".removeprefix(", ")


def report_failure(error: BaseException, record: RequestRecord) -> dict[str, str]:
    """Return headers with the cost and attempts of a failed request, and attach the same data to its error.

    The error repeats it in its body (``protocols/errors/responses.py``), since the last event of a stream comes after
    its head. The route is the last endpoint called.
    """
    route, attempts, cost = record.last_endpoint or NO_ROUTE, record.attempts, record.spent_so_far
    seconds = round(time.monotonic() - record.began, 3)
    about = {"plan": record.plan or None, "route": route, "cost": cost, "attempts": attempts, "seconds": seconds}
    attach_run_summary(error, about)
    plan = {"x-intermodal-plan": record.plan} if record.plan else {}
    return {**plan, "x-intermodal-route": route, **cost_headers(cost, attempts)}


def _unverified_header(evidence: Iterable[FieldEvidence]) -> dict[str, str]:
    """Return the header that names values of a JSON answer that occur in no input file; {} if there are none."""
    fields = [each.field or "/" for each in evidence if each.status == "unverified"]
    return {"x-intermodal-unverified": _join_names(fields)} if fields else {}


def _evidence_place(field_evidence: FieldEvidence) -> dict[str, Any]:
    """Return where a value was found, without inapplicable fields."""
    place = {
        name: getattr(field_evidence, name)
        for name in ("file", "page", "line", "text")
        if getattr(field_evidence, name)
    }
    return {
        "field": field_evidence.field,
        "status": field_evidence.status,
        **place,
        **({"at": field_evidence.at} if field_evidence.at >= 0 else {}),
    }


def cost_headers(cost: float | None, attempts: int) -> dict[str, str]:
    """Return the headers that are known after the run has ended."""
    known = {} if cost is None else {"x-intermodal-cost": f"{cost:.8g}"}
    return {**known, "x-intermodal-attempts": str(attempts)}


def route_summary(plan: Plan, route: str, now: RouteChange | None = None) -> dict[str, Any]:
    """Return the part of the metadata object that is known once an endpoint answers.

    ``now``: the route taken instead of the planned one.
    """
    chosen_route = plan.chosen
    return {
        "plan": plan.id,
        "route": route,
        "planned": chosen_route.endpoint,
        "summary": now.summary if now is not None else chosen_route.summary,
        "loses": list(now.loses if now is not None else chosen_route.loses),
        "sends": list(now.sends) if now is not None else [send_fields(send) for send in chosen_route.sends],
    }


class RunMetadata:
    """Collects the metadata of a run from its events. ``notes``: notes to add to those of the plan."""

    def __init__(self, plan: Plan, notes: Iterable[str] = ()) -> None:
        self._plan = plan
        self._text: list[str] = []
        self._notes = list(notes)
        self._replans: list[str] = []
        self._calls = set[str]()  # steps that call an endpoint
        self.attempts = 0
        self.now: RouteChange | None = None  # the route that replaced the planned one

    def record_event(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            self._text.append(event.text)
        elif isinstance(event, Note):
            self._notes.append(event.text)
        elif isinstance(event, AttemptFailed):
            self.attempts += 1
        elif isinstance(event, StepStarted):
            if event.endpoint:
                self._calls.add(event.step)
        elif isinstance(event, StepFinished):
            if event.actual.step in self._calls and not event.actual.cached:
                self.attempts += event.actual.calls
        elif isinstance(event, Replanned):
            self._replans.append(event.reason)
            self.now = event
        elif isinstance(event, Rerouted):
            self.now = event

    @property
    def text(self) -> str:
        """The text of the answer so far."""
        return "".join(self._text)

    def headers(self, finished: Finished, ignored: Iterable[str]) -> dict[str, str]:
        """Return the headers of an answer that is not streamed."""
        return {
            **plan_headers(self._plan, route=finished.endpoint, ignored=ignored, now=self.now),
            **cost_headers(finished.cost, self.attempts),
            **_unverified_header(finished.evidence),
        }

    def about(self, finished: Finished) -> dict[str, Any]:
        """Return the metadata object beside the usage.

        ``cost`` is in USD, None if unknown; ``seconds`` covers the whole run.
        """
        return {
            **route_summary(self._plan, finished.endpoint, self.now),
            "cost": finished.cost,
            "attempts": self.attempts,
            "seconds": round(finished.seconds, 3),
            # the plan's notes begin with the losses
            "notes": list(dict.fromkeys((*self._plan.notes, *self._notes))),
            **({"replanned": self._replans} if self._replans else {}),
            **({"evidence": [_evidence_place(each) for each in finished.evidence]} if finished.evidence else {}),
        }
