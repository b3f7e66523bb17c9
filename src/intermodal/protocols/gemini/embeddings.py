"""Google's embeddings: ``models.embedContent`` for one text, ``models.batchEmbedContents`` for several.

Source: the Gemini API reference (v1beta), the types of Google's published SDK, and Google's page "Gemini Embedding 2"
(https://docs.cloud.google.com/vertex-ai/generative-ai/docs/models/gemini/embedding-2): images as PNG and JPEG, sound,
videos, PDFs. Each content becomes one vector, media together with text, if the model supports it; several texts are
several contents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from intermodal.catalog.types import Host
from intermodal.protocols.calls import (
    JSON_HEADERS,
    EmbeddingCall,
    Embeddings,
    EncodedRequest,
    NotExpressible,
    WireAudio,
    WireDocument,
    WireImage,
    WireMedia,
)
from intermodal.protocols.framing.json_body import Base64, as_list, as_mapping, segments, valid_utf8
from intermodal.protocols.gemini.codec import read_usage
from intermodal.protocols.openai_media.embeddings import check_vectors
from intermodal.protocols.reply_decoder import read_object

WIRE = "Gemini embedContent"
IMAGE_TYPES = frozenset({"image/png", "image/jpeg"})
VIDEO_TYPES = frozenset({"video/mp4", "video/mpeg", "video/quicktime"})


def encode_request(call: EmbeddingCall, host: Host) -> EncodedRequest:
    """Return the encoded call. Media share one content with the texts, which gives one vector for all of it.

    Raises NotExpressible for images and videos in a format that cannot be embedded.
    """
    name, path = f"models/{valid_utf8(call.model)}", f"/models/{quote(valid_utf8(call.model), safe='')}"
    more = {} if call.dimensions is None else {"outputDimensionality": call.dimensions}
    if call.media or len(call.texts) == 1:
        parts = [
            *(_encode_part(media, host) for media in call.media),
            *({"text": valid_utf8(text)} for text in call.texts),
        ]
        return EncodedRequest(
            path=f"{path}:embedContent", headers=JSON_HEADERS, segments=segments({"content": {"parts": parts}, **more})
        )
    requests = [{"model": name, "content": {"parts": [{"text": valid_utf8(text)}]}, **more} for text in call.texts]
    return EncodedRequest(
        path=f"{path}:batchEmbedContents", headers=JSON_HEADERS, segments=segments({"requests": requests})
    )


def _encode_part(media: WireMedia, host: Host) -> dict[str, Any]:
    if isinstance(media, WireAudio):
        kind = f"audio/{media.format}"
    elif isinstance(media, WireDocument):
        kind = "application/pdf"
    else:
        kind, accepted_types = media.media_type, IMAGE_TYPES if isinstance(media, WireImage) else VIDEO_TYPES
        if kind not in accepted_types:
            todo = f"send {' or '.join(sorted(accepted_types))}"
            raise NotExpressible.of(f"{kind} in a vector", WIRE, where=host.id, todo=todo)
    return {"inlineData": {"mimeType": kind, "data": Base64(media.data)}}


def decode_reply(body: bytes, endpoint: str, *, texts: int = 1, headers: Mapping[str, str] | None = None) -> Embeddings:
    """Return the vectors of a 2xx reply to ``texts`` texts, in order.

    Raises CallError for an error inside it or unusable vectors, StreamCut for a truncated reply.
    """
    tree = read_object(body, endpoint, headers, holds=lambda tree: bool(_rows(tree)))
    vectors = check_vectors([as_mapping(row).get("values") for row in _rows(tree)], endpoint, texts)
    return Embeddings(vectors=vectors, usage=read_usage(as_mapping(tree.get("usageMetadata"))))


def _rows(tree: Mapping[str, Any]) -> list[Any]:
    return [tree["embedding"]] if "embedding" in tree else list(as_list(tree.get("embeddings")))
