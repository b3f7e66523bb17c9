"""The child that touches hostile bytes: ``python -m intermodal.media.worker``.

Bytes come in by pipe, of a large file its descriptor, and results go out by pipe; it needs no other file and no other
socket, and may open none.
Handlers import their library when first called, so that a request with one picture pays for one.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import msgspec

from intermodal import _process
from intermodal.errors import InputUnsupported, NotInstalled
from intermodal.file_bytes import Data, whole
from intermodal.media import fence
from intermodal.media.office.converted import (
    ASS,
    CONVERTED,
    DOC,
    DOCX,
    EML,
    EPUB,
    EXTRA_TODO,
    HTML,
    IPYNB,
    MSG,
    ODG,
    ODP,
    ODS,
    ODT,
    PLAIN,
    PPT,
    PPTX,
    RTF,
    SRT,
    SVG,
    VTT,
    XLS,
    XLSX,
    ZIP,
)
from intermodal.media.probed import Probed
from intermodal.media.sniff import sniff
from intermodal.plans.facts import Box, PageFacts

_NOT_LAID_OUT = f"tables, columns and headings of its text stay as the file draws them ({EXTRA_TODO} lays them out)"
_CONVERTING = 1 << 30  # bytes of address space a converter may use: element trees are many times their markup


def _decoder(name: str) -> Any:
    """``image``, ``audio``, ``office.word``, … imported when first needed and with files allowed for that moment."""
    with fence.importing():
        return importlib.import_module(f"intermodal.media.{name}")


def probe(data: Data, name: str) -> dict[str, Any]:
    """Facts of one picture, recording, film or document, as ``Probed`` in builtins."""
    kind, media_type = sniff(data, name)
    if kind == "text" or media_type in CONVERTED:
        raise InputUnsupported("holds nothing to decode", where=name)
    if kind == "video":
        probed = _decoder("video").probe(data, media_type, _decoder("image").text_density)
    else:
        probed = _decoder(kind).probe(whole(data, name) if kind == "image" else data, media_type)
    if kind == "document" and any(page.pictured or page.figures for page in probed.pages):
        probed = _decoder("document").sampled(data, probed, _decoder("image").text_density)
    if kind == "document":
        probed = msgspec.structs.replace(probed, notes=(*probed.notes, *_of_layers(probed.pages)))
    found: dict[str, Any] = msgspec.to_builtins(probed)
    return found


def _of_layers(pages: tuple[PageFacts, ...]) -> list[str]:
    """What needs saying of text layers before they are taken."""
    notes: list[str] = [*_decoder("pdf.layer").layer_notes(pages)]
    written = any(page.chars and not page.scanned for page in pages)
    return notes if not written or _installed("liteparse") else [*notes, _NOT_LAID_OUT]


def _installed(package: str) -> bool:
    with fence.importing():
        return importlib.util.find_spec(package) is not None


def pcm(data: Data, name: str, channel: int | None = None) -> None:
    """Give sound in pieces."""
    for piece in _decoder("audio").pcm(data, sniff(data, name)[1], _process.report, channel):
        _process.give(piece)


def frames(data: Data, name: str, spread: str, most: int, max_side: int | None) -> None:
    """Give ``Frame`` in builtins, one after the other."""
    kind, media_type = sniff(data, name)
    if kind not in ("image", "video"):
        raise InputUnsupported("holds nothing that moves", where=name)
    decoder = _decoder("moments" if kind == "video" else "animation")
    held = data if kind == "video" else whole(data, name)
    for frame in decoder.frames(held, media_type, spread, most, max_side, _process.report):
        _process.give(frame)


def subtitles(data: Data, name: str, track: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _decoder("subtitles").lines(data, sniff(data, name)[1], track)
    return found


def page_text(data: Data, pages: list[int], plain: bool = False) -> list[str]:
    _decoder("pdf.layout")
    found: list[str] = _decoder("document").text(data, pages, _process.report, plain=plain)
    return found


def page_pictures(data: Data, pages: list[int], dpi: float, crops: list[Box]) -> None:
    """Give ``Picture`` in builtins, one after the other."""
    image, document = _decoder("image"), _decoder("document")
    for picture in document.pictures(data, pages, dpi, image.encoded, _process.report, crops):
        _process.give(picture)


def picture(data: Data, name: str, max_side: int | None) -> dict[str, Any]:
    made: dict[str, Any] = _decoder("image").picture(whole(data, name), sniff(data, name)[1], max_side)
    return made


def codes(data: Data, name: str) -> list[dict[str, Any]]:
    """QR codes and bar codes on a picture, as ``Code`` in builtins; none where what reads them is not installed."""
    if not _installed("zxingcpp"):
        return []
    with fence.importing():
        importlib.import_module("zxingcpp")
    found: list[dict[str, Any]] = msgspec.to_builtins(_decoder("codes").found(whole(data, name), sniff(data, name)[1]))
    return found


# Media type -> converter, and what has to be installed for it.
_PAGES = ("markdownify", "bs4", "charset_normalizer")
_PACKED = ("defusedxml", "charset_normalizer")
_CONVERTERS = {
    DOCX: ("office.word", ("mammoth", *_PAGES, *_PACKED)),
    PPTX: ("office.slides", ("pptx", *_PACKED)),
    XLSX: ("office.sheets", ("openpyxl", *_PACKED)),
    HTML: ("office.web", _PAGES),
    EML: ("office.mail", _PAGES),
    MSG: ("office.outlook", ("oxmsg", *_PAGES)),
    **dict.fromkeys((ODT, ODS, ODP, ODG), ("office.open_document", (*_PAGES, *_PACKED))),
    EPUB: ("office.book", (*_PAGES, *_PACKED)),
    RTF: ("office.rich_text", _PAGES),
    DOC: ("office.word97", ("olefile", *_PAGES)),
    XLS: ("office.sheets97", ("python_calamine", *_PACKED)),
    PPT: ("office.slides97", ("olefile",)),
    ZIP: ("office.archive", (*_PAGES, *_PACKED)),
    IPYNB: ("office.notebook", _PAGES),
    SVG: ("office.drawing", ("resvg_py", "defusedxml")),
    **dict.fromkeys((SRT, VTT, ASS), ("office.captions", ())),
    PLAIN: ("office.lettering", ("charset_normalizer",)),
}


def convert(data: Data, name: str, media_type: str) -> dict[str, Any]:
    """A document, a page or a mail taken apart, as ``Converted`` in builtins."""
    module, needed = _CONVERTERS[media_type]
    if not all(map(_installed, needed)):
        raise NotInstalled("what converts it is not installed", where=name, todo=f"run: {EXTRA_TODO}")
    converter, image = _decoder(module), _decoder("image")

    def sized(picture: bytes) -> Probed:
        found: Probed = image.probe(picture, sniff(picture, "")[1])
        return found

    with fence.room(_CONVERTING + 4 * len(data)):
        made = converter.convert(whole(data, name), name, sized)
    found: dict[str, Any] = msgspec.to_builtins(made.without_halves(), builtin_types=(bytes,))
    return found


def fences() -> dict[str, bool]:
    """What holds, by trying it: first as a library would, then as code would that took the process over."""
    return fence.tried()


def ready() -> bool:
    """Nothing but proof of life: starts the process ahead of its first job."""
    return True


def main() -> None:
    gauge = fence.begin()
    _process.serve(
        {
            "probe": probe,
            "pcm": pcm,
            "page_text": page_text,
            "page_pictures": page_pictures,
            "picture": picture,
            "codes": codes,
            "frames": frames,
            "subtitles": subtitles,
            "convert": convert,
            "ready": ready,
            "fences": fences,
        },
        before=fence.seal,
        gauge=gauge,
        receiving=fence.importing,
        decodes=True,
    )


if __name__ == "__main__":
    main()
