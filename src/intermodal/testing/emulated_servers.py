"""Emulated local servers in front of a real engine: Ollama and LM Studio, each with its own API.

An emulated server is an HTTP server in a thread. It has a list of models and records its requests; a real
OpenAI-compatible engine (``Engine``) answers them. No code is shared with ``protocols/`` or ``local/discovery/``.

For Ollama, the emulation covers its lists, descriptions, formats and errors, the loading of models, and the truncation
of a prompt that is too long. Sources: Ollama ``api/types.go``, ``server/routes.go``, ``server/prompt.go``,
``docs/api``, as of 2026.

For LM Studio, it covers both versions of the model list, the errors, and models that are loaded on demand. Sources: LM
Studio's REST pages (``/api/v0``, ``/api/v1``) and threads about its errors, as of 2026.
"""

from __future__ import annotations

import json
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self, cast
from urllib.parse import urlsplit

Family = Literal["old", "new"]
_DEFAULT_CONTEXT = 4096  # tokens, as on a machine with little graphics memory


@dataclass(frozen=True)
class ListedModel:
    """A model that an emulated server lists.

    Attributes:
        sees: whether it accepts images. says_sees: what the server claims about that, if the claim is wrong.
        trained: the context it was trained for, in tokens. embeds: whether it makes vectors instead of chatting.
        remote: the service to which the server forwards its requests; "" for none.
    """

    name: str
    sees: bool = False
    says_sees: bool | None = None
    trained: int = 8192
    embeds: bool = False
    remote: str = ""
    digest: str = "3b1f0e8c5d"

    @property
    def claims_eye(self) -> bool:
        return self.sees if self.says_sees is None else self.says_sees


@dataclass
class EmulatedRequest:
    """A request as it arrived."""

    method: str
    path: str
    body: bytes = b""
    json: dict[str, Any] = field(default_factory=dict)


class EmulatedServer:
    """Run an HTTP server in a thread, and record what was requested, loaded and truncated."""

    def __init__(
        self,
        engine: Engine,
        models: Iterable[ListedModel],
        family: Family,
        *,
        version: str,
        context: int = _DEFAULT_CONTEXT,
    ) -> None:
        self.engine, self.models, self.family = engine, {model.name: model for model in models}, family
        self.version = version
        self.context = context  # tokens of context with which a model is loaded by default
        self.asked: list[EmulatedRequest] = []
        self.loaded: dict[str, int] = {}  # model -> tokens of context
        self.cut = 0  # prompts that were truncated without notice
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.door = self

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def chats(self) -> list[EmulatedRequest]:
        """Return the requests that made a model work."""
        return [each for each in self.asked if each.method == "POST" and "chat" in each.path]

    def answer(self, request: EmulatedRequest) -> EmulatedReply:
        raise NotImplementedError

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class EmulatedReply:
    """A reply: a status and a body, which is JSON, text, or chunks that are sent one by one."""

    status: int = 200
    json: Any = None
    text: str = ""
    pieces: Iterator[bytes] | None = None
    kind: str = "application/json"


# ---- HTTP ---------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    door: EmulatedServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the output of a test belongs to the test."""

    def do_GET(self) -> None:
        self._serve("GET")

    def do_HEAD(self) -> None:
        self._serve("HEAD")

    def do_POST(self) -> None:
        self._serve("POST")

    def _serve(self, method: str) -> None:
        emulated_server = cast("_Server", self.server).door
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        request = EmulatedRequest(method=method, path=self.path, body=body)
        emulated_server.asked.append(request)
        try:
            request.json = json.loads(body) if body else {}
        except ValueError:
            return self._send(EmulatedReply(400, json={"error": "invalid JSON"}), method)
        return self._send(emulated_server.answer(request), method)

    def _send(self, reply: EmulatedReply, method: str) -> None:
        data = b"" if reply.pieces else reply.text.encode() if reply.text else json.dumps(reply.json).encode()
        self.send_response(reply.status)
        self.send_header("content-type", reply.kind)
        if reply.pieces is None:
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            if method != "HEAD":
                self.wfile.write(data)
            return
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in reply.pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


# ---- Ollama -----------------------------------------------------------------------------------------


_IMAGE_TOKENS = 768  # tokens that Ollama counts for any image when it truncates a prompt
_PNG = b"\x89PNG"


