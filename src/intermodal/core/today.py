"""Today's date, for code outside of planning; the planner receives the date as an input."""

from __future__ import annotations

from datetime import UTC, datetime


def today() -> str:
    """Return the current UTC date in ISO format, so that prices change everywhere at the same time."""
    return datetime.now(UTC).date().isoformat()
