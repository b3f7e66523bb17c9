"""Lanes: what endpoints that take the same kinds, in the same place, share. And a bound for each class of them.

The bound is what a member with the best of every figure would score if every bundle went its own best way,
conversions over a network and loading taken for nothing: no route of the class can score less.
"""

from __future__ import annotations

import math

from msgspec import Struct

from intermodal.costing.levels import MID
from intermodal.costing.rates import Rates
from intermodal.planner import rules
from intermodal.planner.bundles import Bundle
from intermodal.planner.case import Case
from intermodal.planner.combine import assignments
from intermodal.planner.index import Group
from intermodal.planner.routes import Assignment, Demand, demand, framing, picture_tokens
from intermodal.planner.rules import Reason
from intermodal.planner.score import UNKNOWN, weights
from intermodal.planner.survivors import Row
from intermodal.planner.way import Way, unread

Coefficients = tuple[float, float, float, float]  # score of a call, and per token of text, of pictures, of sound
Option = tuple[float, float, float, float]  # fixed score; tokens of text, of pictures, of sound
Weights = tuple[float, float, float]  # of a USD, a second, a USD of penalty
CHEAP: Weights = (1.0, 0.0, 0.0)
QUICK: Weights = (0.0, 1.0, 0.0)


class Lane(Struct, eq=False):
    """Assignments with what they demand of the last call, and lines to compare them by."""

    case: Case
    group: Group
    assignments: list[Assignment]
    demands: dict[Assignment, Demand]
    text: float
    lines: list[tuple[float, float, float, float]]

    def demand(self, assignment: Assignment) -> Demand:
        """What an assignment demands here, worked out when first asked for."""
        found = self.demands.get(assignment)
        if found is None:
            found = self.demands[assignment] = demand(self.case, self.group, assignment)
        return found

    def numbers(self, rates: Rates) -> list[float]:
        """What each assignment would score at this endpoint, to compare them: loading and small print left out."""
        weighed = weights(self.case)
        if not self.lines:
            self.lines = [_line(each, weighed) for each in self.assignments]
        base, text, image, audio = coefficients(self.case, rates, weighed)
        base += self.text * text
        return [
            base + fixed + words * text + pixels * image + sound * audio for fixed, words, pixels, sound in self.lines
        ]


def coefficients(case: Case, rates: Rates, weighed: Weights) -> Coefficients:
    """Score of a call before any input, and of each token of text, of pictures and of sound."""
    money, time, _ = weighed
    read = rates.read_in[MID] * time
    out = min(case.ranked_answer, rates.most_out)
    cost = rates.request + (out * rates.out if out else 0.0)
    return (
        _dear(cost) * money + (rates.overhead[MID] + out * rates.write_out[MID]) * time,
        _dear(rates.text) * money + read,
        _dear(rates.image) * money + read,
        _dear(rates.audio) * money + read,
    )


def known_coefficients(case: Case, row: Row, weighed: Weights, group: Group | None = None) -> list[Coefficients]:
    """Coefficients of the ideal of each class of a row, or of each member of one class's band.

    They do not depend on the request's sizes, so they are kept.
    """
    key = (weighed, case.ranked_answer, -1 if group is None else group.number)
    found = row.coefficients.get(key)
    if found is None:
        if len(row.coefficients) > 1024:
            row.coefficients.clear()
        if group is None:
            some = row.ideals
        else:
            some = [case.index.rates(e, case.as_of) for e in case.index.band(group, case.as_of)]
        found = row.coefficients[key] = [coefficients(case, each, weighed) for each in some]
    return found


def fill(lane: Lane, lanes: Lanes) -> list[Assignment]:
    """The lane's assignments, put together when first needed."""
    if not lane.assignments:
        lane.assignments = lanes.assignments(lane.group)
    return lane.assignments


def _line(each: Assignment, weighed: Weights) -> tuple[float, float, float, float]:
    money, time, loss = weighed
    cost = each.cost[MID] if each.cost[MID] < math.inf else UNKNOWN
    fixed = cost * money + each.before[MID] * time + each.penalty * loss
    return fixed, each.text[MID], each.image[MID], each.audio[MID]


