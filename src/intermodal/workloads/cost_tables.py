"""Monthly bills as tables of text, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from intermodal.plans.numbers import plain_seconds
from intermodal.plans.text_table import format_table
from intermodal.quantity import Quantity, total
from intermodal.workloads.bills import MonthlyCost, PlanBill

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
MOST_STEPS = 12  # of a plan that are told one by one
NO_PLAN = "no plan"


def text(made: MonthlyCost) -> str:
    """Bills by kind of part, then by step, then what each plan takes and loses."""
    lines = [headline(made), "", *format_table(*by_modality(made))]
    steps = by_step(made)
    if steps[1]:
        lines += ["", "by step", *format_table(*steps)]
    lines += ["", "what it takes", *format_table(*plan_requirements(made))]
    lines += ["", *sentences(made)]
    return "\n".join(lines).rstrip()


def headline(made: MonthlyCost) -> str:
    return f"{made.name}: {_whole(made.requests)} requests a month, prices of {made.day}, USD a month"


def by_modality(made: MonthlyCost) -> Table:
    """Plan by kind of part."""
    columns = made.modalities
    rows = []
    for plan in made.plans:
        if plan.refused:
            rows.append((plan.name, *("-" for _ in columns), NO_PLAN))
        else:
            rows.append((plan.name, *(dollars(plan.usd[name]) for name in columns), whole_dollars(plan.total)))
    return ("plan", *columns, "total"), rows


def by_step(made: MonthlyCost) -> Table:
    """Every step of every plan; many alike as one."""
    rows: list[tuple[str, ...]] = []
    for plan in made.plans:
        name = plan.name
        for op, what, endpoint, usd, given, out, hours in _grouped(plan):
            step = f"{op} {what}".strip()
            rows.append((name, step, endpoint or "-", dollars(usd), count(given), count(out), time(hours)))
            name = ""
    return ("plan", "step", "endpoint", "USD", "tokens in", "tokens out", "hours here"), rows


def plan_requirements(made: MonthlyCost) -> Table:
    """Who answers, and what that takes."""
    rows: list[tuple[str, ...]] = [
        (
            plan.name, plan.endpoint, plan.tier, count(plan.tokens_in), count(plan.tokens_out), time(plan.hours),
            seconds(plan.seconds),
        )
        for plan in made.plans
        if not plan.refused
    ]  # fmt: skip
    head = ("plan", "answers", "weakest link", "tokens in", "tokens out", "hours here", "seconds a request")
    return head, rows


def sentences(made: MonthlyCost, *, notes: bool = False) -> Iterator[str]:
    """What needs saying in words: the way of each plan and what is lost on it, plans there are none of, what is
    assumed. ``notes``: those of the plans as well."""
    for plan in made.plans:
        if plan.refused:
            yield f"{plan.name}: {plan.refused}"
            yield from (f"  - {reason}" for reason in plan.reasons[:5])
            if len(plan.reasons) > 5:
                yield f"  - {len(plan.reasons) - 5} more: intermodal explain"
            continue
        lost = f"; loses {', '.join(plan.lost)}" if plan.lost else ""
        yield f"{plan.name}: {plan.summary}{lost}"
        if not plan.total.known:
            yield f"{plan.name}: somebody in it has no price that is known, so its bill is unknown and not $0"
        yield from (
            f"{plan.name}: {words}" for words in dict.fromkeys((*plan.warnings, *(plan.notes if notes else ())))
        )
    yield from (f"assumed: {words}" for words in made.assumed)


Grouped = tuple[str, str, str, Quantity, Quantity, Quantity, Quantity]


def _grouped(plan: PlanBill) -> Iterator[Grouped]:
    """Steps of one op at one endpoint as one where there are many."""
    alike: dict[tuple[str, str], list[int]] = {}
    for place, step in enumerate(plan.steps):
        key = (step.op, step.endpoint) if len(plan.steps) > MOST_STEPS else (str(place), "")
        alike.setdefault(key, []).append(place)
    for places in alike.values():
        some = [plan.steps[place] for place in places]
        first = some[0]
        what = first.what if len(some) == 1 else f"{len(some)} parts"
        usd, given = total([step.usd for step in some]), total([step.tokens_in for step in some])
        out, hours = total([step.tokens_out for step in some]), total([step.hours for step in some])
        yield first.op, what, first.endpoint, usd, given, out, hours


# ---- numbers ---------------------------------------------------------------------------------------


def format_range(quantity: Quantity, form: Callable[[float], str], unit: str = "") -> str:
    """ "unknown", "12", "12 (8..40)"; nothing is "-"."""
    if not quantity.known:
        return "unknown"
    if quantity.high == 0:
        return "-"
    low, mid, high = form(quantity.low), form(quantity.mid), form(quantity.high)
    return f"{mid}{unit}" if low == mid == high else f"{mid}{unit} ({low}..{high})"


def dollars(quantity: Quantity) -> str:
    found = format_range(quantity, plain_dollars)
    return found if found in ("unknown", "-") else f"${found}"


def whole_dollars(quantity: Quantity) -> str:
    """A sum, of which nothing is something to say."""
    found = dollars(quantity)
    return "$0" if found == "-" else found


def plain_dollars(value: float) -> str:
    """Three digits, and cents where dollars are few.

    >>> [plain_dollars(value) for value in (0.0, 0.004, 0.318, 4.256, 87.3, 1234.5, 2.1e6)]
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
    return format_range(quantity, _short)


def time(quantity: Quantity) -> str:
    return format_range(quantity, lambda value: f"{value:.1f}" if value < 99.95 else f"{value:,.0f}")


def seconds(quantity: Quantity) -> str:
    return format_range(quantity, plain_seconds, " s")


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _short(value: float) -> str:
    """
    >>> [_short(value) for value in (0.0, 950.0, 12_300.0, 4_560_000.0, 7.8e9)]
    ['0', '950', '12.3k', '4.56M', '7.8G']
    """
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size * 0.9995:
            digits = f"{value / size:.3g}"
            return f"{float(digits):,.0f}{unit}" if "e" in digits else f"{digits}{unit}"
    return f"{value:,.0f}"
