"""Renders a plan as SVG: parts, steps and answer from left to right, and the data that leaves this machine.

The output depends on the plan alone, so that a saved plan, a notebook and a web page show the same bytes.
"""

from __future__ import annotations

from itertools import pairwise

from intermodal.core.content import Value
from intermodal.plans import svg
from intermodal.plans import svg as drawing
from intermodal.plans.explain import (
    condition,
    explain,
    fallback_line,
    fold_rejections,
    outranked_text,
    rejection_text,
    total_line,
)
from intermodal.plans.plan import Candidate, Plan
from intermodal.plans.plan_graph import CardLine, GraphNode, PlanGraph, checks_by_step, graph, sent_data
from intermodal.plans.step import Check

# The layout of a graph: a track per path, a column per step, remote steps in boxes below.
#
# The box "this machine" holds all tracks. A step at a host is below its column in that host's box, so that everything
# that leaves the machine or comes back crosses the line between the two.


CARD, PART, FINISH = 226.0, 200.0, 128.0  # widths: of steps, of parts, of the answer
_PAD = 10.0
TITLE, TEXT = 12.5, 11.0  # font sizes
_ROW = TEXT * svg.LINE
GAP = 50.0  # between columns, plus the room for edges in it
_ROOM = 16.0  # between lanes
_EDGE = 18.0  # inside a box
_HEAD = 26.0  # for a box's name
_CHECK_GAP = 9.0
_TRACK = 9.0  # between adjacent edges


class WrappedLines(Value):
    """Lines after wrapping, each with its style."""

    lines: tuple[CardLine, ...]

    @property
    def height(self) -> float:
        return len(self.lines) * _ROW


class Card(Value):
    """A placed node. ``checks`` are the boxes below it, each with left, top, width and height."""

    node: GraphNode
    left: float
    top: float
    wide: float
    high: float
    words: WrappedLines
    checks: tuple[tuple[Check, WrappedLines, tuple[float, float, float, float]], ...] = ()

    @property
    def middle(self) -> float:
        return self.top + self.high / 2


class Edge(Value):
    """An edge with the corners of its path. ``leaves_machine``: it crosses the border of this machine."""

    start: str
    end: str
    corners: tuple[tuple[float, float], ...]
    leaves_machine: bool = False
    crossings: tuple[tuple[float, float], ...] = ()


class HostBox(Value):
    """The box of this machine ("") or of a host. ``notes`` are the lines of text at its left."""

    host: str
    left: float
    top: float
    wide: float
    high: float
    notes: WrappedLines = WrappedLines(lines=())


class Layout(Value):
    wide: float
    high: float
    cards: tuple[Card, ...]
    ways: tuple[Edge, ...]
    boxes: tuple[HostBox, ...]


def layout(graph: PlanGraph, sends_by_host: dict[str, list[str]]) -> Layout:
    """Place a graph with its top left corner at 0, 0. ``sends_by_host``: descriptions of the data sent."""
    return _Layout(graph, sends_by_host).build()


def _wrap_lines(lines: tuple[CardLine, ...], room: float, most: int = 3) -> WrappedLines:
    found: list[CardLine] = []
    for line in lines:
        found += [CardLine(text=part, style=line.style) for part in svg.wrap_lines(line.text, TEXT, room, most)]
    return WrappedLines(lines=tuple(found))


def _check_words(check: Check, room: float) -> WrappedLines:
    """Return the lines of a check: its title, its note, and the cost of its escalation."""
    lines = [CardLine(text=f"check {check.title or check.op.replace('_', ' ')}", style="maybe")]
    lines += [CardLine(text=check.note)] if check.note else []
    lines += [CardLine(text=condition(check))] if condition(check) else []
    return _wrap_lines(tuple(lines), room, most=5)


