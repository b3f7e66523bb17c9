"""Tokens of every kind of content as quantities: counted if possible, otherwise a range with its reason."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from intermodal.catalog.token_rule_rows import ASSUMED_PREFIX, OPEN_WEIGHTS
from intermodal.core.content import Scripts
from intermodal.core.quantity import Quantity, between, exact
from intermodal.cost_model.text_factors import FACTORS
from intermodal.plans.facts import PartFacts

# English prose has 4 to 4.5 characters per token in current vocabularies, code about 3, small vocabularies less.
CHARS_PER_TOKEN: tuple[float, float, float] = (2.5, 4.0, 5.0)  # most tokens, typical, fewest
CHARS_PER_TOKEN_DENSE: tuple[float, float, float] = (0.9, 1.7, 3.0)  # scripts with 2 or more bytes per character
DENSE_BYTES_PER_CHAR = 1.3
# Tokens beyond the sum over a text's scripts: merges or splits at its ends, and rounding.
ENDS: tuple[float, float] = (-1.0, 2.0)
_OTHERWISE = {"Burmese": "myanmar"}  # names of scripts in OCR -> keys of FACTORS
ASSUMED = 1.1  # factor on both ends of the range if the vocabulary is only assumed

# Speech: 150 words per minute are 2.5 words per second of speech without pauses; 11 s of slow speech gave 2.4.
SPEECH: tuple[float, float, float] = (0.4, 2.7, 4.5)  # tokens per second

# OCR: a dense A4 page of 2.17 megapixels has 450 to 900 tokens with a quarter of its area text; a screenshot of an
# invoice (0.38 megapixels, 16 % text) had 65.
READ_PER_DENSE_MEGAPIXEL: tuple[float, float, float] = (250.0, 900.0, 2600.0)  # times text density
READ_PER_MEGAPIXEL: tuple[float, float, float] = (0.0, 120.0, 650.0)  # density not sampled
READ_PER_PAGE: tuple[float, float, float] = (30.0, 300.0, 1400.0)  # a scanned page: a short letter 80, a dense page 900
# A sampled scanned page: tokens per megapixel at 150 dpi = density * (first + second * density), because a page with
# more text has it in a smaller font. Measured with PP-OCR and SmolLM2's vocabulary on 14 pages: sparse notices 88 to
# 116 tokens at density 0.09 to 0.11, half a page 410 at 0.33, full pages of 10 to 12 points 709 to 1,365 at 0.57 to
# 0.67, a slide in a large font 162 at 0.34. PAGE_MOST is a full page of 10 to 12 points. Smaller print and narrow
# columns have more (9 points 2,173, 7 points 4,354) and cannot be told apart at low resolution; they are counted before
# they are sent.
PAGE_SLOPE, PAGE_CURVE = 300.0, 900.0
PAGE_SPREAD: tuple[float, float] = (0.3, 4.0)  # fewest and most, times the typical
PAGE_OVERLOOKED = 30.0  # tokens per megapixel of text too small or too faint to be sampled
PAGE_TYPICAL_MOST, PAGE_MOST = 620.0, 650.0  # tokens a megapixel

# Audio as model input, per second: OpenAI 10 (realtime guide), Gemini 25 to 32, local encoders 6 to 25.
AUDIO: tuple[float, float, float] = (6.0, 10.0, 32.0)
# A page sent unconverted: its text and an image. Gemini 258 to 560 and text, Anthropic 1,500 to 3,000 and an image.
DOCUMENT_PAGE: tuple[float, float, float] = (258.0, 1000.0, 2600.0)

# A video sent unconverted: Gemini 258 per frame at one frame per second, and 32 of audio; a small encoder 150 at two
# frames per second; large ones up to 600 per frame at two frames per second.
VIDEO: tuple[float, float, float] = (64.0, 290.0, 1200.0)  # tokens a second

# A description of one image, and its instruction without the image and the question. The description is cut off at
# DESCRIPTION_MOST.
DESCRIPTION: tuple[float, float, float] = (8.0, 60.0, 160.0)
DESCRIPTION_MOST = 160
DESCRIBE_ASK: tuple[float, float, float] = (20.0, 60.0, 120.0)

CHARS_OF_TOKEN = 4.0  # of an answer, for steps that process its text
# Generated speech: 150 words of six characters per minute are 15 characters per second. Speech tokens: one per 50 ms
# (OpenAI, realtime guide).
CHARS_PER_SECOND: tuple[float, float, float] = (20.0, 15.0, 11.0)
SPEECH_TOKENS = 20.0  # a second

# Label and boundary of one block of derived text: 11 to 37 tokens with SmolLM2, o200k_base and cl100k_base, 20 on
# average (960 blocks); a longer file name takes more.
BLOCK: tuple[float, float, float] = (11.0, 20.0, 56.0)
# "[0:14] subtitle: " before a line of a video: 7 to 11 tokens with the vocabularies of Llama 3.1, Qwen 3, Gemma 3,
# Gemini, DeepSeek V3 and SmolLM2; the maximum is with hours.
MARK: tuple[float, float, float] = (7.0, 8.5, 12.0)
MESSAGE: tuple[float, float, float] = (3.0, 5.0, 8.0)  # role and turn markers of a chat template
TEMPLATE: tuple[float, float, float] = (1.0, 20.0, 40.0)  # start tokens, a template's own system line
REPAIR: tuple[float, float, float] = (0.0, 40.0, 120.0)  # the instruction of a repair call


@lru_cache(maxsize=2_048)
def text_tokens(chars: int, size: int = 0, scripts: Scripts = (), vocabulary: str = "") -> Quantity:
    """Return the tokens of ``chars`` characters in ``size`` bytes of UTF-8, without an exact vocabulary.

    Args:
        scripts: its scripts (``media/text/script_counts.py``), if examined; otherwise the number of characters is used.
        vocabulary: a name in ``text_factors.FACTORS``, prefixed by ``ASSUMED_PREFIX`` if only assumed; "" if unknown.

    >>> text_tokens(400).mid, text_tokens(400, 400, (("english", 80),), "claude3").basis
    (100.0, "by script, claude3's factors")
    """
    if chars <= 0:
        return exact(0.0, "no text")
    if scripts:
        return _by_script(scripts, vocabulary)
    dense = size > chars * DENSE_BYTES_PER_CHAR
    most, typical, fewest = CHARS_PER_TOKEN_DENSE if dense else CHARS_PER_TOKEN
    return between(
        max(1.0, chars // fewest), max(1.0, -(-chars // typical)), max(1.0, -(-chars // most)),
        f"characters / {typical:g}",
    )  # fmt: skip


def _by_script(scripts: Scripts, vocabulary: str) -> Quantity:
    name = vocabulary.removeprefix(ASSUMED_PREFIX)
    assumed = name != vocabulary and name in FACTORS
    factors, wider = FACTORS.get(name, FACTORS[""]), ASSUMED if assumed else 1.0
    if name not in FACTORS or name in ("", OPEN_WEIGHTS):
        basis = "by script, its vocabulary is not known"
    else:
        basis = f"by script, {name}'s factors{' assumed' if assumed else ''}"
    low = mid = high = 0.0
    for script, units in scripts:
        least, typical, most = factors.get(script, factors["other"])
        low, mid, high = low + units * least, mid + units * typical, high + units * most
    mid = max(1.0, float(round(mid)))
    low, high = math.floor(low / wider + ENDS[0]), math.ceil(high * wider + ENDS[1])
    return between(max(1.0, min(low, mid)), mid, max(high, mid), basis)


class Vocabulary(NamedTuple):
    """How a model's text is counted.

    ``counts``: the tokenizer that counted parts of this request exactly, "" if none did. ``like``: the factors for the
    rest, as in ``text_tokens``.
    """

    counts: str = ""
    like: str = ""


UNKNOWN = Vocabulary()


def text_part_tokens(part: PartFacts, vocabulary: Vocabulary) -> Quantity:
    """Return the tokens of a text part; exact if its vocabulary counted it."""
    count = part.tokens.get(vocabulary.counts) if vocabulary.counts else None
    if count is not None:
        return exact(float(count), "counted")
    return text_tokens(part.chars, part.size, part.scripts, vocabulary.like)


def transcript_tokens(seconds: Quantity, learned_rate: Quantity | None = None) -> Quantity:
    """Return the tokens of a transcript. ``learned_rate``: tokens per second of speech in this model's earlier runs."""
    if seconds.certainty == "exact" and seconds.mid == 0:
        return seconds
    if learned_rate is not None:
        return seconds.times(learned_rate, basis=learned_rate.basis)
    return seconds.times(between(*SPEECH, f"{SPEECH[1]:g} tokens a second of speech"))


