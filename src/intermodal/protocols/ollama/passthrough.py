"""The passthrough of chats of Ollama's clients: their shape, and how a stream is let through.

A tool result names its tool, and a tool call has an id. So the server side reads the messages and the codec writes them
again.
"""

from __future__ import annotations

from typing import Any

import msgspec

from intermodal.protocols.calls import CodedImage
from intermodal.protocols.framing.event_streams import LineSplitter
from intermodal.protocols.framing.inline_media import ExtractedBody
from intermodal.protocols.framing.json_body import dumps, join_object, loads, split_object
from intermodal.protocols.ollama.codec import write_turns
from intermodal.protocols.ollama.reply import plain_line
from intermodal.protocols.ollama.server import duration_fields, read_turns
from intermodal.protocols.parsed_chat import (
    ConversationReader,
    ParsedChat,
    TextMeasurer,
    TopLevelFields,
    read_conversation,
    settings_in,
)
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
    return read_conversation(body, owner, measure, _TAKEN, _parse_chat, unread="ollama")


def _parse_chat(body: ExtractedBody, top_level: TopLevelFields, turns: ConversationReader) -> ParsedChat | None:
    fields, model, stream = top_level
    stream = stream or bytes(fields.get("stream", b"null")) == b"null"  # null, the default
    messages = read_turns(require_list(loads(bytes(fields["messages"])), "messages"), _coded_image)
    recorded_messages = turns.add_messages(messages, lambda image: turns.image_data(image.coded))
    settings = settings_in(fields, _NOT_ASKED, frozenset())
    rewritten_messages = body.restore(memoryview(dumps(write_turns(recorded_messages))))
    return turns.chat(
        "ollama", body, (fields, model, stream), settings, rewritten_fields={"messages": rewritten_messages}
    )


def _coded_image(image: object) -> CodedImage:
    return CodedImage(coded=require_text(image, "an image"))


_COUNTS = ("prompt_eval_count", "eval_count")  # those of the host, if they are valid, are written with the end


def rewrite_reply(data: bytes | memoryview, model: str, raw_usage: bytes, metadata: bytes) -> bytes:
    """Return a reply with the client's name of the model, and the run metadata beside its counts."""
    fields, own_fields = split_object(data), {"model": dumps(model), "intermodal": metadata}
    if "total_duration" not in fields:
        own_fields |= {name: dumps(value) for name, value in duration_fields(loads(metadata)).items()}
    return join_object(fields, own_fields)


# Passes a stream of Ollama's chat API through, line by line; see ``upstream_response.py``.
#
# Lines of plain text are forwarded with the client's model name. Any other line (tool calls, the end, unusual JSON) is
# decoded and written again, so that tool calls have ids and arrive complete before the end, as in other protocols.


class OllamaStream(TranscodedStream):
    """A stream of Ollama's JSON lines."""

    _split = LineSplitter
    _piece = "a line"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._end_line = b""
        self._renaming = (b"", b"")  # a host's name of its model as it writes it, and the client's

    def _receive(self, data: bytes) -> None:
        self._process_bytes(data, self._process_line)

    def _on_body_end(self) -> None:
        if self._splitter.pending and not self.over:  # the last line may lack its line end
            self._receive(b"\n")
        super()._on_body_end()

    def _process_line(self, line: bytes, through: list[bytes]) -> End:
        line = line.strip(BLANK)
        if not line:
            return ""
        if self._decoder is not None and self._decoder.holds_half_surrogate:  # for the rest of a character
            return self._rewrite_event(line, through)
        found = plain_line(line)
        if found is None:
            return self._rewrite_event(line, through)
        model, text, thoughts = found
        if self._renaming[0] != b'"model":' + model:
            self._renaming = (b'"model":' + model, b'"model":' + dumps(self._model))
        if self._renaming[0] not in line:
            return self._rewrite_event(line, through)
        if self.record_text(text, thoughts) and self._is_cut(through):
            return "stopped"
        through.append(line.replace(*self._renaming, 1) + b"\n")
        if not self.output_seen or self.first_at is None:
            self._note_output(text, thoughts)
        return "stopped" if self.stopped else ""

    def _note_output(self, text: str, thoughts: str) -> None:
        if text.strip() or thoughts.strip():
            self.output_seen = True
            self.first_at = self._clock.monotonic() if self.first_at is None else self.first_at

    def _rewrite_event(self, line: bytes, through: list[bytes]) -> End:
        self._end_line = line
        return self._pass_decoded(self._decoding.feed(line + b"\n"), through)

    def _final_bytes(self, data: bytes) -> bytes:
        """Return the end of the stream, with the host's additional fields and its own durations."""
        before, _, last = data.rstrip(b"\n").rpartition(b"\n")
        try:
            more = {name: raw for name, raw in split_object(self._end_line).items() if name not in _COUNTS}
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            more = {}
        own_fields = {
            name: raw for name, raw in split_object(last).items() if name not in more or name != "total_duration"
        }
        return before + b"\n" * bool(before) + join_object({**more, **own_fields}) + b"\n"
