"""EXPLAIN ANALYZE over time: planned and actual spans as values, and as text for a terminal of any width.

The text has two bars per step, the planned one above the actual one; ``timeline_svg.py`` draws the same data. Planned
spans follow the schedule from which the plan's seconds were computed (``cpu_schedule.py``): steps on this machine share
its cores, including model loading; remote steps run in parallel; the answering step waits for all others.
"""

from __future__ import annotations

import unicodedata
from typing import Literal, NamedTuple

from intermodal.core.content import Value
from intermodal.events import Actual, Checked, Result
from intermodal.plans import cpu_schedule, numbers
from intermodal.plans.cpu_schedule import DECODER_USE, LOCAL_ZONES, REMOTE_USE, CoreUse, CpuTask
from intermodal.plans.plan import Candidate, Plan, input_steps
from intermodal.plans.plan_graph import ALIKE, SHOWN
from intermodal.plans.step import Call, Check, Step, Transform
from intermodal.plans.svg import clean

State = Literal["ran", "cached", "did not run", "another route"]
NARROW = 64  # columns; below this width, names are printed above their bars
LEAST = 24  # minimum width in columns; narrower terminals wrap lines
_TAIL = 22  # room for "0.6 + 8.2 s" at the end of a line
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class TimelineSpan(Value):
    """The start and end of a step, in seconds after the start of the run.

    The first ``load`` seconds are model loading. In a plan, ``low`` and ``high`` are the earliest and latest end for
    this start; ``known`` is False if the duration is unknown.
    """

    start: float = 0.0
    end: float = 0.0
    load: float = 0.0
    low: float = 0.0
    high: float = 0.0
    known: bool = True


class TimelineRow(Value):
    """A step, or ``count`` merged steps. ``state`` is "another route" for a step outside the chosen route."""

    step: str
    op: str
    who: str
    what: str
    planned: TimelineSpan | None = None
    actual: TimelineSpan | None = None
    state: State = "ran"
    count: int = 1
    cached: int = 0
    retries: int = 0


class TimelineMark(Value):
    """An event of the run. ``at`` is its time in seconds, or None if unknown."""

    kind: Literal["check", "replan", "retry"]
    text: str
    at: float | None = None
    step: str = ""
    bad: bool = False


class Timeline(Value):
    """Rows in the plan's order, followed by steps of other routes; marks in chronological order.

    ``planned`` is the planned duration of the route, ``took`` the actual one. ``measured`` is False if the run did not
    record when its steps started; they are then shown sequentially.
    """

    rows: tuple[TimelineRow, ...]
    marks: tuple[TimelineMark, ...] = ()
    planned: float = 0.0
    took: float = 0.0
    measured: bool = True

    @property
    def end(self) -> float:
        """The end of the time axis."""
        spans = [span for row in self.rows for span in (row.planned, row.actual) if span is not None]
        marks = [mark.at for mark in self.marks if mark.at is not None]
        return max([span.end for span in spans] + marks + [self.planned, self.took, 0.001])


def timeline(plan: Plan, result: Result) -> Timeline:
    """Return the plan's schedule beside the actual run."""
    spans = schedule(plan.chosen)
    actuals, has_times = _began(result.actuals)
    planned = [step for step in plan.chosen.steps if not isinstance(step, Check)]
    rows = [_row(step, spans[step.id], actuals.get(step.id), result) for step in planned]
    step_of_id = {step.id: step for candidate in plan.fallbacks for step in candidate.steps}
    planned_ids = {step.id for step in planned}
    for actual in result.actuals:
        if actual.step not in planned_ids:
            rows.append(_row_of_other_step(actual, step_of_id.get(actual.step), actuals[actual.step], result))
    marks = _timeline_marks(rows, result, plan)
    return Timeline(
        rows=tuple(_merge_alike(rows)), marks=marks, planned=max([span.end for span in spans.values()], default=0.0),
        took=result.seconds, measured=has_times,
    )  # fmt: skip


# ---- the plan --------------------------------------------------------------------------------------


def schedule(candidate: Candidate) -> dict[str, TimelineSpan]:
    """Return the planned span of each step of a route, using middle estimates. Checks take no time."""
    remote_hosts = {each.host for each in candidate.sends if each.zone not in LOCAL_ZONES}
    last = candidate.last
    before = [step for step in candidate.steps if not isinstance(step, Check) and step is not last]
    places = {step.id: place for place, step in enumerate(before)}
    tasks = []
    for step in before:
        span = _span(step, 0.0)
        before_it = tuple(places[name] for name in input_steps(step))
        tasks.append(CpuTask(span.end, _use(step, remote_hosts, candidate.cores), before_it))
    starts = cpu_schedule.schedule(tasks, candidate.cores, candidate.decoders).starts
    found = {step.id: _span(step, start) for step, start in zip(before, starts, strict=True)}
    found[last.id] = _span(last, max([span.end for span in found.values()], default=0.0))
    return found


