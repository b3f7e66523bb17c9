"""Cost accounting of an attempt: its charge by outcome, and its bill by the reported usage. Pure.

    ended                                   row           cost                                   breaker
    with an answer whose usage is known     settled       by its usage                           works
    with an answer without usage            estimated     unknown: the amount reserved counts    works
    failed after its first word, or in a
    way that may have been billed           estimated     unknown, 0 where the endpoint is free  by the error
    failed and certainly not billed         void          0                                      by the error
    abandoned after it was sent             estimated     unknown, 0 where the endpoint is free  works if it spoke
    abandoned before                        void          0                                      nothing

``AttemptAccount`` is one attempt: the executor and the direct path tell it what happens and do as it says. An endpoint
is free where its estimate is known and 0 at its high end; one without a known price is not. ``price_of_usage``
bills a finished call at the prices of its day: the host's dated price vector where there is one (cached tokens,
modalities, steps and tiers each at their own price), else the endpoint's own price by the same arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil, isfinite
from typing import Literal, NamedTuple

import msgspec

from intermodal.catalog import rate_cards
from intermodal.catalog.rate_cards import RateCard
from intermodal.catalog.types import Endpoint, Price
from intermodal.core.quantity import Quantity, between
from intermodal.errors import CallError, IntermodalError
from intermodal.events import Actual, Usage
from intermodal.executor.attempt.circuit_breaker import EndpointHealth
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.step import Call, StepEstimate
from intermodal.protocols.calls import WireUsage
from intermodal.store.rows import AttemptOutcome, Work

ClosedState = Literal["settled", "estimated", "void"]


class Charge(msgspec.Struct, frozen=True):
    """The state and cost that close an attempt's row.

    Attributes:
        state: the state of the row.
        cost: USD, None if it cannot be known.
        maybe_paid: the attempt may have cost money.
    """

    state: ClosedState
    cost: float | None
    maybe_paid: bool

    @property
    def charged(self) -> Literal["no", "maybe"]:
        """``events.AttemptFailed.charged`` of a failed attempt."""
        return "no" if self.cost == 0 else "maybe"


_VOID = Charge("void", 0.0, False)
_UNREPORTED, _NO_USAGE = WireUsage(), Usage()
_NO_MODALITIES: Mapping[str, int] = {}


def upper_bound(cost: Quantity) -> float | None:
    """Return the maximum USD charged for a call whose cost is not reported; None if its price is unknown."""
    return cost.high if cost.known else None


def is_free(cost: Quantity) -> bool:
    """Return True if a call with this estimate certainly costs nothing."""
    return upper_bound(cost) == 0


class TokenBound(NamedTuple):
    """The most tokens that a host may count for one attempt; None where the plan knows no limit."""

    input: int | None = 0
    output: int | None = 0

    @property
    def total(self) -> int | None:
        return None if self.input is None or self.output is None else self.input + self.output


class CallBound(NamedTuple):
    """The most that one attempt may take, if that is less than planned: USD, and tokens."""

    usd: float
    tokens: TokenBound


def token_bound(estimate: StepEstimate) -> TokenBound:
    return TokenBound(_most_tokens(estimate.input_tokens), _most_tokens(estimate.output_tokens))


def _most_tokens(tokens: Quantity) -> int | None:
    return ceil(tokens.high) if tokens.known and isfinite(tokens.high) else None


def usage_is_complete(usage: WireUsage | None, *, looped: bool, overran: bool) -> bool:
    """Return True if the usage covers the whole answer.

    It does not if the answer was stopped for repeating itself, or was stopped at a limit that its host ignored and no
    output tokens were reported.
    """
    return not looped and not (overran and (usage is None or usage.output_tokens is None))


def charge_answer(billed: float | None, estimated: Quantity, *, usage_complete: bool) -> Charge:
    """Return the charge of an attempt that ended with an answer or a refusal.

    Args:
        billed: USD by the reported usage (``price_of_usage``). estimated: USD as planned.
        usage_complete: the usage covers the whole answer (``usage_is_complete``).
    """
    open_ = not usage_complete or (billed is None and bool(upper_bound(estimated)))
    return Charge("estimated" if open_ else "settled", billed, True)


def charge_failure(error: IntermodalError, estimated: Quantity, *, sent: bool, begun: bool) -> Charge:
    """Return the charge of an attempt that failed.

    Args:
        sent: a part of the request may have reached the endpoint.
        begun: the first word arrived, so output tokens were generated, whatever error followed.
    """
    if sent and (begun or (isinstance(error, CallError) and error.billing != "free")):
        return _unknown(estimated)
    return _VOID


def charge_cancel(estimated: Quantity, *, sent: bool) -> Charge:
    """Return the charge of an attempt that was abandoned: its output up to then is unknown."""
    return _unknown(estimated) if sent else _VOID


def _unknown(estimated: Quantity) -> Charge:
    return Charge("estimated", 0.0 if is_free(estimated) else None, True)


class AttemptEnding(msgspec.Struct, frozen=True):
    """How an attempt ended, as reported to its row, the budgets, the events and the metrics.

    Attributes:
        charge: how its row is closed. outcome: the contents of its row.
        counts: USD charged for it: its cost, else its upper bound; None if its price is unknown.
        tokens: input and output tokens charged for it: as reported, else the most there may have been; None if that is
            unknown. unreported_tokens: the part of them that is an upper bound.
    """

    charge: Charge
    outcome: AttemptOutcome
    counts: float | None
    tokens: int | None = 0
    unreported_tokens: int = 0

    @property
    def unreported(self) -> float:
        """The part of ``counts`` that is an upper bound, in USD."""
        return 0.0 if self.charge.cost is not None else self.counts or 0.0


class AttemptAccount:
    """Accounts for one attempt, from its beginning to its single end: ``end``, ``fail`` or ``cancel``.

    It informs the circuit breaker, and determines what the attempt cost and how its row is closed. It sends and writes
    nothing: times are passed in, and the caller writes the row of an ending.

    Attributes:
        began: when its time began.
        billed: USD by the reported usage (``price_of_usage``); None while unknown.
        first_at: when the first word arrived; None before that.
    """

    __slots__ = ("_bound", "_call", "_estimate", "_sent_at", "_streamed", "began", "billed", "first_at",
                 "load_seconds")  # fmt: skip

    def __init__(
        self, health: EndpointHealth, endpoint: Endpoint, estimate: StepEstimate, now: float, *, streamed: bool,
        is_resend: bool = False, bound: CallBound | None = None,
    ) -> None:  # fmt: skip
        """Begin an attempt.

        Args:
            estimate: as planned. bound: the most it may take if that is less.
            streamed: the first word arrives before the last.
            is_resend: it is a resend that ``EndpointHealth.acquire_resend`` has paid for, or that its host requested.
        """
        self.billed: float | None = None
        self.first_at: float | None = None
        self.load_seconds = 0.0
        self.began = self._sent_at = now
        self._bound = bound
        self._call = health.begin(endpoint.id, endpoint.host.id, now, is_resend=is_resend)
        self._estimate = estimate
        self._streamed = streamed

    def start(self, now: float) -> None:
        """Start measuring time now: earlier waiting is not part of the attempt."""
        self.began = now

    def sending(self, now: float) -> None:
        """Record that the request is sent now."""
        self._sent_at = now

    def first_word(self, now: float) -> None:
        """Record that the answer began. Only the first call has an effect."""
        if self.first_at is None:
            self.first_at = now
            self._call.first_word()

    @property
    def counts(self) -> float | None:
        """USD charged for an answer: its cost, else its upper bound."""
        return self._maximum_cost() if self.billed is None else self.billed

    def _maximum_cost(self) -> float | None:
        return upper_bound(self._estimate.cost) if self._bound is None else self._bound.usd

    def end(
        self, now: float, reported: WireUsage, *, out: int | None, usage_complete: bool = True, cut: bool = False,
        code: str = "",
    ) -> AttemptEnding:  # fmt: skip
        """End the attempt with an answer or a refusal.

        Args:
            reported: the host's own counts. out: counted tokens of the answer.
            usage_complete: the usage covers the whole answer (``usage_is_complete``). cut: the answer ended at a limit.
            code: error code if the answer cannot be used.
        """
        self._call.end(None, now)
        charge = charge_answer(self.billed, self._estimate.cost, usage_complete=usage_complete)
        usage = reported_usage(reported, out)
        return self._build_ending(
            now, charge, code, reported, usage, out if usage_complete else reported.output_tokens, cut=cut
        )

    def fail(self, error: IntermodalError, now: float, *, sent: bool) -> AttemptEnding:
        """End the attempt with an error, which is marked as billed if output was generated that has a price.

        ``sent``: a part of the request may have reached the endpoint.
        """
        self._call.end(error, now)
        begun = self.first_at is not None
        charge = charge_failure(error, self._estimate.cost, sent=sent, begun=begun)
        if begun and charge.cost != 0 and isinstance(error, CallError):
            error.billing = "billed"  # whatever an error of its kind usually is
        return self._build_ending(now, charge, error.code)

    def cancel(self, now: float, *, sent: bool, code: str = "cancelled") -> AttemptEnding:
        """Abandon the attempt: its answer is no longer awaited."""
        self._call.abandon()
        return self._build_ending(now, charge_cancel(self._estimate.cost, sent=sent), code)

    def _build_ending(
        self, now: float, charge: Charge, code: str, reported: WireUsage = _UNREPORTED, usage: Usage = _NO_USAGE,
        out: int | None = None, *, cut: bool = False,
    ) -> AttemptEnding:  # fmt: skip
        """Return the ending. ``out``: the tokens of the answer if all of them were counted."""
        cost, first = charge.cost, self.first_at
        by_modality = dict(reported.input_by_modality) if reported.input_by_modality else _NO_MODALITIES
        counts = self._maximum_cost() if cost is None else cost
        lower = self._bound is not None and charge.state == "estimated"
        outcome = AttemptOutcome(
            usage=usage,
            cost=counts if lower else cost,  # the row knows the higher bound
            seconds=max(0.0, now - self.began - self.load_seconds),
            first_seconds=None if first is None or not self._streamed else max(0.0, first - self._sent_at),
            load_seconds=self.load_seconds,
            cached=bool(reported.cached_tokens and reported.cached_tokens * 2 > (reported.input_tokens or 0)),
            error=code,
            reasoning_tokens=reported.reasoning_tokens,
            told_image=by_modality.get("image"),
            told_audio=by_modality.get("audio"),
            cut=cut,
        )
        if charge.state == "void":
            return AttemptEnding(charge, outcome, counts)
        tokens, unreported = self._tokens(usage.input_tokens, out)
        return AttemptEnding(charge, outcome, counts, tokens, unreported)

    def _tokens(self, input_tokens: int | None, output_tokens: int | None) -> tuple[int | None, int]:
        """Return the tokens to charge, and the part of them that is an upper bound: of each count that is None."""
        if input_tokens is not None and output_tokens is not None:
            return input_tokens + output_tokens, 0
        most = token_bound(self._estimate) if self._bound is None else self._bound.tokens
        tokens = TokenBound(
            most.input if input_tokens is None else input_tokens,
            most.output if output_tokens is None else output_tokens,
        ).total
        return tokens, 0 if tokens is None else tokens - (input_tokens or 0) - (output_tokens or 0)


def reported_usage(usage: WireUsage, out: int | None) -> Usage:
    """Return a host's usage as events report it, with ``out`` as the tokens of the answer."""
    return Usage(
        input_tokens=usage.input_tokens, output_tokens=out, cached_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens, reasoning_tokens=usage.reasoning_tokens,
    )  # fmt: skip


