"""Reads the media type and size of an image from its first bytes, for images that are passed through unchanged.

Only the media worker decodes pixels, in its own process. This module reads a few numbers at known offsets and checks
each against the bytes; anything unusual (several frames, a rotation, a longer header, a truncated file) is left to the
worker. Layouts: PNG, W3C Recommendation 2003, sections 5.2, 11.2.2 and 11.2.5; JPEG, ITU-T T.81, annex B; Exif 2.32,
section 4.6.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import pybase64

from intermodal.files.image_chunks import PNG, is_frame, jpeg_segments, png_chunks

_ENDS = {"image/png": b"IEND\xaeB`\x82", "image/jpeg": b"\xff\xd9"}  # the last chunk with its checksum; EOI
_LAST = 16  # characters of base64, in whole groups of four, that hold an end mark
_LOOKED_AT = 64 << 10  # characters of base64 in which the size must be found
_SLICE = 1 << 18  # characters of base64 decoded at a time for the digest, in whole groups of four
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive: supported by every decoder
_ORIENTATION = 0x0112
_MOST = 1 << 16  # pixels per side


class ImageFacts(NamedTuple):
    """The properties of an image.

    ``width`` and ``height`` in pixels, as displayed. ``size`` in bytes. ``digest``: SHA-256 of the bytes. ``detail``:
    the level of detail that its client requested.
    """

    media_type: str
    width: int
    height: int
    size: int
    digest: bytes
    detail: str = "auto"


def image_in_data_url(url: bytes, media: Callable[[memoryview], memoryview] = lambda coded: coded) -> ImageFacts | None:
    """Return the properties of an image in a data URI; None if the media worker must examine it.

    ``media`` resolves placeholders of extracted base64 (``inline_media.py``). The base64 is decoded in slices for the
    digest, without making a string or a whole copy.
    """
    media_type, mark, _ = url[:31].partition(b";base64,")
    if not mark or not media_type.startswith(b"data:image/"):
        return None
    return image_in_base64(media(memoryview(url)[len(media_type) + len(mark) :]), media_type[5:])


def image_in_base64(coded: memoryview, media_type: bytes | None = None) -> ImageFacts | None:
    """Return the properties of an image in base64. ``media_type``: as stated separately, if it was."""
    if len(coded) % 4 or len(coded) < 64:
        return None
    try:
        found = _read_size(pybase64.b64decode(coded[:_LOOKED_AT], validate=True))
        if found is None or media_type not in (None, found[0].encode()):
            return None
        if not pybase64.b64decode(coded[-_LAST:], validate=True).endswith(_ENDS[found[0]]):
            return None  # truncated, or with trailing data: the worker examines it
        digest, size = hashlib.sha256(), 0
        for start in range(0, len(coded), _SLICE):
            piece = pybase64.b64decode(coded[start : start + _SLICE], validate=True)
            digest.update(piece)
            size += len(piece)
    except ValueError:  # the worker reports it later
        return None
    if size != len(coded) // 4 * 3 - (bytes(coded[-2:]).count(b"=")):
        return None  # padded in the middle
    return ImageFacts(*found, size, digest.digest())


def _read_size(data: bytes) -> tuple[str, int, int] | None:
    found = _png(data) if data.startswith(PNG) else _jpeg(data) if data.startswith(b"\xff\xd8\xff") else None
    return found if found is not None and 0 < found[1] < _MOST and 0 < found[2] < _MOST else None


def _png(data: bytes) -> tuple[str, int, int] | None:
    """Return type and size of a PNG, read up to its pixels: an animation (acTL) is declared before them."""
    wide = high = 0
    for kind, offset, length in png_chunks(data):
        if kind == b"IHDR" and length == 13 and offset == len(PNG) + 8:
            wide, high = (int.from_bytes(data[place : place + 4], "big") for place in (offset, offset + 4))
        elif kind in (b"acTL", b"eXIf"):
            return None
        elif kind == b"IDAT":
            return "image/png", wide, high
    return None


def _jpeg(data: bytes) -> tuple[str, int, int] | None:
    """Return type and size of a JPEG. Raises ValueError if its frame is not in ``data``."""
    for marker, offset, length in jpeg_segments(data):
        if is_frame(marker):
            high, wide = (int.from_bytes(data[place : place + 2], "big") for place in (offset + 3, offset + 5))
            return ("image/jpeg", wide, high) if marker in _FRAMES and offset + 7 <= len(data) else None
        exif = marker == 0xE1 and data[offset + 2 : offset + 8] == b"Exif\0\0"
        if length < 2 or (exif and not _is_upright(data[offset + 8 : offset + length])):
            return None
    return None


def _is_upright(exif: bytes) -> bool:
    """Return True if the EXIF data requests no rotation."""
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(exif[:4])
    if order is None:
        return False

    def number(place: int, size: int) -> int:
        return int.from_bytes(exif[place : place + size], order)  # type: ignore[arg-type]

    start = number(4, 4)
    for entry in range(min(number(start, 2), 64)):
        place = start + 2 + 12 * entry
        if number(place, 2) == _ORIENTATION:
            return number(place + 8, 2) in (0, 1)
    return start + 2 <= len(exif)
