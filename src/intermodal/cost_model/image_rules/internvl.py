"""InternVL: tiles of 448 pixels in the grid of nearest shape, and a thumbnail where there are several.

Source: transformers 5.24, internvl processor with the got_ocr2 image processor.
"""

from __future__ import annotations

from intermodal.cost_model.image_rules.tile_grids import nearest_shape
from intermodal.cost_model.rule_syntax import RuleArguments
from intermodal.quantity import Quantity, exact


def internvl_tiles(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Numbers: tokens per tile, tile, most tiles. ``low`` is one tile.

    >>> [int(internvl_tiles(*size, "auto", RuleArguments((256, 448, 12))).mid)
    ...     for size in ((448, 448), (896, 448), (1344, 896))]
    [256, 768, 1792]
    """
    one, tile, most = arguments.numbers
    if detail == "low":
        return exact(one, "one tile")
    columns, rows = nearest_shape(width, height, tile, int(most))
    count = columns * rows
    return exact(one * (count + 1 if count > 1 else 1), "InternVL's tiles")
