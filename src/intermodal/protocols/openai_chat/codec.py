"""OpenAI chat completions, as a host is called: ``encode_request`` writes a request; ``reply.py`` reads the reply.

Source: OpenAI's OpenAPI document for ``POST /chat/completions``; deviations of other servers are named where they are
handled. ``server.decode_request(b"".join(encoded.segments)) == normalise(call, host)`` always holds. A stream properly
ends with a finish reason, and ``[DONE]`` after it is the last event; a single JSON document ends by being complete.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from intermodal.catalog.schema_enforcement import ANY_OBJECT, fits_host_subset, is_closable
from intermodal.catalog.types import Host
from intermodal.core.content import Reasoning, Refusal, ToolCall, ToolResult
from intermodal.core.request import JsonOutput, SpeechOutput, TextOutput, Tool
from intermodal.protocols import request_fields
from intermodal.protocols.calls import (
    CHAT_HEADERS,
    AudioFormat,
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
    check_candidates,
    check_parts,
    normalise_call,
    part_label,
    result_as_text,
    valid_utf8_part,
)
from intermodal.protocols.framing.json_body import (
    Base64,
    segments,
    valid_utf8,
)
from intermodal.protocols.openai_chat.reply import Decoder, OpenAIChatDecoder
from intermodal.protocols.reply_decoder import NO_REASON
from intermodal.protocols.schema_transforms import limit_lengths, name_root

WIRE = "OpenAI chat"
PATH = "/chat/completions"
MAX_STOP = 4
MAX_CANDIDATES = 20  # alternatives per token; llama.cpp has no limit
DEFAULT_VOICE = "alloy"
DEFAULT_NAME = "document.pdf"  # a file part must have a name
SPEECH_RATE = 24_000  # Hz, of pcm16: signed 16-bit, little-endian, mono
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})


# The meaning of each word of Host.quirks for this protocol.
QUIRKS: Mapping[str, str] = {
    "max_completion_tokens": "the length limit is called max_completion_tokens (OpenAI's reasoning models)",
    "no_stream_options": "stream_options is refused, so no usage comes with a stream",
    NO_REASON: "a stream ends with [DONE] and never says why; anywhere else that is an answer that was cut",
    "strict_subset": "a schema is forced strictly only within OpenAI's subset; others are sent as not strict",
    "no_json_object": "any object is forced by a schema: there is no json_object (LM Studio, Perplexity)",
    "no_audio": "input_audio parts are refused",
    "no_logprobs": "token probabilities are not returned",
    "many_logprobs": f"more than {MAX_CANDIDATES} of them may be asked for",
    "grammar": "an answer can be bound by a grammar in GBNF (llama.cpp)",
    "no_video": "video parts are refused",
    "no_documents": "file parts are refused",
    "reasoning_back": "what a model thought goes back to it in reasoning_content (DeepSeek, llama.cpp, vLLM)",
    "video_url": "a video goes as a video_url part (vLLM and its relatives), not as llama.cpp's input_video",
    "random_seed": "the seed is called random_seed (Mistral)",
    "bare_audio": "sound goes as base64 alone, without its format (Mistral)",
    "document_url": "a PDF goes as a document_url part, not as a file (Mistral)",
    "no_refusals": "a refusal goes back to the model as its words: there is no field for it (Mistral)",
    "bounded_schema": "strings and arrays without a limit are sent with one (schema_transforms.limit_lengths); answers "
    "are validated against the schema as given",
    **request_fields.QUIRKS["openai"],
}


# ---- the request -------------------------------------------------------------------------------
def encode_request(call: ChatCall, host: Host) -> EncodedRequest:
    """Return the encoded call. Raises NotExpressible for what this protocol or host cannot carry."""
    _check(call, host)
    call = normalise(call, host)
    tree = {
        "model": call.model,
        "messages": [_message(message, host) for message in call.messages],
        **_settings(call, host),
    }
    request_fields.write_settings(tree, call.settings)
    return EncodedRequest(path=PATH, headers=CHAT_HEADERS, segments=segments(tree))


def normalise(call: ChatCall, host: Host) -> ChatCall:
    """Return the call as this protocol can carry it: the value that ``server.decode_request`` reads back.

    Text-only parts become one (many chat templates accept only a string). An output that the host cannot enforce
    becomes text (the prompt requests it instead, and a check follows). Each tool result is a message of its own; an
    assistant's text precedes its calls. Blocks of other protocols are omitted, and so is reasoning unless the host
    accepts it back.
    """
    output = call.output
    if isinstance(output, JsonOutput) and host.forced_json:
        output = normalise_json_output(output, host)
    elif isinstance(output, SpeechOutput):
        # A stream must be pcm16; the caller packs it into the requested format.
        form = "pcm16" if call.stream else output.format
        output = SpeechOutput(format=form, voice=valid_utf8(output.voice) or DEFAULT_VOICE)
    else:
        output = TextOutput()
    return msgspec.structs.replace(
        normalise_call(call, "openai", host.quirks, strict=True),
        messages=tuple(normal for message in call.messages for normal in _normal(message, host)),
        output=output,
        grammar=valid_utf8(call.grammar) if "grammar" in host.quirks else "",
    )


def _normal(message: WireMessage, host: Host) -> Iterator[WireMessage]:
    parts = tuple(map(valid_utf8_part, message.parts))
    if message.role == "tool":
        for part in parts:
            if isinstance(part, ToolResult):
                yield WireMessage(role="tool", parts=(result_as_text(part),))
    elif message.role == "assistant":
        yield WireMessage(role="assistant", parts=_answer(parts, host))
    elif all(isinstance(part, WireText) for part in parts):
        yield WireMessage(role=message.role, parts=(WireText(text=_joined_text(parts, WireText)),))
    else:
        yield WireMessage(role=message.role, parts=tuple(_expressible_part(part, host) for part in parts))


def _answer(parts: tuple[WirePart, ...], host: Host) -> tuple[WirePart, ...]:
    """Return an assistant's parts in this protocol's order: reasoning, text, refusal, calls."""
    thought = _joined_text(parts, Reasoning) if "reasoning_back" in host.quirks else ""
    if "no_refusals" in host.quirks:
        parts = tuple(WireText(text=part.text) if isinstance(part, Refusal) else part for part in parts)
    text, refusal = _joined_text(parts, WireText), _joined_text(parts, Refusal)
    calls = tuple(part for part in parts if isinstance(part, ToolCall))
    return (
        *((Reasoning(text=thought),) if thought else ()),
        *((WireText(text=text),) if text or not (refusal or calls) else ()),
        *((Refusal(text=refusal),) if refusal else ()),
        *calls,
    )


def _joined_text(parts: tuple[WirePart, ...], part_type: type[WireText] | type[Reasoning] | type[Refusal]) -> str:
    return "\n\n".join(part.text for part in parts if isinstance(part, part_type))


def _expressible_part(part: WirePart, host: Host) -> WirePart:
    if isinstance(part, WireVideo) and "video_url" not in host.quirks:
        return WireVideo(data=part.data)  # input_video has no field for its type
    if isinstance(part, WireAudio) and "bare_audio" in host.quirks:
        return WireAudio(data=part.data, format=audio_format(part.data))
    if isinstance(part, WireDocument):
        return WireDocument(data=part.data, name=part.name or DEFAULT_NAME)
    return part


def audio_format(data: bytes) -> AudioFormat:
    """Return the format of audio whose format the client does not state."""
    return "wav" if data[:4] == b"RIFF" else "mp3"


def normalise_json_output(output: JsonOutput, host: Host) -> JsonOutput:
    """Return the schema as it is sent; for "any object" only that it is an object."""
    if _any_object(output, host):
        return JsonOutput(schema=ANY_OBJECT)
    schema = name_root(output.schema)
    schema = limit_lengths(schema) if "bounded_schema" in host.quirks else schema
    return JsonOutput(schema=schema, name=schema_name(output.name))


def _any_object(output: JsonOutput, host: Host) -> bool:
    return output.schema == ANY_OBJECT and "no_json_object" not in host.quirks


def schema_name(name: str) -> str:
    """Return a name within OpenAI's limit: 64 characters of ``a-zA-Z0-9_-``."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64] or "answer"


