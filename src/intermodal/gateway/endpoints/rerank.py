"""Endpoint for reranking: documents in the order in which they answer a query, by an encoder on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intermodal import errors
from intermodal.concurrency.offload import offload
from intermodal.events import Usage
from intermodal.gateway.billing import free_call
from intermodal.gateway.endpoints.media import policy_of, unknown_fields
from intermodal.gateway.endpoints.models import JSON_HEADERS
from intermodal.gateway.http1.http_types import GatewayRequest
from intermodal.gateway.http1.response_writer import ResponseWriter
from intermodal.gateway.quotas.quota_types import QuotaClaim
from intermodal.gateway.requests.body_limits import decode_body
from intermodal.gateway.requests.request_policy import body_fields
from intermodal.gateway.response_metadata import cost_headers, host_names, ignored_header
from intermodal.protocols import rerank as wire
from intermodal.telemetry.request_record import ModelCall

if TYPE_CHECKING:
    from intermodal.gateway.context import GatewayContext

RERANK_FIELDS = frozenset({"model", "query", "documents", "top_n", "return_documents", "intermodal", "user"})
_CHARACTERS = 2  # of a token, at the least


async def rerank(context: GatewayContext, asked: GatewayRequest, reply: ResponseWriter) -> None:
    """``POST /v1/rerank``, ``/v2/rerank`` and ``/rerank``. Nothing leaves this machine, and it costs nothing.

    All documents are read, whatever their number.
    """
    from intermodal.retrieval.passage_ranking import Passage, Ranker, ranking_endpoint

    fields = await body_fields(asked, context.limits)
    call = await decode_body(wire.read_rerank_request, asked.body)
    policy, client = policy_of(context, asked, call.model, fields), context.client
    await client.looked()
    endpoint = ranking_endpoint(client.catalog_for(policy), policy.model)
    if policy.hosts and endpoint.host.id not in policy.hosts:
        hosts = ", ".join(policy.hosts)
        raise errors.NoRoute(f"no model that ranks is at {hosts}", todo="leave the host out: ranking is done here")
    passages = [Passage(text=text) for text in call.documents]
    letters = len(call.query) * len(passages) + sum(map(len, call.documents))
    claim = QuotaClaim(cost=0.0, tokens=letters // _CHARACTERS + 1, endpoints=(endpoint.id,))
    ranker = Ranker(endpoint, client.runtimes, store=client.store)
    async with free_call(context.ledger, asked, claim) as book:
        ranked = await ranker.rank(call.query, passages, top=call.top or len(passages), most=len(passages))
        book(ranked.tokens)
    usage = Usage(input_tokens=ranked.tokens, output_tokens=0)
    seconds = ranked.seconds
    asked.served.called(ModelCall(op="score", step="rank", endpoint=endpoint, usage=usage, cost=0.0, seconds=seconds))
    context.metrics.passed(endpoint.id, ranked.tokens, 0, 0.0)
    found = [(each.index, each.score) for each in ranked.results]
    body = await offload(call.texts, wire.write_rerank, call, found, asked.served.id, ranked.tokens)
    head = {
        "x-intermodal-route": endpoint.id, "x-intermodal-sends": host_names(()), **cost_headers(0.0, 1),
        "x-intermodal-verdict": "no_language_model", **ignored_header(unknown_fields(fields, RERANK_FIELDS)),
    }  # fmt: skip
    await reply.send(200, body, {**JSON_HEADERS, **head})
