"""Heads of tables that stand over several columns. Pure functions.

Markdown has no such cells, and the layout puts the words into one of the columns, or apart into several. So the words
stand over each of their columns, and those over the whole table before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from msgspec import structs

from intermodal.media.pdf.layout_types import MOST_LINES, LayoutBlock, LayoutLine, vertical_middle

Span = tuple[float, float]
Run = tuple[int, int]  # first and last column
_MOST_COLUMNS = 30
_OFF = 0.12  # of the width of its columns, by which the middle of a head may be off theirs ...
_OFF_BETWEEN = 0.25  # ... and where it stands between columns that are known by their words, which keep to a side
_NEAR = 4.0  # points that it may be off in any case


def with_headers(block: LayoutBlock, lines: Sequence[LayoutLine]) -> tuple[list[str], LayoutBlock]:
    """Words over the whole table, and the table with the words of its first row over each column that they are of.

    ``lines``: of the page. The table is as it was where its columns or its rows are not known.
    """
    titles: list[str] = []
    count = len(block.columns)
    if block.box is None or not 1 < count <= _MOST_COLUMNS or len(block.bands) != len(block.rows):
        return titles, block
    if len(lines) > MOST_LINES:
        return titles, block
    rows, bands = list(block.rows), list(block.bands)
    heads = _heads(block, bands[0], lines)
    while len(rows) > 2 and count > 2 and len(heads) == 1 and len(_over(heads[0], block.columns)) > 1:
        if _run_over(heads[0], block.columns, rows[1]) is not None:
            break
        titles.append(heads[0].text)
        rows, bands = rows[1:], bands[1:]
        heads = _heads(block, bands[0], lines)
    if len(rows) > 1 and 0 < len(heads) < count:
        runs = _runs(heads, block.columns)
        below = [*rows[1], *[""] * count]
        if runs and all(below[at].strip() for first, last in runs for at in range(first, last + 1)):
            head = [""] * count
            for line, (first, last) in zip(heads, runs, strict=True):
                head[first : last + 1] = [line.text] * (last + 1 - first)
            rows[0] = tuple(head)
    return titles, structs.replace(block, rows=tuple(rows), bands=tuple(bands))


def _heads(block: LayoutBlock, band: Span, lines: Sequence[LayoutLine]) -> list[LayoutLine]:
    assert block.box is not None
    left, _, right, _ = block.box
    inside = [line for line in lines if band[0] - 1 <= vertical_middle(line.box) <= band[1] + 1]
    return sorted((line for line in inside if left - 1 <= line.box[0] <= right + 1), key=lambda line: line.box[0])


def _over(line: LayoutLine, columns: Sequence[Span]) -> list[int]:
    """The columns that words stand over."""
    return [at for at, (left, right) in enumerate(columns) if line.box[0] < right and line.box[2] > left]


def _run_over(line: LayoutLine, columns: Sequence[Span], below: Sequence[str]) -> Run | None:
    """The columns of a single head that does not stand over the whole table, None where it does."""
    runs = _runs([line], columns)
    first, last = runs[0] if runs else (0, len(columns) - 1)
    return (first, last) if first > 0 and all(below[at].strip() for at in range(first, last + 1)) else None


def _runs(heads: Sequence[LayoutLine], columns: Sequence[Span]) -> list[Run]:
    """The columns of each head, [] where they are not told: one after the other up to the last column, each head in
    its column or in the middle of its columns. Without a run of several there is nothing to tell."""
    best: tuple[float, tuple[Run, ...]] | None = None

    @cache
    def from_(head: int, start: int) -> tuple[float, tuple[Run, ...]] | None:
        if head == len(heads):
            return (0.0, ()) if start == len(columns) else None
        found: tuple[float, tuple[Run, ...]] | None = None
        for end in range(start, len(columns) - (len(heads) - head - 1)):
            off = _off(heads[head], columns, (start, end))
            rest = from_(head + 1, end + 1) if off is not None else None
            if off is not None and rest is not None and (found is None or off + rest[0] < found[0]):
                found = (off + rest[0], ((start, end), *rest[1]))
        return found

    for start in range(len(columns) - len(heads) + 1):
        made = from_(0, start)
        if made is not None and (best is None or made[0] < best[0]):
            best = made
    if best is None:
        return []
    runs = list(best[1])
    wide = [last - first for first, last in runs if last > first]
    sure = [
        _is_between(line, columns) for line, (first, last) in zip(heads, runs, strict=True) if last > first
    ]  # words over one column are of several where others are of as many
    return runs if wide and (all(sure) or (len(wide) > 1 and len(set(wide)) == 1)) else []


def _is_between(line: LayoutLine, columns: Sequence[Span]) -> bool:
    """Whether words stand over two columns and more, or their middle over none."""
    at = (line.box[0] + line.box[2]) / 2
    return len(_over(line, columns)) != 1 or not any(left <= at <= right for left, right in columns)


def _off(line: LayoutLine, columns: Sequence[Span], run: Run) -> float | None:
    """Points by which words are off the middle of their columns; None where they cannot be of these."""
    left, right = columns[run[0]][0], columns[run[1]][1]
    if line.box[0] < left - _NEAR or line.box[2] > right + _NEAR:
        return None
    if run[0] == run[1]:
        return 0.0
    at = (line.box[0] + line.box[2]) / 2
    off = abs(at - (left + right) / 2)
    most = _OFF_BETWEEN if not any(first <= at <= last for first, last in columns) else _OFF
    return off if off <= max(_NEAR, most * (right - left)) else None
