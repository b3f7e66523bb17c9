"""SVG output, to a file or to standard output."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from intermodal.events import Result
    from intermodal.plans.plan import Plan

WIDEST = 140  # columns of a timeline, where the terminal has more
PIPED = 116  # and where nobody knows, as EXPLAIN


def write_picture(target: str, picture: str, *, quiet: bool = False) -> None:
    """To the file, or to standard output for "-"."""
    from intermodal.cli.arguments.saved_files import write_atomically

    if target == "-":
        sys.stdout.buffer.write(picture.encode("utf-8"))
        sys.stdout.buffer.flush()
        return
    write_atomically(Path(target), picture.encode("utf-8"))
    if not quiet:
        click.echo(f"wrote {target}", err=True)


def timeline_svg(plan: Plan, result: Result) -> str:
    """Estimate against actual on one axis of time, as SVG."""
    from intermodal.plans import timeline_svg as plans_timeline_svg
    from intermodal.plans.timeline import timeline

    return plans_timeline_svg.svg(plan, timeline(plan, result))


def timeline_text(plan: Plan, result: Result) -> str:
    """The same as text, as wide as the terminal on standard error."""
    from intermodal.plans import timeline_text as plans_timeline_text
    from intermodal.plans.timeline import timeline

    columns = min(shutil.get_terminal_size().columns - 1, WIDEST) if sys.stderr.isatty() else PIPED
    try:
        "".join(plans_timeline_text.BLOCKS).encode(sys.stderr.encoding or "ascii")
        plain = False
    except (UnicodeEncodeError, LookupError):
        plain = True
    return plans_timeline_text.text(timeline(plan, result), columns, plain=plain)