class Lanes:
    """The lanes of one search, made when first needed."""

    def __init__(self, case: Case, choices: list[list[Way]]) -> None:
        self.case = case
        self.choices = choices
        self._usable: dict[tuple[frozenset[str], bool, bool], list[list[Way]] | tuple[Bundle, list[Reason]]] = {}
        self._assignments: dict[tuple[object, str], list[Assignment]] = {}
        self._lanes: dict[tuple[object, str, str, bool], Lane] = {}

    def usable(self, group: Group) -> list[list[Way]] | tuple[Bundle, list[Reason]]:
        """Per bundle the ways that are open to such endpoints, or the first bundle with none and why."""
        found = self._usable.get(group.lane)
        if found is None:
            found = self._usable[group.lane] = self._open(group)
        return found

    def _open(self, group: Group) -> list[list[Way]] | tuple[Bundle, list[Reason]]:
        found: list[list[Way]] = []
        for bundle, choices in zip(self.case.bundles, self.choices, strict=True):
            reasons: list[Reason] = []
            good: list[Way] = []
            for each in choices:
                way = unread(each, bundle) if group.cannot_read else each
                reason = rules.of_way(group, way, bundle, self.case)
                if reason is None:
                    good.append(way)
                else:
                    reasons.append(reason)
            if not good:
                return bundle, reasons
            found.append(for_itself(bundle, good))
        return found

    def assignments(self, group: Group) -> list[Assignment]:
        """Assignments worth trying where there is time to try several."""
        key = (group.lane, group.first.model.image_tokens)
        found = self._assignments.get(key)
        if found is None:
            usable = self.usable(group)
            assert isinstance(usable, list)
            found = self._assignments[key] = assignments(self.case, usable, key[1])
        return found

    def lane(self, group: Group) -> Lane:
        """The lane of a class that has ways for every bundle."""
        model, forced = group.first.model, group.first.host.forced_json
        rule = model.image_tokens
        key = (group.lane, rule, self.case.vocabulary(model.tokenizer), forced)
        found = self._lanes.get(key)
        if found is None:
            text = 0.0 if self.case.job == "transcribe" else _own_text(self.case, model.tokenizer, forced)
            found = self._lanes[key] = Lane(self.case, group, [], {}, text, [])
        return found


def for_itself(bundle: Bundle, good: list[Way]) -> list[Way]:
    """Who can see a picture for itself is not told about it; of several, some may have to be told for want of room."""
    if bundle.kind != "image" or len(bundle.parts) > 1 or not any(way.name == "native" for way in good):
        return good
    return [way for way in good if way.name not in ("describe", "both")]


def _own_text(case: Case, tokenizer: str, forced: bool) -> float:
    """Tokens of the sender's words and of the framing."""
    return case.text(tokenizer)[MID] + framing(case, forced)[MID]


Shape = tuple[Option, list[list[Option]], list[list[int]]]  # of the only ways; of bundles with a choice; their places


