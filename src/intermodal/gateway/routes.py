"""The route table. Well-known paths that are not served get a 404 that explains why."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial

from intermodal.client_apis import (
    ANTHROPIC_MESSAGES,
    OLLAMA_CHAT,
    OLLAMA_GENERATE,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    ClientApi,
)
from intermodal.gateway.context import GatewayContext
from intermodal.gateway.endpoints import chat, media, models, monitoring, plans, prompts
from intermodal.gateway.endpoints.rerank import rerank
from intermodal.gateway.http1.http_types import GatewayRequest, RequestHead
from intermodal.gateway.http1.response_writer import ResponseWriter
from intermodal.gateway.http_route import HttpRoute, RouteTable
from intermodal.gateway.quotas.quota_types import ANONYMOUS, VirtualKey
from intermodal.gateway.requests.origin_policy import is_preflight, preflight_headers
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.protocols.framing.json_body import dumps


def _chats(dialect: ClientApi, body: str = "") -> HttpRoute:
    return HttpRoute(partial(chat.answer_chat, dialect=dialect), body=body, passes=dialect)


async def _preflight(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """Answer a CORS preflight request."""
    reply.write_whole(204, b"", preflight_headers(request.head))


async def _get_openapi(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``GET /openapi.json``: the OpenAPI document of this table."""
    reply.write_whole(200, _openapi(), models.JSON_HEADERS)


@cache
def _openapi() -> bytes:
    from intermodal.gateway.openapi.openapi_document import build_document

    return dumps(build_document(ROUTES))


_PREFLIGHT = HttpRoute(_preflight, open=True)
_JSON = "application/json"
METRICS_PATH = "/metrics"
ROUTES: RouteTable = {
    ("GET", "/"): HttpRoute(monitoring.root),
    ("GET", "/healthz"): HttpRoute(monitoring.healthz, open=True),
    ("GET", "/readyz"): HttpRoute(monitoring.readyz, open=True),
    ("GET", METRICS_PATH): HttpRoute(monitoring.get_metrics),
    ("GET", "/openapi.json"): HttpRoute(_get_openapi),
    ("GET", "/v1/models"): HttpRoute(models.list_models),
    ("GET", "/v1/models/"): HttpRoute(models.get_model),
    ("GET", "/v1/prompts"): HttpRoute(prompts.list_prompts),
    ("GET", "/v1/prompts/"): HttpRoute(prompts.get_prompt),
    ("POST", "/v1/chat/completions"): _chats(OPENAI_CHAT, body=_JSON),
    ("POST", "/v1/responses"): _chats(OPENAI_RESPONSES, body=_JSON),
    ("POST", "/v1/embeddings"): HttpRoute(media.create_embeddings, body=_JSON),
    ("POST", "/v1/audio/transcriptions"): HttpRoute(media.create_transcription, body="multipart/form-data"),
    ("POST", "/v1/audio/translations"): HttpRoute(media.create_translation, body="multipart/form-data"),
    ("POST", "/v1/audio/speech"): HttpRoute(media.create_speech, body=_JSON),
    ("POST", "/v1/images/generations"): HttpRoute(media.create_images, body=_JSON),
    ("POST", "/v1/images/edits"): HttpRoute(media.create_image_edits, body="multipart/form-data"),
    ("POST", "/v1/rerank"): HttpRoute(rerank, body=_JSON),
    ("POST", "/v2/rerank"): HttpRoute(rerank, body=_JSON),
    ("POST", "/rerank"): HttpRoute(rerank, body=_JSON),
    ("POST", "/v1/messages"): _chats(ANTHROPIC_MESSAGES, body=_JSON),
    ("POST", "/v1/messages/count_tokens"): HttpRoute(plans.count_tokens, body=_JSON),
    ("POST", "/api/chat"): _chats(OLLAMA_CHAT),  # its clients send no content-type
    ("POST", "/api/generate"): HttpRoute(partial(chat.answer_chat, dialect=OLLAMA_GENERATE)),
    ("POST", "/api/embed"): HttpRoute(media.ollama_embed),
    ("GET", "/api/tags"): HttpRoute(models.ollama_tags),
    ("GET", "/api/ps"): HttpRoute(models.ollama_running),
    ("POST", "/api/show"): HttpRoute(models.ollama_show),
    ("GET", "/api/version"): HttpRoute(models.ollama_version),
    ("POST", "/v1/explain"): HttpRoute(plans.explain_chat, body=_JSON),
    ("GET", "/v1/plans/"): HttpRoute(plans.get_plan),
}
_PATHS = frozenset(path for _, path in ROUTES)
_BELOW = tuple(path for _, path in ROUTES if path.endswith("/") and path != "/")  # the rest of the path is a name
# Paths that clients request, and why they are not served.
_UNSERVED_PATHS: Mapping[str, str] = {
    "/v1/files": "no files are kept here: send a file with the message it belongs to",
    "/v1/batches": "no batches are kept here",
    "/v1/assistants": "no assistants are kept here: send the whole conversation",
    "/v1/threads": "no conversations are kept here: send the whole conversation",
    "/v1/conversations": "no conversations are kept here: send the whole conversation",
    "/v1/vector_stores": "no files are kept here",
    "/v1/fine_tuning": "models are not trained here",
    "/v1/images/variations": "say in words what is to differ: use /v1/images/edits",
    "/v1/completions": "only chats are served: use /v1/chat/completions",
    "/v1/messages/batches": "no batches are kept here",
    "/v1/moderations": "nothing is judged here",
    "/v1/realtime": "calls are not held here: send the recording",
    "/api/embeddings": "use /api/embed",
    "/api/pull": "weights come by: intermodal pull",
}


