"""Standard input, read up to a limit."""

from __future__ import annotations

import sys

import click

from intermodal.errors import InputTooLarge

MAX_STDIN = 512 << 20  # bytes, as for a file


def read_stdin() -> bytes:
    """Raises InputTooLarge beyond ``MAX_STDIN``."""
    if sys.stdin.isatty():
        click.echo("reading standard input; end it with Ctrl-D", err=True)
    data = sys.stdin.buffer.read(MAX_STDIN + 1)
    if len(data) > MAX_STDIN:
        raise InputTooLarge(f"is larger than {MAX_STDIN >> 20} MiB", where="standard input", todo="pass a smaller file")
    return data
