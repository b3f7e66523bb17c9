"""The final call: its answer, cost and time, and the speech synthesis and repair after it."""

from __future__ import annotations

from typing import NamedTuple

from intermodal.catalog.reasoning_effort import sent_thinking_request
from intermodal.catalog.types import Endpoint
from intermodal.cost_model.answer_length import AnswerLength, expected_length
from intermodal.cost_model.call_cost import (
    calibrated_audio,
    contrastive_seconds,
    generate_seconds,
    speech_price,
    speech_seconds,
    token_price,
    transcription_price,
    transcription_seconds,
)
from intermodal.cost_model.levels import HIGH, MID, ZEROS, Level, Levels, levels
from intermodal.cost_model.rates import Rates, effort_key, reasoning_figure
from intermodal.cost_model.tokens import (
    CHARS_OF_TOKEN,
    CHARS_PER_SECOND,
    SPEECH_TOKENS,
    transcript_tokens,
)
from intermodal.planner.conversion.conversion_steps import at_each
from intermodal.planner.conversion.fidelity import transcribed_channels
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.assignment import as_quantity
from intermodal.planner.route_estimates.call_demand import CallDemand, full_answer_limit
from intermodal.planner.route_estimates.image_generation import generated_tokens, image_call_cost
from intermodal.planner.route_estimates.voice_selection import speaks


class AnswerTokens(NamedTuple):
    """The output tokens of a call.

    ``tokens``: at all levels; reservations use the high one, ranking the middle. ``paid``: tokens used for the price.
    The price of many answers follows their mean, which a few long answers dominate; the typical duration is better
    described by the median.
    """

    tokens: Levels
    paid: float


def answer_tokens(case: PlanningCase, endpoint: Endpoint, rates: Rates, cap: float, sound: Levels) -> AnswerTokens:
    """Return the output tokens under a limit, including reasoning."""
    if case.job != "generate":
        tokens = _wordless_output(case, endpoint, sound)
        return AnswerTokens(tokens, tokens[MID])
    low, mid, mean = expected_answer(case, endpoint, rates)
    if mean > cap or mid > cap or low > cap:
        low, mid, mean = min(low, cap), min(mid, cap), min(mean, cap)
    return AnswerTokens((low, mid, cap), mean if mean > mid else mid)


def _wordless_output(case: PlanningCase, endpoint: Endpoint, sound: Levels) -> Levels:
    """Return the output tokens of a call that does not generate an answer."""
    if case.job == "draw":
        return generated_tokens(endpoint, case.request)
    if case.job == "score":
        return (2.0, 2.0, 2.0) if endpoint.model.answers_in_words else ZEROS
    if case.job == "transcribe":
        return levels(
            transcript_tokens(as_quantity(sound), case.statistics.get(endpoint.id, "tokens_per_second_of_speech"))
        )
    return ZEROS


def expected_answer(case: PlanningCase, endpoint: Endpoint, rates: Rates) -> AnswerLength:
    """Return the expected tokens of an answer, including its reasoning.

    If answers were measured and no host reported reasoning separately, the measurement already includes it.
    """
    is_learned = endpoint.id in case.informed and case.request.answer_tokens is None
    found = expected_length(case.statistics, endpoint.id, case.answer_kind) if is_learned else None
    if found is not None and not reports_reasoning(case, endpoint):
        return found
    usual = found or case.typical_answer
    if rates.thought == ZEROS:
        return usual
    low, mid, _ = rates.thought
    return AnswerLength(usual.low + low, usual.mid + mid, usual.mean + mid)


def reports_reasoning(case: PlanningCase, endpoint: Endpoint) -> bool:
    """Return whether the endpoint has reported reasoning tokens at the requested effort."""
    name = reasoning_figure("reasoning_tokens", effort_key(sent_thinking_request(case.effort, endpoint.host)))
    return case.statistics.get(endpoint.id, name) is not None


