"""The chunks of a PNG and the segments of a JPEG, up to the pixels: where each begins, and how long it claims to be.

Sources: PNG (W3C Recommendation, third edition, 5.3), JPEG (ITU-T T.81, B.1.1).
"""

from __future__ import annotations

from collections.abc import Iterator

PNG = b"\x89PNG\r\n\x1a\n"
_NO_FRAMES = frozenset({0xC4, 0xC8, 0xCC})  # tables and extensions among the markers of frames


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and length of each chunk whose beginning is in ``data``."""
    offset = len(PNG)
    while offset + 12 <= len(data):
        size, kind = int.from_bytes(data[offset : offset + 4], "big"), data[offset + 4 : offset + 8]
        yield kind, offset + 8, size
        offset += 12 + size


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and length of each segment before the first scan; the length counts its own two bytes.

    Raises ValueError if the data ends before a scan, or something else stands where a marker should.
    """
    offset = 2
    while True:
        if data[offset : offset + 1] != b"\xff":
            raise ValueError("no marker")
        while data[offset : offset + 1] == b"\xff":
            offset += 1
        marker = data[offset] if offset < len(data) else 0xFF
        offset += 1
        if marker in (0xD8, 0x01) or 0xD0 <= marker <= 0xD7:
            continue
        if marker in (0xDA, 0xD9):  # start of scan, end of image
            return
        if offset + 2 > len(data):
            raise ValueError("cut short")
        length = int.from_bytes(data[offset : offset + 2], "big")
        yield marker, offset, length
        offset += max(2, length)


def is_frame(marker: int) -> bool:
    """Return True if a segment of a JPEG holds the size of its image."""
    return 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES
