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

Option = tuple[float, float, float, float, float, float]  # fixed score, text, image and audio tokens, USD, seconds


Weights = tuple[float, float, float]  # of a USD, a second, a USD of penalty
CHEAP: Weights = (1.0, 0.0, 0.0)
QUICK: Weights = (0.0, 1.0, 0.0)


class Lane(Struct, eq=False):
    """Assignments with what they demand of the last call."""

    assignments: list[Assignment]
    demands: list[Demand]
    lines: dict[Weights, list[tuple[float, float, float, float]]]

    def numbers(self, case: Case, rates: Rates, weighed: Weights) -> list[float]:
        """What each assignment would score at this endpoint, to compare them: loading and small print left out."""
        money, time, _ = weighed
        lines = self.lines.get(weighed)
        if lines is None:
            lines = self.lines[weighed] = [_line(each, weighed) for each in self.demands]
        read = rates.read_in[MID] * time
        text, image, audio = (
            _dear(rates.text) * money + read, _dear(rates.image) * money + read, _dear(rates.audio) * money + read
        )  # fmt: skip
        out = min(case.ranked_answer, rates.most_out)
        base = (rates.request + out * _dear(rates.out)) * money + (rates.overhead[MID] + out * rates.write_out[MID]) * time
        return [base + fixed + words * text + pixels * image + sound * audio for fixed, words, pixels, sound in lines]


def _line(needs: Demand, weighed: Weights) -> tuple[float, float, float, float]:
    money, time, loss = weighed
    cost = needs.cost[MID] if needs.cost[MID] < math.inf else UNKNOWN
    fixed = cost * money + needs.before[MID] * time + needs.penalty * loss
    return fixed, needs.text[MID], needs.image[MID], needs.audio[MID]


class Lanes:
    """The lanes of one search, made when first needed."""

    def __init__(self, case: Case, choices: list[list[Way]]) -> None:
        self.case = case
        self.choices = choices
        self._usable: dict[tuple[frozenset[str], bool], list[list[Way]] | tuple[Bundle, list[Reason]]] = {}
        self._assignments: dict[tuple[frozenset[str], bool, str], list[Assignment]] = {}
        self._lanes: dict[tuple[frozenset[str], bool, str, str, bool], Lane] = {}

    def usable(self, inputs: frozenset[str], remote: bool, group: Group) -> list[list[Way]] | tuple[Bundle, list[Reason]]:
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

    def lane(self, group: Group) -> Lane:
        """The lane of a class that has ways for every bundle."""
        model, forced = group.first.model, group.first.host.forced_json
        rule = model.image_tokens
        key = (group.inputs, group.remote, rule, self.case.vocabulary(model.tokenizer), forced)
        found = self._lanes.get(key)
        if found is None:
            made = self._assignments.get(key[:3])
            if made is None:
                usable = self.usable(group.inputs, group.remote, group)
                assert isinstance(usable, list)
                made = self._assignments[key[:3]] = assignments(self.case, usable, rule)
            found = self._lanes[key] = Lane(made, [demand(self.case, group, each) for each in made], {})
        return found


def bounds(case: Case, row: Row, usable: list[list[Way]]) -> list[tuple[float, float, float]]:
    """Per class of a row: the least score, USD and seconds of its routes."""
    money, time, loss = weights(case)
    text = 0.0 if case.job == "transcribe" else case.text(row.tokenizer)[MID] + framing(case, row.forced_json)[MID]
    sound = sum(choices[0].sound[MID] for choices in usable) if case.job == "transcribe" else 0.0
    bundles = [[_option(way, row.picture_rule, money, time, loss) for way in choices] for choices in usable]
    found: list[tuple[float, float, float]] = []
    for rates in row.ideals:
        out = min(case.ranked_answer, rates.most_out)
        cost = rates.request + (text * rates.text if text else 0.0) + (out * rates.out if out else 0.0)
        seconds = rates.overhead[MID] + text * rates.read_in[MID] + out * rates.write_out[MID]
        if sound:
            cost += min(sound * rates.second, sound * 6.0 * rates.audio)
            seconds += sound * rates.hear[MID]
        if bundles and case.job != "transcribe":
            more_cost, more_seconds = _best(bundles, rates, money, time)
            cost, seconds = cost + more_cost, seconds + more_seconds
        known = cost if cost < math.inf else UNKNOWN
        found.append((known * money + seconds * time, known, seconds))
    return found


def _best(bundles: list[list[Option]], rates: Rates, money: float, time: float) -> tuple[float, float]:
    """USD and seconds added by the way that scores least, bundle by bundle, its losses priced in as USD."""
    read = rates.read_in[MID]
    text, image, audio = _dear(rates.text), _dear(rates.image), _dear(rates.audio)
    cost = seconds = 0.0
    for options in bundles:
        least = best_cost = best_seconds = math.inf
        for fixed, words, pixels, sound, usd, wait in options:
            paid = usd + words * text + pixels * image + sound * audio
            waited = wait + (words + pixels + sound) * read
            score = fixed + (paid - usd) * money + (waited - wait) * time
            if score < least:
                least, best_cost, best_seconds = score, paid + fixed - usd * money - wait * time, waited
        cost, seconds = cost + best_cost, seconds + best_seconds
    return cost, seconds


def _dear(price: float) -> float:
    return price if price < math.inf else UNKNOWN


def _option(way: Way, rule: str, money: float, time: float, loss: float) -> Option:
    seconds = way.transforms[MID] + way.local[MID]
    cost = way.cost[MID] if way.cost[MID] < math.inf else UNKNOWN
    image = picture_tokens(way, rule)[MID] if way.pictures else 0.0
    fixed = cost * money + seconds * time + way.penalty * loss
    return (fixed, way.text[MID], image, way.sound[MID] * 10.0, cost, seconds)
