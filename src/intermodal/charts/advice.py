"""The chart of advice and its HTML page: the path to the decision, cost against volume, every use with its numbers.

Both axes of the volume chart are logarithmic: a host's bill is a straight line, machines are steps, and their crossing
is marked.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from html import escape

from intermodal._version import __version__
from intermodal.advisor.advice import (
    LOCAL,
    PLACES,
    Advice,
    DecisionFork,
    RouteOffer,
    RoutePick,
    UseOffers,
    figures,
    format_memory_range,
    headline,
    monthly,
    price,
    steps,
    text,
)
from intermodal.advisor.break_even import own_cost
from intermodal.advisor.question import OwnedHardware
from intermodal.charts.html import document, table
from intermodal.charts.scatter_chart import Axis
from intermodal.core.content import Value
from intermodal.core.quantity import Quantity
from intermodal.plans import numbers
from intermodal.plans import svg as drawing
from intermodal.plans.numbers import plain_money

WIDE, MARGIN = 860.0, 20.0
CARD, STEP, GAP = 262.0, 46.0, 22.0  # width and height of a question, and the gap below it
PAD, SIZE, ROW = 10.0, 11.0, 15.0
CHART = 330.0
_LINES = (("maybe-line", "maybe"), ("bad-line", "bad"), ("edge", "soft"))


def svg(advice: Advice, name: str = "") -> str:
    """Return the chart as SVG.

    Args:
        name: prefix of its ids and classes; derived from the advice if "".
    """
    head = drawing.wrap_lines(f"Decision: {headline(advice)}", 16, (WIDE - 2 * MARGIN) / drawing.BOLD, 2)
    why = drawing.wrap_lines(f"because {advice.reason}. {advice.headline}.", SIZE, WIDE - 2 * MARGIN, 5)
    top = MARGIN + 22 * len(head) + ROW * len(why) + 14
    path = len(advice.path) * (STEP + GAP) + STEP + 14
    label = [f"Label: {advice.matters}."] if advice.matters else []
    label += [
        f"{place}: {pick.offer.endpoint}, {', '.join(figures(pick.offer))}." for place, pick in _other_picks(advice)
    ]
    label += [f"Beside: {headline(other)}, {', '.join(figures(other.offer))}." for other in advice.beside]
    below = drawing.wrap_lines(
        " ".join((*label, f"Break-even: {advice.break_even.words}.")), SIZE, WIDE - 2 * MARGIN, 6
    )
    charted = _hosted_costs(advice)
    high = top + path + (CHART if charted else 0) + ROW * len(below) + MARGIN + 10
    picture = drawing.Drawing(name or f"im-advice-{_digest(advice)}", WIDE, high)
    y = MARGIN + 14
    for line in head:
        picture.add_text(MARGIN, y, line, "ink bold", size=16)
        y += 22
    for line in why:
        picture.add_text(MARGIN, y, line, "soft", size=SIZE)
        y += ROW
    _path(picture, advice, top)
    if charted:
        chart = VolumeChart(picture, (MARGIN, top + path, WIDE - 2 * MARGIN, CHART))
        chart.draw(charted, _machines(advice), _volume_marks(advice))
    y = top + path + (CHART if charted else 0) + 14
    for line in below:
        picture.add_text(MARGIN, y, line, "ink", size=SIZE)
        y += ROW
    return picture.render(f"Advice: {headline(advice)}", text(advice))


def _other_picks(advice: Advice) -> list[tuple[str, RoutePick]]:
    """Return the picks after the decision, each with its label."""
    found = [(_PLACES[place], pick) for place, pick in enumerate(advice.best[1:])]
    return found + ([("If a person waits", advice.otherwise)] if advice.otherwise is not None else [])


_PLACES = ("Second", "Third")


def _digest(advice: Advice) -> str:
    return hashlib.sha256(text(advice).encode()).hexdigest()[:12]


# ---- the path --------------------------------------------------------------------------------------


def _path(picture: drawing.Drawing, advice: Advice, top: float) -> None:
    for place, fork in enumerate(advice.path):
        _fork(picture, fork, top + place * (STEP + GAP))
    top_of_decision = top + len(advice.path) * (STEP + GAP)
    wide = WIDE - 2 * MARGIN
    picture.rect((MARGIN, top_of_decision, wide, STEP), "answering here-line", radius=7)
    title = advice.decided_use.title
    picture.add_text(MARGIN + PAD, top_of_decision + 19, title, "ink bold", size=13)
    summary = drawing.shorten_text(" · ".join((advice.endpoint, *figures(advice.offer))), SIZE, wide - 2 * PAD)
    picture.add_text(MARGIN + PAD, top_of_decision + 36, summary, "soft", size=SIZE)


def _fork(picture: drawing.Drawing, fork: DecisionFork, top: float) -> None:
    """Draw a question with its answer, the reason, and where the other answer would have led."""
    picture.rect((MARGIN, top, CARD, STEP), "card card-line", radius=7)
    lines = drawing.wrap_lines(fork.question, 12, CARD - 2 * PAD, 2)
    for place, line in enumerate(lines):
        picture.add_text(
            MARGIN + PAD, top + STEP / 2 + 4 + (place - (len(lines) - 1) / 2) * ROW, line, "ink bold", size=12
        )
    x = MARGIN + 26
    arrow = drawing.coordinate(top + STEP + GAP - 7)
    picture.path(f"M{drawing.coordinate(x)} {drawing.coordinate(top + STEP)}V{arrow}", "line here-line thick")
    tip = drawing.coordinate(top + STEP + GAP - 1)
    left, right = drawing.coordinate(x - 4), drawing.coordinate(x + 4)
    picture.path(f"M{left} {arrow}L{drawing.coordinate(x)} {tip}L{right} {arrow}Z", "took")
    picture.add_text(x + 10, top + STEP + GAP / 2 + 4, fork.answer, "ink bold", size=SIZE)
    side, room = MARGIN + CARD + 16, WIDE - 2 * MARGIN - CARD - 16
    other = f"{'no' if fork.answer == 'yes' else 'yes'} would lead to {fork.otherwise}" if fork.otherwise else ""
    words = drawing.wrap_lines(f"{fork.answer}: {fork.why}", SIZE, room, 2 if other else 3)
    y = top + STEP / 2 + 4 - (len(words) + bool(other) - 1) * ROW / 2
    for line in words:
        picture.add_text(side, y, line, "ink", size=SIZE)
        y += ROW
    if other:
        picture.add_text(side, y, drawing.shorten_text(other, SIZE, room), "soft", size=SIZE)


# ---- the chart -------------------------------------------------------------------------------------


def _hosted_costs(advice: Advice) -> list[HostedCost]:
    """Return the hosted route of every use that has a known price, the decision's first."""
    found: list[HostedCost] = []
    others = iter(_LINES)
    for kind in sorted(advice.kinds, key=lambda each: each.use != advice.use):
        offer = next((each for each in kind.offers if each.place == "hosted" and each.there), None)
        if offer is None or not offer.usd.known or not offer.usd.mid:
            continue
        leading = offer.endpoint == advice.break_even.hosted and not any(line.leading for line in found)
        line, ink = ("away-line", "away") if leading else next(others, _LINES[-1])
        found.append(
            HostedCost(name=_series_name(kind.title, offer), usd=offer.usd, line=line, ink=ink, leading=leading)
        )
    return found


