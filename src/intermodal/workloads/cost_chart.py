"""The chart of a monthly bill: one bar per plan, stacked by modality, with the range of the total."""

from __future__ import annotations

import math

from intermodal.plans import svg as drawing
from intermodal.plans.svg import Colour, number
from intermodal.workloads.bills import MonthlyCost, PlanBill
from intermodal.workloads.cost_tables import dollars, headline, plain_dollars, whole_dollars

NAME, AXIS, TAIL = 210.0, 520.0, 190.0  # widths: plans, money, totals
MARGIN, ROW, BAR, HEAD = 20.0, 52.0, 20.0, 98.0
SIZE = 11.0
LEAST = 0.5  # pixels below which a share is not drawn
_BEYOND = 2.5  # times the largest middle: how far the axis goes to hold the ranges
_TICKS = 6
# Okabe and Ito's palette, which people tell apart whatever colours they see (Color Universal Design, 2008).
COLOURS: dict[str, Colour] = {
    "range": ("stroke", "#59636e", "#9198a1"),
    "of-text": ("fill", "#0072b2", "#4da3d9"),
    "of-image": ("fill", "#e69f00", "#f0b429"),
    "of-audio": ("fill", "#009e73", "#2fc49a"),
    "of-video": ("fill", "#cc79a7", "#e09cc2"),
    "of-pdf": ("fill", "#d55e00", "#f0803c"),
    "of-output": ("fill", "#56b4e9", "#8fd0f5"),
}


def svg(made: MonthlyCost, name: str = "im-month") -> str:
    """``name``: of the picture, letters, digits and hyphens; its classes begin with it."""
    return _Chart(made, name).whole()


class _Chart:
    def __init__(self, made: MonthlyCost, name: str) -> None:
        self._made = made
        self._left = MARGIN + NAME
        self._bottom = HEAD + ROW * len(made.plans)
        self._wide = self._left + AXIS + TAIL + MARGIN
        self._end, self._step = _axis(made)
        self._picture = drawing.Drawing(name, self._wide, self._bottom + 52, COLOURS)

    def whole(self) -> str:
        picture, made = self._picture, self._made
        title = drawing.shortened(made.name, 15, self._wide - 2 * MARGIN, bold=True)
        picture.text(MARGIN, 32, title, "ink bold", size=15)
        said = f"{made.requests:,.0f} requests a month, prices of {made.day}"
        picture.text(MARGIN, 51, said, "soft", size=12)
        self._legend()
        self._grid()
        for place, plan in enumerate(made.plans):
            self._row(plan, HEAD + ROW * place)
        described = "; ".join(f"{plan.name}: {plan.refused or whole_dollars(plan.total)}" for plan in made.plans)
        return picture.whole(headline(made), described)

    def _x(self, usd: float) -> float:
        return self._left + min(usd / self._end, 1.0) * AXIS

    def _legend(self) -> None:
        at = self._left
        for modality in self._made.modalities:
            self._picture.rect((at, 66, 12, 12), f"of-{modality}", radius=2)
            self._picture.text(at + 17, 76, modality, "soft")
            at += 34 + drawing.width(modality, SIZE)
        self._picture.path(f"M{number(at)} 72H{number(at + 18)}M{number(at)} 68v8M{number(at + 18)} 68v8", "line range")
        self._picture.text(at + 23, 76, "range", "soft")

    def _grid(self) -> None:
        for place in range(math.floor(self._end / self._step + 1e-9) + 1):
            usd = place * self._step
            x = self._x(usd)
            self._picture.path(f"M{number(x)} {number(HEAD - 8)}V{number(self._bottom)}", "line grid")
            label = f"${plain_dollars(usd) if usd < 10 and self._step < 1 else f'{usd:,.0f}'}" if usd else "$0"
            self._picture.text(x, self._bottom + 18, label, "soft", end="middle")
        middle = self._left + AXIS / 2
        self._picture.text(middle, self._bottom + 38, "USD a month", "soft", end="middle")

    def _row(self, plan: PlanBill, top: float) -> None:
        picture = self._picture
        middle = top + BAR / 2
        picture.open(_hint(plan))
        picture.text(MARGIN, middle, drawing.shortened(plan.name, 12, NAME - 14, bold=True), "ink bold", size=12)
        who = plan.endpoint.rpartition("/")[2]
        picture.text(MARGIN, middle + 16, drawing.shortened(who, SIZE, NAME - 14), "soft")
        tail = self._left + AXIS + 14
        if plan.refused:
            picture.text(self._left + 6, middle + 4, "no route is allowed", "bad")
        elif not plan.total.known:
            picture.rect((self._left, top, AXIS * 0.3, BAR), "card edge", radius=2, dashed=True)
            picture.text(self._left + 8, middle + 4, "somebody in it has no known price", "warn")
            picture.text(tail, middle + 4, "unknown", "warn bold", size=12)
        else:
            self._bar(plan, top)
            whole, _, spread = whole_dollars(plan.total).partition(" ")
            picture.text(tail, middle, whole, "ink bold", size=12)
            hours = f"{plan.hours.mid:,.0f} h here" if plan.hours.known and plan.hours.mid >= 0.5 else ""
            picture.text(tail, middle + 16, ", ".join(word for word in (spread, hours) if word), "soft")
        picture.close()

    def _bar(self, plan: PlanBill, top: float) -> None:
        at = self._left
        for modality in self._made.modalities:
            wide = plan.usd[modality].mid / self._end * AXIS
            if wide >= LEAST:
                self._picture.rect((at, top, wide, BAR), f"of-{modality}")
            at += wide
        if plan.total.high == 0:
            self._picture.path(f"M{number(self._left)} {number(top)}v{number(BAR)}", "line thick edge")
            return
        low, high, y = self._x(plan.total.low), self._x(plan.total.high), top + BAR + 8
        if high - low < 1:
            return
        beyond = plan.total.high > self._end
        end = f"M{number(high - 5)} {number(y - 4)}l5 4l-5 4" if beyond else f"M{number(high)} {number(y - 4)}v8"
        data = f"M{number(low)} {number(y)}H{number(high)}M{number(low)} {number(y - 4)}v8{end}"
        self._picture.path(data, "line range")


def _hint(plan: PlanBill) -> str:
    if plan.refused:
        return f"{plan.name}: {plan.refused}"
    parts = ", ".join(f"{name} {dollars(usd)}" for name, usd in plan.usd.items() if not usd.known or usd.high)
    return f"{plan.name}: {whole_dollars(plan.total)} a month; {parts or 'nothing to pay'}"


def _axis(made: MonthlyCost) -> tuple[float, float]:
    """Where the axis ends, and its step: every middle fits, ranges as far as they leave bars to be seen."""
    known = [plan.total for plan in made.plans if not plan.refused and plan.total.known]
    middle, high = max((each.mid for each in known), default=0.0), max((each.high for each in known), default=0.0)
    most = min(high, middle * _BEYOND) or high
    if not most:
        return 1.0, 0.5
    step = 10.0 ** math.floor(math.log10(most / _TICKS))
    step = next(step * factor for factor in (1, 2, 5, 10) if most / (step * factor) <= _TICKS)
    return step * math.ceil(most / step - 1e-9), step
