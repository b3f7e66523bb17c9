"""The template marks of a model: strings that its files declare as special tokens.

They come from a GGUF file's vocabulary, or from a folder's tokenizer config.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from intermodal.errors import WeightsError
from intermodal.local.weights.gguf import read_header
from intermodal.protocols.special_tokens import special_tokens

_TOKENS, _KINDS, _TEMPLATE = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.chat_template"
# tokenizer.ggml.token_type (llama.cpp, llama_token_attr): UNKNOWN and CONTROL tokens belong to the template alone. A
# USER_DEFINED one may be an everyday string, such as three blanks or <table>: it counts if the template contains it.
_ALWAYS, _WRITTEN = (2, 3), 4
_DEFAULT = ("<|im_start|>", "<|im_end|>")  # of llama.cpp's default template, for a file without one
_CONFIG = "tokenizer_config.json"
_LARGEST = 64 << 20  # maximum bytes of a tokenizer config


def template_marks(path: Path) -> tuple[str, ...]:
    """Return the template marks of a GGUF file, or of a folder in transformers' layout.

    They are the special tokens, and the marks of known families that its template writes (Llama 2's are not tokens).
    Returns () for a file that states no tokens or cannot be read, which is reported when it is loaded. Cached until the
    file changes.
    """
    file = path / _CONFIG if path.is_dir() else path
    try:
        state = file.stat()
    except OSError:
        return ()
    return _read_template_marks(file, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=16)
def _read_template_marks(file: Path, changed: int, size: int) -> tuple[str, ...]:
    return _of_config(file, size) if file.name == _CONFIG else _of_gguf(file)


def _of_gguf(file: Path) -> tuple[str, ...]:
    try:
        header = read_header(file, arrays=(_TOKENS, _KINDS))
    except WeightsError:
        return ()
    kinds: list[int] = list(header.metadata.get(_KINDS) or ())
    template = "\n".join(str(value) for name, value in header.metadata.items() if name.startswith(_TEMPLATE))
    pairs = zip(header.tokens, kinds, strict=False)
    found = [(token, kind in _ALWAYS) for token, kind in pairs if kind in _ALWAYS or kind == _WRITTEN]
    return _template_only_tokens(found, template) if template else (*_template_only_tokens(found, template), *_DEFAULT)


def _of_config(file: Path, size: int) -> tuple[str, ...]:
    """Return the marks of a folder: its config lists special added tokens, like CONTROL tokens in a GGUF file."""
    try:
        config = msgspec.json.decode(file.read_bytes() if size <= _LARGEST else b"{}", type=dict[str, Any])
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return ()
    added: Any = config.get("added_tokens_decoder")
    rows: list[dict[str, Any]] = (
        [row for row in added.values() if isinstance(row, dict)] if isinstance(added, dict) else []
    )
    found = [(str(row.get("content") or ""), bool(row.get("special"))) for row in rows]
    template = str(config.get("chat_template") or "")
    return _template_only_tokens(found, template)


def _template_only_tokens(tokens: list[tuple[str, bool]], template: str) -> tuple[str, ...]:
    """Return the tokens that only the template may write."""
    own = [token for token, always in tokens if token.strip() and (always or token in template)]
    return tuple(dict.fromkeys((*own, *special_tokens().find_tokens(template))))
