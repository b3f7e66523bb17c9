"""A plan: the chosen route, its fallbacks, and the rejected candidates with reasons. Frozen, ordered, content-hashed.

The inputs of its steps are references:

>>> str(PartRef(0)), parse_reference("step:1a2b3c4d")
('part:0', StepRef(id='1a2b3c4d'))

A plan also states whether it is direct (``why_not_direct``): a single call to which a client's bytes may be passed
through unchanged. The client's API, fields and sizes may still prevent that; ``executor/direct/compiled_plan.py``
decides it for each shape of a chat request. The planner writes sentences as hints (``core/hints.py``), and
``for_surface`` phrases them for the command line, Python or HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from intermodal.catalog.types import Catalog, Endpoint
from intermodal.core.content import Kind, Value, renamed_field
from intermodal.core.hints import Hint, Surface, spell_text
from intermodal.core.quantity import Quantity
from intermodal.core.request import Aspect, Message, Objective, Request, Tier, Zone
from intermodal.errors import PlanStale
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.display import RENDERERS
from intermodal.plans.facts import Facts, Need, PropertiesNeed
from intermodal.plans.machine import Machine
from intermodal.plans.statistics import Statistics
from intermodal.plans.step import REPLAN, Call, Check, Step, StepEstimate, Transform
from intermodal.plans.verdict import Other, Verdict, VerdictName

PLAN_VERSION = 1
INPUTS_VERSION = 1

# An explored endpoint gets one in ``EXPLORED_EVERY`` requests, and at most ``EXPLORED_MOST`` until it is measured.
EXPLORED_EVERY = 10
EXPLORED_MOST = 5


class Send(Value):
    """Data that leaves this machine. ``what`` is the amount in words ("171 tok text", "1 image 1240x1754")."""

    what: str
    kind: Kind
    origin: str
    host: str
    url: str
    zone: Zone


def send_fields(send: Send) -> dict[str, str]:
    """Return the fields of a ``Send`` under the names used in output."""
    return {"what": send.what, "from": send.origin, "host": send.host, "zone": send.zone}


class NativeInput(Value):
    """A part, or ``count`` equal parts, that the last endpoint receives unconverted or as rendered pages.

    ``kind`` is the kind of the part, or of one track of a video. ``counted_as`` is the kind whose token rule counted
    it, or "" if it is the same as ``kind``.
    """

    part: int
    title: str
    kind: Kind
    tokens: Quantity = Quantity()
    count: int = 1
    counted_as: Kind | Literal[""] = ""


class Candidate(Value):
    """One complete route, with its estimates.

    Attributes:
        steps: in topological order. The last one answers, or speaks the answer of the step before it. If no model
            answers, it is a conversion, or a step that concatenates the texts of several conversions.
        endpoint: endpoint of the answering step; if no model answers, of the last step that recognises text, or "".
        total: cost and tokens are sums. Seconds come from a schedule over the machine's resources, loading included.
            Memory is the maximum of all models that the route loads on this machine and the decoders that run at the
            same time.
        score: the value that the objective minimises, in its unit.
        tier: the strength of its weakest model.
        keeps, loses: aspects. ``warnings`` names the lost aspects that the question seems to need.
        lost: number of required aspects that the route loses, over all parts. diverted: number of parts that are
            converted although the named model accepts them. Both are compared before the score.
        sends: everything that leaves this machine.
        takes: parts that reach the last endpoint without being converted to text.
        checks: checks that run after the last step, each with the price of its escalation.
        summary: the route in a few words ("transcript + image as it is").
        verdict: whether a language model is enough, judged on this route alone.
        cores: processor cores shared by the steps. decoders: maximum number of transforms that run at the same time.
        ends: local converter endpoints that are unloaded before the answer, because memory does not hold both models.
    """

    id: str
    steps: tuple[Step, ...]
    endpoint: str
    total: StepEstimate
    score: float
    tier: Tier
    keeps: tuple[Aspect, ...] = ()
    loses: tuple[Aspect, ...] = ()
    sends: tuple[Send, ...] = ()
    warnings: tuple[str, ...] = ()
    summary: str = ""
    takes: tuple[NativeInput, ...] = ()
    checks: tuple[Check, ...] = ()
    counted: tuple[str, ...] = ()
    lost: int = 0
    diverted: int = 0
    verdict: VerdictName = "enough"
    cores: int = 1
    decoders: int = 1
    ends: tuple[str, ...] = ()

    @property
    def last(self) -> Transform | Call:
        """The step that ends the route. Only checks of its result may follow it."""
        return next(step for step in reversed(self.steps) if not isinstance(step, Check))

    @property
    def call(self) -> Call:
        """The call that ends the route. Asserts that the last step is a call."""
        last = self.last
        assert isinstance(last, Call)
        return last

    @property
    def words_alone(self) -> bool:
        """True if no model answers: the text of the files, as extracted or recognised, is the answer."""
        return self.last.op == "concat" or self.last.part >= 0

    @property
    def answering(self) -> Transform | Call:
        """The step that answers: the last one, or the one before it if the last one speaks the answer."""
        last = self.last
        answer = next((s for s in self.steps if isinstance(s, Call) and s.op == "generate" and s.part < 0), None)
        return answer if last.op == "speak" and answer is not None else last


def calls_of(candidate: Candidate) -> tuple[str, ...]:
    """Return the operation and the endpoint of each call, in order."""
    return tuple(f"{step.op} {step.endpoint}" for step in candidate.steps if isinstance(step, Call))


class Outranked(Value):
    """A feasible route that was not chosen. ``reason`` compares it with the chosen one."""

    endpoint: str
    summary: str
    total: StepEstimate
    reason: str


class PartNeeds(Value):
    """The question's needs for parts that share a conversion.

    Attributes:
        part: index of the first of these parts in ``Request.parts()``. count: number of parts. title: their name in
            sentences.
        needed: aspects that the answer depends on. unsure: aspects that it may need. Each with its score and evidence.
        by: the sentence model that estimated the needs; "" if they come from English keywords of the question.
        properties: set if the question asks for properties of the file (duration, pages, size).
    """

    part: int
    title: str
    count: int = 1
    needed: tuple[Need, ...] = ()
    unsure: tuple[Need, ...] = ()
    by: str = ""
    properties: PropertiesNeed | None = None


class Rejected(Value):
    """Why some endpoints cannot serve the request: one row per rule and class of endpoints.

    Attributes:
        rule: a stable word ("consent", "privacy", "floor", "modality", "context", "not_ready", …).
        count: number of endpoints. endpoints: some of their ids. hosts: number of their hosts if ``endpoints`` is
            empty.
    """

    rule: str
    reason: str
    count: int = 1
    endpoints: tuple[str, ...] = ()
    hosts: int = 0


class Plan(Value):
    """The route of a request, with its estimates and alternatives.

    Attributes:
        id: the first 12 hex digits of a SHA-256 over the other fields, with candidates by their own content ids.
        headline: the kind of call ("LLM call after two conversions"), and the verdict in words.
        verdict: whether a language model is enough, what the question needs, and the route that would keep those needs.
        policy_line: the policy in words, as EXPLAIN prints it.
        inputs: digest of the planner's inputs. catalog: its version. statistics: their epoch.
        as_of: the date for which the plan was made, ISO; prices are dated.
        explores: unmeasured fallback endpoint that may be better than the chosen one and that some requests call first
            (``planner/exploration.py``); "" for none.
        needs: what the question needs of the media, as far as known.
        not_direct: why the plan is not a single call that can be passed through (``why_not_direct``); "" if it is.
        notes: sentences for the user: the floor was not reached, a language was assumed, an aspect is lost.
    """

    id: str
    headline: str
    policy_line: str
    objective: Objective
    chosen: Candidate
    fallbacks: tuple[Candidate, ...] = ()
    outranked: tuple[Outranked, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    notes: tuple[str, ...] = ()
    inputs: str = ""
    catalog: str = ""
    statistics: int = 0
    as_of: str = ""
    explores: str = ""
    needs: tuple[PartNeeds, ...] = ()
    verdict: Verdict = Verdict()
    not_direct: str = ""

    def svg(self, name: str = "") -> str:
        """Return the plan as an SVG picture; see ``plans/plan_svg.py``."""
        return RENDERERS["svg"](self, name)

    def __str__(self) -> str:
        """Return the EXPLAIN text."""
        return RENDERERS["text"](self)

    def _repr_html_(self) -> str:
        """Return HTML for a notebook: the picture, followed by the escaped EXPLAIN text."""
        return f"{self.svg()}<details><summary>as text</summary><pre>{escape(str(self))}</pre></details>"


class Inputs(Value):
    """Everything the planner reads. Equal inputs give equal plans; ``explain --inputs`` saves and replays them.

    ``original_messages`` contains the messages before their files were expanded for ``request``; () if none were
    expanded. ``original`` is the request to reopen later, for an approved plan or the next turn of a conversation.
    """

    request: Request
    facts: Facts
    catalog: Catalog
    machine: Machine
    statistics: Statistics
    as_of: str
    original_messages: tuple[Message, ...] = msgspec.field(default=(), name="asked")
    version: int = INPUTS_VERSION

    asked = renamed_field("asked", "original_messages")

    @property
    def original(self) -> Request:
        """The request before its files were expanded."""
        return (
            msgspec.structs.replace(self.request, messages=self.original_messages)
            if self.original_messages
            else self.request
        )


class SavedPlan(Value):
    """An approved plan on disk, with the request and facts for which it was made.

    Contains the bytes of in-memory parts. Files are stored by path, and their digests are verified when the plan runs.
    """

    plan: Plan
    request: Request
    facts: Facts
    kind: Literal["intermodal.plan"] = "intermodal.plan"
    version: int = PLAN_VERSION


# References of a step to its inputs: a part of the request, or the result of another step.
#
# A plan stores them as text, ``part:0`` or ``step:1a2b3c4d``. No other module reads or writes this form.


class PartRef(Struct, frozen=True, gc=False):
    """A part of the request, unconverted, by its index in ``Request.parts()``."""

    index: int

    def __str__(self) -> str:
        return f"part:{self.index}"


class StepRef(Struct, frozen=True, gc=False):
    """The result of another step, by the id of that step."""

    id: str

    def __str__(self) -> str:
        return f"step:{self.id}"


Reference = PartRef | StepRef


def parse_reference(text: str) -> Reference:
    """Parse a stored reference. Raises ValueError if it is neither ``part:NUMBER`` nor ``step:ID``."""
    kind, _, name = text.partition(":")
    if kind == "step" and name:
        return StepRef(name)
    if kind == "part" and name.isdecimal():
        return PartRef(int(name))
    raise ValueError(f"the input {text[:40]!r} is neither part:NUMBER nor step:ID")


def input_references(step: Step) -> tuple[Reference, ...]:
    """Return the inputs of a step in order. Raises PlanStale if an input is not a valid reference."""
    return tuple(iterate_references(step))


def iterate_references(step: Step) -> Iterator[Reference]:
    """Yield the inputs of a step in order, parsed lazily. Raises PlanStale if an input is not a valid reference."""
    try:
        yield from map(parse_reference, step.inputs)
    except ValueError as error:
        raise PlanStale(str(error), where=f"step {step.id} ({step.op})", todo=REPLAN) from None


def input_steps(step: Step) -> tuple[str, ...]:
    """Return the ids of the steps whose results a step takes as input, in order."""
    return tuple(each.id for each in input_references(step) if isinstance(each, StepRef))


def takes_step(step: Step, id: str) -> bool:
    """Return whether a step takes the result of the step with this id.

    Compares text without parsing it, because a check may have 1,000 inputs and this is called for each of them.
    """
    return str(StepRef(id)) in step.inputs


def takes_part(step: Step) -> bool:
    """Return whether a step takes a part of the request unconverted."""
    return any(isinstance(each, PartRef) for each in input_references(step))


SEVERAL_STEPS = "its plan has several steps"


def why_not_direct(route: Candidate, endpoint: Endpoint) -> str:
    """Return why a route is not direct, as the end of a sentence after "because"; "" if it is direct.

    ``endpoint``: the endpoint that answers.
    """
    step = route.steps[0]
    if len(route.steps) != 1:
        return SEVERAL_STEPS
    if not isinstance(step, Call) or step.op != "generate":
        return "its call is not a chat"
    if any(check.op != "valid_json" for check in route.checks):
        return "its answer is checked against its files"
    if endpoint.host.zone == "process" or endpoint.weights:
        return "intermodal runs its model itself"
    if endpoint.host.counts_text:
        return "its host counts its tokens first"
    if any(each.kind != "image" for each in route.takes):
        return "it has files that are not images"
    if route.takes and endpoint.host.zone in LOCAL_ZONES:
        return "its images are encoded again for a host nearby"
    return ""


_Row = TypeVar("_Row", Outranked, Rejected)


def for_surface(plan: Plan, surface: Surface) -> Plan:
    """Return the plan with every sentence phrased as plain text for ``surface``."""
    return replace(
        plan,
        headline=spell_text(plan.headline, surface),
        verdict=_verdict(plan.verdict, surface),
        chosen=_candidate(plan.chosen, surface),
        fallbacks=tuple(_candidate(each, surface) for each in plan.fallbacks),
        outranked=tuple(_with_plain_reason(each, surface) for each in plan.outranked),
        rejected=tuple(_with_plain_reason(each, surface) for each in plan.rejected),
        notes=tuple(spell_text(each, surface) for each in plan.notes),
    )


def _with_plain_reason(row: _Row, surface: Surface) -> _Row:
    return replace(row, reason=spell_text(row.reason, surface)) if isinstance(row.reason, Hint) else row


def _candidate(candidate: Candidate, surface: Surface) -> Candidate:
    if not any(isinstance(each, Hint) for each in candidate.warnings):
        return candidate
    return replace(candidate, warnings=tuple(spell_text(each, surface) for each in candidate.warnings))


def _verdict(verdict: Verdict, surface: Surface) -> Verdict:
    phrased = {
        name: replace(other, kept_out=spell_text(other.kept_out, surface))
        for name in verdict.__struct_fields__
        if isinstance(other := getattr(verdict, name), Other) and isinstance(other.kept_out, Hint)
    }
    return replace(verdict, **phrased) if phrased else verdict
