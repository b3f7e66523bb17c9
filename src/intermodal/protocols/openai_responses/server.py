"""The server side of OpenAI's responses API: reads a client's request. ``server_events.py`` writes the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from intermodal.content import Opaque, Refusal, Role, ToolCall, ToolResult
from intermodal.protocols.calls import ChatCall, PromptCall, WireAudio, WireLink, WireMessage, WirePart, WireText
from intermodal.protocols.conversation import merge_neighbours
from intermodal.protocols.framing.inline_media import decode_base64
from intermodal.protocols.framing.json_body import dumps
from intermodal.protocols.request_fields import read_settings
from intermodal.protocols.request_validation import (
    document_from_data_uri,
    image_from_url,
    quote_value,
    read_bool,
    read_messages,
    read_model,
    read_prompt,
    read_prompt_object,
    read_request,
    read_response_format,
    read_role,
    read_tool_choice,
    read_tools,
    require_list,
    require_text,
)
from intermodal.request import Sampling

ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


_NAMES: dict[str, str] = {
    "sampling.max_tokens": "max_output_tokens", "output.schema": "text.format's schema",
    "output.name": "text.format's name", "candidates": "top_logprobs", "messages.parts.format": "input_audio.format",
    "messages.parts.detail": "an image's detail", "messages.parts.id": "a call_id",
    "messages.parts.name": "the name of a tool or of a file", "tools.schema": "a tool's parameters",
    "tools.description": "a tool's description",
}  # fmt: skip


def _nothing_kept(name: str) -> Any:
    raise ValueError("item_reference names something kept here, and nothing is kept: send the item itself")


def decode_request(body: bytes, find: Callable[[str], Any] = _nothing_kept) -> ChatCall:
    """Return the call in a body. ``find`` returns the item of an earlier answer by its id.

    Raises ValueError for a body that holds no call, and whatever ``find`` raises.
    """
    return read_request(body, "a responses request", lambda tree: _read(tree, find), _NAMES)


def _read(tree: dict[str, Any], find: Callable[[str], Any]) -> ChatCall:
    for name in ("previous_response_id", "conversation"):
        if tree.get(name):
            raise ValueError(f"{name} asks for something kept here, and nothing is kept: send the whole conversation")
    prompt = _prompt(tree)
    given = tree.get("input")
    said = isinstance(given, str)
    given = [{"role": "user", "content": given}] if said else read_messages(tree, "input", prompt)
    given = [find(require_text(item["id"], "an id")) if _refers(item) else item for item in given]
    first = ({"role": "system", "content": tree["instructions"]},) if tree.get("instructions") else ()
    tools, choice = read_tool_choice(tree.get("tool_choice"), read_tools(tree.get("tools")))
    return ChatCall(
        model=read_model(tree, prompt),
        messages=merge_neighbours(_messages((*first, *given))),
        output=read_response_format((tree.get("text") or {}).get("format")),
        sampling=Sampling(
            max_tokens=tree.get("max_output_tokens"), temperature=tree.get("temperature"), top_p=tree.get("top_p")
        ),
        settings=read_settings(tree, "openai-responses"),
        stream=read_bool(tree, "stream", False),
        candidates=tree.get("top_logprobs") or 0,
        tools=tools,
        tool_choice=choice,
        parallel_tools=read_bool(tree, "parallel_tool_calls", True),
        prompt=prompt,
    )


def _prompt(tree: dict[str, Any]) -> PromptCall | None:
    """Return the prompt that the request names, in OpenAI's fields or in LiteLLM's."""
    said = tree.get("prompt")
    if not said:
        return read_prompt(tree, _read_part, _MEDIA)
    if not isinstance(said, dict):
        raise ValueError("prompt is no object")
    if any(tree.get(f"prompt_{name}") is not None for name in ("id", "version", "variables")):
        raise ValueError("there are prompt and prompt_id: send one of them")
    require_text(said["id"], "the id of a prompt")
    return read_prompt_object(said, _read_part, _MEDIA)


def _refers(item: Any) -> bool:
    """Return whether an item only refers to another. Its type may be absent: messages, the other items without one,
    have a role.
    """
    kind = item.get("type")
    return bool(kind == "item_reference" or (not kind and "id" in item and "role" not in item))


def _messages(given: tuple[Any, ...]) -> Iterator[WireMessage]:
    """Return the messages; media of tool results go into the user message after the last of them."""
    shown: list[WirePart] = []
    for message in (message for item in given for message in _read_item(item)):
        if message.role == "tool":
            shown += message.parts[1:]
            message = WireMessage(role="tool", parts=message.parts[:1])
        elif shown:
            yield WireMessage(role="user", parts=tuple(shown))
            shown = []
        yield message
    if shown:
        yield WireMessage(role="user", parts=tuple(shown))


_ITEMS = "message, function_call, function_call_output, reasoning and item_reference"
# Parts that are media, and where each has its own.
_MEDIA: Mapping[str, tuple[str, ...]] = {
    "input_image": ("image_url", "file_id"), "input_audio": ("input_audio",),
    "input_file": ("file_data", "file_url", "file_id"),
}  # fmt: skip
_PARTS = "input_text, output_text, refusal, input_image, input_audio and input_file"


def _read_item(item: Any) -> Iterator[WireMessage]:
    kind = item.get("type") or "message"
    if kind == "message":
        content = item["content"]
        parts = (
            [{"type": "input_text", "text": content}] if isinstance(content, str) else require_list(content, "content")
        )
        yield WireMessage(role=read_role(item, ROLES), parts=tuple(map(_read_part, parts)))
    elif kind == "function_call":
        call = ToolCall(id=item["call_id"], name=item["name"], arguments=require_text(item["arguments"], "arguments"))
        yield WireMessage(role="assistant", parts=(call,))
    elif kind == "function_call_output":
        output = item["output"]
        given = [] if isinstance(output, str) else [_read_part(part) for part in require_list(output, "output")]
        said = [output] if isinstance(output, str) else [part.text for part in given if isinstance(part, WireText)]
        result = ToolResult(id=item["call_id"], text="".join(said))
        yield WireMessage(role="tool", parts=(result, *(part for part in given if not isinstance(part, WireText))))
    elif kind == "reasoning":
        yield WireMessage(role="assistant", parts=(Opaque(wire="openai_responses", body=dumps(item).decode()),))
    else:
        raise ValueError(f"an item of type {quote_value(kind)} is not read here: leave it out. There are {_ITEMS}")


def _read_part(part: Any) -> WirePart:
    kind = part["type"]
    if kind in ("input_text", "output_text", "text"):
        return WireText(text=require_text(part["text"], "a text"))
    if kind == "refusal":
        return Refusal(text=require_text(part["refusal"], "a refusal"))
    if kind == "input_image":
        if part.get("file_id") and not part.get("image_url"):
            raise ValueError("file_id names a picture that is kept elsewhere, and none is kept here: send image_url")
        return image_from_url(part["image_url"], part.get("detail") or "auto")
    if kind == "input_audio":
        audio = part["input_audio"]
        return WireAudio(data=decode_base64(audio["data"]), format=audio["format"])
    if kind != "input_file":
        raise ValueError(f"a part of type {quote_value(kind)} is not read here: there are {_PARTS}")
    if part.get("file_url"):
        return WireLink(of="document", url=require_text(part["file_url"], "file_url"))
    return document_from_data_uri(part.get("file_data"), part.get("filename"), part.get("file_id"))
