"""The properties of a file as text: duration, pages, pixels, format, size, and stated creation data.

They are read from headers before planning. A model gets them if the question asks for them, because it cannot derive
them from the contents: text has no duration, and images are resized before the model sees them. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterator

from intermodal.core.quantity import Quantity
from intermodal.plans.facts import PageFacts, PartFacts
from intermodal.plans.numbers import clock, with_noun

_PAPER = {(595, 842): "A4", (842, 1191): "A3", (420, 595): "A5", (612, 792): "US Letter", (612, 1008): "US Legal"}
_POINT = 1.5  # tolerance in points for matching a paper size, due to rounding of millimetres
UNSTATED = "not stated in the file"


def properties_text(part: PartFacts) -> str:
    """Return the properties of a part as text, one per line.

    >>> from msgspec.structs import replace
    >>> from intermodal.core.quantity import exact
    >>> recording = PartFacts(index=0, name="a.wav", kind="audio", media_type="audio/wav", size=352_078)
    >>> recording = replace(recording, seconds=exact(11.0), sample_rate=16_000, channels=1)
    >>> print(properties_text(recording))
    Length: 11 seconds (0:11)
    Sound: 1 channel (mono), 16,000 Hz
    Format: audio/wav
    File size: 352,078 bytes (0.352 MB)
    Created: not stated in the file
    """
    return "\n".join(f"{name}: {value}" for name, value in _properties(part))


def main_property(part: PartFacts) -> str:
    """Return the most commonly requested property of a part's kind: duration, pages or pixels.

    >>> main_property(PartFacts(index=0, name="a.png", kind="image", width=640, height=480))
    '640 x 480 pixels (0.307 megapixels)'
    """
    if part.kind in ("audio", "video"):
        return _length(part.seconds)
    return with_noun(len(part.pages), "page") if part.kind == "document" else _pixels(part)


def _properties(part: PartFacts) -> Iterator[tuple[str, str]]:
    if part.kind in ("audio", "video") or (part.kind == "image" and part.seconds.known and part.seconds.mid > 0):
        yield "Length", _length(part.seconds)
    if part.kind == "document":
        yield "Pages", f"{len(part.pages):,}"
        if part.pages:
            yield "Page size", _page_sizes(part.pages)
    if part.width and part.height:
        yield "Width and height", _pixels(part)
    if part.kind == "image" and part.frames > 1:
        yield "Frames", f"{part.frames:,}"
    if part.kind == "video":
        yield "Frame rate", f"{part.fps:g} frames per second" if part.fps else "unknown"
        if part.subtitles:
            yield "Subtitles", ", ".join(track.language or "language not stated" for track in part.subtitles)
    if part.kind in ("audio", "video"):
        yield "Sound", _sound(part)
    yield "Format", part.media_type
    yield "File size", f"{part.size:,} bytes ({part.size / 1e6:.3g} MB)"
    yield "Created", part.created or UNSTATED
    if part.kind in ("image", "video") and part.device:
        yield "Made with", part.device


def _length(seconds: Quantity) -> str:
    """Return a duration in seconds and as a clock time, with its range if the file does not state it exactly."""
    if not seconds.known:
        return "unknown"
    text = f"{seconds.mid:.4g} seconds ({clock(seconds.mid)})"
    if seconds.low == seconds.high:
        return text
    return f"about {text}, between {seconds.low:.4g} and {seconds.high:.4g} seconds"


def _pixels(part: PartFacts) -> str:
    return f"{part.width:,} x {part.height:,} pixels ({part.width * part.height / 1e6:.3g} megapixels)"


def _sound(part: PartFacts) -> str:
    if not part.channels:
        return "none" if part.kind == "video" else "unknown"
    layout = {1: " (mono)", 2: " (stereo)"}.get(part.channels, "")
    rate = f", {part.sample_rate:,} Hz" if part.sample_rate else ""
    return f"{with_noun(part.channels, 'channel')}{layout}{rate}"


def _page_sizes(pages: tuple[PageFacts, ...]) -> str:
    """Return the size of the first page, and a note if other pages differ."""
    first = pages[0]
    width, height = first.width, first.height
    name = next((name for size, name in _PAPER.items() if _is_of_size((width, height), size)), "")
    text = f"{width:g} x {height:g} points{f' ({name})' if name else ''}"
    same = all((page.width, page.height) == (width, height) for page in pages)
    return text if same else f"{text} on page {first.number}, others differ"


def _is_of_size(page: tuple[float, float], paper: tuple[int, int]) -> bool:
    return all(abs(page_side - paper_side) <= _POINT for page_side, paper_side in zip(sorted(page), paper, strict=True))


__all__ = ["main_property", "properties_text"]
