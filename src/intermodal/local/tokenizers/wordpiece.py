"""WordPiece vocabularies in GGUF files (``tokenizer.ggml.model = bert``): encoders such as BGE and nomic.

Text is lower-cased and stripped of accents; words end at spaces; punctuation and Chinese characters are words of their
own. A word becomes its longest token, then the longest of the rest; a word without a token at some position is unknown
as a whole. Source: llama.cpp, ``src/llama-vocab.cpp``, ``llm_tokenizer_wpm``; ids are compared with its ``/tokenize``
(tests/e2e/test_wordpiece.py).
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from intermodal.core.bounded_cache import BoundedCache
from intermodal.local.tokenizers.sentencepiece import LONGEST, WORDS, TokenIds

if TYPE_CHECKING:
    from intermodal.local.weights.gguf import GgufHeader

MODEL = "bert"
_BEGIN = "\u2581"  # the prefix of a word's first token in the file
_BLANKS = frozenset("\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {*map(chr, range(0x2000, 0x200B))}
_CHINESE = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip
_LEFT_OUT = ("Cc", "Cf", "Co", "Cs")
_UNASSIGNED = "Cn"
_WHOLE = (3, 4)  # tokenizer.ggml.token_type: CONTROL and USER_DEFINED


class WordPieceTokenizer:
    """A WordPiece vocabulary. ``encode`` returns the ids of llama.cpp's ``/tokenize``, without start and end tokens."""

    def __init__(self, tokens: tuple[str, ...], kinds: list[int], unknown: int) -> None:
        self._ids: dict[str, int] = {}
        for at, token in enumerate(tokens):
            self._ids.setdefault(token, at)
        self._longest = max(map(len, tokens))
        self._unknown = unknown
        whole = [token for token, kind in zip(tokens, kinds, strict=True) if kind in _WHOLE and token]
        self._special = re.compile("|".join(map(re.escape, sorted(whole, key=len, reverse=True)))) if whole else None
        self._known: BoundedCache[str, list[int]] = BoundedCache("tokens of words", WORDS)

    def encode(self, text: str, *, add_special_tokens: bool = False) -> TokenIds | None:
        """Return the ids of a text; None if it has a special token or a character unassigned in this Unicode
        version.
        """
        if self._special is not None and self._special.search(text):
            return None
        words = _split_into_words(text)
        if words is None:
            return None
        ids: list[int] = []
        for word in words:
            found = self._known.get(word)
            if found is None:
                found = self._split_word(f"{_BEGIN}{word}")
                if len(word) < LONGEST:
                    self._known[word] = found
            ids += found
        return TokenIds(ids)

    def _split_word(self, word: str) -> list[int]:
        ids: list[int] = []
        at = 0
        while at < len(word):
            for end in range(min(len(word), at + self._longest), at, -1):
                found = self._ids.get(word[at:end])
                if found is not None:
                    ids.append(found)
                    at = end
                    break
            else:
                return [self._unknown]
        return ids


def _split_into_words(text: str) -> list[str] | None:
    found: list[str] = [""]
    for letter in text:
        kind = unicodedata.category(letter)
        if kind == _UNASSIGNED and letter != "\ufffd":
            return None
        base = unicodedata.normalize("NFD", letter)[0]
        kind = unicodedata.category(base)
        if base in _BLANKS:
            found.append("")
        elif base in "\0\ufffd" or kind in _LEFT_OUT or kind[0] == "M":
            continue
        else:
            small = base.lower()
            small = small if len(small) == 1 else base
            if kind[0] == "P" or (ord(base) < 0x7F and kind[0] == "S") or _is_chinese(ord(base)):
                found += [small, ""]
            else:
                found[-1] += small
    return [word for word in found if word]


def _is_chinese(code: int) -> bool:
    return any(first <= code <= last for first, last in _CHINESE)


def wordpiece_from_gguf(header: GgufHeader) -> WordPieceTokenizer | None:
    """Return the tokenizer of a GGUF header read with tokens and token types; None if it is not WordPiece."""
    metadata, tokens = header.metadata, header.tokens
    kinds = metadata.get("tokenizer.ggml.token_type")
    unknown = metadata.get("tokenizer.ggml.unknown_token_id", 100)
    if metadata.get("tokenizer.ggml.model") != MODEL or not tokens or not kinds or len(kinds) != len(tokens):
        return None
    return WordPieceTokenizer(tokens, list(kinds), int(unknown)) if 0 <= int(unknown) < len(tokens) else None
