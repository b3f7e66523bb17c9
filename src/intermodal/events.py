"""The events of a run. A ``Result`` is only ever produced by folding them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from msgspec import field

from intermodal.core.content import Part, ReadLine, ToolCall, Transcript, Value, renamed_field


class Usage(Value):
    """Token usage reported by an endpoint; None for each count that it did not report.

    ``cached_tokens`` (read from its cache) and ``cache_write_tokens`` (written to it) are included in ``input_tokens``,
    ``reasoning_tokens`` in ``output_tokens``.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class Actual(Value):
    """The measured cost of one step.

    Attributes:
        seconds: wall time of the step, excluding the time to load a runtime.
        load_seconds: time spent starting or loading its runtime; 0 if it was already loaded.
        cost: USD; None if unknown.
        peak_memory: peak resident set size of the runtime in bytes; None if not measured.
        cached: the result came from the cache.
        began: seconds after the start of the run.
        calls: number of calls that the step took, without failed attempts: a repair call is one more.
        replaced: the usage of each of its calls whose answer was replaced. ``usage`` is that of the kept answer.
    """

    step: str
    seconds: float
    load_seconds: float = 0.0
    usage: Usage = Usage()
    cost: float | None = 0.0
    peak_memory: int | None = None
    cached: bool = False
    began: float = 0.0
    calls: int = 1
    replaced: tuple[Usage, ...] = ()


class Derived(Value):
    """The result of a conversion, for inspection (``--save-derived``).

    ``name`` is the name of the converted part; exactly one of the fields after ``op`` holds the content.
    """

    step: str
    name: str
    op: str
    text: str = ""
    transcript: Transcript | None = None
    lines: tuple[ReadLine, ...] = ()


class StepStarted(Value, tag_field="event", tag="step_started"):
    """A step started or restarted. ``op``: its operation. ``endpoint``: the endpoint that it calls, "" for none."""

    step: str
    title: str
    op: str = ""
    endpoint: str = ""


class StepProgress(Value, tag_field="event", tag="step_progress"):
    """Progress of a step. ``fraction`` is 0..1, or None if the length is unknown."""

    step: str
    fraction: float | None = None
    note: str = ""


class StepFinished(Value, tag_field="event", tag="step_finished"):
    actual: Actual
    derived: tuple[Derived, ...] = ()


class Retrying(Value, tag_field="event", tag="retrying"):
    """A step is retried. ``at``: seconds after the start of the run, 0 if not measured."""

    step: str
    reason: str
    delay: float = 0.0
    at: float = 0.0


class AttemptFailed(Value, tag_field="event", tag="attempt_failed"):
    """An attempt at a step failed. None of its output was shown, unless it was the last attempt.

    Attributes:
        code: error code. status: HTTP status, 0 for none. reason: a phrase that follows the endpoint's name.
        charged: whether the attempt is billed: "no", or "maybe" if that is unknown. cost: USD, None if unknown.
        seconds: its duration. then: "resend" to the same endpoint after ``delay`` seconds, "reroute", or "stop".
        at: seconds after the start of the run.
    """

    step: str
    endpoint: str
    code: str
    reason: str
    status: int = 0
    charged: Literal["no", "maybe"] = "no"
    cost: float | None = 0.0
    seconds: float = 0.0
    then: Literal["resend", "reroute", "stop"] = "stop"
    delay: float = 0.0
    at: float = 0.0


class Note(Value, tag_field="event", tag="note"):
    """A message for the user: a loss, a failed check, a changed route.

    ``warns``: the answer has a problem: it was cut off, it repeats itself, it is based on a file in which no content
    was found, or one of its values occurs in no source.
    """

    text: str
    step: str = ""
    warns: bool = False


class Checked(Value, tag_field="event", tag="checked"):
    """The result of a check of a step's output.

    ``problem`` is "" if the check passed, else the name of the problem, which ``message`` describes.
    """

    step: str
    check: str
    problem: str = ""
    message: str = field(default="", name="said")

    said = renamed_field("said", "message")


class Replanned(Value, tag_field="event", tag="replanned"):
    """The rest of the run was planned again, because a step's output differs from the plan.

    Attributes:
        step: the step whose output caused it. reason: in words.
        before, after: ids of the candidates. endpoint: the endpoint that now generates the answer.
        plan: id of the new plan. seconds: planning time. at: seconds after the start of the run.
        summary, loses, calls, sends: the new route, in the form of the plan that was shown: a summary in words; the
            aspects lost; the operation and endpoint of each call; the data that leaves this machine, with its origin,
            host and zone, and which hosts may already have received it.
        verdict: whether a language model is enough on the new route (``plans/verdict.py``).
    """

    step: str
    reason: str
    before: str
    after: str
    endpoint: str
    plan: str
    seconds: float = 0.0
    at: float = 0.0
    summary: str = ""
    loses: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    sends: tuple[dict[str, str], ...] = ()
    verdict: str = ""


