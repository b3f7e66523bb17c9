"""Bytes a route keeps resident on this machine."""

from __future__ import annotations

from intermodal.costing.levels import ZEROS, Level, Levels, plus
from intermodal.plans.machine import Machine


def peak(loaded: Levels, needed: Levels) -> Levels:
    """The peak: runtimes stay after their step, so everything loaded and everything needed is there together."""
    return plus(loaded, needed)


def fits(machine: Machine, needed: float) -> bool:
    """Whether ``needed`` more bytes fit. What is loaded is already missing from ``free``.

    A machine that says nothing about itself (``memory`` 0) refuses nothing.
    """
    return machine.memory == 0 or needed <= machine.free


__all__ = ["ZEROS", "Level", "fits", "peak"]
