"""The server side of Ollama's ``/api/embed``. Source: Ollama's OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Raw

from intermodal.protocols.calls import EmbeddingCall
from intermodal.protocols.framing.json_body import dumps
from intermodal.protocols.ollama.server import duration_fields
from intermodal.protocols.openai_media.server import MAX_TEXTS, EmbeddingRequest, read_body, read_model_name
from intermodal.protocols.request_validation import read_bool


def read_embed(body: bytes) -> EmbeddingRequest:
    """Return the call that a body asks for. Raises ValueError for a body that asks for none."""

    def read(tree: Mapping[str, Any]) -> EmbeddingRequest:
        given = tree["input"]
        texts = given if isinstance(given, list) else [given]
        if not 1 <= len(texts) <= MAX_TEXTS or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"input must be a string or an array of 1 to {MAX_TEXTS:,} strings")
        if tree.get("dimensions") is not None:
            raise ValueError("dimensions cannot be chosen here: leave it out")
        read_bool(dict(tree), "truncate", True)
        return EmbeddingRequest(call=EmbeddingCall(model=read_model_name(tree), texts=tuple(texts)), encoding="float")

    return read_body(body, "an embedding request", read)


def write_embed(vectors: Sequence[Sequence[float]], name: str, tokens: int, about: Mapping[str, Any]) -> bytes:
    """Return the reply: the vectors in the order of the texts, and the tokens of all of them."""
    rows = [Raw(dumps(list(row))) for row in vectors]  # one by one: the encoder holds the interpreter lock
    counts = {**duration_fields(about), "prompt_eval_count": tokens}
    return dumps({"model": name, "embeddings": rows, **counts, "intermodal": about})
