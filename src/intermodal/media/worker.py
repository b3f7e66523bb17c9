"""The sandboxed child process that decodes untrusted bytes: ``python -m intermodal.media.worker``.

Bytes arrive by pipe, or as a descriptor for a large file, and results leave by pipe; the process needs no other file or
socket and may not open any. Handlers import their library on first use, so that a request with one image loads only its
decoder.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import msgspec

from intermodal.concurrency import worker_process
from intermodal.errors import InputUnsupported, NotInstalled
from intermodal.files.file_bytes import Data, read_whole
from intermodal.media import plugin_converter, sandbox
from intermodal.media.office.conversion_types import (
    ASS,
    DOC,
    DOCX,
    EML,
    EPUB,
    EXTRA_TODO,
    HTML,
    IPYNB,
    MHTML,
    MSG,
    ODG,
    ODP,
    ODS,
    ODT,
    PLAIN,
    PLUGIN_TYPE,
    PPT,
    PPTX,
    RTF,
    SRT,
    SVG,
    VTT,
    XLS,
    XLSX,
    ZIP,
    ConvertedFile,
    converted_kinds,
)
from intermodal.media.sniff import plugin_converters, sniff
from intermodal.media.worker_results import MediaProbeResult
from intermodal.plans.facts import Box, PageFacts

_NOT_LAID_OUT = f"tables, columns and headings of its text stay as the file draws them ({EXTRA_TODO} lays them out)"
_DECODERS = {"image": "image.decoder", "audio": "audio.decoder", "document": "pdf.document"}
_CONVERTING = 1 << 30  # bytes of address space a converter may use: element trees are larger than their markup


def _decoder(name: str) -> Any:
    """Import a decoder (``image.decoder``, ``office.docx``, …) on first use, with files allowed during the import."""
    with sandbox.allow_files():
        return importlib.import_module(f"intermodal.media.{name}")


def probe(data: Data, name: str) -> dict[str, Any]:
    """Return the facts of an image, recording, video or document, as a ``MediaProbeResult`` dict."""
    kind, media_type = sniff(data, name)
    if kind == "text" or converted_kinds(media_type) is not None:
        raise InputUnsupported("holds nothing to decode", where=name)
    if kind == "video":
        probed = _decoder("video.probe").probe(data, media_type, _decoder("image.decoder").text_density)
    else:
        probed = _decoder(_DECODERS[kind]).probe(read_whole(data, name) if kind == "image" else data, media_type)
    if kind == "document" and any(page.is_image or page.figures for page in probed.pages):
        probed = _decoder("pdf.document").with_samples(data, probed, _decoder("image.decoder").text_density)
    if kind == "document":
        probed = msgspec.structs.replace(probed, notes=(*probed.notes, *_of_layers(probed.pages)))
    found: dict[str, Any] = msgspec.to_builtins(probed)
    return found


def _of_layers(pages: tuple[PageFacts, ...]) -> list[str]:
    """Return notes about the text layers of pages."""
    notes: list[str] = [*_decoder("pdf.document").layer_notes(pages)]
    has_layer_text = any(page.chars and not page.scanned for page in pages)
    return notes if not has_layer_text or _is_installed("liteparse") else [*notes, _NOT_LAID_OUT]


def _is_installed(package: str) -> bool:
    with sandbox.allow_files():
        return importlib.util.find_spec(package) is not None


def pcm(data: Data, name: str) -> None:
    """Emit the audio as PCM in pieces."""
    for piece in _decoder("audio.decoder").pcm(data, sniff(data, name)[1], worker_process.report_progress):
        worker_process.emit(piece)


def channel_pcm(data: Data, name: str) -> list[list[tuple[int, int]]]:
    """Emit (channel, piece) of both channels; return the byte ranges of each channel that must be silenced."""
    media_type = sniff(data, name)[1]
    decoded = _decoder("audio.decoder").channel_pcm(data, media_type, worker_process.report_progress)
    while True:
        try:
            worker_process.emit(next(decoded))
        except StopIteration as end:
            return list(end.value)


def frames(data: Data, name: str, spread: str, most: int, max_side: int | None) -> None:
    """Emit the frames in order, each a ``VideoFrame`` dict."""
    kind, media_type = sniff(data, name)
    if kind not in ("image", "video"):
        raise InputUnsupported("holds nothing that moves", where=name)
    decoder = _decoder("video.frames" if kind == "video" else "image.animation")
    content = data if kind == "video" else read_whole(data, name)
    for frame in decoder.frames(content, media_type, spread, most, max_side, worker_process.report_progress):
        worker_process.emit(frame)


def subtitles(data: Data, name: str, track: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _decoder("video.subtitle_tracks").track_lines(data, sniff(data, name)[1], track)
    return found


def page_text(data: Data, pages: list[int], plain: bool = False) -> list[str]:
    _decoder("pdf.layout")
    found: list[str] = _decoder("pdf.document").text(data, pages, worker_process.report_progress, plain=plain)
    return found


def page_images(data: Data, pages: list[int], dpi: float, crops: list[Box]) -> None:
    """Emit the rendered pages in order, each an ``EncodedImage`` dict."""
    image, document = _decoder("image.decoder"), _decoder("pdf.document")
    for picture in document.pictures(data, pages, dpi, image.encode_image, worker_process.report_progress, crops):
        worker_process.emit(picture)


def picture(data: Data, name: str, max_side: int | None, min_side: int | None) -> dict[str, Any]:
    decoder = _decoder("image.decoder")
    image: dict[str, Any] = decoder.picture(read_whole(data, name), sniff(data, name)[1], max_side, min_side)
    return image


def mask(data: Data, name: str, transparent: bool) -> dict[str, Any]:
    mask_data, media_type = read_whole(data, name), sniff(data, name)[1]
    encoded_mask: dict[str, Any] = _decoder("image.decoder").edit_mask(mask_data, media_type, transparent=transparent)
    return encoded_mask


def codes(data: Data, name: str) -> list[dict[str, Any]]:
    """Return the QR codes and bar codes on an image as ``Barcode`` dicts, [] if the reader is not installed."""
    if not _is_installed("zxingcpp"):
        return []
    with sandbox.allow_files():
        importlib.import_module("zxingcpp")
    found: list[dict[str, Any]] = msgspec.to_builtins(
        _decoder("image.barcodes").read_barcodes(read_whole(data, name), sniff(data, name)[1])
    )
    return found


# Media type -> converter, and the packages that it needs.
_PAGES = ("markdownify", "bs4", "charset_normalizer")
_PACKED = ("defusedxml", "charset_normalizer")
_CONVERTERS = {
    DOCX: ("office.docx", ("mammoth", *_PAGES, *_PACKED)),
    PPTX: ("office.pptx", ("pptx", *_PACKED)),
    XLSX: ("office.xlsx", ("openpyxl", *_PACKED)),
    HTML: ("office.html_pages", _PAGES),
    EML: ("office.eml", _PAGES),
    MHTML: ("office.mhtml", _PAGES),
    MSG: ("office.msg", ("oxmsg", *_PAGES)),
    **dict.fromkeys((ODT, ODS, ODP, ODG), ("office.odf", (*_PAGES, *_PACKED))),
    EPUB: ("office.epub", (*_PAGES, *_PACKED)),
    RTF: ("office.rtf", _PAGES),
    DOC: ("office.doc", ("olefile", *_PAGES)),
    XLS: ("office.xls", ("python_calamine", *_PACKED)),
    PPT: ("office.ppt", ("olefile",)),
    ZIP: ("office.zip_archive", (*_PAGES, *_PACKED)),
    IPYNB: ("office.notebook", _PAGES),
    SVG: ("office.svg", ("resvg_py", "defusedxml")),
    **dict.fromkeys((SRT, VTT, ASS), ("office.subtitle_files", ())),
    PLAIN: ("office.text_encoding", ("charset_normalizer",)),
}


def convert(data: Data, name: str, media_type: str) -> dict[str, Any]:
    """Convert a document, a page or a mail; return a ``ConvertedFile`` dict."""
    converter = _converter(media_type, name)
    with sandbox.memory_limit(_CONVERTING + 4 * len(data)):
        converted_file = converter(read_whole(data, name), name)
    found: dict[str, Any] = msgspec.to_builtins(converted_file.without_halves(), builtin_types=(bytes,))
    return found


def _converter(media_type: str, name: str) -> Callable[[bytes, str], ConvertedFile]:
    """Import the converter of a media type, built-in or from a plugin. Raises NotInstalled if a package is missing."""
    if media_type.startswith(PLUGIN_TYPE):
        return _plugin_converter(media_type.removeprefix(PLUGIN_TYPE)).convert
    module, needed = _CONVERTERS[media_type]
    if not all(map(_is_installed, needed)):
        raise NotInstalled("what converts it is not installed", where=name, todo=f"run: {EXTRA_TODO}")
    converter, image = _decoder(module), _decoder("image.decoder")

    def probe_size(picture: bytes) -> MediaProbeResult:
        found: MediaProbeResult = image.probe(picture, sniff(picture, "")[1])
        return found

    return lambda data, name: converter.convert(data, name, probe_size)


def load_plugin(ending: str) -> bool:
    """Import the plugin that converts files with this ending, to check it. Raises NotInstalled if that fails."""
    _plugin_converter(ending)
    return True


def _plugin_converter(ending: str) -> plugin_converter.PluginConverter:
    with sandbox.allow_files():
        return plugin_converter.load_converter(ending)


def fences() -> dict[str, bool]:
    """Return for each limit whether it holds, by trying to break it.

    The attempts are those of a library, and then those of a compromised process.
    """
    return sandbox.probe_limits()


def ready() -> bool:
    """Return True. Called to start the process ahead of its first job."""
    return True


def main() -> None:
    plugin_converters()  # found while files can still be opened
    gauge = sandbox.apply_limits()
    worker_process.serve(
        {
            "probe": probe,
            "pcm": pcm,
            "channel_pcm": channel_pcm,
            "page_text": page_text,
            "page_images": page_images,
            "picture": picture,
            "mask": mask,
            "codes": codes,
            "frames": frames,
            "subtitles": subtitles,
            "convert": convert,
            "load_plugin": load_plugin,
            "ready": ready,
            "fences": fences,
        },
        before=sandbox.forbid_files,
        gauge=gauge,
        receiving=sandbox.allow_files,
        decodes=True,
    )


if __name__ == "__main__":
    main()
