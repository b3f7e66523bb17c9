"""Plain-text tables and amounts: aligned columns without frames or colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from intermodal.plans.numbers import format_table, memory_size, size

if TYPE_CHECKING:
    from intermodal.core.quantity import Quantity


def echo_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their headings in aligned columns; the last column may have any width."""
    for line in format_table(head, rows):
        click.echo(line)


def memory(need: Quantity) -> str:
    """Return the memory that something takes, with its peak, such as 400 MiB (peak 560 MiB)."""
    return (
        memory_size(need.mid) if need.high <= need.mid else f"{memory_size(need.mid)} (peak {memory_size(need.high)})"
    )


def money(amount: float | None) -> str:
    """Return an amount in USD, such as $0.0123; "unknown" for None."""
    if amount is None:
        return "unknown"
    if amount == 0:
        return "$0"
    if amount < 0.000001:
        return "<$0.000001"
    dollars, _, part = f"{amount:.6f}".rstrip("0").partition(".")
    return f"${int(dollars):,}.{part:<02}"


def count(number: float | None) -> str:
    """Return a number with separators, such as 12,345; "-" if it is unknown."""
    return "-" if number is None else f"{number:,.0f}"


__all__ = ["count", "echo_table", "memory_size", "memory", "money", "size"]
