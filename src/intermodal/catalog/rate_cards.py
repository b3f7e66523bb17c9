"""The prices of a host, in every unit and on every date, and the bill for a usage. Values and arithmetic only.

A ``RateCard`` holds prices per unit from a date on. Cards without ``when`` are the standard price: of the cards in
force at a moment, the last one written applies. Cards with ``when`` replace single units for requests that meet the
condition (``processing=batch``, ``service_tier=flex``). A unit may have tiers: above a number of input tokens in one
request, all of its tokens cost the higher price, which is how hosts bill.

A count above zero without a price makes the bill *unknown*, never free. A count is billed at its own price, else at the
price of the wider unit that contains it (cached input as input, image tokens as text tokens). Audio is the exception:
no host sells it at the text price without saying so, so audio without a price of its own is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from intermodal.core.content import Value

Rate = (
    float | tuple[tuple[int, float], ...]
)  # USD; with tiers: (input tokens above which it applies, USD), the first at 0


class PriceUnit(NamedTuple):
    """A billing unit.

    ``counts``: the quantity counted; ``per``: how many of them the price covers; ``about``: the words that describe it,
    widest first. A unit is part of another if its words include the other's.
    """

    counts: str
    per: float
    about: frozenset[str]


def _unit(counts: str, per: float, about: str) -> PriceUnit:
    return PriceUnit(counts, per, frozenset(about.split()))


_MILLION = 1_000_000.0

UNITS: Mapping[str, PriceUnit] = {
    "input_mtok": _unit("input_tokens", _MILLION, "tokens in"),
    "output_mtok": _unit("output_tokens", _MILLION, "tokens out"),
    "cache_read_mtok": _unit("cache_read_tokens", _MILLION, "tokens in cached"),
    "cache_write_mtok": _unit("cache_write_tokens", _MILLION, "tokens in kept"),
    "cache_write_1h_mtok": _unit("cache_write_1h_tokens", _MILLION, "tokens in kept hour"),
    "input_audio_mtok": _unit("input_audio_tokens", _MILLION, "tokens in sound"),
    "cache_audio_read_mtok": _unit("cache_audio_read_tokens", _MILLION, "tokens in sound cached"),
    "output_audio_mtok": _unit("output_audio_tokens", _MILLION, "tokens out sound"),
    "input_image_mtok": _unit("input_image_tokens", _MILLION, "tokens in image"),
    "cache_image_read_mtok": _unit("cache_image_read_tokens", _MILLION, "tokens in image cached"),
    "output_image_mtok": _unit("output_image_tokens", _MILLION, "tokens out image"),
    "input_video_mtok": _unit("input_video_tokens", _MILLION, "tokens in video"),
    "output_video_mtok": _unit("output_video_tokens", _MILLION, "tokens out video"),
    "output_reasoning_mtok": _unit("output_reasoning_tokens", _MILLION, "tokens out reasoning"),
    "output_citation_mtok": _unit("output_citation_tokens", _MILLION, "tokens out citation"),
    "input_mchars": _unit("input_characters", _MILLION, "characters in"),
    "audio_hours": _unit("audio_seconds", 3600.0, "seconds"),
    "input_audio_hours": _unit("input_audio_seconds", 3600.0, "seconds in"),
    "output_audio_hours": _unit("output_audio_seconds", 3600.0, "seconds out"),
    "input_document_kpages": _unit("input_document_pages", 1000.0, "pages in"),
    "input_annotated_document_kpages": _unit("input_annotated_document_pages", 1000.0, "pages in annotated"),
    "input_text_messages_kcount": _unit("input_text_messages", 1000.0, "messages in"),
    "requests_kcount": _unit("requests", 1000.0, "requests"),
    "rerank_searches_kcount": _unit("rerank_searches", 1000.0, "reranks"),
    "web_searches_kcount": _unit("web_searches", 1000.0, "searches web"),
    "storage_searches_kcount": _unit("storage_searches", 1000.0, "searches storage"),
}
AUDIO_LENGTH_UNITS = frozenset({"audio_hours", "input_audio_hours"})  # audio input billed by its length
UNIT_BY_COUNT: Mapping[str, str] = {unit.counts: name for name, unit in UNITS.items()}


class RateCard(Value):
    """Prices in USD by unit, from a date on.

    Attributes:
        units: prices keyed by the names in ``UNITS``.
        since: ISO date; "" for prices without a start date.
        hours: start and end in minutes of the UTC day; () all day.
        when: request properties to which the card applies; {} for the standard price.
        least_seconds: minimum billed seconds per request, if audio is billed by length.
        unsaid: an additional per-call charge whose price is unknown; "" for none.
    """

    units: dict[str, Rate]
    since: str = ""
    hours: tuple[int, ...] = ()
    when: dict[str, str] = msgspec.field(default_factory=dict)
    least_seconds: float = 0.0
    unsaid: str = ""


class BillLine(Value):
    """One line of a bill. ``usd`` is None if the price is unknown."""

    counts: str
    count: float
    unit: str
    usd: float | None


class ItemizedBill(Value):
    """The cost of a usage. ``usd`` is None if a part has no price; ``unpriced`` names those parts."""

    usd: float | None
    lines: tuple[BillLine, ...] = ()
    unpriced: tuple[str, ...] = ()


def effective_rates(vectors: tuple[RateCard, ...], moment: str, **properties: str) -> RateCard | None:
    """Return the prices in force at ``moment`` for a request with these properties; None if there are none.

    ``moment`` is a date (2026-11-25) or a UTC time (2026-11-25T09:30). If it has no time of day and prices vary by
    hour, the most expensive hour is used.
    """
    day, _, clock = moment.partition("T")
    minute = int(clock[:2]) * 60 + int(clock[3:5]) if clock else None
    cards = [each for each in vectors if not each.when and each.since <= day]
    found = (
        _most_expensive(rate_cards_on(vectors, day))
        if minute is None
        else next((v for v in reversed(cards) if _applies_at(v, minute)), None)
    )
    if found is None or not properties:
        return found
    units = dict(found.units)
    replaced: set[str] = set()
    for vector in _last_of_each(vectors, day):
        if all(properties.get(key) == word for key, word in vector.when.items()):
            units.update({name: rate for name, rate in vector.units.items() if name not in replaced})
            replaced.update(vector.units)
    return replace(found, units=units)


def _last_of_each(vectors: tuple[RateCard, ...], day: str) -> list[RateCard]:
    """Return the latest card in force on a day for each condition; of several from one day, the first."""
    found: dict[tuple[tuple[str, str], ...], RateCard] = {}
    for vector in vectors:
        kind = tuple(sorted(vector.when.items()))
        if kind and vector.since <= day and (kind not in found or vector.since > found[kind].since):
            found[kind] = vector
    return list(found.values())


def rate_cards_on(vectors: tuple[RateCard, ...], day: str) -> list[RateCard]:
    """Return the standard prices that may apply on a day: the last all-day card, and later cards for some hours."""
    cards = [each for each in vectors if not each.when and each.since <= day]
    place = max((place for place, each in enumerate(cards) if not each.hours), default=None)
    return cards if place is None else cards[place:]


def _applies_at(vector: RateCard, minute: int) -> bool:
    if not vector.hours:
        return True
    start, end = vector.hours
    return start <= minute < end if start <= end else minute >= start or minute < end


def _most_expensive(cards: list[RateCard]) -> RateCard | None:
    return max(cards, key=lambda each: sum(base_rate(rate) for rate in each.units.values()), default=None)


def base_rate(rate: Rate) -> float:
    """Return the price for a small request."""
    return tiered_rate(rate, 0.0)


def rate_thresholds(vector: RateCard) -> tuple[int, ...]:
    """Return the numbers of input tokens above which a price changes, in ascending order; () for flat prices."""
    rates = [rate for rate in vector.units.values() if not isinstance(rate, float | int)]
    return tuple(sorted({above for rate in rates for above, _ in rate[1:]}))


def itemize(vector: RateCard | None, usage: Mapping[str, float]) -> ItemizedBill:
    """Return the bill of one request.

    Counts are named as in ``PriceUnit.counts``; the count of a part is included in that of its whole. Raises ValueError
    for a count that is negative, unknown, or smaller than its parts.
    """
    for name, count in usage.items():
        if name not in UNIT_BY_COUNT:
            raise ValueError(f"{name} is not something that is counted")
        if count < 0:
            raise ValueError(f"{name} is negative")
    priced = vector.units if vector is not None else {}
    total = usage.get("input_tokens", 0.0)
    lines: list[BillLine] = []
    for name, left in _uncounted_amounts(usage).items():
        if left:
            unit = _billing_unit(UNIT_BY_COUNT[name], priced)
            if vector is not None and unit in AUDIO_LENGTH_UNITS:
                left = max(left, vector.least_seconds)
            usd = None if unit is None else tiered_rate(priced[unit], total) * left / UNITS[unit].per
            lines.append(BillLine(counts=name, count=left, unit=unit or "", usd=usd))
    if "requests_kcount" in priced and "requests" not in usage:
        usd = tiered_rate(priced["requests_kcount"], total) / 1000
        lines.append(BillLine(counts="requests", count=1, unit="requests_kcount", usd=usd))
    if vector is not None and vector.unsaid:
        lines.append(BillLine(counts=vector.unsaid, count=1, unit="", usd=None))
    unpriced = tuple(line.counts for line in lines if line.usd is None)
    total_usd = None if unpriced else sum(line.usd or 0.0 for line in lines)
    return ItemizedBill(usd=total_usd, lines=tuple(lines), unpriced=unpriced)


def _uncounted_amounts(usage: Mapping[str, float]) -> dict[str, float]:
    """Return what remains of each count after its parts are subtracted, so that each token is billed once."""
    narrow_first = sorted(usage, key=lambda name: (-len(UNITS[UNIT_BY_COUNT[name]].about), name))
    found: dict[str, float] = {}
    for name in narrow_first:
        about = UNITS[UNIT_BY_COUNT[name]].about
        left = usage[name] - sum(count for other, count in found.items() if about < UNITS[UNIT_BY_COUNT[other]].about)
        if left < -1e-9:
            raise ValueError(f"{name} is smaller than its parts")
        found[name] = max(left, 0.0)
    return found


def _billing_unit(name: str, priced: Mapping[str, Rate]) -> str | None:
    """Return the unit a count is billed in: its own, else the narrowest wider unit with a price."""
    if name in priced:
        return name
    about = UNITS[name].about
    wider = [other for other in priced if other in UNITS and UNITS[other].about < about and _as_good_as(about, other)]
    return max(wider, key=lambda other: (len(UNITS[other].about), other), default=None)


def _as_good_as(about: frozenset[str], other: str) -> bool:
    return "sound" not in about or "sound" in UNITS[other].about


def tiered_rate(rate: Rate, total: float) -> float:
    """Return the price for a request with ``total`` input tokens."""
    if isinstance(rate, float | int):
        return float(rate)
    found = rate[0][1]
    for above, usd in rate[1:]:
        if total > above:
            found = usd
    return found
