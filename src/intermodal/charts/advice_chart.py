"""The chart of advice: the questions that lead to the decision, and cost against volume."""

from __future__ import annotations

import hashlib

from intermodal.advisor.advice import LOCAL, Advice, DecisionFork, RouteOffer, RoutePick, figures, headline, text
from intermodal.charts.volume_chart import HostedCost, MachineCost, VolumeChart, VolumeMark
from intermodal.plans import svg as drawing

WIDE, MARGIN = 860.0, 20.0
CARD, STEP, GAP = 262.0, 46.0, 22.0  # a question's width and height, and how far the next is below
PAD, SIZE, ROW = 10.0, 11.0, 15.0
CHART = 330.0
_LINES = (("maybe-line", "maybe"), ("bad-line", "bad"), ("edge", "soft"))


def svg(advice: Advice, name: str = "") -> str:
    """The picture.

    Args:
        name: what ids and classes in it begin with; made from the advice when "".
    """
    head = drawing.wrapped(f"Decision: {headline(advice)}", 16, (WIDE - 2 * MARGIN) / drawing.BOLD, 2)
    why = drawing.wrapped(f"because {advice.reason}. {advice.headline}.", SIZE, WIDE - 2 * MARGIN, 5)
    top = MARGIN + 22 * len(head) + ROW * len(why) + 14
    path = len(advice.path) * (STEP + GAP) + STEP + 14
    label = [f"Label: {advice.matters}."] if advice.matters else []
    label += [f"{place}: {pick.offer.endpoint}, {', '.join(figures(pick.offer))}." for place, pick in _next(advice)]
    label += [f"Beside: {headline(other)}, {', '.join(figures(other.offer))}." for other in advice.beside]
    below = drawing.wrapped(" ".join((*label, f"Break-even: {advice.break_even.words}.")), SIZE, WIDE - 2 * MARGIN, 6)
    charted = _lines(advice)
    high = top + path + (CHART if charted else 0) + ROW * len(below) + MARGIN + 10
    picture = drawing.Drawing(name or f"im-advice-{_digest(advice)}", WIDE, high)
    y = MARGIN + 14
    for line in head:
        picture.text(MARGIN, y, line, "ink bold", size=16)
        y += 22
    for line in why:
        picture.text(MARGIN, y, line, "soft", size=SIZE)
        y += ROW
    _path(picture, advice, top)
    if charted:
        chart = VolumeChart(picture, (MARGIN, top + path, WIDE - 2 * MARGIN, CHART))
        chart.draw(charted, _machines(advice), _marks(advice))
    y = top + path + (CHART if charted else 0) + 14
    for line in below:
        picture.text(MARGIN, y, line, "ink", size=SIZE)
        y += ROW
    return picture.whole(f"Advice: {headline(advice)}", text(advice))


def _next(advice: Advice) -> list[tuple[str, RoutePick]]:
    """What comes after the decision, each with its place."""
    found = [(_PLACES[place], pick) for place, pick in enumerate(advice.best[1:])]
    return found + ([("Where somebody waits", advice.otherwise)] if advice.otherwise is not None else [])


_PLACES = ("Second", "Third")


def _digest(advice: Advice) -> str:
    return hashlib.sha256(text(advice).encode()).hexdigest()[:12]


# ---- the path --------------------------------------------------------------------------------------


def _path(picture: drawing.Drawing, advice: Advice, top: float) -> None:
    for place, fork in enumerate(advice.path):
        _fork(picture, fork, top + place * (STEP + GAP))
    at = top + len(advice.path) * (STEP + GAP)
    wide = WIDE - 2 * MARGIN
    picture.rect((MARGIN, at, wide, STEP), "answering here-line", radius=7)
    title = advice.decided.title
    picture.text(MARGIN + PAD, at + 19, title, "ink bold", size=13)
    shown = drawing.shortened(" · ".join((advice.endpoint, *figures(advice.offer))), SIZE, wide - 2 * PAD)
    picture.text(MARGIN + PAD, at + 36, shown, "soft", size=SIZE)


