"""From a request to the planner's inputs: each phase once, in this order.

    expand     replace documents, emails and archives by their contents
    label      add the privacy labels of the config
    open       fetch and probe every part; at the same time, estimate which media the question needs
    recall     add cached readings of the same bytes
    discover   look up servers on this machine
    catalog    load the known endpoints, with context windows that fit the machine's memory
    count      count tokens if a vocabulary or a server can
    collect    build the planner's ``Inputs`` from facts, catalog, machine, statistics and date
    rank       rank the pages of documents that do not fit whole, with an encoder

The planner reads nothing else; all I/O after planning is in ``executor/``. ``saved_plan.py`` compares a saved plan with
the same inputs before it runs.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from intermodal.catalog.load import plannable
from intermodal.catalog.types import Catalog
from intermodal.client.request_builder import continues_conversation, with_config_labels
from intermodal.concurrency.offload import TOOLS, is_long, offload
from intermodal.core.content import Kind, MediaPart, Part, Text
from intermodal.core.request import JsonOutput, Policy, Request, ScoresOutput
from intermodal.core.today import today
from intermodal.errors import InputError, IntermodalError, UsageError
from intermodal.planner.planning_case import question_of
from intermodal.plans.facts import QuestionFacts, need_conversion
from intermodal.plans.plan import Inputs

if TYPE_CHECKING:
    from intermodal.catalog.types import Catalog
    from intermodal.client.resources import ClientResources
    from intermodal.local.tokenizers.token_counter import TokenCounter
    from intermodal.media.fetch import CachingFetcher
    from intermodal.media.request_media import OpenedRequest
    from intermodal.media.worker_client import MediaWorker
    from intermodal.plans.machine import Machine


_AskNeeds = Callable[[str, "frozenset[Kind]"], Awaitable[QuestionFacts | None]]


async def _open_media(
    request: Request, worker: MediaWorker, fetcher: CachingFetcher, ask_needs: _AskNeeds
) -> tuple[OpenedRequest, QuestionFacts | None]:
    """Open the media of a request; at the same time, estimate which of them its question needs.

    The estimate is None if there are no media, or if the output is only their text, without a question. ``fetcher`` has
    already read the files; ``ask_needs`` estimates the needs of a question.
    """
    from intermodal.media.request_media import open_request

    asks = continues_conversation(request.output) or isinstance(request.output, ScoresOutput)
    kinds = await _media_kinds(fetcher) if asks else frozenset[Kind]()
    if not kinds:
        return await open_request(request, worker, fetcher=fetcher), None
    import anyio

    needs: list[QuestionFacts | None] = []
    failed: list[IntermodalError] = []
    found: list[OpenedRequest] = []

    async def ask() -> None:
        needs.append(await ask_needs(question_of(request), kinds))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        try:
            found.append(await open_request(request, worker, fetcher=fetcher))
        except IntermodalError as error:  # a task group would wrap it
            failed.append(error)
            group.cancel_scope.cancel()
    if failed:
        raise failed[0]
    return found[0], needs[0]


async def _media_kinds(fetcher: CachingFetcher) -> frozenset[Kind]:
    """Return the modalities of the files read so far, detected from their first bytes.

    Others are known once they are opened.
    """
    from intermodal.media.request_media import sniff_loaded

    found: set[Kind] = set()
    for loaded in fetcher.files:
        with suppress(InputError):
            found.add((await sniff_loaded(loaded.data, loaded.name))[0])
    return frozenset(found - {"text"})


_LONG_TEXT = 64 << 10  # characters counted at once, in 15 ms; more are counted in a thread


async def _with_token_counts(
    opened: OpenedRequest, request: Request, catalog: Catalog, by: TokenCounter, env: Mapping[str, str], *, ask: bool
) -> OpenedRequest:
    """Add exact token counts of the texts: from local vocabularies and, if ``ask`` is set, from servers."""
    names, parts = vocabularies_to_count(catalog), opened.facts.parts
    long = (
        by.is_unloaded
        or max(len(parts) // 4, len(request.tools)) > TOOLS
        or sum(part.chars for part in parts if part.kind == "text") > _LONG_TEXT
    )
    opened = await offload(long, _with_vocabulary_counts, opened, request, names, by)
    if not any(endpoint.host.counts_text for endpoint in catalog.endpoints):
        return opened
    from intermodal.executor.preparation import server_tokens

    return await server_tokens.count_on_servers(opened, request, catalog, by.server_counts, by.uncounted, env, ask=ask)


def _with_vocabulary_counts(
    opened: OpenedRequest, request: Request, names: frozenset[str], by: TokenCounter
) -> OpenedRequest:
    schema = request.output.schema if isinstance(request.output, JsonOutput) else None
    return by.count_request(opened, names, request.tools, _as_sent(request), schema)


def _as_sent(request: Request) -> Callable[[int, str], str] | None:
    """Return a function that maps a part's text to its text in the prompt; None if every text is sent unchanged.

    Text from files is sanitised in the prompt.
    """
    data = {index for index, _, part in request.parts() if isinstance(part, MediaPart) or _is_data(part)}
    if not data:
        return None
    from intermodal.executor.preparation import prompt as preparation_prompt

    return lambda index, text: preparation_prompt.sanitize(text) if index in data else text


def _is_data(part: Part) -> bool:
    return isinstance(part, Text) and bool(part.name)


def vocabularies_to_count(catalog: Catalog) -> frozenset[str]:
    """Return the vocabularies of the models at hosts with consent, and at hosts on this machine."""
    return frozenset(
        e.model.tokenizer
        for e in catalog.endpoints
        if e.model.tokenizer and (e.host.id in catalog.consent or e.host.zone == "machine")
    )


@dataclass(frozen=True)
class PreparedRequest:
    """The planner's inputs for a request, and its opened media."""

    inputs: Inputs
    opened: OpenedRequest


