"""Write src/intermodal/questions/examples.bin: the example questions of examples.toml with their vectors.

    python scripts/question_vectors.py

Needs the extra ``embedded``. Directions of languages are those in which the means of the examples of each language
differ, of the groups that have a ``languages`` table.
"""

from __future__ import annotations

import hashlib
import sys
import tomllib
from collections.abc import Iterator

import msgspec
import numpy as np

from intermodal.questions.examples import SOURCE, VECTORS, Head, Row
from intermodal.runtimes.embedded import e5

MODEL = "multilingual-e5-small"


def rows(text: str) -> Iterator[Row]:
    """Every example of the file."""
    for group in tomllib.loads(text)["examples"]:
        media, needs = tuple(group["media"]), tuple(group["needs"])
        for language, questions in {"": group.get("questions", ()), **group.get("languages", {})}.items():
            for question in questions:
                yield Row(text=question, media=media, needs=needs, language=language)


def written(source: bytes) -> bytes:
    """The whole file for a source."""
    found = tuple(rows(source.decode()))
    known = {text: np.array(e5.embed("", MODEL, text, True)["vector"]) for text in {row.text for row in found}}
    vectors = np.array([known[row.text] for row in found])
    mean = np.array([known[text] for text in sorted(known)]).mean(0)
    languages = sorted({row.language for row in found} - {""})
    means = np.array([
        np.mean([vector for vector, row in zip(vectors, found, strict=True) if row.language == language], 0)
        for language in languages
    ])  # fmt: skip
    directions = np.linalg.svd(means - means.mean(0), full_matrices=False)[2][: len(languages) - 1]
    left = vectors - mean
    left -= left @ directions.T @ directions
    whole = np.rint(127 * left / np.abs(left).max(axis=1, keepdims=True)).astype("<i1")
    head = Head(
        model=MODEL, digest=hashlib.sha256(source).hexdigest(), dimension=vectors.shape[1],
        directions=len(directions), rows=found,
    )  # fmt: skip
    reals = np.concatenate([mean[None], directions]).astype("<f4")
    return msgspec.json.encode(head) + b"\n" + reals.tobytes() + whole.tobytes()


if __name__ == "__main__":
    VECTORS.write_bytes(written(SOURCE.read_bytes()))
    sys.stdout.write(f"{VECTORS.name}: {VECTORS.stat().st_size:,} bytes\n")
