"""SmolVLM and Idefics3: the picture is scaled up to a longest side, cut into tiles, and seen once whole.

Source: transformers 5.24, smolvlm and idefics3 image processors.
"""

from __future__ import annotations

import math

from intermodal.cost_model.rule_syntax import RuleArguments
from intermodal.quantity import Quantity, exact

IDEFICS_LONGEST_SIDE = 4096


def idefics_tiles(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Tokens of the tiles and of the whole picture; ``low`` is without splitting. Words about rows are not counted.

    Numbers: tile, longest side, tokens per tile.

    >>> smol = RuleArguments((512, 2048, 64))
    >>> int(idefics_tiles(256, 256, "auto", smol).mid), int(idefics_tiles(256, 256, "low", smol).mid)
    (1088, 64)
    """
    tile, longest, one = arguments.numbers
    if detail == "low":
        return exact(one, "one picture, not split")
    wide, high = _idefics_scaled(width, height, int(longest))
    across, down = math.ceil(wide / tile), math.ceil(high / tile)
    count = across * down
    return exact(
        one * (count + 1 if count > 1 else 1), f"tiles of {tile:g} after scaling to {longest:g}, and the whole"
    )


def _idefics_scaled(width: int, height: int, longest: int) -> tuple[int, int]:
    """The long side is ``longest``, the other even, neither over ``IDEFICS_LONGEST_SIDE``."""
    shape = width / height
    if width >= height:
        wide, high = longest, int(longest / shape)
        high += high % 2
    else:
        wide, high = int(longest * shape), longest
        wide += wide % 2
    wide, high = max(wide, 1), max(high, 1)
    if max(wide, high) <= IDEFICS_LONGEST_SIDE:
        return wide, high
    shape = wide / high
    return (
        (IDEFICS_LONGEST_SIDE, max(1, int(IDEFICS_LONGEST_SIDE / shape)))
        if wide >= high
        else (max(1, int(IDEFICS_LONGEST_SIDE * shape)), IDEFICS_LONGEST_SIDE)
    )
