"""Tables as plain text: aligned columns, no frames, no colour."""

from __future__ import annotations

from collections.abc import Sequence


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table, rows under their heads; the last column may be as long as it likes.

    >>> format_table(("plan", "USD"), [("cheap", "1"), ("best", "20")])
    ['plan   USD', 'cheap  1', 'best   20']
    """
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]
