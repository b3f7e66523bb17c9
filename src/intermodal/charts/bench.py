"""The chart of a benchmark: three panels with one bar per endpoint and level, and the 10th to 90th percentile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from intermodal.evaluation.bench import LoadLevel, Percentiles
from intermodal.plans.svg import Drawing, width

_ROOM, _RIGHT, _BAR, _GAP, _HEAD, _TITLE = 430, 130, 16, 5, 46, 34  # _ROOM: width of the longest bar
_SIZE = 11.0  # of labels
_COLOURS = ("took", "maybe", "away", "good", "warn", "planned")


def bar_chart(levels: Sequence[LoadLevel]) -> str:
    """Return the chart, with bars in the order of measurement and one colour per endpoint."""
    panels: list[tuple[str, str, Callable[[LoadLevel], Percentiles]]] = [
        ("seconds to the first word, less is better", "s", lambda level: level.first),
        ("tokens a second of each request, more is better", "/s", lambda level: level.decode),
        ("tokens a second of all together, more is better", "/s", _throughput),
    ]
    high = _HEAD + len(panels) * (_TITLE + len(levels) * (_BAR + _GAP) + 10)
    left = 24 + max((width(_label(level), _SIZE) for level in levels), default=0.0)  # labels are not shortened
    drawing = Drawing("bench", left + _ROOM + _RIGHT, high)
    drawing.add_text(16, 28, "Compared on one request", "ink bold", size=16)
    names = list(dict.fromkeys(level.endpoint for level in levels))
    top = float(_HEAD)
    for title, unit, figure in panels:
        drawing.add_text(16, top + 18, title, "ink bold", size=12)
        top += _TITLE
        most = max((_highest_value(figure(level)) for level in levels), default=0.0) or 1.0
        for level in levels:
            colour = _COLOURS[names.index(level.endpoint) % len(_COLOURS)]
            _bar(drawing, level, figure(level), most, (left, top), unit, colour)
            top += _BAR + _GAP
        top += 10
    description = "\n".join(
        f"{level.endpoint}, {level.concurrency} at once: first word {level.first.median or 0:.3f} s, "
        f"{_figure(level.decode.median)} tokens a second each, {_figure(level.throughput)} together"
        for level in levels
    )
    return drawing.render("Endpoints compared on one request", description)


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f}"


def _throughput(level: LoadLevel) -> Percentiles:
    return Percentiles(median=level.throughput, low=level.throughput, high=level.throughput, count=1)


def _highest_value(spread: Percentiles) -> float:
    return max(spread.median or 0.0, spread.high or 0.0)


def _label(level: LoadLevel) -> str:
    return f"{level.endpoint} x{level.concurrency}"


def _bar(
    drawing: Drawing,
    level: LoadLevel,
    percentiles: Percentiles,
    most: float,
    corner: tuple[float, float],
    unit: str,
    colour: str,
) -> None:
    left, top = corner
    drawing.add_text(left - 8, top + 12, _label(level), "soft", size=_SIZE, end="end")
    if percentiles.median is None:
        drawing.add_text(left, top + 12, "nothing seen", "soft", size=11)
        return
    drawing.open(f"{level.endpoint}, {level.concurrency} at once: {percentiles.median:.3g} {unit}")
    drawing.rect((left, top, max(1.0, _ROOM * percentiles.median / most), _BAR), colour, radius=2)
    low, high, middle = percentiles.low or 0.0, percentiles.high or 0.0, top + _BAR / 2
    if high > low:
        drawing.path(f"M{left + _ROOM * low / most:.1f} {middle:.1f}H{left + _ROOM * high / most:.1f}", "edge line")
    drawing.close()
    drawing.add_text(
        left + _ROOM * _highest_value(percentiles) / most + 8,
        top + 12,
        f"{percentiles.median:.3g} {unit}",
        "ink",
        size=11,
    )
