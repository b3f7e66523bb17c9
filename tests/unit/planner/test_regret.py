"""The search against brute force: every endpoint, every combination of ways, every converter."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from unittest.mock import patch

import msgspec
import pytest
from tests.plans import catalogs
from tests.unit.planner.requests import inputs_of, seeded

from intermodal.cost_model.levels import HIGH
from intermodal.errors import NoRoute
from intermodal.planner import plan
from intermodal.planner.alternatives import alternatives
from intermodal.planner.catalog_index import EndpointGroup
from intermodal.planner.conversion import conversion_options
from intermodal.planner.conversion.conversion_option import ConversionOption, ConvertersByJob, without_reading
from intermodal.planner.conversion.converters import TASKS, StrengthFloors
from intermodal.planner.eligibility import rules
from intermodal.planner.eligibility.eligible_endpoints import eligible_endpoints, needed_jobs
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planner import search_and_choose
from intermodal.planner.planning_case import PlanningCase, make_case
from intermodal.planner.route_estimates.assignment import assign
from intermodal.planner.route_estimates.call_demand import answering_tier, call_demand
from intermodal.planner.route_estimates.routes import price_route, priced_route
from intermodal.planner.route_search.assignment_pools import prefer_native_for_named, without_needless_descriptions
from intermodal.planner.route_search.objectives import Key, candidate_score, ranking_key

pytestmark = pytest.mark.slow

CASES = 100
SAMPLE = 20_000  # routes of a case, at most, but with --full-gates
TIE = 1e-9  # a regret that is none, but for seconds, kept aspects or money after an equal number


Choices = list[tuple[EndpointGroup, list[list[ConversionOption]]]]


def everything(case: PlanningCase, floors: StrengthFloors) -> Choices:
    """Every class of endpoints, with the ways of each bundle that it could take."""
    left = eligible_endpoints(case, needed_jobs(case))
    conversions: ConvertersByJob = {
        job: [e for group in groups if group.tier(TASKS[job]) >= floors.floor_of(job) for e in group.members]
        for job, groups in left.by_job.items()
        if job != case.job and job in TASKS
    }
    with patch.object(conversion_options, "BOTH_OF", 1_000):  # every pair of a reader and an eye
        choices = [conversion_options.conversion_options(case, bundle, conversions) for bundle in case.bundles]
    found: Choices = []
    for group in left.by_job[case.job]:
        as_seen = [
            (bundle, [without_reading(way, bundle) for way in some] if group.cannot_read else some)
            for bundle, some in zip(case.bundles, choices, strict=True)
        ]
        usable = [
            prefer_native_for_named(
                case,
                bundle,
                without_needless_descriptions(bundle, [way for way in some if _is_open(case, group, bundle, way)]),
            )
            for bundle, some in as_seen
        ]
        found.append((group, usable))
    return found


def _is_open(case: PlanningCase, group: EndpointGroup, bundle: Bundle, way: ConversionOption) -> bool:
    if way.name == "read_along" and not group.cannot_read:
        return False
    return rules.option_rejection(group, way, bundle, case) is None


def routes(choices: Choices) -> int:
    """How many there are."""
    return sum(len(group.members) * math.prod(map(len, usable)) for group, usable in choices)


def brute_force(case: PlanningCase, floors: StrengthFloors, choices: Choices) -> Key | None:
    """The best key over everything there is."""
    best: Key | None = None
    for group, usable in choices:
        for chosen in itertools.product(*usable):
            assignment = assign(case, chosen, case.token_rules(group))
            needs = call_demand(case, group, assignment)
            for endpoint in group.members:
                rates = case.rates(endpoint)
                numbers = price_route(case, endpoint, group.remote, rates, needs)
                mine = ranking_key(
                    case, endpoint.id, numbers, needs, min(needs.tier, answering_tier(case, group, needs))
                )
                if best is not None and mine >= best:
                    continue  # allowed or not, it is not the best
                if (
                    rules.route_rejection(
                        priced_route(case, endpoint, group, rates, needs, numbers, floors.answer), case
                    )
                    is None
                ):
                    best = mine
    return best


def compared_with(seeds: range, most: float = math.inf) -> Iterator[float]:
    """Per case that can be compared: the chosen route's number over that of the best there is, less one.

    Above 0 also where only a tie-break is missed. A case of more routes than ``most`` is left out.
    """
    for seed in seeds:
        described, catalog = seeded(seed)
        inputs = msgspec.structs.replace(inputs_of(described), catalog=catalog)
        case = make_case(inputs.request, inputs.facts, catalog, inputs.machine, inputs.statistics, inputs.as_of)
        try:
            decision = search_and_choose(case)
        except NoRoute:
            continue
        if decision.chosen.assignment.left_out:
            continue
        choices = everything(case, decision.floor_search.floors)
        if routes(choices) > most:
            continue
        best = brute_force(case, decision.floor_search.floors, choices)
        assert best is not None
        assert best[:-1] <= decision.chosen.key[:-1], "brute force looks at everything"
        if best[:-1] == decision.chosen.key[:-1]:
            yield 0.0
            continue
        mine, least = candidate_score(case, decision.chosen.key), candidate_score(case, best)
        yield max(mine / least - 1 if least > 0 else mine - least, TIE)


def test_the_chosen_route_is_the_best_there_is_in_99_of_100_cases(full_gates: bool) -> None:
    found = list(compared_with(range(CASES), math.inf if full_gates else SAMPLE))
    missed = sum(regret > 0 for regret in found)
    assert len(found) > CASES * 0.6
    assert missed <= len(found) * 0.01, f"{missed} of {len(found)} plans were not the best"


def test_a_context_that_is_nearly_full_makes_no_route_better(full_gates: bool) -> None:
    capped = 0
    for seed in range(40 if full_gates else 20):
        described, catalog = seeded(seed)
        inputs = msgspec.structs.replace(inputs_of(described), catalog=catalog)
        case = make_case(inputs.request, inputs.facts, catalog, inputs.machine, inputs.statistics, inputs.as_of)
        try:
            route = search_and_choose(case).chosen
        except NoRoute:
            continue
        needs, endpoint, remote = route.demand, route.endpoint, route.group.remote
        roomy = msgspec.structs.replace(route.rates, context=math.inf)
        best = ranking_key(case, endpoint.id, price_route(case, endpoint, remote, roomy, needs), needs, route.tier)
        for room in (4.0, 16.0, 40.0, 100.0, 300.0, 1_000.0):
            rates = msgspec.structs.replace(roomy, context=needs.total[HIGH] + room)
            numbers = price_route(case, endpoint, remote, rates, needs)
            capped += bool(numbers.missing_seconds)
            assert ranking_key(case, endpoint.id, numbers, needs, route.tier) >= best
    assert capped > 10


def test_classes_that_are_never_opened_hold_none_of_the_best_endpoints(full_gates: bool) -> None:
    large, compared = catalogs.many(250, seed=3, hosts=12), 0
    for seed in range(30 if full_gates else 15):
        described, _ = seeded(seed)
        inputs = msgspec.structs.replace(inputs_of(described), catalog=large)
        if inputs.request.policy.objective == "best":  # not ordered by its score alone
            continue
        try:
            every = alternatives(inputs, most=100_000, below_floor=False)
        except NoRoute:
            continue
        made = plan(inputs.request, inputs.facts, large, inputs.machine, inputs.statistics, inputs.as_of)
        named = {each.endpoint for each in (made.chosen, *made.fallbacks)} | {each.endpoint for each in made.outranked}
        ordered = sorted(every, key=lambda each: (each.diverted, each.lost, each.score))
        assert made.chosen.score == ordered[0].score
        assert set(list(dict.fromkeys(each.endpoint for each in ordered))[:4]) <= named
        compared += 1
    assert compared > 7
