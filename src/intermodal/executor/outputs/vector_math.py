"""Arithmetic of vectors and scores. Pure; imports nothing that runs a plan."""

from __future__ import annotations

import math
from collections.abc import Sequence

from intermodal import errors


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine similarity of two vectors, -1 to 1.

    Raises CallError for vectors of different lengths, which share no space.

    >>> cosine((1.0, 0.0), (2.0, 0.0))
    1.0
    """
    if len(one) != len(other):
        raise errors.CallError(
            f"made vectors of {len(one):,} and of {len(other):,} numbers, which cannot be compared",
            todo="let another model score",
        )
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(map(float.__mul__, map(float, one), map(float, other))) / lengths if lengths else 0.0


def softmax(values: Sequence[float]) -> tuple[float, ...]:
    """Return the softmax of the values: positive shares that sum to 1.

    >>> softmax([0.0, 0.0])
    (0.5, 0.5)
    """
    most = max(values)
    powers = [math.exp(value - most) for value in values]
    whole = sum(powers)
    return tuple(power / whole for power in powers)


__all__ = ["cosine", "softmax"]