class EmulatedOllama(EmulatedServer):
    """Emulate Ollama, in an ``old`` and a ``new`` version.

    ``old`` is 0.4: it states no capabilities, forwards to no service elsewhere, and offers no way to forbid truncation.
    ``new`` is 0.12.
    """

    def __init__(self, engine: Engine, models: Iterable[ListedModel], family: Family = "new", **more: Any) -> None:
        super().__init__(engine, models, family, version="0.4.7" if family == "old" else "0.12.6", **more)

    def answer(self, request: EmulatedRequest) -> EmulatedReply:
        if request.path == "/" and request.method in ("GET", "HEAD"):
            return EmulatedReply(text="Ollama is running", kind="text/plain; charset=utf-8")
        table = {
            ("GET", "/api/version"): lambda: EmulatedReply(json={"version": self.version}),
            ("GET", "/api/tags"): self._tags,
            ("GET", "/api/ps"): self._ps,
            ("POST", "/api/show"): lambda: self._show(request.json),
            ("POST", "/api/chat"): lambda: self._chat(request.json),
            ("GET", "/v1/models"): self._ids,
        }
        found = table.get((request.method, request.path))
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
            loaded_model = self.models[name]
            row = {"name": name, "model": name, "size": 1, "digest": loaded_model.digest,
                   "details": self._details(loaded_model),
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
            message_list = [self._message(each) for each in messages]
        except ValueError:
            return EmulatedReply(400, json={"error": "illegal base64 data at input byte 4"})
        if self._tokens(messages, model) > self.loaded[model.name]:
            if self.family == "new" and body.get("truncate") is False:
                return EmulatedReply(400, json={"error": "the input length exceeds the context length"})
            message_list = self._cut(messages, self.loaded[model.name], model)
        parameters = {
            "messages": message_list, "max_tokens": options.get("num_predict", -1),
            "temperature": options.get("temperature", 0), "seed": options.get("seed", 0),
            "stop": options.get("stop") or [],
        }  # fmt: skip
        if isinstance(body.get("format"), dict):
            parameters["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": body["format"]},
            }
        return self._reply(model, parameters) if body.get("stream") is False else self._stream(model, parameters)

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
        """Return the number of tokens as ``server/prompt.go`` counts them.

        Every image counts the same, and counts only if the model has a projector.
        """
        pictures = sum(len(message.get("images") or ()) for message in messages) if model.sees else 0
        return self.engine.count("\n".join(m.get("content") or "" for m in messages)) + _IMAGE_TOKENS * pictures

    def _cut(self, messages: list[dict[str, Any]], context: int, model: ListedModel) -> list[dict[str, Any]]:
        """Drop the oldest messages, except system messages and the last one; the runner then truncates the rest."""
        self.cut += 1
        kept_messages = list(messages)
        while self._tokens(kept_messages, model) > context and len(kept_messages) > 1:
            oldest = next((m for m in kept_messages[:-1] if m["role"] != "system"), None)
            if oldest is None:
                break
            kept_messages.remove(oldest)
        last = dict(kept_messages[-1])
        while self._tokens([*kept_messages[:-1], last], model) > context - 64 and last["content"]:
            last["content"] = last["content"][len(last["content"]) // 4 :]
        return [self._message(each) for each in (*kept_messages[:-1], last)]

    def _head(self, model: ListedModel) -> dict[str, Any]:
        return {"model": model.name, "created_at": "2026-11-25T00:00:00Z"}

    def _end(self, usage: Mapping[str, Any], reason: str) -> dict[str, Any]:
        return {
            "done": True, "done_reason": "length" if reason == "length" else "stop", "total_duration": 5,
            "load_duration": 1, "prompt_eval_count": usage.get("prompt_tokens", 0), "prompt_eval_duration": 1,
            "eval_count": usage.get("completion_tokens", 0), "eval_duration": 1,
        }  # fmt: skip

    def _error_reply(self, status: int, error: Any) -> EmulatedReply:
        """Return an error of the runner: the engine's message, with the status that Ollama's own server gives it."""
        return EmulatedReply(500 if status >= 500 else status, json={"error": words_of(error)})

    def _reply(self, model: ListedModel, parameters: dict[str, Any]) -> EmulatedReply:
        status, tree = self.engine.chat(parameters)
        if status != 200:
            return self._error_reply(status, tree)
        choice = tree["choices"][0]
        message = {"role": "assistant", "content": choice["message"]["content"]}
        ends = self._end(tree["usage"], choice["finish_reason"])
        return EmulatedReply(json={**self._head(model), "message": message, **ends})

    def _stream(self, model: ListedModel, parameters: dict[str, Any]) -> EmulatedReply:
        status, error, chunks = self.engine.stream(parameters)
        if status != 200:
            return self._error_reply(status, error)

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


# ---- LM Studio --------------------------------------------------------------------------------------


class EmulatedLMStudio(EmulatedServer):
    """Emulate LM Studio: ``old`` has only ``/api/v0``, ``new`` also ``/api/v1``. Chats use OpenAI's protocol."""

    def __init__(self, engine: Engine, models: Iterable[ListedModel], family: Family = "new", **more: Any) -> None:
        super().__init__(engine, models, family, version="", **more)

    def answer(self, request: EmulatedRequest) -> EmulatedReply:
        if request.method == "GET" and request.path == "/v1/models":
            rows = [{"id": name, "object": "model", "owned_by": "organization_owner"} for name in self.models]
            return EmulatedReply(json={"object": "list", "data": rows})
        if request.method == "GET" and request.path == "/api/v0/models":
            return EmulatedReply(json={"object": "list", "data": [self._v0(model) for model in self.models.values()]})
        if request.method == "GET" and request.path == "/api/v1/models" and self.family == "new":
            return EmulatedReply(json={"models": [self._v1(model) for model in self.models.values()]})
        if request.method == "POST" and request.path == "/v1/chat/completions":
            return self._chat(request.json)
        # LM Studio answers paths that it does not know with status 200 and this body.
        return EmulatedReply(json={"error": f"Unexpected endpoint or method. ({request.method} {request.path})"})

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
        parameters = {key: value for key, value in body.items() if key not in ("stream", "stream_options")}
        if not body.get("stream"):
            status, tree = self.engine.chat(parameters)
            return EmulatedReply(status, json=tree if status == 200 else {"error": words_of(tree)})
        status, error, chunks = self.engine.stream(parameters)
        if status != 200:
            return EmulatedReply(status, json={"error": words_of(error)})
        events = (b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)

        def pieces() -> Iterator[bytes]:
            yield from events
            yield b"data: [DONE]\n\n"

        return EmulatedReply(pieces=pieces(), kind="text/event-stream")


# ---- the engine -------------------------------------------------------------------------------------


class Engine:
    """The engine's server at ``base_url`` ("http://127.0.0.1:8080/v1"). ``asked`` counts the chats that reached it."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.asked = 0

    def chat(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        """Return the status and the JSON of a chat that is answered as a whole."""
        self.asked += 1
        connection = self._send({**body, "stream": False})
        try:
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read() or b"null")
        finally:
            connection.close()

    def stream(self, body: Mapping[str, Any]) -> tuple[int, Any, Iterator[dict[str, Any]]]:
        """Return a streamed chat: the status, the JSON of the error if it failed, and the chunks as they arrive."""
        self.asked += 1
        connection = self._send({**body, "stream": True, "stream_options": {"include_usage": True}})
        reply = connection.getresponse()
        if reply.status != 200:
            error = json.loads(reply.read() or b"null")
            connection.close()
            return reply.status, error, iter(())

        def chunks() -> Iterator[dict[str, Any]]:
            try:
                for line in reply:
                    if line.startswith(b"data: {"):
                        yield json.loads(line[6:])
            finally:
                connection.close()

        return 200, None, chunks()

    def count(self, text: str) -> int:
        """Return the number of tokens in a text, as counted by the engine's own tokenizer."""
        connection = self._connect()
        connection.request("POST", "/tokenize", json.dumps({"content": text}), {"content-type": "application/json"})
        try:
            return len(json.loads(connection.getresponse().read())["tokens"])
        finally:
            connection.close()

    def _connect(self) -> HTTPConnection:
        parts = urlsplit(self.base_url)
        return HTTPConnection(parts.hostname or "", parts.port, timeout=120)

    def _send(self, body: Mapping[str, Any]) -> HTTPConnection:
        connection = self._connect()
        path = urlsplit(self.base_url).path + "/chat/completions"
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        return connection


def words_of(error: Any) -> str:
    """Return the message of an error in the form that OpenAI-compatible servers use."""
    inner = error.get("error") if isinstance(error, dict) else None
    return str(inner.get("message", "")) if isinstance(inner, dict) else str(inner or error)
