"""Shortlists transcribers, readers and describers: the best under some weighting of cost, time, strength and memory."""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec import Struct

from intermodal.catalog.types import Endpoint, Task
from intermodal.core.content import Kind
from intermodal.core.quantity import exact
from intermodal.core.request import TIERS
from intermodal.cost_model.call_cost import (
    calibrated_audio,
    generate_seconds,
    ocr_price,
    ocr_seconds,
    token_price,
    transcription_price,
    transcription_price_by_length,
    transcription_seconds,
)
from intermodal.cost_model.image_tokens import image_tokens
from intermodal.cost_model.levels import HIGH, MID, levels
from intermodal.cost_model.rates import Rates
from intermodal.cost_model.token_rules import audio_tokens
from intermodal.cost_model.tokens import DESCRIBE_ASK, DESCRIPTION, transcript_tokens
from intermodal.media.media_limits import (
    FRAME_SIDE,
    READ_SIDE,
    expected_scenes,
    frame_size,
    most_frames,
    read_megapixels,
)
from intermodal.planner.catalog_index import EndpointGroup, Job
from intermodal.planner.conversion.conversion_option import ConvertersByJob
from intermodal.planner.conversion.conversion_options import needs_rendering
from intermodal.planner.conversion.conversion_steps import figure_pixels
from intermodal.planner.conversion.fidelity import transcribed_channels
from intermodal.planner.eligibility import rules
from intermodal.planner.eligibility.eligible_endpoints import (
    EligibleEndpoints,
    EndpointFilter,
    EndpointRejection,
    members_to_price,
)
from intermodal.planner.planning_case import PlanningCase, is_local

LARGE = TIERS.index("large")
SHORTLIST = 6  # up to this many converters, all are considered
TASKS: dict[Job, Task] = {
    "transcribe": "automatic-speech-recognition",
    "read": "image-to-text",
    "describe": "image-text-to-text",
}
KINDS: dict[Job, tuple[Kind, ...]] = {
    "transcribe": ("audio", "video"),
    "read": ("image", "document", "video"),
    "describe": ("image", "document", "video"),
}  # fmt: skip
VERB: dict[Job, str] = {"transcribe": "hear", "read": "read", "describe": "see", "speak": "speak the answer"}


class StrengthFloors(Struct, frozen=True):
    """The minimum strengths (indexes into ``TIERS``) of answering models, transcribers, readers and describers."""

    answer: int
    hear: int
    read: int
    see: int = 0

    def floor_of(self, job: Job) -> int:
        """Return the floor for a conversion job."""
        return {"transcribe": self.hear, "read": self.read}.get(job, self.see)


class _ConversionWork(Struct):
    """The total conversion work, for comparing converters.

    Contains the seconds of each recording, the seconds of video among them, megapixels, number of images and their
    sizes.
    """

    lengths: list[float]
    film: float
    megapixels: float
    pictures: int
    shapes: dict[tuple[int, int], int]


class _RankedConverter(Struct):
    endpoint: Endpoint
    money: float
    seconds: float
    tier: int
    memory: float


def shortlist_converters(
    case: PlanningCase, left: EligibleEndpoints, floors: StrengthFloors, only: EndpointFilter | None
) -> tuple[ConvertersByJob, list[EndpointRejection]]:
    """Return the converters by job, and the rejections for strength or privacy."""
    found: ConvertersByJob = {}
    refused: list[EndpointRejection] = []
    work: _ConversionWork | None = None
    for job, groups in left.by_job.items():
        if job == case.job or job not in TASKS:
            continue
        scored: list[_RankedConverter] = []
        if work is None:
            work = _conversion_work(case)
        for group in groups:
            reason = _reason(case, group, job, floors)
            if reason is not None:
                refused.append(EndpointRejection(reason[0], reason[1], len(group.members), group.ids))
                continue
            tier = group.tier(TASKS[job])
            scored += [_score(case, e, job, work, tier) for e in members_to_price(case, group, job, only)]
        found[job] = [ranked.endpoint for ranked in _shortlist(case, scored)]
    return found, refused


def _reason(case: PlanningCase, group: EndpointGroup, job: Job, floors: StrengthFloors) -> rules.Reason | None:
    if group.tier(TASKS[job]) < floors.floor_of(job):
        return ("floor", rules.below_floor(case, floors.floor_of(job), job))
    bundles = [bundle for bundle in case.bundles if bundle.kind in KINDS[job]]
    if group.remote and bundles and all(bundle.private for bundle in bundles):
        return ("privacy", f"may not {VERB[job]} {bundles[0].title}, which is private")
    return None


