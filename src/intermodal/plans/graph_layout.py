"""The layout of a graph: a track per path, a column per step, remote steps in boxes below.

The box "this machine" holds all tracks. A step at a host is below its column in that host's box, so that everything
that leaves the machine or comes back crosses the line between the two.
"""

from __future__ import annotations

from itertools import pairwise

from intermodal.content import Value
from intermodal.plans import svg
from intermodal.plans.explain_lines import condition
from intermodal.plans.plan_graph import ANSWER, CardLine, GraphNode, PlanGraph
from intermodal.plans.step import Check

CARD, PART, FINISH = 226.0, 200.0, 128.0  # widths: of steps, of parts, of the answer
PAD = 10.0
TITLE, TEXT = 12.5, 11.0  # sizes of the font
ROW = TEXT * svg.LINE
GAP = 50.0  # between columns, plus the room for edges in it
ROOM = 16.0  # between lanes
EDGE = 18.0  # inside a box
HEAD = 26.0  # for a box's name
CHECK_GAP = 9.0
TRACK = 9.0  # between ways side by side


class WrappedLines(Value):
    """Lines as they will stand, each with its style."""

    lines: tuple[CardLine, ...]

    @property
    def height(self) -> float:
        return len(self.lines) * ROW


class Card(Value):
    """A node in its place; ``checks`` are boxes below it with their left, top, width and height."""

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
    """An edge: the corners it goes through. ``away``: it leaves this machine or comes back."""

    start: str
    end: str
    corners: tuple[tuple[float, float], ...]
    away: bool = False
    crossings: tuple[tuple[float, float], ...] = ()


class HostBox(Value):
    """A place: this machine ("") or a host. ``notes`` are lines of text with the room they need at the left."""

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


def layout(graph: PlanGraph, sent: dict[str, list[str]]) -> Layout:
    """Place a graph with its top left corner at 0, 0. ``sent``: per host what goes there, in words."""
    return _Layout(graph, sent).made()


def wrap_lines(lines: tuple[CardLine, ...], room: float, most: int = 3) -> WrappedLines:
    found: list[CardLine] = []
    for line in lines:
        found += [CardLine(text=part, style=line.style) for part in svg.wrapped(line.text, TEXT, room, most)]
    return WrappedLines(lines=tuple(found))


def check_words(check: Check, room: float) -> WrappedLines:
    """Return the checks, and the price of what happens otherwise."""
    lines = [CardLine(text=f"check {check.title or check.op.replace('_', ' ')}", style="maybe")]
    lines += [CardLine(text=check.note)] if check.note else []
    lines += [CardLine(text=condition(check))] if condition(check) else []
    return wrap_lines(tuple(lines), room, most=5)


