"""What the worker returns about a part, and what it makes of one: values that cross the pipe."""

from __future__ import annotations

from typing import Literal

from intermodal.content import Kind, Value
from intermodal.files.file_bytes import Data
from intermodal.plans.facts import Box, PageFacts, SubtitleFacts
from intermodal.quantity import Quantity


class ProbeResult(Value):
    """The fields of ``PartFacts`` that need decoding. Those of other kinds keep their defaults.

    ``kind`` and ``media_type`` are set where looking inside tells more than the first bytes did, else "". ``notes`` are
    about what was not as it should be, or is left alone.
    """

    kind: Kind | Literal[""] = ""
    media_type: str = ""
    width: int = 0
    height: int = 0
    frames: int = 1
    text_density: Quantity = Quantity(certainty="unknown", basis="not sampled")
    letters: Quantity = Quantity(certainty="unknown", basis="not sampled")
    script: str = ""
    seconds: Quantity = Quantity()
    sample_rate: int = 0
    channels: int = 0
    separate_channels: bool = False
    fps: float = 0.0
    cuts: tuple[float, ...] = ()
    pages: tuple[PageFacts, ...] = ()
    subtitles: tuple[SubtitleFacts, ...] = ()
    notes: tuple[str, ...] = ()


class Barcode(Value):
    """A QR code, a bar code or their like: what it says, "" where that cannot be read, and its box in pixels."""

    kind: str
    text: str = ""
    box: Box = (0.0, 0.0, 0.0, 0.0)


class EncodedPicture(Value):
    """A picture we encoded: RGB or grey, upright, no metadata. ``width`` and ``height`` in pixels."""

    data: bytes
    width: int
    height: int
    media_type: str = "image/png"


class VideoFrame(EncodedPicture):
    """A picture of something that moves: what is seen from ``at`` to ``until``, in seconds. JPEG of a film, else PNG.

    ``number`` is that of a page where there are pages and no times (TIFF), else 0. ``scenes``: how many there are in a
    film of which this is one, 0 where nobody looked for them.
    """

    at: float = 0.0
    until: float = 0.0
    number: int = 0
    scenes: int = 0


class SubtitleLine(Value):
    """What is to be read from ``at`` to ``until``, in seconds; rows of it apart by line ends."""

    at: float
    until: float
    text: str


class Pcm(Value):
    """Sound as embedded ears take it: signed 16-bit little endian, 16 kHz, mono. ``seconds`` long."""

    samples: Data
    seconds: float
