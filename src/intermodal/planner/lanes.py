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
from intermodal.planner.case import Bundle, Case
from intermodal.planner.combine import assignments
from intermodal.planner.index import Group
from intermodal.planner.routes import Assignment, Demand, demand, framing, picture_tokens
from intermodal.planner.rules import Reason
from intermodal.planner.score import UNKNOWN, weights
from intermodal.planner.survivors import Row
from intermodal.planner.ways import Way

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
        self._usable: dict[tuple[frozenset[str], bool], list[list[Way]] | tuple[Bundle, list[Reason]]] = {}
        self._assignments: dict[tuple[frozenset[str], bool, str], list[Assignment]] = {}
        self._lanes: dict[tuple[frozenset[str], bool, str, str, bool], Lane] = {}

    def usable(
        self, inputs: frozenset[str], remote: bool, group: Group
    ) -> list[list[Way]] | tuple[Bundle, list[Reason]]:
        """Per bundle the ways that are open to such endpoints, or the first bundle with none and why."""
        key = (inputs, remote)
        found = self._usable.get(key)
        if found is None:
            found = self._usable[key] = self._open(group)
        return found

    def _open(self, group: Group) -> list[list[Way]] | tuple[Bundle, list[Reason]]:
        found: list[list[Way]] = []
        for bundle, choices in zip(self.case.bundles, self.choices, strict=True):
            reasons: list[Reason] = []
            good: list[Way] = []
            for way in choices:
                reason = rules.of_way(group, way, bundle, self.case)
                if reason is None:
                    good.append(way)
                else:
                    reasons.append(reason)
            if not good:
                return bundle, reasons
            found.append(good)
        return found

    def assignments(self, group: Group) -> list[Assignment]:
        """Assignments worth trying where there is time to try several."""
        key = (group.inputs, group.remote, group.first.model.image_tokens)
        found = self._assignments.get(key)
        if found is None:
            usable = self.usable(group.inputs, group.remote, group)
            assert isinstance(usable, list)
            found = self._assignments[key] = assignments(self.case, usable, key[2])
        return found

    def lane(self, group: Group) -> Lane:
        """The lane of a class that has ways for every bundle."""
        model, forced = group.first.model, group.first.host.forced_json
        rule = model.image_tokens
        key = (group.inputs, group.remote, rule, self.case.vocabulary(model.tokenizer), forced)
        found = self._lanes.get(key)
        if found is None:
            text = 0.0 if self.case.job == "transcribe" else _own_text(self.case, model.tokenizer, forced)
            found = self._lanes[key] = Lane(self.case, group, [], {}, text, [])
        return found


def _own_text(case: Case, tokenizer: str, forced: bool) -> float:
    """Tokens of the sender's words and of the framing."""
    return case.text(tokenizer)[MID] + framing(case, forced)[MID]


Shape = tuple[Option, list[list[Option]], list[list[Option]]]  # of the only ways; of bundles with a choice; of all


class Hull(Struct, eq=False):
    """What every member of a row must take, and what each open way would add.

    ``shapes`` has, per weights, the sum of the bundles with one way only and the options of the others.
    """

    case: Case
    text: float
    sound: float
    picture_rule: str
    usable: list[list[Way]]
    shapes: dict[Weights, Shape]

    def shape(self, weighed: Weights) -> Shape:
        """The bundles under some weights."""
        found = self.shapes.get(weighed)
        if found is None:
            some = [] if self.case.job == "transcribe" else self.usable
            options = [[_option(way, self.picture_rule, weighed) for way in choices] for choices in some]
            fixed, words, pixels, sound = 0.0, self.text, 0.0, 0.0
            for each in options:
                if len(each) == 1:
                    only = each[0]
                    fixed, words, pixels, sound = fixed + only[0], words + only[1], pixels + only[2], sound + only[3]
            several = [each for each in options if len(each) > 1]
            found = self.shapes[weighed] = ((fixed, words, pixels, sound), several, options)
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

    def picks(self, rates: Rates, weighed: Weights) -> tuple[Way, ...]:
        """The best way of each bundle under some weights."""
        _, text, image, audio = coefficients(self.case, rates, weighed)
        found: list[Way] = []
        options = self.shape(weighed)[2]
        for place, ways in enumerate(self.usable):
            best = ways[0]
            if len(ways) > 1:
                least = math.inf
                for way, (fixed, words, pixels, sound) in zip(ways, options[place], strict=True):
                    added = fixed + words * text + pixels * image + sound * audio
                    if added < least:
                        least, best = added, way
            found.append(best)
        return tuple(found)


def hull(case: Case, row: Row, usable: list[list[Way]]) -> Hull:
    """The hull of a row."""
    heard = case.job == "transcribe"
    text = 0.0 if heard else _own_text(case, row.tokenizer, row.forced_json)
    sound = sum(choices[0].sound[MID] for choices in usable) if heard else 0.0
    return Hull(case, text, sound, row.picture_rule, usable, {})


def _dear(price: float) -> float:
    return price if price < math.inf else UNKNOWN


def _option(way: Way, rule: str, weighed: Weights) -> Option:
    """What one way adds; kept with the way, since many rows share it."""
    key = (rule if way.pictures else "", weighed)
    found = way.options.get(key)
    if found is None:
        money, time, loss = weighed
        seconds = way.transforms[MID] + way.local[MID]
        cost = way.cost[MID] if way.cost[MID] < math.inf else UNKNOWN
        image = picture_tokens(way, rule)[MID] if way.pictures else 0.0
        fixed = cost * money + seconds * time + way.penalty * loss
        found = way.options[key] = (fixed, way.text[MID], image, way.sound[MID] * 10.0)
    return found
