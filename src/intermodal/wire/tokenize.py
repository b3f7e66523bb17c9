"""How servers of open models count text, outside the protocols they speak: ``POST /tokenize`` at their root.

``llama.cpp``: ``{"content", "parse_special"}`` gives ``{"tokens"}`` (tools/server/README.md). ``vllm``: ``{"model",
"prompt", "add_special_tokens"}`` gives ``{"count", "tokens"}`` (vllm/entrypoints/openai, tokenization API).
"""

from __future__ import annotations

from typing import Any

from intermodal.catalog.nouns import Counter
from intermodal.wire._json import loads, segments
from intermodal.wire.call import Encoded

PATH = "/tokenize"
_JSON = (("content-type", "application/json"), ("accept", "application/json"))


def encode_request(counter: Counter, model: str, text: str) -> Encoded:
    """The request, for the server's root (its ``base_url`` without the version)."""
    asked: dict[Counter, dict[str, Any]] = {
        "llama.cpp": {"content": text, "add_special": False, "parse_special": True},
        "vllm": {"model": model, "prompt": text, "add_special_tokens": False},
    }
    return Encoded(path=PATH, headers=_JSON, segments=segments(asked[counter]))


def root(base_url: str) -> str:
    """Where a server's own paths begin.

    >>> root("http://127.0.0.1:8080/v1"), root("http://127.0.0.1:8080/")
    ('http://127.0.0.1:8080', 'http://127.0.0.1:8080')
    """
    return base_url.rstrip("/").removesuffix("/v1")


def decode_reply(body: bytes) -> int | None:
    """Tokens; None where the reply tells no number."""
    try:
        found = loads(body)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    count, tokens = found.get("count"), found.get("tokens")
    if isinstance(count, int) and not isinstance(count, bool) and count >= 0:
        return count
    return len(tokens) if isinstance(tokens, list) else None
