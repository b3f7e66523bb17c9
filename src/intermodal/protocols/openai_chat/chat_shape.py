"""Parse chats of OpenAI's clients, as far as the direct path needs: sizes, and where large parts are. No copies.

``None`` means that the chat is not for the direct path, for whatever reason: the executor parses it again and reports
any error.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from intermodal.protocols.framing.inline_media import ExtractedBody
from intermodal.protocols.framing.json_body import dumps
from intermodal.protocols.openai_chat.messages import (
    CalledFunction,
    ImagePart,
    MediaUrl,
    MessageToolCall,
    OpenAIAssistantMessage,
    OpenAISystemMessage,
    OpenAIToolMessage,
    OpenAIUserMessage,
    TextPart,
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
from intermodal.protocols.request_fields import IDENTIFIERS, direct_fields, ignored_content, passthrough_fields

# Fields that go on as they came. What others say is in the plan, or no host is told.
KEPT = (
    "messages", "temperature", "top_p", "stop", "tools", "tool_choice", "parallel_tool_calls", "seed",
    *(name for name in passthrough_fields("openai") if name not in IDENTIFIERS),
)  # fmt: skip
_TAKEN = direct_fields("openai")

# The messages that go on as they came: every field is one that a host is sent, and says something. Others are the
# executor's, since the rest of a message was not inspected.


class _Text(TextPart, gc=False, forbid_unknown_fields=True):
    pass


class _Url(MediaUrl, gc=False, forbid_unknown_fields=True):
    # "auto" is everybody's default, and some servers refuse the word
    detail: Literal["low", "high"] | UnsetType = UNSET


class _Image(ImagePart, gc=False, forbid_unknown_fields=True):
    image_url: _Url


class _System(OpenAISystemMessage, gc=False, forbid_unknown_fields=True):
    content: str | UnsetType = UNSET


class _User(OpenAIUserMessage, gc=False, forbid_unknown_fields=True):
    content: str | list[_Text | _Image] | UnsetType = UNSET


class _Function(CalledFunction, gc=False, forbid_unknown_fields=True):
    pass


class _Call(MessageToolCall, kw_only=True, gc=False, forbid_unknown_fields=True):
    type: Literal["function"]
    function: _Function
    index: int | UnsetType = UNSET  # which hosts give it in a stream
    extra_content: UnsetType = UNSET


class _Assistant(OpenAIAssistantMessage, gc=False, forbid_unknown_fields=True):
    content: Annotated[str, Meta(min_length=1)] | UnsetType | None = UNSET
    tool_calls: Annotated[list[_Call], Meta(min_length=1)] | UnsetType = UNSET
    reasoning_content: UnsetType = UNSET
    audio: UnsetType = UNSET
    refusal: UnsetType = UNSET
    function_call: UnsetType = UNSET


class _Tool(OpenAIToolMessage, kw_only=True, gc=False, forbid_unknown_fields=True):
    content: str | UnsetType = UNSET


# The same of clients that send an answer back with all of its fields, of which many say nothing. Not every host knows
# them, so these messages are written again without.
_Nothing = Annotated[list[Any], Meta(max_length=0)] | None
_NoWords = Literal[""] | None


class _WholeAssistant(OpenAIAssistantMessage, gc=False, forbid_unknown_fields=True):
    content: str | UnsetType | None = UNSET
    tool_calls: list[_Call] | UnsetType | None = UNSET
    reasoning_content: _NoWords | UnsetType = UNSET
    audio: UnsetType | None = UNSET
    refusal: _NoWords | UnsetType = UNSET
    function_call: UnsetType | None = UNSET
    reasoning: _NoWords | UnsetType = UNSET
    annotations: _Nothing | UnsetType = UNSET


_messages = msgspec.json.Decoder(list[_System | _User | _Assistant | _Tool])
_whole_messages = msgspec.json.Decoder(list[_System | _User | _WholeAssistant | _Tool])
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
    written = AS_THEY_CAME
    try:
        messages = _messages.decode(fields["messages"])
    except msgspec.ValidationError:
        messages = list(map(_without_nothings, _whole_messages.decode(fields["messages"])))
        written = {"messages": body.whole(memoryview(dumps(messages)))}
    for message in messages:
        if message.content.__class__ is not str and not _goes_on(message):
            return None
        message.tell(turns)
    return turns.chat("chat", body, opened, settings_in(fields, _NOT_ASKED), usage=usage, written=written)


_NOT_ASKED = frozenset({"model", "messages", "stream", "stream_options", *VARYING})


def _without_nothings(
    message: _System | _User | _WholeAssistant | _Tool,
) -> _System | _User | _Assistant | _Tool:
    if isinstance(message, _WholeAssistant):
        return _Assistant(content=message.content or None, tool_calls=message.tool_calls or UNSET)
    return message


def _goes_on(message: _System | _User | _Assistant | _Tool) -> bool:
    """Return whether a message that is not one text goes on as it came. Words alone are put together by the executor,
    which many templates need."""
    if isinstance(message, _User):
        return any(isinstance(part, ImagePart) for part in message.content or ())
    return isinstance(message, _Assistant) and bool(message.tool_calls)
