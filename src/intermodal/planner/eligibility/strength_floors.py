"""The strength floor: a stated floor rejects weaker endpoints.

The default floor is lowered, per task, to the strongest available model.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from msgspec import Struct

from intermodal.core.hints import PULL_LIST, hint
from intermodal.core.request import TIERS
from intermodal.planner.catalog_index import MAX_LISTED_IDS, EndpointGroup, Job, tier_name
from intermodal.planner.conversion.converters import KINDS, TASKS, VERB, StrengthFloors
from intermodal.planner.eligibility import rules
from intermodal.planner.eligibility.eligible_endpoints import (
    EligibleEndpoints,
    EndpointFilter,
    EndpointRejection,
    first_ids,
)
from intermodal.planner.explanation.remedies import hosts_without_consent
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.routes import Route
from intermodal.planner.route_search.search import Search, SearchResult

DEFAULT_FLOOR = TIERS.index("medium")
CONVERSIONS: tuple[Job, ...] = ("transcribe", "read", "describe")
_JOB_WORDS: dict[Job, str] = {
    "generate": "answering",
    "embed": "embedding",
    "transcribe": "speech recognition",
    "read": "text recognition",
    "describe": "sight",
    "score": "scoring",
    "speak": "speech",
    "draw": "drawing",
}


class FloorSearch(Struct):
    """The floors under which routes were found, or the lowest floors if none were.

    ``top``: where the search began. ``passed_over``: stronger converters that were not used, and why. ``instead``: the
    route under the higher floor that loses more, if the floor was lowered for that reason.
    """

    floors: StrengthFloors
    found: SearchResult
    top: StrengthFloors
    passed_over: list[EndpointRejection]
    instead: Route | None = None


def search_with_floors(case: PlanningCase, left: EligibleEndpoints) -> FloorSearch:
    """Search under the floor. If nothing is found under the default floor, lower it as little as possible."""
    required_tier = case.policy.at_least
    if required_tier is not None:
        floors = StrengthFloors(*[TIERS.index(required_tier)] * 4)
        return FloorSearch(floors, Search(case, left, floors).run(), floors, [])
    top = _lowered_floors(case, left)
    floor_search: FloorSearch | None = None
    for floors in _lower_floors(top):
        floor_search = FloorSearch(floors, Search(case, left, floors).run(), top, [])
        if floor_search.found.routes:
            floor_search.passed_over = _excluded_stronger(case, left, top, floors)
            return _keeping_more(case, left, floor_search) or floor_search
    assert floor_search is not None
    return floor_search


def _keeping_more(case: PlanningCase, left: EligibleEndpoints, floor_search: FloorSearch) -> FloorSearch | None:
    """Return the search with a weaker endpoint that keeps needed aspects, or None.

    Used if the best route loses them and is no stronger. For example, if a weak model describes five images one by one,
    they are not compared, however strong the model that reads the descriptions.
    """
    best, floors = floor_search.found.routes[0], floor_search.floors
    if not best.demand.lost or best.tier >= floors.answer:
        return None
    lower = StrengthFloors(best.tier, floors.hear, floors.read, floors.see)
    found = Search(case, left, lower).run()
    if not found.routes or found.routes[0].loss >= best.loss:
        return None
    return FloorSearch(lower, found, floor_search.top, floor_search.passed_over, best)


def _lowered_floors(case: PlanningCase, left: EligibleEndpoints) -> StrengthFloors:
    """Return the default floors, lowered to the strongest available model per task."""
    answer = _strongest_for_job(case, left, case.job)
    if case.named_endpoints is not None:
        answer = 0  # the user named the model: its strength does not matter
    if case.policy.objective == "fastest":
        # The objective "fastest" alone lowers the floor of transcribers and readers; the answer keeps its floor.
        return StrengthFloors(answer=min(DEFAULT_FLOOR, answer) if case.job != "transcribe" else 0, hear=0, read=0)
    hear, read, see = (
        min(DEFAULT_FLOOR, _strongest_for_job(case, left, job)) if job != case.job else 0 for job in CONVERSIONS
    )
    return StrengthFloors(answer=min(DEFAULT_FLOOR, answer), hear=hear, read=read, see=see)


def _strongest_for_job(case: PlanningCase, left: EligibleEndpoints, job: Job) -> int:
    """Return the strongest tier for a job among endpoints that may receive the parts; cached."""
    private = job != case.job and all(bundle.private for bundle in case.bundles if bundle.kind in KINDS[job])
    found = left.strongest.get((job, private))
    if found is None:
        groups = [group for group in left.by_job.get(job, []) if not (group.remote and private)]
        tiers = (group.strongest if job == case.job else group.tier(TASKS[job]) for group in groups)
        found = left.strongest[job, private] = max(tiers, default=0)
    return found


def _lower_floors(top: StrengthFloors) -> Iterator[StrengthFloors]:
    """Yield floors from ``top`` downwards, by increasing number of steps."""
    yield top
    steps = itertools.product(*(range(each + 1) for each in (top.answer, top.hear, top.read, top.see)))
    ordered = sorted(steps, key=lambda step: (sum(step), step))
    for a, h, r, s in ordered[1:]:
        yield StrengthFloors(top.answer - a, top.hear - h, top.read - r, top.see - s)


_MISSED_FLOOR = "no model of at least"


def is_floor_missed(notes: Iterable[str]) -> bool:
    """Return whether a plan has the note that the default floor was lowered."""
    return any(note.startswith(_MISSED_FLOOR) for note in notes)


def floor_notes(
    case: PlanningCase, left: EligibleEndpoints, floor_search: FloorSearch, chosen_route: Route
) -> list[str]:
    """Return a note if the default floor was lowered: what excludes stronger endpoints, or how to get them."""
    if case.policy.at_least is not None:
        return []
    floors = floor_search.floors
    if floor_search.instead is not None:
        before = floor_search.instead
        return [
            f"{chosen_route.endpoint.id} is {tier_name(chosen_route.tier)}, below the floor "
            f"{tier_name(DEFAULT_FLOOR)}, and keeps what the "
            f"question seems to need; {before.endpoint.id} would lose it, "
            f"with a weakest link that is {tier_name(before.tier)}, too"
        ]
    low: list[tuple[Job, int]] = []
    if floors.answer < DEFAULT_FLOOR and case.named_endpoints is None:
        low.append((case.job, floors.answer))
    for job in CONVERSIONS:
        used = any(
            job == step.op
            for option in chosen_route.assignment.options
            for conversion in option.conversions
            for step in conversion.steps
        )
        if used and floors.floor_of(job) < DEFAULT_FLOOR:
            low.append((job, floors.floor_of(job)))
    if not low:
        return []
    short = [f"{_JOB_WORDS[job]} {tier_name(place)}" for job, place in low]
    why = _refused_by_floor(case, floor_search)
    floor, weak = tier_name(DEFAULT_FLOOR), ", ".join(short)
    if why:
        return [hint(_MISSED_FLOOR + " {} strength is available ({}): {}", floor, weak, why)]
    hosts = hosts_without_consent(
        case,
        left.refused,
        lambda group: any(job in group.jobs and group.strongest > place for job, place in low),
    )
    add = hint("{host=}", hosts[0]) if len(hosts) == 1 else "intermodal hosts add"
    return [
        hint(
            _MISSED_FLOOR + " {} strength is available, so expect mistakes ({}); for better: {}, or {}",
            floor,
            weak,
            PULL_LIST,
            add,
        )
    ]


def _refused_by_floor(case: PlanningCase, floor_search: FloorSearch) -> str:
    """Return what excludes a stronger available endpoint: the nearest miss."""
    if floor_search.passed_over:
        nearest = max(floor_search.passed_over, key=lambda each: rules.rule_order(each.rule))
        return hint("{} {}", nearest.ids[0], nearest.reason)
    if floor_search.floors.answer >= floor_search.top.answer:
        return ""
    stronger = [
        each
        for each in floor_search.found.refused
        if any(_is_stronger(case, case.index.group_of[name], floor_search.floors.answer) for name in each.ids)
    ]
    if not stronger:
        return ""
    nearest = max(stronger, key=lambda each: rules.rule_order(each.rule))
    if nearest.reason.startswith("the nearest"):
        return hint("of the stronger ones {}", nearest.reason)
    return hint("{} is out: {}", nearest.ids[0], nearest.reason)


def _is_stronger(case: PlanningCase, group: EndpointGroup, floor: int) -> bool:
    return case.job in group.jobs and group.strongest > floor


def _nearest_miss(refused: list[EndpointRejection]) -> EndpointRejection | None:
    """Return the nearest miss. Rejections for weakness are used only if there are no others."""
    return max(refused, key=lambda each: (each.rule != "floor", rules.rule_order(each.rule)), default=None)


def _converters_above_floor(left: EligibleEndpoints, job: Job, floors: StrengthFloors) -> list[EndpointGroup]:
    """Return the groups of converters above the floor, strongest first."""
    task = TASKS[job]
    found = [group for group in left.by_job.get(job, []) if group.tier(task) > floors.floor_of(job)]
    return sorted(found, key=lambda group: (-group.tier(task), group.number))


def _excluded_stronger(
    case: PlanningCase, left: EligibleEndpoints, top: StrengthFloors, floors: StrengthFloors
) -> list[EndpointRejection]:
    """Return the converters stronger than those used, and why every route through them is rejected."""
    found: list[EndpointRejection] = []
    for job in CONVERSIONS:
        if job == case.job or floors.floor_of(job) >= top.floor_of(job):
            continue
        groups = _converters_above_floor(left, job, floors)
        if not groups:
            continue
        best = groups[0]
        alone = Search(case, left, StrengthFloors(floors.answer, 0, 0), EndpointFilter(best.ids[0], job)).run()
        if alone.routes:
            continue
        nearest = _nearest_miss(alone.refused)
        if nearest is None:
            continue
        verb = VERB[job]
        words = hint("could {}, but every route through it is out: {}", verb, nearest.reason)
        ids = (best.ids[0], *(name for name in first_ids(groups) if name != best.ids[0]))[:MAX_LISTED_IDS]
        found.append(EndpointRejection(nearest.rule, words, sum(len(group.members) for group in groups), ids))
    return found
