"""Find the routes worth comparing: few assignments per kind of endpoint, priced class by class, best first.

1. Converters: the ears and readers that are best under some weighting.
2. Lanes: endpoints with the same inputs, zone and picture rule share their assignments of ways to bundles.
3. Classes stand in line by a bound: what a member with the best of every figure would score if it had the least
   of every demand. Members are priced until no class left in line can enter the list.
4. A class whose best possible member fails a limit is refused whole. Limits that couple the bundles (context,
   pictures a request) are met by other assignments; pages of documents are selected only where nobody takes all.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable

from msgspec import Struct

from intermodal.catalog.nouns import Endpoint
from intermodal.costing.levels import HIGH
from intermodal.costing.rates import Rates
from intermodal.planner import rules
from intermodal.planner.case import Bundle, Case
from intermodal.planner.combine import ALL_COMBINATIONS, assignments
from intermodal.planner.converters import Floors, shortlist
from intermodal.planner.index import LISTED, Group
from intermodal.planner.limits import Limits, limits
from intermodal.planner.routes import (
    Assignment,
    Demand,
    Numbers,
    Route,
    assign,
    bound,
    demand,
    optimist,
    price,
    priced,
    tier_of,
)
from intermodal.planner.rules import Priced, Reason
from intermodal.planner.score import Key, bound_key, key, score
from intermodal.planner.selection import selected
from intermodal.planner.survivors import Only, Refused, Survivors, members
from intermodal.planner.ways import Conversions, Way, ways

ENOUGH = 9  # endpoints worth knowing: the chosen, three fallbacks, five outranked
FIRST: Key = (-math.inf,)


class Lane(Struct, eq=False):
    """Assignments for endpoints alike, with their demands, and the least of those."""

    assignments: list[Assignment]
    demands: list[Demand]
    least: Demand


class InLine(Struct, eq=False):
    """A class waiting to be priced, with the key, USD and seconds no member can come below."""

    bound: Key
    group: Group
    lane: Lane
    cost: float
    seconds: float
    tier: int


class Found(Struct):
    """What a search brought: feasible routes best first, and who was refused and why."""

    routes: list[Route]
    refused: list[Refused]


class Search:
    """One search, under one set of floors; ``only`` asks about one endpoint."""

    def __init__(self, case: Case, left: Survivors, floors: Floors, only: Only | None = None) -> None:
        self.case = case
        self.left = left
        self.floors = floors
        self.only = only
        self.limits: Limits = limits(case, floors.answer)
        self.routes: list[Route] = []
        self.misses: dict[tuple[str, str], Refused] = {}
        self.conversions: Conversions = {}
        self.choices: list[list[Way]] = []
        self.select_pages = False
        self._assignments: dict[tuple[frozenset[str], bool, str], list[Assignment] | Reason] = {}
        self._lanes: dict[tuple[int, str, bool], Lane] = {}
        self._top: list[Key] = []  # the best keys of the best ``ENOUGH`` endpoints

    def run(self) -> Found:
        """All of it. Pages are left out only where nobody takes them all."""
        case = self.case
        self.conversions, refused = shortlist(case, self.left, self.floors, self.only)
        for each in refused:
            self._add(each)
        self.choices = [ways(case, bundle, self.conversions) for bundle in case.bundles]
        line = [entry for group in self.left.by_job[case.job] if (entry := self._enter(group)) is not None]
        line.sort(key=lambda entry: (entry.bound, entry.group.number))
        self._go_through(line)
        if not self.routes and any(bundle.kind == "document" for bundle in case.bundles):
            before, self.misses = self.misses, {}
            for each in refused:
                self._add(each)
            self.select_pages = True
            self._go_through(line)
            self.misses = {**before, **self.misses} if not self.routes else {**_without_context(before), **self.misses}
        self.routes.sort(key=lambda route: route.key)
        self._improve()
        return Found(self.routes, list(self.misses.values()))

    def _go_through(self, line: list[InLine]) -> None:
        passed: list[InLine] = []
        for entry in line:
            if len(self._top) >= ENOUGH and entry.bound >= self._top[-1]:
                passed.append(entry)
            elif not self._fails_whole(entry):
                self._price_all(entry)
        for entry, measure in _extremes(passed):
            self._price_extreme(entry, measure)

    # ---- classes ------------------------------------------------------------------------------

    def _enter(self, group: Group) -> InLine | None:
        """A class's place in line, or None when it is refused whole."""
        case, only = self.case, self.only
        special = case.named is not None or (only is not None and only.job == case.job)
        if special and not members(case, group, case.job, only):
            return None
        if group.strongest < self.floors.answer:
            self._refuse(("floor", rules.below(self.floors.answer)), group)
            return None
        found = self._assigned(group)
        if isinstance(found, tuple):
            self._refuse(found, group)
            return None
        lane = self._lane(group, found)
        tier = min(group.strongest, lane.least.tier)
        if special or group.number in case.special:
            return InLine(FIRST, group, lane, 0.0, 0.0, tier)
        cost, seconds = bound(case, case.index.ideal(group, case.as_of), lane.least)
        return InLine(bound_key(case, cost, seconds, lane.least, tier), group, lane, cost, seconds, tier)

    def _fails_whole(self, entry: InLine) -> bool:
        """Whether not even the best of every figure with the least of every demand is within the limits."""
        case, group, lane = self.case, entry.group, entry.lane
        if entry.bound == FIRST or len(group.members) == 1:
            return False
        ideal = case.index.ideal(group, case.as_of)
        numbers = price(case, group.first, group.remote, ideal, lane.least)
        if self.limits.allow(group, ideal, lane.least, numbers, group.strongest):
            return False
        reason, held = self._reason(group.first, group, ideal, lane.least, numbers)
        if reason[0] == "floor" or (reason[0] == "context" and self.select_pages):
            return False
        self._refuse(reason, group, _miss(reason, held, case))
        return True

    def _price_all(self, entry: InLine) -> None:
        """Price the members of a class, but for those that cannot enter the list by their bound alone."""
        case, group, lane = self.case, entry.group, entry.lane
        for endpoint in members(case, group, case.job, self.only):
            rates = case.rates(endpoint)
            if len(self._top) >= ENOUGH and entry.bound != FIRST:
                cost, seconds = bound(case, rates, lane.least)
                if bound_key(case, cost, seconds, lane.least, entry.tier) >= self._top[-1]:
                    continue
            self._price(endpoint, group, rates, lane)

    def _price_extreme(self, entry: InLine, measure: int) -> None:
        """Price the member of a class that could be cheapest (0) or fastest (1)."""
        case, group, lane = self.case, entry.group, entry.lane
        some = members(case, group, case.job, self.only)
        best = min(some, key=lambda endpoint: (bound(case, case.rates(endpoint), lane.least)[measure], endpoint.id))
        self._price(best, group, case.rates(best), lane)

    def _price(self, endpoint: Endpoint, group: Group, rates: Rates, lane: Lane) -> None:
        reasons: list[tuple[Reason, Priced]] = []
        best: Key | None = None
        for assignment, needs in zip(lane.assignments, lane.demands, strict=True):
            route = self.route(endpoint, group, rates, assignment, needs, reasons)
            if route is not None:
                self.routes.append(route)
                if best is None or route.key < best:
                    best = route.key
        if best is not None:
            insort(self._top, best)
            del self._top[ENOUGH:]
        elif reasons:
            self._refuse_nearest(reasons, endpoint)

    # ---- lanes --------------------------------------------------------------------------------

    def _assigned(self, group: Group) -> list[Assignment] | Reason:
        """Assignments for endpoints like these, or why there are none."""
        rule = group.first.model.image_tokens
        key_ = (group.inputs, group.remote, rule)
        found = self._assignments.get(key_)
        if found is None:
            found = self._assignments[key_] = self._assign(group)
        return found

    def _lane(self, group: Group, found: list[Assignment]) -> Lane:
        model = group.first.model
        key_ = (id(found), self.case.vocabulary(model.tokenizer), group.first.host.forced_json)
        lane = self._lanes.get(key_)
        if lane is None:
            demands = [demand(self.case, group, assignment) for assignment in found]
            lane = self._lanes[key_] = Lane(found, demands, optimist(demands))
        return lane

    def _assign(self, group: Group) -> list[Assignment] | Reason:
        case = self.case
        if group.remote and case.private_text:
            return ("privacy", f"text may not leave this machine ({case.private_text} is private)")
        usable: list[list[Way]] = []
        for bundle, choices in zip(case.bundles, self.choices, strict=True):
            reasons: list[Reason] = []
            good: list[Way] = []
            for way in choices:
                reason = rules.of_way(group, way, bundle, case)
                if reason is None:
                    good.append(way)
                else:
                    reasons.append(reason)
            if not good:
                return self._no_way(bundle, reasons)
            usable.append(good)
        return assignments(case, usable, group)

    def _no_way(self, bundle: Bundle, reasons: list[Reason]) -> Reason:
        if not reasons:
            return ("pages", f"{bundle.title} has more pages to look at than one plan takes (--pages)")
        rule, words = max(reasons, key=lambda reason: rules.order(reason[0]))
        wanted = "transcribe" if bundle.kind == "audio" else "read"
        if rule != "modality" or self.conversions.get(wanted):
            return (rule, words)
        near = [
            each
            for each in (*self.left.refused, *self.misses.values())
            if each.rule != "output" and each.ids and wanted in self.case.index.group_of[each.ids[0]].jobs
        ]
        why = f": {near[0].ids[0]} is out, {near[0].reason}" if near else ""
        return (rule, f"{words}, and nothing reachable can {'hear' if wanted == 'transcribe' else 'read'} it{why}")

    # ---- routes -------------------------------------------------------------------------------

    def route(
        self, endpoint: Endpoint, group: Group, rates: Rates, assignment: Assignment, needs: Demand,
        reasons: list[tuple[Reason, Priced]],
    ) -> Route | None:  # fmt: skip
        """Price one route; where only the context is too short, with fewer pages. None when a limit fails."""
        case = self.case
        numbers = price(case, endpoint, group.remote, rates, needs)
        own_tier = tier_of(case, group, needs)
        if not self.limits.allow(group, rates, needs, numbers, own_tier):
            reason = self._reason(endpoint, group, rates, needs, numbers)
            reasons.append(reason)
            if reason[0][0] != "context" or not self.select_pages:
                return None
            fewer = selected(
                case, assignment, group.first.model.image_tokens, self.conversions, rates.context,
                needs.total[HIGH], numbers.cap,
            )  # fmt: skip
            if fewer is None:
                return None
            assignment, needs = fewer, demand(case, group, fewer)
            numbers = price(case, endpoint, group.remote, rates, needs)
            if not self.limits.allow(group, rates, needs, numbers, own_tier):
                reasons.append(self._reason(endpoint, group, rates, needs, numbers))
                return None
        tier = min(needs.tier, own_tier)
        key_ = key(case, endpoint.id, numbers, needs, tier)
        return Route(endpoint, group, rates, assignment, needs, numbers, tier, own_tier, key_, score(case, key_))

    def _reason(
        self, endpoint: Endpoint, group: Group, rates: Rates, needs: Demand, numbers: Numbers
    ) -> tuple[Reason, Priced]:
        held = priced(self.case, endpoint, group, rates, needs, numbers, self.floors.answer)
        reason = rules.of_route(held, self.case)
        assert reason is not None, "limits and rules disagree"
        return reason, held

    def _improve(self) -> None:
        """Where not all combinations were tried: change one bundle at a time in the best routes, while that helps."""
        if not self.routes or math.prod(len(choices) for choices in self.choices) <= ALL_COMBINATIONS:
            return
        better: list[Route] = []
        for start in self.routes[:2]:
            current, found = start, self._neighbour(start)
            while found is not None:
                current, found = found, self._neighbour(found)
            if current is not start:
                better.append(current)
        if better:
            self.routes = sorted([*self.routes, *better], key=lambda route: route.key)

    def _neighbour(self, route: Route) -> Route | None:
        best: Route | None = None
        rule = route.group.first.model.image_tokens
        for place, bundle in enumerate(self.case.bundles):
            for way in self.choices[place]:
                if way is route.assignment.ways[place] or rules.of_way(route.group, way, bundle, self.case) is not None:
                    continue
                chosen = (*route.assignment.ways[:place], way, *route.assignment.ways[place + 1 :])
                made = assign(self.case, chosen, rule)
                other = self.route(
                    route.endpoint, route.group, route.rates, made, demand(self.case, route.group, made), []
                )
                if other is not None and other.key < (best or route).key:
                    best = other
        return best

    # ---- refusals -----------------------------------------------------------------------------

    def _refuse_nearest(self, reasons: list[tuple[Reason, Priced]], endpoint: Endpoint) -> None:
        """Of all routes that failed, the one that came farthest speaks."""
        reason, held = max(
            reasons, key=lambda each: (rules.order(each[0][0]), -_miss(each[0], each[1], self.case))
        )
        self._add(Refused(reason[0], reason[1], 1, (endpoint.id,), _miss(reason, held, self.case)))

    def _refuse(self, reason: Reason, group: Group, miss: float = 0.0) -> None:
        """Refuse a class, or those of it that are looked at."""
        case, only = self.case, self.only
        if case.named is None and (only is None or only.job != case.job):
            self._add(Refused(reason[0], reason[1], len(group.members), group.ids, miss))
            return
        some = members(case, group, case.job, only)
        self._add(Refused(reason[0], reason[1], len(some), tuple(e.id for e in some[:LISTED]), miss))

    def _add(self, new: Refused) -> None:
        """One row per rule with numbers (the nearest miss speaks for all), one per reason without."""
        key_ = (new.rule, "" if new.rule in _MISS else new.reason)
        held = self.misses.get(key_)
        if held is None:
            self.misses[key_] = new
            return
        near = held if held.miss <= new.miss else new
        ids = tuple(sorted({*held.ids, *new.ids}))[:4]
        self.misses[key_] = Refused(new.rule, near.reason, held.count + new.count, ids, near.miss)


