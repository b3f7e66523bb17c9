"""The timeline as text, for a terminal of any width: two bars per step, planned above actual."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from intermodal.plans import numbers
from intermodal.plans.svg import clean
from intermodal.plans.timeline import (
    Timeline,
    TimelineMark,
    TimelineRow,
    TimelineSpan,
    label,
    outcome,
    span_words,
    ticks,
)

NARROW = 64  # below this, names stand above their bars
LEAST = 24  # columns; a narrower terminal has to wrap
_TAIL = 22  # room for "0.6 + 8.2 s" at the end of a line
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Glyphs(NamedTuple):
    """The characters of bars."""

    planned: str
    planned_load: str
    took: str
    took_load: str
    unknown: str
    tick: str


BLOCKS = Glyphs("░", "▒", "█", "▓", "?", "┴")
PLAIN = Glyphs("-", "~", "#", "=", "?", "+")


def text(timeline: Timeline, width: int = 116, *, plain: bool = False) -> str:
    """Return every step's planned and actual time on one axis, then the events of the run.

    Args:
        timeline: the values.
        width: columns there are.
        plain: ASCII only.
    """
    return "\n".join(_Sheet(timeline, max(width, LEAST), PLAIN if plain else BLOCKS).lines())


class _Sheet:
    def __init__(self, timeline: Timeline, width: int, glyphs: Glyphs) -> None:
        self._timeline = timeline
        self._glyphs = glyphs
        self._width = width
        self._stacked = width < NARROW
        longest = max([_columns(label(row)) for row in timeline.rows], default=0)
        self._label = 2 if self._stacked else min(longest, width * 2 // 5) + 2
        tail = min(_TAIL, max([len(outcome(row)) for row in timeline.rows] + [11]))
        self._bar = max(width - self._label - len("plan ") - tail - 1, 8)

    def lines(self) -> list[str]:
        sheet = self._timeline
        glyphs = self._glyphs
        planned, took = numbers.plain_seconds(sheet.planned), numbers.plain_seconds(sheet.took)
        found = self._wrapped(f"timeline: {planned} s planned, {took} s taken", "  ")
        for row in sheet.rows:
            found += self._row(row)
        if sheet.marks:
            found += self._marked()
        found += self._axis()
        found += [
            line
            for letter, mark in zip(self._letters(), sheet.marks, strict=False)
            for line in self._mark(letter, mark)
        ]
        legend = f"{glyphs.planned} planned  {glyphs.planned_load} planned loading  "
        legend += f"{glyphs.took} took  {glyphs.took_load} loading"
        found += self._wrapped(legend, "")
        if not sheet.measured:
            found += self._wrapped("when steps began was not recorded: they are drawn one after another", "")
        return [line.rstrip() for line in found]

    # ---- rows -----------------------------------------------------------------------------------

    def _row(self, row: TimelineRow) -> list[str]:
        name = _cut(label(row), self._width if self._stacked else self._label - 2)
        found = [name] if self._stacked else []
        first = "" if self._stacked else name
        if row.planned is not None:
            found.append(self._line(first, "plan", self._bars(row.planned, planned=True), span_words(row.planned)))
            first = ""
        bars = self._bars(row.actual, planned=False) if row.actual is not None else ""
        found.append(self._line(first, "took", bars, outcome(row)))
        return found

    def _line(self, name: str, what: str, bars: str, words: str) -> str:
        pad = " " * (self._label - _columns(name))
        return _cut(f"{name}{pad}{what} {bars:<{self._bar}} {words}", self._width)

    def _bars(self, span: TimelineSpan, *, planned: bool) -> str:
        glyphs = self._glyphs
        run, load = (glyphs.planned, glyphs.planned_load) if planned else (glyphs.took, glyphs.took_load)
        if not span.known:
            return " " * self._at(span.start) + glyphs.unknown
        start = self._at(span.start)
        end = max(self._at(span.end), start + 1)  # every step is visible, however short
        loaded = min(max(self._at(span.start + span.load), start + 1 if span.load else start), end)
        return " " * start + load * (loaded - start) + run * (end - loaded)

    def _at(self, seconds: float) -> int:
        """The column of a moment; the last one is for what goes on to the end."""
        return min(round(seconds / self._timeline.end * self._bar), self._bar - 1 if seconds <= 0 else self._bar)

    # ---- marks and axis -------------------------------------------------------------------------

    def _letters(self) -> list[str]:
        """A letter per mark; after z, numbers."""
        count = len(self._timeline.marks)
        return [_LETTERS[place] if place < len(_LETTERS) else str(place + 1) for place in range(count)]

    def _marked(self) -> list[str]:
        """Letters where things happened, one after another where they are too close."""
        cells = [" "] * (self._bar + 1)
        for letter, mark in zip(self._letters(), self._timeline.marks, strict=True):
            if mark.at is None or len(letter) > 1:
                continue
            place = self._at(mark.at)
            while place < len(cells) and cells[place] != " ":
                place += 1
            if place < len(cells):
                cells[place] = letter
        row = "".join(cells)
        return [" " * (self._label + len("plan ")) + row] if row.strip() else []

    def _axis(self) -> list[str]:
        end = self._timeline.end
        marks = ticks(end, max(self._bar // 9, 2))
        cells, words = [" "] * (self._bar + 1), ""
        for moment in marks:
            place = self._at(moment)
            name = f"{moment:g} s"
            cells[place] = self._glyphs.tick
            if len(words) <= place and place + len(name) <= self._bar + _TAIL:
                words = f"{words:<{place}}{name} "
        pad = " " * (self._label + len("plan "))
        return [pad + "".join(cells), pad + words]

    def _mark(self, letter: str, mark: TimelineMark) -> list[str]:
        when = f" {numbers.plain_seconds(mark.at)} s " if mark.at is not None else ""
        return self._wrapped(f"{letter} {when} {clean(mark.text)}".replace("   ", "  "), "  ")

    def _wrapped(self, words: str, indent: str) -> list[str]:
        """Lines no wider than the terminal, where spaces allow it."""
        found: list[str] = []
        rest = words
        while _columns(rest) > self._width:
            cut = rest.rfind(" ", len(indent) + 4, self._width)
            if cut < 0:
                break
            found.append(rest[:cut])
            rest = f"{indent}{rest[cut:].lstrip()}"
        return [*found, rest]


def _columns(words: str) -> int:
    """Return the columns that a terminal has for it."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in clean(words)
    )


def _cut(words: str, room: int) -> str:
    """The words, with "..." where they do not fit."""
    words = clean(words)
    if _columns(words) <= room:
        return words
    words = words[: 4 * room]  # some letters take no column of their own
    while words and _columns(words) > max(room - 3, 1):
        words = words[:-1]
    return f"{words.rstrip()}..."
