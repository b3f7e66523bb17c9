"""Money and seconds of one call or transform at one level, without model loading.

Zero times an unknown price is zero; anything else times it is unknown.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from intermodal.cost_model.levels import Level, Levels
from intermodal.cost_model.rates import MediaRates, Rates
from intermodal.cost_model.token_calibration import calibrate_count
from intermodal.cost_model.tokens import CHARS_OF_TOKEN, CHARS_PER_SECOND, SPEECH_TOKENS


def token_price(rates: Rates, text: float, image: float, audio: float, out: float, seconds: float = 0.0) -> float:
    """Return the USD of a call billed by tokens, each modality at its own rate; infinite if a needed price is unknown.

    Rates may increase for large inputs; audio is billed by ``seconds`` if its host charges by length.
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
    """Return audio tokens as this endpoint counts them, if that was learned."""
    return tokens if rates.counts is None else calibrate_count(tokens, rates.counts.audio)


def transcription_price_by_length(rates: Rates, seconds: float, channels: int = 1) -> float:
    """Return the USD of a transcription billed by seconds of audio, with a minimum; one call per channel."""
    return channels * (rates.request + (max(seconds, rates.least) * rates.second if seconds and rates.second else 0.0))


def transcription_price(rates: Rates, seconds: float, sound: float, output_tokens: float, channels: int) -> float:
    """Return the USD of a transcription with one call per channel, billed by seconds or by tokens.

    ``sound``: audio tokens of each call. ``output_tokens``: text tokens of all calls.
    """
    if rates.second == math.inf and rates.audio < math.inf:
        return channels * token_price(rates, 0.0, 0.0, sound, output_tokens / channels)
    return transcription_price_by_length(rates, seconds, channels)


def ocr_price(rates: Rates, pages: float) -> float:
    """Return the USD of text recognition billed by page or image."""
    return rates.request + (pages * rates.page if pages and rates.page else 0.0)


def image_generation_price(rates: Rates, text: float, image: float, tokens: float, count: int) -> float:
    """Return the USD of ``count`` images, billed per image or by tokens (infinite if their number is unknown)."""
    if rates.picture < math.inf:
        return rates.request + count * rates.picture
    return token_price(rates, text, image, 0.0, 0.0) + (tokens * rates.image_out if tokens and rates.image_out else 0.0)


def speech_price(rates: Rates, level: Level, chars: float) -> float:
    """Return the USD of speaking ``chars`` characters, billed by characters or by speech tokens."""
    if not chars:
        return rates.request
    if rates.character < math.inf:
        return rates.request + chars * rates.character
    speech_tokens = chars / CHARS_PER_SECOND[level] * SPEECH_TOKENS
    return rates.request + chars / CHARS_OF_TOKEN * rates.text + speech_tokens * rates.speech


def generate_seconds(rates: Rates, level: Level, tokens_in: float, tokens_out: float) -> float:
    """Return the seconds of overhead, reading the prompt and writing the answer."""
    return rates.overhead[level] + tokens_in * rates.read_in[level] + tokens_out * rates.write_out[level]


def contrastive_seconds(rates: Rates, level: Level, pictures: float, megapixels: float, tokens: float) -> float:
    """Return the seconds of embedding images and ``tokens`` of captions with a contrastive model.

    Each image is a separate forward pass, scaled to the model's input size; captions are processed in one batch.
    """
    looking = max(1.0, pictures) * rates.overhead[level] + megapixels * rates.see[level]
    return looking + tokens * rates.read_in[level]


# Relative to one channel: usually only one of two has speech, and silence is skipped; both may be full.
_TWO_CHANNELS: Levels = (1.0, 1.5, 2.0)


def transcription_seconds(rates: Rates, level: Level, seconds: float, film: float = 0.0, channels: int = 1) -> float:
    """Return the seconds of transcribing audio, ``film`` seconds of it from videos.

    Two ``channels`` are separate passes.
    """
    times = _TWO_CHANNELS[level] if channels > 1 else 1.0
    return rates.overhead[level] + times * ((seconds - film) * rates.hear[level] + film * rates.hear_film[level])


def speech_seconds(rates: Rates, level: Level, chars: float) -> float:
    """Return the seconds of speaking ``chars`` characters."""
    return rates.overhead[level] + chars / CHARS_PER_SECOND[level] * rates.hear[level]


class DiffusionWork(NamedTuple):
    """The work of a diffusion model.

    ``denoising_megapixels``: over all denoising evaluations. ``latent_megapixels``: of all images decoded from or
    encoded into latents.
    """

    denoising_megapixels: float
    latent_megapixels: float


def image_generation_seconds(rates: Rates, level: Level, count: int, strokes: DiffusionWork | None = None) -> float:
    """Return the seconds of generating images: per image, or from the work if it runs on this machine."""
    if strokes is None:
        return rates.overhead[level] + count * rates.draw[level]
    return (
        rates.overhead[level]
        + strokes.denoising_megapixels * rates.denoise[level]
        + strokes.latent_megapixels * rates.latent[level]
    )


def ocr_seconds(rates: Rates, level: Level, megapixels: float, tokens: float) -> float:
    """Return the seconds of reading one image.

    Line detection depends on its size, recognition on the amount of text.
    """
    return rates.overhead[level] + megapixels * rates.see[level] + tokens * rates.spell[level]


def page_ocr_seconds(rates: Rates, level: Level, pages: int, megapixels: float, tokens: float) -> float:
    """Return the seconds of reading rendered pages: per page if measured, otherwise as images of their size."""
    if rates.leaf[1] > 0:
        return rates.overhead[level] + pages * rates.leaf[level]
    return pages * rates.overhead[level] + megapixels * rates.see[level] + tokens * rates.spell[level]


def extract_seconds(media: MediaRates, level: Level, pages: int) -> float:
    """Return the seconds of extracting the text layers of pages."""
    return media.worker[level] + pages * media.extract_page[level]


def render_seconds(media: MediaRates, level: Level, megapixels: float) -> float:
    """Return the seconds of rendering pages."""
    return media.worker[level] + megapixels * media.render_megapixel[level]


def frames_seconds(media: MediaRates, level: Level, seconds: float, megapixels: float) -> float:
    """Return the seconds of choosing frames from ``seconds`` of video with ``megapixels`` per frame."""
    return media.worker[level] + seconds * megapixels * media.frames_second[level]


def demux_seconds(media: MediaRates, level: Level, seconds: float) -> float:
    """Return the seconds of decoding a video's audio."""
    return media.worker[level] + seconds * media.demux_second[level]
