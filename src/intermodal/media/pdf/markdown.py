"""Blocks of a page to Markdown. Pure.

LiteParse finds blocks and their order. Which line breaks of a block were meant is decided here, by the room that a line
leaves: where the next word would have fitted, the line was ended on purpose.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec import structs

from intermodal.media.pdf.layout_types import LayoutBlock, LayoutLine, bounding_box, vertical_middle
from intermodal.media.pdf.tables import with_columns, with_headers, with_tables
from intermodal.plans.facts import Box

_MARKER = re.compile(r"(?:\(?(?:\d{1,3}|[a-z])[.)]|[•‣◦▪–—*-])\s+\S")
_LABEL = re.compile(r"[^\W\d_][\w .'/-]{0,30}:\s")
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+.!|~<>-])")
_SPACED = 1.7  # leading to height of letters, from which on lines are no lines of one paragraph
_MANY = 300  # blocks of a page, beyond which boxes are taken as they are
_SENTENCE = 7  # words with a full stop after them, from which on they are no heading
_SHORT = 36  # letters, below which a column's lines are entries (an address, an invoice) and no prose
_SAME_EDGE = 3.0  # points by which left edges of one column differ


def page(blocks: Sequence[LayoutBlock], lines: Iterable[LayoutLine]) -> str:
    """The blocks of one page, in their order. ``lines`` are all lines of the page."""
    found = sorted(lines, key=lambda line: vertical_middle(line.box))
    middles = [vertical_middle(line.box) for line in found]
    blocks = with_tables(blocks, found)
    parts: list[tuple[str, str]] = []
    for block in blocks:
        written = _block(_whole(block, blocks, found, middles), found, middles)
        if written.strip():
            parts.append((block.kind, written))
    text = ""
    for place, (kind, written) in enumerate(parts):
        tight = place and kind == parts[place - 1][0] == "list_item"
        text += ("" if not place else "\n" if tight else "\n\n") + written
    return text


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as a Markdown table, the first as its head; short rows are filled up.

    >>> print(table([["a", "b"], ["1|2"]]))
    | a | b |
    |---|---|
    | 1\\|2 |  |
    """
    width = max((len(row) for row in rows), default=0)
    if not width:
        return ""
    written = ["| " + " | ".join(_cell(row[at] if at < len(row) else "") for at in range(width)) + " |" for row in rows]
    written.insert(1, "|" + "---|" * width)
    return "\n".join(written)


def _cell(text: str) -> str:
    return " ".join(_plain(text).split()).replace("|", "\\|")


def _plain(text: str) -> str:
    """Words as they stand on the page: the layout escapes what Markdown might take for its own."""
    return _ESCAPED.sub(r"\1", text)


def _block(block: LayoutBlock, lines: list[LayoutLine], middles: list[float]) -> str:
    if block.kind == "table":
        titles, block = with_headers(block, lines)
        block = with_columns(block, lines)
        before = "".join(f"{_plain(title)}\n\n" for title in titles)
        rows = [row for row in block.rows if any(cell.strip() for cell in row)]
        if max((len(row) for row in rows), default=0) < 2:
            return before + "\n".join(_plain(cell) for row in rows for cell in row)
        return before + table(rows)
    if block.kind == "code":
        inside = _inside(block.box, lines, middles)
        return "```\n" + "\n".join(indented(block.lines, inside)) + "\n```" if block.lines else ""
    if block.kind == "grid_fallback":
        return "\n".join(block.lines)
    text = _plain(block.text)
    if block.kind == "list_item":
        marker = block.marker if any(sign.isalnum() for sign in block.marker) else "-"
        return f"{'  ' * block.level}{marker} {text}"
    if block.kind not in ("heading", "paragraph"):
        return ""
    inside = _inside(block.box, lines, middles)
    parts = with_line_breaks(text, inside, _right_edge(inside, lines))
    several = len(parts) > 1 and any(_MARKER.match(part) or _LABEL.match(part) for part in parts)
    sentence = text.endswith(".") and len(text.split()) >= _SENTENCE
    if block.kind == "heading" and not (several or sentence):
        return f"{'#' * min(6, max(1, block.level))} {' '.join(parts)}"
    return "\n".join(parts)


