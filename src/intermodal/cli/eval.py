"""``intermodal eval``: run labelled data over every route and compare the routes.

The report, as terminal tables and as a JSON document, is made below.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from intermodal.cli.arguments.report_options import html_option
from intermodal.cli.arguments.request_options import money, seconds, split_list, with_all
from intermodal.core.request import SAMPLING_RANGES

if TYPE_CHECKING:
    from intermodal.client.async_client import AsyncClient
    from intermodal.concurrency.sync_bridge import SyncBridge
    from intermodal.config.config_file import Config
    from intermodal.core.request import Request
    from intermodal.evaluation.aggregation import EvaluationReport, RouteReport
    from intermodal.evaluation.dataset import Dataset
    from intermodal.evaluation.runner import Evaluation

EPILOG = """\b
Examples
  intermodal eval rail.jsonl
  intermodal eval rail.jsonl --routes smollm2-135m,gpt-5-mini --host openai --max-cost 0.50
  intermodal eval rail.jsonl --limit 10 --html rail.html
  intermodal eval rail.jsonl --json --no-remember
  intermodal eval --forget
"""
OVER_BUDGET = 8  # the exit code of BudgetExceeded: the run stopped early, and its results are shown


F = TypeVar("F", bound=Callable[..., Any])


def run_options(most_routes: int) -> Callable[[F], F]:
    """Return the options for the routes to run and the results to keep; ``most_routes`` is the default number."""
    options = [
        click.option(
            "-m", "--model", default="", metavar="NAME", help="Only routes that answer with this model or endpoint."
        ),
        click.option(
            "--routes",
            type=split_list,
            multiple=True,
            metavar="NAMES",
            help="Only routes that call one of these models or endpoints, to answer or convert.",
        ),
        click.option(
            "--most-routes",
            type=click.IntRange(min=1),
            default=most_routes,
            show_default=True,
            metavar="K",
            help="Maximum number of routes; those that most items can take come first.",
        ),
        click.option("--limit", type=click.IntRange(min=1), default=None, metavar="N", help="Run N items only."),
        click.option(
            "--repeat",
            type=click.IntRange(1, 100),
            default=1,
            show_default=True,
            metavar="N",
            help="Run each item over each route N times.",
        ),
        click.option(
            "--max-cost",
            type=money,
            default="1.00",
            show_default=True,
            metavar="USD",
            help="Money limit for the whole evaluation, earlier spending included.",
        ),
        click.option(
            "--deadline", type=seconds, default=None, metavar="SECONDS", help="Time limit of each run (30, 90s, 2m)."
        ),
        click.option("--local", is_flag=True, help="Nothing leaves this machine."),
        click.option(
            "--host",
            "hosts",
            multiple=True,
            metavar="NAME",
            help="Consent to this host for this evaluation; repeatable.",
        ),
        click.option(
            "--max-tokens", type=click.IntRange(min=1), default=None, metavar="N", help="Maximum tokens of the answer."
        ),
        click.option(
            "--temperature", type=click.FloatRange(*SAMPLING_RANGES["temperature"]), default=None, metavar="T",
            help="Sampling temperature.",
        ),
        click.option("--seed", type=int, default=None, metavar="N", help="Sampling seed."),
        html_option("Write a self-contained HTML report"),
        click.option(
            "--journal",
            "journal_file",
            type=click.Path(dir_okay=False),
            default=None,
            metavar="FILE",
            help="Where finished runs are kept.  [default: a file of this data's in the data folder]",
        ),
        click.option("--fresh", is_flag=True, help="Start over: discard finished runs."),
        click.option("--no-remember", is_flag=True, help="Do not let plans use the results."),
    ]  # fmt: skip

    return with_all(options)


@click.command(epilog=EPILOG)
@click.argument("data", required=False, type=click.Path())
@run_options(8)
@click.option("--forget", is_flag=True, help="Forget earlier results (with DATA: those of that data only) and exit.")
@click.option("-q", "--quiet", is_flag=True, help="Only the report: no progress, no notes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def eval(**options: Any) -> int | None:
    """Run every item of DATA (JSONL, one labelled question a line) over every route, and compare the routes.

    Finished runs are kept: after an interruption the same command resumes. The results become the strengths that plans
    use; docs/eval.md has the format and the rule.
    """  # fmt: skip
    if options["forget"]:
        _forget_results(options)
        return None
    if not options["data"]:
        raise click.UsageError("missing argument 'DATA'", click.get_current_context())
    from intermodal.cli.arguments.files import OutputFile, check_output_files
    from intermodal.client.async_client import AsyncClient
    from intermodal.concurrency.sync_bridge import SyncBridge
    from intermodal.evaluation.dataset import item_files, load_dataset

    data = load_dataset(Path(options["data"]))
    targets = (
        OutputFile("--journal", options["journal_file"], "journal"),
        OutputFile("--html", options["html_file"], "html"),
    )
    check_output_files(targets, (options["data"], *item_files(data)))
    client, bridge = AsyncClient(), SyncBridge()
    try:
        evaluation = evaluation_of(client, data, options)
        report = run(evaluation, bridge, options)
    finally:
        bridge.close(client.aclose)
    show(report, options)
    return OVER_BUDGET if report.stopped else None


def evaluation_of(
    client: AsyncClient, data: Dataset, options: Mapping[str, Any], requests: Mapping[str, Request] | None = None
) -> Evaluation:
    """Return the evaluation to run. ``requests`` are those of items whose request differs from their own prompt."""
    from intermodal.client import request_builder
    from intermodal.config.config_file import data_dir
    from intermodal.evaluation.runner import Evaluation, EvaluationSettings
    from intermodal.evaluation.trial_journal import TrialJournal

    common = {"hosts": (), "model": "", **common_options(client.config, options)}
    request_builder.apply_config_defaults(common, client.config)
    settings = EvaluationSettings(
        only=tuple(name for names in options["routes"] for name in names),
        most_routes=options["most_routes"],
        repeat=options["repeat"],
        limit=options["limit"],
        max_cost=options["max_cost"],
        common=common,
    )
    where = Path(options["journal_file"]) if options["journal_file"] else _journal_of(data_dir(client.env), data.path)
    return Evaluation(client=client, data=data, settings=settings, journal=TrialJournal(where), requests=requests or {})


def common_options(config: Config, cli_options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that the user set for every request, by the names of ``make_request``."""
    from intermodal.client.request_builder import checked_hosts

    options = {name: cli_options[name] for name in ("model", "deadline", "max_tokens", "temperature", "seed")}
    options["hosts"] = checked_hosts(cli_options["hosts"], config)
    options["farthest"] = "machine" if cli_options["local"] else None
    return {name: value for name, value in options.items() if value not in ("", (), None)}


