"""Tokens of real or hypothetical parts before a call, each with basis and source, and whether it would be refused.

A ``CountablePart`` has the properties that counting needs and no bytes, so base64 cannot be counted as text. A
hypothetical part is written ``1024x1024:high``, ``10s``, ``10s@1:640x360`` or ``10p``. ``client/estimates.py`` supplies
the rules and the text counts.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from intermodal.catalog.token_rule_rows import Aspect, ModelTokenRules
from intermodal.core.content import Kind, Scripts, Value
from intermodal.core.hints import setting
from intermodal.core.quantity import Quantity, between, exact, total, unknown
from intermodal.cost_model.image_tokens import DETAILS, QUALITIES, generated_image_tokens, image_refusal, image_tokens
from intermodal.cost_model.request_limits import MediaAmounts, exceeded_limit, request_limits
from intermodal.cost_model.token_rules import DocumentSize, VideoSize, audio_tokens, document_tokens, video_tokens
from intermodal.cost_model.tokens import MESSAGE, TEMPLATE, text_tokens
from intermodal.errors import UsageError

CountableKind = Literal["text", "image", "audio", "video", "document", "framing", "output", "drawn", "speech"]
GOES_IN: tuple[CountableKind, ...] = ("text", "image", "audio", "video", "document", "framing")
_ASPECT: dict[CountableKind, Aspect] = {
    "text": "text", "image": "image", "audio": "audio", "video": "video", "document": "document", "drawn": "drawn",
    "speech": "speech",
}  # fmt: skip
_PLURAL = {
    "text": "text", "image": "images", "audio": "audio", "video": "video", "document": "documents",
    "drawn": "images", "speech": "speech",
}  # fmt: skip
_MEDIA = ("image", "audio", "video", "document")
_INSTEAD = {  # advice for kinds that are not accepted
    "audio": "transcribe it and send the text",
    "video": "send frames of it as images, and a transcript of its audio",
    "document": "send its text, or its pages as images",
    "image": "read or describe it and send the text",
}


class CountablePart(Value):
    """One part, real or hypothetical. Fields that do not apply to its kind keep their defaults.

    Attributes:
        kind: of input, ``framing`` (a chat template's own tokens), or of output: ``output`` (text), ``drawn`` (an
            image), ``speech``.
        name: for messages.
        width, height: pixels; for a page, points. detail: detail level, or quality of a generated image.
        seconds, fps: of audio and video; fps 0 is the model's own rate. sound: whether a video has audio, None if
            unknown.
        pages: of a document. chars, size: characters and bytes of text; None if unknown. scripts: its scripts
            (``media/text/script_counts.py``), () if not examined.
        tokens: counted, or stated for ``output``. counted_by: the vocabulary it was, or would be, counted with.
    """

    kind: CountableKind
    name: str = ""
    width: int = 0
    height: int = 0
    detail: str = "auto"
    seconds: float = 0.0
    fps: float = 0.0
    sound: bool | None = None
    pages: int = 0
    chars: int | None = None
    size: int = 0
    scripts: Scripts = ()
    tokens: int | None = None
    counted_by: str = ""


class CountedPart(Value):
    """A part with its tokens. ``refused``: why it would be refused, "" if it would not."""

    piece: CountablePart
    tokens: Quantity
    source: str = ""
    refused: str = ""


class TokenCount(Value):
    """The counts of all parts. ``tokens``: the sum, unknown if a part is refused. ``rejected``: why, "" if none is."""

    parts: tuple[CountedPart, ...]
    tokens: Quantity
    rejected: str = ""


def count_tokens(
    pieces: tuple[CountablePart, ...], rules: ModelTokenRules, *, takes: tuple[Kind, ...] | None = (), model: str = ""
) -> TokenCount:
    """Return the tokens of each part under a model's rules.

    Args:
        rules: of the day; an accepted kind without a rule gets a wide range whose basis says so.
        takes: kinds the catalog states, besides those its rules count; None if unknown: then no kind is refused, and
            the count says so.
        model: its name, for refusal messages.

    Raises:
        UsageError: the first rule for a part's kind is dated later.
    """
    parts = tuple(_count_part(piece, rules, takes, model) for piece in pieces)
    refusals = [part.refused for part in parts if part.refused] + _joint_refusals(pieces, rules)
    found = total([part.tokens for part in parts])
    if refusals:
        found = unknown("refused")
    elif not found.known:
        found = unknown("a part is not known")
    return TokenCount(parts=parts, tokens=found, rejected=refusals[0] if refusals else "")


def _count_part(
    piece: CountablePart, rules: ModelTokenRules, takes: tuple[Kind, ...] | None, model: str
) -> CountedPart:
    aspect = _ASPECT.get(piece.kind)
    if aspect is not None and aspect in rules.later:
        raise UsageError(
            f"no rule for {_PLURAL[aspect]} of {model or rules.name} is known for that day",
            where=setting("date"),
            todo=f"its first is of {rules.later[aspect]}",
        )
    rule = rules.rules.get(aspect, "") if aspect is not None else ""
    refused = _refusal(piece, rule, takes, model or "this model")
    tokens = unknown("refused") if refused else _tokens(piece, rule, rules)
    if takes is None and not rule and piece.kind in _MEDIA:
        whether = f"it is unknown whether {model or 'this model'} takes {_PLURAL[piece.kind]}"
        tokens = msgspec.structs.replace(tokens, basis=f"{whether}; {tokens.basis}")
    source = rules.sources.get(aspect, "") if aspect is not None else ""
    if piece.kind == "text" and piece.tokens is None:
        source = ""  # a range from characters has no published rule
    return CountedPart(piece=piece, tokens=tokens, source=source, refused=refused)


def _refusal(piece: CountablePart, rule: str, takes: tuple[Kind, ...] | None, model: str) -> str:
    kind = piece.kind
    if kind in _MEDIA and not rule and takes is not None and kind not in takes:
        return f"{model} does not accept {_PLURAL[kind]}; {_INSTEAD[kind]}"
    if kind == "image":
        reason = image_refusal(rule, piece.width, piece.height, piece.detail)
        return f"{piece.name}: {reason}" if reason else ""
    return ""


def _joint_refusals(pieces: tuple[CountablePart, ...], rules: ModelTokenRules) -> list[str]:
    """Return why the media of a request would be refused together."""
    limits = request_limits(rules)
    if limits is None:
        return []
    pictures = [piece for piece in pieces if piece.kind == "image"]
    amounts = MediaAmounts(
        pictures=len(pictures),
        longest=max((max(piece.width, piece.height) for piece in pictures), default=0),
        pages=sum(piece.pages for piece in pieces if piece.kind == "document"),
        seconds=sum(piece.seconds for piece in pieces if piece.kind == "audio"),
    )
    reason = exceeded_limit(limits, amounts)
    return [reason] if reason else []


def _tokens(piece: CountablePart, rule: str, rules: ModelTokenRules) -> Quantity:
    kind = piece.kind
    if kind == "text":
        if piece.tokens is not None:
            return exact(float(piece.tokens), f"counted with {piece.counted_by}" if piece.counted_by else "counted")
        found = text_tokens(piece.chars or 0, piece.size, piece.scripts, rules.vocabulary)
        if rule and found.high:
            return between(found.low, found.mid, found.high, f"{found.basis}; {rule} is not on this machine")
        return found
    if kind == "image":
        return image_tokens(rule, piece.width, piece.height, piece.detail)
    if kind == "audio":
        return audio_tokens(rule, piece.seconds)
    if kind == "video":
        film = VideoSize(
            seconds=piece.seconds, fps=piece.fps, width=piece.width, height=piece.height, detail=piece.detail,
            sound=piece.sound,
        )  # fmt: skip
        return video_tokens(rule, film)
    if kind == "document":
        page = {"width": float(piece.width), "height": float(piece.height)} if piece.width and piece.height else {}
        leaves = DocumentSize(
            pages=piece.pages,
            chars=piece.chars,
            size=piece.size,
            scripts=piece.scripts,
            vocabulary=rules.vocabulary,
            detail=piece.detail,
            **page,
        )
        return document_tokens(rule, leaves, rules.rules.get("image", ""))
    return _output_tokens(piece, rule, rules)


def _output_tokens(piece: CountablePart, rule: str, rules: ModelTokenRules) -> Quantity:
    """Return the tokens of output, and of the chat template."""
    if piece.kind == "framing":
        if rules.framing is not None:
            return between(*rules.framing, "chat template")
        low, mid, high = (start + turn for start, turn in zip(TEMPLATE, MESSAGE, strict=True))
        return between(low, mid, high, "chat template, not published")
    if piece.kind == "drawn":
        quality = piece.detail if piece.detail in QUALITIES else "high"
        return generated_image_tokens(rule, piece.width, piece.height, quality)
    if piece.kind == "speech":
        return audio_tokens(rule, piece.seconds) if rule else unknown("no published rule for speech that it makes")
    return exact(float(piece.tokens or 0), "stated")


MOST_PIXELS, MOST_SECONDS, MOST_PAGES = 1_000_000, 10_000_000.0, 1_000_000  # larger values are mistakes

MOST_CHARS, CHARS_OF_WORD = 1_000_000_000, 6  # characters of an English word with the space after it

_LENGTH = re.compile(r"(\d+)\s*(words?|w|chars?|c)?", re.IGNORECASE)
_SIZE = re.compile(r"([1-9]\d*)x([1-9]\d*)", re.IGNORECASE)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_TIME = re.compile(
    r"(?<![\d.])(\d+(?:\.\d+)?)(ms|s|min|m|h)"
)  # starts at a number's first digit only, so that matching takes linear time
_PAGES = re.compile(r"([1-9]\d*)p", re.IGNORECASE)
_RATE = re.compile(r"\d+(?:\.\d+)?")


def parse_text_length(word: str) -> CountablePart:
    """Parse a text length: ``500words``, ``500 words``, ``3000chars``; a bare number is a number of words."""
    found = _LENGTH.fullmatch(word.strip())
    if found is None or not 0 < int(found[1]) <= MOST_CHARS:
        raise _count_error(word, setting("text"), f"{word!r} is not a text length", "500words or 3000chars")
    letters = (found[2] or "words").lower().startswith("c")
    chars = int(found[1]) * (1 if letters else CHARS_OF_WORD)
    length = f"{int(found[1]):,} {'letters' if letters else 'words'}"
    return CountablePart(kind="text", name=f"text of {length}", chars=chars, size=chars)


def image(word: str) -> CountablePart:
    """Parse an input image: ``1024x1024`` or ``1024x1024:high``."""
    size, _, detail = word.partition(":")
    width, height = _parse_size(size, word, setting("image"))
    detail = _require_choice(detail or "auto", DETAILS, word, setting("image"), "detail")
    return CountablePart(kind="image", name=f"image {word}", width=width, height=height, detail=detail)


def parse_generated_image(word: str) -> CountablePart:
    """Parse a generated image: ``1024x1024`` or ``1024x1024:low``."""
    size, _, quality = word.partition(":")
    width, height = _parse_size(size, word, setting("out-image"))
    quality = _require_choice(quality or "high", QUALITIES, word, setting("out-image"), "quality")
    return CountablePart(kind="drawn", name=f"drawn {word}", width=width, height=height, detail=quality)


def audio(word: str) -> CountablePart:
    """Parse input audio: ``10s``, ``1m30s``, ``1.5h``."""
    return CountablePart(kind="audio", name=f"audio {word}", seconds=_seconds(word, word, setting("audio")))


def speech(word: str) -> CountablePart:
    """Parse generated speech: ``10s``, ``1m30s``, ``1.5h``."""
    return CountablePart(kind="speech", name=f"speech {word}", seconds=_seconds(word, word, setting("out-audio")))


def video(word: str) -> CountablePart:
    """Parse a video: ``10s``, optionally with ``@fps``, ``:WxH`` and ``:detail``: ``10s@1:640x360``."""
    head, *rest = word.split(":")
    length, separator, rate = head.partition("@")
    fps = 0.0
    if separator:
        if not _RATE.fullmatch(rate) or not 0 < float(rate) <= 1_000:
            raise _count_error(word, setting("video"), f"{rate!r} is not a frame rate", "10s@1")
        fps = float(rate)
    width = height = 0
    detail = "auto"
    for more in rest:
        if _SIZE.fullmatch(more):
            width, height = _parse_size(more, word, setting("video"))
        else:
            detail = _require_choice(more, DETAILS, word, setting("video"), "detail")
    seconds = _seconds(length, word, setting("video"))
    return CountablePart(
        kind="video", name=f"video {word}", seconds=seconds, fps=fps, width=width, height=height, detail=detail
    )


def pdf(word: str) -> CountablePart:
    """Parse a PDF: ``10p`` or ``10p:low``."""
    pages, _, detail = word.partition(":")
    found = _PAGES.fullmatch(pages)
    if found is None or int(found[1]) > MOST_PAGES:
        raise _count_error(word, setting("pdf"), f"{pages!r} is not a number of pages", "10p")
    detail = _require_choice(detail or "auto", DETAILS, word, setting("pdf"), "detail")
    return CountablePart(kind="document", name=f"pdf {word}", pages=int(found[1]), detail=detail)


def _parse_size(size: str, word: str, option: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(size)
    if found is None:
        raise _count_error(word, option, f"{size!r} is not a size in pixels", "1024x768")
    width, height = int(found[1]), int(found[2])
    if max(width, height) > MOST_PIXELS:
        raise _count_error(word, option, f"a side of {max(width, height):,} pixels is too long", "1024x768")
    return width, height


def _seconds(length: str, word: str, option: str) -> float:
    pieces = _TIME.findall(length.lower())
    if not pieces or "".join(number + unit for number, unit in pieces) != length.lower():
        raise _count_error(word, option, f"{length!r} is not a duration", "10s or 1m30s")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in pieces)
    if not 0 < seconds <= MOST_SECONDS:
        raise _count_error(word, option, f"{length!r} is not a duration", "10s or 1m30s")
    return seconds


def _require_choice(value: str, choices: tuple[str, ...], word: str, option: str, what: str) -> str:
    if value.lower() not in choices:
        raise UsageError(f"{word!r}: no {what} {value!r}", where=option, todo=f"{what} is {', '.join(choices)}")
    return value.lower()


def _count_error(word: str, option: str, reason: str, example: str) -> UsageError:
    return UsageError(f"{word!r}: {reason}" if reason.find(repr(word)) < 0 else reason, where=option,
                      todo=f"write it as {example}")  # fmt: skip
