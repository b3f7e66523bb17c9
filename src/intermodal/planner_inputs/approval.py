"""Check whether a plan may still be run: its media and endpoints are the approved ones, and every endpoint can be
called.
"""

from __future__ import annotations

from itertools import zip_longest

from intermodal.catalog.types import Catalog
from intermodal.errors import NoRoute, PlanStale
from intermodal.planner.catalog_index import needs_consent
from intermodal.plans.plan import REPLAN, Inputs, Plan, SavedPlan
from intermodal.plans.references import PartRef, input_references
from intermodal.plans.step import Call, Check
from intermodal.plans.step_parameters import parameters_of


def check_steps(plan: Plan, parts: int) -> None:
    """Raise PlanStale for a step with inputs or parameters that this version does not understand.

    Inputs must be among the ``parts`` of the request and the steps of the same candidate.
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


def check_approved(saved: SavedPlan, inputs: Inputs) -> None:
    """Raise PlanStale unless the media are the approved ones and every endpoint of the plan may still be called."""
    for before, now in zip_longest(saved.facts.parts, inputs.facts.parts):  # a file may hold more or fewer by now
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
    """Raise NoRoute if the plan lacks what it takes to call one of its endpoints: a key."""
    for step in plan.chosen.steps:
        endpoint = catalog.by_id.get(step.endpoint) if isinstance(step, Call) else None
        if endpoint is not None and not endpoint.ready:
            raise NoRoute(f"cannot be called: {endpoint.missing}", where=endpoint.id, todo=endpoint.todo)
