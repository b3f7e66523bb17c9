"""Which plans are direct: a single call, for which the bytes of a client may be passed through to the host.

This is a property of the plan and of its endpoint's row. The client's API, fields and sizes may still prevent it, which
``executor/direct/compiled_plan.py`` decides for each shape of a chat.
"""

from __future__ import annotations

from intermodal.catalog.types import Endpoint
from intermodal.plans.cpu_schedule import NEAR
from intermodal.plans.plan import Candidate
from intermodal.plans.step import Call

SEVERAL_STEPS = "its plan has several steps"


def why_not_direct(route: Candidate, endpoint: Endpoint) -> str:
    """Return why a route is not direct, as the end of a sentence after "because"; "" if it is.

    ``endpoint``: the row of the endpoint that answers.
    """
    step = route.steps[0]
    if len(route.steps) != 1:
        return SEVERAL_STEPS
    if not isinstance(step, Call) or step.op != "generate":
        return "its call is not a chat"
    if any(check.op != "valid_json" for check in route.checks):
        return "its answer is checked against its files"
    if endpoint.host.zone == "process" or endpoint.weights:
        return "intermodal runs its model itself"
    if endpoint.host.counts_text:
        return "its host counts its tokens first"
    if any(each.kind != "image" for each in route.takes):
        return "it has files that are not pictures"
    if route.takes and endpoint.host.zone in NEAR:
        return "its pictures are encoded again for a host nearby"
    return ""
