"""What a question needs, told by its nearest example questions: a pure function of vectors.

A sentence is compared with the examples of a medium (``examples.toml``) by the cosine of their vectors, once the mean
of the examples and the directions in which languages differ are taken out: else a German question is nearest to German
ones, whatever they ask (Yang et al. 2021, "A Simple and Effective Method To Eliminate the Self Language Bias in
Multilingual Representations", arXiv:2109.04727). Each of the nearest has a vote of weight exp(10 cos); an aspect's
score is its share of the votes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from operator import mul

from msgspec import Struct

from intermodal.plans.facts import Medium, MediumNeeds, Need, QuestionFacts
from intermodal.request import ASPECTS, Aspect

NEAREST = 9  # examples that vote
SHARPNESS = 10.0  # of votes, per unit of cosine
NEEDED = 0.5  # share of the votes from which on an aspect is needed ...
UNSURE = 0.25  # ... and from which on it may be; of what words never carry, from less on:
SENSED = 0.15  # to say that words suffice where they do not is worse than to leave it open;
CLEAR, FAINT = 0.8, 0.2  # but where words have this share, one of less than the other is chance, not doubt
BEYOND_WORDS: frozenset[Aspect] = frozenset(("appearance", "figures", "motion", "speakers", "tone"))
NEAR = 0.25  # cosine below which the nearest example says nothing about a question
LONGEST = 240  # characters of a sentence that are looked at: computing a vector takes as long as the text is
SENTENCES = 4  # of a question that are looked at; those that end in a question mark come first
MEDIA: tuple[Medium, ...] = ("photo", "page", "image", "pictures", "audio", "video", "document")

_END = re.compile(r"(?<=[.!?。！？؟])\s*(?=\S)|\n+")
_ASKS = ("?", "？", "؟")


class Example(Struct, frozen=True):
    """A question and what it needs of some media, with its vector, whose numbers are whole, and the length of that."""

    text: str
    media: frozenset[str]
    needs: frozenset[str]
    vector: Sequence[float]
    length: float


class Examples(Struct, frozen=True):
    """All examples, the model whose vectors they have, and what is taken out of a vector before it is compared."""

    model: str
    mean: Sequence[float]
    directions: tuple[Sequence[float], ...]
    rows: tuple[Example, ...]


def sentences(question: str) -> tuple[str, ...]:
    """The sentences of a question that are looked at, in order.

    >>> sentences("Hello. Who is it?")
    ('Hello.', 'Who is it?')
    """
    found = [text[:LONGEST].strip() for text in _END.split(question) if text.strip()]
    if len(found) > SENTENCES:
        order = sorted(range(len(found)), key=lambda place: (not found[place].endswith(_ASKS), -place))
        found = [found[place] for place in sorted(order[:SENTENCES])]
    return tuple(dict.fromkeys(found))


def compared(vector: Sequence[float], examples: Examples) -> list[float]:
    """A vector as examples are compared with it: without mean and directions of languages, of length 1."""
    left = [value - mean for value, mean in zip(vector, examples.mean, strict=True)]
    for direction in examples.directions:
        share = sum(map(mul, left, direction))
        left = [value - share * along for value, along in zip(left, direction, strict=True)]
    length = math.sqrt(sum(map(mul, left, left))) or 1.0
    return [value / length for value in left]


def told(vectors: Iterable[Sequence[float]], examples: Examples) -> QuestionFacts:
    """What a question needs of every medium. ``vectors``: of its sentences."""
    near = [_cosines(compared(vector, examples), examples) for vector in vectors]
    return QuestionFacts(by=examples.model, media=tuple(_of_medium(medium, near, examples) for medium in MEDIA))


def _cosines(vector: list[float], examples: Examples) -> list[float]:
    return [sum(map(mul, row.vector, vector)) / row.length for row in examples.rows]


def _of_medium(medium: Medium, near: list[list[float]], examples: Examples) -> MediumNeeds:
    """The needs of all sentences together: of each aspect the sentence with the highest score."""
    best: dict[Aspect, Need] = {}
    far = True
    for cosines in near:
        votes = _voters(medium, cosines, examples)
        far = far and (not votes or votes[0][0] < NEAR)
        for need in _scores(votes):
            if need.aspect not in best or need.score > best[need.aspect].score:
                best[need.aspect] = need
    ordered = [best[aspect] for aspect in ASPECTS if aspect in best]
    sure = NEEDED if not far else math.inf
    sensed = FAINT if "words" in best and best["words"].score >= CLEAR else SENSED
    return MediumNeeds(
        medium=medium,
        needed=tuple(need for need in ordered if need.score >= sure),
        unsure=tuple(
            need for need in ordered if (sensed if need.aspect in BEYOND_WORDS else UNSURE) <= need.score < sure
        ),
    )


def _voters(medium: Medium, cosines: list[float], examples: Examples) -> list[tuple[float, Example]]:
    """The nearest examples of a medium, each text once. Of a picture that nobody looked at, those of either sort."""
    media = {"photo", "page"} if medium == "image" else {medium}
    there = [(cosine, row) for cosine, row in zip(cosines, examples.rows, strict=True) if row.media & media]
    if len(there) > NEAREST:  # so that few are put in order with their texts
        least = sorted([cosine for cosine, _ in there])[-NEAREST]
        there = [pair for pair in there if pair[0] >= least]
    there.sort(key=lambda pair: (-pair[0], pair[1].text))
    return there[:NEAREST]


def _scores(votes: list[tuple[float, Example]]) -> list[Need]:
    if not votes:
        return []
    nearest = votes[0][0]
    weights = [math.exp(SHARPNESS * (cosine - nearest)) for cosine, _ in votes]
    total = sum(weights)
    found: list[Need] = []
    for aspect in ASPECTS:
        share = sum(weight for weight, (_, row) in zip(weights, votes, strict=True) if aspect in row.needs) / total
        if share:
            like = next(row.text for _, row in votes if aspect in row.needs)
            found.append(Need(aspect=aspect, score=round(share, 2), like=like))
    return found
