"""A source in words: with the day it was opened, or that nobody did."""

from __future__ import annotations

UNVERIFIED = "unverified"


def citation(source: str, checked: str) -> str:
    """A source with the day it was opened.

    >>> cited("its guide", "2026-11-25"), cited("its guide", "")
    ('its guide, read 2026-11-25', 'its guide; unverified')
    """
    return f"{source}, read {checked}" if checked else f"{source}; {UNVERIFIED}"
