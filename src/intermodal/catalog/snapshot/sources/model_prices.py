"""Read the dated prices in the wheel of ``model-prices``: the history of models.dev, with sourced corrections.

Prices are for text input and output tokens, the cache, and long prompts. A price that depends on the hour is kept with
its hours; exceptions for days (weekends, holidays) are not kept, so both prices are possible.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from intermodal.catalog.rate_cards import Rate, RateCard, base_rate
from intermodal.errors import ConfigError

MEMBER = "model_prices/snapshot.json"
_SCHEMA = 1
_TODO = "a newer intermodal may read it: pip install -U intermodal"
_UNITS = {
    "input": "input_mtok", "output": "output_mtok", "cache_read": "cache_read_mtok", "cache_write": "cache_write_mtok",
}  # fmt: skip
_MODES: dict[str, dict[str, str]] = {"standard": {}, "batch": {"processing": "batch"}}


class ModelPrices(NamedTuple):
    """Prices by provider and model.

    Attributes:
        data_date: the day of the data (ISO). vectors: oldest first. since: the day on which the last price was first
            seen. first: the day on which the first price was seen, which also stands for earlier prices.
        removed: models that are no longer served.
    """

    data_date: str
    vectors: dict[tuple[str, str], tuple[RateCard, ...]]
    since: dict[tuple[str, str], str]
    first: dict[tuple[str, str], str]
    removed: frozenset[tuple[str, str]]


def read_model_prices(data: bytes) -> ModelPrices:
    """Read the file. Raises ConfigError if it has another schema."""
    try:
        document = msgspec.json.decode(data)
        if document["schema"] != _SCHEMA:
            raise ValueError(f"schema {document['schema']}")
        hours = _hours(document["schedules"]["schedule"])
        vectors = {
            (provider, name): _vectors(modes, hours.get(provider, ()))
            for provider, models in document["prices"].items()
            for name, modes in models.items()
        }
        removed = frozenset(
            (provider, name)
            for provider, models in document["status"].items()
            for name, status in models.items()
            if status == "removed"
        )
        priced = {key: found for key, found in vectors.items() if found}
        first, since = (_price_days(document["prices"], place) for place in (0, -1))
        return ModelPrices(document["updated_at"][:10], priced, since, first, removed)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        where, what = MEMBER, f"is not the data of model-prices that intermodal knows ({error})"
        raise ConfigError(what, where=where, todo=_TODO) from None


def _price_days(prices: dict[str, dict[str, Any]], place: int) -> dict[tuple[str, str], str]:
    """Return the day on which the first (0) or the last (-1) price of each model was seen."""
    return {
        (provider, name): modes["standard"][place]["rates"]["valid_from"][:10]
        for provider, models in prices.items()
        for name, modes in models.items()
        if modes.get("standard") and modes["standard"][place]["rates"]
    }


class _Peak(NamedTuple):
    """Hours (minutes of the UTC day) in which prices are a multiple of the recorded ones, from a day on."""

    since: str
    hours: tuple[tuple[int, int], ...]
    times: float


def _hours(schedules: list[dict[str, Any]]) -> dict[str, tuple[_Peak, ...]]:
    """Return the rules in force that apply to all models of a provider."""
    found: dict[str, tuple[_Peak, ...]] = {}
    for rule in schedules:
        if rule.get("peak_hours_utc") and not rule.get("valid_until"):
            hours = tuple((_minute(start), _minute(end)) for start, end in rule["peak_hours_utc"])
            found[rule["provider"]] = (_Peak(rule["valid_from"][:10], hours, float(rule["peak_multiplier"])),)
    return found


def _minute(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def _vectors(modes: dict[str, list[dict[str, Any]]], peaks: tuple[_Peak, ...]) -> tuple[RateCard, ...]:
    found: list[RateCard] = []
    for mode, when in _MODES.items():
        last: dict[str, Rate] = {}
        for entry in modes.get(mode, ()):
            units = _units(entry["rates"]) if entry["rates"] is not None else {}
            if when:  # the cache's price in a batch is a multiple here, which vendors may not have stated
                units = {unit: rate for unit, rate in units.items() if unit in ("input_mtok", "output_mtok")}
            if units == last or not units:
                continue
            last = units
            since = str(entry["start"] or "")[:10]
            found.append(RateCard(units=units, since=since, when=when))
            for peak in peaks if not when else ():
                dear = {unit: _times(rate, peak.times) for unit, rate in units.items()}
                found += [RateCard(units=dear, since=max(since, peak.since), hours=hours) for hours in peak.hours]
    return tuple(found)


def _units(rates: dict[str, Any]) -> dict[str, Rate]:
    units: dict[str, Rate] = {}
    for name, unit in _UNITS.items():
        if rates.get(name) is None:
            continue
        steps = [
            (int(tier["above"]), float(tier[name])) for tier in rates.get("tiers", ()) if tier.get(name) is not None
        ]
        units[unit] = ((0, float(rates[name])), *steps) if steps else float(rates[name])
    if not any(map(base_rate, units.values())):
        return {}  # a price of zero: a preview, or an unknown price
    # A cache price of zero means that the model has no cache: gpt-3.5-turbo.
    return {unit: rate for unit, rate in units.items() if base_rate(rate) or not unit.startswith("cache_")}


def _times(rate: Rate, factor: float) -> Rate:
    if isinstance(rate, float | int):
        return rate * factor
    return tuple((above, usd * factor) for above, usd in rate)
