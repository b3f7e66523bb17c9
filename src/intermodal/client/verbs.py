"""The verbs of a client besides plan, explain, run and stream. Each imports its package on first call."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack

import msgspec
from anyio import to_thread

from intermodal.advisor.advise_options import AdviseOptions
from intermodal.catalog.model_names import resolve_name
from intermodal.client import request_builder
from intermodal.client.request_builder import with_options
from intermodal.client.resources import ClientResources
from intermodal.config.config_file import cache_dir
from intermodal.core.content import Text
from intermodal.errors import NoRoute, UsageError
from intermodal.plans.verdict import Other
from intermodal.workloads.workload_keys import WorkloadKeys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from intermodal.advisor.advice import Advice
    from intermodal.catalog.types import Endpoint
    from intermodal.client.estimates import Estimate
    from intermodal.client.request_builder import FileLike
    from intermodal.core.request import Request
    from intermodal.plans.plan import Inputs
    from intermodal.prompts.prompt import Prompt
    from intermodal.retrieval import image_search, passage_ranking
    from intermodal.retrieval.image_search import FindResult, ImageFinder
    from intermodal.retrieval.passage_ranking import RerankResult
    from intermodal.store.image_vectors import ImageVectors
    from intermodal.workloads.monthly_cost import MonthlyCost

_GIVEN: Final = "passages.txt"  # the name of passages that were passed as text


class ClientVerbs:
    """The verbs of a client that other packages implement: prompt files, search, models, estimates, costs, advice."""

    def prompt(self: Any, path: str | os.PathLike[str], **options: Any) -> Prompt:
        """Load a prompt file, ready to be explained and run.

        Args:
            path: path of the file, or ``FILE#NAME`` for a function or a variant in it.
            options: policy and sampling options, as in ``ask``; they take precedence over those in the file.

        Raises:
            PromptError: the file cannot be used; names the line. InputMissing: the file does not exist.
        """
        from intermodal.prompts.prompt import Prompt

        return Prompt(self, path, options)

    async def find(
        self: Any,
        query: str,
        *paths: str | Path,
        top: int = 10,
        model: str = "",
        progress: image_search.Progress | None = None,
    ) -> FindResult:
        """Find the images in folders and files that are most similar to a text or to an image.

        A contrastive model on this machine computes the embedding of each image once; the cache keeps it.

        Args:
            query: a text, or the path of an image. paths: files, and folders, which are searched recursively.
            top: number of results. model: the contrastive model; "" takes the strongest on this machine.
            progress: called with the number of images processed, their total, and the current file.

        Raises:
            NoRoute: this machine has no contrastive model; ``reasons`` lists why. InputError: a path does not exist, or
                there are no images. UsageError: an argument is wrong.
        """
        finder: ImageFinder = self.finder(model)
        try:
            return await finder.find(query, paths, top=top, progress=progress)
        finally:
            finder.close()

    def finder(self: Any, model: str = "") -> ImageFinder:
        """Return a contrastive model with its index, for several queries."""
        from intermodal.retrieval.image_search import ImageFinder, contrastive_endpoint

        endpoint = contrastive_endpoint(self.catalog_with((), (model,)), model)
        return ImageFinder(
            endpoint, self.vectors, lambda: self.media, lambda: self.runtimes, sums=self.weights.combined_checksum
        )

    @property
    def vectors(self: Any) -> ImageVectors:
        """The cached image embeddings."""
        from intermodal.store.image_vectors import FILE, ImageVectors

        return ImageVectors(cache_dir(self.env) / FILE)

    async def rerank(
        self: Any, query: str, passages: Sequence[str] = (), *, files: Sequence[FileLike] = (), top: int = 10,
        model: str = "", progress: passage_ranking.Progress | None = None,
    ) -> RerankResult:  # fmt: skip
        """Rank passages by how well they answer a query, best first.

        A reranker reads the query with each passage, either on this machine or, with consent, at a host with a rerank
        endpoint, whichever is better. If there is no reranker, embeddings are compared on this machine.

        Args:
            passages: texts. files: text files, whose paragraphs are ranked, and documents, whose pages are ranked.
            top: number of results. model: a reranker or an embedding model; "" takes the best.
            progress: called with the number of passages read, and their total.

        Raises:
            NoRoute: no permitted model can rank; ``reasons`` lists why. CallError: the host failed. InputError: a file
                cannot be read, or there is no text. UsageError: an argument is wrong.
        """
        from intermodal.client.planner_inputs import prepare
        from intermodal.retrieval.passage_ranking import (
            HostedRanking,
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
        catalog = self.catalog_with((), (model,))
        ranking_endpoint(catalog, model, request.policy)  # before a file is opened
        passage_structs = [Passage(text=text) for text in passages]
        check_query(query, top)
        if not files:  # passages of files are checked below, once the files are open
            check_passages(passage_structs)
        # Without ranking: the encoder reads the pages once, below.
        prepared = await prepare(request, self, planning=True, ranking=False)
        inputs = prepared.inputs
        read, without = await passages_of(
            inputs.request, prepared.opened, self.media, besides=_GIVEN if passage_structs else ""
        )
        every = [*passage_structs, *read]
        check_passages(every)
        work = ranking_work(query, every)
        endpoint, *others = ranking_endpoints(catalog, model, request.policy, work)
        hosted = None
        if endpoint.host.zone != "process":
            hosted = HostedRanking(endpoint, self._build_dependencies(inputs, exact=True), request.policy.max_cost)
        ranker = Ranker(
            endpoint, self.runtimes, loaded=endpoint.id in inputs.machine.loaded, store=self.store, hosted=hosted,
            deadline=request.policy.deadline,
        )  # fmt: skip
        ranked = await ranker.rank(query, every, top=top, progress=progress)
        return msgspec.structs.replace(
            with_verdict(ranked, _language_model_alternative(inputs)), without_text=tuple(without),
            beside=other_ranking(others[0], work) if others else None,
        )  # fmt: skip

    async def models(self: Any, name: str = "", *, ready: bool = False) -> tuple[Endpoint, ...]:
        """Return the endpoints that plans choose from, after discovering servers on this machine. Contacts no model.

        Args:
            name: return only the endpoints of this name: ``vendor/model``, ``host:vendor/model`` or a short name, which
                is looked up among all published models.
            ready: return only the endpoints that can be called now. For the others, ``missing`` states why and ``todo``
                what to do.

        Raises:
            UnknownModel: ``name`` matches no model, or several.
        """
        if not isinstance(name, str):
            raise UsageError(f"name={name!r} is not a name", todo='write models("gpt-4o")')
        await self.known.scan()
        found = resolve_name(self.catalog_with((), (name,)), name) if name else self.catalog.endpoints
        return tuple(endpoint for endpoint in found if endpoint.ready or not ready)

    async def estimate(
        self: Any, prompt: str, *files: FileLike, model: str, out_tokens: int | None = None, day: str = "",
        batch: bool = False, cached: int = 0,
    ) -> Estimate:  # fmt: skip
        """Estimate the tokens and the cost of one model call from the model's token rules and prices. Contacts no host.

        Args:
            prompt: the text of the call; "" for files alone.
            model: ``vendor/model``, ``host:vendor/model`` or a short name; it need not be reachable.
            out_tokens: number of output tokens; None leaves output out of the cost. batch: use batch prices.
            day: the date whose rules and prices apply, such as "2026-11-25"; "" for today. cached: input tokens that
                the host reads from its cache.

        Raises:
            UnknownModel: ``model`` matches no model. InputError: a file cannot be read.
            UsageError: there is nothing to count, or ``day`` is before the model's first token rule.
        """
        from intermodal.client.estimates import EstimateOptions, estimate_of

        estimate_options = EstimateOptions(model, out_tokens, day, batch, cached)
        return await estimate_of(prompt, files, estimate_options, self.config, self.env)

    @with_options(AdviseOptions)
    async def advise(
        self: Any, takes: str | Iterable[str], makes: str | Iterable[str] = "text", **options: Unpack[AdviseOptions]
    ) -> Advice:
        """Return the kind of model that hypothetical requests need, and the cost. Contacts no host.

        Args:
            takes: input kinds: "text", "image", "audio", "video", "pdf".
            makes: outputs: "text", "json", "transcript", "scores", "speech", "embedding", "image"; if several, the
                answer first.
            options: see :class:`intermodal.advisor.advise_options.AdviseOptions`.

        Raises:
            UsageError: the options are invalid or contradict each other.
            NoRoute: no available model answers such a request; ``reasons`` say why.
        """
        from intermodal.advisor.advise import advise

        return await to_thread.run_sync(partial(advise, takes, makes, config=self.config, env=self.env, **options))

    @with_options(WorkloadKeys)
    async def cost(
        self: Any, workload: str | os.PathLike[str] | Mapping[str, Any] | None = None, **keys: Unpack[WorkloadKeys]
    ) -> MonthlyCost:
        """Return the monthly cost of a workload for several plans side by side. Spends nothing, contacts no model.

        A plan that cannot be made is included in the result with its reason.

        Args:
            workload: a YAML, TOML or JSON file as for ``intermodal cost``, or its content as a mapping.
            keys: keys of the document (``requests``, ``prompt``, ``parts``, ``plans``, …). They take precedence over
                those of ``workload``, which may also be omitted. Paths in ``parts`` given here are relative to the
                working directory.

        Raises:
            UsageError: an unknown key, or a wrong value. InputError: a file cannot be read.
            UnknownModel: the model of a plan matches no model.
        """
        from intermodal.workloads.monthly_cost import monthly_cost
        from intermodal.workloads.workload import workload_of

        return await monthly_cost(workload_of(workload, keys, self.config, self.env), self)


class SearchClient(ClientVerbs, ClientResources):
    """A client without ``plan`` and ``run``, for programs that only search: it does not import the planner."""


def _reading_request(client: Any, query: str, passages: Sequence[str], files: Sequence[FileLike]) -> Request:
    """Return the request with which a language model would read the query and all passages."""
    whole = "\n\n".join(passages)
    texts: tuple[FileLike, ...] = (Text(text=whole, name=_GIVEN),) if whole.strip() else ()
    return request_builder.build_request(client.config, client.env, query, (*texts, *files), None, {})


def _language_model_alternative(inputs: Inputs) -> Other:
    """Return the cost of a language model that reads all passages and answers."""
    from intermodal.planner import plan_from

    try:
        own_plan = plan_from(inputs)
    except NoRoute as error:
        return Other(endpoint="", summary="", kept_out=error.wording_for("command line").what)
    answering_route = next((each for each in (own_plan.chosen, *own_plan.fallbacks) if not each.words_alone), None)
    if answering_route is None:
        return Other(endpoint="", summary="", kept_out="no model that answers is open here")
    return Other(
        endpoint=answering_route.endpoint,
        summary=answering_route.summary,
        cost=answering_route.total.cost,
        seconds=answering_route.total.seconds,
    )
