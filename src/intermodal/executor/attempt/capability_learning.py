"""Limits of an endpoint, learned from its calls: from errors, and from prompts that were truncated silently. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import cast

from intermodal import errors
from intermodal.catalog.types import Endpoint, EndpointShortcoming
from intermodal.core.content import Kind
from intermodal.core.request import Zone
from intermodal.executor.drivers.interface import CallJob
from intermodal.executor.preparation.preflight import kinds_in
from intermodal.store.rows import Work

# Runtimes of the user, which media can crash; a hosted service consists of many machines.
SELF_HOSTED: tuple[Zone, ...] = ("machine", "network")


def lesson_from_error(
    error: errors.IntermodalError, endpoint: Endpoint, media_kinds: tuple[Kind, ...]
) -> EndpointShortcoming | None:
    """Return the limit that an endpoint itself named in an error; None if it names none.

    ``media_kinds``: the kinds of media that it was sent.
    """
    if not isinstance(error, errors.CallError) or not error.sent:
        return None
    if media_kinds and endpoint.host.zone in SELF_HOSTED and _is_crash(error):
        words = f"{error.what} when it was sent {' and '.join(media_kinds)}"
        return EndpointShortcoming(endpoint=endpoint.id, lacks=media_kinds, message=words, build=endpoint.build)
    if isinstance(error, errors.UnsupportedModality):
        refused_kind = cast("Kind", error.kind)
        # If it does not say which kind it refuses, it is sent none of them again.
        lacks = (refused_kind,) if refused_kind in media_kinds else media_kinds
        lesson = EndpointShortcoming(endpoint=endpoint.id, lacks=lacks, message=error.what, build=endpoint.build)
        return lesson if lacks else None
    if isinstance(error, errors.RequestTooLarge):
        return (
            EndpointShortcoming(endpoint=endpoint.id, images=error.limit, message=error.what) if error.limit else None
        )
    return context_lesson(error, endpoint)


def context_lesson(error: errors.IntermodalError, endpoint: Endpoint) -> EndpointShortcoming | None:
    """Return the context length that a failure reveals; None if it reveals nothing new."""
    if not isinstance(error, errors.ContextExceeded) or isinstance(error, errors.RequestTooLarge):
        return None
    limit = error.limit or error.cut
    believed = endpoint.context_limit
    if not limit or (believed is not None and limit >= believed):
        return None
    return EndpointShortcoming(endpoint=endpoint.id, context=limit, message=error.what, suspected=not error.limit)


def _is_crash(error: errors.CallError) -> bool:
    """Return True if the runtime crashed over its input, which ends all its other work too."""
    return isinstance(error, errors.RuntimeCrashed) or (isinstance(error, errors.Unreachable) and error.hung_up)


def media_kinds_of(job: CallJob) -> tuple[Kind, ...]:
    """Return the kinds of media that a job sends besides text."""
    if job.chat is not None:
        return kinds_in(job.chat)
    if job.sound is not None:
        return ("audio",)
    return ("image",) if job.pictures else ()


# Detect truncated prompts by comparing the server's token count with ours. Pure.
#
# Ollama drops the oldest messages of a prompt that is too long and cuts the rest, with only a line in its log
# (``server/prompt.go``); other runtimes can be configured to do the same. The answer is then to another question.


_EXACT = 0.85  # of our count where the text was counted by the model's own vocabulary
_ROUGH = 0.5  # for estimated counts: in nearly all texts a token has between 2 and 8 characters

# Rulers, tables and zeros do not count: a vocabulary may have one token for 64 signs of a kind, or for three digits. A
# word takes at least one token in any vocabulary.
_WORDS, _FIGURE = re.compile(r"[^\W\d_]+"), re.compile(r"\d")

_LEAST = 400  # tokens that have to be missing


def detect_truncated_prompt(
    endpoint: Endpoint, work: Work, server_tokens: int | None, texts: Callable[[], Iterable[str]]
) -> errors.ContextExceeded | None:
    """Return the error for a truncated prompt: the host read far fewer tokens than were sent.

    Returns None if all were read, or if it is unknown.

    The error names the endpoint's limit (``limit``) only where the text was counted with the model's own vocabulary:
    that limit is stored and used by plans. Where the text was estimated, it names how much was too much (``cut``): this
    client sends the endpoint no more prompts of that size.

    Args:
        server_tokens: prompt tokens by the server, media and cached ones included.
        texts: what was sent, read only where a closer check is needed.
    """
    if endpoint.host.zone not in SELF_HOSTED or server_tokens is None or not work.text_tokens:
        return None
    # Images and sound do not count: their tokens are known less well than those of text.
    expected = work.text_tokens * (_EXACT if work.text_exact else _ROUGH)
    if expected - server_tokens < _LEAST or not (work.text_exact or _minimum_tokens(texts()) - server_tokens >= _LEAST):
        return None
    error = errors.ContextExceeded(
        f"read {server_tokens:,} tokens of a prompt of about {work.text_tokens:,.0f}: it cut the rest without a word",
        where=endpoint.id,
        todo="give it a longer context where it is started, send less (a shorter text, fewer pages), or ask another",
        status=200,
    )
    error.limit = server_tokens if work.text_exact else None
    error.cut = int(work.text_tokens)
    return error


def _minimum_tokens(texts: Iterable[str]) -> int:
    """Return a lower bound of the tokens of some texts in any vocabulary.

    >>> _minimum_tokens(["=" * 6000, "The total is 1,380,500 euros."])
    6
    """
    return sum(len(_WORDS.findall(text)) + len(_FIGURE.findall(text)) // 3 for text in texts)