class Rerouted(Value, tag_field="event", tag="rerouted"):
    """The run switched to another route of the plan, because the routes before it failed; a note states why.

    ``after``: id of the new candidate. The other fields are as in ``Replanned``.
    """

    after: str
    endpoint: str
    summary: str = ""
    loses: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    sends: tuple[dict[str, str], ...] = ()
    verdict: str = ""


class FieldEvidence(Value):
    """Where a value of a JSON answer occurs in the model's input.

    Attributes:
        field: the value's place in the answer, a JSON Pointer (RFC 6901): "/items/0/price".
        status: "found"; "unverified": the value occurs in no source, so it is computed or made up; "unchecked": an
            occurrence would prove nothing (true, false, null, a value of an enum in the schema), or the model saw more
            than text. An enum value that is a code (EUR, DE) is "unverified" if the text has another code of that enum.
        file, page, line: of the first occurrence; 0 if the file has no pages, or if ``at`` is set instead.
        at: seconds into a recording or a video, otherwise -1.
        text: that line, at most 200 characters.
    """

    field: str
    status: Literal["found", "unverified", "unchecked"]
    file: str = ""
    page: int = 0
    line: int = 0
    at: float = -1.0
    text: str = ""


class Speech(Value):
    """A spoken answer, ``seconds`` long. ``data`` is a file of ``media_type``; "audio/pcm" is raw samples."""

    data: bytes
    media_type: str = "audio/wav"
    seconds: float = 0.0


class Drawn(Value):
    """A generated image. ``data`` is a file of ``media_type``.

    ``prompt`` is the prompt as rewritten by the host, "" if it reports none.
    """

    data: bytes
    media_type: str = "image/png"
    prompt: str = ""


class Sketched(Value, tag_field="event", tag="sketched"):
    """A small preview of an image after ``done`` of ``steps``; not part of the result."""

    step: str
    picture: Drawn
    done: int
    steps: int


class Committed(Value, tag_field="event", tag="committed"):
    """Visible output follows: from here on the answer cannot move to another model."""

    endpoint: str


class TextDelta(Value, tag_field="event", tag="text"):
    text: str


class Thought(Value, tag_field="event", tag="thought"):
    """A piece of the model's reasoning, shown with the answer but not part of it.

    ``signature`` covers the reasoning text before it. If ``wire`` is set, the event is a complete block of that
    protocol, in ``body``, which is sent back unchanged. ``summary``: the host returns only this summary of the
    reasoning.
    """

    text: str = ""
    signature: str = ""
    wire: str = ""
    body: str = ""
    summary: bool = False


class Finished(Value, tag_field="event", tag="finished"):
    """The last event of a successful run.

    ``data``: the parsed answer of a JSON output. ``embedding``: the vector of an embedding output. ``speech``: the
    audio of a speech output. ``images``: the images of an image output. ``scores``: the scores of the labels of a
    scores output, 0..1. ``parts``: the answer as parts, if it is more than text (tool calls, blocks that
    are sent back unchanged). ``evidence``: where the values of a JSON answer occur. ``looped``: the answer repeats
    itself, and may have been stopped for that. ``unread``: files with words in a script that no reader here knows.
    ``refusal``: the model's reason for refusing to go on after the text; without text a refusal is an error.
    ``finish_reason``: a value of the OpenTelemetry GenAI conventions ("stop", "length", "content_filter", "tool_call");
    "length" also for an answer that was stopped because it repeated itself. ``stop_sequence``: the one of the request
    that ended the answer, "" if none did or the host does not say which.
    """

    endpoint: str
    finish_reason: str = "stop"
    stop_sequence: str = ""
    data: Any = None
    evidence: tuple[FieldEvidence, ...] = ()
    looped: bool = False
    unread: tuple[str, ...] = ()
    transcript: Transcript | None = None
    embedding: tuple[float, ...] = ()
    speech: Speech | None = None
    images: tuple[Drawn, ...] = ()
    scores: dict[str, float] = field(default_factory=dict)
    parts: tuple[Part, ...] = field(default=(), name="said")
    refusal: str = ""
    cost: float | None = 0.0
    seconds: float = 0.0

    said = renamed_field("said", "parts")

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls in the answer, to be executed by the caller."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


Event = (
    StepStarted
    | StepProgress
    | StepFinished
    | AttemptFailed
    | Retrying
    | Note
    | Checked
    | Replanned
    | Rerouted
    | Sketched
    | Committed
    | TextDelta
    | Thought
    | Finished
)


