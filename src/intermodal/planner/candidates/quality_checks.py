"""Checks of converted content, and the price of the escalation that each may trigger.

A transcript that is empty, loops, is doubtful or in another language is repeated by a stronger transcriber. Text that
is hardly legible is read by a stronger reader, or the image is described. Text longer than planned causes replanning.
If nothing better is available, the problem is reported.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from intermodal.catalog.types import Endpoint
from intermodal.cost_model.levels import HIGH, quantity
from intermodal.planner.conversion import conversion_steps
from intermodal.planner.conversion.conversion_option import ConversionOption, ConversionStep, ConvertersByJob
from intermodal.planner.conversion.conversion_options import allowed_converters
from intermodal.planner.conversion.conversion_outcomes import may_redo
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.assignment import Assignment
from intermodal.plans.facts import ConversionOutcome, PartFacts
from intermodal.plans.plan import StepRef
from intermodal.plans.step import Call, Check, CheckOp, Step, StepEstimate, step_id

_CHECKS: dict[str, CheckOp] = {"transcribe": "transcript", "read": "reading"}
_WHAT: dict[str, str] = {"transcribe": "transcript", "read": "reading"}
_IF: dict[str, str] = {
    "empty": "if it is empty, loops, is doubted or is in another language",
    "language": "if it is in another language",
    "confidence": "if it is doubted",
}
_DOES: dict[str, str] = {"transcribe": "hears", "read": "reads", "describe": "describes"}
PROBLEMS_REPORTED = "problems are reported"
NOTHING_BETTER = f"{PROBLEMS_REPORTED}, but no better model is available"
NOWHERE = "if one occurs in none of the files"
SIZE = "if it exceeds the estimate, the rest is planned again"


class _CheckedConversions(Struct):
    """Conversions of one kind by one endpoint, with the cost of repeating them."""

    titles: list[str]
    note: str
    cost: float
    seconds: float


def conversion_checks(
    case: PlanningCase, conversions: ConvertersByJob, assignment: Assignment, steps: Iterable[Step]
) -> tuple[Check, ...]:
    """Return one check per kind of conversion and endpoint, and one for the total size of the output."""
    found: dict[tuple[str, str], _CheckedConversions] = {}
    for bundle, option in zip(case.bundles, assignment.options, strict=True):
        for conversion_step in option.conversions[0].steps:
            if conversion_step.endpoint is not None and conversion_step.op in _CHECKS:
                _add_conversion(case, conversions, bundle, option, conversion_step, conversion_step.endpoint, found)
    by_maker: dict[tuple[str, str], list[str]] = {}
    sized_steps: list[str] = []
    for step in steps:
        if isinstance(step, Call):
            by_maker.setdefault((step.op, step.endpoint), []).append(str(StepRef(step.id)))
            sized_steps.append(str(StepRef(step.id)))
    checks: list[Check] = []
    for (op, endpoint), checked in found.items():
        inputs = tuple(by_maker.get((op, endpoint), ()))
        name = (
            checked.titles[0] if len(checked.titles) == 1 else f"{checked.titles[0]} and {len(checked.titles) - 1} more"
        )
        checks.append(
            Check(
                id=step_id(_CHECKS[op], "", (), inputs),
                op=_CHECKS[op],
                inputs=inputs,
                title=f"{_WHAT[op]} of {name}",
                note=checked.note,
                estimate=_conditional_estimate(checked.cost, checked.seconds),
            )
        )
    if sized_steps:
        inputs = tuple(sized_steps)
        checks.append(
            Check(
                id=step_id("size", "", (), inputs),
                op="size",
                inputs=inputs,
                title="output size of each conversion",
                note=SIZE,
            )
        )
    return tuple(checks)


def transcript_check(case: PlanningCase, last: Call, transcriber: Endpoint, others: list[Endpoint]) -> Check:
    """Return the check of a transcript that is the answer. A better endpoint repeats it, if one is available."""
    bundle, inputs = case.bundles[0], (str(StepRef(last.id)),)
    part = bundle.parts[0]
    follower = _better_converter(case, {"transcribe": others}, bundle, "transcribe", transcriber)
    cost = seconds = 0.0
    note = PROBLEMS_REPORTED
    if follower is not None:
        _, problem, better = follower
        note = f"{_IF[problem]}, {better.id} {_DOES['transcribe']} it"
        repeated = conversion_steps.transcribe(case, part, better, case.rates(better))
        cold = case.rates(better).load[HIGH] if better.id not in case.loaded else 0.0
        cost, seconds = repeated.cost[HIGH], repeated.seconds[HIGH] + cold
    return Check(
        id=step_id("transcript", "", (), inputs), op="transcript", inputs=inputs, title=f"transcript of {part.name}",
        note=note, estimate=_conditional_estimate(cost, seconds),
    )  # fmt: skip


def evidence_check(last: Call, cost: float, seconds: float, *, shared: bool) -> Check:
    """Return the check of a JSON answer's values against the source text.

    ``cost`` and ``seconds``: of one retry, 0 if there is none. ``shared``: whether the answer's single repair serves
    this check if it is not otherwise needed.
    """
    inputs = (str(StepRef(last.id)),)
    note = f"{NOWHERE}, it is asked again once" if shared or seconds else f"{NOWHERE}, that is said"
    return Check(
        id=step_id("evidence", "", (), inputs), op="evidence", inputs=inputs, title="values of the answer", note=note,
        estimate=_conditional_estimate(cost, seconds) if seconds else StepEstimate(),
    )  # fmt: skip


def _conditional_estimate(cost: float, seconds: float) -> StepEstimate:
    return StepEstimate(
        cost=quantity((0.0, 0.0, cost), "only if it is wrong", 8),
        seconds=quantity((0.0, 0.0, seconds), "only if it is wrong", 3),
    )


def _add_conversion(
    case: PlanningCase,
    conversions: ConvertersByJob,
    bundle: Bundle,
    option: ConversionOption,
    step: ConversionStep,
    endpoint: Endpoint,
    found: dict[tuple[str, str], _CheckedConversions],
) -> None:
    checked = found.setdefault((step.op, endpoint.id), _CheckedConversions([], NOTHING_BETTER, 0.0, 0.0))
    checked.titles += [part.name for part in bundle.parts]
    follower = _better_converter(case, conversions, bundle, step.op, endpoint)
    if follower is None:
        return
    job, problem, better = follower
    checked.note = f"{_IF[problem]}, {better.id} {_DOES[job]} it"
    part_counts: dict[int, int] = {}
    for conversion in option.conversions:
        part_counts[id(conversion)] = part_counts.get(id(conversion), 0) + 1
    checked_parts: set[int] = set()
    for part, conversion in zip(bundle.parts, option.conversions, strict=True):
        if id(conversion) in checked_parts:
            continue
        checked_parts.add(id(conversion))
        repeated = _repeated_step(case, part, job, better, next((p for p in conversion.steps if p.op == step.op), step))
        checked.cost += repeated.cost[HIGH] * part_counts[id(conversion)]
        checked.seconds += repeated.seconds[HIGH] * part_counts[id(conversion)]
    if better.id not in case.loaded:
        checked.seconds += case.rates(better).load[HIGH]


def _better_converter(
    case: PlanningCase, conversions: ConvertersByJob, bundle: Bundle, op: str, endpoint: Endpoint
) -> tuple[str, str, Endpoint] | None:
    """Return a stronger converter as (job, problem it addresses, endpoint); None if there is none."""
    group = case.index.group_of
    converters = allowed_converters(case, bundle, op, conversions.get(op, []))
    general = "empty" if op == "transcribe" else "confidence"
    for problem in (general, "language") if op == "transcribe" else (general,):
        outcome = ConversionOutcome(op=op, endpoint=endpoint.id, problem=problem)
        alternatives = [e for e in converters if may_redo(case, e, outcome)]
        if problem == "language" and not endpoint.model.languages:
            alternatives = []
        if alternatives:
            return op, problem, max(alternatives, key=lambda e: (group[e.id].tier(conversion_steps.task_of(op)), e.id))
    describers = allowed_converters(case, bundle, "describe", conversions.get("describe", [])) if op == "read" else []
    return ("describe", general, describers[0]) if describers else None


def _repeated_step(
    case: PlanningCase, part: PartFacts, job: str, better: Endpoint, step: ConversionStep
) -> ConversionStep:
    """Return the same conversion step by a better endpoint."""
    rates = case.rates(better)
    if job == "transcribe":
        return conversion_steps.transcribe(case, part, better, rates)
    if job == "read":
        if step.pages:
            pages = tuple(page for page in part.pages if page.number in step.pages)
            return conversion_steps.read_pages(case, part, pages, better, rates, -1)
        return conversion_steps.text_recognition_step(case, part, better, rates)
    shape = (part.width or 1240, part.height or 1755, "auto")
    return conversion_steps.describe(
        case, part, better, conversion_steps.VisualInput("", (shape,) * max(1, step.count))
    )
