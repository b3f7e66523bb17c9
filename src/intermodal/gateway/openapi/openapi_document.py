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
    ("GET", "/"): OperationText("A server is here.", gives={"text/plain": TEXT}),
    ("GET", "/healthz"): OperationText("It lives.", gives=_json("Alive")),
    ("GET", "/readyz"): OperationText("It could serve: media are decoded, the store is read, a model can be asked.",
        gives=_json("Ready")),
    ("GET", "/metrics"): OperationText("Counts, as Prometheus reads them.",
        gives={METRICS_TYPE.partition(";")[0]: TEXT},
        absent=True),
    ("GET", "/openapi.json"): OperationText("This document.", gives={JSON: {"type": "object"}}),
    ("GET", "/v1/models"): OperationText("What can be asked for, what each takes here, context and price.",
        gives=_json("Models")),
    ("GET", "/v1/models/"): OperationText("One model. Its name may have slashes.", gives=_json("Model"), name="model"),
    ("GET", "/v1/prompts"): OperationText("Prompt files: what each takes and makes, and those that cannot be used.",
        gives=_json("Prompts")),
    ("GET",
        "/v1/prompts/"): OperationText("One prompt file. Its name may have slashes; a `#` in it is `%23` in a path.",
        gives=_json("Prompt"), name="prompt"),
    ("POST", "/v1/chat/completions"): OperationText(
        "OpenAI's chat.", "ChatRequest", _json("ChatCompletion"), (OPENAI_CHAT, "ChatChunk"), runs=True),
    ("POST", "/v1/responses"): OperationText(
        "OpenAI's responses, without what would have to be kept here.", "ResponsesRequest", _json("Response"),
        (OPENAI_RESPONSES, "ResponseEvent"), runs=True),
    ("POST", "/v1/embeddings"): OperationText("Vectors of texts.", "EmbeddingsRequest", _json("Embeddings"), runs=True),
    ("POST", "/v1/audio/transcriptions"): OperationText(
        "The words of a recording, or of a film.", "TranscriptionRequest",
        {**_json("Transcription"), "text/plain": TEXT, "application/x-subrip": TEXT, "text/vtt": TEXT}, runs=True),
    ("POST", "/v1/audio/translations"): OperationText(
        "The words of a recording, or of a film, in English whatever is spoken.", "TranslationRequest",
        {**_json("Translation"), "text/plain": TEXT, "application/x-subrip": TEXT, "text/vtt": TEXT}, runs=True),
    ("POST", "/v1/audio/speech"): OperationText(
        "A text, spoken.", "SpeechRequest", {kind: _file(kind) for kind in ("audio/mpeg", "audio/wav")}, runs=True),
    ("POST", "/v1/images/generations"): OperationText("Pictures, drawn.", "PicturesRequest", _json("Pictures"),
        runs=True),
    ("POST", "/v1/images/edits"): OperationText("Pictures, drawn from others and words, or within a mask.",
        "PictureEditsRequest", _json("Pictures"), runs=True),
    **{("POST", path): OperationText(f"Documents in the order in which they answer a query, as {whose} has it.",
        "RerankRequest", _json("Reranked"), runs=True)
       for path, whose in (("/v1/rerank", "Jina"), ("/v2/rerank", "Cohere"), ("/rerank", "vLLM"))},
    ("POST", "/v1/messages"): OperationText(
        "Anthropic's messages.", "MessagesRequest", _json("MessageAnswer"), (ANTHROPIC_MESSAGES, "MessageEvent"),
            runs=True),
    ("POST", "/v1/messages/count_tokens"): OperationText(
        "What the plan expects to go in, with its range. Nothing is spent.", "CountTokensRequest",
            _json("TokenCount"), runs=True),
    ("POST", "/api/chat"): OperationText(
        "Ollama's chat. It streams unless `stream` is false.", "OllamaChatRequest", _json("OllamaAnswer"),
        (OLLAMA_CHAT, "OllamaLine"), runs=True),
    ("POST", "/api/generate"): OperationText(
        "Ollama's completion of one prompt. It streams unless `stream` is false.", "OllamaGenerateRequest",
        _json("OllamaGenerated"), (OLLAMA_GENERATE, "OllamaGeneratedLine"), runs=True),
    ("POST", "/api/embed"): OperationText(
        "Vectors of texts, as Ollama gives them. A text that is too long is an error.", "OllamaEmbedRequest",
        _json("OllamaEmbeddings"), runs=True),
    ("GET", "/api/tags"): OperationText("Models that chat, as Ollama lists them.", gives=_json("OllamaTags")),
    ("GET", "/api/ps"): OperationText("Models that chat and are in this machine's memory now.",
        gives=_json("OllamaRunning")),
    ("POST", "/api/show"): OperationText("One model, as Ollama shows it.", "ShowRequest", _json("OllamaShown"),
        absent=True),
    ("GET",
        "/api/version"): OperationText("The greeting by which Ollama's clients recognise a server and its API.",
        gives=_json("OllamaVersion")),
    ("POST", "/v1/explain"): OperationText(
        "The plan of a chat in the words of any door, priced. Nothing is spent.", "ExplainRequest",
            _json("PlanDocument"), runs=True),
    ("GET", "/v1/plans/"): OperationText("The plan of an answer, of the last few thousand.",
        gives=_json("PlanDocument"),
        name="plan"),
}  # fmt: skip

