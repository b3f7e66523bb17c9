"""Write src/intermodal/questions/examples.bin: the example questions with their vectors and the weights of their votes.

    python scripts/question_vectors.py [--cross-validate]

Needs the extra ``embedded``. The examples are those of examples.toml and examples_of_trades.toml, and the questions of
scripts/question_examples.txt, in the manner of different people. Directions of languages are those in
which the means of the examples of each language differ, of the groups that have a ``languages`` table. Weights are
fitted by kernel ridge regression (``questions/needs_regression.py``): of each pair of a text and a medium, for each
aspect and for whether words are not enough. The networks are fitted to the same (``question_networks.py``).
``--cross-validate`` writes nothing; it leaves out the questions of a fifth of those people at a time and says how they
are told by the rest.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
from question_networks import fitted_nets
from tests.e2e.questions import FITTED, Suffices, Trade, of_trades

from intermodal.local.embedded import e5
from intermodal.questions.needs_regression import (
    BEYOND,
    KERNEL,
    OTHER,
    OUTPUTS,
    SOURCES,
    VECTORS,
    ExampleRow,
    Examples,
    ExamplesHeader,
    Reals,
    center_vectors,
    embedded_form,
    of_length_one,
    pairs_of,
    question_needs,
    sentences,
    texts_of,
)

MODEL = "multilingual-e5-small"
AXES = 128  # of 384 numbers: cosines along those in which examples differ most are the same within 0.02
RIDGE = 0.1
EXACT = 1e-3  # of a goal that may be left: weights are kept as float16
ROWS = 1_000  # of the votes that are computed at once
FOLDS = 5


def written_down(text: str) -> Iterator[ExampleRow]:
    """Every example of a source."""
    for group in tomllib.loads(text)["examples"]:
        media, needs = tuple(group["media"]), tuple(group["needs"])
        for language, questions in {"": group.get("questions", ()), **group.get("languages", {})}.items():
            for question in questions:
                yield ExampleRow(text=question, media=media, needs=needs, language=language)


def of_people(trades: Iterator[Trade], *, without: Collection[str] = ()) -> Iterator[ExampleRow]:
    """Questions that were written in the manner of people, but for some of those."""
    for trade in trades:
        if trade.person in without:
            continue
        for part in trade.parts:
            for looked_at in sentences(trade.question) if len(sentences(trade.question)) == 1 else ():
                yield ExampleRow(text=looked_at, media=(part.medium,), needs=tuple(sorted(part.needs)))


def sources() -> tuple[str, tuple[ExampleRow, ...]]:
    """The digest of all sources, and the examples of the TOML files."""
    read = [path.read_bytes() for path in (*SOURCES, FITTED)]
    rows = tuple(row for source in read[: len(SOURCES)] for row in written_down(source.decode()))
    return hashlib.sha256(b"".join(read)).hexdigest(), rows


class Vectors:
    """Vectors of texts, each computed once."""

    def __init__(self) -> None:
        self._known: dict[str, NDArray[np.float16]] = {}

    def of(self, text: str) -> NDArray[np.float16]:
        form = embedded_form(text)
        if form not in self._known:
            self._known[form] = np.array(e5.embed("", MODEL, form, True)["vector"], np.float16)  # half the memory
        return self._known[form]

    def all(self, texts: Collection[str]) -> Reals:
        return np.array([self.of(text) for text in texts], np.float32)


def directions_of(rows: tuple[ExampleRow, ...], vectors: Vectors) -> Reals:
    """Directions in which the means of languages differ."""
    languages = sorted({row.language for row in rows} - {""})
    means = np.array([
        vectors.all([row.text for row in rows if row.language == language]).mean(0) for language in languages
    ])  # fmt: skip
    return np.linalg.svd(means - means.mean(0), full_matrices=False)[2][: len(languages) - 1].astype(np.float32)


def fitted(rows: tuple[ExampleRow, ...], vectors: Vectors, digest: str) -> bytes:
    """The whole file of these examples."""
    texts, pairs = texts_of(rows), pairs_of(rows)
    known = vectors.all(texts)
    mean, directions = known.mean(0), directions_of(rows, vectors)
    left = of_length_one(center_vectors(known, mean, directions))
    axes = np.linalg.svd(left, full_matrices=False)[2][:AXES].astype(np.float32)
    along = left @ axes.T
    whole = np.rint(127 * along / np.abs(along).max(axis=1, keepdims=True)).astype("i1")
    goal = goals(rows, pairs)
    places = {text: place for place, text in enumerate(texts)}
    own, media = np.array([places[text] for text, _ in pairs]), np.array([medium for _, medium in pairs])
    base = goal.mean(0)
    weights = solved(of_length_one(whole.astype(np.float32))[own], media, goal - base)
    nets = fitted_nets(left[own], media, goal)
    head = ExamplesHeader(
        model=MODEL, digest=digest, dimension=known.shape[1], directions=len(directions), axes=len(axes),
        units=tuple(net.units.shape[1] for net in nets), rows=rows,
    )  # fmt: skip
    layers = [layer for net in nets for layer in (net.units, net.of_media, net.more, net.base)]
    reals = b"".join(part.astype("<f2").tobytes() for part in (mean, directions, axes, base, weights, *layers))
    return msgspec.json.encode(head) + b"\n" + reals + whole.tobytes()


def goals(rows: tuple[ExampleRow, ...], pairs: tuple[tuple[str, str], ...]) -> Reals:
    """What is to be said of each pair of a text and a medium, by output: the mean of what its examples say."""
    needs: dict[tuple[str, str], list[Reals]] = {pair: [] for pair in pairs}
    for row in rows:
        for medium in row.media:
            needs[row.text, medium].append(target(medium, row.needs))
    return np.array([np.mean(needs[pair], axis=0) for pair in pairs], np.float32)


def solved(own: Reals, media: NDArray[np.str_], goal: Reals) -> Reals:
    """The weights with which votes come to a goal, but for RIDGE of them: by conjugate gradients, as some 15,000
    examples of each other take minutes and gigabytes to solve at once."""
    votes = np.empty((len(own), len(own)), np.float32)
    for first in range(0, len(own), ROWS):
        part = slice(first, first + ROWS)
        alike = np.where(media[part, None] == media, 1, OTHER).astype(np.float32)
        votes[part] = np.exp(KERNEL * (own[part] @ own.T - 1)) * alike
    goal[:, np.abs(goal).max(0) < 1e-4] = 0  # what no example needs has no weight
    weights, left = np.zeros_like(goal), goal.copy()
    toward, size = left.copy(), np.square(left, dtype=np.float64).sum(0)
    least = EXACT**2 * size
    while (size > least).any():
        voted = votes @ toward + np.float32(RIDGE) * toward
        along = np.multiply(toward, voted, dtype=np.float64).sum(0)
        step = np.divide(size, along, out=np.zeros_like(size), where=along > 0).astype(np.float32)
        weights += step * toward
        left -= step * voted
        before, size = size, np.square(left, dtype=np.float64).sum(0)
        again = np.divide(size, before, out=np.zeros_like(size), where=before > 0).astype(np.float32)
        toward = left + again * toward
    return weights


def target(medium: str, needs: Collection[str]) -> Reals:
    """What an example says of each output: 1 or -1."""
    more = bool(BEYOND[medium] & set(needs))
    return np.array([1 if (more if output == "more" else output in needs) else -1 for output in OUTPUTS], np.float32)


def loaded(file: bytes) -> Examples:
    """The examples of a file that is not written yet."""
    from tempfile import NamedTemporaryFile

    from intermodal.questions.needs_regression import load_examples

    with NamedTemporaryFile() as there:
        there.write(file)
        there.flush()
        return load_examples(Path(there.name))


def cross_validated(rows: tuple[ExampleRow, ...], vectors: Vectors) -> Counter[tuple[str, Suffices]]:
    """What suffices and what was told to, over the questions of all people, each told without those of that one."""
    people = sorted({trade.person for trade in of_trades(FITTED)})
    count: Counter[tuple[str, Suffices]] = Counter()
    for fold in range(FOLDS):
        out = people[fold::FOLDS]
        examples = loaded(fitted((*rows, *of_people(of_trades(FITTED), without=out)), vectors, ""))
        for trade in of_trades(FITTED):
            if trade.person in out:
                facts = question_needs([vectors.of(text).tolist() for text in sentences(trade.question)], examples)
                count[trade.suffices, trade.told(facts)] += 1
                if trade.told(facts) != trade.suffices:
                    sys.stdout.write(f"{trade.suffices} told {trade.told(facts)}: {trade.file} | {trade.question}\n")
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cross-validate", action="store_true")
    digest, rows = sources()
    vectors = Vectors()
    if parser.parse_args().cross_validate:
        sys.stdout.write(f"{dict(cross_validated(rows, vectors))}\n")
        return
    VECTORS.write_bytes(fitted((*rows, *of_people(of_trades(FITTED))), vectors, digest))
    sys.stdout.write(f"{VECTORS.name}: {VECTORS.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
