"""From a request to the planner's inputs: each phase once, in this order.

    expand     documents, mails and archives are replaced by their contents
    label      privacy labels of the config are added
    open       every part is fetched, recognised and probed; the question's needs are estimated meanwhile
    recall     results of earlier readings of the same bytes are added
    discover   servers on this machine are looked up
    catalog    the known endpoints, with contexts that the machine has memory for
    count      tokens are counted where a vocabulary or a server can
    collect    facts, catalog, machine, statistics and the date become the planner's ``Inputs``
    rank       pages of documents that do not fit whole are ranked by an encoder

The planner reads nothing else. What touches the world after it is in ``executor/``.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from intermodal.catalog.load import plannable
from intermodal.concurrency.offload import is_long, offload
from intermodal.errors import UsageError
from intermodal.planner_inputs.open_media import open_media
from intermodal.planner_inputs.token_counts import with_token_counts
from intermodal.plans.facts import needs_conversion
from intermodal.plans.plan import Inputs
from intermodal.request import Policy, Request
from intermodal.request_builder import with_config_labels
from intermodal.today import today

if TYPE_CHECKING:
    from intermodal.catalog.types import Catalog
    from intermodal.client_resources import ClientResources
    from intermodal.media.request_media import OpenedRequest
    from intermodal.plans.machine import Machine


@dataclass(frozen=True)
class PreparedRequest:
    """A request with everything planning needs, and its opened media."""

    inputs: Inputs
    opened: OpenedRequest


async def prepare(
    request: Request, client: ClientResources, *, also: tuple[str, ...] = (), counting: bool = False,
    planning: bool = False, ranking: bool = True,
) -> PreparedRequest:  # fmt: skip
    """Open the media of a request and gather what planning reads.

    Args:
        client: whose config, media workers, catalog and store are used.
        also: further models that the catalog must have.
        counting: servers may be looked for, and asked to count tokens.
        planning: only a plan is made, for which hosts that are named need no key.
        ranking: pages may be ranked by an encoder; not needed where the plan is given.

    Raises:
        UsageError: this is not a Request. InputError: a file or URL cannot be taken.
    """
    from intermodal.media.expand import expand
    from intermodal.media.fetch import CachingFetcher

    if not isinstance(request, Request):
        raise UsageError(
            f"this takes a Request, not {type(request).__name__}", todo="make one with intermodal.make_request"
        )
    fetcher = CachingFetcher()
    expanded = await expand(request, client.media, fetcher)
    labelled = await offload(is_long(expanded.messages), with_config_labels, expanded, client.config.private)
    opened, needs = await open_media(labelled, client.media, fetcher, client.question_needs)
    opened = await _recall(opened, client, labelled.policy.language)
    if counting:
        await client.known.look()
    catalog, machine = await _endpoints(labelled.policy, also, client, planning=planning)
    opened = await with_token_counts(opened, labelled, catalog, client.vocabularies, client.env, ask=counting)
    inputs = Inputs(
        request=labelled, facts=replace(client.with_refusals(opened.facts), question=needs), catalog=catalog,
        machine=machine, statistics=client.store.statistics(), as_of=today(),
        asked=request.messages if expanded is not request else (),
    )  # fmt: skip
    return PreparedRequest(await _rank_pages(inputs, opened, client) if ranking else inputs, opened)


async def _recall(opened: OpenedRequest, client: ClientResources, language: str) -> OpenedRequest:
    """Add what earlier readings and transcripts found of the same bytes, and which scripts can be read here."""
    if not any(map(needs_conversion, opened.facts.parts)):
        return opened
    import anyio.to_thread

    return await anyio.to_thread.run_sync(_with_recalled, opened, client, language)


def _with_recalled(opened: OpenedRequest, client: ClientResources, language: str) -> OpenedRequest:
    from intermodal.config import cache_dir
    from intermodal.local.embedded.ocr_scripts import readable_scripts
    from intermodal.store.conversion_cache import FOLDER, ConversionCache
    from intermodal.store.recognition_quality import with_recognition_quality

    cache = ConversionCache(cache_dir(client.env) / FOLDER)
    facts = with_recognition_quality(opened.facts, cache, client.ocr_version(), language)
    if any(part.script or any(page.script for page in part.pages) for part in facts.parts):
        facts = replace(facts, scripts=readable_scripts(client.weights, language))
    if facts is opened.facts:
        return opened
    made = copy.copy(opened)
    made.facts = facts
    return made


async def _endpoints(
    policy: Policy, also: tuple[str, ...], client: ClientResources, *, planning: bool
) -> tuple[Catalog, Machine]:
    """The catalog, with local models at the context that there is memory for; and the machine."""
    catalog = client.catalog_with(policy.hosts, (policy.model, *also))
    machine = client.machine_now
    catalog = await client.room.fitted(catalog, machine)
    return plannable(catalog, _named_hosts(policy)) if planning else catalog, machine


def _named_hosts(policy: Policy) -> tuple[str, ...]:
    """The hosts that a request names, alone or before a model."""
    host, colon, _ = policy.model.partition(":")
    return (*policy.hosts, *((host,) if colon else ()))


async def _rank_pages(inputs: Inputs, opened: OpenedRequest, client: ClientResources) -> Inputs:
    """Add how well each page answers the question, where an encoder is here and some pages have to be left out."""
    if not any(part.kind == "document" for part in inputs.facts.parts):
        return inputs
    from intermodal.retrieval.page_relevance import with_page_scores

    return replace(inputs, facts=await with_page_scores(inputs, opened, client.media, client.runtimes))
