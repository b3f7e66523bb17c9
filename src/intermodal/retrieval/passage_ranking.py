"""Ranks passages for a query with a cross-encoder, which reads query and passage together and returns one score.

The encoder runs on this machine, or at a host's rerank endpoint. It is accurate but slow, so if there are many
passages, it reads only those that share the rarest words with the query. Without an encoder, embeddings of query and
passages are compared, which is less accurate. Neither generates text, so no language model is needed; the result also
states the price of a language model that would read everything.

Passages of files are the pages of documents with a text layer, and the paragraphs of texts.

Hosts bill per search, which is a request with up to 100 documents (Cohere's unit), or per token. Not every host
publishes which tokens it counts: at least the query once and all passages, at most the query once per passage.
"""

from __future__ import annotations

import math
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

import anyio
import anyio.to_thread
import msgspec
from msgspec.structs import replace

from intermodal import errors
from intermodal.concurrency.offload import offload
from intermodal.core.content import Text, Value
from intermodal.core.hints import command, hint
from intermodal.core.quantity import Quantity, between, exact, unknown
from intermodal.core.request import ZONES
from intermodal.cost_model.tokens import text_tokens
from intermodal.errors import IntermodalError, NoRoute
from intermodal.events import Event, Usage
from intermodal.executor.attempt.answer_notes import deadline_error
from intermodal.executor.attempt.ledger import RunLedger
from intermodal.executor.attempt.retry import Reroute
from intermodal.executor.attempt.step_caller import StepCaller
from intermodal.executor.drivers.interface import CallJob
from intermodal.executor.outputs.vector_math import cosine
from intermodal.planner import plan_from
from intermodal.planner.catalog_index import is_allowed
from intermodal.planner.conversion.page_relevance import page_scores as by_words
from intermodal.planner.conversion.page_relevance import select_pages
from intermodal.planner.planning_case import question_of
from intermodal.planner.route_search.objectives import objective_number
from intermodal.plans.facts import Facts, PageFacts, PageRanking, PartFacts
from intermodal.plans.step import Call, StepEstimate
from intermodal.plans.verdict import Instead, Other, Verdict
from intermodal.questions.keyword_needs import lower_words
from intermodal.retrieval.ready_models import ready_endpoints, tier_strength
from intermodal.store.learned_figures import TOKENS_PER_LETTER
from intermodal.store.rows import AttemptOutcome, Range, Reservation, Work

if TYPE_CHECKING:
    from intermodal.catalog.types import Catalog, Endpoint, Speed
    from intermodal.core.request import Policy, Request
    from intermodal.executor.dependencies import Dependencies, LocalRuntimesLike
    from intermodal.media.request_media import OpenedRequest
    from intermodal.media.worker_client import MediaWorker
    from intermodal.plans.plan import Inputs
    from intermodal.store.database import Store


_UNKNOWN_SECONDS: Final = 60.0  # assumed for models of unknown speed in comparisons
_READ: Final = 64  # maximum number of passages read, chosen by rare words shared with the query
_AT_ONCE: Final = 8  # passages per call; progress is reported after each call
_MOST: Final = 20_000  # passages
_USUAL: Final = "ms-marco-minilm-l-6-v2"  # weights suggested to users who have none
_FACTOR: Final = between(0.67, 1.0, 2.0, "a token has 2 to 6 characters")
_HEADING: Final = 20  # characters; shorter paragraphs are joined to the next
_PIECE: Final = 1_200  # characters of a passage, about 300 tokens: the length on which rerankers were trained
_PARAGRAPHS: Final = re.compile(r"\n[ \t]*\n\s*")

Progress = Callable[[int, int], None]  # passages read, passages to read


class Passage(Value):
    """A passage of text. ``file`` and ``page`` state its origin; "" and 0 if it was given as text."""

    text: str
    file: str = ""
    page: int = 0


class PassageScores(NamedTuple):
    """One score per text, number of truncated texts, whether the query was truncated, tokens read, loading seconds.

    ``tokens``: None if a host did not report them.
    """

    scores: list[float]
    cut: int = 0
    query_cut: bool = False
    tokens: int | None = 0
    load_seconds: float = 0.0


