"""The OpenAPI 3.1 document: exactly the routes of a route table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from intermodal._version import __version__
from intermodal.client_apis import (
    ANTHROPIC_MESSAGES,
    OLLAMA_CHAT,
    OLLAMA_GENERATE,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    ClientApi,
)
from intermodal.gateway.billing import MAX_IDEMPOTENCY_KEY
from intermodal.gateway.error_answers import error_format
from intermodal.gateway.http1.http_types import POLICY_HEADER
from intermodal.gateway.http_route import HttpRoute, RouteTable
from intermodal.gateway.metrics import METRICS_TYPE
from intermodal.gateway.openapi.schemas import OVERRIDE_FIELDS, TEXT, Schema, ref, request_schemas, response_schemas

JSON = "application/json"


class OperationText(NamedTuple):
    """The description of a route in the OpenAPI document, beyond the route table.

    Attributes:
        summary: one sentence. asks: the schema of its body. gives: media types and schemas of its response.
        streams: the client API and schema of the events, if the response can be a stream.
        runs: a model may be called, so policies, budgets and hosts can refuse.
        name: the parameter at the end of its path. absent: the requested object may not exist.
    """

    summary: str
    asks: str = ""
    gives: Mapping[str, Schema] = {}
    streams: tuple[ClientApi, str] | None = None
    runs: bool = False
    name: str = ""
    absent: bool = False


def _json(name: str) -> dict[str, Schema]:
    return {JSON: ref(name)}


def _file(kind: str) -> Schema:
    return {"type": "string", "contentMediaType": kind}


OPERATIONS: Mapping[tuple[str, str], OperationText] = {
    ("GET", "/"): OperationText("Confirm that a server answers.", gives={"text/plain": TEXT}),
    ("GET", "/healthz"): OperationText("Liveness: the process answers.", gives=_json("Alive")),
    ("GET", "/readyz"): OperationText(
        "Readiness: media can be decoded, the store read, a model called.", gives=_json("Ready")
    ),
    ("GET", "/metrics"): OperationText(
        "Metrics in the format of Prometheus.", gives={METRICS_TYPE.partition(";")[0]: TEXT}, absent=True
    ),
    ("GET", "/openapi.json"): OperationText("This document.", gives={JSON: {"type": "object"}}),
    ("GET", "/v1/models"): OperationText(
        "List the models, with their inputs, context and price.", gives=_json("Models")
    ),
    ("GET", "/v1/models/"): OperationText(
        "Get one model. Its name may contain slashes.", gives=_json("Model"), name="model"
    ),
    ("GET", "/v1/prompts"): OperationText(
        "List the prompt files with inputs and output, and those with errors.", gives=_json("Prompts")
    ),
    ("GET", "/v1/prompts/"): OperationText(
        "Get one prompt file. Its name may contain slashes; a `#` in it is `%23` in a path.",
        gives=_json("Prompt"),
        name="prompt",
    ),
    ("POST", "/v1/chat/completions"): OperationText(
        "Create a chat completion (OpenAI).",
        "ChatRequest",
        _json("ChatCompletion"),
        (OPENAI_CHAT, "ChatChunk"),
        runs=True,
    ),
    ("POST", "/v1/responses"): OperationText(
        "Create a response (OpenAI). Nothing is stored, so fields that need stored state are refused.",
        "ResponsesRequest",
        _json("Response"),
        (OPENAI_RESPONSES, "ResponseEvent"),
        runs=True,
    ),
    ("POST", "/v1/embeddings"): OperationText(
        "Create embeddings of texts (OpenAI).", "EmbeddingsRequest", _json("Embeddings"), runs=True
    ),
    ("POST", "/v1/audio/transcriptions"): OperationText(
        "Transcribe audio, or the audio of a video (OpenAI).",
        "TranscriptionRequest",
        {**_json("Transcription"), "text/plain": TEXT, "application/x-subrip": TEXT, "text/vtt": TEXT},
        runs=True,
    ),
    ("POST", "/v1/audio/translations"): OperationText(
        "Transcribe audio, or the audio of a video, into English (OpenAI).",
        "TranslationRequest",
        {**_json("Translation"), "text/plain": TEXT, "application/x-subrip": TEXT, "text/vtt": TEXT},
        runs=True,
    ),
    ("POST", "/v1/audio/speech"): OperationText(
        "Create speech from text (OpenAI).",
        "SpeechRequest",
        {kind: _file(kind) for kind in ("audio/mpeg", "audio/wav")},
        runs=True,
    ),
    ("POST", "/v1/images/generations"): OperationText(
        "Generate images (OpenAI).", "ImagesRequest", _json("Images"), runs=True
    ),
    ("POST", "/v1/images/edits"): OperationText(
        "Generate images from images and text, or within a mask (OpenAI).",
        "ImageEditsRequest",
        _json("Images"),
        runs=True,
    ),
    **{
        ("POST", path): OperationText(
            f"Rank documents by how well they answer a query ({whose}).", "RerankRequest", _json("Reranked"), runs=True
        )
        for path, whose in (("/v1/rerank", "Jina"), ("/v2/rerank", "Cohere"), ("/rerank", "vLLM"))
    },
    ("POST", "/v1/messages"): OperationText(
        "Create a message (Anthropic).",
        "MessagesRequest",
        _json("MessageAnswer"),
        (ANTHROPIC_MESSAGES, "MessageEvent"),
        runs=True,
    ),
    ("POST", "/v1/messages/count_tokens"): OperationText(
        "Count the input tokens that the plan expects, with their range. Nothing is spent.",
        "CountTokensRequest",
        _json("TokenCount"),
        runs=True,
    ),
    ("POST", "/api/chat"): OperationText(
        "Create a chat completion (Ollama). It streams unless `stream` is false.",
        "OllamaChatRequest",
        _json("OllamaAnswer"),
        (OLLAMA_CHAT, "OllamaLine"),
        runs=True,
    ),
    ("POST", "/api/generate"): OperationText(
        "Complete one prompt (Ollama). It streams unless `stream` is false.",
        "OllamaGenerateRequest",
        _json("OllamaGenerated"),
        (OLLAMA_GENERATE, "OllamaGeneratedLine"),
        runs=True,
    ),
    ("POST", "/api/embed"): OperationText(
        "Create embeddings of texts (Ollama). A text that is too long is an error.",
        "OllamaEmbedRequest",
        _json("OllamaEmbeddings"),
        runs=True,
    ),
    ("GET", "/api/tags"): OperationText("List the chat models (Ollama).", gives=_json("OllamaTags")),
    ("GET", "/api/ps"): OperationText(
        "List the chat models in the memory of this machine (Ollama).", gives=_json("OllamaRunning")
    ),
    ("POST", "/api/show"): OperationText("Show one model (Ollama).", "ShowRequest", _json("OllamaShown"), absent=True),
    ("GET", "/api/version"): OperationText("Get the Ollama version whose API is served.", gives=_json("OllamaVersion")),
    ("POST", "/v1/explain"): OperationText(
        "Plan and price a chat, given as a request to any chat endpoint. Nothing is spent.",
        "ExplainRequest",
        _json("PlanDocument"),
        runs=True,
    ),
    ("GET", "/v1/plans/"): OperationText(
        "Get the plan of a recent answer; the last few thousand are kept.", gives=_json("PlanDocument"), name="plan"
    ),
}

# Headers about the route of an answer and the limits of the key.
RESPONSE_HEADERS: Mapping[str, str] = {
    "x-intermodal-plan": "id of the plan, for GET /v1/plans/ID",
    "x-intermodal-route": "endpoint that answered",
    "x-intermodal-steps": "calls of the plan",
    "x-intermodal-sends": "hosts that content is sent to, or `nothing`",
    "x-intermodal-verdict": "whether a language model is enough: `enough`, `enough_with_loss`, `broader_needed`, "
        "`not_enough`, `no_language_model` or `unknown`; only if the request has media",
    "x-intermodal-loses": "aspects that the route loses",
    "x-intermodal-ignored": "fields of the request that are unknown, or that the host does not support",
    "x-intermodal-max-tokens": "token limit of the answer, if the key's budget does not cover the requested one",
    "x-intermodal-cost": "USD; absent from the head of a stream, which is sent before the cost is known",
    "x-intermodal-unverified": "fields of a JSON answer whose values occur in no file, as JSON Pointers; absent "
        "from the head of a stream",
    "x-intermodal-attempts": "number of calls; absent from the head of a stream",
    **{f"x-ratelimit-{what}-{unit}": f"{what} of the key's {unit} per minute"
       for unit in ("requests", "tokens") for what in ("limit", "remaining", "reset")},
    "idempotency-replayed": "`true`: the stored answer of an earlier request with this key",
}  # fmt: skip
ERROR_HEADERS: Mapping[str, str] = {
    "x-should-retry": "`false`: every retry was already made",
        "retry-after": "seconds to wait before a retry",
    **{name: RESPONSE_HEADERS[name] for name in RESPONSE_HEADERS if name.startswith("x-ratelimit-")},
    **{name: RESPONSE_HEADERS[name] for name in (f"{POLICY_HEADER}{what}" for what in ("plan", "route", "cost",
        "attempts"))},
}  # fmt: skip
# Why a request is refused, by status; the text depends on the route.
STATUS_TEXTS: Mapping[int, str] = {
    400: "The request is invalid, or no endpoint can answer it; or several different keys were sent.",
    401: "The key is missing or not valid.",
    402: "The cost would exceed the limit, or the price is unknown.",
    403: "The key has no access, or the request comes from a web page that is not allowed.",
    404: "The model, policy or plan does not exist.",
    408: "The request arrived too slowly.",
    409: "The Idempotency-Key belongs to another request, or to one that is still running.",
    413: "The request is too large.",
    415: "The body has an unsupported type, or is compressed.",
    421: "The Host header names another server.",
    429: "A budget is spent, a rate limit is reached, or a host refuses for its own limit.",
    500: "Internal error.",
    502: "A host failed.",
    503: "A host is overloaded, a model is not installed, the store cannot be used, or the server is stopping.",
}
_ALWAYS, _BODY, _RUN = (400, 401, 403, 421, 500, 503), (408, 413, 415), (402, 404, 409, 429, 502)
ERROR_SCHEMAS: Mapping[str, str] = {"openai": "OpenAIError", "anthropic": "AnthropicError", "ollama": "OllamaError"}


def build_document(routes: RouteTable) -> dict[str, Any]:
    """Return the OpenAPI document of these routes."""
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), route in routes.items():
        operation = OPERATIONS[method, path]
        paths.setdefault(f"{path}{{{operation.name}}}" if operation.name else path, {})[method.lower()] = _operation(
            method, path, route
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "intermodal", "version": __version__, "license": {"name": "Apache-2.0",
                "identifier": "Apache-2.0"},
            "description": "One endpoint that speaks the APIs of OpenAI, Anthropic and Ollama, and plans every "
            "request. Until a key is created it serves its own machine, without keys; after that, every path except "
            "/healthz and /readyz requires one.",
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}, {"x-api-key": []}],
        "paths": paths,
        "components": {
            "schemas": {**request_schemas(), **response_schemas()},
            "responses": _refusals(),
            "parameters": {name: _override_header(name) for name in OVERRIDE_FIELDS}
            | {"idempotency-key": _IDEMPOTENCY},
            "headers": {name: {"description": text, "schema": TEXT} for name, text in {**RESPONSE_HEADERS,
                **ERROR_HEADERS}.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A key of this gateway: im-…"},
                "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key",
                    "description": "The same key, as Anthropic's clients send it."},
            },
        },
    }  # fmt: skip


_IDEMPOTENCY: Schema = {
    "name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": MAX_IDEMPOTENCY_KEY},
    "description": "A request with this key runs once within 24 hours; a repeated one gets the stored answer.",
}  # fmt: skip


def _override_header(name: str) -> dict[str, Any]:
    """Return the header that sets a field of ``intermodal``."""
    schema = OVERRIDE_FIELDS[name]
    header: dict[str, Any] = {"name": f"{POLICY_HEADER}{name.replace('_', '-')}", "in": "header", "schema": schema}
    if schema.get("type") == "array":
        header |= {"style": "simple", "explode": False}
    about = f"Same as `{name}` of the field `intermodal`. If both are set, the tighter one holds."
    return {**header, "description": about}


def _operation(method: str, path: str, route: HttpRoute) -> dict[str, Any]:
    operation, family = OPERATIONS[method, path], error_format(path)
    parameters = [{"name": operation.name, "in": "path", "required": True, "schema": TEXT}] if operation.name else []
    if operation.runs:
        parameters += [{"$ref": f"#/components/parameters/{name}"} for name in (*OVERRIDE_FIELDS, "idempotency-key")]
    document: dict[str, Any] = {
        "operationId": f"{method.lower()}{path.rstrip('/')}{'/one' if operation.name else ''}".replace("/",
            "_").replace(".", "_"),
        "summary": operation.summary, "responses": _responses(operation, family, body=method == "POST"),
    }  # fmt: skip
    if parameters:
        document["parameters"] = parameters
    if operation.asks:
        document["requestBody"] = {"required": True, "content": {route.body or JSON: {"schema": ref(operation.asks)}}}
    if route.open:
        document["security"] = []
    return document


def _responses(operation: OperationText, family: str, *, body: bool) -> dict[str, Any]:
    content: dict[str, Any] = {kind: {"schema": schema} for kind, schema in operation.gives.items()}
    good: dict[str, Any] = {"description": "The answer.", "content": content}
    if operation.streams is not None:
        dialect, event = operation.streams
        lines = (
            "Each line"
            if dialect.stream_type.endswith("ndjson")
            else "The data of each event, except comments and `[DONE]`,"
        )
        content[dialect.stream_type] = {
            "schema": {"type": "string", "description": f"{lines} is JSON: {event}. An error ends the stream."},
            "x-intermodal-event": event_schema(dialect, event),
        }  # fmt: skip
        good["description"] = "The answer; streamed if `stream` is true."
    if operation.runs:
        good["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in RESPONSE_HEADERS}
    if operation.gives.get(JSON) == ref("Ready"):
        return {"200": good, "503": {"description": "Not ready, or stopping.", "content": content}}
    statuses = {*_ALWAYS, *(_BODY if body else ()), *(_RUN if operation.runs else ())}
    if operation.name or operation.absent:
        statuses.add(404)
    return {"200": good} | {
        str(status): {"$ref": f"#/components/responses/{family}-{status}"} for status in sorted(statuses)
    }


def _refusals() -> dict[str, Any]:
    """Return the responses of every status in the format of every client API."""
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in (*ERROR_HEADERS, "idempotency-replayed")}
    return {
        f"{family}-{status}": {"description": why, "content": {JSON: {"schema": ref(error)}}, "headers": headers}
        for family, error in ERROR_SCHEMAS.items()
        for status, why in STATUS_TEXTS.items()
    }


def event_schema(dialect: ClientApi, event: str) -> Schema:
    """Return the schema of one event of a stream, including the error that may end it."""
    return {"anyOf": [ref(event), ref("OpenAIError")]} if dialect is OPENAI_CHAT else ref(event)