_SILENT = (("embedding",), ("scores",))  # outputs of models that generate no tokens


# A host's name for the service tier of a call -> the rate card's; other tiers keep their name.
_BATCH = {"batch": {"processing": "batch"}}

_KINDS = {"audio": "audio", "image": "image", "document": "image", "video": "video"}  # pages are billed as images


def price_of_usage(
    endpoint: Endpoint,
    usage: WireUsage,
    work: Work,
    vectors: tuple[RateCard, ...] = (),
    moment: str = "",
    *,
    image_count: int = 0,
) -> float | None:
    """Return the cost of a call in USD; None if a price or a required count is unknown.

    Args:
        vectors: the host's dated prices; () for the endpoint's own price.
        moment: time of the call in UTC: 2026-11-25, or 2026-11-25T09:30; "" is any day.
        image_count: number of generated images.

    Calls on this machine without a price are free. A price per second, page, character or image applies alone if the
    endpoint has one for this kind of work, except that seconds of audio in a chat are billed in addition to its tokens;
    otherwise tokens are billed. If the usage does not break tokens down by modality, its most expensive reading counts,
    so that no budget is exceeded unnoticed.
    """
    price = endpoint.price_on(moment.partition("T")[0])
    if image_count and price.picture is not None and not price.unsaid:
        return price.request + image_count * price.picture
    vector = _rates_of_moment(vectors, usage, moment) if vectors else _rate_card_of_row(endpoint, work, moment)
    if vector is None:
        return None
    costs = [
        None if counts is None else rate_cards.itemize(vector, counts).usd
        for counts in _possible_counts(vector, usage, work, silent=endpoint.model.output in _SILENT)
    ]
    known_costs = [usd for usd in costs if usd is not None]
    return max(known_costs) if len(known_costs) == len(costs) else None


