"""Scatter chart of an evaluation: correct answers against cost or seconds, as SVG text.

A point is a route, a bar its 95 % interval, and the stepped line the Pareto frontier: routes that no other beats on
both axes. Points show the route's number, which the table next to the chart explains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from intermodal.core.content import Value
from intermodal.evaluation.aggregation import RouteReport

WIDTH, HEIGHT = 560, 380
LEFT, RIGHT, TOP, BOTTOM = 56, 34, 38, 52
_RADIUS = 11
_WIDE = 20.0  # ratio of largest to smallest value from which the axis is logarithmic
_TICKS = 5


class Axis(Value):
    """A scale that maps values to 0..1, with its tick labels. ``log`` axes can have a separate place for 0."""

    low: float
    high: float
    log: bool = False
    zero: bool = False

    def place(self, value: float) -> float:
        begin = 0.16 if self.log and self.zero else 0.0
        if self.log:
            if value <= 0:
                return 0.03
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return begin + (1 - begin) * min(max(share, 0.0), 1.0)

    def ticks(self) -> list[float]:
        if not self.log:
            step = _nice_step((self.high - self.low) / _TICKS)
            return [step * number for number in range(math.floor(self.high / step + 1e-9) + 1)]
        powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
        every = max(1, len(powers) // 6)
        between = [3 * 10.0**power for power in powers[:-1]] if len(powers) <= 3 else []
        return ([0.0] if self.zero else []) + sorted([*between, *[10.0**power for power in powers][::every]])


def _nice_step(step: float) -> float:
    """Return the smallest 1, 2, 5 or 10 times a power of ten that is at least ``step``."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))


def axis_of(values: Sequence[float]) -> Axis:
    """Return an axis from 0 if values are of similar size, otherwise a logarithmic one over whole powers of ten."""
    some = [value for value in values if value > 0]
    if not some:
        return Axis(low=0.0, high=1.0)
    low, high = min(some), max(some)
    if high / low < _WIDE:
        step = _nice_step(high * 1.08 / _TICKS)
        return Axis(low=0.0, high=step * math.ceil(high * 1.08 / step - 1e-9))
    return Axis(
        low=10.0 ** math.floor(math.log10(low) + 1e-9), high=10.0 ** math.ceil(math.log10(high) - 1e-9), log=True,
        zero=len(some) < len(values),
    )  # fmt: skip


def scatter(
    routes: Sequence[RouteReport],
    figure: Callable[[RouteReport], float | None],
    best: Callable[[RouteReport], bool],
    *,
    key: str,
    title: str,
    label: str,
    unit: Callable[[float], str],
) -> str:
    """Return the chart as SVG. Routes without the figure are left out, and listed in its description.

    Args:
        figure: the value on the x axis. best: whether a route is on the frontier. key: prefix of the chart's ids.
        title, label: text above the chart and below its x axis. unit: formats a value of x.
    """
    points = [(row, value) for row in routes if (value := figure(row)) is not None]
    axis = axis_of([value for _, value in points])
    placed_points = _spread_numbers(points, axis)
    most = max((row.items for row in routes), default=0)
    description = "; ".join(
        f"route {row.number} {row.share:.0%} right ({row.low:.0%} to {row.high:.0%}) at {unit(value)}"
        for row, value in points
    )
    missing = [str(row.number) for row in routes if figure(row) is None]
    rest = f" Not shown, the figure is not known: route {', '.join(missing)}." if missing else ""
    lines = [
        f'<svg class="scatter" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-labelledby="{key}-title {key}-desc" xmlns="http://www.w3.org/2000/svg">',
        f'<title id="{key}-title">{escape(title)}</title>',
        f'<desc id="{key}-desc">{escape(description or "nothing to show")}.{escape(rest)}</desc>',
        *_frame(axis, title, label, unit),
        *_frontier([(axis.place(value), row.share) for row, value in points if best(row)]),
        *(_bar(row, place, x) for row, place, x in placed_points),
        *(_draw_point(row, x, hollow=row.items < most) for row, _, x in placed_points),  # above every bar
        "</svg>",
    ]
    return "\n".join(lines)


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)


