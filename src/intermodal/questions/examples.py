"""The example questions with their vectors and weights, as ``scripts/question_vectors.py`` writes them.

``examples.bin`` is one line of JSON (the model, the digest of the sources, each example) followed by numbers, all
little-endian: the mean, the directions of languages, the axes, the scores without a vote, the weights of each pair of
a text and a medium, and the networks, one behind the other, as float16; and of each text its place along the axes as
signed bytes.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from intermodal.content import Value
from intermodal.questions.needs_regression import (
    EXAMPLED,
    OTHER,
    OUTPUTS,
    Examples,
    NeedsNetwork,
    Places,
    Reals,
    of_length_one,
)

SOURCES = tuple(Path(__file__).with_name(name) for name in ("examples.toml", "examples_of_trades.toml"))
VECTORS = Path(__file__).with_name("examples.bin")


class ExampleRow(Value):
    """An example as it is written: ``language`` is "" where it says nothing about languages."""

    text: str
    media: tuple[str, ...]
    needs: tuple[str, ...]
    language: str = ""


class ExamplesHeader(Value):
    """The line of JSON. ``dimension``: numbers of a vector. ``directions``: how many are taken out. ``axes``: how many
    are left. ``units``: of each network, in its hidden layer."""

    model: str
    digest: str
    dimension: int
    directions: int
    axes: int
    units: tuple[int, ...]
    rows: tuple[ExampleRow, ...]


def texts_of(rows: tuple[ExampleRow, ...]) -> tuple[str, ...]:
    """Each text once, in order."""
    return tuple(dict.fromkeys(row.text for row in rows))


def pairs_of(rows: tuple[ExampleRow, ...]) -> tuple[tuple[str, str], ...]:
    """Each text with each medium of which it is an example, once, in order."""
    return tuple(dict.fromkeys((row.text, medium) for row in rows for medium in row.media))


def load(path: Path = VECTORS) -> Examples:
    """All examples. Raises OSError where they are not there, ValueError where they are cut."""
    line, _, numbers = path.read_bytes().partition(b"\n")
    head = msgspec.json.decode(line, type=ExamplesHeader)
    texts, pairs = texts_of(head.rows), pairs_of(head.rows)
    mean, directions, axes, base, weights, *layers, whole = _parts(
        numbers,
        ("<f2", (1, head.dimension)), ("<f2", (head.directions, head.dimension)), ("<f2", (head.axes, head.dimension)),
        ("<f2", (1, len(OUTPUTS))), ("<f2", (len(pairs), len(OUTPUTS))),
        *(layer for units in head.units for layer in _layers(head.dimension, units)),
        ("i1", (len(texts), head.axes)),
    )  # fmt: skip
    places = {text: place for place, text in enumerate(texts)}
    return Examples(
        model=head.model,
        mean=mean[0],
        directions=directions,
        axes=axes,
        texts=texts,
        vectors=of_length_one(whole),
        needing=_needing(head.rows, places),
        weights=spread(weights, np.array([places[text] for text, _ in pairs]), [medium for _, medium in pairs]),
        base=base[0],
        nets=tuple(_net(layers[first : first + 4]) for first in range(0, len(layers), 4)),
    )


def _layers(dimension: int, units: int) -> tuple[tuple[str, tuple[int, int]], ...]:
    media = len(EXAMPLED)
    return ("<f2", (dimension, units)), ("<f2", (media, units)), ("<f2", (media, units)), ("<f2", (1, media))


def _net(layers: list[Reals]) -> NeedsNetwork:
    units, of_media, more, base = layers
    return NeedsNetwork(units=units, of_media=of_media, more=more, base=base[0])


def _parts(numbers: bytes, *shapes: tuple[str, tuple[int, int]]) -> list[Reals]:
    found: list[Reals] = []
    for dtype, (rows, columns) in shapes:
        size = np.dtype(dtype).itemsize * rows * columns
        if len(numbers) < size:
            raise ValueError(f"{VECTORS.name} is cut")
        found.append(np.frombuffer(numbers[:size], dtype).reshape(rows, columns).astype(np.float32))
        numbers = numbers[size:]
    if numbers:
        raise ValueError(f"{VECTORS.name} is longer than it says")
    return found


def _needing(rows: tuple[ExampleRow, ...], places: dict[str, int]) -> dict[str, dict[str, Places]]:
    found: dict[str, dict[str, set[int]]] = {medium: {} for medium in EXAMPLED}
    for row in rows:
        for medium in row.media:
            for aspect in ("", *row.needs):
                found[medium].setdefault(aspect, set()).add(places[row.text])
    return {
        medium: {aspect: np.array(sorted(there), np.intp) for aspect, there in by_aspect.items()}
        for medium, by_aspect in found.items()
    }


def spread(weights: Reals, places: Places, media: list[str]) -> dict[str, Reals]:
    """The weights of each text in votes on each medium, of those of pairs of texts and media."""
    count = int(places.max(initial=-1)) + 1
    found: dict[str, Reals] = {}
    for medium in EXAMPLED:
        share = np.array([1.0 if each == medium else OTHER for each in media], np.float32)
        found[medium] = np.zeros((count, weights.shape[1]), np.float32)
        np.add.at(found[medium], places, weights * share[:, None])
    return found
