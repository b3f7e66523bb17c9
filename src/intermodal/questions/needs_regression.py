"""Estimates the needs of a question with kernel regression on example questions and small networks.

A pure function of vectors.

A sentence is compared with every example (``examples.bin``) by the cosine of their vectors, after removing the mean of
the examples and the directions in which languages differ. Otherwise a German question is nearest to German examples,
whatever they ask (Yang et al. 2021, "A Simple and Effective Method To Eliminate the Self Language Bias in Multilingual
Representations", arXiv:2109.04727). Each example votes with exp(KERNEL (cos - 1)) times a fitted weight
(``scripts/question_vectors.py``; Saunders et al. 1998, "Ridge Regression Learning Algorithm in Dual Variables"); votes
of examples of another medium are multiplied by OTHER. Each aspect has its own weights, and so has the output "more":
whether something beyond the words is needed. That output is decided first, because it is more reliable than the choice
of a single aspect beyond words, such as tone or speakers.

For this output, networks with one hidden layer, fitted to the same examples, use all components of a vector. The mean
of networks and votes is more accurate than either, because their errors differ.

``examples.bin`` is written by ``scripts/question_vectors.py``: one line of JSON (the model, the digest of the sources,
all examples), followed by little-endian numbers. As float16: the mean, the language directions, the axes, the base
scores, the weights of each pair of text and medium, and the networks, one after another. As signed bytes: the
coordinates of each text along the axes.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, TypedDict

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from intermodal.core.content import Value
from intermodal.core.request import ASPECTS, Aspect
from intermodal.plans.facts import Medium, MediumNeeds, Need, PropertiesNeed, QuestionFacts

Reals: TypeAlias = NDArray[np.float32]
Places: TypeAlias = NDArray[np.intp]

KERNEL = 3.0  # sharpness of votes, per unit of cosine
OTHER = 0.2  # factor for votes of examples of another medium
NETS = 0.5  # weight of the networks against the votes, for the output "more"
NEEDED = 0.5  # minimum score of a needed aspect ...
UNSURE = 0.35  # ... and of an aspect that may be needed
PROPERTIES = 0.38  # minimum score for a question about properties of the file
MORE: dict[Medium, float] = {  # minimum "more" score for needing something beyond the words
    "photo": 0.48, "image": 0.45, "pictures": 0.48, "video": 0.46, "page": 0.42, "audio": 0.42, "document": 0.38,
}  # fmt: skip
DOUBT = 0.03  # this far below ``MORE`` it may be needed: a wrong "words suffice" is worse than a doubt
NEAR = 0.25  # minimum cosine of the nearest example for a reliable estimate
WHOLE = 160  # characters; shorter questions are not split, because their sentences give each other context
LONGEST = 240  # maximum characters of a sentence: the time to compute a vector grows with the text
SHORT = 24  # characters; shorter sentences are joined to the previous one
CLAUSE = 8  # minimum characters of a joined question; characters of dense scripts count twice
CERTAIN = 0.65  # minimum "more" score for a joined question to count on its own
SENTENCES = 4  # maximum number of sentences examined; those with a question mark come first
MEDIA: tuple[Medium, ...] = ("photo", "page", "image", "pictures", "audio", "video", "document")
EXAMPLED: tuple[Medium, ...] = ("photo", "page", "pictures", "audio", "video", "document")
BEYOND_WORDS: frozenset[Aspect] = frozenset(("appearance", "figures", "motion", "speakers", "tone"))
BEYOND: dict[str, frozenset[Aspect]] = {  # aspects of a medium that are lost in its text
    "photo": frozenset(("layout", "appearance", "figures")), "page": frozenset(("layout", "appearance", "figures")),
    "document": frozenset(("layout", "appearance", "figures")), "pictures": frozenset(("comparison",)),
    "audio": frozenset(("speakers", "tone")),
    "video": frozenset(("layout", "appearance", "figures", "speakers", "tone", "motion")),
}  # fmt: skip
OUTPUTS: tuple[str, ...] = (*ASPECTS, "properties", "more")  # "more": whether words are not enough
_MORE, _PROPERTIES = OUTPUTS.index("more"), OUTPUTS.index("properties")
# Conjunctions between two questions. One-letter conjunctions count only before an interrogative: "e" is "and" in
# Italian, "i" in Polish.
_ASKING = (
    r"(?:what|who|how|which|where|when|why|is|are|does|do|was|wer|wie|welch\w*|wo|wann|warum|ist|sind"
    r"|que|qu['’]\w*|qui|quel\w*|comment|où|quand|pourquoi|qué|quién\w*|cómo|cuál\w*|cuánt\w*|dónde|cuándo|de qué"
    r"|che|chi|come|quale|quali|quant\w*|dove|perché|di che|o que|quem|como|qual|quais|onde|wat|hoe|welke|waar"
    r"|co|jak\w*|kto|gdzie|kiedy|ile|czy|vad|hur|vem|när)\b"
)
_JOINS = re.compile(
    r"[,;]? (?:and|und|et|sowie|och|oraz|и|та|ve|और|그리고) (?=\w)"
    rf"|[,;]? (?:y|e|en|i) (?={_ASKING})|[,;] (?={_ASKING})"
    r"| و(?=(?:ما|ماذا|من|كم|كيف|هل|أين|متى|أي|لماذا|شو|ليش|مين)\b)"
    r"|[，；、]|(?<=[\u3040-\u9fff]),|(?<=[가-힣])고 |[?!؟？！] (?=\w)|[？！](?=\w)",
    re.IGNORECASE,
)
_DENSE = re.compile(r"[\u3040-\u9fff가-힣]")  # one character of these scripts stands for two or three letters
_END = re.compile(r"(?<=[.!?。！？؟])\s*(?=\S)|\n+")
_ASKS = ("?", "？", "؟")
_AT_ENDS = " \t.!?¡¿…。！？؟"  # characters without meaning at the ends


class _Evidence(TypedDict):
    score: float
    like: str


class NeedsNetwork(Struct, frozen=True):
    """A network with one hidden layer (ReLU) that estimates whether words are not enough.

    Attributes:
        units: input weights, vector component x unit. of_media: unit biases, by medium of EXAMPLED.
        more: output weights, by medium and unit. base: output bias, by medium.
    """

    units: Reals
    of_media: Reals
    more: Reals
    base: Reals

    def evaluate(self, vectors: Reals, medium: Medium) -> Reals:
        """Return the output for each vector of length 1: about 1 if words are not enough, about -1 if they are."""
        place = EXAMPLED.index(medium)
        excited = np.maximum(vectors @ self.units + self.of_media[place], 0)
        return np.asarray(excited @ self.more[place] + self.base[place], np.float32)


class Examples(Struct, frozen=True):
    """All examples with their regression weights, and the trained networks.

    Attributes:
        model: the sentence model of the vectors. mean, directions: removed from a vector before comparison.
        axes: the axes on which examples are projected, one per row.
        texts: the distinct example texts. vectors: their projections, rows of length 1.
        needing: indexes of texts by medium and needed aspect; under "" all examples of the medium.
        weights: by medium, text and output. base: base score by output, without any vote.
        nets: the networks, whose mean is used.
    """

    model: str
    mean: Reals
    directions: Reals
    axes: Reals
    texts: tuple[str, ...]
    vectors: Reals
    needing: dict[str, dict[str, Places]]
    weights: dict[str, Reals]
    base: Reals
    nets: tuple[NeedsNetwork, ...] = ()


def sentences(question: str) -> tuple[str, ...]:
    """Return the sentences of a question to examine, in order. A short question is returned whole.

    >>> sentences("An oral exam. How is her accent?")
    ('An oral exam. How is her accent?',)
    """
    normalized = " ".join(question.split())
    if len(normalized) <= WHOLE:
        return (normalized,) if normalized else ()
    found = list(
        dict.fromkeys(_join_short_sentences(text[:LONGEST].strip() for text in _END.split(question) if text.strip()))
    )
    if len(found) > SENTENCES:  # without question marks, prefer sentences at either end
        last = len(found) - 1
        order = sorted(
            range(len(found)),
            key=lambda place: (not any(mark in found[place] for mark in _ASKS), min(place, last - place), -place),
        )
        found = [found[place] for place in sorted(order[:SENTENCES])]
    return tuple(found)


def joined_questions(question: str) -> tuple[str, ...]:
    """Return the questions that a short one joins by "and", a comma or a question mark; () if it is a single one.

    A vector of both together reflects the needs of only one. On its own, each lacks the context of the other, so it
    counts only if it certainly needs more than words (``CERTAIN``).

    >>> joined_questions("What does it say, and what colour is it?")
    ('What does it say', 'what colour is it')
    """
    normalized = " ".join(question.split())
    if len(normalized) > WHOLE:
        return ()
    found = [part for part in (part.strip(_AT_ENDS + ",;") for part in _JOINS.split(normalized)) if _is_clause(part)]
    return tuple(found[:SENTENCES]) if len(found) > 1 else ()


def _is_clause(part: str) -> bool:
    return len(part) + len(_DENSE.findall(part)) >= CLAUSE


def embedded_form(sentence: str) -> str:
    """Return the form of a sentence to embed: normalised, in lower case, without punctuation at the ends.

    A question typed in haste then gets the same needs as a carefully written one.

    >>> embedded_form("¿Está enfadado?"), embedded_form("está enfadado")
    ('está enfadado', 'está enfadado')
    """
    return unicodedata.normalize("NFKC", sentence).lower().strip(_AT_ENDS) or sentence


def _join_short_sentences(parts: Iterable[str]) -> Iterator[str]:
    """Yield sentences, with short ones joined to the previous sentence for context: "He seems upset. Is he?"."""
    before = ""
    for part in parts:
        if before and len(part) < SHORT and len(before) + len(part) < LONGEST:
            before = f"{before} {part}"
            continue
        if before:
            yield before
        before = part
    if before:
        yield before


def center_vectors(vectors: Reals, mean: Reals, directions: Reals) -> Reals:
    """Return the vectors without the mean and the language directions."""
    left = vectors - mean
    return np.asarray(left - (left @ directions.T) @ directions, np.float32)


def of_length_one(vectors: Reals) -> Reals:
    """Return the rows normalised to length 1; zero rows stay zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), np.float32)


