"""Reranking endpoint: orders documents by how well they answer a query, with a local encoder or a host's endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intermodal.concurrency.offload import offload
from intermodal.core.content import Text
from intermodal.core.quantity import exact
from intermodal.core.request import Message, Request
from intermodal.events import Usage
from intermodal.gateway.billing import billed_call
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
    from intermodal.catalog.types import Endpoint
    from intermodal.core.request import Policy
    from intermodal.gateway.context import GatewayContext
    from intermodal.protocols.rerank import RerankCall
    from intermodal.retrieval.passage_ranking import Passage, RerankResult

RERANK_FIELDS = frozenset({"model", "query", "documents", "top_n", "return_documents", "intermodal", "user"})
_CHARACTERS = 2  # characters per token, at the least


async def rerank(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``POST /v1/rerank``, ``/v2/rerank`` and ``/rerank``: with a model on this machine, which is free, or at a host.

    All documents are read, whatever their number.
    """
    from intermodal.retrieval.passage_ranking import Passage, RankingWork, ranking_endpoint

    fields = await body_fields(request, context.limits)
    call = await decode_body(wire.read_rerank_request, request.body)
    policy, client = await policy_of(context, request, call.model, fields), context.client
    await client.refresh()
    await client.look_up(policy)
    work = RankingWork(call.query, list(map(len, call.documents)))
    endpoint = ranking_endpoint(client.catalog_for(policy), policy.model, policy, work)
    passages = [Passage(text=text) for text in call.documents]
    ranked = await _rank(context, request, policy, endpoint, call, passages)
    usage = Usage(input_tokens=ranked.tokens, output_tokens=0)
    seconds, cost = ranked.seconds, ranked.cost
    request.served.record_call(
        ModelCall(op="score", step="rank", endpoint=endpoint, usage=usage, cost=cost, seconds=seconds)
    )
    context.metrics.count_direct(endpoint.id, ranked.tokens, 0, cost)
    found = [(each.index, each.score) for each in ranked.results]
    body = await offload(call.texts, wire.write_rerank, call, found, request.served.id, ranked.tokens)
    head = {
        "x-intermodal-route": endpoint.id, "x-intermodal-sends": ranked.host or host_names(()), **cost_headers(cost, 1),
        "x-intermodal-verdict": "no_language_model", **ignored_header(unknown_fields(fields, RERANK_FIELDS)),
    }  # fmt: skip
    await reply.send(200, body, {**JSON_HEADERS, **head})


async def _rank(
    context: GatewayContext, request: GatewayRequest, policy: Policy, endpoint: Endpoint, call: RerankCall,
    passages: list[Passage],
) -> RerankResult:  # fmt: skip
    """Rank within the key's rates and budgets; a host may cost no more than was claimed."""
    from intermodal.retrieval.passage_ranking import HostedRanking, Ranker, ranking_cost

    client, sizes = context.client, list(map(len, call.documents))
    letters = len(call.query) * len(passages) + sum(sizes)
    hosted, most = None, exact(0.0, "runs on this machine")
    if endpoint.host.zone != "process":
        most = ranking_cost(endpoint, call.query, sizes)
        limit = min(policy.max_cost, most.high) if most.known else policy.max_cost
        run_request = Request(messages=(Message(role="user", parts=(Text(text=call.query),)),), policy=policy)
        hosted = HostedRanking(endpoint, client.dependencies(await client.prepare(run_request)), limit)
    claim = QuotaClaim(
        cost=most.high if most.known else None, tokens=letters // _CHARACTERS + 1, endpoints=(endpoint.id,)
    )
    ranker = Ranker(endpoint, client.runtimes, store=client.store, hosted=hosted, deadline=policy.deadline)
    async with billed_call(context.ledger, request, claim) as record:
        try:
            ranked = await ranker.rank(call.query, passages, top=call.top or len(passages), most=len(passages))
        except BaseException:
            if hosted is not None:
                record(hosted.charged_tokens, hosted.cost)
            raise
        record(ranked.tokens if hosted is None else hosted.charged_tokens, ranked.cost)
    return ranked
