"""Looking at what a step made, and saying something when it is not as it should be. Pure."""

from __future__ import annotations

import re
from itertools import groupby, pairwise

from intermodal.content import Transcript
from intermodal.executor.pieces import Pixels, Product, Words

_LOOP = 4  # the same sentence so often in a row is a stuck ear, not a speaker
_LINES = 6  # the same line so often in a row is a stuck writer
_PHRASES = 8  # and so is the same phrase of three words and more
_PHRASE_WORDS = range(3, 41)
_LETTERS = re.compile(r"[^\W_]")
REPEATS = "the answer repeats itself; the model may be stuck: ask differently, or use a stronger one"


def remarks(op: str, product: Product, name: str) -> tuple[str, ...]:
    """What the user should know about a conversion of the part called ``name``."""
    check = _CHECKS.get(op)
    return tuple(check(product, name)) if check is not None else ()


def _heard(product: Product, name: str) -> list[str]:
    transcript = product.transcript
    if transcript is None or not transcript.text:
        return [f"no speech found in {name}"]
    if looped(transcript) or repeats(transcript.text):
        return [f"the transcript of {name} repeats itself: the ear may have been stuck"]
    return []


def _read(product: Product, name: str) -> list[str]:
    read = [any(line.text.strip() for line in lines) for lines in product.lines]
    if not any(read):
        return [f"no text found in {name}"]
    pages = [piece.page for piece in product.pieces if isinstance(piece, Words)]
    return [
        f"no text found on page {page} of {name}" for page, found in zip(pages, read, strict=True) if not found and page
    ]


def _extracted(product: Product, name: str) -> list[str]:
    if any(isinstance(piece, Words) and piece.text.strip() for piece in product.pieces):
        return []
    return [f"no text found in {name}"]


def _rendered(product: Product, name: str) -> list[str]:
    return [] if any(isinstance(piece, Pixels) for piece in product.pieces) else [f"no page of {name} could be drawn"]


_CHECKS = {"transcribe": _heard, "read": _read, "extract": _extracted, "render": _rendered}


def repeats(text: str) -> bool:
    """A line at least six times in a row, or a phrase of 3 to 40 words at least eight times in a row.

    Lines and phrases without a letter or digit (rules of tables, blanks) are no loop.
    """
    lines = (" ".join(line.lower().split()) for line in text.splitlines() if line.strip())
    if any(_LETTERS.search(line) and sum(1 for _ in same) >= _LINES for line, same in groupby(lines)):
        return True
    words = text.lower().split()
    return any(_repeats_every(words, size) for size in _PHRASE_WORDS if size * _PHRASES <= len(words))


def _repeats_every(words: list[str], size: int) -> bool:
    """Whether some phrase of ``size`` words stands eight times in a row."""
    run = 0
    for place in range(size, len(words)):
        run = run + 1 if words[place] == words[place - size] else 0
        if run >= size * (_PHRASES - 1) and _LETTERS.search(" ".join(words[place - size + 1 : place + 1])):
            return True
    return False


def looped(transcript: Transcript) -> bool:
    """The same segment at least four times in a row, the way a stuck ear speaks."""
    run = 1
    words = [segment.text.strip().lower() for segment in transcript.segments]
    for before, after in pairwise(words):
        run = run + 1 if after and after == before else 1
        if run >= _LOOP:
            return True
    return False
