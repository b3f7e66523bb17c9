"""Passages ranked by a host's own rerank endpoint: what that costs, and the calls, with their attempts in the store.

Hosts bill a search, which is a request of up to 100 documents (Cohere's unit), or tokens. Which tokens a host counts is
not published everywhere: at least those of the query once and of all passages, at most the query's beside each.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from intermodal.cost_model.tokens import text_tokens
from intermodal.events import Event
from intermodal.executor.attempt.ledger import RunLedger
from intermodal.executor.attempt.retry import Reroute
from intermodal.executor.attempt.step_caller import StepCaller
from intermodal.executor.drivers.interface import CallJob
from intermodal.plans.step import Call, StepEstimate
from intermodal.quantity import Quantity, between, exact, unknown
from intermodal.store.rows import Work

if TYPE_CHECKING:
    from intermodal.catalog.types import Endpoint
    from intermodal.executor.dependencies import Dependencies

AT_ONCE: Final = 100  # passages of one request


def ranking_cost(endpoint: Endpoint, query: str, sizes: Sequence[int]) -> Quantity:
    """Return USD for passages of these sizes in characters; unknown where the price is."""
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
    """Scores passages at a host, within a limit of money."""

    def __init__(self, endpoint: Endpoint, world: Dependencies, max_cost: float) -> None:
        self._endpoint = endpoint
        self._world = world
        self._ledger = RunLedger(world.store, uuid.uuid4().hex, max_cost)

    @property
    def cost(self) -> float | None:
        """USD of all calls, None where some price is not known."""
        return None if self._ledger.unknown else self._ledger.spent

    async def scores(
        self, query: str, texts: Sequence[str], seconds: Quantity, progress: Callable[[int, int], None] | None = None
    ) -> tuple[list[float], int]:
        """Return a score of each text and the tokens that were counted. Raises the error of the call that failed."""

        async def unheard(event: Event) -> None:
            """Nobody listens to the events of a ranking."""

        caller = StepCaller(self._world, self._ledger, unheard, lambda event: None, None)
        found: list[float] = []
        tokens = 0
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
                done = await caller.call(job)
            except Reroute as failure:
                raise failure.error from None
            assert done.made.head_scores is not None
            found += [score for _, score in done.made.head_scores.scores]
            tokens += done.made.usage.input_tokens or 0
            if progress is not None:
                progress(len(found), len(texts))
        return found, tokens


__all__ = ["HostedRanking", "ranking_cost"]
