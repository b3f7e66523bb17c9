"""A stream of OpenAI's responses; see ``exchange.py``."""

from __future__ import annotations

from intermodal.gateway.dialects import RESPONSES, Encoder
from intermodal.gateway.lane.anew import LiveAnew


class LiveResponse(LiveAnew):
    """An answer that is streamed in OpenAI's typed events, of which clients miss every one that is not there."""

    def _fresh(self) -> Encoder:
        return RESPONSES.encoder(self._model, keep=self.items.append)
