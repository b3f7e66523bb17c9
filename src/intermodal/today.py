"""The day it is, for who asks the world: planning is given one."""

from __future__ import annotations

from datetime import UTC, datetime


def today() -> str:
    """The day as ISO writes it, in UTC, so that prices change everywhere at once."""
    return datetime.now(UTC).date().isoformat()
