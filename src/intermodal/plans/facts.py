"""What probing found about each part. Filled by ``media/probe.py``; read by the planner."""

from __future__ import annotations

from msgspec import field

from intermodal.content import Kind, Value
from intermodal.quantity import Quantity


class PageFacts(Value):
    """One page of a document.

    Attributes:
        number: 1-based.
        width, height: in points (1/72 inch).
        chars: characters in the text layer; 0 on a scanned page.
        figure_share: share of the page's area under raster images or drawn paths, 0..1.
        words: lower-case distinct words of the page, at most 400, for lexical page selection.
        text_density: share of a scanned page's area that looks like text, 0..1; unknown on pages with a text layer.
    """

    number: int
    width: float
    height: float
    chars: int = 0
    figure_share: float = 0.0
    words: tuple[str, ...] = ()
    text_density: Quantity = Quantity(certainty="unknown", basis="not sampled")


class PartFacts(Value):
    """One part. Fields that do not apply to its kind keep their defaults.

    Attributes:
        index: the part's place, as ``Request.parts()`` counts.
        name: how EXPLAIN calls it: a file name, a URL without its query, or "prompt".
        kind, media_type: the true ones, sniffed from the bytes.
        digest: SHA-256 of the original bytes, hex.
        size: bytes.
        width, height: pixels, after the orientation tag. frames: of an animation, else 1.
        text_density: share of an image's area that looks like text, 0..1.
        seconds: length of audio.
        sample_rate, channels: of audio.
        pages: of a document.
        chars: characters of a text part.
        tokens: exact counts of a text part by tokenizer name.
        language: ISO 639-1 where it is known, else "".
    """

    index: int
    name: str
    kind: Kind
    media_type: str = "text/plain"
    digest: str = ""
    size: int = 0
    width: int = 0
    height: int = 0
    frames: int = 1
    text_density: Quantity = Quantity(certainty="unknown", basis="not sampled")
    seconds: Quantity = Quantity()
    sample_rate: int = 0
    channels: int = 0
    pages: tuple[PageFacts, ...] = ()
    chars: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    language: str = ""


class Facts(Value):
    """Facts of every part, in the order of ``Request.parts()``."""

    parts: tuple[PartFacts, ...] = ()
