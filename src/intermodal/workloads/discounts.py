"""Prices of a workload: those of its day, of batch mode, and of cached text."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from intermodal.catalog.rate_cards import RateCard, base_rate
from intermodal.catalog.snapshot.interpretation import has_batch_price, rate_card_on, with_price_on
from intermodal.catalog.types import Catalog, Endpoint
from intermodal.cost_model.rates import LOCAL_ZONES
from intermodal.plans.plan import Plan
from intermodal.plans.step import Call

_CACHED = "cache_read_mtok"
_WAITS = "a batch is answered when the host has time, within a day as a rule; seconds are of one request alone"


class Discounts:
    """``tariff``: dated prices of an endpoint, () where its own row has its only one. ``day``: ISO."""

    def __init__(self, tariff: Callable[[Endpoint], tuple[RateCard, ...]], day: str, batch: bool, cached: int) -> None:
        self._tariff = tariff
        self._day = day
        self._batch = batch
        self._tokens = cached
        self._vectors: dict[str, tuple[RateCard, ...]] = {}

    def catalog(self, catalog: Catalog) -> Catalog:
        """Every endpoint at the price it has on the day. A host that states no price of a batch keeps its standard
        price: a request can always be sent there by itself."""
        return replace(catalog, endpoints=tuple(map(self._priced, catalog.endpoints)))

    def _priced(self, endpoint: Endpoint) -> Endpoint:
        vectors = self._vectors[endpoint.id] = self._tariff(endpoint)
        return with_price_on(endpoint, vectors, self._day, batch=self._batch)

    def cached(self, endpoint: Endpoint) -> tuple[int, float | None]:
        """Tokens in the cache of an answering endpoint, and USD for one, None where nobody states that price."""
        vector = rate_card_on(self._vectors.get(endpoint.id, ()), self._day, batch=self._batch)
        rate = vector.units.get(_CACHED) if vector is not None else None
        return self._tokens, None if rate is None else base_rate(rate) / 1e6

    def said(self, catalog: Catalog, plan: Plan) -> Iterator[str]:
        """What of the discounts does not hold for a plan, and what a batch means for its seconds."""
        calls = [step for step in plan.chosen.steps if isinstance(step, Call)]
        hosted = [name for name in dict.fromkeys(step.endpoint for step in calls) if _is_paid(catalog.by_id[name])]
        if self._batch and hosted:
            plain = [name for name in hosted if not has_batch_price(self._vectors.get(name, ()), self._day)]
            if plain:
                yield f"no price of a batch is known of {', '.join(plain)}: the standard price counts"
            if len(plain) < len(hosted):
                yield _WAITS
        answering = plan.chosen.answering.endpoint
        if self._tokens and answering in hosted and self.cached(catalog.by_id[answering])[1] is None:
            yield f"no price of cached text is known of {answering}: it counts as any other"


def _is_paid(endpoint: Endpoint) -> bool:
    return endpoint.host.zone not in LOCAL_ZONES
