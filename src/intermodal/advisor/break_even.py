"""Break-even of a host's bill and owned hardware: the request volume above which the hardware is cheaper.

A host charges per request, a machine costs a fixed amount per month, so the two lines cross at ``machine / usd``
requests per month, if one machine can answer that many. Above its capacity another machine is bought. If a host's
request costs less than the share of a fully used machine, the lines never cross.
"""

from __future__ import annotations

import math

from intermodal.advisor.advice import BillMilestone, BreakEven, RouteOffer, UseOffers
from intermodal.advisor.question import DAYS, AdviceQuestion, OwnedHardware
from intermodal.core.hints import hint
from intermodal.core.quantity import Quantity, between, exact, unknown
from intermodal.plans.numbers import plain_money, plain_seconds

MONTH = DAYS * 86_400  # seconds
BUSY = 0.8  # utilization above which queues grow quickly
MILESTONES = (100.0, 1_000.0, 10_000.0)  # USD a month


def break_even(question: AdviceQuestion, decided: UseOffers, kinds: list[UseOffers]) -> BreakEven:
    """Compare the hosted and the local route of the decision, or of another use if the decision lacks one."""
    (hosted, hosted_as), (local, here_as) = (
        _find_offer_at("hosted", decided, kinds),
        _find_offer_at("here", decided, kinds),
    )
    if hosted is None:
        return BreakEven(here=local.endpoint if local else "", words=_no_host(question))
    steps = tuple(BillMilestone(usd=usd, requests=usd / hosted.usd.mid) for usd in MILESTONES if hosted.usd.mid > 0)
    found = BreakEven(
        hosted=hosted.endpoint,
        hosted_as=hosted_as,
        usd=hosted.usd,
        milestones=steps if hosted.usd.known else (),
    )
    if not hosted.usd.known:
        return _with(found, words="what a host asks is not known, so there is nothing to compare")
    if local is None:
        return _with(found, words="nothing here answers it, so there is nothing to compare")
    comparison = _with(found, here=local.endpoint, here_as=here_as, capacity=capacity(local))
    return _with_comparison(comparison, question, hosted, local)


_NOTHING_GIVEN = hint("no price of hardware was given ({hardware-price}), and no volume ({requests})")


def _with_comparison(
    break_even: BreakEven, question: AdviceQuestion, hosted: RouteOffer, local: RouteOffer
) -> BreakEven:
    owned, volume = question.owned, question.volume
    machines = machines_for(volume.per_month, break_even.capacity.mid) if volume else 0
    break_even = _with(break_even, machines=machines, queue=describe_queue(question, local, machines))
    if owned is None:
        if volume is None:
            return _with(break_even, words=_NOTHING_GIVEN)
        worth = hosted.per_month.scaled(1 / machines)
        many, each = ("one such machine", "it") if machines == 1 else (f"{machines:,} such machines", "each")
        return _with(break_even, worth=worth, words=hint(
            "{} requests a month need {}; buying is cheaper only if {} costs less than ${} a month ({hardware-price})",
            f"{volume.per_month:,.0f}", many, each, plain_money(worth.mid)))  # fmt: skip
    machine = exact(owned.per_month, _ownership_terms(owned))
    requests = break_even_volume(owned, hosted.usd, break_even.capacity)
    return _with(break_even, machine=machine, requests=requests, words=_describe(break_even, question, owned, requests))


def capacity(offer: RouteOffer) -> Quantity:
    """Return how many requests one machine answers per month, running day and night with its models loaded."""
    seconds, load = offer.seconds, offer.load
    if not seconds.known or seconds.mid <= load.mid:
        return unknown("its duration is unknown")
    slow, mid = max(seconds.high - load.high, 1e-3), seconds.mid - load.mid
    fast = max(min(seconds.low - load.low, mid), 1e-3)
    low, middle, high = (offer.slots * MONTH / each for each in (max(slow, mid), mid, fast))
    return between(low, middle, high, f"{requests_at_once(offer.slots)}, day and night")


def requests_at_once(slots: int) -> str:
    """Say how many requests a machine answers in parallel."""
    return f"{slots} requests at a time" if slots > 1 else "one request at a time"


def mean_wait(seconds: float, servers: int, busy: float) -> float:
    """Return the mean wait of a request in seconds.

    ``seconds``: duration of a request. ``servers``: how many work in parallel. ``busy``: their utilization, 0 to 1.

    Assumes random arrivals and exponentially distributed durations. Source: Sakasegawa, "An approximation formula
    Lq ~ alpha * rho^beta / (1 - rho)", 1977, as in Hopp and Spearman, Factory Physics. Exact for one server.

    >>> round(mean_wait(2.0, 1, 0.5), 3), round(mean_wait(2.0, 4, 0.5), 3)
    (2.0, 0.223)
    """
    if busy >= 1:
        return math.inf
    queued: float = math.pow(busy, math.sqrt(2 * (servers + 1)) - 1) / (servers * (1 - busy))
    return seconds * queued


