"""How long a run may take, and how long to go on listening once an answer is whole."""

from __future__ import annotations

from intermodal.errors import CallError
from intermodal.hints import hint

_COUNTS = 2.0  # seconds after the finish reason in which a stream may say what it counts: some hosts add that up late
_LAST_WORD = 0.5  # seconds where it did, and only [DONE] is missing, which some hosts never send


def trailing_timeout(*, counted: bool) -> float:
    """Seconds to go on listening once an answer is whole. Its words are shown by then, and the reason why it ended.

    Without its counts a call is booked at the most that it may have cost, so they are worth more patience than an end.
    """
    return _LAST_WORD if counted else _COUNTS


def deadline_missed(seconds: float, endpoint: str) -> CallError:
    """Return the error of a run that its deadline ended. ``endpoint``: of the route that was planned."""
    return CallError(
        f"took longer than the deadline of {seconds:g} s",
        where=endpoint,
        todo=hint("allow more time ({deadline}), or plan for speed ({objective=})", "fastest"),
    )
