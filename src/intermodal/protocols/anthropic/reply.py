"""Anthropic's messages, as a host answers: one set of types, read by a run and by a direct call.

``AnthropicDecoder`` makes events of a reply, for runs and for replies that are written again. ``read_reply`` and
``event_of`` tell of a reply, and of an event of a stream, what a passthrough needs to know of the bytes that it
forwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from intermodal.protocols.anthropic.server import write_usage
from intermodal.protocols.calls import (
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    ToolCallDelta,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.framing.host_json import NOT_DECODED, HostDecoder, HostObject, HostReply
from intermodal.protocols.framing.json_body import (
    TokenCount,
    as_mapping,
    as_text,
    as_token_count,
    dumps,
    has_valid_counts,
    join_object,
    loads,
    split_object,
)
from intermodal.protocols.framing.surrogates import join_surrogates
from intermodal.protocols.reply_chunk import ReplyChunk
from intermodal.protocols.reply_decoder import ReplyDecoder, map_reason, tool_call_id

OWN = "anthropic"  # of content.Opaque
_NULL = b"null"
_NO_INPUT = (b"", b"{}", _NULL)  # of a tool call whose arguments follow
_NEEDED = ("input_tokens", "output_tokens")

# Anthropic's stop reasons -> OpenTelemetry GenAI's.
FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
    "tool_use": "tool_call", "refusal": "content_filter",
}  # fmt: skip


# ---- the types of a reply ----------------------------------------------------------------------


class StopDetails(HostObject):
    explanation: str | None = None


class Block(HostObject):
    """A block of content, or a delta: a piece of one, or the end of the answer."""

    CONTENT = frozenset({"text"})

    type: str | None = None
    text: str | None = None
    id: str | None = None
    name: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    input: msgspec.Raw = msgspec.Raw()
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None

    def texts(self) -> tuple[str, str, str]:
        """Return the text, the reasoning, and the arguments of a tool call in it."""
        kind = self.type
        if kind in ("text", "text_delta"):
            return self.text or "", "", ""
        if kind in ("thinking", "thinking_delta"):
            return "", self.thinking or "", ""
        return "", "", (self.partial_json or "") if kind == "input_json_delta" else ""

    @property
    def is_plain(self) -> bool:
        """True if a block of a whole reply has everything that clients rely on."""
        kind = self.type
        if kind == "text":
            return self.text is not None
        if kind == "thinking":
            return self.thinking is not None and self.signature is not None
        if kind == "tool_use":
            return bool(self.id) and self.name is not None and bytes(self.input)[:1] == b"{"
        return bool(kind)

    @property
    def reasoning_signature(self) -> str:
        """The signature of reasoning."""
        return (self.signature or "") if self.type in ("thinking", "signature_delta") else ""

    @property
    def opaque(self) -> bool:
        """True if only Anthropic understands it: hidden reasoning, and results of the vendor's own tools."""
        return bool(self.type) and self.type not in ("text", "thinking", "tool_use")


