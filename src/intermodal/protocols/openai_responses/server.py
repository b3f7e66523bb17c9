"""The server side of OpenAI's Responses API: reads a client's request, writes the answer.

Clients assemble the typed events of a stream, so none may be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from intermodal.core.content import Opaque, Refusal, Role, ToolCall, ToolResult
from intermodal.core.request import Sampling
from intermodal.protocols.calls import (
    ChatCall,
    Error,
    Finish,
    OpaqueBlock,
    PromptCall,
    ReasoningDelta,
    RefusalDelta,
    TokenLogprobs,
    ToolCallDelta,
    WireAudio,
    WireEvent,
    WireLink,
    WireMessage,
    WirePart,
    WireText,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.conversation import merge_neighbours
from intermodal.protocols.errors.responses import error_response
from intermodal.protocols.framing.inline_media import decode_base64
from intermodal.protocols.framing.json_body import dumps, loads
from intermodal.protocols.openai_chat.server import sse_event, with_run_summary, write_error, write_logprobs
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

OWN = "openai_responses"  # of content.Opaque
ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}

# ---- the request -------------------------------------------------------------------------------

_NAMES: dict[str, str] = {
    "sampling.max_tokens": "max_output_tokens", "output.schema": "text.format's schema",
    "output.name": "text.format's name", "candidates": "top_logprobs", "messages.parts.format": "input_audio.format",
    "messages.parts.detail": "an image's detail", "messages.parts.id": "a call_id",
    "messages.parts.name": "the name of a tool or of a file", "tools.schema": "a tool's parameters",
    "tools.description": "a tool's description",
}  # fmt: skip


def _find_no_item(name: str) -> Any:
    raise ValueError("item_reference names something kept here, and nothing is kept: send the item itself")


def decode_request(body: bytes, find: Callable[[str], Any] = _find_no_item) -> ChatCall:
    """Return the call in a body. ``find`` returns the item of an earlier answer by its id.

    Raises ValueError for a body without a valid call, and whatever ``find`` raises.
    """
    return read_request(body, "a responses request", lambda tree: _chat_call_of(tree, find), _NAMES)


def _chat_call_of(tree: dict[str, Any], find: Callable[[str], Any]) -> ChatCall:
    for name in ("previous_response_id", "conversation"):
        if tree.get(name):
            raise ValueError(f"{name} asks for something kept here, and nothing is kept: send the whole conversation")
    prompt = _prompt(tree)
    messages = read_turns(tree, find, prompt=prompt)
    tools, choice = read_tool_choice(tree.get("tool_choice"), read_tools(tree.get("tools")))
    return ChatCall(
        model=read_model(tree, prompt),
        messages=messages,
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


Image = Callable[[Any, Any], WirePart]  # reads an image by its URL and detail


def read_turns(
    tree: dict[str, Any], find: Callable[[str], Any] = _find_no_item, image: Image = image_from_url, *,
    prompt: PromptCall | None = None,
) -> tuple[WireMessage, ...]:  # fmt: skip
    """Return the messages of ``instructions`` and ``input``."""
    items = tree.get("input")
    is_text = isinstance(items, str)
    items = [{"role": "user", "content": items}] if is_text else read_messages(tree, "input", prompt)
    items = [find(require_text(item["id"], "an id")) if _is_reference(item) else item for item in items]
    first = ({"role": "system", "content": tree["instructions"]},) if tree.get("instructions") else ()
    return merge_neighbours(_messages((*first, *items), image))


def _prompt(tree: dict[str, Any]) -> PromptCall | None:
    """Return the prompt that the request names, in OpenAI's fields or in LiteLLM's."""
    prompt = tree.get("prompt")
    if not prompt:
        return read_prompt(tree, _read_part, _MEDIA)
    if not isinstance(prompt, dict):
        raise ValueError("prompt must be an object")
    if any(tree.get(f"prompt_{name}") is not None for name in ("id", "version", "variables")):
        raise ValueError("there are prompt and prompt_id: send one of them")
    require_text(prompt["id"], "the id of a prompt")
    return read_prompt_object(prompt, _read_part, _MEDIA)


def _is_reference(item: Any) -> bool:
    """Return True if an item only refers to another.

    Its type may be absent: messages, the only other items without a type, have a role.
    """
    kind = item.get("type")
    return bool(kind == "item_reference" or (not kind and "id" in item and "role" not in item))


def _messages(items: tuple[Any, ...], image: Image) -> Iterator[WireMessage]:
    """Yield the messages; media of tool results go into the user message after the last result."""
    result_media: list[WirePart] = []
    for message in (message for item in items for message in _read_item(item, image)):
        if message.role == "tool":
            result_media += message.parts[1:]
            message = WireMessage(role="tool", parts=message.parts[:1])
        elif result_media:
            yield WireMessage(role="user", parts=tuple(result_media))
            result_media = []
        yield message
    if result_media:
        yield WireMessage(role="user", parts=tuple(result_media))


TEXT_PARTS = ("input_text", "output_text", "text")
_ITEMS = "message, function_call, function_call_output, reasoning and item_reference"
# Types of media parts, and the fields that hold the media.
_MEDIA: Mapping[str, tuple[str, ...]] = {
    "input_image": ("image_url", "file_id"), "input_audio": ("input_audio",),
    "input_file": ("file_data", "file_url", "file_id"),
}  # fmt: skip
_PARTS = "input_text, output_text, refusal, input_image, input_audio and input_file"


def _read_item(item: Any, image: Image) -> Iterator[WireMessage]:
    kind = item.get("type") or "message"
    if kind == "message":
        content = item["content"]
        if isinstance(content, str):
            yield WireMessage(role=read_role(item, ROLES), parts=(WireText(text=content),))
            return
        parts = require_list(content, "content")
        yield WireMessage(role=read_role(item, ROLES), parts=tuple([_read_part(part, image) for part in parts]))
    elif kind == "function_call":
        call = ToolCall(id=item["call_id"], name=item["name"], arguments=require_text(item["arguments"], "arguments"))
        yield WireMessage(role="assistant", parts=(call,))
    elif kind == "function_call_output":
        output = item["output"]
        output_parts = (
            [] if isinstance(output, str) else [_read_part(part, image) for part in require_list(output, "output")]
        )
        texts = (
            [output] if isinstance(output, str) else [part.text for part in output_parts if isinstance(part, WireText)]
        )
        result = ToolResult(id=item["call_id"], text="".join(texts))
        yield WireMessage(
            role="tool", parts=(result, *(part for part in output_parts if not isinstance(part, WireText)))
        )
    elif kind == "reasoning":
        yield WireMessage(role="assistant", parts=(Opaque(wire="openai_responses", body=dumps(item).decode()),))
    else:
        raise ValueError(f"an item of type {quote_value(kind)} is not read here: leave it out. There are {_ITEMS}")


def _read_part(part: Any, image: Image = image_from_url) -> WirePart:
    kind = part["type"]
    if kind in TEXT_PARTS:
        return WireText(text=require_text(part["text"], "a text"))
    if kind == "refusal":
        return Refusal(text=require_text(part["refusal"], "a refusal"))
    if kind == "input_image":
        if part.get("file_id") and not part.get("image_url"):
            raise ValueError("file_id names an image that is kept elsewhere, and none is kept here: send image_url")
        return image(part["image_url"], require_text(part.get("detail") or "auto", "an image's detail"))
    if kind == "input_audio":
        audio = part["input_audio"]
        return WireAudio(data=decode_base64(audio["data"]), format=audio["format"])
    if kind != "input_file":
        raise ValueError(f"a part of type {quote_value(kind)} is not read here: there are {_PARTS}")
    if part.get("file_url"):
        return WireLink(media_kind="document", url=require_text(part["file_url"], "file_url"))
    return document_from_data_uri(part.get("file_data"), part.get("filename"), part.get("file_id"))


# ---- the reply ---------------------------------------------------------------------------------

Keep = Callable[[Mapping[str, Any]], None]


# Request fields that the response repeats, with the first characters of a valid value.
_SAID_AGAIN: Mapping[str, bytes] = {
    "instructions": b'"', "metadata": b"{", "max_output_tokens": b"123456789", "temperature": b"0123456789",
    "top_p": b"0123456789", "tools": b"[", "tool_choice": b'"{', "parallel_tool_calls": b"tf",
}  # fmt: skip

STREAM_TYPE = "text/event-stream"

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def echoed_fields(fields: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """Return the request fields that the response repeats, unchanged."""
    names = [name for name in _SAID_AGAIN if name in fields]
    return {name: fields[name] for name in names if memoryview(fields[name])[0] in _SAID_AGAIN[name]}


class OpenAIResponsesStreamEncoder:
    """Writes events as the bytes of a stream.

    Items are numbered; one is open at a time, and its content grows in ``item`` until it is closed.

    Args:
        name: the model as the client named it. created: seconds since the epoch.
        request_fields: the request fields that the response repeats.
        keep: receives the items of an answer that ended properly.
    """

    def __init__(
        self,
        name: str,
        *,
        id: str,
        created: int,
        keep: Keep | None = None,
        request_fields: Mapping[str, Any] | None = None,
    ) -> None:
        self._keep = keep
        self.response: dict[str, Any] = {
            "id": id, "object": "response", "created_at": created, "model": name, "status": "in_progress",
            "output": [], "error": None, "incomplete_details": None, "instructions": None, "metadata": {},
            "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "temperature": None, "top_p": None,
            "max_output_tokens": None, "usage": None, **(request_fields or {}),
        }  # fmt: skip
        self.error: BaseException | None = None
        self._number = 0  # sequence number of the next event
        self._kind = ""  # type of the open item, "" for none
        self._item: dict[str, Any] = {}
        self._call = -1
        self._usage = WireUsage()
        self._refused = False

    def feed(self, event: WireEvent) -> bytes:
        return b"".join(sse_event(tree, tree["type"]) for tree in self._encode_event(event))

    def _encode_event(self, event: WireEvent) -> Iterator[dict[str, Any]]:
        if not self._number:
            for kind in ("response.created", "response.in_progress"):
                yield self._event(kind, response={**self.response})
        if isinstance(event, WireUsage):
            self._usage = event
        elif isinstance(event, WireTextDelta):
            yield from self._open_part(
                "message", {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            )
            yield self._encode_delta("response.output_text.delta", "text", event.text, logprobs=[])
        elif isinstance(event, TokenLogprobs):
            yield from self._open_part(
                "message", {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            )
            yield self._encode_delta("response.output_text.delta", "text", "", logprobs=[write_logprobs(event)])
            self._item["content"][-1]["logprobs"].append(write_logprobs(event))
        elif isinstance(event, RefusalDelta):
            self._refused = True
            yield from self._open_part("message", {"type": "refusal", "refusal": ""})
            yield self._encode_delta("response.refusal.delta", "refusal", event.text)
        elif isinstance(event, ReasoningDelta):
            yield from self._reasoning_events(event)
        elif isinstance(event, ToolCallDelta):
            yield from self._tool_call(event)
        elif isinstance(event, OpaqueBlock):
            if event.wire == OWN:
                yield from self._encode_vendor_item(loads(event.body))
        elif isinstance(event, (Finish, Error)):
            cut = self._incomplete_reason(event)
            yield from self._close("incomplete" if cut or isinstance(event, Error) else "completed")
            yield self._end(event, cut)

    # ---- items

    def _open_part(self, kind: str, part: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Open an item of this kind with a last part of this type, unless it is open; yield the events for that."""
        if self._kind != kind:
            more: dict[str, Any] = {"role": "assistant"} if kind == "message" else {"summary": []}
            yield from self._open(kind, {**more, "content": []})
        parts = self._item["content"]
        if not parts or parts[-1]["type"] != part["type"]:
            yield from self._close_part()
            parts.append(part)
            if kind == "message":
                yield self._of_part("response.content_part.added", part={**part})

    def _open(self, kind: str, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield from self._close()
        self._kind = kind
        name = f"{self.response['id']}_{len(self.response['output'])}"
        self._item = {"type": kind, "id": name, "status": "in_progress", **item}
        yield self._event("response.output_item.added", output_index=self._place, item={**self._item})

    def _encode_delta(self, kind: str, field: str, text: str, **more: Any) -> dict[str, Any]:
        self._item["content"][-1][field] += text
        return self._of_part(kind, delta=text, **more)

    def _reasoning_events(self, event: ReasoningDelta) -> Iterator[dict[str, Any]]:
        """Yield the events of reasoning.

        A summary has its own field in the item, and its own events, which clients expect.
        """
        if not event.summary:
            yield from self._open_part("reasoning", {"type": "reasoning_text", "text": ""})
            yield self._encode_delta("response.reasoning_text.delta", "text", event.text)
            return
        if self._kind != "reasoning":
            yield from self._open("reasoning", {"summary": [], "content": []})
        if not self._item["summary"]:
            self._item["summary"].append({"type": "summary_text", "text": ""})
            yield self._of_summary("part.added", part={**self._item["summary"][0]})
        self._item["summary"][0]["text"] += event.text
        yield self._of_summary("text.delta", delta=event.text)

    def _tool_call(self, event: ToolCallDelta) -> Iterator[dict[str, Any]]:
        if self._kind != "function_call" or event.index != self._call:
            self._call = event.index
            yield from self._open("function_call", {"call_id": event.id, "name": event.name, "arguments": ""})
        if event.arguments:
            self._item["arguments"] += event.arguments
            yield self._of_item("response.function_call_arguments.delta", delta=event.arguments)

    def _encode_vendor_item(self, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield a block of this protocol's own, whole.

        It includes visible reasoning before it, under the id of that: clients reject an item that ends under another
        id.
        """
        if self._kind == "reasoning":
            yield from self._close_part()
            item = {**item, "id": self._item["id"]}
            self._kind = ""
        else:
            yield from self._close()
            yield self._event("response.output_item.added", output_index=self._place, item=item)
        yield self._event("response.output_item.done", output_index=self._place, item=item)
        self.response["output"].append(item)

    def _close_part(self) -> Iterator[dict[str, Any]]:
        for part in self._item.get("summary") or ():
            yield self._of_summary("text.done", text=part["text"])
            yield self._of_summary("part.done", part=part)
        parts = self._item.get("content") or []
        if not parts:
            return
        part = parts[-1]
        if part["type"] == "output_text":
            yield self._of_part("response.output_text.done", text=part["text"], logprobs=part["logprobs"])
        elif part["type"] == "refusal":
            yield self._of_part("response.refusal.done", refusal=part["refusal"])
        else:
            yield self._of_part("response.reasoning_text.done", text=part["text"])
        if self._kind == "message":
            yield self._of_part("response.content_part.done", part=part)

    def _close(self, status: str = "completed") -> Iterator[dict[str, Any]]:
        if not self._kind:
            return
        if self._kind == "function_call":
            arguments = self._item["arguments"] = self._item["arguments"] or "{}"
            name = self._item["name"]
            yield self._of_item("response.function_call_arguments.done", arguments=arguments, name=name)
        else:
            yield from self._close_part()
        self._item["status"] = status
        yield self._event("response.output_item.done", output_index=self._place, item=self._item)
        self.response["output"].append(self._item)
        self._kind, self._item = "", {}

    @property
    def _place(self) -> int:
        return len(self.response["output"])

    # ---- events

    def _incomplete_reason(self, event: Finish | Error) -> str | None:
        """Return why the answer is incomplete; None if it is complete.

        A refusal in words is complete; one that a filter stopped is not.
        """
        refused = isinstance(event, Error) or (self._refused and event.reason == "content_filter")
        return None if refused else _INCOMPLETE.get(event.reason)  # type: ignore[union-attr]

    def _end(self, event: Finish | Error, cut: str | None) -> dict[str, Any]:
        if isinstance(event, Error):
            self.error = event.error
            response = error_response(event.error)
            failed = {"code": response.code or response.openai, "message": response.message, **response.summary_field}
            self.response |= {"status": "failed", "error": failed}
            return self._event("response.failed", response=self.response)
        if self._keep is not None:
            for item in self.response["output"]:
                self._keep(item)
        self.response["usage"] = write_usage(self._usage)
        self.response["status"] = "incomplete" if cut else "completed"
        self.response["incomplete_details"] = {"reason": cut} if cut else None
        return self._event(f"response.{self.response['status']}", response=self.response)

    def _of_item(self, kind: str, **more: Any) -> dict[str, Any]:
        return self._event(kind, item_id=self._item["id"], output_index=self._place, **more)

    def _of_part(self, kind: str, **more: Any) -> dict[str, Any]:
        return self._of_item(kind, content_index=len(self._item["content"]) - 1, **more)

    def _of_summary(self, kind: str, **more: Any) -> dict[str, Any]:
        return self._of_item(f"response.reasoning_summary_{kind}", summary_index=0, **more)

    def _event(self, kind: str, **more: Any) -> dict[str, Any]:
        tree = {"type": kind, "sequence_number": self._number, **more}
        self._number += 1
        return tree


StreamEncoder = OpenAIResponsesStreamEncoder  # the name that every server side has for it


def encode_reply(
    events: Iterable[WireEvent], name: str, *, id: str, created: int, keep: Keep | None = None,
    request_fields: Mapping[str, Any] | None = None,
) -> tuple[int, bytes]:  # fmt: skip
    """Return the HTTP status and body of an unstreamed reply: the content of a stream's last event."""
    encoder = OpenAIResponsesStreamEncoder(name, id=id, created=created, keep=keep, request_fields=request_fields)
    for event in events:
        encoder.feed(event)
    if encoder.error is not None:
        return error_response(encoder.error).status, dumps({"error": write_error(encoder.error)})
    return 200, dumps(encoder.response)


def write_usage(usage: WireUsage) -> dict[str, Any]:
    input_tokens, output_tokens = usage.input_tokens or 0, usage.output_tokens or 0
    input_details = {"cached_tokens": usage.cached_tokens or 0, "cache_write_tokens": usage.cache_write_tokens or 0}
    tree = {
        "input_tokens": input_tokens,
        "input_tokens_details": input_details,
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": input_tokens + output_tokens,
    }
    return with_run_summary(tree, usage)
