"""Embeddings through Ollama's own ``/api/embed``."""

from __future__ import annotations

from collections.abc import Mapping

from intermodal.catalog.types import Host
from intermodal.protocols.calls import JSON_HEADERS, EmbeddingCall, Embeddings, EncodedRequest, WireUsage
from intermodal.protocols.framing.json_body import as_token_count, dumps, valid_utf8
from intermodal.protocols.openai_media.embeddings import check_vectors, require_texts
from intermodal.protocols.reply_decoder import read_object

WIRE = "Ollama embeddings"
PATH = "/api/embed"


def encode_request(call: EmbeddingCall, host: Host) -> EncodedRequest:
    """Return the encoded call. A text that is too long is an error; it is never truncated silently."""
    require_texts(call, WIRE, host)
    tree = {"model": valid_utf8(call.model), "input": [valid_utf8(text) for text in call.texts], "truncate": False}
    if call.dimensions is not None:
        tree["dimensions"] = call.dimensions
    return EncodedRequest(path=PATH, headers=JSON_HEADERS, segments=(dumps(tree),))


def decode_reply(body: bytes, endpoint: str, *, texts: int = 1, headers: Mapping[str, str] | None = None) -> Embeddings:
    """Return the vectors of a 2xx reply to ``texts`` texts, in order.

    Raises CallError for an error inside it or unusable vectors, StreamCut for a truncated reply.
    """
    tree = read_object(body, endpoint, headers, holds=lambda tree: isinstance(tree.get("embeddings"), list))
    usage = WireUsage(input_tokens=as_token_count(tree.get("prompt_eval_count")), output_tokens=0)
    return Embeddings(vectors=check_vectors(tree["embeddings"], endpoint, texts), usage=usage)
