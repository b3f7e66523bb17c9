"""Whether a plan may run that was made earlier: approved and saved in a file, or held by the caller.

Files, endpoints and consent are compared; prices are not.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from intermodal.errors import NoRoute, PlanStale
from intermodal.planner.catalog_index import needs_consent
from intermodal.plans.plan import Inputs, PartRef, Plan, SavedPlan, input_references
from intermodal.plans.step import REPLAN, Call, Check, parameters_of

if TYPE_CHECKING:
    from intermodal.catalog.types import Catalog


def check_plan_steps(plan: Plan, parts: int) -> None:
    """Raise PlanStale for a step with inputs or parameters that this version does not understand.

    Inputs must refer to the ``parts`` of the request or to steps of the same candidate.
    """
    for candidate in (plan.chosen, *plan.fallbacks):
        ids = {step.id for step in candidate.steps}
        for step in candidate.steps:
            for each in input_references(step):
                if each.index >= parts if isinstance(each, PartRef) else each.id not in ids:
                    where = f"step {step.id} ({step.op})"
                    raise PlanStale(f"the input {str(each)!r} is not in the plan", where=where, todo=REPLAN)
            if not isinstance(step, Check):
                parameters_of(step)


def check_saved_plan(saved: SavedPlan, inputs: Inputs) -> None:
    """Raise PlanStale unless the media are unchanged since approval and the plan's endpoints may still be called."""
    for before, now in zip_longest(saved.facts.parts, inputs.facts.parts):  # files may have changed
        if before is None or now is None or before.digest != now.digest:
            known = now or before
            assert known is not None
            raise PlanStale(
                "changed since the plan was approved",
                where=next(iter(known.origins), known.name),
                todo=REPLAN,
            )
    for step in saved.plan.chosen.steps:
        if isinstance(step, Call):
            endpoint = inputs.catalog.by_id.get(step.endpoint)
            if endpoint is None or not endpoint.ready:
                why = endpoint.missing if endpoint is not None else "no longer in the catalog"
                raise PlanStale(
                    f"the approved plan needs it, but: {why}",
                    where=step.endpoint,
                    todo=(endpoint.todo if endpoint is not None else "") or REPLAN,
                )
            allowed = (*inputs.catalog.consent, *saved.request.policy.hosts)
            if needs_consent(endpoint) and endpoint.host.id not in allowed:
                raise PlanStale(
                    f"the approved plan needs it, but there is no consent for host {endpoint.host.id} any more",
                    where=step.endpoint,
                    todo=f"run: intermodal hosts add {endpoint.host.id}",
                )


def check_callable(plan: Plan, catalog: Catalog) -> None:
    """Raise NoRoute if an endpoint of the plan cannot be called, for example because its API key is missing."""
    for step in plan.chosen.steps:
        endpoint = catalog.by_id.get(step.endpoint) if isinstance(step, Call) else None
        if endpoint is not None and not endpoint.ready:
            raise NoRoute(f"cannot be called: {endpoint.missing}", where=endpoint.id, todo=endpoint.todo)
