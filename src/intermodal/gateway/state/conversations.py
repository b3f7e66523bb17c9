"""Routes of conversations: which endpoint answered last.

Clients send the whole conversation and no id, so a digest of the content identifies it. Digests, endpoints and policies
are stored, never content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec.structs import replace

from intermodal.client.request_builder import next_turn
from intermodal.concurrency.offload import is_long, offload
from intermodal.core.bounded_cache import BoundedCache
from intermodal.core.content import BytesSource, Opaque, Part, Reasoning, Text, ToolCall, ToolResult, UrlSource
from intermodal.core.request import Message, Policy, Request
from intermodal.events import Finished
from intermodal.planner.session_affinity import continues_tool_call
from intermodal.protocols.conversation import (
    BEGINNINGS,
    PART,
    begin_digest,
    exact_identity,
    text_identity,
)

if TYPE_CHECKING:
    from intermodal.gateway.workers.shared_state import SharedTable

MAX_CONVERSATIONS = 4096


class ConversationRoute(NamedTuple):
    """The endpoint that answered, and under which policy. ``instead``: it replaced another endpoint that failed."""

    endpoint: str
    policy: Policy
    instead: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ConversationRoute).decode


class Conversations:
    """The latest few thousand routes by digest and owner. ``shared``: the table of all workers."""

    def __init__(self, shared: SharedTable | None = None) -> None:
        self._places: BoundedCache[bytes, ConversationRoute] = BoundedCache(
            "where conversations were answered", MAX_CONVERSATIONS
        )
        self._shared = shared

    async def placed(self, request: Request, owner: str) -> Request:
        """Return the request as the next turn of the conversation that it continues."""
        name = await offload(is_long(request.messages), _before, request.messages, owner)
        return continue_conversation(request, self.place(name) if name is not None else None)

    def place(self, name: bytes) -> ConversationRoute | None:
        """Return the route of a conversation by its digest."""
        place = self._places.get(name)
        if place is None and self._shared is not None:
            data = self._shared.get(name)
            if data is not None:
                with suppress(msgspec.MsgspecError):  # of a worker of another version
                    place = self._places[name] = _decode(data)
        return place

    def put(self, name: bytes, endpoint: str, policy: Policy, *, instead: bool = False) -> None:
        """Store the route of a conversation."""
        place = self._places[name] = ConversationRoute(endpoint, policy, instead)
        if self._shared is not None:
            self._shared.put(name, _encode(place))


def continue_conversation(request: Request, place: ConversationRoute | None) -> Request:
    """Return the request as the next turn of a conversation with this route.

    It stays with the endpoint that answered. After a replacement it is planned as if the conversation began, so that it
    returns to the planned endpoint; only a tool result always goes to the endpoint that called the tool.
    """
    if place is None:
        return request
    here = "" if place.instead and not continues_tool_call(request) else place.endpoint
    return replace(next_turn(request, place.policy), previous_endpoint=here)


def digest_with_answer(digest: Any, text: str, calls: tuple[ToolCall, ...]) -> bytes:
    """Return the digest of a conversation including its answer. ``digest``: a SHA-256 of everything before."""
    digest.update(BEGINNINGS["assistant"])
    if text:
        digest.update(PART + text_identity(text))
    for part in calls:
        digest.update(PART + part_identity(part))
    result: bytes = digest.digest()
    return result


def conversation_digest(request: Request, text: str, finished: Finished, owner: str) -> bytes:
    """Return the digest of a conversation including its answer."""
    parts: tuple[Part, ...] = ((Text(text=text),) if text else ()) + finished.tool_calls
    return _digest((*request.messages, Message(role="assistant", parts=parts)), owner)


def _before(messages: tuple[Message, ...], owner: str) -> bytes | None:
    """Return the digest of a conversation up to its last answer; None if it has none."""
    last = max((n for n, message in enumerate(messages) if message.role == "assistant"), default=-1)
    return _digest(messages[: last + 1], owner) if last >= 0 else None


def _digest(messages: tuple[Message, ...], owner: str) -> bytes:
    digest = begin_digest(owner)
    for message in messages:
        _add(digest, message)
    result: bytes = digest.digest()
    return result


def running_digests(messages: tuple[Message, ...], owner: str) -> Iterator[tuple[Message, Callable[[], bytes]]]:
    """Yield each message with a function that returns the digest up to it, valid until the next item."""
    digest = begin_digest(owner)
    for message in messages:
        _add(digest, message)
        yield message, digest.digest


def _add(digest: Any, message: Message) -> None:
    digest.update(BEGINNINGS[message.role])
    for part in message.parts:
        if not isinstance(part, (Reasoning, Opaque)):
            digest.update(PART + part_identity(part))


def part_identity(part: Part) -> bytes:
    """Return the bytes that identify a part's content."""
    if isinstance(part, Text):
        return text_identity(part.text)
    if isinstance(part, ToolCall):
        return exact_identity(part.name)
    if isinstance(part, ToolResult):
        return exact_identity(part.text)
    source = getattr(part, "source", None)
    if isinstance(source, BytesSource):
        return hashlib.sha256(source.data).digest()
    return exact_identity(source.url) if isinstance(source, UrlSource) else b""
