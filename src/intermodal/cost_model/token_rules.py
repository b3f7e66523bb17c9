"""Tokens of media that are sent unconverted: audio, video and documents, each by the named rule of its model family.

A ``TokenRules`` object holds the rules of an endpoint. Images are in ``image_tokens.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from msgspec import Struct

from intermodal.catalog.token_rule_rows import ModelTokenRules
from intermodal.core.content import Scripts, Value, sum_scripts
from intermodal.core.quantity import Quantity, between, exact, unknown
from intermodal.cost_model.image_tokens import cells_of_budget, image_tokens, qwen_resized
from intermodal.cost_model.request_limits import RequestLimits, request_limits
from intermodal.cost_model.rule_syntax import parse_rule
from intermodal.cost_model.tokens import AUDIO, VIDEO, text_tokens, unknown_document_tokens
from intermodal.plans.facts import PageFacts, PartFacts

# Tokens of audio input and output, by the named rule of a model's family.
#
# ``rate:10`` is 10 tokens per second, ``rate:25:32`` is for sources that differ. ``window:30:375`` pads audio to whole
# windows of 30 seconds; with ``window:30:750:25`` some runtimes pad it and others count 25 per second. ``by_time`` is
# billed by its length and has no tokens.


_UNKNOWN_AUDIO_RULE = "no published rule for this model's sound"
_AUDIO_RULES: dict[str, tuple[int, int]] = {
    "rate": (1, 2),
    "window": (2, 3),
    "by_time": (0, 0),
}  # fewest and most numbers
BY_TIME = "billed by its length, not by tokens"


def audio_tokens(rule: str, seconds: float) -> Quantity:
    """Return the tokens of ``seconds`` of audio; without a known rule, the range over the published families.

    The middle of that range is its high end, so that an endpoint does not rank higher for being unknown.

    >>> int(audio_tokens("rate:10", 60).mid), int(audio_tokens("window:30:375", 31).mid)
    (600, 750)
    """
    read = parse_rule(rule)
    if read is None or not is_audio_rule(rule):
        low, _, high = (float(math.ceil(seconds * rate)) for rate in AUDIO)
        return between(low, high, high, _UNKNOWN_AUDIO_RULE)
    name, numbers = read[0], read[1].numbers
    if name == "by_time":
        return exact(0.0, BY_TIME)
    if name == "window":
        window, tokens, *by_runtime = numbers
        padded = float(tokens * math.ceil(seconds / window - 1e-9))
        basis = f"{tokens:g} tokens per {window:g} seconds, padded"
        least = min([padded, *(float(math.ceil(seconds * rate - 1e-9)) for rate in by_runtime)])
        if least == padded:
            return exact(padded, basis)
        return between(least, padded, padded, f"{basis}, or {by_runtime[0]:g} a second, by runtime")
    found = [float(math.ceil(seconds * rate - 1e-9)) for rate in sorted(numbers)]
    basis = " or ".join(f"{rate:g}" for rate in sorted(numbers)) + " tokens a second"
    return exact(found[0], basis) if len(found) == 1 else between(found[0], found[0], found[1], basis)


def is_audio_rule(rule: str) -> bool:
    """Return whether a rule string is valid."""
    read = parse_rule(rule)
    if read is None or read[0] not in _AUDIO_RULES or read[1].words:
        return False
    fewest, most = _AUDIO_RULES[read[0]]
    return fewest <= len(read[1].numbers) <= most and all(number > 0 for number in read[1].numbers)


# Tokens of a video sent unconverted, by the named rule of its family.
#
# ``gemini_seconds:258:64:5:32`` and ``gemini_frames:70:280:25:32``: tokens per frame and per second of audio.
# ``qwen:28``: frames in pairs, resized. If a rule needs the frame size and it is unknown, the range over sizes.


_UNKNOWN_VIDEO_RULE = "no published rule for this model's video"

# qwen-vl-utils 0.0.14: frames per second, minimum and maximum frames, tokens per pair of frames and per video.
FPS, _FEWEST_FRAMES, _MOST_FRAMES = 2.0, 4, 768
PAIR_LEAST, PAIR_MOST = 128, 768
_WHOLE_VIDEO = 128_000 * 0.9


class VideoSize(Value):
    """The properties of a video that counting needs.

    ``fps``: sampled frames per second, 0 for the model's own rate. ``width``, ``height``: 0 if unknown. ``sound``:
    whether it has audio, None if unknown.
    """

    seconds: float
    fps: float = 0.0
    width: int = 0
    height: int = 0
    detail: str = "auto"
    sound: bool | None = None


def video_tokens(rule: str, film: VideoSize) -> Quantity:
    """Return the tokens of one video; without a known rule, the range over the published families.

    >>> int(video_tokens("gemini_seconds:258:64:5:32", VideoSize(seconds=10.0)).mid)
    2630
    """
    read = parse_rule(rule)
    if read is None or not is_video_rule(rule):
        low, mid, high = (math.ceil(film.seconds * rate) for rate in VIDEO)
        return between(float(low), float(mid), float(high), _UNKNOWN_VIDEO_RULE)
    return _VIDEO_RULES[read[0]][0](film, read[1].numbers)


def is_video_rule(rule: str) -> bool:
    """Return whether a rule string is valid."""
    read = parse_rule(rule)
    if read is None or read[0] not in _VIDEO_RULES or read[1].words:
        return False
    return len(read[1].numbers) == _VIDEO_RULES[read[0]][1] and all(number > 0 for number in read[1].numbers)


def _gemini_seconds(film: VideoSize, numbers: tuple[float, ...]) -> Quantity:
    """Return the tokens under Gemini 2.x: one frame per second of 258 tokens (64 at low resolution), plus 5 per second.

    That is Google's figure of 263 per second. Google also writes "and sound": at most 32 per second more than the
    frames. At one frame per second its figure is used as is; other rates are a range. Source: Google, "Understand and
    count tokens", 2026-11.
    """
    frame, low_frame, timestamp, sound = numbers
    frame_tokens = low_frame if film.detail == "low" else frame
    rate = film.fps or 1.0
    basis = f"{frame_tokens:g} tokens a frame at {rate:g} a second"
    if rate == 1.0 and film.detail != "low":
        return exact(
            _round_up(film.seconds * (frame_tokens + timestamp)),
            f"{frame_tokens + timestamp:g} tokens a second at one frame a second",
        )
    low, mid, high = (_round_up(film.seconds * (frame_tokens * rate + more)) for more in (0.0, timestamp, sound))
    return between(low, mid, high, basis)


def _gemini_frames(film: VideoSize, numbers: tuple[float, ...]) -> Quantity:
    """Return the tokens under Gemini 3.x: a maximum per frame at one frame per second, and audio.

    High resolution has a higher maximum. Source: Google, "Media resolution", 2026-11: maxima. Sources differ on audio:
    25 or 32 per second.
    """
    frame, high_frame, less, more = numbers
    frame_tokens = high_frame if film.detail in ("high", "ultra") else frame
    frames = _round_up(film.seconds * (film.fps or 1.0)) * frame_tokens
    quiet = film.sound is False
    low = 0.0 if film.sound is not True else _round_up(film.seconds * less)
    mid, high = (0.0, 0.0) if quiet else (_round_up(film.seconds * less), _round_up(film.seconds * more))
    basis = f"at most {frame_tokens:g} tokens a frame, {less:g} or {more:g} a second of sound"
    return between(frames * 0.5 + low, frames + mid, frames + high, basis)


def _qwen(film: VideoSize, numbers: tuple[float, ...]) -> Quantity:
    """Return the tokens under Qwen-VL: an even number of frames, each pair resized to one image of 128 to 768 tokens.

    Source: qwen-vl-utils 0.0.14, ``smart_nframes`` and ``fetch_video``. Timestamps between the frames (Qwen3-VL) are
    not counted.
    """
    factor = numbers[0]
    frames = math.floor(min(max(film.seconds * (film.fps or FPS), _FEWEST_FRAMES), _MOST_FRAMES) / 2) * 2
    pairs = frames // 2
    unit = factor * factor
    least = PAIR_LEAST * unit
    most = max(min(PAIR_MOST * unit, _WHOLE_VIDEO * unit / frames * 2), int(least * 1.05))
    basis = f"{frames} frames in pairs"
    if not film.width or not film.height:
        return between(float(pairs * PAIR_LEAST), pairs * most / unit * 0.6 // 1, float(pairs * most // unit), basis)
    wide, high = qwen_resized(film.width, film.height, factor, least, most)
    return exact(float(pairs * int(wide // factor) * int(high // factor)), f"{basis} of {wide:g}x{high:g}")


def _round_up(tokens: float) -> float:
    return float(math.ceil(tokens - 1e-9))


_VIDEO_RULES: dict[str, tuple[Callable[[VideoSize, tuple[float, ...]], Quantity], int]] = {
    "gemini_seconds": (_gemini_seconds, 4),
    "gemini_frames": (_gemini_frames, 4),
    "qwen": (_qwen, 1),
}


# Tokens of a document sent unconverted, by the named rule of its family.
#
# ``page:258``: 258 tokens per page. ``gemini_pages``: a budget per page by media resolution. ``openai_pdf`` and
# ``anthropic_pdf``: the text of a page and an image of unpublished size. ``by_page``: billed by the page.


_UNKNOWN_DOCUMENT_RULE = "no published rule for this model's documents"
_BY_PAGE = "billed by the page, not by tokens"

PAGE = (612.0, 792.0)  # points: US letter
SMALL_DPI, USUAL_DPI, LARGE_DPI = 72.0, 100.0, 200.0  # assumed for a page's image; no vendor publishes it
_PAGE_TEXT = (0.0, 600.0, 3_000.0)  # tokens of a page's text if unknown; a scan has none


class DocumentSize(Value):
    """The properties of a document that counting needs.

    chars, size: characters of its text and their bytes, None if unknown. scripts: its scripts, () if not examined.
    vocabulary: whose factors estimate its text, "" if unknown. width, height: of a page, in points.
    """

    pages: int
    chars: int | None = None
    size: int = 0
    scripts: Scripts = ()
    vocabulary: str = ""
    width: float = PAGE[0]
    height: float = PAGE[1]
    detail: str = "auto"


def document_tokens(rule: str, leaves: DocumentSize, image_rule: str) -> Quantity:
    """Return the tokens of one document; without a known rule, the range over the published families.

    >>> int(document_tokens("page:258", DocumentSize(pages=10), "").mid)
    2580
    """
    read = parse_rule(rule)
    if read is None or not is_document_rule(rule):
        found = unknown_document_tokens(leaves.pages, leaves.chars or 0)
        return between(found.low, found.mid, found.high, _UNKNOWN_DOCUMENT_RULE)
    return _DOCUMENT_RULES[read[0]][0](leaves, read[1].numbers, image_rule)


def is_document_rule(rule: str) -> bool:
    """Return whether a rule string is valid."""
    read = parse_rule(rule)
    if read is None or read[0] not in _DOCUMENT_RULES or read[1].words:
        return False
    return len(read[1].numbers) == _DOCUMENT_RULES[read[0]][1] and all(number > 0 for number in read[1].numbers)


def _page(leaves: DocumentSize, numbers: tuple[float, ...], image_rule: str) -> Quantity:
    return exact(numbers[0] * leaves.pages, f"{numbers[0]:g} tokens a page")


def _gemini_pages(leaves: DocumentSize, numbers: tuple[float, ...], image_rule: str) -> Quantity:
    """Return the tokens under Gemini 3.x: a maximum per page by media resolution, and the text of the page.

    Auto is medium. Source: Google, "Media resolution", 2026-11. The documentation is inconsistent on whether the text
    is billed.
    """
    level = {"low": 0, "auto": 1, "medium": 1}.get(leaves.detail, 2)
    most = numbers[level]
    least = min(most, float(cells_of_budget(round(leaves.width), round(leaves.height), int(most))))
    text = _layer_tokens(leaves)
    pages = leaves.pages
    basis = f"at most {most:g} tokens a page, and its text"
    return between(least * pages, most * pages, most * pages + text.high, basis)


def _openai(leaves: DocumentSize, numbers: tuple[float, ...], image_rule: str) -> Quantity:
    """Return the tokens under OpenAI: the text of every page, and an image of it at least if it shows one.

    Neither the image size nor the condition is published (OpenAI, "PDF files" guide), so the range goes from text alone
    to a large image of every page.
    """
    text = _layer_tokens(leaves)
    usual, large = (_page_image_tokens(leaves, image_rule, dpi) for dpi in (USUAL_DPI, LARGE_DPI))
    high = max(usual.high, large.high)
    low = max(text.low, float(leaves.pages))
    if leaves.chars == 0:  # a scan, with an image on every page
        low = _page_image_tokens(leaves, image_rule, SMALL_DPI).low * leaves.pages
    return between(
        low, text.mid + usual.mid * leaves.pages, text.high + high * leaves.pages,
        "text and an image per page; its size is not published",
    )  # fmt: skip


def _anthropic(leaves: DocumentSize, numbers: tuple[float, ...], image_rule: str) -> Quantity:
    """Return the tokens under Claude: an image of every page, and its text.

    Text is "1,500 to 3,000 tokens a page" (Anthropic, "PDF support").
    """
    pages = leaves.pages
    small, usual, large = (_page_image_tokens(leaves, image_rule, dpi) for dpi in (SMALL_DPI, USUAL_DPI, LARGE_DPI))
    if leaves.chars is not None:
        text = _layer_tokens(leaves)
    else:
        least, most = numbers
        text = between(least * pages, (least + most) / 2 * pages, most * pages, "")
    return between(
        text.low + small.low * pages, text.mid + usual.mid * pages, text.high + large.high * pages,
        "text and an image per page; its size is not published",
    )  # fmt: skip


def _by_page(leaves: DocumentSize, numbers: tuple[float, ...], image_rule: str) -> Quantity:
    return exact(0.0, _BY_PAGE)


def _layer_tokens(leaves: DocumentSize) -> Quantity:
    if leaves.chars is not None:
        return text_tokens(leaves.chars, leaves.size, leaves.scripts, leaves.vocabulary)
    low, mid, high = (tokens * leaves.pages for tokens in _PAGE_TEXT)
    return between(low, mid, high, "")


def _page_image_tokens(leaves: DocumentSize, image_rule: str, dpi: float) -> Quantity:
    return image_tokens(image_rule, round(leaves.width * dpi / 72), round(leaves.height * dpi / 72), "high")


_DOCUMENT_RULES: dict[str, tuple[Callable[[DocumentSize, tuple[float, ...], str], Quantity], int]] = {
    "page": (_page, 1),
    "gemini_pages": (_gemini_pages, 3),
    "openai_pdf": (_openai, 0),
    "anthropic_pdf": (_anthropic, 2),
    "by_page": (_by_page, 0),
}


class TokenRules(Struct, frozen=True, eq=False, gc=False):
    """Rules by which endpoints count unconverted media, and the limits by which they refuse it.

    Rule strings are those of the catalog, "" if none is published; ``vocabulary``: for the text of whole documents.
    Compared by identity: ``planner/catalog_index.py`` makes one of each, because plans cache sums by it.
    """

    image: str = ""
    audio: str = ""
    video: str = ""
    document: str = ""
    vocabulary: str = ""
    limits: RequestLimits | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Return the values that make two sets of rules equal."""
        return (self.image, self.audio, self.video, self.document, self.vocabulary, self.limits)


