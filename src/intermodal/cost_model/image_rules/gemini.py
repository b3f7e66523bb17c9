"""Gemini's pictures: crops of 258 tokens (2.x), or a budget by media resolution (3.x).

Sources: Google, "Understand and count tokens" and "Media resolution", as of 2026-11. Both are descriptions, and no
formula was checked against countTokens here, so what they leave open is a range.
"""

from __future__ import annotations

import math

from intermodal.cost_model.image_rules.gemma import cells_of_budget
from intermodal.cost_model.rule_syntax import RuleArguments
from intermodal.quantity import Quantity, between, exact

GEMINI_SMALL_SIDE = 384  # pixels: both sides at most this is one tile


def gemini_crops(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Gemini 2.x: 258 for a small picture, else 258 per crop of ``min(w, h) / 1.5``.

    Numbers: tokens per tile, then those of a picture at low and at medium resolution where they are known. Older
    text clamps the crop to 256..768 pixels, newer does not: the range covers both.

    >>> int(gemini_crops(384, 384, "auto", RuleArguments((258,))).mid), int(
    ...     gemini_crops(960, 540, "auto", RuleArguments((258,))).mid)
    (258, 1548)
    """
    tile = arguments.numbers[0]
    basis = "Gemini's tile rule"
    if detail in ("low", "medium") and len(arguments.numbers) == 3:
        return exact(arguments.numbers[1 if detail == "low" else 2], f"media resolution {detail}")
    if max(width, height) <= GEMINI_SMALL_SIDE:
        return exact(tile, basis)
    unit = max(1, math.floor(min(width, height) / 1.5))
    clamped = min(768, max(256, unit))

    def count(side: int) -> int:
        return math.ceil(width / side) * math.ceil(height / side)

    free, bound = tile * count(unit), tile * count(clamped)
    if free == bound:
        return exact(free, basis)
    return between(min(free, bound), free, max(free, bound), f"{basis}; sources differ on large pictures")


GEMINI_RESOLUTIONS = ("low", "medium", "high", "ultra")


def gemini_budget(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Gemini 3.x: a most number of tokens by media resolution; auto is high.

    Numbers: low, medium, high, ultra high. Google calls them maxima. The low end is what whole rows of 48 pixels
    leave of such a budget at this shape, as Gemma 4 fills its own; Gemini's own rule is not published.

    >>> int(gemini_budget(1024, 1024, "auto", RuleArguments((280, 560, 1120, 2240))).mid)
    1120
    """
    level = "high" if detail in ("auto", "original") else detail
    most = arguments.numbers[GEMINI_RESOLUTIONS.index(level)]
    least = min(most, float(cells_of_budget(width, height, int(most))))
    return between(least, most, most, f"media resolution {level}: {most:g} tokens at most")
