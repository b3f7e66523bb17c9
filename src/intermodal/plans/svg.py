"""Writes SVG as text: the few shapes that pictures of plans need, escaped, with byte-stable output.

Text is measured without fonts. Colours are CSS classes scoped to the picture, with a second set for dark mode, so that
a picture inlined in a notebook does not affect other elements. The SVG references no external resources.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from html import escape

FONT = "system-ui,-apple-system,'Segoe UI',Helvetica,Arial,'DejaVu Sans',sans-serif"
LINE = 1.35  # line height as a multiple of the font size
_NOT_XML = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]"  # characters that XML forbids, and controls
    r"|[\u202a-\u202e\u2066-\u2069\u200e\u200f]"  # marks that change the direction of the text around them
)
# Advance widths as multiples of the font size, at the wide end of common sans-serif fonts, so that text does not
# overflow.
_WIDTHS = {
    **dict.fromkeys("iljI.,:;'|!()[]`", 0.36),
    **dict.fromkeys('frt-"/\\* ', 0.41),
    **dict.fromkeys("mwMW@%", 0.95),
    **dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZ&", 0.72),
    **dict.fromkeys("+=<>~→#$", 0.8),
    **dict.fromkeys("…—", 1.0),
}
_OTHER, _WIDE, _NARROWEST = 0.61, 1.05, 0.36
BOLD = 1.13  # width of bold letters relative to regular ones

Colour = tuple[str, str, str]  # fill on a light background, on a dark one
_COLOURS: dict[str, Colour] = {  # by class
    "page": ("fill", "#ffffff", "#0d1117"),
    "ink": ("fill", "#1f2328", "#e6edf3"),
    "soft": ("fill", "#59636e", "#9198a1"),
    "good": ("fill", "#1a7f37", "#3fb950"),
    "warn": ("fill", "#8a4600", "#e3a33b"),
    "bad": ("fill", "#cf222e", "#ff7b72"),
    "away": ("fill", "#a04100", "#f0883e"),
    "maybe": ("fill", "#6639ba", "#b392f0"),
    "card": ("fill", "#f6f8fa", "#161b22"),
    "answering": ("fill", "#ddf4ff", "#0b2a4a"),
    "here-box": ("fill", "#fafcff", "#0f1724"),
    "away-box": ("fill", "#fff7f0", "#20160d"),
    "planned": ("fill", "#b8c4d0", "#56616d"),
    "planned-load": ("fill", "#dfe5eb", "#343c46"),
    "took": ("fill", "#0969da", "#4493f8"),
    "took-load": ("fill", "#80b6f4", "#1f5fae"),
    "edge": ("stroke", "#818b98", "#7d8590"),
    "card-line": ("stroke", "#c4ccd4", "#3d444d"),
    "here-line": ("stroke", "#0969da", "#4493f8"),
    "away-line": ("stroke", "#bc4c00", "#f0883e"),
    "maybe-line": ("stroke", "#8250df", "#a371f7"),
    "bad-line": ("stroke", "#cf222e", "#f85149"),
    "grid": ("stroke", "#e3e8ed", "#262c34"),
    "edge-head": ("fill", "#818b98", "#7d8590"),
    "away-head": ("fill", "#bc4c00", "#f0883e"),
}


def clean(text: str) -> str:
    """Replace characters that XML forbids, and marks that change the text direction."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text.replace("\t", " ").replace("\n", " "))


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the approximate width of a text in pixels, without knowing the font.

    Overestimates rather than underestimates.
    """
    units = 0.0
    for char in text:
        char_width = _WIDTHS.get(char)
        units += (
            char_width if char_width is not None else _WIDE if unicodedata.east_asian_width(char) in "WF" else _OTHER
        )
    return units * size * (BOLD if bold else 1.0)


def shorten_text(text: str, size: float, room: float, *, bold: bool = False) -> str:
    """Return the text if it fits, otherwise its beginning and its end, because file names end with their type.

    >>> shorten_text("a-rather-long-name-of-a-recording.wav", 10, 130)
    'a-rather-lo…cording.wav'
    """
    text = clean(text)
    if width(text, size, bold=bold) <= room:
        return text
    for length in range(min(len(text) - 1, int(room / (size * _NARROWEST))), 1, -1):
        head = (length + 1) // 2
        short = f"{text[:head].rstrip()}…{text[len(text) - (length - head) :].lstrip()}"
        if width(short, size, bold=bold) <= room:
            return short
    return "…"


def wrap_lines(text: str, size: float, room: float, most: int = 0) -> list[str]:
    """Return lines that fit ``room``.

    Words that are too long are shortened; more than ``most`` lines (0: no limit) end in "…".
    """
    lines: list[str] = []
    for word in clean(text).split():
        if lines and width(f"{lines[-1]} {word}", size) <= room:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(shorten_text(word, size, room))
    if most and len(lines) > most:
        rest = f"{' '.join(lines[most - 1 :])}"
        lines = [*lines[: most - 1], _truncate(rest, size, room)]
    return lines


def _truncate(text: str, size: float, room: float) -> str:
    text = text[: int(room / (size * _NARROWEST))]
    while text and width(f"{text}…", size) > room:
        text = text[:-1]
    return f"{text.rstrip()}…"


def coordinate(value: float) -> str:
    """Format a coordinate, rounded to a tenth of a pixel."""
    return f"{value:.1f}".rstrip("0").rstrip(".") if abs(value) >= 0.05 else "0"


class Drawing:
    """Collects shapes and writes them as one SVG picture.

    Args:
        name: prefix of the picture's ids and classes; letters, digits and hyphens.
        width, height: size in pixels; the picture scales.
        colours: additional colour classes, in the format of ``_COLOURS``.
    """

    def __init__(self, name: str, width: float, height: float, colours: Mapping[str, Colour] | None = None) -> None:
        self._name = name
        self._colours = {**_COLOURS, **(colours or {})}
        self._width, self._height = width, height
        self._shapes: list[str] = []

    def rect(
        self, box: tuple[float, float, float, float], classes: str, *, radius: float = 0, dashed: bool = False
    ) -> None:
        """Draw a box: ``box`` is its left, top, width and height."""
        left, top, wide, high = map(coordinate, box)
        round_ = f' rx="{coordinate(radius)}"' if radius else ""
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self._shapes.append(
            f'<rect x="{left}" y="{top}" width="{wide}" height="{high}"{round_} class="{classes}"{dash}/>'
        )

    def path(self, data: str, classes: str, *, dashed: bool = False) -> None:
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self._shapes.append(f'<path d="{data}" class="{classes}"{dash}/>')

    def circle(self, x: float, y: float, radius: float, classes: str) -> None:
        self._shapes.append(
            f'<circle cx="{coordinate(x)}" cy="{coordinate(y)}" r="{coordinate(radius)}" class="{classes}"/>'
        )

    def add_text(self, x: float, y: float, words: str, classes: str, *, size: float = 11, end: str = "") -> None:
        """Write one line of text. ``end`` is "middle" or "end" if x is the middle or the end of the line."""
        anchor = f' text-anchor="{end}"' if end else ""
        self._shapes.append(
            f'<text x="{coordinate(x)}" y="{coordinate(y)}" font-size="{coordinate(size)}" class="{classes}"{anchor}>'
            f"{escape(clean(words))}</text>"
        )

    def open(self, hint: str, classes: str = "") -> None:
        """Open a group that shows ``hint`` as a tooltip."""
        class_attribute = f' class="{classes}"' if classes else ""
        self._shapes.append(f"<g{class_attribute}><title>{escape(clean(hint))}</title>")

    def close(self) -> None:
        self._shapes.append("</g>")

    def render(self, title: str, description: str) -> str:
        """Return the SVG text, with a title and a description for screen readers."""
        name, wide, high = self._name, coordinate(self._width), coordinate(self._height)
        described = "\n".join(map(clean, description.split("\n")))
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" class="{name}" role="img" '
                f'aria-labelledby="{name}-title {name}-desc" width="{wide}" height="{high}" '
                f'viewBox="0 0 {wide} {high}" style="max-width:100%;height:auto">',
                f'<title id="{name}-title">{escape(clean(title))}</title>',
                f'<desc id="{name}-desc">{escape(described)}</desc>',
                f"<style>{_style(name, self._colours)}</style>",
                f'<rect x="0" y="0" width="{wide}" height="{high}" class="page"/>',
                *self._shapes,
                "</svg>",
                "",
            ]
        )


def _style(name: str, colours: Mapping[str, Colour]) -> str:
    scope = f".{name}"
    rules = [
        f"{scope} text{{font-family:{FONT}}}",
        f"{scope} .bold{{font-weight:600}}",
        f"{scope} .line{{fill:none;stroke-width:1.4}}",
        f"{scope} .thick{{stroke-width:2}}",
    ]
    rules += _paint(scope, 1, colours)
    dark = "".join(_paint(scope, 2, colours))
    return "\n".join([*rules, f"@media (prefers-color-scheme:dark){{{dark}}}"])


def _paint(scope: str, column: int, colours: Mapping[str, Colour]) -> Iterable[str]:
    return [f"{scope} .{name}{{{row[0]}:{row[column]}}}" for name, row in colours.items()]