def _extremes(passed: list[InLine]) -> list[tuple[InLine, int]]:
    """Per strength the classes that could be cheapest (0) and fastest (1): the ends of the frontier."""
    best: dict[tuple[int, int], InLine] = {}
    for entry in passed:
        for measure, value in enumerate((entry.cost, entry.seconds)):
            held = best.get((entry.tier, measure))
            if held is None or value < (held.cost, held.seconds)[measure]:
                best[(entry.tier, measure)] = entry
    return [(best[key_], key_[1]) for key_ in sorted(best)]


def _without_context(misses: dict[tuple[str, str], Refused]) -> dict[tuple[str, str], Refused]:
    """What was refused for other reasons, once pages are left out so that contexts suffice."""
    return {key_: each for key_, each in misses.items() if key_[0] != "context"}


_MISS: dict[str, Callable[[Priced, Case], float]] = {  # by how much a limit was missed
    "images": lambda held, case: float(held.pictures - (held.max_pictures or 0)),
    "context": lambda held, case: held.tokens + held.answer - held.context,
    "memory": lambda held, case: held.memory,
    "max_cost": lambda held, case: held.cost_high,
    "deadline": lambda held, case: held.seconds_high,
}


def _miss(reason: Reason, held: Priced, case: Case) -> float:
    measure = _MISS.get(reason[0])
    return measure(held, case) if measure is not None else 0.0
