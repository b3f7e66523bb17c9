"""The latest result of the checks of ``/readyz``, which are too much work to be done for each request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

READINESS_SECONDS = 5.0  # seconds an answer of readyz is given again


class ReadinessCache:
    """Each check by name, as of a few seconds ago at most."""

    def __init__(self) -> None:
        self._found: tuple[float, dict[str, bool]] | None = None
        self._looking = asyncio.Lock()

    async def get(self, look: Callable[[], Awaitable[dict[str, bool]]]) -> dict[str, bool]:
        """Return the result, which ``look`` finds out anew if it is too old."""
        async with self._looking:  # concurrent requests get the same answer
            if self._found is None or time.monotonic() - self._found[0] >= READINESS_SECONDS:
                found = await look()
                self._found = (time.monotonic(), found)
            return self._found[1]
