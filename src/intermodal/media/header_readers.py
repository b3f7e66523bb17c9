"""Bounded readers of media headers: the size of an image or the tracks of a file, before anything is decoded.

Pure Python over bytes, without libraries and with bounded decompression, so that a decompression bomb is rejected at
the cost of reading its header. Each reader raises ``InputBroken`` if the header is cut short or contradicts itself.

Sources: PNG (W3C Recommendation, third edition, chunk layout and acTL), JPEG (ITU-T T.81, B.1.1 and B.2.2), GIF89a
(CompuServe, 1990, 17-25), WebP container (RFC 9649, 2), TIFF (Adobe, revision 6.0, 2), BMP (Microsoft, BITMAPFILEHEADER
and BITMAPINFOHEADER), HEIF (ISO/IEC 23008-12, 6.5.3 ispe), ISO base media (ISO/IEC 14496-12, 4.2 boxes, 8.4.3 hdlr),
WAVE (RIFF, Microsoft and IBM 1991; EBU Tech 3306 for RF64).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from intermodal.core.content import Value
from intermodal.errors import InputBroken, InputTooLarge
from intermodal.files.file_bytes import Data
from intermodal.files.image_chunks import is_frame, jpeg_segments, png_chunks
from intermodal.media.media_limits import MAX_FRAMES

MAX_ANCILLARY_BYTES = 1 << 20  # a colour profile or comment of a PNG, decompressed
_FOUR = struct.Struct("<HHHH")
_CUT = "its header is cut short"


class ImageHeader(Value):
    """The facts in an image header: the largest width and height of canvas and frames, and the number of frames.

    ``seconds`` is the duration of an animation, 0 for a still image.
    """

    width: int
    height: int
    frames: int = 1
    seconds: float = 0.0


def frame_seconds(seconds: float) -> float:
    """Return how long a frame of an animation is shown: a tenth of a second if the file states 0, as in browsers."""
    return seconds if seconds > 0 else 0.1


def image_header(data: bytes, media_type: str) -> ImageHeader:
    """Return size and frames of an image. Counting stops one past ``MAX_FRAMES``."""
    try:
        found = _READERS[media_type](data)
    except (IndexError, ValueError, struct.error):
        raise InputBroken(_CUT, todo="check that the file is complete") from None
    if found.width < 1 or found.height < 1:
        raise InputBroken("its header says it has no pixels", todo="check that the file opens elsewhere")
    return found


def _u16(data: Data, offset: int) -> int:
    return _read_integer(data, offset, 2, "big")


def _u32(data: Data, offset: int) -> int:
    return _read_integer(data, offset, 4, "big")


def _read_integer(data: Data, offset: int, size: int, order: str) -> int:
    if offset < 0 or offset + size > len(data):
        raise ValueError("short")
    return int.from_bytes(data[offset : offset + size], "big" if order == "big" else "little")


def _png(data: bytes) -> ImageHeader:
    if data[12:16] != b"IHDR":
        raise ValueError("no IHDR")
    width, height, frames, seconds = _u32(data, 16), _u32(data, 20), 1, 0.0
    for kind, body, size in png_chunks(data):
        if (kind == b"IDAT" and frames == 1) or kind == b"IEND" or frames > MAX_FRAMES:
            break
        if kind == b"acTL":
            frames = max(1, _u32(data, body))
        elif kind == b"fcTL":
            seconds += frame_seconds(_u16(data, body + 20) / (_u16(data, body + 22) or 100))
        elif kind in (b"iCCP", b"zTXt", b"iTXt"):
            _check_inflates(memoryview(data)[body : body + min(size, len(data) - body)], kind)
    return ImageHeader(width=width, height=height, frames=frames, seconds=seconds if frames > 1 else 0.0)


def _check_inflates(body: memoryview, kind: bytes) -> None:
    """Raise InputTooLarge if a profile or comment decompresses to more than ``MAX_ANCILLARY_BYTES``."""
    raw = bytes(body[:200])
    start = raw.find(b"\0") + 2
    if kind == b"iTXt":
        if start < 2 or raw[start - 1 : start] != b"\x01":
            return  # not compressed
        for _ in range(2):  # language tag, translated keyword
            start = raw.find(b"\0", start if _ else start + 1) + 1
    try:
        unpacked = zlib.decompressobj().decompress(bytes(body[start:]), MAX_ANCILLARY_BYTES + 1)
    except zlib.error:
        return  # left to Pillow, which skips or rejects it
    if len(unpacked) > MAX_ANCILLARY_BYTES:
        raise InputTooLarge(
            "holds a colour profile or comment that unpacks to more than 1 MiB", todo="save it again without metadata"
        )


def _jpeg(data: bytes) -> ImageHeader:
    width = height = 0
    for marker, offset, _ in jpeg_segments(data):
        if is_frame(marker):
            height, width = max(height, _u16(data, offset + 3)), max(width, _u16(data, offset + 5))
    return ImageHeader(width=width, height=height)


def _gif(data: bytes) -> ImageHeader:
    width, height, frames = _read_integer(data, 6, 2, "little"), _read_integer(data, 8, 2, "little"), 0
    seconds = delay = 0.0
    offset = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    while offset < len(data) and frames <= MAX_FRAMES:
        block = data[offset]
        if block == 0x21:
            if data[offset + 1] == 0xF9:  # graphic control: how long the next frame stays, in hundredths
                delay = (data[offset + 4] | data[offset + 5] << 8) / 100
            offset += 2
        elif block == 0x2C:
            left, top, w, h = _FOUR.unpack_from(data, offset + 1)
            width, height, frames = max(width, left + w), max(height, top + h), frames + 1
            seconds, delay = seconds + frame_seconds(delay), 0.0
            flags = data[offset + 9]
            offset += 11 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
        else:
            break  # the trailer, or garbage after the last frame
        while offset < len(data) and data[offset]:
            offset += data[offset] + 1
        offset += 1
    return ImageHeader(width=width, height=height, frames=max(1, frames), seconds=seconds if frames > 1 else 0.0)


def _webp(data: bytes) -> ImageHeader:
    width = height = frames = 0
    seconds = 0.0
    offset = 12
    while offset + 8 <= len(data) and frames <= MAX_FRAMES:
        kind, size, body = data[offset : offset + 4], _read_integer(data, offset + 4, 4, "little"), offset + 8
        w = h = 0
        if kind == b"VP8X":
            w, h = _read_integer(data, body + 4, 3, "little") + 1, _read_integer(data, body + 7, 3, "little") + 1
        elif kind == b"VP8 ":
            w, h = (
                _read_integer(data, body + 6, 2, "little") & 0x3FFF,
                _read_integer(data, body + 8, 2, "little") & 0x3FFF,
            )
        elif kind == b"VP8L":
            bits = _read_integer(data, body + 1, 4, "little")
            w, h = (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
        elif kind == b"ANMF":
            frames += 1
            w, h = _read_integer(data, body + 6, 3, "little") + 1, _read_integer(data, body + 9, 3, "little") + 1
            seconds += frame_seconds(_read_integer(data, body + 12, 3, "little") / 1000)
        width, height = max(width, w), max(height, h)
        offset = body + size + (size & 1)
    return ImageHeader(width=width, height=height, frames=max(1, frames), seconds=seconds if frames > 1 else 0.0)


def _tiff(data: bytes) -> ImageHeader:
    """Return the largest width and height in a TIFF, and its number of pages."""
    width, height, pages = _directories(data)
    return ImageHeader(width=width, height=height, frames=max(1, len(pages)))


def tiff_pages(data: bytes) -> tuple[int, ...]:
    """Return the indices of the images in a TIFF that are pages, in order.

    Thumbnails and masks are not pages (NewSubfileType, bits 0 and 2; TIFF 6.0, page 36). If every image is marked as
    one of them, all are pages.
    """
    return _directories(data)[2]


def _directories(data: bytes) -> tuple[int, int, tuple[int, ...]]:
    """Return largest width, largest height and indices of pages. Counting ends at a directory that was seen before."""
    order = "little" if data[:2] == b"II" else "big"
    offset, width, height, seen = _read_integer(data, 4, 4, order), 0, 0, set[int]()
    pages: list[int] = []
    while offset and offset not in seen and len(seen) <= MAX_FRAMES:
        seen.add(offset)
        count, is_auxiliary = _read_integer(data, offset, 2, order), False
        for entry in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, form = _read_integer(data, entry, 2, order), _read_integer(data, entry + 2, 2, order)
            if tag == 254:  # NewSubfileType; a LONG
                is_auxiliary = bool(_read_integer(data, entry + 8, 4, order) & 0b101)
            if tag in (256, 257):  # ImageWidth, ImageLength; a SHORT or a LONG
                value = _read_integer(data, entry + 8, 2 if form == 3 else 4, order)
                width, height = (max(width, value), height) if tag == 256 else (width, max(height, value))
        if not is_auxiliary:
            pages.append(len(seen) - 1)
        offset = _read_integer(data, offset + 2 + 12 * count, 4, order)
    return width, height, tuple(pages or range(len(seen)))


def _bmp(data: bytes) -> ImageHeader:
    if _read_integer(data, 14, 4, "little") == 12:  # OS/2
        return ImageHeader(width=_read_integer(data, 18, 2, "little"), height=_read_integer(data, 20, 2, "little"))
    height = _read_integer(data, 22, 4, "little")
    return ImageHeader(
        width=_read_integer(data, 18, 4, "little"), height=min(height, 2**32 - height)
    )  # negative: top down


def _heif(data: bytes) -> ImageHeader:
    """Return the largest extent of any item of the file.

    This is the extent of the whole image; other items are tiles and previews.
    """
    width = height = 0
    for start, end in named_boxes(data, 0, len(data), b"meta"):
        for properties in named_boxes(data, start + 4, end, b"iprp"):
            for container in named_boxes(data, *properties, b"ipco"):
                for extent, _ in named_boxes(data, *container, b"ispe"):
                    width, height = max(width, _u32(data, extent + 4)), max(height, _u32(data, extent + 8))
    return ImageHeader(width=width, height=height)


_READERS = {
    "image/png": _png, "image/jpeg": _jpeg, "image/gif": _gif, "image/webp": _webp, "image/tiff": _tiff,
    "image/bmp": _bmp, "image/heic": _heif, "image/avif": _heif,
}  # fmt: skip


# ---- sound ---------------------------------------------------------------------------------------


class WaveHeader(Value):
    """A WAVE header with the bytes of audio that are present, and those that the header promises.

    ``claimed_bytes`` is None if the writer did not know the length (a pipe): 0, all ones, or a RIFF that was
    never closed.
    """

    rate: int
    channels: int
    frame_bytes: int
    present_bytes: int
    claimed_bytes: int | None

    @property
    def understates_length(self) -> bool:
        """True if there is audio beyond the end that the header states."""
        return self.claimed_bytes is not None and self.claimed_bytes < self.present_bytes


_CHUNKS_LOOKED_AT = 64


def wave_header(data: Data) -> WaveHeader:
    """Read a RIFF or RF64 WAVE header. Raises ``InputBroken`` without a data chunk."""
    offset, rate, channels, frame, large = 12, 0, 0, 0, None
    while offset + 8 <= len(data):
        kind, size, body = data[offset : offset + 4], _read_integer(data, offset + 4, 4, "little"), offset + 8
        if kind == b"fmt " and body + 16 <= len(data):
            channels, rate = _read_integer(data, body + 2, 2, "little"), _read_integer(data, body + 4, 4, "little")
            frame = _read_integer(data, body + 12, 2, "little")
        elif kind == b"ds64" and body + 16 <= len(data):
            large = _read_integer(data, body + 8, 8, "little")
        elif kind == b"data":
            present_bytes = len(data) - body
            claimed_bytes = large if size == 0xFFFFFFFF and large is not None else size
            if claimed_bytes == 0xFFFFFFFF or (
                claimed_bytes == 0 and present_bytes > 8 and not _are_chunks(data, body)
            ):
                return WaveHeader(
                    rate=rate, channels=channels, frame_bytes=frame, present_bytes=present_bytes, claimed_bytes=None
                )
            if claimed_bytes < present_bytes and _are_chunks(data, body + claimed_bytes):
                present_bytes = claimed_bytes
            return WaveHeader(
                rate=rate,
                channels=channels,
                frame_bytes=frame,
                present_bytes=present_bytes,
                claimed_bytes=claimed_bytes,
            )
        offset = body + size + (size & 1)
    raise InputBroken("is cut short before its sound begins", todo="check that the file is complete")


def _are_chunks(data: Data, offset: int) -> bool:
    """Return True if only chunks (tags, cue points) or padding follow at ``offset``, and no further audio."""
    for place in (offset, offset + 1):  # most writers pad a chunk of odd size
        for _ in range(_CHUNKS_LOOKED_AT):
            if place + 8 > len(data):
                return True
            if not all(0x20 <= byte < 0x7F for byte in data[place : place + 4]):
                break
            place += 8 + _read_integer(data, place + 4, 4, "little")
            place += place & 1
            if place > len(data) + 1:
                break
        else:
            return True
    return False


def tracks(data: Data) -> frozenset[str]:
    """Return the kinds of tracks ("vide", "soun", "text", …) of an MP4 or MOV file; empty if its index is missing."""
    found = set()
    for movie in named_boxes(data, 0, len(data), b"moov"):
        for track in named_boxes(data, *movie, b"trak"):
            for media in named_boxes(data, *track, b"mdia"):
                for handler, _ in named_boxes(data, *media, b"hdlr"):
                    found.add(data[handler + 8 : handler + 12].decode("latin-1"))
    return frozenset(found)


def named_boxes(data: Data, offset: int, end: int, box_type: bytes) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the body of each box of a type between ``offset`` and ``end``.

    At most 4,096 boxes are visited.
    """
    for _ in range(4096):
        if offset + 8 > end:
            return
        size, kind, head = int.from_bytes(data[offset : offset + 4], "big"), data[offset + 4 : offset + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[offset + 8 : offset + 16], "big"), 16
        elif size == 0:
            size = end - offset
        if size < head:
            return
        if kind == box_type:
            yield offset + head, min(offset + size, end)
        offset += size