def _use(step: Step, remote_hosts: set[str], cores: int) -> CoreUse:
    """Return the resources of a step. If a plan does not record them, a local call takes all cores."""
    if isinstance(step, Transform):
        return DECODER_USE
    if not isinstance(step, Call) or step.endpoint.partition(":")[0] in remote_hosts:
        return REMOTE_USE
    return CoreUse(step.estimate.cores or cores, step.endpoint)


def _span(step: Step, start: float) -> TimelineSpan:
    seconds, load = step.estimate.seconds, step.estimate.load_seconds
    began = start + load.mid
    return TimelineSpan(
        start=start, load=load.mid, end=began + seconds.mid, low=began + seconds.low, high=began + seconds.high,
        known=seconds.known,
    )  # fmt: skip


# ---- the run ---------------------------------------------------------------------------------------


def _began(actuals: tuple[Actual, ...]) -> tuple[dict[str, TimelineSpan], bool]:
    """Return the actual span of each step, and whether start times were recorded.

    Without recorded start times, steps are placed one after another.
    """
    ran = [actual for actual in actuals if not actual.cached]
    has_times = len(ran) < 2 or any(actual.began for actual in ran)
    found: dict[str, TimelineSpan] = {}
    elapsed = 0.0
    for actual in actuals:
        start = actual.began if has_times else elapsed
        end = start + actual.load_seconds + actual.seconds
        found[actual.step] = TimelineSpan(start=start, load=actual.load_seconds, end=end, low=end, high=end)
        elapsed = end
    return found, has_times


def _row(step: Step, planned: TimelineSpan, actual: TimelineSpan | None, result: Result) -> TimelineRow:
    cached = any(each.step == step.id and each.cached for each in result.actuals)
    return TimelineRow(
        step=step.id, op=step.op, who=step.endpoint if isinstance(step, Call) else "", what=step.title, planned=planned,
        actual=None if cached else actual, state="cached" if cached else "ran" if actual is not None else "did not run",
        cached=int(cached), retries=_retries(step.id, result),
    )  # fmt: skip


def _row_of_other_step(actual: Actual, step: Step | None, span: TimelineSpan, result: Result) -> TimelineRow:
    """Return the row of a step outside the chosen route: from a fallback, or from a plan made during the run."""
    op, actor, what = unplanned_label(actual, step, result)
    return TimelineRow(
        step=actual.step, op=op, who=actor, what=what, actual=None if actual.cached else span, state="another route",
        cached=int(actual.cached), retries=_retries(actual.step, result),
    )  # fmt: skip


def unplanned_label(actual: Actual, step: Step | None, result: Result) -> tuple[str, str, str]:
    """Return operation, endpoint and title of a step outside the plan, as far as the result contains them."""
    if step is not None:
        return step.op, step.endpoint if isinstance(step, Call) else "", step.title
    derived = next((each for each in result.derived if each.step == actual.step), None)
    if derived is not None:
        return derived.op, "", derived.name
    if result.actuals and actual is result.actuals[-1] and result.finish_reason:
        return "answer", result.endpoint, ""
    return "step", "", ""


def _retries(step: str, result: Result) -> int:
    return sum(each.step == step for each in result.retries)


def _timeline_marks(rows: list[TimelineRow], result: Result, plan: Plan) -> tuple[TimelineMark, ...]:
    ends = {row.step: row.actual.end for row in rows if row.actual is not None}
    found = [
        TimelineMark(
            kind="check", step=each.step, at=ends.get(each.step), bad=True,
            text=f"check {each.check.replace('_', ' ')}: {finding_text(each)}",
        )
        for each in result.checks if each.problem
    ]  # fmt: skip
    for replan in result.replans:
        changed = "" if replan.endpoint == plan.chosen.endpoint else f"; {replan.endpoint} answers now"
        took = f" ({milliseconds(replan.seconds)})"
        found.append(
            TimelineMark(
                kind="replan", step=replan.step, at=replan.at, text=f"planned again{took}: {replan.reason}{changed}"
            )
        )
    for retry in result.retries:
        words = f"tried again: {retry.reason}"
        found.append(TimelineMark(kind="retry", step=retry.step, at=retry.at or None, text=words, bad=True))
    return tuple(sorted(found, key=lambda mark: mark.at if mark.at is not None else float("inf")))


