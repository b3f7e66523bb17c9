"""Options of verbs that write their result as a picture or a page: ``--svg`` and ``--html``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def svg_option(draws: str) -> Callable[[F], F]:
    """Return the option ``--svg`` (``svg_file``), which names a file or standard output for a picture.

    ``draws`` is its help text.
    """
    return click.option("--svg", "svg_file", type=click.Path(dir_okay=False, allow_dash=True), default=None,
                        metavar="FILE", help=f"{draws}; - for standard output.")  # fmt: skip


def html_option(writes: str) -> Callable[[F], F]:
    """Return the option ``--html`` (``html_file``), which names a file for a page. ``writes`` is its help text."""
    return click.option("--html", "html_file", type=click.Path(dir_okay=False), default=None, metavar="FILE",
                        help=f"{writes}.")  # fmt: skip
