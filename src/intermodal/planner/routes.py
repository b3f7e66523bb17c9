"""Complete routes and their numbers: an assignment (one way per bundle) in front of an endpoint.

Search prices hundreds of routes, so what does not depend on the endpoint is added up once: an *assignment*
per book of rules that media are counted by, and from it a *demand* per vocabulary. ``price`` then is a handful of
multiplications at two levels, mid for ranking and high for limits; ``build`` shows the chosen few at all
three levels by the same formulas.
"""

from __future__ import annotations

import math

import msgspec
from msgspec import Struct

from intermodal.catalog.nouns import Endpoint, Task
from intermodal.costing.levels import HIGH, MID, ZEROS, Level, Levels, larger, levels, plus, summed, times
from intermodal.costing.limits import NOTHING, Held
from intermodal.costing.native import Book
from intermodal.costing.price import as_heard, hearing_price, speaking_price, token_price
from intermodal.costing.rates import HERE, Rates
from intermodal.costing.schedule import finish
from intermodal.costing.speed import generate_seconds, hear_seconds, speak_seconds
from intermodal.costing.tokens import (
    BLOCK,
    CHARS_OF_TOKEN,
    CHARS_PER_SECOND,
    MESSAGE,
    REPAIR,
    SPEECH_TOKENS,
    TEMPLATE,
    speech_tokens,
    text_tokens,
)
from intermodal.costing.tooling import tool_tokens
from intermodal.planner.case import Case
from intermodal.planner.drawing import draw_call, drawn
from intermodal.planner.index import Group
from intermodal.planner.pieces import at_each
from intermodal.planner.rules import Priced
from intermodal.planner.speech import load, speaks
from intermodal.planner.speech import memory as voice_memory
from intermodal.planner.way import NO_TIER, Way, natives
from intermodal.quantity import Quantity

_NONE = {"embedding": 0, "transcript": 0, "scores": 0, "image": 0}
DEFAULT_ANSWER: dict[str, int] = {"text": 512, "json": 1024, "speech": 512, **_NONE}
SMALLEST_ANSWER: dict[str, int] = {"text": 64, "json": 128, "speech": 64, **_NONE}
OPTIONS = (15.0, 25.0, 40.0)  # tokens that ask a chat to pick one of lettered labels
LEFT_OUT_PENALTY = 0.01  # USD for not reading every page: as much as losing what the question asks for


class Assignment(Struct, eq=False, gc=False):
    """One way per bundle, added up for one book of rules by which media are counted.

    Attributes:
        text, image, audio: tokens of the media for the last call, labels of blocks included. sound: seconds.
        made: tokens that converters write. cost: USD of the conversions.
        before: seconds until all conversions are done, loading included. load: that loading.
        memory: bytes of the local converters that are not loaded yet, which are ``cold``.
        missed: inferred needs that are lost. kept: aspects that no part loses. tier: the weakest converter.
        held: what limits of a request are about.
    """

    ways: tuple[Way, ...]
    text: Levels
    image: Levels
    audio: Levels
    sound: Levels
    made: Levels
    cost: Levels
    before: Levels
    load: Levels
    memory: Levels
    pictures: int
    penalty: float
    missed: int
    kept: int
    tier: int
    cold: frozenset[str]
    left_out: int
    held: Held


class Demand(Struct, frozen=True, gc=False):
    """What the last call has to take, whoever takes it. ``total`` sums the tokens of all kinds.

    ``again`` are the extra input tokens of the one repair that prompted JSON may need, 0 without. ``calls`` is how
    often the call is made (a chat scores labels in both orders), ``beside`` what goes in beside it and takes no room
    in its context (the labels that an embedding model is given one by one).
    """

    text: Levels
    image: Levels
    audio: Levels
    sound: Levels
    total: Levels
    cost: Levels
    before: Levels
    memory: float
    pictures: int
    penalty: float
    missed: int
    kept: int
    tier: int
    again: float
    cold: frozenset[str]
    held: Held
    calls: int = 1
    beside: float = 0.0


class Numbers(Struct, gc=False):
    """A route's numbers, as ranking and limits read them."""

    cost: float
    cost_high: float
    seconds: float
    seconds_high: float
    memory: float
    cap: float


class Route(Struct, eq=False, gc=False):
    """An endpoint behind an assignment, priced. ``key`` orders routes, ``score`` is its number."""

    endpoint: Endpoint
    group: Group
    rates: Rates
    assignment: Assignment
    demand: Demand
    numbers: Numbers
    tier: int
    own_tier: int
    key: tuple[float | str, ...]
    score: float

    @property
    def cost(self) -> float:
        return self.numbers.cost

    @property
    def seconds(self) -> float:
        return self.numbers.seconds


