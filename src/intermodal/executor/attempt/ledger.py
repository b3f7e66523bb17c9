"""The budget of one run: reserve before spending, write one row per attempt, never spend more than allowed.

An attempt's row is written before its first byte is sent, in one commit with its ``sent`` mark; the connection is made
meanwhile. The row of a free attempt is written while it is answered, so the first word does not wait for it. A
transform also has a row (``transform_row``), with its work in the units by which its duration is learned.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from intermodal.catalog.reasoning_effort import NO_THINKING_REQUEST, ThinkingRequest, sent_thinking_request
from intermodal.catalog.types import Endpoint
from intermodal.core.hints import hint
from intermodal.core.quantity import Quantity
from intermodal.cost_model.rates import effort_key, reasoning_figure
from intermodal.errors import BudgetExceeded, IntermodalError, StoreError
from intermodal.executor.attempt.accounting import AttemptEnding, token_bound, upper_bound
from intermodal.executor.preparation.model_inputs import AudioInput, ImageInput, StepProduct
from intermodal.plans.facts import PartFacts
from intermodal.plans.plan import input_steps
from intermodal.plans.step import Call, Transform
from intermodal.store.rows import FILM_SOUND, Range, Reservation, TransformRow, Work

if TYPE_CHECKING:
    from intermodal.store.database import Store

T = TypeVar("T")
_MOMENT = 0.05  # seconds; if a server answers sooner, the answer is delivered before the row is written
_CENT = 1e-9  # USD; sums of floats may differ by less


def exceeds(usd: float, limit: float) -> bool:
    """Return True if an amount exceeds a limit by more than the rounding of sums."""
    return usd > limit + _CENT


class RunCharges(NamedTuple):
    """What the attempts of a run are charged so far, those in progress at their upper bounds.

    Attributes:
        usd: USD; an attempt whose price is unknown counts as 0. unpriced: there is such an attempt.
        unreported: the part of ``usd`` that is an upper bound.
        tokens: input and output; None if no bound is known of an attempt that reported none.
        unreported_tokens: the part of ``tokens`` that is an upper bound.
        maybe_paid: something was sent that is or may be charged.
    """

    usd: float = 0.0
    unpriced: bool = False
    unreported: float = 0.0
    tokens: int | None = 0
    unreported_tokens: int = 0
    maybe_paid: bool = False

    @property
    def cost(self) -> float | None:
        """USD; None if unknown."""
        return None if self.unpriced else self.usd

    def with_attempt(self, ending: AttemptEnding) -> RunCharges:
        """Return the charges with those of an attempt that ended."""
        return RunCharges(
            usd=self.usd + (ending.counts or 0.0),
            unpriced=self.unpriced or ending.counts is None,
            unreported=self.unreported + ending.unreported,
            tokens=None if self.tokens is None or ending.tokens is None else self.tokens + ending.tokens,
            unreported_tokens=self.unreported_tokens + ending.unreported_tokens,
            maybe_paid=self.maybe_paid or ending.charge.maybe_paid,
        )


class AllowanceLike(Protocol):
    """A budget outside the run that pays for it, such as that of an API key."""

    async def raise_to(self, usd: float, tokens: int) -> bool:
        """Reserve this much for the whole run before more is sent; return False if the budget has no room."""
        ...

    async def draw_rate(self, endpoint: str, tokens: int) -> RateDraw | RateRefusal:
        """Draw a call of at most ``tokens`` from the rate of an endpoint, unless that has no room."""
        ...

    def expose(self, charges: RunCharges) -> None:
        """Report what the run is charged if this process is killed now."""
        ...


class RateDraw(Protocol):
    """A call that is drawn from the rate of its endpoint."""

    def settle(self, tokens: int | None) -> None:
        """End the call. ``tokens``: those charged for it; None for all that were drawn, 0 if nothing was sent."""
        ...


class RateRefusal(NamedTuple):
    """The rate of an endpoint has no room for a call. ``retry_after``: seconds until it has; None if it never has."""

    retry_after: float | None


class AllowanceExceeded(BudgetExceeded):
    """The allowance has no room for an attempt."""


class EndpointRateExceeded(AllowanceExceeded):
    """The rate that the config gives an endpoint has no room for a call; another endpoint may be called.

    ``retry_after``: seconds until it has room; None if it never has for a call of this size.
    """

    retry_after: float | None = None


def original_failure(error: IntermodalError, before: IntermodalError | None) -> IntermodalError:
    """Return the earlier failure if ``error`` only says that the allowance has no room for another attempt."""
    if before is None or not isinstance(error, AllowanceExceeded):
        return error
    before.todo = error.hints.what
    return before


class RunLedger:
    """The money and tokens that one run has spent and reserved."""

    def __init__(self, store: Store, run: str, max_cost: float, allowance: AllowanceLike | None = None) -> None:
        self.run = run
        self.answer = "other"  # kind of answer: ``cost_model/answer_length.py``
        self.effort = NO_THINKING_REQUEST  # the requested reasoning effort
        self.max_cost = max_cost
        self.charges = RunCharges()  # of attempts that ended
        self.reserved = 0.0
        self.reserved_tokens = 0
        self.maybe_paid = 0  # attempts that may have cost money
        self.contacted = set[str]()  # endpoints contacted since the route was chosen
        self._store = store
        self._allowance = allowance
        self._under_way = 0  # attempts in progress
        # Writes the run's own row, together with the row of the first attempt.
        self.begin: Callable[[], None] | None = None

    @property
    def spent(self) -> float:
        """USD that attempts are charged that ended."""
        return self.charges.usd

    async def open(self, step: Call, endpoint: Endpoint, work: Work) -> AttemptEntry:
        """Reserve the step's highest cost. Raises BudgetExceeded: then nothing may be sent.

        There is no await between the check and the reservation, so two concurrent steps cannot both take the last cent.
        """
        high = upper_bound(step.estimate.cost) or 0.0
        if high > 0 and exceeds(self.spent + self.reserved + high, self.max_cost):
            raise BudgetExceeded(
                f"this call may cost up to ${high:.4f}, and ${self.spent + self.reserved:.4f} of the "
                f"${self.max_cost:.4f} allowed is spent or set aside",
                where=endpoint.id,
                todo=hint("raise {max-cost}, or choose a cheaper route"),
                step=step.id,
            )
        row = reservation(step, endpoint, self.answer, run=self.run, work=work, thinking=self.effort)
        most = token_bound(step.estimate).total or 0
        self.reserved += high
        self.reserved_tokens += most
        self._under_way += 1
        entry = AttemptEntry(self, self._store, row, upper_bound(step.estimate.cost), most)
        if self._allowance is not None:
            await self._raise_allowance(self._allowance, entry, step)
        return entry

    async def _raise_allowance(self, allowance: AllowanceLike, entry: AttemptEntry, step: Call) -> None:
        try:
            enough = await allowance.raise_to(
                self.spent + self.reserved, (self.charges.tokens or 0) + self.reserved_tokens
            )
        except BaseException:
            entry.drop()
            raise
        if not enough:
            entry.drop()
            raise AllowanceExceeded(
                f"another call may cost up to ${entry.bound or 0.0:.4f} and take up to "
                f"{entry.most_tokens:,} tokens, for which the budget of this key has no room",
                where=step.endpoint, todo="try again when it has, or raise it", step=step.id,
            )  # fmt: skip
        entry.rate = await self._draw_rate(allowance, entry, step)
        self._report_exposure()

    async def _draw_rate(self, allowance: AllowanceLike, entry: AttemptEntry, step: Call) -> RateDraw:
        try:
            rate_draw = await allowance.draw_rate(step.endpoint, entry.most_tokens)
        except BaseException:
            entry.drop()
            raise
        if isinstance(rate_draw, RateRefusal):
            entry.drop()
            wait = rate_draw.retry_after
            when = "ask for less" if wait is None else f"try again in {math.ceil(wait)} s"
            error = EndpointRateExceeded(
                "has reached the rate that the config of this server allows", where=step.endpoint,
                todo=f"{when}, or raise its row in [serve.rates]", step=step.id,
            )  # fmt: skip
            error.retry_after = wait
            raise error
        return rate_draw

    def add_prior(self, ending: AttemptEnding) -> None:
        """Count an attempt that was made before the run."""
        self.charges = self.charges.with_attempt(ending)
        self._report_exposure()

    def close(self, entry: AttemptEntry, ending: AttemptEnding | None) -> None:
        """Release the reservation of an attempt that ended. ``ending``: None if nothing was sent."""
        self.reserved -= entry.bound or 0.0
        self.reserved_tokens -= entry.most_tokens
        self._under_way -= 1
        if entry.rate is not None:
            entry.rate.settle(0 if ending is None or ending.charge.state == "void" else ending.tokens)
        if ending is not None:
            self.charges = self.charges.with_attempt(ending)
        self._report_exposure()

    def _report_exposure(self) -> None:
        if self._allowance is not None:
            ended = self.charges
            self._allowance.expose(
                ended._replace(
                    usd=ended.usd + self.reserved,
                    unreported=ended.unreported + self.reserved,
                    tokens=None if ended.tokens is None else ended.tokens + self.reserved_tokens,
                    unreported_tokens=ended.unreported_tokens + self.reserved_tokens,
                    maybe_paid=ended.maybe_paid or self._under_way > 0,
                )
            )


def reservation(
    step: Call,
    endpoint: Endpoint,
    answer: str,
    *,
    run: str,
    work: Work,
    thinking: ThinkingRequest = NO_THINKING_REQUEST,
) -> Reservation:
    """Return the row of an attempt before it is made.

    ``answer``: the requested kind of answer. ``thinking``: the requested reasoning effort.
    """
    estimate = step.estimate
    high = upper_bound(estimate.cost) or 0.0
    # A recording is transcribed as it is; audio that another step extracted for speech recognition is a video's.
    kind = FILM_SOUND if step.op == "transcribe" and input_steps(step) else ""
    if step.op == "generate":
        kind = reasoning_figure(answer, effort_key(sent_thinking_request(thinking, endpoint.host)))
    return Reservation(
        run=run, step=step.id, op=step.op, task=step.task, endpoint=endpoint.id, zone=endpoint.host.zone,
        input_tokens=_mid(estimate.input_tokens), output_tokens=_mid(estimate.output_tokens),
        cost=_mid(estimate.cost), seconds=_mid(estimate.seconds), load_seconds=_mid(estimate.load_seconds),
        cost_high=high if math.isfinite(high) else 0.0, work=work,
        output=kind,
        input_range=range_of(estimate.input_tokens), output_range=range_of(estimate.output_tokens),
        seconds_range=range_of(estimate.seconds),
    )  # fmt: skip


class AttemptEntry:
    """One attempt's row. ``sent``: it is in the store, and the attempt may have been paid for from then on.

    ``bound``: USD reserved for it; None if its price is unknown. ``most_tokens``: reserved for it.
    """

    def __init__(
        self, ledger: RunLedger, store: Store, row: Reservation, bound: float | None, most_tokens: int = 0
    ) -> None:
        self.sent = False
        self.bound = bound
        self.most_tokens = most_tokens
        self.rate: RateDraw | None = None
        self._key = ""
        self._row = row
        self._ledger = ledger
        self._store = store
        self._open = True
        self._writing: asyncio.Future[str] | None = None
        self._later: asyncio.TimerHandle | None = None
        # A free attempt need not survive a power loss: neither its row nor the request waits for the disk.
        self._free = bound == 0

    def begin(self) -> None:
        """Start writing the row if the attempt may cost money."""
        if not self._free:
            self.start()

    async def before(self) -> None:
        """Wait until the row is written; the first byte is sent next. Raises StoreError: then nothing may be sent."""
        if self._free:
            self._store.ready()
        else:
            await self.wait_until_written()
        self._ledger.contacted.add(self._row.endpoint)

    def after(self) -> None:
        """Record that the last byte was sent. A free attempt's row is written shortly after, or with its first word."""
        if self._free and self._writing is None and self._later is None:
            self.sent = True
            self._later = asyncio.get_running_loop().call_later(_MOMENT, self.start)

    def start(self) -> None:
        """Start writing the row unless that was started before."""
        if self._later is not None:
            self._later.cancel()
        if self._writing is None and self._open:
            reserve = self._row_writer()

            def write() -> str:
                key = reserve()
                self._store.mark_sent(key)
                return key

            self._writing = asyncio.wrap_future(self._store.write_in_group(write, later=self._free))

    def _row_writer(self) -> Callable[[], str]:
        """Return a function that writes the row, preceded by the run's own row if this is its first attempt."""
        begin, self._ledger.begin = self._ledger.begin, None

        def reserve() -> str:
            if begin is not None:
                begin()
            return self._store.reserve(self._row)

        return reserve

    async def wait_until_written(self) -> None:
        """Wait until the row is written. Raises StoreError."""
        import anyio

        if self._key:
            return
        self.start()
        if self._writing is None:
            return
        with anyio.CancelScope(shield=True):
            try:
                self._key = await asyncio.shield(self._writing)
            except Exception:
                self.drop()  # there is no row, and nothing was sent
                raise
        self.sent = True

    async def close(self, ending: AttemptEnding) -> None:
        """Close the row. If the cost is unknown, the reserved amount is charged."""
        state = ending.charge.state
        write = {"settled": self._store.settle, "estimated": self._store.estimate, "void": self._store.void}[state]
        try:
            if self._writing is not None or self._later is not None:
                await self.wait_until_written()
            if not self._open:
                return
            self._release(ending)
            # If it ended before anything was sent, its row is not written yet.
            reserve = None if self._key else self._row_writer()
            await write_in_group_commit(
                self._store, lambda: write(reserve() if reserve is not None else self._key, ending.outcome)
            )
        except StoreError:
            # The answer is not withheld: an open row counts at its upper bound, and a free one as nothing. Any other
            # attempt without a row was never sent.
            if not self._key and not self._free:
                raise

    def drop(self) -> None:
        """Release the reservation without a row: nothing was sent."""
        self._release(None)

    def _release(self, ending: AttemptEnding | None) -> None:
        """Release the reservation. ``ending``: None if nothing was sent."""
        if self._open:
            self._open = False
            self._ledger.close(self, ending)


