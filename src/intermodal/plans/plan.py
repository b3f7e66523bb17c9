"""A plan: the chosen route, its fallbacks, and the rejections with reasons. Frozen, ordered, content-hashed.

The inputs of its steps are references:

>>> str(PartRef(0)), parse_reference("step:1a2b3c4d")
('part:0', StepRef(id='1a2b3c4d'))
"""

from __future__ import annotations

from html import escape
from typing import Literal

import msgspec
from msgspec import Struct

from intermodal.catalog.types import Catalog
from intermodal.content import Kind, Value
from intermodal.errors import PlanStale
from intermodal.hints import action
from intermodal.plans.display import RENDERERS
from intermodal.plans.facts import Facts, Need
from intermodal.plans.machine import Machine
from intermodal.plans.statistics import Statistics
from intermodal.plans.step import Call, Check, Step, StepEstimate, Transform
from intermodal.plans.verdict import Verdict, VerdictName
from intermodal.quantity import Quantity
from intermodal.request import Aspect, Message, Objective, Request, Tier, Zone

PLAN_VERSION = 1
REPLAN = action("run intermodal explain --save again", python="plan it again", http="plan it again")
INPUTS_VERSION = 1

# An endpoint that is tried out gets one of so many requests, and so many in all until it is measured.
EXPLORED_EVERY = 10
EXPLORED_MOST = 5


class Send(Value):
    """One thing that leaves this machine. ``what`` is an amount in words ("171 tok text", "1 image 1240x1754")."""

    what: str
    kind: Kind
    origin: str
    host: str
    url: str
    zone: Zone


def sent(send: Send) -> dict[str, str]:
    """Return the entry as it appears in output."""
    return {"what": send.what, "from": send.origin, "host": send.host, "zone": send.zone}


class NativeInput(Value):
    """A part, or ``count`` parts alike, that the last endpoint gets as it is or as pictures of its pages.

    ``kind`` is the part's, or of a video's track; ``counted_as`` that of the rule which counted it ("" where it is the
    same).
    """

    part: int
    title: str
    kind: Kind
    tokens: Quantity = Quantity()
    count: int = 1
    counted_as: Kind | Literal[""] = ""


class Candidate(Value):
    """One complete route.

    Attributes:
        steps: in an order in which they can run; the last one answers, or speaks the answer made before. Where no model
            answers, it is a conversion, or puts the texts of several together.
        endpoint: of the step that answers; where no model does, of the last one that recognises, "" for none.
        total: cost and tokens summed; seconds scheduled over the machine's resources, loading included; memory of
            everything that has to be loaded for it on this machine, together, beside what is there already, or of
            decoders that work at once, if that is more.
        score: the number that the objective minimises, in its unit.
        tier: the weakest link.
        keeps, loses: aspects, with inferred needs that are lost in ``warnings``.
        lost: number of needs that the answer depends on and the route loses, over all parts. diverted: parts that a
            named model accepts unconverted and gets converted. Both come before the score.
        sends: everything that leaves the machine.
        takes: parts that reach the last endpoint without becoming text.
        checks: made after the last step, each with the price of its escalation.
        summary: the route in a few words ("transcript + picture as it is").
        verdict: whether a language model is enough, as far as this route shows it.
        cores: of the machine, which the steps share. decoders: how many transforms may run at once.
        ends: endpoints of this machine that have converted and end before the answer, as there is no memory for both.
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
        """The step that ends the route; checks of its result may stand behind it."""
        return next(step for step in reversed(self.steps) if not isinstance(step, Check))

    @property
    def call(self) -> Call:
        """The call that ends the route, where one does."""
        last = self.last
        assert isinstance(last, Call)
        return last

    @property
    def words_alone(self) -> bool:
        """Whether no model answers: the words of the files, as they are extracted or recognised, are the answer."""
        return self.last.op == "concat" or self.last.part >= 0

    @property
    def answering(self) -> Transform | Call:
        """The step that answers: the last one, or the one before a voice that speaks its words."""
        last = self.last
        made = next((s for s in self.steps if isinstance(s, Call) and s.op == "generate" and s.part < 0), None)
        return made if last.op == "speak" and made is not None else last


def calls_of(candidate: Candidate) -> tuple[str, ...]:
    """Operation and endpoint of each call, in order."""
    return tuple(f"{step.op} {step.endpoint}" for step in candidate.steps if isinstance(step, Call))


class Outranked(Value):
    """A route that could, but is not the best. ``reason`` compares it with the chosen one."""

    endpoint: str
    summary: str
    total: StepEstimate
    reason: str


class PartNeeds(Value):
    """The question's needs of parts with the same conversion.

    Attributes:
        part: the first of them, as ``Request.parts()`` counts; ``count`` of them, called ``title``.
        needed: aspects that the answer depends on. unsure: aspects that it may need. Each with its score and evidence.
        by: the sentence model that estimated it; "" if only English keywords of the question were available.
    """

    part: int
    title: str
    count: int = 1
    needed: tuple[Need, ...] = ()
    unsure: tuple[Need, ...] = ()
    by: str = ""


class Rejected(Value):
    """Why some endpoints cannot serve. One row per (rule, class of endpoints); ``count`` of them, a few by id.

    ``hosts``: of how many hosts, where the endpoints are counted and not listed.

    ``rule`` is a stable word ("consent", "privacy", "floor", "modality", "context", "not_ready", …).
    """

    rule: str
    reason: str
    count: int = 1
    endpoints: tuple[str, ...] = ()
    hosts: int = 0


class Plan(Value):
    """The route of a request, with its estimates and alternatives.

    Attributes:
        id: SHA-256 over the other fields (candidates by their own content ids), first 12 hex digits.
        headline: the kind of call ("LLM call after two conversions"), and the verdict in words.
        verdict: whether a language model is enough, the needs and losses, and the route that would keep them.
        policy_line: the policy in words, as EXPLAIN prints it.
        inputs: digest of the planner's inputs. catalog: its version. statistics: its epoch.
        as_of: the date the plan was made for (prices are dated), ISO.
        explores: endpoint of the fallback that is tried out, as it is unmeasured and may be better than the chosen one
            (``planner/exploration.py``); "" for none.
        needs: the question's needs of the media, as far as known.
        not_direct: why it takes more than one call that is passed on (``plans/direct_calls.py``), "" if it does not.
        notes: sentences for the user (floor not reached, language assumed, aspect lost).
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
        """The plan as a picture; see :func:`intermodal.plans.plan_svg.svg`."""
        return RENDERERS["svg"](self, name)

    def __str__(self) -> str:
        """The EXPLAIN text."""
        return RENDERERS["text"](self)

    def _repr_html_(self) -> str:
        """Return the plan for a notebook: the picture, and the EXPLAIN text, escaped, below it."""
        return f"{self.svg()}<details><summary>as text</summary><pre>{escape(str(self))}</pre></details>"


