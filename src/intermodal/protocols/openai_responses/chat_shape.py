"""The shape of requests of OpenAI's Responses API, whose items the server side reads and the request writer writes.

Clients send items back that came from elsewhere, with ids that no host knows: so items are written again.
"""

from __future__ import annotations

from typing import Any

from intermodal.protocols.calls import CodedImage
from intermodal.protocols.framing.inline_media import ExtractedBody
from intermodal.protocols.framing.json_body import dumps, loads
from intermodal.protocols.openai_responses.request import write_turns
from intermodal.protocols.openai_responses.server import read_turns
from intermodal.protocols.parsed_chat import (
    VARYING,
    ConversationReader,
    Opened,
    ParsedChat,
    TextMeasurer,
    read_conversation,
    settings_in,
)
from intermodal.protocols.request_fields import direct_fields
from intermodal.protocols.request_validation import require_text

KEPT = ("input",)
_TAKEN = direct_fields("openai-responses")
_NOT_ASKED = frozenset({"model", "instructions", "input", "stream", "store", "include", *VARYING})
_KEPT_ELSEWHERE = ("previous_response_id", "conversation", "prompt")
_NOTHING = (b"null", b'""')


def chat_of(body: ExtractedBody, owner: str, measure: TextMeasurer) -> ParsedChat | None:
    """Return the chat in a body; None where it is not for the direct path."""
    return read_conversation(body, owner, measure, _TAKEN, _read, unread="openai-responses")


def _read(body: ExtractedBody, opened: Opened, turns: ConversationReader) -> ParsedChat | None:
    fields = opened[0]
    if any(name in fields and bytes(fields[name]) not in _NOTHING for name in _KEPT_ELSEWHERE):
        return None
    tree = {name: loads(bytes(fields[name])) for name in ("instructions", "input") if name in fields}
    taken = turns.take(read_turns(tree, image=_coded), lambda image: turns.image_url(image.coded, image.detail))
    written = body.whole(memoryview(dumps(write_turns(taken))))
    return turns.chat("responses", body, opened, settings_in(fields, _NOT_ASKED), written={"input": written})


def _coded(url: Any, detail: Any) -> CodedImage:
    return CodedImage(coded=require_text(url, "an image's url"), detail=detail)
