"""Texts counted by the very server that may answer, before a plan is made: a fact, gathered like any other.

Only for models without a vocabulary on this machine, only by servers of this machine, or by one elsewhere that was
allowed and named (the text goes there anyway), and not for longer than ``SECONDS``. What was counted is kept.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import msgspec

from intermodal import errors
from intermodal.catalog.nouns import Catalog, Endpoint, Host
from intermodal.costing.rates import HERE
from intermodal.executor.transport import Timeouts, Transport
from intermodal.media.opened import Opened
from intermodal.request import Request
from intermodal.wire import tokenize

SECONDS = 1.0  # for all texts and servers together
LEAST = 400  # characters: of a shorter text the range is narrow
MOST = 4  # servers
_LARGEST = 16 << 20  # bytes of a reply: ids of a text of megabytes

Counts = dict[tuple[str, str], int]  # tokenizer and SHA-256 of the text -> tokens


class Counting:
    """Remembers what servers counted, for the life of a client."""

    def __init__(self) -> None:
        self._counts: Counts = {}

    async def counted(
        self,
        opened: Opened,
        request: Request,
        catalog: Catalog,
        transport: Transport,
        find_key: Callable[[Host], str | None],
    ) -> Opened:
        """``opened`` with the counts of the servers that may count here."""
        import anyio

        servers = _servers(request, catalog)[:MOST]
        long = [part for part in opened.facts.parts if part.kind == "text" and part.chars >= LEAST]
        if not servers or not long:
            return opened

        async def one(endpoint: Endpoint, digest: str, text: str) -> None:
            found = await _asked(endpoint, text, transport, find_key)
            if found is not None:
                self._counts[endpoint.model.tokenizer, digest] = found

        with anyio.move_on_after(SECONDS):
            async with anyio.create_task_group() as group:
                for endpoint in servers:
                    for part in long:
                        if (endpoint.model.tokenizer, part.digest) not in self._counts:
                            group.start_soon(one, endpoint, part.digest, opened.text(part.index))
        return self.known(opened)

    def known(self, opened: Opened) -> Opened:
        """``opened`` with what is known already; nobody is asked."""
        if not self._counts:
            return opened
        by_digest: dict[str, dict[str, int]] = {}
        for (tokenizer, digest), count in self._counts.items():
            by_digest.setdefault(digest, {})[tokenizer] = count
        parts = tuple(
            msgspec.structs.replace(part, tokens={**part.tokens, **by_digest[part.digest]})
            if part.kind == "text" and part.digest in by_digest
            else part
            for part in opened.facts.parts
        )
        made = copy.copy(opened)
        made.facts = msgspec.structs.replace(opened.facts, parts=parts)
        return made


def _servers(request: Request, catalog: Catalog) -> list[Endpoint]:
    """Endpoints whose host counts text, one of each vocabulary."""
    policy, found = request.policy, dict[str, Endpoint]()
    for endpoint in catalog.endpoints:
        host = endpoint.host
        if not host.counts_text or not endpoint.ready or endpoint.model.tokenizer != counted_as(endpoint):
            continue
        named = policy.model in (endpoint.id, endpoint.model.id, endpoint.served_as)
        allowed = host.id in catalog.consent and named and not policy.private and policy.farthest == "internet"
        if host.zone in HERE or allowed:
            found.setdefault(endpoint.model.tokenizer, endpoint)
    return list(found.values())


def counted_as(endpoint: Endpoint) -> str:
    """How the vocabulary of a model is called that only its server has."""
    return f"server {endpoint.id}"


async def _asked(
    endpoint: Endpoint, text: str, transport: Transport, find_key: Callable[[Host], str | None]
) -> int | None:
    """The count; None where the server does not give one, which is no reason to fail."""
    host = endpoint.host
    if not host.counts_text:
        return None
    encoded = tokenize.encode_request(host.counts_text, endpoint.served_as or endpoint.model.id, text)
    limits = Timeouts(connect=SECONDS, first_byte=SECONDS, idle=SECONDS)
    try:
        key = find_key(host) or ""
        async with transport.post(
            tokenize.root(host.base_url), encoded, key=key, auth=host.auth, where=endpoint.id, timeouts=limits
        ) as response:
            return tokenize.decode_reply(await response.read(_LARGEST)) if response.status == 200 else None
    except errors.IntermodalError:
        return None


__all__ = ["Counting", "counted_as"]
