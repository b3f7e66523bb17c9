"""Assignment pools: the assignments shared by endpoints with the same input profile and token rules.

If there are few combinations of options, all are tried; otherwise the best under each weighting.
"""

from __future__ import annotations

import itertools
import math

from msgspec import Struct
from msgspec.structs import replace

from intermodal.core.request import TIERS
from intermodal.cost_model.levels import HIGH, MID
from intermodal.cost_model.token_rules import TokenRules
from intermodal.cost_model.tokens import Vocabulary
from intermodal.planner.catalog_index import EndpointGroup
from intermodal.planner.conversion.conversion_option import (
    NO_TIER,
    ConversionOption,
    Loss,
    NativeTokens,
    native_refusal,
    native_tokens,
    without_reading,
)
from intermodal.planner.conversion.fidelity import DETAIL_PENALTY, UNCONVERTED_OPTIONS
from intermodal.planner.eligibility import rules
from intermodal.planner.eligibility.eligible_endpoints import GroupBatch
from intermodal.planner.eligibility.rules import Reason
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.assignment import Assignment, assign
from intermodal.planner.route_estimates.call_demand import CallDemand, call_demand, framing_tokens
from intermodal.planner.route_search.lower_bounds import (
    BatchBound,
    Coefficients,
    OpenOptions,
    Weights,
    comparable_price,
)
from intermodal.planner.route_search.objectives import objective_weights

OpenOptionsOrReasons = list[list[ConversionOption]] | tuple[Bundle, list[Reason]]


class AssignmentPool(Struct, eq=False):
    """Assignments with their demands on the last call, and linear scores to compare them."""

    case: PlanningCase
    group: EndpointGroup
    assignments: list[Assignment]
    demands: dict[Assignment, CallDemand]
    text: float
    lines: list[tuple[float, float, float, float, float]]
    shortest: Assignment | None = None

    def demand(self, assignment: Assignment) -> CallDemand:
        """Return the demand of an assignment, computed on first use."""
        found = self.demands.get(assignment)
        if found is None:
            found = self.demands[assignment] = call_demand(self.case, self.group, assignment)
        return found

    def approximate_scores(self, prices: Coefficients) -> list[float]:
        """Return the approximate score of each assignment at an endpoint with these coefficients."""
        if not self.lines:
            weights = objective_weights(self.case.policy)
            self.lines = [linear_score(each, weights) for each in self.assignments]
        base, text, image, audio, length = prices
        base += self.text * text
        return [
            base + fixed + words * text + pixels * image + sound * audio + seconds * length
            for fixed, words, pixels, sound, seconds in self.lines
        ]


def shortest_assignment(pool: AssignmentPool, lanes: AssignmentPools) -> Assignment:
    """Return the assignment with the fewest tokens; cached."""
    if pool.shortest is None:
        pool.shortest = min(pool_assignments(pool, lanes), key=lambda each: pool.demand(each).total[HIGH])
    return pool.shortest


def pool_assignments(pool: AssignmentPool, lanes: AssignmentPools) -> list[Assignment]:
    """Return the pool's assignments, computed on first use."""
    if not pool.assignments:
        pool.assignments = lanes.assignments(pool.group)
    return pool.assignments


def linear_score(each: Assignment, weights: Weights) -> tuple[float, float, float, float, float]:
    """Return the score of an assignment before the last call, and its tokens and seconds of audio, to be priced."""
    money, time, loss = weights
    fixed = comparable_price(each.cost[MID]) * money + each.before[MID] * time + each.penalty * loss
    return fixed, each.text[MID], each.image[MID], each.audio[MID], each.sound[MID]


def open_options(usable: list[list[ConversionOption]], cores: int) -> OpenOptions:
    """Return the permitted options of each bundle, with properties that hold for all of them."""
    waits, tier, diverted, lost = False, NO_TIER, 0, 0
    for choices in usable:
        strongest = 0
        for option in choices:
            waits = waits or option.network[MID] > 0
            strongest = max(strongest, option.tier)
        tier = min(tier, strongest)
        least = _least_loss(choices)
        diverted, lost = diverted + least[0], lost + least[1]
    return OpenOptions(usable, waits, cores, tier, (diverted, lost), {})


