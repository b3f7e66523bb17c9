"""Progress on stderr: a line that moves on a terminal, and a line per note anywhere."""

from __future__ import annotations

import sys

import click

from intermodal.events import Event, Note, Retrying, StepProgress, StepStarted

_BAR = 24


class Progress:
    """Shows events that are not words. On a pipe only notes and retries are printed."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._moves = not quiet and sys.stderr.isatty()
        self._titles: dict[str, str] = {}
        self._shown = False

    def show(self, event: Event) -> None:
        if self._quiet:
            return
        if isinstance(event, StepStarted):
            self._titles[event.step] = event.title
            self._line(f"{event.title} …")
        elif isinstance(event, StepProgress):
            self._line(f"{self._titles.get(event.step, '')} {_bar(event.fraction)} {event.note}".rstrip())
        elif isinstance(event, Note):
            self.clear()
            click.echo(f"note: {event.text}", err=True)
        elif isinstance(event, Retrying):
            self.clear()
            click.echo(f"retrying: {event.reason}", err=True)

    def _line(self, text: str) -> None:
        if self._moves:
            sys.stderr.write(f"\r\033[K{text[:110]}")
            sys.stderr.flush()
            self._shown = True

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
            self._shown = False


def _bar(fraction: float | None) -> str:
    if fraction is None:
        return ""
    full = round(_BAR * min(max(fraction, 0.0), 1.0))
    return f"[{'█' * full}{' ' * (_BAR - full)}] {fraction:4.0%}"