# ---- before the last call ---------------------------------------------------------------------


def assign(case: Case, chosen: tuple[Way, ...], book: Book) -> Assignment:
    """Add up one way per bundle; where nothing goes in as it is the same for every book of rules."""
    key = (chosen, book)
    found = case.assignments.get(key)
    if isinstance(found, Assignment):
        return found
    made = case.assignments.get(chosen)  # under other rules
    if not isinstance(made, Assignment):
        made = _assign(case, chosen, book)
    elif any(way.counted for way in chosen):
        text, image, audio = _tokens(chosen, book)
        made = msgspec.structs.replace(made, text=_labelled(text, chosen), image=image, audio=audio)
    case.assignments[key] = case.assignments[chosen] = made
    return made


def _assign(case: Case, chosen: tuple[Way, ...], book: Book) -> Assignment:
    transforms, local = summed([way.transforms for way in chosen]), summed([way.local for way in chosen])
    network = load = memory = ZEROS
    cold: set[str] = set()
    for way in chosen:
        network = larger(network, way.network)
        for used in way.converters:
            if way.local != ZEROS and used.host.zone in HERE and used.id not in cold and used.id not in case.loaded:
                cold.add(used.id)
                load = plus(load, case.rates(used).load)
                memory = plus(memory, case.rates(used).memory)
    lost = {aspect for way in chosen for aspect in way.loses}
    left_out = sum(way.left_out for way in chosen)
    before = at_each(lambda level: finish(transforms[level], local[level] + load[level], network[level], 0.0))
    text, image, audio = _tokens(chosen, book)
    held = _held(chosen)
    return Assignment(
        ways=chosen, text=_labelled(text, chosen), image=image, audio=audio,
        sound=summed([way.sound for way in chosen]),
        made=summed([way.made for way in chosen]), cost=summed([way.cost for way in chosen]),
        before=before, load=load, memory=memory, pictures=held.pictures, held=held,
        penalty=sum(way.penalty for way in chosen) + (LEFT_OUT_PENALTY if left_out else 0.0),
        missed=sum(len(way.missed) for way in chosen) + (1 if left_out else 0),
        kept=len({aspect for way in chosen for aspect in way.keeps} - lost),
        tier=min((way.tier for way in chosen), default=NO_TIER), cold=frozenset(cold), left_out=left_out,
    )  # fmt: skip


def _tokens(chosen: tuple[Way, ...], book: Book) -> tuple[Levels, Levels, Levels]:
    """Tokens of texts and documents, of pictures and videos, and of sound."""
    texts = [way.text for way in chosen]
    images: list[Levels] = []
    audios: list[Levels] = []
    for way in chosen:
        if way.counted:
            text, image, audio = way.by_book.get(book) or natives(way, book)
            if text is not ZEROS:
                texts.append(text)
            if image is not ZEROS:
                images.append(image)
            if audio is not ZEROS:
                audios.append(audio)
    return summed(texts), summed(images) if images else ZEROS, summed(audios) if audios else ZEROS


def _labelled(text: Levels, chosen: tuple[Way, ...]) -> Levels:
    blocks = sum(way.blocks for way in chosen)
    return plus(text, times(BLOCK, blocks)) if blocks else text


def _held(chosen: tuple[Way, ...]) -> Held:
    pictures = longest = pages = size = 0
    seconds = 0.0
    for way in chosen:
        if way.counted:
            held = way.held
            pictures, longest, pages = pictures + held.pictures, max(longest, held.longest), pages + held.pages
            seconds, size = seconds + held.seconds, size + held.size
    return Held(pictures, longest, pages, seconds, size) if pictures or pages or seconds or size else NOTHING


def as_quantity(sound: Levels) -> Quantity:
    """Seconds of sound as a quantity; infinite is not known."""
    if sound[2] == math.inf:
        return Quantity(certainty="unknown", basis="length not known")
    exact = sound[0] == sound[2]
    return Quantity(
        low=sound[0], mid=sound[1], high=sound[2], certainty="exact" if exact else "estimated", basis="length"
    )


# ---- the last call ----------------------------------------------------------------------------


def framing(case: Case, forced: bool, tool_rule: str) -> Levels:
    """Tokens nobody wrote: chat template, labels of named text, the schema where it is sent, tools."""
    found = case.framings.get((forced, tool_rule))
    if found is not None:
        return found
    found = (2.0, 3.0, 8.0)
    if case.job not in ("embed", "speak", "draw"):
        found = plus(TEMPLATE, times(MESSAGE, len(case.request.messages)))
        if case.text_files:
            found = plus(found, times(BLOCK, len(case.text_files)))
        if case.schema_chars:
            schema = levels(text_tokens(case.schema_chars))
            found = plus(found, (0.0, schema[1] / 2, schema[2]) if forced else plus(schema, (15.0, 22.0, 40.0)))
        if case.request.tools:
            found = plus(found, levels(tool_tokens(tool_rule, case.request.tools, case.request.tool_choice)))
    case.framings[forced, tool_rule] = found
    return found


