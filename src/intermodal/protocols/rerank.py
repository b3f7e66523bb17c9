"""The server side of rerank endpoints, in the shape of Cohere (``/v2/rerank``, ``/v1/rerank``), Jina and vLLM
(``/v1/rerank``, ``/rerank``), whose requests and replies are alike.

A request has ``model``, ``query``, ``documents`` and ``top_n``; a reply has ``results`` with the ``index`` of each
document and its ``relevance_score``, the best first. Sources: https://docs.cohere.com/reference/rerank,
https://api.jina.ai/redoc, https://docs.vllm.ai/en/stable/models/pooling_models.html (rerank API).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from intermodal.protocols.framing.json_body import dumps
from intermodal.protocols.openai_media.server import read_body, read_model_name

MAX_DOCUMENTS = 1_000  # of one request, as Cohere has it


class RerankCall(msgspec.Struct, frozen=True):
    """Documents to be ranked for a query. ``top``: how many are wanted, None for all. ``texts``: they are to be sent
    back, too."""

    model: str
    query: str
    documents: tuple[str, ...]
    top: int | None = None
    texts: bool = False


def read_rerank_request(body: bytes) -> RerankCall:
    """Return the call in a body. Raises ValueError for one that holds none, or asks for what is not supported."""
    return read_body(body, "a rerank request", _call)


def _call(tree: Mapping[str, Any]) -> RerankCall:
    model, query, top = read_model_name(tree), tree["query"], tree.get("top_n")
    if not isinstance(query, str):
        raise ValueError("query must be a string")
    if not query.strip():
        raise ValueError("query holds no words")
    if top is not None and (type(top) is not int or top < 1):
        raise ValueError("top_n must be a whole number from 1 on")
    texts = tree.get("return_documents")
    if texts not in (None, True, False):
        raise ValueError("return_documents must be true or false")
    given = tree["documents"]
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_DOCUMENTS:
        raise ValueError(f"documents must be an array of 1 to {MAX_DOCUMENTS:,}")
    documents = tuple(_document(each, place) for place, each in enumerate(given))
    return RerankCall(model, query, documents, top, bool(texts))


def _document(given: Any, place: int) -> str:
    text = given.get("text") if isinstance(given, dict) else given
    if not isinstance(text, str):
        raise ValueError(f"documents[{place}] must be a string, or an object with a text")
    if not text.strip():
        raise ValueError(f"documents[{place}] holds no text to rank: leave it out")
    return text


def write_rerank(call: RerankCall, ranked: Iterable[tuple[int, float]], id: str, tokens: int) -> bytes:
    """Return the reply: the index and the score of each document, the best first."""
    results: Sequence[Mapping[str, Any]] = [
        {
            "index": index,
            "relevance_score": score,
            **({"document": {"text": call.documents[index]}} if call.texts else {}),
        }
        for index, score in ranked
    ]
    return dumps({
        "id": id, "object": "list", "model": call.model, "results": results,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "meta": {"tokens": {"input_tokens": tokens, "output_tokens": 0}},
    })  # fmt: skip