def _conversion_work(case: PlanningCase) -> _ConversionWork:
    lengths: list[float] = []
    film, megapixels, pictures = 0.0, 0.0, 0
    shapes: dict[tuple[int, int], int] = {}
    for bundle in case.bundles:
        for part in bundle.parts:
            if bundle.kind == "audio" or (bundle.kind == "video" and part.channels):
                lengths += [levels(part.seconds)[MID]] * transcribed_channels(part)
                film += lengths[-1] * transcribed_channels(part) if bundle.kind == "video" else 0.0
            if bundle.kind == "video":
                expected = expected_scenes(part.seconds.mid, part.cuts)[MID]
                frames = max(1, round(min(expected, most_frames(part.seconds.mid))))
                shape = frame_size(part.width, part.height, FRAME_SIDE)
                megapixels += read_megapixels(*frame_size(part.width, part.height, READ_SIDE))[MID] * frames
                pictures += frames
                shapes[shape] = shapes.get(shape, 0) + frames
            if bundle.kind == "image":
                megapixels += read_megapixels(part.width, part.height)[MID]
                pictures += 1
                shapes[part.width, part.height] = shapes.get((part.width, part.height), 0) + 1
        scans = sum(page.scanned for pages in bundle.pages for page in pages)
        rendered = sum(needs_rendering(page) for pages in bundle.pages for page in pages)
        cut_out = [shape for pages in bundle.pages for page in pages for shape in figure_pixels(page)]
        megapixels += 2.2 * scans + sum(read_megapixels(*shape)[MID] for shape in cut_out)
        pictures += scans + len(cut_out)
        if rendered:
            shapes[1240, 1755] = shapes.get((1240, 1755), 0) + rendered
    return _ConversionWork(lengths, film, megapixels, pictures, shapes)


def _score(case: PlanningCase, endpoint: Endpoint, job: Job, work: _ConversionWork, tier: int) -> _RankedConverter:
    rates = case.rates(endpoint)
    load = 0.0 if endpoint.id in case.loaded else rates.load[MID]
    if job == "transcribe":
        seconds = sum(work.lengths)
        money = _hearing(case, endpoint, rates, work.lengths)
        time = transcription_seconds(rates, MID, seconds, work.film)
    elif job == "describe":
        rule, many = case.token_rules_of(endpoint).image, sum(work.shapes.values())
        image_tokens_total = sum(image_tokens(rule, *shape).mid * count for shape, count in work.shapes.items())
        question = len(case.question) / 4 if case.shares_question(endpoint) else 0.0
        input_tokens, output_tokens = (DESCRIBE_ASK[MID] + question) * many, DESCRIPTION[MID] * many
        money = token_price(rates, input_tokens, image_tokens_total, 0.0, output_tokens)
        time = generate_seconds(rates, MID, image_tokens_total + input_tokens, output_tokens) + rates.overhead[
            MID
        ] * max(0, many - 1)
    else:
        money = ocr_price(rates, work.pictures)
        time = ocr_seconds(rates, MID, work.megapixels, 100.0 * work.megapixels)
    return _RankedConverter(endpoint, money, time + load, tier, rates.memory[HIGH])


def _hearing(case: PlanningCase, endpoint: Endpoint, rates: Rates, lengths: list[float]) -> float:
    """Return the cost in USD of transcribing recordings of these lengths, as a plan would state it."""
    if rates.second < math.inf or rates.audio == math.inf:  # media billed by seconds need no token count
        return sum(transcription_price_by_length(rates, each) for each in lengths)
    rule, learned_rate = (
        case.token_rules_of(endpoint).audio,
        case.statistics.get(endpoint.id, "tokens_per_second_of_speech"),
    )
    cost = 0.0
    for each in lengths:
        sound = calibrated_audio(rates, levels(audio_tokens(rule, each)))[MID]
        cost += transcription_price(rates, each, sound, transcript_tokens(exact(each), learned_rate).mid, 1)
    return cost


def _shortlist(case: PlanningCase, scored: list[_RankedConverter]) -> list[_RankedConverter]:
    """Return all converters if there are few; otherwise the best under each weighting."""
    if len(scored) <= SHORTLIST:
        return scored
    value = case.policy.time_value

    def overall(converter: _RankedConverter) -> float:
        return min(converter.money, 1e6) + converter.seconds * value

    weightings: tuple[Callable[[_RankedConverter], tuple[float | str, ...]], ...] = (
        lambda converter: (overall(converter), converter.endpoint.id),
        lambda converter: (min(converter.money, 1e6), converter.seconds, converter.endpoint.id),
        lambda converter: (converter.seconds, converter.endpoint.id),
        lambda converter: (-converter.tier, overall(converter), converter.endpoint.id),
        # A converter stronger than the answering model does not strengthen the route, so the cheaper one wins.
        lambda converter: (
            -min(converter.tier, LARGE),
            min(converter.money, 1e6),
            converter.seconds,
            converter.endpoint.id,
        ),
        lambda converter: (converter.memory, overall(converter), converter.endpoint.id),
    )
    found: dict[str, _RankedConverter] = {}
    for local in (True, False):
        candidates = [converter for converter in scored if is_local(converter.endpoint) is local]
        for weigh in weightings if candidates else ():
            best = min(candidates, key=weigh)
            found.setdefault(best.endpoint.id, best)
    return list(found.values())