def demand(case: Case, group: Group, assignment: Assignment) -> Demand:
    """What endpoints of this class would have to take."""
    model, forced = group.first.model, group.first.host.forced_json
    text, image, audio = assignment.text, assignment.image, assignment.audio
    if case.job == "transcribe":  # billed by time, or by the tokens of its sound, which take no room in a context
        text = image = ZEROS
    else:
        text = plus(
            plus(case.text(model.tokenizer), text),
            framing(case, forced, case.tool_rule(group)),
        )
    repaired = case.output == "json" and not forced
    lettered = case.job == "score" and model.output != ("embedding",)
    if lettered:
        text = plus(text, plus(OPTIONS, (case.labels, case.labels, case.labels * 1.5)))
    total = ZEROS if case.job == "transcribe" else plus(plus(text, image), audio)
    return Demand(
        text=text, image=image, audio=audio, sound=assignment.sound, total=total,
        cost=assignment.cost, before=assignment.before, memory=assignment.memory[HIGH], pictures=assignment.pictures,
        penalty=assignment.penalty, missed=assignment.missed, kept=assignment.kept, tier=assignment.tier,
        held=assignment.held,
        again=answer_wanted(case) + REPAIR[HIGH] if repaired else 0.0, cold=assignment.cold,
        calls=2 if lettered else 1, beside=case.labels if case.job == "score" and not lettered else 0.0,
    )  # fmt: skip


_OWN_TASK: dict[str, Task] = {
    "transcribe": "automatic-speech-recognition", "embed": "feature-extraction", "speak": "text-to-speech",
    "draw": "text-to-image",
}  # fmt: skip


def tier_of(case: Case, group: Group, needs: Demand | Assignment) -> int:
    """Strength of the answering endpoint for what it is given here."""
    if case.job in _OWN_TASK:
        return group.tier(_OWN_TASK[case.job])
    if needs.pictures:
        return group.tier("image-text-to-text")
    return group.tier("audio-text-to-text") if needs.audio[HIGH] else group.tier("text-generation")


def answer_wanted(case: Case) -> float:
    """Room for the answer when the context leaves it."""
    stated = case.request.sampling.max_tokens
    return float(DEFAULT_ANSWER[case.output] if stated is None else stated)


def answer_cap(case: Case, rates: Rates, tokens_high: float) -> float:
    """Room for the answer: as stated, or the default shrunk to what the context leaves, never below the smallest."""
    if case.job != "generate":
        return 0.0
    wanted = min(answer_wanted(case), rates.most_out)
    if case.request.sampling.max_tokens is not None:
        return wanted
    room = rates.context - tokens_high
    if room >= wanted:
        return wanted
    smallest = float(SMALLEST_ANSWER[case.output])
    return smallest if room < smallest else float(math.floor(room))


def answer(case: Case, endpoint: Endpoint, cap: float, sound: Levels) -> Levels:
    """Output tokens under a cap. Reservations use the cap, ranking the mid."""
    job = case.job
    if job in ("embed", "speak"):
        return ZEROS
    if job == "draw":
        return drawn(endpoint, case.request)
    if job == "score":
        return ZEROS if endpoint.model.output == ("embedding",) else (2.0, 2.0, 2.0)
    if job == "transcribe":
        return levels(
            speech_tokens(as_quantity(sound), case.statistics.get(endpoint.id, "tokens_per_second_of_speech"))
        )
    known = endpoint.id in case.measured
    seen = case.statistics.get(endpoint.id, f"output_tokens_{case.answer_kind}") if known else None
    if seen is not None:
        return (min(seen.low, cap), min(seen.mid, cap), cap)
    low, mid = case.typical_answer
    thinks = case.statistics.get(endpoint.id, "reasoning_factor") if known else None
    if thinks is not None:  # what it thinks before it speaks is paid and waited for too
        low, mid = low * thinks.low, mid * thinks.mid
    return (min(low, cap), min(mid, cap), cap)


