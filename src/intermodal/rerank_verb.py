"""What a client has for ranking passages: the library's side of ``intermodal rerank``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from intermodal import request_builder
from intermodal.content import Text
from intermodal.errors import NoRoute
from intermodal.planner import plan_from
from intermodal.plans.verdict import Other

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intermodal.media.request_media import OpenedRequest
    from intermodal.plans.plan import Inputs
    from intermodal.request import Request
    from intermodal.request_builder import FileLike
    from intermodal.retrieval.passage_ranking import Progress, RerankResult


_GIVEN: Final = "passages.txt"  # how texts are called that were given as they are


class RerankVerb:
    """What a client has for ranking passages."""

    async def rerank(
        self: Any, query: str, passages: Sequence[str] = (), *, files: Sequence[FileLike] = (), top: int = 10,
        model: str = "", progress: Progress | None = None,
    ) -> RerankResult:  # fmt: skip
        """Passages in the order in which they answer a query, the best first.

        An encoder on this machine reads the query with each passage; where none is here, vectors are compared. Nothing
        is written and nothing leaves this machine.

        Args:
            passages: texts. files: text files, which are ranked by their paragraphs, and documents, by their pages.
            top: how many to return. model: a reranker or a model of vectors; the strongest here where none is named.
            progress: gets how many passages were read, and of how many.

        Raises:
            NoRoute: nothing is here that ranks; ``reasons`` say why. InputError: a file cannot be taken, or there is no
            text. UsageError: an argument is wrong.
        """
        from intermodal.retrieval.passage_ranking import (
            Passage,
            Ranker,
            check_passages,
            check_query,
            ranking_endpoint,
            with_verdict,
        )
        from intermodal.retrieval.passages import passages as passages_of

        endpoint = ranking_endpoint(self.catalog, model)
        given = [Passage(text=text) for text in passages]
        check_query(query, top)
        if not files:  # else passages are known when they are opened, and are looked at then
            check_passages(given)
        # What is gathered for any plan; the encoder is to read pages once, and that is below.
        gathered = await self._gathered(
            _reading_request(self, query, passages, files), (), counting=False, planning=True
        )
        inputs = gathered.inputs
        told, without = await passages_of(inputs.request, gathered.opened, self.media, besides=_GIVEN if given else "")
        ranker = Ranker(endpoint, self.runtimes, loaded=endpoint.id in inputs.machine.loaded)
        ranked = await ranker.rank(query, [*given, *told], top=top, progress=progress)
        return msgspec.structs.replace(
            with_verdict(ranked, _language_model_alternative(inputs)), without_text=tuple(without)
        )

    async def pages_read(self: Any, inputs: Inputs, opened: OpenedRequest) -> Inputs:
        """The inputs of a plan, with what a reranker says of pages where some have to be left out."""
        if not any(part.kind == "document" for part in inputs.facts.parts):
            return inputs
        from intermodal.retrieval.page_relevance import with_page_scores

        return msgspec.structs.replace(inputs, facts=await with_page_scores(inputs, opened, self.media, self.runtimes))


def _reading_request(client: Any, query: str, passages: Sequence[str], files: Sequence[FileLike]) -> Request:
    """The request by which a language model would read all of it."""
    whole = "\n\n".join(passages)
    texts: tuple[FileLike, ...] = (Text(text=whole, name=_GIVEN),) if whole.strip() else ()
    return request_builder.build_request(client.config, client.env, query, (*texts, *files), None, {})


def _language_model_alternative(inputs: Inputs) -> Other:
    """What a language model would take that reads all of it and answers."""
    try:
        chosen = plan_from(inputs).chosen
    except NoRoute as error:
        return Other(endpoint="", summary="", kept_out=error.worded("command line").what)
    return Other(endpoint=chosen.endpoint, summary=chosen.summary, cost=chosen.total.cost, seconds=chosen.total.seconds)
