"""The prior of a speed before anything was run: the shipped row's, else what is usual for its kind of place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from intermodal.catalog.default_speeds import ZONE_SPEEDS, is_assumed
from intermodal.catalog.types import Speed
from intermodal.cost_model.rates import assumed_speed
from intermodal.quantity import Quantity, between
from intermodal.request import Zone
from intermodal.store.speed_regression import CoefficientPrior

# A row measured on one machine says where others are within a factor of about 2 (one standard deviation): processors
# of one age differ by less, those of ten years by more.
_LEAST_SPREAD = math.log(2.0)
_RATES = ("prompt", "decode")  # stated per second, fitted as seconds each
_STATED = "not measured here"
_AT_ONCE = between(0.002, 0.01, 0.1, _STATED)  # seconds before anything happens where a row says 0
_LOAD = between(0.3, 1.5, 8.0, _STATED)  # seconds; a row that says nothing is of nobody knows what
# The media worker: one message there and back, a page of text, a megapixel drawn, a second of a megapixel of video
# looked through, a second of a video's sound. As in ``cost_model/rates.py``.
MEDIA: dict[str, Quantity] = {
    "worker": between(0.0002, 0.001, 0.05, _STATED),
    "extract_page": between(0.0002, 0.0006, 0.02, _STATED),
    "render_megapixel": between(0.002, 0.015, 0.15, _STATED),
    "frames_second": between(0.01, 0.08, 0.4, _STATED),
    "demux_second": between(0.001, 0.008, 0.05, _STATED),
}


def stated_speed(endpoint: str) -> Speed:
    """The shipped row's speed, of nothing where there is no such row."""
    return _shipped().get(endpoint, Speed())


def states_decode_speed(endpoint: str) -> bool:
    """Whether a row states how fast words are written: a reader's seconds are then those of its words as well."""
    decode = stated_speed(endpoint).decode
    return not is_assumed(decode)


def priors(
    endpoint: str, zone: Zone, theirs: Mapping[str, Quantity] = MappingProxyType({})
) -> dict[str, CoefficientPrior]:
    """A prior for every figure of ``Speed``, in seconds each. ``theirs``: figures of the same model at another place of
    this kind, which are better than what is usual there."""
    speed, untimed = stated_speed(endpoint), ZONE_SPEEDS[zone]
    found: dict[str, CoefficientPrior] = {}
    for figure in Speed.__struct_fields__:
        known: Quantity = getattr(speed, figure)
        if is_assumed(known) and figure in theirs:
            known = theirs[figure]
        if known.mid <= 0:
            known = getattr(untimed, figure)
        if known.mid <= 0:
            drawn = {name: assumed_speed(name, zone) for name in ("picture", "denoise", "latent")}
            known = {"load": _LOAD, **drawn}.get(figure, _AT_ONCE)
        found[figure] = lognormal_prior(known, per_second=figure in _RATES)
    return found


def media_priors() -> dict[str, CoefficientPrior]:
    return {figure: lognormal_prior(quantity) for figure, quantity in MEDIA.items()}


def lognormal_prior(quantity: Quantity, *, per_second: bool = False) -> CoefficientPrior:
    """A range of 80 % as a normal distribution of the logarithm: 2.56 standard deviations wide."""
    low = max(quantity.low, quantity.mid / 30)
    spread = max(_LEAST_SPREAD, math.log(max(quantity.high, quantity.mid) / low) / 2.56)
    return CoefficientPrior(1 / quantity.mid if per_second else quantity.mid, spread)


@cache
def _shipped() -> dict[str, Speed]:
    from intermodal.catalog.load import load_catalog

    return {each.id: each.speed for each in load_catalog(installed={}, weights=frozenset()).endpoints}
