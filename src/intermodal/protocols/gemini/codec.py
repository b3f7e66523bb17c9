"""Google's generateContent, as a host is called: ``encode_request`` writes a request, ``Decoder`` reads the reply.

Source: the Gemini API reference (v1beta) for ``models.generateContent`` and ``models.streamGenerateContent``, and the
types of Google's published SDK. The path, not the body, holds the model and whether the answer is streamed.
A reply is a stream of replies that each add something, a single reply, or a list of them.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from intermodal.catalog.types import Host
from intermodal.core.content import Opaque, Reasoning, Refusal, ToolCall, ToolResult
from intermodal.core.request import JsonOutput, TextOutput
from intermodal.protocols import request_fields
from intermodal.protocols.calls import (
    CHAT_HEADERS,
    ChatCall,
    EncodedRequest,
    NotExpressible,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    SpeechDelta,
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
    check_candidates,
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
    as_list,
    as_mapping,
    as_text,
    as_token_count,
    dumps,
    loads,
    segments,
    valid_utf8,
)
from intermodal.protocols.gemini.thought_signatures import FIELD, OWN, PLACEHOLDER, signature_block, signature_of
from intermodal.protocols.reply_decoder import (
    ReplyDecoder,
    content_list,
    content_object,
    content_text,
    map_reason,
    read_logprobs,
    tool_call_id,
)
from intermodal.protocols.schema_transforms import name_root

WIRE = "Gemini generateContent"
MAX_STOP = 5
MAX_CANDIDATES = 20
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp"})
QUIRKS: Mapping[str, str] = {
    "no_logprobs": "token probabilities are not returned",
    **request_fields.QUIRKS["gemini"],
}
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def encode_request(call: ChatCall, host: Host) -> EncodedRequest:
    """Return the encoded call. Raises NotExpressible for what this protocol or host cannot carry."""
    _check(call, host)
    call = normalise(call, host)
    system, messages = split_system(call.messages)
    tree: dict[str, Any] = {"contents": list(_encode_contents(messages, host))}
    if system:
        tree["systemInstruction"] = {"parts": [{"text": system}]}
    if call.tools:
        declared = [
            {
                "name": tool.name,
                **({"description": tool.description} if tool.description else {}),
                "parametersJsonSchema": tool.schema,
            }
            for tool in call.tools
        ]
        tree["tools"] = [{"functionDeclarations": declared}]
        tree["toolConfig"] = {"functionCallingConfig": {"mode": _MODES[call.tool_choice]}}
    if config := _config(call):
        tree["generationConfig"] = config
    request_fields.write_settings(tree, call.settings)
    verb = "streamGenerateContent?alt=sse" if call.stream else "generateContent"
    return EncodedRequest(
        path=f"/models/{quote(call.model, safe='')}:{verb}", headers=CHAT_HEADERS, segments=segments(tree)
    )


def normalise(call: ChatCall, host: Host) -> ChatCall:
    """Return the call as this protocol can carry it: all that its path and body hold.

    System messages become one, in front; neighbouring messages of one role are merged; blank text and blocks of other
    protocols are omitted. Images have no detail, files and schemas no name. Unsigned calls get the placeholder
    signature.
    """
    output: TextOutput | JsonOutput = TextOutput()
    if isinstance(call.output, JsonOutput) and host.forced_json:
        output = JsonOutput(schema=name_root(call.output.schema))
    system, messages = split_system(call.messages)
    front = (WireMessage(role="system", parts=(WireText(text=valid_utf8(system)),)),) if system else ()
    conversation = merge_neighbours(WireMessage(role=m.role, parts=tuple(_normal(m.parts, host))) for m in messages)
    return msgspec.structs.replace(
        normalise_call(call, "gemini", host.quirks),
        messages=front + tuple(map(_with_signature, conversation)),
        output=output,
    )


def _normal(parts: tuple[WirePart, ...], host: Host) -> Iterator[WirePart]:
    for part in map(valid_utf8_part, parts):
        if isinstance(part, (WireText, Refusal)):
            if part.text.strip():
                yield WireText(text=part.text)
        elif isinstance(part, WireImage):
            yield msgspec.structs.replace(part, detail="auto")
        elif isinstance(part, WireDocument):
            yield WireDocument(data=part.data)
        elif isinstance(part, ToolCall):
            yield normalise_arguments(part, WIRE, host.id)
        elif isinstance(part, Opaque):
            if part.wire == OWN:
                yield part
        else:
            yield part


def _with_signature(message: WireMessage) -> WireMessage:
    """Return the message with a signature on its first call, which must have one."""
    first = next((index for index, part in enumerate(message.parts) if isinstance(part, ToolCall)), None)
    if first is None or (first and signature_of(message.parts[first - 1])):
        return message
    parts = (*message.parts[:first], signature_block(PLACEHOLDER), *message.parts[first:])
    return WireMessage(role=message.role, parts=parts)


def _check(call: ChatCall, host: Host) -> None:
    if not isinstance(call.output, (TextOutput, JsonOutput)):
        raise NotExpressible.of("an output that is not text", WIRE, where=host.id)
    check_candidates(call, WIRE, host, MAX_CANDIDATES)
    if call.tools and not call.parallel_tools and call.tool_choice != "none":
        raise NotExpressible.of("that tools be called one at a time", WIRE, where=host.id)
    if len(call.sampling.stop) > MAX_STOP:
        raise NotExpressible.of(f"more than {MAX_STOP} stop words", WIRE, where=host.id, todo="give fewer")
    check_parts(call, WIRE, host, IMAGE_TYPES)


def _config(call: ChatCall) -> dict[str, Any]:
    sampling = call.sampling
    config: dict[str, Any] = {
        "maxOutputTokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "stopSequences": list(sampling.stop) or None,
        "seed": sampling.seed,
    }
    if isinstance(call.output, JsonOutput):
        config |= {"responseMimeType": "application/json", "responseJsonSchema": call.output.schema}
    if call.candidates:
        config |= {"responseLogprobs": True, "logprobs": call.candidates}
    return {key: value for key, value in config.items() if value is not None}


def _encode_contents(messages: tuple[WireMessage, ...], host: Host) -> Iterator[dict[str, Any]]:
    """Yield the contents. Tool results belong to the user, and the user's next message is merged into theirs."""
    called: dict[str, str] = {}  # id of a call -> name of its function, which a result must state
    results: list[Any] = []
    for message in messages:
        if message.role == "tool":
            results = [_result(part, called, host) for part in message.parts if isinstance(part, ToolResult)]
            continue
        if message.role == "assistant":
            if results:
                yield {"role": "user", "parts": results}
                results = []
            called |= {part.id: part.name for part in message.parts if isinstance(part, ToolCall)}
            yield {"role": "model", "parts": list(_encode_model_parts(message.parts))}
            continue
        yield {"role": "user", "parts": [*results, *map(_encode_user_part, message.parts)]}
        results = []
    if results:
        yield {"role": "user", "parts": results}


