"""Anthropic's messages, as a host is called: ``encode_request`` writes a request, ``Decoder`` reads the reply.

Source: Anthropic's API reference for ``POST /v1/messages``, its guide to version 2026-10-21 (which refuses temperature
and top_p; requests with these are sent with the version before) and the types of its published SDK.
``decode_request(b"".join(encoded.segments)) == normalise(call, host)`` always. A reply is a stream of named
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
from intermodal.protocols.anthropic.server import decode_request
from intermodal.protocols.calls import (
    CHAT_HEADERS,
    ChatCall,
    EncodedRequest,
    NotExpressible,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    ToolCallDelta,
    WireAudio,
    WireDocument,
    WireImage,
    WireMessage,
    WirePart,
    WireText,
    WireTextDelta,
    WireUsage,
    WireVideo,
)
from intermodal.protocols.conversation import (
    check_parts,
    merge_neighbours,
    normalise_arguments,
    normalise_tools,
    parse_arguments,
    part_label,
    split_system,
    valid_utf8_part,
)
from intermodal.protocols.framing.json_body import (
    Base64,
    as_mapping,
    as_text,
    as_token_count,
    dumps,
    loads,
    segments,
    valid_utf8,
)
from intermodal.protocols.reply_decoder import ReplyDecoder, content_list, content_object, content_text, map_reason
from intermodal.protocols.schema_transforms import close_objects, name_root

WIRE = "Anthropic messages"
OWN = "anthropic"  # of content.Opaque
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
        settings["tool_choice"] = _choice(call)
    settings["stream"] = True if call.stream else None
    _mark(settings, call)
    tree = {"model": call.model, **{key: value for key, value in settings.items() if value is not None}}
    request_fields.write_settings(tree, call.settings)
    return EncodedRequest(path=PATH, headers=headers_for(sampling, call.settings), segments=segments(tree))


def _mark(settings: dict[str, Any], call: ChatCall) -> None:
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
    drawn = any(each is not None for each in (sampling.temperature, sampling.top_p, settings.top_k))
    return (*CHAT_HEADERS, ("anthropic-version", SAMPLED if drawn else VERSION))


def normalise(call: ChatCall, host: Host) -> ChatCall:
    """Return the call as this protocol can carry it: the value that ``decode_request`` reads back.

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
    limit = MAX_TOKENS if call.sampling.max_tokens is None else call.sampling.max_tokens
    sampling = msgspec.structs.replace(call.sampling, stop=tuple(map(valid_utf8, call.sampling.stop)), max_tokens=limit)
    tooled = normalise_tools(call)
    said = merge_neighbours(WireMessage(role=m.role, parts=tuple(_normal(m.parts, host))) for m in messages)
    markable = bool(said) and not isinstance(said[-1].parts[-1], (Reasoning, Opaque))
    there = {"request": True, "tools": bool(tooled.tools), "system": bool(front), "end": markable}
    return msgspec.structs.replace(
        tooled,
        model=valid_utf8(call.model),
        messages=front + said,
        output=output,
        sampling=sampling,
        grammar="",
        context=None,
        cache=tuple((place, valid_utf8(ttl)) for place, ttl in call.cache if there[place]),
        settings=request_fields.supported_settings(call.settings, "anthropic", host.quirks),
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


def _choice(call: ChatCall) -> dict[str, Any] | None:
    if call.tool_choice == "none":
        return {"type": "none"}
    single = {} if call.parallel_tools else {"disable_parallel_tool_use": True}
    if call.tool_choice == "required":
        return {"type": "any", **single}
    return {"type": "auto", **single} if single else None


# Anthropic's stop reasons -> OpenTelemetry GenAI's.
FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
    "tool_use": "tool_call", "refusal": "content_filter",
}  # fmt: skip


