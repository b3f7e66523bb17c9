"""An endpoint's price on any day, and in a batch, of the snapshot's dated prices. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from intermodal.catalog import rate_cards
from intermodal.catalog.rate_cards import RateCard
from intermodal.catalog.snapshot import interpretation
from intermodal.catalog.types import Endpoint, Price

_BATCH = {"processing": "batch"}


def has_batch_price(vectors: tuple[RateCard, ...], day: str) -> bool:
    """Whether somebody says what a batch costs on that day."""
    return any(each.when == _BATCH and each.since <= day for each in vectors)


def rate_card_on(vectors: tuple[RateCard, ...], day: str, *, batch: bool = False) -> RateCard | None:
    """The prices of a day, those of a batch among them where they are asked for; None where nobody knows any."""
    return rate_cards.effective_rates(vectors, day, **(_BATCH if batch else {}))


def with_price_on(endpoint: Endpoint, vectors: tuple[RateCard, ...], day: str, *, batch: bool = False) -> Endpoint:
    """The endpoint with the one price it has on ``day``, unknown where nobody knows it; () leaves it as it is."""
    if not vectors:
        return endpoint
    vector = rate_card_on(vectors, day, batch=batch)
    evidence = endpoint.price.evidence
    makes, hears = endpoint.model.output not in interpretation.TOKENLESS_OUTPUTS, "audio" in endpoint.model.input
    price = (
        Price(evidence=evidence) if vector is None else interpretation.price_of(vector, evidence, makes, hears=hears)
    )
    return replace(endpoint, price=price, later=())