def _rates_of_moment(vectors: tuple[RateCard, ...], usage: WireUsage, moment: str) -> RateCard | None:
    conditions = _BATCH.get(usage.tier, {"service_tier": usage.tier}) if usage.tier else {}
    return rate_cards.effective_rates(vectors, moment or "9999-12-31", **conditions)


def _rate_card_of_row(endpoint: Endpoint, work: Work, moment: str) -> RateCard | None:
    """Return the price of a row as a vector; without prices before the day from which they hold."""
    day = moment.partition("T")[0]
    price = endpoint.price_on(day)
    if price.effective_from and day and price.effective_from > day:
        price = Price()
    units = _with_steps(price, work, chats={"text", "audio"}.issubset(endpoint.input))
    if endpoint.host.zone in LOCAL_ZONES and price.input_mtok is None and price.output_mtok is None:
        for name in ("input_mtok", "output_mtok", "input_audio_mtok", "output_audio_mtok"):
            units.setdefault(name, 0.0)
    if price.request:
        units["requests_kcount"] = price.request * 1000
    return RateCard(units=units, least_seconds=price.least_seconds, unsaid=price.unsaid)


def _with_steps(price: Price, work: Work, *, chats: bool) -> dict[str, rate_cards.Rate]:
    """Return the units of a row's price, with the prices of larger requests as their steps."""
    base = _units(price, work, chats)
    steps = [(most, _units(dearer, work, chats)) for most, dearer in price.above]
    if not steps:
        return {**base}
    return {unit: ((0, usd), *((most, dearer.get(unit, usd)) for most, dearer in steps)) for unit, usd in base.items()}


