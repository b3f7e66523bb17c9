"""The order of text read from a picture. Pure functions on lines with boxes."""

from __future__ import annotations

from intermodal.content import ReadLine

CRUMB = 0.8  # below this confidence a line of one letter is taken for a blob


def without_crumbs(lines: tuple[ReadLine, ...]) -> tuple[ReadLine, ...]:
    """The lines without single letters the reader doubts: in a photograph of a cat it reads "0" with 0.65."""
    return tuple(line for line in lines if len(line.text.strip()) > 1 or line.confidence >= CRUMB)


def in_rows(lines: tuple[ReadLine, ...]) -> tuple[tuple[ReadLine, ...], ...]:
    """Rows from top to bottom, each from left to right.

    A line belongs to a row when its vertical centre lies within the row's first line, or the other way
    round: text of one row may sit a little higher or be set larger, but never starts below its middle.
    Columns of prose are not told apart from columns of a table; a table is the likelier thing in a picture
    somebody asks about, and cutting it apart would lose more.
    """
    rows: list[list[ReadLine]] = []
    for line in sorted(lines, key=lambda line: (_middle(line), line.box[0])):
        row = rows[-1] if rows else None
        if row is not None and (_holds(row[0], line) or _holds(line, row[0])):
            row.append(line)
        else:
            rows.append([line])
    return tuple(tuple(sorted(row, key=lambda line: line.box[0])) for row in rows)


def in_order(lines: tuple[ReadLine, ...]) -> tuple[ReadLine, ...]:
    """Reading order: rows from top to bottom, within a row from left to right."""
    return tuple(line for row in in_rows(lines) for line in row)


def as_text(lines: tuple[ReadLine, ...]) -> str:
    """The picture's text with one text line per row; what stands apart in a row is set apart by a tab."""
    return "\n".join("\t".join(line.text for line in row) for row in in_rows(lines))


def _middle(line: ReadLine) -> float:
    return (line.box[1] + line.box[3]) / 2


def _holds(outer: ReadLine, inner: ReadLine) -> bool:
    return outer.box[1] <= _middle(inner) <= outer.box[3]
