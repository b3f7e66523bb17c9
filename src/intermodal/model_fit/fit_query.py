"""The question that ``fit`` answers, and how its options are written."""

from __future__ import annotations

import re
from typing import Final, Literal

from intermodal.content import Value
from intermodal.errors import UsageError
from intermodal.hints import setting
from intermodal.sizing.kv_cache import TYPES

Engine = Literal["llama.cpp", "vllm"]
PROMPT: Final = 1000  # tokens before the first word, by default
_TOKENS = re.compile(r"(\d+(?:\.\d+)?)\s*([km]?)", re.IGNORECASE)
_TIMES = {"": 1, "k": 1024, "m": 1024 * 1024}
_MOST_TOKENS = 1 << 30


class FitQuery(Value):
    """A question to ``fit``.

    Attributes:
        model: a file, a URL, ``hf:OWNER/REPO…``, or a name (see ``find_model``). projector, draft: beside it, or
            "".
        contexts: tokens of each text; () for one that is usual. slots: texts at once.
        quantizations: of the table; () for the usual ones. type_k, type_v: of the cache.
        gpus, ram: a machine in words; () and "" for this one. prompt: tokens before the first word.
        engine: what serves it; "" for llama.cpp of GGUF files and vLLM of safetensors.
    """

    model: str
    projector: str = ""
    draft: str = ""
    contexts: tuple[int, ...] = ()
    slots: int = 1
    quantizations: tuple[str, ...] = ()
    type_k: str = "f16"
    type_v: str = "f16"
    gpus: tuple[str, ...] = ()
    ram: str = ""
    prompt: int = PROMPT
    engine: Engine | Literal[""] = ""


def parse_contexts(words: str) -> tuple[int, ...]:
    """Contexts as people write them.

    >>> parse_contexts("8k,32k, 131072")
    (8192, 32768, 131072)
    """
    found = []
    for word in words.split(","):
        said = _TOKENS.fullmatch(word.strip())
        tokens = float(said[1]) * _TIMES[said[2].lower()] if said else 0.0
        if not 1 <= tokens <= _MOST_TOKENS:
            raise UsageError(
                f"{word.strip()!r} is not a context length",
                where=setting("ctx"),
                todo="write 8k, 32768, or 8k,32k,128k",
            )
        found.append(int(tokens))
    return tuple(dict.fromkeys(found))


def parse_cache_types(words: str) -> tuple[str, str]:
    """Types of keys and of values.

    >>> parse_cache_types("q8_0"), parse_cache_types("f16,q8_0")
    (('q8_0', 'q8_0'), ('f16', 'q8_0'))
    """
    some = [word.strip().lower() for word in words.split(",")]
    for word in some:
        if word not in TYPES:
            raise UsageError(
                f"{word!r} is not a cache type", where=setting("kv"), todo=f"write one of {', '.join(TYPES)}"
            )
    if len(some) > 2:
        raise UsageError(
            "a cache has two types", where=setting("kv"), todo="write one, or that of keys and that of values"
        )
    return some[0], some[-1]