def _result(part: ToolResult, called: Mapping[str, str], host: Host) -> dict[str, Any]:
    if part.id not in called:
        todo = "send the call with its result"
        raise NotExpressible.of("the result of a tool call that is not there", WIRE, where=host.id, todo=todo)
    response = {"error" if part.is_error else "output": part.text}
    return {"functionResponse": {"id": part.id, "name": called[part.id], "response": response}}


def _encode_user_part(part: WirePart) -> dict[str, Any]:
    if isinstance(part, WireText):
        return {"text": part.text}
    if isinstance(part, WireImage | WireVideo):
        return _inline(part.data, part.media_type)
    if isinstance(part, WireAudio):
        return _inline(part.data, f"audio/{part.format}")
    if isinstance(part, WireDocument):
        return _inline(part.data, "application/pdf")
    raise NotExpressible.of(part_label(part), WIRE)


def _inline(data: bytes, media_type: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media_type, "data": Base64(data)}}


def _encode_model_parts(parts: tuple[WirePart, ...]) -> Iterator[dict[str, Any]]:
    """Yield the model's parts.

    A signature goes back on the part that it came with, which here follows the signature.
    """
    waiting = ""
    for part in parts:
        vouched = {FIELD: waiting} if waiting else {}
        if waiting and isinstance(part, (Reasoning, Opaque)):
            yield {"text": "", **vouched}
            vouched = {}
        waiting = ""
        if isinstance(part, WireText):
            yield {"text": part.text, **vouched}
        elif isinstance(part, ToolCall):
            called = {"id": part.id, "name": part.name, "args": parse_arguments(part, WIRE)}
            yield {"functionCall": called, **vouched}
        elif isinstance(part, Reasoning):
            own = {FIELD: part.signature} if part.signature else {}
            yield {"text": part.text, "thought": True, **own}
        elif isinstance(part, Opaque):
            waiting = signature_of(part)
            if not waiting:
                yield loads(part.body)
    if waiting:
        yield {"text": "", FIELD: waiting}


# Google's finish reasons -> OpenTelemetry GenAI's.
FINISH_REASONS: Mapping[str, str] = {
    "STOP": "stop", "MAX_TOKENS": "length",
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
         "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR", "ESCALATION"),
        "content_filter",
    ),
}  # fmt: skip
_BROKEN = frozenset({"MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL"})


