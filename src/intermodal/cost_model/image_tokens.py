"""Tokens of a picture, by the named rule of its model (``Model.image_tokens``).

A rule is a name, numbers and words: ``openai_tile:85:170``. Every rule is one function with its source in
``image_rules``; a new family is a function there and one row of ``IMAGE_RULES``. Without a known rule the count is a
wide range with that as its basis.
"""

from __future__ import annotations

import math
from functools import lru_cache

from intermodal.cost_model.image_rules import (
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
from intermodal.cost_model.rule_syntax import ImageRule, RuleArguments, parse_rule
from intermodal.quantity import Quantity, between, exact

UNKNOWN_RULE = "no published rule for this model's pictures"
DETAILS = ("auto", "low", "medium", "high", "ultra", "original")


def latent(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Diffusion models: an input picture becomes a latent and takes no tokens."""
    return exact(0.0, "made latent, which is no tokens")


def fixed(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """The same for every picture (LLaVA-1.5 576, Gemma 3n 256, a small encoder 16). Numbers: tokens."""
    return exact(arguments.numbers[0], "fixed by the model")


def unknown_image_tokens(width: int, height: int) -> Quantity:
    """Return the range over the published families: from one low-detail tile to uncut 28-pixel patches."""
    high = min(16_384.0, max(2_500.0, math.ceil(width / 28) * math.ceil(height / 28)))
    mid = min(1_600.0, max(256.0, width * height / 750))
    return between(64.0, math.ceil(min(mid, high)), high, UNKNOWN_RULE)


_OPENAI = ("auto", "low", "high", "original")
_LEVELS = ("auto", "low", "medium", "high", "ultra")
IMAGE_RULES: dict[str, ImageRule] = {  # name -> function, fewest and most numbers, and the check of its words
    "openai_tile": ImageRule(openai.openai_tiles, 2, 3, _OPENAI, openai.openai_tile_refusal, openai.is_openai_rounding),
    "openai_drawing": ImageRule(openai.openai_drawing_input, 4, 4, ("auto", "low", "high")),
    "openai_patch": ImageRule(openai.openai_one_budget, 3, 3, _OPENAI),
    "openai_levels": ImageRule(
        openai.openai_detail_levels, 1, 1, _OPENAI, openai.openai_levels_refusal, openai.are_openai_levels
    ),
    "anthropic": ImageRule(anthropic.anthropic_cells, 2, 2, refuses=anthropic.anthropic_refusal),
    "gemini_tile": ImageRule(gemini.gemini_crops, 1, 3, _LEVELS),
    "gemini_budget": ImageRule(gemini.gemini_budget, 4, 4, _LEVELS),
    "gemma3": ImageRule(gemma.gemma3, 1, 1),
    "gemma4": ImageRule(gemma.gemma4, 4, 4, _LEVELS),
    "qwen": ImageRule(qwen.qwen_smart_resize, 2, 4, refuses=qwen.qwen_refusal),
    "mistral": ImageRule(mistral.mistral_grid, 3, 3),
    "llama32": ImageRule(llama.llama32_tiles, 3, 3),
    "llama4": ImageRule(llama.llama4_tiles, 3, 3),
    "idefics": ImageRule(idefics.idefics_tiles, 3, 3),
    "internvl": ImageRule(internvl.internvl_tiles, 3, 3),
    "llava_next": ImageRule(llava.llava_next_grid, 0, 0),
    "cohere": ImageRule(cohere.command_a_tiles, 3, 3),
    "aya": ImageRule(cohere.aya_tiles, 3, 3),
    "grok": ImageRule(grok.grok_tiles, 2, 2),
    "fixed": ImageRule(fixed, 1, 1),
    "latent": ImageRule(latent, 0, 0),
}


@lru_cache(maxsize=2_048)
def image_tokens(rule: str, width: int, height: int, detail: str = "auto") -> Quantity:
    """Return the tokens of one picture of ``width`` x ``height`` pixels under a named rule.

    An unknown rule, or one with the wrong numbers, gives the wide range. A picture that would be refused is counted as
    if it were not; ``image_refusal`` gives the reason.
    """
    found = _family(rule)
    if found is None or width <= 0 or height <= 0:
        return unknown_image_tokens(max(1, width), max(1, height))
    family, arguments = found
    known = detail if not family.details or detail in family.details else "auto"
    return family.tokens(width, height, known, arguments)


def image_refusal(rule: str, width: int, height: int, detail: str = "auto") -> str:
    """Return why a picture would be refused under its rule, as far as that is published; "" when it would not."""
    found = _family(rule)
    if found is None:
        return ""
    family, arguments = found
    if family.details and detail not in family.details:
        return f"its pictures have no detail {detail!r}, they have {', '.join(family.details)}"
    return family.refuses(width, height, detail, arguments) if family.refuses is not None else ""


def is_image_rule(rule: str) -> bool:
    """Return whether a rule string is valid."""
    return _family(rule) is not None


def _family(rule: str) -> tuple[ImageRule, RuleArguments] | None:
    read = parse_rule(rule)
    family = IMAGE_RULES.get(read[0]) if read is not None else None
    if read is None or family is None:
        return None
    arguments = read[1]
    if not family.least <= len(arguments.numbers) <= family.most or any(number <= 0 for number in arguments.numbers):
        return None
    return (family, arguments) if family.are_words_valid(arguments) else None
