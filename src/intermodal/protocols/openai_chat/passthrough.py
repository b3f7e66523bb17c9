"""The passthrough of chats of OpenAI's clients: their shape, and the direct path's parsing of replies.

``chat_of`` reads sizes and the positions of large parts, and copies nothing. It returns None for a chat that is not for
the direct path, for whatever reason: the executor parses it again and reports any error. ``read`` and
``OpenAIChatStream`` parse a reply and a stream.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from intermodal.protocols.calls import ReplyEncoder, ToolCallDelta, WireUsage
from intermodal.protocols.framing.event_streams import event_data
from intermodal.protocols.framing.inline_media import ExtractedBody
from intermodal.protocols.framing.json_body import TokenCount, dumps, has_valid_counts, join_object, split_object
from intermodal.protocols.framing.surrogates import loads_with_surrogates, without_lone_surrogates
from intermodal.protocols.openai_chat import server as openai_chat_server
from intermodal.protocols.openai_chat.codec import (
    FINISH_REASONS,
    chosen_index,
    map_finish_reason,
    read_usage,
    with_reasoning,
)
from intermodal.protocols.openai_chat.server import (
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
    Opened,
    ParsedChat,
    TextMeasurer,
    raw_field,
    read_conversation,
    settings_in,
)
from intermodal.protocols.reply_chunk import ReplyChunk, rewrite_reply
from intermodal.protocols.request_fields import IDENTIFIERS, direct_fields, ignored_content, passthrough_fields
from intermodal.protocols.upstream_response import End, StreamedResponse

_NULL = b"null"


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
    return read_conversation(body, owner, measure, _TAKEN, _read)


def _read(body: ExtractedBody, opened: Opened, turns: ConversationReader) -> ParsedChat | None:
    fields = opened[0]
    if "tools" in fields and ignored_content(bytes(fields["tools"]), "openai"):
        return None
    usage = False
    if "stream_options" in fields:
        options = _options.decode(fields["stream_options"])
        usage = options.get("include_usage") is True
        if len(options) > ("include_usage" in options):  # further options are named in the answer
            return None
    if raw_field(fields, "n") not in (b"", b"1", b"null"):
        return None
    written = AS_THEY_CAME
    try:
        messages = _messages.decode(fields["messages"])
    except msgspec.ValidationError:
        messages = list(map(_without_empty_fields, _whole_messages.decode(fields["messages"])))
        written = {"messages": body.whole(memoryview(dumps(messages)))}
    for message in messages:
        if message.content.__class__ is not str and not _goes_on(message):
            return None
        message.tell(turns)
    return turns.chat("chat", body, opened, settings_in(fields, _NOT_ASKED), usage=usage, written=written)


_NOT_ASKED = frozenset({"model", "messages", "stream", "stream_options", *VARYING})


def _without_empty_fields(
    message: _System | _User | _WholeAssistant | _Tool,
) -> _System | _User | _Assistant | _Tool:
    if isinstance(message, _WholeAssistant):
        return _Assistant(content=message.content or None, tool_calls=message.tool_calls or UNSET)
    return message


def _goes_on(message: _System | _User | _Assistant | _Tool) -> bool:
    """Return True if a message other than a single text is forwarded unchanged.

    The executor joins text-only parts, which many templates require.
    """
    if isinstance(message, _User):
        return any(isinstance(part, ImagePart) for part in message.content or ())
    return isinstance(message, _Assistant) and bool(message.tool_calls)


DONE = openai_chat_server.DONE
UNCOUNTED = dumps(openai_chat_server.write_usage(WireUsage()))  # the usage that clients get if a host reports none


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _ChatMessage(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    message: _ChatMessage | None = None
    delta: _ChatMessage | None = None
    finish_reason: str | None = None
    index: Any = None


_UNSAID = msgspec.Raw()
_NEEDED = ("prompt_tokens", "completion_tokens", "total_tokens")


class _Given(msgspec.Struct, forbid_unknown_fields=True):
    cached_tokens: TokenCount | None = None
    audio_tokens: TokenCount | None = None


class _OutputTokenDetails(msgspec.Struct, forbid_unknown_fields=True):
    reasoning_tokens: TokenCount | None = None
    audio_tokens: TokenCount | None = None
    accepted_prediction_tokens: TokenCount | None = None
    rejected_prediction_tokens: TokenCount | None = None


class _Counts(msgspec.Struct, forbid_unknown_fields=True):
    """Usage as OpenAI and most others write it."""

    prompt_tokens: TokenCount
    completion_tokens: TokenCount
    total_tokens: TokenCount
    prompt_tokens_details: _Given | None = None
    completion_tokens_details: _OutputTokenDetails | None = None


class _Reply(msgspec.Struct):
    object: str | None = None
    choices: list[_Choice] = []
    usage: msgspec.Raw = _UNSAID
    error: msgspec.Raw = _UNSAID
    model: msgspec.Raw = msgspec.Raw()
    service_tier: str | None = None


_reply = msgspec.json.Decoder(_Reply)
_any = msgspec.json.Decoder(dict[str, Any])
_raws, _choice = msgspec.json.Decoder(list[msgspec.Raw]), msgspec.json.Decoder(_Choice)
_counts = msgspec.json.Decoder(_Counts)


def read(data: bytes | memoryview) -> ReplyChunk | None:
    """Parse a reply or chunk; None if it is unusual or an error: then the codec identifies it."""
    try:
        reply = _reply.decode(data)
        if reply.usage is _UNSAID and (piece := _words(reply)) is not None:
            return piece
        error = bytes(reply.error)
        if (error and error != _NULL) or reply.object == "error":
            return None
        counted = bytes(reply.usage)
        usage = None
        if counted and counted != _NULL:
            usage, plain = usage_in(counted, reply.service_tier or "")
            if not plain:  # clients rely on some of the counts, and on valid numbers
                counted = dumps(openai_chat_server.write_usage(usage))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _halved(bytes(data))
    if not reply.choices:
        return ReplyChunk("", False, "", "", usage, counted, bytes(reply.model), (), alive=False, indexes=())
    choice = reply.choices[0]
    said = choice.message or choice.delta or _NOTHING
    reason = choice.finish_reason or ""
    if reason.lower() == "error":  # OpenRouter: the provider failed midway
        return None
    calls, arguments = _calls_in(said.tool_calls) if said.tool_calls else ((), "")
    if calls and choice.message is not None and not all(name for _, name, _ in calls):  # the calls need ids
        return None
    text, refusal, thoughts = said.content or "", said.refusal or "", said.reasoning_content or said.reasoning or ""
    visible = text.strip() or thoughts
    seen = bool(calls or visible)
    # Whether it has any content (``protocols/answer_state.py: is_output``).
    alive = bool(visible.strip() or refusal.strip() or arguments or any(name for _, _, name in calls))
    finish = FINISH_REASONS.get(reason) or (map_finish_reason(reason) if reason else "")
    indexes = (choice.index or 0,) if len(reply.choices) == 1 else tuple([each.index or 0 for each in reply.choices])
    model = bytes(reply.model)
    beside = thoughts + arguments
    return ReplyChunk(text, seen, refusal, finish, usage, counted, model, calls, False, alive, indexes, beside)


def _calls_in(given: list[_Call]) -> tuple[tuple[tuple[int, str, str], ...], str]:
    """Return tool calls by index, id and name, and their arguments."""
    calls, arguments = list[tuple[int, str, str]](), ""
    for place, call in enumerate(given):
        function = call.function or _NO_FUNCTION
        calls.append((place if call.index is None else call.index, call.id or "", function.name or ""))
        arguments += function.arguments or ""
    return tuple(calls), arguments


def of_choice(data: bytes, index: Any) -> bytes:
    """Return a chunk with only the choices of ``index``."""
    fields = split_object(data)
    choices = [raw for raw in _raws.decode(fields["choices"]) if (_choice.decode(raw).index or 0) == index]
    return join_object(fields, {"choices": b"[" + b",".join(map(bytes, choices)) + b"]"})


def usage_in(counted: bytes, tier: str) -> tuple[WireUsage, bool]:
    """Return the usage as ``read_usage`` does, and whether it can be passed to a client unchanged.

    Usage in the common form is parsed in a tenth of the time. Raises msgspec.MsgspecError if it is not an object.
    """
    try:
        told = _counts.decode(counted)
    except msgspec.ValidationError:
        tree = _any.decode(counted)
        return read_usage(tree, tier), has_valid_counts(tree, _NEEDED)
    given, made = told.prompt_tokens_details or _NO_GIVEN, told.completion_tokens_details or _NO_MADE
    thought = made.reasoning_tokens
    out = with_reasoning(told.prompt_tokens, told.completion_tokens, thought, told.total_tokens)
    usage = WireUsage(
        input_tokens=told.prompt_tokens, output_tokens=out, cached_tokens=given.cached_tokens,
        reasoning_tokens=thought, audio_tokens=made.audio_tokens, tier=tier.lower(),
        input_by_modality=() if given.audio_tokens is None else (("audio", given.audio_tokens),),
    )  # fmt: skip
    return usage, True


def _words(reply: _Reply) -> ReplyChunk | None:
    """Return a chunk that contains only text, as nearly all do; None for any other."""
    if not reply.choices or reply.error is not _UNSAID or reply.object == "error":
        return None
    choice = reply.choices[0]
    said = choice.delta
    if said is None or choice.finish_reason or not said.content or said.tool_calls or said.refusal or choice.message:
        return None
    if choice.index or len(reply.choices) > 1:
        return None
    text = said.content
    thoughts = said.reasoning_content or said.reasoning or ""
    seen = bool(text.strip() or thoughts)
    return ReplyChunk(text, seen, "", "", None, b"", bytes(reply.model), (), alive=seen, beside=thoughts)


def _halved(data: bytes) -> ReplyChunk | None:
    """Parse a chunk that splits a character in two; None if it is unreadable for any other reason."""
    without = without_lone_surrogates(data)
    piece = read(without) if without is not None else None
    if piece is None or not piece.text:
        return piece
    said = loads_with_surrogates(data)["choices"][0]
    return replace(piece, text=(said.get("message") or said.get("delta"))["content"], halved=True)


_NO_FUNCTION, _NOTHING, _NO_GIVEN, _NO_MADE = _Function(), _ChatMessage(), _Given(), _OutputTokenDetails()


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
        self._named = b""  # the model's name as the host last wrote it
        self._renamed: list[tuple[bytes, bytes]] = []
        self._last = b""  # the event with the usage
        self._counted = b""
        self._sample = b""  # any event, as a sample for generated ones
        self._like: ChunkTemplate | None = None  # a chunk that later chunks resemble
        self._tries = TRIES
        self._ours: tuple[Any, ...] = ()  # index of the choice that is the answer

    def _event(self, event: bytes, through: list[bytes]) -> End:
        """Process an event; append the part of it to forward to ``through``."""
        if self._like is not None and not self._halves.held and (text := self._like.words(event)) is not None:
            ends = self.say(text)
            if ends and self._cuts(through):
                return "stopped"
            through.append(event)
            if not self.output_seen and not text.isspace():
                self.output_seen = True
            return "stopped" if ends else ""
        return self._parsed(event, through)

    def _parsed(self, event: bytes, through: list[bytes]) -> End:
        """Process an event that has to be parsed."""
        simple = event.startswith(b"data: ") and b"\n" not in event
        payload = event[6:] if simple else event_data(event)
        if not payload:
            return ""
        if payload == b"[DONE]":
            return "done" if self.finish else self._unexplained(through)
        piece = None if b"event: error" in event and not simple else read(payload)
        if piece is None or self._odd(piece):
            return self._reread_event(event, through)
        if piece.indexes != self._ours or piece.halved or self._halves.held:
            looked = self._looked(payload, piece)
            if looked is None:
                return ""
            simple &= looked[0] is payload
            payload, piece = looked
        if self.finish and piece.of_an_answer:  # the answer has ended
            return self._dropped(payload, piece)
        if self.say(piece.text, piece.beside + piece.refusal) and self._cuts(through, called=bool(piece.calls)):
            return "stopped"
        self._note(piece)
        through = self._last_events if self.finish and self._teller.silent else through
        self._sample = payload
        if piece.model != self._named or not piece.model:
            payload, simple = self._rename(payload, piece), False
        if piece.usage is not None:
            self._last, self._counted = payload, piece.counted
            if piece.text or piece.halved or piece.calls or piece.finish:
                through.append(b"data: " + rewrite_reply(payload, self._model, None, b""))
        else:
            through.append(event if simple else b"data: " + payload)
        if piece.visible and self.first_at is None:
            self.first_at = self._clock.monotonic()
        if self._tries and len(self.text) > 1 and simple and piece.of_words:  # the first word is sent before that
            self._tries -= 1
            self._like = chunk_template_of(event, piece)
        return "stopped" if self.stopped else ""

    def _odd(self, piece: ReplyChunk) -> bool:
        """Return True if the parts of a chunk are sent one by one.

        They are for calls without a name, and for the last text of an answer that may still be rejected, together with
        its end.
        """
        unnamed = bool(piece.calls) and piece.unnamed(self.calls)
        return unnamed or bool(self._teller.silent and piece.finish and piece.text)

    def _part(self, words: str, thoughts: str) -> bytes:
        """Return an event with this text or reasoning."""
        choice = {
            "index": 0, "delta": {"content": words} if words else {"reasoning_content": thoughts}, "finish_reason": None
        }  # fmt: skip
        ours = {"object": "chat.completion.chunk", "model": self._model, "choices": [choice]}
        before = split_object(self._sample or b"{}")  # it has the id and creation time of the answer
        before.pop("usage", None)
        return b"data: " + join_object(before, {name: dumps(value) for name, value in ours.items()})

    def _unexplained(self, through: list[bytes]) -> End:
        """Return the end of a stream that did not state why it ended."""
        if self._teller.reasonless:
            self.finish = "content_filter" if self.refusal else "stop"
            through.append(self._why("stop"))
            return "done"
        return super()._unexplained(through)

    def _dropped(self, payload: bytes, piece: ReplyChunk) -> End:
        """Drop text after the end of the answer, but record the counts that come with it."""
        if piece.usage is not None:
            self.usage, self._last, self._counted = piece.usage, payload, piece.counted
        return ""

    def _note(self, piece: ReplyChunk) -> None:
        super()._note(piece)
        if self.finish:
            self._like = None  # from here on every event is parsed

    def _looked(self, payload: bytes, piece: ReplyChunk) -> tuple[bytes, ReplyChunk] | None:
        """Return the chunk with only the choice that is the answer (the first); None if it is empty.

        Split characters are forwarded unchanged, since the client joins the pieces; the recorded text is joined, too.
        """
        if piece.indexes:
            self._ours = self._ours or (chosen_index(piece.indexes),)
            if piece.indexes != self._ours and not piece.halved:
                payload = of_choice(payload, *self._ours)
                ours = read(payload)
                if ours is None or not (ours.indexes or ours.usage):
                    return None
                piece = ours
        if piece.halved or self._halves.held:
            piece = replace(piece, text=self._halves.join(piece.text))
        return payload, piece

    def _reread_event(self, event: bytes, through: list[bytes]) -> End:
        """Decode an event in an unusual form, such as text in parts, and forward it in the usual form."""
        events = self._reread(event + b"\n\n", part=True)
        if events is None:
            self._pass_before_failure(through)
            return ""
        encoder = self._encoder = self._encoder or self._reader.encoder(self._model)
        end: End = ""
        for found in events:
            if isinstance(found, WireUsage):
                self.usage, self._counted = found, dumps(write_usage(found))
            if isinstance(found, ToolCallDelta) and found.index in self.calls:  # it has its id already
                found = replace(found, id="")
            for plain in encoder.feed(found).removesuffix(DONE).split(b"\n\n"):
                end = self._event(plain, through) or end
        return end

    def _rename(self, payload: bytes, piece: ReplyChunk) -> bytes:
        """Record the model's name as this host writes it, and its replacement.

        Returns the event, renamed if events cannot be renamed in bulk.
        """
        name, model = dumps(self._model), piece.model
        if model == name:
            self._named = model
            return payload
        for between in (b"", b" "):
            field = b'"model":' + between + model
            if model and field in payload:
                self._named = model
                self._renamed = [*self._renamed[1 - _NAMES :], (field, b'"model":' + name)]
                return payload
        return payload if piece.usage is not None else rewrite_reply(payload, self._model, None, b"")

    def _joined(self, through: list[bytes]) -> bytes:
        data = b"\n\n".join(through) + b"\n\n" if through else b""
        for field, instead in self._renamed:
            data = data.replace(field, instead)
        return data

    def _finish(self, data: bytes, *, stopped: bool = False) -> None:
        if stopped:
            self._counted = dumps(write_usage(self._stopped()))
            data += self._why("length") + b"\n\n"
        elif self._found_wrong(data):
            return
        else:
            data += self._joined(self._last_events)
        metadata = self._teller.metadata(self)
        if self._teller.wanted:
            payload, counted = self._last or self._sample or b"{}", self._counted or UNCOUNTED
            data += b"data: " + rewrite_reply(payload, self._model, counted, metadata, chunk=True) + b"\n\n"
        self._reply.last(data + DONE)
        self._succeed()

    def _why(self, reason: str) -> bytes:
        """Return an event with the finish reason, which the host omitted."""
        return (
            b'data: {"object":"chat.completion.chunk","model":%b,'
            b'"choices":[{"index":0,"delta":{},"finish_reason":"%b"}]}' % (dumps(self._model), reason.encode())
        )

    def _come_whole(self, data: bytes) -> None:
        """Send a whole answer as a stream."""
        events = self._reread(data)
        if events is None:
            return
        encoder = self._reader.encoder(self._model)
        through: list[bytes] = []
        for event in events:
            if isinstance(event, WireUsage):
                self.usage, self._counted = event, dumps(write_usage(event))
            for plain in encoder.feed(event).removesuffix(DONE).split(b"\n\n"):
                self._event(plain, through)
        self._pass(through, "done")


# ---- chunks that differ only in their text --------------------------------------------------------- A JSON string
# without quotes, backslashes and control characters represents itself. So a chunk that begins and ends with the same
# bytes as an earlier one differs only in the text between them. Comparing takes a third of the time of parsing.
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

    def words(self, event: bytes) -> str | None:
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
    said = piece.text.encode("utf-8", "surrogatepass") + b'"'
    for mark in _MARKS:
        at = event.find(mark + said)
        if at < 0:
            continue
        before, after = event[: at + len(mark)], event[at + len(mark) + len(said) - 1 :]
        if read(b"%b%b%b" % (before[_DATA:], _PROBE.encode(), after)) == replace(piece, text=_PROBE):
            return ChunkTemplate(before, after)
    return None
