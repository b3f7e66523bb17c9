"""The report of an evaluation: trials, grades, aggregates, and the tiers they show."""

from __future__ import annotations

from intermodal.evaluation import aggregation, tiers
from intermodal.evaluation.aggregation import EvaluationReport
from intermodal.evaluation.runner import Evaluation


def report(evaluation: Evaluation, date: str, reused: int = 0) -> EvaluationReport:
    """Everything that is known now; also of an evaluation that was stopped."""
    trials = evaluation.trials()
    rows = aggregation.grade_trials(evaluation.data.items, trials)
    routes = aggregation.report_routes(rows, evaluation.left_out)
    runs = [(row.trial, row.grade.right) for row in rows]
    return EvaluationReport(
        data=evaluation.data.name,
        digest=evaluation.data.digest,
        date=date,
        items=len(evaluation.planned),
        without_route={each.item.id: each.why for each in evaluation.planned if not each.routes},
        runs=len(rows),
        missing=len(evaluation.runs()) - len(rows),
        reused=reused,
        routes=routes,
        comparisons=aggregation.compare_routes(rows, routes),
        measured=tiers.measure_tiers(runs, evaluation.client.catalog),
        spent=evaluation.journal.spent,
        max_cost=evaluation.settings.max_cost,
        hidden=evaluation.hidden,
        stopped=evaluation.stopped,
        graded=rows,
    )
