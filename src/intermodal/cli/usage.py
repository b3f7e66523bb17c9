"""``intermodal usage``: what the store knows about what was run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from intermodal.store.rows import Attempt, Beside, Grade, Summary

EPILOG = """\b
Examples
  intermodal usage
  intermodal usage --last 20
  intermodal usage --json
"""


@click.command(epilog=EPILOG)
@click.option(
    "--last", type=click.IntRange(min=1), default=None, metavar="N", help="The newest N attempts, one by one."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def usage(last: int | None, as_json: bool) -> None:
    """What was run: attempts, tokens, money, seconds, and how good the estimates were.

    Kept in a file of yours; nothing in it is sent anywhere. It holds no content except the last conversation.
    """
    from intermodal.client import AsyncClient

    store = AsyncClient().store
    try:
        summary, attempts = store.summary(), store.attempts(last) if last else ()
    finally:
        store.close()
    if as_json:
        from intermodal.cli.document import plainly, print_document

        body = plainly(summary)
        print_document("usage", {**body, "last": [plainly(attempt) for attempt in attempts]} if last else body)
        return
    if not summary.attempts:
        click.echo("nothing was run yet", err=True)
        return
    _show(summary)
    if attempts:
        click.echo()
        _show_attempts(attempts)


def _show(summary: Summary) -> None:
    from intermodal.cli.table import count, echo_table, money

    echo_table(
        ("endpoint", "attempts", "failed", "tokens in", "tokens out", "cost", "seconds"),
        [
            (e.endpoint, count(e.attempts), count(e.failed), count(e.input_tokens), count(e.output_tokens),
             money(e.cost), f"{e.seconds:,.1f}")
            for e in summary.endpoints
        ],
    )  # fmt: skip
    click.echo(
        f"\n{_many(summary.runs, 'run')}, {_many(summary.attempts, 'attempt')} ({summary.open} open), "
        f"{money(summary.cost)} in all; "
        f"plans use statistics of epoch {summary.epoch}"
    )
    if summary.beside:
        click.echo("\nestimate -> what came back")
        titles = ("endpoint", "runs", "tokens in", "tokens out", "cost", "plans correct what goes in by")
        echo_table(titles, [_compared(each) for each in summary.beside])
    if summary.grades:
        click.echo("\nestimate beside actual: q-error = max(estimate / actual, actual / estimate), 1.00 is perfect")
        head = ("endpoint", "step", "figure", "before learning", "runs", "median", "p90", "as promised")
        echo_table(head, [_graded(grade) for grade in summary.grades])


def _compared(each: Beside) -> tuple[str, ...]:
    from intermodal.cli.table import count, money

    return (
        each.endpoint, count(each.runs),
        f"{count(round(each.input_estimated))} -> {count(each.input_counted)}",
        f"{count(round(each.output_estimated))} -> {count(each.output_counted)}",
        f"{money(each.cost_estimated)} -> {money(each.cost_billed)}", each.learned or "-",
    )  # fmt: skip


def _graded(grade: Grade) -> tuple[str, ...]:
    """``before learning`` is the median of plans made with nothing learned; the rest is of those made since."""
    from intermodal.cli.table import count

    return (
        grade.endpoint, grade.op, grade.figure.replace("_", " "),
        "-" if grade.before is None else f"{grade.before:.2f}",
        count(grade.count), f"{grade.median:.2f}", f"{grade.p90:.2f}",
        "-" if grade.inside is None else f"{100 * grade.inside:.0f} %",
    )  # fmt: skip


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _show_attempts(attempts: tuple[Attempt, ...]) -> None:
    from intermodal.cli.table import count, echo_table, money

    echo_table(
        ("started", "step", "endpoint", "state", "tokens in", "tokens out", "cost", "seconds"),
        [
            (
                row.started[:19],
                row.reservation.op,
                row.reservation.endpoint,
                row.state if row.outcome is None or not row.outcome.error else f"{row.state}: {row.outcome.error}",
                count(row.outcome.usage.input_tokens if row.outcome else None),
                count(row.outcome.usage.output_tokens if row.outcome else None),
                money(row.spent),
                f"{row.outcome.seconds:.2f}" if row.outcome else "-",
            )
            for row in attempts
        ],
    )
