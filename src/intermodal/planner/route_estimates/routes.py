"""Complete routes and their figures: an assignment (``assignment.py``) in front of an endpoint.

The search prices hundreds of routes, so everything independent of the endpoint is summed once as a demand
(``call_demand.py``). ``price_route`` then takes a few multiplications at two levels, mid for ranking and high for
limits; ``candidate_builder`` shows the chosen routes at all three levels by the same formulas
(``final_call_estimate.py``).

``RouteLimits`` repeats the route rules as plain comparisons, for routes that are considered but not shown; a test
compares the two. Peak memory: converters stay loaded for the next request; if memory does not hold both them and the
answering model, they are unloaded before the answer.
"""

from __future__ import annotations

import math

from msgspec import Struct

from intermodal.catalog.default_speeds import PLACEHOLDER
from intermodal.catalog.types import Endpoint
from intermodal.cost_model.levels import HIGH, LOW, MID, Levels, add_levels, max_levels
from intermodal.cost_model.memory import fits_in_memory
from intermodal.cost_model.rates import Rates
from intermodal.cost_model.request_limits import exceeds_limits
from intermodal.planner.catalog_index import EndpointGroup, Job
from intermodal.planner.conversion.conversion_option import Loss
from intermodal.planner.eligibility.rules import PricedRoute
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.assignment import Assignment
from intermodal.planner.route_estimates.call_demand import (
    DEFAULT_ANSWER,
    CallDemand,
    answer_limit,
    answering_tier,
    context_tokens,
    full_answer_limit,
    least_answer_limit,
)
from intermodal.planner.route_estimates.final_call_estimate import (
    AnswerTokens,
    answer_tokens,
    final_call_cost,
    repair_cost,
    speech_cost,
    typical_call_cost,
    usual_answer,
)
from intermodal.planner.route_estimates.voice_selection import speaks, voice_load_seconds
from intermodal.planner.route_estimates.voice_selection import voice_memory_bytes as voice_memory
from intermodal.plans.cpu_schedule import LOCAL_ZONES


def main_speed_of(job: Job) -> str:
    """Return the speed figure that determines most of a last call's duration."""
    return _FIGURES.get(job, "decode")


_FIGURES: dict[Job, str] = {
    "transcribe": "realtime_factor",
    "speak": "realtime_factor",
    "draw": "picture",
    "embed": "prompt",
}


class RouteNumbers(Struct, gc=False):
    """The figures of a route used by ranking and limits.

    ``cost`` and ``seconds``: with an answer of at most ``cap`` tokens. ``missing_cost``, ``missing_seconds``: the
    remainder of a usual answer that does not fit ``cap``, added by ranking. ``untimed``: the seconds of the last call
    are a placeholder.
    """

    cost: float
    cost_high: float
    seconds: float
    seconds_high: float
    memory: float
    cap: float
    missing_cost: float = 0.0
    missing_seconds: float = 0.0
    untimed: bool = False


class Route(Struct, eq=False, gc=False):
    """An endpoint with an assignment, priced. ``key`` is its sort key, ``score`` its objective value."""

    endpoint: Endpoint
    group: EndpointGroup
    rates: Rates
    assignment: Assignment
    demand: CallDemand
    numbers: RouteNumbers
    tier: int
    own_tier: int
    key: tuple[float | str, ...]
    score: float

    @property
    def cost(self) -> float:
        return self.numbers.cost

    @property
    def loss(self) -> Loss:
        """Return the losses compared before any number: parts diverted from a named model, required aspects lost."""
        return self.demand.diverted, self.demand.lost

    @property
    def seconds(self) -> float:
        return self.numbers.seconds


def price_route(case: PlanningCase, endpoint: Endpoint, remote: bool, rates: Rates, needs: CallDemand) -> RouteNumbers:
    """Return the figures of a route. If the answer's limit may be reduced, it is fitted to the cost and time limits."""
    cap = answer_limit(case, rates, context_tokens(case, endpoint.id, needs))
    if case.hopeful_images and needs.image[LOW] < needs.image[HIGH]:
        # A server that counts prompt and answer limit together would reject the request, so allow a usual answer only.
        cap = min(cap, max(float(DEFAULT_ANSWER[case.output]), math.floor(rates.context - needs.total[MID])))
    numbers = _price(case, endpoint, remote, rates, needs, cap)
    # The latter is room for reasoning, chosen by the planner.
    if not (case.tight or (rates.room and case.answer_limit == math.inf)):
        return numbers
    limits = (case.policy.max_cost, math.inf if case.policy.deadline is None else case.policy.deadline)
    if numbers.cost_high <= limits[0] and numbers.seconds_high <= limits[1]:
        return numbers
    least = _price(case, endpoint, remote, rates, needs, min(cap, least_answer_limit(case, rates)))
    share = 1.0  # the share of the span: both grow linearly with the answer
    for limit, low, high in zip(
        limits, (least.cost_high, least.seconds_high), (numbers.cost_high, numbers.seconds_high), strict=True
    ):
        if low < high < math.inf:
            share = min(share, (limit - low) / (high - low))
    room = math.floor(least.cap + max(0.0, share) * (cap - least.cap))
    return _price(case, endpoint, remote, rates, needs, float(room))


