"""Options of verbs that write their result as a picture or a page: ``--svg`` and ``--html``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def svg_option(draws: str) -> Callable[[F], F]:
    """``--svg`` as ``svg_file``: write a picture to a file or to standard output. ``draws``: its help text."""
    return click.option("--svg", "svg_file", type=click.Path(dir_okay=False, allow_dash=True), default=None,
                        metavar="FILE", help=f"{draws}; - for standard output.")  # fmt: skip


def html_option(writes: str) -> Callable[[F], F]:
    """``--html`` as ``html_file``: write a page to a file. ``writes``: its help text."""
    return click.option("--html", "html_file", type=click.Path(dir_okay=False), default=None, metavar="FILE",
                        help=f"{writes}.")  # fmt: skip
