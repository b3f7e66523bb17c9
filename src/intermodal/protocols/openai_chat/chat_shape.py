"""Parse chats of OpenAI's clients, as far as the direct path needs: sizes, and where large parts are. No copies.

``None`` means that the chat is not for the direct path, for whatever reason: the executor parses it again and reports
any error.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from intermodal.protocols.framing.image_facts import image_in_data_url
from intermodal.protocols.framing.inline_media import ExtractedBody
from intermodal.protocols.parsed_chat import (
    VARYING,
    ConversationReader,
    Opened,
    ParsedChat,
    TextMeasurer,
    raw_field,
    read_conversation,
    settings_in,
)
from intermodal.protocols.request_fields import IDENTIFIERS, direct_fields, ignored_content, passthrough_fields

# Fields that go on as they came. What others say is in the plan, or no host is told.
KEPT = (
    "messages", "temperature", "top_p", "stop", "tools", "tool_choice", "parallel_tool_calls", "seed",
    *(name for name in passthrough_fields("openai") if name not in IDENTIFIERS),
)  # fmt: skip
_TAKEN = direct_fields("openai")
# A field that is not listed is not passed on: a message goes on as it came, and the rest of it was not inspected.


class _Function(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    arguments: str


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    function: _Function
    type: Literal["function"] = "function"
    index: int | None = None


class _Url(msgspec.Struct, forbid_unknown_fields=True):
    url: msgspec.Raw
    detail: Literal["low", "high"] | None = None  # "auto" is everybody's default, and some servers refuse the word


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    text: str | None = None
    image_url: _Url | None = None


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    audio: Any = None
    annotations: Any = None
    function_call: Any = None


_messages = msgspec.json.Decoder(list[_Message])
_options = msgspec.json.Decoder(dict[str, Any])
_NULL = b"null"


def chat_of(body: ExtractedBody, owner: str, measure: TextMeasurer) -> ParsedChat | None:
    """Return the chat in a body; None where it is not for the direct path."""
    return read_conversation(body, owner, measure, _TAKEN, _read)


def _read(body: ExtractedBody, opened: Opened, turns: ConversationReader) -> ParsedChat | None:
    fields = opened[0]
    if "tools" in fields and ignored_content(bytes(fields["tools"]), "openai"):
        return None
    usage = False
    if "stream_options" in fields:
        options = _options.decode(fields["stream_options"])
        usage = options.get("include_usage") is True
        if len(options) > ("include_usage" in options):  # others are named in the answer
            return None
    if raw_field(fields, "n") not in (b"", b"1", _NULL):
        return None
    for message in _messages.decode(fields["messages"]):
        if not _message(message, body, turns):
            return None
    return turns.chat("chat", body, opened, settings_in(fields, _NOT_ASKED), usage=usage)


_NOT_ASKED = frozenset({"model", "messages", "stream", "stream_options", *VARYING})


def _message(message: _Message, body: ExtractedBody, turns: ConversationReader) -> bool:
    if message.reasoning_content or message.reasoning or message.refusal or message.audio or message.function_call:
        return False
    if message.annotations:
        return False
    role, content, calls = message.role, message.content, message.tool_calls
    if role == "tool":
        turns.begin(role)
        named = message.tool_call_id is not None and not calls
        return named and isinstance(content, str) and turns.result(content)
    if isinstance(content, str):
        if not turns.says(role, content):
            return False
    elif content is not None:
        turns.begin(role)
        if not _parts(role, content, body, turns):
            return False
    elif calls:
        turns.begin(role)
    else:
        return False
    if calls and (role != "assistant" or not all(turns.call(c.function.name, c.function.arguments) for c in calls)):
        return False
    if role == "assistant":
        turns.answered()
    return True


def _parts(role: str, content: list[_Part], body: ExtractedBody, turns: ConversationReader) -> bool:
    """Words and pictures. Words alone are put together by the executor, which many templates need."""
    if role != "user" or all(part.type == "text" for part in content):
        return False
    for part in content:
        if part.type == "text" and part.text is not None:
            done = turns.words(part.text)
        elif part.type == "image_url" and part.image_url is not None:
            found = image_in_data_url(memoryview(part.image_url.url), body.media)
            done = turns.picture(found, part.image_url.detail or "auto")
        else:
            return False
        if not done:
            return False
    return True
