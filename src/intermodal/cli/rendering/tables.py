"""Plain-text tables and amounts: aligned columns without frames or colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from intermodal.plans.numbers import format_table, held, size

if TYPE_CHECKING:
    from intermodal.quantity import Quantity


def echo_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their heads, columns aligned; the last column may be as long as it likes."""
    for line in format_table(head, rows):
        click.echo(line)


def memory(need: Quantity) -> str:
    """Memory it takes, and takes at most: 400 MiB (peak 560 MiB)."""
    return held(need.mid) if need.high <= need.mid else f"{held(need.mid)} (peak {held(need.high)})"


def money(amount: float | None) -> str:
    """USD: free, unknown, $0.0123."""
    if amount is None:
        return "unknown"
    if amount == 0:
        return "$0"
    if amount < 0.000001:
        return "<$0.000001"
    whole, _, part = f"{amount:.6f}".rstrip("0").partition(".")
    return f"${int(whole):,}.{part:<02}"


def count(number: float | None) -> str:
    """12,345; "-" for nothing known."""
    return "-" if number is None else f"{number:,.0f}"


__all__ = ["count", "echo_table", "held", "memory", "money", "size"]
