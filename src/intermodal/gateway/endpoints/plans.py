"""Plans over HTTP: explained without spending, and looked up afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from intermodal.client_apis import (
    ANTHROPIC_MESSAGES,
    OLLAMA_CHAT,
    OLLAMA_GENERATE,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    ClientApi,
)
from intermodal.concurrency.offload import MANY, is_long_request, offload
from intermodal.gateway.endpoints.chat import plan_chat
from intermodal.gateway.endpoints.models import JSON_HEADERS
from intermodal.gateway.http1.http_types import GatewayRequest
from intermodal.gateway.http1.response_writer import ResponseWriter
from intermodal.gateway.requests.body_limits import decode_body
from intermodal.gateway.requests.request_policy import body_fields
from intermodal.gateway.response_metadata import ignored_header
from intermodal.plans.explain import explain as as_text
from intermodal.plans.explain import fold_rejections
from intermodal.plans.plan import Plan, for_surface
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.protocols.framing.json_body import dumps

if TYPE_CHECKING:
    from intermodal.gateway.context import GatewayContext

DOCUMENT_VERSION = 1
_OLLAMAS, _PICTURES = frozenset({"options", "format", "keep_alive"}), b'"images"'


async def explain_chat(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``POST /v1/explain``: plans the body of a chat in any client API without running it."""
    job = await plan_chat(context, request, await _dialect(context, request), exact=True)
    head = {**JSON_HEADERS, "x-intermodal-plan": job.plan.id, **ignored_header(job.ignored)}
    long = is_long_request(job.request)
    reply.write_whole(200, await offload(long, _plan_json, job.plan), head)


async def _dialect(context: GatewayContext, request: GatewayRequest) -> ClientApi:
    """Return the client API of a body, detected by Anthropic's header or by fields that only one API has."""
    fields = await body_fields(request, context.limits)
    if "anthropic-version" in request.head.headers:
        return ANTHROPIC_MESSAGES
    if "input" in fields or bytes(fields.get("prompt", b""))[:1] == b"{":
        return OPENAI_RESPONSES
    if "prompt" in fields and "messages" not in fields:
        return OLLAMA_GENERATE
    return (
        OLLAMA_CHAT if _OLLAMAS.intersection(fields) or _PICTURES in bytes(fields.get("messages", b"")) else OPENAI_CHAT
    )


async def get_plan(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``GET /v1/plans/ID``: a recent plan, for its owner. The last few thousand are kept."""
    name = request.head.path.removeprefix("/v1/plans/")
    found = context.plans.find_plan(request.owner, name)
    if found is None:
        raise RequestRefused("there is no such plan, or it is no longer kept", status=404, code="not_found")
    reply.write_whole(200, await offload(len(found.chosen.last.inputs) > MANY, _plan_json, found), JSON_HEADERS)


async def count_tokens(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``POST /v1/messages/count_tokens``: the planner's estimate of the input tokens of the answering call."""
    body = request.body
    if "max_tokens" not in await body_fields(request, context.limits):  # counting needs none, messages do
        body = await decode_body(_with_a_limit, body)
    job = await plan_chat(
        context, GatewayRequest(request.head, body, request.key, checked=True), ANTHROPIC_MESSAGES, exact=True
    )
    input_tokens = job.plan.chosen.answering.estimate.input_tokens
    counts: dict[str, Any] = {"input_tokens": round(input_tokens.mid)}
    counts["intermodal"] = {
        "low": input_tokens.low,
        "high": input_tokens.high,
        "basis": input_tokens.basis,
        "plan": job.plan.id,
    }
    reply.write_whole(200, dumps(counts), {**JSON_HEADERS, "x-intermodal-plan": job.plan.id})


def _with_a_limit(body: bytes) -> bytes:
    tree = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({**tree, "max_tokens": 1})


def _plan_json(plan: Plan) -> bytes:
    return dumps(_document(plan))


def _document(plan: Plan) -> dict[str, Any]:
    # Rejections of many hosts are folded into one line of the text.
    short = for_surface(replace(plan, rejected=fold_rejections(plan.rejected)), "http")
    return {
        "kind": "intermodal.plan",
        "version": DOCUMENT_VERSION,
        "plan": msgspec.to_builtins(plan),
        "text": as_text(short, runs=True),
    }