def _least_loss(choices: list[ConversionOption]) -> Loss:
    return min([(option.diverted, option.lost) for option in choices])


def least_lossy(choices: list[ConversionOption]) -> list[ConversionOption]:
    """Return the options with the least loss."""
    if len(choices) <= 1:
        return choices
    diverted, lost = _least_loss(choices)
    return [option for option in choices if option.diverted == diverted and option.lost == lost]


def _differ_in_loss(choices: list[ConversionOption]) -> bool:
    return any(option.loss != choices[0].loss for option in choices)


class AssignmentPools:
    """The pools of one search, built on first use. ``ends``: the cheapest and fastest routes are searched as well."""

    def __init__(self, case: PlanningCase, choices: list[list[ConversionOption]], *, ends: bool = False) -> None:
        self.case = case
        self._ends = ends
        self.choices = choices
        self._refusable_options = [
            option for choices in choices for option in choices if option.odd or option.name == "native"
        ]
        self._closed: dict[TokenRules, tuple[int, ...]] = {}
        self._usable: dict[tuple[object, TokenRules], OpenOptionsOrReasons] = {}
        self._shared: dict[tuple[object, tuple[int, ...]], OpenOptionsOrReasons] = {}
        self._assignments: dict[tuple[object, TokenRules], list[Assignment]] = {}
        self._shared_pools: dict[tuple[object, TokenRules, Vocabulary, str, str], AssignmentPool] = {}
        self._pools: dict[EndpointGroup, AssignmentPool] = {}
        self._open_options: dict[int, OpenOptions] = {}
        self._texts: dict[tuple[Vocabulary, str, str], float] = {}

    def usable(self, group: EndpointGroup) -> OpenOptionsOrReasons:
        """Return the options per bundle that a group permits, or the first bundle without any and the reasons.

        Groups that forbid the same options share the result.
        """
        token_rules = self.case.token_rules(group)
        found = self._usable.get((group.input_profile, token_rules))
        if found is None:
            closed = self._closed.get(token_rules)
            if closed is None:
                closed = self._closed[token_rules] = tuple(
                    id(option) for option in self._refusable_options if native_refusal(option, token_rules)
                )
            key = (group.input_profile, closed)
            found = self._shared.get(key)
            if found is None:
                found = self._shared[key] = self._open(group)
            self._usable[group.input_profile, token_rules] = found
        return found

    def _open(self, group: EndpointGroup) -> OpenOptionsOrReasons:
        found: list[list[ConversionOption]] = []
        for bundle, choices in zip(self.case.bundles, self.choices, strict=True):
            permitted: list[ConversionOption] = []
            rejected: list[ConversionOption] = []
            for each in choices:
                if each.name == "read_along" and not group.cannot_read:
                    continue
                option = without_reading(each, bundle) if group.cannot_read else each
                # Most options fail on the accepted kinds, checked here without a reason; reasons are computed only if
                # none remain.
                is_open = (
                    option.kinds <= group.inputs and rules.option_rejection(group, option, bundle, self.case) is None
                )
                (permitted if is_open else rejected).append(option)
            if not permitted:
                reasons = [rules.option_rejection(group, option, bundle, self.case) for option in rejected]
                return bundle, [reason for reason in reasons if reason is not None]
            found.append(prefer_native_for_named(self.case, bundle, without_needless_descriptions(bundle, permitted)))
        return found

    def assignments(self, group: EndpointGroup) -> list[Assignment]:
        """Return the assignments worth pricing for a group."""
        key = (group.input_profile, self.case.token_rules(group))
        found = self._assignments.get(key)
        if found is None:
            usable = self.usable(group)
            assert isinstance(usable, list)
            found = self._assignments[key] = candidate_assignments(self.case, usable, key[1])
        return found

    def pool(self, group: EndpointGroup) -> AssignmentPool:
        """Return the pool of a group that has options for every bundle."""
        found = self._pools.get(group)
        if found is None:
            found = self._pools[group] = self._pool(group)
        return found

    def _pool(self, group: EndpointGroup) -> AssignmentPool:
        """Return the pool that a group shares with others."""
        model, schema_by = group.first.model, self.case.schema_by(group)
        case = self.case
        key = (group.input_profile, case.token_rules(group), case.vocabulary(model), schema_by, case.tool_rule(group))
        found = self._shared_pools.get(key)
        if found is None:
            transcribes = case.job == "transcribe"
            text = 0.0 if transcribes else self.text_tokens(key[2], schema_by, key[4])
            found = self._shared_pools[key] = AssignmentPool(self.case, group, [], {}, text, [])
        return found

    def batch_bound(self, row: GroupBatch, usable: list[list[ConversionOption]]) -> BatchBound:
        """Return the lower bound of a batch."""
        if self.case.job == "transcribe":
            sound = sum(choices[0].sound[MID] for choices in usable)
            return BatchBound(self.case, 0.0, sound, row.token_rules, open_options([], self.case.machine.cores))
        return BatchBound(
            self.case,
            self.text_tokens(row.vocabulary, row.schema_by, row.tool_rule),
            0.0,
            row.token_rules,
            self._open_options_of(usable),
        )

    def _open_options_of(self, usable: list[list[ConversionOption]]) -> OpenOptions:
        """Return the permitted options of each bundle with the least loss, shared by all batches that permit them.

        Other options help if context, cost or time is short, and are considered only if nothing else is within the
        limits.
        """
        found = self._open_options.get(id(usable))
        if found is None:
            cores = self.case.machine.cores
            found = self._open_options[id(usable)] = open_options([least_lossy(choices) for choices in usable], cores)
            if self._ends and any(map(_differ_in_loss, usable)):
                found.every = open_options(usable, cores)
        return found

    def text_tokens(self, vocabulary: Vocabulary, schema_by: str, tool_rule: str) -> float:
        """Return the tokens of the user's text and of the framing."""
        key = (vocabulary, schema_by, tool_rule)
        found = self._texts.get(key)
        if found is None:
            found = self._texts[key] = (
                self.case.text_tokens(vocabulary)[MID]
                + framing_tokens(self.case, schema_by, tool_rule, vocabulary)[MID]
            )
        return found


