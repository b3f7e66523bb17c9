"""An evaluation as terminal tables and as a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intermodal.plans.text_table import format_table

if TYPE_CHECKING:
    from intermodal.evaluation.aggregation import EvaluationReport, RouteReport


def eval_table(report: EvaluationReport) -> str:
    """Routes side by side, then against each other, then what it says about endpoints."""
    blocks = [_routes(report), _against(report), _measured(report), _rest(report)]
    return "\n\n".join(block for block in blocks if block)


def _routes(report: EvaluationReport) -> str:
    from intermodal.cli.rendering.tables import count, money

    who = [f"{row.number}  {row.route.endpoint}: {row.route.words}" for row in report.routes]
    head = ("route", "right", "95 % interval", "tokens in", "out", "cost a run", "median", "p95", "loses", "failed")
    rows = [
        (
            str(row.number), f"{row.right} of {row.items}", interval(row.low, row.high), count(row.input_tokens),
            count(row.output_tokens), money(row.cost), _seconds(row.seconds), _seconds(row.seconds_p95),
            ", ".join(row.loses) or "-", failed(row),
        )
        for row in report.routes
    ]  # fmt: skip
    return "\n".join([*who, "", *format_table(head, rows)])


def interval(low: float, high: float) -> str:
    """A range of shares: 69..90 %."""
    return f"{low * 100:.0f}..{high * 100:.0f} %"


def failed(row: RouteReport) -> str:
    """How many runs ended with which error."""
    return ", ".join(f"{number} {code}" for code, number in row.errors.items()) or "-"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _against(report: EvaluationReport) -> str:
    """Each route against the best one it shares items with. All pairs are in the document and in the HTML report."""
    first: dict[int, int] = {}
    for each in report.comparisons:
        first.setdefault(each.second, each.first)
    rows = [
        (
            f"{each.first} and {each.second}", str(each.items), str(each.both), str(each.only_first),
            str(each.only_second), str(each.neither), chance(each.corrected), each.words,
        )
        for each in report.comparisons
        if first[each.second] == each.first
    ]  # fmt: skip
    if not rows:
        return ""
    head = ("routes", "same items", "both right", "only the first", "only the second", "neither", "p", "")
    note = "p: exact McNemar test, corrected for all pairs (Holm); below 0.05 a difference is called shown"
    return "\n".join([*format_table(head, rows), note])


def chance(value: float) -> str:
    """A p-value."""
    return f"{value:.3f}" if value >= 0.001 else "<0.001"


def _measured(report: EvaluationReport) -> str:
    lines = []
    for each in report.measured:
        kept = "; plans go by it from now on" if each.remembered else ""
        lines.append(f"{each.endpoint}, {each.task}: {each.why} (before: {each.before}){kept}")
    return "\n".join(["strength", *lines]) if lines else ""


def _rest(report: EvaluationReport) -> str:
    lines = [f"{item}: no route: {why}" for item, why in list(report.without_route.items())[:5]]
    if len(report.without_route) > 5:
        lines.append(f"and {len(report.without_route) - 5} more items without a route")
    lines += [
        f"route {row.number} was left out after {row.runs} runs: {row.left_out}"
        for row in report.routes
        if row.left_out
    ]
    guessed = sum(row.guessed for row in report.routes)
    if guessed:
        lines.append(
            f"in {guessed} runs a conversion was there from before this evaluation: its time is the estimate's"
        )
    if report.missing:
        lines.append(f"{report.missing} runs are not made")
    return "\n".join(lines)


def eval_document(report: EvaluationReport) -> dict[str, Any]:
    """The body of ``eval --json``: every field there. Answers are in it; they are the user's own."""
    from intermodal.cli.rendering.json_document import plain_data

    body: dict[str, Any] = plain_data(report)
    for row, made in zip(body["routes"], report.routes, strict=True):
        row["share"] = made.share
    numbers = {row.route.id: row.number for row in report.routes}
    del body["graded"]
    body["results"] = [
        {
            "item": row.trial.item,
            "route": numbers[row.trial.route.id],
            "repeat": row.trial.repeat,
            "right": row.grade.right,
            "score": row.grade.score,
            "said": row.grade.said,
            **{
                name: plain_data(getattr(row.trial, name))
                for name in (
                    "answer", "data", "scores", "finish_reason", "error", "seconds", "load_seconds", "cost", "spent",
                    "input_tokens", "output_tokens", "loses", "replans", "rank", "guessed", "when",
                )
            },
        }
        for row in report.graded
    ]  # fmt: skip
    return body