async def prepare(
    request: Request, client: ClientResources, *, also: tuple[str, ...] = (), counting: bool = False,
    planning: bool = False, ranking: bool = True,
) -> PreparedRequest:  # fmt: skip
    """Open the media of a request and gather the planner's inputs.

    Args:
        client: provides config, media workers, catalog and store.
        also: additional models that the catalog must contain.
        counting: discover servers on this machine, and let servers count tokens.
        planning: the request is only planned, so that named hosts need no key.
        ranking: let an encoder rank pages; not needed if the plan is given.

    Raises:
        UsageError: ``request`` is not a Request. InputError: a file or URL cannot be read.
    """
    from intermodal.media.expand import expand_request
    from intermodal.media.fetch import CachingFetcher

    if not isinstance(request, Request):
        raise UsageError(
            f"this takes a Request, not {type(request).__name__}", todo="make one with intermodal.make_request"
        )
    fetcher = CachingFetcher()
    expanded = await expand_request(request, client.media, fetcher)
    labelled = await offload(is_long(expanded.messages), with_config_labels, expanded, client.config.private)
    opened, needs = await _open_media(labelled, client.media, fetcher, client.question_needs)
    opened = await _recall(opened, client, labelled.policy.language)
    if counting:
        await client.known.scan()
    catalog, machine = await _endpoints(labelled.policy, also, client, planning=planning)
    opened = await _with_token_counts(opened, labelled, catalog, client.vocabularies, client.env, ask=counting)
    inputs = Inputs(
        request=labelled, facts=replace(client.with_refusals(opened.facts), question=needs), catalog=catalog,
        machine=machine, statistics=client.store.statistics(), as_of=today(),
        original_messages=request.messages if expanded is not request else (),
    )  # fmt: skip
    return PreparedRequest(await _rank_pages(inputs, opened, client) if ranking else inputs, opened)


async def _recall(opened: OpenedRequest, client: ClientResources, language: str) -> OpenedRequest:
    """Add cached readings and transcripts of the same bytes, and the scripts that OCR on this machine can read."""
    if not need_conversion(opened.facts.parts):
        return opened
    import anyio.to_thread

    return await anyio.to_thread.run_sync(_with_recalled, opened, client, language)


def _with_recalled(opened: OpenedRequest, client: ClientResources, language: str) -> OpenedRequest:
    from intermodal.config.config_file import cache_dir
    from intermodal.local.embedded.tesseract import readable_scripts
    from intermodal.store.conversion_cache import FOLDER, ConversionCache
    from intermodal.store.recognition_quality import with_recognition_quality

    cache = ConversionCache(cache_dir(client.env) / FOLDER)
    facts = with_recognition_quality(opened.facts, cache, client.ocr_version(), language)
    if any(part.script or any(page.script for page in part.pages) for part in facts.parts):
        facts = replace(facts, scripts=readable_scripts(client.weights, language))
    if facts is opened.facts:
        return opened
    recalled = copy.copy(opened)
    recalled.facts = facts
    return recalled


async def _endpoints(
    policy: Policy, also: tuple[str, ...], client: ClientResources, *, planning: bool
) -> tuple[Catalog, Machine]:
    """Return the catalog, with context windows of local models fitted to free memory, and a snapshot of the machine."""
    catalog = client.catalog_with(policy.hosts, (policy.model, *also))
    machine = client.machine_now
    catalog = await client.context_fitter.fit_contexts(catalog, machine)
    return plannable(catalog, _named_hosts(policy)) if planning else catalog, machine


def _named_hosts(policy: Policy) -> tuple[str, ...]:
    """Return the hosts named by a policy, in ``hosts`` or as the prefix of its model."""
    host, colon, _ = policy.model.partition(":")
    return (*policy.hosts, *((host,) if colon else ()))


async def _rank_pages(inputs: Inputs, opened: OpenedRequest, client: ClientResources) -> Inputs:
    """Add relevance scores of pages if pages must be left out and an encoder is installed."""
    for part in inputs.facts.parts:  # a conversation has tens of thousands, so nothing is called for each of them
        if part.kind == "document":
            break
    else:
        return inputs
    from intermodal.retrieval.passage_ranking import with_page_scores

    return replace(inputs, facts=await with_page_scores(inputs, opened, client.media, client.runtimes))
