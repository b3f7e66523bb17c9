"""How many tokens a picture is, by the named rule of its model (``Model.image_tokens``).

A rule is a name and numbers: ``openai_tile:85:170``. Every rule is one function with its source; a new
family is one function and one row of ``RULES``. A rule nobody wrote down gives a wide range that says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from intermodal.quantity import Quantity, between, exact

Rule = Callable[[int, int, str, tuple[float, ...]], Quantity]
UNKNOWN_RULE = "no published rule for this model's pictures"


def openai_tile(width: int, height: int, detail: str, numbers: tuple[float, ...]) -> Quantity:
    """OpenAI's tile models: ``base + tile * ceil(w / 512) * ceil(h / 512)`` after fitting into 2048 and 768.

    Nothing is scaled up; the other side is floored; low detail is ``base``. Numbers: base, tile.
    Source: OpenAI "Images and vision" guide, as of 2026-11 (its own rounding may differ by one token).

    >>> int(openai_tile(1024, 1024, "high", (85, 170)).mid), int(openai_tile(2048, 4096, "high", (85, 170)).mid)
    (765, 1105)
    """
    base, tile = numbers
    basis = "OpenAI's tile rule"
    if detail == "low":
        return exact(base, basis)
    scale = min(1.0, 2048 / max(width, height), 768 / min(width, height))
    wide, high = max(1, math.floor(width * scale + 1e-9)), max(1, math.floor(height * scale + 1e-9))
    return exact(base + tile * math.ceil(wide / 512) * math.ceil(high / 512), basis)


def openai_patch(width: int, height: int, detail: str, numbers: tuple[float, ...]) -> Quantity:
    """OpenAI's patch models: 32-pixel patches under a budget, times a multiplier.

    Numbers: budget, longest side, multiplier. Low detail fits into 512 pixels.
    Source: OpenAI "Images and vision" guide, as of 2026-11.

    >>> int(openai_patch(1024, 1024, "high", (2500, 2048, 1.2)).mid)
    1229
    >>> int(openai_patch(1800, 2400, "high", (1536, 65535, 1.72)).mid)
    2498
    """
    budget, longest, multiplier = numbers
    side = 512.0 if detail == "low" else longest
    scale = min(1.0, side / max(width, height))
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    patches = math.ceil(wide / 32) * math.ceil(high / 32)
    if patches > budget:
        factor = math.sqrt(1024 * budget / (wide * high))
        across, down = wide * factor / 32, high * factor / 32
        factor *= min(math.floor(across) / across, math.floor(down) / down)
        patches = math.ceil(math.floor(wide * factor) / 32) * math.ceil(math.floor(high * factor) / 32)
    return exact(float(math.ceil(patches * multiplier - 1e-9)), "OpenAI's patch rule")


def anthropic(width: int, height: int, detail: str, numbers: tuple[float, ...]) -> Quantity:
    """Claude: ``ceil(w / 28) * ceil(h / 28)`` of the largest size under both limits, found by binary search.

    Numbers: longest edge, most tokens (1568:1568, or 2576:4784 from Claude 4.7 on).
    Source: Anthropic "Vision" documentation, as of 2026-11.

    >>> int(anthropic(1000, 1000, "auto", (1568, 1568)).mid), int(anthropic(1920, 1080, "auto", (1568, 1568)).mid)
    (1296, 1560)
    """
    edge, most = numbers

    def tokens(long: int, short: int) -> int:
        return math.ceil(long / 28) * math.ceil(short / 28)

    long, short = max(width, height), min(width, height)
    ratio = short / long
    low, high = 1, long
    while low < high:
        middle = (low + high + 1) // 2
        other = max(1, round(middle * ratio))
        fits = math.ceil(middle / 28) * 28 <= edge and math.ceil(other / 28) * 28 <= edge
        if fits and tokens(middle, other) <= most:
            low = middle
        else:
            high = middle - 1
    return exact(float(tokens(low, max(1, round(low * ratio)))), "Anthropic's 28-pixel rule")


def gemini_tile(width: int, height: int, detail: str, numbers: tuple[float, ...]) -> Quantity:
    """Gemini 2.x: 258 for a small picture, else 258 per crop of ``min(w, h) / 1.5``.

    Numbers: tokens per tile. Older text clamps the crop to 256..768, newer does not: the range covers both.
    Source: Google "Understand and count tokens", as of 2026-11.

    >>> int(gemini_tile(384, 384, "auto", (258,)).mid), int(gemini_tile(960, 540, "auto", (258,)).mid)
    (258, 1548)
    """
    (tile,) = numbers
    basis = "Gemini's tile rule"
    if max(width, height) <= 384:
        return exact(tile, basis)
    unit = max(1, math.floor(min(width, height) / 1.5))
    clamped = min(768, max(256, unit))

    def count(side: int) -> int:
        return math.ceil(width / side) * math.ceil(height / side)

    free, bound = tile * count(unit), tile * count(clamped)
    if free == bound:
        return exact(free, basis)
    return between(min(free, bound), free, max(free, bound), f"{basis}; sources differ on large pictures")


def qwen(width: int, height: int, detail: str, numbers: tuple[float, ...]) -> Quantity:
    """Qwen-VL: sides rounded to multiples of ``factor`` under a pixel budget, one token per factor x factor.

    Numbers: factor, most pixels. Source: qwen-vl-utils ``smart_resize``, as of 2026-11.

    >>> int(qwen(1024, 1024, "auto", (28, 12845056)).mid), int(qwen(1024, 1024, "auto", (28, 1003520)).mid)
    (1369, 1225)
    """
    factor, most = numbers
    wide, high = max(factor, round(width / factor) * factor), max(factor, round(height / factor) * factor)
    if wide * high > most:
        shrink = math.sqrt(width * height / most)
        wide = max(factor, math.floor(width / shrink / factor) * factor)
        high = max(factor, math.floor(height / shrink / factor) * factor)
    return exact(float(int(wide // factor) * int(high // factor)), "Qwen-VL's resize rule")


def mistral(width: int, height: int, detail: str, numbers: tuple[float, ...]) -> Quantity:
    """Pixtral and Mistral Small: ``(columns + 1) * rows`` of merged patches, break tokens included.

    Numbers: patch, merge, longest side. Source: mistral-common ``image.py``, as of 2026-11.

    >>> int(mistral(1024, 1024, "auto", (16, 1, 1024)).mid), int(mistral(1540, 1540, "auto", (14, 2, 1540)).mid)
    (4160, 3080)
    """
    patch, merge, longest = numbers
    ratio = max(height / longest, width / longest)
    if ratio > 1:
        width, height = max(1, round(width / ratio)), max(1, round(height / ratio))
    unit = patch * merge
    columns, rows = int((width - 1) // unit) + 1, int((height - 1) // unit) + 1
    return exact(float((columns + 1) * rows), "Mistral's patch rule")


def fixed(width: int, height: int, detail: str, numbers: tuple[float, ...]) -> Quantity:
    """The same for every picture (LLaVA-1.5 576, Gemma 3 256, a small encoder 16). Numbers: tokens."""
    return exact(numbers[0], "fixed by the model")


def nobody_knows(width: int, height: int) -> Quantity:
    """The range over the published families: from one low-detail tile to uncut 28-pixel patches."""
    high = min(16_384.0, max(2_500.0, math.ceil(width / 28) * math.ceil(height / 28)))
    mid = min(1_600.0, max(256.0, width * height / 750))
    return between(64.0, math.ceil(min(mid, high)), high, UNKNOWN_RULE)


RULES: dict[str, tuple[Rule, int]] = {  # name -> function, how many numbers it takes
    "openai_tile": (openai_tile, 2),
    "openai_patch": (openai_patch, 3),
    "anthropic": (anthropic, 2),
    "gemini_tile": (gemini_tile, 1),
    "qwen": (qwen, 2),
    "mistral": (mistral, 3),
    "fixed": (fixed, 1),
}


@lru_cache(maxsize=16_384)
def image_tokens(rule: str, width: int, height: int, detail: str = "auto") -> Quantity:
    """Tokens of one picture of ``width`` x ``height`` pixels under a named rule.

    A rule that does not exist, or has the wrong numbers, is as good as none: the wide range.
    """
    name, _, rest = rule.partition(":")
    found = RULES.get(name)
    try:
        numbers = tuple(float(number) for number in rest.split(":")) if rest else ()
    except ValueError:
        found = None
        numbers = ()
    if found is None or len(numbers) != found[1] or width <= 0 or height <= 0:
        return nobody_knows(max(1, width), max(1, height))
    return found[0](width, height, detail, numbers)