def _series_name(title: str, offer: RouteOffer) -> str:
    host = offer.endpoint.partition(":")[0]
    return f"{title.removeprefix('an ').removeprefix('a ').partition(' (')[0]}, {host}"


def _machines(advice: Advice) -> MachineCost | None:
    even = advice.break_even
    if advice.owned is None or not even.capacity.known or even.capacity.mid <= 0:
        return None
    return MachineCost(name=f"{LOCAL}: {even.here}", owned=advice.owned, capacity=even.capacity.mid)


def _volume_marks(advice: Advice) -> list[VolumeMark]:
    found = []
    even, volume = advice.break_even, advice.volume
    if volume is not None:
        found.append(VolumeMark(words=f"yours: {volume.per_month:,.0f}", requests_per_month=volume.per_month))
    if even.requests.known and even.machine.known:
        requests = even.requests
        found.append(
            VolumeMark(
                words=f"break-even: {requests.mid:,.0f}",
                requests_per_month=requests.mid,
                cost=even.machine.mid,
                low=requests.low,
                high=requests.high,
            )
        )
    elif even.milestones and volume is None:
        found.append(
            VolumeMark(words=f"${even.milestones[0].usd:,.0f} hosted", requests_per_month=even.milestones[0].requests)
        )
    return found


# ---- cost against volume ----------------------------------------------------------------------------


