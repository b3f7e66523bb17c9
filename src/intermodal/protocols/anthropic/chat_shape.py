"""Parse chats of Anthropic's clients, as far as the direct path needs; see ``openai_chat/chat_shape.py``.

Blocks go to the host as they came, with their cache marks: without these every turn of a long conversation is paid in
full.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from intermodal.protocols.framing.image_facts import image_in_base64
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


class _Source(msgspec.Struct):
    type: str
    media_type: str = ""
    data: msgspec.Raw = msgspec.Raw()


class _Block(msgspec.Struct):
    type: str
    text: str | None = None
    source: _Source | None = None
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw()
    tool_use_id: str = ""
    content: str | list[_Block] | None = None
    thinking: str | None = None


class _Message(msgspec.Struct):
    role: Literal["user", "assistant"]
    content: str | list[_Block]


class _Output(msgspec.Struct, forbid_unknown_fields=True):
    """The part of ``output_config`` that is forwarded: the effort unchanged, and a schema in a form that the host can
    enforce.
    """

    effort: str | None = None
    format: dict[str, Any] | None = None


_messages = msgspec.json.Decoder(list[_Message])
_output = msgspec.json.Decoder(_Output)
_system = msgspec.json.Decoder(str | list[_Block])


def chat_of(body: ExtractedBody, owner: str, measure: TextMeasurer) -> ParsedChat | None:
    """Return the chat in a body; None where it is not for the direct path."""
    return read_conversation(body, owner, measure, _TAKEN, _read)


def _read(body: ExtractedBody, opened: Opened, turns: ConversationReader) -> ParsedChat | None:
    fields = opened[0]
    messages = _messages.decode(fields["messages"])
    system = _system.decode(fields["system"]) if "system" in fields else ""
    if "output_config" in fields:
        _output.decode(fields["output_config"])
    reader = _Reader(body, turns)
    if not reader.system(system) or not all(map(reader.message, messages)):
        return None
    return turns.chat("messages", body, opened, settings_in(fields, _NOT_ASKED, _VARYING))


class _Reader:
    """Goes through the messages in their order; False from what is not taken."""

    def __init__(self, body: ExtractedBody, turns: ConversationReader) -> None:
        self._body = body
        self._turns = turns
        self._role = ""
        self._last = ""  # role of the message before

    def system(self, said: str | list[_Block]) -> bool:
        if isinstance(said, str):
            words = said
        elif all(block.type == "text" and block.text is not None for block in said):
            words = "\n\n".join(block.text or "" for block in said)
        else:
            return False
        return not words or self._words("system", words)

    def message(self, message: _Message) -> bool:
        blocks = message.content
        if message.role == self._last:  # two messages of one role are one everywhere else: the executor merges them
            return False
        self._last = message.role
        if isinstance(blocks, str):
            done = self._words(message.role, blocks)
        else:
            # Results come first: everywhere else they are a message of their own.
            results = [block for block in blocks if block.type == "tool_result"]
            rest = [block for block in blocks if block.type != "tool_result"]
            done = all(map(self._result, results)) and all(self._block(message.role, block) for block in rest)
            done = done and bool(blocks)
        if message.role == "assistant":
            self._turns.answered()
        return done

    def _turn(self, role: str) -> ConversationReader:
        if role != self._role:  # neighbours of one role are one message
            self._role = role
            self._turns.begin(role)
        return self._turns

    def _words(self, role: str, text: str) -> bool:
        if role == self._role:
            return self._turns.words(text)
        self._role = role
        return self._turns.says(role, text)

    def _result(self, block: _Block) -> bool:
        content = block.content or ""
        if not isinstance(content, str):
            if not all(inner.type == "text" and inner.text is not None for inner in content):
                return False
            content = "\n".join(inner.text or "" for inner in content)
        return self._turn("tool").result(content)

    def _block(self, role: str, block: _Block) -> bool:
        if block.type == "text" and block.text is not None:
            return self._words(role, block.text)
        if block.type == "image" and block.source is not None and role == "user":
            return self._picture(block.source)
        if block.type == "tool_use" and role == "assistant":
            return self._turn(role).call(block.name, bytes(block.input).decode("utf-8", "replace"))
        if block.type == "thinking" and block.thinking is not None and role == "assistant":
            return self._turn(role).thought(block.thinking)
        return False

    def _picture(self, source: _Source) -> bool:
        if source.type != "base64":
            return False
        found = image_in_base64(self._body.media(memoryview(source.data)[1:-1]), source.media_type.encode())
        return self._turn("user").picture(found, "auto")
