"""Signatures of tool calls, which a host issues and expects back, and which no client API has a field for.

They are stored by call id, for each owner. Calls of clients that send no ids (Ollama's) or their own are recognised by
the digest of the conversation and the position of the call in its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from intermodal.concurrency.offload import is_long, offload
from intermodal.core.content import Part, ToolCall
from intermodal.core.request import Message, Request
from intermodal.events import Finished
from intermodal.gateway.state.conversations import running_digests
from intermodal.gateway.state.response_items import ResponseItems
from intermodal.protocols.gemini.thought_signatures import signature_block, signature_of, signatures_by_call

if TYPE_CHECKING:
    from intermodal.gateway.workers.shared_state import ChunkedSharedTable

MAX_SIGNATURES, MAX_SIGNATURE_BYTES = 4096, 8 << 20  # each call is stored under two names
_ANY = "any"  # stored with the latest signature: without it no lookup is needed


class ToolCallSignatures:
    """The latest signatures, bounded by number and bytes. ``shared``: the table of all workers."""

    def __init__(self, shared: ChunkedSharedTable | None = None) -> None:
        self._kept = ResponseItems("signatures of calls", MAX_SIGNATURES, MAX_SIGNATURE_BYTES, shared=shared)

    def keep(self, conversation: bytes, finished: Finished, owner: str) -> None:
        """Store the signatures of an answer. ``conversation``: the digest including that answer."""
        found = signatures_by_call(finished.parts)
        if not found:
            return
        keep = self._kept.keeper(_of(owner))
        for number, call in enumerate(finished.tool_calls):
            if call.id in found:
                for name in (_by_id(call), _by_place(conversation, number)):
                    keep({"id": name, "tool": call.name, "signature": found[call.id]})
        keep({"id": _ANY})

    async def put_back(self, request: Request, owner: str) -> Request:
        """Return the request with known signatures added; existing signatures are kept."""
        if self._kept.found(_of(owner), _ANY) is None:
            return request
        return await offload(is_long(request.messages), self._put_back, request, owner)

    def _put_back(self, request: Request, owner: str) -> Request:
        """Add signatures. It only reads, so it may run in a thread while others are stored."""
        if not any(map(_calls, request.messages)):
            return request
        messages = tuple(
            replace(message, parts=tuple(self._signed(message, owner, digest))) if _calls(message) else message
            for message, digest in running_digests(request.messages, owner)
        )
        return replace(request, messages=messages)

    def _signed(self, message: Message, owner: str, digest: Callable[[], bytes]) -> Iterator[Part]:
        number, before = 0, ""
        for part in message.parts:
            if isinstance(part, ToolCall):
                if not before and (found := self._found(part, number, owner, digest)):
                    yield signature_block(found)
                number += 1
            before = signature_of(part)
            yield part

    def _found(self, call: ToolCall, number: int, owner: str, digest: Callable[[], bytes]) -> str:
        whose = _of(owner)
        kept = self._kept.found(whose, _by_id(call)) or self._kept.found(whose, _by_place(digest(), number))
        return str(kept["signature"]) if kept is not None and kept["tool"] == call.name else ""


def _calls(message: Message) -> bool:
    return any(isinstance(part, ToolCall) for part in message.parts)


def _of(owner: str) -> str:
    """Return the owner name for signatures: shared memory holds items of answers as well."""
    return f"signatures of {owner}"


def _by_id(call: ToolCall) -> str:
    return f"call {call.id}"


def _by_place(conversation: bytes, number: int) -> str:
    return f"{number} of {conversation.hex()}"
