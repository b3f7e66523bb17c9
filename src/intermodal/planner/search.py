"""Find the routes worth comparing: few assignments per kind of endpoint, priced class by class, best first.

1. Converters: for each bundle the ears and readers that are best under some weighting.
2. Lanes: endpoints with the same inputs, zone and picture rule share their assignments.
3. Classes of a lane are ordered by what an ideal member would score; members are priced until no class
   that is left can enter the list or the frontier. A class whose ideal member fails a limit fails it whole.
4. Limits that couple the bundles (context, pictures a request) are repaired by other assignments and, for
   documents, by selecting pages.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable

from msgspec import Struct

from intermodal.catalog.nouns import Endpoint
from intermodal.costing.levels import HIGH
from intermodal.costing.rates import Rates
from intermodal.planner import rules
from intermodal.planner.case import Bundle, Case
from intermodal.planner.combine import ALL_COMBINATIONS, assignments
from intermodal.planner.converters import Floors, shortlist
from intermodal.planner.index import Group
from intermodal.planner.routes import Assignment, Route, assign, input_text, price
from intermodal.planner.rules import Priced, Reason
from intermodal.planner.score import key as key_of
from intermodal.planner.selection import selected
from intermodal.planner.survivors import Only, Refused, Survivors, first_ids, members
from intermodal.planner.ways import Conversions, Way, ways

ENOUGH = 9  # routes to other endpoints worth knowing: the chosen, three fallbacks, five outranked
Lane = tuple[frozenset[str], bool, str]  # inputs, remote, picture rule


class Found(Struct):
    """What a search brought: feasible routes best first, and who was refused and why."""

    routes: list[Route]
    refused: list[Refused]
    conversions: Conversions


class Search:
    """One search, under one set of floors."""

    def __init__(self, case: Case, left: Survivors, floors: Floors, only: Only | None = None) -> None:
        self.case = case
        self.left = left
        self.floors = floors
        self.only = only
        self.routes: list[Route] = []
        self.misses: dict[tuple[str, str], Refused] = {}
        self.conversions: Conversions = {}
        self._lanes: dict[Lane, list[Assignment] | Reason] = {}
        self._ways: list[list[Way]] = []

    def run(self) -> Found:
        case = self.case
        self.conversions, refused = shortlist(case, self.left, self.floors, self.only)
        for each in refused:
            self.misses[(each.rule, each.reason)] = each
        self._ways = [ways(case, bundle, self.conversions) for bundle in case.bundles]
        waiting: list[tuple[tuple[object, ...], int, Group, list[Assignment]]] = []
        for group in self.left.by_job[case.job]:
            self._enter(group, waiting)
        heapq.heapify(waiting)
        done: list[tuple[float, float, int]] = []
        while waiting:
            ideal_key, _, group, assignments = heapq.heappop(waiting)
            if len(self.routes) >= ENOUGH and self._cannot_help(ideal_key, group, assignments, done):
                continue
            before = len(self.routes)
            for endpoint in members(case, group, case.job, self.only):
                self._price(endpoint, group, case.rates(endpoint), assignments)
            done += [(r.priced.cost, r.priced.seconds, -r.priced.tier) for r in self.routes[before:]]
        self.routes.sort(key=lambda route: route.key)
        improve(self)
        return Found(self.routes, list(self.misses.values()), self.conversions)

    # ---- classes ------------------------------------------------------------------------------

    def _enter(self, group: Group, waiting: list[tuple[tuple[object, ...], int, Group, list[Assignment]]]) -> None:
        """Put a class in line by its ideal member, or refuse it whole."""
        case = self.case
        if self.only is not None and self.only.job == case.job and not any(
            endpoint.id == self.only.endpoint for endpoint in group.members
        ):
            return
        lane = self._lane(group)
        if isinstance(lane, tuple):
            self._refuse(lane, group.members)
            return
        some = members(case, group, case.job, self.only)
        if len(some) <= 2 or len(some) < len(group.members) and some is not case.index.band(group, case.as_of):
            waiting.append(((-math.inf,), group.number, group, lane))
            return
        ideal = case.index.ideal(group, case.as_of)
        best: tuple[object, ...] | None = None
        reasons: list[tuple[Reason, Priced]] = []
        for assignment in lane:
            route = self._route(group.first, group, ideal, assignment, reasons)
            if route is not None and (best is None or route.key[:-1] < best):
                best = route.key[:-1]
        if best is None:
            self._refuse_nearest(reasons, group.members)
        else:
            waiting.append((best, group.number, group, lane))

    def _cannot_help(
        self, ideal_key: tuple[object, ...], group: Group, lane: list[Assignment],
        done: list[tuple[float, float, int]],
    ) -> bool:  # fmt: skip
        """The ideal member is behind the list and inside the frontier already."""
        distinct: dict[str, tuple[float | str, ...]] = {}
        for route in self.routes:
            held = distinct.get(route.endpoint.id)
            if held is None or route.key < held:
                distinct[route.endpoint.id] = route.key
        last = heapq.nsmallest(ENOUGH, distinct.values())
        if len(last) < ENOUGH or tuple(ideal_key) < last[-1][:-1]:  # type: ignore[operator]
            return False
        ideal = self.case.index.ideal(group, self.case.as_of)
        for assignment in lane:
            priced, _ = price(self.case, group.first, group, ideal, assignment, 0)
            point = (priced.cost, priced.seconds, -priced.tier)
            if not any(a <= point[0] and b <= point[1] and c <= point[2] for a, b, c in done):
                return False
        return True

    # ---- lanes --------------------------------------------------------------------------------

    def _lane(self, group: Group) -> list[Assignment] | Reason:
        """Assignments for endpoints like these, or why there are none."""
        key = (group.inputs, group.remote, group.first.model.image_tokens)
        found = self._lanes.get(key)
        if found is None:
            found = self._lanes[key] = self._make_lane(group)
        return found

    def _make_lane(self, group: Group) -> list[Assignment] | Reason:
        case = self.case
        if group.remote and case.private_text:
            return ("privacy", f"text may not leave this machine ({case.private_text} is private)")
        usable: list[list[Way]] = []
        for bundle, choices in zip(case.bundles, self._ways, strict=True):
            reasons: list[Reason] = []
            good: list[Way] = []
            for way in choices:
                reason = rules.of_way(group, way, bundle, case)
                if reason is None:
                    good.append(way)
                else:
                    reasons.append(reason)
            if not good:
                return self._no_way(group, bundle, reasons)
            usable.append(good)
        return assignments(case, usable, group)

    def _no_way(self, group: Group, bundle: Bundle, reasons: list[Reason]) -> Reason:
        if not reasons:
            return ("pages", f"{bundle.title} has more pages to look at than one plan takes (--pages)")
        rule, words = max(reasons, key=lambda reason: rules.order(reason[0]))
        wanted = "transcribe" if bundle.kind == "audio" else "read"
        if rule != "modality" or self.conversions.get(wanted):
            return (rule, words)
        near = [each for each in self.left.refused if each.rule != "output" and self._does(each.ids, wanted)]
        why = f": {near[0].ids[0]} is out, {near[0].reason}" if near else ""
        return (rule, f"{words}, and nothing reachable can {'hear' if wanted == 'transcribe' else 'read'} it{why}")

    def _does(self, ids: tuple[str, ...], job: str) -> bool:
        return bool(ids) and job in self.case.index.group_of[ids[0]].jobs

    # ---- routes -------------------------------------------------------------------------------

    def _price(self, endpoint: Endpoint, group: Group, rates: Rates, lane: list[Assignment]) -> None:
        reasons: list[tuple[Reason, Priced]] = []
        before = len(self.routes)
        for assignment in lane:
            route = self._route(endpoint, group, rates, assignment, reasons)
            if route is not None:
                self.routes.append(route)
        if len(self.routes) == before and reasons:
            self._refuse_nearest(reasons, [endpoint])

    def _route(
        self, endpoint: Endpoint, group: Group, rates: Rates, assignment: Assignment,
        reasons: list[tuple[Reason, Priced]],
    ) -> Route | None:  # fmt: skip
        """Price one route; where only the context is too short, with fewer pages."""
        case = self.case
        priced, cap = price(case, endpoint, group, rates, assignment, self.floors.answer)
        reason = rules.of_route(priced, case)
        if reason is not None and reason[0] == "context":
            fewer = selected(
                case, assignment, group.first.model.image_tokens, self.conversions, rates.context,
                input_text(case, group, assignment)[HIGH] + assignment.image[HIGH] + assignment.audio[HIGH], cap,
            )  # fmt: skip
            if fewer is not None:
                assignment = fewer
                priced, cap = price(case, endpoint, group, rates, assignment, self.floors.answer)
                reason = rules.of_route(priced, case)
        if reason is not None:
            reasons.append((reason, priced))
            return None
        key, score = key_of(case, endpoint.id, priced, assignment)
        return Route(endpoint, group, rates, assignment, priced, cap, key, score)

    # ---- refusals -----------------------------------------------------------------------------

    def _refuse_nearest(self, reasons: list[tuple[Reason, Priced]], endpoints: list[Endpoint]) -> None:
        """Of all routes that failed, the one that came farthest speaks."""
        reason, priced = max(
            reasons, key=lambda each: (rules.order(each[0][0]), -_MISS.get(each[0][0], _no_miss)(each[1], self.case))
        )
        self._refuse(reason, endpoints, _MISS.get(reason[0], _no_miss)(priced, self.case))

    def _refuse(self, reason: Reason, endpoints: list[Endpoint], miss: float = 0.0) -> None:
        """One row per rule with numbers (the nearest miss speaks for all), one per reason without."""
        rule, words = reason
        key = (rule, "") if rule in _MISS else reason
        held = self.misses.get(key)
        if held is None:
            self.misses[key] = Refused(rule, words, len(endpoints), first_ids(endpoints), miss)
            return
        near = held if held.miss <= miss else Refused(rule, words, 0, (), miss)
        ids = tuple(sorted({*held.ids, *first_ids(endpoints)}))[:4]
        self.misses[key] = Refused(rule, near.reason, held.count + len(endpoints), ids, near.miss)


def _no_miss(priced: Priced, case: Case) -> float:
    return 0.0


_MISS: dict[str, Callable[[Priced, Case], float]] = {  # by how much a limit was missed
    "images": lambda priced, case: float(priced.pictures - (priced.max_pictures or 0)),
    "context": lambda priced, case: priced.tokens + priced.answer - priced.context,
    "memory": lambda priced, case: priced.memory,
    "max_cost": lambda priced, case: priced.cost_high,
    "deadline": lambda priced, case: priced.seconds_high,
}


def improve(search: Search) -> None:
    """Where not all combinations were tried: change one bundle at a time in the best route, while that helps."""
    if not search.routes or math.prod(len(choices) for choices in search._ways) <= ALL_COMBINATIONS:
        return
    for start in search.routes[:3]:
        current = start
        for _ in range(3):
            better = _neighbour(search, current)
            if better is None:
                break
            current = better
        if current is not start:
            search.routes.append(current)
    search.routes.sort(key=lambda route: route.key)


def _neighbour(search: Search, route: Route) -> Route | None:
    best: Route | None = None
    rule = route.group.first.model.image_tokens
    for place, bundle in enumerate(search.case.bundles):
        for way in search._ways[place]:
            if way is route.assignment.ways[place] or rules.of_way(route.group, way, bundle, search.case) is not None:
                continue
            chosen = (*route.assignment.ways[:place], way, *route.assignment.ways[place + 1 :])
            other = search._route(route.endpoint, route.group, route.rates, assign(search.case, chosen, rule), [])
            if other is not None and other.key < (best or route).key:
                best = other
    return best


__all__ = ["ENOUGH", "Found", "Search"]
