"""Headers of TIFF, BMP and HEIF that promise more than anyone should decode, and animations of too much work."""

from __future__ import annotations

import struct

from tests.gates import corpus


def tiff(width: int, height: int, *, pages: int = 1, loop: bool = False) -> bytes:
    """Directories of one page after the other, with a width, a height and nothing to show."""
    out = bytearray(b"II*\0\x08\0\0\0")
    for page in range(pages):
        entries = struct.pack("<HHII", 256, 4, 1, width) + struct.pack("<HHII", 257, 4, 1, height)
        following = len(out) + 2 + len(entries) + 4
        if page == pages - 1:
            following = 8 if loop else 0
        out += struct.pack("<H", 2) + entries + struct.pack("<I", following)
    return bytes(out)


def bmp(width: int, height: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head


def heif(width: int, height: int, brand: bytes = b"heic") -> bytes:
    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body) + 8) + kind + body

    extent = box(b"ispe", struct.pack(">III", 0, width, height))
    return box(b"ftyp", brand + bytes(4) + brand) + box(b"meta", bytes(4) + box(b"iprp", box(b"ipco", extent)))


BOMBS = {
    "TIFF of 65535 x 65535": lambda: tiff(65_535, 65_535),
    "TIFF of 20,000 pages": lambda: tiff(1, 1, pages=20_000),
    "BMP of 65535 x 65535": lambda: bmp(65_535, 65_535),
    "BMP of 65535 x 65535, top down": lambda: bmp(65_535, -65_535),
    "HEIC of 65535 x 65535": lambda: heif(65_535, 65_535),
    "AVIF of 65535 x 65535": lambda: heif(65_535, 65_535, b"avif"),
    "GIF of 20,000 frames": lambda: corpus.gif(20_000),
}