class Result(Value):
    """The outcome of a run.

    Attributes:
        text: the answer (for JSON the text as generated, for a transcript its words).
        data: the parsed JSON answer, None otherwise.
        evidence: where each of its values occurs in the sources; () if no file came with the request, or evidence is
            off (``Policy.evidence``).
        looped: the answer repeats itself, and may have been stopped for that.
        unread: names of files with words in a script that no reader here knows; the answer was made without them.
        endpoint: the endpoint that answered.
        actuals: one per step, in the order in which they finished.
        derived: the result of every conversion, in the same order.
        notes: messages for the user.
        parts: the answer as parts, if it is more than text. Send it in the next request as the assistant's message,
            before the results of its tool calls.
        refusal: the model's reason for refusing to go on after the text; "" if it did not refuse.
        finish_reason, stop_sequence: why the answer ended, as in ``Finished``.
        checks, replans: results of checks, and replannings, in order.
        retries: retried steps. failures: every failed attempt, and what followed.
        cost: USD; None if unknown.
        seconds: wall time of the whole run.
    """

    text: str = ""
    data: Any = None
    evidence: tuple[FieldEvidence, ...] = ()
    looped: bool = False
    unread: tuple[str, ...] = ()
    transcript: Transcript | None = None
    embedding: tuple[float, ...] = ()
    speech: Speech | None = None
    images: tuple[Drawn, ...] = ()
    scores: dict[str, float] = field(default_factory=dict)
    parts: tuple[Part, ...] = field(default=(), name="said")
    refusal: str = ""
    checks: tuple[Checked, ...] = ()
    replans: tuple[Replanned, ...] = ()
    retries: tuple[Retrying, ...] = ()
    failures: tuple[AttemptFailed, ...] = ()
    endpoint: str = ""
    finish_reason: str = ""
    stop_sequence: str = ""
    actuals: tuple[Actual, ...] = ()
    derived: tuple[Derived, ...] = ()
    notes: tuple[str, ...] = ()
    cost: float | None = 0.0
    seconds: float = 0.0

    @property
    def usage(self) -> Usage:
        """The token usage of all steps together; a count is None if no step reported it."""
        return usage_of(self.actuals)

    said = renamed_field("said", "parts")

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls in the answer: execute them, and send another request with ``parts`` and the results."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


def usage_of(actuals: Iterable[Actual]) -> Usage:
    """Sum the usage of steps field by field; a count is None if no step reported it."""
    every = [actual.usage for actual in actuals]
    counts: dict[str, int | None] = {}
    for name in Usage.__struct_fields__:
        values = [count for count in (getattr(usage, name) for usage in every) if count is not None]
        counts[name] = sum(values) if values else None
    return Usage(**counts)


def fold(events: Iterable[Event]) -> Result:
    """Fold the events of a run into a result. The events of a failed run fold to a partial result."""
    text: list[str] = []
    actuals: list[Actual] = []
    derived: list[Derived] = []
    notes: list[str] = []
    checks: list[Checked] = []
    replans: list[Replanned] = []
    retries: list[Retrying] = []
    failures: list[AttemptFailed] = []
    finished: Finished | None = None
    for event in events:
        if isinstance(event, TextDelta):
            text.append(event.text)
        elif isinstance(event, StepFinished):
            actuals.append(event.actual)
            derived.extend(event.derived)
        elif isinstance(event, Note):
            notes.append(event.text)
        elif isinstance(event, Checked):
            checks.append(event)
        elif isinstance(event, Replanned):
            replans.append(event)
        elif isinstance(event, Retrying):
            retries.append(event)
        elif isinstance(event, AttemptFailed):
            failures.append(event)
        elif isinstance(event, Finished):
            finished = event
    if finished is None:
        return Result(
            text="".join(text), actuals=tuple(actuals), derived=tuple(derived), notes=tuple(notes),
            checks=tuple(checks), replans=tuple(replans), retries=tuple(retries), failures=tuple(failures),
        )  # fmt: skip
    return Result(
        text="".join(text),
        data=finished.data,
        evidence=finished.evidence,
        looped=finished.looped,
        unread=finished.unread,
        transcript=finished.transcript,
        embedding=finished.embedding,
        speech=finished.speech,
        images=finished.images,
        scores=finished.scores,
        parts=finished.parts,
        refusal=finished.refusal,
        checks=tuple(checks),
        replans=tuple(replans),
        retries=tuple(retries),
        failures=tuple(failures),
        endpoint=finished.endpoint,
        finish_reason=finished.finish_reason,
        stop_sequence=finished.stop_sequence,
        actuals=tuple(actuals),
        derived=tuple(derived),
        notes=tuple(notes),
        cost=finished.cost,
        seconds=finished.seconds,
    )


AttemptState = Literal["reserved", "sent", "settled", "estimated", "void"]
__all__ = [
    "Actual", "AttemptFailed", "AttemptState", "Checked", "Committed", "Derived", "Drawn", "Event", "FieldEvidence",
    "Finished", "Note", "Replanned", "Rerouted", "Result", "Retrying", "Sketched", "Speech", "StepFinished",
    "StepProgress", "StepStarted", "TextDelta", "Thought", "Usage", "fold", "usage_of",
]  # fmt: skip