def ocr_tokens(megapixels: float, density: Quantity, learned_rate: Quantity | None = None) -> Quantity:
    """Return the tokens of the text in an image, from its size and the share of it that looks like text."""
    if learned_rate is not None:
        return learned_rate.scaled(megapixels, basis=learned_rate.basis)
    if not density.known:
        return between(*READ_PER_MEGAPIXEL, "per megapixel, text not sampled").scaled(megapixels)
    rate = between(*READ_PER_DENSE_MEGAPIXEL, "per megapixel of text")
    found = density.times(rate, basis=rate.basis)
    most = found.high + PAGE_OVERLOOKED
    return between(found.low, found.mid, most, rate.basis).scaled(megapixels)


def page_tokens(megapixels: float, learned_rate: Quantity | None = None, density: Quantity | None = None) -> Quantity:
    """Return the tokens of the text on one scanned page.

    ``megapixels``: of the page at 150 dpi. ``density``: share of it that is text.
    """
    if learned_rate is not None:
        return learned_rate.scaled(megapixels, basis=learned_rate.basis)
    if density is None or not density.known:
        return between(*READ_PER_PAGE, "per scanned page")
    typical = min(PAGE_TYPICAL_MOST, density.mid * (PAGE_SLOPE + PAGE_CURVE * density.mid))
    most = min(PAGE_MOST, typical * PAGE_SPREAD[1] + PAGE_OVERLOOKED)
    return between(typical * PAGE_SPREAD[0], typical, most, "by the text seen on the page").scaled(megapixels)