class RankedPassage(Value):
    """A ranked passage. ``index``: its index in the input.

    ``score``: higher is better; not a probability. 0 to 1 from a local encoder, -1 to 1 from embeddings, on its own
    scale from a host.
    """

    index: int
    score: float
    passage: Passage


class RerankResult(Value):
    """Ranked passages, best first.

    Attributes:
        by: "reranker" if an encoder read query and passages together, "vectors" if embeddings were compared.
        passages: number given. read: number ranked. cut: number of passages longer than the model's limit.
        query_cut: the query is longer than half of the encoder's context. without_text: files without text of their
            own, which are not ranked.
        tokens: tokens read; None if a host did not report them.
        expected, seconds: expected seconds including loading, and actual seconds.
        cost: USD; 0 on this machine, None if unknown. host: host that received query and passages, "" for none.
        beside: the best model of the other kind (local or hosted), with its expected cost.
        verdict: whether a language model is needed, with the price of one that reads everything.
    """

    query: str
    endpoint: str
    by: str
    results: tuple[RankedPassage, ...] = ()
    passages: int = 0
    read: int = 0
    cut: int = 0
    query_cut: bool = False
    without_text: tuple[str, ...] = ()
    tokens: int | None = 0
    expected: Quantity = Quantity()
    seconds: float = 0.0
    cost: float | None = 0.0
    host: str = ""
    beside: Other | None = None
    verdict: Verdict = Verdict()


def ranking_endpoint(
    catalog: Catalog, name: str = "", policy: Policy | None = None, work: RankingWork | None = None
) -> Endpoint:
    """Return the model that ranks: the named one, else the strongest ready reranker, else an embedding model.

    ``policy``: limits on hosts and cost; without it, only models on this machine are considered. Raises NoRoute if no
    model may be used, UsageError if the named model cannot rank.
    """
    return ranking_endpoints(catalog, name, policy, work)[0]


class RankingWork(NamedTuple):
    """A ranking job: the query, and the number of characters of each passage."""

    query: str
    sizes: Sequence[int] = ()


def ranking_work(query: str, passages: Sequence[Passage]) -> RankingWork:
    """Return the ranking job for passages: the query and the passages that will be read."""
    return RankingWork(query, [len(passages[index].text) for index in _passages_to_read(query, passages)])


def ranking_endpoints(
    catalog: Catalog, name: str = "", policy: Policy | None = None, work: RankingWork | None = None
) -> list[Endpoint]:
    """Return the model that ranks, followed by the best model of the other kind (local or hosted) if there is one.

    Among local models the strongest wins, with rerankers before embeddings. Among hosted rerankers, and between the
    best of them and the local model, the objective decides: cost and time by default, strength with "best".
    """
    able = ready_endpoints(
        catalog, name, _rank, unable="ranks no passages", kind="a reranker or a model of vectors",
        none="no model is here that ranks passages", usual=_USUAL,
    )  # fmt: skip
    if policy is not None and policy.hosts:
        able = [each for each in able if each.host.id in policy.hosts]
        if not able:
            hosts = ", ".join(policy.hosts)
            raise NoRoute(f"no model that ranks is at {hosts}", todo="leave the host out, or name another")
    reasons = [(each, _exclusion_reason(catalog, each, policy, work)) for each in able]
    free = [each for each, why in reasons if why is None]
    if not free:
        what, todo = next(why for _, why in reasons if why is not None)
        raise NoRoute(hint("{} may not rank: {}", able[0].id, what), todo=todo)
    local = [each for each in free if each.host.zone == "process"]
    hosted = [each for each in free if each.host.zone != "process"]
    order = partial(_endpoint_order, policy, work)
    best = [max(local, key=lambda each: (_rank(each), tier_strength(each), each.id))] if local else []
    best += [min(hosted, key=order)] if hosted else []
    return sorted(best, key=order)


