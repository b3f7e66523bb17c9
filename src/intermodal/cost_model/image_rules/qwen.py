"""Qwen-VL: sides rounded to whole units under a pixel budget, one token per unit.

Source: qwen-vl-utils 0.0.14, ``vision_process.py`` (``smart_resize``); transformers 5.24.
"""

from __future__ import annotations

import math

from intermodal.cost_model.rule_syntax import RuleArguments
from intermodal.quantity import Quantity, between, exact

QWEN_LONGEST_SHAPE = 200  # long side over short side; more is refused


def qwen_smart_resize(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Tokens of one picture.

    Numbers: factor (28; Qwen3-VL 32), most pixels, least pixels (4 units by default), and the least pixels of other
    runtimes. The budget is the processor's ``max_pixels`` as the model's own files state it; a server may set less.
    Small pictures of Qwen3-VL are scaled up to 65,536 pixels by transformers and vLLM, and are not by qwen-vl-utils.

    >>> [int(qwen_smart_resize(1024, 1024, "auto", RuleArguments((28, most))).mid) for most in (12845056, 1003520)]
    [1369, 1225]
    """
    factor, most = arguments.numbers[:2]
    least = arguments.numbers[2] if len(arguments.numbers) > 2 else 4 * factor * factor
    basis = f"Qwen-VL's resize rule, max_pixels {most:,.0f}"
    floors = (least, *arguments.numbers[3:])
    found = sorted(
        float(int(wide // factor) * int(high // factor))
        for wide, high in (qwen_resized(width, height, factor, floor, most) for floor in floors)
    )
    if found[0] == found[-1]:
        return exact(found[0], basis)
    return between(found[0], found[-1], found[-1], f"{basis}; runtimes scale small pictures up differently")


def qwen_resized(width: float, height: float, factor: float, least: float, most: float) -> tuple[float, float]:
    """The size a picture is brought to: sides multiples of ``factor``, pixels between ``least`` and ``most``."""
    wide, high = max(factor, round(width / factor) * factor), max(factor, round(height / factor) * factor)
    if wide * high > most:
        shrink = math.sqrt(width * height / most)
        return (
            max(factor, math.floor(width / shrink / factor) * factor),
            max(factor, math.floor(height / shrink / factor) * factor),
        )
    if wide * high < least:
        grow = math.sqrt(least / (width * height))
        return math.ceil(width * grow / factor) * factor, math.ceil(height * grow / factor) * factor
    return wide, high


def qwen_refusal(width: int, height: int, detail: str, arguments: RuleArguments) -> str:
    if max(width, height) <= QWEN_LONGEST_SHAPE * min(width, height):
        return ""
    return f"more than {QWEN_LONGEST_SHAPE} times as long as wide, which is refused"