def _frame(axis: Axis, title: str, label: str, unit: Callable[[float], str]) -> list[str]:
    lines = [f'<text class="head" x="{LEFT}" y="18">{escape(title)}</text>']
    for step in range(0, 101, 20):
        y = _y(step / 100)
        lines.append(f'<line class="grid" stroke="#bbb" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        lines.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{step} %</text>')
    for value in axis.ticks():
        x = _x(axis.place(value))
        bottom = HEIGHT - BOTTOM
        lines.append(f'<line class="grid" stroke="#bbb" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        lines.append(
            f'<text class="tick" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{escape(unit(value))}</text>'
        )
    scale = f"{label} (logarithmic)" if axis.log else label
    middle = (LEFT + WIDTH - RIGHT) / 2
    lines.append(f'<text class="axis" x="{middle:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{escape(scale)}</text>')
    return lines


def _frontier(places: list[tuple[float, float]]) -> list[str]:
    """Return the frontier as a stepped line."""
    if len(places) < 2:
        return []  # a single route has no line
    ordered = sorted(places)
    path = f"M{_x(ordered[0][0]):.1f} {_y(ordered[0][1]):.1f}"
    for x, y in ordered[1:]:
        path += f" H{_x(x):.1f} V{_y(y):.1f}"
    return [f'<path class="frontier" fill="none" stroke="currentColor" d="{path} H{_x(1.0):.1f}"/>']


def _spread_numbers(points: Sequence[tuple[RouteReport, float]], axis: Axis) -> list[tuple[RouteReport, float, float]]:
    """Return each route with its x position and that of its number, moved sideways if numbers would overlap."""
    positions: list[tuple[float, float]] = []
    found = []
    for row, value in points:
        wished, y = _x(axis.place(value)), _y(row.share)
        gap = 2 * _RADIUS + 2
        tries = [wished + sign * step * gap / 2 for step in range(2 * len(points) + 1) for sign in (1, -1)]
        inside = [x for x in tries if LEFT - 2 <= x <= WIDTH - RIGHT + 2] or [wished]
        x = next((x for x in inside if all(math.hypot(x - a, y - b) >= gap for a, b in positions)), inside[0])
        positions.append((x, y))
        found.append((row, wished, x))
    return found


def _bar(row: RouteReport, x: float, number_x: float) -> str:
    """Return the interval of a route, with a line to its number if that was moved."""
    y, low, high = _y(row.share), _y(row.low), _y(row.high)
    link_path = f"M{x:.1f} {y:.1f}H{number_x:.1f}" if abs(number_x - x) > 1 else ""
    path = f"M{x:.1f} {high:.1f}V{low:.1f}M{x - 5:.1f} {high:.1f}h10M{x - 5:.1f} {low:.1f}h10{link_path}"
    return f'<path class="bar {_hue(row)}" fill="none" stroke="currentColor" d="{path}"/>'


def _draw_point(row: RouteReport, number_x: float, *, hollow: bool) -> str:
    y = _y(row.share)
    tooltip = f"{row.number}: {row.route.endpoint}, {row.route.words}: right on {row.right} of {row.items}"
    return (
        f'<g class="{_hue(row)}{" few" * hollow}"><title>{escape(tooltip)}</title>'
        f'<circle cx="{number_x:.1f}" cy="{y:.1f}" r="{_RADIUS}"/>'
        f'<text class="number" fill="#fff" x="{number_x:.1f}" y="{y + 4:.1f}" text-anchor="middle">'
        f"{row.number}</text></g>"
    )


def _hue(row: RouteReport) -> str:
    return f"hue{(row.number - 1) % 8 + 1}"
