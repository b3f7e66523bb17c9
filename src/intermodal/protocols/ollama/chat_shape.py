"""The shape of chats of Ollama's clients, whose messages the server side reads and the request writer writes.

A tool result names its tool, and a tool call has an id: so messages are written again.
"""

from __future__ import annotations

from intermodal.protocols.calls import CodedImage
from intermodal.protocols.framing.inline_media import ExtractedBody
from intermodal.protocols.framing.json_body import dumps, loads
from intermodal.protocols.ollama.request import write_turns
from intermodal.protocols.ollama.server import read_turns
from intermodal.protocols.parsed_chat import (
    ConversationReader,
    Opened,
    ParsedChat,
    TextMeasurer,
    read_conversation,
    settings_in,
)
from intermodal.protocols.request_fields import direct_fields
from intermodal.protocols.request_validation import require_list, require_text

KEPT = ("messages",)
_TAKEN = direct_fields("ollama")
_NOT_ASKED = frozenset({"model", "messages", "stream"})


def chat_of(body: ExtractedBody, owner: str, measure: TextMeasurer) -> ParsedChat | None:
    """Return the chat in a body; None where it is not for the direct path."""
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
