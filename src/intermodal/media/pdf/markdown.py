"""Lines and blocks of a page as values, and their conversion to Markdown. Pure.

LiteParse finds blocks and their order. This module decides which line breaks of a block were intended, by the space
that a line leaves: if the next word would have fitted, the line was ended on purpose.

Tables that the layout took for columns of prose are detected: rows of short texts, cell beside cell, form a table even
without rules between them; lines of prose in columns are longer and aligned only by chance. Markdown has no cells that
span columns, and the layout puts a spanning header into one column or splits it. Such a header is therefore repeated
over each of its columns, and a header over the whole table is put before the table.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from statistics import median

from msgspec import Struct, structs

from intermodal.plans.facts import Box

# ---- layout types -----------------------------------------------------------------------------------
#
# Lines and blocks of a page layout, with their boxes.

MOST_LINES = 2_000  # lines per page that are searched for tables


class LayoutLine(Struct, frozen=True):
    """A run of text in one line. Boxes are left, top, right, bottom, in points from the upper left corner."""

    text: str
    box: Box


class LayoutBlock(Struct, frozen=True):
    """A block as detected by the layout.

    Attributes:
     kind: heading, paragraph, list_item, code, table, grid_fallback; other kinds have no text.
     level: of a heading 1 to 6, of a list item its depth. marker: of a list item, as on the page.
     lines: of code and of unclassified text, unchanged. rows: cells of a table, its header first.
     bands: top and bottom of each row of a table, from top to bottom; () if unknown. columns: left and right
      end of each column, from left to right; () if unknown.
    """

    kind: str
    text: str = ""
    level: int = 0
    marker: str = ""
    lines: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    bands: tuple[tuple[float, float], ...] = ()
    columns: tuple[tuple[float, float], ...] = ()
    box: Box | None = None


def bounding_box(boxes: Sequence[Box]) -> Box:
    """Return the smallest box that contains all ``boxes``."""
    return (
        min(box[0] for box in boxes), min(box[1] for box in boxes),
        max(box[2] for box in boxes), max(box[3] for box in boxes),
    )  # fmt: skip


def vertical_middle(box: Box) -> float:
    """Return the vertical middle of a box."""
    return (box[1] + box[3]) / 2


# ---- markdown ---------------------------------------------------------------------------------------

_MARKER = re.compile(r"(?:\(?(?:\d{1,3}|[a-z])[.)]|[•‣◦▪–—*-])\s+\S")
_LABEL = re.compile(r"[^\W\d_][\w .'/-]{0,30}:\s")
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+.!|~<>-])")
_SPACED = 1.7  # leading relative to letter height from which on lines belong to different paragraphs
_MANY = 300  # blocks per page above which boxes are not corrected
_SENTENCE = 7  # words, followed by a full stop, from which on a line is not a heading
_SHORT = 36  # letters below which the lines of a column are entries (an address, an invoice), not prose
_SAME_EDGE = 3.0  # points by which the left edges in one column may differ


def page(blocks: Sequence[LayoutBlock], lines: Iterable[LayoutLine]) -> str:
    """Return the blocks of one page as Markdown, in order. ``lines``: all lines of the page."""
    found = sorted(lines, key=lambda line: vertical_middle(line.box))
    middles = [vertical_middle(line.box) for line in found]
    blocks = with_columns_of_prose(with_tables(blocks, found), found)
    parts: list[tuple[str, str]] = []
    for block in blocks:
        block_text = _block(_enclose_lines(block, blocks, found, middles), found, middles)
        if block_text.strip():
            parts.append((block.kind, block_text))
    text = ""
    for place, (kind, block_text) in enumerate(parts):
        tight = place and kind == parts[place - 1][0] == "list_item"
        text += ("" if not place else "\n" if tight else "\n\n") + block_text
    return text


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as a Markdown table. The first row becomes its header; short rows are filled up.

    >>> print(table([["a", "b"], ["1|2"]]))
    | a | b |
    |---|---|
    | 1\\|2 |  |
    """
    width = max((len(row) for row in rows), default=0)
    if not width:
        return ""
    lines = [
        "| " + " | ".join(_cell(row[column] if column < len(row) else "") for column in range(width)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "---|" * width)
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(_unescape_markdown(text).split()).replace("|", "\\|")


def _unescape_markdown(text: str) -> str:
    """Return the text as on the page, without the Markdown escapes that the layout adds."""
    return _ESCAPED.sub(r"\1", text)


def _block(block: LayoutBlock, lines: list[LayoutLine], middles: list[float]) -> str:
    if block.kind == "table":
        titles, block = with_headers(block, lines)
        block = with_columns(block, lines)
        before = "".join(f"{_unescape_markdown(title)}\n\n" for title in titles)
        rows = [row for row in block.rows if any(cell.strip() for cell in row)]
        if max((len(row) for row in rows), default=0) < 2:
            return before + "\n".join(_unescape_markdown(cell) for row in rows for cell in row)
        return before + table(rows)
    if block.kind == "code":
        inside = _lines_in_block(block.box, lines, middles)
        return "```\n" + "\n".join(restore_indentation(block.lines, inside)) + "\n```" if block.lines else ""
    if block.kind == "grid_fallback":
        return "\n".join(block.lines)
    text = _unescape_markdown(block.text)
    if block.kind == "list_item":
        marker = block.marker if any(sign.isalnum() for sign in block.marker) else "-"
        return f"{'  ' * block.level}{marker} {text}"
    if block.kind not in ("heading", "paragraph"):
        return ""
    inside = _lines_in_block(block.box, lines, middles)
    parts = with_line_breaks(text, inside, _right_edge(inside, lines))
    several = len(parts) > 1 and any(_MARKER.match(part) or _LABEL.match(part) for part in parts)
    sentence = text.endswith(".") and len(text.split()) >= _SENTENCE
    if block.kind == "heading" and not (several or sentence):
        return f"{'#' * min(6, max(1, block.level))} {' '.join(parts)}"
    return "\n".join(parts)


def _enclose_lines(
    block: LayoutBlock, blocks: Sequence[LayoutBlock], lines: list[LayoutLine], middles: list[float]
) -> LayoutBlock:
    """Return the block with a box that holds all its words.

    For joined lines, the layout may give the box of the first line only.
    """
    if block.box is None or block.kind not in ("heading", "paragraph") or len(blocks) > _MANY:
        return block
    if sum(len(line.text) for line in _lines_in_block(block.box, lines, middles)) >= 0.8 * len(block.text):
        return block
    left, top, right, bottom = block.box
    below = [
        other.box[1]
        for other in blocks
        if other.box is not None and other.box[1] > bottom - 1 and other.box[0] < right and other.box[2] > left
    ]
    return structs.replace(block, box=(left, top, right, min(below, default=math.inf)))


def _lines_in_block(box: Box | None, lines: list[LayoutLine], middles: list[float]) -> list[LayoutLine]:
    """Return the lines within a block; runs in the same line are joined."""
    if box is None:
        return []
    left, top, right, bottom = box
    found: list[LayoutLine] = []
    for line in lines[bisect_left(middles, top) :]:
        middle = vertical_middle(line.box)
        if middle > bottom:
            break
        if not left - 1 <= (line.box[0] + line.box[2]) / 2 <= right + 1:
            continue
        if found and abs(vertical_middle(found[-1].box) - middle) < (line.box[3] - line.box[1]) / 2:
            first, second = sorted((found[-1], line), key=lambda each: each.box[0])
            found[-1] = LayoutLine(f"{first.text} {second.text}", bounding_box([first.box, second.box]))
        else:
            found.append(line)
    return found


def _right_edge(inside: list[LayoutLine], lines: list[LayoutLine]) -> float:
    """Return the right end of the column: that of the longest line with the same left edge.

    Returns infinity if all lines are short, so that two lines of an address are not joined.
    """
    if not inside:
        return 0.0
    start = min(line.box[0] for line in inside)
    column = [line for line in lines if abs(line.box[0] - start) <= _SAME_EDGE] or inside
    if max(len(line.text) for line in (*column, *inside)) < _SHORT:
        return math.inf
    return max(line.box[2] for line in column)


def with_line_breaks(text: str, lines: Sequence[LayoutLine], edge: float) -> list[str]:
    """Return the text of a block, split at intended line breaks. ``edge``: right end of its column.

    A line break is intended if the next word had room in the line; if both lines are a label with a value, or several
    begin with a list marker; or if the space between them exceeds the line spacing of a paragraph.
    """
    is_list = sum(bool(_MARKER.match(line.text)) for line in lines) > 1
    parts: list[str] = []
    start = 0
    for line, following in pairwise(lines):
        if not _is_line_break(line, following, edge, is_list=is_list):
            continue
        words = following.text.split()
        begins = re.compile(r"\s+".join(map(re.escape, words[:4])))
        found = begins.search(text, start + 1) if words else None
        if found is not None and text[found.start() - 1].isspace():
            parts.append(text[start : found.start()].strip())
            start = found.start()
    return [*parts, text[start:].strip()]


def _is_line_break(line: LayoutLine, following: LayoutLine, edge: float, *, is_list: bool) -> bool:
    if is_list and _MARKER.match(following.text):
        return True
    if _LABEL.match(line.text) and _LABEL.match(following.text):
        return True
    height = max(1.0, line.box[3] - line.box[1])
    spaced = following.box[1] - line.box[1] > _SPACED * height
    if spaced and line.text.rstrip()[-1:] in (".", ":", "!", "?"):
        return True
    words = following.text.split()
    letter = (following.box[2] - following.box[0]) / max(1, len(following.text))
    return bool(words) and edge - line.box[2] > 1.15 * letter * (len(words[0]) + 1) + 2


def restore_indentation(code: Sequence[str], lines: Sequence[LayoutLine]) -> list[str]:
    """Return lines of code with their indentation, which the layout drops; unchanged if the lines do not match."""
    if len(code) != len(lines) or not lines:
        return list(code)
    start = min(line.box[0] for line in lines)
    widths = sorted((line.box[2] - line.box[0]) / max(1, len(line.text)) for line in lines)
    letter = widths[len(widths) // 2]
    if letter <= 0:
        return list(code)
    return [
        " " * min(80, round((line.box[0] - start) / letter)) + words.lstrip()
        for words, line in zip(code, lines, strict=True)
    ]


# ---- tables -----------------------------------------------------------------------------------------


_FEWEST_ROWS = 3
_CELL = 18  # characters from which on most lines of a column are prose; one column of a table may be prose
_APART = 0.8  # of a line's height: the least gap between two cells


class _Stretch(Struct):
    """Consecutive rows of at least two lines each."""

    rows: list[list[LayoutLine]]

    @property
    def top(self) -> float:
        return min(line.box[1] for line in self.rows[0])

    @property
    def bottom(self) -> float:
        return max(line.box[3] for line in self.rows[-1])


def with_tables(blocks: Sequence[LayoutBlock], lines: Sequence[LayoutLine]) -> list[LayoutBlock]:
    """Return the blocks, with blocks that are columns of one table merged.

    ``lines``: of the page, from top to bottom.
    """
    found = list(blocks)
    if len(lines) > MOST_LINES:
        return found
    for stretch in _vertical_spans(lines):
        cells = _cells(stretch)
        within = [place for place, block in enumerate(found) if _overlaps_vertically(block, stretch)]
        if not cells or len(within) < 2 or not all(_is_in_block(found[place], stretch) for place in within):
            continue
        found[within[0]] = LayoutBlock(
            kind="table", rows=cells, box=bounding_box([line.box for row in stretch.rows for line in row])
        )
        found = [block for place, block in enumerate(found) if place not in within[1:]]
    return found


def with_columns(block: LayoutBlock, lines: Sequence[LayoutLine]) -> LayoutBlock:
    """Return a table with the columns of its lines, if the layout found fewer. ``lines``: of the page.

    A column of prose with lines of different lengths hides the gap to the next column in some rows. Over all rows, the
    gap is empty.
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
        column = next(place for place, span in enumerate(spans) if span[0] <= line.box[0] <= span[1])
        row = next(
            (n for n, band in enumerate(block.bands) if band[0] - 1 <= vertical_middle(line.box) <= band[1] + 1), None
        )
        if row is None:
            return block
        cells[row][column] = f"{cells[row][column]} {line.text}".strip()
    filled = [sum(bool(row[column]) for row in cells) for column in range(len(spans))]
    return structs.replace(block, rows=tuple(map(tuple, cells))) if min(filled) * 2 >= len(cells) else block


def _spans(lines: Sequence[LayoutLine], gap: float) -> list[tuple[float, float]]:
    """Return left and right end of each column.

    Columns are separated by a gap of ``gap`` times a line's height that no line crosses.
    """
    spans: list[tuple[float, float]] = []
    for left, top, right, bottom in sorted(line.box for line in lines):
        if spans and left < spans[-1][1] + gap * (bottom - top):
            spans[-1] = (spans[-1][0], max(spans[-1][1], right))
        else:
            spans.append((left, right))
    return spans


def _overlaps_vertically(block: LayoutBlock, stretch: _Stretch) -> bool:
    return block.box is not None and block.box[1] < stretch.bottom - 1 and block.box[3] > stretch.top + 1


def _is_in_block(block: LayoutBlock, stretch: _Stretch) -> bool:
    inside = block.box is not None and block.box[1] >= stretch.top - 2 and block.box[3] <= stretch.bottom + 2
    return inside and block.kind in ("paragraph", "heading")


def _vertical_spans(lines: Sequence[LayoutLine]) -> list[_Stretch]:
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
    """Return the rows by columns, () if they do not form a table."""
    spans = _spans([line for row in stretch.rows for line in row], 0.0)
    if len(spans) < 2:
        return ()
    table_rows: list[tuple[str, ...]] = []
    for row in stretch.rows:
        cells = [""] * len(spans)
        for line in row:
            index = next(place for place, (left, right) in enumerate(spans) if left <= line.box[0] <= right)
            cells[index] = f"{cells[index]} {line.text}".strip()
        table_rows.append(tuple(cells))
    columns = [[len(row[index]) for row in table_rows if row[index]] for index in range(len(spans))]
    long = sum(median(column) >= _CELL for column in columns)
    return tuple(table_rows) if long == 0 or (long == 1 and len(spans) > 2) else ()


# ---- columns of prose -------------------------------------------------------------------------------
#
# Narrow columns of a newspaper whose lines stand at equal heights look like a table of short cells. A line of prose
# ends where its next word has no room, and begins in the middle of a sentence.

_FEWEST_LINES = 4  # of a column
_RUN_ON = 0.8  # minimum share of lines of a column that end where the next word has no room
_MID_SENTENCE = 0.3  # minimum share of lines that begin with a small letter: of German prose, half
_BETWEEN = 0.5  # of a line's height: the least gap between two columns
_SENTENCE_END = re.compile(r"[.!?…]['\"”’)]*(?:\s|$)")


def with_columns_of_prose(blocks: Sequence[LayoutBlock], lines: Sequence[LayoutLine]) -> list[LayoutBlock]:
    """Return the blocks, with a paragraph for each column in place of a table that is columns of prose.

    ``lines``: of the page, from top to bottom.
    """
    found = list(blocks)
    if len(lines) > MOST_LINES:
        return found
    for block in blocks:
        columns = _prose_columns(block, lines)
        if not columns:
            continue
        index = found.index(block)
        below = list(found[index + 1 : index + 1 + len(columns)])
        for other in below:
            column = _column_above(other, columns)
            if column is not None:
                column += [line for line in lines if _contains_line(other, line)]
                found.remove(other)
        found[index : index + 1] = [_paragraph(column) for column in columns]
    return found


def _prose_columns(block: LayoutBlock, lines: Sequence[LayoutLine]) -> list[list[LayoutLine]]:
    """Return the lines of each column of a table, [] unless all columns are prose."""
    if block.kind != "table" or block.box is None:
        return []
    inside = [line for line in lines if _contains_line(block, line)]
    spans = _spans(inside, _BETWEEN)
    columns = [[line for line in inside if left <= line.box[0] <= right] for left, right in spans]
    ended = sum(any(_SENTENCE_END.search(line.text) for line in column) for column in columns)
    return columns if len(columns) > 1 and 2 * ended >= len(columns) and all(map(_is_prose, columns)) else []


def _contains_line(block: LayoutBlock, line: LayoutLine) -> bool:
    if block.box is None:
        return False
    left, top, right, bottom = block.box
    return top - 1 <= vertical_middle(line.box) <= bottom + 1 and left - 1 <= line.box[0] <= right + 1


def _is_prose(column: Sequence[LayoutLine]) -> bool:
    if len(column) < _FEWEST_LINES or median(len(line.text.split()) for line in column) < 2:
        return False
    edge = max(line.box[2] for line in column)
    pairs = list(pairwise(column))
    run_on = sum(edge - line.box[2] < _next_word(line, following) for line, following in pairs)
    small = sum(following.text[:1].islower() for _, following in pairs)
    return run_on >= _RUN_ON * len(pairs) and small >= _MID_SENTENCE * len(pairs)


def _next_word(line: LayoutLine, following: LayoutLine) -> float:
    """Return the width of the first word of the following line and the space before it, in the letters of this one."""
    letter = (line.box[2] - line.box[0]) / max(1, len(line.text))
    return letter * (len(following.text.split(maxsplit=1)[0]) + 1) if following.text.split() else 0.0


def _column_above(block: LayoutBlock, columns: list[list[LayoutLine]]) -> list[LayoutLine] | None:
    """Return the column that a paragraph goes on, None if there is none."""
    if block.kind != "paragraph" or block.box is None:
        return None
    for column in columns:
        left, _, right, bottom = bounding_box([line.box for line in column])
        height = column[-1].box[3] - column[-1].box[1]
        is_beside = block.box[0] < left - _SAME_EDGE or block.box[2] > right + height
        if not is_beside and -1 <= block.box[1] - bottom < height:
            return column
    return None


def _paragraph(column: Sequence[LayoutLine]) -> LayoutBlock:
    text = ""
    for line in column:
        divided = text.endswith("-") and line.text[:1].islower()
        text = f"{text[:-1]}{line.text}" if divided else f"{text} {line.text}".lstrip()
    edge = max(line.box[2] for line in column)
    return LayoutBlock(
        kind="paragraph", text="\n".join(with_line_breaks(text, column, edge))
    )  # known, so without a box


# ---- headers over several columns -------------------------------------------------------------------

Span = tuple[float, float]

Run = tuple[int, int]  # first and last column

_MOST_COLUMNS = 30

_OFF = 0.12  # of the width of its columns: how far the middle of a header may be off theirs ...

_OFF_BETWEEN = 0.25  # ... and if it stands between columns known by their words, which are aligned to a side

_NEAR = 4.0  # points by which it may be off in any case


def with_headers(block: LayoutBlock, lines: Sequence[LayoutLine]) -> tuple[list[str], LayoutBlock]:
    """Return titles over the whole table, and the table with each header repeated over its columns.

    ``lines``: of the page. The table is unchanged if its columns or rows are unknown.
    """
    titles: list[str] = []
    count = len(block.columns)
    if block.box is None or not 1 < count <= _MOST_COLUMNS or len(block.bands) != len(block.rows):
        return titles, block
    if len(lines) > MOST_LINES:
        return titles, block
    rows, bands = list(block.rows), list(block.bands)
    heads = _heads(block, bands[0], lines)
    while len(rows) > 2 and count > 2 and len(heads) == 1 and len(_overlapped_columns(heads[0], block.columns)) > 1:
        if _run_over(heads[0], block.columns, rows[1]) is not None:
            break
        titles.append(heads[0].text)
        rows, bands = rows[1:], bands[1:]
        heads = _heads(block, bands[0], lines)
    if len(rows) > 1 and 0 < len(heads) < count:
        runs = _column_runs(heads, block.columns)
        below = [*rows[1], *[""] * count]
        if runs and all(below[column].strip() for first, last in runs for column in range(first, last + 1)):
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


def _overlapped_columns(line: LayoutLine, columns: Sequence[Span]) -> list[int]:
    """Return the columns that a line overlaps."""
    return [index for index, (left, right) in enumerate(columns) if line.box[0] < right and line.box[2] > left]


def _run_over(line: LayoutLine, columns: Sequence[Span], below: Sequence[str]) -> Run | None:
    """Return the columns of a single header that does not stand over the whole table, None if it does."""
    runs = _column_runs([line], columns)
    first, last = runs[0] if runs else (0, len(columns) - 1)
    return (first, last) if first > 0 and all(below[column].strip() for column in range(first, last + 1)) else None


def _column_runs(heads: Sequence[LayoutLine], columns: Sequence[Span]) -> list[Run]:
    """Return the columns of each header, [] if unclear.

    Headers follow each other up to the last column, each in its column or in the middle of its columns. The result is
    not [] only if a header spans several columns.
    """
    best: tuple[float, tuple[Run, ...]] | None = None

    @cache
    def from_(head: int, start: int) -> tuple[float, tuple[Run, ...]] | None:
        if head == len(heads):
            return (0.0, ()) if start == len(columns) else None
        found: tuple[float, tuple[Run, ...]] | None = None
        for end in range(start, len(columns) - (len(heads) - head - 1)):
            off = _distance_from_columns(heads[head], columns, (start, end))
            rest = from_(head + 1, end + 1) if off is not None else None
            if off is not None and rest is not None and (found is None or off + rest[0] < found[0]):
                found = (off + rest[0], ((start, end), *rest[1]))
        return found

    for start in range(len(columns) - len(heads) + 1):
        candidate = from_(0, start)
        if candidate is not None and (best is None or candidate[0] < best[0]):
            best = candidate
    if best is None:
        return []
    runs = list(best[1])
    wide = [last - first for first, last in runs if last > first]
    sure = [
        _is_between(line, columns) for line, (first, last) in zip(heads, runs, strict=True) if last > first
    ]  # words over one column are of several where others are of as many
    return runs if wide and (all(sure) or (len(wide) > 1 and len(set(wide)) == 1)) else []


def _is_between(line: LayoutLine, columns: Sequence[Span]) -> bool:
    """Return True if a line overlaps several columns or none, or if its middle lies over none."""
    middle = (line.box[0] + line.box[2]) / 2
    return len(_overlapped_columns(line, columns)) != 1 or not any(left <= middle <= right for left, right in columns)


def _distance_from_columns(line: LayoutLine, columns: Sequence[Span], run: Run) -> float | None:
    """Return how many points a line is off the middle of its columns, None if it cannot belong to them."""
    left, right = columns[run[0]][0], columns[run[1]][1]
    if line.box[0] < left - _NEAR or line.box[2] > right + _NEAR:
        return None
    if run[0] == run[1]:
        return 0.0
    middle = (line.box[0] + line.box[2]) / 2
    off = abs(middle - (left + right) / 2)
    most = _OFF_BETWEEN if not any(first <= middle <= last for first, last in columns) else _OFF
    return off if off <= max(_NEAR, most * (right - left)) else None
