"""The demand on the last call, the room for its answer, and the demand as a calibrated endpoint counts it."""

from __future__ import annotations

import math

import msgspec
from msgspec import Struct

from intermodal.catalog.schema_enforcement import ANY_OBJECT
from intermodal.catalog.types import Task
from intermodal.core.quantity import Quantity
from intermodal.core.request import JsonOutput, ScoresOutput
from intermodal.cost_model.levels import HIGH, LOW, MID, ZEROS, Levels, add_levels, levels, quantity, sum_levels, times
from intermodal.cost_model.rates import Rates
from intermodal.cost_model.request_limits import MediaAmounts
from intermodal.cost_model.token_calibration import TokenCalibration, calibrate_count, correction_text
from intermodal.cost_model.tokens import (
    BLOCK,
    MESSAGE,
    REPAIR,
    TEMPLATE,
    Vocabulary,
    text_tokens,
)
from intermodal.planner.catalog_index import EndpointGroup
from intermodal.planner.conversion.conversion_option import whole_video_tokens
from intermodal.planner.planning_case import WORDS_ALONE, PlanningCase
from intermodal.planner.route_estimates.assignment import Assignment
from intermodal.plans.plan import NativeInput

_NONE = {"embedding": 0, "transcript": 0, "scores": 0, "image": 0}
DEFAULT_ANSWER: dict[str, int] = {"text": 512, "json": 1024, "speech": 512, **_NONE}
SMALLEST_ANSWER: dict[str, int] = {"text": 64, "json": 128, "speech": 64, **_NONE}
SCHEMA_INSTRUCTION_TOKENS = (15.0, 22.0, 40.0)  # tokens of the instruction around a schema
OPTIONS = (15.0, 25.0, 40.0)  # tokens of the instruction to pick one of several lettered labels


class CallDemand(Struct, frozen=True, gc=False):
    """The demand on the last call. ``total`` sums the tokens of all kinds.

    ``again``: extra input tokens of the single repair that prompted JSON may need. ``evident``: the model receives only
    text, so the values of its answer can be checked. ``calls``: number of calls (a chat model scores labels in both
    orders). ``beside``: input that takes no room in the context (labels that an embedding model receives one by one).
    ``tools``: the share of ``text`` that is tools. ``one_by_one``: images and texts are processed separately, so no
    context contains all. ``memory``: what the conversions leave loaded, ``peak``: their maximum, ``ending``: the share
    of ``memory`` that can be unloaded before the last call.
    """

    text: Levels
    image: Levels
    audio: Levels
    sound: Levels
    total: Levels
    cost: Levels
    before: Levels
    memory: float
    peak: float
    ending: float
    pictures: int
    penalty: float
    diverted: int
    lost: int
    missed: int
    kept_aspects: int
    tier: int
    again: float
    evident: bool
    cold: frozenset[str]
    media_amounts: MediaAmounts
    calls: int = 1
    beside: float = 0.0
    tools: Levels = ZEROS
    one_by_one: bool = False


def framing_tokens(case: PlanningCase, schema_by: str, tool_rule: str, vocabulary: Vocabulary) -> Levels:
    """Return the tokens that intermodal and the host add: chat template, labels of files, schema, tools."""
    key = (schema_by, tool_rule, vocabulary)
    found = case.framings.get(key)
    if found is not None:
        return found
    found = (2.0, 3.0, 8.0)
    if case.job not in WORDS_ALONE:
        found = add_levels(TEMPLATE, times(MESSAGE, len(case.request.messages)))
        if case.text_files:
            found = add_levels(found, times(BLOCK, len(case.text_files)))
        if schema_by:
            found = add_levels(found, _schema(case, schema_by, vocabulary))
        if case.request.tools:
            found = add_levels(found, levels(case.tools(tool_rule, vocabulary)))
    case.framings[key] = found
    return found


def _schema(case: PlanningCase, schema_by: str, vocabulary: Vocabulary) -> Levels:
    """Return the tokens of a schema as it reaches a model (``PlanningCase.schema_by``); few hosts publish its form."""
    schema = levels(text_tokens(case.schema_chars))
    if schema_by == "forced":
        return (0.0, schema[1] / 2, schema[2])
    assert isinstance(case.request.output, JsonOutput)
    if case.request.output.schema_text:
        return ZEROS
    if schema_by == "asked":
        return add_levels(schema, SCHEMA_INSTRUCTION_TOKENS)
    instruction = case.schema_instruction_tokens(vocabulary)
    return (0.0, instruction[1], instruction[2]) if case.request.output.schema == ANY_OBJECT else instruction


