"""The monthly cost of a workload: planned once, and billed by modality and by step for every plan.

Real files are opened once and hypothetical parts are added. Prices are those of the workload's day, with batch and
cached-text discounts if the plan asks for them (``Discounts``).

Billing is pure: every number is the planner's own for one request, times the number of requests. Ranges are not
narrowed, because an error in one request is the same in all of them. A step that converts a part is billed to that
part's modality, and so are the tokens of its result in the answering call. Prompt and framing are *text*. The answer is
*output*, with the one repair that JSON may need in its high end.

``MonthlyCost`` presents a month: its tables as text for the terminal and the page, and its chart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Protocol

from msgspec import field
from msgspec.structs import replace

from intermodal.catalog.load import plannable, rate_card_lookup
from intermodal.catalog.rate_cards import RateCard, base_rate
from intermodal.catalog.snapshot.interpretation import has_batch_price, rate_card_on, with_price_on
from intermodal.catalog.types import Catalog, Endpoint
from intermodal.concurrency.offload import offload
from intermodal.config.config_file import snapshot_file
from intermodal.core.content import File, Kind, PathSource, Text, Value
from intermodal.core.content import Part as ContentPart
from intermodal.core.quantity import Quantity, exact, total, unknown
from intermodal.core.request import DEFAULT_MAX_COST, Message, Policy, Request, Sampling, TextOutput
from intermodal.core.today import today
from intermodal.cost_model.levels import ZEROS, Levels, add_levels, levels, quantity, times
from intermodal.cost_model.rates import Rates, endpoint_rates
from intermodal.errors import NoRoute, UnknownModel, UsageError
from intermodal.planner import plan_from
from intermodal.plans import svg as drawing
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.facts import Facts, PartFacts, QuestionFacts
from intermodal.plans.numbers import format_table, plain_seconds
from intermodal.plans.plan import Candidate, Inputs, Plan, input_steps
from intermodal.plans.step import Call, Check, Step
from intermodal.plans.svg import Colour, coordinate
from intermodal.workloads.workload import LETTERS_PER_PAGE, NO_LIMIT, PlanSpec, Workload, hypothetical_part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_MODALITIES = ("text", "image", "audio", "video", "pdf", "output")
_OF_KIND = {"document": "pdf"}  # other kinds keep their name
_DIGITS = 10
_RatesOf = Callable[[Endpoint], Rates]
_Cached = Callable[[Endpoint], tuple[int, float | None]]

_BY_TOKENS = ("generate", "translate", "score", "embed")  # last calls billed by input tokens of each kind


class StepBill(Value):
    """One step over a month. ``hours``: working time of this machine; 0 if the step runs elsewhere."""

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
        tier: the weakest model's. usd: by modality. total: sum of them; unknown if a price is.
        seconds: per request. lost: aspects. warnings, notes: sentences of the plan.
        refused: why there is no such plan, with ``reasons``; "" if there is one.
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
    """All plans of a workload. ``requests``: per month. ``day``: of the prices. ``assumed``: assumptions in words."""

    name: str
    requests: float
    day: str
    plans: tuple[PlanBill, ...]
    assumed: tuple[str, ...] = ()

    def svg(self, name: str = "im-month") -> str:
        """Return a bar chart of the bills, stacked by modality. ``name``: prefix of its CSS classes."""
        return svg(self, name)

    def __str__(self) -> str:
        """Return the output of ``intermodal cost``."""
        return text(self)

    def _repr_html_(self) -> str:
        """Return HTML for a notebook: the chart, and the escaped text tables below it."""
        return f"{self.svg()}<details><summary>as text</summary><pre>{escape(str(self))}</pre></details>"

    @property
    def modalities(self) -> tuple[str, ...]:
        """Return the modalities in which any plan has a cost."""
        return tuple(name for name in _MODALITIES if any(_is_positive(plan.usd.get(name)) for plan in self.plans))


def _is_positive(quantity: Quantity | None) -> bool:
    return quantity is not None and (not quantity.known or quantity.high > 0)


class Biller:
    """Bills the plans of one workload.

    ``tokens``: of an answer, None for the planner's range. ``cached``: returns the number of text tokens in an
    answering host's prompt cache, and the USD for one, None if the host states no such price.
    """

    def __init__(
        self, catalog: Catalog, rates_of: _RatesOf, *, requests: float, tokens: int | None = None,
        cached: _Cached = lambda endpoint: (0, None),
    ) -> None:  # fmt: skip
        self._catalog = catalog
        self._rates_of = rates_of
        self._requests = requests
        self._tokens = tokens
        self._cached = cached

    def bill(self, name: str, plan: Plan, facts: Facts) -> PlanBill:
        """Return the monthly bill of a plan."""
        chosen_route, requests = plan.chosen, self._requests
        kinds = {part.index: _OF_KIND.get(part.kind, part.kind) for part in facts.parts}
        usd: dict[str, Quantity] = dict.fromkeys(_MODALITIES, exact(0.0))
        steps: list[StepBill] = []
        for step in chosen_route.steps:
            if isinstance(step, Check):
                continue
            shares = self._shares(chosen_route, step, kinds)
            for modality, share in shares.items():
                usd[modality] = usd[modality] + share
            steps.append(self._step(step, shares, answers=step is chosen_route.answering))
        monthly = {modality: share.scaled(requests) for modality, share in usd.items()}
        return PlanBill(
            name=name, endpoint=chosen_route.endpoint, summary=chosen_route.summary, tier=chosen_route.tier,
            usd=monthly,
            total=total(list(monthly.values())),
            tokens_in=total([each.tokens_in for each in steps]), tokens_out=total([each.tokens_out for each in steps]),
            hours=total([each.hours for each in steps]), seconds=chosen_route.total.seconds, steps=tuple(steps),
            lost=tuple(chosen_route.loses), warnings=chosen_route.warnings, notes=plan.notes,
        )  # fmt: skip

    def _shares(self, chosen_candidate: Candidate, step: Step, kinds: Mapping[int, str]) -> dict[str, Quantity]:
        """Return the USD of one step of one request, by modality."""
        if isinstance(step, Call) and step is chosen_candidate.answering and step.op in _BY_TOKENS:
            endpoint = self._catalog.by_id[step.endpoint]
            cached = self._cached(endpoint)
            return _answer(chosen_candidate, step, kinds, self._rates_of(endpoint), self._tokens, cached)
        if step.op == "speak":
            return {"output": step.estimate.cost}
        default_modality = "audio" if step.op == "transcribe" else "text"  # if the step belongs to no single part
        return {kinds.get(step.part, default_modality): step.estimate.cost}

    def _step(self, step: Step, shares: Mapping[str, Quantity], *, answers: bool) -> StepBill:
        estimate, requests = step.estimate, self._requests
        endpoint = step.endpoint if isinstance(step, Call) else ""
        is_local = not endpoint or self._catalog.by_id[endpoint].host.zone in LOCAL_ZONES
        has_stated_tokens = self._tokens is not None and answers and step.op == "generate"
        out = estimate.output_tokens
        if has_stated_tokens:
            thought = self._rates_of(self._catalog.by_id[endpoint]).thought if endpoint else ZEROS
            out = quantity(_with_thought(self._tokens or 0, thought, out), "stated, plus reasoning", 0)
        called = isinstance(step, Call)
        return StepBill(
            op=step.op, what=step.title, endpoint=endpoint, modality=next(iter(shares)) if len(shares) == 1 else "",
            usd=total(list(shares.values())).scaled(requests),
            tokens_in=estimate.input_tokens.scaled(requests) if called else Quantity(),
            tokens_out=out.scaled(requests) if called else Quantity(),
            hours=estimate.seconds.scaled(requests / 3600) if is_local else Quantity(),
        )  # fmt: skip


def _answer(
    chosen_candidate: Candidate, step: Call, kinds: Mapping[int, str], rates: Rates, tokens: int | None,
    cached: tuple[int, float | None],
) -> dict[str, Quantity]:  # fmt: skip
    """Return the cost of the answering call by modality.

    The modalities are those of unconverted inputs and of converted parts, other text, and output.
    """
    cost, sources = step.estimate.cost, _sources(chosen_candidate, step, kinds, rates)
    if not cost.known:
        return dict.fromkeys(("text", *(modality for modality, _, _ in sources), "output"), unknown("price not known"))
    found: dict[str, Levels] = {}
    input_tokens = levels(step.estimate.input_tokens)
    for modality, usd_per_token, some in sources:
        found[modality] = add_levels(found.get(modality, ZEROS), times(some, usd_per_token))
        input_tokens = _less(input_tokens, some)
    found["text"] = add_levels(found.get("text", ZEROS), times(input_tokens, rates.text))
    output_cost = levels(cost)
    for share in found.values():
        output_cost = _less(output_cost, share)
    if tokens is not None and step.op == "generate":
        output_tokens = _with_thought(tokens, rates.thought, step.estimate.output_tokens)
        output_cost = add_levels(times(output_tokens, rates.out), (rates.request, rates.request, rates.request))
    found["output"] = output_cost
    cached_tokens, usd = cached
    if cached_tokens and usd is not None:  # applies to prompt, framing and text files, up to their total
        text = input_tokens
        for modality, _, some in sources:
            text = add_levels(text, some) if modality == "text" else text
        found["text"] = _less(found["text"], _most(text, cached_tokens, max(0.0, rates.text - usd)))
    return {modality: quantity(share, "price list", _DIGITS) for modality, share in found.items()}


def _with_thought(tokens: int, thought: Levels, planned: Quantity) -> Levels:
    """Return the tokens of an answer of a stated length with its reasoning, capped at the planned maximum."""
    low, mid, high = (max(float(tokens), min(tokens + some, planned.high)) for some in thought)
    return (low, mid, high)


def _sources(
    chosen_candidate: Candidate, step: Call, kinds: Mapping[int, str], rates: Rates
) -> list[tuple[str, float, Levels]]:
    """Return the inputs of a call: modality, USD per token, tokens."""
    prices = {"text": rates.text, "audio": rates.audio}
    found = [
        (kinds.get(each.part, "text"), prices.get(each.kind, rates.image), levels(each.tokens))
        for each in chosen_candidate.takes
        if each.tokens.known
    ]
    by_id = {each.id: each for each in chosen_candidate.steps}
    for name in input_steps(step):
        endpoint = by_id.get(name)
        if endpoint is None:
            continue
        text = endpoint.estimate.output_tokens if isinstance(endpoint, Call) else endpoint.estimate.text.scaled(0.25)
        if text.known:
            found.append((kinds.get(endpoint.part, "text"), rates.text, levels(text)))
    return found


def _most(tokens: Levels, most: int, usd: float) -> Levels:
    low, mid, high = (min(each, most) * usd for each in tokens)
    return (low, mid, high)


def _less(total_levels: Levels, part: Levels) -> Levels:
    low, mid, high = (
        max(0.0, total_level - part_level) for total_level, part_level in zip(total_levels, part, strict=True)
    )
    return (low, mid, high)


# ---- tables of text ---------------------------------------------------------------------------------
Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
_MOST_STEPS = 12  # maximum number of steps listed one by one
_NO_PLAN = "no plan"


def text(cost: MonthlyCost) -> str:
    """Return the bills as text: by modality, by step, the requirements of each plan, and notes."""
    lines = [headline(cost), "", *format_table(*by_modality(cost))]
    steps = by_step(cost)
    if steps[1]:
        lines += ["", "by step", *format_table(*steps)]
    lines += ["", "what it takes", *format_table(*plan_requirements(cost))]
    lines += ["", *sentences(cost)]
    return "\n".join(lines).rstrip()


def headline(cost: MonthlyCost) -> str:
    return f"{cost.name}: {_format_count(cost.requests)} requests a month, prices of {cost.day}, USD a month"


def by_modality(cost: MonthlyCost) -> Table:
    """Return the table of cost per plan and modality."""
    columns = cost.modalities
    rows = []
    for plan in cost.plans:
        if plan.refused:
            rows.append((plan.name, *("-" for _ in columns), _NO_PLAN))
        else:
            rows.append((plan.name, *(dollars(plan.usd[name]) for name in columns), _whole_dollars(plan.total)))
    return ("plan", *columns, "total"), rows


def by_step(cost: MonthlyCost) -> Table:
    """Return the table of all steps of all plans; if there are many, similar ones are merged."""
    rows: list[tuple[str, ...]] = []
    for plan in cost.plans:
        name = plan.name
        for op, what, endpoint, usd, tokens_in, out, hours in _group_steps(plan):
            step = f"{op} {what}".strip()
            rows.append((name, step, endpoint or "-", dollars(usd), count(tokens_in), count(out), _time(hours)))
            name = ""
    return ("plan", "step", "endpoint", "USD", "tokens in", "tokens out", "hours here"), rows


def plan_requirements(cost: MonthlyCost) -> Table:
    """Return the table of answering endpoints with tier, tokens and time."""
    rows: list[tuple[str, ...]] = [
        (
            plan.name, plan.endpoint, plan.tier, count(plan.tokens_in), count(plan.tokens_out), _time(plan.hours),
            seconds(plan.seconds),
        )
        for plan in cost.plans
        if not plan.refused
    ]  # fmt: skip
    head = ("plan", "answers", "weakest link", "tokens in", "tokens out", "hours here", "seconds a request")
    return head, rows


def sentences(cost: MonthlyCost, *, notes: bool = False) -> Iterator[str]:
    """Yield the sentences for the tables: each plan's route and losses, plans without a route, and assumptions.

    ``notes``: include the notes of the plans.
    """
    for plan in cost.plans:
        if plan.refused:
            yield f"{plan.name}: {plan.refused}"
            yield from (f"  - {reason}" for reason in plan.reasons[:5])
            if len(plan.reasons) > 5:
                yield f"  - {len(plan.reasons) - 5} more: intermodal explain"
            continue
        losses = f"; loses {', '.join(plan.lost)}" if plan.lost else ""
        yield f"{plan.name}: {plan.summary}{losses}"
        if not plan.total.known:
            yield f"{plan.name}: one of its endpoints has no known price, so its bill is unknown and not $0"
        yield from (
            f"{plan.name}: {words}" for words in dict.fromkeys((*plan.warnings, *(plan.notes if notes else ())))
        )
    yield from (f"assumed: {words}" for words in cost.assumed)


_Grouped = tuple[str, str, str, Quantity, Quantity, Quantity, Quantity]


def _group_steps(plan: PlanBill) -> Iterator[_Grouped]:
    """Yield the steps of a plan; if there are many, steps with the same operation and endpoint are merged."""
    places_by_operation: dict[tuple[str, str], list[int]] = {}
    for place, step in enumerate(plan.steps):
        key = (step.op, step.endpoint) if len(plan.steps) > _MOST_STEPS else (str(place), "")
        places_by_operation.setdefault(key, []).append(place)
    for places in places_by_operation.values():
        some = [plan.steps[place] for place in places]
        first = some[0]
        what = first.what if len(some) == 1 else f"{len(some)} parts"
        usd, tokens_in = total([step.usd for step in some]), total([step.tokens_in for step in some])
        out, hours = total([step.tokens_out for step in some]), total([step.hours for step in some])
        yield first.op, what, first.endpoint, usd, tokens_in, out, hours


# ---- numbers ---------------------------------------------------------------------------------------
def _format_range(quantity: Quantity, form: Callable[[float], str], unit: str = "") -> str:
    """Format a range as "unknown", "12" or "12 (8..40)"; zero is "-"."""
    if not quantity.known:
        return "unknown"
    if quantity.high == 0:
        return "-"
    low, mid, high = form(quantity.low), form(quantity.mid), form(quantity.high)
    return f"{mid}{unit}" if low == mid == high else f"{mid}{unit} ({low}..{high})"


def dollars(quantity: Quantity) -> str:
    found = _format_range(quantity, _plain_dollars)
    return found if found in ("unknown", "-") else f"${found}"


def _whole_dollars(quantity: Quantity) -> str:
    """Format a total; zero is "$0"."""
    found = dollars(quantity)
    return "$0" if found == "-" else found


def _plain_dollars(value: float) -> str:
    """Format USD with about three significant digits, and with cents for small amounts.

    >>> [_plain_dollars(value) for value in (0.0, 0.004, 0.318, 4.256, 87.3, 1234.5, 2.1e6)]
    ['0', '<0.01', '0.32', '4.26', '87.3', '1,234', '2,100,000']
    """
    if value == 0:
        return "0"
    if value < 0.005:
        return "<0.01"
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def count(quantity: Quantity) -> str:
    return _format_range(quantity, _short)


def _time(quantity: Quantity) -> str:
    return _format_range(quantity, lambda value: f"{value:.1f}" if value < 99.95 else f"{value:,.0f}")


def seconds(quantity: Quantity) -> str:
    return _format_range(quantity, plain_seconds, " s")


def _format_count(value: float) -> str:
    return f"{value:,.0f}"


def _short(value: float) -> str:
    """Format a number with three significant digits and a unit prefix.

    >>> [_short(value) for value in (0.0, 950.0, 12_300.0, 4_560_000.0, 7.8e9)]
    ['0', '950', '12.3k', '4.56M', '7.8G']
    """
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size * 0.9995:
            digits = f"{value / size:.3g}"
            return f"{float(digits):,.0f}{unit}" if "e" in digits else f"{digits}{unit}"
    return f"{value:,.0f}"


# ---- chart ------------------------------------------------------------------------------------------
NAME, AXIS, TAIL = 210.0, 520.0, 190.0  # widths: plans, money, totals
MARGIN, ROW, BAR, HEAD = 20.0, 52.0, 20.0, 98.0
_SIZE = 11.0
_LEAST = 0.5  # minimum width in pixels of a drawn share
_BEYOND = 2.5  # maximum length of the axis, as a multiple of the largest middle
_TICKS = 6

# Okabe and Ito's palette, which is safe for colour blindness (Color Universal Design, 2008).
_COLOURS: dict[str, Colour] = {
    "range": ("stroke", "#59636e", "#9198a1"),
    "of-text": ("fill", "#0072b2", "#4da3d9"),
    "of-image": ("fill", "#e69f00", "#f0b429"),
    "of-audio": ("fill", "#009e73", "#2fc49a"),
    "of-video": ("fill", "#cc79a7", "#e09cc2"),
    "of-pdf": ("fill", "#d55e00", "#f0803c"),
    "of-output": ("fill", "#56b4e9", "#8fd0f5"),
}


def svg(cost: MonthlyCost, name: str = "im-month") -> str:
    """Return the chart. ``name``: prefix of its CSS classes, of letters, digits and hyphens."""
    return _Chart(cost, name).render()


class _Chart:
    def __init__(self, cost: MonthlyCost, name: str) -> None:
        self._cost = cost
        self._left = MARGIN + NAME
        self._bottom = HEAD + ROW * len(cost.plans)
        self._wide = self._left + AXIS + TAIL + MARGIN
        self._end, self._step = _axis(cost)
        self._picture = drawing.Drawing(name, self._wide, self._bottom + 52, _COLOURS)

    def render(self) -> str:
        picture, cost = self._picture, self._cost
        title = drawing.shorten_text(cost.name, 15, self._wide - 2 * MARGIN, bold=True)
        picture.add_text(MARGIN, 32, title, "ink bold", size=15)
        subtitle = f"{cost.requests:,.0f} requests a month, prices of {cost.day}"
        picture.add_text(MARGIN, 51, subtitle, "soft", size=12)
        self._legend()
        self._grid()
        for place, plan in enumerate(cost.plans):
            self._row(plan, HEAD + ROW * place)
        described = "; ".join(f"{plan.name}: {plan.refused or _whole_dollars(plan.total)}" for plan in cost.plans)
        return picture.render(headline(cost), described)

    def _x(self, usd: float) -> float:
        return self._left + min(usd / self._end, 1.0) * AXIS

    def _legend(self) -> None:
        x = self._left
        for modality in self._cost.modalities:
            self._picture.rect((x, 66, 12, 12), f"of-{modality}", radius=2)
            self._picture.add_text(x + 17, 76, modality, "soft")
            x += 34 + drawing.width(modality, _SIZE)
        self._picture.path(
            f"M{coordinate(x)} 72H{coordinate(x + 18)}M{coordinate(x)} 68v8M{coordinate(x + 18)} 68v8",
            "line range",
        )
        self._picture.add_text(x + 23, 76, "range", "soft")

    def _grid(self) -> None:
        for place in range(math.floor(self._end / self._step + 1e-9) + 1):
            usd = place * self._step
            x = self._x(usd)
            self._picture.path(f"M{coordinate(x)} {coordinate(HEAD - 8)}V{coordinate(self._bottom)}", "line grid")
            label = f"${_plain_dollars(usd) if usd < 10 and self._step < 1 else f'{usd:,.0f}'}" if usd else "$0"
            self._picture.add_text(x, self._bottom + 18, label, "soft", end="middle")
        middle = self._left + AXIS / 2
        self._picture.add_text(middle, self._bottom + 38, "USD a month", "soft", end="middle")

    def _row(self, plan: PlanBill, top: float) -> None:
        picture = self._picture
        middle = top + BAR / 2
        picture.open(_hint(plan))
        picture.add_text(MARGIN, middle, drawing.shorten_text(plan.name, 12, NAME - 14, bold=True), "ink bold", size=12)
        model_name = plan.endpoint.rpartition("/")[2]
        picture.add_text(MARGIN, middle + 16, drawing.shorten_text(model_name, _SIZE, NAME - 14), "soft")
        tail = self._left + AXIS + 14
        if plan.refused:
            picture.add_text(self._left + 6, middle + 4, "no route is allowed", "bad")
        elif not plan.total.known:
            picture.rect((self._left, top, AXIS * 0.3, BAR), "card edge", radius=2, dashed=True)
            picture.add_text(self._left + 8, middle + 4, "one of its endpoints has no known price", "warn")
            picture.add_text(tail, middle + 4, "unknown", "warn bold", size=12)
        else:
            self._bar(plan, top)
            amount, _, spread = _whole_dollars(plan.total).partition(" ")
            picture.add_text(tail, middle, amount, "ink bold", size=12)
            hours = f"{plan.hours.mid:,.0f} h here" if plan.hours.known and plan.hours.mid >= 0.5 else ""
            picture.add_text(tail, middle + 16, ", ".join(word for word in (spread, hours) if word), "soft")
        picture.close()

    def _bar(self, plan: PlanBill, top: float) -> None:
        x = self._left
        for modality in self._cost.modalities:
            wide = plan.usd[modality].mid / self._end * AXIS
            if wide >= _LEAST:
                self._picture.rect((x, top, wide, BAR), f"of-{modality}")
            x += wide
        if plan.total.high == 0:
            self._picture.path(f"M{coordinate(self._left)} {coordinate(top)}v{coordinate(BAR)}", "line thick edge")
            return
        low, high, y = self._x(plan.total.low), self._x(plan.total.high), top + BAR + 8
        if high - low < 1:
            return
        beyond = plan.total.high > self._end
        end = (
            f"M{coordinate(high - 5)} {coordinate(y - 4)}l5 4l-5 4"
            if beyond
            else f"M{coordinate(high)} {coordinate(y - 4)}v8"
        )
        data = f"M{coordinate(low)} {coordinate(y)}H{coordinate(high)}M{coordinate(low)} {coordinate(y - 4)}v8{end}"
        self._picture.path(data, "line range")


def _hint(plan: PlanBill) -> str:
    if plan.refused:
        return f"{plan.name}: {plan.refused}"
    parts = ", ".join(f"{name} {dollars(usd)}" for name, usd in plan.usd.items() if not usd.known or usd.high)
    return f"{plan.name}: {_whole_dollars(plan.total)} a month; {parts or 'nothing to pay'}"


def _axis(cost: MonthlyCost) -> tuple[float, float]:
    """Return the end of the axis and its tick step.

    All middles fit; ranges are cut off if they would make bars too short.
    """
    totals = [plan.total for plan in cost.plans if not plan.refused and plan.total.known]
    middle, high = max((each.mid for each in totals), default=0.0), max((each.high for each in totals), default=0.0)
    most = min(high, middle * _BEYOND) or high
    if not most:
        return 1.0, 0.5
    step = 10.0 ** math.floor(math.log10(most / _TICKS))
    step = next(step * factor for factor in (1, 2, 5, 10) if most / (step * factor) <= _TICKS)
    return step * math.ceil(most / step - 1e-9), step


class WorkloadInputs(Protocol):
    """A prepared request with the planner's inputs."""

    @property
    def inputs(self) -> Inputs: ...