LEFT, RIGHT, TOP, BOTTOM = 64.0, 196.0, 34.0, 46.0
LABEL, LABEL_ROW = 11.0, 14.0  # font size and line height of line labels
STEPS = 16  # number of machines up to which steps are drawn
_SPAN = 100.0  # the axis spans at most this factor below and above the volumes in question


class HostedCost(Value):
    """A line of the chart: its name, USD per request, and the CSS classes of its line and text."""

    name: str
    usd: Quantity
    line: str
    ink: str
    leading: bool = False


class MachineCost(Value):
    """The cost steps of owned hardware; one machine answers ``capacity`` requests per month."""

    name: str
    owned: OwnedHardware
    capacity: float


class VolumeMark(Value):
    """A marked number of requests per month; ``low`` and ``high`` if it has a range."""

    words: str
    requests_per_month: float
    cost: float | None = None
    low: float = 0.0
    high: float = 0.0


def domain(marks: Sequence[VolumeMark]) -> tuple[float, float]:
    """Return the range of the x axis in requests per month, as whole powers of ten."""
    some = [value for mark in marks for value in (mark.requests_per_month, mark.low, mark.high) if value > 0] or [
        30_000.0
    ]
    low, high = min(some), max(some)
    room = math.sqrt(_SPAN) if high / low > _SPAN else _SPAN / math.sqrt(high / low)
    return 10.0 ** math.floor(math.log10(low / room) + 1e-9), 10.0 ** math.ceil(math.log10(high * room) - 1e-9)


