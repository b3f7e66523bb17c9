"""What-if planning: the routes of a request if every host had consent and a key, and all weights were pulled.

It is used for requests that no available model can answer, so that users without any model see the verdict, the price
and the command that makes a route reachable. No service is contacted: hosted prices come from the catalog.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from intermodal.advisor.candidate_catalog import OWN_SERVER, candidate_catalog
from intermodal.advisor.question import Hardware
from intermodal.catalog.host_rows import HostRow
from intermodal.catalog.types import Catalog
from intermodal.core.content import Value
from intermodal.core.quantity import Quantity
from intermodal.core.request import ZONES, Request
from intermodal.errors import IntermodalError
from intermodal.planner.catalog_index import what_is_missing
from intermodal.planner.planner import plan
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.plan import Inputs
from intermodal.plans.step import Call
from intermodal.plans.verdict import VerdictName

_PULL = "intermodal pull "


class WhatIfRoute(Value):
    """A route that would be chosen if everything in the catalog could be used.

    Attributes:
        place: "hosted" if a service answers, "local" if this machine does everything.
        headline: the first line of its plan. verdict: in one word.
        endpoint: the one that answers. endpoints: all that the route uses.
        cost: USD. seconds: with loading.
        todo: the commands that make it reachable.
    """

    place: str
    headline: str
    verdict: VerdictName
    endpoint: str
    endpoints: tuple[str, ...]
    cost: Quantity
    seconds: Quantity
    todo: tuple[str, ...]


def what_if_routes(
    inputs: Inputs, *, user: tuple[HostRow, ...] = (), hosts: tuple[str, ...] = (), own_snapshot: Path | None = None
) -> tuple[WhatIfRoute, ...]:
    """Return the best hosted and the best local route for a request that no available model can answer.

    Args:
        inputs: of the planner, with the catalog of reachable endpoints.
        user: host rows of the config. hosts: only these are trusted; () for all.

    Routes that the request's own limits exclude are left out.
    """
    policy = inputs.request.policy
    if policy.model:
        return ()  # no other model may answer in place of a named one
    found = candidate_catalog(
        Hardware(machine=inputs.machine, words=""),
        inputs.as_of,
        user=user,
        hosts=tuple(policy.hosts) or hosts,
        policy=policy,
        own_snapshot=own_snapshot,
    ).catalog
    catalog = found.among(tuple(each for each in found.endpoints if each.host is not OWN_SERVER))
    local_policy = replace(policy, farthest=min(policy.farthest, "machine", key=ZONES.index))
    policies = dict.fromkeys((policy, local_policy))
    routes = (_route(inputs, replace(inputs.request, policy=each), catalog) for each in policies)
    return tuple({each.endpoints: each for each in routes if each is not None}.values())


def _route(inputs: Inputs, request: Request, catalog: Catalog) -> WhatIfRoute | None:
    try:
        route_plan = plan(request, inputs.facts, catalog, inputs.machine, inputs.statistics, inputs.as_of)
    except IntermodalError:
        return None
    names = tuple(dict.fromkeys(step.endpoint for step in route_plan.chosen.steps if isinstance(step, Call)))
    used = [catalog.by_id[name] for name in names]
    fixes = (what_is_missing(inputs.catalog.by_id.get(each.id, each), inputs.catalog)[1] for each in used)
    return WhatIfRoute(
        place="local" if all(each.host.zone in LOCAL_ZONES for each in used) else "hosted",
        headline=route_plan.headline,
        verdict=route_plan.verdict.value,
        endpoint=route_plan.chosen.endpoint,
        endpoints=names,
        cost=route_plan.chosen.total.cost,
        seconds=route_plan.chosen.total.seconds,
        todo=_merge_commands(dict.fromkeys(filter(None, fixes))),
    )


def _merge_commands(commands: Iterable[str]) -> tuple[str, ...]:
    """Return the commands, with all pulls merged into one."""
    every = list(commands)
    weights = [each.removeprefix(_PULL) for each in every if each.startswith(_PULL)]
    others = tuple(each for each in every if not each.startswith(_PULL))
    return (*others, _PULL + " ".join(weights)) if weights else others
