"""How fast an endpoint is taken to be that nobody has timed, by where it is."""

from __future__ import annotations

from collections.abc import Mapping

from intermodal.catalog.nouns import Speed
from intermodal.quantity import between
from intermodal.request import Zone

_Range = tuple[float, float, float]  # low, mid, high

# What is assumed of a host nobody has timed. Real runs replace it after a few calls.
_UNTIMED = "nobody timed it yet"


def _untimed(overhead: _Range, prompt: _Range, decode: _Range) -> Speed:
    return Speed(
        overhead=between(*overhead, _UNTIMED),
        prompt=between(*prompt, _UNTIMED),
        decode=between(*decode, _UNTIMED),
        realtime_factor=between(0.01, 0.1, 0.6, _UNTIMED),
        megapixel=between(0.1, 0.5, 4.0, _UNTIMED),
        page=between(0.3, 1.5, 8.0, _UNTIMED),
    )


# Floats throughout: a catalog must be the same bytes again after it was saved and read.
UNTIMED: Mapping[Zone, Speed] = {
    "process": _untimed((0.0, 0.0, 0.05), (50.0, 300.0, 3000.0), (5.0, 30.0, 150.0)),
    "machine": _untimed((0.0, 0.02, 0.2), (50.0, 300.0, 3000.0), (5.0, 30.0, 150.0)),
    "network": _untimed((0.01, 0.1, 0.6), (100.0, 1000.0, 8000.0), (10.0, 40.0, 200.0)),
    "internet": _untimed((0.3, 0.9, 4.0), (500.0, 3000.0, 20000.0), (20.0, 60.0, 250.0)),
}