def _check(call: ChatCall, host: Host) -> None:
    if not isinstance(call.output, (TextOutput, JsonOutput, SpeechOutput)):
        raise NotExpressible.of("an output that is neither text nor speech", WIRE, where=host.id)
    check_candidates(call, WIRE, host, call.candidates if "many_logprobs" in host.quirks else MAX_CANDIDATES)
    if len(call.sampling.stop) > MAX_STOP:
        raise NotExpressible.of(f"more than {MAX_STOP} stop words", WIRE, where=host.id, todo="give fewer")
    check_parts(call, WIRE, host, IMAGE_TYPES, _REFUSED)


_REFUSED: tuple[tuple[type[WirePart], str, str], ...] = (
    (WireAudio, "no_audio", "transcribe it first"),
    (WireVideo, "no_video", "send frames of it"),
    (WireDocument, "no_documents", "send its text, or images of its pages"),
)


def _message(message: WireMessage, host: Host) -> dict[str, Any]:
    only = message.parts[0]
    if isinstance(only, ToolResult):
        return {"role": "tool", "tool_call_id": only.id, "content": only.text}
    if message.role == "assistant":
        return _encode_answer(message)
    if len(message.parts) == 1 and isinstance(only, WireText):
        return {"role": message.role, "content": only.text}
    return {"role": message.role, "content": [_encode_part(part, host) for part in message.parts]}


