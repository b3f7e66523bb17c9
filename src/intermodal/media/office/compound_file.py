"""Reads compound files (MS-CFB) of Office 97 to 2003: their streams, and the images in their drawings (MS-ODRAW)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from io import BytesIO

import olefile

from intermodal.errors import InputBroken
from intermodal.media.office.conversion_types import MAX_PACKED

_TODO = "open it and save it again in the newer format"
_PICTURE = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff")
_BLIPS = (0xF01D, 0xF01E, 0xF02A)  # OfficeArtBlipJPEG, PNG, JPEG in CMYK
_MAX_BLIPS = 1_000


class CompoundFile:
    """A compound file. Raises InputBroken if ``data`` is something else."""

    def __init__(self, data: bytes) -> None:
        try:
            self._file = olefile.OleFileIO(BytesIO(data))
        except Exception:
            raise InputBroken("is damaged: its list of contents cannot be read", todo=_TODO) from None

    def read_stream(self, name: str) -> bytes:
        """Return the bytes of a stream, b"" if there is none."""
        try:
            if not self._file.exists(name):
                return b""
            with self._file.openstream(name) as stream:
                content: bytes = stream.read(MAX_PACKED)
        except Exception:
            raise InputBroken("is damaged: a part of it cannot be read", todo=_TODO) from None
        return content

    def embedded_images(self, *names: str) -> Iterator[bytes]:
        """Yield the JPEG and PNG images of drawings, in their order in the streams."""
        picture_count = 0
        for name in names:
            stream = self.read_stream(name)
            for found in _PICTURE.finditer(stream):
                for before in (25, 41):  # a header of 8 bytes, one or two identifiers of 16, a tag of 1
                    head = found.start() - before
                    if head < 0:
                        continue
                    kind, size = struct.unpack_from("<HI", stream, head + 2)
                    if kind in _BLIPS and before - 8 < size <= len(stream) - head - 8:
                        yield stream[found.start() : head + 8 + size]
                        picture_count += 1
                        break
                if picture_count >= _MAX_BLIPS:
                    return
