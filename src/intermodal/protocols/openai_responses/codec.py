"""OpenAI's responses API, as a host is called: ``encode_request`` writes a request; ``reply.py`` reads the reply.

Source: OpenAI's OpenAPI document for ``POST /responses`` and the types of its published SDK. Nothing is stored at the
host (``store`` is false), so reasoning arrives encrypted and goes back unchanged.
``server.decode_request(b"".join(encoded.segments)) == normalise(call, host)`` always holds.
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
    CHAT_HEADERS,
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
    merge_neighbours,
    normalise_call,
    part_label,
    result_as_text,
    valid_utf8_part,
)
from intermodal.protocols.framing.json_body import (
    Base64,
    dumps,
    loads,
    segments,
)
from intermodal.protocols.openai_chat.codec import (
    DEFAULT_NAME,
    IMAGE_TYPES,
    MAX_CANDIDATES,
    function_definition,
    normalise_json_output,
    response_schema,
)
from intermodal.protocols.openai_responses.reply import Decoder, OpenAIResponsesDecoder
from intermodal.protocols.openai_responses.server import OWN

OUR_ID = "resp_"  # prefix of item ids that our own server generated, and no host knows
WIRE = "OpenAI responses"
PATH = "/responses"
QUIRKS: Mapping[str, str] = {
    "strict_subset": "a schema is forced strictly only within OpenAI's subset; others are sent as not strict",
    "no_json_object": "any object is forced by a schema: there is no json_object",
    "bounded_schema": "strings and arrays without a limit are forced with one; answers are checked against the schema",
    "no_audio": "sound is refused",
    "no_documents": "files are refused",
    "no_logprobs": "token probabilities are not returned",
    **request_fields.QUIRKS["openai-responses"],
}
_REFUSED: tuple[tuple[type[WirePart], str, str], ...] = (
    (WireVideo, "", "send frames of it"),
    (WireAudio, "no_audio", "transcribe it first"),
    (WireDocument, "no_documents", "send its text, or images of its pages"),
)


def encode_request(call: ChatCall, host: Host) -> EncodedRequest:
    """Return the encoded call. Raises NotExpressible for what this protocol or host cannot carry."""
    _check(call, host)
    call = normalise(call, host)
    include = ["reasoning.encrypted_content"]
    settings: dict[str, Any] = {
        "max_output_tokens": call.sampling.max_tokens,
        "temperature": call.sampling.temperature,
        "top_p": call.sampling.top_p,
    }
    if isinstance(call.output, JsonOutput):
        answer = response_schema(call.output, host)
        settings["text"] = {"format": {"type": "json_schema", **answer} if answer else {"type": "json_object"}}
    if call.tools:
        # A tool is strict by default.
        settings["tools"] = [
            {"type": "function", **function_definition(tool), "strict": tool.strict} for tool in call.tools
        ]
        settings["tool_choice"] = call.tool_choice if call.tool_choice != "auto" else None
        settings["parallel_tool_calls"] = None if call.parallel_tools else False
    if call.candidates:
        include.append("message.output_text.logprobs")
        settings["top_logprobs"] = call.candidates
    settings["stream"] = True if call.stream else None
    tree = {
        "model": call.model,
        "input": [item for message in call.messages for item in _items(message)],
        **{key: value for key, value in settings.items() if value is not None},
        "store": False,
        "include": include,
    }
    request_fields.write_settings(tree, call.settings)
    return EncodedRequest(path=PATH, headers=CHAT_HEADERS, segments=segments(tree))


def normalise(call: ChatCall, host: Host) -> ChatCall:
    """Return the call as this protocol can carry it: the value that ``server.decode_request`` reads back.

    Neighbouring messages of one role are merged. Blank text is omitted; so are reasoning that is not this protocol's
    own block, and blocks of other protocols.
    """
    output: TextOutput | JsonOutput = TextOutput()
    if isinstance(call.output, JsonOutput) and host.forced_json:
        output = normalise_json_output(call.output, host)
    return msgspec.structs.replace(
        normalise_call(call, "openai-responses", host.quirks, strict=True),
        messages=merge_neighbours(map(_normalise_message, call.messages)),
        output=output,
    )


def write_turns(messages: Iterable[WireMessage]) -> list[dict[str, Any]]:
    """Return the items of a conversation in the form for a host."""
    conversation = merge_neighbours(map(_normalise_message, messages))
    return [item for message in conversation for item in _items(message)]


def _normalise_message(message: WireMessage) -> WireMessage:
    return message if is_single_text(message) else WireMessage(role=message.role, parts=tuple(_normal(message.parts)))


def _normal(parts: tuple[WirePart, ...]) -> Iterator[WirePart]:
    for part in map(valid_utf8_part, parts):
        if isinstance(part, (WireText, Refusal)):
            if part.text.strip():
                yield part
        elif isinstance(part, ToolResult):
            yield result_as_text(part)
        elif isinstance(part, WireDocument):
            yield WireDocument(data=part.data, name=part.name or DEFAULT_NAME)
        elif isinstance(part, Opaque):
            if part.wire == OWN:
                yield _without_our_id(part)
        elif not isinstance(part, Reasoning):
            yield part


def _without_our_id(part: Opaque) -> Opaque:
    """Return a reasoning item under its host's id, or without an id: its encrypted content is sufficient."""
    if f'"{OUR_ID}' not in part.body:
        return part
    item = loads(part.body)
    fields = {name: value for name, value in item.items() if name != "id" or not str(value).startswith(OUR_ID)}
    return Opaque(wire=OWN, body=dumps(fields).decode())


