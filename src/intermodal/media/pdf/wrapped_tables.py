"""Finds the rows of tables without rules whose cells have several lines or are empty. Pure.

The layout takes such a table for columns of prose, puts the further lines of a cell into the next row, or takes a row
with an empty cell for further lines of the row above. Here, rows
are found by what their cells have in common: the space between rows, where there is more of it than between lines;
otherwise the lines in which all columns begin. A line that continues a cell is one whose first word had no room in the
line above.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from msgspec import Struct

from intermodal.media.pdf.markdown import MOST_LINES, LayoutBlock, LayoutLine, bounding_box, vertical_middle
from intermodal.plans.facts import Box

_FEWEST_RECORDS = 3
_FEWEST_WRAPPED = 2  # rows of several lines
_MOST_ROWS = 400  # lines of a page, one above the other
_SAME_LINE = 0.4  # of a line's height: how far the middles of two runs in one line are apart at most
_GUTTER = 0.5  # of a line's height: the least gap between two columns
_FAR = 2.0  # of a line's height: the gap below which a table may go on
_MORE_SPACE = 0.2  # of a line's height: how much more space than between lines there is between rows
_OFF_CENTRE = 0.3  # of the leading: how far a cell may be off the middle of its row
_UNSURE = 1.5  # letters by which the width of a word may be off
_PROSE = 18  # characters from which on most lines of a column are prose
_MOST_PROSE = 2  # columns of prose
_LOST = 0.02  # share of letters that blocks and lines may differ by

Span = tuple[float, float]


class _Row(Struct):
    """Runs of text in one line, by column."""

    cells: dict[int, LayoutLine]

    @property
    def top(self) -> float:
        return min(line.box[1] for line in self.cells.values())

    @property
    def bottom(self) -> float:
        return max(line.box[3] for line in self.cells.values())

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


class _Grid(Struct):
    """Consecutive lines between whose columns nothing stands. ``lines``: all runs of text in them."""

    columns: list[Span]
    rows: list[_Row]
    lines: list[LayoutLine]


def with_wrapped_tables(blocks: Sequence[LayoutBlock], lines: Sequence[LayoutLine]) -> list[LayoutBlock]:
    """Return the blocks of a page, with tables whose cells have several lines in place of what was made of them.

    ``lines``: of the page.
    """
    found = list(blocks)
    if len(lines) > MOST_LINES:
        return found
    rows = _lines_of_text(sorted(lines, key=lambda line: vertical_middle(line.box)))
    start = 0
    while start < len(rows) <= _MOST_ROWS:
        grid = _grid(rows, start)
        if grid is None:
            start += 1
            continue
        table = _table(grid, _records(grid))
        found = (_replace_in_order(found, table, grid, lines) if table is not None else None) or found
        start += len(grid.rows)
    return found


def _lines_of_text(lines: Sequence[LayoutLine]) -> list[list[LayoutLine]]:
    rows: list[list[LayoutLine]] = []
    for line in lines:
        height = line.box[3] - line.box[1]
        if rows and vertical_middle(line.box) - vertical_middle(rows[-1][0].box) < _SAME_LINE * height:
            rows[-1].append(line)
        else:
            rows.append([line])
    for row in rows:
        row.sort(key=lambda line: line.box[0])
    return rows


def _height(line: LayoutLine) -> float:
    return max(1.0, line.box[3] - line.box[1])


def _grid(rows: Sequence[list[LayoutLine]], start: int) -> _Grid | None:
    """Return the lines from ``start`` on that keep the gaps between their columns free, None if there are too few."""
    columns: list[Span] = []
    grid_rows: list[list[LayoutLine]] = []
    bottom = 0.0
    for row in rows[start:]:
        height = _height(row[0])
        if grid_rows and min(line.box[1] for line in row) - bottom > _FAR * height:
            break
        merged_spans = _merge_spans([*columns, *((line.box[0], line.box[2]) for line in row)], _GUTTER * height)
        if len(merged_spans) < max(2, len(columns)):
            break
        columns = merged_spans
        grid_rows.append(row)
        bottom = max(bottom, *(line.box[3] for line in row))
    if len(grid_rows) <= _FEWEST_RECORDS:
        return None
    found = [_Row({}) for _ in grid_rows]
    for row, cell_row in zip(grid_rows, found, strict=True):
        for line in row:
            column = next(place for place, span in enumerate(columns) if span[0] <= line.box[0] <= span[1])
            before = cell_row.cells.get(column)
            cell_row.cells[column] = line if before is None else _join_lines(before, line)
    return _Grid(columns, found, [line for row in grid_rows for line in row])


def _join_lines(first: LayoutLine, second: LayoutLine) -> LayoutLine:
    return LayoutLine(f"{first.text} {second.text}", bounding_box([first.box, second.box]))


def _merge_spans(spans: Sequence[Span], gutter: float) -> list[Span]:
    found: list[Span] = []
    for left, right in sorted(spans):
        if found and left < found[-1][1] + gutter:
            found[-1] = (found[-1][0], max(found[-1][1], right))
        else:
            found.append((left, right))
    return found


# ---- rows of the table ------------------------------------------------------------------------------


def _records(grid: _Grid) -> list[list[_Row]]:
    """Return the lines of each row of the table, [] if it is unclear which belong together."""
    groups = _groups(grid)
    found: list[list[_Row]] = []
    for group in groups:
        some = _split(group, grid, spaced=len(groups) >= _FEWEST_RECORDS)
        if not some:
            return []
        found += some
    if any(_has_figure_among_lines(record) for record in found):
        return []
    while found and _filled_columns(found[0]) < 2:
        found.pop(0)
    while found and _filled_columns(found[-1]) < 2:
        found.pop()
    return found


def _has_figure_among_lines(record: Sequence[_Row]) -> bool:
    """Return True if a cell has several lines and one of them is a figure, which stands for itself."""
    lines: dict[int, list[str]] = {}
    for row in record:
        for column, line in row.cells.items():
            lines.setdefault(column, []).append(line.text)
    return any(len(texts) > 1 and any(map(_is_figure, texts)) for texts in lines.values())


def _filled_columns(record: Sequence[_Row]) -> int:
    return len({column for row in record for column in row.cells})


def _groups(grid: _Grid) -> list[list[_Row]]:
    """Return the lines in groups with more space between them than between the lines of a cell."""
    height = median(_height(line) for line in grid.lines)
    distances = [
        below.cells[column].box[1] - above.cells[column].box[1]
        for above, below in pairwise(grid.rows)
        for column in above.cells
        if column in below.cells
    ]
    close = min((each for each in distances if each >= 0.8 * height), default=height)
    found = [[grid.rows[0]]]
    for above, below in pairwise(grid.rows):
        if below.top - above.bottom > close - height + _MORE_SPACE * height:
            found.append([])
        found[-1].append(below)
    return found


def _split(group: list[_Row], grid: _Grid, *, spaced: bool) -> list[list[_Row]]:
    """Return the rows of the table within a group of lines, [] if unclear. ``spaced``: rows are apart from each other.

    Cells begin at the top of their row, are in its middle, or end at its bottom.
    """
    full = [len(row.cells) == len(grid.columns) for row in group]
    if spaced and sum(full) < 2 and len(group[0].cells) == 1:
        return [group]
    if full[0] or not any(full):
        found, sure = _from_top(group, full, grid, spaced=spaced)
        return (_rows_around_centre(group, grid) if not sure else []) or found
    if spaced and sum(full) == 1:
        return [group]
    found = _rows_around_centre(group, grid)
    if not found and full[-1]:
        found = _split_rows(group, [place == 0 or full[place - 1] for place in range(len(group))])
    several = sum(len(record) > 1 for record in found)
    return found if spaced or several >= _FEWEST_WRAPPED else []  # one may be a header over several columns


def _from_top(
    group: Sequence[_Row], full: Sequence[bool], grid: _Grid, *, spaced: bool
) -> tuple[list[list[_Row]], bool]:
    """Return rows of the table whose cells begin at the top, and False if a line of one cell may belong elsewhere."""
    starts, sure = [place == 0 or each for place, each in enumerate(full)], True
    for place in range(1, len(group)):
        row, above = group[place], group[place - 1]
        if full[place]:
            if not full[place - 1] and _continues_cell(row, above):
                starts[place - 1 : place + 1] = [True, False]  # the other cells stand beside its last line
            continue
        alone = len(row.cells) == 1 and 0 not in row.cells
        if not spaced or len(row.cells) > 1:
            continues = _is_continuation(row, above, grid.columns)
            starts[place] = starts[place] or not (continues or alone)
            sure = sure and (continues or not alone)
    return _split_rows(group, starts), sure


def _continues_cell(row: _Row, above: _Row) -> bool:
    """Return True if a cell begins in the line above: with a capital letter there, and a small one here."""
    return any(
        column in above.cells and line.text[:1].islower() and not above.cells[column].text[:1].islower()
        for column, line in row.cells.items()
    )


def _is_figure(text: str) -> bool:
    return any(sign.isdigit() for sign in text) and not any(sign.isalpha() for sign in text)


def _split_rows(group: Sequence[_Row], starts: Sequence[bool]) -> list[list[_Row]]:
    found: list[list[_Row]] = []
    for row, start in zip(group, starts, strict=True):
        if start:
            found.append([])
        found[-1].append(row)
    return found


def _is_continuation(row: _Row, above: _Row, columns: Sequence[Span]) -> bool:
    """Return True if each run of a line is words that had no room in the line above it, of which one is prose."""
    if not any(len(above.cells[column].text) >= _PROSE for column in row.cells if column in above.cells):
        return False
    for column, line in row.cells.items():
        before = above.cells.get(column)
        if before is None or _is_figure(line.text):
            return False
        letter = (line.box[2] - line.box[0]) / max(1, len(line.text))
        first = line.text.split()[0] if line.text.split() else ""
        if before.box[2] + letter * (len(first) + 1 + _UNSURE) <= columns[column][1]:
            return False
    return True


def _rows_around_centre(group: Sequence[_Row], grid: _Grid) -> list[list[_Row]]:
    """Return rows of the table in whose middle the shortest cell stands, [] if it does not.

    Of an even number of lines, the middle is between two of them: some such row has to show that cells are centred.
    """
    counts = {column: sum(column in row.cells for row in group) for column in range(len(grid.columns))}
    shortest = min((column for column in counts if counts[column]), key=lambda column: counts[column])
    if all(len(row.cells) in (1, len(grid.columns)) for row in group):
        return []
    middles = [vertical_middle(row.cells[shortest].box) for row in group if shortest in row.cells]
    leading = median(_height(line) for line in grid.lines)
    found: list[list[_Row]] = []
    rest = list(group)
    for middle in middles:
        if not rest:
            return []
        end = 2 * middle - rest[0].middle + _OFF_CENTRE * leading
        record = [row for row in rest if row.middle <= end]
        if not record or abs(record[0].middle + record[-1].middle - 2 * middle) > 2 * _OFF_CENTRE * leading:
            return []
        found.append(record)
        rest = rest[len(record) :]
    return [] if rest else found


# ---- the table --------------------------------------------------------------------------------------


def _table(grid: _Grid, records: Sequence[Sequence[_Row]]) -> LayoutBlock | None:
    """Return the table, None if the lines do not form one."""
    if len(records) < _FEWEST_RECORDS:
        return None
    count = len(grid.columns)
    cells = [
        tuple(" ".join(row.cells[column].text for row in record if column in row.cells) for column in range(count))
        for record in records
    ]
    if not all(map(any, zip(*cells, strict=True))):
        return None
    lengths = [
        median(len(row.cells[column].text) for record in records for row in record if column in row.cells)
        for column in range(count)
    ]
    prose = sum(length >= _PROSE for length in lengths)
    if prose > _MOST_PROSE or prose == count:
        return None
    amounts = sum(any(sign.isdigit() for sign in row[-1]) for row in cells)
    if count == 2 and (lengths[-1] >= _PROSE or amounts < 0.7 * len(cells)):
        return None  # terms and what they mean, or prose beside its numbers
    box = bounding_box([line.box for record in records for row in record for line in row.cells.values()])
    return LayoutBlock(kind="table", rows=tuple(cells), box=box)


def _replace_in_order(
    blocks: Sequence[LayoutBlock], table: LayoutBlock, grid: _Grid, lines: Sequence[LayoutLine]
) -> list[LayoutBlock] | None:
    """Return the blocks with the table in place of those that it takes its words from; None if words would be lost.

    Lines of these blocks above and below the table become paragraphs.
    """
    assert table.box is not None
    places = [
        place for place, block in enumerate(blocks) if block.box is not None and _runs_overlap(block.box, table.box)
    ]
    replaced = [blocks[place] for place in places]
    if any(map(_is_ruled, replaced)) or not (_is_wrapped(grid, table) or _has_merged_rows(replaced, table)):
        return None
    if not replaced or any(block.box is None for block in blocks):
        return None
    if _is_sparse(table) and not (all(table.rows[0]) and len(replaced) == 1 and replaced[0].kind == "table"):
        return None  # what stands alone beside a text is a column only under a header, in what the layout finds a table
    if len(replaced) == 1 and list(map(_words_of_runs, replaced[0].rows)) == list(map(_words_of_runs, table.rows)):
        return None  # the layout knows more of it: where its rows and columns are
    inside = [line for line in lines if _is_in_box(line.box, table.box)]
    around = [
        line
        for line in lines
        if line not in inside and any(block.box is not None and _is_in_box(line.box, block.box) for block in replaced)
    ]
    above = [line for line in around if vertical_middle(line.box) < table.box[1]]
    below = [line for line in around if vertical_middle(line.box) > table.box[3]]
    if len(above) + len(below) < len(around):
        return None
    had = sum(map(_letters, replaced))
    has = _letters(table) + sum(len("".join(line.text.split())) for line in around)
    if abs(had - has) > _LOST * had:
        return None
    new = [*_paragraphs(above), table, *_paragraphs(below)]
    found = [block for place, block in enumerate(blocks) if place not in places]
    found[places[0] : places[0]] = new
    return found


def _is_wrapped(grid: _Grid, table: LayoutBlock) -> bool:
    return len(table.rows) < len(grid.rows)


def _is_sparse(table: LayoutBlock) -> bool:
    """Return True if most cells of a column are empty."""
    return any(sum(map(bool, column)) * 2 < len(table.rows) for column in zip(*table.rows, strict=True))


def _has_merged_rows(blocks: Sequence[LayoutBlock], table: LayoutBlock) -> bool:
    """Return True if the layout found the table with fewer rows: an empty cell took those of the next row in."""
    return len(blocks) == 1 and 1 < len(blocks[0].rows) < len(table.rows)


def _is_ruled(block: LayoutBlock) -> bool:
    """Return True if the columns of a table touch each other: those between rules do, and are right."""
    return len(block.columns) > 1 and all(right[0] - left[1] < 1 for left, right in pairwise(block.columns))


def _words_of_runs(row: Sequence[str]) -> list[list[str]]:
    return [cell.split() for cell in row]


def _runs_overlap(first: Box, second: Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] - 1 and second[1] < first[3] - 1


def _is_in_box(line: Box, box: Box) -> bool:
    return box[1] - 1 <= vertical_middle(line) <= box[3] + 1 and box[0] - 1 <= (line[0] + line[2]) / 2 <= box[2] + 1


def _letters(block: LayoutBlock) -> int:
    texts = [block.text, *block.lines, *(cell for row in block.rows for cell in row)]
    return sum(len("".join(text.split())) for text in texts)


def _paragraphs(lines: Sequence[LayoutLine]) -> list[LayoutBlock]:
    if not lines:
        return []
    ordered = sorted(lines, key=lambda line: (round(vertical_middle(line.box)), line.box[0]))
    text = " ".join(line.text for line in ordered)
    return [LayoutBlock(kind="paragraph", text=text, box=bounding_box([line.box for line in ordered]))]
