"""The passthrough of chats of OpenAI's clients: their shape, and how a stream is let through.

``chat_of`` reads sizes and the positions of large parts, and copies nothing. It returns None for a chat that is not for
the direct path, for whatever reason: the executor parses it again and reports any error. ``OpenAIChatStream`` lets a
stream through, of which ``reply.py`` reads what it holds.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from intermodal.protocols.calls import ReplyEncoder, ToolCallDelta, WireUsage
from intermodal.protocols.framing.event_streams import event_data, names_error
from intermodal.protocols.framing.host_json import NOT_DECODED
from intermodal.protocols.framing.inline_media import ExtractedBody
from intermodal.protocols.framing.json_body import dumps, join_object, split_object
from intermodal.protocols.openai_chat.reply import UNCOUNTED, OpenAIChatDecoder, chosen_index, of_choice, read_reply
from intermodal.protocols.openai_chat.server import (
    DONE,
    CalledFunction,
    ImagePart,
    MediaUrl,
    MessageToolCall,
    OpenAIAssistantMessage,
    OpenAISystemMessage,
    OpenAIToolMessage,
    OpenAIUserMessage,
    TextPart,
    write_usage,
)
from intermodal.protocols.parsed_chat import (
    AS_THEY_CAME,
    VARYING,
    ConversationReader,
    ParsedChat,
    TextMeasurer,
    TopLevelFields,
    read_conversation,
    settings_in,
)
from intermodal.protocols.reply_chunk import ReplyChunk, rewrite_reply
from intermodal.protocols.reply_decoder import ReplyDecoder
from intermodal.protocols.request_fields import IDENTIFIERS, direct_fields, ignored_content, passthrough_fields
from intermodal.protocols.upstream_response import End, StreamedResponse

# Fields that are forwarded unchanged. Others are part of the plan, or are sent to no host.
KEPT = (
    "messages", "temperature", "top_p", "stop", "tools", "tool_choice", "parallel_tool_calls", "seed",
    *(name for name in passthrough_fields("openai") if name not in IDENTIFIERS),
)  # fmt: skip
_TAKEN = direct_fields("openai")


# Messages that are forwarded unchanged: every field is sent to hosts and has an effect. Others are left to the
# executor, since the rest of a message was not inspected.
class _Text(TextPart, gc=False, forbid_unknown_fields=True):
    pass


class _Url(MediaUrl, gc=False, forbid_unknown_fields=True):
    # "auto" is the default everywhere, and some servers refuse the value
    detail: Literal["low", "high"] | UnsetType = UNSET


class _Image(ImagePart, gc=False, forbid_unknown_fields=True):
    image_url: _Url


class _System(OpenAISystemMessage, gc=False, forbid_unknown_fields=True):
    content: str | UnsetType = UNSET


class _User(OpenAIUserMessage, gc=False, forbid_unknown_fields=True):
    content: str | list[_Text | _Image] | UnsetType = UNSET


class _CalledFunction(CalledFunction, gc=False, forbid_unknown_fields=True):
    pass


class _ToolCall(MessageToolCall, kw_only=True, gc=False, forbid_unknown_fields=True):
    type: Literal["function"]
    function: _CalledFunction
    index: int | UnsetType = UNSET  # hosts send it in a stream
    extra_content: UnsetType = UNSET


class _Assistant(OpenAIAssistantMessage, gc=False, forbid_unknown_fields=True):
    content: Annotated[str, Meta(min_length=1)] | UnsetType | None = UNSET
    tool_calls: Annotated[list[_ToolCall], Meta(min_length=1)] | UnsetType = UNSET
    reasoning_content: UnsetType = UNSET
    audio: UnsetType = UNSET
    refusal: UnsetType = UNSET
    function_call: UnsetType = UNSET


class _Tool(OpenAIToolMessage, kw_only=True, gc=False, forbid_unknown_fields=True):
    content: str | UnsetType = UNSET


# The same messages of clients that send an answer back with all of its fields, many of them empty. Not every host knows
# those, so these messages are rewritten without them.
_Nothing = Annotated[list[Any], Meta(max_length=0)] | None
_NoWords = Literal[""] | None


class _WholeAssistant(OpenAIAssistantMessage, gc=False, forbid_unknown_fields=True):
    content: str | UnsetType | None = UNSET
    tool_calls: list[_ToolCall] | UnsetType | None = UNSET
    reasoning_content: _NoWords | UnsetType = UNSET
    audio: UnsetType | None = UNSET
    refusal: _NoWords | UnsetType = UNSET
    function_call: UnsetType | None = UNSET
    reasoning: _NoWords | UnsetType = UNSET
    annotations: _Nothing | UnsetType = UNSET


_messages = msgspec.json.Decoder(list[_System | _User | _Assistant | _Tool])
_whole_messages = msgspec.json.Decoder(list[_System | _User | _WholeAssistant | _Tool])
_options = msgspec.json.Decoder(dict[str, Any])


def chat_of(body: ExtractedBody, owner: str, measure: TextMeasurer) -> ParsedChat | None:
    """Return the chat in a body; None if it is not for the direct path."""
    return read_conversation(body, owner, measure, _TAKEN, _parse_chat)


def _parse_chat(body: ExtractedBody, top_level: TopLevelFields, turns: ConversationReader) -> ParsedChat | None:
    fields = top_level[0]
    if "tools" in fields and ignored_content(bytes(fields["tools"]), "openai"):
        return None
    usage = False
    if "stream_options" in fields:
        options = _options.decode(fields["stream_options"])
        usage = options.get("include_usage") is True
        if len(options) > ("include_usage" in options):  # further options are named in the answer
            return None
    if bytes(fields.get("n", b"")) not in (b"", b"1", b"null"):
        return None
    rewritten_fields = AS_THEY_CAME
    try:
        messages = _messages.decode(fields["messages"])
    except msgspec.ValidationError:
        messages = list(map(_without_empty_fields, _whole_messages.decode(fields["messages"])))
        rewritten_fields = {"messages": body.restore(memoryview(dumps(messages)))}
    for message in messages:
        if message.content.__class__ is not str and not _is_forwarded(message):
            return None
        message.report_to(turns)
    return turns.chat(
        "chat", body, top_level, settings_in(fields, _NOT_ASKED), usage=usage, rewritten_fields=rewritten_fields
    )


_NOT_ASKED = frozenset({"model", "messages", "stream", "stream_options", *VARYING})


def _without_empty_fields(
    message: _System | _User | _WholeAssistant | _Tool,
) -> _System | _User | _Assistant | _Tool:
    if isinstance(message, _WholeAssistant):
        return _Assistant(content=message.content or None, tool_calls=message.tool_calls or UNSET)
    return message


def _is_forwarded(message: _System | _User | _Assistant | _Tool) -> bool:
    """Return True if a message other than a single text is forwarded unchanged.

    The executor joins text-only parts, which many templates require.
    """
    if isinstance(message, _User):
        return any(isinstance(part, ImagePart) for part in message.content or ())
    return isinstance(message, _Assistant) and bool(message.tool_calls)


# Passes a stream of OpenAI's chat completions through; see ``upstream_response.py``.
#
# Nearly all chunks differ from the one before only in their text, so they are compared and not parsed.


_NAMES = 4  # spellings of the model's name in one stream


class OpenAIChatStream(StreamedResponse):
    """A stream of chat completion chunks."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._encoder: ReplyEncoder | None = None  # for replies in an unusual form
        self._last_events: list[bytes] = []  # events with the finish reason, held until the answer is accepted
        self._host_model = b""  # the model's name as the host last wrote it
        self._renamed: list[tuple[bytes, bytes]] = []
        self._last = b""  # the event with the usage
        self._raw_usage = b""
        self._sample = b""  # any event, as a sample for generated ones
        self._like: ChunkTemplate | None = None  # a chunk that later chunks resemble
        self._tries = TRIES
        self._ours: tuple[Any, ...] = ()  # index of the choice that is the answer
        self._rereads = False  # an event that was written again is processed
        self._numbers: dict[int, tuple[int, str]] = {}  # of tool calls, once the host's are not distinct

    def _event(self, event: bytes, through: list[bytes]) -> End:
        """Process an event; append the part of it to forward to ``through``."""
        if self._like is not None and not self._halves.pending and (text := self._like.match_text(event)) is not None:
            ends = self.record_text(text)
            if ends and self._is_cut(through):
                return "stopped"
            through.append(event)
            if not self.output_seen and not text.isspace():
                self.output_seen = True
            return "stopped" if ends else ""
        return self._process_event(event, through)

    def _process_event(self, event: bytes, through: list[bytes]) -> End:
        """Process an event that has to be parsed."""
        simple = event.startswith(b"data: ") and b"\n" not in event
        payload = event[6:] if simple else event_data(event)
        if not payload:
            return ""
        if payload == b"[DONE]":
            return "done" if self.finish else self._end_without_reason(through)
        piece = None if not simple and names_error(event) else read_reply(payload, is_document=False)
        if piece is None and payload.strip() == b"[DONE]":
            return self._process_event(b"data: [DONE]", through)
        if piece is None or ((piece.calls or piece.finish) and self._needs_splitting(piece)):
            return self._reread_event(event, through)
        if piece.indexes != self._ours or piece.halved or self._halves.pending:
            choice = self._first_choice(payload, piece)
            if choice is None:
                return ""
            simple &= choice[0] is payload
            payload, piece = choice
        if self.finish and piece.of_an_answer:  # the answer has ended
            return self._drop_text(payload, piece)
        if self.record_text(piece.text, piece.beside) and self._is_cut(through, called=bool(piece.calls)):
            return "stopped"
        if piece.refusal and self.refuse(piece.refusal):
            through += [self._encode_delta(piece.text, piece.beside)] if piece.text or piece.beside else []
            return "stopped"
        self._note(piece)
        through = self._last_events if self.finish and self._teller.silent else through
        self._sample = payload
        if piece.model != self._host_model or not piece.model:
            payload, simple = self._rename(payload, piece), False
        if piece.usage is not None:
            self._last, self._raw_usage = payload, piece.raw_usage
            if piece.text or piece.beside or piece.refusal or piece.halved or piece.calls or piece.finish:
                through.append(b"data: " + rewrite_reply(payload, self._model, None, b""))
        else:
            through.append(event if simple else b"data: " + payload)
        if piece.visible and self.first_at is None:
            self.first_at = self._clock.monotonic()
        if self._tries and len(self.text) > 1 and simple and piece.is_text_only:  # the first word is sent before that
            self._tries -= 1
            self._like = chunk_template_of(event, piece)
        return "stopped" if self.stopped else ""

    def _needs_splitting(self, piece: ReplyChunk) -> bool:
        """Return True if the parts of a chunk are sent one by one.

        They are for calls that clients could not tell apart, and for the last text of an answer that may still be
        rejected, together with its end.
        """
        if self._rereads:
            return False
        if piece.calls and (self._numbers or piece.unclear(self.calls)):
            return True
        return bool(self._teller.silent and piece.finish and piece.text)

    def _encode_delta(self, words: str, thoughts: str) -> bytes:
        """Return an event with this text or reasoning."""
        choice = {
            "index": 0, "delta": {"content": words} if words else {"reasoning_content": thoughts}, "finish_reason": None
        }  # fmt: skip
        chunk = {"object": "chat.completion.chunk", "model": self._model, "choices": [choice]}
        before = split_object(self._sample or b"{}")  # it has the id and creation time of the answer
        before.pop("usage", None)
        return b"data: " + join_object(before, {name: dumps(value) for name, value in chunk.items()})

    def _end_without_reason(self, through: list[bytes]) -> End:
        """Return the end of a stream that did not state why it ended."""
        if self._teller.reasonless:
            self.finish = "content_filter" if self.refusal else "stop"
            through.append(self._encode_finish_reason("stop"))
            return "done"
        return super()._end_without_reason(through)

    def _drop_text(self, payload: bytes, piece: ReplyChunk) -> End:
        """Drop text after the end of the answer, but record the counts that come with it."""
        if piece.usage is not None:
            self.usage, self._last, self._raw_usage = piece.usage, payload, piece.raw_usage
        return ""

    def _note(self, piece: ReplyChunk) -> None:
        super()._note(piece)
        if self.finish:
            self._like = None  # from here on every event is parsed

    def _first_choice(self, payload: bytes, piece: ReplyChunk) -> tuple[bytes, ReplyChunk] | None:
        """Return the chunk with only the choice that is the answer (the first); None if it is empty.

        Split characters are forwarded unchanged, since the client joins the pieces; the recorded text is joined, too.
        """
        if piece.indexes:
            self._ours = self._ours or (chosen_index(piece.indexes),)
            if piece.indexes != self._ours and not piece.halved:
                with suppress(*NOT_DECODED):  # of indexes that are no text
                    payload = of_choice(payload, *self._ours)
                chunk = read_reply(payload, is_document=False)
                if chunk is None or not (chunk.indexes or chunk.usage):
                    return None
                piece = chunk
        if piece.halved or self._halves.pending:
            text = self._halves.join(piece.text)
            visible = bool(text.strip() or (piece.visible and not piece.text))
            piece = replace(piece, text=text, visible=visible, alive=visible or (piece.alive and not piece.text))
        return payload, piece

    def _reread_event(self, event: bytes, through: list[bytes]) -> End:
        """Decode an event in an unusual form, such as text in parts, and forward it in the usual form."""
        events = self._decode_unusual(event + b"\n\n", part=True)
        if events is None:
            self._pass_before_failure(through)
            return ""
        if not events and self.finish:  # an error, which ends a whole answer as [DONE] does
            return "done"
        encoder = self._encoder = self._encoder or self._reader.encoder(self._model)
        end: End = ""
        self._rereads = True
        for found in events:
            if isinstance(found, WireUsage):
                self.usage, self._raw_usage = found, dumps(write_usage(found))
            if isinstance(found, ToolCallDelta) and found.index in self.calls:  # it has its id already
                found = replace(found, id="")
            for plain in encoder.feed(found).removesuffix(DONE).split(b"\n\n"):
                end = self._event(plain, through) or end
        self._rereads = False
        return end

    def _part_decoder(self) -> ReplyDecoder:
        """Return a decoder of one event that knows of those before it."""
        decoder = super()._part_decoder()
        if isinstance(decoder, OpenAIChatDecoder):
            self._numbers = self._numbers or {index: (index, id_) for index, (id_, _) in self.calls.items()}
            decoder.calls, decoder.chosen = self._numbers, self._ours[0] if self._ours else None
        return decoder

    def _rename(self, payload: bytes, piece: ReplyChunk) -> bytes:
        """Record the model's name as this host writes it, and its replacement.

        Returns the event, renamed if events cannot be renamed in bulk.
        """
        name, model = dumps(self._model), piece.model
        if model == name:
            self._host_model = model
            return payload
        for between in (b"", b" "):
            field = b'"model":' + between + model
            if model and field in payload:
                self._host_model = model
                self._renamed = [*self._renamed[1 - _NAMES :], (field, b'"model":' + name)]
                return payload
        return payload if piece.usage is not None else rewrite_reply(payload, self._model, None, b"")

    def _join_events(self, through: list[bytes]) -> bytes:
        data = b"\n\n".join(through) + b"\n\n" if through else b""
        for field, instead in self._renamed:
            data = data.replace(field, instead)
        return data

    def _finish(self, data: bytes, *, stopped: bool = False) -> None:
        if stopped:
            self._raw_usage = dumps(write_usage(self._count_stopped_output()))
            data += self._encode_finish_reason(self.finish) + b"\n\n"
        elif self._found_wrong(data):
            return
        else:
            data += self._join_events(self._last_events)
        metadata = self._teller.metadata(self)
        if self._teller.wants_usage:
            payload, raw_usage = self._last or self._sample or b"{}", self._raw_usage or UNCOUNTED
            data += b"data: " + rewrite_reply(payload, self._model, raw_usage, metadata, chunk=True) + b"\n\n"
        self._reply.write_last(data + DONE)
        self._succeed()

    def _encode_finish_reason(self, reason: str) -> bytes:
        """Return an event with the finish reason, which the host omitted."""
        return (
            b'data: {"object":"chat.completion.chunk","model":%b,'
            b'"choices":[{"index":0,"delta":{},"finish_reason":"%b"}]}' % (dumps(self._model), reason.encode())
        )

    def _stream_whole_reply(self, data: bytes) -> None:
        """Send a whole answer as a stream."""
        events = self._decode_unusual(data)
        if events is None:
            return
        encoder = self._reader.encoder(self._model)
        through: list[bytes] = []
        end: End = ""
        for event in events:
            if isinstance(event, WireUsage):
                self.usage, self._raw_usage = event, dumps(write_usage(event))
            for plain in encoder.feed(event).removesuffix(DONE).split(b"\n\n"):
                end = end or self._event(plain, through)
        self._forward(through, end or "done")


