"""LLaVA-NeXT (1.6): the whole picture, and the unpadded grid of the best resolution with a newline per row.

LLaVA-1.5 is ``fixed:576``. Source: transformers 5.24, llava_next processor.
"""

from __future__ import annotations

from intermodal.cost_model.rule_syntax import RuleArguments
from intermodal.quantity import Quantity, exact

LLAVA_TILE, LLAVA_PATCH = 336, 14
LLAVA_RESOLUTIONS = ((672, 336), (336, 672), (672, 672), (336, 1008), (1008, 336))  # width, height


def llava_next_grid(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Between 1,176 and 2,928 tokens by shape.

    >>> int(llava_next_grid(1000, 1000, "auto", RuleArguments()).mid), int(
    ...     llava_next_grid(672, 336, "auto", RuleArguments()).mid)
    (2928, 1752)
    """
    wide, high = _llava_resolution(width, height)
    across, down = LLAVA_TILE // LLAVA_PATCH * (wide // LLAVA_TILE), LLAVA_TILE // LLAVA_PATCH * (high // LLAVA_TILE)
    if width / height > across / down:
        used = int(round(height * (across / width), 7))
        down -= (down - used) // 2 * 2
    else:
        used = int(round(width * (down / height), 7))
        across -= (across - used) // 2 * 2
    whole = (LLAVA_TILE // LLAVA_PATCH) ** 2
    return exact(float(whole + across * down + down), "LLaVA-NeXT's grid")


def _llava_resolution(width: int, height: int) -> tuple[int, int]:
    """The resolution that keeps most pixels; of several the one that wastes least."""
    best, kept, wasted = LLAVA_RESOLUTIONS[0], -1, 0
    for wide, high in LLAVA_RESOLUTIONS:
        scale = min(wide / width, high / height)
        used = min(int(width * scale) * int(height * scale), width * height)
        waste = wide * high - used
        if used > kept or (used == kept and waste < wasted):
            best, kept, wasted = (wide, high), used, waste
    return best
