"""Cost against volume: hosts are billed by the request, machines by the month.

Both axes are logarithmic: a host's bill is a straight line, machines are steps, and where the two cross is marked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from intermodal.advisor.break_even import own_cost
from intermodal.advisor.question import OwnedHardware
from intermodal.charts.scatter_chart import Axis
from intermodal.content import Value
from intermodal.plans import svg as drawing
from intermodal.plans.numbers import plain_money
from intermodal.quantity import Quantity

LEFT, RIGHT, TOP, BOTTOM = 64.0, 196.0, 34.0, 46.0
LABEL, ROW = 11.0, 14.0  # size of words at the ends of lines, and how far apart they stay
STEPS = 16  # machines up to which each is a step
_SPAN = 100.0  # times less and more than what is to be seen that the axis shows


class HostedCost(Value):
    """A line: what it is called, USD of a request, and the classes of its line and words."""

    name: str
    usd: Quantity
    line: str
    ink: str
    leading: bool = False


class MachineCost(Value):
    """The steps of hardware: ``capacity`` requests a month of one machine."""

    name: str
    owned: OwnedHardware
    capacity: float


class VolumeMark(Value):
    """A number of requests a month that is pointed out; ``low`` and ``high`` where it has a range."""

    words: str
    at: float
    cost: float | None = None
    low: float = 0.0
    high: float = 0.0


def domain(marks: Sequence[VolumeMark]) -> tuple[float, float]:
    """Requests a month that the axis shows, whole powers of ten."""
    some = [value for mark in marks for value in (mark.at, mark.low, mark.high) if value > 0] or [30_000.0]
    low, high = min(some), max(some)
    room = math.sqrt(_SPAN) if high / low > _SPAN else _SPAN / math.sqrt(high / low)
    return 10.0 ** math.floor(math.log10(low / room) + 1e-9), 10.0 ** math.ceil(math.log10(high * room) - 1e-9)


class VolumeChart:
    """One chart in a drawing, at a place and of a size."""

    def __init__(self, picture: drawing.Drawing, at: tuple[float, float, float, float]) -> None:
        self._picture = picture
        self._left, self._top, self._wide, self._high = at

    def draw(self, lines: Sequence[HostedCost], machines: MachineCost | None, marks: Sequence[VolumeMark]) -> None:
        """Everything. Lines of no known price are not drawn; who calls says so."""
        seen = [line for line in lines if line.usd.known and line.usd.mid > 0]
        first, last = domain(marks)
        costs = [cost for line in seen for cost in (line.usd.mid * first, line.usd.mid * last)]
        if machines is not None:
            costs += [own_cost(machines.owned, value, machines.capacity) for value in (first, last)]
        self._x = Axis(low=first, high=last, log=True)
        low, high = min(costs, default=1.0), max(costs, default=100.0)
        self._y = Axis(low=10.0 ** math.floor(math.log10(low)), high=10.0 ** math.ceil(math.log10(high)), log=True)
        self._frame()
        for line in reversed(seen):
            self._line(line, first, last)
        if machines is not None:
            self._steps(machines, first, last)
        for place, mark in enumerate(sorted(marks, key=lambda each: each.at)):
            self._mark(mark, place, len(marks) - 1)
        self._ends(seen, machines, last)

    # ---- places -------------------------------------------------------------------------------

    def _at_x(self, value: float) -> float:
        return self._left + LEFT + self._x.place(value) * (self._wide - LEFT - RIGHT)

    def _at_y(self, value: float) -> float:
        return self._top + TOP + (1 - self._y.place(value)) * (self._high - TOP - BOTTOM)

    def _frame(self) -> None:
        picture, bottom = self._picture, self._at_y(self._y.low)
        right = self._at_x(self._x.high)
        picture.text(self._left, self._top + 14, "Cost a month against volume", "ink bold", size=13)
        for value in _powers(self._y):
            y = drawing.number(self._at_y(value))
            picture.path(f"M{drawing.number(self._at_x(self._x.low))} {y}H{drawing.number(right)}", "line grid")
            picture.text(self._at_x(self._x.low) - 8, self._at_y(value) + 4, f"${_short(value)}", "soft", end="end")
        for value in _powers(self._x):
            x = drawing.number(self._at_x(value))
            picture.path(f"M{x} {drawing.number(bottom)}V{drawing.number(self._at_y(self._y.high))}", "line grid")
            picture.text(self._at_x(value), bottom + 16, _short(value), "soft", end="middle")
        middle = (self._at_x(self._x.low) + right) / 2
        picture.text(middle, bottom + 36, "requests a month (both axes logarithmic)", "soft", end="middle")

    def _line(self, line: HostedCost, first: float, last: float) -> None:
        """The line of the middle price, between thin dashed ones of the lowest and highest where they differ."""
        picture = self._picture
        picture.open(f"{line.name}: ${plain_money(line.usd.mid)} a request")
        if line.leading and line.usd.low < line.usd.high:
            for usd in (line.usd.low, line.usd.high):
                path = self._clipped(usd, first, last)
                if path:
                    picture.path(path, f"line {line.line}", dashed=True)
        thick = " thick" if line.leading else ""
        picture.path(self._clipped(line.usd.mid, first, last), f"line {line.line}{thick}")
        picture.close()

    def _clipped(self, usd: float, first: float, last: float) -> str:
        """A straight line of one price, as far as it is within the axes."""
        if usd <= 0:
            return ""
        begin, end = max(first, self._y.low / usd), min(last, self._y.high / usd)
        if begin >= end:
            return ""
        points = [(self._at_x(value), self._at_y(usd * value)) for value in (begin, end)]
        return "M" + "L".join(f"{drawing.number(x)} {drawing.number(y)}" for x, y in points)

    def _steps(self, machines: MachineCost, first: float, last: float) -> None:
        """A flat line up to what one machine answers, a step for each more, and a slope where they are many."""
        edges = [machines.capacity * count for count in range(1, STEPS + 1)]
        edges = [first, *(edge for edge in edges if first < edge < last)]
        path = ""
        for begin, end in zip(edges, [*edges[1:], last], strict=True):
            cost = own_cost(machines.owned, math.sqrt(begin * end), machines.capacity)
            if begin >= machines.capacity * STEPS and path:
                path += f"L{self._point(end, own_cost(machines.owned, end, machines.capacity))}"
                continue
            y = drawing.number(self._at_y(cost))
            path += f"V{y}" if path else f"M{drawing.number(self._at_x(begin))} {y}"
            path += f"H{drawing.number(self._at_x(end))}"
        self._picture.open(f"{machines.name}: ${plain_money(machines.owned.per_month)} per machine per month")
        self._picture.path(path, "line here-line thick")
        self._picture.close()

    def _point(self, requests: float, cost: float) -> str:
        return f"{drawing.number(self._at_x(requests))} {drawing.number(self._at_y(cost))}"

    def _mark(self, mark: VolumeMark, place: int, last: int) -> None:
        """A dashed line with words at its upper end; a ring where two lines cross, a bar for its range."""
        picture, x = self._picture, self._at_x(mark.at)
        top, bottom = self._at_y(self._y.high), self._at_y(self._y.low)
        picture.path(f"M{drawing.number(x)} {drawing.number(bottom)}V{drawing.number(top)}", "line edge", dashed=True)
        wide, y = drawing.width(mark.words, LABEL) + 10, top + 12 + place * ROW
        # Words of the first stand before it, so that the line of the next does not cross them.
        before = self._at_x(self._x.low) + wide <= x and (place < last or x + wide > self._at_x(self._x.high))
        picture.text(x - 6 if before else x + 6, y, mark.words, "ink", size=LABEL, end="end" if before else "")
        if mark.low < mark.high:
            begin, end = (drawing.number(self._at_x(value)) for value in (mark.low, mark.high))
            picture.path(f"M{begin} {drawing.number(bottom - 4)}H{end}", "line edge thick")
        if mark.cost is not None:
            picture.circle(x, self._at_y(mark.cost), 5, "answering here-line line-only")

    def _ends(self, lines: Sequence[HostedCost], machines: MachineCost | None, last: float) -> None:
        """What each line is, where it ends, words pushed apart where they would cover each other."""
        words = [(self._at_y(min(line.usd.mid * last, self._y.high)), line.name, line.ink) for line in lines]
        if machines is not None:
            cost = own_cost(machines.owned, last, machines.capacity)
            words.append((self._at_y(min(cost, self._y.high)), machines.name, "took"))
        x, room = self._at_x(self._x.high) + 8, RIGHT - 12
        taken = -math.inf
        for y, name, ink in sorted(words):
            at = max(y + 4, taken + ROW)
            for line in drawing.wrapped(name, LABEL, room, 2):
                self._picture.text(x, at, line, ink, size=LABEL)
                taken, at = at, at + ROW
            taken += 2


def _powers(axis: Axis) -> list[float]:
    """Powers of ten of an axis, at most eight of them."""
    found = [10.0**power for power in range(round(math.log10(axis.low)), round(math.log10(axis.high)) + 1)]
    return found[:: max(1, math.ceil(len(found) / 8))]


def _short(value: float) -> str:
    """A number on an axis.

    >>> _short(1e6), _short(2500.0), _short(0.01)
    ('1M', '2.5k', '0.01')
    """
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{sign}"
    return f"{value:g}"
