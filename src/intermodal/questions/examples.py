"""The example questions with their vectors, as ``scripts/question_vectors.py`` writes them.

``examples.bin`` is one line of JSON (the model, the digest of ``examples.toml``, each example) and numbers behind it:
the mean and the directions of languages as float32, then a vector of signed bytes for each example, all little-endian.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path

import msgspec

from intermodal.content import Value
from intermodal.questions.nearest import Example, Examples

SOURCE = Path(__file__).with_name("examples.toml")
VECTORS = Path(__file__).with_name("examples.bin")
# By a signed byte, which counts from the end where it is below 0. Floats are multiplied twice as fast by floats as by
# integers, and to the same product.
_FLOATS = tuple(map(float, (*range(128), *range(-128, 0))))


class Row(Value):
    """An example as it is written: ``language`` is "" where it says nothing about languages."""

    text: str
    media: tuple[str, ...]
    needs: tuple[str, ...]
    language: str = ""


class Head(Value):
    """The line of JSON. ``dimension``: numbers of a vector. ``directions``: how many are taken out."""

    model: str
    digest: str
    dimension: int
    directions: int
    rows: tuple[Row, ...]


def load(path: Path = VECTORS) -> Examples:
    """All examples. Raises OSError where they are not there, ValueError where they are cut."""
    line, _, numbers = path.read_bytes().partition(b"\n")
    head = msgspec.json.decode(line, type=Head)
    size, floats = head.dimension, head.dimension * (1 + head.directions)
    reals, whole = array("f", numbers[: 4 * floats]), array("b", numbers[4 * floats :])
    if sys.byteorder == "big":
        reals.byteswap()
    if len(whole) != size * len(head.rows):
        raise ValueError(f"{path.name} is cut")
    return Examples(
        model=head.model,
        mean=reals[:size],
        directions=tuple(reals[start : start + size] for start in range(size, floats, size)),
        rows=tuple(
            Example(row.text, frozenset(row.media), frozenset(row.needs), vector, math.hypot(*vector))
            for row, vector in zip(head.rows, _vectors(whole, size), strict=True)
        ),
    )


def _vectors(whole: array[int], size: int) -> Iterator[tuple[float, ...]]:
    for at in range(0, len(whole), size):
        yield tuple(map(_FLOATS.__getitem__, whole[at : at + size]))
