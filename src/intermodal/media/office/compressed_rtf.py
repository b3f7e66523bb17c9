"""Decompresses the RTF of Outlook messages (MS-OXRTFCP). Pure."""

from __future__ import annotations

import struct

MAX_SIZE = 16 << 20  # bytes of RTF
_COMPRESSED, _STORED = b"LZFu", b"MELA"
_WINDOW = 4_096  # bytes of the dictionary
_BEGINNING = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor "
    b"MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20"
    b"\\b\\i\\u\\tab\\tx"
)


def decompress(data: bytes) -> bytes:
    """Return the RTF, as far as it goes. Raises ValueError if ``data`` is something else, or too large."""
    if len(data) < 16:
        raise ValueError("no header")
    size, kind = struct.unpack_from("<I", data, 4)[0], data[8:12]
    if size > MAX_SIZE or kind not in (_COMPRESSED, _STORED):
        raise ValueError("not compressed RTF")
    if kind == _STORED:
        return data[16 : 16 + size]
    window = bytearray(_BEGINNING.ljust(_WINDOW, b"\0"))
    output = bytearray()
    write, position = len(_BEGINNING), 16
    while position < len(data) and len(output) < size:
        flags = data[position]
        position += 1
        for bit in range(8):
            if flags >> bit & 1:
                if position + 2 > len(data):
                    return bytes(output)
                reference = data[position] << 8 | data[position + 1]
                position += 2
                read, length = reference >> 4, (reference & 0xF) + 2
                if read == write:  # the end
                    return bytes(output)
            elif position < len(data):
                read, length = -1, 1
                position += 1
            else:
                return bytes(output)
            for step in range(length):
                letter = data[position - 1] if read < 0 else window[(read + step) % _WINDOW]
                output.append(letter)
                window[write] = letter
                write = (write + 1) % _WINDOW
    return bytes(output[:size])
