"""Sound, decoded inside the worker: probe and PCM. Only this module opens a recording with FFmpeg (PyAV).

The demuxer is named by what the bytes are, never guessed by FFmpeg, so that no playlist or
concatenation format is reachable; and it may open nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import av
import av.audio.resampler
import av.error
import av.subtitles.stream  # PyAV imports it on the first container

from intermodal.errors import InputBroken, InputEmpty, InputTooLarge, InputUnsupported
from intermodal.media import boxes, fence
from intermodal.media.probed import Probed
from intermodal.media.steps import MAX_SECONDS, PCM_BYTES_PER_SECOND, PCM_RATE
from intermodal.quantity import Quantity, between, exact

Report = Callable[[float | None, str], None]

_DEMUXERS = {
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/mp4": "mp4",
    "audio/aac": "aac",
    "audio/ogg": "ogg",
}
_MIN_RATE, _MAX_RATE, _MAX_CHANNELS = 4_000, 384_000, 16
_WALK_PACKETS = 400_000  # about 2 h 50 of MP3; counted in work, not in time, so that facts are the same each time
_MAX_DECODED = 16 << 30  # bytes of sound at its own rate and channels, before resampling
_MAX_DAMAGED = 50  # packets that cannot be decoded before the recording is called broken
_TODO = "check that the file is complete and plays elsewhere"
_SLACK = 4_096  # bytes a WAVE header may promise too many


def probe(data: bytes, media_type: str) -> Probed:
    """Length, rate and channels, from the header and a walk over the packets, which are not decoded."""
    if media_type == "audio/wav":
        _check_wave(data)
    with fence.room(2 * len(data) + (160 << 20)), _opened(data, media_type) as (container, stream):
        rate, channels = _check_stream(stream)
        seconds = _length(container, stream, media_type, data)
    if seconds.for_limit() > MAX_SECONDS:
        raise InputTooLarge(f"lasts more than {MAX_SECONDS // 3600} h", todo="cut it into shorter recordings")
    if seconds.mid <= 0:
        raise InputEmpty("holds no sound (0 seconds)", todo="check the recording")
    return Probed(seconds=seconds, sample_rate=rate, channels=channels)


def pcm(data: bytes, media_type: str, report: Report) -> bytearray:
    """Signed 16-bit little endian at 16 kHz, mono. Seconds and decoded bytes are counted while decoding."""
    expected = probe(data, media_type).seconds
    limit = min(MAX_SECONDS, expected.high * 1.25 + 10)
    made = bytearray()
    room = 3 * len(data) + 3 * int(limit * PCM_BYTES_PER_SECOND) + (192 << 20)
    with fence.room(room), _opened(data, media_type) as (container, stream):
        resampler = av.AudioResampler(format="s16", layout="mono", rate=PCM_RATE)
        decoded, told = 0, 0.0
        for frame in _frames(container, stream):
            decoded += frame.samples * frame.format.bytes * len(frame.layout.channels)
            if not _MIN_RATE <= frame.sample_rate <= _MAX_RATE:
                raise _implausible(frame.sample_rate)
            for piece in resampler.resample(frame):
                made += memoryview(piece.planes[0])[: 2 * piece.samples]
            if len(made) > limit * PCM_BYTES_PER_SECOND or decoded > _MAX_DECODED:
                raise InputTooLarge("holds more sound than its header says", todo="convert it to WAV and try again")
            seconds = len(made) / PCM_BYTES_PER_SECOND
            if seconds - told >= 30:
                told = seconds
                report(min(1.0, seconds / expected.mid), "")
        for piece in resampler.resample(None):
            made += memoryview(piece.planes[0])[: 2 * piece.samples]
    if not made:
        raise InputBroken("holds no sound that can be decoded", todo=_TODO)
    return made


@contextmanager
def _opened(data: bytes, media_type: str) -> Iterator[tuple[Any, Any]]:
    """The container and its first sound; everything else in it is left alone."""
    if media_type not in _DEMUXERS:
        raise InputUnsupported("is not a recording", todo="pass WAV, MP3, FLAC, M4A or Ogg")
    try:
        container = av.open(
            io.BytesIO(data),
            format=_DEMUXERS[media_type],
            options={
                "protocol_whitelist": "pipe",
                "format_whitelist": _DEMUXERS[media_type] + ",mov",
                "max_streams": "64",
            },
            io_open=_refuse,
        )
    except (av.error.FFmpegError, ValueError):
        raise InputBroken("cannot be decoded as sound", todo=_TODO) from None
    with container:
        if not container.streams.audio:
            raise InputBroken("holds no sound", todo=_TODO)
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise InputUnsupported("holds sound in a codec that is not known", todo="convert it to WAV")
        stream.codec_context.thread_count = 1
        try:
            yield container, stream
        except (av.error.FFmpegError, ValueError):  # PyAV says ValueError for streams that contradict themselves
            raise InputBroken("cannot be decoded as sound", todo=_TODO) from None


def _refuse(url: str, flags: int, options: object) -> object:
    raise PermissionError("media may not open other media")


def _check_stream(stream: Any) -> tuple[int, int]:
    rate, channels = stream.codec_context.sample_rate or 0, stream.codec_context.channels or 0
    if not _MIN_RATE <= rate <= _MAX_RATE:
        raise _implausible(rate)
    if not 1 <= channels <= _MAX_CHANNELS:
        raise InputBroken(f"claims {channels} channels, which is not plausible", todo=_TODO)
    return rate, channels


def _implausible(rate: int) -> InputBroken:
    return InputBroken(f"claims a sample rate of {rate:,} Hz, which is not plausible", todo=_TODO)


def _check_wave(data: bytes) -> None:
    """A WAVE file says how many bytes of sound it has; fewer there means it was cut."""
    wave = boxes.wave_header(data)
    if wave.held == 0 or (wave.claimed is not None and wave.claimed == 0):
        raise InputEmpty("holds no sound (0 seconds)", todo="check the recording")
    if wave.claimed is not None and wave.claimed > wave.held + _SLACK:
        raise InputBroken(
            f"is truncated: its header promises {wave.claimed:,} bytes of sound and {wave.held:,} are there", todo=_TODO
        )


def _length(container: Any, stream: Any, media_type: str, data: bytes) -> Quantity:
    """Seconds of sound: counted where packets tell, else what the header says.

    Packets are walked, not decoded. A header that promises clearly more than the packets hold is a cut file.
    """
    header = _header_seconds(container, stream)
    if media_type == "audio/wav":
        wave = boxes.wave_header(data)
        if wave.frame_bytes and wave.rate and stream.codec_context.name.startswith("pcm_"):
            return exact(wave.held / wave.frame_bytes / wave.rate, "header")
    counted, whole = _walk(container, stream)
    if not whole:
        longest = max(header or 0.0, counted)
        return between(counted, longest, max(longest, 1.1 * (header or 2 * counted)), "header, not counted to the end")
    if header is not None and media_type in ("audio/flac", "audio/mp4") and header > counted * 1.05 + 1:
        raise InputBroken(f"is truncated: its header promises {header:.1f} s and {counted:.1f} s are there", todo=_TODO)
    return exact(counted, "counted packets") if counted > 0 else exact(header or 0.0, "header")


def _header_seconds(container: Any, stream: Any) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return max(0.0, float(stream.duration * stream.time_base))
    return None if container.duration is None else max(0.0, container.duration / av.time_base)


def _walk(container: Any, stream: Any) -> tuple[float, bool]:
    """Seconds the packets add up to, and whether all of them were seen."""
    ticks = seen = 0
    try:
        for packet in container.demux(stream):
            ticks += packet.duration or 0
            seen += 1
            if seen >= _WALK_PACKETS or float(ticks * stream.time_base) > MAX_SECONDS + 1:
                return float(ticks * stream.time_base), float(ticks * stream.time_base) > MAX_SECONDS
    except av.error.FFmpegError:
        pass  # a cut end; what was counted until there counts
    return float(ticks * stream.time_base), True


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """Decoded frames; a few damaged packets (tags, a cut end) are skipped, as players do."""
    damaged = 0
    packets = iter(container.demux(stream))
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError:
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            damaged += 1
            if damaged > _MAX_DAMAGED:
                raise InputBroken("is too damaged to be decoded as sound", todo=_TODO) from None
            continue
        yield from frames
