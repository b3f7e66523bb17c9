"""The passthrough of chats of Anthropic's clients: their shape, and the direct path's parsing of replies.

Blocks are forwarded unchanged, with their cache marks: without these every turn of a long conversation would be billed
in full. See ``openai_chat/passthrough.py``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from intermodal.protocols.anthropic.codec import FINISH_REASONS, AnthropicUsage
from intermodal.protocols.anthropic.server import (
    AnthropicAssistantMessage,
    AnthropicUserMessage,
    Base64Source,
    ImageBlock,
    MergedTurns,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    system_words,
    write_usage,
)
from intermodal.protocols.calls import WireUsage
from intermodal.protocols.framing.event_streams import event_data
from intermodal.protocols.framing.inline_media import ExtractedBody
from intermodal.protocols.framing.json_body import TokenCount, dumps, has_valid_counts, join_object, split_object
from intermodal.protocols.framing.surrogates import loads_with_surrogates, without_lone_surrogates
from intermodal.protocols.openai_chat.server import sse_event
from intermodal.protocols.parsed_chat import (
    ConversationReader,
    Opened,
    ParsedChat,
    TextMeasurer,
    read_conversation,
    settings_in,
)
from intermodal.protocols.reply_chunk import ReplyChunk, rewrite_reply
from intermodal.protocols.reply_decoder import NO_ANSWER, map_reason
from intermodal.protocols.request_fields import direct_fields, passthrough_fields
from intermodal.protocols.upstream_response import End, StreamedResponse

KEPT = (
    "system", "messages", "temperature", "top_p", "stop_sequences", "tools", "tool_choice", "cache_control",
    "output_config", *passthrough_fields("anthropic"),
)  # fmt: skip
_TAKEN = direct_fields("anthropic")
_NOT_ASKED = frozenset({"model", "messages", "system", "stream", "metadata"})
_VARYING = frozenset({"metadata"})


# Messages that are forwarded unchanged. Fields that their types lack are forwarded unread, as a client of this API
# intends.
class _Image(ImageBlock, gc=False):
    source: Base64Source


class _ToolUse(ToolUseBlock, gc=False):
    input: dict[str, Any]


class _Result(ToolResultBlock, kw_only=True, gc=False):
    content: str | list[TextBlock] | None = None


class _User(AnthropicUserMessage, gc=False):
    content: str | list[TextBlock | _Image | _Result]


class _Assistant(AnthropicAssistantMessage, gc=False):
    content: str | list[TextBlock | _ToolUse | ThinkingBlock]


class _Output(msgspec.Struct, forbid_unknown_fields=True):
    """The part of ``output_config`` that is forwarded: the effort unchanged, and a schema in a form that the host can
    enforce.
    """

    effort: str | None = None
    format: dict[str, Any] | None = None


_messages = msgspec.json.Decoder(list[_User | _Assistant])
_output = msgspec.json.Decoder(_Output)
_system = msgspec.json.Decoder(str | list[TextBlock])


def chat_of(body: ExtractedBody, owner: str, measure: TextMeasurer) -> ParsedChat | None:
    """Return the chat in a body; None if it is not for the direct path."""
    return read_conversation(body, owner, measure, _TAKEN, _read)


def _read(body: ExtractedBody, opened: Opened, turns: ConversationReader) -> ParsedChat | None:
    fields = opened[0]
    messages = _messages.decode(fields["messages"])
    system = _system.decode(fields["system"]) if "system" in fields else ""
    if "output_config" in fields:
        _output.decode(fields["output_config"])
    merged = MergedTurns(turns)
    if words := system_words(system):
        merged.words("system", words)
    last = ""
    for message in messages:
        if last == message.ROLE or not message.content:  # neighbours of one role are merged elsewhere
            return None
        last = message.ROLE
        message.tell(merged)
    return turns.chat("messages", body, opened, settings_in(fields, _NOT_ASKED, _VARYING))


UNCOUNTED = dumps(write_usage(WireUsage()))  # the usage that clients get if a host reports none
_NULL = b"null"
_NEEDED = ("input_tokens", "output_tokens")


class _Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    id: str = ""
    name: str = ""
    thinking: str | None = None
    partial_json: str | None = None
    input: msgspec.Raw = msgspec.Raw()
    stop_reason: str | None = None


class _Reply(msgspec.Struct):
    """A whole reply, or the data of an event."""

    type: str = ""
    content: list[_Block] = []
    stop_reason: str | None = None
    usage: msgspec.Raw = msgspec.Raw()
    model: msgspec.Raw = msgspec.Raw()
    message: _Reply | None = None
    index: int = 0
    content_block: _Block | None = None
    delta: _Block | None = None


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


_NOT_KEPT = _CacheCreation()
_reply = msgspec.json.Decoder(_Reply)
_any = msgspec.json.Decoder(dict[str, Any])
_counts = msgspec.json.Decoder(_Counts)


class AnthropicEvent(NamedTuple):
    """One event of a stream.

    ``started``: a tool call begins, with index, id and name. ``beside``: reasoning, and arguments of calls.
    """

    type: str
    text: str
    visible: bool
    finish: str
    usage: bytes
    model: bytes
    started: tuple[tuple[int, str, str], ...]
    halved: bool = False  # it contains lone surrogates
    alive: bool = False  # it is a piece of the answer
    beside: str = ""


def read(data: bytes | memoryview) -> ReplyChunk | None:
    """Parse a reply; None if it is not a message: then the codec identifies it."""
    try:
        reply = _reply.decode(data)
        usage, counted = _counted(bytes(reply.usage))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if reply.type != "message":
        return None
    calls = tuple(
        (place, block.id, block.name) for place, block in enumerate(reply.content) if block.type == "tool_use"
    )
    text = "".join(block.text or "" for block in reply.content if block.type == "text")
    beside = "".join(block.thinking or bytes(block.input).decode(errors="replace") for block in reply.content)
    seen, finish = bool(reply.content), finish_of(reply.stop_reason)
    return ReplyChunk(text, seen, "", finish, usage, counted, bytes(reply.model), calls, beside=beside)


def _counted(raw: bytes) -> tuple[WireUsage | None, bytes]:
    """Return the usage of a whole reply, computed like ``AnthropicUsage``, and the usage object for clients.

    Raises MsgspecError if it is not an object.
    """
    try:
        told = _counts.decode(raw or b"{}")
    except msgspec.ValidationError:
        tree = _any.decode(raw) if raw and raw != _NULL else {}
        usage = AnthropicUsage().add(tree)
        return usage, raw if has_valid_counts(tree, _NEEDED) else dumps(write_usage(usage or WireUsage()))
    read, written = told.cache_read_input_tokens, told.cache_creation_input_tokens
    counted = WireUsage(
        input_tokens=told.input_tokens + (read or 0) + (written or 0), output_tokens=told.output_tokens,
        cached_tokens=read, cache_write_tokens=written,
        cache_write_1h_tokens=(told.cache_creation or _NOT_KEPT).ephemeral_1h_input_tokens,
        tier=(told.service_tier or "").lower(),
    )  # fmt: skip
    return counted, raw


def event_of(data: bytes) -> AnthropicEvent | None:
    """Parse an event; None if it is not one, or is an error."""
    try:
        event = _reply.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _halved(data)
    if not event.type or event.type == "error":
        return None
    inner, block, delta = event.message or _EMPTY, event.content_block or _NOTHING, event.delta or _NOTHING
    started = ((event.index, block.id, block.name),) if block.type == "tool_use" else ()
    text = (block.text if block.type == "text" else delta.text) or ""
    seen = bool(text.strip() or started or delta.thinking or block.type not in ("", "text", "thinking"))
    usage = bytes(event.usage) or bytes(inner.usage)
    other = block.type not in ("", "text", "thinking")
    alive = bool(text.strip() or started or other or (delta.thinking or "").strip() or delta.partial_json)
    reason = finish_of(delta.stop_reason)
    beside = delta.thinking or delta.partial_json or block.thinking or ""
    return AnthropicEvent(
        event.type, text, seen, reason, usage, bytes(inner.model), started, alive=alive, beside=beside
    )


def _halved(data: bytes) -> AnthropicEvent | None:
    """Parse an event that splits a character in two; None if it is unreadable for any other reason."""
    without = without_lone_surrogates(data)
    event = event_of(without) if without is not None else None
    if event is None:
        return None
    if not event.text:
        return event._replace(halved=True)
    told = loads_with_surrogates(data)
    said: str = (told.get("delta") or told["content_block"])["text"]
    return event._replace(text=said, halved=True)


_EMPTY, _NOTHING = _Reply(), _Block()


def counts_in(counts: AnthropicUsage, found: AnthropicEvent) -> tuple[WireUsage | None, bool]:
    """Return the usage including this event's, and whether it can be passed to clients unchanged."""
    if found.usage == _NULL:
        return None, found.type != "message_start"
    tree = _any.decode(found.usage)
    return counts.add(tree), has_valid_counts(tree, _NEEDED if found.type == "message_start" else _NEEDED[1:])