def finding_text(check: Checked) -> str:
    """Return the message of a check's finding, or its problem code if it has no message."""
    return check.message or check.problem or "fine"


def milliseconds(seconds: float) -> str:
    """Format a short duration in milliseconds: "2.1 ms", "340 ms"."""
    value = seconds * 1000
    return f"{value:.1f} ms" if value < 9.95 else f"{value:,.0f} ms"


# ---- many alike ------------------------------------------------------------------------------------


def _merge_alike(rows: list[TimelineRow]) -> list[TimelineRow]:
    """Merge many rows with the same operation and endpoint into the first ``SHOWN`` and one row for the rest."""
    rows_by_operator: dict[tuple[str, str, bool], list[TimelineRow]] = {}
    for row in rows:
        rows_by_operator.setdefault((row.op, row.who, row.planned is None), []).append(row)
    found: list[TimelineRow] = []
    for row in rows:
        same_rows = rows_by_operator[(row.op, row.who, row.planned is None)]
        place = same_rows.index(row)
        if len(same_rows) <= ALIKE or place < SHOWN:
            found.append(row)
        elif place == SHOWN:
            found.append(_merge_rows(same_rows[SHOWN:]))
    return found


def _merge_rows(rows: list[TimelineRow]) -> TimelineRow:
    ran = sum(row.actual is not None for row in rows)
    cached = sum(row.cached for row in rows)
    state: State = (
        "another route" if rows[0].planned is None else "ran" if ran else "cached" if cached else "did not run"
    )
    return TimelineRow(
        step=rows[0].step, op=rows[0].op, who=rows[0].who, what=f"{len(rows):,} more like these", state=state,
        planned=_enclosing_span([row.planned for row in rows]), actual=_enclosing_span([row.actual for row in rows]),
        count=len(rows), cached=cached, retries=sum(row.retries for row in rows),
    )  # fmt: skip


def _enclosing_span(spans: list[TimelineSpan | None]) -> TimelineSpan | None:
    """Return the span from the first start to the last end, without loading, which belongs to single steps."""
    known_spans = [span for span in spans if span is not None]
    if not known_spans:
        return None
    return TimelineSpan(
        start=min(span.start for span in known_spans), end=max(span.end for span in known_spans),
        low=max(span.low for span in known_spans), high=max(span.high for span in known_spans),
        known=all(span.known for span in known_spans),
    )  # fmt: skip


def span_words(span: TimelineSpan | None) -> str:
    """Format a duration: "0.6 + 8.2 s" if it begins with loading, "unknown" if it is unknown."""
    if span is None:
        return ""
    if not span.known:
        return "unknown"
    run = numbers.plain_seconds(span.end - span.start - span.load)
    return f"{numbers.plain_seconds(span.load)} + {run} s" if span.load else f"{run} s"


def label(row: TimelineRow) -> str:
    """Return a short label: "Transcribe whisper-base call.wav 63 s"."""
    model = row.who.rpartition("/")[2] or row.who.rpartition(":")[2]
    words = [row.op.replace("_", " ").capitalize(), model, row.what]
    return " ".join(word for word in words if word)


def outcome(row: TimelineRow) -> str:
    """Return the result of a row in words: "8.1 s", "cached", "did not run"."""
    words: list[str] = [span_words(row.actual)] if row.actual is not None else [row.state]
    if row.state == "another route":
        words = [span_words(row.actual) if row.actual is not None else "cached", "not planned"]
    if row.count > 1 and row.cached and row.cached < row.count:
        words.append(f"{row.cached:,} cached")
    if row.retries:
        words.append("tried twice" if row.retries == 1 else f"tried {row.retries + 1:,} times")
    return ", ".join(word for word in words if word)


def ticks(end: float, most: int) -> list[float]:
    """Return at most ``most`` round times from 0 to the end of the axis.

    >>> ticks(16.2, 6)
    [0.0, 5.0, 10.0, 15.0]
    """
    power = 1e-4
    while power * 10 * most <= end:
        power *= 10
    step = next((power * factor for factor in (1, 2, 5, 10, 20, 50) if end / (power * factor) < most), end)
    return [round(step * place, 6) for place in range(int(end / step + 1e-9) + 1)]


class Glyphs(NamedTuple):
    """The characters of which bars are drawn."""

    planned: str
    planned_load: str
    took: str
    took_load: str
    unknown: str
    tick: str


BLOCKS = Glyphs("░", "▒", "█", "▓", "?", "┴")

PLAIN = Glyphs("-", "~", "#", "=", "?", "+")