def letter_tokens(letters: Quantity, factor: Quantity | None = None, script: str = "") -> Quantity:
    """Return the tokens of the text in an image, from its characters counted at low resolution.

    See ``media/image/letter_counts.py``.

    Args:
        factor: on a quarter of a token per character, learned from this reader's earlier runs on Latin and Chinese
            text.
        script: of the text, if it is another one (``PartFacts.script``): vocabularies cut a character of it into up to
            three tokens.
    """
    of_script = FACTORS[""].get(_OTHERWISE.get(script, script.lower()))
    if of_script is not None:
        basis = f"{script} letters seen"
        return letters.times(between(*of_script, basis), basis=basis)
    found = letters.scaled(0.25, basis="a quarter of the letters seen")
    if factor is None:
        return found
    return between(
        min(found.mid * factor.low, found.low), found.mid * factor.mid, max(found.high, found.mid * factor.high),
        factor.basis,
    )  # fmt: skip


def unknown_audio_tokens(seconds: Quantity) -> Quantity:
    """Return the tokens of audio that is sent unconverted."""
    return seconds.times(between(*AUDIO, "10 tokens a second (OpenAI); other families up to 32"))


def unknown_document_tokens(pages: int, chars: int) -> Quantity:
    """Return the tokens of a document that is sent unconverted, without a known rule."""
    if pages <= 0:
        return exact(0.0, "no pages")
    pictures = between(*DOCUMENT_PAGE, "text and an image per page, rules not published").scaled(float(pages))
    return pictures + text_tokens(chars)
