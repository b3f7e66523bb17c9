"""Claude's pictures: 28-pixel cells under a longest edge and a most number of tokens.

Source: Anthropic, "Vision" documentation, as of 2026-11, with its table and its code.
"""

from __future__ import annotations

import math

from intermodal.cost_model.rule_syntax import RuleArguments
from intermodal.quantity import Quantity, exact

ANTHROPIC_CELL = 28
ANTHROPIC_LONGEST_SIDE = 8_000  # pixels; a larger picture is refused


def anthropic_cells(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """``ceil(w / 28) * ceil(h / 28)`` of the largest size under both limits, found by binary search.

    Numbers: longest edge, most tokens (1568:1568, or 2576:4784 from Claude 4.7 on). There is no level of detail.

    >>> [int(anthropic_cells(*size, "auto", RuleArguments((1568, 1568))).mid) for size in ((1000, 1000), (1920, 1080))]
    [1296, 1560]
    """
    edge, most = arguments.numbers

    def tokens(long: int, short: int) -> int:
        return math.ceil(long / ANTHROPIC_CELL) * math.ceil(short / ANTHROPIC_CELL)

    long, short = max(width, height), min(width, height)
    ratio = short / long
    low, high = 1, long
    while low < high:
        middle = (low + high + 1) // 2
        other = max(1, round(middle * ratio))
        fits = (
            math.ceil(middle / ANTHROPIC_CELL) * ANTHROPIC_CELL <= edge
            and math.ceil(other / ANTHROPIC_CELL) * ANTHROPIC_CELL <= edge
        )
        if fits and tokens(middle, other) <= most:
            low = middle
        else:
            high = middle - 1
    return exact(float(tokens(low, max(1, round(low * ratio)))), "Anthropic's 28-pixel rule")


def anthropic_refusal(width: int, height: int, detail: str, arguments: RuleArguments) -> str:
    longest = max(width, height)
    if longest <= ANTHROPIC_LONGEST_SIDE:
        return ""
    return f"a side of {longest:,} pixels, and a picture with one of more than {ANTHROPIC_LONGEST_SIDE:,} is refused"
