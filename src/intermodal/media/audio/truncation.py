"""Detects sound that ends before its own headers say. FFmpeg plays such a file to its end without an error.

Formats that promise no length pass: an MP3 without a Xing header, an Ogg that ends between two pages.
"""

from __future__ import annotations

from intermodal.errors import InputBroken
from intermodal.files.file_bytes import Data
from intermodal.media.container import TODO

_SLACK = 4_096  # bytes an MP3's header may promise too many: encoders differ in whether tags count
_MPEG1, _MONO = 3, 3  # codes of the version and of the channel mode in a frame's header (ISO/IEC 11172-3, 2.4.2.3)
_SIDE = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}  # bytes, by (MPEG-1, mono)
_XING_BYTES = 2  # the flag that says the field is there
_OGG_HEADER = 27  # bytes before the table of an Ogg page (RFC 3533, section 6)


def check_complete(data: Data, media_type: str) -> None:
    """Raises InputBroken when fewer bytes are there than a header says. Other media types than these two pass."""
    promised = {"audio/mpeg": _mp3, "audio/ogg": _ogg}.get(media_type, len)(data)
    if promised > len(data):
        raise InputBroken(
            f"is truncated: its headers promise {promised:,} bytes and {len(data):,} are there", todo=TODO
        )


def _mp3(data: Data) -> int:
    """Bytes of the whole file by its Xing or Info header, less what they may be wrong by; 0 without one.

    The header lies in the first frame, behind its side information: flags, then the number of frames and of bytes, each
    where its flag is set (Xing, VBR header SDK, 1998; LAME writes the same).
    """
    at = 0
    if data[:3] == b"ID3" and len(data) >= 10:
        a, b, c, d = data[6:10]  # seven bits each (ID3v2.4, 6.2)
        at = 10 + (a << 21 | b << 14 | c << 7 | d)
    frame = data[at : at + 4]
    if len(frame) < 4 or frame[0] != 0xFF:
        return 0
    place = at + 4 + _SIDE[(frame[1] >> 3 & 3 == _MPEG1, frame[3] >> 6 == _MONO)]
    if data[place : place + 4] not in (b"Xing", b"Info"):
        return 0
    flags = int.from_bytes(data[place + 4 : place + 8], "big")
    field = place + 8 + 4 * (flags & 1)
    held = int.from_bytes(data[field : field + 4], "big") if flags & _XING_BYTES else 0
    return max(0, at + held - _SLACK)


def _ogg(data: Data) -> int:
    """Bytes up to the end of the last page that begins in the file."""
    at = data.rfind(b"OggS\0")
    table = at + _OGG_HEADER
    if at < 0 or table > len(data):
        return table if at >= 0 else 0
    count = data[table - 1]
    return table + count + sum(data[table : table + count])
