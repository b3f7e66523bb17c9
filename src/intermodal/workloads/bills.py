"""The monthly bill of a plan, by modality and by step. Pure.

Every number is the planner's own for one request, times the requests. Ranges stay: what is off for one request is off
for all of them alike. A step that converts a part belongs to that part's kind, and so do the tokens that its outcome
takes in the answering call; prompt and framing are *text*, and the answer, with the one repair that JSON may need in
its high end, is *output*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape

from msgspec import field

from intermodal.catalog.types import Catalog, Endpoint
from intermodal.content import Value
from intermodal.cost_model.levels import ZEROS, Levels, levels, plus, quantity, times
from intermodal.cost_model.rates import LOCAL_ZONES, Rates
from intermodal.plans.facts import Facts
from intermodal.plans.plan import Candidate, Plan
from intermodal.plans.step import Call, Check, Step
from intermodal.quantity import Quantity, exact, total, unknown

MODALITIES = ("text", "image", "audio", "video", "pdf", "output")
_OF_KIND = {"document": "pdf"}  # others by their own name
_DIGITS = 10
RatesOf = Callable[[Endpoint], Rates]
Cached = Callable[[Endpoint], tuple[int, float | None]]


_BY_TOKENS = ("generate", "translate", "score", "embed")  # last calls whose input is billed by tokens of each kind


class StepBill(Value):
    """One step over a month. ``hours``: of this machine's work; 0 where the step runs elsewhere."""

    op: str
    what: str
    endpoint: str
    modality: str
    usd: Quantity
    tokens_in: Quantity
    tokens_out: Quantity
    hours: Quantity


class PlanBill(Value):
    """A plan over a month.

    Attributes:
        tier: the weakest link. usd: by modality. total: all of them; unknown where a price is.
        seconds: of one request. lost: aspects. warnings, notes: sentences of the plan.
        refused: why there is no such plan, with ``reasons``; "" where there is.
    """

    name: str
    endpoint: str = ""
    summary: str = ""
    tier: str = ""
    usd: dict[str, Quantity] = field(default_factory=dict)
    total: Quantity = Quantity()
    tokens_in: Quantity = Quantity()
    tokens_out: Quantity = Quantity()
    hours: Quantity = Quantity()
    seconds: Quantity = Quantity()
    steps: tuple[StepBill, ...] = ()
    lost: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refused: str = ""
    reasons: tuple[str, ...] = ()


