"""What later turns of a conversation refer to: the last endpoint, items by id, signatures of tool calls."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec.structs import replace

from intermodal.client.request_builder import next_turn
from intermodal.concurrency.offload import is_long, offload
from intermodal.core.bounded_cache import BoundedCache
from intermodal.core.content import BytesSource, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult, UrlSource
from intermodal.core.request import Message, Policy, Request
from intermodal.events import Finished
from intermodal.gateway.workers.shared_state import ChunkedSharedTable, row_key
from intermodal.planner.session_affinity import continues_tool_call
from intermodal.protocols.conversation import BEGINNINGS, PART, begin_digest, exact_identity, text_identity
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.protocols.framing.json_body import dumps, loads
from intermodal.protocols.gemini.thought_signatures import signature_block, signature_of, signatures_by_call

if TYPE_CHECKING:
    from intermodal.gateway.workers.shared_state import SharedTable


# ---- response items ---------------------------------------------------------------------------------
#
# Items of answers that clients of OpenAI's Responses API refer to by id instead of sending them again.
#
# OpenAI stores answers unless ``store: false`` is sent, and clients rely on it: Vercel's AI SDK sends only the id of
# an item from an earlier turn. So items are stored here too, in memory and for their owner, until later items evict
# them or the server stops. Whole conversations are not stored.

MAX_ITEMS, MAX_ITEM_BYTES = 2048, 16 << 20  # items, and bytes of JSON of all of them
MAX_REFERENCED_BYTES = (
    16 << 20
)  # bytes of JSON that one request names: a name takes forty, and each reads the whole item


class ResponseItems:
    """The latest items, bounded by number and bytes of JSON. ``shared``: the table of all workers."""

    def __init__(
        self,
        name: str = "items of answers",
        most: int = MAX_ITEMS,
        room: int = MAX_ITEM_BYTES,
        *,
        shared: ChunkedSharedTable | None = None,
    ) -> None:
        self._shared = shared
        self._kept: BoundedCache[tuple[str, str], bytes] = BoundedCache(
            name, most, room=room, size=lambda _, item: len(item)
        )

    def keeper(self, owner: str) -> Callable[[Mapping[str, Any]], None]:
        """Return a function that keeps items for this owner."""

        def keep(item: Mapping[str, Any]) -> None:
            data = self._kept[owner, item["id"]] = dumps(item)
            if self._shared is not None:
                self._shared.store(row_key(owner, item["id"]), data)

        return keep

    def look_up(self, owner: str, name: str) -> Any:
        """Return an item by its id; None if there is none or it belongs to another owner."""
        item = self._json(owner, name)
        return None if item is None else loads(item)

    def _json(self, owner: str, name: str) -> bytes | None:
        item = self._kept.get((owner, name))
        return self._shared.get(row_key(owner, name)) if item is None and self._shared is not None else item

    def finder(self, owner: str) -> Callable[[str], Any]:
        """Return a function that finds items by id. It raises RequestRefused (404) if there is none."""

        left = MAX_REFERENCED_BYTES

        def find(name: str) -> Any:
            nonlocal left
            item = self._json(owner, name)
            left -= len(item or b"")
            if left < 0:
                what = f"the items that are named hold more than {MAX_REFERENCED_BYTES >> 20} MiB together"
                raise RequestRefused(what, status=413, todo="name fewer")
            if item is None:
                raise RequestRefused(
                    f"there is no item {name[:100]!r}; items are kept in memory for a while, and not if store is false",
                    status=404, todo="send the item itself", code="item_not_found",
                )  # fmt: skip
            return loads(item)

        return find


# ---- conversations ----------------------------------------------------------------------------------
#
# Clients send the whole conversation and no id, so a digest of the content identifies it. Digests, endpoints and
# policies are stored, never content.

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

    async def continue_conversation(self, request: Request, owner: str) -> Request:
        """Return the request as the next turn of the conversation that it continues."""
        name = await offload(is_long(request.messages), _digest_before_answer, request.messages, owner)
        return continue_conversation(request, self.route_of(name) if name is not None else None)

    def route_of(self, name: bytes) -> ConversationRoute | None:
        """Return the route of a conversation by its digest."""
        place = self._places.get(name)
        if place is None and self._shared is not None:
            data = self._shared.get(name)
            if data is not None:
                with suppress(msgspec.MsgspecError):  # of a worker of another version
                    place = self._places[name] = _decode(data)
        return place

    def store_route(self, name: bytes, endpoint: str, policy: Policy, *, instead: bool = False) -> None:
        """Store the route of a conversation."""
        place = self._places[name] = ConversationRoute(endpoint, policy, instead)
        if self._shared is not None:
            self._shared.store(name, _encode(place))


def continue_conversation(request: Request, place: ConversationRoute | None) -> Request:
    """Return the request as the next turn of a conversation with this route.

    It stays with the endpoint that answered. After a replacement it is planned as if the conversation began, so that it
    returns to the planned endpoint; only a tool result always goes to the endpoint that called the tool.
    """
    if place is None:
        return request
    same_endpoint = "" if place.instead and not continues_tool_call(request) else place.endpoint
    return replace(next_turn(request, place.policy), previous_endpoint=same_endpoint)


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


def _digest_before_answer(messages: tuple[Message, ...], owner: str) -> bytes | None:
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
        if not isinstance(part, (Reasoning, Refusal, Opaque)):
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


# ---- tool call signatures ---------------------------------------------------------------------------
#
# Signatures of tool calls, which a host issues and expects back, and which no client API has a field for.
#
# They are stored by call id, for each owner. Calls of clients that send no ids (Ollama's) or their own are recognised
# by the digest of the conversation and the position of the call in its turn.

MAX_SIGNATURES, MAX_SIGNATURE_BYTES = 4096, 8 << 20  # each call is stored under two names
_ANY = "any"  # stored with the latest signature: without it no lookup is needed


class ToolCallSignatures:
    """The latest signatures, bounded by number and bytes. ``shared``: the table of all workers."""

    def __init__(self, shared: ChunkedSharedTable | None = None) -> None:
        self._kept = ResponseItems("signatures of calls", MAX_SIGNATURES, MAX_SIGNATURE_BYTES, shared=shared)

    def store_signatures(self, conversation: bytes, finished: Finished, owner: str) -> None:
        """Store the signatures of an answer. ``conversation``: the digest including that answer."""
        found = signatures_by_call(finished.parts)
        if not found:
            return
        keep = self._kept.keeper(_signature_owner(owner))
        for number, call in enumerate(finished.tool_calls):
            if call.id in found:
                for name in (_by_id(call), _by_place(conversation, number)):
                    keep({"id": name, "tool": call.name, "signature": found[call.id]})
        keep({"id": _ANY})

    async def restore_signatures(self, request: Request, owner: str) -> Request:
        """Return the request with known signatures added; existing signatures are kept."""
        if self._kept.look_up(_signature_owner(owner), _ANY) is None:
            return request
        return await offload(is_long(request.messages), self._restore_signatures, request, owner)

    def _restore_signatures(self, request: Request, owner: str) -> Request:
        """Add signatures. It only reads, so it may run in a thread while others are stored."""
        if not any(map(_calls, request.messages)):
            return request
        messages = tuple(
            replace(message, parts=tuple(self._with_signatures(message, owner, digest))) if _calls(message) else message
            for message, digest in running_digests(request.messages, owner)
        )
        return replace(request, messages=messages)

    def _with_signatures(self, message: Message, owner: str, digest: Callable[[], bytes]) -> Iterator[Part]:
        number, before = 0, ""
        for part in message.parts:
            if isinstance(part, ToolCall):
                if not before and (found := self._signature_of_call(part, number, owner, digest)):
                    yield signature_block(found)
                number += 1
            before = signature_of(part)
            yield part

    def _signature_of_call(self, call: ToolCall, number: int, owner: str, digest: Callable[[], bytes]) -> str:
        whose = _signature_owner(owner)
        signature = self._kept.look_up(whose, _by_id(call)) or self._kept.look_up(whose, _by_place(digest(), number))
        return str(signature["signature"]) if signature is not None and signature["tool"] == call.name else ""


def _calls(message: Message) -> bool:
    return any(isinstance(part, ToolCall) for part in message.parts)


def _signature_owner(owner: str) -> str:
    """Return the owner name for signatures: shared memory holds items of answers as well."""
    return f"signatures of {owner}"


def _by_id(call: ToolCall) -> str:
    return f"call {call.id}"


def _by_place(conversation: bytes, number: int) -> str:
    return f"{number} of {conversation.hex()}"
