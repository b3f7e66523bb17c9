"""The passthrough of chats of Ollama's clients: their shape, and the direct path's parsing of replies.

A tool result names its tool, and a tool call has an id. So the server side reads the messages and the codec writes them
again.
"""

from __future__ import annotations

from typing import Any

import msgspec

from intermodal.protocols.calls import CodedImage, WireUsage
from intermodal.protocols.framing.event_streams import LineSplitter
from intermodal.protocols.framing.inline_media import ExtractedBody
from intermodal.protocols.framing.json_body import as_token_count, dumps, join_object, loads, split_object
from intermodal.protocols.ollama.codec import FINISH_REASONS, finish_reason, write_turns
from intermodal.protocols.ollama.server import duration_fields, read_turns
from intermodal.protocols.parsed_chat import (
    ConversationReader,
    Opened,
    ParsedChat,
    TextMeasurer,
    read_conversation,
    settings_in,
)
from intermodal.protocols.reply_chunk import ReplyChunk
from intermodal.protocols.reply_decoder import BLANK
from intermodal.protocols.request_fields import direct_fields
from intermodal.protocols.request_validation import require_list, require_text
from intermodal.protocols.transcoding import TranscodedStream
from intermodal.protocols.upstream_response import End

KEPT = ("messages",)
_TAKEN = direct_fields("ollama")
_NOT_ASKED = frozenset({"model", "messages", "stream"})


def chat_of(body: ExtractedBody, owner: str, measure: TextMeasurer) -> ParsedChat | None:
    """Return the chat in a body; None if it is not for the direct path."""
    return read_conversation(body, owner, measure, _TAKEN, _read, unread="ollama")


def _read(body: ExtractedBody, opened: Opened, turns: ConversationReader) -> ParsedChat | None:
    fields, model, stream = opened
    stream = stream or bytes(fields.get("stream", b"null")) == b"null"  # null, the default
    given = read_turns(require_list(loads(bytes(fields["messages"])), "messages"), _coded)
    taken = turns.take(given, lambda image: turns.image_data(image.coded))
    settings = settings_in(fields, _NOT_ASKED, frozenset())
    written = body.whole(memoryview(dumps(write_turns(taken))))
    return turns.chat("ollama", body, (fields, model, stream), settings, written={"messages": written})


def _coded(image: object) -> CodedImage:
    return CodedImage(coded=require_text(image, "an image"))


UNCOUNTED = b"{}"
_COUNTS = ("prompt_eval_count", "eval_count")  # those of the host, if they are valid, are written with the end


class _Function(msgspec.Struct):
    index: int
    name: str
    arguments: dict[str, msgspec.Raw]


class _Call(msgspec.Struct):
    id: str
    function: _Function


class _Message(msgspec.Struct):
    role: str
    content: str
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Reply(msgspec.Struct):
    model: msgspec.Raw
    created_at: str
    message: _Message
    done: bool
    done_reason: str = ""
    prompt_eval_count: Any = msgspec.UNSET
    eval_count: Any = msgspec.UNSET
    error: Any = None


_reply = msgspec.json.Decoder(_Reply)


def read(data: bytes | memoryview) -> ReplyChunk | None:
    """Parse a reply; None if it is unusual or an error: then the codec identifies it."""
    try:
        reply = _reply.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    said = reply.message
    calls = tuple((place, call.id, call.function.name) for place, call in enumerate(said.tool_calls or ()))
    usual = reply.done and bool(reply.done_reason) and reply.done_reason in FINISH_REASONS
    known = usual and not reply.error and said.role == "assistant"
    odd = any(
        told is not msgspec.UNSET and as_token_count(told) is None
        for told in (reply.prompt_eval_count, reply.eval_count)
    )
    nought = reply.prompt_eval_count == 0 and reply.eval_count == 0  # which says that nothing was counted
    if not known or odd or nought or not all(call and name for _, call, name in calls):
        return None
    finish = finish_reason(reply.done_reason, called=bool(calls))
    usage = WireUsage(
        input_tokens=as_token_count(reply.prompt_eval_count), output_tokens=as_token_count(reply.eval_count)
    )
    given = [raw for call in said.tool_calls or () for raw in call.function.arguments.values()]
    beside = (said.thinking or "") + "".join(bytes(raw).decode(errors="replace") for raw in given)
    return ReplyChunk(said.content, True, "", finish, usage, UNCOUNTED, bytes(reply.model), calls, beside=beside)


