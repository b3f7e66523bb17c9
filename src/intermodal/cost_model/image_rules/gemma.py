"""Gemma's pictures: a fixed count with crops on request (3, 3n), or a budget that keeps the shape (4).

Source: transformers 5.24, image processors of gemma3 and gemma4.
"""

from __future__ import annotations

import math

from intermodal.cost_model.rule_syntax import RuleArguments
from intermodal.quantity import Quantity, exact

GEMMA_CELL = 48  # pixels of a soft token's side: 3 x 3 patches of 16
GEMMA_LEAST_CROP = 256  # pixels
GEMMA_MOST_CROPS = 4
GEMMA_CROP_RATIO = 1.2  # long side over short side
GEMMA_BUDGET_PLACES = {"low": 0, "auto": 1, "medium": 1, "high": 2, "ultra": 3, "original": 3}


def gemma3(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """The same for every picture; ``high`` is pan and scan: as many again for each crop of a long picture.

    Numbers: tokens of a picture.

    >>> int(gemma3(1024, 1024, "auto", RuleArguments((256,))).mid), int(
    ...     gemma3(2000, 500, "high", RuleArguments((256,))).mid)
    (256, 1280)
    """
    one = arguments.numbers[0]
    if detail != "high":
        return exact(one, "fixed by the model, pan and scan off")
    return exact(one * (1 + gemma_crops(width, height)), "fixed by the model, pan and scan on")


def gemma_crops(width: int, height: int) -> int:
    """Crops of pan and scan: a picture at least 1.2 times as long as wide, along its long side.

    >>> gemma_crops(2000, 500), gemma_crops(1000, 900), gemma_crops(500, 100)
    (4, 0, 0)
    """
    long, short = max(width, height), min(width, height)
    if long / short < GEMMA_CROP_RATIO:
        return 0
    count = min(math.floor(long / GEMMA_LEAST_CROP), math.floor(long / short + 0.5))
    count = min(GEMMA_MOST_CROPS, max(2, count))
    return 0 if min(math.ceil(long / count), short) < GEMMA_LEAST_CROP else count


def gemma4(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """The most whole cells of 48 pixels under a budget that keep the shape; a small picture is scaled up.

    Numbers: the budget of low, auto (and medium), high, ultra.

    >>> int(gemma4(1024, 1024, "auto", RuleArguments((70, 280, 560, 1120))).mid)
    256
    """
    most = arguments.numbers[GEMMA_BUDGET_PLACES.get(detail, 1)]
    return exact(float(cells_of_budget(width, height, int(most))), f"Gemma 4's budget of {most:g}")


def cells_of_budget(width: int, height: int, most: int) -> int:
    """Cells of the largest picture of this shape, in whole cells a side, of at most ``most``.

    >>> cells_of_budget(1920, 1080, 280), cells_of_budget(5000, 10, 280)
    (264, 280)
    """
    factor = math.sqrt(most * GEMMA_CELL * GEMMA_CELL / (width * height))
    across, down = math.floor(factor * width / GEMMA_CELL), math.floor(factor * height / GEMMA_CELL)
    if across == 0:
        return min(math.floor(height / width), most)
    if down == 0:
        return min(math.floor(width / height), most)
    return across * down
