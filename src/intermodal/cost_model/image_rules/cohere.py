"""Cohere's pictures.

Sources: transformers 5.24, cohere2_vision and aya_vision processors; a host of Command A Vision states about 1,610
tokens for a picture of 512 x 512 (Oracle, model page), which those do not give. So counts are ranges.
"""

from __future__ import annotations

from intermodal.cost_model.image_rules.tile_grids import least_scaling, nearest_shape
from intermodal.cost_model.rule_syntax import RuleArguments
from intermodal.quantity import Quantity, between, exact

COHERE_HOSTED_TOKENS = 1_610.0


def command_a_tiles(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Command A Vision: 256 tokens per tile of 512 pixels, a line break each, and a thumbnail where there are several.

    Numbers: tokens per tile, tile, most tiles.

    >>> found = command_a_tiles(1024, 1024, "auto", RuleArguments((256, 512, 12)))
    >>> int(found.low), int(found.mid), int(found.high)
    (1287, 1287, 1610)
    """
    one, tile, most = arguments.numbers
    columns, rows = least_scaling(width, height, tile, int(most))
    count = columns * rows
    if detail == "low":
        count = 1
    found = 2 + (one + 1) * (count + 1 if count > 1 else 1)
    return between(
        found, found, max(found, COHERE_HOSTED_TOKENS), "Cohere's tiles; a host states more for a small picture"
    )


def aya_tiles(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Aya Vision: 169 tokens per tile of 364 pixels, and a thumbnail where there are several.

    >>> int(aya_tiles(364, 364, "auto", RuleArguments((169, 364, 12))).mid)
    169
    """
    one, tile, most = arguments.numbers
    columns, rows = nearest_shape(width, height, tile, int(most))
    count = columns * rows
    return exact(one * (count + 1 if count > 1 else 1), "Aya Vision's tiles")
