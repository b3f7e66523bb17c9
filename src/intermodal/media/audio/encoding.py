"""Encodes audio that a model or a host produced, as PCM, WAV or MP3. User files are never handled here.

PCM is always signed 16-bit, little-endian, mono.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from intermodal.core.hints import hint
from intermodal.errors import NotInstalled

if TYPE_CHECKING:
    import av

_HEADER = 36  # bytes of a plain WAV file before its samples, without the eight of the outer RIFF header
_MP3_RATES = (44_100, 48_000, 32_000, 22_050, 24_000, 16_000, 11_025, 12_000, 8_000)  # MPEG-1, 2 and 2.5
_MPEG1 = 32_000  # Hz; from here on a frame has 1,152 samples, below it 576 (ISO/IEC 11172-3 and 13818-3)
_MP3_BITS = 64_000  # bits per second: transparent for one voice


def wav(pcm: bytes, rate: int) -> bytes:
    """Return PCM as a WAV file. ``rate``: in Hz.

    Layout: Microsoft and IBM, Multimedia Programming Interface and Data Specifications 1.0, 1991, chapter 3.
    """
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    size = struct.pack("<4sI", b"data", len(pcm))
    return b"RIFF" + struct.pack("<I", _HEADER + len(pcm)) + b"WAVE" + form + size + pcm


def samples(data: bytes) -> tuple[bytes, int]:
    """Return PCM and sample rate of a WAV file of 16-bit mono samples.

    A server that streams a WAV file writes its header before it knows the length. A size that is too large therefore
    means "to the end of the file". Raises ValueError if the file is not 16-bit mono WAV.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError("not a WAV file")
    place, rate = 12, 0
    while place + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        place += 8
        if name == b"fmt " and place + 16 <= len(data):
            _, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, place)
            if (channels, bits) != (1, 16):
                raise ValueError(f"{channels} channels of {bits} bits")
        elif name == b"data" and rate:
            end = min(place + size, len(data))
            return data[place : place + (end - place) // 2 * 2], rate
        place += size + size % 2
    raise ValueError("no samples in it")


def resample(pcm: bytes, rate: int, target_rate: int) -> bytes:
    """Return PCM resampled from ``rate`` to ``target_rate``, both in Hz."""
    if rate == target_rate or not pcm:
        return pcm
    import av

    resampler = av.AudioResampler("s16", "mono", target_rate)
    pieces = [out for piece in (_frame(pcm, rate), None) for out in resampler.resample(piece)]
    return b"".join(bytes(piece.planes[0])[: 2 * piece.samples] for piece in pieces)


def _frame(pcm: bytes, rate: int) -> av.AudioFrame:
    import av

    frame = av.AudioFrame("s16", "mono", max(1, len(pcm) // 2))
    frame.sample_rate = rate
    frame.planes[0].update(pcm.ljust(frame.planes[0].buffer_size, b"\0"))
    return frame


def mp3(pcm: bytes, rate: int) -> bytes:
    """Return PCM as an MP3 file. Raises NotInstalled if this PyAV was built without LAME."""
    import av
    import av.codec

    try:
        encoder = av.codec.CodecContext.create("libmp3lame", "w")
    except Exception:  # PyAV has renamed its exception for an unknown codec before
        raise NotInstalled("this PyAV cannot write MP3", todo=hint("ask for {format=}", "wav")) from None
    assert isinstance(encoder, av.AudioCodecContext)
    target = min((supported_rate for supported_rate in _MP3_RATES if supported_rate >= rate), default=48_000)
    encoder.sample_rate, encoder.layout, encoder.format = target, "mono", "s16p"
    encoder.bit_rate = _MP3_BITS
    resampler = av.AudioResampler("s16p", "mono", target, frame_size=1152 if target >= _MPEG1 else 576)
    packets = [
        packet
        for piece in (_frame(pcm, rate), None)
        for out in resampler.resample(piece)
        for packet in encoder.encode(out)
    ]
    packets += encoder.encode(None)
    return b"".join(map(bytes, packets))
