"""How good the estimates are: q-error per step and figure, fitted on one half of a written set, reported on the other.

    python benchmarks/estimates.py [COUNT]      run COUNT requests of each shape for each half, then grade
    python benchmarks/estimates.py --replay     grade the recorded runs with the rules and figures of now

q-error = max(estimate / actual, actual / estimate), 1.0 is perfect. Every request of the set (``estimates_set.py``)
is run for real with the embedded models, and what it took is recorded (``estimates_record.py``). Then the reported
half is planned twice from what was known before its runs: with nothing learned, and with statistics of the other
half. Requests share no input, so nothing is cached. Seconds are those of warm runtimes; a runtime that was just
loaded has rows of its own. Runs during which other programs took more than a quarter of the machine are graded
apart as well: an estimate is one for a machine as it usually is.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
import report
from estimates_record import RUNS, Run, record, recorded
from estimates_set import cases
from home import fresh_home

import intermodal
from intermodal.catalog.types import Catalog
from intermodal.client.async_client import plan_from
from intermodal.core.quantity import Quantity, q_error
from intermodal.cost_model.answer_length import kind_of_request
from intermodal.errors import NoRoute
from intermodal.events import Actual
from intermodal.plans.plan import Inputs
from intermodal.plans.statistics import Statistics
from intermodal.plans.step import Check, Step, StepEstimate
from intermodal.store.learned_figures import statistics
from intermodal.store.rows import AttemptRow
from intermodal.store.speed_regression import percentile

GOALS = {"tokens": (1.2, 2.0), "seconds": (1.5, 3.0)}  # q-error: median, 95th percentile
QUIET = 0.25  # share of the processors that others may take in a quiet run
CLOCK = 0.002  # seconds: the clock and a message between processes
Key = tuple[str, str]  # op, figure


class Graded(msgspec.Struct):
    """q-errors of one figure, and which actuals lay within the promised range."""

    errors: list[float] = msgspec.field(default_factory=list)
    inside: list[bool] = msgspec.field(default_factory=list)

    def add(self, estimate: Quantity, actual: float) -> None:
        self.errors.append(q_error(estimate.mid, actual))
        self.inside.append(estimate.low * 0.999 <= actual <= estimate.high * 1.001)


Grades = dict[Key, Graded]


def learned(runs: Iterable[Run]) -> Statistics:
    """What the store would know after these runs, by the kinds of answers of now."""
    some = list(runs)
    return statistics(1, [row for run in some for row in attempts(run)], [row for run in some for row in run.made])


def attempts(run: Run) -> Iterator[AttemptRow]:
    """Rows of a run, of the kind that its question is taken for now."""
    kind = kind_of_request(run.request)
    for row in run.attempts:
        named = msgspec.structs.replace(row.reservation, output=kind) if row.reservation.output else row.reservation
        yield msgspec.structs.replace(row, reservation=named)


def planned(run: Run, catalog: Catalog, known: Statistics) -> Mapping[str, StepEstimate]:
    """Estimates of now for the steps that were run, by step id."""
    inputs = Inputs(
        request=run.request, facts=run.facts, catalog=catalog, machine=run.machine, statistics=known,
        as_of=run.when[:10],
    )  # fmt: skip
    try:
        plan = plan_from(inputs)
    except NoRoute:
        return {}
    steps: list[Step] = [step for candidate in (*plan.fallbacks, plan.chosen) for step in candidate.steps]
    return {step.id: step.estimate for step in steps}


def pairs(run: Run, estimates: Mapping[str, StepEstimate]) -> Iterator[tuple[Key, Quantity, float]]:
    """Every estimate that can be compared with what came of it."""
    actuals: dict[str, Actual] = {actual.step: actual for actual in run.actuals}
    for step in run.steps:
        estimate, actual = estimates.get(step.id), actuals.get(step.id)
        if estimate is None or actual is None or actual.cached or isinstance(step, Check):
            continue
        cold = actual.load_seconds > 0
        if actual.seconds > CLOCK:
            yield (step.op, "seconds, just loaded" if cold else "seconds"), estimate.seconds, actual.seconds
        if actual.load_seconds > 0.05:
            yield (step.op, "load seconds"), estimate.load_seconds, actual.load_seconds
        if actual.usage.input_tokens:
            yield (step.op, "input tokens"), estimate.input_tokens, actual.usage.input_tokens
        if actual.usage.output_tokens:
            yield (step.op, "output tokens"), estimate.output_tokens, actual.usage.output_tokens


def graded(runs: Iterable[Run], catalog: Catalog, known: Statistics) -> tuple[Grades, Grades]:
    """Grades of all runs, and of those that had the machine to themselves."""
    every: Grades = defaultdict(Graded)
    quiet: Grades = defaultdict(Graded)
    for run in runs:
        for key, estimate, actual in pairs(run, planned(run, catalog, known)):
            every[key].add(estimate, actual)
            if run.busy is None or run.busy <= QUIET:
                quiet[key].add(estimate, actual)
    return every, quiet


def body(runs: Sequence[Run], catalog: Catalog) -> str:
    fit = [run for run in runs if not run.reported]
    reported = [run for run in runs if run.reported]
    known = learned(fit)
    before, _ = graded(reported, catalog, Statistics())
    after, quiet = graded(reported, catalog, known)
    busy = sorted(run.busy for run in runs if run.busy is not None)
    parts = [
        f"{len(fit)} requests fitted, {len(reported)} others reported, of {len(shapes(runs))} shapes "
        f"({', '.join(shapes(runs))}); run {runs[0].when[:16]} to {runs[-1].when[:16]} UTC. "
        f"Other programs took {share(percentile(busy, 0.5))} of the processors in the median run "
        f"({share(busy[0])} to {share(busy[-1])})."
        if busy
        else f"{len(runs)} runs.",
        "*Shipped*: planned with nothing learned. *Fitted*: with statistics of the other half. *Within the range*: "
        "the share of actuals between low and high of the fitted estimate, which promises 80 %, and 95 % of lengths of "
        "answers.",
        overall(before, after, quiet),
        table(before, after),
        "What the statistics say after the fitted half:\n\n" + figures_table(known),
    ]
    failed = [f"{run.name}: {run.error}" for run in runs if run.error]
    if failed:
        parts.append("Failed: " + "; ".join(failed))
    return "\n\n".join(parts)


def overall(before: Grades, after: Grades, quiet: Grades) -> str:
    rows = []
    for kind, (median, p95) in GOALS.items():
        for name, grades in (("shipped", before), ("fitted", after), ("fitted, quiet runs only", quiet)):
            errors = [error for (_, figure), found in grades.items() if figure.endswith(kind) for error in found.errors]
            if errors:
                rows.append(
                    (kind, name, str(len(errors)), f"{percentile(errors, 0.5):.2f}", f"{percentile(errors, 0.95):.2f}",
                     f"{median} / {p95}")
                )  # fmt: skip
    return report.table(("all steps", "estimate", "n", "median", "p95", "goal: median / p95"), rows)


def table(before: Grades, after: Grades) -> str:
    rows = []
    for key in sorted(after):
        was = before[key].errors if key in before else []
        now = after[key]
        rows.append(
            (
                *key, str(len(now.errors)),
                *(f"{percentile(was, at):.2f}" if was else "" for at in (0.5, 0.95)),
                *(f"{percentile(now.errors, at):.2f}" for at in (0.5, 0.95)),
                share(sum(now.inside) / len(now.inside)),
            )
        )  # fmt: skip
    head = ("step", "figure", "n", "shipped: median", "p95", "fitted: median", "p95", "within the range")
    return report.table(head, rows)


def figures_table(known: Statistics) -> str:
    rows = [
        (*key.split("|"), f"{value.low:g}", f"{value.mid:g}", f"{value.high:g}", value.basis)
        for key, value in sorted(known.rows.items())
    ]
    return report.table(("endpoint", "figure", "low", "mid", "high", "basis"), rows)


def shapes(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(run.name.rpartition(" ")[0] for run in runs))


def share(value: float) -> str:
    return f"{100 * value:.0f} %"


def main() -> None:
    arguments = sys.argv[1:]
    if "--replay" not in arguments:
        record(cases(int(arguments[0]) if arguments else 8))
    with fresh_home() as env, intermodal.Client(env=env) as client:
        catalog = client.asynchronous.catalog
    report.write("estimates", "Estimates against actuals", body(list(recorded(RUNS)), catalog))


if __name__ == "__main__":
    main()
