"""Real files as pieces to count: probed facts, and the text of those that hold text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intermodal.content import together
from intermodal.cost_model.token_counts import CountablePart
from intermodal.plans.facts import PartFacts

if TYPE_CHECKING:
    from intermodal.media.request_media import OpenedRequest
    from intermodal.request_builder import FileLike


async def open_files(files: tuple[FileLike, ...]) -> OpenedRequest:
    """Open files as a request does: documents, pages and mail are taken apart first.

    Raises:
        InputError: a file cannot be taken.
    """
    from intermodal.media.expand import expand
    from intermodal.media.fetch import CachingFetcher
    from intermodal.media.request_media import open_request
    from intermodal.media.worker_client import MediaWorker
    from intermodal.request_builder import make_request

    worker, fetcher = MediaWorker(), CachingFetcher()
    try:
        request = await expand(make_request("", *files), worker, fetcher)
        return await open_request(request, worker, fetcher=fetcher)
    finally:
        await worker.close()


def piece(part: PartFacts) -> CountablePart:
    """What counting needs of a part that was probed."""
    name = part.name
    if part.kind == "image":
        return CountablePart(kind="image", name=name, width=part.width, height=part.height)
    if part.kind == "audio":
        return CountablePart(kind="audio", name=name, seconds=part.seconds.mid)
    if part.kind == "video":
        return CountablePart(
            kind="video", name=name, seconds=part.seconds.mid, width=part.width, height=part.height,
            sound=part.channels > 0,
        )  # fmt: skip
    if part.kind == "document":
        chars = sum(page.chars for page in part.pages)
        width = max((page.width for page in part.pages), default=0.0)
        height = max((page.height for page in part.pages), default=0.0)
        return CountablePart(
            kind="document", name=name, pages=len(part.pages), chars=chars,
            scripts=together(page.scripts for page in part.pages), width=round(width), height=round(height),
        )  # fmt: skip
    return CountablePart(kind="text", name=name, chars=part.chars, size=part.size, scripts=part.scripts)
