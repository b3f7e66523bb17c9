"""Price of counted parts: billed usage, keyed by the names that prices have, times a price.

Usage is one level (low, mid, high) of everything that would be billed; ``input_image_tokens`` are included in
``input_tokens``. A part is counted in the unit its price is for: audio by length or tokens, spoken text by characters.
A non-zero count without a price makes the bill unknown, never zero.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from intermodal.catalog.rate_cards import AUDIO_LENGTH_UNITS
from intermodal.catalog.types import Price
from intermodal.core.quantity import Quantity, exact, unknown
from intermodal.cost_model.levels import LEVELS, MID, Level, levels
from intermodal.cost_model.token_counts import CountableKind, CountedPart

DIGITS = 10  # decimals of a dollar; further ones are floating-point error
Usage = Mapping[str, float]


class UsagePrice(NamedTuple):
    """A price.

    ``usd``: returns the USD of a usage, or the name of a count without a price. ``units``: the units of
    ``catalog.prices`` that have one. ``least_seconds``: minimum length of audio billed by length.
    """

    usd: Callable[[Usage], float | str]
    units: Collection[str]
    least_seconds: float = 0.0


_COUNTS: dict[CountableKind, tuple[str, ...]] = {  # the counts that include a kind, the narrowest last
    "text": ("input_tokens",),
    "framing": ("input_tokens",),
    "document": ("input_tokens",),
    "image": ("input_tokens", "input_image_tokens"),
    "video": ("input_tokens", "input_video_tokens"),
    "audio": ("input_tokens", "input_audio_tokens"),
    "output": ("output_tokens",),
    "drawn": ("output_tokens", "output_image_tokens"),
    "speech": ("output_tokens", "output_audio_tokens"),
}


def billed_usage(
    parts: tuple[CountedPart, ...], level: Level, units: Collection[str] = (), *, cached: int = 0
) -> dict[str, float]:
    """Return the usage to be billed at one level, given the units that have prices.

    ``cached`` tokens are read from the provider's cache, text before images.
    """
    found: dict[str, float] = {}
    for part in parts:
        unit = _instead_of_tokens(part, units)
        if unit:
            found[unit] = found.get(unit, 0.0) + _AMOUNTS[unit](part)
            continue
        tokens = levels(part.tokens)[level]
        for name in _COUNTS[part.piece.kind]:
            found[name] = found.get(name, 0.0) + tokens
    if cached:
        of_text = min(float(cached), sum(levels(part.tokens)[level] for part in parts if _is_text(part)))
        of_images = min(cached - of_text, found.get("input_image_tokens", 0.0))
        found["cache_read_tokens"], found["cache_image_read_tokens"] = of_text + of_images, of_images
    return {name: count for name, count in found.items() if count}


_AMOUNTS: dict[str, Callable[[CountedPart], float]] = {
    "audio_seconds": lambda part: part.piece.seconds,
    "input_document_pages": lambda part: float(part.piece.pages),
    "input_characters": lambda part: float(part.piece.chars or 0) if part.piece.kind == "text" else 0.0,
}


def _instead_of_tokens(part: CountedPart, units: Collection[str]) -> str:
    """Return the unit of a part that is not billed by tokens, "" if it is."""
    kind, none = part.piece.kind, part.tokens.known and part.tokens.high == 0
    if kind == "audio" and (none or ("input_audio_mtok" not in units and not AUDIO_LENGTH_UNITS.isdisjoint(units))):
        return "audio_seconds"
    if kind == "document" and none:
        return "input_document_pages"
    by_characters = "input_mchars" in units and "input_mtok" not in units  # characters are billed, seconds are not
    return "input_characters" if by_characters and kind in ("text", "framing", "speech") else ""


def _is_text(part: CountedPart) -> bool:
    return _COUNTS[part.piece.kind] == ("input_tokens",)


def cacheable_tokens(parts: tuple[CountedPart, ...]) -> float:
    """Return the maximum number of tokens in a provider's cache: of text, documents and images."""
    return sum(part.tokens.high for part in parts if _is_text(part) or part.piece.kind == "image")