def find_route(head: RequestHead) -> HttpRoute:
    """Return the route of a request. Raises RequestRefused (404 or 405)."""
    path = head.path
    if (route := ROUTES.get((head.method, path))) is not None and not path.endswith("/"):
        return route
    if is_preflight(head):
        return _PREFLIGHT
    below = next((prefix for prefix in _BELOW if path.startswith(prefix) and len(path) > len(prefix)), path)
    method = "GET" if head.method == "HEAD" else head.method
    route = ROUTES.get((method, below))
    if route is not None:
        return route
    others = [
        verb for verb, route_path in ROUTES if route_path == below and not (route_path in _BELOW and below == path)
    ]
    if others:
        raise RequestRefused(f"{path} takes {' or '.join(others)}", status=405, headers={"allow": ", ".join(others)})
    for prefix, why in _UNSERVED_PATHS.items():
        if path == prefix or path.startswith(f"{prefix}/"):
            raise RequestRefused(f"{prefix} is not served: {why}", status=404, code="not_served")
    raise RequestRefused("there is nothing at this path", status=404, code="not_found")


def route_path(head: RequestHead) -> str:
    """Return the path of a route without the name that may follow it, "" if there is no route.

    Has few distinct values.
    """
    if head.path in _PATHS:
        return head.path
    return next((prefix for prefix in _BELOW if head.path.startswith(prefix)), "")


def check_metrics_access(head: RequestHead, key: VirtualKey, watching: str) -> None:
    """Raise RequestRefused unless the key may read this path.

    Keys made for metrics read nothing else. ``watching``: the setting ``[serve] metrics``. Without keys, this machine
    may read metrics.
    """
    if head.path != METRICS_PATH:
        if key.metrics:
            raise RequestRefused(
                f"key {key.name!r} reads {METRICS_PATH} and nothing else", status=403, code="key_not_allowed"
            )
    elif watching == "off":
        raise RequestRefused("there is nothing at this path", status=404, code="not_found")
    elif watching == "keys" and key is not ANONYMOUS and not key.metrics:
        todo = "ask for a key that is made for it, or for another word of metrics under [serve] in the server's config"
        raise RequestRefused(
            f"key {key.name!r} may not read {METRICS_PATH}", status=403, todo=todo, code="key_not_allowed"
        )


def is_public(head: RequestHead, watching: str = "keys") -> bool:
    """Return True if a path needs no key. ``watching``: the setting ``[serve] metrics``."""
    route = ROUTES.get(("GET", head.path))
    return route is not None and (route.open or (head.path == METRICS_PATH and watching == "open"))
