"""Parse chats of Anthropic's clients, as far as the direct path needs; see ``openai_chat/chat_shape.py``.

Blocks go to the host as they came, with their cache marks: without these every turn of a long conversation is paid in
full.
"""

from __future__ import annotations

from typing import Any

import msgspec

from intermodal.protocols.anthropic.messages import (
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
)
from intermodal.protocols.framing.inline_media import ExtractedBody
from intermodal.protocols.parsed_chat import (
    ConversationReader,
    Opened,
    ParsedChat,
    TextMeasurer,
    read_conversation,
    settings_in,
)
from intermodal.protocols.request_fields import direct_fields, passthrough_fields

KEPT = (
    "system", "messages", "temperature", "top_p", "stop_sequences", "tools", "tool_choice", "cache_control",
    "output_config", *passthrough_fields("anthropic"),
)  # fmt: skip
_TAKEN = direct_fields("anthropic")
_NOT_ASKED = frozenset({"model", "messages", "system", "stream", "metadata"})
_VARYING = frozenset({"metadata"})


# The messages that go on as they came. What their types do not have goes on unread, as a client of this API means it.


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
    """Return the chat in a body; None where it is not for the direct path."""
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
        if last == message.ROLE or not message.content:  # two of one role are one everywhere else
            return None
        last = message.ROLE
        message.tell(merged)
    return turns.chat("messages", body, opened, settings_in(fields, _NOT_ASKED, _VARYING))
