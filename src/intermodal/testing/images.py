"""Images that the fake hosts generate: a PNG of one colour, which depends on the prompt."""

from __future__ import annotations

import hashlib
import re
import struct
import zlib

LARGEST = 64  # the longest side in pixels: nobody looks at the images
TOKENS = 272  # tokens that an image counts as


def png(words: str, size: str = "", number: int = 0) -> bytes:
    """Return an image of one colour, with sides of at most 64 pixels even if more are requested.

    ``number`` distinguishes several images of one request: each gets a colour of its own.

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
