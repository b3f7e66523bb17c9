"""The table of protocols of the direct path: one row per protocol, with the codecs of its folder in ``protocols/``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from msgspec import Raw
from msgspec.structs import replace

from intermodal.catalog.types import Endpoint, Host, Protocol
from intermodal.client_apis import (
    ANTHROPIC_MESSAGES,
    OLLAMA_CHAT,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    ClientApi,
)
from intermodal.core.request import JsonOutput, Request, Sampling, Settings, TextOutput
from intermodal.cost_model.memory import requested_context
from intermodal.plans.step import Call
from intermodal.protocols.anthropic import codec as anthropic_codec
from intermodal.protocols.anthropic import passthrough as anthropic_passthrough
from intermodal.protocols.anthropic import reply as anthropic_reply
from intermodal.protocols.anthropic.passthrough import AnthropicStream
from intermodal.protocols.calls import CHAT_HEADERS, ChatCall, EncodedRequest, Error, ReplyEncoder, WireEvent
from intermodal.protocols.framing.inline_media import ExtractedBody
from intermodal.protocols.framing.json_body import join_object, split_object
from intermodal.protocols.ollama import codec as ollama_codec
from intermodal.protocols.ollama import passthrough as ollama_passthrough
from intermodal.protocols.ollama import reply as ollama_reply
from intermodal.protocols.ollama.passthrough import OllamaStream
from intermodal.protocols.openai_chat import codec as openai_chat_codec
from intermodal.protocols.openai_chat import passthrough as openai_chat_passthrough
from intermodal.protocols.openai_chat import reply as openai_chat_reply
from intermodal.protocols.openai_chat.passthrough import OpenAIChatStream
from intermodal.protocols.openai_responses import codec as openai_responses_codec
from intermodal.protocols.openai_responses import passthrough as openai_responses_passthrough
from intermodal.protocols.openai_responses import reply as openai_responses_reply
from intermodal.protocols.openai_responses.passthrough import OpenAIResponsesStream
from intermodal.protocols.openai_responses.server import echoed_fields
from intermodal.protocols.parsed_chat import ParsedChat, TextMeasurer
from intermodal.protocols.reply_chunk import ReplyChunk, rewrite_reply
from intermodal.protocols.reply_decoder import ReplyDecoder
from intermodal.protocols.request_fields import IDENTIFIERS
from intermodal.protocols.upstream_response import StreamedResponse

Headers = tuple[tuple[str, str], ...]


class BodyStart(NamedTuple):
    """The inputs for the beginning of a body.

    ``limit``: tokens of the answer; None for none. ``request``: with a schema as its output if the host enforces it.
    """

    endpoint: Endpoint
    request: Request
    step: Call
    limit: int | None
    stream: bool

    @property
    def call(self) -> ChatCall:
        """The call without its messages, and without anything that varies among chats of a shape."""
        request, limit = self.request, self.limit
        own = tuple(field for field in request.settings.own if field[0] not in IDENTIFIERS)
        return ChatCall(
            model=self.endpoint.served_as or self.endpoint.model.id, messages=(),
            output=request.output if isinstance(request.output, JsonOutput) else TextOutput(),
            sampling=replace(request.sampling, max_tokens=limit), settings=replace(request.settings, own=own),
            tools=request.tools, tool_choice=request.tool_choice, parallel_tools=request.parallel_tools,
            context=requested_context(self.step, self.endpoint, limit), stream=self.stream,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class ProtocolAdapter:
    """One protocol, spoken by client and host.

    Attributes:
        dialect: of the clients. protocol: of the hosts. path: below a host's base_url.
        headers: headers for a host, by sampling and settings.
        chat_of: parses a client's body. forwarded: fields that are forwarded as received, or as it rewrote them.
            identifiers: forwarded fields that vary among chats of a shape. field_name: a host's name for such a field.
        encode: encodes a request for runs. schema: the field of ``forwarded`` that it writes if a host enforces a
            schema.
        read: parses a whole reply. write_reply: rewrites it for the client, with request fields that it repeats
            (``again``). uncounted: its usage if it has none.
        items: items of a whole reply that clients may refer to later.
        conversation_field: the field that holds the conversation.
        live: forwards a streamed reply. stream_type: its content type. decode: decodes replies for runs.
        quiet: tells the client's encoder to leave the usage out.
    """

    dialect: ClientApi
    protocol: Protocol
    path: str
    headers: Callable[[Sampling, Settings], Headers]
    chat_of: Callable[[ExtractedBody, str, TextMeasurer], ParsedChat | None]
    forwarded: tuple[str, ...]
    encode: Callable[[ChatCall, Host], EncodedRequest]
    decode: Callable[..., ReplyDecoder]
    read: Callable[[bytes], ReplyChunk | None]
    live: type[StreamedResponse]
    uncounted: bytes
    write_reply: Callable[..., bytes] = rewrite_reply
    identifiers: tuple[str, ...] = ()
    again: Callable[[Mapping[str, Raw]], Mapping[str, Raw]] | None = None
    items: Callable[[bytes], list[dict[str, Any]]] = lambda data: []
    field_name: Callable[[str, Host], str] = lambda name, host: name
    schema: str = ""
    quiet: Mapping[str, Any] = field(default_factory=dict)
    conversation_field: str = "messages"

    def start(self, opening: BodyStart) -> bytes:
        """Return the beginning of a body: everything that the codec writes and the client's bytes do not contain.

        Raises NotExpressible.
        """
        fields = split_object(b"".join(self.encode(opening.call, opening.endpoint.host).segments))
        names = {self.field_name(name, opening.endpoint.host) for name in self.forwarded}
        names -= {self.schema} if isinstance(opening.request.output, JsonOutput) else set()
        return join_object({name: raw for name, raw in fields.items() if name not in names})[:-1]

    def forwarded_fields(self, host: Host) -> tuple[tuple[str, bytes], ...]:
        """Return the forwarded fields, each with the bytes that begin it for this host."""
        return tuple((name, b',"%b":' % self.field_name(name, host).encode()) for name in self.forwarded)

    def decoder(self, endpoint: str, headers: Mapping[str, str]) -> ReplyDecoder:
        return self.decode(endpoint, headers=headers)

    def encode_reply(self, events: Iterable[WireEvent]) -> bytes:
        return self.dialect.encode(events, "")[1]

    def encoder(self, model: str, **more: Any) -> ReplyEncoder:
        return self.dialect.encoder(model, **self.quiet, **more)

    def failure_event(self, error: BaseException) -> bytes:
        """Return the last event of a stream that failed midway."""
        return self.dialect.encoder("").feed(Error(error=error))  # type: ignore[arg-type]

    @cached_property
    def stream_type(self) -> str:
        return self.dialect.stream_type


OPENAI = ProtocolAdapter(
    dialect=OPENAI_CHAT, protocol="openai", path=openai_chat_codec.PATH,
    headers=lambda *asked: CHAT_HEADERS,
    chat_of=openai_chat_passthrough.chat_of, forwarded=openai_chat_passthrough.KEPT, identifiers=IDENTIFIERS,
    field_name=openai_chat_codec.field_name, encode=openai_chat_codec.encode_request,
    decode=openai_chat_reply.Decoder, read=openai_chat_reply.read_reply, live=OpenAIChatStream,
    uncounted=openai_chat_reply.UNCOUNTED, quiet={"usage": False},
)  # fmt: skip
ANTHROPIC = ProtocolAdapter(
    dialect=ANTHROPIC_MESSAGES, protocol="anthropic", path=anthropic_codec.PATH,
    headers=anthropic_codec.headers_for, chat_of=anthropic_passthrough.chat_of, forwarded=anthropic_passthrough.KEPT,
    encode=anthropic_codec.encode_request, schema="output_config", decode=anthropic_reply.Decoder,
    read=anthropic_reply.read_reply, live=AnthropicStream, uncounted=anthropic_reply.UNCOUNTED,
)  # fmt: skip
RESPONSE = ProtocolAdapter(
    dialect=OPENAI_RESPONSES, protocol="openai-responses", path=openai_responses_codec.PATH, identifiers=IDENTIFIERS,
    headers=lambda *asked: CHAT_HEADERS, chat_of=openai_responses_passthrough.chat_of,
    forwarded=openai_responses_passthrough.KEPT, encode=openai_responses_codec.encode_request,
    decode=openai_responses_reply.Decoder, read=openai_responses_reply.read_reply, live=OpenAIResponsesStream,
    uncounted=openai_responses_reply.UNCOUNTED, write_reply=openai_responses_passthrough.rewrite_response,
    items=openai_responses_passthrough.items_of, again=echoed_fields, conversation_field="input",
)  # fmt: skip
LINES = ProtocolAdapter(
    dialect=OLLAMA_CHAT, protocol="ollama", path=ollama_codec.PATH, headers=lambda *asked: ollama_codec.HEADERS,
    chat_of=ollama_passthrough.chat_of, forwarded=ollama_passthrough.KEPT, encode=ollama_codec.encode_request,
    decode=ollama_reply.Decoder, read=ollama_reply.read_reply, live=OllamaStream,
    uncounted=ollama_reply.UNCOUNTED, write_reply=ollama_passthrough.rewrite_reply,
)  # fmt: skip
ADAPTERS: Mapping[str, ProtocolAdapter] = {
    adapter.dialect.reads: adapter for adapter in (OPENAI, ANTHROPIC, RESPONSE, LINES)
}
