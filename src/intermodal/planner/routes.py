"""Complete routes and their numbers: an assignment (one way per bundle) in front of an endpoint.

Everything here is floats at two levels, mid for ranking and high for limits; ``build`` turns the few routes
that are shown into steps with quantities, by the same formulas.
"""

from __future__ import annotations

import math

from msgspec import Struct

from intermodal.catalog.nouns import Endpoint
from intermodal.costing.images import image_tokens
from intermodal.costing.levels import HIGH, MID, ZEROS, Level, Levels, levels, plus, times
from intermodal.costing.price import hearing_price, token_price
from intermodal.costing.rates import Rates
from intermodal.costing.schedule import finish
from intermodal.costing.speed import generate_seconds, hear_seconds
from intermodal.costing.tokens import BLOCK, MESSAGE, REPAIR, TEMPLATE, audio_tokens, speech_tokens, text_tokens
from intermodal.planner.case import Case
from intermodal.planner.index import Group
from intermodal.planner.rules import Priced
from intermodal.planner.ways import NO_TIER, Way
from intermodal.quantity import Quantity, between

DEFAULT_ANSWER: dict[str, int] = {"text": 512, "json": 1024, "embedding": 0, "transcript": 0}
SMALLEST_ANSWER: dict[str, int] = {"text": 64, "json": 128, "embedding": 0, "transcript": 0}
TYPICAL_ANSWER: dict[str, tuple[float, float]] = {"text": (8.0, 120.0), "json": (10.0, 80.0)}  # low, mid
LEFT_OUT_PENALTY = 0.01  # USD for not reading every page: as much as losing what the question asks for


class Assignment(Struct):
    """One way per bundle, added up for one rule of counting pictures.

    ``cold`` are the local converters to be loaded, ``memory`` what they need. ``missed`` counts inferred
    needs that are lost; ``kept`` the aspects that no part loses.
    """

    ways: tuple[Way, ...]
    text: Levels
    image: Levels
    audio: Levels
    cost: Levels
    transforms: Levels
    local: Levels
    network: Levels
    load: Levels
    memory: Levels
    pictures: int
    penalty: float
    missed: int
    kept: int
    tier: int
    cold: frozenset[str]
    left_out: int


class Route(Struct):
    """An endpoint behind an assignment, priced. ``cap`` is the room kept for the answer."""

    endpoint: Endpoint
    group: Group
    rates: Rates
    assignment: Assignment
    priced: Priced
    cap: float
    key: tuple[float | str, ...]
    score: float


def assign(case: Case, chosen: tuple[Way, ...], image_rule: str) -> Assignment:
    """Add up one way per bundle."""
    text = image = audio = cost = transforms = local = network = load = memory = ZEROS
    pictures = blocks = 0
    cold: set[str] = set()
    for way in chosen:
        text, cost = plus(text, way.text), plus(cost, way.cost)
        transforms, local = plus(transforms, way.transforms), plus(local, way.local)
        network = (max(network[0], way.network[0]), max(network[1], way.network[1]), max(network[2], way.network[2]))
        blocks += way.blocks
        for (width, height, detail), count in way.pictures.items():
            image = plus(image, times(levels(image_tokens(image_rule, width, height, detail)), count))
            pictures += count
        if way.sound != ZEROS:
            audio = plus(audio, levels(audio_tokens(_as_quantity(way.sound))))
        used = way.endpoint
        if used is not None and way.local != ZEROS and used.id not in cold and used.id not in case.loaded:
            cold.add(used.id)
            load = plus(load, case.rates(used).load)
            memory = plus(memory, case.rates(used).memory)
    if blocks:
        text = plus(text, times(BLOCK, blocks))
    lost = {aspect for way in chosen for aspect in way.loses}
    left_out = sum(way.left_out for way in chosen)
    return Assignment(
        ways=chosen, text=text, image=image, audio=audio, cost=cost, transforms=transforms, local=local,
        network=network, load=load, memory=memory, pictures=pictures,
        penalty=sum(way.penalty for way in chosen) + (LEFT_OUT_PENALTY if left_out else 0.0),
        missed=sum(len(way.missed) for way in chosen) + (1 if left_out else 0),
        kept=len({aspect for way in chosen for aspect in way.keeps} - lost),
        tier=min((way.tier for way in chosen), default=NO_TIER), cold=frozenset(cold), left_out=left_out,
    )  # fmt: skip


def _as_quantity(sound: Levels) -> Quantity:
    if sound[2] == math.inf:
        return Quantity(certainty="unknown", basis="length not known")
    return between(sound[0], sound[1], sound[2], "length")


def tier_of(case: Case, group: Group, assignment: Assignment) -> int:
    """Strength of the answering endpoint for what it is given here."""
    if case.job != "generate":
        return group.tier("automatic-speech-recognition" if case.job == "transcribe" else "feature-extraction")
    if assignment.pictures:
        return group.tier("image-text-to-text")
    return group.tier("audio-text-to-text") if assignment.audio != ZEROS else group.tier("text-generation")


# ---- tokens of the last call ------------------------------------------------------------------


def framing(case: Case, forced: bool) -> Levels:
    """Tokens nobody wrote: chat template, labels of named text, the schema where it is sent."""
    found = plus(TEMPLATE, times(MESSAGE, len(case.request.messages)))
    if case.labelled:
        found = plus(found, times(BLOCK, case.labelled))
    if case.schema_chars:
        schema = levels(text_tokens(case.schema_chars))
        found = plus(found, (0.0, schema[1] / 2, schema[2]) if forced else plus(schema, (15.0, 22.0, 40.0)))
    return found


