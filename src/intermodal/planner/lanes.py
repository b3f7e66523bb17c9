"""Lanes: what endpoints that take the same kinds, in the same place, share of one search."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from intermodal.costing.levels import HIGH, MID
from intermodal.costing.native import Book
from intermodal.costing.tokens import Vocabulary
from intermodal.planner import rules
from intermodal.planner.aspects import AS_IT_CAME
from intermodal.planner.assignment import Assignment
from intermodal.planner.bounds import Coefficients, Fan, Hull, Weights, dear
from intermodal.planner.bundles import Bundle
from intermodal.planner.case import Case
from intermodal.planner.combine import assignments
from intermodal.planner.demand import Demand, demand, framing
from intermodal.planner.index import Group
from intermodal.planner.rules import Reason
from intermodal.planner.score import weights
from intermodal.planner.survivors import Row
from intermodal.planner.way import NO_TIER, Way, refused, unread

Usable = list[list[Way]] | tuple[Bundle, list[Reason]]


class Lane(Struct, eq=False):
    """Assignments with what they demand of the last call, and lines to compare them by."""

    case: Case
    group: Group
    assignments: list[Assignment]
    demands: dict[Assignment, Demand]
    text: float
    lines: list[tuple[float, float, float, float, float]]
    shortest: Assignment | None = None

    def demand(self, assignment: Assignment) -> Demand:
        """What an assignment demands here, worked out when first asked for."""
        found = self.demands.get(assignment)
        if found is None:
            found = self.demands[assignment] = demand(self.case, self.group, assignment)
        return found

    def numbers(self, prices: Coefficients) -> list[float]:
        """What each assignment would score at an endpoint with these coefficients, to compare them.

        Loading and small print are left out.
        """
        if not self.lines:
            weighed = weights(self.case)
            self.lines = [_line(each, weighed) for each in self.assignments]
        base, text, image, audio, length = prices
        base += self.text * text
        return [
            base + fixed + words * text + pixels * image + sound * audio + seconds * length
            for fixed, words, pixels, sound, seconds in self.lines
        ]


def shortest(lane: Lane, lanes: Lanes) -> Assignment:
    """The assignment of a lane that brings the fewest tokens, found once."""
    if lane.shortest is None:
        lane.shortest = min(fill(lane, lanes), key=lambda each: lane.demand(each).total[HIGH])
    return lane.shortest


def fill(lane: Lane, lanes: Lanes) -> list[Assignment]:
    """The lane's assignments, put together when first needed."""
    if not lane.assignments:
        lane.assignments = lanes.assignments(lane.group)
    return lane.assignments


def _line(each: Assignment, weighed: Weights) -> tuple[float, float, float, float, float]:
    money, time, loss = weighed
    fixed = dear(each.cost[MID]) * money + each.before[MID] * time + each.penalty * loss
    return fixed, each.text[MID], each.image[MID], each.audio[MID], each.sound[MID]


def _fanned(usable: list[list[Way]], cores: int) -> Fan:
    waits = any(way.network[MID] > 0 for choices in usable for way in choices)
    tier = min((max([way.tier for way in choices]) for choices in usable), default=NO_TIER)
    least = [min(way.loss for way in choices) for choices in usable]
    return Fan(usable, waits, cores, tier, (sum(each[0] for each in least), sum(each[1] for each in least)), {})


def _least_lost(choices: list[Way]) -> list[Way]:
    least = min(way.loss for way in choices)
    return [way for way in choices if way.loss == least]


def _differ_in_loss(choices: list[Way]) -> bool:
    return any(way.loss != choices[0].loss for way in choices)


