"""The identity of a route across items: the answering endpoint, its inputs, and the converters."""

from __future__ import annotations

import hashlib

import msgspec

from intermodal.catalog.types import Task
from intermodal.content import Value
from intermodal.plans.plan import Candidate
from intermodal.plans.step import Call, Check


class EvaluatedRoute(Value):
    """The same way of answering, whatever the item.

    Attributes:
        id: first 8 hex digits of SHA-256 over the rest.
        endpoint, task: of the call that answers.
        summary: what goes in, in the planner's words.
        converters: what is done before, in the plan's order, each once ("transcribe embedded:openai/whisper-base").
    """

    id: str
    endpoint: str
    task: Task
    summary: str
    converters: tuple[str, ...] = ()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Every endpoint it calls, the answering one first."""
        return (self.endpoint, *(word.partition(" ")[2] for word in self.converters if " " in word))

    @property
    def words(self) -> str:
        """What goes in and who converted it, for people."""
        by = [word.replace("embedded:", "") for word in self.converters if " " in word]
        return f"{self.summary} ({', '.join(by)})" if by else self.summary


class StepActuals(Value):
    """What a step of a run took. ``key`` is the same for the same work on the same bytes; ``cost`` in USD.

    It is the key of the cache of derived media, which other routes over the same item are served from.
    """

    key: str
    seconds: float
    cost: float | None = 0.0
    cached: bool = False


def last_call(candidate: Candidate) -> Call:
    """The step that answers."""
    return next(step for step in reversed(candidate.steps) if isinstance(step, Call))


def evaluated_route(candidate: Candidate) -> EvaluatedRoute:
    """The route a candidate takes."""
    last = last_call(candidate)
    before = [step for step in candidate.steps if step is not last and not isinstance(step, Check)]
    done = tuple(dict.fromkeys(f"{s.op} {s.endpoint}" if isinstance(s, Call) else s.op for s in before))
    parts = (candidate.endpoint, last.task, candidate.summary, done)
    key = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:8]
    return EvaluatedRoute(
        id=key, endpoint=candidate.endpoint, task=last.task, summary=candidate.summary, converters=done
    )
