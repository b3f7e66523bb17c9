"""The best route on which everything becomes words before a language model gets it.

A plan names it where a model that sees or hears answers although words would do. The search that found that answer
leaves out endpoints that are not among the best, so what it has of such routes is not the best of them.
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

TRIED = 64  # endpoints that are priced at most: where a limit excludes so many of the best, it excludes nearly all
_BY_KEY = attrgetter("key")
# The least number of a group's routes, the number of the group, the group, its batch, the assignment of words, and what
# that adds to a route's number: for itself, and in tokens.
_Queued = tuple[float, int, EndpointGroup, GroupBatch, Assignment, float, float]


def best_route_in_words(search: Search, lost: int) -> Route | None:
    """Return the best of these routes that loses no more needs than ``lost``, None where none is open."""
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
    """Return the members worth pricing, each with a number that its route does not undercut, the lowest first."""
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
    """Return the options that look best at the first group of a batch."""
    options = open_options([least_lost(list(some)) for some in choices], search.case.machine.cores)
    prices = known_coefficients(search.case, row, search.weights)[0]
    return assign(search.case, options.picks(row.token_rules, prices, search.weights, waits=True), row.token_rules)


__all__ = ["best_route_in_words"]