class AnthropicDecoder(ReplyDecoder):
    """Decodes a message. It properly ends with a stop reason; ``message_stop`` after it is the last event."""

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(endpoint, headers=headers)
        self._counts = AnthropicUsage()
        self._calls: dict[int, int] = {}  # index of a block -> index of its tool call

    def _read_event(self, tree: Mapping[str, Any], name: str) -> None:
        kind = tree.get("type")
        if kind == "message_start":
            self._read_usage(as_mapping(tree.get("message")).get("usage"))
        elif kind == "content_block_start":
            self._read_block(
                as_token_count(tree.get("index")) or 0, content_object(tree.get("content_block")), whole=False
            )
        elif kind == "content_block_delta":
            self._read_delta(as_token_count(tree.get("index")) or 0, content_object(tree.get("delta")))
        elif kind == "message_delta":
            self._read_usage(tree.get("usage"))
            self._read_end(as_mapping(tree.get("delta")))
        elif kind == "message_stop":
            self._last_word()

    def _read_reply(self, tree: Mapping[str, Any]) -> None:
        for index, block in enumerate(content_list(tree.get("content"))):
            self._read_block(index, content_object(block), whole=True)
        self._read_usage(tree.get("usage"))
        self._read_end(tree)

    def _read_block(self, index: int, block: Mapping[str, Any], *, whole: bool) -> None:
        kind = block.get("type")
        if kind == "text":
            if text := content_text(block.get("text")):
                self._out.append(WireTextDelta(text=text))
        elif kind == "thinking":
            text, signature = as_text(block.get("thinking")), as_text(block.get("signature"))
            if text or signature:
                self._out.append(ReasoningDelta(text=text, signature=signature))
        elif kind == "tool_use":
            call = self._calls.setdefault(index, len(self._calls))
            given = block.get("input")
            said = dumps(as_mapping(given)).decode() if given or whole else ""
            self._out.append(
                ToolCallDelta(index=call, id=as_text(block.get("id")), name=as_text(block.get("name")), arguments=said)
            )
        elif kind:  # hidden reasoning, and results of the vendor's own tools
            self._out.append(OpaqueBlock(wire="anthropic", body=dumps(block).decode()))

    def _read_delta(self, index: int, delta: Mapping[str, Any]) -> None:
        kind = delta.get("type")
        if kind == "text_delta":
            self._out.append(WireTextDelta(text=content_text(delta.get("text"))))
        elif kind == "thinking_delta":
            self._out.append(ReasoningDelta(text=as_text(delta.get("thinking"))))
        elif kind == "signature_delta":
            self._out.append(ReasoningDelta(text="", signature=as_text(delta.get("signature"))))
        elif kind == "input_json_delta" and index in self._calls and delta.get("partial_json"):
            self._out.append(ToolCallDelta(index=self._calls[index], arguments=as_text(delta.get("partial_json"))))

    def _read_end(self, delta: Mapping[str, Any]) -> None:
        reason = as_text(delta.get("stop_reason"))
        if not reason:
            return
        said = as_text(as_mapping(delta.get("stop_details")).get("explanation"))
        if reason == "refusal" and said:
            self._out.append(RefusalDelta(text=said))
        self.complete = True
        self._reason = map_reason(FINISH_REASONS, reason)

    def _read_usage(self, usage: Any) -> None:
        self._usage = self._counts.add(usage) or self._usage


class AnthropicUsage:
    """The usage of one message. Counts come in two events, and the later ones are the totals."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}
        self._tier = ""

    def add(self, usage: Any) -> WireUsage | None:
        """Add a usage object; return the sum so far, None if nothing is known.

        ``input_tokens`` includes no cached tokens.
        """
        found = as_mapping(usage)
        details, kept = as_mapping(found.get("output_tokens_details")), as_mapping(found.get("cache_creation"))
        self._tier = as_text(found.get("service_tier")) or self._tier
        nested = (
            ("thinking_tokens", details.get("thinking_tokens")),
            ("kept_1h", kept.get("ephemeral_1h_input_tokens")),
        )
        for name, value in (*found.items(), *nested):
            number = as_token_count(value)
            if number is not None:
                self._told[name] = number
        if not self._told:
            return None
        told = self._told.get
        read, written = told("cache_read_input_tokens"), told("cache_creation_input_tokens")
        given = told("input_tokens")
        return WireUsage(
            input_tokens=None if given is None else given + (read or 0) + (written or 0),
            output_tokens=told("output_tokens"),
            cached_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=told("thinking_tokens"),
            cache_write_1h_tokens=told("kept_1h"),
            tier=self._tier.lower(),
        )


Decoder = AnthropicDecoder  # the name that every chat codec has for it

__all__ = [
    "IMAGE_TYPES",
    "PATH",
    "QUIRKS",
    "WIRE",
    "Decoder",
    "AnthropicDecoder",
    "decode_request",
    "encode_request",
    "normalise",
]
