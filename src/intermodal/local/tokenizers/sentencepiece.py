"""SentencePiece vocabularies in GGUF files (``tokenizer.ggml.model = llama``): Llama 2, Mistral, Gemma.

Adjacent symbols that form a token are merged, best score first, leftmost first among equals. A symbol that is not a
token at the end is split again, ultimately into bytes. Source: llama.cpp, ``src/llama-vocab.cpp``,
``llm_tokenizer_spm`` and ``tokenizer_st_partition``; ids are compared with its ``/tokenize``
(tests/e2e/test_sentencepiece.py).
"""

from __future__ import annotations

import heapq
import re
from typing import TYPE_CHECKING, NamedTuple

from intermodal.core.bounded_cache import BoundedCache

if TYPE_CHECKING:
    from intermodal.local.weights.gguf import GgufHeader

MODEL = "llama"
ARRAYS = ("tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type")
BLANK = "\u2581"
_WHOLE = (
    2,
    3,
    4,
)  # tokenizer.ggml.token_type: UNKNOWN, CONTROL, USER_DEFINED; in a text they are never split
WORDS, LONGEST = 1 << 13, 100  # cached words per vocabulary, and the maximum characters of a cached word
# Model names for which llama.cpp strips spaces around special tokens: texts with such tokens are not counted.
_STRIPPING = re.compile(r"phi-?3|jina-v2|modern-?bert", re.IGNORECASE)


class TokenIds(NamedTuple):
    """Token ids, in place of Hugging Face's ``Encoding``."""

    ids: list[int]


class SentencePieceTokenizer:
    """A SentencePiece vocabulary. ``encode`` returns the ids of llama.cpp's ``/tokenize``, without a start token."""

    def __init__(
        self, tokens: tuple[str, ...], scores: list[float], kinds: list[int], *, prefix: bool, strips: bool = False
    ) -> None:
        self._ids: dict[str, int] = {}
        for at, token in enumerate(tokens):
            self._ids.setdefault(token, at)
        self._scores = scores
        self._prefix = prefix
        self._strips = strips
        whole = [token for token, kind in zip(tokens, kinds, strict=True) if kind in _WHOLE and token]
        # Longest first. llama.cpp leaves the order of equally long tokens open, and they cannot overlap.
        self._special = re.compile("|".join(map(re.escape, sorted(whole, key=len, reverse=True)))) if whole else None
        self._bytes = [self._byte(value) for value in range(256)]
        # If no token has a blank in its middle, no merge crosses the start of a word.
        inner = any(BLANK in token.lstrip(BLANK) for token in tokens)
        self._words = None if inner else re.compile(f"{BLANK}*[^{BLANK}]+|{BLANK}+")
        self._known: BoundedCache[str, list[int]] = BoundedCache("tokens of words", WORDS)

    def _byte(self, value: int) -> int:
        found = self._ids.get(f"<0x{value:02X}>")
        return found if found is not None else self._ids.get(chr(value), -1)

    def encode(self, text: str, *, add_special_tokens: bool = False) -> TokenIds | None:
        """Return the ids of a text, with special tokens kept whole; None if they are not known exactly."""
        if self._strips and self._special is not None and self._special.search(text):
            return None
        ids: list[int] = []
        at, fresh = 0, True
        for found in self._special.finditer(text) if self._special is not None else ():
            if found.start() > at:
                ids += self._raw(text[at : found.start()], fresh)
            ids.append(self._ids[found[0]])
            at, fresh = found.end(), True
        if at < len(text):
            ids += self._raw(text[at:], fresh)
        return TokenIds(ids)

    def _raw(self, text: str, fresh: bool) -> list[int]:
        marked_text = f"{' ' if self._prefix and fresh else ''}{text}".replace(" ", BLANK)
        if self._words is None:
            return self._merge(marked_text)
        ids: list[int] = []
        for piece in self._words.findall(marked_text):
            found = self._known.get(piece)
            if found is None:
                found = self._merge(piece)
                if len(piece) < LONGEST:
                    self._known[piece] = found
            ids += found
        return ids

    def _merge(self, text: str) -> list[int]:
        size = len(text)
        ends = list(range(1, size + 1))  # end of the symbol that begins here; 0 if it was merged
        before = list(range(-1, size))
        heap: list[tuple[float, int, int, int]] = []  # score, left, right, end; outdated entries are skipped
        halves: dict[str, int] = {}  # a merged text -> length of its left half

        def look(left: int) -> None:
            right = ends[left]
            if left < 0 or right >= size:
                return
            end = ends[right]
            token = self._ids.get(text[left:end])
            if token is not None:
                heapq.heappush(heap, (-self._scores[token], left, right, end))
                halves[text[left:end]] = right - left

        for at in range(size - 1):
            look(at)
        while heap:
            _, left, right, end = heapq.heappop(heap)
            if ends[left] != right or ends[right] != end:
                continue
            ends[left], ends[right] = end, 0
            if end < size:
                before[end] = left
            if before[left] >= 0:
                look(before[left])
            look(left)
        ids: list[int] = []
        at = 0
        while at < size:
            ids += self._split_symbol(text[at : ends[at]], halves)
            at = ends[at]
        return ids

    def _split_symbol(self, piece: str, halves: dict[str, int]) -> list[int]:
        """Return the token of a symbol; if it is not a token, the tokens of its halves, or its bytes."""
        found = self._ids.get(piece)
        if found is not None:
            return [found]
        half = halves.get(piece)
        if half is None:
            return [self._bytes[value] for value in piece.encode("utf-8")]
        return [*self._split_symbol(piece[:half], halves), *self._split_symbol(piece[half:], halves)]


def sentencepiece_from_gguf(header: GgufHeader) -> SentencePieceTokenizer | None:
    """Return the tokenizer of a GGUF header read with ``ARRAYS``; None if its kind is not supported."""
    metadata = header.metadata
    if metadata.get("tokenizer.ggml.model") != MODEL:
        return None
    tokens = header.tokens
    scores, kinds = metadata.get("tokenizer.ggml.scores"), metadata.get("tokenizer.ggml.token_type")
    if not tokens or not scores or not kinds or not len(tokens) == len(scores) == len(kinds):
        return None
    prefix = bool(metadata.get("tokenizer.ggml.add_space_prefix", True))
    strips = bool(_STRIPPING.search(str(metadata.get("general.name", ""))))
    tokenizer = SentencePieceTokenizer(tokens, list(scores), list(kinds), prefix=prefix, strips=strips)
    return tokenizer if -1 not in tokenizer._bytes else None


__all__ = ["ARRAYS", "MODEL", "SentencePieceTokenizer", "sentencepiece_from_gguf"]
