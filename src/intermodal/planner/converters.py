"""Ears and readers: which may serve, and the few of them that are best under some weighting."""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec import Struct

from intermodal.catalog.nouns import Endpoint, Task
from intermodal.content import Kind
from intermodal.costing.levels import HIGH, MID, ZEROS, levels, plus
from intermodal.costing.price import hearing_price, reading_price
from intermodal.costing.speed import hear_seconds, see_seconds
from intermodal.planner import rules
from intermodal.planner.case import Case, is_here
from intermodal.planner.index import Group, Job
from intermodal.planner.pages import is_scanned
from intermodal.planner.survivors import Only, Refused, Survivors, members
from intermodal.planner.ways import Conversions, read_megapixels

SHORTLIST = 6  # converters up to which all are considered
TASKS: dict[Job, Task] = {"transcribe": "automatic-speech-recognition", "read": "image-to-text"}
_KINDS: dict[Job, tuple[Kind, ...]] = {"transcribe": ("audio",), "read": ("image", "document")}
_VERB: dict[Job, str] = {"transcribe": "hear", "read": "read"}


class Floors(Struct, frozen=True):
    """Places in ``TIERS`` below which nothing is taken: the answering endpoint, ears and readers."""

    answer: int
    hear: int
    read: int

    def of(self, job: Job) -> int:
        return self.hear if job == "transcribe" else self.read


class _Work(Struct):
    """All there is to convert, for comparing converters: seconds of audio, megapixels, pictures."""

    seconds: float
    megapixels: float
    pictures: int


class _Scored(Struct):
    endpoint: Endpoint
    money: float
    seconds: float
    tier: int
    memory: float


def shortlist(case: Case, left: Survivors, floors: Floors, only: Only | None) -> tuple[Conversions, list[Refused]]:
    """Converters per job, and who was refused for strength or privacy."""
    found: Conversions = {}
    refused: list[Refused] = []
    for job, groups in left.by_job.items():
        if job == case.job or job not in TASKS:
            continue
        scored: list[_Scored] = []
        work = _work(case)
        for group in groups:
            reason = _reason(case, group, job, floors)
            if reason is not None:
                refused.append(Refused(reason[0], reason[1], len(group.members), group.ids))
                continue
            tier = group.tier(TASKS[job])
            scored += [_score(case, e, job, work, tier) for e in members(case, group, job, only)]
        found[job] = [one.endpoint for one in _best(case, scored)]
    return found, refused


def _reason(case: Case, group: Group, job: Job, floors: Floors) -> rules.Reason | None:
    if group.tier(TASKS[job]) < floors.of(job):
        return ("floor", rules.below(case, floors.of(job), job))
    bundles = [bundle for bundle in case.bundles if bundle.kind in _KINDS[job]]
    if group.remote and bundles and all(bundle.private for bundle in bundles):
        return ("privacy", f"may not {_VERB[job]} {bundles[0].title}, which is private")
    return None


def _work(case: Case) -> _Work:
    seconds, megapixels, pictures = ZEROS, 0.0, 0
    for bundle in case.bundles:
        for part in bundle.parts:
            if bundle.kind == "audio":
                seconds = plus(seconds, levels(part.seconds))
            elif bundle.kind == "image":
                megapixels += read_megapixels(part.width, part.height)
                pictures += 1
        scans = sum(is_scanned(page) for pages in bundle.pages for page in pages)
        megapixels += 2.2 * scans
        pictures += scans
    return _Work(seconds[MID], megapixels, pictures)


def _score(case: Case, endpoint: Endpoint, job: Job, work: _Work, tier: int) -> _Scored:
    rates = case.rates(endpoint)
    load = 0.0 if endpoint.id in case.loaded else rates.load[MID]
    if job == "transcribe":
        money = hearing_price(rates, work.seconds)
        if money == math.inf and rates.audio < math.inf:
            money = work.seconds * 10 * rates.audio
        time = hear_seconds(rates, MID, work.seconds)
    else:
        money = reading_price(rates, work.pictures)
        time = see_seconds(rates, MID, work.megapixels)
    return _Scored(endpoint, money, time + load, tier, rates.memory[HIGH])


def _best(case: Case, scored: list[_Scored]) -> list[_Scored]:
    """All of a few; of many, on this machine and elsewhere each, the best under every weighting."""
    if len(scored) <= SHORTLIST:
        return scored
    value = case.policy.time_value

    def overall(one: _Scored) -> float:
        return min(one.money, 1e6) + one.seconds * value

    weightings: tuple[Callable[[_Scored], tuple[float | str, ...]], ...] = (
        lambda one: (overall(one), one.endpoint.id),
        lambda one: (min(one.money, 1e6), one.seconds, one.endpoint.id),
        lambda one: (one.seconds, one.endpoint.id),
        lambda one: (-one.tier, overall(one), one.endpoint.id),
        lambda one: (one.memory, overall(one), one.endpoint.id),
    )
    found: dict[str, _Scored] = {}
    for here in (True, False):
        some = [one for one in scored if is_here(one.endpoint) is here]
        for weigh in weightings if some else ():
            best = min(some, key=weigh)
            found.setdefault(best.endpoint.id, best)
    return list(found.values())
