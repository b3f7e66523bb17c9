"""Today's date, for code that runs outside of planning; planning is given a date."""

from __future__ import annotations

from datetime import UTC, datetime


def today() -> str:
    """Return the day as ISO writes it, in UTC, so that prices change everywhere at once."""
    return datetime.now(UTC).date().isoformat()
