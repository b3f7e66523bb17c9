"""An emulated Ollama before a real engine: its documented API, answers of a real model.

Emulated are its lists, descriptions, formats, errors, the loading of models, and its truncation of a prompt that is too
long. Sources: Ollama ``api/types.go``, ``server/routes.go``, ``server/prompt.go``, ``docs/api``, as of 2026.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from intermodal.testing.emulated_server import EmulatedReply, EmulatedRequest, EmulatedServer, Family, ListedModel
from intermodal.testing.engine import Engine, words_of

_IMAGE_TOKENS = 768  # what it takes every picture for when it cuts a prompt
_PNG = b"\x89PNG"


class EmulatedOllama(EmulatedServer):
    """Ollama: ``old`` is as of 0.4 (no capabilities, nothing of a service elsewhere, nothing that forbids cutting),
    ``new`` as of 0.12."""

    def __init__(self, engine: Engine, models: Iterable[ListedModel], family: Family = "new", **more: Any) -> None:
        super().__init__(engine, models, family, version="0.4.7" if family == "old" else "0.12.6", **more)

    def answer(self, asked: EmulatedRequest) -> EmulatedReply:
        if asked.path == "/" and asked.method in ("GET", "HEAD"):
            return EmulatedReply(text="Ollama is running", kind="text/plain; charset=utf-8")
        table = {
            ("GET", "/api/version"): lambda: EmulatedReply(json={"version": self.version}),
            ("GET", "/api/tags"): self._tags,
            ("GET", "/api/ps"): self._ps,
            ("POST", "/api/show"): lambda: self._show(asked.json),
            ("POST", "/api/chat"): lambda: self._chat(asked.json),
            ("GET", "/v1/models"): self._ids,
        }
        found = table.get((asked.method, asked.path))
        return found() if found is not None else EmulatedReply(404, text="404 page not found", kind="text/plain")

    def _ids(self) -> EmulatedReply:
        rows = [{"id": name, "object": "model", "created": 1, "owned_by": "library"} for name in self.models]
        return EmulatedReply(json={"object": "list", "data": rows})

    def _details(self, model: ListedModel) -> dict[str, Any]:
        families = ["llama", *(["clip"] if model.sees else [])]
        return {
            "parent_model": "", "format": "gguf", "family": "llama", "families": families, "parameter_size": "134.5M",
            "quantization_level": "Q8_0",
        }  # fmt: skip

    def _capabilities(self, model: ListedModel) -> list[str]:
        if model.embeds:
            return ["embedding"]
        return ["completion", *(["vision"] if model.claims_eye else [])]

    def _tags(self) -> EmulatedReply:
        rows = []
        for model in self.models.values():
            row: dict[str, Any] = {
                "name": model.name, "model": model.name, "modified_at": "2026-11-01T10:00:00Z", "size": 1,
                "digest": model.digest, "details": self._details(model),
            }  # fmt: skip
            if self.family == "new":
                row["capabilities"] = self._capabilities(model)
                if model.remote:
                    row |= {"remote_host": model.remote, "remote_model": model.name.removesuffix("-cloud")}
            rows.append(row)
        return EmulatedReply(json={"models": rows})

    def _ps(self) -> EmulatedReply:
        rows: list[dict[str, Any]] = []
        for name, context in self.loaded.items():
            held = self.models[name]
            row = {"name": name, "model": name, "size": 1, "digest": held.digest, "details": self._details(held),
                   "expires_at": "2026-11-25T23:00:00Z", "size_vram": 0}  # fmt: skip
            rows.append(row | ({"context_length": context} if self.family == "new" else {}))
        return EmulatedReply(json={"models": rows})

    def _show(self, body: Mapping[str, Any]) -> EmulatedReply:
        model = self.models.get(body.get("model", ""))
        if model is None:
            return EmulatedReply(404, json={"error": f"model '{body.get('model')}' not found"})
        info: dict[str, Any] = {
            "general.architecture": "llama", "general.parameter_count": 134515008,
            "llama.context_length": model.trained, "llama.embedding_length": 576, "llama.block_count": 30,
        }  # fmt: skip
        if model.embeds:
            info["llama.pooling_type"] = 1
        tree: dict[str, Any] = {
            "modelfile": "", "parameters": "", "template": "{{ .Prompt }}", "details": self._details(model),
            "model_info": info, "modified_at": "2026-11-01T10:00:00Z",
        }  # fmt: skip
        if model.claims_eye:
            tree["projector_info"] = {"general.architecture": "clip", "clip.vision.block_count": 1}
        if self.family == "new":
            tree["capabilities"] = self._capabilities(model)
            if model.remote:
                tree |= {"remote_host": model.remote, "remote_model": model.name}
        return EmulatedReply(json=tree)

    def _chat(self, body: dict[str, Any]) -> EmulatedReply:
        model = self.models.get(body.get("model", ""))
        if model is None:
            return EmulatedReply(404, json={"error": f"model '{body.get('model')}' not found"})
        if model.embeds:
            return EmulatedReply(400, json={"error": f'"{model.name}" does not support chat'})
        if body.get("tools") and self.family == "new":
            return EmulatedReply(400, json={"error": f"registry.ollama.ai/library/{model.name} does not support tools"})
        options = body.get("options") or {}
        context = options.get("num_ctx", self.context)
        self.loaded[model.name] = min(context, model.trained)
        messages = body["messages"]
        try:
            said = [self._message(each) for each in messages]
        except ValueError:
            return EmulatedReply(400, json={"error": "illegal base64 data at input byte 4"})
        if self._tokens(messages, model) > self.loaded[model.name]:
            if self.family == "new" and body.get("truncate") is False:
                return EmulatedReply(400, json={"error": "the input length exceeds the context length"})
            said = self._cut(messages, self.loaded[model.name], model)
        asked = {
            "messages": said, "max_tokens": options.get("num_predict", -1),
            "temperature": options.get("temperature", 0), "seed": options.get("seed", 0),
            "stop": options.get("stop") or [],
        }  # fmt: skip
        if isinstance(body.get("format"), dict):
            asked["response_format"] = {"type": "json_schema", "json_schema": {"name": "a", "schema": body["format"]}}
        return self._whole(model, asked) if body.get("stream") is False else self._streamed(model, asked)

    def _message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        for image in message.get("images") or ():
            data = b64decode(image, validate=True)
            kind = "png" if data.startswith(_PNG) else "jpeg"
            url = f"data:image/{kind};base64,{b64encode(data).decode()}"
            content.append({"type": "image_url", "image_url": {"url": url}})
        text = {"type": "text", "text": message.get("content") or ""}
        return {"role": message["role"], "content": [*content, text]}

    def _tokens(self, messages: Iterable[Mapping[str, Any]], model: ListedModel) -> int:
        """As ``server/prompt.go`` counts: every picture for the same, and only where the model has an eye."""
        pictures = sum(len(message.get("images") or ()) for message in messages) if model.sees else 0
        return self.engine.count("\n".join(m.get("content") or "" for m in messages)) + _IMAGE_TOKENS * pictures

    def _cut(self, messages: list[dict[str, Any]], context: int, model: ListedModel) -> list[dict[str, Any]]:
        """Oldest messages go first, system messages and the last one stay; then the runner cuts what is left."""
        self.cut += 1
        kept = list(messages)
        while self._tokens(kept, model) > context and len(kept) > 1:
            oldest = next((m for m in kept[:-1] if m["role"] != "system"), None)
            if oldest is None:
                break
            kept.remove(oldest)
        last = dict(kept[-1])
        while self._tokens([*kept[:-1], last], model) > context - 64 and last["content"]:
            last["content"] = last["content"][len(last["content"]) // 4 :]
        return [self._message(each) for each in (*kept[:-1], last)]

    def _head(self, model: ListedModel) -> dict[str, Any]:
        return {"model": model.name, "created_at": "2026-11-25T00:00:00Z"}

    def _end(self, usage: Mapping[str, Any], reason: str) -> dict[str, Any]:
        return {
            "done": True, "done_reason": "length" if reason == "length" else "stop", "total_duration": 5,
            "load_duration": 1, "prompt_eval_count": usage.get("prompt_tokens", 0), "prompt_eval_duration": 1,
            "eval_count": usage.get("completion_tokens", 0), "eval_duration": 1,
        }  # fmt: skip

    def _failed(self, status: int, error: Any) -> EmulatedReply:
        """What its runner says: the words of the engine, with the status of Ollama's own server."""
        return EmulatedReply(500 if status >= 500 else status, json={"error": words_of(error)})

    def _whole(self, model: ListedModel, asked: dict[str, Any]) -> EmulatedReply:
        status, tree = self.engine.chat(asked)
        if status != 200:
            return self._failed(status, tree)
        choice = tree["choices"][0]
        message = {"role": "assistant", "content": choice["message"]["content"]}
        ends = self._end(tree["usage"], choice["finish_reason"])
        return EmulatedReply(json={**self._head(model), "message": message, **ends})

    def _streamed(self, model: ListedModel, asked: dict[str, Any]) -> EmulatedReply:
        status, error, chunks = self.engine.stream(asked)
        if status != 200:
            return self._failed(status, error)

        def lines() -> Iterator[bytes]:
            usage: Mapping[str, Any] = {}
            reason = "stop"
            for chunk in chunks:
                usage = chunk.get("usage") or usage
                for choice in chunk.get("choices", ()):
                    reason = choice.get("finish_reason") or reason
                    if text := choice.get("delta", {}).get("content"):
                        line = {"message": {"role": "assistant", "content": text}, "done": False}
                        yield json.dumps({**self._head(model), **line}).encode() + b"\n"
            end = {"message": {"role": "assistant", "content": ""}, **self._end(usage, reason)}
            yield json.dumps({**self._head(model), **end}).encode() + b"\n"

        return EmulatedReply(pieces=lines(), kind="application/x-ndjson")
