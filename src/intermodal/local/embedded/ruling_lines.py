"""Detects tables by their ruling lines: the cells that lines in an image enclose.

Merged cells and empty cells count as cells. Lines are long horizontal and vertical runs of ink; cells are the holes
between them. The image is levelled first, because runs on a tilted page are short.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from intermodal.local.embedded.child_support import import_library

Point = tuple[float, float]
Corners = tuple[Point, Point, Point, Point]

_RUN = 40  # minimum pixels of a line; longer than any stroke of a letter at the sizes at which pages are read
_NEAR = 8.0  # pixels within which cell edges count as one line
_SMALLEST = 12  # minimum pixels of a cell's side
_SQUARE = 0.85  # minimum share of its bounding box that a cell fills
_FILLED = 1 / 3  # minimum share of cells with text in a table; grids with fewer are diagrams
_TALL = 6  # maximum lines in a cell of a table; beyond it the grid is a page layout


class Cell(NamedTuple):
    """A cell on the levelled page: its edges in pixels, and its table, row and column, counted from 0.

    For a merged cell, row and column are the first ones that it spans.
    """

    left: float
    top: float
    right: float
    bottom: float
    place: tuple[int, int, int]


class Grid:
    """The cells of an image.

    Args:
        picture: BGR image.
        turn: direction of its text lines, in radians clockwise.
    """

    def __init__(self, picture: Any, turn: float) -> None:
        self._cos, self._sin = math.cos(turn), math.sin(turn)
        height, width = picture.shape[:2]
        corners = [self._rotate((x, y)) for x in (0, width) for y in (0, height)]
        self._left, self._top = min(x for x, _ in corners), min(y for _, y in corners)
        size = (math.ceil(max(x for x, _ in corners) - self._left), math.ceil(max(y for _, y in corners) - self._top))
        self.cells = _number_cells(_enclosed_boxes(self._level(picture, size)))

    def _rotate(self, point: Point) -> Point:
        x, y = point
        return x * self._cos + y * self._sin, y * self._cos - x * self._sin

    def _level(self, picture: Any, size: tuple[int, int]) -> Any:
        cv2, numpy = import_library("cv2"), import_library("numpy")
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        if not round(self._sin * max(size)):  # less than a pixel
            return grey if self._cos > 0 else cv2.rotate(grey, cv2.ROTATE_180)
        matrix = numpy.array([[self._cos, self._sin, -self._left], [-self._sin, self._cos, -self._top]])
        return cv2.warpAffine(grey, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def level(self, corners: Corners) -> tuple[float, float, float]:
        """Return where a box begins and ends on the levelled page, and the vertical position of its middle."""
        points = [self._rotate(point) for point in corners]
        begin, end = (points[0][0] + points[3][0]) / 2, (points[1][0] + points[2][0]) / 2
        return begin - self._left, end - self._left, sum(y for _, y in points) / 4 - self._top

    def split(self, corners: Corners) -> list[Corners]:
        """Split a box where the border between two cells crosses it."""
        begin, end, middle = self.level(corners)
        least = math.dist(corners[0], corners[3]) / 2
        within = [
            (max(begin, cell.left), min(end, cell.right))
            for cell in sorted(self.cells)
            if cell.top <= middle <= cell.bottom and min(end, cell.right) - max(begin, cell.left) > least
        ]
        if len(within) < 2 or end <= begin:
            return [corners]
        within[0], within[-1] = (min(begin, within[0][0]), within[0][1]), (within[-1][0], max(end, within[-1][1]))
        return [_edge_segment(corners, (a - begin) / (end - begin), (b - begin) / (end - begin)) for a, b in within]

    def cells_of_lines(self, lines: Sequence[Corners]) -> list[tuple[int, ...]]:
        """Return table, row and column of each line; () for lines outside tables."""
        found = [self._cell(corners) for corners in lines]
        tables: dict[int, list[Cell]] = defaultdict(list)
        for cell in found:
            if cell is not None:
                tables[cell.place[0]].append(cell)
        kept_tables = {number for number, cells in tables.items() if self._is_table(number, cells)}
        return [cell.place if cell is not None and cell.place[0] in kept_tables else () for cell in found]

    def _cell(self, corners: Corners) -> Cell | None:
        begin, end, middle = self.level(corners)
        across = (begin + end) / 2
        return next((c for c in self.cells if c.left <= across <= c.right and c.top <= middle <= c.bottom), None)

    def _is_table(self, number: int, used: list[Cell]) -> bool:
        every = sum(cell.place[0] == number for cell in self.cells)
        filled = set(used)
        return (
            len(filled) >= _FILLED * every
            and all(len({cell.place[axis] for cell in filled}) > 1 for axis in (1, 2))
            and max(map(used.count, filled)) <= _TALL
        )


def _edge_segment(corners: Corners, begin: float, end: float) -> Corners:
    first, second, third, fourth = corners

    def between(one: Point, other: Point, share: float) -> Point:
        return one[0] + (other[0] - one[0]) * share, one[1] + (other[1] - one[1]) * share

    return (
        between(first, second, begin), between(first, second, end),
        between(fourth, third, end), between(fourth, third, begin),
    )  # fmt: skip


def _enclosed_boxes(grey: Any) -> list[list[tuple[int, int, int, int]]]:
    """Return the rectangles (left, top, right, bottom) enclosed by lines, grouped by connected lines."""
    cv2, numpy = import_library("cv2"), import_library("numpy")
    found: dict[int, list[tuple[int, int, int, int]]] = defaultdict(list)
    paper = grey if numpy.median(grey) < 128 else 255 - grey  # light lines on dark, or dark ones on light
    ink = cv2.adaptiveThreshold(paper, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 15, -8)
    along = cv2.morphologyEx(ink, cv2.MORPH_OPEN, numpy.ones((1, _RUN), numpy.uint8))
    across = cv2.morphologyEx(ink, cv2.MORPH_OPEN, numpy.ones((_RUN, 1), numpy.uint8))
    if not along.any() or not across.any():
        return []
    lines = cv2.dilate(along | across, numpy.ones((3, 3), numpy.uint8))
    contours, tree = cv2.findContours(lines, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    for contour, (_, _, _, parent) in zip(contours, tree[0], strict=True):
        left, top, width, height = cv2.boundingRect(contour)
        if parent < 0 or min(width, height) < _SMALLEST or cv2.contourArea(contour) < _SQUARE * width * height:
            continue
        found[parent].append((left, top, left + width, top + height))
    return list(found.values())


def _number_cells(groups: Iterable[list[tuple[int, int, int, int]]]) -> list[Cell]:
    """Return the cells of groups with at least two rows and two columns."""
    cells = []
    for number, group in enumerate(groups):
        rows, columns = _edges(box[1] for box in group), _edges(box[0] for box in group)
        if len(group) < 4 or len(rows) < 2 or len(columns) < 2:
            continue
        cells += [Cell(*box, (number, _index(rows, box[1]), _index(columns, box[0]))) for box in group]
    return cells


def _edges(places: Iterable[float]) -> list[float]:
    """Return the distinct starting edges of cells."""
    found: list[float] = []
    for place in sorted(places):
        if not found or place - found[-1] > _NEAR:
            found.append(place)
    return found


def _index(edges: Sequence[float], place: float) -> int:
    return min(range(len(edges)), key=lambda number: abs(edges[number] - place))
