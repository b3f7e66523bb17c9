"""The money side of one run: reserve before spending, one row per attempt, never more than allowed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from intermodal.catalog.nouns import Endpoint
from intermodal.errors import BudgetExceeded
from intermodal.executor.measured import range_of
from intermodal.plans.step import Call
from intermodal.quantity import Quantity
from intermodal.store.rows import Outcome, Reservation, Work

if TYPE_CHECKING:
    from intermodal.store.database import Store

T = TypeVar("T")
_CENT = 1e-9  # USD; sums of floats may differ by less


class Ledger:
    """What one run spent and has set aside, in USD."""

    def __init__(self, store: Store, run: str, max_cost: float) -> None:
        self.run = run
        self.answer = "other"  # kind of answer that was asked for: ``costing/answers.py``
        self.max_cost = max_cost
        self.spent = 0.0
        self.reserved = 0.0
        self.unknown = False  # some attempt's cost cannot be known
        self.maybe_paid = 0  # attempts that may have cost money
        self._store = store
        # Writes the run's own row; taken by the first attempt, which has to write anyway.
        self.begin: Callable[[], None] | None = None

    async def open(self, step: Call, endpoint: Endpoint, work: Work) -> Entry:
        """Set the step's highest cost aside and write its row.

        Raises BudgetExceeded, or StoreError; in both cases nothing may be sent.
        """
        estimate = step.estimate
        high = estimate.cost.high if estimate.cost.known else 0.0
        # No await between the check and the reservation: two steps at once cannot both take the last cent.
        if high > 0 and self.spent + self.reserved + high > self.max_cost + _CENT:
            raise BudgetExceeded(
                f"this call may cost up to ${high:.4f}, and ${self.spent + self.reserved:.4f} of the "
                f"${self.max_cost:.4f} allowed is spent or set aside",
                where=endpoint.id,
                todo="raise --max-cost, or choose a cheaper route",
                step=step.id,
            )
        self.reserved += high
        try:
            row = Reservation(
                run=self.run,
                step=step.id,
                op=step.op,
                task=step.task,
                endpoint=endpoint.id,
                zone=endpoint.host.zone,
                input_tokens=_mid(estimate.input_tokens),
                output_tokens=_mid(estimate.output_tokens),
                cost=_mid(estimate.cost),
                seconds=_mid(estimate.seconds),
                load_seconds=_mid(estimate.load_seconds),
                cost_high=high if math.isfinite(high) else 0.0,
                work=work,
                output=("json" if "json" in dict(step.params) else self.answer) if step.op == "generate" else "",
                input_range=range_of(estimate.input_tokens),
                output_range=range_of(estimate.output_tokens),
                seconds_range=range_of(estimate.seconds),
            )
            begin, self.begin = self.begin, None
            key = await written(lambda: self._reserve(row, begin))
        except BaseException:
            self.reserved -= high
            raise
        return Entry(self, self._store, key, high)

    def _reserve(self, row: Reservation, begin: Callable[[], None] | None) -> str:
        if begin is not None:
            begin()
        return self._store.reserve(row)


class Entry:
    """One attempt's row while it is open."""

    def __init__(self, ledger: Ledger, store: Store, key: str, high: float) -> None:
        self.key = key
        self.sent = False
        self._ledger = ledger
        self._store = store
        self._high = high
        self._open = True

    async def sending(self) -> None:
        """Raises StoreError: then nothing may be sent."""
        if not self.sent:
            await written(lambda: self._store.sent(self.key))
            self.sent = True

    async def settle(self, outcome: Outcome) -> None:
        """It worked, or it failed and was charged for: what it took is known."""
        await self._close(self._store.settle, outcome, outcome.cost)

    async def estimate(self, outcome: Outcome) -> None:
        """It may have been charged for; the amount set aside counts unless ``outcome.cost`` says less."""
        await self._close(self._store.estimate, outcome, self._high if outcome.cost is None else outcome.cost)

    async def void(self, outcome: Outcome) -> None:
        """It was certainly not charged for."""
        await self._close(self._store.void, outcome, 0.0)

    async def _close(self, write: Callable[[str, Outcome], None], outcome: Outcome, cost: float | None) -> None:
        if not self._open:
            return
        self._open = False
        self._ledger.reserved -= self._high
        self._ledger.spent += self._high if cost is None else cost
        self._ledger.unknown |= cost is None
        await written(lambda: write(self.key, outcome))


async def written(write: Callable[[], T]) -> T:
    """Use the store, which blocks for milliseconds, off the event loop.

    Shielded: a cancelled attempt must not leave a row whose id nobody knows, or an open one.
    """
    import anyio
    import anyio.to_thread

    results: list[T] = []
    with anyio.CancelScope(shield=True):
        results.append(await anyio.to_thread.run_sync(write))
    return results[0]


def _mid(quantity: Quantity) -> float | None:
    return quantity.mid if quantity.known else None
