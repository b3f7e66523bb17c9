"""Renders the timeline as SVG: estimate against actual per step on one time axis, with the events of the run."""

from __future__ import annotations

from intermodal.plans import numbers
from intermodal.plans import svg as drawing
from intermodal.plans.plan import Plan
from intermodal.plans.timeline import (
    Timeline,
    TimelineRow,
    TimelineSpan,
    label,
    outcome,
    span_words,
    ticks,
    timeline_as_text,
)

LABEL, AXIS, TAIL = 250.0, 560.0, 150.0  # widths: names, time, figures
MARGIN, ROW, HEAD = 20.0, 46.0, 96.0
SIZE = 11.0
TITLE, TITLE_LINE = 15.0, 20.0  # font size and line height of the title


def svg(plan: Plan, timeline: Timeline, name: str = "") -> str:
    """Return the timeline as SVG text. ``name`` is the prefix of ids and classes, as in ``plan_svg``."""
    return _Chart(plan, timeline, name).render()


class _Chart:
    def __init__(self, plan: Plan, timeline: Timeline, name: str) -> None:
        self._plan = plan
        self._timeline = timeline
        self._left = MARGIN + LABEL
        self._wide = self._left + AXIS + TAIL + MARGIN
        self._title = drawing.wrap_lines(plan.headline, TITLE, (self._wide - 2 * MARGIN) / drawing.BOLD, 4)
        self._head = HEAD + TITLE_LINE * (len(self._title) - 1)
        self._bottom = self._head + ROW * len(timeline.rows)
        self._room = self._wide - 2 * MARGIN - 20
        self._notes = [
            drawing.wrap_lines(self._draw_label(mark.at, mark.text), SIZE, self._room, 3) for mark in timeline.marks
        ]
        below = sum(map(len, self._notes)) + (not timeline.measured)
        high = self._bottom + 38 + (26 + 16 * below if below else 0)
        safe = "".join(char for char in plan.id if char.isascii() and char.isalnum())
        self._picture = drawing.Drawing(name or f"im-time-{safe}", self._wide, high)

    def render(self) -> str:
        picture, sheet = self._picture, self._timeline
        for place, line in enumerate(self._title):
            picture.add_text(MARGIN, 34 + TITLE_LINE * place, line, "ink bold", size=TITLE)
        more = self._head - HEAD
        high = self._plan.chosen.total.seconds
        took = numbers.plain_seconds(sheet.took)
        picture.add_text(MARGIN, 54 + more, f"planned {numbers.seconds(high)}, took {took} s", "soft", size=12)
        self._legend()
        self._axis()
        for place, row in enumerate(sheet.rows):
            self._row(row, self._head + ROW * place)
        self._draw_marks()
        return picture.render(f"Estimate against actual: {self._plan.headline}", timeline_as_text(sheet, 100))

    @staticmethod
    def _draw_label(seconds: float | None, words: str) -> str:
        return f"{numbers.plain_seconds(seconds)} s: {words}" if seconds is not None else words

    def _x(self, seconds: float) -> float:
        """Return the x coordinate of a time; times beyond the axis are clamped to its end."""
        return self._left + min(seconds / self._timeline.end, 1.0) * AXIS

    # ---- frame ----------------------------------------------------------------------------------

    def _legend(self) -> None:
        x, more = self._left, self._head - HEAD
        for fill, words in (
            ("planned", "planned"), ("planned-load", "planned loading"), ("took", "took"), ("took-load", "loading"),
        ):  # fmt: skip
            self._picture.rect((x, 66 + more, 14, 9), fill, radius=2)
            self._picture.add_text(x + 19, 75 + more, words, "soft")
            x += 34 + drawing.width(words, SIZE)
        self._picture.path(
            f"M{drawing.coordinate(x)} {drawing.coordinate(71 + more)}H{drawing.coordinate(x + 16)}",
            "line edge",
        )
        self._picture.add_text(x + 21, 75 + more, "planned range", "soft")

    def _axis(self) -> None:
        for moment in ticks(self._timeline.end, 9):
            x = self._x(moment)
            line = (
                f"M{drawing.coordinate(x)} {drawing.coordinate(self._head - 8)}V{drawing.coordinate(self._bottom + 4)}"
            )
            self._picture.path(line, "line grid")
            self._picture.add_text(x, self._bottom + 20, f"{moment:g} s", "soft", end="middle")

    # ---- rows -----------------------------------------------------------------------------------

    def _row(self, row: TimelineRow, top: float) -> None:
        picture = self._picture
        picture.open(f"{label(row)}; {row.who or 'this machine'}; {outcome(row)}", "row")
        head = " ".join(word for word in (row.op.replace("_", " ").capitalize(), row.who.rpartition("/")[2]) if word)
        picture.add_text(MARGIN, top + 14, drawing.shorten_text(head, 12, LABEL - 14, bold=True), "ink bold", size=12)
        picture.add_text(MARGIN, top + 30, drawing.shorten_text(row.what, SIZE, LABEL - 14), "soft")
        if row.planned is not None:
            self._bar(row.planned, top + 4, 11, ("planned", "planned-load"))
            self._range(row.planned, top + 9.5)
        if row.actual is not None:
            self._bar(row.actual, top + 19, 13, ("took", "took-load"))
        x = self._left + AXIS + 12
        if row.planned is not None:
            picture.add_text(x, top + 13, f"planned {span_words(row.planned)}", "soft")
        style = "ink" if row.state == "ran" else "warn"
        picture.add_text(x, top + 29, drawing.shorten_text(outcome(row), SIZE, TAIL - 4), style)
        picture.close()

    def _bar(self, span: TimelineSpan, top: float, high: float, fills: tuple[str, str]) -> None:
        start, end = self._x(span.start), self._x(span.end)
        if not span.known:
            self._picture.add_text(start, top + high - 1, "unknown", "soft")
            return
        loaded = self._x(span.start + span.load)
        self._picture.rect((loaded, top, max(end - loaded, 2), high), fills[0], radius=2)
        if span.load:
            self._picture.rect((start, top, loaded - start, high), fills[1], radius=2)

    def _range(self, span: TimelineSpan, y: float) -> None:
        """Draw the range from the earliest to the latest planned end, with an arrow if it exceeds the axis."""
        if not span.known or span.high <= span.low:
            return
        low, high, level = self._x(span.low), self._x(span.high), drawing.coordinate(y)
        up, down = drawing.coordinate(y - 3.5), drawing.coordinate(y + 3.5)
        ends = f"M{drawing.coordinate(low)} {up}V{down}M{drawing.coordinate(low)} {level}H{drawing.coordinate(high)}"
        if span.high <= self._timeline.end:
            ends += f"M{drawing.coordinate(high)} {up}V{down}"
        else:
            back = drawing.coordinate(high - 4)
            ends += f"M{back} {up}L{drawing.coordinate(high)} {level}L{back} {down}"
        self._picture.path(ends, "line edge")

    # ---- events ---------------------------------------------------------------------------------

    def _draw_marks(self) -> None:
        picture, baseline = self._picture, self._bottom + 46
        before = -100.0
        for place, (mark, lines) in enumerate(zip(self._timeline.marks, self._notes, strict=True), 1):
            style = "bad" if mark.bad else "maybe"
            if mark.at is not None:
                x = self._x(mark.at)
                top, bottom = drawing.coordinate(self._head - 2), drawing.coordinate(self._bottom + 4)
                line = f"M{drawing.coordinate(x)} {top}V{bottom}"
                picture.open(mark.text, f"mark {mark.kind}")
                picture.path(line, f"line {style}-line", dashed=True)
                shift = max(x, before + 12)  # labels of simultaneous marks are placed side by side
                picture.add_text(shift, self._head - 5, str(place), f"{style} bold", end="middle")
                picture.close()
                before = shift
            picture.add_text(MARGIN, baseline, str(place), f"{style} bold")
            for row in lines:
                picture.add_text(MARGIN + 20, baseline, row, "ink")
                baseline += 16
        if not self._timeline.measured:
            picture.add_text(
                MARGIN, baseline, "when steps began was not recorded: they are drawn one after another", "soft"
            )


__all__ = ["svg"]