def timeline_as_text(timeline: Timeline, width: int = 116, *, plain: bool = False) -> str:
    """Return the timeline as text: planned and actual bars of each step on one axis, then the events of the run.

    Args:
        timeline: the timeline to format.
        width: terminal width in columns.
        plain: use ASCII characters only.
    """
    return "\n".join(_Sheet(timeline, max(width, LEAST), PLAIN if plain else BLOCKS).render())


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

    def render(self) -> list[str]:
        sheet = self._timeline
        glyphs = self._glyphs
        planned, took = numbers.plain_seconds(sheet.planned), numbers.plain_seconds(sheet.took)
        found = self._wrap(f"timeline: {planned} s planned, {took} s taken", "  ")
        for row in sheet.rows:
            found += self._row(row)
        if sheet.marks:
            found += self._mark_line()
        found += self._axis()
        found += [
            line
            for letter, mark in zip(self._letters(), sheet.marks, strict=False)
            for line in self._render_mark(letter, mark)
        ]
        legend = f"{glyphs.planned} planned  {glyphs.planned_load} planned loading  "
        legend += f"{glyphs.took} took  {glyphs.took_load} loading"
        found += self._wrap(legend, "")
        if not sheet.measured:
            found += self._wrap("when steps began was not recorded: they are drawn one after another", "")
        return [line.rstrip() for line in found]

    # ---- rows -----------------------------------------------------------------------------------

    def _row(self, row: TimelineRow) -> list[str]:
        name = _truncate(label(row), self._width if self._stacked else self._label - 2)
        found = [name] if self._stacked else []
        first = "" if self._stacked else name
        if row.planned is not None:
            found.append(
                self._render_row(first, "plan", self._bars(row.planned, planned=True), span_words(row.planned))
            )
            first = ""
        bars = self._bars(row.actual, planned=False) if row.actual is not None else ""
        found.append(self._render_row(first, "took", bars, outcome(row)))
        return found

    def _render_row(self, name: str, what: str, bars: str, words: str) -> str:
        pad = " " * (self._label - _columns(name))
        return _truncate(f"{name}{pad}{what} {bars:<{self._bar}} {words}", self._width)

    def _bars(self, span: TimelineSpan, *, planned: bool) -> str:
        glyphs = self._glyphs
        run, load = (glyphs.planned, glyphs.planned_load) if planned else (glyphs.took, glyphs.took_load)
        if not span.known:
            return " " * self._column_of(span.start) + glyphs.unknown
        start = self._column_of(span.start)
        end = max(self._column_of(span.end), start + 1)  # every step gets at least one column
        loaded = min(max(self._column_of(span.start + span.load), start + 1 if span.load else start), end)
        return " " * start + load * (loaded - start) + run * (end - loaded)

    def _column_of(self, seconds: float) -> int:
        """Return the column of a time."""
        return min(round(seconds / self._timeline.end * self._bar), self._bar)

    # ---- marks and axis -------------------------------------------------------------------------

    def _letters(self) -> list[str]:
        """Return one letter per mark; marks after z get numbers."""
        count = len(self._timeline.marks)
        return [_LETTERS[place] if place < len(_LETTERS) else str(place + 1) for place in range(count)]

    def _mark_line(self) -> list[str]:
        """Return the line with the letters of the marks, shifted right if their columns collide."""
        cells = [" "] * (self._bar + 1)
        for letter, mark in zip(self._letters(), self._timeline.marks, strict=True):
            if mark.at is None or len(letter) > 1:
                continue
            place = self._column_of(mark.at)
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
            place = self._column_of(moment)
            name = f"{moment:g} s"
            cells[place] = self._glyphs.tick
            if len(words) <= place and place + len(name) <= self._bar + _TAIL:
                words = f"{words:<{place}}{name} "
        pad = " " * (self._label + len("plan "))
        return [pad + "".join(cells), pad + words]

    def _render_mark(self, letter: str, mark: TimelineMark) -> list[str]:
        when = f" {numbers.plain_seconds(mark.at)} s " if mark.at is not None else ""
        return self._wrap(f"{letter} {when} {clean(mark.text)}".replace("   ", "  "), "  ")

    def _wrap(self, words: str, indent: str) -> list[str]:
        """Return lines no wider than the terminal, broken at spaces."""
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
    """Return the number of terminal columns that a text occupies."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in clean(words)
    )


def _truncate(words: str, room: int) -> str:
    """Return the text, truncated with "..." if it does not fit."""
    words = clean(words)
    if _columns(words) <= room:
        return words
    words = words[: 4 * room]  # combining characters take no column
    while words and _columns(words) > max(room - 3, 1):
        words = words[:-1]
    return f"{words.rstrip()}..."
