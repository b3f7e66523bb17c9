"""The default speed of an unmeasured endpoint: by zone, and for hosted models by size.

No vendor publishes its models' output speed. Third parties measure it (Artificial Analysis, and tables made of it):
small models of one host write two to four times as fast as its largest, and single models differ from their class by a
factor of two either way, which the ranges cover. These speeds are assumptions and are labelled as such. If not even the
size is known, the figure is a placeholder: labelled as one, slower in the middle than every class, and no reason to
choose an endpoint (``planner/route_search/objectives.py``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from intermodal.catalog.types import Model, Speed
from intermodal.core.quantity import Quantity, between
from intermodal.core.request import Tier, Zone

_Range = tuple[float, float, float]  # low, mid, high
SizeClass = Literal["mini", "mid", "large"]

SIZE_UNKNOWN = "its size is not known"
# Assumed for a host without measurements; a few real calls replace it.
PLACEHOLDER = "a placeholder, not measured"
_ASSUMED_PREFIX = "assumed: "


def _unmeasured_speed(overhead: _Range, prompt: _Range, decode: _Range, basis: str = PLACEHOLDER) -> Speed:
    return Speed(
        overhead=between(*overhead, basis),
        prompt=between(*prompt, basis),
        decode=between(*decode, basis),
        realtime_factor=between(0.01, 0.1, 0.6, PLACEHOLDER),
        megapixel=between(0.1, 0.5, 4.0, PLACEHOLDER),
        page=between(0.3, 1.5, 8.0, PLACEHOLDER),
    )


# Floats throughout: a saved catalog must read back as the same bytes.
ZONE_SPEEDS: Mapping[Zone, Speed] = {
    "process": _unmeasured_speed((0.0, 0.0, 0.05), (50.0, 300.0, 3000.0), (5.0, 30.0, 150.0)),
    "machine": _unmeasured_speed((0.0, 0.02, 0.2), (50.0, 300.0, 3000.0), (5.0, 30.0, 150.0)),
    "network": _unmeasured_speed((0.01, 0.1, 0.6), (100.0, 1000.0, 8000.0), (10.0, 40.0, 200.0)),
    "internet": _unmeasured_speed((0.3, 1.4, 5.0), (500.0, 2500.0, 20000.0), (15.0, 40.0, 250.0)),
}
# Seconds before the first token, then input and output tokens per second.
_CLASSES: Mapping[SizeClass, Speed] = {
    "mini": _unmeasured_speed(
        (0.2, 0.6, 2.5), (1000.0, 5000.0, 20000.0), (50.0, 140.0, 350.0), f"{_ASSUMED_PREFIX}class mini"
    ),
    "mid": _unmeasured_speed(
        (0.3, 0.8, 3.0), (700.0, 3500.0, 20000.0), (35.0, 85.0, 200.0), f"{_ASSUMED_PREFIX}class mid"
    ),
    "large": _unmeasured_speed(
        (0.4, 1.2, 5.0), (500.0, 2500.0, 15000.0), (18.0, 55.0, 140.0), f"{_ASSUMED_PREFIX}class large"
    ),
}
# Words that vendors use in the names of small models.
_SMALL = re.compile(r"(?<![a-z])(nano|mini|flash|lite|haiku|small|tiny|instant|turbo|fast|micro|luna|spark)(?![a-z])")
_MOST_OF: tuple[tuple[float, SizeClass], ...] = ((20e9, "mini"), (80e9, "mid"))  # parameters that work on a token
_BY_LINE: Mapping[Tier, SizeClass] = {
    "tiny": "mini", "small": "mini", "medium": "mini", "large": "mid", "frontier": "large",
}  # fmt: skip


def default_speed(model: Model, zone: Zone) -> Speed:
    """Return the assumed speed of an endpoint: by the size of its model on the internet, by its zone elsewhere."""
    if zone != "internet" or model.output[:1] != ("text",) or "text-generation" not in model.tasks:
        return ZONE_SPEEDS[zone]
    size = size_class(model)
    return ZONE_SPEEDS[zone] if size is None else _CLASSES[size]


def size_class(model: Model) -> SizeClass | None:
    """Return the size class of a model from its active parameters, its name or its tier; None if unknown."""
    works = model.active or model.parameters
    if works:
        for most, size in _MOST_OF:
            if works <= most:
                return size
        return "large"
    if _SMALL.search(model.id.partition("/")[2]):
        return "mini"
    strength = next((each for each in model.strength if each.task == "text-generation"), None)
    if strength is None or strength.evidence.source == SIZE_UNKNOWN:
        return None
    return _BY_LINE[strength.tier]


def is_assumed(quantity: Quantity) -> bool:
    """Return whether a speed was neither stated nor measured: it is zero, a placeholder or a class default."""
    return quantity.mid <= 0 or quantity.basis == PLACEHOLDER or quantity.basis.startswith(_ASSUMED_PREFIX)