class Hull(Struct, eq=False):
    """What every member of a row must take, and what each open way would add.

    ``shapes`` has, per weights, the sum of the bundles with one way only and the options of the others.
    """

    case: Case
    text: float
    sound: float
    picture_rule: str
    usable: list[list[Way]]
    shapes: dict[tuple[Weights, bool], Shape]
    shared: dict[object, list[int]]

    def shape(self, weighed: Weights, waits: bool = False) -> Shape:
        """The bundles under some weights; ``waits``: conversions over a network take their time."""
        found = self.shapes.get((weighed, waits))
        if found is None:
            some = [] if self.case.job == "transcribe" else self.usable
            fixed, words, pixels, sound = 0.0, self.text, 0.0, 0.0
            several: list[list[Option]] = []
            places: list[list[int]] = []
            for choices in some:
                kept = self._kept(choices, weighed, waits)
                places.append(kept)
                if len(kept) == 1:
                    only = _option(choices[kept[0]], self.picture_rule, weighed, waits)
                    fixed, words, pixels, sound = fixed + only[0], words + only[1], pixels + only[2], sound + only[3]
                else:
                    several.append([_option(choices[place], self.picture_rule, weighed, waits) for place in kept])
            found = self.shapes[weighed, waits] = ((fixed, words, pixels, sound), several, places)
        return found

    def _kept(self, choices: list[Way], weighed: Weights, waits: bool) -> list[int]:
        """Places of the ways that may be best at some price per token; the same for all rows, so worked out once.

        What pictures come to depends on the row, so ways with pictures stay.
        """
        key = (id(choices), weighed, waits)
        found = self.shared.get(key)
        if found is None:
            plain = [place for place, way in enumerate(choices) if not way.pictures]
            options = [_option(choices[place], "", weighed, waits) for place in plain]
            kept = {plain[place] for place in _unbeaten(options)} if len(plain) > 1 else set(plain)
            found = self.shared[key] = [p for p, way in enumerate(choices) if p in kept or way.pictures]
        return found

    def bound(self, rates: Rates, weighed: Weights) -> float:
        """The least score of a route to an endpoint with these rates.

        Every bundle goes its own best way; loading, and conversions over a network, are taken for nothing.
        """
        score = self.bounds([coefficients(self.case, rates, weighed)], weighed)[0]
        if self.sound:
            heard = min(self.sound * rates.second, self.sound * 6.0 * rates.audio)
            score += _dear(heard) * weighed[0] + self.sound * rates.hear[MID] * weighed[1]
        return score

    def bounds(self, every: list[Coefficients], weighed: Weights) -> list[float]:
        """The same from coefficients, for jobs that take tokens; many at once, for this is asked most of all."""
        (fixed_, words_, pixels_, sound_), several, _ = self.shape(weighed)
        found: list[float] = []
        for score, text, image, audio in every:
            score += fixed_ + words_ * text + pixels_ * image + sound_ * audio
            for options in several:
                least = math.inf
                for fixed, words, pixels, sound in options:
                    added = fixed + words * text + pixels * image + sound * audio
                    if added < least:
                        least = added
                score += least
            found.append(score)
        return found

    @property
    def waits(self) -> bool:
        """Some conversion is done over a network."""
        return any(way.network[MID] > 0 for choices in self.usable for way in choices)

    def picks(self, rates: Rates, weighed: Weights, waits: bool = False) -> tuple[Way, ...]:
        """The best way of each bundle under some weights.

        Conversions over a network overlap, so none of two takes the time of both: without ``waits`` they take none,
        with it each takes its own. What is best is mostly one of the two.
        """
        _, text, image, audio = coefficients(self.case, rates, weighed)
        _, several, places = self.shape(weighed, waits)
        found: list[Way] = []
        options = iter(several)
        for ways, kept in zip(self.usable, places, strict=True):
            best = ways[kept[0]]
            if len(kept) > 1:
                least = math.inf
                for place, (fixed, words, pixels, sound) in zip(kept, next(options), strict=True):
                    added = fixed + words * text + pixels * image + sound * audio
                    if added < least:
                        least, best = added, ways[place]
            found.append(best)
        return tuple(found)


def _unbeaten(options: list[Option]) -> list[int]:
    """Places of the options that no other one beats in every figure; of equal ones the first."""
    kept: list[int] = []
    for place, mine in enumerate(options):
        for other, theirs in enumerate(options):
            if other == place or (theirs == mine and other > place):
                continue
            if theirs[0] <= mine[0] and theirs[1] <= mine[1] and theirs[2] <= mine[2] and theirs[3] <= mine[3]:
                break
        else:
            kept.append(place)
    return kept


def hull(case: Case, row: Row, usable: list[list[Way]], shared: dict[object, list[int]]) -> Hull:
    """The hull of a row; ``shared`` is kept from one row to the next."""
    heard = case.job == "transcribe"
    text = 0.0 if heard else _own_text(case, row.tokenizer, row.forced_json)
    sound = sum(choices[0].sound[MID] for choices in usable) if heard else 0.0
    return Hull(case, text, sound, row.picture_rule, usable, {}, shared)


def _dear(price: float) -> float:
    return price if price < math.inf else UNKNOWN


def _option(way: Way, rule: str, weighed: Weights, waits: bool) -> Option:
    """What one way adds; kept with the way, since many rows share it."""
    key = (rule if way.pictures else "", weighed, waits)
    found = way.options.get(key)
    if found is None:
        money, time, loss = weighed
        seconds = way.transforms[MID] + way.local[MID] + (way.network[MID] if waits else 0.0)
        cost = way.cost[MID] if way.cost[MID] < math.inf else UNKNOWN
        image = way.film[MID] + (picture_tokens(way, rule)[MID] if way.pictures else 0.0)
        fixed = cost * money + seconds * time + way.penalty * loss
        found = way.options[key] = (fixed, way.text[MID], image, way.sound[MID] * 10.0)
    return found
