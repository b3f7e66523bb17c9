"""Every runtime of this machine that a run may need: embedded ones of this client, and servers that all share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from intermodal.runtimes.nouns import Served
from intermodal.runtimes.runtimes import Runtimes
from intermodal.servers.here import name_of

if TYPE_CHECKING:
    from intermodal.catalog.types import Endpoint
    from intermodal.weights.store import WeightsStore


class LocalRuntimes(Runtimes):
    """The embedded runtimes, which end with their client, and started servers, which outlive it."""

    def __init__(self, weights: WeightsStore, env: Mapping[str, str]) -> None:
        super().__init__(weights)
        self._env = env

    async def serving(self, endpoint: Endpoint) -> Served:
        """Where the endpoint's server listens, started where it does not run. Raises as ``servers.up.serving``."""
        from intermodal.servers.up import serving

        cut = endpoint.context or 0 if endpoint.uncut is not None else 0
        return await serving(name_of(endpoint.host.id), self._env, context=cut)