def _units(price: Price, work: Work, chats: bool) -> dict[str, float]:
    """Return USD by unit. ``chats``: text tokens are billed besides audio seconds, unlike in transcription."""
    if work.audio_seconds and price.second is not None and not (chats and price.input_mtok is not None):
        return {"audio_hours": price.second * 3600}
    if (work.pages or work.megapixels) and price.page is not None:
        return {"input_document_kpages": price.page * 1000}
    if work.characters and price.input_mchar is not None:
        return {"input_mchars": price.input_mchar}
    text, out = price.input_mtok, price.output_mtok
    prices = {
        "input_mtok": text,
        "output_mtok": out,
        "input_image_mtok": price.input_image_mtok,
        "input_audio_mtok": None if price.by_length else price.of_audio,
        "audio_hours": price.second * 3600 if price.by_length and price.second is not None else None,
        "output_audio_mtok": out if price.output_audio_mtok is None else price.output_audio_mtok,
        "output_image_mtok": price.output_image_mtok,
    }
    return {name: usd for name, usd in prices.items() if usd is not None}


# ---- counts ----------------------------------------------------------------------------------------
def _possible_counts(
    vector: RateCard, usage: WireUsage, work: Work, *, silent: bool
) -> Iterator[dict[str, float] | None]:
    """Yield the possible readings of a usage, as priced counts; None if a count that costs money is unknown."""
    units = vector.units
    seconds = usage.seconds or work.audio_seconds
    if "input_mtok" not in units:
        if seconds and not rate_cards.AUDIO_LENGTH_UNITS.isdisjoint(units):
            yield {"input_audio_seconds": seconds}
            return
        if (work.pages or work.megapixels) and "input_document_kpages" in units:
            yield {"input_document_pages": float(max(1, work.pages))}
            return
        if work.characters and "input_mchars" in units:
            yield {"input_characters": float(work.characters)}
            return
    output_counts = _output_counts(units, usage, work, silent=silent)
    if output_counts is None or (usage.input_tokens is None and not _free(units, "in")):
        yield None
        return
    input_tokens = usage.input_tokens or 0
    if seconds and not rate_cards.AUDIO_LENGTH_UNITS.isdisjoint(units) and "input_audio_mtok" not in units:
        # Sound is billed by its length. Audio tokens that are not reported apart count as text, the dearest reading.
        kinds_reported = _reported_kinds(usage.input_by_modality, input_tokens)
        input_tokens -= kinds_reported.pop("audio", 0)
        yield {**_input_counts(usage, input_tokens, kinds_reported), **output_counts, "input_audio_seconds": seconds}
        return
    kinds_reported = _reported_kinds(usage.input_by_modality, input_tokens)
    rest = input_tokens - sum(kinds_reported.values()) - dict(usage.input_by_modality).get("text", 0)
    media_kinds = [kind for kind, amount in (("audio", work.audio_seconds), ("image", work.megapixels)) if amount]
    for kind in ("", *(kind for kind in media_kinds if kind not in kinds_reported and rest > 0)):
        kinds = {**kinds_reported, kind: rest} if kind else kinds_reported
        yield _input_counts(usage, input_tokens, kinds) | output_counts