class GeminiDecoder(ReplyDecoder):
    """Decodes a reply. It properly ends with a finish reason or a blocked prompt; only the end of the body follows."""

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(endpoint, headers=headers)
        self._calls = 0

    def _read_event(self, tree: Mapping[str, Any], name: str) -> None:
        self._read_usage(as_mapping(tree.get("usageMetadata")))
        blocked = as_mapping(tree.get("promptFeedback"))
        if blocked.get("blockReason"):
            self._end_with("content_filter", as_text(blocked.get("blockReasonMessage")))
        candidates = content_list(tree.get("candidates"))
        if not candidates:
            return
        candidate = content_object(candidates[0])
        for part in content_list(content_object(candidate.get("content")).get("parts")):
            self._read_part(content_object(part))
        places = as_mapping(candidate.get("logprobsResult")).get("topCandidates")
        self._out += read_logprobs(places, rows="candidates", share="logProbability")
        reason = as_text(candidate.get("finishReason"))
        if reason in _BROKEN:
            self._raise_invalid("the model called a tool in a way that cannot be read")
        elif reason and reason != "FINISH_REASON_UNSPECIFIED":
            finish_reason = map_reason(FINISH_REASONS, reason)
            finish_reason = "tool_call" if finish_reason == "stop" and self._calls else finish_reason
            self._end_with(
                finish_reason, as_text(candidate.get("finishMessage")) if finish_reason == "content_filter" else ""
            )

    def _read_part(self, part: Mapping[str, Any]) -> None:
        signature = as_text(part.get(FIELD))
        if part.get("thought"):
            self._out.append(ReasoningDelta(text=as_text(part.get("text")), signature=signature))
            return
        if signature:  # it belongs to the following part
            self._out.append(OpaqueBlock(wire=OWN, body=signature_block(signature).body))
        if "functionCall" in part:
            self._read_call(as_mapping(part["functionCall"]))
        elif "text" in part:
            if text := content_text(part["text"]):
                self._out.append(WireTextDelta(text=text))
        elif "inlineData" in part:
            self._read_media(as_mapping(part["inlineData"]))
        elif set(part) - {FIELD}:
            self._out.append(OpaqueBlock(wire=OWN, body=dumps(part).decode()))

    def _read_call(self, call: Mapping[str, Any]) -> None:
        """Read a whole call. Older models give no id; then one is generated, so that its result can refer to it."""
        index, self._calls = self._calls, self._calls + 1
        self._out.append(
            ToolCallDelta(
                index=index,
                id=tool_call_id(as_text(call.get("id"))),
                name=as_text(call.get("name")),
                arguments=dumps(as_mapping(call.get("args"))).decode(),
            )
        )

    def _read_media(self, data: Mapping[str, Any]) -> None:
        """Read audio samples; images are not requested over this protocol."""
        if not as_text(data.get("mimeType")).startswith("audio/"):
            return
        try:
            self._out.append(SpeechDelta(data=b64decode(as_text(data.get("data")), validate=True)))
        except ValueError:
            self._raise_invalid("sent speech that is not base64")

    def _end_with(self, reason: str, refusal: str) -> None:
        if refusal:
            self._out.append(RefusalDelta(text=refusal))
        self.complete = True
        self._reason = reason

    def _read_usage(self, usage: Mapping[str, Any]) -> None:
        if usage:
            self._usage = read_usage(usage)


def read_usage(usage: Mapping[str, Any]) -> WireUsage:
    """Return the totals so far.

    ``candidatesTokenCount`` excludes reasoning, ``promptTokenCount`` tokens added by tools.
    """
    prompt_tokens, candidate_tokens = (
        as_token_count(usage.get("promptTokenCount")),
        as_token_count(usage.get("candidatesTokenCount")),
    )
    thought_tokens, tool_tokens = (
        as_token_count(usage.get("thoughtsTokenCount")),
        as_token_count(usage.get("toolUsePromptTokenCount")),
    )
    output_modalities = dict(_modalities(usage, "candidatesTokensDetails"))
    return WireUsage(
        input_tokens=None if prompt_tokens is None else prompt_tokens + (tool_tokens or 0),
        output_tokens=None
        if candidate_tokens is None and thought_tokens is None
        else (candidate_tokens or 0) + (thought_tokens or 0),
        cached_tokens=as_token_count(usage.get("cachedContentTokenCount")),
        reasoning_tokens=thought_tokens,
        audio_tokens=output_modalities.get("audio"),
        image_tokens=output_modalities.get("image"),
        input_by_modality=_modalities(usage, "promptTokensDetails", "toolUsePromptTokensDetails"),
        cached_by_modality=_modalities(usage, "cacheTokensDetails"),
    ).without_excess()


def _modalities(usage: Mapping[str, Any], *names: str) -> tuple[tuple[str, int], ...]:
    """Return the counts by modality, summed over several lists."""
    found: dict[str, int] = {}
    for row in (as_mapping(each) for name in names for each in as_list(usage.get(name))):
        number, modality = as_token_count(row.get("tokenCount")), as_text(row.get("modality")).lower()
        if number is not None and modality:
            found[modality] = found.get(modality, 0) + number
    return tuple(found.items())


Decoder = GeminiDecoder  # the name that every chat codec has for it

__all__ = ["IMAGE_TYPES", "QUIRKS", "WIRE", "Decoder", "GeminiDecoder", "encode_request", "normalise"]