def _exclusion_reason(
    catalog: Catalog, endpoint: Endpoint, policy: Policy | None, work: RankingWork | None
) -> tuple[str, str] | None:
    """Return why an endpoint may not receive passages, and the fix; None if it may."""
    host = endpoint.host
    if host.zone == "process":
        return None
    if policy is None:
        return "it is not on this machine", "name a model that is here, or none"
    if ZONES.index(host.zone) > ZONES.index(policy.farthest):
        return f"it computes beyond {policy.farthest}, where this may go", "name a model nearer, or none"
    if policy.private:
        return "some of this is private, and passages would leave this machine", "name a model that is here, or none"
    if not is_allowed(endpoint, catalog) and host.id not in policy.hosts:
        return f"no consent for host {host.id}", command(f"intermodal hosts add {host.id}")
    cost = ranking_cost(endpoint, work.query, work.sizes) if work is not None else exact(0.0, "nothing yet")
    if not cost.known and not policy.takes_unknown_prices:
        return "its price is not known", "give it one in its row: request = 0.002 is USD a search"
    if cost.known and cost.high > policy.max_cost:
        return f"it would cost up to ${cost.high:.3g}, and the limit is ${policy.max_cost:g}", "rank fewer passages"
    return None


def _endpoint_order(policy: Policy | None, work: RankingWork | None, endpoint: Endpoint) -> tuple[float | str, ...]:
    """Return the sort key of a permitted endpoint: rerankers first, then the objective."""
    cost, seconds = 0.0, 0.0
    if work is not None:
        expected = _expected_seconds(endpoint, work.query, work.sizes)
        seconds = expected.mid if expected.known else _UNKNOWN_SECONDS
        if endpoint.host.zone != "process":
            price = ranking_cost(endpoint, work.query, work.sizes)
            cost = price.mid if price.known else math.inf
    if policy is not None and policy.objective == "best":
        number = -float(tier_strength(endpoint))
    else:
        number = cost if policy is None else objective_number(policy, cost, seconds)
    return (-_rank(endpoint), number, seconds, endpoint.id)


def _rank(endpoint: Endpoint) -> int:
    """Return 2 for an encoder of query and passage, 1 for local text embeddings, 0 for other models."""
    model = endpoint.model
    if endpoint.host.zone != "process":
        return 2 if model.ranks and endpoint.host.rerank else 0
    if model.ranks:
        return 2
    return int(model.output == ("embedding",) and not model.matches_images)