def question_needs(
    vectors: Iterable[Sequence[float]], examples: Examples, joined_vectors: Iterable[Sequence[float]] = ()
) -> QuestionFacts:
    """Return the needs of a question for every medium.

    ``vectors`` are embeddings of ``sentences``, ``joined_vectors`` those of ``joined_questions``; each text in its
    ``embedded_form``.
    """
    alone = list(joined_vectors)
    vectors = [*vectors, *alone]
    found = np.array([list(vector) for vector in vectors], np.float32).reshape(-1, len(examples.mean))
    vectors = center_vectors(found, examples.mean, examples.directions)
    cosines = np.asarray(of_length_one(vectors @ examples.axes.T) @ examples.vectors.T, np.float32)
    unit_vectors = of_length_one(vectors)
    return QuestionFacts(
        by=examples.model,
        media=tuple(_of_medium(medium, unit_vectors, cosines, examples, len(alone)) for medium in MEDIA),
    )


def scores(medium: Medium, vectors: Reals, cosines: Reals, examples: Examples) -> Reals:
    """Return the score of each output, about 0 to 1, one row per sentence.

    For an unsampled image, the mean of the scores for a photo and a page.
    """
    if medium == "image":
        both = scores("photo", vectors, cosines, examples) + scores("page", vectors, cosines, examples)
        return np.asarray(both / 2, np.float32)
    outputs = np.exp(KERNEL * (cosines - 1)) @ examples.weights[medium] + examples.base
    if examples.nets:
        predictions = np.mean([net.evaluate(vectors, medium) for net in examples.nets], axis=0)
        outputs[:, _MORE] += NETS * (predictions - outputs[:, _MORE])
    return np.asarray((outputs + 1) / 2, np.float32)