def _whole(
    block: LayoutBlock, blocks: Sequence[LayoutBlock], lines: list[LayoutLine], middles: list[float]
) -> LayoutBlock:
    """The block with room for all its words: the box of lines that were joined is now and then that of the first."""
    if block.box is None or block.kind not in ("heading", "paragraph") or len(blocks) > _MANY:
        return block
    if sum(len(line.text) for line in _inside(block.box, lines, middles)) >= 0.8 * len(block.text):
        return block
    left, top, right, bottom = block.box
    below = [
        other.box[1]
        for other in blocks
        if other.box is not None and other.box[1] > bottom - 1 and other.box[0] < right and other.box[2] > left
    ]
    return structs.replace(block, box=(left, top, right, min(below, default=math.inf)))


def _inside(box: Box | None, lines: list[LayoutLine], middles: list[float]) -> list[LayoutLine]:
    """The lines within a block, runs that stand side by side put together."""
    if box is None:
        return []
    left, top, right, bottom = box
    found: list[LayoutLine] = []
    for line in lines[bisect_left(middles, top) :]:
        at = vertical_middle(line.box)
        if at > bottom:
            break
        if not left - 1 <= (line.box[0] + line.box[2]) / 2 <= right + 1:
            continue
        if found and abs(vertical_middle(found[-1].box) - at) < (line.box[3] - line.box[1]) / 2:
            first, second = sorted((found[-1], line), key=lambda each: each.box[0])
            found[-1] = LayoutLine(f"{first.text} {second.text}", bounding_box([first.box, second.box]))
        else:
            found.append(line)
    return found


def _right_edge(inside: list[LayoutLine], lines: list[LayoutLine]) -> float:
    """Where the column ends: the farthest right that a line goes which starts where these do; no end where all of
    them are short, so that two lines of an address are not taken for one that was broken."""
    if not inside:
        return 0.0
    start = min(line.box[0] for line in inside)
    column = [line for line in lines if abs(line.box[0] - start) <= _SAME_EDGE] or inside
    if max(len(line.text) for line in (*column, *inside)) < _SHORT:
        return math.inf
    return max(line.box[2] for line in column)


def with_line_breaks(text: str, lines: Sequence[LayoutLine], edge: float) -> list[str]:
    """``text`` of a block, apart where its lines were ended on purpose. ``edge`` is where its column ends.

    A line ends on purpose where the next word had room beside it; where both it and the next are a label with a value,
    or several begin with the mark of a list; or where more room is between them than between lines of a paragraph.
    """
    listed = sum(bool(_MARKER.match(line.text)) for line in lines) > 1
    parts: list[str] = []
    start = 0
    for line, following in pairwise(lines):
        if not _meant(line, following, edge, listed=listed):
            continue
        words = following.text.split()
        begins = re.compile(r"\s+".join(map(re.escape, words[:4])))
        found = begins.search(text, start + 1) if words else None
        if found is not None and text[found.start() - 1].isspace():
            parts.append(text[start : found.start()].strip())
            start = found.start()
    return [*parts, text[start:].strip()]


def _meant(line: LayoutLine, following: LayoutLine, edge: float, *, listed: bool) -> bool:
    if listed and _MARKER.match(following.text):
        return True
    if _LABEL.match(line.text) and _LABEL.match(following.text):
        return True
    height = max(1.0, line.box[3] - line.box[1])
    apart = following.box[1] - line.box[1] > _SPACED * height
    if apart and line.text.rstrip()[-1:] in (".", ":", "!", "?"):
        return True
    words = following.text.split()
    letter = (following.box[2] - following.box[0]) / max(1, len(following.text))
    return bool(words) and edge - line.box[2] > 1.15 * letter * (len(words[0]) + 1) + 2


def indented(code: Sequence[str], lines: Sequence[LayoutLine]) -> list[str]:
    """Lines of code with the room before them, which the layout leaves out; as they are where they do not fit."""
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
