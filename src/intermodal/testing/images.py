"""Images that the fake hosts generate: a PNG of one colour, which follows from the prompt, of the requested size."""

from __future__ import annotations

import hashlib
import re
import struct
import zlib

LARGEST = 64  # pixels of a side: the pictures are not meant to be seen
TOKENS = 272  # that a picture takes


def png(words: str, size: str = "", number: int = 0) -> bytes:
    """Return a picture ("1024x1024" is drawn 64 pixels wide, a fake's licence). ``number``: of several, each its own
    colour.

    Layout: ISO/IEC 15948 (PNG), chunks IHDR, IDAT and IEND.
    """
    found = re.fullmatch(r"(\d+)x(\d+)", size)
    width, height = (min(int(side), LARGEST) for side in (found.groups() if found else (LARGEST, LARGEST)))
    colour = hashlib.sha256(f"{words}{number}".encode()).digest()[:3]
    rows = (b"\0" + colour * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
