"""Has servers count texts, tools and schemas before a plan is made.

Only for models without a vocabulary on this machine; only by servers of this machine, or by a host that was consented
to and named (the text goes there anyway); and for at most ``SECONDS``. Counts are cached.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from intermodal import errors
from intermodal.catalog.types import Catalog, Endpoint
from intermodal.config.api_keys import find_key
from intermodal.core.bounded_cache import BoundedCache
from intermodal.core.request import JsonOutput, Request
from intermodal.json_schema.schema_prompt import describe_schema
from intermodal.media.request_media import OpenedRequest
from intermodal.media.text.tool_definitions import ToolDefinitions, tool_definitions
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.protocols import tokenize_endpoint
from intermodal.protocols.calls import EncodedRequest
from intermodal.transport.addresses import HostAddress
from intermodal.transport.client import Transport
from intermodal.transport.timeouts import Timeouts

SECONDS = 1.0  # total seconds for all texts and servers
RETRY_AFTER = 60.0  # seconds after which a count that a server failed to return is requested again
MIN_CHARS = 400  # characters; for a shorter text the estimated range is narrow
MAX_SERVERS = 4  # servers
_LARGEST = 16 << 20  # bytes of a reply: token ids of megabytes of text

ServerCounts = BoundedCache[str, dict[str, int]]  # SHA-256 of a text -> tokenizer -> tokens
FailedCounts = BoundedCache[tuple[str, str], float]  # tokenizer and SHA-256 -> time of the failed request


async def count_on_servers(
    opened_request: OpenedRequest,
    request: Request,
    catalog: Catalog,
    server_counts: ServerCounts,
    failed_counts: FailedCounts,
    env: Mapping[str, str],
    *,
    ask: bool,
) -> OpenedRequest:
    """Return ``opened_request`` with the counts of the servers that may count for this request.

    Args:
        server_counts: counts so far; new ones are added. failed_counts: failed requests, with their times.
        ask: whether servers may be called.
    """
    servers = _servers(request, catalog)[:MAX_SERVERS] if ask else []
    now = time.monotonic()

    def is_needed(endpoint: Endpoint, digest: str) -> bool:
        key = (endpoint.model.tokenizer, digest)
        return (
            endpoint.model.tokenizer not in server_counts.get(digest, {})
            and now - failed_counts.get(key, -RETRY_AFTER) >= RETRY_AFTER
        )

    long = [part for part in opened_request.facts.parts if part.kind == "text" and part.chars >= MIN_CHARS]
    texts = [
        (e, part.digest, partial(opened_request.text, part.index))
        for e in servers
        for part in long
        if is_needed(e, part.digest)
    ]
    schema = opened_request.facts.schema
    if schema is not None and isinstance(request.output, JsonOutput) and schema.chars >= MIN_CHARS:
        say = partial(describe_schema, request.output.schema)
        texts += [(e, schema.digest, say) for e in servers if is_needed(e, schema.digest)]
    definitions = tool_definitions(request.tools) if request.tools else None
    tooled = [] if definitions is None else [e for e in servers if is_needed(e, definitions.facts.digest)]
    if texts or tooled:
        await _count(texts, tooled, definitions, server_counts, env)
        requests = [(e, digest) for e, digest, _ in texts]
        requests += [(e, definitions.facts.digest) for e in tooled if definitions is not None]
        for e, digest in requests:
            if e.model.tokenizer not in server_counts.get(digest, {}):
                failed_counts[e.model.tokenizer, digest] = now
    return _with_counts(opened_request, server_counts)


async def _count(
    texts: Sequence[tuple[Endpoint, str, Callable[[], str]]], tooled: list[Endpoint], tools: ToolDefinitions | None,
    server_counts: ServerCounts, env: Mapping[str, str],
) -> None:  # fmt: skip
    import anyio

    transport = Transport()

    async def one(endpoint: Endpoint, digest: str, text: Callable[[], str]) -> None:
        found = await _count_on_server(endpoint, text(), transport, env)
        if found is not None:
            _note(server_counts, digest, endpoint, found)

    async def of_tools(endpoint: Endpoint) -> None:
        if tools is None:
            return
        with_tools = await _chat(endpoint, tools.forms, transport, env)
        without_tools = await _chat(endpoint, (), transport, env) if with_tools is not None else None
        if with_tools is None or without_tools is None or with_tools < without_tools:
            return
        if (
            with_tools > without_tools or endpoint.host.counts_text == "llama.cpp"
        ):  # older versions of vLLM ignore tools here
            _note(server_counts, tools.facts.digest, endpoint, with_tools - without_tools)

    try:
        with anyio.move_on_after(SECONDS):
            async with anyio.create_task_group() as group:
                for endpoint, digest, text in texts:
                    group.start_soon(one, endpoint, digest, text)
                for endpoint in tooled:
                    group.start_soon(of_tools, endpoint)
    finally:
        with anyio.CancelScope(shield=True):
            await transport.aclose()


def _note(server_counts: ServerCounts, digest: str, endpoint: Endpoint, count: int) -> None:
    server_counts[digest] = {**server_counts.get(digest, {}), endpoint.model.tokenizer: count}


def _with_counts(opened_request: OpenedRequest, server_counts: ServerCounts) -> OpenedRequest:
    if not server_counts:
        return opened_request
    parts = tuple(
        msgspec.structs.replace(part, tokens={**part.tokens, **server_counts[part.digest]})
        if part.kind == "text" and part.digest in server_counts
        else part
        for part in opened_request.facts.parts
    )
    tools = opened_request.facts.tools
    if tools is not None and tools.digest in server_counts:
        counts = {name: count for name, count in server_counts[tools.digest].items() if name.startswith(_OWN)}
        tools = msgspec.structs.replace(tools, rendered=counts)
    updated = copy.copy(opened_request)
    schema = opened_request.facts.schema
    if schema is not None and schema.digest in server_counts:
        schema = msgspec.structs.replace(schema, tokens={**schema.tokens, **server_counts[schema.digest]})
    updated.facts = msgspec.structs.replace(opened_request.facts, parts=parts, tools=tools, schema=schema)
    return updated


def _servers(request: Request, catalog: Catalog) -> list[Endpoint]:
    """Return endpoints whose host counts text, one per vocabulary."""
    policy, found = request.policy, dict[str, Endpoint]()
    for endpoint in catalog.endpoints:
        host = endpoint.host
        if not host.counts_text or not endpoint.ready or endpoint.model.tokenizer != server_tokenizer(endpoint):
            continue
        is_requested = policy.model in (endpoint.id, endpoint.model.id, endpoint.served_as)
        allowed = host.id in catalog.consent and is_requested and not policy.private and policy.farthest == "internet"
        if host.zone in LOCAL_ZONES or allowed:
            found.setdefault(endpoint.model.tokenizer, endpoint)
    return list(found.values())


def server_tokenizer(endpoint: Endpoint) -> str:
    """Return the tokenizer name of a model whose vocabulary only its server has."""
    return f"{_OWN}{endpoint.id}"


_OWN = "server "


async def _count_on_server(endpoint: Endpoint, text: str, transport: Transport, env: Mapping[str, str]) -> int | None:
    """Return the server's token count; None if it gives none, which is not an error."""
    counter = endpoint.host.counts_text
    if not counter:
        return None
    encoded = tokenize_endpoint.encode_request(counter, endpoint.served_as or endpoint.model.id, text)
    reply = await _reply(endpoint, encoded, transport, env)
    return None if reply is None else tokenize_endpoint.decode_reply(reply)


