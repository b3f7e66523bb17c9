"""The local runtimes that a run may need: embedded ones of this client, and started servers shared by all processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from intermodal.local.embedded.results import ChatServer
from intermodal.local.embedded.runtimes import EmbeddedRuntimes
from intermodal.local.servers.server_rows import server_name

if TYPE_CHECKING:
    from intermodal.catalog.types import Endpoint
    from intermodal.local.weights.store import WeightsStore


class ClientRuntimes(EmbeddedRuntimes):
    """The embedded runtimes, which end with their client, and started servers, which outlive it."""

    def __init__(self, weights: WeightsStore, env: Mapping[str, str]) -> None:
        super().__init__(weights)
        self._env = env

    async def serving(self, endpoint: Endpoint) -> ChatServer:
        """Return the address of the endpoint's server, starting it if needed.

        Raises as ``lifecycle.ensure_serving``.
        """
        from intermodal.local.servers.lifecycle import ensure_serving

        cut = endpoint.context or 0 if endpoint.uncut is not None else 0
        return await ensure_serving(server_name(endpoint.host.id), self._env, context=cut)