def describe_queue(question: AdviceQuestion, local: RouteOffer, machines: int) -> str:
    """Describe utilization and waiting at the stated volume; "" without a volume or a speed."""
    machine_capacity, volume = capacity(local), question.volume
    if volume is None or not machine_capacity.known or not machines:
        return ""
    seconds, servers = local.seconds.mid - local.load.mid, machines * local.slots
    busy = volume.per_month / (machines * machine_capacity.mid)
    waits = mean_wait(seconds, servers, busy)
    many = f"{machines:,} machines are" if machines > 1 else "one machine is"
    if busy >= 1:
        return f"{many} too slow for that volume: the queue grows without end"
    more = "" if busy <= BUSY else f", less with {machines + 1:,}"
    share = f"{busy:.0%}" if busy >= 0.01 else "less than 1%"
    waiting = f"requests wait {plain_seconds(waits)} s on average" if waits >= 0.01 else "hardly any request waits"
    return f"{many} busy {share} of the time, {waiting}{more}"


def machines_for(requests: float, capacity: float) -> int:
    """Return how many machines are needed for ``requests`` per month; at least 1."""
    return max(1, math.ceil(requests / capacity)) if capacity > 0 else 1


def own_cost(owned: OwnedHardware, requests: float, capacity: float) -> float:
    """Return the USD per month of the machines that the volume needs."""
    return machines_for(requests, capacity) * owned.per_month


def break_even_volume(owned: OwnedHardware, usd: Quantity, capacity: Quantity) -> Quantity:
    """Return the requests per month at which a host's bill equals the cost of one machine.

    Unknown if one machine cannot answer that many.
    """
    if not usd.known or usd.mid <= 0 or not capacity.known:
        return unknown("the host's price or the machine's pace is not known")
    mid = owned.per_month / usd.mid
    if mid > capacity.mid:
        return unknown("one machine does not answer that many")
    low = owned.per_month / usd.high
    high = owned.per_month / usd.low if usd.low > 0 else mid
    return between(low, mid, max(high, mid), "what a machine costs a month over the host's price of a request")


def _describe(break_even: BreakEven, question: AdviceQuestion, owned: OwnedHardware, requests: Quantity) -> str:
    if requests.known:
        volume, cost = question.volume, break_even.usd
        machine = f"a machine of ${owned.per_month:,.0f} a month"
        most = f"one answers {break_even.capacity.mid:,.0f}"
        words = f"from {requests.mid:,.0f} requests a month on, {machine} is the cheaper one ({most})"
        if volume is None:
            return words
        bill, own = cost.mid * volume.per_month, own_cost(owned, volume.per_month, break_even.capacity.mid)
        cheaper = "the hardware" if own < bill else "the host"
        return f"{words}; at yours ${plain_money(bill)} hosted, ${plain_money(own)} here: {cheaper} is cheaper"
    if not break_even.capacity.known:
        return "the request rate of a machine here is unknown, so there is nothing to compare"
    share = owned.per_month / break_even.capacity.mid
    return (
        f"buying is cheaper at no volume: a machine that is never idle answers {break_even.capacity.mid:,.0f} "
        f"requests a month at ${plain_money(share)} each; the host charges ${plain_money(break_even.usd.mid)}"
    )


def _ownership_terms(owned: OwnedHardware) -> str:
    power = f", {owned.watts:g} W day and night at ${owned.kwh:g}/kWh" if owned.watts else ", power not counted"
    return f"${owned.price:,.0f} over {owned.months:g} months{power}"


def _find_offer_at(place: str, decided: UseOffers, kinds: list[UseOffers]) -> tuple[RouteOffer | None, str]:
    """Return the decision's route at a place and "", or else a route of another use and its title.

    The route of another use has to keep the needs.
    """
    for kind in (decided, *kinds):
        for offer in kind.offers:
            enough = kind is decided or not any(each.startswith("loses ") for each in offer.misses)
            if offer.place == place and offer.there and enough:
                return offer, "" if kind is decided else kind.title
    return None, ""


def _no_host(question: AdviceQuestion) -> str:
    return "nothing may leave this machine, so no host asks anything" if question.local else "no host answers it"


def _with(break_even: BreakEven, **changes: object) -> BreakEven:
    import msgspec

    changed: BreakEven = msgspec.structs.replace(break_even, **changes)
    return changed