def _of_medium(medium: Medium, vectors: Reals, cosines: Reals, examples: Examples, joined_count: int) -> MediumNeeds:
    """Return the needs of all sentences together: the highest score of each output, over sentences that ask something.

    ``joined_count``: the number of rows at the end that belong to joined questions.
    """
    if not len(cosines):
        return MediumNeeds(medium=medium)
    by_sentence = scores(medium, vectors, cosines, examples)
    counts = _rows_that_count(by_sentence, joined_count)
    by_sentence, cosines = by_sentence[counts], cosines[counts]
    asks = (by_sentence.max(axis=1) >= NEEDED) | (by_sentence[:, _PROPERTIES] >= PROPERTIES)
    if asks.any():
        by_sentence, cosines = by_sentence[asks], cosines[asks]
    best: dict[str, float] = dict(zip(OUTPUTS, map(float, by_sentence.max(axis=0)), strict=True))
    near = cosines.max(axis=0)
    needed, unsure = _decide_aspects(medium, best)
    far = near[_examples_needing(medium, "", examples)].max(initial=-1.0) < NEAR
    if far:
        unsure += needed
        needed.clear()
    asks_properties = best["properties"] >= PROPERTIES and not far
    return MediumNeeds(
        medium=medium,
        needed=_scored_needs(needed, medium, best, near, examples),
        unsure=_scored_needs(unsure, medium, best, near, examples),
        properties=PropertiesNeed(**_evidence("properties", medium, best, near, examples)) if asks_properties else None,
    )