def last_call(case: Case, rates: Rates, level: Level, needs: Demand, out: float) -> tuple[float, float]:
    """USD and seconds of the call that answers, without loading and without a repair."""
    if case.job == "transcribe":
        sound = needs.sound[level]
        if rates.second == math.inf and rates.audio < math.inf:  # an ear billed by tokens
            heard = as_heard(rates, needs.audio)[level]
            return token_price(rates, 0.0, 0.0, heard, out), hear_seconds(rates, level, sound)
        return hearing_price(rates, sound), hear_seconds(rates, level, sound)
    if case.job == "speak":
        chars = needs.text[level] * CHARS_OF_TOKEN
        return speaking_price(rates, level, chars), speak_seconds(rates, level, chars)
    if case.job == "draw":
        return draw_call(case.request, rates, level, needs.text[level], needs.image[level], out)
    if needs.calls > 1 or needs.beside:
        once = out / needs.calls
        text = needs.text[level] + needs.beside
        return (
            needs.calls * token_price(rates, text, needs.image[level], needs.audio[level], once),
            needs.calls * generate_seconds(rates, level, needs.total[level] + needs.beside, once),
        )
    return (
        token_price(rates, needs.text[level], needs.image[level], needs.audio[level], out),
        generate_seconds(rates, level, needs.total[level], out),
    )


def aloud(case: Case, endpoint: Endpoint, rates: Rates, out: Levels) -> tuple[Levels, Levels]:
    """USD and seconds that an answer takes more for being spoken: by its own model, or by a voice after it."""
    if case.job != "generate" or case.output != "speech":
        return ZEROS, ZEROS
    if speaks(endpoint):
        tokens = at_each(lambda level: out[level] * CHARS_OF_TOKEN / CHARS_PER_SECOND[level] * SPEECH_TOKENS)
        return (
            at_each(lambda level: tokens[level] * rates.speech if tokens[level] else 0.0),
            at_each(lambda level: tokens[level] * rates.write_out[level]),
        )
    voice = case.voice
    return (voice.cost(out), voice.seconds(out)) if voice is not None else (ZEROS, ZEROS)


def repair_call(case: Case, rates: Rates, needs: Demand, out: float) -> tuple[float, float]:
    """USD and seconds of the one repair that prompted JSON may need, at the high level; nothing without."""
    if not needs.again:
        return 0.0, 0.0
    return (
        token_price(rates, needs.text[HIGH] + needs.again, needs.image[HIGH], needs.audio[HIGH], out),
        generate_seconds(rates, HIGH, needs.total[HIGH] + needs.again, out),
    )


def price(case: Case, endpoint: Endpoint, remote: bool, rates: Rates, needs: Demand) -> Numbers:
    """Numbers of a route."""
    cap = answer_cap(case, rates, needs.total[HIGH])
    out = answer(case, endpoint, cap, needs.sound)
    cost, seconds = last_call(case, rates, MID, needs, out[MID])
    cost_high, seconds_high = last_call(case, rates, HIGH, needs, out[HIGH])
    if needs.again:
        more_cost, more_seconds = repair_call(case, rates, needs, out[HIGH])
        cost_high, seconds_high = cost_high + more_cost, seconds_high + more_seconds
    memory = needs.memory
    if case.output == "speech":
        more_cost_, more_seconds_ = aloud(case, endpoint, rates, out)
        cost, cost_high = cost + more_cost_[MID], cost_high + more_cost_[HIGH]
        seconds, seconds_high = seconds + more_seconds_[MID], seconds_high + more_seconds_[HIGH]
        if case.voice is not None and case.job == "generate" and not speaks(endpoint):
            seconds, seconds_high = seconds + load(case, case.voice, MID), seconds_high + load(case, case.voice, HIGH)
            memory += voice_memory(case, case.voice)
    if not remote and endpoint.id not in case.loaded and endpoint.id not in needs.cold:
        memory += rates.memory[HIGH]
        seconds += rates.load[MID]
        seconds_high += rates.load[HIGH]
    return Numbers(
        cost + needs.cost[MID], cost_high + needs.cost[HIGH],
        needs.before[MID] + seconds, needs.before[HIGH] + seconds_high, memory, cap,
    )  # fmt: skip


def priced(
    case: Case, endpoint: Endpoint, group: Group, rates: Rates, needs: Demand, numbers: Numbers, floor: int
) -> Priced:
    """The numbers as the route rules read them."""
    own_tier = tier_of(case, group, needs)
    heard = case.job == "transcribe"
    return Priced(
        cost=numbers.cost, cost_high=numbers.cost_high, seconds=numbers.seconds, seconds_high=numbers.seconds_high,
        tokens=0.0 if heard else needs.total[HIGH], answer=numbers.cap, context=math.inf if heard else rates.context,
        context_known=bool(endpoint.context or endpoint.model.context), pictures=needs.pictures,
        max_pictures=group.first.host.max_images, memory=numbers.memory,
        limits=case.book(group).limits, held=needs.held,
        tier=min(needs.tier, own_tier), own_tier=own_tier, floor=floor,
    )  # fmt: skip