# Headers about the route of an answer and the limits of the key.
RESPONSE_HEADERS: Mapping[str, str] = {
    "x-intermodal-plan": "id of the plan; GET /v1/plans/ID",
    "x-intermodal-route": "who answered",
    "x-intermodal-steps": "the calls of the plan",
    "x-intermodal-sends": "hosts that content goes to, or `nothing`",
    "x-intermodal-verdict": "whether a language model is enough: `enough`, `enough_with_loss`, `broader_needed`, "
        "`not_enough`, `no_language_model` or `unknown`; where something besides words goes in",
    "x-intermodal-loses": "what the route loses",
    "x-intermodal-ignored": "fields of the request that are not understood, or that the host has no word for",
    "x-intermodal-max-tokens": "limit of the answer, where the key's budget has no room for the one that was asked for",
    "x-intermodal-cost": "USD; not in the head of a stream, which comes before it is known",
    "x-intermodal-unverified": "fields of a JSON answer whose values occur in no file, as JSON Pointers; not in "
        "the head of a stream",
    "x-intermodal-attempts": "calls that were made; not in the head of a stream",
    **{f"x-ratelimit-{what}-{unit}": f"{what} of the key's {unit} a minute"
       for unit in ("requests", "tokens") for what in ("limit", "remaining", "reset")},
    "idempotency-replayed": "`true`: this answer was given before",
}  # fmt: skip
ERROR_HEADERS: Mapping[str, str] = {
    "x-should-retry": "`false`: what could be tried again was",
        "retry-after": "seconds after which asking again makes sense",
    **{name: RESPONSE_HEADERS[name] for name in RESPONSE_HEADERS if name.startswith("x-ratelimit-")},
    **{name: RESPONSE_HEADERS[name] for name in (f"{POLICY_HEADER}{what}" for what in ("plan", "route", "cost",
        "attempts"))},
}  # fmt: skip
# Why a request is refused, by status; the text depends on the route.
STATUS_TEXTS: Mapping[int, str] = {
    400: "The request is invalid, or no endpoint can answer it; or several different keys were sent.",
    401: "No key, or none that is valid.",
    402: "It would cost more than is allowed, or its price is unknown.",
    403: "This key may not, or a page of a browser asks.", 404: "There is no such model, policy or plan.",
    408: "It came too slowly.",
    409: "Under this Idempotency-Key something else, or the same that still runs, was asked.",
    413: "Too much.", 415: "A body of another type, or compressed.", 421: "This server does not go by that name.",
    429: "A budget is spent, a rate is reached, or a host says so.", 500: "A mistake of our own.",
        502: "A host failed.",
    503: "A host has no room, a model is not here, the store cannot be used, or the server is stopping.",
}  # fmt: skip
_ALWAYS, _BODY, _RUN = (400, 401, 403, 421, 500, 503), (408, 413, 415), (402, 404, 409, 429, 502)
ERROR_SCHEMAS: Mapping[str, str] = {"openai": "OpenAIError", "anthropic": "AnthropicError", "ollama": "OllamaError"}