def input_text(case: Case, group: Group, assignment: Assignment) -> Levels:
    """Text tokens of the last call: the sender's words, derived text, framing."""
    model = group.first.model
    if case.job == "transcribe":
        return ZEROS
    said = plus(case.text(model.tokenizer), assignment.text)
    if case.job == "embed":
        return plus(said, (2.0, 3.0, 8.0))
    return plus(said, framing(case, group.first.host.forced_json))


def answer(case: Case, endpoint: Endpoint, cap: float, sound: Levels) -> Levels:
    """Output tokens under a cap. Reservations use the cap, ranking the mid."""
    if case.job == "embed":
        return ZEROS
    seen = case.statistics.get(endpoint.id, "tokens_per_second_of_speech" if case.job == "transcribe" else "output_tokens")
    if case.job == "transcribe":
        return levels(speech_tokens(_as_quantity(sound), seen))
    if seen is not None:
        return (min(seen.low, cap), min(seen.mid, cap), cap)
    low, mid = TYPICAL_ANSWER[case.output]
    if case.output == "json":
        mid = max(mid, case.schema_chars / 8)  # a value is about half as long as the schema that describes it
    return (min(low, cap), min(mid, cap), cap)


def answer_cap(case: Case, rates: Rates, tokens_high: float) -> float:
    """Room for the answer: as stated, or the default shrunk to what the context leaves, never below the smallest."""
    if case.job != "generate":
        return 0.0
    stated = case.request.sampling.max_tokens
    if stated is not None:
        return float(min(stated, rates.most_out))
    wanted = min(float(DEFAULT_ANSWER[case.output]), rates.most_out)
    room = rates.context - tokens_high
    return max(float(SMALLEST_ANSWER[case.output]), min(wanted, math.floor(room) if room < math.inf else wanted))


# ---- numbers ----------------------------------------------------------------------------------


def last_call(
    case: Case, rates: Rates, level: Level, text: float, image: float, audio: float, sound: float, out: float
) -> tuple[float, float]:
    """USD and seconds of the call that answers."""
    if case.job == "transcribe":
        if rates.second == math.inf and rates.audio < math.inf:
            heard = levels(audio_tokens(_as_quantity((sound, sound, sound))))[level]
            return token_price(rates, 0.0, 0.0, heard, out), hear_seconds(rates, level, sound)
        return hearing_price(rates, sound), hear_seconds(rates, level, sound)
    return token_price(rates, text, image, audio, out), generate_seconds(rates, level, text + image + audio, out)


def repair(case: Case, group: Group, out: float) -> float:
    """Extra input tokens of the one repair call that prompted JSON may need; 0 where there can be none."""
    if case.output != "json" or group.first.host.forced_json:
        return 0.0
    return out + REPAIR[HIGH]


def price(
    case: Case, endpoint: Endpoint, group: Group, rates: Rates, assignment: Assignment, floor: int
) -> tuple[Priced, float]:
    """Numbers of a route, and the room for its answer."""
    text = input_text(case, group, assignment)
    image, audio = assignment.image, assignment.audio
    sound = sound_of(assignment) if case.job == "transcribe" else ZEROS
    tokens_high = text[HIGH] + image[HIGH] + audio[HIGH]
    cap = answer_cap(case, rates, tokens_high)
    out = answer(case, endpoint, cap, sound)
    cost, seconds = last_call(case, rates, MID, text[MID], image[MID], audio[MID], sound[MID], out[MID])
    cost_high, seconds_high = last_call(case, rates, HIGH, text[HIGH], image[HIGH], audio[HIGH], sound[HIGH], out[HIGH])
    again = repair(case, group, out[HIGH])
    if again:
        more_cost, more_seconds = last_call(
            case, rates, HIGH, text[HIGH] + again, image[HIGH], audio[HIGH], sound[HIGH], out[HIGH]
        )
        cost_high, seconds_high = cost_high + more_cost, seconds_high + more_seconds
    memory, load = assignment.memory[HIGH], assignment.load
    own = ZEROS
    if not group.remote and endpoint.id not in case.loaded and endpoint.id not in assignment.cold:
        own = rates.load
        memory += rates.memory[HIGH]
    own_tier = tier_of(case, group, assignment)
    return Priced(
        cost=cost + assignment.cost[MID],
        cost_high=cost_high + assignment.cost[HIGH],
        seconds=_ends(assignment, load, MID, seconds + own[MID]),
        seconds_high=_ends(assignment, load, HIGH, seconds_high + own[HIGH]),
        tokens=tokens_high if case.job != "transcribe" else 0.0,
        answer=cap,
        context=rates.context if case.job != "transcribe" else math.inf,
        context_known=bool(endpoint.context or endpoint.model.context),
        pictures=assignment.pictures,
        max_pictures=group.first.host.max_images,
        memory=memory,
        tier=min(assignment.tier, own_tier),
        own_tier=own_tier,
        floor=floor,
    ), cap


def _ends(assignment: Assignment, load: Levels, level: Level, last: float) -> float:
    return finish(
        assignment.transforms[level], assignment.local[level] + load[level], assignment.network[level], last
    )


def sound_of(assignment: Assignment) -> Levels:
    found = ZEROS
    for way in assignment.ways:
        found = plus(found, way.sound)
    return found

