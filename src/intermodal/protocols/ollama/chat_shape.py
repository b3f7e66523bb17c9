"""Parse chats of Ollama's clients, as far as the direct path needs; see ``openai_chat/chat_shape.py``.

Messages are written again as the codec writes them: a tool result names its tool, and a tool call has an id.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from intermodal.protocols.conversation import ToolCallIds
from intermodal.protocols.framing.image_facts import ImageFacts, image_in_base64
from intermodal.protocols.framing.json_body import dumps, loads
from intermodal.protocols.framing.media_extraction import ExtractedBody
from intermodal.protocols.parsed_chat import (
    ConversationReader,
    Opened,
    ParsedChat,
    TextMeasurer,
    read_conversation,
    settings_in,
)
from intermodal.protocols.request_fields import direct_fields

KEPT = ("messages",)
_TAKEN = direct_fields("ollama")
_NOT_ASKED = frozenset({"model", "messages", "stream"})
_KINDS = ((b"iVBORw0KGgo", b"image/png"), (b"/9j/", b"image/jpeg"))  # the first bytes of either, in base64
_NOTHING = b'""'
Pieces = list[bytes | memoryview]


class _Function(msgspec.Struct):
    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


class _Call(msgspec.Struct):
    function: _Function
    id: str | None = None


class _Message(msgspec.Struct):
    role: Literal["system", "user", "assistant", "tool"]
    content: msgspec.Raw = msgspec.Raw(b"null")
    images: list[msgspec.Raw] | None = None
    thinking: msgspec.Raw = msgspec.Raw(b"null")
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    tool_name: str | None = None


_messages = msgspec.json.Decoder(list[_Message])
_word = msgspec.json.Decoder(str | None)


def chat_of(body: ExtractedBody, owner: str, measure: TextMeasurer) -> ParsedChat | None:
    """Return the chat in a body; None where it is not for the direct path."""
    return read_conversation(body, owner, measure, _TAKEN, _read, unread="ollama")


def _read(body: ExtractedBody, opened: Opened, turns: ConversationReader) -> ParsedChat | None:
    fields, model, stream = opened
    stream = stream or bytes(fields.get("stream", b"null")) == b"null"  # which is what is not said
    reader = _Reader(body, turns)
    if not all(map(reader.message, _messages.decode(fields["messages"]))):
        return None
    settings = settings_in(fields, _NOT_ASKED, frozenset())
    return turns.chat("ollama", body, (fields, model, stream), settings, written={"messages": reader.written()})


class _Reader:
    """Goes through the messages in their order; False from what is not taken."""

    def __init__(self, body: ExtractedBody, turns: ConversationReader) -> None:
        self._body = body
        self._turns = turns
        self._called = ToolCallIds()
        self._out: Pieces = [b"["]

    def written(self) -> Pieces:
        return [*self._out, b"]"]

    def message(self, message: _Message) -> bool:
        role, turns = message.role, self._turns
        if len(self._out) > 1:
            self._out.append(b",")
        self._out.append(b'{"role":"%b","content":' % role.encode())
        turns.begin(role)
        self._called.begin(role)
        said = _word.decode(message.content) or ""
        self._out.append(memoryview(message.content) if said else _NOTHING)
        done = self._result(message, said) if role == "tool" else self._parts(message, said)
        self._out.append(b"}")
        if role == "assistant":
            turns.answered()
        return done

    def _result(self, message: _Message, said: str) -> bool:
        name = self._called.result(message.tool_call_id, message.tool_name)
        self._out += (b',"tool_call_id":', dumps(name))
        if name in self._called.tools:
            self._out += (b',"tool_name":', dumps(self._called.tools[name]))
        return self._turns.result(said)

    def _parts(self, message: _Message, said: str) -> bool:
        """In their order: pictures, thoughts, words, calls."""
        turns, answers = self._turns, message.role == "assistant"
        thought = _word.decode(message.thinking) or ""
        if (message.images and message.role != "user") or ((thought or message.tool_calls) and not answers):
            return False
        if not said and not thought and not message.tool_calls:
            return False
        for number, image in enumerate(message.images or ()):
            if not turns.picture(_seen(self._body.media(memoryview(image)[1:-1])), "auto"):
                return False
            self._out += (b"," if number else b',"images":[', *self._body.whole(memoryview(image)))
        if message.images:
            self._out.append(b"]")
        if thought:
            self._out += (b',"thinking":', memoryview(message.thinking))
            if not turns.thought(thought):
                return False
        if said and not turns.words(said):
            return False
        return self._calls(message.tool_calls or [])

    def _calls(self, calls: list[_Call]) -> bool:
        for number, call in enumerate(calls):
            tool = call.function.name
            name = self._called.call(call.id, tool)
            arguments = dumps(loads(bytes(call.function.arguments)) or {})
            if arguments[:1] != b"{":
                return False
            self._out += (
                b"," if number else b',"tool_calls":[', b'{"id":', dumps(name), b',"function":{"name":', dumps(tool),
                b',"arguments":', arguments, b"}}",
            )  # fmt: skip
            if not self._turns.call(tool, arguments.decode()):
                return False
        if calls:
            self._out.append(b"]")
        return True


def _seen(coded: memoryview) -> ImageFacts | None:
    begin = bytes(coded[:16])
    media_type = next((kind for first, kind in _KINDS if begin.startswith(first)), b"")
    return image_in_base64(coded, media_type) if media_type else None
