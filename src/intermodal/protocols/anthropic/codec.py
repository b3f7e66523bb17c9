"""Anthropic's messages, as a host is called: ``encode_request`` writes a request; ``reply.py`` reads the reply.

Source: Anthropic's API reference for ``POST /v1/messages``, its guide to version 2026-10-21 (which refuses temperature
and top_p; requests with these are sent with the version before) and the types of its published SDK.
``server.decode_request(b"".join(encoded.segments)) == normalise(call, host)`` always. A reply is a stream of named
server-sent events, or one JSON document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from intermodal.catalog.schema_enforcement import is_closable
from intermodal.catalog.types import Host
from intermodal.core.content import Opaque, Reasoning, Refusal, ToolCall, ToolResult
from intermodal.core.request import JsonOutput, Sampling, Settings, TextOutput
from intermodal.protocols import request_fields
from intermodal.protocols.anthropic.reply import OWN, AnthropicDecoder, Decoder
from intermodal.protocols.calls import (
    CHAT_HEADERS,
    ChatCall,
    EncodedRequest,
    NotExpressible,
    WireAudio,
    WireDocument,
    WireImage,
    WireMessage,
    WirePart,
    WireText,
    WireVideo,
)
from intermodal.protocols.conversation import (
    check_parts,
    merge_neighbours,
    normalise_arguments,
    normalise_call,
    parse_arguments,
    part_label,
    split_system,
    valid_utf8_part,
)
from intermodal.protocols.framing.json_body import (
    Base64,
    loads,
    segments,
    valid_utf8,
)
from intermodal.protocols.schema_transforms import close_objects, name_root

WIRE = "Anthropic messages"
PATH = "/messages"
VERSION = "2026-10-21"
SAMPLED = "2023-06-01"  # the previous version, the last to take temperature, top_p and top_k
MAX_TOKENS = 4096  # the default limit: the API requires one, and every model accepts this value
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
QUIRKS: Mapping[str, str] = {
    "no_documents": "document blocks are refused",
    "no_logprobs": "token probabilities are not returned (this API never returns them)",
    "no_temperature": "a temperature is refused, so none is sent unless the user wants one",
    **request_fields.QUIRKS["anthropic"],
}

_REFUSED: tuple[tuple[type[WirePart], str, str], ...] = (
    (WireAudio, "", "convert it first"),
    (WireVideo, "", "convert it first"),
    (WireDocument, "no_documents", "send its text, or images of its pages"),
)


def encode_request(call: ChatCall, host: Host) -> EncodedRequest:
    """Return the encoded call. Raises NotExpressible for what this protocol cannot carry."""
    _check(call, host)
    call = normalise(call, host)
    system, messages = split_system(call.messages)
    sampling = call.sampling
    settings: dict[str, Any] = {
        "max_tokens": sampling.max_tokens,
        "system": system or None,
        "messages": list(_messages(messages)),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stop_sequences": list(sampling.stop) or None,
    }
    if isinstance(call.output, JsonOutput):
        settings["output_config"] = {"format": {"type": "json_schema", "schema": call.output.schema}}
    if call.tools:
        settings["tools"] = [
            {
                "name": tool.name,
                **({"description": tool.description} if tool.description else {}),
                "input_schema": tool.schema,
            }
            for tool in call.tools
        ]
        settings["tool_choice"] = _tool_choice(call)
    settings["stream"] = True if call.stream else None
    _mark_for_caching(settings, call)
    tree = {"model": call.model, **{key: value for key, value in settings.items() if value is not None}}
    request_fields.write_settings(tree, call.settings)
    return EncodedRequest(path=PATH, headers=headers_for(sampling, call.settings), segments=segments(tree))


def _mark_for_caching(settings: dict[str, Any], call: ChatCall) -> None:
    """Mark a prefix for caching; the mark is on its last block."""
    for place, ttl in call.cache:
        mark = {"cache_control": {"type": "ephemeral", **({"ttl": ttl} if ttl else {})}}
        if place == "request":
            settings |= mark
        elif place == "tools":
            settings["tools"][-1] |= mark
        elif place == "system":
            settings["system"] = [{"type": "text", "text": settings["system"], **mark}]
        else:
            last = settings["messages"][-1]
            if isinstance(last["content"], str):
                last["content"] = [{"type": "text", "text": last["content"]}]
            last["content"][-1] |= mark


def headers_for(sampling: Sampling, settings: Settings) -> tuple[tuple[str, str], ...]:
    """Return the headers: the newest API version that takes the request's parameters."""
    sampled = any(each is not None for each in (sampling.temperature, sampling.top_p, settings.top_k))
    return (*CHAT_HEADERS, ("anthropic-version", SAMPLED if sampled else VERSION))