class InputGatherer(Protocol):
    """The part of a client that billing needs: it opens files and gathers the planner's inputs."""

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
    for spec in workload.plans:
        catalog = await _catalog_for(spec, client)
        bills.append(await offload(True, _bill, workload, spec, replace(base, catalog=catalog), client.env))
    return MonthlyCost(
        name=workload.name,
        requests=workload.requests,
        day=day,
        assumed=tuple(_assumptions(workload)),
        plans=tuple(bills),
    )


async def _catalog_for(spec: PlanSpec, client: InputGatherer) -> Catalog:
    """Return the catalog with the models and hosts that a plan names, without opening any media."""
    words = (Message(role="user", parts=(Text(text=spec.name),)),)
    request = Request(messages=words, policy=Policy(model=spec.policy.model, hosts=spec.policy.hosts))
    return (await client.prepare(request)).inputs.catalog


async def _inputs(workload: Workload, client: InputGatherer) -> Inputs:
    """Return the planner's inputs without the policy. Real files come before hypothetical parts."""
    text = (Text(text=workload.prompt),) if workload.prompt else ()
    files = tuple(File(source=PathSource(path=part.file)) for part in workload.parts if part.file)
    system = (Message(role="system", parts=(Text(text=workload.system),)),) if workload.system else ()
    message = Message(role="user", parts=(*text, *files) or (Text(text=""),))
    prepared = (await client.prepare(Request(messages=(*system, message), output=workload.output))).inputs
    *before, last = prepared.request.messages
    parts, facts = list(last.parts), list(prepared.facts.parts)
    if not text and not files:
        parts, facts = [], facts[: len(facts) - 1]
    for part, found in _hypothetical_parts(workload, len(facts)):
        parts.append(part)
        facts.append(found)
    messages = (*before, replace(last, parts=tuple(parts)))
    request = replace(prepared.request, messages=messages, sampling=Sampling(max_tokens=workload.max_tokens),
                      answer_tokens=workload.tokens or None)  # fmt: skip
    kinds: tuple[Kind, ...] = tuple(dict.fromkeys(part.kind for part in facts))
    needs = await client.question_needs(workload.prompt, kinds)  # hypothetical media are treated like real ones
    return replace(prepared, request=request, facts=Facts(parts=tuple(facts), question=needs), original_messages=())


