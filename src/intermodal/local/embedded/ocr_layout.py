"""Converts OCR lines with positions into ordered text. Pure functions.

The page is levelled first: the corners of lines show its tilt and rotation. Then columns of prose are separated,
adjacent lines become rows, and code keeps its indentation. The input order of lines does not matter.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from intermodal.core.content import ReadLine

CRUMB = 0.8  # below this confidence a line with a single letter is noise
DOUBTED = 0.85  # below this confidence a line counts as misread: 7 of 7 misread lines in clean pages were
SPOILT = 0.15  # minimum share of unread lines for reporting a page as badly read
_MOST = 0.5  # minimum unread share of the lines with words for "most" ...
_OF_ALL = 0.25  # ... together with this share of all lines: a table of figures has few lines with words
_LONG = 2.0  # minimum width to height of lines that determine the slant
_GAP = 1.0  # gap between two cells of a row, in line heights
_BESIDE = 0.5  # maximum overlap of two lines in a row, as share of the narrower one's width
_PROSE = 18  # minimum median letters per line in a column of prose
_FULL = 0.8  # minimum width of a full line, as share of the column's width ...
_FILLED = 0.6  # ... and minimum share of full lines
_ALIGNED = 0.6  # minimum share of lines that begin at the column's left edge
_LINES = 3  # minimum lines of a column
_EVEN = 0.05  # maximum median deviation of letter widths in code
_CODE = 3  # minimum lines to detect code
_LETTERS = 6  # minimum letters of a line that counts for code detection
_TOUCHING = 0.25  # tolerated overlap with the next column, in cell heights: boxes are wider than their letters
_FILLED_ROWS = 2  # number of complete rows that make columns certain


UnreadShare = Literal["", "some", "most"]


class _Placed(NamedTuple):
    """A line on the levelled page. Sorting uses the text last, so that lines at equal positions have a fixed order."""

    top: float
    left: float
    right: float
    bottom: float
    text: str
    line: ReadLine
    turned: bool  # runs in another direction than the page
    cells: tuple[ReadLine, ...] = ()  # lines of a ruled table that this entry represents

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def width(self) -> float:
        return self.right - self.left


_Row = tuple[_Placed, ...]


def line_from_corners(
    text: str,
    confidence: float,
    corners: Sequence[Sequence[float]],
    *,
    unread: bool = False,
    cell: tuple[int, ...] = (),
) -> ReadLine:
    """Return a line from the four corners of its box: start, end, and the two below in reverse."""
    xs, ys = [float(x) for x, _ in corners], [float(y) for _, y in corners]
    return ReadLine(
        text=text,
        confidence=confidence,
        box=(min(xs), min(ys), max(xs), max(ys)),
        corners=tuple(number for point in zip(xs, ys, strict=True) for number in point),
        unread=unread,
        cell=cell,
    )


def without_doubted_letters(lines: tuple[ReadLine, ...]) -> tuple[ReadLine, ...]:
    """Drop single letters with low confidence: a photograph of a cat reads as "0" with confidence 0.65."""
    return tuple(line for line in lines if line.unread or len(line.text.strip()) > 1 or line.confidence >= CRUMB)


def lines_with_words(lines: Iterable[ReadLine]) -> tuple[ReadLine, ...]:
    """Return the lines with letters, read or unread. Digits do not count, because they are alike in most scripts."""
    return tuple(line for line in lines if line.unread or any(map(str.isalpha, line.text)))


def unread_share(lines: Sequence[ReadLine]) -> UnreadShare:
    """Return how many of the lines with words are unread; "" for none or very few."""
    missing = sum(line.unread for line in lines)
    words = len(lines_with_words(lines))
    if not missing or missing < SPOILT * words:
        return ""
    return "most" if missing >= _MOST * words and missing >= _OF_ALL * len(lines) else "some"


def in_reading_order(lines: tuple[ReadLine, ...]) -> tuple[ReadLine, ...]:
    """Return the lines in reading order: column by column, then by rows, left to right."""
    if not _have_places(lines):
        return lines
    ordered = (each for block in _page(lines) for row in block for each in row)
    return tuple(line for each in ordered for line in each.cells or (each.line,))


def lines_to_text(lines: tuple[ReadLine, ...]) -> str:
    """Return the text, one line per row. Cells of a row are separated by tabs; code is indented with spaces."""
    if not _have_places(lines):
        return "\n".join(line.text for line in lines if line.text.strip())
    return "\n".join(text for block in _page(lines) for text in _block_lines(block))


def _have_places(lines: Iterable[ReadLine]) -> bool:
    """Return whether the reader reported positions. Without them, lines keep their order."""
    return any(line.corners or any(line.box) for line in lines)


def _page(lines: Iterable[ReadLine]) -> list[list[_Row]]:
    """Return blocks of rows in reading order. Lines perpendicular to the page direction come last."""
    level = _with_ruled_tables(_level(lines))
    blocks = [_rows(block) for block in _blocks([each for each in level if not each.turned])]
    aside: list[_Row] = [(each,) for each in level if each.turned]
    return [*blocks, aside] if aside else blocks


def page_slant(lines: Iterable[ReadLine]) -> float:
    """Return the direction of most lines in radians clockwise: 0 for an upright page, near pi if upside down."""
    angles = []
    for line in lines:
        x0, y0, x1, y1, *_ = _corners(line)
        length = math.hypot(x1 - x0, y1 - y0)
        if line.corners and length >= _LONG * _depth(line):
            angles.append((math.atan2(y1 - y0, x1 - x0), length))
    if not angles:
        return 0.0
    quarters = [sum(length for angle, length in angles if _quarter(angle) == place) for place in range(4)]
    most = quarters.index(max(quarters)) * math.pi / 2
    rotated_angles = ((_normalize_angle(angle - most), length) for angle, length in angles)
    near = sorted((angle, length) for angle, length in rotated_angles if abs(angle) <= math.pi / 4)
    half, passed_length = sum(length for _, length in near) / 2, 0.0
    for angle, length in near:
        passed_length += length
        if passed_length >= half:
            return most + angle
    return most


def _quarter(angle: float) -> int:
    return round(angle / (math.pi / 2)) % 4


def _normalize_angle(angle: float) -> float:
    """Return the angle normalised to -pi..pi."""
    return math.remainder(angle, 2 * math.pi)


def _corners(line: ReadLine) -> tuple[float, ...]:
    x0, y0, x1, y1 = line.box
    return line.corners or (x0, y0, x1, y0, x1, y1, x0, y1)


def _depth(line: ReadLine) -> float:
    x0, y0, _, _, _, _, x3, y3 = _corners(line)
    return math.hypot(x3 - x0, y3 - y0)


def _level(lines: Iterable[ReadLine]) -> list[_Placed]:
    """Return the lines at their positions on a level page, from top to bottom."""
    lines = tuple(lines)
    turn = page_slant(lines)
    cos, sin = math.cos(turn), math.sin(turn)
    levelled = []
    for line in lines:
        corners = _corners(line)
        points = [(x * cos + y * sin, y * cos - x * sin) for x, y in zip(corners[::2], corners[1::2], strict=True)]
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = points
        is_vertical = abs(bx - ax) < abs(by - ay)
        if is_vertical:
            left, right, top, bottom = min(ax, cx), max(ax, cx), min(ay, cy), max(ay, cy)
        else:
            left, right, top, bottom = (ax + dx) / 2, (bx + cx) / 2, (ay + by) / 2, (cy + dy) / 2
        edges = min(top, bottom), min(left, right), max(left, right), max(top, bottom)
        levelled.append(_Placed(*edges, line.text, line, is_vertical))
    return sorted(levelled, key=lambda each: each[:5])


# ---- columns -------------------------------------------------------------------------------------


def _blocks(lines: list[_Placed]) -> list[list[_Placed]]:
    """Return blocks in reading order: columns of prose, and the text between and beside them.

    Columns are separated by a gutter with prose on both sides: lines of at least 18 letters that fill their column.
    Table cells rarely do, so tables stay together.
    """
    best = max(_gutters(lines), key=lambda found: (found[0], found[1], -found[2]), default=None)
    if best is None:
        return [lines] if lines else []
    gutter = best[2]
    found: list[list[_Placed]] = []
    rest: list[_Placed] = []
    for crossing, left, right in _bands(lines, gutter):
        rest += crossing
        if not (_is_prose(left, last=True) and _is_prose(right, last=False)):
            rest = sorted((*rest, *left, *right), key=lambda each: each[:5])
            continue
        found += [rest] if rest else []
        rest = []
        found += [*_blocks(left), *_blocks(right)]
    return [*found, rest] if rest else found


def _gutters(lines: list[_Placed]) -> list[tuple[int, float, float]]:
    """Return the possible gutters: number of lines in their columns, width, position."""
    if len(lines) < 2 * _LINES:
        return []
    rights, lefts = sorted(each.right for each in lines), sorted(each.left for each in lines)
    letter = statistics.median(each.height for each in lines)
    found = []
    seen: set[int] = set()
    for right in reversed(rights):  # a gutter begins after the longest line of a column
        after = lefts[bisect_left(lefts, right - letter / 4) :]
        if not after or round(right / letter) in seen:
            continue
        seen.add(round(right / letter))
        place = right + min(letter / 2, max(0.0, after[0] - right) / 2)
        if min(bisect_right(rights, place), len(lefts) - bisect_left(lefts, place)) < _LINES:
            continue
        columns = [
            (left, neighbours)
            for _, left, neighbours in _bands(lines, place)
            if _is_prose(left, last=True) and _is_prose(neighbours, last=False)
        ]
        if columns:
            width = min(each.left for _, beside in columns for each in beside) - max(
                each.right for left, _ in columns for each in left
            )
            found.append((sum(len(left) + len(beside) for left, beside in columns), width, place))
    return found


def _bands(lines: list[_Placed], gutter: float) -> list[tuple[list[_Placed], list[_Placed], list[_Placed]]]:
    """Split the lines into bands: lines that cross the gutter, then the text left and right of it below."""
    found: list[tuple[list[_Placed], list[_Placed], list[_Placed]]] = [([], [], [])]
    for each in lines:
        if each.left < gutter < each.right:
            if found[-1][1] or found[-1][2]:
                found.append(([], [], []))
            found[-1][0].append(each)
        else:
            found[-1][1 if each.right <= gutter else 2].append(each)
    return found


def _is_prose(lines: list[_Placed], *, last: bool) -> bool:
    """Return whether the column next to the gutter is prose.

    ``last``: whether it is the last column of these lines; otherwise the first.
    """
    if len(lines) < _LINES:
        return False
    column = [row[-1 if last else 0] for row in _rows(lines)]
    if len(column) < _LINES or statistics.median(len(each.text) for each in column) < _PROSE:
        return False
    widths = sorted(each.width for each in column)
    full = widths[min(len(widths) - 1, round(0.9 * len(widths)))]
    begins = statistics.median(each.left for each in column)
    near = statistics.median(each.height for each in column)
    return sum(width >= _FULL * full for width in widths) >= _FILLED * len(widths) and sum(
        abs(each.left - begins) <= near for each in column
    ) >= _ALIGNED * len(column)


# ---- rows ----------------------------------------------------------------------------------------


def _rows(lines: Iterable[_Placed]) -> list[_Row]:
    """Return rows from top to bottom, each from left to right.

    A line belongs to a row if its middle lies within the height of the row's nearest line, or vice versa. Text in a row
    may be raised or larger, but never begins below the middle of its neighbour.
    """
    rows: list[list[_Placed]] = []
    for each in sorted(lines, key=lambda line: (line.middle, *line[:5])):
        row = rows[-1] if rows else None
        if row is not None and _is_in_row(row, each):
            row.append(each)
        else:
            rows.append([each])
    return [tuple(sorted(row, key=lambda line: (line.left, *line[:5]))) for row in rows]


def _is_in_row(row: list[_Placed], line: _Placed) -> bool:
    nearest = min(row, key=lambda each: (max(each.left - line.right, line.left - each.right), each[:5]))
    overlap = min(nearest.right, line.right) - max(nearest.left, line.left)
    if overlap > _BESIDE * min(nearest.width, line.width):
        return False
    return _contains_box(nearest, line) or _contains_box(line, nearest)


def _contains_box(outer: _Placed, inner: _Placed) -> bool:
    return outer.top <= inner.middle <= outer.bottom


def _block_lines(block: Sequence[_Row]) -> list[str]:
    rows = [row for row in (tuple(each for each in row if each.text.strip()) for row in block) if row]
    letter = _letter_of_code(rows)
    if letter:
        margin = min(row[0].left for row in rows)
        return [_row_line(row, margin, letter) for row in rows]
    return [text for table in _tables([_cells(row) for row in rows]) for text in _table_lines(*table)]


# ---- tables --------------------------------------------------------------------------------------


class _Cell(NamedTuple):
    """Parts of a row separated by at most a blank."""

    left: float
    right: float
    height: float
    text: str


class _Column(NamedTuple):
    """Cells below each other: their left and right edges, and the row indexes."""

    left: float
    right: float
    rows: frozenset[int]


def _cells(row: _Row) -> list[_Cell]:
    cells: list[_Cell] = []
    before = row[0]
    for each in row:
        if cells and each.left - before.right < _GAP * min(before.height, each.height):
            last = cells[-1]
            cells[-1] = _Cell(last.left, each.right, max(last.height, each.height), f"{last.text} {each.text}")
        else:
            cells.append(_Cell(each.left, each.right, each.height, each.text))
        before = each
    return cells


def _tables(rows: Iterable[list[_Cell]]) -> list[tuple[list[list[_Cell]], list[_Column]]]:
    """Group rows into tables with their columns. In a table, no row has two cells in one column."""
    found: list[tuple[list[list[_Cell]], list[_Column]]] = [([], [])]
    for row in rows:
        table, columns = found[-1]
        wider = _with_row(columns, row, len(table))
        if wider is None:
            found.append(([row], _with_row([], row, 0) or []))
        else:
            table.append(row)
            columns[:] = wider
    return found


def _with_row(columns: Sequence[_Column], row: Iterable[_Cell], place: int) -> list[_Column] | None:
    """Return the columns extended by a row; None if two of its cells would share a column."""
    new_columns = list(columns)
    for cell in row:
        over, rows = [], frozenset((place,))
        left, right = cell.left, cell.right
        for column in new_columns:
            if min(column.right, cell.right) - max(column.left, cell.left) <= _TOUCHING * cell.height:
                continue
            if rows & column.rows:
                return None
            over.append(column)
            rows |= column.rows
            left, right = min(left, column.left), max(right, column.right)
        new_columns = [*(column for column in new_columns if column not in over), _Column(left, right, rows)]
    return sorted(new_columns)


def _table_lines(table: Sequence[list[_Cell]], columns: Sequence[_Column]) -> list[str]:
    """Return one line per row with tabs between cells, including empty cells if the columns are certain.

    Columns are certain if two rows fill them completely. A single cell in a row may be a heading or a continuation, and
    is written unchanged.
    """
    full = sum(len(row) == len(columns) for row in table) >= _FILLED_ROWS
    lines_text = []
    for place, row in enumerate(table):
        texts = [cell.text for cell in row]
        if full and 1 < len(row) < len(columns):
            cells = iter(texts)
            texts = [next(cells) if place in column.rows else "" for column in columns]
        lines_text.append("\t".join(texts).rstrip("\t"))
    return lines_text


def _with_ruled_tables(lines: list[_Placed]) -> list[_Placed]:
    """Replace the lines of each ruled table with one entry: its cells by rows, separated by tabs.

    Several lines in a cell are joined into one text.
    """
    tables: dict[int, dict[int, dict[int, list[_Placed]]]] = {}
    for each in lines:
        if each.line.cell:
            table, row, column = each.line.cell
            tables.setdefault(table, {}).setdefault(row, {}).setdefault(column, []).append(each)
    free_lines = [each for each in lines if not each.line.cell]
    for by_row in tables.values():
        columns = sorted({column for cells in by_row.values() for column in cells})
        texts, table_lines = [], list[_Placed]()
        for _, cells in sorted(by_row.items()):
            in_order = {column: [each for row in _rows(cell) for each in row] for column, cell in cells.items()}
            words = [[each.text for each in in_order.get(column, ()) if each.text.strip()] for column in columns]
            texts.append("\t".join(map(" ".join, words)).rstrip("\t"))
            table_lines += [each for column in columns for each in in_order.get(column, ())]
        edges = (
            min(each.top for each in table_lines), min(each.left for each in table_lines),
            max(each.right for each in table_lines), max(each.bottom for each in table_lines),
        )  # fmt: skip
        text = "\n".join(filter(None, texts))
        free_lines.append(_Placed(*edges, text, table_lines[0].line, False, tuple(each.line for each in table_lines)))
    return sorted(free_lines, key=lambda each: each[:5])


# ---- code ----------------------------------------------------------------------------------------


def _letter_of_code(rows: Sequence[_Row]) -> float:
    """Return the letter width of code (equal letter widths and indented lines); 0 for other text.

    The box of a line is slightly wider than its letters, equally at each end.
    """
    lines = [row[0] for row in rows if len(row) == 1 and len(row[0].text) >= _LETTERS]
    if len(lines) < _CODE or 2 * len(lines) < len(rows):
        return 0.0
    widths = [each.width / len(each.text) for each in lines]
    letter = statistics.median(widths)
    if statistics.median(abs(width - letter) for width in widths) > _EVEN * letter:
        return 0.0
    indents = {round((each.left - min(other.left for other in lines)) / letter) for each in lines}
    return letter if max(indents) > 1 else 0.0  # an offset of a single letter is not an indent


def _row_line(row: _Row, margin: float, letter: float) -> str:
    row_text, at = "", margin
    for each in row:
        blanks = round((each.left - at) / letter)
        row_text += " " * (max(1, blanks) if row_text else max(0, blanks)) + each.text
        at = each.right
    return row_text