def normalise(call: ChatCall, host: Host) -> ChatCall:
    """Return the call as this protocol can carry it: the value that ``server.decode_request`` reads back.

    System messages become one, in front. Neighbouring messages of one role are merged. Blank text, which the API
    refuses, is omitted; so are unsigned reasoning and blocks of other protocols. A schema has no name here, and is
    enforced only if its objects can be closed. Only existing parts are marked for caching, and reasoning is never
    marked.
    """
    output: TextOutput | JsonOutput = TextOutput()
    if isinstance(call.output, JsonOutput) and host.forced_json and is_closable(call.output.schema):
        output = JsonOutput(schema=close_objects(name_root(call.output.schema)))
    system, messages = split_system(call.messages)
    front = (WireMessage(role="system", parts=(WireText(text=valid_utf8(system)),)),) if system else ()
    common = normalise_call(call, "anthropic", host.quirks)
    limit = MAX_TOKENS if call.sampling.max_tokens is None else call.sampling.max_tokens
    conversation = merge_neighbours(WireMessage(role=m.role, parts=tuple(_normal(m.parts, host))) for m in messages)
    markable = bool(conversation) and not isinstance(conversation[-1].parts[-1], (Reasoning, Opaque))
    can_mark = {"request": True, "tools": bool(common.tools), "system": bool(front), "end": markable}
    return msgspec.structs.replace(
        common,
        messages=front + conversation,
        output=output,
        sampling=msgspec.structs.replace(common.sampling, max_tokens=limit),
        cache=tuple((place, valid_utf8(ttl)) for place, ttl in call.cache if can_mark[place]),
    )


def _normal(parts: tuple[WirePart, ...], host: Host) -> Iterator[WirePart]:
    for part in map(valid_utf8_part, parts):
        if isinstance(part, (WireText, Refusal)):
            if part.text.strip():
                yield WireText(text=part.text)
        elif isinstance(part, WireImage):
            yield msgspec.structs.replace(part, detail="auto")
        elif isinstance(part, ToolCall):
            yield normalise_arguments(part, WIRE, host.id)
        elif isinstance(part, Reasoning):
            if part.signature:
                yield part
        elif isinstance(part, Opaque):
            if part.wire == OWN:
                yield part
        else:
            yield part


def _check(call: ChatCall, host: Host) -> None:
    if not isinstance(call.output, (TextOutput, JsonOutput)):
        raise NotExpressible.of("an output that is not text", WIRE, where=host.id)
    if call.candidates:
        raise NotExpressible.of("the probabilities of words", WIRE, where=host.id, todo="ask a host that tells them")
    if call.sampling.seed is not None:
        raise NotExpressible.of("a seed", WIRE, where=host.id, todo="leave the seed out")
    check_parts(call, WIRE, host, IMAGE_TYPES, _REFUSED)


def _messages(messages: tuple[WireMessage, ...]) -> Iterator[dict[str, Any]]:
    """Yield messages. Tool results belong to the user, and the user's next message is merged into theirs."""
    results: list[Any] = []
    for message in messages:
        blocks = [_block(part) for part in message.parts]
        if message.role == "tool":
            results = blocks
            continue
        if results and message.role == "assistant":
            yield {"role": "user", "content": results}
            results = []
        only = message.parts[0]
        if len(message.parts) == 1 and isinstance(only, WireText) and not results:
            yield {"role": message.role, "content": only.text}
        else:
            yield {"role": message.role, "content": [*results, *blocks]}
        results = []
    if results:
        yield {"role": "user", "content": results}


def _block(part: WirePart) -> Any:
    if isinstance(part, WireText):
        return {"type": "text", "text": part.text}
    if isinstance(part, WireImage):
        source = {"type": "base64", "media_type": part.media_type, "data": Base64(part.data)}
        return {"type": "image", "source": source}
    if isinstance(part, WireDocument):
        source = {"type": "base64", "media_type": "application/pdf", "data": Base64(part.data)}
        return {"type": "document", "source": source, **({"title": part.name} if part.name else {})}
    if isinstance(part, ToolCall):
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": parse_arguments(part, WIRE)}
    if isinstance(part, ToolResult):
        failed = {"is_error": True} if part.is_error else {}
        return {"type": "tool_result", "tool_use_id": part.id, "content": part.text, **failed}
    if isinstance(part, Reasoning):
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}
    if isinstance(part, Opaque):
        return loads(part.body)
    raise NotExpressible.of(part_label(part), WIRE)


def _tool_choice(call: ChatCall) -> dict[str, Any] | None:
    if call.tool_choice == "none":
        return {"type": "none"}
    single = {} if call.parallel_tools else {"disable_parallel_tool_use": True}
    if call.tool_choice == "required":
        return {"type": "any", **single}
    return {"type": "auto", **single} if single else None


__all__ = [
    "IMAGE_TYPES",
    "PATH",
    "QUIRKS",
    "WIRE",
    "Decoder",
    "AnthropicDecoder",
    "encode_request",
    "normalise",
]
