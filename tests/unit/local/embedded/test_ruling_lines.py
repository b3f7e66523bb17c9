"""Cells of tables by the lines that enclose them, however the image lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from intermodal.local.embedded.ocr_layout import in_reading_order, line_from_corners, lines_to_text
from intermodal.local.embedded.ruling_lines import Corners, Grid

cv2 = pytest.importorskip("cv2")
numpy = pytest.importorskip("numpy")

Box = tuple[int, int, int, int]
# A head over two columns, then two rows; each with the box of its text.
CELLS: tuple[tuple[Box, str], ...] = (
    ((100, 100, 300, 200), "Goods"), ((300, 100, 700, 150), "Units"),
    ((300, 150, 500, 200), "ordered"), ((500, 150, 700, 200), "arrived"),
    ((100, 200, 300, 290), "Coffee"), ((300, 200, 500, 290), ""), ((500, 200, 700, 290), "87"),
    ((100, 290, 300, 350), "Cork"), ((300, 290, 500, 350), "12"), ((500, 290, 700, 350), "11"),
)  # fmt: skip


def drawn(cells: Sequence[Box], *, ink: int = 0, paper: int = 255, size: tuple[int, int] = (500, 800)) -> Any:
    picture = numpy.full((*size, 3), paper, numpy.uint8)
    for left, top, right, bottom in cells:
        cv2.rectangle(picture, (left, top), (right, bottom), (ink, ink, ink), 2)
    return picture


def words(box: Box, row: int = 0, *, height: int = 24, width: int = 80) -> Corners:
    left, top = box[0] + 15.0, box[1] + 12.0 + 34 * row
    return (left, top), (left + width, top), (left + width, top + height), (left, top + height)


def turned(picture: Any, lines: Sequence[Corners], degrees: float) -> tuple[Any, list[Corners]]:
    """The image and boxes on it, clockwise about its middle, on a larger page."""
    height, width = picture.shape[:2]
    side = math.ceil(math.hypot(width, height))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1.0)
    matrix[:, 2] += (side - width) / 2, (side - height) / 2
    moved = [tuple(tuple(matrix @ (x, y, 1.0)) for x, y in corners) for corners in lines]
    colour = tuple(map(float, picture[0, 0]))
    return cv2.warpAffine(picture, matrix, (side, side), borderValue=colour, flags=cv2.INTER_CUBIC), moved  # type: ignore[return-value]


@pytest.mark.parametrize("degrees", [0, 2.5, -4, 90, 180, 267])
@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (235, 30)])
def test_merged_empty_and_two_line_cells_are_one_cell_each(degrees: float, ink: int, paper: int) -> None:
    picture = drawn([box for box, _ in CELLS], ink=ink, paper=paper)
    texts = [(text, words(box)) for box, text in CELLS if text] + [("in sacks", words(CELLS[4][0], 1))]
    texts += [("Above", words((100, 40, 0, 0))), ("Below", words((100, 380, 0, 0)))]
    picture, boxes = turned(picture, [corners for _, corners in texts], degrees)
    places = Grid(picture, math.radians(degrees)).cells_of_lines(boxes)
    assert places[-2:] == [(), ()], "outside the table"
    lines = tuple(
        line_from_corners(text, 1.0, corners, cell=place)
        for (text, _), corners, place in zip(texts, boxes, places, strict=True)
    )
    table = "Goods\tUnits\n\tordered\tarrived\nCoffee in sacks\t\t87\nCork\t12\t11"
    assert lines_to_text(lines) == f"Above\n{table}\nBelow"
    assert lines_to_text(in_reading_order(lines[::-1])) == lines_to_text(lines)
    assert sorted(in_reading_order(lines), key=str) == sorted(lines, key=str), "every line stays, each once"


def test_a_box_over_two_cells_is_cut_at_the_line_between_them() -> None:
    picture = drawn([box for box, _ in CELLS])
    box: Corners = ((320, 300), (600, 300), (600, 324), (320, 324))
    picture, [tilted] = turned(picture, [box], 3)
    left, right = Grid(picture, math.radians(3)).split(tilted)
    assert math.dist(left[0], left[1]) == pytest.approx(180, abs=4)
    assert math.dist(right[0], right[1]) == pytest.approx(100, abs=4)
    assert (left[0], right[2]) == (tilted[0], pytest.approx(tilted[2]))
    inside: Corners = ((320, 300), (490, 300), (490, 324), (320, 324))
    assert Grid(drawn([each for each, _ in CELLS]), 0.0).split(inside) == [inside]


@pytest.mark.parametrize(
    ("cells", "used"),
    [
        ([(100, 100, 700, 400)], [(100, 100, 700, 400)]),
        ([(100, 100, 700, 200), (100, 200, 700, 300), (100, 300, 700, 400)], [(100, 100, 700, 200)]),
        ([(x, y, x + 50, y + 50) for x in range(100, 600, 50) for y in range(100, 400, 50)], [(100, 100, 150, 150)]),
        ([], [(100, 100, 700, 400)]),
    ],
    ids=["a frame", "bars one above the other", "the grid of a chart", "no line"],
)
def test_frames_bars_and_grids_of_charts_are_no_tables(cells: list[Box], used: list[Box]) -> None:
    assert Grid(drawn(cells), 0.0).cells_of_lines([words(box) for box in used]) == [()] * len(used)


def test_a_layout_of_prose_with_lines_between_its_parts_is_no_table() -> None:
    parts: list[Box] = [(x, y, x + 350, y + 300) for x in (50, 400) for y in (50, 350)]
    picture = drawn(parts, size=(700, 800))
    prose = [words(part, row, width=300) for part in parts for row in range(8)]
    assert set(Grid(picture, 0.0).cells_of_lines(prose)) == {()}
    assert set(Grid(picture, 0.0).cells_of_lines(prose[::8])) == {(0, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)}