class MonthlyCost(Value):
    """Every plan of a workload, side by side. ``requests``: a month. ``day``: whose prices. ``assumed``: in words."""

    name: str
    requests: float
    day: str
    plans: tuple[PlanBill, ...]
    assumed: tuple[str, ...] = ()

    def svg(self, name: str = "im-month") -> str:
        """The bills as a picture: a bar a plan, stacked by kind of part. ``name``: its classes begin with it."""
        from intermodal.workloads.cost_chart import svg

        return svg(self, name)

    def __str__(self) -> str:
        """What ``intermodal cost`` prints."""
        from intermodal.workloads.cost_tables import text

        return text(self)

    def _repr_html_(self) -> str:
        """How a notebook shows a month: the picture, and the tables as text, escaped, below it."""
        return f"{self.svg()}<details><summary>as text</summary><pre>{escape(str(self))}</pre></details>"

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those that any plan has anything in."""
        return tuple(name for name in MODALITIES if any(_is_there(plan.usd.get(name)) for plan in self.plans))


def _is_there(quantity: Quantity | None) -> bool:
    return quantity is not None and (not quantity.known or quantity.high > 0)


class Biller:
    """Bills plans of one workload.

    ``tokens``: of an answer, None for the planner's range. ``cached``: tokens of text that an answering host has in its
    cache, and USD for one of them, None where it states no such price.
    """

    def __init__(
        self, catalog: Catalog, rates_of: RatesOf, *, requests: float, tokens: int | None = None,
        cached: Cached = lambda endpoint: (0, None),
    ) -> None:  # fmt: skip
        self._catalog = catalog
        self._rates_of = rates_of
        self._requests = requests
        self._tokens = tokens
        self._cached = cached

    def bill(self, name: str, plan: Plan, facts: Facts) -> PlanBill:
        """What a plan costs over a month."""
        chosen, requests = plan.chosen, self._requests
        kinds = {part.index: _OF_KIND.get(part.kind, part.kind) for part in facts.parts}
        usd: dict[str, Quantity] = dict.fromkeys(MODALITIES, exact(0.0))
        steps: list[StepBill] = []
        for step in chosen.steps:
            if isinstance(step, Check):
                continue
            shares = self._shares(chosen, step, kinds)
            for modality, share in shares.items():
                usd[modality] = usd[modality] + share
            steps.append(self._step(step, shares, answers=step is chosen.answering))
        monthly = {modality: share.scaled(requests) for modality, share in usd.items()}
        return PlanBill(
            name=name, endpoint=chosen.endpoint, summary=chosen.summary, tier=chosen.tier, usd=monthly,
            total=total(list(monthly.values())),
            tokens_in=total([each.tokens_in for each in steps]), tokens_out=total([each.tokens_out for each in steps]),
            hours=total([each.hours for each in steps]), seconds=chosen.total.seconds, steps=tuple(steps),
            lost=tuple(chosen.loses), warnings=chosen.warnings, notes=plan.notes,
        )  # fmt: skip

    def _shares(self, chosen: Candidate, step: Step, kinds: Mapping[int, str]) -> dict[str, Quantity]:
        """USD of one step of one request, by modality."""
        if isinstance(step, Call) and step is chosen.answering and step.op in _BY_TOKENS:
            endpoint = self._catalog.by_id[step.endpoint]
            cached = self._cached(endpoint)
            return _answer(chosen, step, kinds, self._rates_of(endpoint), self._tokens, cached)
        if step.op == "speak":
            return {"output": step.estimate.cost}
        whole = "audio" if step.op == "transcribe" else "text"  # where the whole request is one part
        return {kinds.get(step.part, whole): step.estimate.cost}

    def _step(self, step: Step, shares: Mapping[str, Quantity], *, answers: bool) -> StepBill:
        estimate, requests = step.estimate, self._requests
        endpoint = step.endpoint if isinstance(step, Call) else ""
        here = not endpoint or self._catalog.by_id[endpoint].host.zone in LOCAL_ZONES
        stated = self._tokens is not None and answers and step.op == "generate"
        out = estimate.output_tokens
        if stated:
            thought = self._rates_of(self._catalog.by_id[endpoint]).thought if endpoint else ZEROS
            out = quantity(_with_thought(self._tokens or 0, thought, out), "stated, and what it thinks before", 0)
        called = isinstance(step, Call)
        return StepBill(
            op=step.op, what=step.title, endpoint=endpoint, modality=next(iter(shares)) if len(shares) == 1 else "",
            usd=total(list(shares.values())).scaled(requests),
            tokens_in=estimate.input_tokens.scaled(requests) if called else Quantity(),
            tokens_out=out.scaled(requests) if called else Quantity(),
            hours=estimate.seconds.scaled(requests / 3600) if here else Quantity(),
        )  # fmt: skip


def _answer(
    chosen: Candidate, step: Call, kinds: Mapping[int, str], rates: Rates, tokens: int | None,
    cached: tuple[int, float | None],
) -> dict[str, Quantity]:  # fmt: skip
    """The answering call by modality: what reaches it as it is, what was made of parts, the rest, what it writes."""
    cost, sources = step.estimate.cost, _sources(chosen, step, kinds, rates)
    if not cost.known:
        return dict.fromkeys(("text", *(modality for modality, _, _ in sources), "output"), unknown("price not known"))
    found: dict[str, Levels] = {}
    given = levels(step.estimate.input_tokens)
    for modality, usd_per_token, some in sources:
        found[modality] = plus(found.get(modality, ZEROS), times(some, usd_per_token))
        given = _less(given, some)
    found["text"] = plus(found.get("text", ZEROS), times(given, rates.text))
    whole = levels(cost)
    for share in found.values():
        whole = _less(whole, share)
    if tokens is not None and step.op == "generate":
        written = _with_thought(tokens, rates.thought, step.estimate.output_tokens)
        whole = plus(times(written, rates.out), (rates.request, rates.request, rates.request))
    found["output"] = whole
    kept, usd = cached
    if kept and usd is not None:  # of prompt, framing and text files alone, and never more than there is
        text = given
        for modality, _, some in sources:
            text = plus(text, some) if modality == "text" else text
        found["text"] = _less(found["text"], _most(text, kept, max(0.0, rates.text - usd)))
    return {modality: quantity(share, "price list", _DIGITS) for modality, share in found.items()}


def _with_thought(tokens: int, thought: Levels, planned: Quantity) -> Levels:
    """Tokens of an answer of a stated length, and those thought before it: no more than the call has room for."""
    low, mid, high = (max(float(tokens), min(tokens + some, planned.high)) for some in thought)
    return (low, mid, high)


def _sources(chosen: Candidate, step: Call, kinds: Mapping[int, str], rates: Rates) -> list[tuple[str, float, Levels]]:
    """What goes in: whose modality it is, USD a token, tokens."""
    prices = {"text": rates.text, "audio": rates.audio}
    found = [
        (kinds.get(each.part, "text"), prices.get(each.kind, rates.image), levels(each.tokens))
        for each in chosen.takes
        if each.tokens.known
    ]
    by_id = {each.id: each for each in chosen.steps}
    for reference in step.inputs:
        kind, _, name = reference.partition(":")
        made = by_id.get(name) if kind == "step" else None
        if made is None:
            continue
        text = made.estimate.output_tokens if isinstance(made, Call) else made.estimate.text.scaled(0.25)
        if text.known:
            found.append((kinds.get(made.part, "text"), rates.text, levels(text)))
    return found


def _most(tokens: Levels, most: int, usd: float) -> Levels:
    low, mid, high = (min(each, most) * usd for each in tokens)
    return (low, mid, high)


def _less(whole: Levels, part: Levels) -> Levels:
    low, mid, high = (max(0.0, one - other) for one, other in zip(whole, part, strict=True))
    return (low, mid, high)
