"""Exact token counts without a runtime: the vocabulary of a weights file, read once and cached in a fast format.

Counts are given only for pre-tokenizers that were compared with llama.cpp's ``/tokenize`` (``pre_tokenizers.py``); for
any other the result is None, never an approximation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intermodal.core.bounded_cache import BoundedCache
from intermodal.errors import WeightsError
from intermodal.local.tokenizers import byte_pair, sentencepiece, wordpiece
from intermodal.local.tokenizers.pre_tokenizers import DEFAULT, PRE_TOKENIZERS, pre_tokenizer
from intermodal.protocols.special_tokens import SpecialTokens, special_tokens

if TYPE_CHECKING:
    from intermodal.core.request import Tool
    from intermodal.local.weights.gguf import GgufHeader
    from intermodal.local.weights.store import WeightsStore
    from intermodal.media.request_media import OpenedRequest
    from intermodal.plans.facts import SchemaFacts, ToolFacts

# tokenizer name in the catalog -> rows of the weights store with its vocabulary; the first one present is read
SOURCES: dict[str, tuple[str, ...]] = {
    "smollm2": ("smollm2-135m-instruct", "smollm2-1.7b-instruct"),
    "qwen3": ("qwen3-1.7b", "qwen3-4b", "qwen3-8b"),
}
FILE = ".gguf"  # suffix of a tokenizer that is given as a file
# Small enough to count every request, before a model is chosen.
_LIGHT = ("smollm2",)
_LONG = 4_000  # characters: a page of prose and more

# Longer texts are estimated: counting 4 MB takes about two seconds.
MAX_CHARS = 4_000_000

TOLD, VAIN = 2048, 1024  # texts
WORDS = 1_024  # words cached by the library, per vocabulary
_COPY = ".vocabulary-2.json"  # raise the number when building changes
_WHOLE = (3, 4)  # tokenizer.ggml.token_type: CONTROL and USER_DEFINED, tokens such as <|im_start|> and <think>


class TokenCounter:
    """Counts tokens by tokenizer name.

    Loaded vocabularies are kept for the lifetime of the counter, fast copies for that of the process.
    """

    def __init__(self, weights: WeightsStore) -> None:
        self._weights = weights
        self._loaded: dict[str, Any] = {}
        self._warm = False
        self._broken: dict[str, SpecialTokens] = {}  # by tokenizer: the special tokens to break up in texts
        # SHA-256 of a text -> tokenizer -> the server's count; and when a server returned no count.
        self.server_counts: BoundedCache[str, dict[str, int]] = BoundedCache("counts of texts by servers", TOLD)
        self.uncounted: BoundedCache[tuple[str, str], float] = BoundedCache("texts that servers did not count", VAIN)

    def names(self) -> tuple[str, ...]:
        """Return the tokenizers on this machine that are small enough to count every request."""
        return tuple(name for name in _LIGHT if self._path(name) is not None)

    @property
    def is_unloaded(self) -> bool:
        """Return whether a small vocabulary is not loaded yet; loading takes 0.1 s."""
        if not self._warm:
            self._warm = self._loaded.keys() >= {*self.names()}
        return not self._warm

    def _path(self, tokenizer: str) -> Path | None:
        if tokenizer.endswith(FILE):  # a file named in a user's row
            path = Path(tokenizer).expanduser()
            return path if path.is_file() else None
        paths = map(self._weights.path, SOURCES.get(tokenizer, ()))
        return next((path for path in paths if path is not None), None)

    def count(self, tokenizer: str, text: str) -> int | None:
        """Return the token count of ``text``, with special tokens in it counted as such; None if not known exactly.

        The first count of a process takes about 90 ms, then 1 ms per 5,000 characters.
        """
        ids = self.encode(tokenizer, text)
        return None if ids is None else len(ids)

    def encode(self, tokenizer: str, text: str) -> list[int] | None:
        """Return the token ids of ``text``; None if they are not known exactly."""
        if len(text) > MAX_CHARS:
            return None
        if tokenizer in byte_pair.ENCODINGS and (tokenizer not in SOURCES or self._path(tokenizer) is None):
            return byte_pair.encode(tokenizer, _replace_surrogates(text))
        if tokenizer not in self._loaded:
            self._loaded[tokenizer] = self._load(tokenizer)
        found = self._loaded[tokenizer]
        if found is None:
            return None
        encoding = found.encode(_replace_surrogates(text), add_special_tokens=False)
        ids: list[int] | None = None if encoding is None else encoding.ids
        return ids

    def count_request(
        self,
        opened: OpenedRequest,
        hosted: frozenset[str] = frozenset(),
        tools: tuple[Tool, ...] = (),
        text_sent: Callable[[int, str], str] | None = None,
        schema: Mapping[str, Any] | None = None,
    ) -> OpenedRequest:
        """Return ``opened`` with exact counts of its text parts, ``tools`` and ``schema``, for every local vocabulary.

        ``hosted``: vocabularies of hosted models that may be used, and files of the user. Loading one takes 0.1 s, so
        they count only long texts, for which an estimate has a wide range. ``text_sent`` returns the text of a part as
        it appears in a prompt. For local models, template marks in the text are broken up first
        (``executor/drivers/started_servers.py``).
        """
        import copy

        import msgspec

        known_names = self.names()
        parts = []
        for part in opened.facts.parts:
            names = (*known_names, *sorted(filter(_countable, hosted))) if part.chars >= _LONG else known_names
            if part.kind == "text" and names:
                text = opened.text(part.index)
                text = text if text_sent is None else text_sent(part.index, text)
                counts = {
                    name: self.count(
                        name, self._special_tokens_of(name).break_tokens(text) if name in known_names else text
                    )
                    for name in names
                }
                known = {name: count for name, count in counts.items() if count is not None}
                part = msgspec.structs.replace(part, tokens={**part.tokens, **known})
            parts.append(part)
        counted_request = copy.copy(opened)
        counted_request.facts = msgspec.structs.replace(
            opened.facts, parts=tuple(parts), tools=self._tools(tools, hosted), schema=self._schema(schema, hosted)
        )
        return counted_request

    def _special_tokens_of(self, tokenizer: str) -> SpecialTokens:
        """Return the template marks of a local model, from the special tokens of its vocabulary."""
        if tokenizer not in self._broken:
            if tokenizer not in self._loaded:
                self._loaded[tokenizer] = self._load(tokenizer)
            added: dict[int, Any] = getattr(self._loaded[tokenizer], "get_added_tokens_decoder", dict)()
            own = tuple(token.content for token in added.values())
            self._broken[tokenizer] = special_tokens(own, include_known=False)
        return self._broken[tokenizer]

    def _tools(self, tools: tuple[Tool, ...], hosted: frozenset[str]) -> ToolFacts | None:
        """Count the tools. Cached by tool list, because the same tools come with every request."""
        import msgspec

        from intermodal.media.text.tool_definitions import tool_definitions

        if not tools:
            return None
        definitions = tool_definitions(tools)
        counts: dict[str, int] = {}
        server_tokens = self.server_counts.get(definitions.facts.digest, {})
        for name in (*self.names(), *sorted(filter(_countable, hosted))) if definitions.facts.chars >= _LONG else ():
            found = server_tokens[name] if name in server_tokens else self.count(name, definitions.text)
            if found is not None:
                counts[name] = found
        if not counts.keys() <= server_tokens.keys():
            self.server_counts[definitions.facts.digest] = {**server_tokens, **counts}
        return msgspec.structs.replace(definitions.facts, tokens=counts)

    def _schema(self, schema: Mapping[str, Any] | None, hosted: frozenset[str]) -> SchemaFacts | None:
        """Count the schema. Cached by text, because the same schema comes with every request."""
        import msgspec

        from intermodal.media.text.tool_definitions import schema_text

        if schema is None:
            return None
        text, facts = schema_text(schema)
        counts: dict[str, int] = {}
        known_names = self.names()
        known = self.server_counts.get(facts.digest, {})
        for name in (*known_names, *sorted(filter(_countable, hosted))) if facts.chars >= _LONG else known_names:
            sent_text = self._special_tokens_of(name).break_tokens(text) if name in known_names else text
            found = known[name] if name in known else self.count(name, sent_text)
            if found is not None:
                counts[name] = found
        if not counts.keys() <= known.keys():
            self.server_counts[facts.digest] = {**known, **counts}
        return msgspec.structs.replace(facts, tokens=counts)

    def _load(self, tokenizer: str) -> Any:
        path = self._path(tokenizer)
        if path is None:
            return None
        try:
            import tokenizers  # noqa: F401 - whether it is here
        except ImportError:
            return None
        copy = path.with_name(_COPY)
        if tokenizer.endswith(FILE):
            return tokenizer_from_gguf(path)  # nothing is written beside a user's file
        if copy.exists() and (copy_stat := copy.stat()).st_mtime_ns >= path.stat().st_mtime_ns:
            try:
                return _read_fast_copy(copy.resolve(), copy_stat.st_mtime_ns, copy_stat.st_size)
            except Exception:  # the library raises bare Exception for a broken file, which is then rebuilt
                copy.unlink(missing_ok=True)
        built = tokenizer_from_gguf(path)
        if built is not None and not isinstance(
            built, sentencepiece.SentencePieceTokenizer | wordpiece.WordPieceTokenizer
        ):
            _write_fast_copy(built, copy)
        return built


@lru_cache(maxsize=len(SOURCES))
def _read_fast_copy(copy: Path, changed: int, size: int) -> Any:
    """Load the fast copy in this state, once for all clients of a process."""
    import tokenizers

    return _remembering_less(tokenizers.Tokenizer.from_file(str(copy)))


def _remembering_less(tokenizer: Any) -> Any:
    """Return the tokenizer with a cache of ``WORDS`` words instead of the library's 10,000.

    A cached word takes half a kilobyte, and clients' names, digests and numbers fill the cache over hours: 36,000 mixed
    requests were counted in 6.9 s with 1,024 words and in 7.3 s with 10,000.
    """
    resize = getattr(tokenizer.model, "_resize_cache", None)
    if resize is not None:
        resize(WORDS)
    return tokenizer


def _countable(tokenizer: str) -> bool:
    return tokenizer in byte_pair.ENCODINGS or tokenizer.endswith(FILE)


def _replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which have no UTF-8 encoding; every runtime receives U+FFFD for them."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text


def tokenizer_from_gguf(path: Path) -> Any:
    """Build a tokenizer from the vocabulary of a GGUF file; None if its kind is not supported."""
    from intermodal.local.weights.gguf import read_header

    wanted_keys = (
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.merges",
        "tokenizer.ggml.token_type",
        "tokenizer.ggml.scores",
    )
    try:
        header = read_header(path, arrays=wanted_keys)
    except WeightsError:
        return None
    if header.metadata.get("tokenizer.ggml.model") == sentencepiece.MODEL:
        return sentencepiece.sentencepiece_from_gguf(header)
    if header.metadata.get("tokenizer.ggml.model") == wordpiece.MODEL:
        return wordpiece.wordpiece_from_gguf(header)
    splits = PRE_TOKENIZERS.get(str(header.metadata.get("tokenizer.ggml.pre") or DEFAULT))
    if splits is None or header.metadata.get("tokenizer.ggml.model") != "gpt2":
        return None
    from tokenizers import AddedToken, Tokenizer, models

    vocabulary = {token: index for index, token in enumerate(header.tokens)}
    merges = [pair for pair in (tuple(merge.split(" ")) for merge in header.merges) if len(pair) == 2]
    if len(merges) != len(header.merges) or len(vocabulary) != len(header.tokens):
        return None
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=splits.whole))
    tokenizer.pre_tokenizer = pre_tokenizer(splits)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in _whole_tokens(header)])
    return _remembering_less(tokenizer)


def _whole_tokens(header: GgufHeader) -> list[str]:
    kinds = header.metadata.get("tokenizer.ggml.token_type") or ()
    return [token for token, kind in zip(header.tokens, kinds, strict=False) if kind in _WHOLE]


def _write_fast_copy(tokenizer: Any, copy: Path) -> None:
    """Write the fast copy. Does nothing if the store is not writable."""
    temporary = copy.with_name(f"{copy.name}.{os.getpid()}")
    try:
        tokenizer.save(str(temporary), pretty=False)
        temporary.replace(copy)
    except Exception:
        temporary.unlink(missing_ok=True)
