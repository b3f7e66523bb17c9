"""The values of the quota system: keys, budgets, rate limits, claims and refusals, without I/O.

Amounts are integers throughout. Money is in nanodollars (1e-9 USD), so that a sum of a million small charges is exact
and "never more than the budget" holds literally. Reservations and charges are rounded up, by at most one nanodollar per
request.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from intermodal.core.content import Value
from intermodal.core.quantity import Quantity
from intermodal.plans.step import Call

if TYPE_CHECKING:
    from intermodal.plans.plan import Candidate, Plan
    from intermodal.plans.step import StepEstimate


POLICY = "policy:"
NANODOLLARS = 1_000_000_000  # nanodollars in a dollar
Unit = Literal["usd", "tokens", "requests", "unpriced"]
Period = Literal["hour", "day", "month", "total"]
PERIODS: tuple[Period, ...] = ("hour", "day", "month", "total")


class Budget(Value, frozen=True):
    """A limit on a unit within a period (UTC). Money is in nanodollars."""

    unit: Literal["usd", "tokens"]
    limit: int
    period: Period = "month"


class RateLimit(Value, frozen=True):
    """Requests and tokens a minute, each a token bucket that holds one minute's worth; None: unlimited."""

    rpm: int | None = None
    tpm: int | None = None


class VirtualKey(Value, frozen=True):
    """A key of the gateway. The secret itself is not stored: ``digest`` is its SHA-256.

    Attributes:
        id: internal, part of every account's name. name: for people.
        start: first characters of the secret, to tell keys apart.
        created, expires, revoked: seconds since the epoch, or None.
        models, policies: names that may be requested; a trailing ``*`` matches a prefix. If both are empty, anything is
            allowed; otherwise only the listed names: a policy does not bypass a list of models.
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

    @property
    def is_restricted(self) -> bool:
        """Return True if the key allows only some models or policies."""
        return bool(self.models or self.policies)

    def allows_any(self, *names: str) -> bool:
        """Return True if the key allows any of these names, such as the requested name and the catalog's.

        Names of the form ``policy:NAME`` are policies.
        """
        return not self.is_restricted or any(
            _matches(name.removeprefix(POLICY), self.policies)
            if name.startswith(POLICY)
            else _matches(name, self.models)
            for name in names
        )


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(name.startswith(each[:-1]) if each.endswith("*") else name == each for each in patterns)


ANONYMOUS = VirtualKey(id="open", name="open")  # the caller where no key is required


_AT = "at/"


def endpoint_account(endpoint: str) -> str:
    """Return the beginning of the ids of the accounts of an endpoint."""
    return _AT + endpoint


class Account(Value, frozen=True):
    """Something that quota is drawn from: a budget, or the token bucket of a rate limit.

    Attributes:
        id: ``KEY/usd/month``, ``KEY/rpm``, ``at/ENDPOINT/tpm``.
        limit: of a budget, in its unit; None counts without a limit. Of a bucket: its capacity.
        period: of a budget; "" for a bucket.
    """

    id: str
    unit: Unit
    limit: int | None = None
    period: Period | Literal[""] = ""

    @property
    def endpoint(self) -> str:
        """The endpoint whose rate limit it is; "" for an account of a key."""
        return self.id[len(_AT) :].rpartition("/")[0] if self.id.startswith(_AT) else ""


class QuotaClaim(Value, frozen=True):
    """The maximum that one attempt at a request may take, before anything is sent.

    A request that is a run is one attempt at its plan: the steps of a route, each of which may be a call.

    Attributes:
        cost: USD; None if the price is unknown, which a key with a money budget refuses.
        tokens: input and output; None if unknown. call_tokens: those of a call of the first endpoint, if that is less.
        endpoints: that may be called. The rate limit of the first one is drawn from; that of others, and of further
            calls, when they are called (``QuotaManager.draw_rate``).
        requests: how many requests it counts as; several runs of one request count once.
    """

    cost: float | None = None
    tokens: int | None = None
    endpoints: tuple[str, ...] = ()
    call_tokens: int | None = None
    requests: int = 1


def claim_for_plan(plan: Plan) -> QuotaClaim:
    """Return the upper bounds of a plan: ``Quantity.high`` of its most expensive route, fallbacks included.

    They cover one attempt. If an attempt that may have been paid for is followed by another, more is reserved first.
    """
    routes = _routes(plan)
    endpoints = tuple(dict.fromkeys(route.endpoint for route in routes))
    return QuotaClaim(
        cost=_largest([route.total.cost for route in routes]), tokens=_tokens([route.total for route in routes]),
        endpoints=endpoints, call_tokens=_tokens(_calls_of_first_endpoint(plan.chosen)),
    )  # fmt: skip


def _routes(plan: Plan) -> tuple[Candidate, ...]:
    return (plan.chosen, *plan.fallbacks)


def _calls_of_first_endpoint(route: Candidate) -> list[StepEstimate]:
    return [step.estimate for step in route.steps if isinstance(step, Call) and step.endpoint == route.endpoint]


def _tokens(estimates: Sequence[StepEstimate]) -> int | None:
    """Return the most tokens of any of these; None if there is none, or one is unknown."""
    found = _largest([estimate.input_tokens + estimate.output_tokens for estimate in estimates])
    return None if found is None else math.ceil(found)


def _largest(quantities: list[Quantity]) -> float | None:
    most = max((quantity.for_limit() for quantity in quantities), default=math.inf)
    return most if math.isfinite(most) else None


def to_nanodollars(usd: float) -> int:
    """Return the amount in nanodollars, rounded up; float noise (1e-16) adds nothing."""
    return math.ceil(usd * NANODOLLARS - 1e-4)


# Codes of refusals because a budget has too little left for the request.
BUDGET_REFUSALS = frozenset({"insufficient_quota", "budget_reserved"})


class QuotaRefusal(Value, frozen=True):
    """Why a request is refused, in terms of HTTP.

    Attributes:
        status: HTTP status. code: OpenAI's error code if there is one. words: one clear sentence.
        retry_after: seconds until a retry makes sense; None if it does not.
        again: whether a client may retry by itself (``x-should-retry``).
        endpoint: the endpoint whose rate has no room, so that another may be called; "" for any other refusal.
    """

    status: int
    code: str
    words: str
    retry_after: float | None = None
    again: bool = False
    endpoint: str = ""


class RateRemaining(Value, frozen=True):
    """What is left of a rate limit, for ``x-ratelimit-*``.

    ``limit``: per minute. ``reset``: seconds until it is full.
    """

    limit: int
    remaining: int
    reset: float


# The periods of budgets, in UTC: hour, day, month or total.


def period_at(period: Period, now: float) -> tuple[str, float]:
    """Return the name and end of the period that contains ``now`` (seconds since the epoch); ("", infinity) for
    "total".
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
