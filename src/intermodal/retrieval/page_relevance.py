"""Scores the pages of long documents by how well they answer the question, where an encoder is here.

A plan decides which pages are sent, and a plan is a function of facts, so pages are scored before it. A plan made
without scores tells whether pages have to be left out; if so, the encoder reads those that share the rarest words with
the question, and each score becomes a fact of its page.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from intermodal.concurrency.offload import offload
from intermodal.errors import IntermodalError
from intermodal.planner import plan_from
from intermodal.planner.planning_case import question_of
from intermodal.plans.facts import Facts, PageFacts, PageRanking, PartFacts
from intermodal.retrieval.passage_ranking import READ, Passage, Ranker, expected_seconds, passages_to_read

if TYPE_CHECKING:
    from intermodal.catalog.types import Catalog, Endpoint
    from intermodal.executor.dependencies import LocalRuntimesLike
    from intermodal.media.request_media import OpenedRequest
    from intermodal.media.worker_client import MediaWorker
    from intermodal.plans.plan import Inputs

PATIENCE: Final = 30.0  # seconds that reading may be expected to take; fewer pages are read where it would be more
FEWEST: Final = 8  # pages: of less nothing is chosen


def reranker_endpoint(catalog: Catalog) -> Endpoint | None:
    """Return the encoder that scores pages for a question, None where none is ready here."""
    ready = [each for each in catalog.endpoints if each.ready and each.model.ranks and each.host.zone == "process"]
    return max(ready, key=lambda each: (each.speed.prompt.mid, each.id), default=None)


async def with_page_scores(
    inputs: Inputs, opened: OpenedRequest, media: MediaWorker, runtimes: LocalRuntimesLike
) -> Facts:
    """Return the facts with scores of pages, where some pages have to be left out. Elsewhere, and where the encoder
    fails, the facts are unchanged: then shared words choose pages."""
    facts = inputs.facts
    long = [
        part for part in facts.parts if part.kind == "document" and sum(bool(page.chars) for page in part.pages) > 1
    ]
    endpoint = reranker_endpoint(inputs.catalog) if long else None
    question = question_of(inputs.request)
    if endpoint is None or not question.strip():
        return facts
    try:
        plan = await offload(True, plan_from, inputs)
    except IntermodalError:
        return facts
    if not any(part.left_out for part in plan.verdict.parts):
        return facts
    pages = [(part, page) for part in long for page in part.pages if page.chars]
    texts = [Passage(text=" ".join(page.words)) for _, page in pages]
    sizes = [page.chars for _, page in pages]
    deadline = inputs.request.policy.deadline
    patience = PATIENCE if deadline is None else min(PATIENCE, deadline / 4)
    most = READ
    while True:
        picked = passages_to_read(question, texts, most)
        expected = expected_seconds(endpoint, question, [sizes[at] for at in picked])
        if not expected.known or expected.mid <= patience or len(picked) <= FEWEST:
            break
        most = max(FEWEST, len(picked) // 2)
    if deadline is not None and not (expected.known and expected.mid <= patience):
        return facts  # a request with a deadline has no time for this
    try:
        said = await _read(endpoint, question, [pages[at] for at in picked], opened, media, runtimes)
    except IntermodalError:
        return facts
    ranking = PageRanking(by=endpoint.id, read=len(picked), pages=len(pages), seconds=expected)
    parts = tuple(
        replace(part, pages=tuple(replace(page, answers=said.get((part.index, page.number))) for page in part.pages))
        if part.pages else part
        for part in facts.parts
    )  # fmt: skip
    return replace(facts, parts=parts, ranking=ranking)


async def _read(
    endpoint: Endpoint, question: str, pages: list[tuple[PartFacts, PageFacts]], opened: OpenedRequest,
    media: MediaWorker,
    runtimes: LocalRuntimesLike,
) -> dict[tuple[int, int], float]:  # fmt: skip
    """Return the score of each page, by part and number."""
    ranker = Ranker(endpoint, runtimes)
    found: dict[tuple[int, int], float] = {}
    for _, group in groupby(pages, key=lambda each: each[0].index):
        some = list(group)
        part = some[0][0]
        numbers = tuple(page.number for _, page in some)
        texts = await media.page_text(opened.data(part.index), numbers, name=part.name)
        scores = (await ranker.scores(question, texts)).scores
        found |= {(part.index, number): round(score, 6) for number, score in zip(numbers, scores, strict=True)}
    return found


__all__ = ["reranker_endpoint", "with_page_scores"]