class Lanes:
    """The lanes of one search, made when first needed. ``ends``: what is cheapest and fastest is asked for, too."""

    def __init__(self, case: Case, choices: list[list[Way]], *, ends: bool = False) -> None:
        self.case = case
        self._ends = ends
        self.choices = choices
        self._counted = [way for choices in choices for way in choices if way.odd or way.name == "native"]
        self._closed: dict[Book, tuple[int, ...]] = {}
        self._usable: dict[tuple[object, Book], Usable] = {}
        self._shared: dict[tuple[object, tuple[int, ...]], Usable] = {}
        self._assignments: dict[tuple[object, Book], list[Assignment]] = {}
        self._lanes: dict[tuple[object, Book, Vocabulary, str, str], Lane] = {}
        self._fans: dict[int, Fan] = {}
        self._texts: dict[tuple[Vocabulary, str, str], float] = {}

    def usable(self, group: Group) -> Usable:
        """Per bundle the ways that are open to such endpoints, or the first bundle with none and why.

        Whom nothing is refused to shares them with all others of its lane.
        """
        book = self.case.book(group)
        found = self._usable.get((group.lane, book))
        if found is None:
            closed = self._closed.get(book)
            if closed is None:
                closed = self._closed[book] = tuple(id(way) for way in self._counted if refused(way, book))
            key = (group.lane, closed)
            found = self._shared.get(key)
            if found is None:
                found = self._shared[key] = self._open(group)
            self._usable[group.lane, book] = found
        return found

    def _open(self, group: Group) -> Usable:
        found: list[list[Way]] = []
        for bundle, choices in zip(self.case.bundles, self.choices, strict=True):
            reasons: list[Reason] = []
            good: list[Way] = []
            for each in choices:
                if each.name == "read_along" and not group.cannot_read:
                    continue
                way = unread(each, bundle) if group.cannot_read else each
                reason = rules.of_way(group, way, bundle, self.case)
                if reason is None:
                    good.append(way)
                else:
                    reasons.append(reason)
            if not good:
                return bundle, reasons
            found.append(as_named(self.case, bundle, for_itself(bundle, good)))
        return found

    def assignments(self, group: Group) -> list[Assignment]:
        """Assignments worth trying where there is time to try several."""
        key = (group.lane, self.case.book(group))
        found = self._assignments.get(key)
        if found is None:
            usable = self.usable(group)
            assert isinstance(usable, list)
            found = self._assignments[key] = assignments(self.case, usable, key[1])
        return found

    def lane(self, group: Group) -> Lane:
        """The lane of a class that has ways for every bundle."""
        model, schema_by = group.first.model, self.case.schema_by(group)
        case = self.case
        key = (group.lane, case.book(group), case.vocabulary(model), schema_by, case.tool_rule(group))
        found = self._lanes.get(key)
        if found is None:
            heard = case.job == "transcribe"
            text = 0.0 if heard else self._text(key[2], schema_by, key[4])
            found = self._lanes[key] = Lane(self.case, group, [], {}, text, [])
        return found

    def hull(self, row: Row, usable: list[list[Way]]) -> Hull:
        """The hull of a row."""
        if self.case.job == "transcribe":
            sound = sum(choices[0].sound[MID] for choices in usable)
            return Hull(self.case, 0.0, sound, row.book, _fanned([], self.case.machine.cores))
        return Hull(
            self.case, self._text(row.vocabulary, row.schema_by, row.tool_rule), 0.0, row.book, self._fan(usable)
        )

    def _fan(self, usable: list[list[Way]]) -> Fan:
        """The fan of these ways, shared by all rows to which they are open: of each bundle those that lose the least.

        The others are for want of room, money or time, and are looked at where nothing else is within the limits.
        """
        found = self._fans.get(id(usable))
        if found is None:
            cores = self.case.machine.cores
            found = self._fans[id(usable)] = _fanned([_least_lost(choices) for choices in usable], cores)
            if self._ends and any(map(_differ_in_loss, usable)):
                found.every = _fanned(usable, cores)
        return found

    def _text(self, vocabulary: Vocabulary, schema_by: str, tool_rule: str) -> float:
        """Tokens of the sender's words and of the framing."""
        key = (vocabulary, schema_by, tool_rule)
        found = self._texts.get(key)
        if found is None:
            found = self._texts[key] = (
                self.case.text(vocabulary)[MID] + framing(self.case, schema_by, tool_rule, vocabulary)[MID]
            )
        return found


AS_PICTURE = ("native", "resized")


def as_named(case: Case, bundle: Bundle, good: list[Way]) -> list[Way]:
    """A model that was named and takes these parts as they are gets them so: every other way diverts them.

    Whoever asks for the cheapest or the fastest route says otherwise, and so does a part that something was made of
    already.
    """
    if case.named is None or case.policy.objective in ("cheapest", "fastest") or case.resumed:
        return good
    if not any(way.name in AS_IT_CAME for way in good):
        return good
    count = len(bundle.parts)
    return [way if way.name in AS_IT_CAME else replace(way, diverted=count, weighed={}, options={}) for way in good]


def for_itself(bundle: Bundle, good: list[Way]) -> list[Way]:
    """Who can see a picture for itself is not told about it; of several, some may have to be told for want of room."""
    if bundle.kind != "image" or len(bundle.parts) > 1 or not any(way.name in AS_PICTURE for way in good):
        return good
    return [way for way in good if way.name not in ("describe", "both")]
