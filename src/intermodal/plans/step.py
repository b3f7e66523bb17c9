"""A step of a plan: its operation, its inputs, the aspects it keeps and loses, and its estimate.

Inputs are references: ``part:0`` (a part of the request, as it came) or ``step:<id>`` (what another
step made). A step carries sizes and parameters; ``cost_model`` prices it; it never prices itself.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from intermodal.catalog.types import Task
from intermodal.content import Value
from intermodal.quantity import Quantity
from intermodal.request import Aspect

# Transform ops are deterministic and weightless; call ops have weights or a price.
TransformOp = Literal["extract", "render", "select", "frames", "demux", "subtitles", "resize", "concat", "properties"]
CallOp = Literal["read", "transcribe", "describe", "generate", "translate", "embed", "speak", "score", "draw"]
CheckOp = Literal["transcript", "reading", "size", "valid_json", "evidence"]

ParameterPairs = tuple[tuple[str, str], ...]  # names and values as text, in an order that ids and cache keys rely on
SPEED_BASIS = "speed"  # the basis of seconds without further explanation


class StepEstimate(Value):
    """The estimated cost of a step.

    Attributes:
        input_tokens, output_tokens: tokens. thought_tokens: those of the output that are thought before the answer.
        cost: USD. seconds: wall time without loading. load_seconds: of a cold runtime.
        memory: bytes resident while it runs.
        text: characters of text it makes (for a conversion).
        cores: how many of this machine's it keeps busy (``plans/cpu_schedule.py``), 0 for none.
    """

    input_tokens: Quantity = Quantity()
    output_tokens: Quantity = Quantity()
    cost: Quantity = Quantity()
    seconds: Quantity = Quantity()
    load_seconds: Quantity = Quantity()
    memory: Quantity = Quantity()
    text: Quantity = Quantity()
    thought_tokens: Quantity = Quantity()
    cores: int = 0


PortionUnit = Literal["scenes", "lines", "pages", "seconds"]


class Portion(Value):
    """The share of an aspect that a step keeps, if it is counted and not complete.

    ``kept`` of ``of`` things called ``unit``: scenes of a film that are looked at; lines of a picture, or scanned
    pages, that an earlier reading of the same bytes was sure of; seconds of speech that an earlier hearing was.
    """

    aspect: Aspect
    kept: int
    of: int
    unit: PortionUnit

    @property
    def amount(self) -> Literal["most", "few"]:
        return amount_kept(self.kept, self.of, self.unit)


# Shares from which on most of the words are kept. Seconds are not words: their edges are a second off, speech in noise
# may be denser than before it, and some words of what was heard with confidence are wrong.
_MOST: dict[PortionUnit, float] = {"scenes": 0.5, "lines": 0.5, "pages": 0.5, "seconds": 0.6}


def amount_kept(kept: int, of: int, unit: PortionUnit) -> Literal["most", "few"]:
    """Return whether most of an aspect is kept where ``kept`` of ``of`` are.

    >>> amount_kept(12, 24, "lines"), amount_kept(12, 24, "seconds")
    ('most', 'few')
    """
    return "most" if kept >= _MOST[unit] * of else "few"


class Transform(Value, tag_field="step", tag="transform"):
    """A deterministic, weightless conversion done in the media worker.

    ``concat`` puts the texts of several conversions together, as the answer of a route on which no model answers; it
    has the part -1.

    ``params``: the operator's parameters as they are stored; ``plans/step_parameters.py`` reads and writes them, typed.
    ``partly``: of what it keeps, that of which some is counted to be missing; of a call, too.
    """

    id: str
    op: TransformOp
    inputs: tuple[str, ...]
    part: int
    title: str
    params: ParameterPairs = ()
    keeps: tuple[Aspect, ...] = ()
    loses: tuple[Aspect, ...] = ()
    note: str = ""
    estimate: StepEstimate = StepEstimate()
    partly: tuple[Portion, ...] = ()


class Call(Value, tag_field="step", tag="call"):
    """Anything with weights or a price, embedded or remote.

    ``part`` is the part it converts, -1 for the last step, which answers the request. ``room``: tokens of context that
    the server is asked to load its model with, None where it is not asked.
    """

    id: str
    op: CallOp
    task: Task
    endpoint: str
    inputs: tuple[str, ...]
    part: int = -1
    title: str = ""
    params: ParameterPairs = ()
    keeps: tuple[Aspect, ...] = ()
    loses: tuple[Aspect, ...] = ()
    note: str = ""
    room: int | None = None
    estimate: StepEstimate = StepEstimate()
    partly: tuple[Portion, ...] = ()


class Check(Value, tag_field="step", tag="check"):
    """A check of a step's result, with a finding if there is a problem.

    transcript  not empty, not looped, in a language the ear hears
    reading     text found, with enough confidence
    size        no longer than was planned for (the plan is made again otherwise)
    valid_json  the answer against its schema
    evidence    the answer's values against the text that it was made from

    ``note`` names the escalation; ``estimate`` is its price as a condition: low and mid 0, high its cost.
    """

    id: str
    op: CheckOp
    inputs: tuple[str, ...]
    part: int = -1
    title: str = ""
    note: str = ""
    estimate: StepEstimate = StepEstimate()


Step = Transform | Call | Check


_encode = msgspec.json.Encoder().encode


def step_id(op: str, endpoint: str, params: ParameterPairs, inputs: tuple[str, ...]) -> str:
    """Return the first 8 hex digits of SHA-256 over what a step does, with what and to what."""
    return hashlib.sha256(_encode((op, endpoint, params, inputs))).hexdigest()[:8]
