"""Checks the header of a video before FFmpeg reads it: tracks, size, and whether the file is complete.

Pure Python over bytes, bounded. Rejected at the cost of a few kilobytes are: frames too large to be decoded, truncated
files, and files whose media lies in another file.

Sources: ISO base media (ISO/IEC 14496-12, 4.2 boxes, 8.3.2 tkhd, 8.5.2 stsd, 8.7.2 dref), QuickTime File Format
Specification (Apple, 2001), Matroska (RFC 9559, 5.1), EBML (RFC 8794, 4 to 6), AVI RIFF File Reference (Microsoft).
"""

from __future__ import annotations

from collections.abc import Iterator

from intermodal.errors import InputBroken, InputTooLarge, InputUnsupported
from intermodal.files.file_bytes import Data
from intermodal.media.header_readers import named_boxes
from intermodal.media.media_limits import MAX_PIXELS

_CUT_TODO = "fetch it again, or repair it: ffmpeg -i FILE -c copy repaired.mkv"
_MAX_BOXES = 1_000_000  # at the top level of a file; fragmented files have about two per second
_MAX_ELEMENTS = 4_096
# EBML identifiers of the elements that are read.
_SEGMENT, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_WIDTH, _HEIGHT, _CLUSTER = 0xB0, 0xBA, 0x1F43B675


def check_video_header(data: Data, media_type: str) -> None:
    """Raise the matching InputError if the header of a video is not acceptable."""
    if media_type in ("video/webm", "video/x-matroska", "audio/webm", "audio/x-matroska"):
        _check_matroska(data)
    elif media_type in ("video/x-msvideo", "audio/x-msvideo"):
        _check_avi(data)
    else:
        _check_mp4(data)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise InputTooLarge(
            f"has frames of {width:,} x {height:,} pixels, more than {MAX_PIXELS // 1_000_000} million",
            todo="shrink it first: ffmpeg -i FILE -vf scale=1280:-2 smaller.mp4",
        )


def _truncated_error(promised: int, actual: int) -> InputBroken:
    return InputBroken(f"is cut short: its header promises {promised:,} bytes and {actual:,} are there", todo=_CUT_TODO)


# ---- MP4 and QuickTime ---------------------------------------------------------------------------


def is_fragmented(data: Data) -> bool:
    """Return True if an MP4 describes its frames in fragments, so that its header does not state the length."""
    movies = named_boxes(data, 0, len(data), b"moov")
    return any(True for movie in movies for _ in named_boxes(data, *movie, b"mvex"))


def _check_mp4(data: Data) -> None:
    offset = 0
    for _ in range(_MAX_BOXES):
        if offset + 8 > len(data):
            break
        size = int.from_bytes(data[offset : offset + 4], "big")
        if size == 1:
            size = int.from_bytes(data[offset + 8 : offset + 16], "big")
        if size < 8:
            break  # 0: up to the end of the file
        if offset + size > len(data):
            raise _truncated_error(offset + size, len(data))
        offset += size
    for movie in named_boxes(data, 0, len(data), b"moov"):
        for track in named_boxes(data, *movie, b"trak"):
            for start, end in named_boxes(data, *track, b"tkhd"):
                if end - start >= 8:  # the last two fields, in 1/65536 of a pixel
                    _check_size(_u32(data, end - 8) >> 16, _u32(data, end - 4) >> 16)
            for media in named_boxes(data, *track, b"mdia"):
                for information in named_boxes(data, *media, b"minf"):
                    _check_references(data, information)
                    _check_sample_sizes(data, media, information)


def _check_references(data: Data, information: tuple[int, int]) -> None:
    """Raise InputUnsupported if media lies in another file, by flag 1 of each entry of the reference table."""
    for reference in named_boxes(data, *information, b"dinf"):
        for start, end in named_boxes(data, *reference, b"dref"):
            offset = start + 8
            while offset + 12 <= end:
                if not data[offset + 11] & 1 and data[offset + 4 : offset + 8] in (b"url ", b"urn ", b"alis", b"rsrc"):
                    raise InputUnsupported(
                        "refers to media in another file, which is not followed", todo="export it as one whole film"
                    )
                offset += max(12, _u32(data, offset))