def finished(data: bytes | memoryview, model: str, counted: bytes, about: bytes) -> bytes:
    """Return a reply with the client's name of the model, and the run metadata beside its counts."""
    fields, ours = split_object(data), {"model": dumps(model), "intermodal": about}
    if "total_duration" not in fields:
        ours |= {name: dumps(value) for name, value in duration_fields(loads(about)).items()}
    return join_object(fields, ours)


# Passes a stream of Ollama's chat API through, line by line; see ``upstream_response.py``.
#
# Lines of plain text are forwarded with the client's model name. Any other line (tool calls, the end, unusual JSON) is
# decoded and written again, so that tool calls have ids and arrive complete before the end, as in other protocols.


class _StreamedMessage(msgspec.Struct):
    role: str
    content: str
    thinking: str | None = None
    tool_calls: msgspec.Raw = msgspec.Raw()


class _Line(msgspec.Struct):
    model: msgspec.Raw
    created_at: str
    message: _StreamedMessage
    done: bool
    error: msgspec.Raw = msgspec.Raw()


_line = msgspec.json.Decoder(_Line)


class OllamaStream(TranscodedStream):
    """A stream of Ollama's JSON lines."""

    _split = LineSplitter
    _piece = "a line"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._end_line = b""
        self._renaming = (b"", b"")  # a host's name of its model as it writes it, and the client's

    def _take(self, data: bytes) -> None:
        self._go_through(data, self._heard)

    def _ended(self) -> None:
        if self._splitter.pending and not self.over:  # the last line may lack its line end
            self._take(b"\n")
        super()._ended()

    def _heard(self, line: bytes, through: list[bytes]) -> End:
        line = line.strip(BLANK)
        if not line:
            return ""
        if self._decoding.waits:  # for the rest of a character
            return self._anew(line, through)
        try:
            found = _line.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._anew(line, through)
        message = found.message
        if found.done or bytes(found.error) or bytes(message.tool_calls) or message.role != "assistant":
            return self._anew(line, through)
        model = bytes(found.model)
        if self._renaming[0] != b'"model":' + model:
            self._renaming = (b'"model":' + model, b'"model":' + dumps(self._model))
        if self._renaming[0] not in line:
            return self._anew(line, through)
        text = message.content
        if self.say(text, message.thinking or "") and self._cuts(through):
            return "stopped"
        through.append(line.replace(*self._renaming, 1) + b"\n")
        if text.strip() or (message.thinking and message.thinking.strip()):
            self.output_seen = True
        if self.first_at is None and (message.thinking or text.strip()):
            self.first_at = self._clock.monotonic()
        return "stopped" if self.stopped else ""

    def _anew(self, line: bytes, through: list[bytes]) -> End:
        self._end_line = line
        return self._pass_decoded(self._decoding.feed(line + b"\n"), through)

    def _ending(self, data: bytes) -> bytes:
        """Return the end of the stream, with the host's additional fields and its own durations."""
        before, _, last = data.rstrip(b"\n").rpartition(b"\n")
        try:
            more = {name: raw for name, raw in split_object(self._end_line).items() if name not in _COUNTS}
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            more = {}
        ours = {name: raw for name, raw in split_object(last).items() if name not in more or name != "total_duration"}
        return before + b"\n" * bool(before) + join_object({**more, **ours}) + b"\n"
