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
from intermodal.planner.score import UNKNOWN
from intermodal.planner.survivors import Row
from intermodal.planner.ways import Way

Option = tuple[float, float, float, float, float, float]  # fixed score, text, image and audio tokens, USD, seconds


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
    lines: dict[Weights, list[tuple[float, float, float, float]]]

    def demand(self, assignment: Assignment) -> Demand:
        """What an assignment demands here, worked out when first asked for."""
        found = self.demands.get(assignment)
        if found is None:
            found = self.demands[assignment] = demand(self.case, self.group, assignment)
        return found

    def numbers(self, rates: Rates, weighed: Weights) -> list[float]:
        """What each assignment would score at this endpoint, to compare them: loading and small print left out."""
        money, time, _ = weighed
        lines = self.lines.get(weighed)
        if lines is None:
            lines = self.lines[weighed] = [_line(each, weighed) for each in self.assignments]
        read = rates.read_in[MID] * time
        text, image, audio = (
            _dear(rates.text) * money + read, _dear(rates.image) * money + read, _dear(rates.audio) * money + read
        )  # fmt: skip
        out = min(self.case.ranked_answer, rates.most_out)
        base = (rates.request + out * _dear(rates.out)) * money + (
            rates.overhead[MID] + out * rates.write_out[MID]
        ) * time
        base += self.text * text
        return [base + fixed + words * text + pixels * image + sound * audio for fixed, words, pixels, sound in lines]


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
            found = self._lanes[key] = Lane(self.case, group, [], {}, text, {})
        return found


def _own_text(case: Case, tokenizer: str, forced: bool) -> float:
    """Tokens of the sender's words and of the framing."""
    return case.text(tokenizer)[MID] + framing(case, forced)[MID]


class Hull(Struct, eq=False):
    """What every member of a row must take, and per bundle what each way would add."""

    case: Case
    text: float
    sound: float
    picture_rule: str
    usable: list[list[Way]]
    options: list[list[Option]]

    def bound(self, rates: Rates, weighed: Weights) -> tuple[float, float, float]:
        """The least score, USD and seconds of a route to an endpoint with these rates.

        Every bundle goes its own best way; loading, and conversions over a network, are taken for nothing.
        """
        money, time, _ = weighed
        out = min(self.case.ranked_answer, rates.most_out)
        read = rates.read_in[MID]
        cost = rates.request + (self.text * rates.text if self.text else 0.0) + (out * rates.out if out else 0.0)
        seconds = rates.overhead[MID] + self.text * read + out * rates.write_out[MID]
        if self.sound:
            cost += min(self.sound * rates.second, self.sound * 6.0 * rates.audio)
            seconds += self.sound * rates.hear[MID]
        if cost == math.inf:
            cost = UNKNOWN
        score = cost * money + seconds * time
        text, image, audio = _dear(rates.text), _dear(rates.image), _dear(rates.audio)
        by_text, by_image, by_audio = (
            text * money + read * time,
            image * money + read * time,
            audio * money + read * time,
        )
        for options in self.options:
            least = math.inf
            best = options[0]
            for option in options:
                added = option[0] + option[1] * by_text + option[2] * by_image + option[3] * by_audio
                if added < least:
                    least, best = added, option
            score += least
            cost += best[4] + best[1] * text + best[2] * image + best[3] * audio
            seconds += best[5] + (best[1] + best[2] + best[3]) * read
        return score, cost, seconds

    def picks(self, rates: Rates, weighed: Weights) -> tuple[Way, ...]:
        """The best way of each bundle under some weights."""
        money, time, _ = weighed
        read = rates.read_in[MID] * time
        text, image, audio = (
            _dear(rates.text) * money + read, _dear(rates.image) * money + read, _dear(rates.audio) * money + read
        )  # fmt: skip
        found: list[Way] = []
        for ways in self.usable:
            best = ways[0]
            if len(ways) > 1:
                least = math.inf
                for way in ways:
                    option = _option(way, self.picture_rule, weighed)
                    added = option[0] + option[1] * text + option[2] * image + option[3] * audio
                    if added < least:
                        least, best = added, way
            found.append(best)
        return tuple(found)


def hull(case: Case, row: Row, usable: list[list[Way]], weighed: Weights) -> Hull:
    """The hull of a row."""
    heard = case.job == "transcribe"
    text = 0.0 if heard else _own_text(case, row.tokenizer, row.forced_json)
    sound = sum(choices[0].sound[MID] for choices in usable) if heard else 0.0
    some = [] if heard else usable
    rule = row.picture_rule
    options = [[_option(way, rule, weighed) for way in choices] for choices in some]
    return Hull(case, text, sound, rule, some, options)


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
        found = way.options[key] = (fixed, way.text[MID], image, way.sound[MID] * 10.0, cost, seconds)
    return found