def _encode_answer(message: WireMessage) -> dict[str, Any]:
    tree: dict[str, Any] = {"role": "assistant", "content": None}
    calls = []
    for part in message.parts:
        if isinstance(part, WireText):
            tree["content"] = part.text
        elif isinstance(part, Refusal):
            tree["refusal"] = part.text
        elif isinstance(part, Reasoning):
            tree["reasoning_content"] = part.text
        elif isinstance(part, ToolCall):
            function = {"name": part.name, "arguments": part.arguments}
            calls.append({"id": part.id, "type": "function", "function": function})
    return {**tree, "tool_calls": calls} if calls else tree


def _encode_part(part: WirePart, host: Host) -> dict[str, Any]:
    if isinstance(part, WireText):
        return {"type": "text", "text": part.text}
    if isinstance(part, WireImage):
        # A data URI, never a URL: a host must not be made to fetch an address of the user's.
        url = {"url": Base64(part.data, f"data:{part.media_type};base64,")}
        # "auto" is the default everywhere, and some servers refuse the field.
        return {"type": "image_url", "image_url": url if part.detail == "auto" else {**url, "detail": part.detail}}
    if isinstance(part, WireAudio) and "bare_audio" in host.quirks:
        return {"type": "input_audio", "input_audio": Base64(part.data)}
    if isinstance(part, WireDocument) and "document_url" in host.quirks:
        paper = Base64(part.data, "data:application/pdf;base64,")
        return {"type": "document_url", "document_url": paper, "document_name": part.name}
    if isinstance(part, WireAudio):
        return {"type": "input_audio", "input_audio": {"data": Base64(part.data), "format": part.format}}
    if isinstance(part, WireDocument):
        data = Base64(part.data, "data:application/pdf;base64,")
        return {"type": "file", "file": {"filename": part.name, "file_data": data}}
    if isinstance(part, WireVideo) and "video_url" in host.quirks:
        return {"type": "video_url", "video_url": {"url": Base64(part.data, f"data:{part.media_type};base64,")}}
    if isinstance(part, WireVideo):
        return {"type": "input_video", "input_video": {"data": Base64(part.data)}}
    raise NotExpressible.of(part_label(part), WIRE, where=host.id)


def _settings(call: ChatCall, host: Host) -> dict[str, Any]:
    sampling = call.sampling
    settings: dict[str, Any] = {
        field_name("max_tokens", host): sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stop": list(sampling.stop) or None,
        field_name("seed", host): sampling.seed,
    }
    if isinstance(call.output, JsonOutput):
        answer = response_schema(call.output, host)
        response_format = {"type": "json_schema", "json_schema": answer} if answer else {"type": "json_object"}
        settings["response_format"] = response_format
    if isinstance(call.output, SpeechOutput):
        settings["modalities"] = ["text", "audio"]
        settings["audio"] = {"voice": call.output.voice, "format": call.output.format}
    if call.candidates:
        settings |= {"logprobs": True, "top_logprobs": call.candidates}
    settings["grammar"] = call.grammar or None
    if call.tools:
        settings["tools"] = [{"type": "function", "function": _tool(tool)} for tool in call.tools]
        settings["tool_choice"] = call.tool_choice if call.tool_choice != "auto" else None
        settings["parallel_tool_calls"] = None if call.parallel_tools else False
    if call.stream:
        settings["stream"] = True
        if "no_stream_options" not in host.quirks:
            settings["stream_options"] = {"include_usage": True}
    return {name: value for name, value in settings.items() if value is not None}


# Fields that some hosts name differently; the quirk is named after that name.
_RENAMED: Mapping[str, str] = {"max_tokens": "max_completion_tokens", "seed": "random_seed"}


def field_name(name: str, host: Host) -> str:
    """Return a host's name for a field of OpenAI's."""
    other = _RENAMED.get(name, "")
    return other if other in host.quirks else name


def _tool(tool: Tool) -> dict[str, Any]:
    return {**function_definition(tool), "strict": True} if tool.strict else function_definition(tool)


def function_definition(tool: Tool) -> dict[str, Any]:
    """Return a tool in OpenAI's form, which other protocols have adopted."""
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "parameters": tool.schema}


def response_schema(output: JsonOutput, host: Host) -> dict[str, Any] | None:
    """Return a normalised output as OpenAI's schema object; None for "any object".

    It is strict if objects are closed.
    """
    if _any_object(output, host):
        return None
    strict = is_closable(output.schema) and fits_host_subset(host, output.schema)
    return {"name": output.name, "strict": strict, "schema": output.schema}


__all__ = [
    "IMAGE_TYPES",
    "PATH",
    "QUIRKS",
    "WIRE",
    "Decoder",
    "OpenAIChatDecoder",
    "encode_request",
    "normalise",
]
