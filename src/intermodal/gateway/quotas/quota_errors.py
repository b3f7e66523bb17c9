"""Refusals of the quota system: status, code and a sentence with the numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite

from intermodal.gateway.quotas.budget_leases import Lease
from intermodal.gateway.quotas.quota_store import IdempotencyConflict
from intermodal.gateway.quotas.quota_types import NANODOLLARS, QuotaRefusal, Unit, VirtualKey

STORE_UNAVAILABLE = QuotaRefusal(
    status=503,
    code="ledger_unavailable",
    words="the gateway cannot record what this request may cost, so it is not sent",
    retry_after=1.0,
    again=True,
)
_IDEMPOTENCY_REFUSALS: dict[IdempotencyConflict, QuotaRefusal] = {
    "running": QuotaRefusal(
        status=409, code="idempotency_in_progress", retry_after=1.0, again=True,
        words="a request with this Idempotency-Key is still running; ask again when it is done",
    ),
    "other": QuotaRefusal(
        status=409, code="idempotency_mismatch",
        words="this Idempotency-Key was used for another request; take a new one",
    ),
    "lost": QuotaRefusal(
        status=409, code="idempotency_lost",
        words="the gateway was stopped while the first request with this Idempotency-Key was running, or its client "
        "left: whether it was carried out is not known; take a new key to have it done again",
    ),
    "long": QuotaRefusal(
        status=409, code="idempotency_answered",
        words="the request with this Idempotency-Key was answered, with more than is kept; take a new key to have it "
        "done again",
    ),
    "full": QuotaRefusal(
        status=429, code="idempotency_full", retry_after=60.0,
        words="too many answers are kept for this key already; they are dropped after a day",
    ),
}  # fmt: skip


def idempotency_refusal(conflict: IdempotencyConflict) -> QuotaRefusal:
    return _IDEMPOTENCY_REFUSALS[conflict]


def price_unknown(key: VirtualKey) -> QuotaRefusal:
    return QuotaRefusal(
        status=402,
        code="price_unknown",
        words=f"the cost of this request is unknown, and key {key.name!r} has a budget in money; ask for a model "
        "whose price is known, or set its price in the host's row",
    )


def tokens_unknown(key: VirtualKey) -> QuotaRefusal:
    return QuotaRefusal(
        status=400,
        code="tokens_unknown",
        words=f"the tokens of this request are unknown, and key {key.name!r} has a limit on them; set max_tokens",
    )


def exhausted_account_refusal(key: VirtualKey, lease: Lease, amount: int) -> QuotaRefusal:
    """Return the refusal for an account with too little left for this request."""
    return _rate_refusal(key, lease, amount) if not lease.account.period else _budget_refusal(key, lease, amount)


def _rate_refusal(key: VirtualKey, lease: Lease, amount: int) -> QuotaRefusal:
    limit = lease.account.limit or 0
    whose = lease.account.endpoint or f"key {key.name!r}"
    what = "requests" if lease.unit == "requests" else "tokens"
    if amount > limit:
        return QuotaRefusal(
            status=429,
            code="rate_limit_exceeded",
            words=f"this request may take up to {amount:,} {what}, and {whose} may take {limit:,} a minute; ask "
            "for fewer (max_tokens)",
            endpoint=lease.account.endpoint,
        )
    wait = (amount - lease.free - max(lease.left, 0)) * 60 / limit if limit else 60.0
    wait = max(round(wait, 3), 0.05)
    return QuotaRefusal(
        status=429,
        code="rate_limit_exceeded",
        words=f"{whose} may take {limit:,} {what} a minute; this request needs {amount:,}, which are there "
        f"in {wait:.3g} s",
        retry_after=wait,
        again=True,
        endpoint=lease.account.endpoint,
    )


def _budget_refusal(key: VirtualKey, lease: Lease, amount: int) -> QuotaRefusal:
    limit = lease.account.limit or 0
    when = f"for {lease.start}" if lease.start else "in all"
    allowed = f"the {format_amount(lease.unit, limit)} that key {key.name!r} has {when}"
    spent = lease.total_spent
    left = f"{format_amount(lease.unit, max(limit - spent, 0))} left"
    if amount > limit:
        words = f"this request may take up to {format_amount(lease.unit, amount)}, more than all of {allowed}"
        return QuotaRefusal(
            status=429, code="insufficient_quota", words=f"{words}, with {left}; ask for fewer tokens (max_tokens)"
        )
    if spent + amount <= limit:
        return QuotaRefusal(
            status=429,
            code="budget_reserved",
            words=f"this request may take up to {format_amount(lease.unit, amount)}; "
            f"{format_amount(lease.unit, spent)} of {allowed} is "
            f"spent, with {left}, of which too much is set aside by requests that are running",
            retry_after=1.0,
            again=True,
        )
    return QuotaRefusal(
        status=429,
        code="insufficient_quota",
        words=f"this request may take up to {format_amount(lease.unit, amount)}, and "
        f"{format_amount(lease.unit, spent)} of {allowed} is spent, with {left}, {_reset_time(lease)}",
    )


def _reset_time(lease: Lease) -> str:
    """Return when the budget resets, in a form that programs can parse."""
    if not lease.account.period or not isfinite(lease.until):
        return "and the budget does not begin anew: have it raised (intermodal keys set)"
    return f"and the budget begins anew at {datetime.fromtimestamp(lease.until, UTC):%Y-%m-%dT%H:%M:%SZ}"


def format_amount(unit: Unit, amount: int) -> str:
    """Return an amount formatted for people: $0.05, 1,200 tokens."""
    if unit != "usd":
        return f"{amount:,} {unit}"
    whole, _, part = f"{amount / NANODOLLARS:.6f}".rstrip("0").partition(".")
    return f"${int(whole):,}.{part:<02}"
