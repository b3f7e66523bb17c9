"""Finds the routes worth comparing: few assignments per group of endpoints, priced group by group, best bound first.

1. Converters: those that are best under some weighting (``converters.py``).
2. Assignment pools: endpoints with the same input profile and token rules share their assignments.
3. Queue: groups are ordered by a lower bound, the score of a member with the best of every figure and the least of
   every demand. Members are priced until no queued group can enter the list of best routes.
4. A group whose best possible member violates a limit is rejected whole. Limits that couple the bundles (context,
   images per request) are met by other assignments; pages are selected only where no endpoint takes all.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from operator import attrgetter

from msgspec import Struct

from intermodal.catalog.types import Endpoint
from intermodal.core.hints import action, hint
from intermodal.cost_model.rates import Rates
from intermodal.cost_model.token_rules import TokenRules
from intermodal.planner.catalog_index import MAX_LISTED_IDS, EndpointGroup
from intermodal.planner.conversion.conversion_option import ConversionOption, ConvertersByJob, Loss
from intermodal.planner.conversion.conversion_options import conversion_options
from intermodal.planner.conversion.converters import StrengthFloors, shortlist_converters
from intermodal.planner.conversion.fidelity import UNCONVERTED_OPTIONS
from intermodal.planner.conversion.page_selection import with_fewer_pages
from intermodal.planner.eligibility import rules
from intermodal.planner.eligibility.eligible_endpoints import (
    EligibleEndpoints,
    EndpointFilter,
    EndpointRejection,
    GroupBatch,
    RejectionLog,
    group_batches,
    members_to_price,
)
from intermodal.planner.eligibility.rules import PricedRoute, Reason
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.assignment import Assignment, assign
from intermodal.planner.route_estimates.call_demand import (
    CallDemand,
    answer_limit,
    answering_tier,
    calibrated_demand,
    call_demand,
    context_tokens,
)
from intermodal.planner.route_estimates.routes import (
    Route,
    RouteLimits,
    RouteNumbers,
    price_route,
    priced_route,
    route_limits,
)
from intermodal.planner.route_estimates.voice_selection import best_voice, is_mute
from intermodal.planner.route_search.assignment_pools import (
    ALL_COMBINATIONS,
    AssignmentPool,
    AssignmentPools,
    pool_assignments,
    shortest_assignment,
)
from intermodal.planner.route_search.lower_bounds import (
    CHEAP,
    QUICK,
    BatchBound,
    Coefficients,
    Weights,
    coefficients,
    known_coefficients,
    least_added_score,
    least_coefficients,
)
from intermodal.planner.route_search.objectives import (
    NUMBER_PLACE,
    Key,
    candidate_score,
    is_scalar_objective,
    lower_bound_keys,
    objective_weights,
    ranking_key,
)
from intermodal.plans.verdict import joined_names

ENOUGH = 9  # endpoints to list: the chosen one, three fallbacks, five outranked
KEY_PRECISION = 1e-9  # numbers in keys are rounded to this precision
_BY_KEY = attrgetter("key")

_PAGES = action(hint(" ({pages})"), http="")  # a client of the gateway sends fewer pages, as the remedy states


class SearchResult(Struct):
    """Feasible routes, best first, and the rejections. ``search`` answers further questions."""

    routes: list[Route]
    refused: list[EndpointRejection]
    conversions: ConvertersByJob
    search: Search


class Search:
    """One search under one set of floors.

    ``only`` restricts a job to one endpoint, ``every`` prices all routes, ``ends`` adds the cheapest and the fastest
    route even if they would not be chosen.
    """

    def __init__(
        self,
        case: PlanningCase,
        left: EligibleEndpoints,
        floors: StrengthFloors,
        only: EndpointFilter | None = None,
        *,
        every: bool = False,
        ends: bool = False,
    ) -> None:
        self.case = case
        self.left = left
        self.floors = floors
        self.only = only
        self.every = every
        self.ends = ends
        self.weights = objective_weights(case.policy)
        self.by_number = is_scalar_objective(case)
        self.limits: RouteLimits = route_limits(case, floors.answer)
        self.routes: list[Route] = []
        self.misses = RejectionLog(case)
        self.conversions: ConvertersByJob = {}
        self.choices: list[list[ConversionOption]] = []
        self.pools = AssignmentPools(case, [])
        self.few = True  # there are few combinations of options, so all are tried
        self.select_pages = False
        self._top: list[Key] = []  # the best key of each of the ``ENOUGH`` best endpoints

    def run(self) -> SearchResult:
        """Run the search. Pages are omitted only if no endpoint accepts all of them."""
        case = self.case
        case.voice = best_voice(case, self.left, self.only)
        self.conversions, refused = shortlist_converters(case, self.left, self.floors, self.only)
        for each in refused:
            self.misses.add(each)
        self.choices = [conversion_options(case, bundle, self.conversions) for bundle in case.bundles]
        self.pools = AssignmentPools(case, self.choices, ends=self.ends)
        self.few = math.prod(map(len, self.choices)) <= ALL_COMBINATIONS
        line = self._named_line() if self._is_special() else self._group_queue()
        self._evaluate_queue(line)
        if not self.routes and any(bundle.kind == "document" for bundle in case.bundles):
            before, self.misses = self.misses, RejectionLog(case)
            for each in refused:
                self.misses.add(each)
            self.select_pages = True
            self._evaluate_queue(line)
            self.misses.add_earlier(before, contexts=not self.routes)
        self.routes.sort(key=_BY_KEY)
        self._local_search()
        return SearchResult(self.routes, self.misses.rows(), self.conversions, self)

    def _evaluate_queue(self, line: SearchQueue) -> None:
        case, passed_groups = self.case, list[QueuedGroup]()
        for entry in line.until(self._exceeds_worst_listed if not self.ends else lambda _: False):
            if self._exceeds_worst_listed(entry.bound):
                passed_groups.append(entry)
            elif not self._fails_for_all(entry):
                self._price_all(entry)
        if self.ends and case.job != "transcribe":
            for entry, weights in _extremes(passed_groups):
                if not self._is_attained(entry):
                    self._price_extreme(entry, weights)

    @property
    def is_pruned(self) -> bool:
        """Return whether endpoints that cannot be among the best may have been skipped."""
        return len(self._top) >= ENOUGH and self.by_number and not self.every

    def _exceeds_worst_listed(self, bound: Key) -> bool:
        """Return whether no route with this bound can enter the list of best routes."""
        return len(self._top) >= ENOUGH and bound >= self._top[-1] and not self.every

    # ---- classes ------------------------------------------------------------------------------

    def _is_special(self) -> bool:
        """Return whether the search is restricted to named endpoints."""
        return self.case.named_endpoints is not None or (self.only is not None and self.only.job == self.case.job)

    def _named_line(self) -> SearchQueue:
        """Return the queue of the named endpoints' groups, all of which are priced."""
        case = self.case
        line = SearchQueue(case)
        for group in self.left.by_job[case.job]:
            if not members_to_price(case, group, case.job, self.only):
                continue
            if group.strongest < self.floors.answer:
                self._refuse(("floor", rules.below_floor(self.case, self.floors.answer)), group)
            elif self._has_options(group):
                line.add(group)
        return line

    def _group_queue(self) -> SearchQueue:
        """Return the queue of all groups, mostly in batches."""
        case = self.case
        line = SearchQueue(case)
        every, weak = group_batches(case, self.left, self.floors.answer)
        if weak is not None:
            self.misses.add(weak)
        for row in every:
            usable = self.pools.usable(row.groups[0])
            mute = case.output == "speech" and any(is_mute(case, group.first) for group in row.groups)
            if not isinstance(usable, list) or (row.remote and case.private_text) or mute:
                for group in row.groups:
                    if self._has_options(group):
                        line.add(group)
                continue
            line.add_row(row, self.pools.batch_bound(row, usable))
        return line

    def _refuse(self, reason: Reason, group: EndpointGroup) -> None:
        """Record the rejection of a group, or of the members to which the search is restricted."""
        count, ids = len(group.members), group.ids
        if self._is_special():
            members = members_to_price(self.case, group, self.case.job, self.only)
            count, ids = len(members), tuple(endpoint.id for endpoint in members[:MAX_LISTED_IDS])
        self.misses.add(EndpointRejection(reason[0], reason[1], count, ids))

    def _has_options(self, group: EndpointGroup) -> bool:
        """Return whether every bundle has an option for this group; otherwise record its rejection."""
        case = self.case
        if group.remote and case.private_text:
            self._refuse(("privacy", f"text may not leave this machine ({case.private_text} is private)"), group)
            return False
        if is_mute(case, group.first):
            self._refuse(("output", "answers in words, and no voice is available to speak them"), group)
            return False
        usable = self.pools.usable(group)
        if isinstance(usable, list):
            return True
        self._refuse(self._no_option(*usable), group)
        return False

    def _fails_for_all(self, entry: QueuedGroup) -> bool:
        """Return whether an ideal member violates a limit under every assignment.

        The ideal member has the best value of every figure in the group.
        """
        case, group = self.case, entry.group
        if entry.bound == FIRST or self._top or len(group.members) <= MAX_LISTED_IDS:
            return False  # if some route is feasible, members are priced individually
        pool = self.pools.pool(group)
        ideal = case.index.best_rates(group, case.as_of, case.effort)
        reasons: list[tuple[Reason, PricedRoute]] = []
        for assignment in self._promising_assignments(entry, ideal, pool):
            if self.route(group.first, group, ideal, assignment, pool.demand(assignment), reasons) is not None:
                return False
        self.misses.add_nearest(reasons, group.ids, len(group.members))
        return True

    def _promising_assignments(self, entry: QueuedGroup, rates: Rates, pool: AssignmentPool) -> Iterator[Assignment]:
        """Yield the most promising assignment, followed by those of the pool."""
        if entry.batch_bound is not None and self.by_number:
            best = entry.batch_bound.picks(coefficients(self.case, rates, self.weights), self.weights)
            yield assign(self.case, best, self.case.token_rules(entry.group))
        yield from pool_assignments(pool, self.pools)

    def _price_all(self, entry: QueuedGroup) -> None:
        """Price the members of a group whose bound may enter the list."""
        case, group, row, shape = self.case, entry.group, entry.row, entry.batch_bound
        members = members_to_price(case, group, case.job, self.only)
        if row is None or shape is None or not self.by_number or entry.bound == FIRST or self.every:
            for endpoint in members:
                rates = case.rates(endpoint)
                self._price(
                    entry, endpoint, rates, self._best_assignments(entry, coefficients(case, rates, self.weights))
                )
            return
        member_coefficients = known_coefficients(case, row, self.weights, group)
        enough = self._cutoff_score(shape.open_options.least)
        bounds = shape.bounds(member_coefficients, self.weights, enough=enough)
        for place in sorted(range(len(members)), key=bounds.__getitem__):
            if bounds[place] > enough:
                break
            endpoint = members[place]
            self._price(
                entry, endpoint, case.rates(endpoint), self._best_assignments(entry, member_coefficients[place])
            )
            enough = self._cutoff_score(shape.open_options.least)

    def _cutoff_score(self, least: Loss) -> float:
        """Return the score above which a route with these losses cannot enter the list."""
        if len(self._top) < ENOUGH or self._top[-1][:NUMBER_PLACE] > least:
            return math.inf
        last = self._top[-1]
        return float(last[NUMBER_PLACE]) if last[:NUMBER_PLACE] == least else -math.inf

    def _best_assignments(self, entry: QueuedGroup, prices: Coefficients) -> list[Assignment]:
        """Return the assignments that look best: one or two, or all of the pool if it is small."""
        group, shape = entry.group, entry.batch_bound
        if shape is None or not self.by_number or self.every:
            return pool_assignments(self.pools.pool(group), self.pools)
        if self.few:
            pool = self.pools.pool(group)
            every = pool_assignments(pool, self.pools)
            if len(every) <= 2:
                return every
            numbers = pool.approximate_scores(prices)
            order = sorted(range(len(every)), key=lambda place: (every[place].loss, numbers[place]))[:2]
            return [every[place] for place in order]
        token_rules = self.case.token_rules(group)
        picked = [shape.picks(prices, self.weights)]
        if shape.open_options.waits:
            picked.append(shape.picks(prices, self.weights, waits=True))
        return [assign(self.case, each, token_rules) for each in dict.fromkeys(picked)]

    def _is_attained(self, entry: QueuedGroup) -> bool:
        """Return whether some route is as cheap, fast and strong as any route of this group could be."""
        ideal, strongest = entry.ideal, entry.group.strongest
        if entry.batch_bound is None or ideal is None:
            return True
        shape = entry.batch_bound.lossy()
        cost, seconds = shape.bound(ideal, CHEAP), shape.bound(ideal, QUICK)
        return any(
            route.tier >= strongest and route.numbers.cost <= cost and route.numbers.seconds <= seconds
            for route in self.routes
        )

    def _price_extreme(self, entry: QueuedGroup, weights: Weights) -> None:
        """Price the route of a group that looks cheapest or fastest."""
        case, group = self.case, entry.group
        assert entry.batch_bound is not None
        shape = entry.batch_bound.lossy()
        members = members_to_price(case, group, case.job, self.only)
        if entry.row is not None:
            bounds = shape.bounds(known_coefficients(case, entry.row, weights, group), weights)
        else:
            bounds = [shape.bound(case.rates(endpoint), weights) for endpoint in members]
        endpoint = members[min(range(len(members)), key=lambda place: (bounds[place], members[place].id))]
        rates = case.rates(endpoint)
        picks = shape.picks(coefficients(case, rates, weights), weights)
        assignment = assign(case, picks, case.token_rules(group))
        self._price(entry, endpoint, rates, [assignment])

    def _price(self, entry: QueuedGroup, endpoint: Endpoint, rates: Rates, assignments: list[Assignment]) -> None:
        """Price some assignments, and the rest of the pool if none of them is within the limits."""
        reasons: list[tuple[Reason, PricedRoute]] = []
        pool = self.pools.pool(entry.group)
        best = self._price_these(endpoint, entry.group, rates, pool, assignments, reasons)
        if best is None:
            others = [each for each in self._others(pool, rates) if each not in assignments]
            best = self._price_these(endpoint, entry.group, rates, pool, others, reasons)
        if best is not None:
            insort(self._top, best)
            del self._top[ENOUGH:]
        elif reasons:
            self.misses.add_nearest(reasons, (endpoint.id,), 1)

    def _others(self, pool: AssignmentPool, rates: Rates) -> list[Assignment]:
        """Return the rest of the pool.

        If even the shortest assignment exceeds the context, only that one, for its reason.
        """
        every = pool_assignments(pool, self.pools)
        if not self.limits.counts_context or self.select_pages or len(every) < 2:
            return every
        least = shortest_assignment(pool, self.pools)
        tokens = context_tokens(self.case, "", pool.demand(least))
        return [least] if tokens + answer_limit(self.case, rates, tokens) > rates.context else every

    def _price_these(
        self, endpoint: Endpoint, group: EndpointGroup, rates: Rates, pool: AssignmentPool,
        assignments: list[Assignment],
        reasons: list[tuple[Reason, PricedRoute]],
    ) -> Key | None:  # fmt: skip
        best: Key | None = None
        for assignment in assignments:
            route = self.route(endpoint, group, rates, assignment, pool.demand(assignment), reasons)
            if route is not None:
                self.routes.append(route)
                if best is None or route.key < best:
                    best = route.key
        return best

    def _no_option(self, bundle: Bundle, reasons: list[Reason]) -> Reason:
        """Return why no option of a bundle is permitted; if a conversion is missing, why its endpoints are rejected."""
        if not reasons:
            return ("pages", hint("{} has more pages to look at than one plan takes{}", bundle.title, _PAGES))
        rule, words = max(reasons, key=lambda reason: rules.rule_order(reason[0]))
        job = "transcribe" if bundle.kind == "audio" else "read"
        if rule != "modality" or self.conversions.get(job):
            return (rule, words)
        near = [
            each
            for each in (*self.left.refused, *self.misses.rows())
            if each.rule != "output" and each.ids and job in self.case.index.group_of[each.ids[0]].jobs
        ]
        nearest = max(near, key=lambda each: rules.rule_order(each.rule), default=None)
        why = hint(": {} is out, {}", nearest.ids[0], nearest.reason) if nearest is not None else ""
        return (
            rule,
            hint("{}, and no available model can {} it{}", words, "transcribe" if job == "transcribe" else "read", why),
        )

    # ---- routes -------------------------------------------------------------------------------

    def route(
        self, endpoint: Endpoint, group: EndpointGroup, rates: Rates, assignment: Assignment, needs: CallDemand,
        reasons: list[tuple[Reason, PricedRoute]],
    ) -> Route | None:  # fmt: skip
        """Price one route.

        Returns None if a limit is violated; if only the context is, it is retried with fewer pages.
        """
        case = self.case
        needs = calibrated_demand(case, group, rates, assignment, needs)
        numbers = price_route(case, endpoint, group.remote, rates, needs)
        own_tier = answering_tier(case, group, needs)
        if not self.limits.permits(case, endpoint.id, group, rates, needs, numbers, own_tier):
            reason = self._reason(endpoint, group, rates, needs, numbers)
            reasons.append(reason)
            if reason[0][0] != "context" or not self.select_pages:
                return None
            fewer = with_fewer_pages(
                case, assignment, case.token_rules(group), self.conversions, rates.context,
                context_tokens(case, endpoint.id, needs), numbers.cap,
            )  # fmt: skip
            if fewer is None:
                return None
            assignment, needs = fewer, calibrated_demand(case, group, rates, fewer, call_demand(case, group, fewer))
            numbers = price_route(case, endpoint, group.remote, rates, needs)
            if not self.limits.permits(case, endpoint.id, group, rates, needs, numbers, own_tier):
                reasons.append(self._reason(endpoint, group, rates, needs, numbers))
                return None
        tier = min(needs.tier, own_tier)
        key_ = ranking_key(case, endpoint.id, numbers, needs, tier)
        return Route(
            endpoint, group, rates, assignment, needs, numbers, tier, own_tier, key_, candidate_score(case, key_)
        )

    def avoidable_loss_notes(self, route: Route) -> list[str]:
        """Return notes on avoidable conversions and losses.

        They state why a named endpoint gets a converted part that it would accept unconverted, and why an endpoint
        loses an aspect that it could keep.
        """
        found: list[str] = []
        for place, (bundle, option) in enumerate(zip(self.case.bundles, route.assignment.options, strict=True)):
            takes = (
                bundle.kind in route.group.inputs
                and option.name not in UNCONVERTED_OPTIONS
                and not self.case.is_replanning
            )
            if takes and self.case.named_endpoints is not None:
                words = self._not_native_reason(route, place)
                found.append(hint("{} does not reach {} as it is: {}", bundle.title, route.endpoint.id, words))
            elif option.lost:
                usable = self.pools.usable(route.group)
                choices = usable[place] if isinstance(usable, list) else []
                better = min(choices, key=lambda each: each.lost, default=option)
                if better.lost < option.lost and (words := self._violated_limit(route, place, better)):
                    gained = joined_names([each for each in option.missed if each not in better.missed])
                    found.append(
                        hint("{} could keep {} of {}, but that {}", route.endpoint.id, gained, bundle.title, words)
                    )
        return found

    def _not_native_reason(self, route: Route, place: int) -> str:
        """Return why a part is not passed unconverted."""
        bundle = self.case.bundles[place]
        direct = [option for option in self.choices[place] if option.name in UNCONVERTED_OPTIONS]
        if not direct:
            return "only some of its pages are wanted"
        reasons = [rules.option_rejection(route.group, option, bundle, self.case) for option in direct]
        if all(reasons):
            reason_text, before = next(reason[1] for reason in reasons if reason is not None), f"{bundle.title}: "
            return reason_text.removeprefix(before) if reason_text.startswith(before) else reason_text
        usable = next(option for option, reason in zip(direct, reasons, strict=True) if reason is None)
        broken = self._violated_limit(route, place, usable)
        return f"that {broken}" if broken else f"the {self.case.policy.objective} route was asked for"

    def _violated_limit(self, route: Route, place: int, option: ConversionOption) -> str:
        """Return the limit that a route violates if one bundle uses another option; "" if none."""
        options = route.assignment.options
        assignment = assign(
            self.case, (*options[:place], option, *options[place + 1 :]), self.case.token_rules(route.group)
        )
        reasons: list[tuple[Reason, PricedRoute]] = []
        pool = self.pools.pool(route.group)
        self.route(route.endpoint, route.group, route.rates, assignment, pool.demand(assignment), reasons)
        return reasons[0][0][1] if reasons else ""

    def _reason(
        self, endpoint: Endpoint, group: EndpointGroup, rates: Rates, needs: CallDemand, numbers: RouteNumbers
    ) -> tuple[Reason, PricedRoute]:
        priced = priced_route(self.case, endpoint, group, rates, needs, numbers, self.floors.answer)
        reason = rules.route_rejection(priced, self.case)
        assert reason is not None, "limits and rules disagree"
        return reason, priced

    def _local_search(self) -> None:
        """Improve the best routes by local search: change one bundle at a time while that helps."""
        if not self.routes or not self.choices:
            return
        visited = {(route.endpoint.id, route.assignment) for route in self.routes}
        for start in self.routes[:2]:
            current: Route | None = start
            while current is not None:
                near = list(self._neighbour_routes(current, visited))
                self.routes += near
                best = min(near, key=_BY_KEY, default=None)
                current = best if best is not None and best.key < current.key else None
        self.routes.sort(key=_BY_KEY)

    def _neighbour_routes(self, route: Route, visited: set[tuple[str, Assignment]]) -> Iterator[Route]:
        """Yield routes to the same endpoint with another option for one bundle, except those in ``visited``."""
        token_rules = self.case.token_rules(route.group)
        pool = self.pools.pool(route.group)
        usable = self.pools.usable(route.group)
        if route.assignment.left_out or not isinstance(usable, list):
            return
        current = route.assignment.options
        hopeless = self._worse_than_listed(route, pool, token_rules)
        for place, choices in enumerate(usable):
            for option in choices:
                if option is current[place] or hopeless(place, option):
                    continue
                assignment = assign(self.case, (*current[:place], option, *current[place + 1 :]), token_rules)
                if (route.endpoint.id, assignment) in visited:
                    continue
                other = self.route(route.endpoint, route.group, route.rates, assignment, pool.demand(assignment), [])
                # The priced route may have fewer pages than its assignment, like a known one.
                if other is not None and (route.endpoint.id, other.assignment) not in visited:
                    visited.add((route.endpoint.id, other.assignment))
                    yield other

    def _worse_than_listed(
        self, route: Route, pool: AssignmentPool, token_rules: TokenRules
    ) -> Callable[[int, ConversionOption], bool]:
        """Return a predicate: whether a route with another option for one bundle is worse than all listed routes."""
        if not self.is_pruned or self.ends:
            return lambda place, option: False
        cores, weights, last = self.case.machine.cores, self.weights, self._top[-1]
        prices = coefficients(self.case, route.rates, weights)
        current = route.assignment.options
        added = [least_added_score(option, token_rules, prices, weights, cores) for option in current]
        number = prices[0] + pool.text * prices[1] + sum(added)
        diverted, lost = route.assignment.loss

        def hopeless(place: int, option: ConversionOption) -> bool:
            before = current[place]
            loss = diverted - before.diverted + option.diverted, lost - before.lost + option.lost
            least = number - added[place] + least_added_score(option, token_rules, prices, weights, cores)
            return (*loss, least - KEY_PRECISION) > last

        return hopeless