AS_IMAGE = ("native", "resized")


def prefer_native_for_named(case: PlanningCase, bundle: Bundle, good: list[ConversionOption]) -> list[ConversionOption]:
    """Mark all options except unconverted ones as diverting, if a named model accepts the part unconverted.

    Not applied under ``cheapest`` and ``fastest``, nor when replanning during a run.
    """
    if case.named_endpoints is None or case.policy.objective in ("cheapest", "fastest") or case.is_replanning:
        return good
    if not any(option.name in UNCONVERTED_OPTIONS for option in good):
        return good
    count = len(bundle.parts)
    return [
        option
        if option.name in UNCONVERTED_OPTIONS
        else replace(option, diverted=count, weighted_scores={}, options={})
        for option in good
    ]


def without_needless_descriptions(bundle: Bundle, good: list[ConversionOption]) -> list[ConversionOption]:
    """Drop descriptions of a single image that the model can see.

    Several images may need descriptions if the context is short.
    """
    if bundle.kind != "image" or len(bundle.parts) > 1 or not any(option.name in AS_IMAGE for option in good):
        return good
    return [option for option in good if option.name not in ("describe", "both")]


ALL_COMBINATIONS = 16  # up to this many combinations of options, all are tried

TOKEN_PRICES = (1e-7, 2e-6, 2e-5)  # USD per input token, from cheap to expensive; the best option depends on it

LARGE = TIERS.index("large")

READING = 3e-4  # typical seconds per input token


