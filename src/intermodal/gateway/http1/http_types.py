"""The types of a request: its head, the request with its key and state, and the limits on both."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from intermodal.core.content import Value
from intermodal.gateway.quotas.quota_types import ANONYMOUS, VirtualKey
from intermodal.telemetry.request_record import RequestRecord

if TYPE_CHECKING:
    from intermodal.client_apis import ClientApi
    from intermodal.gateway.direct.handover import Handover
    from intermodal.protocols.parsed_chat import ParsedChat

MAX_TEXT = 8 << 20  # bytes of JSON apart from media, unless [serve] max_text says otherwise
POLICY_HEADER = "x-intermodal-"  # prefix of headers that tighten a policy


class HttpLimits(Value):
    """Limits on what a client may use before anything is known about it.

    Attributes:
        head: bytes of request line and headers together. headers: number of headers. target: bytes of path and query.
        body: bytes of one body. text: bytes of it that are not media. media: media parts in one request.
        in_flight: bytes of all bodies held at once. connections: concurrent connections.
        head_seconds, body_seconds: silence while a head or body arrives. idle_seconds: between two requests.
        slowest: bytes per second at which a body must arrive after its first ``body_seconds``, and a response be read.
        write_seconds: how long a reader may read nothing.
    """

    head: int = 32 << 10
    headers: int = 100
    target: int = 8 << 10
    body: int = 64 << 20
    text: int = MAX_TEXT
    media: int = 1000
    in_flight: int = 512 << 20
    connections: int = 2000
    head_seconds: float = 20.0
    body_seconds: float = 30.0
    slowest: float = 1024.0
    idle_seconds: float = 75.0
    write_seconds: float = 60.0

    def for_each_of(self, workers: int) -> HttpLimits:
        """Return the limits of one of several processes, which share the bound on bodies in memory."""
        return replace(self, in_flight=max(self.body, self.in_flight // workers)) if workers > 1 else self


class RequestHead(Struct, eq=False):
    """Request line and headers. ``path`` as received, without the query; header names in lower case.

    ``hosts``: number of ``Host`` headers, which must be one. ``sound``: the head passed every check that depends on
    nothing else, and ``key`` is whose it was.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    hosts: int = 0
    version: str = "1.1"
    sound: bool = False
    key: VirtualKey | None = None
    _policy_headers: tuple[tuple[str, str], ...] | None = None

    @property
    def policy_headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that tighten a policy."""
        if self._policy_headers is None:
            self._policy_headers = tuple(
                [(name, value) for name, value in self.headers.items() if name.startswith(POLICY_HEADER)]
            )
        return self._policy_headers

    def with_length(self, length: str) -> RequestHead:
        """Return this head with another body length."""
        return replace(self, headers={**self.headers, "content-length": length})

    @property
    def length(self) -> int | None:
        """Announced bytes of the body; None for a chunked body."""
        length_text = self.headers.get("content-length", "")
        return int(length_text) if length_text.isascii() and length_text.isdigit() else None


class GatewayRequest(Struct, eq=False, weakref=True):
    """A complete request with its key and everything known about it so far.

    Attributes:
        since: when its head arrived and its key was checked, monotonic. sent: runs that may have been executed.
        counted: it is counted in the key's request rate; ``admitting`` orders that decision if it needs several runs.
        checked: its body is within the limits on values. response_headers: additional response headers.
        served: the record that metrics, log and traces read. chat: its parsed body.
        api: the client API of a chat that may take the direct path.
        after: the attempt that was made for it without a task.
    """

    head: RequestHead
    body: bytes
    key: VirtualKey = ANONYMOUS
    since: float = math.inf
    sent: int = 0
    counted: bool = False
    checked: bool = False
    response_headers: dict[str, str] = field(default_factory=dict)
    served: RequestRecord = field(default_factory=RequestRecord)
    chat: ParsedChat | None = None
    api: ClientApi | None = None
    after: Handover | None = None
    _admitting: asyncio.Lock | None = None

    @property
    def admitting(self) -> asyncio.Lock:
        """The lock that orders the runs of one request."""
        if self._admitting is None:
            self._admitting = asyncio.Lock()
        return self._admitting

    @property
    def owner(self) -> str:
        """The owner of the request's state, which is kept separately for each key."""
        return self.key.id