def _check(call: ChatCall, host: Host) -> None:
    if not isinstance(call.output, (TextOutput, JsonOutput)):
        raise NotExpressible.of("an output that is not text", WIRE, where=host.id)
    check_candidates(call, WIRE, host, MAX_CANDIDATES)
    if call.sampling.stop:
        raise NotExpressible.of("stop words", WIRE, where=host.id, todo="leave them out")
    if call.sampling.seed is not None:
        raise NotExpressible.of("a seed", WIRE, where=host.id, todo="leave the seed out")
    check_parts(call, WIRE, host, IMAGE_TYPES, _REFUSED)


def _items(message: WireMessage) -> Iterator[dict[str, Any]]:
    if message.role == "assistant":
        yield from _encode_answer(message)
    elif message.role == "tool":
        for part in message.parts:
            if isinstance(part, ToolResult):
                yield {"type": "function_call_output", "call_id": part.id, "output": part.text}
    else:
        only = message.parts[0]
        single = len(message.parts) == 1 and isinstance(only, WireText)
        content = only.text if single and isinstance(only, WireText) else [_content(part) for part in message.parts]
        yield {"type": "message", "role": message.role, "content": content}


def _encode_answer(message: WireMessage) -> Iterator[dict[str, Any]]:
    """Yield the model's output, each part as an item. Only a refusal needs the form of the host's own output."""
    for part in message.parts:
        if isinstance(part, WireText):
            yield {"type": "message", "role": "assistant", "content": part.text}
        elif isinstance(part, Refusal):
            content = [{"type": "refusal", "refusal": part.text}]
            head = {"type": "message", "id": "msg_refused", "status": "completed"}
            yield {**head, "role": "assistant", "content": content}
        elif isinstance(part, ToolCall):
            yield {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": part.arguments}
        elif isinstance(part, Opaque):
            yield loads(part.body)


def _content(part: WirePart) -> dict[str, Any]:
    if isinstance(part, WireText):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, WireImage):
        url = Base64(part.data, f"data:{part.media_type};base64,")
        return {"type": "input_image", "detail": part.detail, "image_url": url}
    if isinstance(part, CodedImage):
        return {"type": "input_image", "detail": part.detail, "image_url": part.coded}
    if isinstance(part, WireDocument):
        data = Base64(part.data, "data:application/pdf;base64,")
        return {"type": "input_file", "filename": part.name, "file_data": data}
    if isinstance(part, WireAudio):
        return {"type": "input_audio", "input_audio": {"data": Base64(part.data), "format": part.format}}
    raise NotExpressible.of(part_label(part), WIRE)


__all__ = [
    "IMAGE_TYPES",
    "PATH",
    "QUIRKS",
    "WIRE",
    "Decoder",
    "OpenAIResponsesDecoder",
    "encode_request",
    "normalise",
]
