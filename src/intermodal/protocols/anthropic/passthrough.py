"""The passthrough of chats of Anthropic's clients: their shape, and how a stream is let through.

Blocks are forwarded unchanged, with their cache marks: without these every turn of a long conversation would be billed
in full. See ``openai_chat/passthrough.py``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from intermodal.protocols.anthropic.reply import AnthropicEvent, AnthropicUsage, counts_in, event_of, with_usage
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
    write_end,
    write_usage,
)
from intermodal.protocols.calls import Finish, WireUsage
from intermodal.protocols.framing.event_streams import event_data, names_error
from intermodal.protocols.framing.inline_media import ExtractedBody
from intermodal.protocols.framing.json_body import dumps
from intermodal.protocols.framing.surrogates import without_lone_surrogates
from intermodal.protocols.openai_chat.server import sse_event
from intermodal.protocols.parsed_chat import (
    ConversationReader,
    ParsedChat,
    TextMeasurer,
    TopLevelFields,
    read_conversation,
    settings_in,
)
from intermodal.protocols.reply_chunk import rewrite_reply
from intermodal.protocols.reply_decoder import NO_ANSWER
from intermodal.protocols.request_fields import direct_fields, passthrough_fields
from intermodal.protocols.upstream_response import End, StreamedResponse, piece_of

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
    return read_conversation(body, owner, measure, _TAKEN, _parse_chat)


def _parse_chat(body: ExtractedBody, top_level: TopLevelFields, turns: ConversationReader) -> ParsedChat | None:
    fields = top_level[0]
    messages = _messages.decode(fields["messages"])
    system = _system.decode(fields["system"]) if "system" in fields else ""
    if "output_config" in fields:
        _output.decode(fields["output_config"])
    merged_turns = MergedTurns(turns)
    if words := system_words(system):
        merged_turns.add_text("system", words)
    last = ""
    for message in messages:
        if last == message.ROLE or not message.content:  # neighbours of one role are merged elsewhere
            return None
        last = message.ROLE
        message.report_to(merged_turns)
    return turns.chat("messages", body, top_level, settings_in(fields, _NOT_ASKED, _VARYING))


# Passes a stream of Anthropic's Messages API through; see ``upstream_response.py``.
#
# Usage is in the event before the last, so run metadata is added there.


_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def _with_event_name(event: bytes, name: str) -> bytes:
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
    _stop_sequence = ""
    _place = 0  # index of the block that was begun last

    def _event(self, event: bytes, through: list[bytes]) -> End:
        payload = event_data(event)
        if not payload:
            return ""
        if payload == b"[DONE]":  # of proxies that also serve OpenAI's clients
            return "done" if self.finish else self._end_without_reason(through)
        found = None if b"error" in event[6:12] and names_error(event) else event_of(payload)
        if found is None:
            return self._on_error_event(event, through)
        if found.type == "message_stop":
            return "done" if self.finish else self._end_without_reason(through)
        raw_usage = self._record_counts(found)
        if self.finish:  # it has ended: usage is still read, text is not
            return ""
        if not found.valid:
            return self._on_error_event(event, through)
        if not found.type:
            return ""
        found = self._record_text(found)
        if found.refusal and self.refuse(found.refusal):
            return "stopped"
        if self.record_text(found.text, found.beside):
            called = bool(found.started) or b"input_json_delta" in payload
            if self._is_cut(through, called=called):
                return "stopped"
        kind = found.type
        if kind == "content_block_delta":  # as nearly all are
            through.append(_with_event_name(event, kind))
            return "stopped" if self.stopped else ""
        return self._process_boundary(event, payload, found, raw_usage, through)

    def _process_boundary(
        self, event: bytes, payload: bytes, parsed_event: AnthropicEvent, raw_usage: bytes, through: list[bytes]
    ) -> End:  # fmt: skip
        """Process an event in which the message or a block of it begins or ends."""
        for place, call, tool in parsed_event.started:
            self.calls[place] = (call, tool)
        if parsed_event.type == "message_start":
            event = self._beginning(event, payload, parsed_event, raw_usage)
        elif parsed_event.type == "content_block_start":
            self._place += 1
        elif parsed_event.type == "message_delta" and parsed_event.finish:
            if self._teller.wrong(self) is not None:
                return "done"  # reported before any end of the answer
            self._ending = True
            event = self._end_of(payload, raw_usage or parsed_event.usage)
        through.append(_with_event_name(event, parsed_event.type))
        return "stopped" if self.stopped else ""

    def _beginning(self, event: bytes, payload: bytes, parsed_event: AnthropicEvent, raw_usage: bytes) -> bytes:
        """Return the first event with the client's name of the model, and valid counts."""
        if raw_usage:
            valid_payload = (without_lone_surrogates(payload) if parsed_event.halved else None) or payload
            event = b"event: message_start\ndata: " + with_usage(valid_payload, self.usage)
        if parsed_event.model:
            name = b'"model":' + dumps(self._model)
            for field in (b'"model":' + parsed_event.model, b'"model": ' + parsed_event.model):
                event = event.replace(field, name, 1)
        return event

    def _on_error_event(self, event: bytes, through: list[bytes]) -> End:
        if self._has_whole_answer:
            return "done"
        self._pass_before_failure(through)
        usage, error = self.usage, self._invalid_reply_error(event + b"\n\n")
        self.usage = usage or self.usage  # that of all events
        self._fail_with(error)
        return ""

    def _encode_delta(self, words: str, thoughts: str) -> bytes:
        delta = {"type": "text_delta", "text": words} if words else {"type": "thinking_delta", "thinking": thoughts}
        tree = {"type": "content_block_delta", "index": max(0, self._place - 1), "delta": delta}
        return sse_event(tree, "content_block_delta").removesuffix(b"\n\n")

    def _end_without_reason(self, through: list[bytes]) -> End:
        if not self._teller.reasonless:
            return super()._end_without_reason(through)
        self.finish = "stop"  # written together with the run's metadata
        return "done"

    def _record_counts(self, parsed_event: AnthropicEvent) -> bytes:
        """Record the event's counts. Return counts in the client's format if the host's are invalid; else b""."""
        if not parsed_event.usage:
            return b""
        self._counts = self._counts or AnthropicUsage()
        usage, plain = counts_in(self._counts, parsed_event)
        self.usage = usage or self.usage
        return b"" if plain else dumps(write_usage(self.usage or WireUsage()))

    def _record_text(self, parsed_event: AnthropicEvent) -> AnthropicEvent:
        """Record the event's text, with split characters joined."""
        if parsed_event.text and (parsed_event.halved or self._halves.pending):
            text = self._halves.join(parsed_event.text)
            visible = text.strip() != ""
            parsed_event = parsed_event._replace(text=text, visible=visible, alive=visible)
        self.output_seen |= parsed_event.alive
        self.finish = parsed_event.finish or self.finish
        if parsed_event.visible and self.first_at is None:
            self.first_at = self._clock.monotonic()
        return parsed_event

    def _end_of(self, payload: bytes, raw_usage: bytes) -> bytes:
        metadata = self._teller.metadata(self)
        return b"event: message_delta\ndata: " + rewrite_reply(payload, None, raw_usage or b"{}", metadata)

    def _finish(self, data: bytes, *, stopped: bool = False) -> None:
        raw_usage = b""
        if stopped:
            raw_usage = dumps(write_usage(self._count_stopped_output()))
            data += sse_event({"type": "content_block_stop", "index": max(0, self._place - 1)}, "content_block_stop")
        elif not self._ending and self._found_wrong(data):
            return
        if not self._ending:
            if not stopped and self.usage is not None:
                raw_usage = dumps(write_usage(self.usage))
            refusal = "".join(self.refusal)
            end = write_end(self.finish or "stop", self._stop_sequence, refusal, called=bool(self.calls))
            data += self._end_of(dumps({"type": "message_delta", "delta": end}), raw_usage) + b"\n\n"
        self._reply.write_last(data + _STOP)
        self._succeed()

    def _stream_whole_reply(self, data: bytes) -> None:
        """Send a whole reply as a stream, without the encoder's own end: ours contains the run metadata."""
        events = self._decode_unusual(data)
        if events is None:
            return
        self._note_whole(self._reader.read(data) or piece_of(events, self._reader.encode_reply(events)))
        self._stop_sequence = next((event.stop_sequence for event in events if isinstance(event, Finish)), "")
        if not self.finish:
            self._fail_with(self._truncated_error(NO_ANSWER))
            return
        if self.refused or self._unsaid:
            self._succeed()
            return
        self.first_at = self._clock.monotonic()
        self.begun = True
        self._teller.begin()
        through = b"".join(map(self._reader.encoder(self._model).feed, events))
        self._finish(through[: through.rindex(b"event: message_delta")])
