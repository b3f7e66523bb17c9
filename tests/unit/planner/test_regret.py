"""The search against brute force: every endpoint, every combination of ways, every converter."""

from __future__ import annotations

import itertools

import msgspec
from tests.unit.planner.requests import inputs_of, seeded

from intermodal.errors import NoRoute
from intermodal.planner import rules
from intermodal.planner.case import Case, make_case
from intermodal.planner.choose import decide
from intermodal.planner.converters import TASKS, Floors
from intermodal.planner.lanes import for_itself
from intermodal.planner.routes import assign, demand, price, priced, tier_of
from intermodal.planner.score import Key, key
from intermodal.planner.survivors import jobs_needed, survivors
from intermodal.planner.ways import ways

CASES = 150


def brute_force(case: Case, floors: Floors) -> Key | None:
    """The best key over everything there is."""
    left = survivors(case, jobs_needed(case))
    conversions = {
        job: [e for group in groups if group.tier(TASKS[job]) >= floors.of(job) for e in group.members]
        for job, groups in left.by_job.items()
        if job != case.job and job in TASKS
    }
    choices = [ways(case, bundle, conversions) for bundle in case.bundles]
    best: Key | None = None
    for group in left.by_job[case.job]:
        usable = [
            for_itself(bundle, [way for way in some if rules.of_way(group, way, bundle, case) is None])
            for bundle, some in zip(case.bundles, choices, strict=True)
        ]
        for chosen in itertools.product(*usable):
            assignment = assign(case, chosen, group.first.model.image_tokens)
            needs = demand(case, group, assignment)
            for endpoint in group.members:
                rates = case.rates(endpoint)
                numbers = price(case, endpoint, group.remote, rates, needs)
                if rules.of_route(priced(case, endpoint, group, rates, needs, numbers, floors.answer), case) is None:
                    mine = key(case, endpoint.id, numbers, needs, min(needs.tier, tier_of(case, group, needs)))
                    best = mine if best is None or mine < best else best
    return best


def test_the_chosen_route_is_the_best_there_is_in_99_of_100_cases() -> None:
    compared = missed = 0
    for seed in range(CASES):
        described, catalog = seeded(seed)
        inputs = msgspec.structs.replace(inputs_of(described), catalog=catalog)
        case = make_case(inputs.request, inputs.facts, catalog, inputs.machine, inputs.statistics, inputs.as_of)
        try:
            decision = decide(case)
        except NoRoute:
            continue
        if decision.chosen.assignment.left_out:
            continue
        best = brute_force(case, decision.settled.floors)
        assert best is not None
        assert best[:-1] <= decision.chosen.key[:-1], "brute force looks at everything"
        compared += 1
        missed += best[:-1] != decision.chosen.key[:-1]
    assert compared > CASES * 0.6
    assert missed <= compared * 0.01, f"{missed} of {compared} plans were not the best"
