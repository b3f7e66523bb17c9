"""Which codec encodes a host's requests, by its protocol: a table, and plugins. A codec loads when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol as Shape
from typing import cast

from intermodal.catalog.image_options import IMAGES_IN_CHAT
from intermodal.catalog.plugin_rows import protocol_plugins
from intermodal.catalog.types import Endpoint, Host, Protocol
from intermodal.protocols.calls import ChatCall, EmbeddingCall, Embeddings, EncodedRequest, GeneratedImages, ImageCall
from intermodal.protocols.reply_decoder import ReplyDecoder

CHATS: Mapping[Protocol, str] = {
    "openai": "intermodal.protocols.openai_chat.request",
    "openai-responses": "intermodal.protocols.openai_responses.request",
    "llama": "intermodal.protocols.openai_chat.request",
    "started": "intermodal.protocols.openai_chat.request",
    "anthropic": "intermodal.protocols.anthropic.request",
    "gemini": "intermodal.protocols.gemini.request",
    "ollama": "intermodal.protocols.ollama.request",
}
VECTORS: Mapping[Protocol, str] = {
    "openai": "intermodal.protocols.openai_media.embeddings",
    "started": "intermodal.protocols.openai_media.embeddings",
    "openai-responses": "intermodal.protocols.openai_media.embeddings",
    "ollama": "intermodal.protocols.ollama.embeddings",
    "gemini": "intermodal.protocols.gemini.embeddings",
}
PICTURES: Mapping[Protocol, str] = {
    "openai": "intermodal.protocols.openai_media.images",
    "openai-responses": "intermodal.protocols.openai_media.images",
    "gemini": "intermodal.protocols.gemini.images",
}
PICTURES_IN_CHAT: Mapping[Protocol, str] = {
    "openai": "intermodal.protocols.openai_chat.images",
    "openai-responses": "intermodal.protocols.openai_responses.images",
}


class ChatCodec(Shape):
    """A module of ``protocols/`` that speaks chat. ``IMAGE_TYPES`` are the media types of pictures that it takes."""

    IMAGE_TYPES: frozenset[str]

    def encode_request(self, call: ChatCall, host: Host) -> EncodedRequest: ...

    def Decoder(self, endpoint: str, *, headers: Mapping[str, str]) -> ReplyDecoder: ...


class VectorCodec(Shape):
    """A module of ``protocols/`` that asks for vectors."""

    def encode_request(self, call: EmbeddingCall, host: Host) -> EncodedRequest: ...

    def decode_reply(self, body: bytes, endpoint: str, *, texts: int, headers: Mapping[str, str]) -> Embeddings: ...


class PictureCodec(Shape):
    """A module of ``protocols/`` that asks for pictures."""

    def encode_request(self, call: ImageCall, host: Host) -> EncodedRequest: ...

    def decode_reply(self, body: bytes, endpoint: str, *, headers: Mapping[str, str]) -> GeneratedImages: ...


def speaks_chat(host: Host) -> bool:
    """Return whether a host is asked in a protocol of chats over HTTP, built in or of a plugin."""
    return host.protocol in CHATS or host.protocol in protocol_plugins()


def chat_codec(host: Host) -> ChatCodec:
    """Return the codec of a host's protocol. Raises NotInstalled for one of a plugin that cannot be used."""
    name = CHATS.get(host.protocol)
    if name is not None:
        return cast("ChatCodec", import_module(name))
    from intermodal.executor.drivers.plugin_codec import plugin_codec

    return plugin_codec(host.protocol)


def vector_codec(host: Host) -> VectorCodec | None:
    """None where intermodal asks for no vectors in this protocol."""
    name = VECTORS.get(host.protocol)
    return cast("VectorCodec", import_module(name)) if name else None


def picture_codec(host: Host) -> PictureCodec | None:
    """None where intermodal asks for no pictures in this protocol."""
    name = PICTURES.get(host.protocol)
    if IMAGES_IN_CHAT in host.quirks:
        name = PICTURES_IN_CHAT.get(host.protocol, name)
    return cast("PictureCodec", import_module(name)) if name else None


def picture_types(endpoint: Endpoint) -> frozenset[str]:
    """Media types of pictures that may go to this endpoint as they are, into a vector or into a chat."""
    host = endpoint.host
    if endpoint.model.output == ("embedding",):
        return getattr(vector_codec(host), "IMAGE_TYPES", frozenset())
    return chat_codec(host).IMAGE_TYPES if speaks_chat(host) else frozenset()
