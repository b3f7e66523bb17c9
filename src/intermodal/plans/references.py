"""References of a step to its inputs: a part of the request, or the result of another step.

A plan stores them as text, ``part:0`` or ``step:1a2b3c4d``. This module is the only one that reads or writes this form:

>>> str(PartRef(0)), parse_reference("step:1a2b3c4d")
('part:0', StepRef(id='1a2b3c4d'))
"""

from __future__ import annotations

from msgspec import Struct

from intermodal.errors import PlanStale
from intermodal.plans.plan import REPLAN
from intermodal.plans.step import Step


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
