"""A plan as a picture: parts, steps and answer from left to right, and the data that crosses the border of this
machine.

A function of the plan alone, so that a saved plan, a notebook and a web page show the same bytes.
"""

from __future__ import annotations

from intermodal.plans import svg as drawing
from intermodal.plans.explain import explain
from intermodal.plans.explain_lines import brief, condition, outranked, rejected, total
from intermodal.plans.graph_layout import EDGE, PAD, ROW, TEXT, TITLE, Card, Edge, HostBox, layout
from intermodal.plans.plan import Candidate, Plan
from intermodal.plans.plan_graph import checks_by_step, graph, sent
from intermodal.plans.rejections import fold_rejections

MARGIN = 20.0
NARROWEST = 760.0  # for the lists below a small graph
MOST, ROUTES = 5, 3  # fallbacks and rejections below the graph; routes that could but cost more
SENT = 10  # things that go to one host, each by itself
LABEL = 84.0  # room for "fallback 1"
_HIDDEN = ("output",)  # rejections of endpoints that do another job, as in EXPLAIN
_ICONS = {  # 14 x 14, one path each
    "text": "M1 2.5H13M1 6H13M1 9.5H9",
    "image": "M1 2H13V12H1ZM1 10L5 6.5L8 9L10 7.5L13 10M9.5 5.2H10.5",
    "audio": "M1 6V8M3.4 4V10M5.8 1.5V12.5M8.2 3.5V10.5M10.6 5V9M13 6V8",
    "video": "M1 3H9.5V11H1ZM9.5 6L13 4V10L9.5 8",
    "document": "M2.5 1H8.5L11.5 4V13H2.5ZM8.5 1V4H11.5M4.5 7H9.5M4.5 10H9.5",
}


def svg(plan: Plan, name: str = "") -> str:
    """The picture of a plan.

    Args:
        plan: any plan.
        name: what ids and classes in it begin with; made from the plan's id when "". Two pictures of one plan on
            one page want two names.
    """
    route = graph(plan.chosen)
    at = layout(route, _sent(plan.chosen))
    wide = max(at.wide, NARROWEST) + 2 * MARGIN
    head = _Text(wide).put(plan.headline, "ink bold", 15).put(f"policy: {plan.policy_line}", "soft", TEXT)
    lists = _lists(plan, wide)
    top = MARGIN + head.high + 12
    picture = drawing.Drawing(name or f"im-plan-{_safe(plan.id)}", wide, top + at.high + 16 + lists.high + MARGIN)
    head.draw(picture, MARGIN)
    mover = _Moved(picture, MARGIN + (max(at.wide, NARROWEST) - at.wide) / 2, top)
    for box in at.boxes:
        mover.box(box, leaves=bool(plan.chosen.sends))
    for way in at.ways:
        mover.way(way)
    for card in at.cards:
        mover.card(card)
    lists.draw(picture, top + at.high + 16)
    return picture.whole(plan.headline, explain(plan))


def _safe(text: str) -> str:
    """Letters and digits of an id: it becomes the name of a class."""
    return "".join(char for char in text if char.isascii() and char.isalnum())


def _sent(candidate: Candidate) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for host, things in sent(candidate).items():
        words = [f"{each.what} (from {each.origin})" for each in things]
        if len(words) > SENT:
            words = [*words[: SENT - 1], f"and {len(words) - SENT + 1} more"]
        found[host] = ["sent there:", *words]
    return found


# ---- the graph -------------------------------------------------------------------------------------


