"""Which converters may repeat a conversion that went badly: stronger ones, or ones that know the language."""

from __future__ import annotations

from intermodal.catalog.types import Endpoint
from intermodal.planner.conversion.conversion_option import TASK_OF
from intermodal.planner.planning_case import PlanningCase
from intermodal.plans.facts import ConversionOutcome


def may_redo(case: PlanningCase, after: Endpoint, done: ConversionOutcome) -> bool:
    """Return whether a converter may repeat a conversion; the same one, or one no stronger, would give the same
    result.
    """
    if after.id == done.endpoint:
        return False
    if done.problem == "language":
        languages = after.model.languages
        return not languages or (done.language in languages if done.language else False)
    failed, task = case.index.group_of.get(done.endpoint), TASK_OF[done.op]
    return failed is None or case.index.group_of[after.id].tier(task) > failed.tier(task)
