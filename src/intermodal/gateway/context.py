"""The context of a handler: client, limits, quotas, and the state that outlives one request.

Handlers and the direct path get this object and not the server, which listens, screens and shuts down.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from intermodal.errors import source_location
from intermodal.gateway.metrics import Gauges, Metrics
from intermodal.gateway.state.conversations import Conversations, ResponseItems, ToolCallSignatures
from intermodal.gateway.state.plan_cache import PlanCache
from intermodal.gateway.state.plan_history import PlanHistory
from intermodal.protocols.errors.responses import error_response

if TYPE_CHECKING:
    from intermodal.gateway.http1.http_types import HttpLimits
    from intermodal.gateway.quotas.quota_manager import QuotaManager
    from intermodal.gateway.requests.prompt_files import PromptFiles
    from intermodal.gateway.server_client import ServerClient

READINESS_SECONDS = 5.0  # seconds for which the result of the readiness checks is reused


class ReadinessCache:
    """Caches the results of the readiness checks, by name, for a few seconds."""

    def __init__(self) -> None:
        self._found: tuple[float, dict[str, bool]] | None = None
        self._looking = asyncio.Lock()

    async def get(self, look: Callable[[], Awaitable[dict[str, bool]]]) -> dict[str, bool]:
        """Return the cached results, or call ``look`` if they are too old."""
        async with self._looking:  # concurrent requests get the same answer
            if self._found is None or time.monotonic() - self._found[0] >= READINESS_SECONDS:
                found = await look()
                self._found = (time.monotonic(), found)
            return self._found[1]


class ServerStatus(Protocol):
    """The server as health checks and metrics see it."""

    stopping: bool

    def counters(self) -> tuple[Metrics, Gauges]:
        """Return the counters and gauges of all workers, whichever one answers."""
        ...


@dataclass(frozen=True)
class GatewayContext:
    """The objects that handlers share.

    Attributes:
        client: plans and runs requests. limits: limits on client input.
        ledger: keys and budgets; None if the gateway serves only this machine, without keys.
        prompts: prompt files. server: its state, for health checks and metrics.
        note: writes a message about an internal error to the log. metrics: counters.
        plan_cache: plans by shape of request. plans: recent plans by id.
        conversations, items, signatures: state that the next turn of a conversation needs.
        readiness: the latest result of the checks of ``/readyz``.
    """

    client: ServerClient
    limits: HttpLimits
    ledger: QuotaManager | None
    prompts: PromptFiles
    server: ServerStatus
    note: Callable[[str], None]
    metrics: Metrics = field(default_factory=Metrics)
    plan_cache: PlanCache = field(default_factory=PlanCache)
    plans: PlanHistory = field(default_factory=PlanHistory)
    conversations: Conversations = field(default_factory=Conversations)
    items: ResponseItems = field(default_factory=ResponseItems)
    signatures: ToolCallSignatures = field(default_factory=ToolCallSignatures)
    readiness: ReadinessCache = field(default_factory=ReadinessCache)

    def note_failure(self, error: BaseException) -> None:
        """Log an internal error by its type and place, without values."""
        if error_response(error).status == 500:
            self.note(f"unexpected {type(error).__name__} {source_location(error) or 'somewhere'}")