def _price(
    case: PlanningCase, endpoint: Endpoint, remote: bool, rates: Rates, needs: CallDemand, cap: float
) -> RouteNumbers:
    """Return the figures of a route whose answer has at most ``cap`` tokens."""
    answer = answer_tokens(case, endpoint, rates, cap, needs.sound)
    out = answer.tokens
    cost, seconds = final_call_cost(case, rates, MID, needs, out[MID], answer.paid)
    cost_high, seconds_high = final_call_cost(case, rates, HIGH, needs, out[HIGH])
    missing_cost = missing_seconds = 0.0
    if case.job == "generate" and answer.paid >= cap:
        missing_cost, missing_seconds = _missing_answer_cost(case, endpoint, rates, needs, answer, cap)
    if needs.again:
        more_cost, more_seconds = repair_cost(case, rates, needs, out[HIGH])
        cost_high, seconds_high = cost_high + more_cost, seconds_high + more_seconds
    loaded = 0.0  # bytes loaded for the answer
    if case.output == "speech":
        more_cost_, more_seconds_ = speech_cost(case, endpoint, rates, out)
        cost, cost_high = cost + more_cost_[MID], cost_high + more_cost_[HIGH]
        seconds, seconds_high = seconds + more_seconds_[MID], seconds_high + more_seconds_[HIGH]
        if case.voice is not None and case.job == "generate" and not speaks(endpoint):
            seconds, seconds_high = (
                seconds + voice_load_seconds(case, case.voice, MID),
                seconds_high + voice_load_seconds(case, case.voice, HIGH),
            )
            loaded += voice_memory(case, case.voice)[HIGH]
    if not remote and endpoint.id not in case.loaded and endpoint.id not in needs.cold:
        loaded += rates.memory[HIGH]
        seconds += rates.load[MID]
        seconds_high += rates.load[HIGH]
    return RouteNumbers(
        cost + needs.cost[MID],
        cost_high + needs.cost[HIGH],
        needs.before[MID] + seconds,
        needs.before[HIGH] + seconds_high,
        peak_memory(case, endpoint, needs, loaded) if needs.peak else loaded,
        cap,
        missing_cost,
        missing_seconds,
        endpoint.host.zone not in LOCAL_ZONES and rates.basis_of(main_speed_of(case.job)) == PLACEHOLDER,
    )


def _missing_answer_cost(
    case: PlanningCase, endpoint: Endpoint, rates: Rates, needs: CallDemand, answer_tokens: AnswerTokens, cap: float
) -> tuple[float, float]:
    """Return USD and seconds of the part of a usual answer that does not fit the limit."""
    usual = usual_answer(case, endpoint, rates, cap, needs.sound)
    if usual.paid <= cap:
        return 0.0, 0.0
    found: list[float] = []
    for full_amount, cut_amount in zip(
        _middle_cost_and_time(case, endpoint, rates, needs, usual),
        _middle_cost_and_time(case, endpoint, rates, needs, answer_tokens),
        strict=True,
    ):
        found.append(full_amount - cut_amount if cut_amount < math.inf else 0.0)
    return found[0], found[1]


def _middle_cost_and_time(
    case: PlanningCase, endpoint: Endpoint, rates: Rates, needs: CallDemand, answer_tokens: AnswerTokens
) -> tuple[float, float]:
    """Return USD and seconds of an answer, including its speech synthesis."""
    cost, seconds = typical_call_cost(case, rates, needs, answer_tokens)
    more_cost, more_seconds = speech_cost(case, endpoint, rates, answer_tokens.tokens)
    return cost + more_cost[MID], seconds + more_seconds[MID]


