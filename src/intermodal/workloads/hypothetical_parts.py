"""Facts of hypothetical parts: what probing would find, as far as it was stated."""

from __future__ import annotations

from intermodal.content import BytesSource, File, Image, Text
from intermodal.content import Part as ContentPart
from intermodal.plans.facts import PageFacts, PartFacts
from intermodal.quantity import Quantity, between, exact, unknown
from intermodal.workloads.workload import WorkloadPart

_A4 = (595.0, 842.0)  # points
_DENSE = 0.2  # how far a density that was said may be off
_DETAILS = ("low", "high", "original")


def imagined(part: WorkloadPart, index: int, name: str) -> tuple[ContentPart, PartFacts]:
    """The part and its facts. ``index``: as ``Request.parts()`` counts."""
    piece = part.piece
    assert piece is not None, "a real file has real facts"
    if piece.kind == "text":
        facts = PartFacts(index=index, name=name, kind="text", chars=piece.chars or 0, size=piece.size)
        return Text(text="", name=name), facts
    kind = piece.kind
    assert kind in ("image", "audio", "video", "document")
    source = BytesSource(data=b"", name=name)
    facts = PartFacts(
        index=index, name=name, kind=kind, media_type=_TYPES[kind], digest=f"imagined {index} {name}",
        width=piece.width or (1280 if kind == "video" else 0), height=piece.height or (720 if kind == "video" else 0),
        text_density=_density(part.density) if kind == "image" else _density(None),
        seconds=exact(piece.seconds, "said"), fps=piece.fps or (25.0 if kind == "video" else 0.0),
        channels=0 if kind != "video" or part.silent else 2,
        pages=tuple(_page(part, number) for number in range(1, piece.pages + 1)),
    )  # fmt: skip
    if kind == "image" and piece.detail in _DETAILS:
        return Image(source=source, detail=piece.detail), facts  # type: ignore[arg-type]
    return File(source=source), facts


_TYPES = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4", "document": "application/pdf"}


def _page(part: WorkloadPart, number: int) -> PageFacts:
    return PageFacts(
        number=number, width=_A4[0], height=_A4[1], chars=part.letters,
        text_density=_density(None if part.letters else part.density),
    )  # fmt: skip


def _density(said: float | None) -> Quantity:
    if said is None:
        return unknown("not sampled")
    return between(said * (1 - _DENSE), said, min(1.0, said * (1 + _DENSE)), "said")
