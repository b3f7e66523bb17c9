"""The server side of Ollama's ``/api/generate``: one prompt in, its answer out.

It is Ollama's chat under other names: a prompt is one user message, ``system`` a message before it, and ``response``
holds the answer. Fields that change how a prompt is rendered (``raw``, ``template``, ``context``, ``suffix``) are
refused, because no plan covers such prompts. Source: Ollama's OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from intermodal.protocols.calls import ChatCall, WireEvent
from intermodal.protocols.framing.json_body import dumps, loads
from intermodal.protocols.ollama import server as ollama_server
from intermodal.protocols.request_validation import read_request, require_text

STREAM_TYPE = ollama_server.STREAM_TYPE
_NAMES: Mapping[str, str] = {**ollama_server.NAMES, "messages.parts.text": "prompt"}
# Fields that change how a prompt is rendered, with their neutral values.
_RENDERING: Mapping[str, tuple[Any, ...]] = {
    "raw": (None, False), "template": (None, ""), "context": (None, []), "suffix": (None, ""),
}  # fmt: skip


def decode_request(body: bytes) -> ChatCall:
    """Return the call in a body. Raises ValueError for an invalid body."""
    return read_request(body, "a generate request", _chat_call_of, _NAMES)


def _chat_call_of(tree: dict[str, Any]) -> ChatCall:
    for name, neutral in _RENDERING.items():
        if tree.get(name) not in neutral:
            raise ValueError(f"{name} cannot be set: prompts are rendered by the model's own template here")
    images = tree.get("images") or []
    prompt = require_text(tree.get("prompt") or "", "prompt")
    messages = [{"role": "user", "content": prompt, "images": images}]
    if tree.get("system"):
        messages.insert(0, {"role": "system", "content": require_text(tree["system"], "system")})
    return ollama_server.read_tree({**tree, "messages": messages, "tools": None})


class OllamaGenerateStreamEncoder(ollama_server.OllamaStreamEncoder):
    """Writes events as the lines of ``/api/generate``."""

    def _message(self, more: Mapping[str, Any] | None = None, **message: Any) -> bytes:
        head = {"model": self._name, "created_at": self._now()}
        return ollama_server.encode_line({**head, **_message_fields(message), "done": False, **(more or {})})


StreamEncoder = OllamaGenerateStreamEncoder  # the name that every server side has for it


def encode_reply(events: Iterable[WireEvent], name: str, **more: Any) -> tuple[int, bytes]:
    """Return the HTTP status and body of an unstreamed reply."""
    status, body = ollama_server.encode_reply(events, name, **more)
    if status != 200:
        return status, body
    tree = loads(body)
    message = tree.pop("message")
    return status, dumps({**tree, **_message_fields(message)})


def _message_fields(message: Mapping[str, Any]) -> dict[str, Any]:
    thought = {"thinking": message["thinking"]} if "thinking" in message else {}
    return {"response": message.get("content", ""), **thought}