def _journal_of(folder: Path, data: str) -> Path:
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    return folder / "eval" / f"{Path(data).stem[:60]}-{name}.jsonl"


# ---- running ---------------------------------------------------------------------------------------


def run(evaluation: Evaluation, bridge: SyncBridge, options: Mapping[str, Any]) -> EvaluationReport:
    """Plan, run and store the evaluation; an interrupt first reports what is stored and then propagates."""
    from intermodal.core.today import today
    from intermodal.evaluation.runner import report

    quiet = options["quiet"] or options["as_json"]
    with evaluation.journal.writing(fresh=options["fresh"]):
        _run_with_progress(bridge, evaluation.plan, "Planning", lambda: _items(evaluation), quiet)
        reused = sum(
            evaluation.journal.finished_trial((e.digest, r.id, n)) is not None
            for e, r, _, _, n in evaluation.planned_runs()
        )
        if not quiet:
            click.echo(_announcement(evaluation, reused), err=True)
        try:
            _run_with_progress(
                bridge, evaluation.run, "Running", lambda: len(evaluation.planned_runs()) - reused, quiet
            )
        except KeyboardInterrupt:
            trial_count = len(evaluation.trials())
            click.echo(
                f"{trial_count} of {len(evaluation.planned_runs())} runs are kept; the same command goes on from there",
                err=True,
            )
            raise
        evaluation_report = report(evaluation, today(), reused)
    return evaluation_report if options["no_remember"] else _remember(evaluation_report, evaluation)


