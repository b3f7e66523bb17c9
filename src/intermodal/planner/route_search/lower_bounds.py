"""Lower bounds: the best possible score of a group of endpoints, and the options that look best for an endpoint.

The bound is the score of an ideal member with the best value of every figure, if every bundle used its own best option,
remote conversions and loading cost nothing, and local conversions kept all cores busy. No route of the group scores
less.
"""

from __future__ import annotations

import math

from msgspec import Struct
from msgspec.structs import replace

from intermodal.cost_model.levels import MID
from intermodal.cost_model.rates import Rates, known_rates
from intermodal.cost_model.token_rules import TokenRules
from intermodal.planner.catalog_index import EndpointGroup
from intermodal.planner.conversion.conversion_option import ConversionOption, Loss, native_tokens
from intermodal.planner.eligibility.eligible_endpoints import GroupBatch
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_search.objectives import UNKNOWN_PRICE

# Score of a call; per token of text, images and audio; and per second of audio that is billed by its length.
Coefficients = tuple[float, float, float, float, float]
Option = tuple[float, float, float, float]  # fixed score; tokens of text, images, audio
Weights = tuple[float, float, float]  # weights of a USD, a second, a USD of penalty
Branch = tuple[float, float, float, float, ConversionOption]  # an option's figures, and the option
CHEAP: Weights = (1.0, 0.0, 0.0)
QUICK: Weights = (0.0, 1.0, 0.0)


def coefficients(case: PlanningCase, rates: Rates, weights: Weights) -> Coefficients:
    """Return the fixed score of a call, and the scores per token of text, images and audio and per second of audio."""
    money, time, _ = weights
    if case.job == "draw":
        return (0.0, 0.0, 0.0, 0.0, 0.0)  # priced per image: all groups are opened, because they are few
    read = rates.read_in[MID] * time
    out, paid = (_tokens(case, rates, words) for words in (case.ranked_answer, case.paid_answer))
    cost = rates.request + (paid * rates.out if paid else 0.0)
    base = comparable_price(cost) * money + (rates.overhead[MID] + out * rates.write_out[MID]) * time
    text, image, audio = (comparable_price(price) * money + read for price in (rates.text, rates.image, rates.audio))
    counts, length = rates.counts, rates.length * money
    if counts is None:
        return (base, text, image, audio, length)
    return (base, text * counts.middle("text"), image * counts.middle("image"), audio * counts.middle("audio"), length)


def _tokens(case: PlanningCase, rates: Rates, words: float) -> float:
    """Return the output tokens of an answer of ``words``, including its reasoning."""
    return min(words + rates.thought[MID], case.answer_limit, rates.most_out) if words else 0.0


def known_coefficients(
    case: PlanningCase, row: GroupBatch, weights: Weights, group: EndpointGroup | None = None
) -> list[Coefficients]:
    """Return the coefficients of the ideal member of each group of a batch, or of each member of one group's band.

    They do not depend on the request's sizes, so they are cached.
    """
    key = (weights, case.ranked_answer, case.paid_answer, case.answer_limit, -1 if group is None else group.number)
    found = row.coefficients.get(key)
    if found is None:
        if len(row.coefficients) > 1024:
            row.coefficients.clear()
        if group is None:
            member_rates = row.ideals
        else:
            members = case.index.band(group, case.as_of, case.effort)
            member_rates = [known_rates(each, case.as_of, case.effort) for each in members]
        found = row.coefficients[key] = [coefficients(case, each, weights) for each in member_rates]
    return found


def least_coefficients(case: PlanningCase, row: GroupBatch, weights: Weights) -> list[Coefficients]:
    """Return the minimum of each coefficient over a batch's groups, as a list with one element."""
    key = (weights, case.ranked_answer, case.paid_answer, case.answer_limit, None)
    found = row.coefficients.get(key)
    if found is None:
        base, text, image, audio, length = zip(*known_coefficients(case, row, weights), strict=True)
        found = row.coefficients[key] = [(min(base), min(text), min(image), min(audio), min(length))]
    return found


class OptionSums(Struct, frozen=True, gc=False):
    """The sums that the permitted options of all bundles add under some weights.

    Attributes:
        fixed, words, pixels, sound: sums over the bundles with a single relevant option.
        options: the first relevant option of each bundle.
        places: indexes of the bundles with a choice. branches: the figures of each of their options.
    """

    fixed: float
    words: float
    pixels: float
    sound: float
    options: tuple[ConversionOption, ...]
    places: list[int]
    branches: list[list[Branch]]