async def write_in_thread(write: Callable[[], T]) -> T:
    """Run ``write``, which blocks for milliseconds, in a thread.

    Shielded from cancellation: a cancelled attempt must not leave an open row, or one whose id is lost.
    """
    import anyio
    import anyio.to_thread

    results: list[T] = []
    with anyio.CancelScope(shield=True):
        results.append(await anyio.to_thread.run_sync(write))
    return results[0]


async def write_in_group_commit(store: Store, write: Callable[[], T], *, later: bool = False) -> T:
    """Run ``write`` in a commit shared with other runs; shielded like ``write_in_thread``."""
    import anyio

    results: list[T] = []
    with anyio.CancelScope(shield=True):
        results.append(await asyncio.shield(asyncio.wrap_future(store.write_in_group(write, later=later))))
    return results[0]


def _mid(quantity: Quantity) -> float | None:
    return quantity.mid if quantity.known else None


def count_letters(pictures: tuple[ImageInput, ...], facts: PartFacts) -> float:
    """Return the letters counted on these images when the part was probed.

    Returns 0 if one of them was not counted, or its script has another number of tokens per letter: then nothing is
    learned.
    """
    if facts.script or any(page.script for page in facts.pages if page.number in {each.page for each in pictures}):
        return 0.0
    pages = {page.number: page.letters for page in facts.pages}
    total = 0.0
    if any(picture.cropped for picture in pictures):
        return sum(page.figure_letters.mid for page in facts.pages if page.number in {each.page for each in pictures})
    for picture in pictures:
        image_letters = pages.get(picture.page) if picture.page else facts.letters if facts.kind == "image" else None
        if image_letters is None or not image_letters.known:
            return 0.0
        total += image_letters.mid
    return total