def _check_sample_sizes(data: Data, media: tuple[int, int], information: tuple[int, int]) -> None:
    handlers = [data[start + 8 : start + 12] for start, _ in named_boxes(data, *media, b"hdlr")]
    if b"vide" not in handlers:
        return
    for table in named_boxes(data, *information, b"stbl"):
        for start, end in named_boxes(data, *table, b"stsd"):
            offset = start + 8
            while offset + 36 <= end:
                _check_size(_u16(data, offset + 32), _u16(data, offset + 34))
                offset += max(36, _u32(data, offset))


def _u16(data: Data, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 2], "big")


def _u32(data: Data, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], "big")


# ---- AVI -----------------------------------------------------------------------------------------


def _check_avi(data: Data) -> None:
    """Check the sizes in the main header and in the format of each track. FFmpeg checks the rest."""
    headers = next(_lists(data, 12, len(data), b"hdrl"), None)
    if headers is None:
        raise InputBroken("is cut short before its tracks begin", todo=_CUT_TODO)
    for kind, start, end in _chunks(data, *headers):
        if kind == b"avih" and end - start >= 40:
            _check_size(_little(data, start + 32), _little(data, start + 36))
    for track in _lists(data, *headers, b"strl"):
        for kind, start, end in _chunks(data, *track):
            if kind == b"strf" and end - start >= 40:  # a negative height means rows from top to bottom
                _check_size(_little(data, start + 4), abs(_little(data, start + 8, signed=True)))


def _lists(data: Data, offset: int, end: int, name: bytes) -> Iterator[tuple[int, int]]:
    for kind, start, stop in _chunks(data, offset, end):
        if kind == b"LIST" and data[start : start + 4] == name:
            yield start + 4, stop


def _chunks(data: Data, offset: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (name, start, end) of the content of each RIFF chunk between ``offset`` and ``end``."""
    for _ in range(_MAX_ELEMENTS):
        if offset + 8 > min(end, len(data)):
            return
        stop = offset + 8 + _little(data, offset + 4)
        yield data[offset : offset + 4], offset + 8, min(stop, end)
        offset = stop + stop % 2


def _little(data: Data, offset: int, *, signed: bool = False) -> int:
    return int.from_bytes(data[offset : offset + 4], "little", signed=signed)


# ---- Matroska and WebM ---------------------------------------------------------------------------


def _check_matroska(data: Data) -> None:
    found = False
    for name, start, end, open_ended in _elements(data, 0, len(data)):
        if name != _SEGMENT:
            continue
        found = True
        if end > len(data) and not open_ended:
            raise _truncated_error(end, len(data))
        for inner, first, last, _ in _elements(data, start, min(end, len(data))):
            if inner == _CLUSTER:
                break  # the tracks precede their content
            if inner == _TRACKS:
                _check_tracks(data, first, min(last, len(data)))
    if not found:
        raise InputBroken("is cut short before its tracks begin", todo=_CUT_TODO)


def _check_tracks(data: Data, start: int, end: int) -> None:
    for name, first, last, _ in _elements(data, start, end):
        if name != _TRACK:
            continue
        for inner, video, video_end, _ in _elements(data, first, min(last, end)):
            if inner != _VIDEO:
                continue
            sizes = {
                field: int.from_bytes(data[body_start : min(stop, body_start + 8)], "big")
                for field, body_start, stop, _ in _elements(data, video, min(video_end, end))
                if field in (_WIDTH, _HEIGHT)
            }
            _check_size(sizes.get(_WIDTH, 0), sizes.get(_HEIGHT, 0))


def _elements(data: Data, offset: int, end: int) -> Iterator[tuple[int, int, int, bool]]:
    """Yield (identifier, start, end, True if of unknown length) of each element between ``offset`` and ``end``."""
    for _ in range(_MAX_ELEMENTS):
        if offset >= end:
            return
        wide = 9 - data[offset].bit_length()  # bytes of the identifier, by the position of its first set bit
        if wide > 4 or offset + wide >= end:
            return
        name = int.from_bytes(data[offset : offset + wide], "big")
        offset += wide
        long = 9 - data[offset].bit_length()
        if long > 8 or offset + long > end:
            return
        size = int.from_bytes(data[offset : offset + long], "big") & ((1 << 7 * long) - 1)
        open_ended = size == (1 << 7 * long) - 1
        offset += long
        stop = end if open_ended else offset + size
        yield name, offset, stop, open_ended
        offset = stop