def _items(evaluation: Evaluation) -> int:
    return len(evaluation.data.items[: evaluation.settings.limit])


def _run_with_progress(
    bridge: SyncBridge, make: Callable[[], AsyncGenerator[Any]], title: str, total: Callable[[], int], quiet: bool
) -> None:
    """Run one half of the evaluation while a progress bar moves."""
    from intermodal.cli.rendering.progress import ProgressBar
    from intermodal.cli.rendering.tables import money as dollars

    spent = 0.0
    with ProgressBar(title, quiet=quiet, at_once=True) as bar:
        for number, outcome in enumerate(bridge.iterate(make), start=1):
            errors_text = ""
            if not isinstance(outcome, int):
                spent += outcome.spent
                errors_text = f"{dollars(spent)}  {outcome.item} by {outcome.route.endpoint}"
            bar(number, total(), errors_text)


def _announcement(evaluation: Evaluation, reused: int) -> str:
    """Return the summary that is shown before the run."""
    import math

    from intermodal.cli.rendering.tables import money as dollars

    runs = len(evaluation.planned_runs())
    most = evaluation.most_it_costs()
    price = "some of unknown price" if math.isinf(most) else f"at most {dollars(most)}"
    reuse_note = f", {reused} of them kept from before" if reused else ""
    hidden = f"; {evaluation.hidden_routes} more routes with --most-routes" if evaluation.hidden_routes else ""
    return (
        f"{_items(evaluation)} items, {len(evaluation.routes)} routes, {runs} runs{reuse_note}, {price}{hidden}\n"
        f"runs are kept in {evaluation.journal.path}"
    )


# ---- stored results ----------------------------------------------------------------------------------


def _remember(evaluation_report: EvaluationReport, evaluation: Evaluation) -> EvaluationReport:
    """Store the results so that plans use them; an evaluation that ran out of money has no results yet."""
    import msgspec

    from intermodal.config.config_file import data_dir
    from intermodal.evaluation.tiers import strength
    from intermodal.store.measured_strengths import MeasuredStrength, remember

    if evaluation_report.stopped:
        return evaluation_report
    rows = []
    for each in evaluation_report.measured:
        found = strength(each, evaluation_report.data, evaluation_report.date)
        if found is not None:
            rows.append(MeasuredStrength(endpoint=each.endpoint, strength=found, items=each.items))
    if not rows:
        return evaluation_report
    remember(data_dir(evaluation.client.env), Path(evaluation.data.path), evaluation_report.date, rows)
    measured_strengths = tuple(
        msgspec.structs.replace(each, remembered=each.tier is not None) for each in evaluation_report.measured
    )
    return msgspec.structs.replace(evaluation_report, measured=measured_strengths)


def _forget_results(options: dict[str, Any]) -> None:
    from intermodal.config.config_file import data_dir
    from intermodal.store.measured_strengths import delete_results

    count = delete_results(data_dir(os.environ), Path(options["data"]) if options["data"] else None)
    if options["as_json"]:
        from intermodal.cli.rendering.json_document import print_document

        print_document("forgotten", {"files": count})
        return
    click.echo("nothing was measured" if not count else f"forgot what {count} evaluation{'s'[: count > 1]} measured")


# ---- showing ---------------------------------------------------------------------------------------


def show(report: EvaluationReport, options: Mapping[str, Any]) -> None:
    """Write the report: a table or a document on stdout, and a page if the user asked for one."""
    if options["html_file"]:
        from intermodal.charts.evaluation import page
        from intermodal.cli.arguments.files import write_atomically

        write_atomically(Path(options["html_file"]), page(report).encode("utf-8", "replace"))
        if not (options["quiet"] or options["as_json"]):
            click.echo(f"wrote {options['html_file']}", err=True)
    if options["as_json"]:
        from intermodal.cli.rendering.json_document import print_document

        print_document("evaluation", eval_document(report))
    else:
        click.echo(eval_table(report))
    if report.stopped:
        click.echo(f"intermodal: stopped: {report.stopped}", err=True)


