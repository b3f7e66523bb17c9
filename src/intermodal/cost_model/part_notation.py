"""Notation of hypothetical parts: ``1024x1024:high``, ``10s``, ``10s@1:640x360``, ``10p``."""

from __future__ import annotations

import re

from intermodal.cost_model.image_tokens import DETAILS, QUALITIES
from intermodal.cost_model.token_counts import CountablePart
from intermodal.errors import UsageError
from intermodal.hints import setting

MOST_PIXELS, MOST_SECONDS, MOST_PAGES = 1_000_000, 10_000_000.0, 1_000_000  # a side; anything larger is a slip

MOST_CHARS, CHARS_OF_WORD = 1_000_000_000, 6  # letters of an English word with the blank after it

_LENGTH = re.compile(r"(\d+)\s*(words?|w|chars?|c)?", re.IGNORECASE)
_SIZE = re.compile(r"([1-9]\d*)x([1-9]\d*)", re.IGNORECASE)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_TIME = re.compile(
    r"(?<![\d.])(\d+(?:\.\d+)?)(ms|s|min|m|h)"
)  # from a number's first digit alone: twice the digits, twice the work
_PAGES = re.compile(r"([1-9]\d*)p", re.IGNORECASE)
_RATE = re.compile(r"\d+(?:\.\d+)?")


def text(word: str) -> CountablePart:
    """``500words``, ``500 words``, ``3000chars``; a bare number is of words."""
    found = _LENGTH.fullmatch(word.strip())
    if found is None or not 0 < int(found[1]) <= MOST_CHARS:
        raise _not(word, setting("text"), f"{word!r} is not a text length", "500words or 3000chars")
    letters = (found[2] or "words").lower().startswith("c")
    chars = int(found[1]) * (1 if letters else CHARS_OF_WORD)
    length = f"{int(found[1]):,} {'letters' if letters else 'words'}"
    return CountablePart(kind="text", name=f"text of {length}", chars=chars, size=chars)


def image(word: str) -> CountablePart:
    """``1024x1024`` or ``1024x1024:high``."""
    size, _, detail = word.partition(":")
    width, height = _size(size, word, setting("image"))
    detail = _one_of(detail or "auto", DETAILS, word, setting("image"), "detail")
    return CountablePart(kind="image", name=f"image {word}", width=width, height=height, detail=detail)


def drawn(word: str) -> CountablePart:
    """A picture that comes out: ``1024x1024`` or ``1024x1024:low``."""
    size, _, quality = word.partition(":")
    width, height = _size(size, word, setting("out-image"))
    quality = _one_of(quality or "high", QUALITIES, word, setting("out-image"), "quality")
    return CountablePart(kind="drawn", name=f"drawn {word}", width=width, height=height, detail=quality)


def audio(word: str) -> CountablePart:
    """``10s``, ``1m30s``, ``1.5h``."""
    return CountablePart(kind="audio", name=f"audio {word}", seconds=_seconds(word, word, setting("audio")))


def speech(word: str) -> CountablePart:
    """Speech that comes out."""
    return CountablePart(kind="speech", name=f"speech {word}", seconds=_seconds(word, word, setting("out-audio")))


def video(word: str) -> CountablePart:
    """``10s``, then ``@fps``, ``:WxH`` and ``:detail`` as they are known: ``10s@1:640x360``."""
    head, *rest = word.split(":")
    length, at, rate = head.partition("@")
    fps = 0.0
    if at:
        if not _RATE.fullmatch(rate) or not 0 < float(rate) <= 1_000:
            raise _not(word, setting("video"), f"{rate!r} is not a frame rate", "10s@1")
        fps = float(rate)
    width = height = 0
    detail = "auto"
    for more in rest:
        if _SIZE.fullmatch(more):
            width, height = _size(more, word, setting("video"))
        else:
            detail = _one_of(more, DETAILS, word, setting("video"), "detail")
    seconds = _seconds(length, word, setting("video"))
    return CountablePart(
        kind="video", name=f"video {word}", seconds=seconds, fps=fps, width=width, height=height, detail=detail
    )


def pdf(word: str) -> CountablePart:
    """``10p`` or ``10p:low``."""
    pages, _, detail = word.partition(":")
    found = _PAGES.fullmatch(pages)
    if found is None or int(found[1]) > MOST_PAGES:
        raise _not(word, setting("pdf"), f"{pages!r} is not a number of pages", "10p")
    detail = _one_of(detail or "auto", DETAILS, word, setting("pdf"), "detail")
    return CountablePart(kind="document", name=f"pdf {word}", pages=int(found[1]), detail=detail)


def _size(size: str, word: str, option: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(size)
    if found is None:
        raise _not(word, option, f"{size!r} is not a size in pixels", "1024x768")
    width, height = int(found[1]), int(found[2])
    if max(width, height) > MOST_PIXELS:
        raise _not(word, option, f"a side of {max(width, height):,} pixels is too long", "1024x768")
    return width, height


def _seconds(length: str, word: str, option: str) -> float:
    pieces = _TIME.findall(length.lower())
    if not pieces or "".join(number + unit for number, unit in pieces) != length.lower():
        raise _not(word, option, f"{length!r} is not a duration", "10s or 1m30s")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in pieces)
    if not 0 < seconds <= MOST_SECONDS:
        raise _not(word, option, f"{length!r} is not a duration", "10s or 1m30s")
    return seconds


def _one_of(given: str, known: tuple[str, ...], word: str, option: str, what: str) -> str:
    if given.lower() not in known:
        raise UsageError(f"{word!r}: no {what} {given!r}", where=option, todo=f"{what} is {', '.join(known)}")
    return given.lower()


def _not(word: str, option: str, reason: str, example: str) -> UsageError:
    return UsageError(f"{word!r}: {reason}" if reason.find(repr(word)) < 0 else reason, where=option,
                      todo=f"write it as {example}")  # fmt: skip
