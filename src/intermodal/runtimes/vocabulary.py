"""Exact token counts without a runtime: the vocabulary inside a weights file, read once and kept as a fast copy.

A count is given only for pre-tokenizers that were compared with llama.cpp's own ``/tokenize``
(tests/e2e/test_runtimes_vocabulary.py); for any other the answer is None, never a near miss.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intermodal.errors import WeightsError

if TYPE_CHECKING:
    from intermodal.media.opened import Opened
    from intermodal.weights.gguf import GgufHeader
    from intermodal.weights.store import WeightsStore

# tokenizer name in the catalog -> row of the weights store that holds its vocabulary
SOURCES: dict[str, str] = {"smollm2": "smollm2-135m-instruct"}

# Longer texts are estimated: counting 4 MB takes about two seconds.
MAX_CHARS = 4_000_000

_COPY = ".vocabulary-1.json"  # the number goes up when building changes
_CONTROL = 3  # tokenizer.ggml.token_type: CONTROL, a token such as <|im_start|>


def _smollm() -> Any:
    """Digits one by one, then GPT-2's splits: llama.cpp's ``smollm``, Hugging Face's Digits + ByteLevel."""
    from tokenizers import pre_tokenizers

    digits = pre_tokenizers.Digits(individual_digits=True)
    return pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])


# tokenizer.ggml.pre -> how text is split before merging; only those proven equal to the server's
_SPLITS: dict[str, Callable[[], Any]] = {"smollm": _smollm}


class Vocabularies:
    """Counts tokens by tokenizer name. Loaded vocabularies stay for the life of the object."""

    def __init__(self, weights: WeightsStore) -> None:
        self._weights = weights
        self._loaded: dict[str, Any] = {}

    def names(self) -> tuple[str, ...]:
        """Tokenizers whose vocabulary is on this machine."""
        return tuple(name for name, row in SOURCES.items() if self._weights.path(row) is not None)

    def count(self, tokenizer: str, text: str) -> int | None:
        """Tokens of ``text``, special tokens written in it counted as such. None when it cannot be known exactly.

        About 90 ms for the first count of a process, then 1 ms per 5,000 characters.
        """
        ids = self.encode(tokenizer, text)
        return None if ids is None else len(ids)

    def encode(self, tokenizer: str, text: str) -> list[int] | None:
        """Token ids of ``text``; None when they cannot be known exactly."""
        if len(text) > MAX_CHARS:
            return None
        if tokenizer not in self._loaded:
            self._loaded[tokenizer] = self._load(tokenizer)
        found = self._loaded[tokenizer]
        if found is None:
            return None
        ids: list[int] = found.encode(_whole(text), add_special_tokens=False).ids
        return ids

    def counted(self, opened: Opened) -> Opened:
        """``opened`` with the exact counts of its text parts, for every vocabulary that is here."""
        import copy

        import msgspec

        names = self.names()
        parts = []
        for part in opened.facts.parts:
            if part.kind == "text" and names:
                counts = {name: self.count(name, opened.text(part.index)) for name in names}
                known = {name: count for name, count in counts.items() if count is not None}
                part = msgspec.structs.replace(part, tokens={**part.tokens, **known})
            parts.append(part)
        made = copy.copy(opened)
        made.facts = msgspec.structs.replace(opened.facts, parts=tuple(parts))
        return made

    def _load(self, tokenizer: str) -> Any:
        row = SOURCES.get(tokenizer)
        path = self._weights.path(row) if row is not None else None
        if path is None:
            return None
        try:
            import tokenizers
        except ImportError:
            return None
        copy = path.with_name(_COPY)
        if copy.exists() and copy.stat().st_mtime_ns >= path.stat().st_mtime_ns:
            try:
                return tokenizers.Tokenizer.from_file(str(copy))
            except Exception:  # the library raises bare Exception for a broken file; it is built anew
                copy.unlink(missing_ok=True)
        built = _build(path)
        if built is not None:
            _keep(built, copy)
        return built


def _whole(text: str) -> str:
    """Lone surrogates have no UTF-8; every runtime gets U+FFFD for them."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text


def _build(path: Path) -> Any:
    """A tokenizer from the vocabulary of a GGUF file; None when its kind is not one we can prove."""
    from tokenizers import AddedToken, Tokenizer, models

    from intermodal.weights.gguf import read_header

    wanted = ("tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.token_type")
    try:
        header = read_header(path, arrays=wanted)
    except WeightsError:
        return None
    split = _SPLITS.get(str(header.metadata.get("tokenizer.ggml.pre", "")))
    if split is None or header.metadata.get("tokenizer.ggml.model") != "gpt2":
        return None
    vocabulary = {token: index for index, token in enumerate(header.tokens)}
    merges = [pair for pair in (tuple(merge.split(" ")) for merge in header.merges) if len(pair) == 2]
    if len(merges) != len(header.merges) or len(vocabulary) != len(header.tokens):
        return None
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = split()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in _controls(header)])
    return tokenizer


def _controls(header: GgufHeader) -> list[str]:
    kinds = header.metadata.get("tokenizer.ggml.token_type") or ()
    return [token for token, kind in zip(header.tokens, kinds, strict=False) if kind == _CONTROL]


def _keep(tokenizer: Any, copy: Path) -> None:
    """Write the fast copy; a store that cannot be written just stays slow."""
    temporary = copy.with_name(f"{copy.name}.{os.getpid()}")
    try:
        tokenizer.save(str(temporary), pretty=False)
        temporary.replace(copy)
    except Exception:
        temporary.unlink(missing_ok=True)
