"""Arithmetic of vectors and scores. Pure; imports nothing that runs a plan."""

from __future__ import annotations

import math
from collections.abc import Sequence

from intermodal import errors


def cosine(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the cosine similarity of two vectors, -1 to 1.

    Raises CallError for vectors of different lengths, which share no space.

    >>> cosine((1.0, 0.0), (2.0, 0.0))
    1.0
    """
    if len(first) != len(second):
        raise errors.CallError(
            f"made vectors of {len(first):,} and of {len(second):,} numbers, which cannot be compared",
            todo="let another model score",
        )
    lengths = math.hypot(*first) * math.hypot(*second)
    return sum(map(float.__mul__, map(float, first), map(float, second))) / lengths if lengths else 0.0


def softmax(values: Sequence[float]) -> tuple[float, ...]:
    """Return the softmax of the values: positive shares that sum to 1.

    >>> softmax([0.0, 0.0])
    (0.5, 0.5)
    """
    most = max(values)
    powers = [math.exp(value - most) for value in values]
    total = sum(powers)
    return tuple(power / total for power in powers)


__all__ = ["cosine", "softmax"]
