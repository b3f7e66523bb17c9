"""What the worker finds out about a part, and what it makes of one. Values that cross the pipe."""

from __future__ import annotations

from intermodal.content import Value
from intermodal.plans.facts import PageFacts
from intermodal.quantity import Quantity


class Probed(Value):
    """The fields of ``PartFacts`` that need decoding. Those of other kinds keep their defaults."""

    width: int = 0
    height: int = 0
    frames: int = 1
    text_density: Quantity = Quantity(certainty="unknown", basis="not sampled")
    seconds: Quantity = Quantity()
    sample_rate: int = 0
    channels: int = 0
    pages: tuple[PageFacts, ...] = ()


class Picture(Value):
    """A picture we encoded: PNG, RGB or grey, upright, no metadata. ``width`` and ``height`` in pixels."""

    data: bytes
    width: int
    height: int
    media_type: str = "image/png"


class Pcm(Value):
    """Sound as embedded ears take it: signed 16-bit little endian, 16 kHz, mono. ``seconds`` long."""

    samples: bytes
    seconds: float
