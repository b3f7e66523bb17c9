"""Convert the call of a gateway client to a ``Request``. File locations stay locations: ``media/fetch.py`` opens them.

The protocols themselves know no file locations (a test checks that), so this module is above them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import assert_never

from intermodal.core import content
from intermodal.core.content import BytesSource, MediaPart, Part, UrlSource
from intermodal.core.request import Message, Policy, Request
from intermodal.protocols.calls import (
    ChatCall,
    CodedImage,
    WireAudio,
    WireDocument,
    WireImage,
    WireLink,
    WirePart,
    WireText,
    WireVideo,
)


def request_from_call(
    call: ChatCall, policy: Policy | None = None, messages: tuple[Message, ...] | None = None
) -> Request:
    """Convert a client's call to a request. The caller resolves the model in the call, which may name a policy.

    ``messages`` replace the messages of the call.
    """
    return Request(
        messages=messages_from_call(call) if messages is None else messages,
        output=call.output,
        sampling=call.sampling,
        policy=policy or Policy(),
        tools=call.tools,
        tool_choice=call.tool_choice,
        parallel_tools=call.parallel_tools,
        cache=call.cache,
        settings=call.settings,
    )


def messages_from_call(call: ChatCall) -> tuple[Message, ...]:
    """Return the messages of a client's call."""
    unnamed: Counter[str] = Counter()
    return tuple(
        Message(role=message.role, parts=tuple(_convert_part(part, unnamed) for part in message.parts))
        for message in call.messages
        if message.parts
    )


_KINDS: Mapping[str, type[MediaPart]] = {
    "image": content.Image, "audio": content.Audio, "video": content.Video, "document": content.Document,
}  # fmt: skip


def _convert_part(part: WirePart, unnamed: Counter[str]) -> Part:
    """Convert a part. ``unnamed``: the number of preceding files without a name, by modality."""

    def default_name(word: str, name: str = "") -> str:
        if name:
            return name
        unnamed[word] += 1
        return word if unnamed[word] == 1 else f"{word} {unnamed[word]}"  # in every later turn, too

    if isinstance(part, WireText):
        return content.Text(text=part.text, name=part.name)
    if isinstance(part, WireImage):
        return content.Image(source=BytesSource(data=part.data, name=default_name("image")), detail=part.detail)
    if isinstance(part, WireAudio):
        return content.Audio(source=BytesSource(data=part.data, name=default_name("recording")))
    if isinstance(part, WireVideo):
        return content.Video(source=BytesSource(data=part.data, name=default_name("video")))
    if isinstance(part, WireDocument):
        return content.Document(source=BytesSource(data=part.data, name=default_name("document", part.name)))
    if isinstance(part, WireLink):
        return _link(part)
    if isinstance(part, CodedImage):
        raise TypeError("an image that stays in a client's body belongs to the direct path")
    if isinstance(part, (content.ToolCall, content.ToolResult, content.Reasoning, content.Refusal, content.Opaque)):
        return part
    assert_never(part)


def _link(part: WireLink) -> Part:
    source = UrlSource(url=part.url)
    if part.media_kind == "image":
        return content.Image(source=source, detail=part.detail)
    return _KINDS[part.media_kind](source=source)
