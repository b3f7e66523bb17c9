"""Exact token counts of a request's texts, where a vocabulary is here or a server counts; elsewhere costs estimate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from intermodal.catalog.types import Catalog
from intermodal.concurrency.offload import TOOLS, offload
from intermodal.content import MediaPart, Part, Text
from intermodal.request import JsonOutput, Request

if TYPE_CHECKING:
    from intermodal.local.tokenizers.token_counter import TokenCounter
    from intermodal.media.request_media import OpenedRequest

LONG_TEXT = 64 << 10  # characters counted at once, in 15 ms; more are counted in a thread


async def with_token_counts(
    opened: OpenedRequest, request: Request, catalog: Catalog, by: TokenCounter, env: Mapping[str, str], *, ask: bool
) -> OpenedRequest:
    """Return ``opened`` with exact counts of its texts: by local vocabularies, and by servers that count text, which
    are called if ``ask`` says so.
    """
    names, parts = vocabularies_to_count(catalog), opened.facts.parts
    long = (
        by.cold
        or max(len(parts) // 4, len(request.tools)) > TOOLS
        or sum(part.chars for part in parts if part.kind == "text") > LONG_TEXT
    )
    opened = await offload(long, _with_vocabulary_counts, opened, request, names, by)
    if not any(endpoint.host.counts_text for endpoint in catalog.endpoints):
        return opened
    from intermodal.executor.preparation import server_tokens

    return await server_tokens.count_on_servers(opened, request, catalog, by.told, by.vain, env, ask=ask)


def _with_vocabulary_counts(
    opened: OpenedRequest, request: Request, names: frozenset[str], by: TokenCounter
) -> OpenedRequest:
    schema = request.output.schema if isinstance(request.output, JsonOutput) else None
    return by.counted(opened, names, request.tools, _as_sent(request), schema)


def _as_sent(request: Request) -> Callable[[int, str], str] | None:
    """Return the text of a part as it goes into a prompt, if some of it is data of files; None if it goes unchanged."""
    data = {index for index, _, part in request.parts() if isinstance(part, MediaPart) or _is_data(part)}
    if not data:
        return None
    from intermodal.executor.preparation import prompt as preparation_prompt

    return lambda index, text: preparation_prompt.sanitize(text) if index in data else text


def _is_data(part: Part) -> bool:
    return isinstance(part, Text) and bool(part.name)


def vocabularies_to_count(catalog: Catalog) -> frozenset[str]:
    """Vocabularies of the models that may be asked elsewhere, after consent, and those of hosts on this machine."""
    return frozenset(
        e.model.tokenizer
        for e in catalog.endpoints
        if e.model.tokenizer and (e.host.id in catalog.consent or e.host.zone == "machine")
    )
