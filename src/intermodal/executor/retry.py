"""What to do after an attempt failed: send again, take the next route, or stop. A table; no clock, no randomness.

Three rules stand above the table. After the first output nothing is tried again (the model is
committed). A resend to the same endpoint happens only where the failed attempt cannot have been
paid, and once after a plain 500. A re-route after the body was sent may pay twice, so it needs the
policy's leave (``pay_twice``).
"""

from __future__ import annotations

from typing import Literal

from intermodal import errors
from intermodal.content import Value
from intermodal.wire.status import SchemaRefused

MAX_PAID = 3  # attempts of one user call that may have cost money
MAX_WAIT = 60.0  # seconds an endpoint may ask us to wait; asked for more, another route is better
FIRST_WAIT = 1.0  # seconds; the width of the first full-jitter window, doubled for each further attempt
LAST_WAIT = 8.0  # seconds; the widest window


class Row(Value, frozen=True):
    """One row of the table.

    Attributes:
        resends: how often the same endpoint may be tried again.
        reroute: another endpoint may be able to do what this one did not.
        paid: the failed attempt may have cost money, so a re-route may pay twice.
        reason: how the run says it.
    """

    resends: int
    reroute: bool
    paid: bool
    reason: str


class Decision(Value, frozen=True):
    """``resend`` to the same endpoint after ``delay`` seconds, ``reroute`` to the next candidate, or ``stop``."""

    kind: Literal["resend", "reroute", "stop"]
    delay: float = 0.0
    reason: str = ""


_NOT_SENT = Row(resends=2, reroute=True, paid=False, reason="could not be reached")
_NO_ANSWER = Row(resends=0, reroute=True, paid=True, reason="gave no answer after the request was sent")
_SERVER_ERROR = Row(resends=1, reroute=True, paid=True, reason="failed inside")
_CALLERS_FAULT = Row(resends=0, reroute=False, paid=False, reason="refused the request as wrong")
_OURS = Row(resends=0, reroute=False, paid=False, reason="failed")

# Most specific class first; the first match decides.
_BY_CLASS: tuple[tuple[type[errors.IntermodalError], Row], ...] = (
    (errors.RateLimited, Row(resends=2, reroute=True, paid=False, reason="is rate limited")),
    (errors.Overloaded, Row(resends=2, reroute=True, paid=False, reason="is overloaded")),
    (errors.RuntimeCrashed, Row(resends=1, reroute=True, paid=False, reason="crashed")),
    (errors.StreamCut, Row(resends=0, reroute=True, paid=True, reason="stopped in the middle of its answer")),
    (errors.ContextExceeded, Row(resends=0, reroute=True, paid=False, reason="cannot hold a request of this size")),
    (errors.UnsupportedModality, Row(resends=0, reroute=True, paid=False, reason="cannot take this kind of part")),
    (errors.CredentialsRefused, Row(resends=0, reroute=True, paid=False, reason="refused our credentials")),
    # Routing around a safety refusal would be evasion: the reason is passed on instead.
    (errors.ContentRefused, Row(resends=0, reroute=False, paid=True, reason="refused the content")),
    (SchemaRefused, _CALLERS_FAULT),  # asked for in words instead, by the same endpoint (replies.py)
    (errors.NotInstalled, Row(resends=0, reroute=True, paid=False, reason="is not installed")),
)


def row_of(error: errors.IntermodalError) -> Row:
    """The table row an error belongs to."""
    for kind, row in _BY_CLASS:
        if isinstance(error, kind):
            return row
    if isinstance(error, errors.Unreachable):
        return _NO_ANSWER if error.sent else _NOT_SENT
    if isinstance(error, errors.CallError):
        if error.status >= 500:
            return _SERVER_ERROR
        if error.status >= 400:
            return _CALLERS_FAULT
        return _NO_ANSWER if error.sent else _NOT_SENT
    return _OURS


def decide(
    error: errors.IntermodalError,
    *,
    attempt: int,
    committed: bool,
    pay_twice: bool,
    remaining: float | None,
    jitter: float,
    paid: int = 0,
) -> Decision:
    """What to do after ``error``.

    Args:
        attempt: attempts made at this endpoint for this step, the failed one included; 1 is the first.
        committed: output was shown, or a tool call emitted.
        pay_twice: a re-route that may pay a second time is allowed.
        remaining: seconds until the deadline, None when there is none.
        jitter: a number in [0, 1) that the caller drew.
        paid: attempts of the whole call so far that may have cost money.
    """
    row = row_of(error)
    if committed:
        return Decision(kind="stop", reason=f"{row.reason}; part of its answer was already shown")
    if remaining is not None and remaining <= 0:
        return Decision(kind="stop", reason=f"{row.reason}; no time is left")
    if paid >= MAX_PAID:
        return Decision(kind="stop", reason=f"{row.reason}; {paid} attempts may have been paid already")
    if attempt <= row.resends:
        delay = _delay(error, attempt, jitter)
        if delay is not None and (remaining is None or delay < remaining):
            return Decision(kind="resend", delay=delay, reason=row.reason)
    if not row.reroute:
        return Decision(kind="stop", reason=row.reason)
    if row.paid and not pay_twice:
        return Decision(kind="stop", reason=f"{row.reason}; another route might pay twice")
    return Decision(kind="reroute", reason=row.reason)


def _delay(error: errors.IntermodalError, attempt: int, jitter: float) -> float | None:
    """Seconds to wait, never less than the endpoint asked for; None when it asked for too long."""
    window = min(LAST_WAIT, FIRST_WAIT * 2.0 ** (attempt - 1))
    asked = error.retry_after if isinstance(error, errors.CallError) else None
    if asked is None:
        return jitter * window
    if asked > MAX_WAIT:
        return None
    return max(0.0, asked) + jitter * FIRST_WAIT
