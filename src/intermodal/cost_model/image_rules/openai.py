"""OpenAI's pictures: tiles of 512 pixels, or patches of 32 under a budget that depends on model, detail and date.

Source of all: OpenAI, "Images and vision" guide, as read in spring 2026 and in 2026-11. Nothing is scaled up. The
guide states that the billed number may differ by one token, by rounding.
"""

from __future__ import annotations

import math
import re

from intermodal.cost_model.rule_syntax import RuleArguments
from intermodal.quantity import Quantity, between, exact

OPENAI_PATCH = 32
OPENAI_MOST_PATCHES = 30_000  # a request with a picture of more is refused; the guide of 2026-11
_OPENAI_SIZE = re.compile(r"[1-9]\d*(/[1-9]\d*)?")
OPENAI_TILE_BASIS, OPENAI_PATCH_BASIS = "OpenAI's tile rule", "OpenAI's patch rule"


def openai_tiles(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """``base + tile * ceil(w / 512) * ceil(h / 512)`` after fitting into 2048 and a short side.

    Numbers: base, tile, the short side (768 by default). Low detail is ``base``. The other side is floored;
    ``rounding=open`` where measurements also fit rounding to the nearest (gpt-4.1): the range covers both.

    >>> int(openai_tiles(1024, 1024, "high", RuleArguments((85, 170))).mid), int(
    ...     openai_tiles(2048, 4096, "high", RuleArguments((85, 170))).mid)
    (765, 1105)
    """
    base, tile = arguments.numbers[:2]
    if detail == "low":
        return exact(base, OPENAI_TILE_BASIS)
    short = arguments.numbers[2] if len(arguments.numbers) > 2 else 768.0
    scale = min(1.0, 2048 / max(width, height), short / min(width, height))

    def count(wide: float, high: float) -> float:
        return base + tile * math.ceil(max(1.0, wide) / 512) * math.ceil(max(1.0, high) / 512)

    floored = count(math.floor(width * scale + 1e-9), math.floor(height * scale + 1e-9))
    if arguments.words.get("rounding") != "open":
        return exact(floored, OPENAI_TILE_BASIS)
    rounded = count(round(width * scale), round(height * scale))
    if rounded == floored:
        return exact(floored, OPENAI_TILE_BASIS)
    return between(
        min(floored, rounded), floored, max(floored, rounded), f"{OPENAI_TILE_BASIS}; its rounding is not settled"
    )


def is_openai_rounding(arguments: RuleArguments) -> bool:
    return not arguments.words or dict(arguments.words) == {"rounding": "open"}


def openai_tile_refusal(width: int, height: int, detail: str, arguments: RuleArguments) -> str:
    return "its pictures have no detail 'original'" if detail == "original" else ""


def openai_drawing_input(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """A picture given to gpt-image-1: tiles with a short side of 512; ``high`` is input_fidelity=high.

    Numbers: base, tile, more for a square, more for any other shape.

    >>> int(openai_drawing_input(1024, 1024, "auto", RuleArguments((65, 129, 4160, 6240))).mid)
    194
    >>> int(openai_drawing_input(1024, 1024, "high", RuleArguments((65, 129, 4160, 6240))).mid)
    4354
    """
    base, tile, square, other = arguments.numbers
    found = openai_tiles(width, height, "auto", RuleArguments((base, tile, 512.0)))
    if detail != "high":
        return found
    return exact(found.mid + (square if width == height else other), f"{OPENAI_TILE_BASIS}, input_fidelity=high")


def openai_one_budget(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Patches under one budget for every detail but low, which fits into 512 pixels.

    Numbers: budget, longest side, multiplier.

    >>> int(openai_one_budget(1024, 1024, "high", RuleArguments((2500, 2048, 1.2))).mid)
    1229
    >>> int(openai_one_budget(1800, 2400, "high", RuleArguments((1536, 65535, 1.72))).mid)
    2498
    """
    budget, longest, multiplier = arguments.numbers
    side = 512.0 if detail == "low" else longest
    return exact(openai_billed(openai_patches(width, height, side, budget), multiplier), OPENAI_PATCH_BASIS)


def openai_detail_levels(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Patches, each detail with a longest side and a budget of its own.

    Numbers: the multiplier. Words: ``low``, ``high``, ``original``, each ``side`` or ``side/budget``; ``auto`` names
    the one it is. Without a budget the picture is not shrunk to one, and more than 30,000 patches are refused.

    >>> astra = RuleArguments((1.2,), {"low": "512", "high": "65535/2500", "original": "65535", "auto": "original"})
    >>> int(openai_detail_levels(4096, 512, "high", astra).mid), int(
    ...     openai_detail_levels(2048, 2048, "auto", astra).mid)
    (2458, 4916)
    """
    side, budget = _openai_level(detail, arguments)
    return exact(openai_billed(openai_patches(width, height, side, budget), arguments.numbers[0]), OPENAI_PATCH_BASIS)


def are_openai_levels(arguments: RuleArguments) -> bool:
    """``high`` at least, sizes that are sizes, and ``auto`` one of them."""
    sizes = {word: size for word, size in arguments.words.items() if word != "auto"}
    named = set(sizes) <= {"low", "high", "original"} and "high" in sizes
    return named and arguments.words.get("auto", "high") in sizes and all(map(_OPENAI_SIZE.fullmatch, sizes.values()))


def openai_levels_refusal(width: int, height: int, detail: str, arguments: RuleArguments) -> str:
    if detail not in arguments.words and detail != "auto":
        known = ", ".join(word for word in ("low", "high", "original") if word in arguments.words)
        return f"its pictures have no detail {detail!r}, they have {known} and auto"
    found = openai_patches(width, height, *_openai_level(detail, arguments))
    if found <= OPENAI_MOST_PATCHES:
        return ""
    most = f"a request with a picture of more than {OPENAI_MOST_PATCHES:,} is refused"
    return f"{found:,} patches of {OPENAI_PATCH} pixels, and {most}"


def _openai_level(detail: str, arguments: RuleArguments) -> tuple[float, float]:
    named = arguments.words.get("auto", "high") if detail == "auto" else detail
    side, _, budget = arguments.words.get(named, arguments.words["high"]).partition("/")
    return float(side), float(budget) if budget else math.inf


def openai_patches(width: int, height: int, side: float, budget: float) -> int:
    """Patches after fitting into ``side``, and below ``budget`` by a factor that makes whole patches of one side.

    >>> openai_patches(1800, 2400, 65535, 1536)
    1452
    """
    scale = min(1.0, side / max(width, height))
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    found = math.ceil(wide / OPENAI_PATCH) * math.ceil(high / OPENAI_PATCH)
    if found <= budget:
        return found
    factor = math.sqrt(OPENAI_PATCH * OPENAI_PATCH * budget / (wide * high))
    across, down = wide * factor / OPENAI_PATCH, high * factor / OPENAI_PATCH
    factor *= min(math.floor(across) / across, math.floor(down) / down)
    wide, high = max(1, math.floor(wide * factor)), max(1, math.floor(high * factor))
    return math.ceil(wide / OPENAI_PATCH) * math.ceil(high / OPENAI_PATCH)


def openai_billed(count: int, multiplier: float) -> float:
    return float(math.ceil(count * multiplier - 1e-9))
