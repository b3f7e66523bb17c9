"""What a finished call cost: usage times the price it was planned with. Pure."""

from __future__ import annotations

import msgspec

from intermodal.catalog.nouns import Endpoint, Price
from intermodal.store.rows import Work
from intermodal.wire.call import Usage


def bill(endpoint: Endpoint, usage: Usage, work: Work) -> float | None:
    """USD, None when a price or a count that it needs is not known.

    What runs on this machine and has no price is free.

    A price per second, page or character settles alone where there is one for this kind of work; otherwise
    tokens do. Where the usage tells modalities apart each has its price; where it does not, the
    highest price among those sent is taken, so that no budget is overdrawn unseen. Provider discounts
    for cached tokens are not counted: the bill is an upper bound then.
    """
    price = endpoint.price
    if endpoint.host.zone in ("process", "machine") and price.input_mtok is None and price.output_mtok is None:
        price = msgspec.structs.replace(price, input_mtok=0.0, output_mtok=0.0)
    if work.audio_seconds and price.second is not None:
        return price.request + (usage.seconds or work.audio_seconds) * price.second
    if (work.pages or work.megapixels) and price.page is not None:
        return price.request + max(1, work.pages) * price.page
    if work.characters and price.input_mchar is not None:
        return price.request + work.characters * price.input_mchar / 1e6
    into = _input(price, usage, work)
    out = _output(price, usage)
    return None if into is None or out is None else price.request + into + out


def _input(price: Price, usage: Usage, work: Work) -> float | None:
    audio = price.input_mtok if price.input_audio_mtok is None else price.input_audio_mtok
    image = price.input_mtok if price.input_image_mtok is None else price.input_image_mtok
    told = dict(usage.input_by_modality)
    if usage.input_tokens is not None and sum(told.values()) == usage.input_tokens and told:
        rates = {"audio": audio, "image": image}
        amounts = [_amount(tokens, rates.get(name, price.input_mtok)) for name, tokens in told.items()]
        return None if None in amounts else sum(amount for amount in amounts if amount is not None)
    rates_sent = [price.input_mtok, *([audio] if work.audio_seconds else []), *([image] if work.megapixels else [])]
    known = [rate for rate in rates_sent if rate is not None]
    return _amount(usage.input_tokens, max(known) if known else None)


def _output(price: Price, usage: Usage) -> float | None:
    """Words and speech that a model made, each at its price."""
    spoken = min(usage.audio_tokens or 0, usage.output_tokens or 0)
    if not spoken or price.output_audio_mtok is None:
        return _amount(usage.output_tokens, price.output_mtok)
    words = _amount((usage.output_tokens or 0) - spoken, price.output_mtok)
    return None if words is None else words + spoken * price.output_audio_mtok / 1e6


def _amount(tokens: int | None, per_million: float | None) -> float | None:
    """USD; nothing times anything is nothing, even times the unknown."""
    if per_million == 0 or tokens == 0:
        return 0.0
    return None if tokens is None or per_million is None else tokens * per_million / 1e6
