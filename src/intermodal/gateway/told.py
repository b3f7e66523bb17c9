"""What an answer says of how it came about: headers, and an object beside its usage. Nothing is swapped in silence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from intermodal.events import AttemptFailed, Event, Finished, Note, Replanned, StepFinished, TextDelta
from intermodal.plans.plan import Plan, Send
from intermodal.plans.step import Call
from intermodal.wire.advice import for_clients


def headers_of(plan: Plan, *, route: str = "", ignored: Iterable[str] = ()) -> dict[str, str]:
    """What is known before the first word. ``route``: who answers, where that is not the plan's first choice."""
    chosen = plan.chosen
    calls = [f"{step.op} {step.endpoint}" for step in chosen.steps if isinstance(step, Call)]
    said = {
        "x-intermodal-plan": plan.id,
        "x-intermodal-route": route or chosen.endpoint,
        "x-intermodal-steps": "; ".join(calls),
        "x-intermodal-sends": ", ".join(dict.fromkeys(send.host for send in chosen.sends)) or "nothing",
    }
    lost = ", ".join(chosen.loses)
    unread = _short(sorted(set(ignored)))
    return said | ({"x-intermodal-loses": lost} if lost else {}) | ({"x-intermodal-ignored": unread} if unread else {})


_LONGEST = 1000  # letters of a header that a client's own words fill: clients refuse answers with long heads


def _short(names: list[str]) -> str:
    """Names in one line, and how many more there are."""
    said = ", ".join(names)
    if len(said) <= _LONGEST:
        return said
    kept = said[: _LONGEST - 20].rpartition(", ")[0]
    return f"{kept}, … and {len(names) - kept.count(', ') - bool(kept)} more".removeprefix(", ")


class Told:
    """Collects what happens in a run."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._text: list[str] = []
        self._notes: list[str] = []
        self._replans: list[str] = []
        self._calls = {step.id for step in plan.chosen.steps if isinstance(step, Call)}
        self.attempts = 0

    def feed(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            self._text.append(event.text)
        elif isinstance(event, Note):
            self._notes.append(event.text)
        elif isinstance(event, AttemptFailed):
            self.attempts += 1
        elif isinstance(event, StepFinished):
            self.attempts += event.actual.step in self._calls and not event.actual.cached
        elif isinstance(event, Replanned):
            self._replans.append(event.reason)
            self._calls.add(event.step)

    @property
    def text(self) -> str:
        """Of the answer so far."""
        return "".join(self._text)

    def about(self, finished: Finished) -> dict[str, Any]:
        """For the usage object of an answer. ``cost`` in USD, None where nobody knows; ``seconds`` of the whole run."""
        chosen = self._plan.chosen
        return {
            "plan": self._plan.id,
            "route": finished.endpoint,
            "planned": chosen.endpoint,
            "summary": chosen.summary,
            "loses": list(chosen.loses),
            "sends": [sent(send) for send in chosen.sends],
            "cost": finished.cost,
            "attempts": self.attempts,
            "seconds": round(finished.seconds, 3),
            # the plan's begin with what is lost
            "notes": list(dict.fromkeys(map(for_clients, (*self._plan.notes, *self._notes)))),
            **({"replanned": list(map(for_clients, self._replans))} if self._replans else {}),
        }


def sent(send: Send) -> dict[str, str]:
    return {"what": send.what, "from": send.origin, "host": send.host, "zone": send.zone}
