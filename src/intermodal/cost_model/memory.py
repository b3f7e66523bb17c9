"""Whether what a route loads fits into the memory of this machine."""

from __future__ import annotations

from intermodal.catalog.types import FullContext
from intermodal.plans.machine import Machine
from intermodal.plans.numbers import held


def fits(machine: Machine, needed: float) -> bool:
    """Whether ``needed`` more bytes fit. What is loaded is already missing from ``free``.

    A machine that says nothing about itself (``memory`` 0) refuses nothing.
    """
    return machine.memory == 0 or needed <= machine.free


def reduced_context(uncut: FullContext, free: int) -> str:
    """Why an endpoint has less than its context now."""
    return f"with {uncut.context:,} it needs {held(uncut.memory.high)} of memory, and {held(free)} are free"
