"""Large pictures in overlapping tiles, and the boxes found in them put together again. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from intermodal.media.steps import TILE_OVERLAP, TILE_SIDE

Point = tuple[float, float]
Corners = tuple[Point, Point, Point, Point]
Tile = tuple[int, int, int, int]

_SAME = 0.3  # share of the smaller box that two boxes of one line have in common ...
_BESIDE = 0.8  # ... or, where they only touch end to end, share of the lower one's height


def tiles(width: int, height: int, side: int = TILE_SIDE, overlap: int = TILE_OVERLAP) -> tuple[Tile, ...]:
    """Cover a picture with tiles of about ``side`` pixels, each ``overlap`` into the next: x0, y0, x1, y1.

    >>> tiles(1000, 3000)
    ((0, 0, 1000, 1600), (0, 1400, 1000, 3000))
    """
    return tuple(
        (left, top, right, bottom)
        for top, bottom in _stretches(height, side, overlap)
        for left, right in _stretches(width, side, overlap)
    )


def _stretches(length: int, side: int, overlap: int) -> list[tuple[int, int]]:
    if length <= side:
        return [(0, length)]
    count = math.ceil((length - overlap) / (side - overlap))
    step = (length - side) / (count - 1)
    return [(round(place * step), round(place * step) + side) for place in range(count)]


def join_tile_boxes(found: Iterable[Sequence[Corners]]) -> list[Corners]:
    """The boxes of all tiles, in the picture's pixels, each line once.

    What two tiles both saw, or saw a piece of each, becomes one box around both along the longer one's direction.
    """
    boxes = sorted(
        ((corners, place) for place, of_tile in enumerate(found) for corners in of_tile), key=lambda each: _top(each[0])
    )
    kept: list[tuple[Corners, int]] = []
    open_: list[tuple[Corners, int]] = []  # kept boxes that reach further down than where the sweep is
    for corners, place in boxes:
        passed = [each for each in open_ if _hull(each[0])[3] <= _top(corners)]
        kept += passed
        open_ = [each for each in open_ if each not in passed]
        same = [each for each in open_ if each[1] != place and _same_line(each[0], corners)]
        for each in same:
            open_.remove(each)
            corners = _around(each[0], corners)
        open_.append((corners, place))
    return [corners for corners, _ in (*kept, *open_)]


def _top(corners: Corners) -> float:
    return min(y for _, y in corners)


def _hull(corners: Corners) -> tuple[float, float, float, float]:
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


def _same_line(one: Corners, other: Corners) -> bool:
    a, b = _hull(one), _hull(other)
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if across <= 0 or down <= 0:
        return False
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    if across * down > _SAME * smaller:
        return True
    return down > _BESIDE * min(a[3] - a[1], b[3] - b[1])


def _around(one: Corners, other: Corners) -> Corners:
    """The rectangle around both, along the longer one's first side."""
    longer = max(one, other, key=lambda corners: math.dist(corners[0], corners[1]))
    (x0, y0), (x1, y1) = longer[0], longer[1]
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    along = [x * ux + y * uy for x, y in (*one, *other)]
    across = [y * ux - x * uy for x, y in (*one, *other)]
    corners = (
        (min(along), min(across)),
        (max(along), min(across)),
        (max(along), max(across)),
        (min(along), max(across)),
    )
    first, second, third, fourth = ((a * ux - c * uy, a * uy + c * ux) for a, c in corners)
    return (first, second, third, fourth)
