"""An emulated LM Studio before a real engine: its model lists in both versions, its errors, models loaded on demand.

Source: LM Studio's REST pages (``/api/v0``, ``/api/v1``) and threads for its errors, as of 2026.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from intermodal.testing.emulated_server import EmulatedReply, EmulatedRequest, EmulatedServer, Family, ListedModel
from intermodal.testing.engine import Engine, words_of


class EmulatedLMStudio(EmulatedServer):
    """LM Studio: ``old`` has ``/api/v0`` alone, ``new`` also ``/api/v1``. Chats go through OpenAI's protocol."""

    def __init__(self, engine: Engine, models: Iterable[ListedModel], family: Family = "new", **more: Any) -> None:
        super().__init__(engine, models, family, version="", **more)

    def answer(self, asked: EmulatedRequest) -> EmulatedReply:
        if asked.method == "GET" and asked.path == "/v1/models":
            rows = [{"id": name, "object": "model", "owned_by": "organization_owner"} for name in self.models]
            return EmulatedReply(json={"object": "list", "data": rows})
        if asked.method == "GET" and asked.path == "/api/v0/models":
            return EmulatedReply(json={"object": "list", "data": [self._v0(model) for model in self.models.values()]})
        if asked.method == "GET" and asked.path == "/api/v1/models" and self.family == "new":
            return EmulatedReply(json={"models": [self._v1(model) for model in self.models.values()]})
        if asked.method == "POST" and asked.path == "/v1/chat/completions":
            return self._chat(asked.json)
        # It answers paths that it does not know with 200 and this.
        return EmulatedReply(json={"error": f"Unexpected endpoint or method. ({asked.method} {asked.path})"})

    def _v0(self, model: ListedModel) -> dict[str, Any]:
        kind = "embeddings" if model.embeds else "vlm" if model.claims_eye else "llm"
        loaded = model.name in self.loaded
        return {
            "id": model.name, "object": "model", "type": kind, "publisher": "desk", "arch": "llama",
            "compatibility_type": "gguf", "quantization": "Q8_0", "state": "loaded" if loaded else "not-loaded",
            "max_context_length": model.trained,
            **({"loaded_context_length": self.loaded[model.name]} if loaded else {}),
        }  # fmt: skip

    def _v1(self, model: ListedModel) -> dict[str, Any]:
        config = {"context_length": self.loaded.get(model.name, 0), "flash_attention": True}
        instances = [{"id": model.name, "config": config}] if model.name in self.loaded else []
        row: dict[str, Any] = {
            "type": "embedding" if model.embeds else "llm", "publisher": "desk", "key": model.name,
            "display_name": model.name, "quantization": {"name": "Q8_0", "bits_per_weight": 8}, "size_bytes": 1,
            "params_string": "135M", "loaded_instances": instances, "max_context_length": model.trained,
            "format": "gguf",
        }  # fmt: skip
        if model.remote:
            row["device"] = model.remote
        if not model.embeds:
            row["architecture"] = "llama"
            row["capabilities"] = {"vision": model.claims_eye, "trained_for_tool_use": False}
        return row

    def _chat(self, body: dict[str, Any]) -> EmulatedReply:
        model = self.models.get(body.get("model", ""))
        if model is None or model.embeds:
            return EmulatedReply(404, json={"error": {"message": f"Model not found: {body.get('model')}"}})
        parts = [p for m in body["messages"] if isinstance(m["content"], list) for p in m["content"]]
        pictures = [part for part in parts if part.get("type") == "image_url"]
        for part in parts:
            if part.get("type") not in ("text", "image_url"):
                return EmulatedReply(400, json={"error": f"Invalid content part type: {part.get('type')}"})
        if any(not part["image_url"]["url"].startswith("data:image/") for part in pictures):
            return EmulatedReply(400, json={"error": "'url' field must be a base64 encoded image."})
        if pictures and not model.sees:
            return EmulatedReply(400, json={"error": "Model does not support images. Please use a model that does."})
        self.loaded.setdefault(model.name, min(self.context, model.trained))
        asked = {key: value for key, value in body.items() if key not in ("stream", "stream_options")}
        if not body.get("stream"):
            status, tree = self.engine.chat(asked)
            return EmulatedReply(status, json=tree if status == 200 else {"error": words_of(tree)})
        status, error, chunks = self.engine.stream(asked)
        if status != 200:
            return EmulatedReply(status, json={"error": words_of(error)})
        sent = (b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)

        def pieces() -> Iterator[bytes]:
            yield from sent
            yield b"data: [DONE]\n\n"

        return EmulatedReply(pieces=pieces(), kind="text/event-stream")
