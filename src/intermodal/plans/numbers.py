"""Formats numbers and tables for people: "1,212 (1,180..1,240)", "$0.0011", "6.1 s", "unknown"."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from intermodal.core.quantity import Quantity


def count(quantity: Quantity) -> str:
    """Return a count with its range.

    >>> count(Quantity(low=1180, mid=1212, high=1240, certainty="estimated"))
    '1,212 (1,180..1,240)'
    """
    return _format_range(quantity, lambda value: f"{value:,.0f}", "")


def with_noun(number: int, noun: str, many: str = "") -> str:
    """Return a number with its noun in the singular or plural.

    >>> with_noun(1, "image"), with_noun(1200, "image"), with_noun(2, "box", "boxes")
    ('1 image', '1,200 images', '2 boxes')
    """
    return f"{number:,} {noun if number == 1 else many or noun + 's'}"


def clock(seconds: float) -> str:
    """Return a time as h:mm:ss or m:ss.

    >>> clock(3.4), clock(75), clock(3723)
    ('0:03', '1:15', '1:02:03')
    """
    minutes, second = divmod(int(max(0.0, seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minutes}:{second:02}"


def size(amount: float) -> str:
    """Return an amount of bytes on disk or in transfer in decimal units: 12 kB, 98 MB, 1.6 GB.

    >>> size(412), size(98e6), size(1.6e9)
    ('1 kB', '98 MB', '1.6 GB')
    """
    if amount < 500_000:
        return f"{max(1, round(amount / 1e3)) if amount else 0} kB"
    return f"{amount / 1e9:.1f} GB" if amount >= 1e9 else f"{amount / 1e6:.0f} MB"


def memory_size(amount: float) -> str:
    """Return an amount of bytes in memory in binary units: 98 MiB, 1.6 GiB.

    >>> memory_size(98 << 20), memory_size(1.6 * 2**30)
    ('98 MiB', '1.6 GiB')
    """
    return f"{amount / 2**30:.1f} GiB" if amount >= 2**30 else f"{amount / 2**20:.0f} MiB"


def tokens(quantity: Quantity) -> str:
    """Return a number of tokens with its range.

    >>> tokens(Quantity(low=140, mid=171, high=210, certainty="estimated"))
    '171 tok (140..210)'
    """
    return _format_range(quantity, lambda value: f"{value:,.0f}", " tok")


def seconds(quantity: Quantity) -> str:
    """Return a time with its range.

    >>> seconds(Quantity(low=2.0, mid=4.04, high=11.6, certainty="estimated"))
    '4.0 s (2.0..12)'
    """
    return _format_range(quantity, plain_seconds, " s")


def money(quantity: Quantity) -> str:
    """Return an amount of USD with its range; "price unknown" if it is unknown.

    >>> money(Quantity()), money(Quantity(low=0.0005, mid=0.0011, high=0.02, certainty="estimated"))
    ('$0', '$0.0011 (0.0005..0.02)')
    """
    text = _format_range(quantity, plain_money, "")
    return "price unknown" if text == "unknown" else f"${text}"


def memory(quantity: Quantity) -> str:
    """Return an amount of bytes with its range, in GiB.

    >>> memory(Quantity(low=9e8, mid=1.2e9, high=1.7e9, certainty="estimated")), memory(Quantity())
    ('1.1 GiB (0.8..1.6)', '0.0 GiB')
    """
    return _format_range(quantity, lambda value: f"{value / 2**30:.1f}", " GiB")


def plain_seconds(value: float) -> str:
    if value == 0:
        return "0"
    if value < 0.095:
        return f"{value:.2f}" if value >= 0.005 else "<0.01"
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def plain_money(value: float) -> str:
    """Return USD with up to 6 decimals and 3 significant digits; "unknown" for an infinite price.

    >>> plain_money(0.0012345), plain_money(1234.5), plain_money(float("inf"))
    ('0.00123', '1,234.5', 'unknown')
    """
    if value == math.inf:
        return "unknown"
    if value == 0:
        return "0"
    if value < 0.000001:
        return "<0.000001"
    digits = max(2, min(7, 3 - _exponent(value)))
    text = f"{value:,.{digits}f}".rstrip("0").rstrip(".")
    return text or "0"


def _exponent(value: float) -> int:
    exponent = 0
    while value < 1:
        value, exponent = value * 10, exponent - 1
    while value >= 10:
        value, exponent = value / 10, exponent + 1
    return exponent + 1


def _format_range(quantity: Quantity, form: Callable[[float], str], unit: str) -> str:
    if not quantity.known:
        return "unknown"
    low, mid, high = form(quantity.low), form(quantity.mid), form(quantity.high)
    if low == mid == high:
        return f"{mid}{unit}"
    return f"{mid}{unit} ({'' if quantity.low == 0 else low}..{high})"


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table with left-aligned columns. The last column has no maximum width.

    >>> format_table(("plan", "USD"), [("cheap", "1"), ("best", "20")])
    ['plan   USD', 'cheap  1', 'best   20']
    """
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]