def call_demand(case: PlanningCase, group: EndpointGroup, assignment: Assignment) -> CallDemand:
    """Return the demand of an assignment on the endpoints of a group."""
    model, schema_by = group.first.model, case.schema_by(group)
    vocabulary = case.vocabulary(model)
    text, image, audio = assignment.text, assignment.image, assignment.audio
    if case.job == "transcribe":  # billed by time, or by audio tokens, which take no room in a context
        text = image = ZEROS
    else:
        text = add_levels(
            add_levels(case.text_tokens(vocabulary), text),
            framing_tokens(case, schema_by, case.tool_rule(group), vocabulary),
        )
    repaired = schema_by == "asked"
    lettered = case.job == "score" and model.answers_in_words
    has_head = case.job == "score" and model.head_task is not None
    if case.job == "score" and model.entails:  # the text is read once per label
        output = case.request.output
        pairs = len(output.labels) if isinstance(output, ScoresOutput) else 1
        text = add_levels(times(text, pairs), (case.labels, case.labels, case.labels * 1.5))
    if lettered:
        text = add_levels(text, add_levels(OPTIONS, (case.labels, case.labels, case.labels * 1.5)))
    total = ZEROS if case.job == "transcribe" else add_levels(add_levels(text, image), audio)
    return CallDemand(
        text=text,
        image=image,
        audio=audio,
        sound=assignment.sound,
        total=total,
        cost=assignment.cost,
        before=assignment.before,
        memory=assignment.memory[HIGH],
        peak=assignment.peak[HIGH],
        ending=assignment.ending[HIGH],
        pictures=assignment.pictures,
        penalty=assignment.penalty,
        diverted=assignment.diverted,
        lost=assignment.lost,
        missed=assignment.missed,
        kept_aspects=assignment.kept_aspects,
        tier=assignment.tier,
        media_amounts=assignment.media_amounts,
        again=retry_tokens(case) if repaired else 0.0,
        evident=case.evident and image == ZEROS and audio == ZEROS,
        cold=assignment.cold,
        calls=2 if lettered else 1,
        beside=case.labels if case.job == "score" and not lettered and not has_head else 0.0,
        one_by_one=model.matches_images or has_head,
        tools=levels(case.tools(case.tool_rule(group), vocabulary)) if case.request.tools else ZEROS,
    )


def retry_tokens(case: PlanningCase) -> float:
    """Return the extra input tokens of a retry: the answer, and the description of its problem."""
    return answer_word_limit(case) + REPAIR[HIGH]


def context_tokens(case: PlanningCase, endpoint: str, needs: CallDemand) -> float:
    """Return the tokens to compare with the context length: the high estimate, except for tools and possibly images.

    How a template renders tools is mostly unknown, and the high end would reject requests that fit. Tools are therefore
    counted at the middle, or at the low end if no endpoint would have room otherwise; an endpoint that rejected them
    counts at the high end. The same applies to images of unknown token count that would be lost otherwise.
    """
    if needs.one_by_one:
        return 0.0
    found = needs.total[HIGH]
    if case.hopeful_images:
        found += needs.image[LOW] - needs.image[HIGH]
    if needs.tools[HIGH] == needs.tools[LOW]:
        return found
    facts = case.facts.tools
    if facts is None or endpoint in facts.refused:
        return found
    return found - needs.tools[HIGH] + needs.tools[LOW if case.hopeful else MID]


_LABELLING: Task = "zero-shot-image-classification"
_OF_HEADS: tuple[Task, ...] = ("text-classification", "zero-shot-classification", "fill-mask")
_OWN_TASK: dict[str, Task] = {
    "transcribe": "automatic-speech-recognition", "embed": "feature-extraction", "speak": "text-to-speech",
    "draw": "text-to-image",
}  # fmt: skip


def answering_task(case: PlanningCase, needs: CallDemand | Assignment) -> Task:
    """Return the task whose strength counts for the answering endpoint, given its inputs."""
    if case.job in _OWN_TASK:
        return _OWN_TASK[case.job]
    if needs.pictures:
        return "image-text-to-text"
    return "audio-text-to-text" if needs.audio[HIGH] else "text-generation"


def answering_tier(case: PlanningCase, group: EndpointGroup, needs: CallDemand | Assignment) -> int:
    """Return the strength of the answering endpoint for its inputs; for labels, in the labelling task if known."""
    if case.job == "score":
        head_tier = next((group.tiers[task] for task in _OF_HEADS if task in group.tiers), None)
        label_tier = group.tiers.get(_LABELLING) if needs.pictures else head_tier
    else:
        label_tier = None
    return group.tier(answering_task(case, needs)) if label_tier is None else label_tier


def answer_word_limit(case: PlanningCase) -> float:
    """Return the limit for the words of an answer if the context permits: the stated limit, else the usual length."""
    stated_limit = case.request.sampling.max_tokens
    return float(answer_length(case) if stated_limit is None else stated_limit)


def answer_length(case: PlanningCase) -> int:
    """Return the tokens reserved for the words of an answer: as stated, else as usual for its kind."""
    length = case.request.answer_tokens
    return DEFAULT_ANSWER[case.output] if length is None else length


