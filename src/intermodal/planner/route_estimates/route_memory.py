"""What of a route is in this machine's memory at once.

What converts stays loaded for the next request, beside what answers. Where there is no memory for both it ends before
the answer: it is loaded once more when it is needed once more, and the route is one that fits.
"""

from __future__ import annotations

from intermodal.catalog.types import Endpoint
from intermodal.cost_model.levels import HIGH, Levels, larger, plus
from intermodal.cost_model.memory import fits
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.assignment import Assignment
from intermodal.planner.route_estimates.call_demand import CallDemand


def unloads_first(case: PlanningCase, endpoint: Endpoint, needs: CallDemand, answering: float) -> bool:
    """Whether what converts ends before the answer: with ``answering`` bytes more it would not fit, and ours can go."""
    if not (needs.ending and answering) or endpoint.id in needs.cold:
        return False
    return not fits(case.machine, needs.memory + answering)


def peak_memory(case: PlanningCase, endpoint: Endpoint, needs: CallDemand, answering: float) -> float:
    """Bytes of a route where whoever answers takes ``answering`` that are not loaded yet."""
    stays = needs.memory - needs.ending if unloads_first(case, endpoint, needs, answering) else needs.memory
    return max(stays + answering, needs.peak)


def peak_memory_levels(assignment: Assignment, answering: Levels, *, ends: bool) -> Levels:
    """The same at all levels. ``ends``: what ``ends_first`` says."""
    stays = assignment.memory
    if ends:
        gone = assignment.ending
        stays = (stays[0] - gone[0], stays[1] - gone[1], stays[HIGH] - gone[HIGH])
    return larger(plus(stays, answering), assignment.peak)


def ended(assignment: Assignment) -> tuple[str, ...]:
    """The processes that ``ends_first`` is about: embedded ones that the route loads to convert."""
    ours = (used for way in assignment.ways for used in way.converters if used.host.zone == "process")
    return tuple(dict.fromkeys(used.id for used in ours if used.id in assignment.cold))
