"""Whether what a route loads fits into the memory of this machine."""

from __future__ import annotations

from intermodal.plans.machine import Machine


def fits(machine: Machine, needed: float) -> bool:
    """Whether ``needed`` more bytes fit. What is loaded is already missing from ``free``.

    A machine that says nothing about itself (``memory`` 0) refuses nothing.
    """
    return machine.memory == 0 or needed <= machine.free
