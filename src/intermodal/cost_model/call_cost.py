"""Money and seconds of one call or transform, at one level, without loading.

Zero times an unknown price is zero; anything else times it is unknown.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from intermodal.cost_model.levels import Level, Levels
from intermodal.cost_model.rates import MediaRates, Rates
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


def generate_seconds(rates: Rates, level: Level, tokens_in: float, tokens_out: float) -> float:
    """Return the seconds of waiting, reading the prompt and writing the answer."""
    return rates.overhead[level] + tokens_in * rates.read_in[level] + tokens_out * rates.write_out[level]


def contrastive_seconds(rates: Rates, level: Level, pictures: float, megapixels: float, tokens: float) -> float:
    """Return the seconds of embedding pictures and the ``tokens`` of captions with a contrastive model.

    Each picture passes through the network by itself, made as small as the model looks at; captions pass together.
    """
    looking = max(1.0, pictures) * rates.overhead[level] + megapixels * rates.see[level]
    return looking + tokens * rates.read_in[level]


# Times what one channel takes: usually one of two channels has speech, and silence is skipped; both may be full.
_TWO_CHANNELS: Levels = (1.0, 1.5, 2.0)


def transcription_seconds(rates: Rates, level: Level, seconds: float, film: float = 0.0, channels: int = 1) -> float:
    """Return the seconds of transcribing sound, ``film`` seconds of it from videos; each of two ``channels`` by
    itself.
    """
    times = _TWO_CHANNELS[level] if channels > 1 else 1.0
    return rates.overhead[level] + times * ((seconds - film) * rates.hear[level] + film * rates.hear_film[level])


def speech_seconds(rates: Rates, level: Level, chars: float) -> float:
    """Return the seconds of speaking ``chars`` characters."""
    return rates.overhead[level] + chars / CHARS_PER_SECOND[level] * rates.hear[level]


class DiffusionWork(NamedTuple):
    """The work of a diffusion model: ``denoised``, megapixels of all evaluations of its steps, and ``made``, of all
    pictures decoded from latents or encoded into them.
    """

    denoised: float
    made: float


def image_generation_seconds(rates: Rates, level: Level, count: int, strokes: DiffusionWork | None = None) -> float:
    """Return the seconds of generating pictures: by the picture or, on this machine, by its work."""
    if strokes is None:
        return rates.overhead[level] + count * rates.draw[level]
    return rates.overhead[level] + strokes.denoised * rates.denoise[level] + strokes.made * rates.latent[level]


def ocr_seconds(rates: Rates, level: Level, megapixels: float, tokens: float) -> float:
    """Return the seconds of reading one picture: line detection depends on its size, recognition on the amount of
    text.
    """
    return rates.overhead[level] + megapixels * rates.see[level] + tokens * rates.spell[level]


def page_ocr_seconds(rates: Rates, level: Level, pages: int, megapixels: float, tokens: float) -> float:
    """Return the seconds of reading rendered pages: by the page where that was measured, else as pictures of their
    size.
    """
    if rates.leaf[1] > 0:
        return rates.overhead[level] + pages * rates.leaf[level]
    return pages * rates.overhead[level] + megapixels * rates.see[level] + tokens * rates.spell[level]


def extract_seconds(media: MediaRates, level: Level, pages: int) -> float:
    """Return the seconds of extracting text layers of pages."""
    return media.worker[level] + pages * media.extract_page[level]


def render_seconds(media: MediaRates, level: Level, megapixels: float) -> float:
    """Return the seconds of rendering pages."""
    return media.worker[level] + megapixels * media.render_megapixel[level]


def frames_seconds(media: MediaRates, level: Level, seconds: float, megapixels: float) -> float:
    """Return the seconds of choosing frames from ``seconds`` of video with ``megapixels`` per picture."""
    return media.worker[level] + seconds * megapixels * media.frames_second[level]


def demux_seconds(media: MediaRates, level: Level, seconds: float) -> float:
    """Return the seconds of decoding a video's sound."""
    return media.worker[level] + seconds * media.demux_second[level]
