"""Progress on stderr: a moving line on a terminal, and elsewhere one line for each note."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Self

import click

from intermodal.cli.arguments.files import write_atomically
from intermodal.events import Event, Note, Retrying, Sketched, StepFinished, StepProgress, StepStarted

_BAR = 24
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def for_terminal(text: str) -> str:
    """Return text without control characters, so that no model or file name can control the terminal."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


class Progress:
    """Show events that are not words. On a pipe, only notes and retries are printed.

    ``quiet``: show only notes that warn. ``silent``: show nothing, since a document reports everything. ``preview``: a
    file for the intermediate states of an image. ``plan_notes``: those that the plan above already contains.
    """

    def __init__(
        self, *, quiet: bool, silent: bool = False, preview: str = "", plan_notes: Collection[str] = ()
    ) -> None:
        self._preview = preview
        self._quiet = quiet or silent
        self._silent = silent
        self._moves = not self._quiet and sys.stderr.isatty()
        self._titles: dict[str, str] = {}
        self._plan_notes = frozenset(plan_notes)
        self._line_is_visible = False

    def speaks(self, event: Event) -> bool:
        """Return whether showing this event prints a line of its own."""
        if isinstance(event, Note) and event.text in self._plan_notes:
            return False
        if self._quiet:
            return not self._silent and isinstance(event, Note) and event.warns
        return isinstance(event, Note | Retrying)

    def show(self, event: Event) -> None:
        if isinstance(event, Sketched):
            if self._preview:
                write_atomically(Path(self._preview), event.picture.data)
            return
        if self._quiet and not self.speaks(event):
            return
        if isinstance(event, StepStarted):
            self._titles[event.step] = event.title
            self._redraw_line(f"{event.title} …")
        elif isinstance(event, StepProgress):
            self._redraw_line(f"{self._titles.get(event.step, '')} {_bar_text(event.fraction)} {event.note}".rstrip())
        elif isinstance(event, StepFinished):
            self._titles.pop(event.actual.step, None)
            if self._titles:  # another step is still in progress
                self._redraw_line(f"{next(iter(self._titles.values()))} …")
        elif isinstance(event, Note) and self.speaks(event):
            self._print_line(f"note: {event.text}")
        elif isinstance(event, Retrying):
            wait = f", in {event.delay:.1f} s" if event.delay else ""
            self._print_line(f"retrying: {event.reason}{wait}")

    def _print_line(self, text: str) -> None:
        self.clear()
        click.echo(for_terminal(text), err=True)

    def _redraw_line(self, text: str) -> None:
        if self._moves:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r\033[K{for_terminal(text)[:width]}")
            sys.stderr.flush()
            self._line_is_visible = True

    def clear(self) -> None:
        """Remove the moving line, because something else is about to be written."""
        if self._line_is_visible:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
            self._line_is_visible = False


class ProgressBar:
    """A line that moves during long work until the block ends; call it with the number done, the total, and a text.

    It appears with the first call, as there may be none. ``at_once``: it appears earlier, if a call is certain.
    """

    def __init__(self, title: str, *, quiet: bool, at_once: bool = False) -> None:
        self._progress = Progress(quiet=quiet)
        self._started = StepStarted(step=title, title=title)
        self._is_visible = False
        if at_once:
            self._show()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.clear()

    def __call__(self, number: int, total: int, remark: str = "") -> None:
        if not self._is_visible:
            self._show()
        note = f"{number:,} of {total:,}{f'  {remark}' if remark else ''}"
        self._progress.show(StepProgress(step=self._started.step, fraction=number / max(total, 1), note=note))

    def _show(self) -> None:
        self._progress.show(self._started)
        self._is_visible = True


def _bar_text(fraction: float | None) -> str:
    if fraction is None:
        return ""
    share = min(max(fraction, 0.0), 1.0)
    return f"[{'█' * round(_BAR * share):<{_BAR}}] {share:4.0%}"
