"""Token counting by servers of open models, outside the chat protocols: ``POST /tokenize`` at the server's root.

``llama.cpp``: ``{"content", "parse_special"}`` gives ``{"tokens"}`` (tools/server/README.md). ``vllm``: ``{"model",
"prompt", "add_special_tokens"}`` gives ``{"count", "tokens"}`` (vllm/entrypoints/openai, tokenization API).

The tokens that tools add are the difference of two prompts, with and without them, each rendered by the model's
template: llama.cpp's ``POST /apply-template`` gives ``{"prompt"}``, which is then counted; vLLM counts ``messages`` and
``tools``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from intermodal.catalog.types import TextCounter
from intermodal.protocols.calls import JSON_HEADERS, EncodedRequest
from intermodal.protocols.framing.json_body import loads, segments

PATH, TEMPLATE = "/tokenize", "/apply-template"
_ASKED = ({"role": "user", "content": "?"},)


def encode_request(counter: TextCounter, model: str, text: str) -> EncodedRequest:
    """Return the request to count a text, relative to the server's root (its ``base_url`` without the version)."""
    bodies: dict[TextCounter, dict[str, Any]] = {
        "llama.cpp": {"content": text, "add_special": False, "parse_special": True},
        "vllm": {"model": model, "prompt": text, "add_special_tokens": False},
    }
    return EncodedRequest(path=PATH, headers=JSON_HEADERS, segments=segments(bodies[counter]))


def encode_chat(counter: TextCounter, model: str, tools: Sequence[Mapping[str, Any]]) -> EncodedRequest:
    """Return the request for a chat with these tools (in OpenAI's form) or none, relative to the server's root."""
    body: dict[str, Any] = {"messages": list(_ASKED), **({"tools": list(tools)} if tools else {})}
    if counter == "llama.cpp":
        return EncodedRequest(path=TEMPLATE, headers=JSON_HEADERS, segments=segments(body))
    return EncodedRequest(path=PATH, headers=JSON_HEADERS, segments=segments({"model": model, **body}))


def decode_prompt(body: bytes) -> str | None:
    """Return the prompt that a template rendered; None if the reply contains no text."""
    try:
        found = loads(body)
    except ValueError:
        return None
    prompt = found.get("prompt") if isinstance(found, dict) else None
    return prompt if isinstance(prompt, str) else None


def root(base_url: str) -> str:
    """Return the URL under which a server's own paths begin.

    >>> root("http://127.0.0.1:8080/v1"), root("http://127.0.0.1:8080/")
    ('http://127.0.0.1:8080', 'http://127.0.0.1:8080')
    """
    return base_url.rstrip("/").removesuffix("/v1")


def decode_reply(body: bytes) -> int | None:
    """Return the number of tokens; None if the reply states none."""
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
