"""An evaluation as a report: what was run, graded and added up, and what it says about endpoints."""

from __future__ import annotations

from intermodal.reports import tally, tiers
from intermodal.reports.evaluate import Evaluation
from intermodal.reports.tally import Report


def report(evaluation: Evaluation, date: str, reused: int = 0) -> Report:
    """Everything that is known now; also of an evaluation that was stopped."""
    trials = evaluation.trials()
    rows = tally.graded(evaluation.data.items, trials)
    routes = tally.routes_of(rows, evaluation.left_out)
    runs = [(row.trial, row.grade.right) for row in rows]
    return Report(
        data=evaluation.data.name,
        digest=evaluation.data.digest,
        date=date,
        items=len(evaluation.planned),
        without_route={each.item.id: each.why for each in evaluation.planned if not each.routes},
        runs=len(rows),
        missing=len(evaluation.runs()) - len(rows),
        reused=reused,
        routes=routes,
        comparisons=tally.comparisons_of(rows, routes),
        measured=tiers.measured(runs, evaluation.client.catalog),
        spent=evaluation.journal.spent,
        max_cost=evaluation.settings.max_cost,
        hidden=evaluation.hidden,
        stopped=evaluation.stopped,
        graded=rows,
    )