def price_of_parts(parts: tuple[CountedPart, ...], priced: UsagePrice, *, cached: int = 0) -> Quantity:
    """Return the USD of a call with these parts; unknown if a part has no price or an unknown count."""
    has_text = any(part.piece.chars for part in parts)
    for part in parts:
        name, instead = part.piece.name or part.piece.kind, _instead_of_tokens(part, priced.units)
        if not part.tokens.known and not instead:
            return unknown(f"tokens of {name} are not known")
        if part.piece.kind == "speech" and instead and not has_text:
            return unknown(f"{name} is billed by its characters, and its words are not given")
    found: list[float] = []
    for level in LEVELS:
        usd = priced.usd(billed_usage(parts, level, priced.units, cached=cached))
        if isinstance(usd, str):
            return unknown(f"no price of {usd} is known")
        found.append(round(usd, DIGITS))
    low, mid, high = found
    basis = _basis(billed_usage(parts, MID, priced.units, cached=cached), priced)
    if low == high:
        return exact(low, basis)
    return Quantity(low=low, mid=mid, high=high, certainty="estimated", basis=basis)


TOKENS_TIMES_PRICE = "tokens times price"
_UNIT_NAMES = {"audio_seconds": "seconds of sound", "input_document_pages": "pages", "input_characters": "characters"}


def _basis(used: Usage, priced: UsagePrice) -> str:
    """Return in words what the price is multiplied by."""
    units = [words for count, words in _UNIT_NAMES.items() if used.get(count)]
    if any(count.endswith("_tokens") for count in used) or not units:
        units.append("tokens")
    factors = f"{' and '.join(units)} times price"
    seconds = used.get("audio_seconds", 0.0)
    if 0 < seconds < priced.least_seconds:
        return f"{factors}; {seconds:g} s of sound are billed as {priced.least_seconds:g} s, the least of a request"
    return factors


class _Rate(NamedTuple):
    """USD for ``per`` of a count, its name in words, and the wider count that includes it."""

    usd: float | None
    per: float
    words: str
    part_of: str = ""


def usage_price(price: Price, *, batch: bool = False) -> UsagePrice:
    """Return a catalog price as a ``UsagePrice``. ``batch``: the batch price, which catalog rows do not state.

    Images, videos and audio without a price of their own are billed as text.
    """
    usd_by_unit = {
        "input_mtok": price.input_mtok, "input_audio_mtok": price.input_audio_mtok, "audio_hours": price.second,
        "input_mchars": price.input_mchar,
    }  # fmt: skip

    def answer(used: Usage) -> float | str:
        rates = _rates(price.of_request(used.get("input_tokens", 0.0)))
        left = dict(used)
        if left.get("audio_seconds"):
            left["audio_seconds"] = max(left["audio_seconds"], price.least_seconds)
        for name, count in used.items():
            if rates[name].part_of:
                left[rates[name].part_of] -= count
        usd = price.request
        if price.unsaid:
            return price.unsaid
        for name, count in left.items():
            rate = rates[name]
            if count > 0 and (rate.usd is None or batch):
                return rate.words
            usd += count * (rate.usd or 0.0) / rate.per
        return usd

    return UsagePrice(answer, {unit for unit, usd in usd_by_unit.items() if usd is not None}, price.least_seconds)


def _rates(price: Price) -> dict[str, _Rate]:
    text, out, million = price.input_mtok, price.output_mtok, 1e6
    image = _first_known(price.input_image_mtok, text)
    speech = _first_known(price.output_audio_mtok, out)
    return {
        "input_tokens": _Rate(text, million, "text"),
        "input_image_tokens": _Rate(image, million, "images", "input_tokens"),
        "input_video_tokens": _Rate(image, million, "video", "input_tokens"),
        "input_audio_tokens": _Rate(price.of_audio, million, "sound", "input_tokens"),
        "cache_read_tokens": _Rate(None, million, "cached text", "input_tokens"),
        "cache_image_read_tokens": _Rate(None, million, "cached images"),
        "output_tokens": _Rate(out, million, "output"),
        "output_image_tokens": _Rate(None, million, "images that it makes", "output_tokens"),
        "output_audio_tokens": _Rate(speech, million, "speech that it makes", "output_tokens"),
        "audio_seconds": _Rate(price.second, 1.0, "a second of sound"),
        "input_document_pages": _Rate(price.page, 1.0, "a page"),
        "input_characters": _Rate(price.input_mchar, million, "a character"),
    }


def _first_known(value: float | None, wider: float | None) -> float | None:
    return wider if value is None else value