class Inputs(Value):
    """Everything the planner reads. Saved and replayed by ``explain --inputs``; same inputs, same bytes.

    ``asked`` has the original messages if files in them were expanded for ``request``; otherwise it is empty.
    ``original`` is the one to open again later (an approved plan, the next turn).
    """

    request: Request
    facts: Facts
    catalog: Catalog
    machine: Machine
    statistics: Statistics
    as_of: str
    asked: tuple[Message, ...] = ()
    version: int = INPUTS_VERSION

    @property
    def original(self) -> Request:
        """The request with its files whole."""
        return msgspec.structs.replace(self.request, messages=self.asked) if self.asked else self.request


class SavedPlan(Value):
    """An approved plan on disk: the plan, and the request and facts it was made for.

    Bytes of in-memory parts travel along; files are named by path and checked by digest when run.
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
    """A part of the request, as it came, by its index among all parts."""

    index: int

    def __str__(self) -> str:
        return f"part:{self.index}"


class StepRef(Struct, frozen=True, gc=False):
    """What another step makes, by the id of that step."""

    id: str

    def __str__(self) -> str:
        return f"step:{self.id}"


Reference = PartRef | StepRef


def parse_reference(text: str) -> Reference:
    """Return the reference that a plan stores as text. Raises ValueError for anything else."""
    kind, _, name = text.partition(":")
    if kind == "step" and name:
        return StepRef(name)
    if kind == "part" and name.isdecimal():
        return PartRef(int(name))
    raise ValueError(f"the input {text[:40]!r} is neither part:NUMBER nor step:ID")


def input_references(step: Step) -> tuple[Reference, ...]:
    """Return the inputs of a step in order. Raises PlanStale for one that is no reference."""
    try:
        return tuple(map(parse_reference, step.inputs))
    except ValueError as error:
        raise PlanStale(str(error), where=f"step {step.id} ({step.op})", todo=REPLAN) from None


def input_steps(step: Step) -> tuple[str, ...]:
    """Return the ids of the steps whose results a step takes, in order."""
    return tuple(each.id for each in input_references(step) if isinstance(each, StepRef))


def takes_step(step: Step, id: str) -> bool:
    """Return whether a step takes the result of the step with this id.

    Nothing is parsed: a check may take the results of 1,000 conversions, and each of these asks.
    """
    return str(StepRef(id)) in step.inputs


def takes_part(step: Step) -> bool:
    """Return whether a step takes a part of the request as it came."""
    return any(isinstance(each, PartRef) for each in input_references(step))
