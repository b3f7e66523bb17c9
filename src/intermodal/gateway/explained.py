"""Plans over HTTP: made and priced without spending, and looked at afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from intermodal.concurrency.offload import MANY, is_long, offload
from intermodal.gateway.chats import asked_for
from intermodal.gateway.counted import read_large
from intermodal.gateway.dialects import CHAT, GENERATE, MESSAGES, OLLAMA, RESPONSES, Dialect
from intermodal.gateway.listing import JSON
from intermodal.gateway.messages import Asked
from intermodal.gateway.naming import fields_of
from intermodal.gateway.reply import Reply
from intermodal.gateway.told import ignored_told
from intermodal.plans.explain import explain as as_text
from intermodal.plans.plan import Plan
from intermodal.plans.rejections import fold_rejections
from intermodal.plans.surface_text import for_surface
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.protocols.framing.json_body import dumps

if TYPE_CHECKING:
    from intermodal.gateway.serving import Gateway

VERSION = 1
_OLLAMAS, _PICTURES = frozenset({"options", "format", "keep_alive"}), b'"images"'


async def explain(gateway: Gateway, asked: Asked, reply: Reply) -> None:
    """``POST /v1/explain``: the body of a chat, in the words of any of the doors of chats, planned and not run."""
    job = await asked_for(gateway, asked, await _dialect(gateway, asked), exact=True)
    head = {**JSON, "x-intermodal-plan": job.plan.id, **ignored_told(job.ignored)}
    long = is_long(job.request.messages, job.request.tools, job.request.output)
    reply.whole(200, await offload(long, _written, job.plan), head)


async def _dialect(gateway: Gateway, asked: Asked) -> Dialect:
    """By what only one of them has: Anthropic's header, which its clients always send, or fields."""
    fields = await fields_of(asked, gateway.limits)
    if "anthropic-version" in asked.head.headers:
        return MESSAGES
    if "input" in fields or bytes(fields.get("prompt", b""))[:1] == b"{":
        return RESPONSES
    if "prompt" in fields and "messages" not in fields:
        return GENERATE
    return OLLAMA if _OLLAMAS.intersection(fields) or _PICTURES in bytes(fields.get("messages", b"")) else CHAT


async def plan(gateway: Gateway, asked: Asked, reply: Reply) -> None:
    """``GET /v1/plans/ID``: a plan of the last few thousand, for whom it was made."""
    name = asked.head.path.removeprefix("/v1/plans/")
    found = gateway.plans.of(asked.owner, name)
    if found is None:
        raise RequestRefused("there is no such plan, or not any more", status=404, code="not_found")
    reply.whole(200, await offload(len(found.chosen.last.inputs) > MANY, _written, found), JSON)


async def count_tokens(gateway: Gateway, asked: Asked, reply: Reply) -> None:
    """``POST /v1/messages/count_tokens``: what the plan expects to go into the call that answers, at its middle."""
    body = asked.body
    if "max_tokens" not in await fields_of(asked, gateway.limits):  # counting needs none, messages do
        body = await read_large(_with_a_limit, body)
    job = await asked_for(gateway, Asked(asked.head, body, asked.key, checked=True), MESSAGES, exact=True)
    counted = job.plan.chosen.answering.estimate.input_tokens
    told: dict[str, Any] = {"input_tokens": round(counted.mid)}
    told["intermodal"] = {"low": counted.low, "high": counted.high, "basis": counted.basis, "plan": job.plan.id}
    reply.whole(200, dumps(told), {**JSON, "x-intermodal-plan": job.plan.id})


def _with_a_limit(body: bytes) -> bytes:
    tree = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({**tree, "max_tokens": 1})


def _written(plan: Plan) -> bytes:
    return dumps(_document(plan))


def _document(plan: Plan) -> dict[str, Any]:
    # Rejections of many hosts are one line of the text, which has words of its own.
    short = for_surface(replace(plan, rejected=fold_rejections(plan.rejected)), "http")
    return {"kind": "intermodal.plan", "version": VERSION, "plan": msgspec.to_builtins(plan), "text": as_text(short)}
