"""The HTML report of an evaluation: self-contained, light and dark, readable without its charts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from intermodal._version import __version__
from intermodal.charts.html import STYLE, document, table
from intermodal.charts.scatter_chart import scatter
from intermodal.evaluation.aggregation import EvaluationReport, GradedTrial, RouteReport
from intermodal.plans.numbers import plain_money, plain_seconds

MAX_SHOWN = 600  # characters of an answer in the table of items

_STYLE = (
    STYLE
    + """
.scatter text{font:12px system-ui,sans-serif;fill:var(--dim)}.scatter .head{font-weight:600;font-size:13px;
fill:var(--text)}.scatter .grid{stroke:var(--line);stroke-width:1}.scatter .frontier{fill:none;stroke:var(--text);
stroke-width:1.5;stroke-dasharray:5 4}.scatter .bar{fill:none;stroke:var(--hue);stroke-width:2}
.scatter circle{fill:var(--hue);stroke:var(--hue);stroke-width:2}.scatter .number{fill:var(--back);font-weight:700}
.scatter .few circle{fill:var(--back)}.scatter .few .number{fill:var(--hue)}
"""
)
_STYLE += "".join(f".hue{number}{{--hue:var(--h{number})}}" for number in range(1, 9))


def page(report: EvaluationReport) -> str:
    """Return the report as one HTML document."""
    title = f"{report.data}: {len(report.routes)} routes side by side"
    subtitle = f"{report.runs} runs of {report.items} items, {report.date}, intermodal {__version__}"
    stopped = f'<p class="bad">Stopped early: {escape(report.stopped)}</p>' if report.stopped else ""
    sections = (
        _scatter_charts(report),
        _routes(report),
        _comparisons(report),
        _strength_section(report),
        _items(report),
    )
    head = f'<p class="dim">{escape(subtitle)}; ${plain_money(report.spent)} spent</p>\n{stopped}'
    return document(title, head + "\n".join(section for section in sections if section), _STYLE)


def _scatter_charts(report: EvaluationReport) -> str:
    """Return the charts of correct answers against seconds and, if any route has a cost, against cost."""
    charts = [
        scatter(
            report.routes, lambda row: row.seconds, lambda row: row.best_by_seconds, key="seconds",
            title="Right answers against time", label="median seconds a run", unit=lambda value: f"{value:.3g} s",
        )
    ]  # fmt: skip
    free = all(row.cost == 0 for row in report.routes)
    if not free:
        charts.append(
            scatter(
                report.routes, lambda row: row.cost, lambda row: row.best_by_cost, key="cost",
                title="Right answers against cost", label="USD a run", unit=_dollars,
            )
        )  # fmt: skip
    note = (
        "A number is a route of the table below, its bar the 95 % interval of right answers. The dashed line joins the "
        "routes that no other beats on both. A number that had to make room has a line to its place."
    )
    if len({row.items for row in report.routes}) > 1:
        note += " Hollow ones ran over fewer items, so they answered other questions and are not joined."
    if free:
        note += " Every route is free, so cost has no picture."
    return f'<h2>Pictures</h2>\n<div class="pictures">\n{"".join(charts)}\n</div>\n<p class="dim">{note}</p>'


def _dollars(value: float) -> str:
    return "free" if value == 0 else f"${plain_money(value)}"


def _routes(report: EvaluationReport) -> str:
    rows = [_route(row) for row in report.routes]
    head = (
        "n:Route", "Endpoint", "What goes in", "n:Right", "n:95 % interval", "n:Score", "n:Tokens in", "n:Tokens out",
        "n:USD a run", "n:Median", "n:p95", "Loses", "Failed", "n:Planner’s choice",
    )  # fmt: skip
    note = (
        "Right: items right in more than half of their runs. Interval: Wilson. Time: as if nothing had been converted "
        "before and every model were loaded; loading is not in it."
    )
    return f"<h2>Routes</h2>\n{table(head, rows, note)}"


def _route(row: RouteReport) -> list[str]:
    failed = ", ".join(f"{number} {code}" for code, number in row.errors.items())
    return [
        str(row.number), row.route.endpoint, row.route.words, f"{row.right} of {row.items}",
        f"{row.low:.0%} to {row.high:.0%}", f"{row.score:.2f}", _count(row.input_tokens), _count(row.output_tokens),
        "unknown" if row.cost is None else _dollars(row.cost), _seconds(row.seconds), _seconds(row.seconds_p95),
        ", ".join(row.loses) or "nothing", "; ".join(filter(None, (failed, row.left_out))) or "none",
        f"{row.chosen} items",
    ]  # fmt: skip


def _count(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}"


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{plain_seconds(value)} s"


def _comparisons(report: EvaluationReport) -> str:
    if not report.comparisons:
        return ""
    rows = [
        [
            f"{each.first} and {each.second}", str(each.items), str(each.both), str(each.only_first),
            str(each.only_second), str(each.neither), f"{each.chance:.3g}", f"{each.corrected:.3g}", each.words,
        ]
        for each in report.comparisons
    ]  # fmt: skip
    head = (
        "Routes", "n:Same items", "n:Both right", "n:Only the first", "n:Only the second", "n:Neither", "n:p",
        "n:p, corrected", "Shown",
    )  # fmt: skip
    note = "Exact two-sided McNemar test over the items both ran; corrected for the number of pairs after Holm."
    return f"<h2>Against each other</h2>\n{table(head, rows, note)}"


def _strength_section(report: EvaluationReport) -> str:
    if not report.measured:
        return ""
    rows = [
        [
            each.endpoint, each.task, f"{each.right} of {each.items}", f"{each.low:.0%} to {each.high:.0%}",
            each.tier or "none", each.before, each.why, "yes" if each.remembered else "no",
        ]
        for each in report.measured
    ]  # fmt: skip
    head = ("Endpoint", "Task", "n:Right", "n:95 % interval", "Tier", "Before", "Why", "Plans use it")
    note = "The tier follows from the lower end of the interval. The thresholds are a convention."
    return f"<h2>Strength</h2>\n{table(head, rows, note)}"


def _items(report: EvaluationReport) -> str:
    """Return every item with every route's answer, collapsed."""
    by_item: dict[str, list[GradedTrial]] = {}
    for row in report.graded:
        by_item.setdefault(row.trial.item, []).append(row)
    numbers = {row.route.id: row.number for row in report.routes}
    body = []
    for item, rows in by_item.items():
        cells = "".join(_answer(row, numbers[row.trial.route.id]) for row in _by_route_and_repeat(rows, numbers))
        right = sum(row.grade.right for row in rows)
        body.append(
            f'<tr><th scope="row">{escape(item)}</th><td class="n">{right} of {len(rows)}</td><td>{cells}</td></tr>'
        )
    body += [
        f'<tr><th scope="row">{escape(item)}</th><td class="n">0 of 0</td><td>no route: {escape(why)}</td></tr>'
        for item, why in report.without_route.items()
    ]
    return (
        '<h2>Items</h2>\n<div class="scroll"><table><caption>Every answer; open one to read it.</caption><thead><tr>'
        '<th scope="col">Item</th><th scope="col" class="n">Runs right</th><th scope="col">By route</th></tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _by_route_and_repeat(rows: Sequence[GradedTrial], numbers: dict[str, int]) -> list[GradedTrial]:
    return sorted(rows, key=lambda row: (numbers[row.trial.route.id], row.trial.repeat))


def _answer(row: GradedTrial, number: int) -> str:
    verdict, mark = ("good", "right") if row.grade.right else ("bad", "wrong")
    trial = row.trial
    text = trial.answer or trial.message
    text = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} …"
    difference = f": {escape(row.grade.difference)}" if row.grade.difference else ""
    return (
        f'<details><summary>{number} <span class="{verdict}">{mark}</span>{difference}</summary>'
        f"<pre>{escape(text)}</pre></details>"
    )
