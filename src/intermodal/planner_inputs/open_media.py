"""Opens the media of a request, and estimates meanwhile what its question needs of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from intermodal.content import Kind
from intermodal.errors import InputError, IntermodalError
from intermodal.planner.planning_case import question_of
from intermodal.plans.facts import QuestionFacts
from intermodal.request import Request, ScoresOutput
from intermodal.request_builder import continues_conversation

if TYPE_CHECKING:
    from intermodal.media.fetch import CachingFetcher
    from intermodal.media.request_media import OpenedRequest
    from intermodal.media.worker_client import MediaWorker

AskNeeds = Callable[[str, "frozenset[Kind]"], Awaitable[QuestionFacts | None]]


async def open_media(
    request: Request, worker: MediaWorker, fetcher: CachingFetcher, ask_needs: AskNeeds
) -> tuple[OpenedRequest, QuestionFacts | None]:
    """Open the media of a request, and estimate meanwhile what its question needs of them.

    The estimate is None where there are no media, or where the output is their text alone and nothing is asked.
    ``fetcher`` has read the files already; ``ask_needs`` estimates needs of a question.
    """
    from intermodal.media.request_media import open_request

    asks = continues_conversation(request.output) or isinstance(request.output, ScoresOutput)
    kinds = await _media_kinds(fetcher) if asks else frozenset[Kind]()
    if not kinds:
        return await open_request(request, worker, fetcher=fetcher), None
    import anyio

    told: list[QuestionFacts | None] = []
    failed: list[IntermodalError] = []
    found: list[OpenedRequest] = []

    async def ask() -> None:
        told.append(await ask_needs(question_of(request), kinds))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        try:
            found.append(await open_request(request, worker, fetcher=fetcher))
        except IntermodalError as error:  # a group would hide which
            failed.append(error)
            group.cancel_scope.cancel()
    if failed:
        raise failed[0]
    return found[0], told[0]


async def _media_kinds(fetcher: CachingFetcher) -> frozenset[Kind]:
    """Return the kinds of the files that were read, by their first bytes; others become known when they are opened."""
    from intermodal.media.request_media import sniff_loaded

    found: set[Kind] = set()
    for loaded in fetcher.loaded:
        with suppress(InputError):
            found.add((await sniff_loaded(loaded.data, loaded.name))[0])
    return frozenset(found - {"text"})