# ---- text and JSON ----------------------------------------------------------------------------------


def eval_table(report: EvaluationReport) -> str:
    """Return the routes side by side, then compared with each other, then the conclusions about endpoints."""
    blocks = [_routes(report), _comparison_text(report), _strength_lines(report), _skipped_lines(report)]
    return "\n\n".join(block for block in blocks if block)


def _routes(report: EvaluationReport) -> str:
    from intermodal.cli.rendering.tables import count
    from intermodal.cli.rendering.tables import money as dollars
    from intermodal.plans.numbers import format_table

    route_labels = [f"{row.number}  {row.route.endpoint}: {row.route.words}" for row in report.routes]
    head = ("route", "right", "95 % interval", "tokens in", "out", "cost a run", "median", "p95", "loses", "failed")
    rows = [
        (
            str(row.number), f"{row.right} of {row.items}", interval(row.low, row.high), count(row.input_tokens),
            count(row.output_tokens), dollars(row.cost), _seconds(row.seconds), _seconds(row.seconds_p95),
            ", ".join(row.loses) or "-", failure_counts(row),
        )
        for row in report.routes
    ]  # fmt: skip
    return "\n".join([*route_labels, "", *format_table(head, rows)])


def interval(low: float, high: float) -> str:
    """Return a range of shares, such as 69..90 %."""
    return f"{low * 100:.0f}..{high * 100:.0f} %"


def failure_counts(row: RouteReport) -> str:
    """Return the number of failed runs for each error."""
    return ", ".join(f"{number} {code}" for code, number in row.errors.items()) or "-"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _comparison_text(report: EvaluationReport) -> str:
    """Return each route compared with the best one that has items in common with it.

    The document and the HTML report contain all pairs.
    """
    from intermodal.plans.numbers import format_table

    first: dict[int, int] = {}
    for each in report.comparisons:
        first.setdefault(each.second, each.first)
    rows = [
        (
            f"{each.first} and {each.second}", str(each.items), str(each.both), str(each.only_first),
            str(each.only_second), str(each.neither), p_value_text(each.corrected), each.words,
        )
        for each in report.comparisons
        if first[each.second] == each.first
    ]  # fmt: skip
    if not rows:
        return ""
    head = ("routes", "same items", "both right", "only the first", "only the second", "neither", "p", "")
    note = "p: exact McNemar test, corrected for all pairs (Holm); below 0.05 a difference is called shown"
    return "\n".join([*format_table(head, rows), note])


def p_value_text(value: float) -> str:
    """Return a p-value as text."""
    return f"{value:.3f}" if value >= 0.001 else "<0.001"


def _strength_lines(report: EvaluationReport) -> str:
    lines = []
    for each in report.measured:
        note = "; plans use it from now on" if each.remembered else ""
        lines.append(f"{each.endpoint}, {each.task}: {each.why} (before: {each.before}){note}")
    return "\n".join(["strength", *lines]) if lines else ""


def _skipped_lines(report: EvaluationReport) -> str:
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
    """Return the body of ``eval --json`` with every field. It contains the answers, which belong to the user."""
    from intermodal.cli.rendering.json_document import plain_data

    body: dict[str, Any] = plain_data(report)
    for row, route in zip(body["routes"], report.routes, strict=True):
        row["share"] = route.share
    numbers = {row.route.id: row.number for row in report.routes}
    del body["graded"]
    body["results"] = [
        {
            "item": row.trial.item,
            "route": numbers[row.trial.route.id],
            "repeat": row.trial.repeat,
            "right": row.grade.right,
            "score": row.grade.score,
            "said": row.grade.difference,
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
