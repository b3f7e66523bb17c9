"""Pictures laid on a canvas of square tiles: which grid of tiles a picture gets."""

from __future__ import annotations

from functools import cache


@cache
def grids(most: int, least: int = 1) -> tuple[tuple[int, int], ...]:
    """Every (columns, rows) of ``least`` to ``most`` tiles, the fewest tiles first."""
    sides = range(1, most + 1)
    found = [(columns, rows) for columns in sides for rows in sides if least <= columns * rows <= most]
    return tuple(sorted(found, key=lambda grid: grid[0] * grid[1]))


def least_scaling(width: int, height: int, tile: float, most: int) -> tuple[int, int]:
    """The grid that needs the least scaling up; where all must scale down, the one that needs the least of that.

    Of several with the same scale the one of fewest tiles. Source: transformers 5.24, ``get_optimal_tiled_canvas`` of
    mllama and cohere2_vision, ``get_best_fit`` of llama4, which do the same.

    >>> least_scaling(1024, 1024, 560, 4), least_scaling(336, 336, 336, 16)
    ((2, 2), (1, 1))
    """
    up: tuple[float, tuple[int, int]] | None = None
    down: tuple[float, tuple[int, int]] = (0.0, (1, 1))
    for grid in grids(most):
        scale = min(grid[0] * tile / width, grid[1] * tile / height)
        if scale >= 1:
            if up is None or scale < up[0]:
                up = (scale, grid)
        elif scale > down[0]:
            down = (scale, grid)
    return (up or down)[1]


def nearest_shape(width: int, height: int, tile: float, most: int, least: int = 1) -> tuple[int, int]:
    """The grid whose shape is nearest to the picture's; of two alike the larger, while the picture fills half of it.

    Source: transformers 5.24, ``get_optimal_tiled_canvas`` of got_ocr2, which InternVL uses.

    >>> nearest_shape(896, 448, 448, 12), nearest_shape(448, 448, 448, 12)
    ((2, 1), (1, 1))
    """
    shape, area = width / height, width * height
    best, nearest = (1, 1), float("inf")
    for grid in grids(most, least):
        away = abs(shape - grid[0] / grid[1])
        if away < nearest:
            best, nearest = grid, away
        elif away == nearest and area > 0.5 * tile * tile * grid[0] * grid[1]:
            best = grid
    return best
