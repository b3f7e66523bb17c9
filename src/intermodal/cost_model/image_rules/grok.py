"""Grok's pictures.

Source: secondary (descriptions of xAI's documentation), so the count is a range and never exact.
"""

from __future__ import annotations

import math

from intermodal.cost_model.rule_syntax import RuleArguments
from intermodal.quantity import Quantity, between

GROK_MOST_TILES = 6


def grok_tiles(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """``(tiles + 1) * 256`` of 448-pixel tiles. Numbers: tokens per tile, tile.

    >>> int(grok_tiles(448, 448, "auto", RuleArguments((256, 448))).mid)
    512
    """
    one, tile = arguments.numbers
    count = min(GROK_MOST_TILES, math.ceil(width / tile) * math.ceil(height / tile))
    return between(one, one * (count + 1), one * (GROK_MOST_TILES + 1), "Grok's tiles, by secondary sources")
