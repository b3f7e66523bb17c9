"""Seconds of one call or transform, at one level, without loading."""

from __future__ import annotations

from typing import NamedTuple

from intermodal.cost_model.levels import Level, Levels
from intermodal.cost_model.rates import MediaRates, Rates
from intermodal.cost_model.tokens import CHARS_PER_SECOND


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
TWO_CHANNELS: Levels = (1.0, 1.5, 2.0)


def transcription_seconds(rates: Rates, level: Level, seconds: float, film: float = 0.0, channels: int = 1) -> float:
    """Return the seconds of transcribing sound, ``film`` seconds of it from videos; each of two ``channels`` by
    itself.
    """
    times = TWO_CHANNELS[level] if channels > 1 else 1.0
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
