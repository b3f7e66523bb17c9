"""Money of counted parts. First what is used, by the names prices have; then times a price.

``usage`` is one level (low, mid, high) of everything that would be billed, a part's count included in the whole's:
``input_image_tokens`` are among ``input_tokens``. ``priced`` is a price row's answer to it. A count that is not zero
and has no price makes the bill unknown, never nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from intermodal.catalog.nouns import Price
from intermodal.costing.levels import LEVELS, Level, levels
from intermodal.costing.parts import Counted, PieceKind
from intermodal.quantity import Quantity, exact, unknown

DIGITS = 10  # decimals of a dollar: beyond them a float's own error
Usage = Mapping[str, float]
Priced = Callable[[Usage], float | str]  # USD, or what has no price

_COUNTS: dict[PieceKind, tuple[str, ...]] = {  # every count a kind is part of, the narrowest last
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


def usage(parts: tuple[Counted, ...], level: Level, *, cached: int = 0) -> dict[str, float]:
    """What would be billed at one level, ``cached`` tokens read from the provider's cache, of text before pictures."""
    found: dict[str, float] = {}
    for part in parts:
        piece, tokens = part.piece, levels(part.tokens)[level]
        for name in _COUNTS[piece.kind]:
            found[name] = found.get(name, 0.0) + tokens
        if piece.kind == "audio" and part.tokens.high == 0:
            found["audio_seconds"] = found.get("audio_seconds", 0.0) + piece.seconds
        if piece.kind == "document" and part.tokens.high == 0:
            found["input_document_pages"] = found.get("input_document_pages", 0.0) + piece.pages
    if cached:
        of_text = min(float(cached), sum(levels(part.tokens)[level] for part in parts if _is_text(part)))
        of_pictures = min(cached - of_text, found.get("input_image_tokens", 0.0))
        found["cache_read_tokens"], found["cache_image_read_tokens"] = of_text + of_pictures, of_pictures
    return {name: count for name, count in found.items() if count}


def _is_text(part: Counted) -> bool:
    return _COUNTS[part.piece.kind] == ("input_tokens",)


def cacheable(parts: tuple[Counted, ...]) -> float:
    """Tokens that a provider's cache can hold at most: of text, documents and pictures."""
    return sum(part.tokens.high for part in parts if _is_text(part) or part.piece.kind == "image")


def bill(parts: tuple[Counted, ...], priced: Priced, *, cached: int = 0) -> Quantity:
    """USD of a call of these parts; unknown when something in it has no price, or a count is not known itself."""
    for part in parts:
        if not part.tokens.known:
            return unknown(f"tokens of {part.piece.name or part.piece.kind} are not known")
    found: list[float] = []
    for level in LEVELS:
        usd = priced(usage(parts, level, cached=cached))
        if isinstance(usd, str):
            return unknown(f"no price of {usd} is known")
        found.append(round(usd, DIGITS))
    low, mid, high = found
    if low == high:
        return exact(low, "tokens times price")
    return Quantity(low=low, mid=mid, high=high, certainty="estimated", basis="tokens times price")


class _Rate(NamedTuple):
    """USD for ``per`` of a count, what it is in words, and the wider count it is part of."""

    usd: float | None
    per: float
    words: str
    part_of: str = ""


def priced_by(price: Price, *, batch: bool = False) -> Priced:
    """A price row as an answer to a usage. ``batch``: the price of a batch, which no such row states.

    Pictures, films and sound that have no price of their own are billed as text.
    """

    def answer(used: Usage) -> float | str:
        rates = _rates(price.of_request(used.get("input_tokens", 0.0)))
        left = dict(used)
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

    return answer


def _rates(price: Price) -> dict[str, _Rate]:
    text, out, million = price.input_mtok, price.output_mtok, 1e6
    image, audio = _or(price.input_image_mtok, text), _or(price.input_audio_mtok, text)
    speech = _or(price.output_audio_mtok, out)
    return {
        "input_tokens": _Rate(text, million, "text"),
        "input_image_tokens": _Rate(image, million, "pictures", "input_tokens"),
        "input_video_tokens": _Rate(image, million, "video", "input_tokens"),
        "input_audio_tokens": _Rate(audio, million, "sound", "input_tokens"),
        "cache_read_tokens": _Rate(None, million, "cached text", "input_tokens"),
        "cache_image_read_tokens": _Rate(None, million, "cached pictures"),
        "output_tokens": _Rate(out, million, "output"),
        "output_image_tokens": _Rate(None, million, "pictures that it makes", "output_tokens"),
        "output_audio_tokens": _Rate(speech, million, "speech that it makes", "output_tokens"),
        "audio_seconds": _Rate(price.second, 1.0, "a second of sound"),
        "input_document_pages": _Rate(price.page, 1.0, "a page"),
    }


def _or(value: float | None, wider: float | None) -> float | None:
    return wider if value is None else value