class _Layout:
    def __init__(self, graph: PlanGraph, sends_by_host: dict[str, list[str]]) -> None:
        self._graph = graph
        self._sends_by_host = sends_by_host
        self._nodes = {node.key: node for node in graph.nodes}
        self._columns = max(node.column for node in graph.nodes) + 1
        self._lanes = {path: lane for lane, path in enumerate(graph.paths)}
        self._edges = self._edges_with_lanes()
        self._words = {node.key: self._content(node) for node in graph.nodes}

    def build(self) -> Layout:
        lefts, widths = self._placed_columns()
        axes, end = self._placed_lanes()
        cards = self._cards_here(lefts, widths, axes)
        bottom = max([end, *(card.top + _card_height(card) for card in cards.values())])
        right = max(left + wide for left, wide in zip(lefts, widths, strict=True)) + _EDGE
        boxes = [HostBox(host="", left=0, top=0, wide=right, high=bottom + _EDGE)]
        for host in dict.fromkeys([node.host for node in self._graph.nodes if node.host] + list(self._sends_by_host)):
            last = boxes[-1]
            boxes.append(self._host(host, last.top + last.high + 30, right, (lefts, widths), cards))
        edges = self._route_edges(cards, lefts, axes, boxes[0].high)
        return Layout(
            wide=right, high=boxes[-1].top + boxes[-1].high, cards=tuple(cards.values()), ways=edges, boxes=tuple(boxes)
        )

    # ---- card contents --------------------------------------------------------------------------

    def _content(self, node: GraphNode) -> tuple[WrappedLines, tuple[tuple[Check, WrappedLines], ...]]:
        room = _width(node) - 2 * _PAD
        return _wrap_lines(node.lines, room), tuple((check, _check_words(check, room)) for check in node.checks)

    def _node_height(self, node: GraphNode) -> float:
        return _PAD * 1.6 + TITLE * svg.LINE + self._words[node.key][0].height

    def _with_checks(self, node: GraphNode) -> float:
        return self._node_height(node) + sum(words.height + _PAD + _CHECK_GAP for _, words in self._words[node.key][1])

    # ---- columns and lanes ----------------------------------------------------------------------

    def _edges_with_lanes(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Return each edge once, with the first path that contains it."""
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        for path in self._graph.paths:
            for pair in pairwise(path):
                found.setdefault(pair, path)
        return found

    def _placed_columns(self) -> tuple[list[float], list[float]]:
        widths = [0.0] * self._columns
        for node in self._graph.nodes:
            widths[node.column] = max(widths[node.column], _width(node))
        lefts, left = [], _EDGE
        for column, wide in enumerate(widths):
            lefts.append(left)
            left += wide + GAP + _TRACK * max(0, len(self._tracks(column + 1)) - 1)
        return lefts, widths

    def _away(self, start: str, end: str) -> bool:
        return self._nodes[start].host != self._nodes[end].host

    def _tracks(self, column: int) -> list[tuple[str, bool]]:
        """Return the targets of edges in the gap before a column. Edges that cross the border get their own track."""
        found = [
            (end, self._away(start, end)) for start, end in self._edges if self._nodes[end].column == column
        ]  # fmt: skip
        return list(dict.fromkeys(found))

    def _lanes_of(self, key: str) -> list[int]:
        return [lane for path, lane in self._lanes.items() if key in path]

    def _placed_lanes(self) -> tuple[list[float], float]:
        """Return the axis of each lane, on which its cards are centred, and the bottom of the last lane."""
        above = [1.5 * _ROW] * len(self._lanes)
        below = [1.5 * _ROW] * len(self._lanes)
        local_nodes = [node for node in self._graph.nodes if not node.host]
        for node in local_nodes:
            lanes, half = self._lanes_of(node.key), self._node_height(node) / 2
            if len(lanes) == 1:
                above[lanes[0]] = max(above[lanes[0]], half)
                below[lanes[0]] = max(below[lanes[0]], self._with_checks(node) - half)
        for node in local_nodes:
            lanes = self._lanes_of(node.key)
            first, last, half = lanes[0], lanes[-1], self._node_height(node) / 2
            if len(lanes) > 1:  # it is centred between its outer lanes
                distance = sum(above[first : last + 1]) + sum(below[first : last + 1]) + _ROOM * (last - first)
                reach = (distance - above[first] - below[last]) / 2
                above[first] += max(0.0, half - reach - above[first])
                below[last] += max(0.0, self._with_checks(node) - half - reach - below[last])
        axes, top = [], _HEAD + 10
        for up, down in zip(above, below, strict=True):
            axes.append(top + up)
            top += up + down + _ROOM
        return axes, top - _ROOM

    def _cards_here(self, lefts: list[float], widths: list[float], axes: list[float]) -> dict[str, Card]:
        cards: dict[str, Card] = {}
        free = [_HEAD + 10] * self._columns  # where the next card of a column may begin
        for node in sorted(self._graph.nodes, key=lambda node: (node.column, self._first_lane(node.key))):
            if node.host:
                continue
            lanes = self._lanes_of(node.key)
            middle = (axes[lanes[0]] + axes[lanes[-1]]) / 2
            top = max(middle - self._node_height(node) / 2, free[node.column])
            free[node.column] = top + self._with_checks(node) + _ROOM
            wide = _width(node)
            cards[node.key] = self._card(node, lefts[node.column] + (widths[node.column] - wide) / 2, top)
        return cards

    def _first_lane(self, key: str) -> int:
        return next((lane for path, lane in self._lanes.items() if key in path), 0)

    def _card(self, node: GraphNode, left: float, top: float) -> Card:
        words, checks = self._words[node.key]
        high, wide = self._node_height(node), _width(node)
        check_top = top + high + _CHECK_GAP
        placed_lines = []
        for check, lines in checks:
            placed_lines.append((check, lines, (left, check_top, wide, lines.height + _PAD)))
            check_top += lines.height + _PAD + _CHECK_GAP
        return Card(node=node, left=left, top=top, wide=wide, high=high, words=words, checks=tuple(placed_lines))

    # ---- elsewhere ------------------------------------------------------------------------------

    def _host(
        self, host: str, top: float, right: float, columns: tuple[list[float], list[float]], cards: dict[str, Card]
    ) -> HostBox:
        """Return the box of a host: the data sent to it at the left, its steps under their columns."""
        lefts, widths = columns
        host_nodes = [node for node in self._graph.nodes if node.host == host]
        first = min((node.column for node in host_nodes), default=self._columns)
        free = [top + _HEAD + 10] * self._columns
        for node in host_nodes:
            wide = _width(node)
            left = lefts[node.column] + (widths[node.column] - wide) / 2
            cards[node.key] = self._card(node, left, free[node.column])
            free[node.column] += self._with_checks(node) + _ROOM
        room = (lefts[first] - GAP - 12 if first < self._columns else right) - _EDGE
        lines = tuple(CardLine(text=words, style="ink") for words in self._sends_by_host.get(host, ()))
        notes = _wrap_lines(lines, max(room, 120.0), most=0)
        bottom = max(*free, top + _HEAD + 10 + notes.height + _ROOM)
        return HostBox(host=host, left=0, top=top, wide=right, high=bottom - _ROOM + _EDGE - top, notes=notes)

    # ---- ways -----------------------------------------------------------------------------------

    def _route_edges(
        self, cards: dict[str, Card], lefts: list[float], axes: list[float], border: float
    ) -> tuple[Edge, ...]:  # fmt: skip
        found: list[Edge] = []
        for (start, end), path in self._edges.items():
            start_card, end_card = cards[start], cards[end]
            lane, leaves_machine = axes[self._lanes[path]], self._away(start, end)
            x, y = start_card.left + start_card.wide, start_card.middle
            column = end_card.node.column
            turn = lefts[column] - 20 - _TRACK * self._tracks(column).index((end, leaves_machine))
            corners = [(x, y)]
            if start_card.node.column + 1 < column:  # past the cards in between, on a track of its own
                leave = (
                    max(each.left + each.wide for each in cards.values() if each.node.column == start_card.node.column)
                    + 12
                )
                corners += [(leave, y), (leave, lane)]
                y = lane
            corners += [(turn, y), (turn, end_card.middle), (end_card.left, end_card.middle)]
            cross = _crossings(corners, border) if leaves_machine else ()
            found.append(
                Edge(
                    start=start,
                    end=end,
                    corners=_simplify_corners(corners),
                    leaves_machine=leaves_machine,
                    crossings=cross,
                )
            )
        return tuple(found)


def _crossings(corners: list[tuple[float, float]], border: float) -> tuple[tuple[float, float], ...]:
    """Return the points at which a path crosses the border of this machine."""
    found = []
    for (x, y), (_, to) in pairwise(corners):
        if min(y, to) < border < max(y, to):
            found.append((x, border))
    return tuple(dict.fromkeys(found))


def _simplify_corners(corners: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Remove duplicate corners, and corners on a straight horizontal line."""
    found: list[tuple[float, float]] = []
    for corner in corners:
        if found and abs(found[-1][0] - corner[0]) < 0.5 and abs(found[-1][1] - corner[1]) < 0.5:
            continue
        if len(found) > 1 and abs(found[-1][1] - corner[1]) < 0.5 and abs(found[-2][1] - corner[1]) < 0.5:
            found.pop()
        found.append(corner)
    return tuple(found)


def _card_height(card: Card) -> float:
    return card.high + sum(box[3] + _CHECK_GAP for _, _, box in card.checks)


def _width(node: GraphNode) -> float:
    return {"part": PART, "answer": FINISH}.get(node.shape, CARD)


_MARGIN = 20.0
_NARROWEST = 760.0  # for the lists below a small graph
MOST, ROUTES = 5, 3  # fallbacks and rejections below the graph; routes that could but cost more
_SENT = 10  # entries listed individually per host
_LABEL = 84.0  # room for "fallback 1"
_HIDDEN = ("output",)  # rejections of endpoints that do another job, as in EXPLAIN
_ICONS = {  # 14 x 14, one path each
    "text": "M1 2.5H13M1 6H13M1 9.5H9",
    "image": "M1 2H13V12H1ZM1 10L5 6.5L8 9L10 7.5L13 10M9.5 5.2H10.5",
    "audio": "M1 6V8M3.4 4V10M5.8 1.5V12.5M8.2 3.5V10.5M10.6 5V9M13 6V8",
    "video": "M1 3H9.5V11H1ZM9.5 6L13 4V10L9.5 8",
    "document": "M2.5 1H8.5L11.5 4V13H2.5ZM8.5 1V4H11.5M4.5 7H9.5M4.5 10H9.5",
}


def plan_svg(plan: Plan, name: str = "") -> str:
    """Return a plan as SVG text.

    Args:
        plan: any plan.
        name: prefix of ids and CSS classes, derived from the plan's id if "". Two pictures of the same plan on one page
            need different names.
    """
    route = graph(plan.chosen)
    plan_layout = layout(route, _sent_by_host(plan.chosen))
    wide = max(plan_layout.wide, _NARROWEST) + 2 * _MARGIN
    head = _Text(wide).add(plan.headline, "ink bold", 15).add(f"policy: {plan.policy_line}", "soft", TEXT)
    lists = _lists(plan, wide)
    top = _MARGIN + head.high + 12
    picture = drawing.Drawing(
        name or f"im-plan-{_css_identifier(plan.id)}", wide, top + plan_layout.high + 16 + lists.high + _MARGIN
    )
    head.draw(picture, _MARGIN)
    mover = _Moved(picture, _MARGIN + (max(plan_layout.wide, _NARROWEST) - plan_layout.wide) / 2, top)
    for box in plan_layout.boxes:
        mover.box(box, leaves=bool(plan.chosen.sends))
    for edge in plan_layout.ways:
        mover.draw_edge(edge)
    for card in plan_layout.cards:
        mover.card(card)
    lists.draw(picture, top + plan_layout.high + 16)
    return picture.render(plan.headline, explain(plan))


def _css_identifier(text: str) -> str:
    """Return the ASCII letters and digits of an id, for use as a CSS class name."""
    return "".join(char for char in text if char.isascii() and char.isalnum())


def _sent_by_host(candidate: Candidate) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for host, sends in sent_data(candidate).items():
        words = [f"{each.what} (from {each.origin})" for each in sends]
        if len(words) > _SENT:
            words = [*words[: _SENT - 1], f"and {len(words) - _SENT + 1} more"]
        found[host] = ["sent there:", *words]
    return found


# ---- the graph -------------------------------------------------------------------------------------
class _Moved:
    """Draws a placed graph at an offset."""

    def __init__(self, picture: drawing.Drawing, left: float, top: float) -> None:
        self._picture = picture
        self._left, self._top = left, top

    def box(self, box: HostBox, *, leaves: bool) -> None:
        left, top = box.left + self._left, box.top + self._top
        side, picture = ("away" if box.host else "here"), self._picture
        picture.rect((left, top, box.wide, box.high), f"{side}-box {side}-line thick", radius=10)
        if box.host:
            picture.add_text(left + _EDGE, top + 20, f"elsewhere: {box.host}", "away bold", size=12)
        else:
            picture.add_text(left + _EDGE, top + 20, "this machine", "ink bold", size=12)
            if not leaves:
                picture.add_text(left + _EDGE + 92, top + 20, "nothing leaves it", "soft", size=TEXT)
        for place, line in enumerate(box.notes.lines):
            picture.add_text(left + _EDGE, top + 44 + place * _ROW, line.text, line.style)

    def draw_edge(self, edge: Edge) -> None:
        kind = "away" if edge.leaves_machine else "edge"
        line = "away-line thick" if edge.leaves_machine else "edge"
        self._picture.path(_rounded_path(edge.corners, self._left, self._top), f"line {line}")
        x, y = edge.corners[-1][0] + self._left, edge.corners[-1][1] + self._top
        tip, up, down = (drawing.coordinate(each) for each in (x, y - 4, y + 4))
        back, mid = drawing.coordinate(x - 7), drawing.coordinate(y)
        self._picture.path(f"M{back} {up}L{tip} {mid}L{back} {down}Z", f"{kind}-head")
        for over in edge.crossings:
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
            picture.path(_moved_icon(node.kind, left + _PAD, top + _PAD - 1), "line edge")
        room = card.wide - 2 * _PAD - shift
        title = drawing.shorten_text(node.title, TITLE, room, bold=True)
        picture.add_text(left + _PAD + shift, top + _PAD + TITLE * 0.85, title, "ink bold", size=TITLE)
        baseline = top + _PAD + TITLE * drawing.LINE + TEXT
        for line in card.words.lines:
            picture.add_text(left + _PAD, baseline, line.text, line.style)
            baseline += _ROW
        picture.close()
        for check, words, (x, y, wide, high) in card.checks:
            x, y = x + self._left, y + self._top
            middle = drawing.coordinate(x + wide / 2)
            picture.path(
                f"M{middle} {drawing.coordinate(y - 9)}V{drawing.coordinate(y)}",
                "line maybe-line",
                dashed=True,
            )
            picture.open(f"check {check.op}: {check.title} {check.note}".rstrip(": "), "check")
            picture.rect((x, y, wide, high), "page maybe-line", radius=7, dashed=True)
            for place, line in enumerate(words.lines):
                picture.add_text(x + _PAD, y + _PAD / 2 + TEXT + place * _ROW, line.text, line.style)
            picture.close()


def _rounded_path(corners: tuple[tuple[float, float], ...], left: float, top: float) -> str:
    """Return a path with rounded corners."""
    shifted = [(x + left, y + top) for x, y in corners]
    data = [f"M{_point_text(shifted[0])}"]
    for before, corner, after in zip(shifted, shifted[1:], shifted[2:], strict=False):
        radius = min(8.0, _distance(before, corner) / 2, _distance(corner, after) / 2)
        data.append(
            f"L{_point_text(_point_towards(corner, before, radius))}Q{_point_text(corner)} "
            f"{_point_text(_point_towards(corner, after, radius))}"
        )
    data.append(f"L{_point_text(shifted[-1])}")
    return "".join(data)


def _distance(point: tuple[float, float], other: tuple[float, float]) -> float:
    return abs(point[0] - other[0]) + abs(point[1] - other[1])


def _point_towards(corner: tuple[float, float], other: tuple[float, float], far: float) -> tuple[float, float]:
    """Return the point at distance ``far`` from a corner, on the horizontal or vertical line to ``other``."""
    distance = _distance(corner, other) or 1.0
    return (corner[0] + (other[0] - corner[0]) * far / distance, corner[1] + (other[1] - corner[1]) * far / distance)


def _point_text(point: tuple[float, float]) -> str:
    return f"{drawing.coordinate(point[0])} {drawing.coordinate(point[1])}"


def _moved_icon(kind: str, left: float, top: float) -> str:
    """Return an icon's path moved to a position, given its coordinates relative to the icon's corner."""
    found: list[str] = []
    for letter, rest in _commands(_ICONS[kind]):
        values = [float(value) for value in rest.split()]
        if letter == "H":
            values = [values[0] + left]
        elif letter == "V":
            values = [values[0] + top]
        elif letter != "Z":
            values = [value + (top if place % 2 else left) for place, value in enumerate(values)]
        found.append(letter + " ".join(map(drawing.coordinate, values)))
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
    """Lines of text below each other, some with a label at the left."""

    def __init__(self, wide: float) -> None:
        self._room = wide - 2 * _MARGIN
        self._lines: list[tuple[str, str, str, float]] = []
        self.high = 0.0

    def add(self, words: str, style: str, size: float, label: str = "", most: int = 0) -> _Text:
        room = (self._room - (_LABEL if label else 0)) / (drawing.BOLD if "bold" in style else 1.0)
        for place, line in enumerate(drawing.wrap_lines(words, size, room, most)):
            self._lines.append((label if not place else " " if label else "", line, style, size))
            self.high += size * drawing.LINE + 1
        return self

    def draw(self, picture: drawing.Drawing, top: float) -> None:
        bottom = top
        for label, line, style, size in self._lines:
            bottom += size * drawing.LINE + 1
            if label.strip():
                picture.add_text(_MARGIN, bottom - 3, label, "soft bold", size=size)
            picture.add_text(_MARGIN + (_LABEL if label else 0), bottom - 3, line, style, size=size)


def _with_dots(words: str) -> str:
    """Replace the double spaces that separate columns in EXPLAIN with dots."""
    return words.replace("  ", " · ")


def _lists(plan: Plan, wide: float) -> _Text:
    """Return the text below the graph: totals, destinations, notes, other routes. Long lists are shortened."""
    text = _Text(wide)
    chosen_route = plan.chosen
    text.add(f"{total_line(chosen_route)}; weakest link {chosen_route.tier}", "ink bold", TEXT + 1, "total")
    if not chosen_route.sends:
        text.add("nothing leaves this machine", "ink", TEXT, "sends")
    for host, sends in sent_data(chosen_route).items():
        words = [f"{each.what} (from {each.origin})" for each in sends]
        text.add(f"{', '.join(words)} → {host}", "away", TEXT, "sends", most=4)
    checks = list(
        dict.fromkeys(check for checks_of_step in checks_by_step(chosen_route).values() for check in checks_of_step)
    )
    if any(condition(check) for check in checks):
        text.add("dashed parts cost something only if their check finds a problem", "maybe", TEXT, "checks")
    for check in checks:
        if check.op == "size":
            text.add(f"{check.title or check.op}: {check.note}", "maybe", TEXT, "checks")
    for note in plan.notes:
        text.add(note, "warn", TEXT, "note", most=4)
    for place, candidate in enumerate(plan.fallbacks[:MOST], 1):
        text.add(_with_dots(fallback_line(candidate)), "ink", TEXT, f"fallback {place}", most=3)
    for other in plan.outranked[:ROUTES]:
        text.add(_with_dots(outranked_text(other)), "soft", TEXT, "not chosen", most=3)
    rows = [row for row in fold_rejections(plan.rejected) if row.rule not in _HIDDEN]
    for row in rows[:MOST]:
        text.add(_with_dots(rejection_text(row)), "soft", TEXT, "rejected", most=2)
    for label, count, most in (
        ("fallbacks", len(plan.fallbacks), MOST),
        ("not chosen", len(plan.outranked), ROUTES),
        ("rejected", len(rows), MOST),
    ):
        if count > most:
            text.add(f"{count - most} more (intermodal explain says them all)", "soft", TEXT, label)
    when = (
        f"inputs {plan.inputs or '-'}, catalog {plan.catalog or '-'}, statistics {plan.statistics}, as of {plan.as_of}"
    )
    return text.add(f"plan {plan.id}: {when}", "soft", TEXT - 1)
