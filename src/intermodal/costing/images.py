"""How many tokens a picture is, by the named rule of its model (``Model.image_tokens``).

A rule is a name, numbers and words: ``openai_tile:85:170``. Every rule is one function with its source in
``vision/``; a new family is a file there and one row of ``RULES``. A rule nobody wrote down gives a wide range that
says so.
"""

from __future__ import annotations

import math
from functools import lru_cache

from intermodal.costing.vision import (
    anthropic,
    cohere,
    gemini,
    gemma,
    grok,
    idefics,
    internvl,
    llama,
    llava,
    mistral,
    openai,
    qwen,
)
from intermodal.costing.vision.said import Family, Said, read_rule
from intermodal.quantity import Quantity, between, exact

UNKNOWN_RULE = "no published rule for this model's pictures"
DETAILS = ("auto", "low", "medium", "high", "ultra", "original")


def latent(width: int, height: int, detail: str, said: Said) -> Quantity:
    """Of a diffusion model: a picture that goes in is made latent."""
    return exact(0.0, "made latent, which is no tokens")


def fixed(width: int, height: int, detail: str, said: Said) -> Quantity:
    """The same for every picture (LLaVA-1.5 576, Gemma 3n 256, a small encoder 16). Numbers: tokens."""
    return exact(said.numbers[0], "fixed by the model")


def nobody_knows(width: int, height: int) -> Quantity:
    """The range over the published families: from one low-detail tile to uncut 28-pixel patches."""
    high = min(16_384.0, max(2_500.0, math.ceil(width / 28) * math.ceil(height / 28)))
    mid = min(1_600.0, max(256.0, width * height / 750))
    return between(64.0, math.ceil(min(mid, high)), high, UNKNOWN_RULE)


_OPENAI = ("auto", "low", "high", "original")
_LEVELS = ("auto", "low", "medium", "high", "ultra")
RULES: dict[str, Family] = {  # name -> function, fewest and most numbers, and what else its rules may say
    "openai_tile": Family(openai.tiles, 2, 3, _OPENAI, openai.tile_refusal, openai.is_rounding),
    "openai_drawing": Family(openai.drawing, 4, 4, ("auto", "low", "high")),
    "openai_patch": Family(openai.one_budget, 3, 3, _OPENAI),
    "openai_levels": Family(openai.levels, 1, 1, _OPENAI, openai.levels_refusal, openai.are_levels),
    "anthropic": Family(anthropic.cells, 2, 2, refuses=anthropic.refusal),
    "gemini_tile": Family(gemini.crops, 1, 3, _LEVELS),
    "gemini_budget": Family(gemini.budget, 4, 4, _LEVELS),
    "gemma3": Family(gemma.gemma3, 1, 1),
    "gemma4": Family(gemma.gemma4, 4, 4, _LEVELS),
    "qwen": Family(qwen.smart, 2, 4, refuses=qwen.refusal),
    "mistral": Family(mistral.grid, 3, 3),
    "llama32": Family(llama.llama32, 3, 3),
    "llama4": Family(llama.llama4, 3, 3),
    "idefics": Family(idefics.tiles, 3, 3),
    "internvl": Family(internvl.tiles, 3, 3),
    "llava_next": Family(llava.next_grid, 0, 0),
    "cohere": Family(cohere.command, 3, 3),
    "aya": Family(cohere.aya, 3, 3),
    "grok": Family(grok.tiles, 2, 2),
    "fixed": Family(fixed, 1, 1),
    "latent": Family(latent, 0, 0),
}


@lru_cache(maxsize=2_048)
def image_tokens(rule: str, width: int, height: int, detail: str = "auto") -> Quantity:
    """Tokens of one picture of ``width`` x ``height`` pixels under a named rule.

    A rule that does not exist, or has the wrong numbers, is as good as none: the wide range. A picture that would be
    refused is counted as if it were not; ``image_refusal`` says so.
    """
    found = _family(rule)
    if found is None or width <= 0 or height <= 0:
        return nobody_knows(max(1, width), max(1, height))
    family, said = found
    known = detail if not family.details or detail in family.details else "auto"
    return family.tokens(width, height, known, said)


def image_refusal(rule: str, width: int, height: int, detail: str = "auto") -> str:
    """Why a picture would be refused under its rule, as far as that is published; "" when it would not."""
    found = _family(rule)
    if found is None:
        return ""
    family, said = found
    if family.details and detail not in family.details:
        return f"its pictures have no detail {detail!r}, they have {', '.join(family.details)}"
    return family.refuses(width, height, detail, said) if family.refuses is not None else ""


def is_rule(rule: str) -> bool:
    """Whether a rule string can be followed."""
    return _family(rule) is not None


def _family(rule: str) -> tuple[Family, Said] | None:
    read = read_rule(rule)
    family = RULES.get(read[0]) if read is not None else None
    if read is None or family is None:
        return None
    said = read[1]
    if not family.least <= len(said.numbers) <= family.most or any(number <= 0 for number in said.numbers):
        return None
    return (family, said) if family.says(said) else None
