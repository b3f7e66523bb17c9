"""Tables that the layout took for columns of prose. Pure functions.

Where rows of short words stand side by side, cell beside cell, they are a table, though nothing is drawn between them;
lines of prose in columns are longer, and one beside the other by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from msgspec import Struct, structs

from intermodal.media.pdf.layout_types import MOST_LINES, LayoutBlock, LayoutLine, bounding_box, vertical_middle

_FEWEST_ROWS = 3
_CELL = 18  # characters, from which on most lines of a column are prose; one column of a table may have such
_APART = 0.8  # of a line's height: the least room between two cells


class _Stretch(Struct):
    """Rows one under the other, of two lines and more each."""

    rows: list[list[LayoutLine]]

    @property
    def top(self) -> float:
        return min(line.box[1] for line in self.rows[0])

    @property
    def bottom(self) -> float:
        return max(line.box[3] for line in self.rows[-1])


def with_tables(blocks: Sequence[LayoutBlock], lines: Sequence[LayoutLine]) -> list[LayoutBlock]:
    """The blocks, those that are columns of one table put together. ``lines``: of the page, from top to bottom."""
    found = list(blocks)
    if len(lines) > MOST_LINES:
        return found
    for stretch in _stretches(lines):
        cells = _cells(stretch)
        within = [place for place, block in enumerate(found) if _meets(block, stretch)]
        if not cells or len(within) < 2 or not all(_is_in(found[place], stretch) for place in within):
            continue
        found[within[0]] = LayoutBlock(
            kind="table", rows=cells, box=bounding_box([line.box for row in stretch.rows for line in row])
        )
        found = [block for place, block in enumerate(found) if place not in within[1:]]
    return found


def with_columns(block: LayoutBlock, lines: Sequence[LayoutLine]) -> LayoutBlock:
    """A table with the columns that its lines have, where the layout saw fewer. ``lines``: of the page.

    A column of prose whose lines are of different lengths hides the gap to the next one in some rows; over all rows,
    nothing stands in it.
    """
    if block.box is None or not block.bands or len(block.bands) != len(block.rows) or len(lines) > MOST_LINES:
        return block
    left, top, right, bottom = block.box
    inside = [
        line for line in lines if top <= vertical_middle(line.box) <= bottom and left - 1 <= line.box[0] <= right + 1
    ]
    spans = _spans(inside, _APART)
    if len(spans) <= max(map(len, block.rows)):
        return block
    cells = [[""] * len(spans) for _ in block.bands]
    for line in sorted(inside, key=lambda line: (round(vertical_middle(line.box)), line.box[0])):
        at = next(place for place, span in enumerate(spans) if span[0] <= line.box[0] <= span[1])
        row = next(
            (n for n, band in enumerate(block.bands) if band[0] - 1 <= vertical_middle(line.box) <= band[1] + 1), None
        )
        if row is None:
            return block
        cells[row][at] = f"{cells[row][at]} {line.text}".strip()
    filled = [sum(bool(row[at]) for row in cells) for at in range(len(spans))]
    return structs.replace(block, rows=tuple(map(tuple, cells))) if min(filled) * 2 >= len(cells) else block


def _spans(lines: Sequence[LayoutLine], apart: float) -> list[tuple[float, float]]:
    """Where columns begin and end: what no line crosses is between them, ``apart`` times a line's height at least."""
    spans: list[tuple[float, float]] = []
    for left, top, right, bottom in sorted(line.box for line in lines):
        if spans and left < spans[-1][1] + apart * (bottom - top):
            spans[-1] = (spans[-1][0], max(spans[-1][1], right))
        else:
            spans.append((left, right))
    return spans


def _meets(block: LayoutBlock, stretch: _Stretch) -> bool:
    return block.box is not None and block.box[1] < stretch.bottom - 1 and block.box[3] > stretch.top + 1


def _is_in(block: LayoutBlock, stretch: _Stretch) -> bool:
    inside = block.box is not None and block.box[1] >= stretch.top - 2 and block.box[3] <= stretch.bottom + 2
    return inside and block.kind in ("paragraph", "heading")


def _stretches(lines: Sequence[LayoutLine]) -> list[_Stretch]:
    rows: list[list[LayoutLine]] = []
    for line in lines:
        height = line.box[3] - line.box[1]
        if rows and abs(vertical_middle(rows[-1][0].box) - vertical_middle(line.box)) < height / 2:
            rows[-1].append(line)
        else:
            rows.append([line])
    found: list[_Stretch] = []
    current: list[list[LayoutLine]] = []
    for row in [*rows, []]:
        row.sort(key=lambda line: line.box[0])
        if len(row) > 1 and all(
            right.box[0] - left.box[2] >= _APART * (left.box[3] - left.box[1]) for left, right in pairwise(row)
        ):
            current.append(row)
            continue
        if len(current) >= _FEWEST_ROWS:
            found.append(_Stretch(current))
        current = []
    return found


def _cells(stretch: _Stretch) -> tuple[tuple[str, ...], ...]:
    """The rows by columns, () where they are no table."""
    spans = _spans([line for row in stretch.rows for line in row], 0.0)
    if len(spans) < 2:
        return ()
    made: list[tuple[str, ...]] = []
    for row in stretch.rows:
        cells = [""] * len(spans)
        for line in row:
            at = next(place for place, (left, right) in enumerate(spans) if left <= line.box[0] <= right)
            cells[at] = f"{cells[at]} {line.text}".strip()
        made.append(tuple(cells))
    columns = [[len(row[at]) for row in made if row[at]] for at in range(len(spans))]
    long = sum(median(column) >= _CELL for column in columns)
    return tuple(made) if long == 0 or (long == 1 and len(spans) > 2) else ()
