"""Peak memory of a route on this machine.

Converters stay loaded for the next request, beside the answering model. Where memory does not hold both, they are
unloaded before the answer and loaded again when next needed.
"""

from __future__ import annotations

from intermodal.catalog.types import Endpoint
from intermodal.cost_model.levels import HIGH, Levels, larger, plus
from intermodal.cost_model.memory import fits
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.assignment import Assignment
from intermodal.planner.route_estimates.call_demand import CallDemand


def unloads_first(case: PlanningCase, endpoint: Endpoint, needs: CallDemand, answering: float) -> bool:
    """Return whether converters are unloaded before the answer, as ``answering`` bytes more would not fit."""
    if not (needs.ending and answering) or endpoint.id in needs.cold:
        return False
    return not fits(case.machine, needs.memory + answering)


def peak_memory(case: PlanningCase, endpoint: Endpoint, needs: CallDemand, answering: float) -> float:
    """Return the bytes of a route whose answering model takes ``answering`` bytes that are not loaded yet."""
    stays = needs.memory - needs.ending if unloads_first(case, endpoint, needs, answering) else needs.memory
    return max(stays + answering, needs.peak)


def peak_memory_levels(assignment: Assignment, answering: Levels, *, ends: bool) -> Levels:
    """Return the same at all levels. ``ends``: the result of ``unloads_first``."""
    stays = assignment.memory
    if ends:
        gone = assignment.ending
        stays = (stays[0] - gone[0], stays[1] - gone[1], stays[HIGH] - gone[HIGH])
    return larger(plus(stays, answering), assignment.peak)


def ended(assignment: Assignment) -> tuple[str, ...]:
    """The processes that ``ends_first`` is about: embedded ones that the route loads to convert."""
    ours = (used for way in assignment.ways for used in way.converters if used.host.zone == "process")
    return tuple(dict.fromkeys(used.id for used in ours if used.id in assignment.cold))