def build_document(routes: RouteTable) -> dict[str, Any]:
    """Return the OpenAPI document of these routes."""
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), door in routes.items():
        operation = OPERATIONS[method, path]
        paths.setdefault(f"{path}{{{operation.name}}}" if operation.name else path, {})[method.lower()] = _operation(
            method, path, door
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "intermodal", "version": __version__, "license": {"name": "Apache-2.0",
                "identifier": "Apache-2.0"},
            "description": "One endpoint that speaks the APIs of OpenAI, Anthropic and Ollama, and plans every "
            "request. Without a key of its own it serves its machine alone, openly; once there was one, every path but "
            "/healthz and /readyz wants a key.",
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
                    "description": "The same, as Anthropic's clients send it."},
            },
        },
    }  # fmt: skip


_IDEMPOTENCY: Schema = {
    "name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": MAX_IDEMPOTENCY_KEY},
    "description": "Under it a request is carried out once, in all workers, for 24 hours.",
}  # fmt: skip


def _override_header(name: str) -> dict[str, Any]:
    """Return the header that sets a field of ``intermodal``."""
    schema = OVERRIDE_FIELDS[name]
    header: dict[str, Any] = {"name": f"{POLICY_HEADER}{name.replace('_', '-')}", "in": "header", "schema": schema}
    if schema.get("type") == "array":
        header |= {"style": "simple", "explode": False}
    return {**header, "description": f"As `{name}` of the field `intermodal`. Of both, the tighter one holds."}


def _operation(method: str, path: str, door: HttpRoute) -> dict[str, Any]:
    operation, family = OPERATIONS[method, path], error_format(path)
    parameters = [{"name": operation.name, "in": "path", "required": True, "schema": TEXT}] if operation.name else []
    if operation.runs:
        parameters += [{"$ref": f"#/components/parameters/{name}"} for name in (*OVERRIDE_FIELDS, "idempotency-key")]
    made: dict[str, Any] = {
        "operationId": f"{method.lower()}{path.rstrip('/')}{'/one' if operation.name else ''}".replace("/",
            "_").replace(".", "_"),
        "summary": operation.summary, "responses": _responses(operation, family, body=method == "POST"),
    }  # fmt: skip
    if parameters:
        made["parameters"] = parameters
    if operation.asks:
        made["requestBody"] = {"required": True, "content": {door.body or JSON: {"schema": ref(operation.asks)}}}
    if door.open:
        made["security"] = []
    return made


def _responses(operation: OperationText, family: str, *, body: bool) -> dict[str, Any]:
    content: dict[str, Any] = {kind: {"schema": schema} for kind, schema in operation.gives.items()}
    good: dict[str, Any] = {"description": "The answer.", "content": content}
    if operation.streams is not None:
        dialect, event = operation.streams
        lines = (
            "Each line"
            if dialect.stream_type.endswith("ndjson")
            else "The data of each event, but for comments and `[DONE]`,"
        )
        content[dialect.stream_type] = {
            "schema": {"type": "string", "description": f"{lines} is JSON: {event}. An error is the last of them."},
            "x-intermodal-event": event_schema(dialect, event),
        }  # fmt: skip
        good["description"] = "The answer; where `stream` says so, as it is made."
    if operation.runs:
        good["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in RESPONSE_HEADERS}
    if operation.gives.get(JSON) == ref("Ready"):
        return {"200": good, "503": {"description": "It could not, or it is stopping.", "content": content}}
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
