"""How long an answer that has begun may pause. Pure: times are arguments."""

from __future__ import annotations

import math


class IdleTimeout:
    """Until when the next piece of an answer that has begun must have come.

    Any byte shows that the connection lives, which is waited for ``idle`` seconds; only words show that the answer goes
    on, which may take ``thinking`` seconds where that is longer. An answer that comes as one document has no words
    before its end: then ``thinking`` is what all of it may take.
    """

    __slots__ = ("_idle", "_said_at", "_thinking")

    def __init__(self, idle: float, thinking: float) -> None:
        self._idle = idle
        self._thinking = max(idle, thinking)
        self._said_at = -math.inf

    def word(self, now: float) -> None:
        """A piece of the answer came."""
        self._said_at = now

    def paused(self, seconds: float) -> None:
        """Record that nothing was read for so long, as the reader of the answer was behind: the host was not the one
        silent.
        """
        self._said_at += seconds

    def until(self, now: float) -> float:
        """Return the moment at which the host has been silent for too long; a byte came ``now``."""
        return min(now + self._idle, self._said_at + self._thinking)
