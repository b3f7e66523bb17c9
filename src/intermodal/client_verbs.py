"""The verbs of a client beside plan, explain, run and stream. Each imports its package when it is called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack

import msgspec

from intermodal import request_builder
from intermodal.catalog.model_names import resolve_name
from intermodal.client_resources import ClientResources
from intermodal.config import cache_dir
from intermodal.content import Text
from intermodal.errors import NoRoute, UsageError
from intermodal.plans.verdict import Other
from intermodal.request_builder import with_options
from intermodal.workloads.workload import WorkloadKeys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intermodal.catalog.types import Endpoint
    from intermodal.estimates import Estimate
    from intermodal.plans.plan import Inputs
    from intermodal.prompts.prompt import Prompt
    from intermodal.request import Request
    from intermodal.request_builder import FileLike
    from intermodal.retrieval import passage_ranking, picture_search
    from intermodal.retrieval.passage_ranking import RerankResult
    from intermodal.retrieval.picture_search import FindResult, PictureFinder
    from intermodal.store.image_vectors import ImageVectors
    from intermodal.workloads.monthly_cost import MonthlyCost

_GIVEN: Final = "passages.txt"  # the name of texts that were given as they are


class ClientVerbs:
    """The verbs of a client that other packages do: prompt files, search on this machine, models, estimates, costs."""

    def prompt(self: Any, path: str | os.PathLike[str], **options: Any) -> Prompt:
        """A prompt file, ready to be explained and run.

        Args:
            path: of the file, or ``FILE#NAME`` for a function or a variant of it.
            options: of the policy and of sampling, as ``ask`` takes them; they go before what the file says.

        Raises:
            PromptError: the file cannot be used; with its line. InputMissing: there is none.
        """
        from intermodal.prompts.prompt import Prompt

        return Prompt(self, path, options)

    async def find(
        self: Any,
        query: str,
        *paths: str | Path,
        top: int = 10,
        model: str = "",
        progress: picture_search.Progress | None = None,
    ) -> FindResult:
        """Pictures of folders and files that are nearest to words, or to a picture.

        A contrastive model on this machine computes a picture's embedding once; it is kept in the cache.

        Args:
            query: words, or the path of a picture. paths: folders, with all that is below them, and files.
            top: how many. model: which contrastive model; the strongest that is here where none is named.
            progress: gets how many pictures were looked at, of how many, and the file.

        Raises:
            NoRoute: no contrastive model is here; ``reasons`` say why. InputError: a path is not there, or there are no
            pictures. UsageError: an argument is wrong.
        """
        finder: PictureFinder = self.finder(model)
        try:
            return await finder.find(query, paths, top=top, progress=progress)
        finally:
            finder.close()

    def finder(self: Any, model: str = "") -> PictureFinder:
        """A contrastive model with its index, for several queries."""
        from intermodal.retrieval.picture_search import PictureFinder, contrastive_endpoint

        endpoint = contrastive_endpoint(self.catalog, model)
        return PictureFinder(endpoint, self.vectors, self.media, self.runtimes, sums=self.weights.sums)

    @property
    def vectors(self: Any) -> ImageVectors:
        """The index of pictures."""
        from intermodal.store.image_vectors import FILE, ImageVectors

        return ImageVectors(cache_dir(self.env) / FILE)

    async def rerank(
        self: Any, query: str, passages: Sequence[str] = (), *, files: Sequence[FileLike] = (), top: int = 10,
        model: str = "", progress: passage_ranking.Progress | None = None,
    ) -> RerankResult:  # fmt: skip
        """Passages in the order in which they answer a query, the best first.

        An encoder reads the query with each passage, on this machine or, with consent, at a host with a rerank
        endpoint, whichever is better; where there is none, vectors are compared here. Nothing is written.

        Args:
            passages: texts. files: text files, which are ranked by their paragraphs, and documents, by their pages.
            top: how many to return. model: a reranker or a model of vectors; the best where none is named.
            progress: gets how many passages were read, and of how many.

        Raises:
            NoRoute: nothing ranks that may be used; ``reasons`` say why. CallError: the host failed. InputError: a file
            cannot be taken, or there is no text. UsageError: an argument is wrong.
        """
        from intermodal.planner_inputs import prepare
        from intermodal.retrieval.hosted_ranking import HostedRanking
        from intermodal.retrieval.passage_ranking import (
            Passage,
            Ranker,
            check_passages,
            check_query,
            other_ranking,
            ranking_endpoint,
            ranking_endpoints,
            ranking_work,
            with_verdict,
        )
        from intermodal.retrieval.passage_ranking import passages as passages_of

        request = _reading_request(self, query, passages, files)
        ranking_endpoint(self.catalog, model, request.policy)  # before a file is opened
        given = [Passage(text=text) for text in passages]
        check_query(query, top)
        if not files:  # else passages are known when they are opened, and are looked at then
            check_passages(given)
        # Without ranking: the encoder reads the pages once, below.
        gathered = await prepare(request, self, planning=True, ranking=False)
        inputs = gathered.inputs
        told, without = await passages_of(inputs.request, gathered.opened, self.media, besides=_GIVEN if given else "")
        every = [*given, *told]
        check_passages(every)
        work = ranking_work(query, every)
        endpoint, *others = ranking_endpoints(self.catalog, model, request.policy, work)
        hosted = None
        if endpoint.host.zone != "process":
            hosted = HostedRanking(endpoint, self._world(inputs, exact=True), request.policy.max_cost)
        ranker = Ranker(
            endpoint, self.runtimes, loaded=endpoint.id in inputs.machine.loaded, store=self.store, hosted=hosted
        )
        ranked = await ranker.rank(query, every, top=top, progress=progress)
        return msgspec.structs.replace(
            with_verdict(ranked, _language_model_alternative(inputs)), without_text=tuple(without),
            beside=other_ranking(others[0], work) if others else None,
        )  # fmt: skip

    async def models(self: Any, name: str = "", *, ready: bool = False) -> tuple[Endpoint, ...]:
        """The endpoints that plans choose from, servers of this machine looked for; no model is contacted.

        Args:
            name: only those it stands for: ``vendor/model``, ``host:vendor/model`` or a short name, which is looked up
                among all that is published.
            ready: only those that can be called now. What keeps the others is in ``missing``, what to do in ``todo``.

        Raises:
            UnknownModel: nothing is called ``name``, or several models are.
        """
        if not isinstance(name, str):
            raise UsageError(f"name={name!r} is not a name", todo='write models("gpt-4o")')
        await self.known.look()
        found = resolve_name(self.catalog_with((), (name,)), name) if name else self.catalog.endpoints
        return tuple(endpoint for endpoint in found if endpoint.ready or not ready)

    async def estimate(
        self: Any, prompt: str, *files: FileLike, model: str, out_tokens: int | None = None, day: str = "",
        batch: bool = False, cached: int = 0,
    ) -> Estimate:  # fmt: skip
        """Return tokens and USD of one call of a model, by its own rules and prices. Makes no plan, contacts no host.

        Args:
            prompt: the words of the call; "" for files alone.
            model: ``vendor/model``, ``host:vendor/model`` or a short name; it need not be reachable.
            out_tokens: of the answer; None leaves it out of the bill. batch: at the price of a batch.
            day: whose rules and prices, as "2026-11-25"; today for "". cached: tokens read from the host's cache.

        Raises:
            UnknownModel: nothing is called ``model``. InputError: a file cannot be taken.
            UsageError: nothing to count, or a day before the model's first rule.
        """
        from intermodal.estimates import EstimateOptions, estimate_of

        wanted = EstimateOptions(model, out_tokens, day, batch, cached)
        return await estimate_of(prompt, files, wanted, self.config, self.env)

    @with_options(WorkloadKeys)
    async def cost(
        self: Any, workload: str | os.PathLike[str] | Mapping[str, Any] | None = None, **keys: Unpack[WorkloadKeys]
    ) -> MonthlyCost:
        """Return the monthly cost of a workload, for several plans side by side. Spends nothing, contacts no model.

        Args:
            workload: a file of YAML, TOML or JSON as ``intermodal cost`` takes it, or such a document as a mapping.
            keys: keys of the document (``requests``, ``prompt``, ``parts``, ``plans``, …); they go before those of
                ``workload``, and make one by themselves. Files in ``parts`` are then named from the working directory.

        Raises:
            UsageError: a key that no workload has, or a wrong value for one. InputError: a file cannot be taken.
            UnknownModel: nothing is called as a plan's model. A plan that cannot be made is in the result, refused.
        """
        from intermodal.workloads.monthly_cost import monthly_cost
        from intermodal.workloads.workload import workload_of

        return await monthly_cost(workload_of(workload, keys, self.config, self.env), self)


class SearchClient(ClientVerbs, ClientResources):
    """A client without ``plan`` and ``run``: a program that only searches starts without importing the planner."""


def _reading_request(client: Any, query: str, passages: Sequence[str], files: Sequence[FileLike]) -> Request:
    """The request by which a language model would read all of it."""
    whole = "\n\n".join(passages)
    texts: tuple[FileLike, ...] = (Text(text=whole, name=_GIVEN),) if whole.strip() else ()
    return request_builder.build_request(client.config, client.env, query, (*texts, *files), None, {})


def _language_model_alternative(inputs: Inputs) -> Other:
    """Return the cost of a language model that reads everything and answers."""
    from intermodal.planner import plan_from

    try:
        chosen = plan_from(inputs).chosen
    except NoRoute as error:
        return Other(endpoint="", summary="", kept_out=error.worded("command line").what)
    return Other(endpoint=chosen.endpoint, summary=chosen.summary, cost=chosen.total.cost, seconds=chosen.total.seconds)
