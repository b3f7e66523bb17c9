"""The picture of a bench: three rows of bars, one bar an endpoint and level, with the 10th to 90th percentile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from intermodal.plans.svg import Drawing, shortened
from intermodal.reports.bench import Level, Spread

_WIDE, _LEFT, _RIGHT, _BAR, _GAP, _HEAD, _TITLE = 860, 300, 130, 16, 5, 46, 34
_COLOURS = ("took", "maybe", "away", "good", "warn", "planned")


def picture(levels: Sequence[Level]) -> str:
    """Bars in the order of measuring; an endpoint keeps its colour."""
    panels: list[tuple[str, str, Callable[[Level], Spread]]] = [
        ("seconds to the first word, less is better", "s", lambda level: level.first),
        ("tokens a second of each request, more is better", "/s", lambda level: level.decode),
        ("tokens a second of all together, more is better", "/s", _throughput),
    ]
    high = _HEAD + len(panels) * (_TITLE + len(levels) * (_BAR + _GAP) + 10)
    drawing = Drawing("bench", _WIDE, high)
    drawing.text(16, 28, "Compared on one request", "ink bold", size=16)
    names = list(dict.fromkeys(level.endpoint for level in levels))
    top = float(_HEAD)
    for title, unit, figure in panels:
        drawing.text(16, top + 18, title, "ink bold", size=12)
        top += _TITLE
        most = max((_top(figure(level)) for level in levels), default=0.0) or 1.0
        for level in levels:
            _bar(drawing, level, figure(level), most, top, unit, _COLOURS[names.index(level.endpoint) % len(_COLOURS)])
            top += _BAR + _GAP
        top += 10
    said = "\n".join(
        f"{level.endpoint}, {level.concurrency} at once: first word {level.first.median or 0:.3f} s, "
        f"{level.decode.median or 0:.1f} tokens a second each, {level.throughput:.1f} together"
        for level in levels
    )
    return drawing.whole("Endpoints compared on one request", said)


def _throughput(level: Level) -> Spread:
    return Spread(median=level.throughput, low=level.throughput, high=level.throughput, count=1)


def _top(spread: Spread) -> float:
    return max(spread.median or 0.0, spread.high or 0.0)


def _bar(drawing: Drawing, level: Level, seen: Spread, most: float, top: float, unit: str, colour: str) -> None:
    room = _WIDE - _LEFT - _RIGHT
    label = shortened(f"{level.endpoint} x{level.concurrency}", 11, _LEFT - 30)
    drawing.text(_LEFT - 8, top + 12, label, "soft", size=11, end="end")
    if seen.median is None:
        drawing.text(_LEFT, top + 12, "nothing seen", "soft", size=11)
        return
    drawing.open(f"{level.endpoint}, {level.concurrency} at once: {seen.median:.3g} {unit}")
    drawing.rect((_LEFT, top, max(1.0, room * seen.median / most), _BAR), colour, radius=2)
    low, high, middle = seen.low or 0.0, seen.high or 0.0, top + _BAR / 2
    if high > low:
        drawing.path(f"M{_LEFT + room * low / most:.1f} {middle:.1f}H{_LEFT + room * high / most:.1f}", "edge line")
    drawing.close()
    drawing.text(_LEFT + room * _top(seen) / most + 8, top + 12, f"{seen.median:.3g} {unit}", "ink", size=11)
