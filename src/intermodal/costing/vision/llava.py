"""LLaVA-NeXT (1.6): the whole picture, and the unpadded grid of the best resolution with a newline per row.

LLaVA-1.5 is ``fixed:576``. Source: transformers 5.24, llava_next processor.
"""

from __future__ import annotations

from intermodal.costing.vision.said import Said
from intermodal.quantity import Quantity, exact

TILE, PATCH = 336, 14
RESOLUTIONS = ((672, 336), (336, 672), (672, 672), (336, 1008), (1008, 336))  # width, height


def next_grid(width: int, height: int, detail: str, said: Said) -> Quantity:
    """Between 1,176 and 2,928 tokens by shape.

    >>> int(next_grid(1000, 1000, "auto", Said()).mid), int(next_grid(672, 336, "auto", Said()).mid)
    (2928, 1752)
    """
    wide, high = _best(width, height)
    across, down = TILE // PATCH * (wide // TILE), TILE // PATCH * (high // TILE)
    if width / height > across / down:
        used = int(round(height * (across / width), 7))
        down -= (down - used) // 2 * 2
    else:
        used = int(round(width * (down / height), 7))
        across -= (across - used) // 2 * 2
    whole = (TILE // PATCH) ** 2
    return exact(float(whole + across * down + down), "LLaVA-NeXT's grid")


def _best(width: int, height: int) -> tuple[int, int]:
    """The resolution that keeps most pixels; of several the one that wastes least."""
    best, kept, wasted = RESOLUTIONS[0], -1, 0
    for wide, high in RESOLUTIONS:
        scale = min(wide / width, high / height)
        used = min(int(width * scale) * int(height * scale), width * height)
        waste = wide * high - used
        if used > kept or (used == kept and waste < wasted):
            best, kept, wasted = (wide, high), used, waste
    return best
