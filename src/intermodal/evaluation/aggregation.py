"""Aggregate trials: accuracy, cost and losses per route, and comparisons of routes."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import field

from intermodal.core.content import Value
from intermodal.evaluation.dataset import EvalItem
from intermodal.evaluation.graders import AnswerGrade, RouteAnswer, grade
from intermodal.evaluation.tiers import TierMeasurement, holm_correction, mcnemar_test, wilson_interval
from intermodal.evaluation.trial_journal import EvaluatedRoute, Trial
from intermodal.store.learned_figures import percentile

SHOWN = 0.05  # significance level


class GradedTrial(Value):
    """A trial and its grade."""

    trial: Trial
    grade: AnswerGrade


class RouteReport(Value):
    """The results of one route over the items it accepts.

    Attributes:
        number: in tables and charts, from 1.
        items, runs: how many there are of each. right: items answered correctly in more than half of their runs.
        low, high: 95 % interval of the share that is right. score: mean of the grades, 0..1.
        unsteady: items whose runs disagree. chosen: items for which the planner itself chooses this route.
        input_tokens, output_tokens, cost: means per run; None if unknown. total: USD over all runs.
        seconds, seconds_p95: median and 95th percentile per run; None if no run succeeded.
        load_seconds: the longest model loading.
        errors: number of runs by error. loses: number of items by lost aspect.
        guessed: runs with a conversion cached before the evaluation, timed by its estimate.
        best_by_cost, best_by_seconds: whether it is on the Pareto frontier of correct answers against that figure.
        left_out: why its remaining items were not run.
    """

    number: int
    route: EvaluatedRoute
    items: int = 0
    runs: int = 0
    right: int = 0
    low: float = 0.0
    high: float = 1.0
    score: float = 0.0
    unsteady: int = 0
    chosen: int = 0
    input_tokens: float | None = None
    output_tokens: float | None = None
    cost: float | None = None
    total: float | None = None
    seconds: float | None = None
    seconds_p95: float | None = None
    load_seconds: float = 0.0
    errors: dict[str, int] = field(default_factory=dict)
    loses: dict[str, int] = field(default_factory=dict)
    guessed: int = 0
    best_by_cost: bool = False
    best_by_seconds: bool = False
    left_out: str = ""

    @property
    def share(self) -> float:
        return self.right / self.items if self.items else 0.0


class RouteComparison(Value):
    """Two routes compared over the items that both ran.

    ``chance`` is the probability of such a difference between equally good routes (exact McNemar); ``corrected``
    accounts for all comparisons of the report (Holm).
    """

    first: int
    second: int
    items: int
    both: int
    only_first: int
    only_second: int
    neither: int
    chance: float
    corrected: float = 1.0

    @property
    def words(self) -> str:
        """Return the conclusion in words."""
        if self.corrected >= SHOWN:
            return "no difference shown"
        better = self.first if self.only_first > self.only_second else self.second
        return f"{better} is better"


class EvaluationReport(Value):
    """A whole evaluation.

    Attributes:
        data: name of the file. digest: of its bytes. date: ISO.
        items: how many were requested. without_route: items that no route accepts, and why.
        runs, missing: finished runs, and runs still to be made. reused: finished runs from earlier commands.
        routes: best first. comparisons: every pair that shares items. measured: conclusions about endpoints.
        spent, max_cost: USD. hidden: number of routes found but not run. stopped: why it ended early.
        graded: every run.
    """

    data: str
    digest: str
    date: str
    items: int = 0
    without_route: dict[str, str] = field(default_factory=dict)
    runs: int = 0
    missing: int = 0
    reused: int = 0
    routes: tuple[RouteReport, ...] = ()
    comparisons: tuple[RouteComparison, ...] = ()
    measured: tuple[TierMeasurement, ...] = ()
    spent: float = 0.0
    max_cost: float = 0.0
    hidden: int = 0
    stopped: str = ""
    graded: tuple[GradedTrial, ...] = ()


def grade_trials(items: Iterable[EvalItem], trials: Iterable[Trial]) -> tuple[GradedTrial, ...]:
    """Grade stored trials, so that another way of comparing needs no new runs."""
    by_id = {item.id: item for item in items}
    found = []
    for trial in trials:
        answer = RouteAnswer(text=trial.answer, data=trial.data, scores=trial.scores)
        failed = AnswerGrade(right=False, score=0.0, difference=trial.message)
        found.append(GradedTrial(trial=trial, grade=failed if trial.error else grade(by_id[trial.item], answer)))
    return tuple(found)


def right_items(rows: Iterable[GradedTrial]) -> dict[str, bool]:
    """Return for each item whether more than half of its runs are right."""
    shares: dict[str, list[bool]] = {}
    for row in rows:
        shares.setdefault(row.trial.item, []).append(row.grade.right)
    return {item: 2 * sum(runs) > len(runs) for item, runs in shares.items()}


def report_routes(rows: Sequence[GradedTrial], left_out: Mapping[str, str]) -> tuple[RouteReport, ...]:
    """Return the results of every route, best first: most items, then most correct answers, then cost and time."""
    by_route: dict[str, list[GradedTrial]] = {}
    for row in rows:
        by_route.setdefault(row.trial.route.id, []).append(row)
    found = [_route(some, left_out.get(key, "")) for key, some in by_route.items()]
    found.sort(key=lambda r: (-r.items, -r.share, -r.score, _or_inf(r.cost), _or_inf(r.seconds), r.route.id))
    by_cost, by_seconds = _frontier(found, "cost"), _frontier(found, "seconds")
    return tuple(
        msgspec.structs.replace(
            row, number=number, best_by_cost=row.route.id in by_cost, best_by_seconds=row.route.id in by_seconds
        )
        for number, row in enumerate(found, start=1)
    )


def _route(rows: Sequence[GradedTrial], left_out: str) -> RouteReport:
    trials = [row.trial for row in rows]
    right = right_items(rows)
    low, high = wilson_interval(sum(right.values()), len(right))
    seconds = [trial.seconds for trial in trials if not trial.error]
    costs = [trial.cost for trial in trials]
    known_costs = [cost for cost in costs if cost is not None]
    verdicts: dict[str, set[bool]] = {}
    for row in rows:
        verdicts.setdefault(row.trial.item, set()).add(row.grade.right)
    return RouteReport(
        number=0,
        route=trials[0].route,
        items=len(right),
        runs=len(rows),
        right=sum(right.values()),
        low=low,
        high=high,
        score=sum(row.grade.score for row in rows) / len(rows),
        unsteady=sum(len(found) > 1 for found in verdicts.values()),
        chosen=len({trial.item for trial in trials if trial.rank == 0}),
        input_tokens=_mean([trial.input_tokens for trial in trials]),
        output_tokens=_mean([trial.output_tokens for trial in trials]),
        cost=sum(known_costs) / len(known_costs) if len(known_costs) == len(costs) else None,
        total=sum(known_costs) if len(known_costs) == len(costs) else None,
        seconds=percentile(seconds, 0.5) if seconds else None,
        seconds_p95=percentile(seconds, 0.95) if seconds else None,
        load_seconds=max((trial.load_seconds for trial in trials), default=0.0),
        errors=dict(Counter(trial.error for trial in trials if trial.error).most_common()),
        loses=dict(Counter(a for t in {t.item: t for t in trials}.values() for a in t.loses).most_common()),
        guessed=sum(trial.guessed for trial in trials),
        left_out=left_out,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known_values = [value for value in values if value is not None]
    return sum(known_values) / len(known_values) if known_values else None


def _or_inf(value: float | None) -> float:
    return float("inf") if value is None else value


def _frontier(rows: Sequence[RouteReport], figure: str) -> set[str]:
    """Return the routes that no other beats in both correct answers and this figure.

    Only routes with the largest number of items are compared.
    """
    found: set[str] = set()
    most = max((row.items for row in rows), default=0)
    best = -1.0
    ordered = [row for row in rows if row.items == most and getattr(row, figure) is not None]
    for row in sorted(ordered, key=lambda row: (getattr(row, figure), -row.share, row.route.id)):
        if row.share > best:
            best = row.share
            found.add(row.route.id)
    return found


def compare_routes(rows: Sequence[GradedTrial], routes: Sequence[RouteReport]) -> tuple[RouteComparison, ...]:
    """Compare every pair of routes over the items that both ran."""
    by_route = {
        report.number: right_items(row for row in rows if row.trial.route.id == report.route.id) for report in routes
    }
    found = []
    for first, second in itertools.combinations(sorted(by_route), 2):
        own_trials, other = by_route[first], by_route[second]
        shared = own_trials.keys() & other.keys()
        if not shared:
            continue
        pairs = Counter((own_trials[item], other[item]) for item in shared)
        alone, against = pairs[True, False], pairs[False, True]
        found.append(
            RouteComparison(
                first=first,
                second=second,
                items=len(shared),
                both=pairs[True, True],
                only_first=alone,
                only_second=against,
                neither=pairs[False, False],
                chance=mcnemar_test(alone, against),
            )
        )
    corrected = holm_correction([each.chance for each in found])
    return tuple(msgspec.structs.replace(each, corrected=chance) for each, chance in zip(found, corrected, strict=True))
