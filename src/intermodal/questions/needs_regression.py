"""The needs of a question, by votes of example questions and by small networks: a pure function of vectors.

A sentence is compared with every example (``examples.bin``) by the cosine of their vectors, after the mean of the
examples and the directions in which languages differ are removed: otherwise a German question is nearest to German
ones, whatever they ask (Yang et al. 2021, "A Simple and Effective Method To Eliminate the Self Language Bias in
Multilingual Representations", arXiv:2109.04727). Examples vote with exp(KERNEL (cos - 1)) times a fitted weight
(``scripts/question_vectors.py``; Saunders et al. 1998, "Ridge Regression Learning Algorithm in Dual Variables");
examples of another medium vote with OTHER of that. Each aspect has its own weights, and so has the question whether
words are enough. That is decided first, as a question is more surely about how something sounds than about which of
its sounds.
For it, networks of one hidden layer, fitted to the same examples, see all numbers of a vector; the mean of networks and
votes is right more often than either, as they err on different questions.

The example questions are read from ``examples.bin``, as ``scripts/question_vectors.py`` writes it: one line of JSON
(the model, the digest of the sources, each example) followed by numbers, all little-endian: the mean, the directions of
languages, the axes, the scores without a vote, the weights of each pair of a text and a medium, and the networks, one
behind the other, as float16; and of each text its place along the axes as signed bytes.
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

from intermodal.content import Value
from intermodal.plans.facts import Medium, MediumNeeds, Need, PropertiesNeed, QuestionFacts
from intermodal.request import ASPECTS, Aspect

Reals: TypeAlias = NDArray[np.float32]
Places: TypeAlias = NDArray[np.intp]

KERNEL = 3.0  # sharpness of votes, per unit of cosine
OTHER = 0.2  # weight of examples of another medium
NETS = 0.5  # weight of the networks beside the votes, of whether words are not enough
NEEDED = 0.5  # score from which on an aspect is needed ...
UNSURE = 0.35  # ... and from which on it may be
PROPERTIES = 0.38  # score from which on properties of the file are asked for
MORE: dict[Medium, float] = {  # score of "words are not enough" from which on something beyond them is needed
    "photo": 0.48, "image": 0.45, "pictures": 0.48, "video": 0.46, "page": 0.42, "audio": 0.42, "document": 0.38,
}  # fmt: skip
DOUBT = 0.03  # below that it may be needed: a wrong "words suffice" is worse than a doubt
NEAR = 0.25  # cosine below which the nearest example tells nothing about a question
WHOLE = 160  # characters up to which a question is looked at as it is: its sentences explain each other
LONGEST = 240  # characters of a sentence that are looked at: computing a vector takes as long as the text is
SHORT = 24  # characters of a sentence below which it is read with the one before
CLAUSE = 8  # characters of a question that is joined to another, at least; half as many of dense writing
CERTAIN = 0.65  # score of "words are not enough" from which on a joined question counts by itself
SENTENCES = 4  # of a longer question that are looked at; those with a question mark come first
MEDIA: tuple[Medium, ...] = ("photo", "page", "image", "pictures", "audio", "video", "document")
EXAMPLED: tuple[Medium, ...] = ("photo", "page", "pictures", "audio", "video", "document")
BEYOND_WORDS: frozenset[Aspect] = frozenset(("appearance", "figures", "motion", "speakers", "tone"))
BEYOND: dict[str, frozenset[Aspect]] = {  # aspects of a medium that its text does not carry
    "photo": frozenset(("layout", "appearance", "figures")), "page": frozenset(("layout", "appearance", "figures")),
    "document": frozenset(("layout", "appearance", "figures")), "pictures": frozenset(("comparison",)),
    "audio": frozenset(("speakers", "tone")),
    "video": frozenset(("layout", "appearance", "figures", "speakers", "tone", "motion")),
}  # fmt: skip
OUTPUTS: tuple[str, ...] = (*ASPECTS, "properties", "more")  # each aspect; of the file; whether words are not enough

_MORE, _PROPERTIES = OUTPUTS.index("more"), OUTPUTS.index("properties")
# What joins two questions. A short word is one only before a word that asks: "e" is "and" in Italian, "i" in Polish.
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
_DENSE = re.compile(r"[\u3040-\u9fff가-힣]")  # a letter of these is worth two or three others
_END = re.compile(r"(?<=[.!?。！？؟])\s*(?=\S)|\n+")
_ASKS = ("?", "？", "؟")
_AT_ENDS = " \t.!?¡¿…。！？؟"  # signs that say nothing of what is asked


class _Evidence(TypedDict):
    score: float
    like: str


class NeedsNetwork(Struct, frozen=True):
    """A network of one hidden layer (ReLU) that tells whether words are not enough (``scripts/question_networks.py``).

    Attributes:
        units: by number of a vector and unit. of_media: by medium of EXAMPLED and unit. more: likewise.
        base: by medium.
    """

    units: Reals
    of_media: Reals
    more: Reals
    base: Reals

    def says(self, vectors: Reals, medium: Medium) -> Reals:
        """Of each vector of length 1: about 1 where words are not enough, -1 where they are."""
        place = EXAMPLED.index(medium)
        excited = np.maximum(vectors @ self.units + self.of_media[place], 0)
        return np.asarray(excited @ self.more[place] + self.base[place], np.float32)


class Examples(Struct, frozen=True):
    """All examples with their votes, and the networks trained on them.

    Attributes:
        model: whose vectors they have. mean, directions: removed from a vector before it is compared.
        axes: rows, the axes along which examples are kept.
        texts: of the examples, each once. vectors: theirs along the axes, rows of length 1.
        needing: by medium and aspect, places of the texts that need that of it; by "" of all that are examples of it.
        weights: by medium, text and output. base: by output, the score without any vote.
        nets: networks, of which the mean counts.
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
    """Return the examined part of a question: a short one whole, else its sentences, in order.

    >>> sentences("An oral exam. How is her accent?")
    ('An oral exam. How is her accent?',)
    """
    whole = " ".join(question.split())
    if len(whole) <= WHOLE:
        return (whole,) if whole else ()
    found = list(dict.fromkeys(_joined(text[:LONGEST].strip() for text in _END.split(question) if text.strip())))
    if len(found) > SENTENCES:  # without a question mark, the question is at either end
        last = len(found) - 1
        order = sorted(
            range(len(found)),
            key=lambda place: (not any(mark in found[place] for mark in _ASKS), min(place, last - place), -place),
        )
        found = [found[place] for place in sorted(order[:SENTENCES])]
    return tuple(found)