def _reported_kinds(by_modality: tuple[tuple[str, int], ...], most: int) -> dict[str, int]:
    """Return the reported tokens of each kind with its own price; {} if they add up to more than ``most``."""
    found: dict[str, int] = {}
    for name, tokens in by_modality:
        if name in _KINDS:
            found[_KINDS[name]] = found.get(_KINDS[name], 0) + tokens
    return found if sum(found.values()) <= most else {}


def _input_counts(usage: WireUsage, input_tokens: int, kinds: Mapping[str, int]) -> dict[str, float]:
    """Return the input counts. Cached tokens without a breakdown count as text first, which has the smallest discount.

    No host has a price for cached video, so it is billed in full.
    """
    text = input_tokens - sum(kinds.values())
    cache_written = min(usage.cache_write_tokens or 0, text)
    left = min(usage.cached_tokens or 0, input_tokens - cache_written)
    kinds_reported = _reported_kinds(usage.cached_by_modality, left)
    of_text = min(left - sum(kinds_reported.values()), text - cache_written)
    left -= of_text
    cached: dict[str, int] = {}
    for kind, tokens in kinds.items():
        cached[kind] = min(tokens, kinds_reported.get(kind, 0) if kinds_reported else left)
        left -= 0 if kinds_reported else cached[kind]
    cached.pop("video", None)
    counts = {
        "input_tokens": input_tokens,
        **{f"input_{kind}_tokens": tokens for kind, tokens in kinds.items()},
        **{f"cache_{kind}_read_tokens": tokens for kind, tokens in cached.items()},
        "cache_read_tokens": of_text + sum(cached.values()),
        "cache_write_tokens": cache_written,
        "cache_write_1h_tokens": min(usage.cache_write_1h_tokens or 0, cache_written),
    }
    return {name: float(count) for name, count in counts.items() if count}


def _output_counts(
    units: Mapping[str, rate_cards.Rate], usage: WireUsage, work: Work, *, silent: bool
) -> dict[str, float] | None:
    """Return the output counts: text, reasoning, speech and images. None if they are unknown and cost money."""
    out = usage.output_tokens
    if out is None:
        return {} if silent or _free(units, "out") else None
    audio_tokens = usage.audio_tokens
    if audio_tokens is None and work.characters:
        audio_tokens = out  # spoken text: all output is audio
    counts = {"output_tokens": float(out)}
    for name, tokens in (("audio", audio_tokens), ("image", usage.image_tokens), ("reasoning", usage.reasoning_tokens)):
        part = min(tokens or 0, out)
        if part:
            counts[f"output_{name}_tokens"] = float(part)
            out -= part
    return counts


def _free(units: Mapping[str, rate_cards.Rate], direction: str) -> bool:
    """Return True if input or output tokens have a price and it is zero."""
    rates = [
        rate_cards.base_rate(rate)
        for name, rate in units.items()
        if name in rate_cards.UNITS and {"tokens", direction} <= rate_cards.UNITS[name].about
    ]
    return bool(rates) and not any(rates)


def remaining_estimate(step: Call, first: Actual) -> Call:
    """Return the step of a second call: the plan's highest cost covers both calls, so the first one's is subtracted."""
    cost = step.estimate.cost
    if not cost.known or first.cost is None:
        return step
    left = max(0.0, cost.high - first.cost)
    rest = between(0.0, min(cost.mid, left), left, cost.basis)
    return msgspec.structs.replace(step, estimate=msgspec.structs.replace(step.estimate, cost=rest))


def add_actuals(first: Actual, second: Actual, *, answer_usage: Usage | None = None) -> Actual:
    """Return the combined figures of two calls of one step.

    ``answer_usage``: the usage of the step's answer, if not the second's.
    """
    costs_known = first.cost is not None and second.cost is not None
    usage = second.usage if answer_usage is None else answer_usage
    replaced_usage = second.usage if answer_usage == first.usage and answer_usage is not None else first.usage
    return Actual(
        step=second.step,
        seconds=first.seconds + second.seconds,
        load_seconds=first.load_seconds + second.load_seconds,
        usage=usage,
        cost=(first.cost or 0.0) + (second.cost or 0.0) if costs_known else None,
        peak_memory=max(first.peak_memory or 0, second.peak_memory or 0) or None,
        began=first.began,
        calls=first.calls + second.calls,
        replaced=(*first.replaced, *second.replaced, replaced_usage),
    )
