"""Parse chats of OpenAI's clients, as far as the direct path needs: sizes, and where large parts are. No copies.

``None`` means that the chat is not for the direct path, for whatever reason: the executor reads it again and reports
what is wrong.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from intermodal.protocols.framing.image_facts import ImageFacts, image_in_data_url
from intermodal.protocols.framing.media_extraction import ExtractedBody
from intermodal.protocols.parsed_chat import (
    LONG,
    VARYING,
    ParsedChat,
    TextMeasurer,
    TextSizes,
    measured,
    opened_body,
    raw_field,
    settings_in,
)
from intermodal.protocols.request_fields import IDENTIFIERS, passthrough_fields

# Fields that go on as they came, and those that stay here: what they say is in the plan, or no host is told.
KEPT = (
    "messages", "temperature", "top_p", "stop", "tools", "tool_choice", "parallel_tool_calls", "seed",
    *(name for name in passthrough_fields("openai") if name not in IDENTIFIERS),
)  # fmt: skip
TAKEN = frozenset({
    "model", "stream", "stream_options", "response_format", "max_tokens", "max_completion_tokens", "n", "user",
    "metadata", "store", "intermodal", *IDENTIFIERS, *KEPT,
})  # fmt: skip
# What is not named here does not go on: a message is passed on as it came, and nobody looked at the rest of it.


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
    """The chat a body says, if the lane may take it."""
    opened = opened_body(body.text, TAKEN)
    if opened is None:
        return None
    fields, model, stream = opened
    try:
        messages = _messages.decode(fields["messages"])
        usage = False
        if "stream_options" in fields:
            options = _options.decode(fields["stream_options"])
            usage = options.get("include_usage") is True
            if len(options) > ("include_usage" in options):  # others are named in the answer
                return None
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, RecursionError):
        return None
    if raw_field(fields, "n") not in (b"", b"1", _NULL):
        return None
    digest, before = hashlib.sha256(owner.encode()), b""
    shapes: list[object] = []
    pictures: list[ImageFacts] = []
    texts: list[TextSizes] = []
    for message in messages:
        shape = _shape(message, body, measure, digest, pictures, texts)
        if shape is None:
            return None
        shapes.append(shape)
        if message.role == "assistant":
            before = digest.copy().digest()
    settings = settings_in(fields, _NOT_ASKED)
    asked = _question(messages)
    question = measure.question(asked, pictured=bool(pictures))
    return ParsedChat(
        body=body, fields=fields, model=model, shape=(model, stream, settings, question, *shapes),
        stream=stream, usage=usage, pictures=tuple(pictures), texts=tuple(texts), messages=len(messages),
        before=before or None, said=digest, asked=asked if pictures else "",
    )  # fmt: skip


def _question(messages: list[_Message]) -> str:
    """As ``planner/planning_case.py`` finds it: the last message that is no turn of calling tools."""
    for message in reversed(messages):
        if message.role != "tool" and not message.tool_calls:
            if not isinstance(message.content, list):
                return message.content or ""
            return " ".join(part.text for part in message.content if part.text is not None)
    return ""


_NOT_ASKED = frozenset({"model", "messages", "stream", "stream_options", *VARYING})


def _shape(
    message: _Message,
    body: ExtractedBody,
    measure: TextMeasurer,
    digest: Any,
    pictures: list[ImageFacts],
    texts: list[TextSizes],
) -> tuple[object, ...] | None:
    """What a plan depends on in a message; its name goes into the digest as ``conversations.py`` has it."""
    if message.reasoning_content or message.reasoning or message.refusal or message.audio or message.function_call:
        return None
    if message.annotations:
        return None
    digest.update(b"\0\0%b" % message.role.encode())
    content = message.content
    if isinstance(content, str) and len(content) > LONG:
        return None
    if message.role == "tool":
        if not isinstance(content, str) or message.tool_call_id is None or message.tool_calls:
            return None
        digest.update(b"\0" + content.encode("utf-8", "replace"))
        return "tool", measured(content, measure, texts)
    if isinstance(content, str):
        if not content.strip():
            return None
        digest.update(b"\0" + content.strip().encode("utf-8", "replace"))
        shape: tuple[object, ...] = (message.role, measured(content, measure, texts))
    elif content is None:
        if not message.tool_calls:
            return None
        shape = (message.role,)
    else:
        parts = _parts(message, content, body, measure, digest, pictures, texts)
        if parts is None:
            return None
        shape = (message.role, *parts)
    if message.tool_calls:
        if message.role != "assistant":
            return None
        for call in message.tool_calls:
            name, arguments = call.function.name, call.function.arguments
            digest.update(b"\0" + name.encode("utf-8", "replace"))
            shape = (*shape, "call", name, measured(arguments, measure, texts))
    return shape


def _parts(
    message: _Message,
    content: list[_Part],
    body: ExtractedBody,
    measure: TextMeasurer,
    digest: Any,
    pictures: list[ImageFacts],
    texts: list[TextSizes],
) -> list[object] | None:
    """Words and pictures. Words alone are put together by the executor, which many templates need."""
    if message.role != "user" or all(part.type == "text" for part in content):
        return None
    shapes: list[object] = []
    for part in content:
        if part.type == "text" and part.text is not None and part.text.strip() and len(part.text) <= LONG:
            digest.update(b"\0" + part.text.strip().encode("utf-8", "replace"))
            shapes.append(measured(part.text, measure, texts))
        elif part.type == "image_url" and part.image_url is not None:
            found = image_in_data_url(memoryview(part.image_url.url), body.media)
            if found is None:
                return None
            digest.update(b"\0" + found.digest)
            pictures.append(found)
            shapes.append((found.media_type, found.width, found.height, found.size.bit_length(), part.image_url.detail))
        else:
            return None
    return shapes