async def _chat(
    endpoint: Endpoint, tools: tuple[dict[str, Any], ...], transport: Transport, env: Mapping[str, str]
) -> int | None:
    """Return the token count of a short chat with these tools, as rendered by the server's template; None
    if unknown.
    """
    counter = endpoint.host.counts_text
    if not counter:
        return None
    encoded = tokenize_endpoint.encode_chat(counter, endpoint.served_as or endpoint.model.id, tools)
    reply = await _reply(endpoint, encoded, transport, env)
    if reply is None or encoded.path != tokenize_endpoint.TEMPLATE:
        return None if reply is None else tokenize_endpoint.decode_reply(reply)
    prompt = tokenize_endpoint.decode_prompt(reply)
    return None if prompt is None else await _count_on_server(endpoint, prompt, transport, env)


async def _reply(
    endpoint: Endpoint, encoded: EncodedRequest, transport: Transport, env: Mapping[str, str]
) -> bytes | None:
    host = endpoint.host
    limits = Timeouts(connect=SECONDS, first_byte=SECONDS, idle=SECONDS)
    try:
        server = HostAddress(tokenize_endpoint.root(host.base_url), find_key(host, env) or "", host.auth)
        async with transport.post(server, encoded, where=endpoint.id, timeouts=limits) as response:
            return await response.read_body(_LARGEST) if response.status == 200 else None
    except errors.IntermodalError:
        return None


__all__ = ["count_on_servers", "server_tokenizer"]
