"""The periods of budgets, in UTC: hour, day, month or total."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from intermodal.gateway.quotas.quota_types import Period


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