def _hypothetical_parts(workload: Workload, first: int) -> Iterator[tuple[ContentPart, PartFacts]]:
    """Yield the hypothetical parts with unique names."""
    times: dict[str, int] = {}
    for part in (part for part in workload.parts if part.piece is not None):
        for _ in range(part.count):
            name = part.name or (part.piece.name if part.piece is not None else "")
            number = times[name] = times.get(name, 0) + 1
            index = first + sum(times.values()) - 1
            yield hypothetical_part(part, index, name if number == 1 else f"{name} ({number})")


def _bill(workload: Workload, spec: PlanSpec, base: Inputs, env: Mapping[str, str]) -> PlanBill:
    policy = spec.policy
    priced = Discounts(rate_card_lookup(snapshot_file(env)), base.as_of, spec.batch, spec.cached)
    catalog = priced.catalog(plannable(base.catalog, policy.hosts))
    inputs = replace(base, request=replace(base.request, policy=policy), catalog=catalog)
    try:
        plan = _plan_with_price(inputs)
    except NoRoute as error:
        reason = error.wording_for("command line")  # as in the plans it is shown with
        return PlanBill(name=spec.name, refused=str(reason), reasons=reason.reasons)
    except (UnknownModel, UsageError) as error:
        raise type(error)(f"plan {spec.name!r}: {error.what}", where=error.where, todo=error.hints.todo) from None
    biller = Biller(
        catalog, lambda endpoint: endpoint_rates(endpoint, inputs.statistics, inputs.as_of), requests=workload.requests,
        tokens=workload.tokens, cached=priced.cached_tokens,
    )  # fmt: skip
    bill = biller.bill(spec.name, plan, inputs.facts)
    return replace(bill, warnings=(*bill.warnings, *priced.warnings(catalog, plan)))