class _Layout:
    def __init__(self, graph: PlanGraph, sent: dict[str, list[str]]) -> None:
        self._graph = graph
        self._sent = sent
        self._nodes = {node.key: node for node in graph.nodes}
        self._columns = max(node.column for node in graph.nodes) + 1
        self._lanes = {path: lane for lane, path in enumerate(graph.paths)}
        self._edges = self._edges_with_lanes()
        self._words = {node.key: self._content(node) for node in graph.nodes}

    def made(self) -> Layout:
        lefts, widths = self._placed_columns()
        axes, end = self._placed_lanes()
        cards = self._cards_here(lefts, widths, axes)
        bottom = max([end, *(card.top + _full(card) for card in cards.values())])
        right = max(left + wide for left, wide in zip(lefts, widths, strict=True)) + EDGE
        boxes = [HostBox(host="", left=0, top=0, wide=right, high=bottom + EDGE)]
        for host in dict.fromkeys([node.host for node in self._graph.nodes if node.host] + list(self._sent)):
            last = boxes[-1]
            boxes.append(self._host(host, last.top + last.high + 30, right, (lefts, widths), cards))
        ways = self._ways(cards, lefts, axes, boxes[0].high)
        return Layout(
            wide=right, high=boxes[-1].top + boxes[-1].high, cards=tuple(cards.values()), ways=ways, boxes=tuple(boxes)
        )

    # ---- card contents --------------------------------------------------------------------------

    def _content(self, node: GraphNode) -> tuple[WrappedLines, tuple[tuple[Check, WrappedLines], ...]]:
        room = _width(node) - 2 * PAD
        return wrap_lines(node.lines, room), tuple((check, check_words(check, room)) for check in node.checks)

    def _high(self, node: GraphNode) -> float:
        return PAD * 1.6 + TITLE * svg.LINE + self._words[node.key][0].height

    def _with_checks(self, node: GraphNode) -> float:
        return self._high(node) + sum(words.height + PAD + CHECK_GAP for _, words in self._words[node.key][1])

    # ---- columns and lanes ----------------------------------------------------------------------

    def _edges_with_lanes(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Each edge once, with the first path that takes it."""
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        for path in self._graph.paths:
            for pair in pairwise(path):
                found.setdefault(pair, path)
        return found

    def _placed_columns(self) -> tuple[list[float], list[float]]:
        widths = [0.0] * self._columns
        for node in self._graph.nodes:
            widths[node.column] = max(widths[node.column], _width(node))
        lefts, at = [], EDGE
        for column, wide in enumerate(widths):
            lefts.append(at)
            at += wide + GAP + TRACK * max(0, len(self._tracks(column + 1)) - 1)
        return lefts, widths

    def _away(self, start: str, end: str) -> bool:
        return self._nodes[start].host != self._nodes[end].host

    def _tracks(self, column: int) -> list[tuple[str, bool]]:
        """Return the targets of paths in the gap before a column: each card, border crossings apart from the rest."""
        found = [
            (end, self._away(start, end)) for start, end in self._edges if self._nodes[end].column == column
        ]  # fmt: skip
        return list(dict.fromkeys(found))

    def _lanes_of(self, key: str) -> list[int]:
        return [lane for path, lane in self._lanes.items() if key in path]

    def _placed_lanes(self) -> tuple[list[float], float]:
        """Return the axis of each track, on which its cards are centred, and the end of the last track."""
        above = [1.5 * ROW] * len(self._lanes)
        below = [1.5 * ROW] * len(self._lanes)
        here = [node for node in self._graph.nodes if not node.host]
        for node in here:
            lanes, half = self._lanes_of(node.key), self._high(node) / 2
            if len(lanes) == 1:
                above[lanes[0]] = max(above[lanes[0]], half)
                below[lanes[0]] = max(below[lanes[0]], self._with_checks(node) - half)
        for node in here:
            lanes = self._lanes_of(node.key)
            first, last, half = lanes[0], lanes[-1], self._high(node) / 2
            if len(lanes) > 1:  # it stands between its outer lanes
                apart = sum(above[first : last + 1]) + sum(below[first : last + 1]) + ROOM * (last - first)
                reach = (apart - above[first] - below[last]) / 2
                above[first] += max(0.0, half - reach - above[first])
                below[last] += max(0.0, self._with_checks(node) - half - reach - below[last])
        axes, at = [], HEAD + 10
        for up, down in zip(above, below, strict=True):
            axes.append(at + up)
            at += up + down + ROOM
        return axes, at - ROOM

    def _cards_here(self, lefts: list[float], widths: list[float], axes: list[float]) -> dict[str, Card]:
        cards: dict[str, Card] = {}
        free = [HEAD + 10] * self._columns  # where the next card of a column may begin
        for node in sorted(self._graph.nodes, key=lambda node: (node.column, self._first_lane(node.key))):
            if node.host:
                continue
            lanes = self._lanes_of(node.key)
            middle = (axes[lanes[0]] + axes[lanes[-1]]) / 2
            top = max(middle - self._high(node) / 2, free[node.column])
            free[node.column] = top + self._with_checks(node) + ROOM
            wide = _width(node)
            cards[node.key] = self._card(node, lefts[node.column] + (widths[node.column] - wide) / 2, top)
        return cards

    def _first_lane(self, key: str) -> int:
        return next((lane for path, lane in self._lanes.items() if key in path), 0)

    def _card(self, node: GraphNode, left: float, top: float) -> Card:
        words, checks = self._words[node.key]
        high, wide = self._high(node), _width(node)
        at = top + high + CHECK_GAP
        placed = []
        for check, lines in checks:
            placed.append((check, lines, (left, at, wide, lines.height + PAD)))
            at += lines.height + PAD + CHECK_GAP
        return Card(node=node, left=left, top=top, wide=wide, high=high, words=words, checks=tuple(placed))

    # ---- elsewhere ------------------------------------------------------------------------------

    def _host(
        self, host: str, top: float, right: float, columns: tuple[list[float], list[float]], cards: dict[str, Card]
    ) -> HostBox:
        """Return a host's box: its input in words at the left, its steps under their columns."""
        lefts, widths = columns
        mine = [node for node in self._graph.nodes if node.host == host]
        first = min((node.column for node in mine), default=self._columns)
        free = [top + HEAD + 10] * self._columns
        for node in mine:
            wide = _width(node)
            left = lefts[node.column] + (widths[node.column] - wide) / 2
            cards[node.key] = self._card(node, left, free[node.column])
            free[node.column] += self._with_checks(node) + ROOM
        room = (lefts[first] - GAP - 12 if first < self._columns else right) - EDGE
        lines = tuple(CardLine(text=words, style="ink") for words in self._sent.get(host, ()))
        notes = wrap_lines(lines, max(room, 120.0), most=0)
        bottom = max(*free, top + HEAD + 10 + notes.height + ROOM)
        return HostBox(host=host, left=0, top=top, wide=right, high=bottom - ROOM + EDGE - top, notes=notes)

    # ---- ways -----------------------------------------------------------------------------------

    def _ways(
        self, cards: dict[str, Card], lefts: list[float], axes: list[float], border: float
    ) -> tuple[Edge, ...]:  # fmt: skip
        found: list[Edge] = []
        for (start, end), path in self._edges.items():
            one, other = cards[start], cards[end]
            lane, away = axes[self._lanes[path]], self._away(start, end)
            x, y = one.left + one.wide, one.middle
            column = other.node.column
            turn = lefts[column] - 20 - TRACK * self._tracks(column).index((end, away))
            corners = [(x, y)]
            if one.node.column + 1 < column:  # past the cards in between, on a track of its own
                leave = (
                    max(each.left + each.wide for each in cards.values() if each.node.column == one.node.column) + 12
                )
                corners += [(leave, y), (leave, lane)]
                y = lane
            corners += [(turn, y), (turn, other.middle), (other.left, other.middle)]
            cross = _crossings(corners, border) if away else ()
            found.append(Edge(start=start, end=end, corners=_plain(corners), away=away, crossings=cross))
        return tuple(found)


def _crossings(corners: list[tuple[float, float]], border: float) -> tuple[tuple[float, float], ...]:
    """Return where a path crosses the border of this machine."""
    found = []
    for (x, y), (_, to) in pairwise(corners):
        if min(y, to) < border < max(y, to):
            found.append((x, border))
    return tuple(dict.fromkeys(found))


def _plain(corners: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Without corners that are none."""
    found: list[tuple[float, float]] = []
    for corner in corners:
        if found and abs(found[-1][0] - corner[0]) < 0.5 and abs(found[-1][1] - corner[1]) < 0.5:
            continue
        if len(found) > 1 and abs(found[-1][1] - corner[1]) < 0.5 and abs(found[-2][1] - corner[1]) < 0.5:
            found.pop()
        found.append(corner)
    return tuple(found)


def _full(card: Card) -> float:
    return card.high + sum(at[3] + CHECK_GAP for _, _, at in card.checks)


def _width(node: GraphNode) -> float:
    return {"part": PART, "answer": FINISH}.get(node.shape, CARD)


__all__ = ["ANSWER", "HostBox", "Card", "Layout", "Edge", "WrappedLines", "layout", "wrap_lines"]