def candidate_assignments(
    case: PlanningCase, usable: list[list[ConversionOption]], token_rules: TokenRules
) -> list[Assignment]:
    """Return the assignments worth pricing for endpoints with these token rules."""
    if math.prod(len(choices) for choices in usable) <= ALL_COMBINATIONS:
        combinations = list(itertools.product(*usable))
    else:
        open_ones = [choices for choices in usable if len(choices) > 1]
        best: list[list[ConversionOption]] = []
        for choices in open_ones:
            weighted_options = [(option_weights(case, option, token_rules), option) for option in choices]
            best.append([min(weighted_options, key=lambda pair: pair[0][place])[1] for place in range(WEIGHTINGS)])
        columns = dict.fromkeys(zip(*best, strict=True))
        combinations = [_complete_choice(usable, column) for column in columns]
    assignments = [assign(case, each, token_rules) for each in combinations]
    return undominated_assignments(assignments) if len(assignments) > 1 else assignments


def _complete_choice(
    usable: list[list[ConversionOption]], column: tuple[ConversionOption, ...]
) -> tuple[ConversionOption, ...]:
    """Return one option per bundle: the chosen ones, and the only option of bundles without a choice."""
    column_iterator = iter(column)
    return tuple(next(column_iterator) if len(choices) > 1 else choices[0] for choices in usable)


def option_weights(
    case: PlanningCase, option: ConversionOption, token_rules: TokenRules
) -> tuple[tuple[float, ...], ...]:
    """Return an option's score under every weighting, smaller is better. Cached on the option."""
    key = token_rules if option.has_native_media else None
    found = option.weighted_scores.get(key)
    if found is None:
        found = option.weighted_scores[key] = _weight_vectors(
            case, option, native_tokens(option, token_rules) if option.has_native_media else NativeTokens()
        )
    return found


def _weight_vectors(
    case: PlanningCase, option: ConversionOption, native: NativeTokens
) -> tuple[tuple[float, ...], ...]:
    time = option.transforms[MID] + option.local[MID] + option.network[MID]
    cost, value = option.cost[MID], case.policy.time_value
    tokens = option.text[MID] + sum(each[MID] for each in native)
    high = option.text[HIGH] + sum(each[HIGH] for each in native)
    fixed = cost + value * (time + tokens * READING) + option.penalty
    quick = (time + tokens * READING, cost)
    loss = (float(option.diverted), float(option.lost))
    return (
        *((*loss, fixed + tokens * price) for price in TOKEN_PRICES),
        (*loss, *quick),
        (*loss, cost, time),
        (*loss, -float(option.tier), float(len(option.missed)), cost, time),
        # A converter stronger than the answering model does not strengthen the route.
        (*loss, -float(min(option.tier, LARGE)), float(len(option.missed)), cost, time),
        (float(len(option.converters)), *loss, option.penalty, time),
        # Even the best option may exceed a limit: then something must be lost, preferably where it helps most.
        *((fixed + tokens * price + DETAIL_PENALTY * sum(loss),) for price in TOKEN_PRICES),
        quick,
        (cost, time),
        (high,),
        (sum(count[HIGH] for count in option.pictures.values()), time),
    )


WEIGHTINGS = 2 * len(TOKEN_PRICES) + 9


def _figures(assignment: Assignment) -> tuple[float, ...]:
    return (
        *assignment.text[1:], *assignment.image[1:], *assignment.audio[1:], *assignment.cost[1:],
        *assignment.before[1:], assignment.memory[HIGH],
        float(assignment.pictures), assignment.penalty, float(assignment.diverted), float(assignment.lost),
        float(assignment.missed), -float(assignment.kept_aspects), -float(assignment.tier),
    )  # fmt: skip


def undominated_assignments(assignments: list[Assignment]) -> list[Assignment]:
    """Return the assignments that no other beats in every figure, in their order."""
    figures = [_figures(assignment) for assignment in assignments]
    undominated: list[Assignment] = []
    for place, own_figures in enumerate(figures):
        for other, other_figures in enumerate(figures):
            if other == place or (other_figures == own_figures and other > place):
                continue
            for a, b in zip(other_figures, own_figures, strict=True):
                if a > b:
                    break
            else:
                break  # dominated
        else:
            undominated.append(assignments[place])
    return undominated