def priced_route(
    case: PlanningCase,
    endpoint: Endpoint,
    group: EndpointGroup,
    rates: Rates,
    needs: CallDemand,
    numbers: RouteNumbers,
    floor: int,
) -> PricedRoute:
    """Return the figures in the form that route rules read."""
    own_tier = answering_tier(case, group, needs)
    transcribes = case.job == "transcribe"
    return PricedRoute(
        cost=numbers.cost,
        cost_high=numbers.cost_high,
        seconds=numbers.seconds,
        seconds_high=numbers.seconds_high,
        tokens=0.0 if transcribes else context_tokens(case, endpoint.id, needs),
        answer=numbers.cap,
        context=math.inf if transcribes else rates.context,
        context_known=bool(endpoint.context_limit),
        pictures=needs.pictures,
        max_images=group.first.host.max_images,
        memory=numbers.memory,
        limits=case.token_rules(group).limits,
        media_amounts=needs.media_amounts,
        tier=min(needs.tier, own_tier),
        own_tier=own_tier,
        floor=floor,
        uncut=endpoint.uncut,
        cut=rates.room > 0
        and case.job == "generate"
        and numbers.cap < min(full_answer_limit(case, rates), rates.most_out),
    )


class RouteLimits(Struct, frozen=True):
    """The limits of a request; infinite if there is none. ``unknown``: whether an unknown price is allowed."""

    cost: float
    unknown: bool
    seconds: float
    free: float
    floor: int
    counts_context: bool

    def afford(self, cost: float, seconds: float, memory: float) -> bool:
        """Return whether USD, seconds and bytes, each at its high end, are within the limits."""
        return (
            (cost <= self.cost or (self.unknown and cost == math.inf))
            and seconds <= self.seconds
            and memory <= self.free
        )

    def permits(
        self,
        case: PlanningCase,
        endpoint: str,
        group: EndpointGroup,
        rates: Rates,
        needs: CallDemand,
        numbers: RouteNumbers,
        own_tier: int,
    ) -> bool:
        """Return whether a route is within every limit."""
        if own_tier < self.floor or not self.afford(numbers.cost_high, numbers.seconds_high, numbers.memory):
            return False
        most = group.first.host.max_images
        if most is not None and needs.pictures > most:
            return False
        published = case.token_rules(group).limits
        if published is not None and exceeds_limits(published, needs.media_amounts, rates.context):
            return False
        return not self.counts_context or context_tokens(case, endpoint, needs) + numbers.cap <= rates.context


def route_limits(case: PlanningCase, floor: int) -> RouteLimits:
    """Return the limits of a request on this machine."""
    policy, machine = case.policy, case.machine
    return RouteLimits(
        cost=policy.max_cost,
        unknown=policy.takes_unknown_prices,
        seconds=math.inf if policy.deadline is None else policy.deadline,
        free=math.inf if machine.memory == 0 else float(machine.free),
        floor=floor,
        counts_context=case.job != "transcribe",
    )


def unloads_first(case: PlanningCase, endpoint: Endpoint, needs: CallDemand, answering: float) -> bool:
    """Return whether converters are unloaded before the answer, because ``answering`` more bytes would not fit."""
    if not needs.ending or not answering or endpoint.id in needs.cold:
        return False
    return not fits_in_memory(case.machine, needs.memory + answering)


def peak_memory(case: PlanningCase, endpoint: Endpoint, needs: CallDemand, answering: float) -> float:
    """Return the peak memory of a route in bytes.

    ``answering``: bytes of the answering model that are not loaded yet.
    """
    stays = needs.memory
    if needs.ending and unloads_first(case, endpoint, needs, answering):
        stays -= needs.ending
    return max(stays + answering, needs.peak)


def peak_memory_levels(assignment: Assignment, answering: Levels, *, ends: bool) -> Levels:
    """Return the peak memory at all levels. ``ends``: the result of ``unloads_first``."""
    stays = assignment.memory
    if ends:
        ending = assignment.ending
        stays = (stays[0] - ending[0], stays[1] - ending[1], stays[HIGH] - ending[HIGH])
    return max_levels(add_levels(stays, answering), assignment.peak)


def unloaded_endpoints(assignment: Assignment) -> tuple[str, ...]:
    """Return the embedded endpoints that the route loads to convert and that can be unloaded (``unloads_first``)."""
    own_endpoints = (used for option in assignment.options for used in option.converters if used.host.zone == "process")
    return tuple(dict.fromkeys(used.id for used in own_endpoints if used.id in assignment.cold))
