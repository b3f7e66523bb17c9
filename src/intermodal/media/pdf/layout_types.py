"""Lines and blocks of a page layout, with their boxes."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from intermodal.plans.facts import Box

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
