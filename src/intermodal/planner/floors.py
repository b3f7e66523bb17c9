"""The strength floor: a stated one rejects, the default one gives way to the strongest there is, per task."""

from __future__ import annotations

import itertools

from msgspec import Struct

from intermodal.planner.case import Case
from intermodal.planner.converters import TASKS, Floors
from intermodal.planner.index import Job, tier_name
from intermodal.planner.routes import Route
from intermodal.planner.search import Found, Search
from intermodal.planner.survivors import Survivors
from intermodal.request import TIERS

DEFAULT_FLOOR = TIERS.index("medium")


class Settled(Struct):
    """The floors under which routes were found (or nothing was, even under the lowest)."""

    floors: Floors
    found: Found


def settle(case: Case, left: Survivors) -> Settled:
    """Search under the floor; where the default floor leaves nothing, come down as little as possible."""
    stated = case.policy.at_least
    if stated is not None:
        floors = Floors(*[TIERS.index(stated)] * 3)
        return Settled(floors, Search(case, left, floors).run())
    top = _strongest(case, left)
    settled: Settled | None = None
    for floors in _downwards(top):
        settled = Settled(floors, Search(case, left, floors).run())
        if settled.found.routes:
            return settled
    assert settled is not None
    return settled


def _strongest(case: Case, left: Survivors) -> Floors:
    """The default floor, or the strongest reachable of each task where nothing is that strong."""
    answer = max((group.strongest for group in left.by_job[case.job]), default=0)
    if case.named is not None:
        answer = 0  # the user named the model: it is as strong as it is
    return Floors(answer=min(DEFAULT_FLOOR, answer), hear=_of(case, left, "transcribe"), read=_of(case, left, "read"))


def _of(case: Case, left: Survivors, job: Job) -> int:
    groups = left.by_job.get(job, []) if job != case.job else []
    kinds = ("audio",) if job == "transcribe" else ("image", "document")
    all_private = all(bundle.private for bundle in case.bundles if bundle.kind in kinds)
    tiers = [group.tier(TASKS[job]) for group in groups if not (group.remote and all_private)]
    return min(DEFAULT_FLOOR, max(tiers, default=0))


def _downwards(top: Floors) -> list[Floors]:
    """From ``top`` down, fewest steps first, converters before the answer."""
    steps = itertools.product(range(top.answer + 1), range(top.hear + 1), range(top.read + 1))
    ordered = sorted(steps, key=lambda step: (sum(step), step))
    return [Floors(top.answer - answer, top.hear - hear, top.read - read) for answer, hear, read in ordered]


def floor_notes(case: Case, floors: Floors, chosen: Route) -> list[str]:
    """One sentence where the default floor had to come down, and how to get better."""
    if case.policy.at_least is not None:
        return []
    words: dict[Job, str] = {
        "generate": "answering", "embed": "embedding", "transcribe": "speech recognition", "read": "text recognition",
    }  # fmt: skip
    short: list[str] = []
    if floors.answer < DEFAULT_FLOOR and case.named is None and case.job == "generate":
        short.append(f"{words[case.job]} {tier_name(floors.answer)}")
    for job in ("transcribe", "read"):
        used = any(
            way.endpoint is not None and (way.name == "transcribe") == (job == "transcribe")
            for way in chosen.assignment.ways
        )
        if used and floors.of(job) < DEFAULT_FLOOR:
            short.append(f"{words[job]} {tier_name(floors.of(job))}")
    if not short:
        return []
    return [
        f"floor {tier_name(DEFAULT_FLOOR)} not reached, the strongest reachable is taken ({', '.join(short)}); "
        "for better: intermodal pull --list, or intermodal hosts add"
    ]
