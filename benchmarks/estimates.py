"""How good the estimates are: q-error per step, fitted on one set of inputs, reported on another.

    python benchmarks/estimates.py [CASES_PER_SHAPE]

q-error = max(estimate / actual, actual / estimate), 1.0 is perfect. Three steps: plan the second set
with the figures as shipped; run the first set, so that the store learns; plan the second set again, run
it, and compare both estimates with what it took. The two sets share no input, so nothing is cached;
seconds leave out the loading of a runtime, which has its own row.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator

import inputs
import report
from home import fresh_home

import intermodal
from intermodal.events import Actual, Result
from intermodal.plans.plan import Plan
from intermodal.plans.step import Estimate
from intermodal.quantity import Quantity, q_error

Figure = tuple[str, str]  # (what the step does, which number)


def figures(estimate: Estimate, actual: Actual) -> Iterator[tuple[str, Quantity, float]]:
    """Pairs of estimate and actual that can be compared."""
    if actual.cached:
        return
    yield "seconds", estimate.seconds, actual.seconds
    if actual.load_seconds > 0.05:
        yield "load seconds", estimate.load_seconds, actual.load_seconds
    if actual.usage.input_tokens:
        yield "input tokens", estimate.input_tokens, actual.usage.input_tokens
    if actual.usage.output_tokens:
        yield "output tokens", estimate.output_tokens, actual.usage.output_tokens


def errors_of(plan: Plan, result: Result) -> Iterator[tuple[Figure, float, bool]]:
    """Every q-error of a run, and whether the actual lay within the estimated range."""
    actuals = {actual.step: actual for actual in result.actuals}
    for step in plan.chosen.steps:
        if step.id in actuals:
            for name, estimated, actual in figures(step.estimate, actuals[step.id]):
                inside = estimated.low * 0.999 <= actual <= estimated.high * 1.001
                yield (step.op, name), q_error(estimated.mid, actual), inside


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    shipped: dict[Figure, list[float]] = defaultdict(list)
    fitted: dict[Figure, list[float]] = defaultdict(list)
    inside: dict[Figure, list[bool]] = defaultdict(list)
    with fresh_home() as env:
        second = list(inputs.cases(2, count))
        with intermodal.Client(env=env) as client:
            before = [client.plan(case.request) for case in second]
        with intermodal.Client(env=env) as client:
            for case in inputs.cases(1, count):
                print("fit   ", case.name, file=sys.stderr, flush=True)
                client.run(case.request)
        with intermodal.Client(env=env) as client:
            for case, first_plan in zip(second, before, strict=True):
                print("report", case.name, file=sys.stderr, flush=True)
                plan = client.plan(case.request)
                result = client.run(case.request, plan)
                for figure, error, good in errors_of(plan, result):
                    fitted[figure].append(error)
                    inside[figure].append(good)
                for figure, error, _ in errors_of(first_plan, result):
                    shipped[figure].append(error)
    report.write("estimates", "Estimates against actuals", body(count, shipped, fitted, inside))


def body(
    count: int, shipped: dict[Figure, list[float]], fitted: dict[Figure, list[float]], inside: dict[Figure, list[bool]]
) -> str:
    rows = []
    for figure in sorted(fitted):
        rows.append(
            (
                *figure,
                str(len(fitted[figure])),
                *(f"{value(shipped[figure]):.2f}" if shipped[figure] else "" for value in (report.median, p90)),
                *(f"{value(fitted[figure]):.2f}" for value in (report.median, p90)),
                f"{100 * sum(inside[figure]) / len(inside[figure]):.0f} %",
            )
        )
    head = ("step", "figure", "n", "shipped: median", "p90", "fitted: median", "p90", "within the range")
    return (
        f"q-error per step over {count} requests of each of 6 shapes (transcript, question about speech, text, picture "
        f"and PDF, embedding). *Shipped*: before anything ran. *Fitted*: after {count} other requests of each shape "
        "had run. *Within the range*: the share of actuals between the low and the high of the fitted estimate.\n\n"
        + report.table(head, rows)
    )


def p90(values: list[float]) -> float:
    return report.percentile(values, 0.9)


if __name__ == "__main__":
    main()
