"""Sibling statistics: apply what is known of a model at one endpoint to the same model at unmeasured endpoints.

Without them, two endpoints of one model would be compared as a measurement with a guess, and the first to be measured
would always win. Answer lengths belong to the model, wherever it runs. Speed depends on the place, so speeds apply only
to places of the same kind, and not if the catalog states one. The middle of a range comes from the sibling; its ends
stay as wide as for unknown figures, because limits are checked against them.

An unmeasured server on this machine is assumed to be as fast as the measured ones with models of similar size. The
defaults assume an ordinary, idle machine: on a slow or busy one, every measured server would lose to an unmeasured one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from intermodal.catalog.default_speeds import is_assumed
from intermodal.catalog.types import Endpoint
from intermodal.core.quantity import Quantity, between
from intermodal.cost_model.answer_length import LENGTH_FIGURE, MEAN_FIGURE
from intermodal.cost_model.rates import assumed_speed
from intermodal.cost_model.token_calibration import CALIBRATION_FACTORS, FRAMING_FIGURES
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.statistics import Statistics

SPEEDS = ("overhead", "prompt", "decode", "realtime_factor", "megapixel", "page", "picture", "denoise", "latent")
_MODEL_FIGURES = ("reasoning_tokens", "describe_tokens", "tokens_per_second_of_speech", "tokens_per_megapixel",
        "reading_factor", *CALIBRATION_FACTORS, *FRAMING_FIGURES)  # fmt: skip
_SIZES = 2.0  # maximum size ratio of models with similar speed
_WIDER = 1.5  # factor on the range of a model's figure at endpoints where it was not measured


def with_sibling_figures(statistics: Statistics, models: Mapping[str, Iterable[Endpoint]]) -> Statistics:
    """Return the statistics with missing figures filled in from endpoints of the same model.

    ``models``: endpoints by model id. If several were measured, the median is used. Speeds that a server on this
    machine still lacks are taken from the other servers here.
    """
    learned_figures: dict[str, dict[str, Quantity]] = {}
    for key, quantity in statistics.rows.items():
        name, _, figure = key.partition("|")
        learned_figures.setdefault(name, {})[figure] = quantity
    found: dict[str, Quantity] = {}
    for endpoints in models.values():
        every = sorted(endpoints, key=lambda each: each.id)
        measured_endpoints = [each for each in every if each.id in learned_figures]
        for endpoint in every if measured_endpoints else ():
            have = learned_figures.get(endpoint.id, {})
            for figure, quantity in _figures(endpoint, measured_endpoints, learned_figures).items():
                if figure not in have:
                    found[f"{endpoint.id}|{figure}"] = quantity
    local_endpoints = [each for some in models.values() for each in some if each.host.zone in LOCAL_ZONES]
    for endpoint, figure, quantity in _as_others_here(
        sorted(local_endpoints, key=lambda each: each.id), learned_figures
    ):
        found.setdefault(f"{endpoint.id}|{figure}", quantity)
    return Statistics(epoch=statistics.epoch, rows={**statistics.rows, **found}) if found else statistics


def _figures(
    endpoint: Endpoint, endpoints: Iterable[Endpoint], learned_figures: Mapping[str, Mapping[str, Quantity]]
) -> dict[str, Quantity]:
    values_by_figure: dict[str, list[tuple[Quantity, str]]] = {}
    for other in endpoints:
        near = _sharing_zone(other) == _sharing_zone(endpoint)
        for figure, quantity in learned_figures[other.id].items():
            own = figure in _MODEL_FIGURES or figure.startswith(
                (f"{LENGTH_FIGURE}_", f"{MEAN_FIGURE}_", "reasoning_tokens@")
            )
            if own or (near and figure in SPEEDS and _is_guessed(endpoint, figure)):
                values_by_figure.setdefault(figure, []).append((quantity, other.id))
    return {
        figure: _widen(endpoint, figure, *_lower_median(values)) for figure, values in sorted(values_by_figure.items())
    }


def _as_others_here(
    local_endpoints: list[Endpoint], learned_figures: Mapping[str, Mapping[str, Quantity]]
) -> Iterator[tuple[Endpoint, str, Quantity]]:
    """Yield the speeds of servers on this machine that were neither measured nor stated in the catalog."""
    measured_endpoints = [each for each in local_endpoints if each.id in learned_figures]
    for endpoint in local_endpoints if measured_endpoints else ():
        for figure in SPEEDS:
            if figure in learned_figures.get(endpoint.id, {}) or not _is_guessed(endpoint, figure):
                continue
            values = [
                (learned_figures[other.id][figure], other.id)
                for other in measured_endpoints
                if figure in learned_figures[other.id] and other.host.zone == endpoint.host.zone
                and _is_guessed(other, figure) and _is_sibling(other, endpoint)
            ]  # fmt: skip
            if values:
                yield endpoint, figure, _widen(endpoint, figure, *_lower_median(values))


def _is_sibling(endpoint: Endpoint, other: Endpoint) -> bool:
    """Return whether two models share a task and are of similar size, as far as known."""
    sizes = endpoint.model.parameters or 0.0, other.model.parameters or 0.0
    return max(sizes) <= _SIZES * min(sizes) and bool(set(endpoint.model.tasks) & set(other.model.tasks))


def _sharing_zone(endpoint: Endpoint) -> str:
    return "here" if endpoint.host.zone in LOCAL_ZONES else endpoint.host.zone


def _is_guessed(endpoint: Endpoint, figure: str) -> bool:
    """Return whether the catalog states no speed for this endpoint."""
    return is_assumed(getattr(endpoint.speed, figure))


def _lower_median(values: list[tuple[Quantity, str]]) -> tuple[Quantity, str]:
    """Return the lower median, which is always a measured value."""
    return sorted(values, key=lambda pair: (pair[0].mid, pair[1]))[(len(values) - 1) // 2]


def _widen(endpoint: Endpoint, figure: str, learned_figure: Quantity, other: str) -> Quantity:
    basis = f"as {other}, {learned_figure.basis}"
    if figure not in SPEEDS:
        return between(learned_figure.low / _WIDER, learned_figure.mid, learned_figure.high * _WIDER, basis)
    guess: Quantity = getattr(endpoint.speed, figure)
    guess = guess if guess.mid > 0 else assumed_speed(figure, endpoint.host.zone)
    return between(min(guess.low, learned_figure.low), learned_figure.mid, max(guess.high, learned_figure.high), basis)