def joined_questions(question: str) -> tuple[str, ...]:
    """Return the questions that a short one joins, by "and", a comma or a question mark; () where it joins none.

    A vector of both together tells the needs of one. Each alone lacks what the other says of its subject, so it counts
    only where it certainly needs more than words (``CERTAIN``).

    >>> joined_questions("What does it say, and what colour is it?")
    ('What does it say', 'what colour is it')
    """
    whole = " ".join(question.split())
    if len(whole) > WHOLE:
        return ()
    found = [part for part in (part.strip(_AT_ENDS + ",;") for part in _JOINS.split(whole)) if _is_clause(part)]
    return tuple(found[:SENTENCES]) if len(found) > 1 else ()


def _is_clause(part: str) -> bool:
    return len(part) + len(_DENSE.findall(part)) >= CLAUSE


def embedded_form(sentence: str) -> str:
    """Return the form of a sentence whose vector is compared: without case and signs at the ends.

    A question typed in haste then needs what a written one does.

    >>> embedded_form("¿Está enfadado?"), embedded_form("está enfadado")
    ('está enfadado', 'está enfadado')
    """
    return unicodedata.normalize("NFKC", sentence).lower().strip(_AT_ENDS) or sentence


def _joined(parts: Iterable[str]) -> Iterator[str]:
    """Yield sentences, each that is too short to have a subject joined to the one before: "He seems upset. Is he?"."""
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


def centred(vectors: Reals, mean: Reals, directions: Reals) -> Reals:
    """Vectors as examples are compared with them: without mean and directions of languages."""
    left = vectors - mean
    return np.asarray(left - (left @ directions.T) @ directions, np.float32)


