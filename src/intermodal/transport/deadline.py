"""Deadlines that do not charge a host for delays of this process.

A process that was stopped, or got no turn on a busy machine, wakes with the time over and the answer in its socket. So
at the deadline the event loop first reads what has arrived, and only then cancels the wait.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anyio import CancelScope


class Deadline:
    """A context whose inside is cancelled when time is up; ``over`` tells afterwards that it was.

    ``deadline`` is on the clock of the event loop (``time.monotonic``), and may be set while it is entered.
    """

    def __init__(self, deadline: float = math.inf) -> None:
        self.over = False
        self._deadline = deadline
        self._scope: CancelScope | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Deadline:
        import anyio

        self._scope = anyio.CancelScope()
        self._scope.__enter__()
        self.until(self._deadline)
        return self

    def until(self, deadline: float) -> None:
        """Nothing where it was left already."""
        self._deadline = deadline
        if self._scope is None:
            return
        self._stop()
        if deadline < math.inf:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._up)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        assert self._scope is not None
        self._stop()
        scope, self._scope = self._scope, None
        swallowed = bool(scope.__exit__(kind, error, trace))
        self.over = scope.cancelled_caught
        return swallowed

    def _up(self) -> None:
        """Timers run after received data, in each turn of the loop: one more turn, and the data was read."""
        assert self._scope is not None
        self._timer = asyncio.get_running_loop().call_later(0, self._scope.cancel)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
