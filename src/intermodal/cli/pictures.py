"""Where pictures go: a file that can be written, found out before anything runs, or standard output."""

from __future__ import annotations

import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from intermodal.errors import UsageError

if TYPE_CHECKING:
    from intermodal.events import Result
    from intermodal.plans.plan import Plan

WIDEST = 140  # columns of a timeline, where the terminal has more
PIPED = 116  # and where nobody knows, as EXPLAIN
_BEGINS = (b"<svg", b"<?xml", b"<!--")


def check_target(path: Path) -> None:
    """Raise UsageError unless a picture can be written there. A file that is no picture is left alone."""
    where, todo = str(path), "name a file that may be written"
    try:
        existing = path.stat()
    except FileNotFoundError:
        existing = None
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be written ({_reason(error)})", where=where, todo=todo) from None
    try:
        if existing is not None:
            if not stat.S_ISREG(existing.st_mode):
                raise UsageError("is not a file", where=where, todo=todo)
            with path.open("rb") as file:
                begins = file.read(8).lstrip(b"\xef\xbb\xbf \r\n\t")
            if begins and not any(begins.startswith(mark[: len(begins)]) for mark in _BEGINS):
                raise UsageError(
                    "is there already and is not an SVG picture", where=where, todo="name a new file for --svg"
                )
        folder = (path.resolve() if path.is_symlink() else path).parent
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"cannot be written ({_reason(error)})", where=where, todo=todo) from None


def _reason(error: OSError | ValueError) -> str:
    return (getattr(error, "strerror", None) or "not a path").lower()


def write_picture(target: str, picture: str, *, quiet: bool = False) -> None:
    """To the file, or to standard output for "-"."""
    from intermodal.cli.files import write_atomically

    if target == "-":
        sys.stdout.buffer.write(picture.encode("utf-8"))
        sys.stdout.buffer.flush()
        return
    write_atomically(Path(target), picture.encode("utf-8"))
    if not quiet:
        click.echo(f"wrote {target}", err=True)


def run_picture(plan: Plan, result: Result) -> str:
    """Estimate against actual on one axis of time, as SVG."""
    from intermodal.plans import gantt
    from intermodal.plans.timeline import timeline

    return gantt.svg(plan, timeline(plan, result))


def run_text(plan: Plan, result: Result) -> str:
    """The same as text, as wide as the terminal on standard error."""
    from intermodal.plans import bars
    from intermodal.plans.timeline import timeline

    columns = min(shutil.get_terminal_size().columns - 1, WIDEST) if sys.stderr.isatty() else PIPED
    try:
        "".join(bars.BLOCKS).encode(sys.stderr.encoding or "ascii")
        plain = False
    except (UnicodeEncodeError, LookupError):
        plain = True
    return bars.text(timeline(plan, result), columns, plain=plain)
