"""The values of the quota system: keys, budgets, rate limits, claims and refusals, without I/O.

Amounts are integers throughout: money in nanodollars (1e-9 USD), so that a sum of a million small charges is exact and
"never more than the budget" holds literally. Reservations and charges are rounded up, by at most one nanodollar a
request.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from intermodal.content import Value
from intermodal.quantity import Quantity

if TYPE_CHECKING:
    from intermodal.plans.plan import Candidate, Plan
    from intermodal.request import Policy


POLICY = "policy:"
NANODOLLARS = 1_000_000_000  # nanodollars in a dollar
Unit = Literal["usd", "tokens", "requests", "unpriced"]
Period = Literal["hour", "day", "month", "total"]
PERIODS: tuple[Period, ...] = ("hour", "day", "month", "total")


class Budget(Value, frozen=True):
    """At most ``limit`` of a unit in a period (UTC). Money in nanodollars."""

    unit: Literal["usd", "tokens"]
    limit: int
    period: Period = "month"


class RateLimit(Value, frozen=True):
    """Requests and tokens a minute, each a token bucket that holds one minute's worth; None: unlimited."""

    rpm: int | None = None
    tpm: int | None = None


class VirtualKey(Value, frozen=True):
    """A key of the gateway. The secret itself is stored nowhere: ``digest`` is its SHA-256.

    Attributes:
        id: internal, part of every account's name. name: for people.
        start: first characters of the secret, to tell keys apart.
        created, expires, revoked: seconds since the epoch, or None.
        models, policies: names that may be requested; ``*`` at the end matches a prefix. With neither, anything is
            allowed; with either, only the listed names: a policy does not bypass a list of models.
        metrics: this key reads metrics and may request no models.
    """

    id: str
    name: str
    digest: bytes = b""
    start: str = ""
    created: float = 0.0
    expires: float | None = None
    revoked: float | None = None
    budgets: tuple[Budget, ...] = ()
    rate: RateLimit = RateLimit()
    models: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    metrics: bool = False

    def asks(self, *names: str) -> bool:
        """Return True if the key allows what goes by all these names: as asked for, as in the catalog.

        ``policy:NAME`` is a policy.
        """
        if not self.models and not self.policies:
            return True
        return any(
            _matches(name.removeprefix(POLICY), self.policies)
            if name.startswith(POLICY)
            else _matches(name, self.models)
            for name in names
        )


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(name.startswith(each[:-1]) if each.endswith("*") else name == each for each in patterns)


ANONYMOUS = VirtualKey(id="open", name="open")  # the caller where no key is required


class Account(Value, frozen=True):
    """Something that quota is drawn from: a budget, or the token bucket of a rate limit.

    Attributes:
        id: ``KEY/usd/month``, ``KEY/rpm``, ``at/ENDPOINT/tpm``.
        limit: of a budget in its unit; None counts without a limit. Of a bucket: its capacity.
        period: of a budget; "" for a bucket.
    """

    id: str
    unit: Unit
    limit: int | None = None
    period: Period | Literal[""] = ""


class QuotaClaim(Value, frozen=True):
    """The most that one attempt at a request may take, before anything is sent.

    Attributes:
        cost: USD; None if the price is unknown, which a key with a budget in money refuses.
        tokens: in and out; None if unknown.
        endpoints: that may be called; the rate limit of the first is drawn from.
        requests: how many requests it counts as: several runs of one request count once.
    """

    cost: float | None = None
    tokens: int | None = None
    endpoints: tuple[str, ...] = ()
    requests: int = 1


_MAX_PAID_ATTEMPTS = 3  # a run makes no more that may cost money (``executor/attempt/retry.py``)


def claim_for_plan(plan: Plan) -> QuotaClaim:
    """Return the upper bounds of a plan: ``Quantity.high`` of the dearest route, fallbacks included.

    For one attempt: if one that may have been paid is followed by another, more is reserved before that is sent.
    """
    routes = _routes(plan)
    endpoints = tuple(dict.fromkeys(route.endpoint for route in routes))
    return QuotaClaim(
        cost=_largest([route.total.cost for route in routes]), tokens=_tokens(routes), endpoints=endpoints
    )


def max_run_cost(plan: Plan, policy: Policy) -> float | None:
    """Return USD that a run may cost with all attempts that may be paid; None if unknown.

    ``max_cost`` bounds a run in any case.
    """
    most = _largest([route.total.cost for route in _routes(plan)])
    if most is None or not policy.pay_twice:
        return most
    return min(most * _MAX_PAID_ATTEMPTS, max(policy.max_cost, most))


def _routes(plan: Plan) -> tuple[Candidate, ...]:
    return (plan.chosen, *plan.fallbacks)


def _tokens(routes: tuple[Candidate, ...]) -> int | None:
    found = _largest([route.total.input_tokens + route.total.output_tokens for route in routes])
    return None if found is None else math.ceil(found)


def _largest(quantities: list[Quantity]) -> float | None:
    most = max(quantity.for_limit() for quantity in quantities)
    return most if math.isfinite(most) else None


def to_nanodollars(usd: float) -> int:
    """Return nanodollars, rounded up; float noise (1e-16) does not add one."""
    return math.ceil(usd * NANODOLLARS - 1e-4)


# Codes of refusals by which a budget has too little for this request.
BUDGET_REFUSALS = frozenset({"insufficient_quota", "budget_reserved"})


class QuotaRefusal(Value, frozen=True):
    """Why a request is refused, in HTTP's terms.

    Attributes:
        status: HTTP's. code: OpenAI's word for it if there is one. words: one clear sentence.
        retry_after: seconds until a retry makes sense; None if it does not.
        again: whether a client may retry by itself (``x-should-retry``).
    """

    status: int
    code: str
    words: str
    retry_after: float | None = None
    again: bool = False


class RateRemaining(Value, frozen=True):
    """The remainder of a rate limit, for ``x-ratelimit-*``: of ``limit`` a minute, and seconds until it is full."""

    limit: int
    remaining: int
    reset: float


# The periods of budgets, in UTC: hour, day, month or total.


def period_at(period: Period, now: float) -> tuple[str, float]:
    """Return the name and end of the period that ``now`` (seconds since the epoch) is in; ("", infinity)
    for "total".
    """
    if period == "total":
        return "", math.inf
    day = datetime.fromtimestamp(now, UTC)
    if period == "hour":
        begin = day.replace(minute=0, second=0, microsecond=0)
        return begin.strftime("%Y-%m-%dT%H"), (begin + timedelta(hours=1)).timestamp()
    begin = day.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        return begin.strftime("%Y-%m-%d"), (begin + timedelta(days=1)).timestamp()
    following = (begin.replace(day=1) + timedelta(days=32)).replace(day=1)
    return begin.strftime("%Y-%m"), following.timestamp()
