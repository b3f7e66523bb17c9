"""Lengths of answers before and after learning, on requests that nothing was written for (``learning_set.py``).

    python benchmarks/learning.py             run the set with the embedded models, then grade
    python benchmarks/learning.py --replay    grade the recorded runs with the rules and figures of now

The runs are in a mixed order, as they come from a stranger. Each is planned twice: with nothing learned, and with what
the runs before it taught, learned again every ten runs, as the store does. The first ten, planned alike both ways, are
left out. How lucky the order was is told by others: the same runs in ``ORDERS`` shuffled orders, all their errors
together.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import report
from estimates import attempts, learned, planned
from estimates_record import Run, record, recorded
from home import fresh_home
from learning_set import cases

import intermodal
from intermodal.catalog.types import Catalog
from intermodal.core.quantity import q_error
from intermodal.cost_model.answer_length import (
    AnswerLength,
    base_kind,
    expected_length,
    kind_of_request,
    typical_length,
)
from intermodal.plans.statistics import Statistics
from intermodal.store.learned_figures import EPOCH_ROWS
from intermodal.store.speed_regression import percentile

RUNS = Path(__file__).parent / "results" / "learning.runs.jsonl"
ORDERS = 20
SEED = 20261128


class Graded(NamedTuple):
    """An answer beside what was planned. ``ended``: by itself or at its limit, and not stopped for repeating itself.

    ``inside``: of its range, before and after. ``errors``: q-error of the tokens, before and after. ``means``: tokens
    that its money was planned with.
    """

    kind: str
    ended: bool
    tokens: float
    errors: tuple[float, float]
    inside: tuple[bool, bool]
    means: tuple[float, float]


def answers(runs: Sequence[Run]) -> list[Run]:
    """Runs whose answer was counted."""
    return [run for run in runs if run.steps and run.actuals and _tokens(run)]


def _tokens(run: Run) -> float:
    return float(run.actuals[-1].usage.output_tokens or 0)


def graded(runs: Sequence[Run]) -> Iterator[Graded]:
    """Each run but the first ten, by its kind and its limit."""
    known = Statistics()
    for place, run in enumerate(runs):
        if place % EPOCH_ROWS == 0:
            known = learned(runs[:place])
        if place < EPOCH_ROWS:
            continue
        kind, most, actual = kind_of_request(run.request), run.steps[-1].estimate.output_tokens.high, _tokens(run)
        before, after = typical_length(kind), expected_length(known, run.endpoint, kind) or typical_length(kind)
        both: list[AnswerLength] = [AnswerLength(*(min(most, each) for each in length)) for length in (before, after)]
        errors = [q_error(length.mid, actual) for length in both]
        inside = [length.low * 0.999 <= actual <= most for length in both]
        yield Graded(
            base_kind(kind) if "_" not in kind else f"{base_kind(kind)}, not Latin",
            all(row.state == "settled" for row in run.attempts),
            actual, (errors[0], errors[1]), (inside[0], inside[1]), (both[0].mean, both[1].mean),
        )  # fmt: skip


def table(found: Sequence[Graded]) -> str:
    kinds = sorted({each.kind for each in found})
    groups = [(kind, [each for each in found if each.kind == kind]) for kind in kinds]
    groups += [("**all**", list(found)), ("not stopped for repeating itself", [each for each in found if each.ended])]
    head = ("answers", "n", "median q: before", "after", "p95: before", "after", "in range: before", "after",
            "planned money over actual: before", "after")  # fmt: skip
    return report.table(head, [_row(name, some) for name, some in groups if some])


def _row(name: str, some: Sequence[Graded]) -> list[str]:
    tokens = sum(each.tokens for each in some)
    row = [name, str(len(some))]
    for share in (0.5, 0.95):
        row += [f"{percentile([each.errors[at] for each in some], share):.2f}" for at in (0, 1)]
    row += [f"{100 * sum(each.inside[at] for each in some) / len(some):.0f} %" for at in (0, 1)]
    return [*row, *(f"{sum(each.means[at] for each in some) / tokens:.2f}" for at in (0, 1))]


def seconds(runs: Sequence[Run], catalog: Catalog) -> str:
    """q-errors of the seconds of answers, and how busy the machine was."""
    known = Statistics()
    errors: tuple[list[float], list[float]] = ([], [])
    for place, run in enumerate(runs):
        if place % EPOCH_ROWS == 0:
            known = learned(runs[:place])
        if place < EPOCH_ROWS:
            continue
        for into, statistics in zip(errors, (Statistics(), known), strict=True):
            estimate = planned(run, catalog, statistics).get(run.steps[-1].id)
            if estimate is not None:
                into.append(q_error(estimate.seconds.mid, run.actuals[-1].seconds))
    busy = [run.busy for run in runs if run.busy is not None]
    return (
        f"Seconds: median q {percentile(errors[0], 0.5):.2f} before and {percentile(errors[1], 0.5):.2f} after "
        f"({len(errors[1])} answers). Other programs took {100 * percentile(busy, 0.5):.0f} % of the processors in the "
        f"median run (up to {100 * max(busy):.0f} %), so that seconds say little here, and tokens are what is judged."
    )


def body(runs: Sequence[Run], catalog: Catalog) -> str:
    some = answers(runs)
    shuffled: list[Graded] = []
    for number in range(ORDERS):
        order = list(some)
        random.Random(SEED + number).shuffle(order)
        shuffled += graded(order)
    stopped = sum(any(row.state != "settled" for row in attempts(run)) for run in some)
    cut = sum(_tokens(run) >= run.steps[-1].estimate.output_tokens.high for run in some)
    return (
        f"{len(some)} answers of {some[0].endpoint}, {some[0].when[:16]} to {some[-1].when[:16]} UTC; {stopped} were "
        f"stopped for repeating themselves, {cut} were cut at their limit. Goal: median after <= before, 95 % in "
        "range.\n\n*Money over actual*: tokens that money is planned with over those that came, summed.\n\n"
        f"In the order they came:\n\n{table(list(graded(some)))}\n\nIn {ORDERS} other orders, together:\n\n"
        f"{table(shuffled)}\n\n{seconds(some, catalog)}"
    )


def main() -> None:
    if "--replay" not in sys.argv[1:]:
        record(cases(), RUNS)
    with fresh_home() as env, intermodal.Client(env=env) as client:
        catalog = client.asynchronous.catalog
    report.write("learning", "Lengths of answers before and after learning", body(list(recorded(RUNS)), catalog))


if __name__ == "__main__":
    main()
