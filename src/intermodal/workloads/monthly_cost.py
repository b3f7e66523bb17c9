"""Plan and bill a workload: real files are opened once, hypothetical parts are added, and every plan is billed.

The prices of a plan are those of the workload's day, of batch mode and of cached text (``Discounts``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from intermodal.catalog.load import plannable, rate_card_lookup
from intermodal.catalog.rate_cards import RateCard, base_rate
from intermodal.catalog.snapshot.interpretation import has_batch_price, rate_card_on, with_price_on
from intermodal.catalog.types import Catalog, Endpoint
from intermodal.concurrency.offload import offload
from intermodal.config import snapshot_file
from intermodal.content import File, Kind, PathSource, Text
from intermodal.content import Part as ContentPart
from intermodal.cost_model.rates import LOCAL_ZONES, endpoint_rates
from intermodal.errors import NoRoute, UnknownModel, UsageError
from intermodal.planner import plan_from
from intermodal.plans.facts import Facts, PartFacts, QuestionFacts
from intermodal.plans.plan import Inputs, Plan
from intermodal.plans.step import Call
from intermodal.request import DEFAULT_MAX_COST, Message, Policy, Request, Sampling, TextOutput
from intermodal.today import today
from intermodal.workloads.bills import Biller, MonthlyCost, PlanBill
from intermodal.workloads.workload import LETTERS_PER_PAGE, NO_LIMIT, PlanSpec, Workload, imagined

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class WorkloadInputs(Protocol):
    """The planner's inputs."""

    @property
    def inputs(self) -> Inputs: ...


class InputGatherer(Protocol):
    """A client, as far as a bill needs one: it opens files and gathers what the planner reads."""

    env: Mapping[str, str]

    async def prepare(self, request: Request) -> WorkloadInputs: ...

    async def question_needs(self, question: str, kinds: tuple[Kind, ...]) -> QuestionFacts | None: ...


async def monthly_cost(workload: Workload, client: InputGatherer) -> MonthlyCost:
    """Plan and bill every plan of a workload. Contacts no host and spends nothing.

    Raises InputError for an unusable file, UnknownModel for an unknown model.
    """
    day = workload.day or today()
    base = replace(await _inputs(workload, client), as_of=day)
    bills: list[PlanBill] = []
    for wanted in workload.plans:
        known = await _known(wanted, client)
        bills.append(await offload(True, _bill, workload, wanted, replace(base, catalog=known), client.env))
    return MonthlyCost(
        name=workload.name, requests=workload.requests, day=day, assumed=tuple(_assumed(workload)), plans=tuple(bills)
    )


async def _known(wanted: PlanSpec, client: InputGatherer) -> Catalog:
    """The catalog with the models and hosts that a plan names; no media are opened for it."""
    words = (Message(role="user", parts=(Text(text=wanted.name),)),)
    asked = Request(messages=words, policy=Policy(model=wanted.policy.model, hosts=wanted.policy.hosts))
    return (await client.prepare(asked)).inputs.catalog


async def _inputs(workload: Workload, client: InputGatherer) -> Inputs:
    """Return the planner's inputs without the policy. Real files come before hypothetical parts."""
    text = (Text(text=workload.prompt),) if workload.prompt else ()
    files = tuple(File(source=PathSource(path=part.file)) for part in workload.parts if part.file)
    system = (Message(role="system", parts=(Text(text=workload.system),)),) if workload.system else ()
    asked = Message(role="user", parts=(*text, *files) or (Text(text=""),))
    opened = (await client.prepare(Request(messages=(*system, asked), output=workload.output))).inputs
    *before, last = opened.request.messages
    parts, facts = list(last.parts), list(opened.facts.parts)
    if not text and not files:
        parts, facts = [], facts[: len(facts) - 1]
    for part, found in _imagined(workload, len(facts)):
        parts.append(part)
        facts.append(found)
    messages = (*before, replace(last, parts=tuple(parts)))
    request = replace(opened.request, messages=messages, sampling=Sampling(max_tokens=workload.max_tokens),
                      answer_tokens=workload.tokens or None)  # fmt: skip
    kinds: tuple[Kind, ...] = tuple(dict.fromkeys(part.kind for part in facts))
    told = await client.question_needs(workload.prompt, kinds)  # hypothetical media are treated as real ones
    return replace(opened, request=request, facts=Facts(parts=tuple(facts), question=told), asked=())


def _imagined(workload: Workload, first: int) -> Iterator[tuple[ContentPart, PartFacts]]:
    """Imagined parts with names that differ."""
    times: dict[str, int] = {}
    for part in (part for part in workload.parts if part.piece is not None):
        for _ in range(part.count):
            name = part.name or (part.piece.name if part.piece is not None else "")
            number = times[name] = times.get(name, 0) + 1
            index = first + sum(times.values()) - 1
            yield imagined(part, index, name if number == 1 else f"{name} ({number})")


