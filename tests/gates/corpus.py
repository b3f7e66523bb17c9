"""Media made to do harm, and media cut short: made from parameters when a test runs, never stored.

Every function returns bytes that look like what they are named for, small on disk and large when
believed. Layouts: see the sources named in ``intermodal/media/header_readers.py``; Ogg is RFC 3533, Opus RFC 6716.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

# ---- images ------------------------------------------------------------------------------------


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _zeros_deflated(size: int) -> bytes:
    machine = zlib.compressobj(9)
    block, made = bytes(1 << 20), []
    for start in range(0, size, len(block)):
        made.append(machine.compress(block[: min(len(block), size - start)]))
    return b"".join([*made, machine.flush()])


def png(
    width: int, height: int, *, bits: int = 1, extra: Iterable[tuple[bytes, bytes]] = (), honest: bool = True
) -> bytes:
    """A black grey-scale PNG; ``honest`` fills in all its rows, otherwise the data stops after one."""
    rows = height if honest else 1
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    body = b"".join(_chunk(kind, data) for kind, data in extra)
    data = _zeros_deflated(rows * (1 + (width * bits + 7) // 8))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + body + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def apng(frames: int) -> bytes:
    """A 1 x 1 animation."""
    control = struct.pack(">IIIIIHHBB", 0, 1, 1, 0, 0, 1, 100, 0, 0)
    dot = zlib.compress(b"\0\0")
    extra = [(b"acTL", struct.pack(">II", frames, 0)), (b"fcTL", control)]
    first = png(1, 1, bits=8, extra=extra)
    following = []
    for number in range(1, frames):
        following.append(_chunk(b"fcTL", struct.pack(">I", 2 * number - 1) + control[4:]))
        following.append(_chunk(b"fdAT", struct.pack(">I", 2 * number) + dot))
    end = _chunk(b"IEND", b"")
    return first[: -len(end)] + b"".join(following) + end


def png_with_profile(size: int, *, kind: bytes = b"iCCP") -> bytes:
    """A tiny image whose colour profile or comment unpacks to ``size`` bytes."""
    head = b"x\0\1\0\0\0" if kind == b"iTXt" else b"x\0\0"
    return png(8, 8, bits=8, extra=[(kind, head + _zeros_deflated(size))])


def gif(frames: int, *, width: int = 1, height: int = 1, frame: tuple[int, int] = (1, 1)) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    one = b"\x21\xf9\x04\0\1\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x44\x01\x00"
    return head + one * frames + b"\x3b"


def jpeg_header(width: int, height: int) -> bytes:
    """Start of image, one frame header, a start of scan, and nothing to scan."""
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    scan = b"\x01\x01\x00\x00\x3f\x00"
    return (
        b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame
        + b"\xff\xda" + struct.pack(">H", len(scan) + 2) + scan + b"\0\0\xff\xd9"
    )  # fmt: skip


def webp_header(width: int, height: int, *, frames: int = 0) -> bytes:
    """An extended WebP of that canvas whose animation frames hold nothing."""

    def size24(value: int) -> bytes:
        return struct.pack("<I", value - 1)[:3]

    canvas = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size24(width) + size24(height)
    frame = b"ANMF" + struct.pack("<I", 16) + bytes(16)
    body = b"WEBP" + canvas + frame * frames
    return b"RIFF" + struct.pack("<I", len(body)) + body


# ---- documents -----------------------------------------------------------------------------------


def pdf(objects: list[bytes], *, trailer: bytes = b"") -> bytes:
    """A PDF of numbered objects; the first is the catalogue. The cross-reference table is right."""
    out, at = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, 1):
        at.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in at)
    out += b"trailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, trailer, start)
    return bytes(out)


CATALOGUE = b"<</Type/Catalog/Pages 2 0 R>>"


def pdf_giant_page(side: int = 14_400, *, unit: float = 1.0) -> bytes:
    more = b"" if unit == 1.0 else b"/UserUnit %d" % unit
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]%s>>" % (side, side, more)
    return pdf([CATALOGUE, b"<</Type/Pages/Kids[3 0 R]/Count 1>>", page])


def pdf_many_pages(count: int, content: bytes = b"") -> bytes:
    """Blank pages, or pages that all draw ``content``."""
    kids = b" ".join(b"%d 0 R" % number for number in range(3, count + 3))
    drawn = [b"<</Length %d>>stream\n" % len(content) + content + b"\nendstream"] if content else []
    contents = b"/Contents %d 0 R" % (count + 3) if content else b""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Resources<<>>%s>>" % contents
    return pdf([CATALOGUE, b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, count), *[page] * count, *drawn])


def pdf_with_content(content: bytes, *, filters: bytes = b"", page: bytes = b"") -> bytes:
    stream = b"<</Length %d%s>>stream\n" % (len(content), filters) + content + b"\nendstream"
    body = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R%s>>" % page
    return pdf([CATALOGUE, b"<</Type/Pages/Kids[3 0 R]/Count 1>>", body, stream])


def pdf_with_words(stroke: bytes, count: int, *, in_form: bool = False) -> bytes:
    """A page with a sentence and ``count`` strokes, each with four numbers of its own; in a form drawn on it."""
    font = b"/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>%s>>"
    strokes = b"".join(stroke % (at % 99, at * 7 % 97, at * 31 % 99, at * 13 % 89) for at in range(count))
    words = b" S BT/F 9 Tf(words beside many strokes)Tj ET"
    if not in_form:
        return pdf_with_content(strokes + words, page=font % b"")
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R%s>>" % (font % b"/XObject<</X 5 0 R>>")
    form = b"<</Type/XObject/Subtype/Form/BBox[0 0 99 99]/Length %d>>stream\n%s\nendstream" % (len(strokes), strokes)
    drawn = b"<</Length %d>>stream\n/X Do%s\nendstream" % (len(words) + 5, words)
    return pdf([CATALOGUE, b"<</Type/Pages/Kids[3 0 R]/Count 1>>", page, drawn, form])


def pdf_double_deflated(size: int) -> bytes:
    """Page content of ``size`` blanks, deflated twice: 50 MB become a few hundred bytes."""
    machine, blanks, made = zlib.compressobj(9), b" " * (1 << 20), []
    for _ in range(size >> 20):
        made.append(machine.compress(blanks))
    once = b"".join([*made, machine.flush()])
    return pdf_with_content(zlib.compress(once, 9), filters=b"/Filter[/FlateDecode/FlateDecode]")


def pdf_xref_loop() -> bytes:
    """A trailer whose previous table is itself."""
    whole = pdf_giant_page(99)
    start = whole.rindex(b"xref\n0")
    return whole.replace(b"/Root 1 0 R>>", b"/Root 1 0 R/Prev %d>>" % start)


def pdf_cyclic_tree() -> bytes:
    """A page tree that contains itself and promises a million pages."""
    return pdf(
        [
            CATALOGUE,
            b"<</Type/Pages/Kids[2 0 R 3 0 R]/Count 1000000>>",
            b"<</Type/Pages/Parent 2 0 R/Kids[2 0 R]/Count 9>>",
        ]
    )


def pdf_with_actions(url: str, path: str) -> bytes:
    """JavaScript, a launch action, a URI action and an embedded file, all to be run when the page opens."""
    catalogue = (
        b"<</Type/Catalog/Pages 2 0 R/OpenAction 5 0 R/AA<</WC 4 0 R>>"
        b"/Names<</EmbeddedFiles<</Names[(a) 6 0 R]>>/JavaScript<</Names[(j) 4 0 R]>>>>>>"
    )
    script = b"<</S/JavaScript/JS(app.launchURL\\('%s'\\);this.submitForm\\('%s'\\);)>>" % (url.encode(), url.encode())
    launch = b"<</S/Launch/F(%s)/Next<</S/URI/URI(%s)>>>>" % (path.encode(), url.encode())
    embedded = b"<</Type/Filespec/FS/URL/F(%s)/EF<</F 7 0 R>>>>" % url.encode()
    file = b"<</Type/EmbeddedFile/Length 0/F(%s)>>stream\n\nendstream" % path.encode()
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/AA<</O 5 0 R>>>>"
    return pdf([catalogue, b"<</Type/Pages/Kids[3 0 R]/Count 1>>", page, script, launch, embedded, file])


def pdf_of_text(pages: list[str], *, password: str = "") -> bytes:
    """A4 pages with one line of text each; locked when there is a password."""
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(595, 842), encrypt=StandardEncryption(password) if password else None, invariant=1)
    for words in pages:
        canvas.drawString(72, 700, words)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


# ---- sound ---------------------------------------------------------------------------------------


def wav(
    seconds: float, *, rate: int = 8000, channels: int = 1, claimed_rate: int = 0, claimed_bytes: int | None = None
) -> bytes:
    """Silence; the header tells the truth unless asked to claim something else."""
    data = bytes(int(seconds * rate) * channels * 2)
    told = claimed_rate or rate
    size = len(data) if claimed_bytes is None else claimed_bytes
    form = struct.pack("<HHIIHH", 1, channels, told, told * channels * 2 & 0xFFFFFFFF, channels * 2, 16)
    return (
        b"RIFF" + struct.pack("<I", min(36 + size, 0xFFFFFFFF)) + b"WAVEfmt " + struct.pack("<I", 16) + form
        + b"data" + struct.pack("<I", size) + data
    )  # fmt: skip


_CRC: list[int] = []
for _byte in range(256):
    _value = _byte << 24
    for _ in range(8):
        _value = (_value << 1 ^ 0x04C11DB7 if _value & 0x80000000 else _value << 1) & 0xFFFFFFFF
    _CRC.append(_value)


def _ogg_page(packets: list[bytes], granule: int, number: int, flags: int = 0) -> bytes:
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    page = bytearray(
        b"OggS\0" + bytes([flags]) + struct.pack("<qIII", granule, 1, number, 0) + bytes([len(lacing)]) + lacing
    )
    page += b"".join(packets)
    crc = 0
    for byte in page:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _CRC[crc >> 24 ^ byte]
    page[22:26] = struct.pack("<I", crc)
    return bytes(page)


def opus(seconds: float, *, claimed_seconds: float | None = None) -> bytes:
    """Silence in packets of 120 ms and two bytes each: hours of it in a megabyte.

    ``claimed_seconds`` is what the page positions say, as a forger would write them.
    """
    head = b"OpusHead\1\1" + struct.pack("<HIhB", 312, 48000, 0, 0)
    tags = b"OpusTags" + struct.pack("<I", 0) + struct.pack("<I", 0)
    pages = [_ogg_page([head], 0, 0, 2), _ogg_page([tags], 0, 1)]
    packets, per_page = int(seconds / 0.12), 250
    factor = 1.0 if claimed_seconds is None else claimed_seconds / seconds
    for start in range(0, packets, per_page):
        count = min(per_page, packets - start)
        granule = int((start + count) * 5760 * factor)
        last = 4 if start + count >= packets else 0
        pages.append(_ogg_page([b"\xfb\x06"] * count, granule, start // per_page + 2, last))
    return b"".join(pages)


def flac_claiming(data: bytes, *, rate: int, channels: int) -> bytes:
    """A FLAC whose stream information claims another rate and number of channels (up to 8)."""
    at = data.index(b"fLaC") + 8 + 10
    bits = int.from_bytes(data[at : at + 8], "big")
    bits &= ~((0xFFFFF << 44) | (7 << 41))
    bits |= (rate & 0xFFFFF) << 44 | (channels - 1) << 41
    return data[:at] + bits.to_bytes(8, "big") + data[at + 8 :]


def encode(source: Path, container: str, codec: str, *, rate: int = 0) -> bytes:
    """Real sound in another container, encoded with PyAV."""
    import av

    out = io.BytesIO()
    with av.open(str(source)) as reader, av.open(out, "w", format=container) as writer:
        before = reader.streams.audio[0]
        stream: Any = writer.add_stream(codec, rate=rate or before.rate)
        stream.layout = "mono"
        if stream.format is not None:
            stream.time_base = Fraction(1, stream.rate)
        resampler = av.AudioResampler(
            format=stream.format.name, layout="mono", rate=stream.rate, frame_size=stream.frame_size or 0
        )
        for frame in [*reader.decode(before), None]:
            for piece in resampler.resample(frame):
                writer.mux(stream.encode(piece))
        writer.mux(stream.encode(None))
    return out.getvalue()
