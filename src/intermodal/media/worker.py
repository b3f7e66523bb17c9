"""The child that touches hostile bytes: ``python -m intermodal.media.worker``.

Bytes come in by pipe and results go out by pipe; it needs no file and no socket, and may open none.
Handlers import their library when first called, so that a request with one picture pays for one.
"""

from __future__ import annotations

import importlib
from typing import Any

import msgspec

from intermodal import _process
from intermodal.errors import InputUnsupported
from intermodal.media import fence
from intermodal.media.sniff import sniff
from intermodal.media.steps import PCM_BYTES_PER_SECOND, SCANNED_BELOW


def _decoder(name: str) -> Any:
    """``image``, ``audio`` or ``document``, imported when first needed and with files allowed for that moment."""
    with fence.importing():
        return importlib.import_module(f"intermodal.media.{name}")


def probe(data: bytes, name: str) -> dict[str, Any]:
    """Facts of one picture, recording or document, as ``Probed`` in builtins."""
    kind, media_type = sniff(data, name)
    if kind not in ("image", "audio", "document"):
        raise InputUnsupported("holds nothing to decode", where=name)
    probed = _decoder(kind).probe(data, media_type)
    if kind == "document" and any(page.chars < SCANNED_BELOW for page in probed.pages):
        probed = _decoder("document").sampled(data, probed, _decoder("image").text_density)
    found: dict[str, Any] = msgspec.to_builtins(probed)
    return found


def pcm(data: bytes, name: str) -> dict[str, Any]:
    audio = _decoder("audio")
    samples = audio.pcm(data, sniff(data, name)[1], _process.report)
    return {"samples": samples, "seconds": len(samples) / PCM_BYTES_PER_SECOND}


def page_text(data: bytes, pages: list[int]) -> list[str]:
    found: list[str] = _decoder("document").text(data, pages, _process.report)
    return found


def page_pictures(data: bytes, pages: list[int], dpi: float) -> list[dict[str, Any]]:
    image, document = _decoder("image"), _decoder("document")
    made: list[dict[str, Any]] = document.pictures(data, pages, dpi, image.encoded, _process.report)
    return made


def picture(data: bytes, name: str, max_side: int | None) -> dict[str, Any]:
    made: dict[str, Any] = _decoder("image").picture(data, sniff(data, name)[1], max_side)
    return made


def ready() -> bool:
    """Nothing but proof of life: starts the process ahead of its first job."""
    return True


def main() -> None:
    fence.begin()
    _process.serve(
        {
            "probe": probe,
            "pcm": pcm,
            "page_text": page_text,
            "page_pictures": page_pictures,
            "picture": picture,
            "ready": ready,
        },
        before=fence.seal,
    )


if __name__ == "__main__":
    main()
