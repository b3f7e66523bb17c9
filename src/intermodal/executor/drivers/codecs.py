"""The codec of each protocol: a table, and plugins. A codec is loaded on first use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, cast, get_args
from typing import Protocol as Shape

from intermodal.catalog.image_options import IMAGES_IN_CHAT
from intermodal.catalog.plugin_rows import load_protocol, protocol_plugins
from intermodal.catalog.types import Endpoint, Host, Protocol
from intermodal.core.plugin_registry import Plugin
from intermodal.errors import CallError, IntermodalError, NotInstalled
from intermodal.protocols.calls import (
    ChatCall,
    EmbeddingCall,
    Embeddings,
    EncodedRequest,
    Error,
    Finish,
    GeneratedImages,
    ImageCall,
    WireEvent,
    WireUsage,
)
from intermodal.protocols.framing.event_streams import NdjsonReader, SseReader
from intermodal.protocols.reply_decoder import ReplyDecoder

# The codec of a plugin's protocol: two functions of its module, called like the codecs of ``protocols/``.
#
# An exception of a plugin becomes an error of the call that names its package, so that a run takes another route.


_EVENTS = get_args(WireEvent)


class PluginCodec:
    """Speaks a chat protocol through a plugin (``drivers.codecs.ChatCodec``)."""

    def __init__(self, plugin: Plugin, module: Any) -> None:
        self.plugin = plugin
        self.framing = getattr(module, "FRAMING", "sse")
        self.read_event = module.read_event
        self.IMAGE_TYPES: frozenset[str] = frozenset(getattr(module, "IMAGE_TYPES", ()))
        self._encode_request = module.encode_request

    def encode_request(self, call: ChatCall, host: Host) -> EncodedRequest:
        """Return the encoded call. Raises NotExpressible, and CallError if the plugin fails."""
        try:
            encoded = self._encode_request(call, host)
        except IntermodalError:
            raise
        except Exception as error:
            raise self.failure(f"failed to write the request ({type(error).__name__})", sent=False) from error
        if not isinstance(encoded, EncodedRequest):
            raise self.failure(f"wrote {type(encoded).__name__}, not an EncodedRequest", sent=False)
        return encoded

    def Decoder(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> ReplyDecoder:
        """Return a decoder of one reply."""
        return _PluginDecoder(self, endpoint, headers=headers)

    def failure(self, what: str, *, where: str = "", sent: bool = True) -> CallError:
        """Return the error of a call in which the plugin failed."""
        return CallError(f"the plugin {self.plugin.title} {what}", where=where, todo=self.plugin.removal, sent=sent)


class _PluginDecoder(ReplyDecoder):
    """Passes each event of a reply to the plugin, and extracts usage and finish reason from the result."""

    def __init__(self, codec: PluginCodec, endpoint: str, *, headers: Mapping[str, str] | None) -> None:
        self._codec = codec
        super().__init__(endpoint, headers=headers)

    def _new_event_reader(self) -> SseReader | NdjsonReader:
        return NdjsonReader() if self._codec.framing == "ndjson" else SseReader()

    def _read_event(self, tree: Mapping[str, Any], name: str) -> None:
        try:
            found = list(self._codec.read_event(tree))
        except CallError as error:
            error.where = error.where or self._endpoint
            self._end(Error(error=error))
            return
        except Exception as error:
            self._give_up(f"cannot read the reply ({type(error).__name__})")
            return
        for event in found:
            if isinstance(event, WireUsage):
                self._usage = event
            elif isinstance(event, Finish):
                self.complete, self._reason = True, event.reason
            elif isinstance(event, Error):
                self._end(event)
                return
            elif isinstance(event, _EVENTS):
                self._out.append(event)
            else:
                self._give_up(f"read {type(event).__name__}, which is no event of a reply")
                return

    def _give_up(self, what: str) -> None:
        self._emit_usage()
        self._end(Error(error=self._codec.failure(what, where=self._endpoint)))


@cache
def _plugin_codec(protocol: Protocol) -> PluginCodec:
    """Return the codec of a plugin's protocol. Raises NotInstalled."""
    plugin = protocol_plugins().get(protocol)
    if plugin is None:
        raise NotInstalled(f"no plugin speaks the protocol {protocol}", todo="install the package that does")
    return PluginCodec(plugin, load_protocol(protocol))