class _Moved:
    """Draws what a layout placed, moved to where the graph begins."""

    def __init__(self, picture: drawing.Drawing, left: float, top: float) -> None:
        self._picture = picture
        self._left, self._top = left, top

    def box(self, box: HostBox, *, leaves: bool) -> None:
        left, top = box.left + self._left, box.top + self._top
        side, picture = ("away" if box.host else "here"), self._picture
        picture.rect((left, top, box.wide, box.high), f"{side}-box {side}-line thick", radius=10)
        if box.host:
            picture.text(left + EDGE, top + 20, f"elsewhere: {box.host}", "away bold", size=12)
        else:
            picture.text(left + EDGE, top + 20, "this machine", "ink bold", size=12)
            if not leaves:
                picture.text(left + EDGE + 92, top + 20, "nothing leaves it", "soft", size=TEXT)
        for place, line in enumerate(box.notes.lines):
            picture.text(left + EDGE, top + 44 + place * ROW, line.text, line.style)

    def way(self, way: Edge) -> None:
        kind = "away" if way.away else "edge"
        line = "away-line thick" if way.away else "edge"
        self._picture.path(_rounded(way.corners, self._left, self._top), f"line {line}")
        x, y = way.corners[-1][0] + self._left, way.corners[-1][1] + self._top
        tip, up, down = (drawing.number(each) for each in (x, y - 4, y + 4))
        back, mid = drawing.number(x - 7), drawing.number(y)
        self._picture.path(f"M{back} {up}L{tip} {mid}L{back} {down}Z", f"{kind}-head")
        for over in way.crossings:
            self._picture.circle(over[0] + self._left, over[1] + self._top, 4.5, "away-head")

    def card(self, card: Card) -> None:
        picture, node = self._picture, card.node
        left, top = card.left + self._left, card.top + self._top
        if node.count > 1:  # a pile of cards
            picture.rect((left + 4, top + 4, card.wide, card.high), "card card-line line-only", radius=7)
        picture.open(node.hint or node.title, f"node {node.shape}")
        fill = "answering here-line" if node.shape == "last" else "card card-line"
        picture.rect((left, top, card.wide, card.high), fill, radius=7)
        shift = 0.0
        if node.kind in _ICONS:
            shift = 20.0
            picture.path(_moved_icon(node.kind, left + PAD, top + PAD - 1), "line edge")
        room = card.wide - 2 * PAD - shift
        title = drawing.shortened(node.title, TITLE, room, bold=True)
        picture.text(left + PAD + shift, top + PAD + TITLE * 0.85, title, "ink bold", size=TITLE)
        at = top + PAD + TITLE * drawing.LINE + TEXT
        for line in card.words.lines:
            picture.text(left + PAD, at, line.text, line.style)
            at += ROW
        picture.close()
        for check, words, (x, y, wide, high) in card.checks:
            x, y = x + self._left, y + self._top
            middle = drawing.number(x + wide / 2)
            picture.path(f"M{middle} {drawing.number(y - 9)}V{drawing.number(y)}", "line maybe-line", dashed=True)
            picture.open(f"check {check.op}: {check.title} {check.note}".rstrip(": "), "check")
            picture.rect((x, y, wide, high), "page maybe-line", radius=7, dashed=True)
            for place, line in enumerate(words.lines):
                picture.text(x + PAD, y + PAD / 2 + TEXT + place * ROW, line.text, line.style)
            picture.close()


def _rounded(corners: tuple[tuple[float, float], ...], left: float, top: float) -> str:
    """Return a path with rounded corners."""
    moved = [(x + left, y + top) for x, y in corners]
    data = [f"M{_pair(moved[0])}"]
    for before, corner, after in zip(moved, moved[1:], moved[2:], strict=False):
        radius = min(8.0, _apart(before, corner) / 2, _apart(corner, after) / 2)
        data.append(
            f"L{_pair(_towards(corner, before, radius))}Q{_pair(corner)} {_pair(_towards(corner, after, radius))}"
        )
    data.append(f"L{_pair(moved[-1])}")
    return "".join(data)


def _apart(one: tuple[float, float], other: tuple[float, float]) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _towards(corner: tuple[float, float], other: tuple[float, float], far: float) -> tuple[float, float]:
    """The point ``far`` from a corner on the level or upright line to another one."""
    whole = _apart(corner, other) or 1.0
    return (corner[0] + (other[0] - corner[0]) * far / whole, corner[1] + (other[1] - corner[1]) * far / whole)


def _pair(point: tuple[float, float]) -> str:
    return f"{drawing.number(point[0])} {drawing.number(point[1])}"


