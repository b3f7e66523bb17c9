"""Memory of this machine: whether what a route loads fits."""

from __future__ import annotations

from intermodal.catalog.types import FullContext
from intermodal.plans.machine import Machine
from intermodal.plans.numbers import held


def fits(machine: Machine, needed: float) -> bool:
    """Return whether ``needed`` more bytes fit. What is loaded is already missing from ``free``.

    A machine of unknown memory (``memory`` 0) rejects nothing.
    """
    return machine.memory == 0 or needed <= machine.free


def reduced_context(uncut: FullContext, free: int) -> str:
    """Return why an endpoint currently has less than its context length."""
    return f"with {uncut.context:,} it needs {held(uncut.memory.high)} of memory, and {held(free)} are free"
