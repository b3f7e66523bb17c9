"""Money of counted parts at one price. A count without a price is unknown, never nothing."""

from __future__ import annotations

import math
from typing import NamedTuple

from intermodal.catalog.nouns import Price
from intermodal.costing.levels import ZEROS, Levels, levels, plus
from intermodal.costing.parts import Counted, PieceKind
from intermodal.quantity import Quantity, exact, unknown

DIGITS = 10  # decimals of a dollar: beyond them a float's own error


class Asked(NamedTuple):
    """USD per unit of everything that is counted; None where nobody says."""

    text: float | None
    image: float | None
    audio: float | None
    out: float | None
    speech: float | None
    drawn: float | None
    cached: float | None
    second: float | None
    page: float | None
    request: float


def asked(price: Price, *, batch: bool = False) -> Asked:
    """A price row per unit. ``batch``: the rates of a batch, which no row here states."""

    def per(value: float | None, unit: float = 1e6) -> float | None:
        return None if value is None or batch else value / unit

    text, out = per(price.input_mtok), per(price.output_mtok)
    image = per(price.input_image_mtok)
    audio = per(price.input_audio_mtok)
    speech = per(price.output_audio_mtok)
    return Asked(
        text=text, image=text if image is None else image, audio=text if audio is None else audio, out=out,
        speech=out if speech is None else speech, drawn=None, cached=None, second=per(price.second, 1.0),
        page=per(price.page, 1.0), request=price.request,
    )  # fmt: skip


_RATE: dict[PieceKind, str] = {
    "text": "text", "framing": "text", "document": "text", "image": "image", "video": "image", "audio": "audio",
    "output": "out", "speech": "speech", "drawn": "drawn",
}  # fmt: skip


def bill(parts: tuple[Counted, ...], rates: Asked, *, cached: int = 0) -> Quantity:
    """USD of a call of these parts, ``cached`` tokens of its text read from the provider's cache.

    Unknown when a count that is not zero has no price, or a count is not known itself.
    """
    sums: dict[str, Levels] = {}
    for part in parts:
        if not part.tokens.known:
            return unknown(f"tokens of {part.piece.name or part.piece.kind} are not known")
        name = _RATE[part.piece.kind]
        sums[name] = plus(sums.get(name, ZEROS), levels(part.tokens))
    text = sums.get("text", ZEROS)
    read = (min(float(cached), text[0]), min(float(cached), text[1]), min(float(cached), text[2]))
    if cached:
        sums["text"] = (text[0] - read[0], text[1] - read[1], text[2] - read[2])
        sums["cached"] = read
    sums["second"] = _by_time(parts)
    sums["page"] = _by_page(parts)
    low = mid = high = rates.request
    for name, (least, typical, most) in sums.items():
        if most == 0:
            continue
        rate: float | None = getattr(rates, name)
        if rate is None or math.isinf(rate):
            return unknown(f"no price of {_WORDS[name]} is known")
        low, mid, high = low + least * rate, mid + typical * rate, high + most * rate
    low, mid, high = round(low, DIGITS), round(mid, DIGITS), round(high, DIGITS)
    if low == high:
        return exact(low, "tokens times price")
    return Quantity(low=low, mid=mid, high=high, certainty="estimated", basis="tokens times price")


_WORDS = {
    "text": "text", "image": "pictures", "audio": "sound", "out": "output", "speech": "speech that it makes",
    "drawn": "pictures that it makes", "cached": "cached text", "second": "a second of sound", "page": "a page",
}  # fmt: skip


def _by_time(parts: tuple[Counted, ...]) -> Levels:
    """Seconds of sound that have no tokens of their own."""
    found = sum(part.piece.seconds for part in parts if part.piece.kind == "audio" and part.tokens.high == 0)
    return (found, found, found)


def _by_page(parts: tuple[Counted, ...]) -> Levels:
    found = float(sum(part.piece.pages for part in parts if part.piece.kind == "document" and part.tokens.high == 0))
    return (found, found, found)