def _plan_with_price(inputs: Inputs) -> Plan:
    """Return the plan; if none with a known price exists and no limit was stated, one with an unknown price.

    Plans with an unknown price are only possible under the default limit.
    """
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


def _assumptions(workload: Workload) -> Iterator[str]:
    """Yield the assumptions made for unstated facts."""
    pieces = [part for part in workload.parts if part.piece is not None]
    if any(part.piece and part.piece.kind == "document" and part.letters == LETTERS_PER_PAGE for part in pieces):
        yield f"an imagined PDF has {LETTERS_PER_PAGE:,} letters a page (letters_per_page, scanned)"
    if any(part.piece and part.piece.kind == "image" and part.density is None for part in pieces):
        yield "how much writing is on an imagined image is not known (text_density)"
    if any(part.piece and part.piece.kind == "video" and not part.piece.width for part in pieces):
        yield "an imagined video has 1280x720 pixels"
    if workload.tokens is None and isinstance(workload.output, TextOutput):
        yield "tokens of an answer are the planner's range (output: tokens)"


# ---- prices of the day, of batch mode, of cached text -----------------------------------------------
_CACHED = "cache_read_mtok"
_WAITS = "a batch is answered when the host has time, within a day as a rule; seconds are of one request alone"


class Discounts:
    """The endpoint prices of a plan on a day, with batch and cached-text discounts.

    ``tariff``: returns the dated prices of an endpoint, () if it only has the price in its own row. ``day``: ISO.
    """

    def __init__(self, tariff: Callable[[Endpoint], tuple[RateCard, ...]], day: str, batch: bool, cached: int) -> None:
        self._tariff = tariff
        self._day = day
        self._batch = batch
        self._tokens = cached
        self._vectors: dict[str, tuple[RateCard, ...]] = {}

    def catalog(self, catalog: Catalog) -> Catalog:
        """Return the catalog with the prices of the day.

        Hosts without a batch price keep their standard price, since a request can always be sent on its own.
        """
        return replace(catalog, endpoints=tuple(map(self._with_price, catalog.endpoints)))

    def _with_price(self, endpoint: Endpoint) -> Endpoint:
        vectors = self._vectors[endpoint.id] = self._tariff(endpoint)
        return with_price_on(endpoint, vectors, self._day, batch=self._batch)

    def cached_tokens(self, endpoint: Endpoint) -> tuple[int, float | None]:
        """Return the number of cached tokens at an answering endpoint and the USD for one, None if unstated."""
        vector = rate_card_on(self._vectors.get(endpoint.id, ()), self._day, batch=self._batch)
        rate = vector.units.get(_CACHED) if vector is not None else None
        return self._tokens, None if rate is None else base_rate(rate) / 1e6

    def warnings(self, catalog: Catalog, plan: Plan) -> Iterator[str]:
        """Yield which discounts do not apply to a plan, and how a batch affects its time."""
        calls = [step for step in plan.chosen.steps if isinstance(step, Call)]
        hosted = [name for name in dict.fromkeys(step.endpoint for step in calls) if _is_paid(catalog.by_id[name])]
        if self._batch and hosted:
            plain = [name for name in hosted if not has_batch_price(self._vectors.get(name, ()), self._day)]
            if plain:
                yield f"no price of a batch is known of {', '.join(plain)}: the standard price counts"
            if len(plain) < len(hosted):
                yield _WAITS
        answering = plan.chosen.endpoint
        if self._tokens and answering in hosted and self.cached_tokens(catalog.by_id[answering])[1] is None:
            yield f"no price of cached text is known of {answering}: it counts as any other"


def _is_paid(endpoint: Endpoint) -> bool:
    return endpoint.host.zone not in LOCAL_ZONES