class VolumeChart:
    """A chart of cost against volume within a drawing."""

    def __init__(self, picture: drawing.Drawing, box: tuple[float, float, float, float]) -> None:
        self._picture = picture
        self._left, self._top, self._wide, self._high = box

    def draw(self, lines: Sequence[HostedCost], machines: MachineCost | None, marks: Sequence[VolumeMark]) -> None:
        """Draw the chart. Lines without a known price are skipped; the caller mentions them."""
        priced = [line for line in lines if line.usd.known and line.usd.mid > 0]
        first, last = domain(marks)
        costs = [cost for line in priced for cost in (line.usd.mid * first, line.usd.mid * last)]
        if machines is not None:
            costs += [own_cost(machines.owned, value, machines.capacity) for value in (first, last)]
        self._x = Axis(low=first, high=last, log=True)
        low, high = min(costs, default=1.0), max(costs, default=100.0)
        self._y = Axis(low=10.0 ** math.floor(math.log10(low)), high=10.0 ** math.ceil(math.log10(high)), log=True)
        self._frame()
        for line in reversed(priced):
            self._draw_line(line, first, last)
        if machines is not None:
            self._steps(machines, first, last)
        for place, mark in enumerate(sorted(marks, key=lambda each: each.requests_per_month)):
            self._draw_mark(mark, place, len(marks) - 1)
        self._label_ends(priced, machines, last)

    # ---- places -------------------------------------------------------------------------------

    def _at_x(self, value: float) -> float:
        return self._left + LEFT + self._x.place(value) * (self._wide - LEFT - RIGHT)

    def _at_y(self, value: float) -> float:
        return self._top + TOP + (1 - self._y.place(value)) * (self._high - TOP - BOTTOM)

    def _frame(self) -> None:
        picture, bottom = self._picture, self._at_y(self._y.low)
        right = self._at_x(self._x.high)
        picture.add_text(self._left, self._top + 14, "Cost a month against volume", "ink bold", size=13)
        for value in _powers(self._y):
            y = drawing.coordinate(self._at_y(value))
            picture.path(
                f"M{drawing.coordinate(self._at_x(self._x.low))} {y}H{drawing.coordinate(right)}",
                "line grid",
            )
            picture.add_text(
                self._at_x(self._x.low) - 8, self._at_y(value) + 4, f"${_format_axis_number(value)}", "soft", end="end"
            )
        for value in _powers(self._x):
            x = drawing.coordinate(self._at_x(value))
            picture.path(
                f"M{x} {drawing.coordinate(bottom)}V{drawing.coordinate(self._at_y(self._y.high))}",
                "line grid",
            )
            picture.add_text(self._at_x(value), bottom + 16, _format_axis_number(value), "soft", end="middle")
        middle = (self._at_x(self._x.low) + right) / 2
        picture.add_text(middle, bottom + 36, "requests a month (both axes logarithmic)", "soft", end="middle")

    def _draw_line(self, line: HostedCost, first: float, last: float) -> None:
        """Draw the line of the middle price, and dashed lines of the lowest and highest price if they differ."""
        picture = self._picture
        picture.open(f"{line.name}: ${plain_money(line.usd.mid)} a request")
        if line.leading and line.usd.low < line.usd.high:
            for usd in (line.usd.low, line.usd.high):
                path = self._clip(usd, first, last)
                if path:
                    picture.path(path, f"line {line.line}", dashed=True)
        thick = " thick" if line.leading else ""
        picture.path(self._clip(line.usd.mid, first, last), f"line {line.line}{thick}")
        picture.close()

    def _clip(self, usd: float, first: float, last: float) -> str:
        """Return the path of a straight line for one price, clipped to the axes."""
        if usd <= 0:
            return ""
        begin, end = max(first, self._y.low / usd), min(last, self._y.high / usd)
        if begin >= end:
            return ""
        points = [(self._at_x(value), self._at_y(usd * value)) for value in (begin, end)]
        return "M" + "L".join(f"{drawing.coordinate(x)} {drawing.coordinate(y)}" for x, y in points)

    def _steps(self, machines: MachineCost, first: float, last: float) -> None:
        """Draw a flat line up to the capacity of one machine, a step for each further machine, and a slope for many."""
        edges = [machines.capacity * count for count in range(1, STEPS + 1)]
        edges = [first, *(edge for edge in edges if first < edge < last)]
        path = ""
        for begin, end in zip(edges, [*edges[1:], last], strict=True):
            cost = own_cost(machines.owned, math.sqrt(begin * end), machines.capacity)
            if begin >= machines.capacity * STEPS and path:
                path += f"L{self._point(end, own_cost(machines.owned, end, machines.capacity))}"
                continue
            y = drawing.coordinate(self._at_y(cost))
            path += f"V{y}" if path else f"M{drawing.coordinate(self._at_x(begin))} {y}"
            path += f"H{drawing.coordinate(self._at_x(end))}"
        self._picture.open(f"{machines.name}: ${plain_money(machines.owned.per_month)} per machine per month")
        self._picture.path(path, "line here-line thick")
        self._picture.close()

    def _point(self, requests: float, cost: float) -> str:
        return f"{drawing.coordinate(self._at_x(requests))} {drawing.coordinate(self._at_y(cost))}"

    def _draw_mark(self, mark: VolumeMark, place: int, last: int) -> None:
        """Draw a dashed line with a label at its upper end, a ring at a crossing, and a bar for its range."""
        picture, x = self._picture, self._at_x(mark.requests_per_month)
        top, bottom = self._at_y(self._y.high), self._at_y(self._y.low)
        picture.path(
            f"M{drawing.coordinate(x)} {drawing.coordinate(bottom)}V{drawing.coordinate(top)}",
            "line edge",
            dashed=True,
        )
        wide, y = drawing.width(mark.words, LABEL) + 10, top + 12 + place * LABEL_ROW
        # The first label is left of its line, so that the next line does not cross it.
        before = self._at_x(self._x.low) + wide <= x and (place < last or x + wide > self._at_x(self._x.high))
        picture.add_text(x - 6 if before else x + 6, y, mark.words, "ink", size=LABEL, end="end" if before else "")
        if mark.low < mark.high:
            begin, end = (drawing.coordinate(self._at_x(value)) for value in (mark.low, mark.high))
            picture.path(f"M{begin} {drawing.coordinate(bottom - 4)}H{end}", "line edge thick")
        if mark.cost is not None:
            picture.circle(x, self._at_y(mark.cost), 5, "answering here-line line-only")

    def _label_ends(self, lines: Sequence[HostedCost], machines: MachineCost | None, last: float) -> None:
        """Label each line at its end, moved apart if they would overlap."""
        words = [(self._at_y(min(line.usd.mid * last, self._y.high)), line.name, line.ink) for line in lines]
        if machines is not None:
            cost = own_cost(machines.owned, last, machines.capacity)
            words.append((self._at_y(min(cost, self._y.high)), machines.name, "took"))
        x, room = self._at_x(self._x.high) + 8, RIGHT - 12
        last_y = -math.inf
        for y, name, ink in sorted(words):
            y_of_label = max(y + 4, last_y + LABEL_ROW)
            for line in drawing.wrap_lines(name, LABEL, room, 2):
                self._picture.add_text(x, y_of_label, line, ink, size=LABEL)
                last_y, y_of_label = y_of_label, y_of_label + LABEL_ROW
            last_y += 2


