"""Whether a score can be taken for a probability: only where ``intermodal eval`` measured how often it is right."""

from __future__ import annotations

from intermodal.catalog.types import Endpoint, Task

UNCALIBRATED = "its scores order the labels; how sure it is, nobody measured here (intermodal eval does)"


def calibration_note(endpoint: Endpoint, task: Task) -> str:
    """What is to be said beside scores: what was measured of them on the user's own files, or that nothing was."""
    known = endpoint.tier(task)
    if known is None or known.evidence.level != "measured":
        return UNCALIBRATED
    return f"how often its best label is right was measured: {known.evidence.source}"
