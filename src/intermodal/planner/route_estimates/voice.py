"""A voice: an endpoint that speaks, and what it takes to speak an answer."""

from __future__ import annotations

from msgspec import Struct

from intermodal.catalog.types import Endpoint
from intermodal.costing.levels import LEVELS, Levels
from intermodal.costing.price import speaking_price
from intermodal.costing.rates import Rates
from intermodal.costing.speed import speak_seconds
from intermodal.costing.tokens import CHARS_OF_TOKEN


class Voice(Struct, frozen=True):
    """An endpoint that speaks, with its rates."""

    endpoint: Endpoint
    rates: Rates

    def cost(self, tokens: Levels) -> Levels:
        """USD for speaking an answer of so many tokens."""
        low, mid, high = (tokens[level] * CHARS_OF_TOKEN for level in LEVELS)
        rates = self.rates
        return speaking_price(rates, 0, low), speaking_price(rates, 1, mid), speaking_price(rates, 2, high)

    def seconds(self, tokens: Levels) -> Levels:
        """Seconds for it, without loading."""
        low, mid, high = (tokens[level] * CHARS_OF_TOKEN for level in LEVELS)
        return speak_seconds(self.rates, 0, low), speak_seconds(self.rates, 1, mid), speak_seconds(self.rates, 2, high)
