"""Fit a fixed part and speeds to observed seconds. Pure arithmetic.

``seconds = a * x + b * y + …`` with every coefficient positive: a short call is mostly waiting, a long one mostly work,
and a value from either alone is wrong for the other. The fit minimises relative errors, so that short calls count as
much as long ones, with the weight of outliers bounded (Huber, The Annals of Mathematical Statistics, 1964) and each
coefficient shrunk towards its prior (a ridge in logarithms: a normal prior on the logarithm, found by Gauss-Newton).
Before anything was run, the prior of a speed is that of the shipped row, else the typical value of its zone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from intermodal.catalog.default_speeds import ZONE_SPEEDS, is_assumed
from intermodal.catalog.types import Speed
from intermodal.core.quantity import Quantity, between
from intermodal.core.request import Zone
from intermodal.cost_model.rates import assumed_speed
from intermodal.store.rows import Pause, no_pause

_STEPS = 40
_HUBER = 1.345  # residuals beyond this many standard deviations lose weight: 95 % efficiency without outliers
_LEAST_SPREAD = 0.05  # standard deviation of a logarithm below which runs do not repeat each other
_USUAL_SPREAD = 0.25  # prior spread of runs of one kind on one machine
_USUAL_WEIGHT = 3.0  # weight of the prior spread, in runs
# 90th percentile of Student's t distribution with n - 1 degrees of freedom times sqrt(1 + 1 / n): the half-width that
# covers 80 % of further values, in standard deviations of n observed values.
_REACH = ((3, 2.18), (4, 1.83), (5, 1.68), (7, 1.54), (10, 1.45), (15, 1.39), (20, 1.36))
_FARTHEST = 1.30


class CoefficientPrior(NamedTuple):
    """The prior of a coefficient: typical value, and standard deviation of its logarithm."""

    typical: float
    spread: float


class Observation(NamedTuple):
    """One observation: coefficients by name with their multipliers, the measured seconds, and its weight."""

    amounts: tuple[tuple[str, float], ...]
    seconds: float
    weight: float = 1.0


class FittedCoefficient(NamedTuple):
    """A coefficient with its range and the number of observations.

    ``low``, ``high``: factors of the 10th and 90th percentile of the observations.
    """

    value: float
    low: float
    high: float
    times: int


def fit_coefficients(
    observations: Sequence[Observation], priors: Mapping[str, CoefficientPrior], pause: Pause = no_pause
) -> dict[str, FittedCoefficient]:
    """Return the coefficient of every name that occurs in an observation. Each name needs a prior.

    ``pause`` is called after every step.

    >>> line = [Observation((("fixed", 1.0), ("each", size)), 0.5 + 0.01 * size) for size in (10.0, 50.0, 200.0, 800.0)]
    >>> prior = CoefficientPrior(0.1, 1.5)
    >>> found = fit_coefficients(line, {"fixed": prior, "each": prior})
    >>> round(found["fixed"].value, 2), round(found["each"].value, 3)
    (0.5, 0.01)
    """
    names = sorted({name for observation in observations for name, _ in observation.amounts})
    logs = {name: math.log(priors[name].typical) for name in names}
    scale = 0.5
    for _ in range(_STEPS):
        step = _step(observations, priors, names, logs, scale)
        for name, change in zip(names, step, strict=True):
            logs[name] += max(-1.0, min(1.0, change))
        pause()
        scale = max(_LEAST_SPREAD, _scale([residual(observation, logs) for observation in observations]))
        if all(abs(change) < 1e-7 for change in step):
            break
    found: dict[str, FittedCoefficient] = {}
    for name in names:
        found[name] = _coefficient(name, observations, logs)
        pause()
    return found


def residual(observation: Observation, logs: Mapping[str, float]) -> float:
    """Return the logarithm of actual over expected seconds."""
    return math.log(observation.seconds / sum(math.exp(logs[name]) * amount for name, amount in observation.amounts))


def _step(
    observations: Sequence[Observation],
    priors: Mapping[str, CoefficientPrior],
    names: Sequence[str],
    logs: Mapping[str, float],
    scale: float,
) -> list[float]:
    """Return one Gauss-Newton step: the solution of the normal equations of the linearised problem."""
    size = len(names)
    place = {name: index for index, name in enumerate(names)}
    matrix = [[0.0] * size for _ in range(size)]
    right = [0.0] * size
    for observation in observations:
        parts = [(place[name], math.exp(logs[name]) * amount) for name, amount in observation.amounts]
        whole = sum(part for _, part in parts)
        error = math.log(observation.seconds / whole)
        weight = observation.weight * min(1.0, _HUBER * scale / abs(error)) if error else observation.weight
        for row, part in parts:
            right[row] += weight * error * part / whole
            for column, other in parts:
                matrix[row][column] += weight * part * other / whole**2
    for name, index in place.items():
        pull = (scale / priors[name].spread) ** 2
        matrix[index][index] += pull
        right[index] += pull * (math.log(priors[name].typical) - logs[name])
    return _solve_linear(matrix, right)


def _solve_linear(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Solve a linear system by Gaussian elimination with pivoting.

    The matrix is positive definite, since every prior adds to its diagonal.
    """
    size = len(right)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda index: abs(rows[index][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        for index in range(column + 1, size):
            factor = rows[index][column] / rows[column][column]
            rows[index] = [value - factor * above for value, above in zip(rows[index], rows[column], strict=True)]
    answer = [0.0] * size
    for index in reversed(range(size)):
        solved_part = sum(rows[index][other] * answer[other] for other in range(index + 1, size))
        answer[index] = (rows[index][size] - solved_part) / rows[index][index]
    return answer


def _scale(residuals: Sequence[float]) -> float:
    """Return a standard deviation estimated by the median absolute deviation, which is robust to outliers."""
    middle = percentile(residuals, 0.5)
    return 1.4826 * percentile([abs(value - middle) for value in residuals], 0.5)


def _coefficient(name: str, observations: Sequence[Observation], logs: Mapping[str, float]) -> FittedCoefficient:
    """Return a coefficient with its range.

    The range is that of the observations of which it makes up a third or more; if there are too few, that of all.
    """
    value = math.exp(logs[name])
    ratios = [residual(observation, logs) for observation in observations if dict(observation.amounts).get(name)]
    mostly = [residual(observation, logs) for observation in observations if _share(name, observation, logs) >= 1 / 3]
    low, high = spread_factors(mostly if len(mostly) >= 5 else ratios)
    return FittedCoefficient(value=value, low=low, high=high, times=len(ratios))


def _share(name: str, observation: Observation, logs: Mapping[str, float]) -> float:
    whole = sum(math.exp(logs[other]) * amount for other, amount in observation.amounts)
    return math.exp(logs[name]) * dict(observation.amounts).get(name, 0.0) / whole


def spread_factors(logarithms: Sequence[float]) -> tuple[float, float]:
    """Return the factors around 1 between which 80 % of further values are expected.

    From 20 values on, these are their 10th and 90th percentiles. Fewer values do not show the tails: then the range is
    the number of standard deviations required by Student's distribution, with the usual spread mixed in.
    """
    count = len(logarithms)
    if count >= 20:
        low, high = percentile(logarithms, 0.1), percentile(logarithms, 0.9)
    else:
        half = shrunk_deviation(logarithms) * next((times for most, times in _REACH if count <= most), _FARTHEST)
        low, high = -half, half
    return math.exp(min(low, -_LEAST_SPREAD)), math.exp(max(high, _LEAST_SPREAD))


def shrunk_deviation(logarithms: Sequence[float]) -> float:
    """Return the standard deviation of runs, shrunk towards the usual one, since a few runs do not show it."""
    squares = sum(value**2 for value in logarithms) + _USUAL_WEIGHT * _USUAL_SPREAD**2
    return math.sqrt(squares / (len(logarithms) + _USUAL_WEIGHT))


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile by linear interpolation between the closest ranks.

    Type 7 of Hyndman and Fan, The American Statistician, 1996.
    """
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    if place == below or ordered[above] == ordered[below]:
        return ordered[below]  # also keeps infinities from making a NaN
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def round_range(low: float, mid: float, high: float, basis: str) -> Quantity:
    """Return a range rounded to 3 significant digits, for readable plans."""
    low, mid, high = (float(f"{value:.3g}") for value in (low, mid, high))
    return between(low, mid, high, basis)


# ---- priors -----------------------------------------------------------------------------------------


# A row measured on one machine predicts others within a factor of about 2 (one standard deviation): processors of the
# same age differ by less, those ten years apart by more.
_LEAST_PRIOR_SPREAD = math.log(2.0)
_RATES = ("prompt", "decode")  # stated per second, fitted as seconds each
_STATED = "not measured here"
_AT_ONCE = between(0.002, 0.01, 0.1, _STATED)  # seconds of overhead if a row states 0
_LOAD = between(0.3, 1.5, 8.0, _STATED)  # seconds; assumed for a row without a load time
# The media worker: one round trip, a page of text, a megapixel rendered, a second of a megapixel of video decoded, a
# second of a video's sound. As in ``cost_model/rates.py``.
MEDIA: dict[str, Quantity] = {
    "worker": between(0.0002, 0.001, 0.05, _STATED),
    "extract_page": between(0.0002, 0.0006, 0.02, _STATED),
    "render_megapixel": between(0.002, 0.015, 0.15, _STATED),
    "frames_second": between(0.01, 0.08, 0.4, _STATED),
    "demux_second": between(0.001, 0.008, 0.05, _STATED),
}


def stated_speed(endpoint: str) -> Speed:
    """Return the speed in the shipped row, or an empty speed if there is no such row."""
    return _shipped().get(endpoint, Speed())


def states_decode_speed(endpoint: str) -> bool:
    """Return whether a row states a decode speed: if so, a reader's seconds include the time to write the words."""
    decode = stated_speed(endpoint).decode
    return not is_assumed(decode)


def priors(
    endpoint: str, zone: Zone, other_figures: Mapping[str, Quantity] = MappingProxyType({})
) -> dict[str, CoefficientPrior]:
    """Return a prior for every field of ``Speed``, in seconds per unit.

    ``other_figures``: values of the same model at another endpoint in a similar zone, which are better than general
    ones.
    """
    speed, untimed = stated_speed(endpoint), ZONE_SPEEDS[zone]
    found: dict[str, CoefficientPrior] = {}
    for figure in Speed.__struct_fields__:
        figure_speed: Quantity = getattr(speed, figure)
        if is_assumed(figure_speed) and figure in other_figures:
            figure_speed = other_figures[figure]
        if figure_speed.mid <= 0:
            figure_speed = getattr(untimed, figure)
        if figure_speed.mid <= 0:
            image_speeds = {name: assumed_speed(name, zone) for name in ("picture", "denoise", "latent")}
            figure_speed = {"load": _LOAD, **image_speeds}.get(figure, _AT_ONCE)
        found[figure] = lognormal_prior(figure_speed, per_second=figure in _RATES)
    return found


def media_priors() -> dict[str, CoefficientPrior]:
    return {figure: lognormal_prior(quantity) for figure, quantity in MEDIA.items()}


def lognormal_prior(quantity: Quantity, *, per_second: bool = False) -> CoefficientPrior:
    """Return an 80 % range as a normal distribution of the logarithm: the range is 2.56 standard deviations wide."""
    low = max(quantity.low, quantity.mid / 30)
    spread = max(_LEAST_PRIOR_SPREAD, math.log(max(quantity.high, quantity.mid) / low) / 2.56)
    return CoefficientPrior(1 / quantity.mid if per_second else quantity.mid, spread)


@cache
def _shipped() -> dict[str, Speed]:
    from intermodal.catalog.load import load_catalog

    return {each.id: each.speed for each in load_catalog(installed={}, weights=frozenset()).endpoints}