class Ranker:
    """Ranks passages with one model."""

    def __init__(
        self, endpoint: Endpoint, runtimes: LocalRuntimesLike, *, loaded: bool = False, store: Store | None = None,
        hosted: HostedRanking | None = None, deadline: float | None = None,
    ) -> None:  # fmt: skip
        """``store``: supplies learned speeds of earlier runs, and records this run.

        ``hosted``: calls a host's endpoint and records its own attempts. ``deadline``: seconds for all passages.
        """
        self._deadline = deadline
        self._hosted = hosted
        self._endpoint = endpoint
        self._runtimes = runtimes
        self._loaded = loaded
        self._store = store

    async def rank(
        self, query: str, passages: Sequence[Passage], *, top: int = 10, most: int = _READ,
        progress: Progress | None = None,
    ) -> RerankResult:  # fmt: skip
        """Return the ``top`` best passages for the query, of at most ``most`` that are read.

        Raises the error of a failed call, and that of a deadline that passed.
        """
        with anyio.move_on_after(self._deadline):
            return await self._rank(query, passages, top, most, progress)
        assert self._deadline is not None
        raise deadline_error(self._deadline, self._endpoint.id)

    async def _rank(
        self, query: str, passages: Sequence[Passage], top: int, most: int, progress: Progress | None
    ) -> RerankResult:
        check_query(query, top)
        check_passages(passages)
        picked = _passages_to_read(query, passages, most)
        texts = [passages[index].text for index in picked]
        learned_speed, sizes = await self._reading_speed(), list(map(len, texts))
        expected = _expected_seconds(self._endpoint, query, sizes, loaded=self._loaded, learned_speed=learned_speed)
        warm = _expected_seconds(self._endpoint, query, sizes, loaded=True, learned_speed=learned_speed)
        began = time.perf_counter()
        cost: float | None = 0.0
        if self._hosted is not None:
            numbers, tokens = await self._hosted.scores(query, texts, warm, self._deadline, progress)
            scored, cost = PassageScores(numbers, tokens=tokens), self._hosted.cost
        else:
            async with self._record_attempt(query, texts, warm) as took:
                scored = await self.scores(query, texts, progress)
                took(scored)
        found, cut, query_cut = scored.scores, scored.cut, scored.query_cut
        order = sorted(range(len(picked)), key=lambda position: (-found[position], picked[position]))
        return RerankResult(
            query=query, endpoint=self._endpoint.id, by="reranker" if self._endpoint.model.ranks else "vectors",
            results=tuple(
                RankedPassage(index=picked[position], score=round(found[position], 6),
                              passage=passages[picked[position]])
                for position in order[:top]
            ),
            passages=len(passages), read=len(picked), cut=cut, query_cut=query_cut, tokens=scored.tokens,
            expected=expected, seconds=time.perf_counter() - began, cost=cost,
            host="" if self._endpoint.host.zone == "process" else self._endpoint.host.id,
        )  # fmt: skip

    async def scores(self, query: str, texts: Sequence[str], progress: Progress | None = None) -> PassageScores:
        """Return a score for each text, and the tokens and loading time it took."""
        found: list[float] = []
        cut, query_cut, tokens, load = 0, False, 0, 0.0
        vector = None
        if not self._endpoint.model.ranks:
            read = await self._runtimes.embed(self._endpoint, query)
            vector, tokens, load = read.vector, read.tokens, read.load_seconds
        for start in range(0, len(texts), _AT_ONCE):
            some = tuple(texts[start : start + _AT_ONCE])
            if vector is not None:
                embeddings = [await self._runtimes.embed(self._endpoint, text, query=False) for text in some]
                found += [cosine(vector, each.vector) for each in embeddings]
                tokens += sum(each.tokens for each in embeddings)
            else:
                ranking = await self._runtimes.rank(self._endpoint, query, some)
                found += ranking.scores
                cut, query_cut = cut + ranking.cut, query_cut or ranking.query_cut
                tokens, load = tokens + ranking.tokens, load + ranking.load_seconds
            if progress is not None:
                progress(len(found), len(texts))
        return PassageScores(found, cut, query_cut, tokens, load)

    async def _reading_speed(self) -> ReadingSpeed:
        """Return the speed learned from earlier runs, and the catalog's figures for the rest."""
        if self._store is None:
            return ReadingSpeed(self._endpoint.speed)
        statistics = await anyio.to_thread.run_sync(self._store.statistics)
        found = {figure: statistics.get(self._endpoint.id, figure) for figure in ("overhead", "prompt", "load")}
        speed = msgspec.structs.replace(
            self._endpoint.speed, **{figure: value for figure, value in found.items() if value is not None}
        )
        return ReadingSpeed(speed, statistics.get(self._endpoint.id, "reading_factor") or _FACTOR)

    @asynccontextmanager
    async def _record_attempt(
        self, query: str, texts: Sequence[str], expected: Quantity
    ) -> AsyncIterator[Callable[[PassageScores], None]]:
        """Record the attempt in the store, and its duration when it ends; later estimates use it."""
        scored: list[PassageScores] = []
        if self._store is None:
            yield scored.append
            return
        store, began = self._store, time.perf_counter()
        times = len(texts) if self._endpoint.model.ranks else 1
        letters = float(len(query) * times + sum(map(len, texts)))
        reservation = Reservation(
            run=uuid.uuid4().hex, step="rank", op="score", task="text-ranking", endpoint=self._endpoint.id,
            zone=self._endpoint.host.zone, input_tokens=letters * TOKENS_PER_LETTER, work=Work(letters=letters),
            output_tokens=0.0, cost=0.0, seconds=expected.mid,
            seconds_range=Range(low=expected.low, high=expected.high),
        )  # fmt: skip
        row = await anyio.to_thread.run_sync(store.reserve, reservation)
        await anyio.to_thread.run_sync(store.mark_sent, row)
        outcome = AttemptOutcome(error="cancelled")
        try:
            yield scored.append
            (result,) = scored
            seconds = max(0.0, time.perf_counter() - began - result.load_seconds)
            usage = Usage(input_tokens=result.tokens, output_tokens=0)
            outcome = AttemptOutcome(usage=usage, seconds=seconds, load_seconds=result.load_seconds)
        except errors.IntermodalError as error:
            outcome = AttemptOutcome(error=error.code)
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(store.settle, row, outcome)