def _rows_that_count(by_sentence: Reals, joined_count: int) -> NDArray[np.bool_]:
    """Return a mask of the rows that count: all except joined questions that are not certain.

    If a joined question certainly asks for properties of the file, all joined questions count, because the others ask
    for something else.
    """
    alone = np.arange(len(by_sentence)) >= len(by_sentence) - joined_count
    sure = by_sentence[:, _MORE] >= CERTAIN
    if (alone & (by_sentence[:, _PROPERTIES] >= CERTAIN)).any():
        sure |= alone
    return np.asarray(~alone | sure)


def _decide_aspects(medium: Medium, best: Mapping[str, float]) -> tuple[list[Aspect], list[Aspect]]:
    """Return the aspects that are needed, and those that may be.

    If words are not enough, at least one aspect beyond words is among the needs; if they are, none is.
    """
    beyond = BEYOND[_similar_medium(medium)]
    others: list[Aspect] = [aspect for aspect in ASPECTS if aspect not in beyond]
    own: list[Aspect] = [aspect for aspect in ASPECTS if aspect in beyond]
    needed, unsure = _aspects_below(NEEDED, others, best), _aspects_below(UNSURE, others, best, below=NEEDED)
    first: list[Aspect] = [max(own, key=lambda aspect: best[aspect])]
    if best["more"] >= MORE[medium]:
        needed += _aspects_below(NEEDED, own, best) or first
        unsure.extend(aspect for aspect in _aspects_below(UNSURE, own, best, below=NEEDED) if aspect not in needed)
    elif best["more"] >= MORE[medium] - DOUBT:
        unsure += _aspects_below(UNSURE, own, best) or first
    elif not needed and "words" in unsure and best["properties"] < PROPERTIES:  # no other need remains
        unsure.remove("words")
        needed.append("words")
    return needed, unsure


def _aspects_below(
    least: float, aspects: Iterable[Aspect], best: Mapping[str, float], *, below: float = math.inf
) -> list[Aspect]:
    return [aspect for aspect in aspects if least <= best[aspect] < below]


def _similar_medium(medium: Medium) -> Medium:
    return "photo" if medium == "image" else medium


def _examples_needing(medium: Medium, aspect: str, examples: Examples) -> Places:
    media = ("photo", "page") if medium == "image" else (medium,)
    return np.concatenate([examples.needing[each].get(aspect, np.zeros(0, np.intp)) for each in media])


def _scored_needs(
    aspects: Collection[Aspect], medium: Medium, best: Mapping[str, float], near: Reals, examples: Examples
) -> tuple[Need, ...]:
    """Return the needs with their scores, and the nearest example of each as evidence."""
    found: list[Need] = []
    for aspect in ASPECTS:
        if aspect in aspects:
            found.append(Need(aspect=aspect, **_evidence(aspect, medium, best, near, examples)))
    return tuple(found)


def _evidence(output: str, medium: Medium, best: Mapping[str, float], near: Reals, examples: Examples) -> _Evidence:
    """Return the score of an output, and the nearest example with that output."""
    places = _examples_needing(medium, output, examples)
    like = examples.texts[places[near[places].argmax()]] if len(places) else ""
    return {"score": round(min(max(best[output], 0.0), 1.0), 2), "like": like}


