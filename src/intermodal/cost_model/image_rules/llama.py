"""Llama's pictures: 560-pixel tiles outside the prompt (3.2 Vision), 336-pixel tiles inside it (4)."""

from __future__ import annotations

import math

from intermodal.cost_model.image_rules.tile_grids import least_scaling
from intermodal.cost_model.rule_syntax import RuleArguments
from intermodal.quantity import Quantity, between, exact


def llama32_tiles(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """1,601 tokens per 560-pixel tile, at most four.

    Numbers: tokens per tile, tile, most tiles. Hosts bill whole tiles of a grid of at most 2 x 2 (Together's
    documentation: a picture that is wider or taller than a tile counts another); the model's own processor
    (transformers 5.24, mllama) scales the picture up to the next canvas. Where the two differ the range covers both. On
    a machine of one's own these lie in the cache of the cross attention, and the prompt has one token.

    >>> [llama32_tiles(*size, "auto", RuleArguments((1601, 560, 4))).mid
    ...     for size in ((560, 560), (600, 500), (1120, 1120))]
    [1601.0, 3202.0, 6404.0]
    """
    one, tile, most = arguments.numbers

    def side(pixels: int) -> int:
        return min(2, math.ceil(pixels / tile))

    hosted = float(one * side(width) * side(height))
    columns, rows = least_scaling(width, height, tile, int(most))
    own = float(one * columns * rows)
    if hosted == own:
        return exact(own, "Llama 3.2's tiles")
    return between(min(hosted, own), hosted, max(hosted, own), "Llama 3.2's tiles; hosts and processor cut differently")


def llama4_tiles(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """144 tokens per 336-pixel tile of the canvas, and one tile of the whole picture where there are several.

    Numbers: tokens per tile, tile, most tiles. Separators of tiles are not counted.
    Source: transformers 5.24, llama4 processors.

    >>> int(llama4_tiles(336, 336, "auto", RuleArguments((144, 336, 16))).mid), int(
    ...     llama4_tiles(672, 672, "auto", RuleArguments((144, 336, 16))).mid)
    (144, 720)
    """
    one, tile, most = arguments.numbers
    columns, rows = least_scaling(width, height, tile, int(most))
    count = columns * rows
    return exact(one * (count + 1 if count > 1 else 1), "Llama 4's tiles")
