"""Seconds of one step, at one level, without loading."""

from __future__ import annotations

from intermodal.costing.levels import Level, Levels
from intermodal.costing.rates import Rates

# The media worker on one core. Probing has started it, and loaded its libraries, before anything is planned, so
# what is left of its cost is one message there and back. Source: pdfium 0.3 to 1.7 ms a page of text, 4.4 ms
# (96 dpi) to 24 ms (150 dpi) a page of pixels, measured on 2 cores.
WORKER: Levels = (0.0, 0.001, 0.05)
EXTRACT_PAGE: Levels = (0.0002, 0.0006, 0.02)
RENDER_MEGAPIXEL: Levels = (0.002, 0.015, 0.15)


def generate_seconds(rates: Rates, level: Level, tokens_in: float, tokens_out: float) -> float:
    """Waiting, reading the prompt, writing the answer."""
    return rates.overhead[level] + tokens_in * rates.read_in[level] + tokens_out * rates.write_out[level]


def hear_seconds(rates: Rates, level: Level, seconds: float) -> float:
    return rates.overhead[level] + seconds * rates.hear[level]


def see_seconds(rates: Rates, level: Level, megapixels: float) -> float:
    """Reading one picture."""
    return rates.overhead[level] + megapixels * rates.see[level]


def leaf_seconds(rates: Rates, level: Level, pages: int, megapixels: float) -> float:
    """Reading rendered pages: by the page where that was measured, else as so many pictures of their size."""
    if rates.leaf[1] > 0:
        return rates.overhead[level] + pages * rates.leaf[level]
    return pages * rates.overhead[level] + megapixels * rates.see[level]


def extract_seconds(level: Level, pages: int) -> float:
    return WORKER[level] + pages * EXTRACT_PAGE[level]


def render_seconds(level: Level, megapixels: float) -> float:
    return WORKER[level] + megapixels * RENDER_MEGAPIXEL[level]