def full_answer_limit(case: PlanningCase, rates: Rates) -> float:
    """Return the limit of an answer if the context permits.

    Reasoning counts against it at every host, so an unstated limit includes room for reasoning.
    """
    return answer_word_limit(case) + (rates.room if case.answer_limit == math.inf else 0.0)


def least_answer_limit(case: PlanningCase, rates: Rates) -> float:
    """Return the lowest limit that is sent if cost, time or context leave no room for more.

    This is the usual reasoning and words; if no endpoint has room for that, the minimum of each.
    """
    if case.tight:
        return SMALLEST_ANSWER[case.output] + rates.thought[LOW]
    return answer_length(case) + rates.thought[MID]


def answer_limit(case: PlanningCase, rates: Rates, tokens_high: float) -> float:
    """Return the limit of the answer: as stated, or the default reduced to what the context leaves.

    The default is not reduced below the minimum. A stated limit is reduced only if no endpoint has room for all of it:
    it is an upper bound, and clients whose API requires a number often send one larger than most contexts.
    """
    if case.job != "generate":
        return 0.0
    limit = full_answer_limit(case, rates)
    if limit > rates.most_out:
        limit = rates.most_out
    room = rates.context - tokens_high
    if case.request.sampling.max_tokens is not None and not case.tight:
        # Only the room for reasoning is reduced, not the stated limit of the answer.
        return limit if room >= limit else min(limit, max(answer_word_limit(case), float(math.floor(max(room, 0.0)))))
    if room >= limit:
        return limit
    smallest = min(limit, SMALLEST_ANSWER[case.output] + rates.thought[LOW])
    return smallest if room < smallest else float(math.floor(room))


_CHATS = ("generate", "score")


def calibrated_demand(
    case: PlanningCase, group: EndpointGroup, rates: Rates, assignment: Assignment, needs: CallDemand
) -> CallDemand:
    """Return the demand corrected by the learned token counts of this endpoint's server. Videos are not corrected."""
    calibration = rates.counts
    if calibration is None or case.job not in _CHATS:
        return needs
    words = add_levels(case.text_tokens(case.vocabulary(group.first.model)), assignment.text)
    framing_tokens = _minus(needs.text, words)
    framing = calibration.framing(len(case.request.messages))
    if framing is not None:
        framing_tokens = add_levels(
            _minus(framing_tokens, add_levels(TEMPLATE, times(MESSAGE, len(case.request.messages)))), framing
        )
    text = add_levels(calibrate_count(words, _of_text(case, group, calibration)), framing_tokens)
    token_rules = case.token_rules(group)
    film = sum_levels([whole_video_tokens(option, token_rules) for option in assignment.options if option.natives])
    image = add_levels(calibrate_count(_minus(needs.image, film), calibration.image), film)
    audio = calibrate_count(needs.audio, calibration.audio)
    return msgspec.structs.replace(
        needs, text=text, image=image, audio=audio, total=add_levels(add_levels(text, image), audio)
    )


def token_basis(case: PlanningCase, group: EndpointGroup, rates: Rates, needs: CallDemand) -> str:
    """Return the basis of the input token count as text."""
    calibration = rates.counts
    if calibration is None or case.job not in _CHATS:
        return _PLAINLY
    used = (
        ("text_factor", _of_text(case, group, calibration), needs.text),
        ("image_factor", calibration.image, needs.image),
        ("audio_factor", calibration.audio, needs.audio),
        ("framing_start", calibration.framing(0) and calibration.start, needs.text),
    )
    return "; ".join(
        (_PLAINLY, *(correction_text(name, factor) for name, factor, tokens in used if factor and tokens != ZEROS))
    )


_PLAINLY = "counted and estimated"


def calibrated_input(case: PlanningCase, group: EndpointGroup, rates: Rates, native: NativeInput) -> NativeInput:
    """Return an unconverted part with the learned token count of this endpoint's server."""
    calibration = rates.counts
    if calibration is None or case.job not in _CHATS or not native.tokens.known:
        return native
    factors = {"text": _of_text(case, group, calibration), "image": calibration.image, "audio": calibration.audio}
    factor = factors.get(native.kind)
    if factor is None:
        return native
    tokens = quantity(calibrate_count(levels(native.tokens), factor), native.tokens.basis, 0)
    return msgspec.structs.replace(native, tokens=tokens)


def _of_text(case: PlanningCase, group: EndpointGroup, calibration: TokenCalibration) -> Quantity | None:
    """Return the learned text factor; None if a vocabulary counts exactly.

    The factor was learned without an exact count, so it does not apply to one.
    """
    return None if case.vocabulary(group.first.model).counts else calibration.text


def _minus(total: Levels, part: Levels) -> Levels:
    """Return the difference at each level; infinity stays infinity."""
    return (
        _subtract_clamped(total[0], part[0]),
        _subtract_clamped(total[1], part[1]),
        _subtract_clamped(total[2], part[2]),
    )


def _subtract_clamped(total: float, part: float) -> float:
    return total if total == math.inf else max(0.0, total - part)