def _bill(workload: Workload, wanted: PlanSpec, base: Inputs, env: Mapping[str, str]) -> PlanBill:
    policy = wanted.policy
    priced = Discounts(rate_card_lookup(snapshot_file(env)), base.as_of, wanted.batch, wanted.cached)
    catalog = priced.catalog(plannable(base.catalog, policy.hosts))
    inputs = replace(base, request=replace(base.request, policy=policy), catalog=catalog)
    try:
        made = _planned(inputs)
    except NoRoute as error:
        said = error.worded("command line")  # as plans are, which it stands beside
        return PlanBill(name=wanted.name, refused=str(said), reasons=said.reasons)
    except (UnknownModel, UsageError) as error:
        raise type(error)(f"plan {wanted.name!r}: {error.what}", where=error.where, todo=error.hints.todo) from None
    biller = Biller(
        catalog, lambda endpoint: endpoint_rates(endpoint, inputs.statistics, inputs.as_of), requests=workload.requests,
        tokens=workload.tokens, cached=priced.cached,
    )  # fmt: skip
    bill = biller.bill(wanted.name, made, inputs.facts)
    return replace(bill, warnings=(*bill.warnings, *priced.said(catalog, made)))


def _planned(inputs: Inputs) -> Plan:
    """The plan. Where no limit is stated and nothing with a price can do it, one whose price is not known may: such
    a plan passes no limit of money but the default's."""
    try:
        return plan_from(inputs)
    except NoRoute:
        if inputs.request.policy.max_cost != NO_LIMIT:
            raise
        policy = replace(inputs.request.policy, max_cost=DEFAULT_MAX_COST)
        try:
            return plan_from(replace(inputs, request=replace(inputs.request, policy=policy)))
        except NoRoute:
            pass
        raise


def _assumed(workload: Workload) -> Iterator[str]:
    """Yield the assumptions made for unstated facts."""
    pieces = [part for part in workload.parts if part.piece is not None]
    if any(part.piece and part.piece.kind == "document" and part.letters == LETTERS_PER_PAGE for part in pieces):
        yield f"an imagined PDF has {LETTERS_PER_PAGE:,} letters a page (letters_per_page, scanned)"
    if any(part.piece and part.piece.kind == "image" and part.density is None for part in pieces):
        yield "how much writing is on an imagined picture is not known (text_density)"
    if any(part.piece and part.piece.kind == "video" and not part.piece.width for part in pieces):
        yield "an imagined video has 1280x720 pixels"
    if workload.tokens is None and isinstance(workload.output, TextOutput):
        yield "tokens of an answer are the planner's range (output: tokens)"


__all__ = ["monthly_cost"]


# ---- prices of the day, of batch mode, of cached text -----------------------------------------------


_CACHED = "cache_read_mtok"
_WAITS = "a batch is answered when the host has time, within a day as a rule; seconds are of one request alone"


class Discounts:
    """``tariff``: dated prices of an endpoint, () where its own row has its only one. ``day``: ISO."""

    def __init__(self, tariff: Callable[[Endpoint], tuple[RateCard, ...]], day: str, batch: bool, cached: int) -> None:
        self._tariff = tariff
        self._day = day
        self._batch = batch
        self._tokens = cached
        self._vectors: dict[str, tuple[RateCard, ...]] = {}

    def catalog(self, catalog: Catalog) -> Catalog:
        """Every endpoint at the price it has on the day. A host that states no price of a batch keeps its standard
        price: a request can always be sent there by itself."""
        return replace(catalog, endpoints=tuple(map(self._priced, catalog.endpoints)))

    def _priced(self, endpoint: Endpoint) -> Endpoint:
        vectors = self._vectors[endpoint.id] = self._tariff(endpoint)
        return with_price_on(endpoint, vectors, self._day, batch=self._batch)

    def cached(self, endpoint: Endpoint) -> tuple[int, float | None]:
        """Return the tokens in the cache of an answering endpoint, and USD for one, None without a stated price."""
        vector = rate_card_on(self._vectors.get(endpoint.id, ()), self._day, batch=self._batch)
        rate = vector.units.get(_CACHED) if vector is not None else None
        return self._tokens, None if rate is None else base_rate(rate) / 1e6

    def said(self, catalog: Catalog, plan: Plan) -> Iterator[str]:
        """Yield the discounts that do not hold for a plan, and the effect of a batch on its seconds."""
        calls = [step for step in plan.chosen.steps if isinstance(step, Call)]
        hosted = [name for name in dict.fromkeys(step.endpoint for step in calls) if _is_paid(catalog.by_id[name])]
        if self._batch and hosted:
            plain = [name for name in hosted if not has_batch_price(self._vectors.get(name, ()), self._day)]
            if plain:
                yield f"no price of a batch is known of {', '.join(plain)}: the standard price counts"
            if len(plain) < len(hosted):
                yield _WAITS
        answering = plan.chosen.answering.endpoint
        if self._tokens and answering in hosted and self.cached(catalog.by_id[answering])[1] is None:
            yield f"no price of cached text is known of {answering}: it counts as any other"


def _is_paid(endpoint: Endpoint) -> bool:
    return endpoint.host.zone not in LOCAL_ZONES
