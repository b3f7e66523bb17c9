"""``intermodal usage``: summaries of the runs in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from intermodal.client.async_client import AsyncClient
    from intermodal.store.pruning import PruneResult
    from intermodal.store.rows import AttemptRow, EstimateComparison, EstimateGrade, Summary

EPILOG = """\b
Examples
  intermodal usage
  intermodal usage --last 20
  intermodal usage --json
  intermodal usage --prune
"""


@click.command(epilog=EPILOG)
@click.option(
    "--last", type=click.IntRange(min=1), default=None, metavar="N", help="Show the latest N attempts, one by one."
)
@click.option(
    "--prune",
    is_flag=True,
    help="Replace attempts beyond the limits of [store] in the config by daily totals.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def usage(last: int | None, prune: bool, as_json: bool) -> None:
    """Show past runs: attempts, tokens, money, seconds, accuracy.

    They are kept in a file on this machine, which is sent nowhere and holds no content except the last conversation.
    Old attempts are replaced by daily totals: `intermodal serve` does it regularly, --prune does it now.
    """
    from intermodal.client.async_client import AsyncClient
    from intermodal.plans.numbers import with_noun

    client = AsyncClient()
    store, prune_result = client.store, None
    try:
        if prune:
            prune_result = _prune(client)
        summary, attempts = store.summary(), store.attempts(last) if last else ()
    finally:
        store.close()
    if as_json:
        from intermodal.cli.rendering.json_document import plain_data, print_document

        body = plain_data(summary)
        if last:
            body["last"] = [_row(plain_data(attempt)) for attempt in attempts]
        if prune_result is not None:
            body["pruned"] = plain_data(prune_result)
        print_document("usage", body)
        return
    if prune_result is not None:
        click.echo(
            f"deleted {with_noun(prune_result.attempts, 'attempt')} and {with_noun(prune_result.runs, 'run')} "
            f"that are in the sums now, {with_noun(prune_result.transforms, 'conversion')}\n",
            err=True,
        )
    if not summary.attempts:
        click.echo("no runs yet", err=True)
        return
    _show(summary)
    if attempts:
        click.echo()
        _show_attempts(attempts)


def _row(attempt: dict[str, Any]) -> dict[str, Any]:
    """Return an attempt as the store keeps it: of the host's counts, only the tokens in and out."""
    if attempt["outcome"] is None:
        return attempt
    usage = {name: attempt["outcome"]["usage"][name] for name in ("input_tokens", "output_tokens")}
    return {**attempt, "outcome": {**attempt["outcome"], "usage": usage}}


def _prune(client: AsyncClient) -> PruneResult:
    from intermodal.errors import UsageError
    from intermodal.files.atomic_file import display_path
    from intermodal.store.pruning import RetentionPolicy

    settings = client.config.store
    prune_result = client.store.prune(RetentionPolicy(seconds=settings.seconds, rows=settings.rows))
    if prune_result is None:
        raise UsageError(
            "another process is pruning it right now",
            where=display_path(client.store.path),
            todo="nothing to do: that process finishes it",
        )
    return prune_result


def _show(summary: Summary) -> None:
    from intermodal.cli.rendering.tables import count, echo_table, money
    from intermodal.plans.numbers import with_noun

    echo_table(
        ("endpoint", "attempts", "failed", "tokens in", "tokens out", "cost", "seconds"),
        [
            (e.endpoint, count(e.attempts), count(e.failed), _tokens(e.input_tokens, e.input_unreported),
             _tokens(e.output_tokens, e.output_unreported), money(e.cost), f"{e.seconds:,.1f}")
            for e in summary.endpoints
        ],
    )  # fmt: skip
    click.echo(
        f"\n{with_noun(summary.runs, 'run')}{_unfinished_runs_text(summary)}, {with_noun(summary.attempts, 'attempt')} "
        f"({summary.open} open), {money(summary.cost)} in all; plans use statistics of epoch {summary.epoch}"
    )
    if any(each.input_unreported or each.output_unreported for each in summary.endpoints):
        click.echo("unknown: tokens of attempts whose host did not report them; they are in no sum of tokens")
    if summary.added_up:
        click.echo(f"{with_noun(summary.added_up, 'attempt')} are kept as daily totals only")
    if summary.beside:
        click.echo("\nestimate -> actual")
        titles = ("endpoint", "runs", "tokens in", "tokens out", "cost", "input correction")
        echo_table(titles, [_comparison_cells(each) for each in summary.beside])
    if summary.grades:
        click.echo("\nestimate beside actual: q-error = max(estimate / actual, actual / estimate), 1.00 is perfect")
        head = ("endpoint", "step", "figure", "before learning", "runs", "median", "p90", "in range")
        echo_table(head, [_grade_cells(grade) for grade in summary.grades])


def _tokens(tokens: int | None, unreported: int) -> str:
    """Return a sum of tokens, and of how many attempts they are not in it."""
    from intermodal.cli.rendering.tables import count

    if not unreported:
        return count(tokens)
    return "unknown" if tokens is None else f"{count(tokens)} + {count(unreported)} unknown"


def _unfinished_runs_text(summary: Summary) -> str:
    """Return the runs that did not end by themselves."""
    found = [
        *([f"{summary.running} running"] if summary.running else []),
        *([f"{summary.interrupted} interrupted by the end of their process"] if summary.interrupted else []),
    ]
    return f" ({', '.join(found)})" if found else ""


def _comparison_cells(each: EstimateComparison) -> tuple[str, ...]:
    from intermodal.cli.rendering.tables import count, money

    return (
        each.endpoint, count(each.runs),
        f"{count(round(each.input_estimated))} -> {count(each.input_counted)}",
        f"{count(round(each.output_estimated))} -> {count(each.output_counted)}",
        f"{money(each.cost_estimated)} -> {money(each.cost_billed)}", each.learned or "-",
    )  # fmt: skip


def _grade_cells(grade: EstimateGrade) -> tuple[str, ...]:
    """Return the cells for one grade.

    ``before`` is the median of plans that were made before anything was learned; the rest is of later plans.
    """
    from intermodal.cli.rendering.tables import count

    return (
        grade.endpoint, grade.op, grade.figure.replace("_", " "),
        "-" if grade.before is None else f"{grade.before:.2f}",
        count(grade.count), f"{grade.median:.2f}", f"{grade.p90:.2f}",
        "-" if grade.inside is None else f"{100 * grade.inside:.0f} %",
    )  # fmt: skip


def _show_attempts(attempts: tuple[AttemptRow, ...]) -> None:
    from intermodal.cli.rendering.tables import count, echo_table, money
    from intermodal.events import Usage

    echo_table(
        ("started", "step", "endpoint", "state", "tokens in", "tokens out", "cost", "seconds"),
        [
            (
                row.started[:19],
                row.reservation.op,
                row.reservation.endpoint,
                row.state if row.outcome is None or not row.outcome.error else f"{row.state}: {row.outcome.error}",
                "unknown" if row.is_unreported("input") else count(used.input_tokens),
                "unknown" if row.is_unreported("output") else count(used.output_tokens),
                money(row.spent),
                f"{row.outcome.seconds:.2f}" if row.outcome else "-",
            )
            for row in attempts
            for used in (Usage() if row.outcome is None else row.outcome.usage,)
        ],
    )