def with_usage(payload: bytes, usage: WireUsage | None) -> bytes:
    """Return the event that begins a message, with these counts in place of its own."""
    fields = split_object(payload)
    counted = {"usage": dumps(write_usage(usage or WireUsage()))}
    return join_object(fields, {"message": join_object(split_object(fields["message"]), counted)})


def finish_of(reason: str | None) -> str:
    return map_reason(FINISH_REASONS, reason) if reason else ""


# Passes a stream of Anthropic's Messages API through; see ``upstream_response.py``.
#
# Usage is in the event before the last, so run metadata is added there.


_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def _named(event: bytes, name: str) -> bytes:
    """Return an event with its name before its data.

    Anthropic's clients require the name, and skip events without one.
    """
    if event.startswith(b"event:") or b"\nevent:" in event:
        return event
    return b"event: " + name.encode() + b"\n" + event


class AnthropicStream(StreamedResponse):
    """A stream of Anthropic's events."""

    _counts: AnthropicUsage | None = None
    _ending = False  # the event with its counts was sent
    _place = 0  # index of the block that was begun last

    def _event(self, event: bytes, through: list[bytes]) -> End:
        payload = event_data(event)
        if not payload:
            return ""
        found = event_of(payload)
        if found is None:
            self._pass_before_failure(through)
            self._fail(self._wrong(event + b"\n\n"))
            return ""
        if found.type == "message_stop":
            return "done" if self.finish else self._unexplained(through)
        counted = self._counted_in(found)
        if self.finish:  # it has ended: usage is still read, text is not
            return ""
        for place, call, tool in found.started:
            self.calls[place] = (call, tool)
        found = self._heard(found)
        if self.say(found.text, found.beside) and self._cuts(through, called=b"input_json_delta" in payload):
            return "stopped"
        if found.type == "message_start" and counted:
            event = b"event: message_start\ndata: " + with_usage(payload, self.usage)
        if found.type == "message_start" and found.model:
            name = b'"model":' + dumps(self._model)
            for field in (b'"model":' + found.model, b'"model": ' + found.model):
                event = event.replace(field, name, 1)
        elif found.type == "content_block_start":
            self._place += 1
        elif found.type == "message_delta" and found.finish:
            if self._teller.wrong(self) is not None:
                return "done"  # reported before any end of the answer
            self._ending = True
            event = self._end_of(payload, counted or found.usage)
        through.append(_named(event, found.type))
        return "stopped" if self.stopped else ""

    def _part(self, words: str, thoughts: str) -> bytes:
        delta = {"type": "text_delta", "text": words} if words else {"type": "thinking_delta", "thinking": thoughts}
        tree = {"type": "content_block_delta", "index": max(0, self._place - 1), "delta": delta}
        return sse_event(tree, "content_block_delta").removesuffix(b"\n\n")

    def _unexplained(self, through: list[bytes]) -> End:
        if not self._teller.reasonless:
            return super()._unexplained(through)
        self.finish = "stop"  # written together with the run's metadata
        return "done"

    def _counted_in(self, found: AnthropicEvent) -> bytes:
        """Record the event's counts. Return counts in the client's format if the host's are invalid; else b""."""
        if not found.usage:
            return b""
        self._counts = self._counts or AnthropicUsage()
        usage, plain = counts_in(self._counts, found)
        self.usage = usage or self.usage
        return b"" if plain else dumps(write_usage(self.usage or WireUsage()))

    def _heard(self, found: AnthropicEvent) -> AnthropicEvent:
        """Record the event's text, with split characters joined."""
        if found.halved or self._halves.held:
            found = found._replace(text=self._halves.join(found.text))
        self.output_seen |= found.alive
        self.finish = found.finish or self.finish
        if found.visible and self.first_at is None:
            self.first_at = self._clock.monotonic()
        return found

    def _end_of(self, payload: bytes, counted: bytes) -> bytes:
        metadata = self._teller.metadata(self)
        return b"event: message_delta\ndata: " + rewrite_reply(payload, None, counted or b"{}", metadata)

    def _finish(self, data: bytes, *, stopped: bool = False) -> None:
        if self._timer is not None:
            self._timer.cancel()
        counted = b""
        if stopped:
            counted = dumps(write_usage(self._stopped()))
            data += sse_event({"type": "content_block_stop", "index": max(0, self._place - 1)}, "content_block_stop")
        elif not self._ending and self._found_wrong(data):
            return
        if not self._ending:
            if not stopped and self.usage is not None:
                counted = dumps(write_usage(self.usage))
            cut = stopped or self.finish == "length"
            reason = {"stop_reason": "max_tokens" if cut else "end_turn", "stop_sequence": None}
            data += self._end_of(dumps({"type": "message_delta", "delta": reason}), counted) + b"\n\n"
        self._reply.last(data + _STOP)
        self._succeed()

    def _come_whole(self, data: bytes) -> None:
        """Send a whole reply as a stream, without the encoder's own end: ours contains the run metadata."""
        piece, events = self._reader.read(data), self._reread(data)
        if events is None:
            return
        if piece is None or not piece.finish:
            self._fail(self._cut(NO_ANSWER))
            return
        self._note_whole(piece)
        if self.refused:
            self._succeed()
            return
        self.first_at = self._clock.monotonic()
        self.begun = True
        self._teller.begin()
        through = b"".join(map(self._reader.encoder(self._model).feed, events))
        self._finish(through[: through.rindex(b"event: message_delta")])
