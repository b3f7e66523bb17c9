"""The wait that a host requests: ``retry-after`` in every form, vendors' own headers, and the text of an error.

``retry_after_header`` writes the header for a client.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

from intermodal.core.content import Value

MAX_RETRY_AFTER = 86_400.0  # seconds; a longer wait is reduced to this
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf(?:inity)?)\s*(ms|s)?\s*", re.IGNORECASE)
_PARTS = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_TRY_AGAIN = re.compile(r"(?:try again|retry) (?:in|after) ((?:\d+(?:\.\d+)?(?:ms|h|m|s) ?)+)", re.IGNORECASE)


class ResetHeader(Value, frozen=True):
    """A header with the time at which a rate limit resets.

    It counts if ``left`` is absent or states that nothing remains. ``form``: "duration" (6m0s, 250ms, or a bare number
    of seconds), "moment" (RFC 3339), "epoch" (ms since 1970).
    """

    hosts: str
    name: str
    left: str
    form: Literal["duration", "moment", "epoch"]


RESET_HEADERS: tuple[ResetHeader, ...] = (
    ResetHeader(
        hosts="OpenAI, Groq", name="x-ratelimit-reset-requests", left="x-ratelimit-remaining-requests",
        form="duration",
    ),
    ResetHeader(
        hosts="OpenAI, Groq", name="x-ratelimit-reset-tokens", left="x-ratelimit-remaining-tokens",
        form="duration",
    ),
    ResetHeader(
        hosts="Anthropic", name="anthropic-ratelimit-requests-reset", left="anthropic-ratelimit-requests-remaining",
        form="moment",
    ),
    ResetHeader(
        hosts="Anthropic", name="anthropic-ratelimit-input-tokens-reset",
        left="anthropic-ratelimit-input-tokens-remaining", form="moment",
    ),
    ResetHeader(
        hosts="Anthropic", name="anthropic-ratelimit-output-tokens-reset",
        left="anthropic-ratelimit-output-tokens-remaining", form="moment",
    ),
    ResetHeader(
        hosts="Anthropic", name="anthropic-ratelimit-tokens-reset", left="anthropic-ratelimit-tokens-remaining",
        form="moment",
    ),
    ResetHeader(hosts="OpenRouter", name="x-ratelimit-reset", left="x-ratelimit-remaining", form="epoch"),
)  # fmt: skip


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Return the seconds to wait, from 0 to a day; None if the server states nothing usable or nothing in the future.

    ``now``: seconds since the epoch at which the reply was received, for a date in a reply without a ``date`` header.
    ``retry-after-ms`` outranks ``retry-after``, which outranks the reset of an exhausted limit.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "")[:200]
        if not value:
            continue
        if found := _NUMBER.fullmatch(value):
            seconds = float(found[1]) * {"ms": 0.001, "s": 1.0}.get((found[2] or "").lower(), unit)
        else:
            seconds = _seconds_until(_epoch(value), headers, now)
        if seconds >= 0:  # False for NaN
            return min(seconds, MAX_RETRY_AFTER)
    return _seconds_until_reset(headers, now)


def retry_after_header(seconds: float) -> str:
    """Return ``retry-after`` for a client: whole seconds, rounded up, at least one."""
    return str(max(1, math.ceil(seconds)))


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """Return ``x-should-retry``, which OpenAI's and Anthropic's clients obey; None if it is absent."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def retry_after_in_body(error: Mapping[str, Any], message: str) -> float | None:
    """Return the seconds to wait that the body states: Google's ``RetryInfo``, OpenAI's and Groq's message."""
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, Mapping) else None
        found = _NUMBER.fullmatch(delay[:40]) if isinstance(delay, str) else None
        if found and (seconds := float(found[1])) >= 0:
            return min(seconds, MAX_RETRY_AFTER)
    match = _TRY_AGAIN.search(message[:2000])
    return min(_duration(match[1]), MAX_RETRY_AFTER) if match else None


def _seconds_until_reset(headers: Mapping[str, str], now: float | None) -> float | None:
    """Return the seconds until the last of the exhausted limits resets."""
    waits: list[float] = []
    for reset in RESET_HEADERS:
        value, left = headers.get(reset.name, "")[:64].strip(), headers.get(reset.left, "0").strip()
        if value and left in ("0", "0.0"):
            waits.append(_seconds(reset, value, headers, now))
    known_waits = [wait for wait in waits if wait >= 0]
    return min(max(known_waits), MAX_RETRY_AFTER) if known_waits else None


def _seconds(reset: ResetHeader, value: str, headers: Mapping[str, str], now: float | None) -> float:
    if reset.form == "duration":
        number = _NUMBER.fullmatch(value)
        return float(number[1]) * _UNITS[(number[2] or "s").lower()] if number else _duration(value)
    if reset.form == "moment":
        return _seconds_until(_moment(value), headers, now)
    return _seconds_until(float(value) / 1000 if value.isdecimal() else None, headers, now)


def _duration(value: str) -> float:
    """Return the seconds of "6m0s", "2m59.56s" or "1h"; NaN for anything else."""
    parts = _PARTS.findall(value)
    joined_parts = "".join(number + unit for number, unit in parts)
    if not parts or joined_parts != value.replace(" ", ""):
        return math.nan
    return float(sum(float(number) * _UNITS[unit] for number, unit in parts))


def _seconds_until(then: float | None, headers: Mapping[str, str], now: float | None) -> float:
    """Return the seconds until ``then``, counted from the reply's own ``date`` (the server's clock), else from ``now``.

    Returns NaN if neither is known.
    """
    base = _epoch(headers.get("date", ""))
    if base is None:
        base = now
    return math.nan if then is None or base is None else then - base


def _epoch(value: str) -> float | None:
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        found = parsedate_to_datetime(value)
        # Of the three date formats (RFC 9110, 5.6.7) one names no zone; all of them mean GMT.
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def _moment(value: str) -> float | None:
    from datetime import datetime

    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found.timestamp() if found.tzinfo is not None else None
