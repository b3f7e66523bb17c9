"""OpenAI's responses API, as a host is called: ``encode_request`` writes a request, ``Decoder`` reads the reply.

Source: OpenAI's OpenAPI document for ``POST /responses`` and the types of its published SDK. Nothing is stored at the
host (``store`` is false), so reasoning arrives encrypted and goes back unchanged.
``decode_request(b"".join(encoded.segments)) == normalise(call, host)`` always holds. A reply is a stream of typed
server-sent events, or one JSON document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
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
    Error,
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
    WireVideo,
)
from intermodal.protocols.conversation import (
    check_candidates,
    check_parts,
    is_plain,
    merge_neighbours,
    normalise_tools,
    part_label,
    result_as_text,
    valid_utf8_part,
)
from intermodal.protocols.errors import classification
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
from intermodal.protocols.openai_chat.codec import (
    DEFAULT_NAME,
    IMAGE_TYPES,
    MAX_CANDIDATES,
    function_definition,
    normalise_json_output,
    response_schema,
)
from intermodal.protocols.openai_chat.reply import FINISH_REASONS, read_usage
from intermodal.protocols.openai_responses.server import OWN, decode_request
from intermodal.protocols.reply_decoder import (
    NO_ANSWER,
    UNEXPLAINED,
    ReplyDecoder,
    arguments_as_json,
    content_list,
    content_object,
    content_text,
    map_reason,
    read_logprobs,
    tool_call_id,
)

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
    """Return the call as this protocol can carry it: the value that ``decode_request`` reads back.

    Neighbouring messages of one role are merged. Blank text is omitted; so are reasoning that is not this protocol's
    own block, and blocks of other protocols.
    """
    output: TextOutput | JsonOutput = TextOutput()
    if isinstance(call.output, JsonOutput) and host.forced_json:
        output = normalise_json_output(call.output, host)
    return msgspec.structs.replace(
        normalise_tools(call, strict=True),
        model=valid_utf8(call.model),
        messages=merge_neighbours(map(_normalised, call.messages)),
        output=output,
        grammar="",
        context=None,
        cache=(),
        settings=request_fields.supported_settings(call.settings, "openai-responses", host.quirks),
    )


def write_turns(messages: Iterable[WireMessage]) -> list[dict[str, Any]]:
    """Return the items of a conversation in the form for a host."""
    said = merge_neighbours(map(_normalised, messages))
    return [item for message in said for item in _items(message)]


def _normalised(message: WireMessage) -> WireMessage:
    return message if is_plain(message) else WireMessage(role=message.role, parts=tuple(_normal(message.parts)))


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
    kept = {name: value for name, value in item.items() if name != "id" or not str(value).startswith(OUR_ID)}
    return Opaque(wire=OWN, body=dumps(kept).decode())


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
        yield from _said(message)
    elif message.role == "tool":
        for part in message.parts:
            if isinstance(part, ToolResult):
                yield {"type": "function_call_output", "call_id": part.id, "output": part.text}
    else:
        only = message.parts[0]
        single = len(message.parts) == 1 and isinstance(only, WireText)
        content = only.text if single and isinstance(only, WireText) else [_content(part) for part in message.parts]
        yield {"type": "message", "role": message.role, "content": content}


def _said(message: WireMessage) -> Iterator[dict[str, Any]]:
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


ENDED = frozenset({"", "completed", "incomplete", "failed"})  # final states of a response; some servers omit the state
_TEXT: Mapping[str, Callable[..., ReasoningDelta | RefusalDelta]] = {
    "response.reasoning_summary_text.delta": partial(ReasoningDelta, summary=True),
    "response.reasoning_text.delta": ReasoningDelta,
    "response.refusal.delta": RefusalDelta,
}


class OpenAIResponsesDecoder(ReplyDecoder):
    """Decodes a response.

    It properly ends with ``response.completed`` or ``response.incomplete``, which contain the usage.
    """

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(endpoint, headers=headers)
        self._calls: dict[int, int] = {}  # index of an item -> index of its tool call

    def _read_event(self, tree: Mapping[str, Any], name: str) -> None:
        kind = as_text(tree.get("type")) or name
        place = as_token_count(tree.get("output_index")) or 0
        if kind == "response.output_text.delta":
            self._out.append(WireTextDelta(text=content_text(tree.get("delta"))))
            self._out += read_logprobs(tree.get("logprobs"))
        elif kind in _TEXT:
            self._refused = self._refused or kind == "response.refusal.delta"
            self._out.append(_TEXT[kind](text=as_text(tree.get("delta"))))
        elif kind == "response.output_item.added":
            item = as_mapping(tree.get("item"))
            if item.get("type") == "function_call":
                self._read_call(place, item)
        elif kind == "response.function_call_arguments.delta" and place in self._calls:
            self._out.append(ToolCallDelta(index=self._calls[place], arguments=as_text(tree.get("delta"))))
        elif kind == "response.output_item.done":
            self._read_thought(as_mapping(tree.get("item")))
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            self._read_end(as_mapping(tree.get("response")))

    def _read_reply(self, tree: Mapping[str, Any]) -> None:
        if not isinstance(tree.get("output"), list) and tree.get("status") != "failed":
            self._fail(NO_ANSWER)
            return
        for place, item in enumerate(map(content_object, content_list(tree.get("output")))):
            if item.get("type") == "message":
                self._read_message(item)
            elif item.get("type") == "function_call":
                self._read_call(place, item)
            elif item.get("type") == "reasoning":
                for field in ("summary", "content"):
                    for told in as_list(item.get(field)):
                        said = as_text(as_mapping(told).get("text"))
                        self._out.append(ReasoningDelta(text=said, summary=field == "summary"))
                self._read_thought(item)
        self._read_end(tree)

    def _read_message(self, item: Mapping[str, Any]) -> None:
        for part in map(content_object, content_list(item.get("content"))):
            if part.get("type") == "output_text":
                self._out.append(WireTextDelta(text=content_text(part.get("text"))))
                self._out += read_logprobs(part.get("logprobs"))
            elif part.get("type") == "refusal":
                self._refused = True
                self._out.append(RefusalDelta(text=as_text(part.get("refusal"))))

    def _read_call(self, place: int, item: Mapping[str, Any]) -> None:
        index = self._calls.setdefault(place, len(self._calls))
        self._out.append(
            ToolCallDelta(
                index=index,
                id=tool_call_id(as_text(item.get("call_id")) or as_text(item.get("id"))),
                name=as_text(item.get("name")),
                arguments=arguments_as_json(item.get("arguments")),
            )
        )

    def _read_thought(self, item: Mapping[str, Any]) -> None:
        """Read a whole reasoning item. Only an encrypted one can be sent back, as nothing is stored at the host."""
        if item.get("type") == "reasoning" and item.get("encrypted_content"):
            self._out.append(OpaqueBlock(wire=OWN, body=dumps(item).decode()))

    def _read_end(self, response: Mapping[str, Any]) -> None:
        if isinstance(usage := response.get("usage"), Mapping):
            self._usage = read_usage(usage, as_text(response.get("service_tier")))
        if response.get("status") == "failed" or response.get("error"):
            self._out_usage()
            self._end(Error(error=classification.classify(200, self._headers, response, self._endpoint)))
            return
        reason, state = (
            as_text(as_mapping(response.get("incomplete_details")).get("reason")),
            as_text(response.get("status")),
        )
        if not explains_end(state, reason):
            self._fail(UNEXPLAINED)
            return
        self._reason = finish_reason(reason, called=bool(self._calls))
        self.complete = True
        self._finish()


def explains_end(status: str, reason: str) -> bool:
    """Return True if a response has ended and states why. ``reason``: of its incomplete_details, "" for none."""
    return status in ENDED and (status != "incomplete" or bool(reason))


def finish_reason(reason: str, *, called: bool) -> str:
    """Return the finish reason of a response that explains its end."""
    if reason:
        return map_reason(FINISH_REASONS, reason)
    return "tool_call" if called else "stop"


Decoder = OpenAIResponsesDecoder  # the name that every chat codec has for it

__all__ = [
    "IMAGE_TYPES",
    "PATH",
    "QUIRKS",
    "WIRE",
    "Decoder",
    "OpenAIResponsesDecoder",
    "decode_request",
    "encode_request",
    "normalise",
]