def check_query(query: str, top: int) -> None:
    """Raise UsageError if the query is empty or the count is not positive."""
    if not query.strip():
        raise errors.UsageError("there is nothing to look for", todo="say what the passages are to answer")
    if top < 1:
        raise errors.UsageError(f"{top} passages cannot be asked for", where="top", todo="ask for 1 or more")


def check_passages(passages: Sequence[Passage]) -> None:
    """Raise UsageError or InputEmpty if the passages cannot be ranked."""
    if not any(each.text.strip() for each in passages):
        raise errors.InputEmpty("there is no text to rank", todo="give passages, or files with words in them")
    if len(passages) > _MOST:
        raise errors.UsageError(f"{len(passages):,} passages cannot be ranked", todo=f"give {_MOST:,} at most")


def _passages_to_read(query: str, passages: Sequence[Passage], most: int = _READ) -> list[int]:
    """Return the indexes of passages to read: all with text, or the best ``most`` by shared rare words.

    >>> _passages_to_read("rent", [Passage(text="the rent"), Passage(text=" ")])
    [0]
    """
    places = [index for index, each in enumerate(passages) if each.text.strip()]
    if len(places) <= most:
        return places
    pages = [
        PageFacts(number=index + 1, width=0.0, height=0.0, words=tuple(set(lower_words(passages[index].text))))
        for index in places
    ]
    worth = by_words(pages, lower_words(query), frozenset())
    return [places[index] for index in select_pages([1.0] * len(places), worth, most)]


class ReadingSpeed(NamedTuple):
    """The reading speed. ``factor``: the actual number of tokens relative to a quarter of the characters."""

    speed: Speed
    factor: Quantity = _FACTOR


def _expected_seconds(
    endpoint: Endpoint,
    query: str,
    sizes: Sequence[int],
    *,
    loaded: bool = False,
    learned_speed: ReadingSpeed | None = None,
) -> Quantity:
    """Estimate the seconds an encoder needs for texts of these sizes in characters, plus loading unless ``loaded``.

    ``learned_speed``: speed from earlier runs, used instead of the catalog's.
    """
    speed, factor = learned_speed or ReadingSpeed(endpoint.speed)
    if not speed.prompt.mid:
        return unknown("its speed is not known")
    pairs = len(query) * len(sizes) if endpoint.model.ranks else len(query)
    quarters = (pairs + sum(sizes)) * TOKENS_PER_LETTER
    load = Quantity() if loaded else speed.load
    return between(
        quarters * factor.low / speed.prompt.high + load.low + speed.overhead.low,
        quarters * factor.mid / speed.prompt.mid + load.mid + speed.overhead.mid,
        quarters * factor.high / speed.prompt.low + load.high + speed.overhead.high, speed.prompt.basis,
    )  # fmt: skip


def other_ranking(endpoint: Endpoint, work: RankingWork) -> Other:
    """Return a model that was not chosen, with its expected cost and time."""
    is_local = endpoint.host.zone == "process"
    cost = exact(0.0, "runs on this machine") if is_local else ranking_cost(endpoint, work.query, work.sizes)
    summary = "reranker" if endpoint.model.ranks else "vectors"
    return Other(
        endpoint=endpoint.id, summary=summary, cost=cost, seconds=_expected_seconds(endpoint, work.query, work.sizes)
    )


def with_verdict(ranked: RerankResult, other: Other) -> RerankResult:
    """Add the verdict that no language model is needed, with the cost of one."""
    instead: Instead = "encoder" if ranked.by == "reranker" else "embedding model"
    verdict = Verdict(value="no_language_model", instead=instead, language_model=other)
    return msgspec.structs.replace(ranked, verdict=verdict)


