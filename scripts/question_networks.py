"""Fit the small networks that predict whether words are enough, beside votes of examples.

``questions/needs_regression.py`` runs them.

In numpy alone, in seconds a network. Each learns all outputs, as what a question needs helps to tell whether words are
enough, and is kept without those of aspects: there the votes alone were right as often. Some numbers of the vectors and
some of the units are left out of each step, the outputs of a medium are drawn to those of the others, and Adam goes
ever slower (Srivastava et al. 2014, "Dropout"; Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization",
arXiv:1711.05101).
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from intermodal.questions.needs_regression import EXAMPLED, OUTPUTS, NeedsNetwork, Places, Reals

BATCH = 128  # examples a step
RATE = 2e-3
LEFT_OUT = 0.1  # of the numbers of a vector
ALIKE = 2e-3  # how strongly the outputs of a medium are drawn to the mean of all
DECAY = 1e-3  # of weights, a step
STEPS = (0.9, 0.999)  # Adam's memory of gradients, and of their squares


class Shape(Struct, frozen=True):
    """A network to fit. ``left_out``: of its units, in each step."""

    units: int
    epochs: int
    left_out: float


SHAPES = (Shape(256, 40, 0.4), Shape(384, 30, 0.5))  # three and five networks were right no more often
_MORE = OUTPUTS.index("more")


def fitted_nets(vectors: Reals, media: NDArray[np.str_], goal: Reals) -> tuple[NeedsNetwork, ...]:
    """A network of each shape. ``vectors``: of length 1, a row for each pair of a text and a medium. ``goal``: what
    each output is to say of it."""
    places = np.array([EXAMPLED.index(medium) for medium in media], np.intp)
    return tuple(_fitted(shape, vectors, places, goal, seed) for seed, shape in enumerate(SHAPES, 1))


def _fitted(shape: Shape, vectors: Reals, media: Places, goal: Reals, seed: int) -> NeedsNetwork:
    random = np.random.default_rng(seed)
    count, numbers = vectors.shape
    scale = np.float32(math.sqrt(numbers) / 2)  # a number of a vector of length 1 is small; undone at the end
    layers = _begun(shape, numbers, goal, random)
    means, squares = [np.zeros_like(each) for each in layers], [np.zeros_like(each) for each in layers]
    steps, step = shape.epochs * (count // BATCH), 0
    for _ in range(shape.epochs):
        order = random.permutation(count)
        for first in range(0, count - BATCH + 1, BATCH):
            some = np.sort(order[first : first + BATCH])
            gradients = _gradients(layers, scale * vectors[some], media[some], goal[some], shape.left_out, random)
            step += 1
            rate = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
            for place, (layer, gradient) in enumerate(zip(layers, gradients, strict=True)):
                means[place] += (1 - STEPS[0]) * (gradient - means[place])
                squares[place] += (1 - STEPS[1]) * (gradient**2 - squares[place])
                size = np.sqrt(squares[place] / (1 - STEPS[1] ** step)) + 1e-8
                toward = means[place] / (1 - STEPS[0] ** step) / size
                if place in (0, 2):  # what decays: the weights, not what is added
                    toward = toward + DECAY * layer
                layer -= (rate * toward).astype(np.float32)
    units, of_media, outputs, base = layers
    return NeedsNetwork(units=scale * units, of_media=of_media, more=outputs[:, :, _MORE], base=base[:, _MORE])


def _begun(shape: Shape, numbers: int, goal: Reals, random: np.random.Generator) -> list[Reals]:
    """The layers before the first step, with all outputs: small and random, and what is usual."""
    media, outputs = len(EXAMPLED), goal.shape[1]
    alike = random.normal(0, 0.05, (1, shape.units, outputs))
    return [
        random.normal(0, math.sqrt(1 / numbers), (numbers, shape.units)).astype(np.float32),
        random.normal(0, 0.3, (media, shape.units)).astype(np.float32),
        np.repeat(alike, media, axis=0).astype(np.float32),
        np.tile(goal.mean(0), (media, 1)).astype(np.float32),
    ]


def _gradients(
    layers: list[Reals], vectors: Reals, media: Places, goal: Reals, left_out: float, random: np.random.Generator
) -> list[Reals]:
    """Of the squared errors, by layer."""
    units, of_media, outputs, base = layers
    vectors = vectors * _kept(vectors.shape, LEFT_OUT, random)
    before = vectors @ units + of_media[media]
    kept = _kept(before.shape, left_out, random)
    excited = np.maximum(before, 0) * kept
    found, back = [np.zeros_like(each) for each in layers], np.empty_like(excited)
    for medium in range(len(EXAMPLED)):
        own = np.flatnonzero(media == medium)
        error = (excited[own] @ outputs[medium] + base[medium] - goal[own]) * np.float32(2 / len(goal))
        found[2][medium], found[3][medium] = excited[own].T @ error, error.sum(0)
        back[own] = error @ outputs[medium].T
    back *= kept * (before > 0)
    found[0] = vectors.T @ back
    np.add.at(found[1], media, back)
    found[2] += np.float32(ALIKE) * (outputs - outputs.mean(0))
    return found


def _kept(shape: tuple[int, ...], left_out: float, random: np.random.Generator) -> Reals:
    """What is multiplied to leave a part out and to make up for it."""
    return (random.random(shape, dtype=np.float32) > left_out).astype(np.float32) / np.float32(1 - left_out)
