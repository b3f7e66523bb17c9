"""How an answer is judged while it comes: what counts as a sign of life, and until when one is waited for. Pure.

The executor and the gateway's lane both ask here, so that a host is treated alike in either. Times are handed in.
"""

from __future__ import annotations

import math

from intermodal.wire.call import (
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    SpeechDelta,
    TextDelta,
    ToolCallDelta,
    WireEvent,
)


def says(event: WireEvent) -> bool:
    """Return whether an event is a piece of the answer: words, thoughts, sound, a part of a call of a tool.

    Blanks, empty pieces and counts say nothing: a server sends them, as it sends comments and pings, whether its model
    works or hangs.
    """
    if isinstance(event, TextDelta | RefusalDelta):
        return bool(event.text.strip())
    if isinstance(event, ReasoningDelta):
        return bool(event.signature or event.text.strip())
    if isinstance(event, ToolCallDelta):
        return bool(event.name or event.arguments.strip())
    return isinstance(event, OpaqueBlock) or (isinstance(event, SpeechDelta) and bool(event.data))


class Silence:
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
        """Nothing was read for so long, as whoever reads the answer was behind: the host was not the one silent."""
        self._said_at += seconds

    def until(self, now: float) -> float:
        """Return the moment at which the host has been silent for too long; a byte came ``now``."""
        return min(now + self._idle, self._said_at + self._thinking)
