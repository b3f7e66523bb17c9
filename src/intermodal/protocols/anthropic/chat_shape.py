"""Parse chats of Anthropic's clients, as far as the direct path needs; see ``openai_chat/chat_shape.py``.

Blocks go to the host as they came, with their cache marks: without these every turn of a long conversation is paid in
full.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from intermodal.protocols.framing.image_facts import ImageFacts, image_in_base64
from intermodal.protocols.framing.media_extraction import ExtractedBody
from intermodal.protocols.parsed_chat import (
    ParsedChat,
    TextMeasurer,
    TextSizes,
    measured,
    opened_body,
    settings_in,
)
from intermodal.protocols.request_fields import passthrough_fields

KEPT = (
    "system", "messages", "temperature", "top_p", "stop_sequences", "tools", "tool_choice", "cache_control",
    "output_config", *passthrough_fields("anthropic"),
)  # fmt: skip
TAKEN = frozenset({"model", "stream", "max_tokens", "metadata", "intermodal", *KEPT})
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
    """What goes on of ``output_config``: the effort as it came, and a schema as the host can be held to it."""

    effort: str | None = None
    format: dict[str, Any] | None = None


_messages = msgspec.json.Decoder(list[_Message])
_output = msgspec.json.Decoder(_Output)
_system = msgspec.json.Decoder(str | list[_Block])


def chat_of(body: ExtractedBody, owner: str, measure: TextMeasurer) -> ParsedChat | None:
    """The chat a body says, if the lane may take it."""
    opened = opened_body(body.text, TAKEN)
    if opened is None:
        return None
    fields, model, stream = opened
    try:
        messages = _messages.decode(fields["messages"])
        system = _system.decode(fields["system"]) if "system" in fields else ""
        if "output_config" in fields:
            _output.decode(fields["output_config"])
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, RecursionError):
        return None
    reader = _Reader(body, owner, measure)
    if not reader.system(system) or not all(map(reader.message, messages)):
        return None
    settings = settings_in(fields, _NOT_ASKED, _VARYING)
    pictured = bool(reader.pictures)
    asked = _question(messages)
    question = measure.question(asked, pictured=pictured)
    return ParsedChat(
        body=body, fields=fields, model=model, shape=("messages", model, stream, settings, question, *reader.shapes),
        stream=stream, usage=True, pictures=tuple(reader.pictures), texts=tuple(reader.texts),
        messages=len(messages), before=reader.before, said=reader.digest,
        asked=asked if pictured else "",
    )  # fmt: skip


def _question(messages: list[_Message]) -> str:
    """As ``planner/planning_case.py`` finds it: in the last message that is no turn of calling tools."""
    for message in reversed(messages):
        if isinstance(message.content, str):
            return message.content
        rest = [block for block in message.content if block.type != "tool_result"]
        if rest and not any(block.type in ("tool_use", "thinking") for block in rest):
            return " ".join(block.text for block in rest if block.text is not None)
    return ""


class _Reader:
    """Goes through the messages in their order; False from what the lane does not take."""

    def __init__(self, body: ExtractedBody, owner: str, measure: TextMeasurer) -> None:
        self.digest: Any = hashlib.sha256(owner.encode())
        self.before: bytes | None = None
        self.shapes: list[object] = []
        self.pictures: list[ImageFacts] = []
        self.texts: list[TextSizes] = []
        self._body = body
        self._measure = measure
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
        if message.role == self._last:  # two that are one everywhere else: the executor puts them together
            return False
        self._last = message.role
        if isinstance(blocks, str):
            done = self._words(message.role, blocks)
        else:
            # Results come first: they are a message of their own everywhere else.
            results = [block for block in blocks if block.type == "tool_result"]
            rest = [block for block in blocks if block.type != "tool_result"]
            done = all(map(self._result, results)) and all(self._block(message.role, block) for block in rest)
            done = done and bool(blocks)
        if message.role == "assistant":
            self.before = self.digest.copy().digest()
        return done

    def _turn(self, role: str) -> None:
        if role != self._role:  # neighbours of one role are one message
            self._role = role
            self.digest.update(b"\0\0%b" % role.encode())
            self.shapes.append(role)

    def _words(self, role: str, text: str) -> bool:
        if not text.strip():
            return False
        self._turn(role)
        self.digest.update(b"\0" + text.strip().encode("utf-8", "replace"))
        self.shapes.append(measured(text, self._measure, self.texts))
        return True

    def _result(self, block: _Block) -> bool:
        content = block.content or ""
        if not isinstance(content, str):
            if not all(inner.type == "text" and inner.text is not None for inner in content):
                return False
            content = "\n".join(inner.text or "" for inner in content)
        self._turn("tool")
        self.digest.update(b"\0" + content.encode("utf-8", "replace"))
        self.shapes.append(("result", measured(content, self._measure, self.texts)))
        return True

    def _block(self, role: str, block: _Block) -> bool:
        if block.type == "text" and block.text is not None:
            return self._words(role, block.text)
        if block.type == "image" and block.source is not None and role == "user":
            return self._picture(block.source)
        if block.type == "tool_use" and role == "assistant":
            self._turn(role)
            self.digest.update(b"\0" + block.name.encode("utf-8", "replace"))
            arguments = bytes(block.input).decode("utf-8", "replace")
            self.shapes.append(("call", block.name, measured(arguments, self._measure, self.texts)))
            return True
        if block.type == "thinking" and block.thinking is not None and role == "assistant":
            self._turn(role)
            self.shapes.append(("thinking", measured(block.thinking, self._measure, self.texts)))
            return True
        return False

    def _picture(self, source: _Source) -> bool:
        if source.type != "base64":
            return False
        found = image_in_base64(self._body.media(memoryview(source.data)[1:-1]), source.media_type.encode())
        if found is None:
            return False
        self._turn("user")
        self.digest.update(b"\0" + found.digest)
        self.pictures.append(found)
        self.shapes.append((found.media_type, found.width, found.height, found.size.bit_length()))
        return True
