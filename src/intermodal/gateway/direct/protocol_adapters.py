"""The table of protocols that the direct path speaks. A new protocol is a row here, and its parsers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from msgspec import Raw
from msgspec.structs import replace

from intermodal.catalog.types import Endpoint, Host, Protocol
from intermodal.cost_model.context_window import requested_context
from intermodal.gateway.client_apis import (
    ANTHROPIC_MESSAGES,
    OLLAMA_CHAT,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    ClientApi,
    ReplyEncoder,
)
from intermodal.gateway.direct import (
    anthropic_parser,
    anthropic_rewriter,
    ollama_parser,
    ollama_rewriter,
    openai_chat_parser,
    openai_chat_rewriter,
    openai_responses_parser,
    openai_responses_rewriter,
)
from intermodal.gateway.direct.anthropic_stream import AnthropicStream
from intermodal.gateway.direct.media_extraction import ExtractedBody
from intermodal.gateway.direct.ollama_stream import OllamaStream
from intermodal.gateway.direct.openai_chat_parser import ParsedChat, TextMeasurer
from intermodal.gateway.direct.openai_chat_rewriter import ReplyChunk, rewrite_reply
from intermodal.gateway.direct.openai_responses_stream import OpenAIResponsesStream
from intermodal.gateway.direct.raw_json import join_object, split_object
from intermodal.gateway.direct.upstream_response import StreamedResponse
from intermodal.plans.step import Call
from intermodal.protocols.anthropic import request as anthropic_request
from intermodal.protocols.anthropic import server as anthropic_server
from intermodal.protocols.calls import ChatCall, EncodedRequest, Error, WireEvent
from intermodal.protocols.framing.json_body import dumps
from intermodal.protocols.ollama import request as ollama_request
from intermodal.protocols.ollama import server as ollama_server
from intermodal.protocols.openai_chat import request as openai_chat_request
from intermodal.protocols.openai_chat import server as openai_chat_server
from intermodal.protocols.openai_responses import request as openai_responses_request
from intermodal.protocols.openai_responses.server import echoed_fields
from intermodal.protocols.reply_decoder import ReplyDecoder
from intermodal.protocols.request_fields import IDENTIFIERS
from intermodal.request import JsonOutput, Request, Sampling, Settings, TextOutput

Headers = tuple[tuple[str, str], ...]


class BodyStart(NamedTuple):
    """What the beginning of a body depends on. ``limit``: tokens of the answer, None for none. ``request``: with a
    schema as its output where the host is held to it."""

    endpoint: Endpoint
    request: Request
    step: Call
    limit: int | None
    stream: bool

    @property
    def model(self) -> str:
        """As its host calls it."""
        return self.endpoint.served_as or self.endpoint.model.id


@dataclass(frozen=True, eq=False)
class ProtocolAdapter:
    """One wire, the same on both sides.

    Attributes:
        dialect: of the clients. protocol: of the hosts. path: below a host's base_url.
        headers: what a host wants, by how words are drawn.
        chat_of: reads a client's body. kept: fields that go on as they came, or as it wrote them. identifiers: the same
            of fields that vary among chats of a shape.
        start: the beginning of a body, which says what is said besides. It may raise NotExpressible.
        read: reads a whole reply. told: writes it for the client, with what is said again of the request's fields
        (again). uncounted: its usage where it has none.
        items: what clients may name later of a whole reply.
        said: the field that holds the conversation.
        live: lets a streamed one through. broken: the last event of one that failed. stream_type: what it comes as.
    """

    dialect: ClientApi
    protocol: Protocol
    path: str
    headers: Callable[[Sampling, Settings], Headers]
    chat_of: Callable[[ExtractedBody, str, TextMeasurer], ParsedChat | None]
    kept: tuple[str, ...]
    start: Callable[[BodyStart], bytes]
    read: Callable[[bytes], ReplyChunk | None]
    live: type[StreamedResponse]
    broken: Callable[[BaseException], bytes]
    decodes: Callable[[str, Mapping[str, str]], ReplyDecoder]
    encodes: Callable[[str], ReplyEncoder]
    uncounted: bytes
    told: Callable[..., bytes] = rewrite_reply
    identifiers: tuple[str, ...] = ()
    again: Callable[[Mapping[str, Raw]], Mapping[str, Raw]] | None = None
    items: Callable[[bytes], list[dict[str, Any]]] = lambda data: []
    stream_type: str = "text/event-stream"
    said: str = "messages"

    def sent_as(self, host: Host) -> tuple[tuple[str, bytes], ...]:
        """Fields that go on, each with how it begins there."""
        names = {"seed": "random_seed"} if "random_seed" in host.quirks else {}
        return tuple((name, b',"%b":' % names.get(name, name).encode()) for name in self.kept)

    def decoder(self, endpoint: str, headers: Mapping[str, str]) -> ReplyDecoder:
        return self.decodes(endpoint, headers)

    def whole(self, events: Iterable[WireEvent]) -> bytes:
        return self.dialect.encode(events, "")[1]

    def encoder(self, model: str) -> ReplyEncoder:
        return self.encodes(model)


def _openai(opening: BodyStart) -> bytes:
    host, limit = opening.endpoint.host, opening.limit
    said = b'{"model":' + dumps(opening.model)
    if limit is not None:
        name = b"max_completion_tokens" if "max_completion_tokens" in host.quirks else b"max_tokens"
        said += b',"%b":%d' % (name, limit)
    if opening.stream:
        said += b',"stream":true'
        if "no_stream_options" not in host.quirks:
            said += b',"stream_options":{"include_usage":true}'
    return said + _schema_of(opening, openai_chat_request.encode_request, b"response_format")


def _anthropic(opening: BodyStart) -> bytes:
    most = anthropic_request.MAX_TOKENS if opening.limit is None else opening.limit
    said = b'{"model":%b,"max_tokens":%d' % (dumps(opening.model), most)
    said += b',"stream":true' if opening.stream else b""
    return said + _schema_of(opening, anthropic_request.encode_request, b"output_config")


def _schema_of(opening: BodyStart, encode: Callable[[ChatCall, Host], EncodedRequest], field: bytes) -> bytes:
    """The field that holds a host to a schema, as the wire writes it everywhere else; b"" where there is none."""
    request, endpoint = opening.request, opening.endpoint
    if not isinstance(request.output, JsonOutput):
        return b""
    settings = replace(Settings(), effort=request.settings.effort)
    call = ChatCall(model=opening.model, messages=(), output=request.output, settings=settings)
    fields = split_object(b"".join(encode(call, endpoint.host).segments))
    raw = fields.get(field.decode())
    return b"" if raw is None else b',"%b":%b' % (field, raw)


def _encoded(encode: Callable[[ChatCall, Host], EncodedRequest], said: str) -> Callable[[BodyStart], bytes]:
    """As the wire writes all that is not said: it is the same for all chats of a shape."""

    def start(opening: BodyStart) -> bytes:
        request, step, endpoint, limit = opening.request, opening.step, opening.endpoint, opening.limit
        own = tuple(field for field in request.settings.own if field[0] not in IDENTIFIERS)
        call = ChatCall(
            model=opening.model, messages=(), output=_output_of(request),
            sampling=replace(request.sampling, max_tokens=limit), settings=replace(request.settings, own=own),
            tools=request.tools, tool_choice=request.tool_choice, parallel_tools=request.parallel_tools,
            context=requested_context(step, endpoint, limit), stream=opening.stream,
        )  # fmt: skip
        fields = split_object(b"".join(encode(call, endpoint.host).segments))
        fields.pop(said, None)
        return join_object(fields)[:-1]

    return start


def _output_of(request: Request) -> TextOutput | JsonOutput:
    return request.output if isinstance(request.output, JsonOutput) else TextOutput()


OPENAI = ProtocolAdapter(
    dialect=OPENAI_CHAT, protocol="openai", path=openai_chat_request.PATH,
    headers=lambda *asked: openai_chat_request.JSON_HEADERS,
    chat_of=openai_chat_parser.chat_of, kept=openai_chat_parser.KEPT, identifiers=IDENTIFIERS,
    start=_openai, read=openai_chat_rewriter.read, live=StreamedResponse, broken=openai_chat_rewriter.broken,
    decodes=lambda endpoint, headers: openai_chat_request.OpenAIChatDecoder(endpoint, headers=headers),
    encodes=lambda model: openai_chat_server.OpenAIChatStreamEncoder(
        model, id="chatcmpl-whole", created=int(time.time()), usage=False
    ),
    uncounted=openai_chat_rewriter.UNCOUNTED,
)  # fmt: skip
ANTHROPIC = ProtocolAdapter(
    dialect=ANTHROPIC_MESSAGES, protocol="anthropic", path=anthropic_request.PATH,
        headers=anthropic_request.headers_for,
    chat_of=anthropic_parser.chat_of, kept=anthropic_parser.KEPT, start=_anthropic, read=anthropic_rewriter.read,
    live=AnthropicStream,
    broken=anthropic_rewriter.broken,
    decodes=lambda endpoint, headers: anthropic_request.AnthropicDecoder(endpoint, headers=headers),
    encodes=lambda model: anthropic_server.AnthropicStreamEncoder(model, id="msg_whole"),
    uncounted=b'{"input_tokens":0,"output_tokens":0}',
)  # fmt: skip
RESPONSE = ProtocolAdapter(
    dialect=OPENAI_RESPONSES, protocol="openai-responses", path=openai_responses_request.PATH, identifiers=IDENTIFIERS,
    headers=lambda *asked: openai_responses_request.HEADERS, chat_of=openai_responses_parser.chat_of,
    kept=openai_responses_parser.KEPT,
    start=_encoded(openai_responses_request.encode_request, "input"), read=openai_responses_rewriter.read,
    live=OpenAIResponsesStream,
    broken=lambda error: OPENAI_RESPONSES.encoder("").feed(Error(error=error)),  # type: ignore[arg-type]
    decodes=lambda endpoint, headers: openai_responses_request.OpenAIResponsesDecoder(endpoint, headers=headers),
    encodes=OPENAI_RESPONSES.encoder,
    uncounted=openai_responses_rewriter.UNCOUNTED, told=openai_responses_rewriter.finished,
    items=openai_responses_rewriter.items_of,
    again=echoed_fields, said="input",
)  # fmt: skip
LINES = ProtocolAdapter(
    dialect=OLLAMA_CHAT, protocol="ollama", path=ollama_request.PATH, headers=lambda *asked: ollama_request.HEADERS,
    chat_of=ollama_parser.chat_of, kept=ollama_parser.KEPT, start=_encoded(ollama_request.encode_request, "messages"),
    read=ollama_rewriter.read, live=OllamaStream,
    broken=lambda error: OLLAMA_CHAT.encoder("").feed(Error(error=error)),  # type: ignore[arg-type]
    decodes=lambda endpoint, headers: ollama_request.OllamaDecoder(endpoint, headers=headers),
        encodes=OLLAMA_CHAT.encoder,
    uncounted=ollama_rewriter.UNCOUNTED, told=ollama_rewriter.finished, stream_type=ollama_server.STREAM_TYPE,
)  # fmt: skip
ADAPTERS: Mapping[str, ProtocolAdapter] = {
    tongue.dialect.reads: tongue for tongue in (OPENAI, ANTHROPIC, RESPONSE, LINES)
}