class OpenOptions(Struct, eq=False):
    """The permitted options of every bundle, for endpoints with the same input profile.

    ``waits``: some conversion is remote. ``cores``: cores of the machine. ``tier``: maximum strength of the
    conversions. ``least``: their minimum loss. ``shapes``: cached sums by token rules (None ignores unconverted media)
    and weights. ``every``: the same including options that lose more, if the ends of the frontier are searched.
    """

    usable: list[list[ConversionOption]]
    waits: bool
    cores: int
    tier: int
    least: Loss
    shapes: dict[tuple[TokenRules | None, Weights, bool], OptionSums]
    every: OpenOptions | None = None

    def shape(self, token_rules: TokenRules | None, weights: Weights, waits: bool = False) -> OptionSums:
        """Return the sums under some weights. ``waits``: whether remote conversions take their time."""
        found = self.shapes.get((token_rules, weights, waits))
        if found is None:
            found = (
                self._sums_without_media(weights, waits)
                if token_rules is None
                else self._sum_options(token_rules, weights, waits)
            )
            self.shapes[token_rules, weights, waits] = found
        return found

    def _sums_without_media(self, weights: Weights, waits: bool) -> OptionSums:
        """Return the sums without unconverted media, which are the same under all token rules."""
        fixed = words = pixels = sound = 0.0
        conversion_options: list[ConversionOption] = []
        places: list[int] = []
        branches: list[list[Branch]] = []
        for place, choices in enumerate(self.usable):
            options = [(*_option(option, weights, waits, self.cores), option) for option in choices]
            candidates = _undominated_branches(options) if len(options) > 1 else options
            conversion_options.append(candidates[0][4])
            if len(candidates) == 1:
                only = candidates[0]
                fixed, words, pixels, sound = fixed + only[0], words + only[1], pixels + only[2], sound + only[3]
            else:
                places.append(place)
                branches.append(candidates)
        return OptionSums(fixed, words, pixels, sound, tuple(conversion_options), places, branches)

    def _sum_options(self, token_rules: TokenRules, weights: Weights, waits: bool) -> OptionSums:
        plain = self.shape(None, weights, waits)
        words, pixels, sound = plain.words, plain.pixels, plain.sound
        for place, conversion_option in enumerate(plain.options):
            if conversion_option.has_native_media and place not in plain.places:
                text, image, audio = conversion_option.by_rules.get(token_rules) or native_tokens(
                    conversion_option, token_rules
                )
                words, pixels, sound = words + text[MID], pixels + image[MID], sound + audio[MID]
        branches: list[list[Branch]] = []
        for options in plain.branches:
            natives = False
            bundle_branches: list[Branch] = []
            for option in options:
                natives = natives or bool(option[4].natives)
                bundle_branches.append(_with_natives(option, token_rules) if option[4].has_native_media else option)
            if natives:  # kept so far because their tokens were unknown
                bundle_branches = [
                    branch
                    for branch in bundle_branches
                    if not branch[4].natives or not _is_dominated(branch, bundle_branches)
                ]
            branches.append(bundle_branches)
        return OptionSums(plain.fixed, words, pixels, sound, plain.options, plain.places, branches)

    def picks(
        self, token_rules: TokenRules, prices: Coefficients, weights: Weights, waits: bool = False
    ) -> tuple[ConversionOption, ...]:
        """Return the best option of each bundle under some weights, for an endpoint with these coefficients.

        Conversions overlap, so their times do not add up: without ``waits``, remote conversions take no time and local
        ones their share of the cores; with ``waits``, each takes its full time. The best choice is usually one of the
        two.
        """
        _, text, image, audio, length = prices
        shape = self.shape(token_rules, weights, waits)
        found = list(shape.options)
        for place, options in zip(shape.places, shape.branches, strict=True):
            least = math.inf
            for fixed, words, pixels, sound, option in options:
                added = fixed + words * text + pixels * image + sound * audio
                if length:
                    added += option.sound[MID] * length
                if added < least:
                    least, found[place] = added, option
        return tuple(found)