# ---- the example questions --------------------------------------------------------------------------


SOURCES = tuple(Path(__file__).with_name(name) for name in ("examples.toml", "examples_of_trades.toml"))
VECTORS = Path(__file__).with_name("examples.bin")


class ExampleRow(Value):
    """An example as written in the source file. ``language`` is "" if it applies to no single language."""

    text: str
    media: tuple[str, ...]
    needs: tuple[str, ...]
    language: str = ""


class ExamplesHeader(Value):
    """The JSON line of ``examples.bin``.

    ``dimension``: components of a vector. ``directions``: number of removed language directions. ``axes``: number of
    axes. ``units``: hidden units of each network.
    """

    model: str
    digest: str
    dimension: int
    directions: int
    axes: int
    units: tuple[int, ...]
    rows: tuple[ExampleRow, ...]


def texts_of(rows: tuple[ExampleRow, ...]) -> tuple[str, ...]:
    """Return the distinct texts, in order."""
    return tuple(dict.fromkeys(row.text for row in rows))


def pairs_of(rows: tuple[ExampleRow, ...]) -> tuple[tuple[str, str], ...]:
    """Return the distinct pairs of text and medium, in order."""
    return tuple(dict.fromkeys((row.text, medium) for row in rows for medium in row.media))


def load_examples(path: Path = VECTORS) -> Examples:
    """Load all examples. Raises OSError if the file is missing, ValueError if it is truncated."""
    line, _, numbers = path.read_bytes().partition(b"\n")
    head = msgspec.json.decode(line, type=ExamplesHeader)
    texts, pairs = texts_of(head.rows), pairs_of(head.rows)
    mean, directions, axes, base, weights, *layers, text_vectors = _split_vectors(
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
        vectors=of_length_one(text_vectors),
        needing=_texts_needing(head.rows, places),
        weights=spread_weights(weights, np.array([places[text] for text, _ in pairs]), [medium for _, medium in pairs]),
        base=base[0],
        nets=tuple(_build_network(layers[first : first + 4]) for first in range(0, len(layers), 4)),
    )


def _layers(dimension: int, units: int) -> tuple[tuple[str, tuple[int, int]], ...]:
    media = len(EXAMPLED)
    return ("<f2", (dimension, units)), ("<f2", (media, units)), ("<f2", (media, units)), ("<f2", (1, media))


def _build_network(layers: list[Reals]) -> NeedsNetwork:
    units, of_media, more, base = layers
    return NeedsNetwork(units=units, of_media=of_media, more=more, base=base[0])


def _split_vectors(numbers: bytes, *shapes: tuple[str, tuple[int, int]]) -> list[Reals]:
    found: list[Reals] = []
    for dtype, (rows, columns) in shapes:
        size = np.dtype(dtype).itemsize * rows * columns
        if len(numbers) < size:
            raise ValueError(f"{VECTORS.name} is cut")
        found.append(np.frombuffer(numbers[:size], dtype).reshape(rows, columns).astype(np.float32))
        numbers = numbers[size:]
    if numbers:
        raise ValueError(f"{VECTORS.name} is longer than stated")
    return found


def _texts_needing(rows: tuple[ExampleRow, ...], places: dict[str, int]) -> dict[str, dict[str, Places]]:
    found: dict[str, dict[str, set[int]]] = {medium: {} for medium in EXAMPLED}
    for row in rows:
        for medium in row.media:
            for aspect in ("", *row.needs):
                found[medium].setdefault(aspect, set()).add(places[row.text])
    return {
        medium: {aspect: np.array(sorted(places_of_aspect), np.intp) for aspect, places_of_aspect in by_aspect.items()}
        for medium, by_aspect in found.items()
    }


def spread_weights(weights: Reals, places: Places, media: list[str]) -> dict[str, Reals]:
    """Return the weights of each text for votes on each medium, from the weights of text-medium pairs."""
    count = int(places.max(initial=-1)) + 1
    found: dict[str, Reals] = {}
    for medium in EXAMPLED:
        share = np.array([1.0 if each == medium else OTHER for each in media], np.float32)
        found[medium] = np.zeros((count, weights.shape[1]), np.float32)
        np.add.at(found[medium], places, weights * share[:, None])
    return found