class AnthropicReply(HostReply):
    """A whole reply, or the data of an event."""

    CONTENT = frozenset({"content", "content_block", "delta"})

    content: list[Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: msgspec.Raw = msgspec.Raw()
    model: msgspec.Raw = msgspec.Raw()
    message: AnthropicReply | None = None
    index: TokenCount = 0
    content_block: Block | None = None
    delta: Block | None = None

    def counts(self) -> bytes:
        """Return the usage in it, b"" if it has none."""
        if self.type == "message_start":
            return bytes((self.message or _EMPTY).usage)
        return bytes(self.usage)


class _CacheCreation(msgspec.Struct, forbid_unknown_fields=True):
    ephemeral_5m_input_tokens: TokenCount | None = None
    ephemeral_1h_input_tokens: TokenCount | None = None


class _Counts(msgspec.Struct, forbid_unknown_fields=True):
    """Usage as Anthropic and most others write it."""

    input_tokens: TokenCount
    output_tokens: TokenCount
    cache_creation_input_tokens: TokenCount | None = None
    cache_read_input_tokens: TokenCount | None = None
    cache_creation: _CacheCreation | None = None
    server_tool_use: None = None
    service_tier: str | None = None
    inference_geo: str | None = None


_EMPTY, _NOTHING, _NO_CACHE_CREATION = AnthropicReply(), Block(), _CacheCreation()
_messages = HostDecoder(AnthropicReply)
_message, _any = _messages.decode, msgspec.json.Decoder(dict[str, Any])
_counts = msgspec.json.Decoder(_Counts)


def finish_of(reason: str | None) -> str:
    """Return why an answer ended; "" while it goes on."""
    return (map_reason(FINISH_REASONS, reason) or "stop") if reason else ""


def refusal_of(end: AnthropicReply | Block) -> str:
    """Return why the model refused to answer, if it says so."""
    if end.stop_reason != "refusal" or end.stop_details is None:
        return ""
    return end.stop_details.explanation or ""


class AnthropicUsage:
    """The usage of one message. Counts come in two events, and the later ones are the totals."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._tier = ""

    def add(self, usage: Any) -> WireUsage | None:
        """Add a usage object; return the sum so far, None if nothing is known.

        ``input_tokens`` includes no cached tokens.
        """
        found = as_mapping(usage)
        details, cache_details = as_mapping(found.get("output_tokens_details")), as_mapping(found.get("cache_creation"))
        self._tier = as_text(found.get("service_tier")) or self._tier
        nested = (
            ("thinking_tokens", details.get("thinking_tokens")),
            ("kept_1h", cache_details.get("ephemeral_1h_input_tokens")),
        )
        for name, value in (*found.items(), *nested):
            number = as_token_count(value)
            if number is not None:
                self._counts[name] = number
        if not self._counts:
            return None
        count_of = self._counts.get
        cache_read, cache_written = count_of("cache_read_input_tokens"), count_of("cache_creation_input_tokens")
        input_tokens = count_of("input_tokens")
        return WireUsage(
            input_tokens=None if input_tokens is None else input_tokens + (cache_read or 0) + (cache_written or 0),
            output_tokens=count_of("output_tokens"),
            cached_tokens=cache_read,
            cache_write_tokens=cache_written,
            reasoning_tokens=count_of("thinking_tokens"),
            cache_write_1h_tokens=count_of("kept_1h"),
            tier=self._tier.lower(),
        )


# ---- a reply as events -------------------------------------------------------------------------


class AnthropicDecoder(ReplyDecoder):
    """Decodes a message. It properly ends with a stop reason; ``message_stop`` after it is the last event."""

    replies = _messages

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(endpoint, headers=headers)
        self._counts = AnthropicUsage()
        self._calls: dict[int, int] = {}  # index of a block -> index of its tool call

    def _read_event(self, event: AnthropicReply, name: str) -> None:
        kind = event.type
        if kind == "content_block_delta":
            self._read_delta(event.index, event.delta or _NOTHING)
        elif kind == "content_block_start" and event.content_block is not None:
            self._read_block(event.index, event.content_block, is_document=False)
        elif kind == "message_start":
            self._read_counts(event)
        elif kind == "message_delta":
            self._read_counts(event)
            self._read_end(event.delta or _NOTHING)
        elif kind == "message_stop":
            self._last_word()

    def _read_reply(self, reply: AnthropicReply) -> None:
        for index, block in enumerate(reply.content or ()):
            self._read_block(index, block, is_document=True)
        self._read_counts(reply)
        self._read_end(reply)

    def _read_block(self, index: int, block: Block, *, is_document: bool) -> None:
        if block.opaque:
            tree = self._tree_in("content", index) if is_document else self._tree["content_block"]
            self._out.append(OpaqueBlock(wire=OWN, body=dumps(tree).decode()))
        elif block.type == "tool_use":
            call = self._calls.setdefault(index, len(self._calls))
            arguments = as_mapping(loads(bytes(block.input) or b"{}"))
            arguments_text = dumps(arguments).decode() if arguments or is_document else ""
            self._out.append(
                ToolCallDelta(
                    index=call, id=tool_call_id(block.id or ""), name=block.name or "", arguments=arguments_text
                )
            )
        else:
            self._read_delta(index, block)

    def _read_delta(self, index: int, delta: Block) -> None:
        text, thoughts, arguments = delta.texts()
        if text:
            self._out.append(WireTextDelta(text=text))
        elif thoughts or delta.reasoning_signature:
            self._out.append(ReasoningDelta(text=thoughts, signature=delta.reasoning_signature))
        elif arguments and index in self._calls:
            self._out.append(ToolCallDelta(index=self._calls[index], arguments=arguments))

    def _read_end(self, end: AnthropicReply | Block) -> None:
        if not end.stop_reason:
            return
        if refusal := refusal_of(end):
            self._out.append(RefusalDelta(text=refusal))
        self.complete = True
        self._reason, self._stop_sequence = finish_of(end.stop_reason), end.stop_sequence or ""

    def _read_counts(self, reply: AnthropicReply) -> None:
        if raw := reply.counts():
            self._usage = self._counts.add(loads(raw)) or self._usage


# ---- a reply as it is forwarded ----------------------------------------------------------------

UNCOUNTED = dumps(write_usage(WireUsage()))  # the usage that clients get if a host reports none


class AnthropicEvent(NamedTuple):
    """One event of a stream.

    ``started``: a tool call begins, with index, id and name. ``beside``: reasoning, and arguments of calls.
    """

    type: str
    text: str = ""
    visible: bool = False
    finish: str = ""
    usage: bytes = b""
    model: bytes = b""
    started: tuple[tuple[int, str, str], ...] = ()
    halved: bool = False  # it contains lone surrogates
    alive: bool = False  # it is a piece of the answer
    beside: str = ""
    refusal: str = ""
    valid: bool = True  # its content has the types of the protocol


def read_reply(data: bytes | memoryview) -> ReplyChunk | None:
    """Return what a reply holds; None if it is unusual or an error: then it is decoded, and written again."""
    try:
        reply = _message(data)
        usage, raw_usage = _read_usage(bytes(reply.usage))
    except NOT_DECODED:
        return None
    if reply.type != "message" or reply.is_error or reply.content is None:
        return None
    texts, other_output, calls = [], [], []
    for place, block in enumerate(reply.content):
        if not block.is_plain:
            return None
        if block.type == "tool_use":
            calls.append((place, block.id or "", block.name or ""))
            other_output.append(bytes(block.input).decode(errors="replace"))
            continue
        text, thoughts, _ = block.texts()
        texts.append(text)
        other_output.append(thoughts)
    return ReplyChunk(
        "".join(texts), bool(reply.content), refusal_of(reply), finish_of(reply.stop_reason), usage, raw_usage,
        bytes(reply.model), tuple(calls), beside="".join(other_output),
    )  # fmt: skip


def _read_usage(raw: bytes) -> tuple[WireUsage | None, bytes]:
    """Return the usage of a whole reply, computed like ``AnthropicUsage``, and the usage object for clients.

    Raises MsgspecError if it is not an object.
    """
    try:
        counts = _counts.decode(raw or b"{}")
    except msgspec.ValidationError:
        tree = _any.decode(raw) if raw and raw != _NULL else {}
        usage = AnthropicUsage().add(tree)
        return usage, raw if has_valid_counts(tree, _NEEDED) else dumps(write_usage(usage or WireUsage()))
    cache_read, cache_written = counts.cache_read_input_tokens, counts.cache_creation_input_tokens
    plain_usage = WireUsage(
        input_tokens=counts.input_tokens + (cache_read or 0) + (cache_written or 0), output_tokens=counts.output_tokens,
        cached_tokens=cache_read, cache_write_tokens=cache_written,
        cache_write_1h_tokens=(counts.cache_creation or _NO_CACHE_CREATION).ephemeral_1h_input_tokens,
        tier=(counts.service_tier or "").lower(),
    )  # fmt: skip
    return plain_usage, raw


def event_of(data: bytes) -> AnthropicEvent | None:
    """Return what an event holds; None if it is an error, or no JSON."""
    valid, halved = True, False
    try:
        event = _message(data)
    except NOT_DECODED:
        try:
            found = _messages.read(data)
        except ValueError:
            return None
        if not found:
            return AnthropicEvent("")
        event, valid, halved = found[0]
    if event.is_error:
        return None
    kind = event.type or ""
    if kind == "content_block_delta":
        delta = event.delta or _NOTHING
        text, thoughts, arguments = delta.texts()
        other_output = thoughts or arguments
        visible = text.strip() != "" or (other_output != "" and other_output.strip() != "")
        visible = visible or (delta.type == "signature_delta" and bool(delta.signature))
        return AnthropicEvent(kind, text, visible, "", b"", b"", (), halved, visible, other_output, "", valid)
    if kind == "content_block_start":
        block = event.content_block or _NOTHING
        text, thoughts, _ = block.texts()
        started: tuple[tuple[int, str, str], ...] = ()
        if block.type == "tool_use":
            started = ((event.index, join_surrogates(block.id or ""), join_surrogates(block.name or "")),)
            thoughts = "" if bytes(block.input) in _NO_INPUT else bytes(block.input).decode(errors="replace")
        other = bool(block.name) if started else block.opaque or block.reasoning_signature != ""
        visible = other or (text != "" and text.strip() != "") or (thoughts != "" and thoughts.strip() != "")
        return AnthropicEvent(
            kind, text, visible, started=started, halved=halved, alive=visible, beside=thoughts, valid=valid
        )  # fmt: skip
    if kind == "message_start":
        model = bytes((event.message or _EMPTY).model)
        return AnthropicEvent(kind, usage=event.counts(), model=model, halved=halved, valid=valid)
    if kind == "message_delta":
        end = event.delta or _NOTHING
        refusal = refusal_of(end)
        return AnthropicEvent(
            kind, finish=finish_of(end.stop_reason), usage=event.counts(), alive=refusal.strip() != "",
            refusal=refusal, valid=valid,
        )  # fmt: skip
    return AnthropicEvent(kind, valid=valid)


def counts_in(counts: AnthropicUsage, parsed_event: AnthropicEvent) -> tuple[WireUsage | None, bool]:
    """Return the usage including this event's, and whether it can be passed to clients unchanged."""
    tree = loads(parsed_event.usage)
    if not isinstance(tree, Mapping):
        return None, tree is None and parsed_event.type != "message_start"
    return counts.add(tree), has_valid_counts(tree, _NEEDED if parsed_event.type == "message_start" else _NEEDED[1:])


def with_usage(payload: bytes, usage: WireUsage | None) -> bytes:
    """Return the event that begins a message, with these counts in place of its own."""
    fields = split_object(payload)
    usage_field = {"usage": dumps(write_usage(usage or WireUsage()))}
    return join_object(fields, {"message": join_object(split_object(fields["message"]), usage_field)})


Decoder = AnthropicDecoder  # the name that every protocol has for it