class BatchBound(Struct, eq=False):
    """The demand on every member of a batch: the user's ``text``, a recording's ``sound``, an option per bundle."""

    case: PlanningCase
    text: float
    sound: float
    token_rules: TokenRules
    open_options: OpenOptions

    def lossy(self) -> BatchBound:
        """Return the bound including options that lose more than necessary, which are cheaper or faster."""
        return self if self.open_options.every is None else replace(self, open_options=self.open_options.every)

    def bound(self, rates: Rates, weights: Weights) -> float:
        """Return the minimum score of a route to an endpoint with these rates."""
        score = self.bounds([coefficients(self.case, rates, weights)], weights)[0]
        if self.sound:
            audio_cost = min(max(self.sound, rates.least) * rates.second, self.sound * 6.0 * rates.audio)
            score += (
                comparable_price(audio_cost) * weights[0]
                + self.sound * min(rates.hear[MID], rates.hear_film[MID]) * weights[1]
            )
        return score

    def bounds(
        self, every: list[Coefficients], weights: Weights, *, with_native_media: bool = True, enough: float = math.inf
    ) -> list[float]:
        """Return the bounds for many coefficients at once, for token-based jobs. The search spends most of its time
        here.

        Args:
            with_native_media: include unconverted media; without it the bounds are lower, and hold under all rules.
            enough: stop refining a bound that already reaches this value.
        """
        shape = self.open_options.shape(self.token_rules if with_native_media else None, weights)
        fixed_, words_, pixels_, sound_ = shape.fixed, self.text + shape.words, shape.pixels, shape.sound
        branches = shape.branches
        found: list[float] = []
        for score, text, image, audio, _ in every:  # without the price per second of audio it is still a lower bound
            score += fixed_ + words_ * text + pixels_ * image + sound_ * audio
            for options in branches:
                if score >= enough:
                    break
                least = math.inf
                for fixed, words, pixels, sound, _ in options:
                    added = fixed + words * text + pixels * image + sound * audio
                    if added < least:
                        least = added
                score += least
            found.append(score)
        return found

    def picks(self, prices: Coefficients, weights: Weights, waits: bool = False) -> tuple[ConversionOption, ...]:
        """Return the best option of each bundle; see ``OpenOptions.picks``."""
        return self.open_options.picks(self.token_rules, prices, weights, waits)


def least_added_score(
    option: ConversionOption, token_rules: TokenRules, prices: Coefficients, weights: Weights, cores: int
) -> float:
    """Return the minimum that an option adds to the score of a route to an endpoint with these coefficients."""
    _, text, image, audio, _ = prices
    fixed, words, pixels, sound = _option(option, weights, False, cores)
    if option.has_native_media:
        fixed, words, pixels, sound, _ = _with_natives((fixed, words, pixels, sound, option), token_rules)
    return fixed + words * text + pixels * image + sound * audio


def _undominated_branches(options: list[Branch]) -> list[Branch]:
    """Return the options that may be best at some token price.

    Unconverted media depend on the token rules, so they are always kept.
    """
    plain = [option for option in options if not option[4].has_native_media]
    return [branch for branch in options if branch[4].has_native_media or not _is_dominated(branch, plain)]


def _with_natives(option: Branch, token_rules: TokenRules) -> Branch:
    fixed, words, pixels, sound, conversion_option = option
    text, image, audio = conversion_option.by_rules.get(token_rules) or native_tokens(conversion_option, token_rules)
    return (fixed, words + text[MID], pixels + image[MID], sound + audio[MID], conversion_option)


def _is_dominated(branch: Branch, others: list[Branch]) -> bool:
    """Return whether another option is as good in every figure. Of equal options, all but the first are dominated."""
    fixed, words, pixels, sound, option = branch
    before = True
    for other in others:
        if other[4] is option:
            before = False
            continue
        as_good = other[0] <= fixed and other[1] <= words and other[2] <= pixels and other[3] <= sound
        if as_good and (before or other[:4] != branch[:4]):
            return True
    return False


def comparable_price(price: float) -> float:
    """Return a price for comparison; an unknown price ranks after all others."""
    return price if price < math.inf else UNKNOWN_PRICE


def _option(option: ConversionOption, weights: Weights, waits: bool, cores: int) -> Option:
    """Return the figures of an option except unconverted media. Cached on the option, which several groups share.

    Counts at least its share of the machine's time with all cores busy; with ``waits``, its seconds in sequence.
    """
    key = (weights, waits)
    found = option.options.get(key)
    if found is None:
        money, time, loss = weights
        seconds = (
            option.transforms[MID] + option.local[MID] + option.network[MID] if waits else option.work[MID] / cores
        )
        fixed = comparable_price(option.cost[MID]) * money + seconds * time + option.penalty * loss
        found = option.options[key] = (fixed, option.text[MID], 0.0, 0.0)
    return found
