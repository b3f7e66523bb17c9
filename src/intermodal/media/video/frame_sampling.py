"""How frames are spread over something that moves, in the words of a step."""

from __future__ import annotations

from collections.abc import Callable

from intermodal.content import Value
from intermodal.errors import UsageError

Report = Callable[[float | None, str], None]


class FrameRequest(Value):
    """A frame to be made: the picture at ``moment`` stands for what is seen from ``at`` to ``until`` (seconds)."""

    moment: float
    at: float
    until: float


def sampling_rate(spread: str) -> float | None:
    """Frames a second of "0.5 fps", None for "scenes".

    >>> sampling_rate("0.5 fps"), sampling_rate("scenes")
    (0.5, None)
    """
    if spread == "scenes":
        return None
    number, _, unit = spread.partition(" ")
    try:
        rate = float(number)
    except ValueError:
        rate = 0.0
    if unit not in ("fps", "") or not 0 < rate < float("inf"):
        raise UsageError(f"frames cannot be spread by {spread!r}", todo='say "scenes", or a rate such as "0.5 fps"')
    return rate