def of_length_one(vectors: Reals) -> Reals:
    """Rows divided by their lengths; zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), np.float32)


def question_needs(
    vectors: Iterable[Sequence[float]], examples: Examples, joined: Iterable[Sequence[float]] = ()
) -> QuestionFacts:
    """Return the needs of a question of every medium.

    ``vectors``: of ``sentences``; ``joined``: of ``joined_questions``; each text in its ``embedded_form``.
    """
    alone = list(joined)
    vectors = [*vectors, *alone]
    found = np.array([list(vector) for vector in vectors], np.float32).reshape(-1, len(examples.mean))
    vectors = centred(found, examples.mean, examples.directions)
    cosines = np.asarray(of_length_one(vectors @ examples.axes.T) @ examples.vectors.T, np.float32)
    whole = of_length_one(vectors)
    return QuestionFacts(
        by=examples.model, media=tuple(_of_medium(medium, whole, cosines, examples, len(alone)) for medium in MEDIA)
    )


def scores(medium: Medium, vectors: Reals, cosines: Reals, examples: Examples) -> Reals:
    """Return the scores of each output, a row for a sentence, about 0 to 1. Of an unsampled picture, those between a
    photo's and a page's.
    """
    if medium == "image":
        both = scores("photo", vectors, cosines, examples) + scores("page", vectors, cosines, examples)
        return np.asarray(both / 2, np.float32)
    said = np.exp(KERNEL * (cosines - 1)) @ examples.weights[medium] + examples.base
    if examples.nets:
        learned = np.mean([net.says(vectors, medium) for net in examples.nets], axis=0)
        said[:, _MORE] += NETS * (learned - said[:, _MORE])
    return np.asarray((said + 1) / 2, np.float32)


def _of_medium(medium: Medium, vectors: Reals, cosines: Reals, examples: Examples, joined: int) -> MediumNeeds:
    """The needs of all sentences together: of each output the highest score, of those sentences that ask something.

    ``joined``: how many of the last rows are of joined questions.
    """
    if not len(cosines):
        return MediumNeeds(medium=medium)
    by_sentence = scores(medium, vectors, cosines, examples)
    counts = _counted(by_sentence, joined)
    by_sentence, cosines = by_sentence[counts], cosines[counts]
    asks = (by_sentence.max(axis=1) >= NEEDED) | (by_sentence[:, _PROPERTIES] >= PROPERTIES)
    if asks.any():
        by_sentence, cosines = by_sentence[asks], cosines[asks]
    best: dict[str, float] = dict(zip(OUTPUTS, map(float, by_sentence.max(axis=0)), strict=True))
    near = cosines.max(axis=0)
    needed, unsure = _decided(medium, best)
    far = near[_needing(medium, "", examples)].max(initial=-1.0) < NEAR
    if far:
        unsure += needed
        needed.clear()
    asked = best["properties"] >= PROPERTIES and not far
    return MediumNeeds(
        medium=medium,
        needed=_needs(needed, medium, best, near, examples),
        unsure=_needs(unsure, medium, best, near, examples),
        properties=PropertiesNeed(**_evidence("properties", medium, best, near, examples)) if asked else None,
    )


def _counted(by_sentence: Reals, joined: int) -> NDArray[np.bool_]:
    """Return which rows count: all but those joined questions that are not certain.

    Where one of them certainly asks for properties of the file, the others ask for something else, so all of them do.
    """
    alone = np.arange(len(by_sentence)) >= len(by_sentence) - joined
    sure = by_sentence[:, _MORE] >= CERTAIN
    if (alone & (by_sentence[:, _PROPERTIES] >= CERTAIN)).any():
        sure |= alone
    return np.asarray(~alone | sure)


def _decided(medium: Medium, best: Mapping[str, float]) -> tuple[list[Aspect], list[Aspect]]:
    """Aspects that are needed, and that may be. Where words are not enough something beyond them is among the needs,
    and nothing where they are."""
    beyond = BEYOND[_like(medium)]
    others: list[Aspect] = [aspect for aspect in ASPECTS if aspect not in beyond]
    own: list[Aspect] = [aspect for aspect in ASPECTS if aspect in beyond]
    needed, unsure = _from(NEEDED, others, best), _from(UNSURE, others, best, below=NEEDED)
    first: list[Aspect] = [max(own, key=lambda aspect: best[aspect])]
    if best["more"] >= MORE[medium]:
        needed += _from(NEEDED, own, best) or first
        unsure.extend(aspect for aspect in _from(UNSURE, own, best, below=NEEDED) if aspect not in needed)
    elif best["more"] >= MORE[medium] - DOUBT:
        unsure += _from(UNSURE, own, best) or first
    elif not needed and "words" in unsure and best["properties"] < PROPERTIES:  # nothing else is left
        unsure.remove("words")
        needed.append("words")
    return needed, unsure


def _from(
    least: float, aspects: Iterable[Aspect], best: Mapping[str, float], *, below: float = math.inf
) -> list[Aspect]:
    return [aspect for aspect in aspects if least <= best[aspect] < below]


def _like(medium: Medium) -> Medium:
    return "photo" if medium == "image" else medium


def _needing(medium: Medium, aspect: str, examples: Examples) -> Places:
    media = ("photo", "page") if medium == "image" else (medium,)
    return np.concatenate([examples.needing[each].get(aspect, np.zeros(0, np.intp)) for each in media])


def _needs(
    aspects: Collection[Aspect], medium: Medium, best: Mapping[str, float], near: Reals, examples: Examples
) -> tuple[Need, ...]:
    """Needs with their scores, and as evidence the nearest example of each that has it."""
    found: list[Need] = []
    for aspect in ASPECTS:
        if aspect in aspects:
            found.append(Need(aspect=aspect, **_evidence(aspect, medium, best, near, examples)))
    return tuple(found)


def _evidence(output: str, medium: Medium, best: Mapping[str, float], near: Reals, examples: Examples) -> _Evidence:
    """Return the score of an output, and the nearest example that has it."""
    places = _needing(medium, output, examples)
    like = examples.texts[places[near[places].argmax()]] if len(places) else ""
    return {"score": round(min(max(best[output], 0.0), 1.0), 2), "like": like}


# ---- the example questions --------------------------------------------------------------------------


SOURCES = tuple(Path(__file__).with_name(name) for name in ("examples.toml", "examples_of_trades.toml"))
VECTORS = Path(__file__).with_name("examples.bin")


class ExampleRow(Value):
    """An example as written: ``language`` is "" if it is about no language."""

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


def load_examples(path: Path = VECTORS) -> Examples:
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
        needing=_texts_needing(head.rows, places),
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
        raise ValueError(f"{VECTORS.name} is longer than stated")
    return found


def _texts_needing(rows: tuple[ExampleRow, ...], places: dict[str, int]) -> dict[str, dict[str, Places]]:
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