def _fork(picture: drawing.Drawing, fork: DecisionFork, top: float) -> None:
    """A question, its answer on the way down, the reason beside it, and where the other answer would have led."""
    picture.rect((MARGIN, top, CARD, STEP), "card card-line", radius=7)
    lines = drawing.wrapped(fork.question, 12, CARD - 2 * PAD, 2)
    for place, line in enumerate(lines):
        picture.text(MARGIN + PAD, top + STEP / 2 + 4 + (place - (len(lines) - 1) / 2) * ROW, line, "ink bold", size=12)
    x = MARGIN + 26
    arrow = drawing.number(top + STEP + GAP - 7)
    picture.path(f"M{drawing.number(x)} {drawing.number(top + STEP)}V{arrow}", "line here-line thick")
    tip = drawing.number(top + STEP + GAP - 1)
    left, right = drawing.number(x - 4), drawing.number(x + 4)
    picture.path(f"M{left} {arrow}L{drawing.number(x)} {tip}L{right} {arrow}Z", "took")
    picture.text(x + 10, top + STEP + GAP / 2 + 4, fork.answer, "ink bold", size=SIZE)
    side, room = MARGIN + CARD + 16, WIDE - 2 * MARGIN - CARD - 16
    other = f"{'no' if fork.answer == 'yes' else 'yes'} would lead to {fork.otherwise}" if fork.otherwise else ""
    words = drawing.wrapped(f"{fork.answer}: {fork.why}", SIZE, room, 2 if other else 3)
    y = top + STEP / 2 + 4 - (len(words) + bool(other) - 1) * ROW / 2
    for line in words:
        picture.text(side, y, line, "ink", size=SIZE)
        y += ROW
    if other:
        picture.text(side, y, drawing.shortened(other, SIZE, room), "soft", size=SIZE)


# ---- the chart -------------------------------------------------------------------------------------


def _lines(advice: Advice) -> list[HostedCost]:
    """The hosted route of every kind that has a known price, the decision's first."""
    found: list[HostedCost] = []
    others = iter(_LINES)
    for kind in sorted(advice.kinds, key=lambda each: each.use != advice.use):
        offer = next((each for each in kind.offers if each.place == "hosted" and each.there), None)
        if offer is None or not offer.usd.known or not offer.usd.mid:
            continue
        leading = offer.endpoint == advice.break_even.hosted and not any(line.leading for line in found)
        line, ink = ("away-line", "away") if leading else next(others, _LINES[-1])
        found.append(HostedCost(name=_named(kind.title, offer), usd=offer.usd, line=line, ink=ink, leading=leading))
    return found


def _named(title: str, offer: RouteOffer) -> str:
    host = offer.endpoint.partition(":")[0]
    return f"{title.removeprefix('an ').removeprefix('a ').partition(' (')[0]}, {host}"


def _machines(advice: Advice) -> MachineCost | None:
    even = advice.break_even
    if advice.owned is None or not even.capacity.known or even.capacity.mid <= 0:
        return None
    return MachineCost(name=f"{LOCAL}: {even.here}", owned=advice.owned, capacity=even.capacity.mid)


def _marks(advice: Advice) -> list[VolumeMark]:
    found = []
    even, volume = advice.break_even, advice.volume
    if volume is not None:
        found.append(VolumeMark(words=f"yours: {volume.per_month:,.0f}", at=volume.per_month))
    if even.requests.known and even.machine.known:
        at = even.requests
        found.append(
            VolumeMark(words=f"break-even: {at.mid:,.0f}", at=at.mid, cost=even.machine.mid, low=at.low, high=at.high)
        )
    elif even.milestones and volume is None:
        found.append(VolumeMark(words=f"${even.milestones[0].usd:,.0f} hosted", at=even.milestones[0].requests))
    return found
