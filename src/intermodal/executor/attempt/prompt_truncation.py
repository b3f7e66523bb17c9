"""Detect truncated prompts by comparing the server's token count with ours. Pure.

Ollama drops the oldest messages of a prompt that is too long and cuts the rest, with only a line in its log
(``server/prompt.go``); other runtimes can be configured to do the same. The answer is then to another question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from intermodal import errors
from intermodal.catalog.types import Endpoint
from intermodal.executor.attempt.capability_learning import NEAR
from intermodal.store.rows import Work

EXACT = 0.85  # of our count where the text was counted by the model's own vocabulary
ROUGH = 0.5  # for estimated counts: in nearly all texts a token has between 2 and 8 characters


# Rulers, tables and zeros do not count: a vocabulary may have one token for 64 signs of a kind, or for three digits. A
# word takes at least one token in any vocabulary.
_WORDS, _FIGURE = re.compile(r"[^\W\d_]+"), re.compile(r"\d")

LEAST = 400  # tokens that have to be missing


def detect_truncated_prompt(
    endpoint: Endpoint, work: Work, counted: int | None, texts: Callable[[], Iterable[str]]
) -> errors.ContextExceeded | None:
    """Return the error for a prompt of which far fewer tokens were read than sent; None where all were, or it is
    unknown.

    The error names the endpoint's limit (``limit``) only where the text was counted with the model's own vocabulary:
    that limit is stored and used by plans. Where the text was estimated, it names how much was too much (``cut``): this
    client sends the endpoint no more prompts of that size.

    Args:
        counted: prompt tokens by the server, media and cached ones included.
        texts: what was sent, read only where a closer check is needed.
    """
    if endpoint.host.zone not in NEAR or counted is None or not work.text_tokens:
        return None
    # Pictures and sound do not count: their tokens are known less well than those of text.
    expected = work.text_tokens * (EXACT if work.text_exact else ROUGH)
    if expected - counted < LEAST or not (work.text_exact or minimum_tokens(texts()) - counted >= LEAST):
        return None
    error = errors.ContextExceeded(
        f"read {counted:,} tokens of a prompt of about {work.text_tokens:,.0f}: it cut the rest without a word",
        where=endpoint.id,
        todo="give it a longer context where it is started, send less (a shorter text, fewer pages), or ask another",
        status=200,
    )
    error.limit = counted if work.text_exact else None
    error.cut = int(work.text_tokens)
    return error


def minimum_tokens(texts: Iterable[str]) -> int:
    """Return a lower bound of the tokens of some texts in any vocabulary.

    >>> minimum_tokens(["=" * 6000, "The total is 1,380,500 euros."])
    6
    """
    return sum(len(_WORDS.findall(text)) + len(_FIGURE.findall(text)) // 3 for text in texts)