def _powers(axis: Axis) -> list[float]:
    """Return the powers of ten on an axis, at most eight."""
    found = [10.0**power for power in range(round(math.log10(axis.low)), round(math.log10(axis.high)) + 1)]
    return found[:: max(1, math.ceil(len(found) / 8))]


def _format_axis_number(value: float) -> str:
    """Format a number on an axis.

    >>> _format_axis_number(1e6), _format_axis_number(2500.0), _format_axis_number(0.01)
    ('1M', '2.5k', '0.01')
    """
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{sign}"
    return f"{value:g}"


# ---- page -------------------------------------------------------------------------------------------


_HEAD = (
    "Kind of model", "Where", "Endpoint", "Way", "n:USD a request", "n:USD a month", "n:Seconds", "Strength", "Loses",
    "n:Memory here", "n:Compute floor", "Not the decision because",
)  # fmt: skip
_BEST = (
    "Place", "Endpoint", "Used as", "Where", "n:USD a request", "n:USD a month", "n:Seconds", "Strength", "Loses",
    "Terms",
)  # fmt: skip
_BEST_NOTE = "Each is of another answering model: what would be chosen without the ones above it."
_NOTE = (
    "The planner's best route of each kind at each place. Memory is what a route here keeps resident; the compute "
    "floor is what the answering model takes wherever it runs, from 4-bit to 16-bit weights."
)


def page(advice: Advice) -> str:
    """Return the advice as one HTML document."""
    every = (advice, *advice.beside)
    rows = [_row(kind, offer) for each in every for kind in each.kinds for offer in kind.offers]
    subtitle = f"{advice.stated}; {advice.as_of}, catalog {advice.catalog}, intermodal {__version__}"
    body = "\n".join(
        [
            f'<p class="dim">{escape(subtitle)}</p>',
            svg(advice),
            f"<h2>The best {len(advice.best)}, by {escape(advice.by)}</h2>\n{table(_BEST, _picks(advice), _BEST_NOTE)}",
            f"<h2>Kinds of answer</h2>\n{table(_HEAD, rows, _NOTE)}",
            f"<h2>Where the numbers come from</h2>\n{_list((*advice.assumed, *advice.sources))}",
            f"<h2>As text</h2>\n<pre>{escape(text(advice))}</pre>",
        ]
    )
    return document(f"Advice: {headline(advice)}", body)


def _picks(advice: Advice) -> list[list[str]]:
    rows = [[str(place), *_pick(pick)] for place, pick in enumerate(advice.best, 1)]
    return rows + ([["if a person waits", *_pick(advice.otherwise)]] if advice.otherwise is not None else [])


def _pick(pick: RoutePick) -> list[str]:
    offer = pick.offer
    return [
        offer.endpoint, pick.title, PLACES[offer.place], price(offer),
        monthly(offer.per_month) if offer.per_month.known else "volume unknown", numbers.seconds(offer.seconds),
        offer.strength, ", ".join(offer.loses) or "nothing", "; ".join((offer.terms, *offer.contested)),
    ]  # fmt: skip


def _list(sentences: tuple[str, ...]) -> str:
    return f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in sentences)}</ul>"


def _row(kind: UseOffers, offer: RouteOffer) -> list[str]:
    lost = kind.lost or "it is the decision"
    if not offer.there:
        return [kind.title, PLACES[offer.place], "no route", offer.refused[0], *[""] * 7, lost]
    return [
        kind.title, PLACES[offer.place], offer.endpoint, steps(offer), price(offer),
        monthly(offer.per_month) if offer.per_month.known else "volume unknown",
        numbers.seconds(offer.seconds), offer.strength, ", ".join(offer.loses) or "nothing",
        numbers.memory(offer.memory) if offer.memory.high else "none",
        format_memory_range(offer.floor), lost,
    ]  # fmt: skip