CHATS: Mapping[Protocol, str] = {
    "openai": "intermodal.protocols.openai_chat.codec",
    "openai-responses": "intermodal.protocols.openai_responses.codec",
    "llama": "intermodal.protocols.openai_chat.codec",
    "started": "intermodal.protocols.openai_chat.codec",
    "anthropic": "intermodal.protocols.anthropic.codec",
    "gemini": "intermodal.protocols.gemini.codec",
    "ollama": "intermodal.protocols.ollama.codec",
}
_VECTORS: Mapping[Protocol, str] = {
    "openai": "intermodal.protocols.openai_media.embeddings",
    "started": "intermodal.protocols.openai_media.embeddings",
    "openai-responses": "intermodal.protocols.openai_media.embeddings",
    "ollama": "intermodal.protocols.ollama.embeddings",
    "gemini": "intermodal.protocols.gemini.embeddings",
}
_PICTURES: Mapping[Protocol, str] = {
    "openai": "intermodal.protocols.openai_media.images",
    "openai-responses": "intermodal.protocols.openai_media.images",
    "gemini": "intermodal.protocols.gemini.images",
}
_IMAGES_IN_CHAT: Mapping[Protocol, str] = {
    "openai": "intermodal.protocols.openai_chat.images",
    "openai-responses": "intermodal.protocols.openai_responses.images",
}


class ChatCodec(Shape):
    """A module of ``protocols/`` that speaks a chat protocol.

    ``IMAGE_TYPES``: the media types of images that it accepts.
    """

    IMAGE_TYPES: frozenset[str]

    def encode_request(self, call: ChatCall, host: Host) -> EncodedRequest: ...

    def Decoder(self, endpoint: str, *, headers: Mapping[str, str]) -> ReplyDecoder: ...


class VectorCodec(Shape):
    """A module of ``protocols/`` that requests embeddings."""

    def encode_request(self, call: EmbeddingCall, host: Host) -> EncodedRequest: ...

    def decode_reply(self, body: bytes, endpoint: str, *, texts: int, headers: Mapping[str, str]) -> Embeddings: ...


class ImageCodec(Shape):
    """A module of ``protocols/`` that requests images."""

    def encode_request(self, call: ImageCall, host: Host) -> EncodedRequest: ...

    def decode_reply(self, body: bytes, endpoint: str, *, headers: Mapping[str, str]) -> GeneratedImages: ...


def speaks_chat(host: Host) -> bool:
    """Return True if a host is called in a chat protocol over HTTP, built in or of a plugin."""
    return host.protocol in CHATS or host.protocol in protocol_plugins()


def chat_codec(host: Host) -> ChatCodec:
    """Return the codec of a host's protocol. Raises NotInstalled if a plugin's codec cannot be used."""
    name = CHATS.get(host.protocol)
    if name is not None:
        return cast("ChatCodec", import_module(name))

    return _plugin_codec(host.protocol)


def vector_codec(host: Host) -> VectorCodec | None:
    """Return the codec for embeddings; None if this protocol is not supported for them."""
    name = _VECTORS.get(host.protocol)
    return cast("VectorCodec", import_module(name)) if name else None


def image_codec(host: Host) -> ImageCodec | None:
    """Return the codec for image generation; None if this protocol is not supported for it."""
    name = _PICTURES.get(host.protocol)
    if IMAGES_IN_CHAT in host.quirks:
        name = _IMAGES_IN_CHAT.get(host.protocol, name)
    return cast("ImageCodec", import_module(name)) if name else None


def accepted_image_types(endpoint: Endpoint) -> frozenset[str]:
    """Return the media types of images that may be sent to this endpoint unconverted, for an embedding or a chat."""
    host = endpoint.host
    if endpoint.model.output == ("embedding",):
        return getattr(vector_codec(host), "IMAGE_TYPES", frozenset())
    return chat_codec(host).IMAGE_TYPES if speaks_chat(host) else frozenset()
