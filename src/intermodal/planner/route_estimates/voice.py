"""A voice: a speech synthesis endpoint, and the cost of speaking an answer."""

from __future__ import annotations

from msgspec import Struct

from intermodal.catalog.types import Endpoint
from intermodal.cost_model.call_cost import speech_price, speech_seconds
from intermodal.cost_model.levels import LEVELS, Levels
from intermodal.cost_model.rates import Rates
from intermodal.cost_model.tokens import CHARS_OF_TOKEN


class Voice(Struct, frozen=True):
    """A speech synthesis endpoint with its rates."""

    endpoint: Endpoint
    rates: Rates

    def cost(self, tokens: Levels) -> Levels:
        """Return the USD for speaking an answer of ``tokens``."""
        low, mid, high = (tokens[level] * CHARS_OF_TOKEN for level in LEVELS)
        rates = self.rates
        return speech_price(rates, 0, low), speech_price(rates, 1, mid), speech_price(rates, 2, high)

    def seconds(self, tokens: Levels) -> Levels:
        """Return the seconds for speaking an answer of ``tokens``, without loading."""
        low, mid, high = (tokens[level] * CHARS_OF_TOKEN for level in LEVELS)
        return (
            speech_seconds(self.rates, 0, low),
            speech_seconds(self.rates, 1, mid),
            speech_seconds(self.rates, 2, high),
        )
