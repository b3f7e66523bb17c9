"""The wires that chats are passed on by: how each is read, begun and ended. A new one is a row, and its readers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from intermodal.catalog.nouns import Endpoint, Host, Protocol
from intermodal.gateway.dialects import CHAT, MESSAGES, Dialect, Encoder
from intermodal.gateway.lane import message_replies, messages, reading, replies
from intermodal.gateway.lane.exchange import Live
from intermodal.gateway.lane.lifted import Body
from intermodal.gateway.lane.message_stream import LiveMessage
from intermodal.gateway.lane.reading import Chat, Measure
from intermodal.gateway.lane.replies import Piece
from intermodal.request import Sampling
from intermodal.wire import anthropic, anthropic_served, openai_chat, openai_chat_served
from intermodal.wire._json import dumps
from intermodal.wire.call import WireEvent
from intermodal.wire.decoding import Decoding

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Tongue:
    """One wire, the same on both sides.

    Attributes:
        dialect: of the clients. protocol: of the hosts. path: below a host's base_url.
        headers: what a host wants, by how words are drawn.
        chat_of: reads a client's body. kept: fields that go on as they came.
        settings: what is said besides: the limit of the answer, and whether it is streamed.
        read: reads a whole reply. uncounted: its usage where it has none.
        live: lets a streamed one through. broken: the last event of one that failed.
    """

    dialect: Dialect
    protocol: Protocol
    path: str
    headers: Callable[[Sampling], Headers]
    chat_of: Callable[[Body, str, Measure], Chat | None]
    kept: tuple[str, ...]
    settings: Callable[[Host, int | None, bool], bytes]
    read: Callable[[bytes], Piece | None]
    live: type[Live]
    broken: Callable[[BaseException], bytes]
    decodes: Callable[[str, Mapping[str, str]], Decoding]
    encodes: Callable[[str], Encoder]
    uncounted: bytes

    def start(self, endpoint: Endpoint, limit: int | None, stream: bool) -> bytes:
        """The beginning of a body."""
        model = dumps(endpoint.served_as or endpoint.model.id)
        return b'{"model":' + model + self.settings(endpoint.host, limit, stream)

    def sent_as(self, host: Host) -> tuple[tuple[str, bytes], ...]:
        """Fields that go on, each with how it begins there."""
        names = {"seed": "random_seed"} if "random_seed" in host.quirks else {}
        return tuple((name, b',"%b":' % names.get(name, name).encode()) for name in self.kept)

    def decoder(self, endpoint: str, headers: Mapping[str, str]) -> Decoding:
        return self.decodes(endpoint, headers)

    def whole(self, events: Iterable[WireEvent]) -> bytes:
        return self.dialect.encode(events, "")[1]

    def encoder(self, model: str) -> Encoder:
        return self.encodes(model)


def _openai(host: Host, limit: int | None, stream: bool) -> bytes:
    said = b""
    if limit is not None:
        name = b"max_completion_tokens" if "max_completion_tokens" in host.quirks else b"max_tokens"
        said += b',"%b":%d' % (name, limit)
    if stream:
        said += b',"stream":true'
        if "no_stream_options" not in host.quirks:
            said += b',"stream_options":{"include_usage":true}'
    return said


def _anthropic(host: Host, limit: int | None, stream: bool) -> bytes:
    most = anthropic.MAX_TOKENS if limit is None else limit
    return b',"max_tokens":%d' % most + (b',"stream":true' if stream else b"")


OPENAI = Tongue(
    dialect=CHAT, protocol="openai", path=openai_chat.PATH, headers=lambda sampling: openai_chat.JSON_HEADERS,
    chat_of=reading.chat_of, kept=reading.KEPT, settings=_openai, read=replies.read, live=Live, broken=replies.broken,
    decodes=lambda endpoint, headers: openai_chat.Decoder(endpoint, headers=headers),
    encodes=lambda model: openai_chat_served.StreamEncoder(
        model, id="chatcmpl-whole", created=int(time.time()), usage=False
    ),
    uncounted=replies.UNCOUNTED,
)  # fmt: skip
ANTHROPIC = Tongue(
    dialect=MESSAGES, protocol="anthropic", path=anthropic.PATH, headers=anthropic.headers_for,
    chat_of=messages.chat_of, kept=messages.KEPT, settings=_anthropic, read=message_replies.read, live=LiveMessage,
    broken=message_replies.broken, decodes=lambda endpoint, headers: anthropic.Decoder(endpoint, headers=headers),
    encodes=lambda model: anthropic_served.StreamEncoder(model, id="msg_whole"),
    uncounted=b'{"input_tokens":0,"output_tokens":0}',
)  # fmt: skip
TONGUES: Mapping[str, Tongue] = {tongue.dialect.reads: tongue for tongue in (OPENAI, ANTHROPIC)}