def _extremes(passed_groups: list[QueuedGroup]) -> list[tuple[QueuedGroup, Weights]]:
    """Return the groups with the lowest prices and the shortest times per tier: the ends of the frontier."""
    best: dict[tuple[int, int], tuple[float, QueuedGroup]] = {}
    for entry in passed_groups:
        ideal = entry.ideal
        if ideal is None:
            continue
        for measure, value in enumerate((ideal.text, ideal.overhead[1] + 100 * ideal.write_out[1])):
            key_ = (entry.group.strongest, measure)
            if key_ not in best or value < best[key_][0]:
                best[key_] = (value, entry)
    return [(best[key_][1], (CHEAP, QUICK)[key_[1]]) for key_ in sorted(best)]


FIRST: Key = (-math.inf,)


class QueuedGroup(Struct, eq=False, gc=False):
    """A group waiting to be priced, with its best figures and the key that no member can beat."""

    bound: Key
    group: EndpointGroup
    row: GroupBatch | None
    batch_bound: BatchBound | None
    ideal: Rates | None


class QueuedBatch(Struct, eq=False, gc=False):
    """A batch waiting to be split into groups."""

    row: GroupBatch
    batch_bound: BatchBound


class SearchQueue:
    """Groups and batches ordered by bound, then by catalog order."""

    def __init__(self, case: PlanningCase) -> None:
        self.case = case
        self._weights = objective_weights(case.policy)
        self._by_number = is_scalar_objective(case)
        self._entries: list[tuple[Key, int, QueuedGroup | QueuedBatch]] = []

    def add(self, group: EndpointGroup) -> None:
        """Add a group at the front, because its bound is unknown."""
        self._entries.append((FIRST, group.number, QueuedGroup(FIRST, group, None, None, None)))

    def add_row(self, row: GroupBatch, batch_bound: BatchBound) -> None:
        """Add a batch. One with endpoints known beyond the catalog comes first."""
        special = self.case.special
        bound = FIRST
        if self._by_number and not (special and any(group.number in special for group in row.groups)):
            least = least_coefficients(self.case, row, self._weights)
            bound = (
                *batch_bound.open_options.least,
                batch_bound.bounds(least, self._weights, with_native_media=False)[0],
            )
        # A negative number, so that at the same bound a batch is split before any group is priced.
        self._entries.append((bound, -1 - len(self._entries), QueuedBatch(row, batch_bound)))

    def until(self, beyond: Callable[[Key], bool]) -> Iterator[QueuedGroup]:
        """Yield the groups in order, until the first bound that is ``beyond`` consideration."""
        waiting = list(self._entries)
        heapify(waiting)
        while waiting:
            bound, _, entry = heappop(waiting)
            if beyond(bound):
                return
            if isinstance(entry, QueuedGroup):
                yield entry
            else:
                for each in self._open_groups(entry):
                    heappush(waiting, (each.bound, each.group.number, each))

    def _open_groups(self, waiting: QueuedBatch) -> Iterator[QueuedGroup]:
        case, row, batch_bound = self.case, waiting.row, waiting.batch_bound
        if case.job == "transcribe":
            numbers = [batch_bound.bound(ideal, self._weights) for ideal in row.ideals]
        else:
            numbers = batch_bound.bounds(known_coefficients(case, row, self._weights), self._weights)
        bounds = lower_bound_keys(
            case, row.groups, batch_bound.open_options.least, numbers, batch_bound.open_options.tier
        )
        for group, ideal, bound in zip(row.groups, row.ideals, bounds, strict=True):
            yield QueuedGroup(FIRST if group.number in case.special else bound, group, row, batch_bound, ideal)
