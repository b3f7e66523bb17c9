"""OpenAI embeddings: texts in, vectors out. Source: OpenAI's OpenAPI document for ``POST /embeddings``."""

from __future__ import annotations

import math
import struct
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any

from intermodal import errors
from intermodal.catalog.types import Host
from intermodal.protocols.calls import (
    JSON_HEADERS,
    EmbeddingCall,
    Embeddings,
    EncodedRequest,
    NotExpressible,
)
from intermodal.protocols.framing.json_body import as_mapping, dumps, valid_utf8
from intermodal.protocols.openai_chat.reply import read_usage
from intermodal.protocols.reply_decoder import read_object

WIRE = "OpenAI embeddings"
PATH = "/embeddings"


def encode_request(call: EmbeddingCall, host: Host) -> EncodedRequest:
    """Return the encoded call. Raises NotExpressible for media: this protocol embeds text only."""
    require_texts(call, WIRE, host)
    body: dict[str, Any] = {"model": call.model, "input": list(map(valid_utf8, call.texts)), "encoding_format": "float"}
    if call.dimensions is not None:
        body["dimensions"] = call.dimensions
    return EncodedRequest(path=PATH, headers=JSON_HEADERS, segments=(dumps(body),))


def decode_reply(body: bytes, endpoint: str, *, texts: int = 1, headers: Mapping[str, str] | None = None) -> Embeddings:
    """Return the vectors of a 2xx reply to ``texts`` texts, in order.

    Raises CallError for an error inside it or unusable vectors, StreamCut for a truncated reply.
    """
    tree = read_object(body, endpoint, headers, holds=lambda tree: isinstance(tree.get("data"), list))
    rows = [row for row in tree["data"] if isinstance(row, Mapping)]
    rows.sort(key=lambda row: row["index"] if isinstance(row.get("index"), int) else 0)
    vectors = check_vectors([row.get("embedding") for row in rows], endpoint, texts)
    return Embeddings(vectors=vectors, usage=read_usage(as_mapping(tree.get("usage"))))


def require_texts(call: EmbeddingCall, wire: str, host: Host) -> None:
    """Raise NotExpressible if a call contains media."""
    if call.media:
        raise NotExpressible.of(
            "media to be embedded", wire, where=host.id, todo="embed their text, or ask another host"
        )


def check_vectors(values: Sequence[Any], endpoint: str, texts: int) -> tuple[tuple[float, ...], ...]:
    """Return one vector per text, all of the same length. Raises CallError."""
    vectors = tuple(map(_vector, values))
    if len(vectors) != texts or len({len(vector) for vector in vectors}) != 1 or not all(vectors):
        raise errors.CallError(f"sent {len(vectors)} usable vectors for {texts} texts", where=endpoint, status=200)
    return vectors


def _vector(value: Any) -> tuple[float, ...]:
    """Return numbers, or base64 of little-endian float32 (requested or not), as a vector; () for anything else."""
    try:
        if isinstance(value, str):
            data = b64decode(value, validate=True)
            numbers = struct.unpack(f"<{len(data) // 4}f", data)
        else:
            numbers = tuple(map(float, value))
    except (TypeError, ValueError, struct.error):
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()
