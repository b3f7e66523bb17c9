"""The smallest valid media that a probe sends: a PNG, a second of WAV and a one-page PDF, generated here."""

from __future__ import annotations

import math
import struct
import zlib

SIDE = 64  # pixels
SECONDS = 1.0
RATE = 16_000


def sample_png() -> bytes:
    """A PNG of 64 by 64 pixels: a red square on white."""
    inner = range(SIDE // 4, SIDE * 3 // 4)
    rows = b"".join(
        b"\0" + b"".join(b"\xd0\x20\x20" if x in inner and y in inner else b"\xff\xff\xff" for x in range(SIDE))
        for y in range(SIDE)
    )
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def sample_wav() -> bytes:
    """A WAV of one second, 16 kHz, mono: a quiet tone of 440 Hz."""
    count = int(RATE * SECONDS)
    samples = b"".join(
        struct.pack("<h", round(6000 * math.sin(2 * math.pi * 440 * number / RATE))) for number in range(count)
    )
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    data = struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI4s", b"RIFF", 4 + len(form) + len(data), b"WAVE") + form + data


def sample_pdf() -> bytes:
    """A PDF of one page with three words on it."""
    text = b"BT /F1 24 Tf 30 100 Td (One small page) Tj ET"
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 240 160] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    body, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return body + end % (len(objects) + 1, table, len(objects) + 1, len(body))
