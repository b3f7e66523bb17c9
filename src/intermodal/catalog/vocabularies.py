"""Which vocabulary a model's text has, told from its name: by whose factors it is estimated where nothing counts it.

Names are those of ``costing/text_factors.py``. ``like`` before one says that it is assumed: nobody publishes the
vocabulary of that model, and this is the one of its vendor's nearest. No row, no vocabulary: it may be like any.
Who counts exactly is another matter (``Model.tokenizer``).
"""

from __future__ import annotations

import re
from functools import lru_cache

from intermodal.catalog.token_rules import bare_name

ASSUMED_PREFIX = "like "
OPEN_WEIGHTS = "open"  # of a model on hardware of one's own whose name says nothing: like any of open weights
# Of which an exact vocabulary can be here, as packages carry it (``local/tokenizers/byte_pair.py``).
EXACT_VOCABULARIES = ("llama3", "llama4", "qwen3", "qwen3.5", "tekken")

# Looked for in names without host and vendor, dots as dashes; the first that is found holds.
_ROWS: tuple[tuple[str, str], ...] = (
    # Counts of Anthropic's own count_tokens, as ctok 1.3.0 has measured them: one vocabulary up to Opus 4.6, and one
    # from 4.7 to Opus 4.8, Sonnet 5 and Fable 5.
    (r"claude-(?:[a-z]+-)?4-[78](?!\d)|claude-(?:opus|sonnet|fable)-5(?!-\d(?!\d))", "claude4.7"),
    (r"claude-(?:[a-z]+-)?[34](?!\d)", "claude3"),
    (r"claude-(?:v?[12]|instant)", "like claude3"),
    (r"claude", "like claude4.7"),
    # google-genai 3, local_tokenizer_loader.py: Gemini 1 has Gemma 2's, 2 and 3.0 Gemma 3's, later ones 4's.
    (r"gemini-1", "gemma2"),
    (r"gemini-(?:2|3(?!-?\d))|gemma-?3", "gemma3"),
    (r"gemma-?2(?!\d)", "gemma2"),
    (r"gemini|gemma", "like gemma3"),
    # Their own model cards.
    (r"llama-?4", "llama4"),
    (r"llama-?3|r1-distill-llama", "llama3"),
    (r"llama-?2|codellama|code-llama|vicuna|mythomax|tinyllama|phi-3|mistral-7b|mixtral", "llama2"),
    (r"qwen-?3-[56](?![\db])", "qwen3.5"),
    (r"qwen-?3-[7-9](?![\db])|qwen-?[4-9](?!b)", "like qwen3.5"),
    (r"qwen-?3-max|qwen-(?:max|plus|turbo|flash|long|vl)", "like qwen3"),
    (r"qwen|qwq|qvq", "qwen3"),
    (r"deepseek-(?:v3|v4|r1|chat|reasoner)", "deepseek3"),
    (r"deepseek", "like deepseek3"),
    (r"(?:mistral-(?:large|small)-24\d\d|mathstral|codestral-(?:22b|2405|mamba))", "like llama2"),
    (
        r"mistral-nemo|pixtral|ministral|magistral|devstral|voxtral|mistral-small-(?:3|2[5-9])|mistral-medium-(?:3|2[5-9])",
        "tekken",
    ),
    (r"mistral|codestral", "like tekken"),
    (r"command-r", "command-r"),
    (r"command|aya-|^aya$|c4ai", "like command-r"),
    # tiktoken 0.14, model.py.
    (r"gpt-(?:4o|4-1|4-5|5|oss)|^(?:openai-)?o[134](?:-|$)|chatgpt-4o", "o200k_base"),
    (r"gpt-(?:[6-9]|image|audio|realtime)", "like o200k_base"),
    (r"gpt-?(?:4|3-?5)|text-embedding-(?:3|ada)", "cl100k_base"),
    (r"phi-4", "like cl100k_base"),
)
_PATTERNS = tuple((re.compile(pattern), vocabulary) for pattern, vocabulary in _ROWS)


@lru_cache(maxsize=8_192)
def vocabulary_of(model: str) -> str:
    """The vocabulary of a model by its name, with ``like`` before it where it is assumed; "" where nobody knows.

    >>> [vocabulary_of(name) for name in ("anthropic/claude-opus-4.6", "anthropic/claude-opus-5", "x-ai/grok-4")]
    ['claude3', 'claude4.7', '']
    """
    name = bare_name(model)
    return next((vocabulary for pattern, vocabulary in _PATTERNS if pattern.search(name)), "")