NO_RULES = TokenRules()
_BY_TIME = "by_time"


def native_token_rules(sheet: ModelTokenRules, takes: Collection[str]) -> TokenRules:
    """Return the rules of a day for the kinds an endpoint ``takes``. Fewer distinct rules mean fewer sums.

    A transcriber billed by time counts no tokens: if tokens are needed, they are unknown.
    """
    rules = {kind: rule for kind, rule in sheet.rules.items() if kind in takes}
    audio = rules.get("audio", "")
    document = "document" in takes
    return TokenRules(
        image=sheet.rules.get("image", "") if document else rules.get("image", ""),
        audio="" if audio == _BY_TIME else audio,
        video=rules.get("video", ""),
        document=rules.get("document", ""),
        vocabulary=sheet.vocabulary if document else "",
        limits=request_limits(sheet, takes),
    )


def native_audio_tokens(rule: str, seconds: Quantity) -> Quantity:
    """Return the tokens of one recording."""
    return _over_range(seconds, lambda length: audio_tokens(rule, length))


def native_video_tokens(rule: str, part: PartFacts) -> Quantity:
    """Return the tokens of one video that is sent unconverted."""

    def tokens(length: float) -> Quantity:
        film = VideoSize(seconds=length, width=part.width, height=part.height, sound=bool(part.channels))
        return video_tokens(rule, film)

    return _over_range(part.seconds, tokens)


def native_document_tokens(token_rules: TokenRules, pages: tuple[PageFacts, ...]) -> Quantity:
    """Return the tokens of one document that is sent unconverted."""
    if not pages:
        return Quantity(basis="no pages")
    page_scripts = [page.scripts for page in pages if page.chars]
    first = pages[len(pages) // 2]
    leaves = DocumentSize(
        pages=len(pages), chars=sum(page.chars for page in pages),
        scripts=sum_scripts(page_scripts) if all(page_scripts) else (),
        vocabulary=token_rules.vocabulary,
        width=first.width, height=first.height,
    )  # fmt: skip
    return document_tokens(token_rules.document, leaves, token_rules.image)


def _over_range(length: Quantity, tokens: Callable[[float], Quantity]) -> Quantity:
    """Return the tokens for a length that may itself be a range."""
    if not length.known or length.high == math.inf:
        return unknown(length.basis or "length not known")
    if length.low == length.high:
        return tokens(length.mid)
    low, mid, high = tokens(length.low), tokens(length.mid), tokens(length.high)
    return between(low.low, mid.mid, high.high, mid.basis)
