"""Scores the relevance of pages to the question, and selects pages if not all fit."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from intermodal.plans.facts import PageFacts

_NAMED_PAGES = re.compile(r"\bpages?\s+(\d{1,5})(?:\s*(?:-|to|and|,)\s*(\d{1,5}))?", re.IGNORECASE)
_COMMON_WORDS = (
    "a an and are as at be by can could did do does for from had has have he her his how i if in into is it "
    "its me my not of on or our she so that the their them there these they this to up us was we were what "
    "when where which who why will with would you your page pages say says tell show give please document "
    "report file"
)
_COMMON = frozenset(_COMMON_WORDS.split())
_READ, _ASKED = 10_000.0, 100_000.0  # more than any score from words


def page_numbers(pages: Iterable[PageFacts]) -> tuple[int, ...]:
    return tuple([page.number for page in pages])


def singular(word: str) -> str:
    """Return a word without its plural s, so that "invoices" matches "invoice"."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def named_pages(question: str) -> frozenset[int]:
    """Return the page numbers that the question names.

    >>> sorted(named_pages("What do page 3 and pages 7-9 say?"))
    [3, 7, 8, 9]
    """
    found: set[int] = set()
    for first, last in _NAMED_PAGES.findall(question):
        start = int(first)
        stop = int(last) if last else start
        found.update(range(start, stop + 1) if start <= stop <= start + 50 else (start, stop))
    return frozenset(found)


def page_scores(pages: Sequence[PageFacts], question: Sequence[str], named_numbers: frozenset[int]) -> list[float]:
    """Return the relevance of each page to the question.

    The sum over shared words of ``log(1 + pages / pages with the word)``, so that rare words weigh more (the inverse
    document frequency of Spärck Jones, Journal of Documentation, 1972). Pages scored by an encoder rank before others,
    ordered by its score; pages that the question names rank first.
    """
    terms = {singular(word) for word in question if len(word) > 1 and word not in _COMMON}
    found = [terms.intersection(singular(word) for word in page.words) for page in pages]
    with_word: dict[str, int] = {}
    for words in found:
        for word in words:
            with_word[word] = with_word.get(word, 0) + 1
    return [
        math.fsum(sorted(math.log1p(len(pages) / with_word[word]) for word in words))
        + (_READ * (1 + page.answers) if page.answers is not None else 0.0)
        + (_ASKED if page.number in named_numbers else 0.0)
        for page, words in zip(pages, found, strict=True)
    ]


def select_pages(sizes: Sequence[float], worth: Sequence[float], budget: float) -> tuple[int, ...]:
    """Return the indexes of the pages to keep within ``budget``: most relevant first, earlier ones first among equals.

    >>> select_pages([10, 10, 10], [0.0, 2.0, 1.0], 20)
    (1, 2)
    """
    left = budget
    selected: list[int] = []
    for place in sorted(range(len(sizes)), key=lambda place: (-worth[place], place)):
        if sizes[place] <= left:
            selected.append(place)
            left -= sizes[place]
    return tuple(sorted(selected))
