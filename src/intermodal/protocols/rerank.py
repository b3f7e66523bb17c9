"""Both sides of rerank endpoints.

The protocols are those of Cohere (``/v2/rerank``, ``/v1/rerank``), Jina, vLLM and llama.cpp (``/v1/rerank``), whose
requests and replies are alike, and of Text Embeddings Inference (``/rerank``).

A request has ``model``, ``query``, ``documents`` and ``top_n``; a reply has ``results`` with the ``index`` of each
document and its ``relevance_score``, the best first. TEI (quirk ``rerank_texts``) has ``query`` and ``texts``, and
replies with an array of ``index`` and ``score``. Sources: https://docs.cohere.com/reference/rerank,
https://api.jina.ai/redoc, https://docs.vllm.ai/en/stable/models/pooling_models.html (rerank API),
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md (POST /reranking),
https://huggingface.github.io/text-embeddings-inference.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from intermodal import errors
from intermodal.catalog.types import Host
from intermodal.protocols.calls import JSON_HEADERS, EncodedRequest, WireUsage
from intermodal.protocols.framing.json_body import as_list, as_mapping, dumps, valid_utf8
from intermodal.protocols.openai_media.server import read_body, read_model_name
from intermodal.protocols.reply_decoder import read_object

MAX_DOCUMENTS = 1_000  # documents of one request, as at Cohere


QUIRKS: Mapping[str, str] = {
    "rerank_texts": "documents are called texts, and scores come as an array (Text Embeddings Inference)",
}


class RankedDocuments(msgspec.Struct, frozen=True):
    """The scores of documents, in the order in which they were sent, and the usage."""

    scores: tuple[float, ...]
    usage: WireUsage = WireUsage()


def rerank_address(host: Host) -> tuple[str, str]:
    """Return the server address and path at which a host reranks.

    >>> rerank_address(Host(id="v", base_url="http://127.0.0.1:8000/v1", rerank="/rerank"))
    ('http://127.0.0.1:8000/v1', '/rerank')
    >>> rerank_address(Host(id="c", base_url="https://api.example.com/x/v1", rerank="https://api.example.com/v2/rerank"))
    ('https://api.example.com', '/v2/rerank')
    """
    if host.rerank.startswith("/"):
        return host.base_url, host.rerank
    parts = urlsplit(host.rerank)
    return f"{parts.scheme}://{parts.netloc}", parts.path or "/"


def encode_rerank(model: str, query: str, documents: Sequence[str], host: Host) -> EncodedRequest:
    """Return the request for the scores of all documents."""
    query, texts = valid_utf8(query), [valid_utf8(each) for each in documents]
    tree: dict[str, Any] = {"model": valid_utf8(model), "query": query, "documents": texts}
    if "rerank_texts" in host.quirks:
        tree = {"query": query, "texts": texts, "raw_scores": False, "truncate": True}
    return EncodedRequest(path=rerank_address(host)[1], headers=JSON_HEADERS, segments=(dumps(tree),))


def decode_rerank(
    body: bytes, endpoint: str, *, documents: int, headers: Mapping[str, str] | None = None
) -> RankedDocuments:
    """Return the scores of a 2xx reply.

    Raises CallError for an error inside it or scores that do not match the documents, StreamCut for a truncated reply.
    """
    if body.lstrip()[:1] == b"[":  # an array, as in no other protocol
        body = b'{"results":' + body + b"}"
    tree = read_object(body, endpoint, headers, holds=lambda tree: isinstance(tree.get("results"), list))
    found: dict[int, float] = {}
    for row in map(as_mapping, as_list(tree["results"])):
        index, score = row.get("index"), row.get("relevance_score", row.get("score"))
        if type(index) is int and isinstance(score, int | float) and math.isfinite(score):
            found[index] = float(score)
    if sorted(found) != list(range(documents)):
        what = f"sent scores of {len(found)} documents, and {documents} were sent"
        raise errors.CallError(what, where=endpoint, status=200, todo="ask again, or name another model")
    return RankedDocuments(tuple(found[document] for document in range(documents)), _usage(tree))


def _usage(tree: Mapping[str, Any]) -> WireUsage:
    """Return the counted tokens, as stated by vLLM, Jina and llama.cpp, or by Cohere."""
    usage, meta = as_mapping(tree.get("usage")), as_mapping(tree.get("meta"))
    counts = [
        usage.get("prompt_tokens"), usage.get("total_tokens"),
        as_mapping(meta.get("billed_units")).get("input_tokens"), as_mapping(meta.get("tokens")).get("input_tokens"),
    ]  # fmt: skip
    tokens = next((int(each) for each in counts if isinstance(each, int | float) and 0 <= each < 1 << 53), None)
    return WireUsage(input_tokens=tokens, output_tokens=0)


class RerankCall(msgspec.Struct, frozen=True):
    """Documents to rank for a query.

    ``top``: number of results, None for all. ``texts``: the reply includes the documents.
    """

    model: str
    query: str
    documents: tuple[str, ...]
    top: int | None = None
    texts: bool = False


def read_rerank_request(body: bytes) -> RerankCall:
    """Return the call in a body. Raises ValueError for an invalid body or an unsupported option."""
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
    entries = tree["documents"]
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_DOCUMENTS:
        raise ValueError(f"documents must be an array of 1 to {MAX_DOCUMENTS:,}")
    documents = tuple(_document(each, place) for place, each in enumerate(entries))
    return RerankCall(model, query, documents, top, bool(texts))


def _document(entry: Any, place: int) -> str:
    text = entry.get("text") if isinstance(entry, dict) else entry
    if not isinstance(text, str):
        raise ValueError(f"documents[{place}] must be a string, or an object with a text")
    if not text.strip():
        raise ValueError(f"documents[{place}] holds no text to rank: leave it out")
    return text


def write_rerank(call: RerankCall, ranked: Iterable[tuple[int, float]], id: str, tokens: int | None) -> bytes:
    """Return the reply: the index and score of each document, the best first.

    ``tokens``: None if they were not reported. Clients whose types need a number get 0, and are told so.
    """
    unknown = {"intermodal": {"unreported": ["input_tokens"]}} if tokens is None else {}
    input_tokens = tokens or 0
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
        "usage": {"prompt_tokens": input_tokens, "total_tokens": input_tokens, **unknown},
        "meta": {"tokens": {"input_tokens": input_tokens, "output_tokens": 0}},
    })  # fmt: skip
