"""The best route on which all media are converted to text for a language model.

A plan names it if a multimodal model answers although text would suffice. The search that found the answer prunes
endpoints that are not among the best, so its own text routes may not include the best one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from operator import attrgetter, itemgetter

from intermodal.catalog.types import Endpoint
from intermodal.planner.catalog_index import EndpointGroup
from intermodal.planner.conversion.conversion_option import ConversionOption
from intermodal.planner.eligibility.eligible_endpoints import GroupBatch, group_batches, members_to_price
from intermodal.planner.route_estimates.assignment import Assignment, assign
from intermodal.planner.route_estimates.routes import Route
from intermodal.planner.route_estimates.voice_selection import is_mute
from intermodal.planner.route_search.assignment_pools import least_lost, linear_score, open_options
from intermodal.planner.route_search.lower_bounds import known_coefficients
from intermodal.planner.route_search.search import Search

TRIED = 64  # maximum number of endpoints priced: a limit that excludes this many of the best excludes nearly all
_BY_KEY = attrgetter("key")
# Lower bound of a group's routes, number of the group, the group, its batch, the text assignment, and what the
# assignment adds to the objective: a fixed part, and tokens.
_Queued = tuple[float, int, EndpointGroup, GroupBatch, Assignment, float, float]


def best_route_in_words(search: Search, lost: int) -> Route | None:
    """Return the best text route that loses no more needs than ``lost``; None if there is none."""
    perceived = {assignment: assignment.perceived for assignment in {route.assignment for route in search.routes}}
    found = [route for route in search.routes if route.demand.lost <= lost and not perceived[route.assignment]]
    best = min(found, key=_BY_KEY, default=None)
    if not search.is_pruned:
        return best
    tried = 0
    for least, _, group, row, assignment, fixed, tokens in sorted(_groups(search, lost)):
        if tried >= TRIED or (best is not None and (*assignment.loss, least) >= best.key):
            break
        pool = search.pools.pool(group)
        for endpoint, number in _members(search, group, row, fixed, tokens):
            if best is not None and (*assignment.loss, number) >= best.key:
                break
            tried += 1
            rates = search.case.rates(endpoint)
            route = search.route(endpoint, group, rates, assignment, pool.demand(assignment), [])
            if route is not None and (best is None or route.key < best.key):
                best = route
    return best


def _members(
    search: Search, group: EndpointGroup, row: GroupBatch, fixed: float, tokens: float
) -> list[tuple[Endpoint, float]]:
    """Return the members worth pricing, each with a lower bound of its route, in increasing order."""
    some = members_to_price(search.case, group, search.case.job, search.only)
    if group.number in search.case.special:
        return [(endpoint, -math.inf) for endpoint in some]
    prices = known_coefficients(search.case, row, search.weights, group)
    numbers = [base + fixed + tokens * text for base, text, *_ in prices]
    return sorted(zip(some, numbers, strict=True), key=itemgetter(1))


def _groups(search: Search, lost: int) -> Iterator[_Queued]:
    case = search.case
    speaks_alone = case.output == "speech"
    words = {option for choices in search.choices for option in choices if not option.perceived}
    made: dict[int, Assignment | None] = {}
    added: dict[Assignment, tuple[float, float]] = {}
    kept: dict[tuple[tuple[ConversionOption, ...], ...], Assignment | None] = {}
    for row in group_batches(case, search.left, search.floors.answer)[0]:
        usable = search.pools.usable(row.groups[0])
        if not isinstance(usable, list) or (row.remote and case.private_text):
            continue
        if id(usable) not in made:
            choices = tuple([tuple([option for option in some if option in words]) for some in usable])
            if choices not in kept:
                kept[choices] = _assignment(search, row, choices) if all(choices) else None
            made[id(usable)] = kept[choices]
        assignment = made[id(usable)]
        if assignment is None or assignment.lost > lost:
            continue
        if assignment not in added:
            added[assignment] = linear_score(assignment, search.weights)[:2]
        fixed, tokens = added[assignment]
        tokens += search.pools.text(row.vocabulary, row.schema_by, row.tool_rule)
        for group, prices in zip(row.groups, known_coefficients(case, row, search.weights), strict=True):
            if speaks_alone and is_mute(case, group.first):
                continue
            least = -math.inf if group.number in case.special else prices[0] + fixed + tokens * prices[1]
            yield least, group.number, group, row, assignment, fixed, tokens


def _assignment(search: Search, row: GroupBatch, choices: tuple[tuple[ConversionOption, ...], ...]) -> Assignment:
    """Return the options that look best for the first group of a batch."""
    options = open_options([least_lost(list(some)) for some in choices], search.case.machine.cores)
    prices = known_coefficients(search.case, row, search.weights)[0]
    return assign(search.case, options.picks(row.token_rules, prices, search.weights, waits=True), row.token_rules)


__all__ = ["best_route_in_words"]