def transform_row(
    step: Transform, facts: PartFacts, product: StepProduct, seconds: float, run: str
) -> TransformRow | None:
    """Return the row of a transform; None for one that takes no time of its own."""
    amount = _amount(step, facts, product)
    if not amount:
        return None
    expected = step.estimate.seconds
    return TransformRow(
        op=step.op, amount=round(amount, 4), seconds=seconds, run=run, step=step.id,
        expected=expected.mid if expected.known else None, expected_range=range_of(expected),
    )  # fmt: skip


def range_of(quantity: Quantity) -> Range | None:
    return Range(low=quantity.low, high=quantity.high) if quantity.known else None


def _amount(step: Transform, facts: PartFacts, product: StepProduct) -> float:
    """Return the amount of work in the unit of the operation's figure (``store/learned_figures.py``:
    ``TRANSFORMS``).
    """
    if step.op == "extract":
        return float(len(product.pieces))
    if step.op == "render":
        return sum(piece.width * piece.height for piece in product.pieces if isinstance(piece, ImageInput)) / 1e6
    if step.op == "frames":
        return facts.seconds.mid * facts.width * facts.height / 1e6
    if step.op == "demux":
        return sum(piece.seconds for piece in product.pieces if isinstance(piece, AudioInput))
    return 0.0
