"""Results of the worker, from probing and converting a part: values that are sent through the pipe."""

from __future__ import annotations

from typing import Literal

from intermodal.core.content import Kind, Value
from intermodal.core.quantity import Quantity
from intermodal.files.file_bytes import Data
from intermodal.plans.facts import Box, PageFacts, SubtitleFacts


class MediaProbeResult(Value):
    """The fields of ``PartFacts`` that require decoding. Fields of other kinds keep their defaults.

    ``kind`` and ``media_type`` are set if decoding corrects the detected type, otherwise "". ``notes`` report defects
    and omissions.
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
    created: str = ""
    device: str = ""


class Barcode(Value):
    """A QR code or bar code: its text, "" if it cannot be read, and its box in pixels."""

    kind: str
    text: str = ""
    box: Box = (0.0, 0.0, 0.0, 0.0)


class EncodedImage(Value):
    """An image that the worker encoded: RGB or grey, upright, no metadata. ``width`` and ``height`` in pixels."""

    data: bytes
    width: int
    height: int
    media_type: str = "image/png"


class VideoFrame(EncodedImage):
    """A frame that represents ``at`` to ``until``, in seconds. JPEG for a video, otherwise PNG.

    ``number``: of the page for TIFF, which has pages and no times, otherwise 0. ``scenes``: number of scenes in the
    video, 0 if not detected.
    """

    at: float = 0.0
    until: float = 0.0
    number: int = 0
    scenes: int = 0


class SubtitleLine(Value):
    """A subtitle from ``at`` to ``until``, in seconds. Its rows are separated by line ends."""

    at: float
    until: float
    text: str


class Pcm(Value):
    """Audio as the embedded recognisers expect it: signed 16-bit little-endian, 16 kHz, mono. ``seconds``:
    its length.
    """

    samples: Data
    seconds: float