# ---- chunks that differ only in their text ---------------------------------------------------------
#
# A JSON string without quotes, backslashes and control characters represents itself. So a chunk that begins and ends
# with the same bytes as an earlier one differs only in the text between them. Comparing takes a third of the time of
# parsing.
TRIES = 4  # chunks of one stream that are tried as a template: some hosts write something new into each chunk
_MARKS = (b'"content":"', b'"content": "')
_DATA = len(b"data: ")
_PROBE = "pr0be-of-5omething-nobody-writes"


class ChunkTemplate:
    """The bytes before and after the text of a chunk."""

    __slots__ = ("_after", "_before", "_end", "_least", "_start")

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before, self._after = before, after
        self._start, self._end = len(before), -len(after)
        self._least = len(before) + len(after)

    def match_text(self, event: bytes) -> str | None:
        """Return the text of a chunk that matches the template; None for any other."""
        if event[: self._start] != self._before or event[self._end :] != self._after or len(event) < self._least:
            return None
        try:
            text = event[self._start : self._end].decode()
        except UnicodeDecodeError:
            return None
        return text if '"' not in text and "\\" not in text and text.isprintable() else None


def chunk_template_of(event: bytes, piece: ReplyChunk) -> ChunkTemplate | None:
    """Return the template of a single-line chunk that contains only text; None if that is not evident."""
    quoted_text = piece.text.encode("utf-8", "surrogatepass") + b'"'
    for mark in _MARKS:
        position = event.find(mark + quoted_text)
        if position < 0:
            continue
        before, after = event[: position + len(mark)], event[position + len(mark) + len(quoted_text) - 1 :]
        if read_reply(b"%b%b%b" % (before[_DATA:], _PROBE.encode(), after), is_document=False) == replace(
            piece, text=_PROBE
        ):
            return ChunkTemplate(before, after)
    return None
