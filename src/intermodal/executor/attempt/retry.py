"""What to do after an attempt failed: send again, take the next route, or stop. Values only; no clock, no randomness.

What an error is, and which class of retry and billing it has, is said by the table in ``protocols/errors/rules.py`` and
by the error's class; here is what follows from those classes. Three rules stand above them. After the first output
nothing is tried again (the model is committed). A resend to the same endpoint happens only where the failed attempt
cannot have been paid, and once after a plain 500 or where a kept connection was closed. A re-route after the body was
sent may pay twice, so it needs the policy's leave (``pay_twice``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from intermodal import errors
from intermodal.content import Value

MAX_PAID = 3  # attempts of one user call that may have cost money
MAX_WAIT = 60.0  # seconds an endpoint may ask us to wait; asked for more, another route is better
REROUTE_AFTER = 5.0  # seconds of these that are waited where another route is ready
FIRST_WAIT = 1.0  # seconds; the width of the first full-jitter window, doubled for each further attempt
NO_MORE = 1_000  # attempts: more than anything is resent
LAST_WAIT = 8.0  # seconds; the widest window

# How often the same endpoint is asked again; elsewhere never.
RESENDS: Mapping[errors.Retry, int] = {"resend": 2, "wait": 2, "once": 1}


class RetryDecision(Value, frozen=True):
    """``resend`` to the same endpoint after ``delay`` seconds, ``reroute`` to the next candidate, or ``stop``."""

    kind: Literal["resend", "reroute", "stop"]
    delay: float = 0.0
    reason: str = ""


class RetryLimits(Value, frozen=True):
    """What the request allows (``Policy``).

    Attributes:
        pay_twice: a re-route that may pay a second time. resends: to one endpoint, at most; None for as many as follow
            from the error.
    """

    pay_twice: bool = True
    resends: int | None = None


# How a run says it, after the endpoint's name. Most specific class first; the first match decides.
_REASONS: tuple[tuple[type[errors.IntermodalError], str], ...] = (
    (errors.RateLimited, "is rate limited"),
    (errors.Overloaded, "is overloaded"),
    (errors.RuntimeCrashed, "crashed"),
    (errors.StreamCut, "stopped in the middle of its answer"),
    (errors.RequestTooLarge, "cannot take a request of this size"),
    (errors.ContextExceeded, "cannot hold a request of this size"),
    (errors.UnsupportedModality, "cannot take this kind of part"),
    (errors.CredentialsRefused, "refused our credentials"),
    (errors.ContentRefused, "refused the content"),
    (errors.NotInstalled, "is not installed"),
)


def reason_of(error: errors.IntermodalError) -> str:
    """What the endpoint did, in a few words that continue a sentence begun with its name."""
    for kind, words in _REASONS:
        if isinstance(error, kind):
            return words
    if not isinstance(error, errors.CallError):
        return "failed"
    if error.stale:
        return "closed a connection that had been kept open"
    if isinstance(error, errors.Unreachable) or not error.status:
        return "gave no answer after the request was sent" if error.sent else "could not be reached"
    if error.status < 300:
        return "sent what is no answer"
    return "failed inside" if error.status >= 500 else "refused the request as wrong"


def _classes(error: errors.IntermodalError) -> tuple[errors.Retry, errors.Billing]:
    if isinstance(error, errors.CallError):
        return error.retry, error.billing
    return ("reroute" if isinstance(error, errors.NotInstalled) else "never"), "free"


def decide(
    error: errors.IntermodalError,
    *,
    attempt: int,
    committed: bool,
    allowed: RetryLimits,
    remaining: float | None,
    jitter: float,
    paid: int = 0,
) -> RetryDecision:
    """What to do after ``error``.

    Args:
        attempt: attempts made at this endpoint for this step, the failed one included; 1 is the first, ``NO_MORE``
            where nothing is left of the host's budget of resends (``executor/attempt/circuit_breaker.py``).
        committed: output was shown, or a tool call emitted.
        allowed: by the request.
        remaining: seconds until the deadline, None when there is none.
        jitter: a number in [0, 1) that the caller drew.
        paid: attempts of the whole call so far that may have cost money.
    """
    retry, billing = _classes(error)
    reason = reason_of(error)
    if committed:
        return RetryDecision(kind="stop", reason=f"{reason}; part of its answer was already shown")
    if remaining is not None and remaining <= 0:
        return RetryDecision(kind="stop", reason=f"{reason}; no time is left")
    if paid >= MAX_PAID:
        return RetryDecision(kind="stop", reason=f"{reason}; {paid} attempts may have been paid already")
    if attempt <= _resends(error, retry, billing, allowed.resends) and (allowed.pay_twice or not error.stale):
        delay = 0.0 if error.stale else _delay(error, attempt, jitter)
        if delay is not None and (remaining is None or delay < remaining):
            return RetryDecision(kind="resend", delay=delay, reason=reason)
    if retry == "never":
        return RetryDecision(kind="stop", reason=reason)
    if billing != "free" and not allowed.pay_twice:
        return RetryDecision(kind="stop", reason=f"{reason}; another route might pay twice")
    return RetryDecision(kind="reroute", reason=reason)


def may_resend(error: errors.IntermodalError, attempt: int) -> bool:
    """Whether the same endpoint would be asked again if nothing else spoke against it."""
    return attempt <= _resends(error, *_classes(error), None)


def _resends(error: errors.IntermodalError, retry: errors.Retry, billing: errors.Billing, most: int | None) -> int:
    if billing == "billed" or (isinstance(error, errors.CallError) and error.resendable is False):
        return 0
    usual = RESENDS.get(retry, 0)
    if most is None or not usual:
        return usual
    return min(usual, most) if retry == "once" else most


def _delay(error: errors.IntermodalError, attempt: int, jitter: float) -> float | None:
    """Seconds to wait, never less than the endpoint asked for; None when it asked for too long."""
    window = min(LAST_WAIT, FIRST_WAIT * 2.0 ** (attempt - 1))
    asked = error.retry_after if isinstance(error, errors.CallError) else None
    if asked is None:
        return jitter * window
    if asked > MAX_WAIT:
        return None
    return max(0.0, asked) + jitter * FIRST_WAIT