def usual_answer(case: PlanningCase, endpoint: Endpoint, rates: Rates, cap: float, sound: Levels) -> AnswerTokens:
    """Return the output tokens used by ranking.

    A limit of the endpoint or the request makes an answer cheaper; a nearly full context only cuts it off.
    """
    return answer_tokens(case, endpoint, rates, max(cap, min(full_answer_limit(case, rates), rates.most_out)), sound)


def typical_call_cost(
    case: PlanningCase, rates: Rates, needs: CallDemand, answer_tokens: AnswerTokens
) -> tuple[float, float]:
    """Return the USD of an average final call, and the seconds of a median one."""
    return final_call_cost(case, rates, MID, needs, answer_tokens.tokens[MID], answer_tokens.paid)


def final_call_cost(
    case: PlanningCase, rates: Rates, level: Level, needs: CallDemand, out: float, paid: float | None = None
) -> tuple[float, float]:
    """Return USD and seconds of the final call, without loading and without a repair.

    ``paid``: answer tokens used for the price, if different from ``out``, which is used for the time.
    """
    if case.job == "transcribe":
        sound = needs.sound[level]
        of_film = any(bundle.kind == "video" for bundle in case.bundles)
        channels = transcribed_channels(case.bundles[0].parts[0])
        time = transcription_seconds(rates, level, sound, sound if of_film else 0.0, channels)
        return transcription_price(rates, sound, calibrated_audio(rates, needs.audio)[level], out, channels), time
    if case.job == "speak":
        chars = needs.text[level] * CHARS_OF_TOKEN
        return speech_price(rates, level, chars), speech_seconds(rates, level, chars)
    if case.job == "draw":
        return image_call_cost(case.request, case.facts, rates, level, needs.text[level], needs.image[level], out)
    if needs.one_by_one and needs.pictures:  # contrastive model: the number of frames of a video is an estimate
        share = needs.image[level] / needs.image[HIGH] if needs.image[HIGH] else 1.0
        tokens = needs.total[level] - needs.image[level] + needs.beside
        pictures, megapixels = needs.pictures * share, needs.media_amounts.megapixels * share
        return (
            token_price(rates, needs.text[level] + needs.beside, needs.image[level], 0.0, 0.0, 0.0),
            contrastive_seconds(rates, level, pictures, megapixels, tokens),
        )
    if needs.calls > 1 or needs.beside:
        tokens_per_call = out / needs.calls
        text = needs.text[level] + needs.beside
        return (
            needs.calls
            * token_price(rates, text, needs.image[level], needs.audio[level], tokens_per_call, needs.sound[level]),
            needs.calls * generate_seconds(rates, level, needs.total[level] + needs.beside, tokens_per_call),
        )
    priced = out if paid is None else paid
    return (
        token_price(rates, needs.text[level], needs.image[level], needs.audio[level], priced, needs.sound[level]),
        generate_seconds(rates, level, needs.total[level], out),
    )


def speech_cost(case: PlanningCase, endpoint: Endpoint, rates: Rates, out: Levels) -> tuple[Levels, Levels]:
    """Return the additional USD and seconds of a spoken answer, by the model itself or by a voice."""
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


def repair_cost(case: PlanningCase, rates: Rates, needs: CallDemand, out: float) -> tuple[float, float]:
    """Return USD and seconds of the single repair of prompted JSON, at the high level; zeros if not needed."""
    return retry_call_cost(rates, needs, needs.again, out) if needs.again else (0.0, 0.0)


def retry_call_cost(rates: Rates, needs: CallDemand, more: float, out: float) -> tuple[float, float]:
    """Return USD and seconds of a retry with ``more`` input tokens, at the high level."""
    return (
        token_price(rates, needs.text[HIGH] + more, needs.image[HIGH], needs.audio[HIGH], out, needs.sound[HIGH]),
        generate_seconds(rates, HIGH, needs.total[HIGH] + more, out),
    )
