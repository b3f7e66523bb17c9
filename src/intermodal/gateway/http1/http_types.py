"""What the HTTP side and the doors hand each other: a request's head, a request, and the limits on both."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from intermodal.content import Value
from intermodal.gateway.quotas.quota_types import ANONYMOUS, VirtualKey
from intermodal.gateway.requests.body_limits import MAX_TEXT
from intermodal.telemetry.request_record import RequestRecord

if TYPE_CHECKING:
    from intermodal.gateway.direct.direct_attempt import Handover
    from intermodal.gateway.direct.openai_chat_parser import ParsedChat

POLICY_HEADER = "x-intermodal-"  # of headers that tighten a policy


class HttpLimits(Value):
    """What a client may cost before anything is known of it.

    Attributes:
        head: bytes of request line and headers together. headers: how many. target: bytes of the path with its query.
        body: bytes of one body. text: of those, bytes that are no media. media: parts of media in one request.
        in_flight: bytes of all bodies held at once. connections: how many at once.
        head_seconds, body_seconds: silence while a head or body is coming. idle_seconds: between two requests.
        slowest: bytes a second that a body must come with after its first ``body_seconds``, and be read with.
        write_seconds: how long a reader may take nothing.
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
        """The same where several processes share a machine: what bodies hold is one bound for all of them."""
        return replace(self, in_flight=max(self.body, self.in_flight // workers)) if workers > 1 else self


class RequestHead(Struct, eq=False):
    """Request line and headers. ``path`` as it came, without the query; names of ``headers`` in lower case.

    ``hosts``: how many ``Host`` headers there were, which must be one. ``sound``: what can be said by the head alone,
    whoever asks and whenever, was looked at, and ``key`` is whose it was.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    hosts: int = 0
    version: str = "1.1"
    sound: bool = False
    key: VirtualKey | None = None
    _wished: tuple[tuple[str, str], ...] | None = None

    @property
    def wished(self) -> tuple[tuple[str, str], ...]:
        """Headers that tighten a policy."""
        if self._wished is None:
            self._wished = tuple(
                [(name, value) for name, value in self.headers.items() if name.startswith(POLICY_HEADER)]
            )
        return self._wished

    def again(self, length: str) -> RequestHead:
        """The same, of another body."""
        return replace(self, headers={**self.headers, "content-length": length})

    @property
    def length(self) -> int | None:
        """Bytes of the body that are announced, None where they are not (chunked)."""
        said = self.headers.get("content-length", "")
        return int(said) if said.isascii() and said.isdigit() else None


class GatewayRequest(Struct, eq=False, weakref=True):
    """A whole request, and whose.

    ``since``: when its head was there and it was looked whose it is, on the loop's clock.
    ``sent``: runs that may have been carried out for it. ``counted``: it counts in the key's rate already, which is
    decided in turn (``admitting``) where it is several runs. ``checked``: its body holds no more values than it may.
    ``told``: headers of its answer besides. ``served`` collects what is told of it afterwards. ``chat``: what was read
    of its body.
    ``after``: what was tried for it without a task.
    """

    head: RequestHead
    body: bytes
    key: VirtualKey = ANONYMOUS
    since: float = math.inf
    sent: int = 0
    counted: bool = False
    checked: bool = False
    told: dict[str, str] = field(default_factory=dict)
    served: RequestRecord = field(default_factory=RequestRecord)
    chat: ParsedChat | None = None
    after: Handover | None = None
    _admitting: asyncio.Lock | None = None

    @property
    def admitting(self) -> asyncio.Lock:
        """Of its runs, where it is several."""
        if self._admitting is None:
            self._admitting = asyncio.Lock()
        return self._admitting

    @property
    def owner(self) -> str:
        """By whom it was asked, for what is kept apart for each."""
        return self.key.id
