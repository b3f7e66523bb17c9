"""Money of one call, at one level. Zero times an unknown price is zero; anything else times it is unknown."""

from __future__ import annotations

import math

from intermodal.cost_model.levels import Level, Levels
from intermodal.cost_model.rates import Rates
from intermodal.cost_model.token_calibration import calibrated
from intermodal.cost_model.tokens import CHARS_OF_TOKEN, CHARS_PER_SECOND, SPEECH_TOKENS


def token_price(rates: Rates, text: float, image: float, audio: float, out: float, seconds: float = 0.0) -> float:
    """Return the USD of a call billed by tokens, each modality at its own rate; infinite where the price is unknown.

    Rates may differ for large inputs; sound is billed by ``seconds`` where its host sells it so.
    """
    if rates.steps:
        rates = rates.of_request(text + image + audio)
    cost = rates.request
    if text and rates.text:
        cost += text * rates.text
    if image and rates.image:
        cost += image * rates.image
    if audio and rates.audio:
        cost += audio * rates.audio
    if out and rates.out:
        cost += out * rates.out
    return cost + max(seconds, rates.least) * rates.length if seconds and rates.length else cost


def calibrated_audio(rates: Rates, tokens: Levels) -> Levels:
    """Return the tokens of sound as this endpoint counts them, where that was learned."""
    return tokens if rates.counts is None else calibrated(tokens, rates.counts.audio)


def transcription_price_by_length(rates: Rates, seconds: float, channels: int = 1) -> float:
    """Return the USD of a transcription billed by seconds of audio, with a least amount; one call per channel."""
    return channels * (rates.request + (max(seconds, rates.least) * rates.second if seconds and rates.second else 0.0))


def transcription_price(rates: Rates, seconds: float, sound: float, made: float, channels: int) -> float:
    """Return the USD of a transcription with one call per channel, by its seconds or, where so billed, by tokens.

    ``sound``: tokens of each call. ``made``: tokens of text of all calls.
    """
    if rates.second == math.inf and rates.audio < math.inf:
        return channels * token_price(rates, 0.0, 0.0, sound, made / channels)
    return transcription_price_by_length(rates, seconds, channels)


def ocr_price(rates: Rates, pages: float) -> float:
    """Return the USD of text recognition billed by page or picture."""
    return rates.request + (pages * rates.page if pages and rates.page else 0.0)


def image_generation_price(rates: Rates, text: float, image: float, tokens: float, count: int) -> float:
    """Return the USD of ``count`` pictures: by the picture, or by their tokens (infinite: unknown how many)."""
    if rates.picture < math.inf:
        return rates.request + count * rates.picture
    return token_price(rates, text, image, 0.0, 0.0) + (tokens * rates.drawn if tokens and rates.drawn else 0.0)


def speech_price(rates: Rates, level: Level, chars: float) -> float:
    """Return the USD of speaking ``chars`` characters: by the character, or by the tokens of speech."""
    if not chars:
        return rates.request
    if rates.character < math.inf:
        return rates.request + chars * rates.character
    spoken = chars / CHARS_PER_SECOND[level] * SPEECH_TOKENS
    return rates.request + chars / CHARS_OF_TOKEN * rates.text + spoken * rates.speech