def _moved_icon(kind: str, left: float, top: float) -> str:
    """An icon's path at a place: its first, absolute coordinates are relative to the icon's corner."""
    found: list[str] = []
    for letter, rest in _commands(_ICONS[kind]):
        values = [float(value) for value in rest.split()]
        if letter == "H":
            values = [values[0] + left]
        elif letter == "V":
            values = [values[0] + top]
        elif letter != "Z":
            values = [value + (top if place % 2 else left) for place, value in enumerate(values)]
        found.append(letter + " ".join(map(drawing.number, values)))
    return "".join(found)


def _commands(data: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for char in data:
        if char.isalpha():
            found.append((char, ""))
        else:
            letter, rest = found[-1]
            found[-1] = (letter, rest + char)
    return found


# ---- words around it -------------------------------------------------------------------------------


class _Text:
    """Lines of words under each other, some with a label at the left."""

    def __init__(self, wide: float) -> None:
        self._room = wide - 2 * MARGIN
        self._lines: list[tuple[str, str, str, float]] = []
        self.high = 0.0

    def put(self, words: str, style: str, size: float, label: str = "", most: int = 0) -> _Text:
        room = (self._room - (LABEL if label else 0)) / (drawing.BOLD if "bold" in style else 1.0)
        for place, line in enumerate(drawing.wrapped(words, size, room, most)):
            self._lines.append((label if not place else " " if label else "", line, style, size))
            self.high += size * drawing.LINE + 1
        return self

    def draw(self, picture: drawing.Drawing, top: float) -> None:
        at = top
        for label, line, style, size in self._lines:
            at += size * drawing.LINE + 1
            if label.strip():
                picture.text(MARGIN, at - 3, label, "soft bold", size=size)
            picture.text(MARGIN + (LABEL if label else 0), at - 3, line, style, size=size)


def _dotted(words: str) -> str:
    """Columns that EXPLAIN sets apart by spaces, set apart by dots."""
    return words.replace("  ", " · ")


def _lists(plan: Plan, wide: float) -> _Text:
    """Return totals, destinations, notes, other routes: the lines of EXPLAIN below its tree, long lists cut short."""
    text = _Text(wide)
    chosen = plan.chosen
    text.put(f"{total(chosen)}; weakest link {chosen.tier}", "ink bold", TEXT + 1, "total")
    if not chosen.sends:
        text.put("nothing leaves this machine", "ink", TEXT, "sends")
    for host, things in sent(chosen).items():
        words = [f"{each.what} (from {each.origin})" for each in things]
        text.put(f"{', '.join(words)} → {host}", "away", TEXT, "sends", most=4)
    checks = list(dict.fromkeys(check for some in checks_by_step(chosen).values() for check in some))
    if any(condition(check) for check in checks):
        text.put("dashed parts cost something only if their check finds a problem", "maybe", TEXT, "checks")
    for check in checks:
        if check.op == "size":
            text.put(f"{check.title or check.op}: {check.note}", "maybe", TEXT, "checks")
    for note in plan.notes:
        text.put(note, "warn", TEXT, "note", most=4)
    for place, candidate in enumerate(plan.fallbacks[:MOST], 1):
        text.put(_dotted(brief(candidate)), "ink", TEXT, f"fallback {place}", most=3)
    for other in plan.outranked[:ROUTES]:
        text.put(_dotted(outranked(other)), "soft", TEXT, "not chosen", most=3)
    rows = [row for row in fold_rejections(plan.rejected) if row.rule not in _HIDDEN]
    for row in rows[:MOST]:
        text.put(_dotted(rejected(row)), "soft", TEXT, "rejected", most=2)
    for label, count, most in (
        ("fallbacks", len(plan.fallbacks), MOST),
        ("not chosen", len(plan.outranked), ROUTES),
        ("rejected", len(rows), MOST),
    ):
        if count > most:
            text.put(f"{count - most} more (intermodal explain says them all)", "soft", TEXT, label)
    when = (
        f"inputs {plan.inputs or '-'}, catalog {plan.catalog or '-'}, statistics {plan.statistics}, as of {plan.as_of}"
    )
    return text.put(f"plan {plan.id}: {when}", "soft", TEXT - 1)
