"""OpenAI's responses API, as a host answers: one set of types, read by a run and by a direct call.

A reply is a stream of typed server-sent events, or one JSON document. ``OpenAIResponsesDecoder`` makes events of them;
``read_reply`` and the types tell what a passthrough needs to know of the bytes that it forwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from intermodal.protocols.calls import (
    Error,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    ToolCallDelta,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.errors import classification
from intermodal.protocols.framing.host_json import NOT_DECODED, HostDecoder, HostObject, HostReply
from intermodal.protocols.framing.json_body import (
    TokenCount,
    as_mapping,
    as_text,
    dumps,
    has_valid_counts,
)
from intermodal.protocols.openai_chat.reply import FINISH_REASONS, read_counts, with_reasoning
from intermodal.protocols.openai_responses.server import OWN, write_usage
from intermodal.protocols.reply_chunk import ReplyChunk
from intermodal.protocols.reply_decoder import (
    NO_ANSWER,
    UNEXPLAINED,
    ReplyDecoder,
    arguments_as_json,
    content_text,
    map_reason,
    read_logprobs,
    tool_call_id,
)

# Characters of a unique id. Clients refer to the response by it later, so a short id, which may repeat, is replaced.
OWN_ID = 20
ENDED = frozenset({"", "completed", "incomplete", "failed"})  # final states of a response; some servers omit the state
_NULL = b"null"
_COUNTS = tuple(
    b'"%b"' % name
    for name in (
        b"input_tokens", b"input_tokens_details", b"cached_tokens", b"cache_write_tokens", b"output_tokens",
        b"output_tokens_details", b"reasoning_tokens", b"total_tokens",
    )
)  # fmt: skip
_NEEDED = ("input_tokens", "output_tokens", "total_tokens")
_Detail = TokenCount | msgspec.UnsetType | None


# ---- the types of a reply ----------------------------------------------------------------------


class _InputDetails(msgspec.Struct, forbid_unknown_fields=True):
    cached_tokens: _Detail = msgspec.UNSET
    cache_write_tokens: _Detail = msgspec.UNSET


class _OutputDetails(msgspec.Struct, forbid_unknown_fields=True):
    reasoning_tokens: _Detail = msgspec.UNSET


class _Counts(msgspec.Struct, forbid_unknown_fields=True):
    """Usage as OpenAI and most others write it."""

    input_tokens: TokenCount
    output_tokens: TokenCount
    total_tokens: TokenCount
    input_tokens_details: _InputDetails
    output_tokens_details: _OutputDetails


class OutputPart(HostObject):
    """A part of a message, or of reasoning."""

    CONTENT = frozenset({"text"})

    type: str | None = None
    text: str | None = None
    annotations: list[msgspec.Raw] | None = None
    logprobs: list[Any] | None = None
    refusal: str | None = None

    @property
    def is_plain(self) -> bool:
        """True if it is written in the usual form."""
        if self.type == "output_text":
            return self.text is not None and self.annotations is not None and self.logprobs is not None
        return self.type == "refusal" and self.refusal is not None


class OutputItem(HostObject):
    CONTENT = frozenset({"content"})

    type: str | None = None
    id: str | None = None
    status: str | None = None
    role: str | None = None
    content: list[OutputPart] | None = None
    summary: list[OutputPart] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None  # JSON in a string; some servers send an object

    @property
    def thoughts(self) -> list[OutputPart]:
        """The parts of the reasoning, summarised or in full."""
        return [*(self.summary or ()), *(self.content or ())]

    @property
    def call(self) -> str:
        """The id of the tool call, "" if it has none."""
        return self.call_id or self.id or ""

    @property
    def is_resendable(self) -> bool:
        """True if it can be sent back: encrypted reasoning, as nothing is stored at the host."""
        return self.type == "reasoning" and bool(self.encrypted_content)

    @property
    def is_plain(self) -> bool:
        """True if it is written in the usual form."""
        if len(self.id or "") < OWN_ID:
            return False
        if self.type == "reasoning":
            return True
        if self.type == "message":
            return self.role == "assistant" and bool(self.status) and all(part.is_plain for part in self.content or ())
        called = self.type == "function_call" and bool(self.call_id and self.name and self.status)
        return called and isinstance(self.arguments, str)


class IncompleteDetails(HostObject):
    reason: str | None = None


class ResponseObject(HostReply):
    """The parts of a response that are read."""

    CONTENT = frozenset({"output"})

    id: str | None = None
    created_at: float | None = None
    status: str | None = None
    incomplete_details: IncompleteDetails | None = None
    output: list[OutputItem] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    model: msgspec.Raw = msgspec.Raw()
    service_tier: str | None = None

    @property
    def has_failed(self) -> bool:
        """True if the host failed to answer."""
        return self.status == "failed" or self.is_error

    @property
    def has_ended(self) -> bool:
        """True if the response has ended and states why, unless it is only incomplete."""
        status = self.status or ""
        return status in ENDED and (status != "incomplete" or bool(self._reason))

    @property
    def is_plain(self) -> bool:
        """True if it has every field from which clients assemble an answer."""
        has_head = bool(self.id) and self.created_at is not None and self.status is not None
        return has_head and self.output is not None and all(item.is_plain for item in self.output)

    @property
    def refuses(self) -> bool:
        """True if the model refused to answer, in whatever words."""
        return any(part.type == "refusal" for item in self.output or () for part in item.content or ())

    def read_usage(self) -> tuple[WireUsage | None, bytes]:
        """Return the usage, and the usage object for clients. Raises MsgspecError if it is not an object."""
        raw = bytes(self.usage)
        if not raw or raw == _NULL:
            return None, b""
        tier = self.service_tier or ""
        try:
            usage, plain = _usage_of(_counts.decode(raw), tier)
        except msgspec.ValidationError:
            tree = _any.decode(raw)
            usage = read_counts(tree, tier)
            plain = all(name in raw for name in _COUNTS) and has_valid_counts(tree, _NEEDED)
        sound = usage.without_excess()
        return sound, raw if plain and sound is usage else dumps(write_usage(sound))

    def finish_reason(self, *, called: bool) -> str:
        """Return why it ended, as an OpenTelemetry GenAI finish reason."""
        if self._reason:
            return map_reason(FINISH_REASONS, self._reason)
        return "tool_call" if called else "stop"

    @property
    def _reason(self) -> str:
        return (self.incomplete_details and self.incomplete_details.reason) or ""


class ResponseEvent(HostReply):
    """An event of a stream."""

    sequence_number: int | None = None
    output_index: TokenCount | None = None
    content_index: TokenCount | None = None
    item_id: str | None = None
    delta: Any = None
    logprobs: Any = msgspec.UNSET
    item: msgspec.Raw = msgspec.Raw()
    response: msgspec.Raw = msgspec.Raw()


_responses, _events, _items = HostDecoder(ResponseObject), HostDecoder(ResponseEvent), HostDecoder(OutputItem)
response_of, event_of, item_of = _responses.decode, _events.decode, _items.decode  # of the usual form
_any = msgspec.json.Decoder(dict[str, Any])
_counts = msgspec.json.Decoder(_Counts)


def _usage_of(counts: _Counts, tier: str) -> tuple[WireUsage, bool]:
    """Return the usage as ``read_counts`` does, and whether it has every count that clients rely on."""
    input_details, output_details = counts.input_tokens_details, counts.output_tokens_details
    cache_read, cache_written, reasoning_tokens = (
        input_details.cached_tokens,
        input_details.cache_write_tokens,
        output_details.reasoning_tokens,
    )
    plain = (
        cache_read is not msgspec.UNSET and cache_written is not msgspec.UNSET and reasoning_tokens is not msgspec.UNSET
    )
    reasoning_tokens = None if reasoning_tokens is msgspec.UNSET else reasoning_tokens
    usage = WireUsage(
        input_tokens=counts.input_tokens,
        output_tokens=with_reasoning(counts.input_tokens, counts.output_tokens, reasoning_tokens, counts.total_tokens),
        cached_tokens=None if cache_read is msgspec.UNSET else cache_read,
        cache_write_tokens=None if cache_written is msgspec.UNSET else cache_written,
        reasoning_tokens=reasoning_tokens, tier=tier.lower(),
    )  # fmt: skip
    return usage, plain


# ---- a reply as events -------------------------------------------------------------------------

_TEXT: Mapping[str, Callable[..., ReasoningDelta | RefusalDelta]] = {
    "response.reasoning_summary_text.delta": partial(ReasoningDelta, summary=True),
    "response.reasoning_text.delta": ReasoningDelta,
    "response.refusal.delta": RefusalDelta,
}


class OpenAIResponsesDecoder(ReplyDecoder):
    """Decodes a response.

    It properly ends with ``response.completed`` or ``response.incomplete``, which contain the usage. ``calls``: index
    of an item -> index of its tool call.
    """

    replies, documents = _events, _responses

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(endpoint, headers=headers)
        self.calls: dict[int, int] = {}

    def _read_event(self, event: ResponseEvent, name: str) -> None:
        kind, place = event.type or name, event.output_index or 0
        if kind == "response.output_text.delta":
            self._out.append(WireTextDelta(text=content_text(event.delta)))
            if event.logprobs:
                self._out += read_logprobs(event.logprobs)
        elif kind in _TEXT:
            self._refused = self._refused or kind == "response.refusal.delta"
            self._out.append(_TEXT[kind](text=as_text(event.delta)))
        elif kind == "response.output_item.added":
            item = self._item_of(event)
            if item.type == "function_call":
                self._read_call(place, item)
        elif kind == "response.function_call_arguments.delta" and place in self.calls:
            self._out.append(ToolCallDelta(index=self.calls[place], arguments=as_text(event.delta)))
        elif kind == "response.output_item.done":
            if self._item_of(event).is_resendable:
                self._out.append(OpaqueBlock(wire=OWN, body=dumps(self._tree["item"]).decode()))
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            found = _responses.read(bytes(event.response) or b"{}")
            self._read_end(found[0].reply if found else ResponseObject(), is_document=False)

    def _item_of(self, event: ResponseEvent) -> OutputItem:
        found = _items.read(bytes(event.item) or b"{}")
        return found[0].reply if found else OutputItem()

    def _read_reply(self, reply: ResponseObject) -> None:
        if reply.output is None and reply.status != "failed":
            self._raise_invalid(NO_ANSWER)
            return
        for place, item in enumerate(reply.output or ()):
            if item.type == "message":
                self._read_message(item)
            elif item.type == "function_call":
                self._read_call(place, item)
            elif item.type == "reasoning":
                for part in item.summary or ():
                    self._out.append(ReasoningDelta(text=part.text or "", summary=True))
                for part in item.content or ():
                    self._out.append(ReasoningDelta(text=part.text or ""))
                if item.is_resendable:
                    self._out.append(OpaqueBlock(wire=OWN, body=dumps(self._tree_in("output", place)).decode()))
        self._read_end(reply, is_document=True)

    def _read_message(self, item: OutputItem) -> None:
        for part in item.content or ():
            if part.type == "output_text":
                self._out.append(WireTextDelta(text=part.text or ""))
                if part.logprobs:
                    self._out += read_logprobs(part.logprobs)
            elif part.type == "refusal":
                self._refused = True
                self._out.append(RefusalDelta(text=part.refusal or ""))

    def _read_call(self, place: int, item: OutputItem) -> None:
        index = self.calls.setdefault(place, len(self.calls))
        self._out.append(
            ToolCallDelta(
                index=index,
                id=tool_call_id(item.call),
                name=item.name or "",
                arguments=arguments_as_json(item.arguments),
            )
        )

    def _read_counts(self, reply: ResponseObject | ResponseEvent) -> None:
        if isinstance(reply, ResponseObject):
            with suppress(msgspec.MsgspecError):
                self._usage = reply.read_usage()[0] or self._usage

    def _read_end(self, response: ResponseObject, *, is_document: bool) -> None:
        self._read_counts(response)
        if response.has_failed:
            self._emit_usage()
            tree = self._tree if is_document else as_mapping(self._tree.get("response"))
            self._end(Error(error=classification.classify(200, self._headers, tree, self._endpoint)))
        elif not response.has_ended:
            self._raise_invalid(UNEXPLAINED)
        else:
            self._reason = response.finish_reason(called=bool(self.calls))
            self.complete = True
            self._finish()


# ---- a reply as it is forwarded ----------------------------------------------------------------

UNCOUNTED = dumps(write_usage(WireUsage()))  # the usage that clients get if a host reports none


def read_reply(data: bytes | memoryview) -> ReplyChunk | None:
    """Return what a response holds; None if it is unusual or an error: then it is decoded, and written again."""
    try:
        reply = response_of(data)
        if reply.has_failed or not reply.has_ended or not reply.is_plain or reply.output is None:
            return None
        usage, raw_usage = reply.read_usage()
    except NOT_DECODED:
        return None
    calls = tuple(
        (place, item.call, item.name or "") for place, item in enumerate(reply.output) if item.type == "function_call"
    )
    parts = [part for item in reply.output if item.type == "message" for part in item.content or ()]
    text = "".join([part.text or "" for part in parts if part.type == "output_text"])
    refusal = "".join([part.refusal or "" for part in parts if part.type == "refusal"])
    thoughts = [part.text or "" for item in reply.output if item.type == "reasoning" for part in item.thoughts]
    other_output = "".join(
        [*thoughts, *[item.arguments or "" for item in reply.output if item.type == "function_call"]]
    )
    finish = "content_filter" if reply.refuses else reply.finish_reason(called=bool(calls))
    visible = bool(reply.output)
    return ReplyChunk(text, visible, refusal, finish, usage, raw_usage, bytes(reply.model), calls, beside=other_output)


Decoder = OpenAIResponsesDecoder  # the name that every protocol has for it
