"""Ollama's own chat, as a host is called: ``encode_request`` writes a request; ``reply.py`` reads the reply.

It is the only chat API with a field for the context length. Source: Ollama's ``docs/api`` and its ``api/types.go`` and
``server/prompt.go`` as of 2026. ``server.decode_request(b"".join(encoded.segments)) == normalise(call, host)`` always
holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from intermodal.catalog.types import Host
from intermodal.core.content import Opaque, Reasoning, Refusal, ToolCall, ToolResult
from intermodal.core.request import JsonOutput, TextOutput
from intermodal.protocols import request_fields
from intermodal.protocols.calls import (
    ChatCall,
    CodedImage,
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
    check_candidates,
    check_parts,
    is_single_text,
    normalise_arguments,
    normalise_call,
    parse_arguments,
    part_label,
    result_as_text,
    valid_utf8_part,
)
from intermodal.protocols.framing.json_body import (
    Base64,
    segments,
)
from intermodal.protocols.ollama.reply import Decoder, OllamaDecoder
from intermodal.protocols.ollama.server import image_or_audio
from intermodal.protocols.schema_transforms import name_root

WIRE = "Ollama chat"
PATH = "/api/chat"
MAX_CANDIDATES = 20
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp"})
QUIRKS: Mapping[str, str] = {
    "no_logprobs": "token probabilities are not returned",
    "no_audio": "sound is refused",
    **request_fields.QUIRKS["ollama"],
}
HEADERS = (("content-type", "application/json"), ("accept", "application/x-ndjson, application/json"))

_REFUSED: tuple[tuple[type[WirePart], str, str], ...] = (
    (WireVideo, "", "convert it first"),
    (WireDocument, "", "convert it first"),
    (WireAudio, "no_audio", "transcribe it first"),
)


def encode_request(call: ChatCall, host: Host) -> EncodedRequest:
    """Return the encoded call. Raises NotExpressible for what this protocol or host cannot carry."""
    _check(call, host)
    call = normalise(call, host)
    sampling = call.sampling
    options: dict[str, Any] = {
        "num_ctx": call.context,
        "num_predict": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
    }
    tree: dict[str, Any] = {
        "model": call.model,
        "messages": list(_messages(call.messages)),
        "stream": call.stream,  # the default is to stream
        # A prompt or answer that is too long is an error, not truncated silently. Old versions do not know these
        # fields.
        "truncate": False,
        "shift": False,
    }
    if isinstance(call.output, JsonOutput):
        tree["format"] = call.output.schema
    if call.tools:
        tree["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
            }
            for tool in call.tools
        ]
    if call.candidates:
        tree |= {"logprobs": True, "top_logprobs": call.candidates}
    if options := {key: value for key, value in options.items() if value is not None}:
        tree["options"] = options
    request_fields.write_settings(tree, call.settings)
    return EncodedRequest(path=PATH, headers=HEADERS, segments=segments(tree))


def normalise(call: ChatCall, host: Host) -> ChatCall:
    """Return the call as this protocol can carry it: the value that ``server.decode_request`` reads back.

    A message holds media and then one text, the order in which the server puts them into the prompt, so a message with
    media after text becomes several. Media types are recognised by their first bytes. Each tool result is a message of
    its own. Reasoning goes back without a signature, blocks of other protocols are omitted.
    """
    output: TextOutput | JsonOutput = TextOutput()
    if isinstance(call.output, JsonOutput) and host.forced_json:
        output = JsonOutput(schema=name_root(call.output.schema))
    return msgspec.structs.replace(
        normalise_call(call, "ollama", host.quirks, none=False),
        messages=tuple(normal for message in call.messages for normal in _normal(message, host.id)),
        output=output,
        context=call.context,
    )


def write_turns(messages: Iterable[WireMessage]) -> list[dict[str, Any]]:
    """Return the messages of a conversation in the form for a host. Raises NotExpressible."""
    return list(_messages(normal for message in messages for normal in _normal(message)))


def _normal(message: WireMessage, where: str = "") -> Iterator[WireMessage]:
    if is_single_text(message):
        yield message
        return
    parts = tuple(map(valid_utf8_part, message.parts))
    if message.role == "tool":
        for part in parts:
            if isinstance(part, ToolResult):
                yield WireMessage(role="tool", parts=(result_as_text(part),))
        return
    if message.role == "assistant":
        if answer := tuple(_answer(parts, where)):
            yield WireMessage(role="assistant", parts=answer)
        return
    media: list[WirePart] = []
    texts: list[str] = []
    for part in parts:
        if isinstance(part, WireText):
            texts += [part.text] if part.text.strip() else []
            continue
        if texts:
            yield WireMessage(role=message.role, parts=(*media, WireText(text="\n\n".join(texts))))
            media, texts = [], []
        media.append(image_or_audio(part.data) if isinstance(part, (WireImage, WireAudio)) else part)
    if media or texts:
        yield WireMessage(role=message.role, parts=(*media, *([WireText(text="\n\n".join(texts))] if texts else [])))


def _answer(parts: tuple[WirePart, ...], where: str) -> Iterator[WirePart]:
    """Yield an assistant's parts in this protocol's order: reasoning, text, calls."""
    if thought := "\n\n".join(part.text for part in parts if isinstance(part, Reasoning) and part.text):
        yield Reasoning(text=thought)
    if text := "\n\n".join(p.text for p in parts if isinstance(p, (WireText, Refusal)) and p.text.strip()):
        yield WireText(text=text)
    for part in parts:
        if isinstance(part, ToolCall):
            yield normalise_arguments(part, WIRE, where)


def _check(call: ChatCall, host: Host) -> None:
    if not isinstance(call.output, (TextOutput, JsonOutput)):
        raise NotExpressible.of("an output that is not text", WIRE, where=host.id)
    check_candidates(call, WIRE, host, MAX_CANDIDATES)
    if call.tools and call.tool_choice == "required":
        raise NotExpressible.of("that a tool must be called", WIRE, where=host.id, todo="leave it to the model")
    if call.tools and not call.parallel_tools and call.tool_choice != "none":
        raise NotExpressible.of("that tools be called one at a time", WIRE, where=host.id)
    check_parts(call, WIRE, host, IMAGE_TYPES, _REFUSED)


def _messages(messages: Iterable[WireMessage]) -> Iterator[dict[str, Any]]:
    called: dict[str, str] = {}  # id of a call -> name of its function; old versions identify a result only by the name
    for message in messages:
        tree: dict[str, Any] = {"role": message.role, "content": ""}
        for part in message.parts:
            if isinstance(part, WireText):
                tree["content"] = part.text
            elif isinstance(part, (WireImage, WireAudio)):
                tree.setdefault("images", []).append(Base64(part.data))
            elif isinstance(part, CodedImage):
                tree.setdefault("images", []).append(part.coded)
            elif isinstance(part, Reasoning):
                tree["thinking"] = part.text
            elif isinstance(part, ToolCall):
                called[part.id] = part.name
                function = {"name": part.name, "arguments": parse_arguments(part, WIRE)}
                tree.setdefault("tool_calls", []).append({"id": part.id, "function": function})
            elif isinstance(part, ToolResult):
                tool_name = {"tool_name": called[part.id]} if part.id in called else {}
                tree |= {"content": part.text, "tool_call_id": part.id, **tool_name}
            elif not isinstance(part, Opaque):
                raise NotExpressible.of(part_label(part), WIRE)
        yield tree


__all__ = [
    "IMAGE_TYPES",
    "PATH",
    "QUIRKS",
    "WIRE",
    "Decoder",
    "OllamaDecoder",
    "encode_request",
    "normalise",
]
