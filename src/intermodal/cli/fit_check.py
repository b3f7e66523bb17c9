"""``intermodal fit --check``: compare predicted memory and speed with those of a running server or its log."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from intermodal.model_fit.fit_check import FitComparison
    from intermodal.sizing.load_log import TermComparison


def check_prediction(given: dict[str, Any], said: str) -> None:
    """Compare and print. ``said``: what stands after ``--check``; a model there is one, where none is named before."""
    from intermodal.cli.fit import LOOK, wish_of
    from intermodal.cli.pull import weights_store
    from intermodal.errors import UsageError
    from intermodal.model_fit.fit_check import compare_fit as compared
    from intermodal.model_fit.fit_check import document, is_server

    if given["everything"] or given["svg_file"] or given["measure"]:
        raise UsageError("is a check of one model, without --all, --svg and --measure", where="--check",
                         todo="leave them out")  # fmt: skip
    target = "" if said == LOOK else said
    wish = wish_of(given)
    if target and not wish.model and not is_server(target, os.environ):
        wish, target = wish_of({**given, "model": target}), ""
    if not wish.model and not target:
        raise UsageError("neither a model nor a server is named", where="--check",
                         todo="name one: --check http://127.0.0.1:8080")  # fmt: skip
    found = compared(wish, target, weights_store(), os.environ)
    if given["as_json"]:
        from intermodal.cli.rendering.json_document import print_document

        print_document("fit", document(found))
        return
    _echo_comparison(found)


def _echo_comparison(found: FitComparison) -> None:
    from intermodal.cli.rendering.tables import echo_table
    from intermodal.model_fit.text_bars import rate

    click.echo(f"{found.model}{f': {found.server.words}' if found.server is not None else ''}")
    if found.rows:
        click.echo("")
        rows = [_cells(row) for row in found.rows]
        echo_table(("memory", "where", "predicted MiB", "real MiB", "error", "by"), rows)
    server = found.server
    if server is not None and server.written and found.written.known:
        low, high = rate(found.written.low), rate(found.written.high)
        click.echo(f"\nwrote {rate(server.written)} tokens a second so far, predicted {low} to {high}")
    for note in found.notes:
        click.echo(f"  {note}")
    if found.correction is not None:
        click.echo(f"\nkept for this file with {found.correction.flags}: fit, up, doctor and plans use it")


def _cells(row: TermComparison) -> tuple[str, ...]:
    from intermodal.sizing.load_log import MIB
    from intermodal.sizing.memory_corrections import TOKENS

    unit, digits = (1, 0) if row.name == TOKENS else (MIB, 2 if row.source == "log" else 0)
    low, mid, high = (f"{value / unit:,.{digits}f}" for value in
                      (row.predicted.low, row.predicted.mid, row.predicted.high))  # fmt: skip
    wide = f" ({low}..{high})" if low != high else ""
    name = f"{row.name} (tokens)" if row.name == TOKENS else row.name
    error = f"{row.error:+.2%}" if row.error is not None else "not logged"
    return name, row.device, f"{mid}{wide}", f"{row.real / unit:,.{digits}f}" if row.real else "-", error, row.source
