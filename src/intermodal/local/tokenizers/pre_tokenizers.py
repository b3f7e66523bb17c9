"""Pre-tokenizers: how text is split before byte pairs are merged, by their name in a GGUF file.

The name is ``tokenizer.ggml.pre``. Only names whose ids were compared with llama.cpp's ``/tokenize`` are listed
(tests/e2e/test_pre_tokenizers.py); for any other the result is None, never an approximation. Patterns as in llama.cpp
(``src/llama-vocab.cpp``).
"""

from __future__ import annotations

from typing import Any, NamedTuple

_SHORT = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SLASHES = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_NO_LOWER, _NO_UPPER = r"((?=[\p{L}])([^a-z]))", r"((?=[\p{L}])([^A-Z]))"


def _case_pattern(short: str) -> str:
    """Return the pattern for words split at capitals, with alternatives that end in lower and in upper case."""
    head = r"[^\r\n\p{L}\p{N}]?"
    return f"{head}{_NO_LOWER}*{_NO_UPPER}+{short}|{head}{_NO_LOWER}+{_NO_UPPER}*{short}"


class PreTokenizer(NamedTuple):
    """Patterns applied in sequence, each to the pieces of the previous one.

    ``digits``: single digits, then GPT-2's own rule. ``whole``: a piece that is a token is not split further.
    """

    patterns: tuple[str, ...] = ()
    whole: bool = False
    digits: bool = False


_GPT_2 = PreTokenizer((r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",))
_LLAMA_3 = PreTokenizer((rf"{_SHORT}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_TAIL}",), whole=True)
_GPT_4O = PreTokenizer((rf"{_case_pattern(_SHORT + '?')}|\p{{N}}{{1,3}}|{_SLASHES}",))
_DIGITS = PreTokenizer(digits=True)
_QWEN_2 = PreTokenizer((rf"{_SHORT}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_TAIL}",))
_MARKED = r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SIGNS = r"\p{P}\$\+<=>\^~\|"
_LLAMA_3_MERGED = _LLAMA_3._replace(whole=False)
DEFAULT = "default"  # also llama.cpp's choice for a file that names none
PRE_TOKENIZERS: dict[str, PreTokenizer] = {
    "smollm": _DIGITS,
    "starcoder": _DIGITS,
    "refact": _DIGITS,
    "command-r": _DIGITS,
    "codeshell": _DIGITS,
    "exaone": _DIGITS,
    "gpt-2": _GPT_2,
    "mpt": _GPT_2,
    "olmo": _GPT_2,
    "phi-2": _GPT_2,
    "trillion": _GPT_2,
    "qwen2": _QWEN_2,
    "qwen35": PreTokenizer((rf"{_SHORT}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}|{_MARKED}",)),
    "stablelm2": _QWEN_2,
    "megrez": _QWEN_2,
    "llama-bpe": _LLAMA_3,
    "pixtral": _LLAMA_3,
    "dbrx": _LLAMA_3_MERGED,
    "smaug-bpe": _LLAMA_3_MERGED,
    "chatglm-bpe": _LLAMA_3_MERGED,
    "falcon": PreTokenizer((rf"[{_SIGNS}`]+", *_GPT_2.patterns, "[0-9][0-9][0-9]")),
    DEFAULT: PreTokenizer((rf"[{_SIGNS}]+", *_GPT_2.patterns, r"\p{N}+", "[0-9][0-9][0-9]")),
    "gpt-4o": _GPT_4O,
    "llama4": _GPT_4O,
    "tekken": PreTokenizer((rf"{_case_pattern('')}|\p{{N}}|{_SLASHES}",), whole=True),
    "deepseek-v3": PreTokenizer(
        (
            r"\p{N}{1,3}",
            "[一-龥぀-ゟ゠-ヿ]+",
            r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
            r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        )
    ),
}


def pre_tokenizer(splits: PreTokenizer) -> Any:
    """Return the Hugging Face pre-tokenizer, ending with the byte-level mapping."""
    from tokenizers import Regex, pre_tokenizers

    if splits.digits:
        digits = pre_tokenizers.Digits(individual_digits=True)
        return pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    steps = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in splits.patterns]
    return pre_tokenizers.Sequence([*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