async def passages(
    request: Request, opened_request: OpenedRequest, media: MediaWorker, *, besides: str = ""
) -> tuple[list[Passage], list[str]]:
    """Return the passages of files in order, and the names of files without text of their own."""
    found: list[Passage] = []
    without: list[str] = []
    for index, _, part_content in request.parts():
        if isinstance(part_content, Text) and part_content.name in (
            "",
            besides,
        ):  # the query, and texts that are already passages
            continue
        part, before = opened_request.facts.parts[index], len(found)
        if part.kind == "text":
            found += [Passage(text=piece, file=part.name) for piece in _split_text(opened_request.text(index))]
        elif part.kind == "document":
            numbers = tuple(page.number for page in part.pages if page.chars)
            texts = await media.page_text(opened_request.data(index), numbers, name=part.name) if numbers else ()
            pairs = zip(numbers, texts, strict=True)
            found += [Passage(text=text, file=part.name, page=number) for number, text in pairs if text.strip()]
        if len(found) == before:
            without.append(part.name)
    return found, without


def _split_text(text: str) -> Iterator[str]:
    r"""Split a text into paragraphs. A heading stays with the text after it; long paragraphs are cut into pieces.

    >>> list(_split_text("Rent\n\nIt is 20 euro, due on the first.\n\nKeys are at the desk of the porter."))
    ['Rent\n\nIt is 20 euro, due on the first.', 'Keys are at the desk of the porter.']
    """
    pending = ""
    for paragraph in _PARAGRAPHS.split(text.strip()):
        pending = f"{pending}\n\n{paragraph}" if pending else paragraph
        while len(pending) > _PIECE:
            cut = pending.rfind(" ", _PIECE // 2, _PIECE) + 1 or _PIECE
            yield pending[:cut].strip()
            pending = pending[cut:]
        if len(pending) >= _HEADING:
            yield pending
            pending = ""
    if pending.strip():
        yield pending


# Scores the pages of long documents against the question if a local encoder is ready. A plan decides which pages are
# sent, and a plan is a function of facts, so pages are scored before planning. A plan made without scores shows whether
# pages must be left out. If so, the encoder reads the pages that share the rarest words with the question, and each
# score becomes a fact of its page.


_PATIENCE: Final = 30.0  # maximum expected seconds; fewer pages are read to stay within them
_FEWEST: Final = 8  # pages; with fewer, nothing is selected


def _reranker_endpoint(catalog: Catalog) -> Endpoint | None:
    """Return the local encoder that scores pages for a question; None if none is ready."""
    ready = [each for each in catalog.endpoints if each.ready and each.model.ranks and each.host.zone == "process"]
    return max(ready, key=lambda each: (each.speed.prompt.mid, each.id), default=None)


async def with_page_scores(
    inputs: Inputs, opened_request: OpenedRequest, media: MediaWorker, runtimes: LocalRuntimesLike
) -> Facts:
    """Return the facts with page scores if some pages must be left out.

    Otherwise, or if the encoder fails, the facts are unchanged, and pages are chosen by shared words.
    """
    facts = inputs.facts
    long = [
        part for part in facts.parts if part.kind == "document" and sum(bool(page.chars) for page in part.pages) > 1
    ]
    endpoint = _reranker_endpoint(inputs.catalog) if long else None
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
    patience = _PATIENCE if deadline is None else min(_PATIENCE, deadline / 4)
    most = _READ
    while True:
        picked = _passages_to_read(question, texts, most)
        expected = _expected_seconds(endpoint, question, [sizes[index] for index in picked])
        if not expected.known or expected.mid <= patience or len(picked) <= _FEWEST:
            break
        most = max(_FEWEST, len(picked) // 2)
    if deadline is not None and not (expected.known and expected.mid <= patience):
        return facts  # a request with a deadline has no time for this
    try:
        page_scores = await _score_pages(
            endpoint, question, [pages[index] for index in picked], opened_request, media, runtimes
        )
    except IntermodalError:
        return facts
    ranking = PageRanking(by=endpoint.id, read=len(picked), pages=len(pages), seconds=expected)
    parts = tuple(
        replace(part, pages=tuple(
            replace(page, answers=page_scores.get((part.index, page.number))) for page in part.pages
        ))
        if part.pages else part
        for part in facts.parts
    )  # fmt: skip
    return replace(facts, parts=parts, ranking=ranking)


async def _score_pages(
    endpoint: Endpoint, question: str, pages: list[tuple[PartFacts, PageFacts]], opened_request: OpenedRequest,
    media: MediaWorker,
    runtimes: LocalRuntimesLike,
) -> dict[tuple[int, int], float]:  # fmt: skip
    """Return the score of each page, by part index and page number."""
    ranker = Ranker(endpoint, runtimes)
    found: dict[tuple[int, int], float] = {}
    for _, group in groupby(pages, key=lambda each: each[0].index):
        some = list(group)
        part = some[0][0]
        numbers = tuple(page.number for _, page in some)
        texts = await media.page_text(opened_request.data(part.index), numbers, name=part.name)
        scores = (await ranker.scores(question, texts)).scores
        found |= {(part.index, number): round(score, 6) for number, score in zip(numbers, scores, strict=True)}
    return found


AT_ONCE: Final = 100  # passages per request


def ranking_cost(endpoint: Endpoint, query: str, sizes: Sequence[int]) -> Quantity:
    """Return the price in USD of ranking passages of these sizes in characters; unknown if the price is."""
    price = endpoint.price
    if price.unsaid or (price.input_mtok is None and not price.request):
        return unknown("price not known")
    requests = math.ceil(len(sizes) / AT_ONCE) * price.request
    rate = (price.input_mtok or 0.0) / 1e6
    least, most = text_tokens(len(query) + sum(sizes)), text_tokens(len(query) * len(sizes) + sum(sizes))
    if not rate:
        return exact(requests, "price list")
    return between(
        requests + least.low * rate, requests + most.mid * rate, requests + most.high * rate, "price list"
    )  # fmt: skip


class HostedRanking:
    """Scores passages at a host, within a cost limit."""

    def __init__(self, endpoint: Endpoint, dependencies: Dependencies, max_cost: float) -> None:
        self._endpoint = endpoint
        self._dependencies = dependencies
        self._ledger = RunLedger(dependencies.store, uuid.uuid4().hex, max_cost)

    @property
    def cost(self) -> float | None:
        """USD spent on all calls; None if any price is unknown."""
        return self._ledger.charges.cost

    @property
    def charged_tokens(self) -> int | None:
        """Tokens of all calls, at their upper bound where the host reported none; None if that is unknown."""
        return self._ledger.charges.tokens

    async def scores(
        self, query: str, texts: Sequence[str], seconds: Quantity, deadline: float | None = None,
        progress: Progress | None = None,
    ) -> tuple[list[float], int | None]:  # fmt: skip
        """Return a score for each text, and the tokens counted; None if a call did not report them.

        ``deadline``: seconds for all of them; a wait that exceeds it is not begun.

        Raises the error of the call that failed.
        """

        async def unheard(event: Event) -> None:
            """Nobody listens to the events of a ranking."""

        until = None if deadline is None else self._dependencies.clock() + deadline
        caller = StepCaller(self._dependencies, self._ledger, unheard, lambda event: None, until)
        found: list[float] = []
        tokens: int | None = 0
        for start in range(0, len(texts), AT_ONCE):
            some = tuple(texts[start : start + AT_ONCE])
            sizes = [len(text) for text in some]
            letters = float(len(query) * len(some) + sum(sizes))
            step = Call(
                id=f"rank-{start}", op="score", task="text-ranking", endpoint=self._endpoint.id, inputs=(),
                estimate=StepEstimate(
                    input_tokens=text_tokens(int(letters)), output_tokens=exact(0.0, "no words come out"),
                    cost=ranking_cost(self._endpoint, query, sizes), seconds=seconds,
                ),
            )  # fmt: skip
            job = CallJob(step=step, endpoint=self._endpoint, text=query, lines=some, work=Work(letters=letters))
            try:
                finished_call = await caller.call(job)
            except Reroute as failure:
                raise failure.error from None
            assert finished_call.result.head_scores is not None
            found += [score for _, score in finished_call.result.head_scores.scores]
            input_tokens = finished_call.result.usage.input_tokens
            tokens = None if tokens is None or input_tokens is None else tokens + input_tokens
            if progress is not None:
                progress(len(found), len(texts))
        return found, tokens
