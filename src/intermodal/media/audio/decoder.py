"""Decodes audio inside the worker: probing and conversion to PCM, of recordings and of videos.

``check_complete`` detects audio that ends before its own headers say; FFmpeg plays such a file to its end without an
error.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import av
import av.audio.resampler
import av.error

from intermodal.core.quantity import Quantity, between, exact
from intermodal.errors import InputBroken, InputEmpty, InputTooLarge, InputUnsupported
from intermodal.files.file_bytes import PIECE, Data, memory_size
from intermodal.media import container, header_readers, sandbox
from intermodal.media.audio import channel_separation
from intermodal.media.container import TODO
from intermodal.media.creation_date import container_date
from intermodal.media.media_limits import MAX_SECONDS, PCM_BYTES_PER_SECOND, PCM_RATE
from intermodal.media.video import header as video_header
from intermodal.media.worker_results import MediaProbeResult

Report = Callable[[float | None, str], None]
ByteRanges = list[tuple[int, int]]  # start and end, in bytes

_MIN_RATE, _MAX_RATE, _MAX_CHANNELS = 4_000, 384_000, 16
_WALK_PACKETS = 400_000  # about 2 h 50 of MP3; a number of packets instead of a time limit makes the facts reproducible
_MAX_DECODED = 16 << 30  # bytes of audio at its own rate and channels, before resampling
_MOST_LEAD = 600.0  # seconds of silence put before audio that begins after its video
_TODO = container.TODO
_SLACK = 4_096  # bytes by which the length in a WAVE header may be wrong


def probe(data: Data, media_type: str) -> MediaProbeResult:
    """Return length, rate and channels of a recording, from its header and its packets.

    Two-channel recordings are decoded for some minutes to detect separate voices.
    """
    return _probe(data, media_type, with_comparison=True)


def _probe(data: Data, media_type: str, *, with_comparison: bool) -> MediaProbeResult:
    """Probe a recording.

    ``with_comparison``: also detect whether each of two channels has its own voice, by decoding two minutes.
    """
    notes = _wave_notes(data) if media_type == "audio/wav" else ()
    check_complete(data, media_type)
    with (
        sandbox.memory_limit(2 * memory_size(data) + (160 << 20)),
        _open_sound(data, media_type) as (box, stream),
    ):
        rate, count = _check_stream(stream)
        created = container_date(box.metadata)
        seconds = _length(box, stream, media_type, data)
        channels_differ = with_comparison and 0 < seconds.for_limit() <= MAX_SECONDS and differ(box, stream, count)
    if seconds.for_limit() > MAX_SECONDS:
        raise InputTooLarge(f"lasts more than {MAX_SECONDS // 3600} h", todo="cut it into shorter recordings")
    if seconds.mid <= 0:
        raise InputEmpty("holds no sound (0 seconds)", todo="check the recording")
    return MediaProbeResult(
        seconds=seconds,
        sample_rate=rate,
        channels=count,
        separate_channels=channels_differ,
        notes=notes,
        created=created,
    )


def differ(box: Any, stream: Any, count: int) -> bool:
    """Return True if audio of ``count`` channels has exactly two, each with its own voice.

    Audio that cannot be rewound or decoded gives False. The container cannot be read any further afterwards.
    """
    if count != 2:
        return False
    stream.codec_context.thread_count = 1
    container.select_stream(box, stream)
    try:
        box.seek(0)
        return channel_separation.channels_differ(box, stream)
    except (av.error.FFmpegError, InputBroken):
        return False


def pcm(data: Data, media_type: str, report: Report) -> Iterator[bytearray]:
    """Yield all channels mixed to one, as signed 16-bit little-endian samples at 16 kHz, in pieces of a megabyte."""
    for _, piece in _resample(data, media_type, report, "mono"):
        yield piece


def channel_pcm(
    data: Data, media_type: str, report: Report
) -> Generator[tuple[int, bytearray], None, tuple[ByteRanges, ByteRanges]]:
    """Yield both channels as PCM like ``pcm``, each piece with the number of its channel (0 or 1).

    Returns the byte ranges of each channel that contain nothing but crosstalk and must be silenced. They are known only
    after everything was decoded; decoding in advance to find them would double the cost.
    """
    levels = channel_separation.ChannelLevels()
    lead = yield from _resample(data, media_type, report, "stereo", levels)
    first, second = (
        [(_byte_at(lead + start), _byte_at(lead + end)) for start, end in leaked] for leaked in levels.leaks()
    )
    return first, second


def _resample(
    data: Data,
    media_type: str,
    report: Report,
    layout: Literal["mono", "stereo"],
    levels: channel_separation.ChannelLevels | None = None,
) -> Generator[tuple[int, bytearray], None, float]:
    """Yield (channel, samples); return the seconds of silence put before the audio. ``levels`` also gets each frame.

    Seconds and decoded bytes are counted while decoding.
    """
    expected = _probe(data, media_type, with_comparison=False).seconds
    limit = min(MAX_SECONDS, expected.high * 1.25 + 10)
    with (
        sandbox.memory_limit(3 * memory_size(data) + (192 << 20)),
        _open_sound(data, media_type) as (box, stream),
    ):
        resampler = av.AudioResampler(format="s16p", layout=layout, rate=PCM_RATE)
        lead = min(_audio_delay(box, stream), _MOST_LEAD) if container.may_hold_video(media_type) else 0.0
        channels = [bytearray(_byte_at(lead)) for _ in range(1 if layout == "mono" else 2)]
        yielded_bytes, reported_seconds, empty = 0, 0.0, True
        for frame in _frames(box, stream, limit):
            if levels is not None:
                levels.add(frame)
            for piece in resampler.resample(frame):
                empty = _add(channels, piece) and empty
            seconds = (yielded_bytes + len(channels[0])) / PCM_BYTES_PER_SECOND
            if seconds - reported_seconds >= 30:
                reported_seconds = seconds
                report(min(1.0, seconds / expected.mid), "")
            if len(channels[0]) >= PIECE:
                yielded_bytes += len(channels[0])
                yield from enumerate(channels)
                channels = [bytearray() for _ in channels]
        for piece in resampler.resample(None):
            empty = _add(channels, piece) and empty
    if empty:
        raise InputBroken("holds no sound that can be decoded", todo=_TODO)
    yield from enumerate(channels)
    return lead


def _add(channels: list[bytearray], piece: Any) -> bool:
    """Append the samples of a resampled frame to each channel; return True if the frame was empty."""
    for channel, plane in zip(channels, piece.planes, strict=False):
        channel += memoryview(plane)[: 2 * piece.samples]
    return not piece.samples


def _byte_at(seconds: float) -> int:
    """Return the byte offset of a moment in one-channel PCM."""
    return 2 * round(seconds * PCM_RATE)


def _frames(box: Any, stream: Any, limit: float) -> Iterator[Any]:
    """Yield decoded frames, of ``limit`` seconds at most.

    Raises the matching InputError if the header of the file was wrong.
    """
    decoded, seconds = 0, 0.0
    for frame in container.frames(box, stream, "sound"):
        if not _MIN_RATE <= frame.sample_rate <= _MAX_RATE:
            raise _implausible(frame.sample_rate)
        decoded += frame.samples * frame.format.bytes * len(frame.layout.channels)
        seconds += frame.samples / frame.sample_rate
        if seconds > limit or decoded > _MAX_DECODED:
            raise InputTooLarge("holds more sound than its header says", todo="convert it to WAV and try again")
        yield frame


@contextmanager
def _open_sound(data: Data, media_type: str) -> Iterator[tuple[Any, Any]]:
    """Open a container and yield it with its first audio track; all other tracks are skipped."""
    if media_type.startswith("video/"):
        video_header.check_video_header(data, media_type)
    with container.open_container(data, media_type, what="sound") as found:
        if found.sound is None:
            silent = "has no sound" if found.picture is not None else "holds no sound"
            raise InputBroken(silent, todo="check the recording")
        _check_codec(found.sound, media_type)
        found.sound.codec_context.thread_count = 1
        container.select_stream(found.container, found.sound)
        yield found.container, found.sound


def _check_codec(stream: Any, media_type: str) -> None:
    if stream.codec_context is None:
        raise InputUnsupported("holds sound in a codec that is not known", todo="convert it to WAV")
    name = stream.codec_context.name
    if container.may_hold_video(media_type) and name not in container.SOUND_CODECS:
        raise InputUnsupported(f"holds sound in a codec that is not taken ({name})", todo="convert it to AAC or WAV")


def _audio_delay(box: Any, stream: Any) -> float:
    """Return the seconds by which the frames of a video begin before its audio.

    They are put before the speech as silence, so that it keeps its time in the video.
    """
    if stream.start_time is None or box.start_time is None:
        return 0.0
    lead: float = float(stream.start_time * stream.time_base) - box.start_time / av.time_base
    return max(0.0, lead)


def check_sound(stream: Any) -> tuple[int, int]:
    """Return rate and channels of the audio of a video. Raises the matching InputError if it cannot be decoded."""
    _check_codec(stream, "video/mp4")
    return _check_stream(stream)


def _check_stream(stream: Any) -> tuple[int, int]:
    rate, channels = stream.codec_context.sample_rate or 0, stream.codec_context.channels or 0
    if not _MIN_RATE <= rate <= _MAX_RATE:
        raise _implausible(rate)
    if not 1 <= channels <= _MAX_CHANNELS:
        raise InputBroken(f"claims {channels} channels, which is not plausible", todo=_TODO)
    return rate, channels


def _implausible(rate: int) -> InputBroken:
    return InputBroken(f"claims a sample rate of {rate:,} Hz, which is not plausible", todo=_TODO)


def _wave_notes(data: Data) -> tuple[str, ...]:
    """Return a note if the header of a WAVE file states another length than the file has, or none.

    All audio that is present is used in either case.
    """
    wave = header_readers.wave_header(data)
    if wave.present_bytes == 0:
        raise InputEmpty("holds no sound (0 seconds)", todo="check the recording")
    second = wave.frame_bytes * wave.rate
    if not second:
        return ()
    actual_length = f"{wave.present_bytes / second:,.1f} s are there"
    if wave.claimed_bytes is None:
        return (f"its header does not say how much sound it holds: {actual_length}",)
    if abs(wave.claimed_bytes - wave.present_bytes) <= _SLACK:
        return ()
    return (f"its header promises {wave.claimed_bytes / second:,.1f} s of sound and {actual_length}",)


def _length(box: Any, stream: Any, media_type: str, data: Data) -> Quantity:
    """Return the seconds of audio: counted from packets, otherwise as the header states.

    Packets are counted, not decoded. Raises InputBroken if the header promises clearly more than the packets hold: the
    file was cut.
    """
    header = _header_seconds(box, stream)
    if media_type == "audio/wav":
        wave = header_readers.wave_header(data)
        if wave.frame_bytes and wave.rate and stream.codec_context.name.startswith("pcm_"):
            return exact(wave.present_bytes / wave.frame_bytes / wave.rate, "header")
    counted_seconds, all_counted = _sum_packet_durations(box, stream)
    if not all_counted:
        longest = max(header or 0.0, counted_seconds)
        return between(
            counted_seconds,
            longest,
            max(longest, 1.1 * (header or 2 * counted_seconds)),
            "header, not counted to the end",
        )
    if header is not None and media_type in ("audio/flac", "audio/mp4") and header > counted_seconds * 1.05 + 1:
        raise InputBroken(
            f"is truncated: its header promises {header:.1f} s and {counted_seconds:.1f} s are there", todo=_TODO
        )
    return exact(counted_seconds, "counted packets") if counted_seconds > 0 else exact(header or 0.0, "header")


def _header_seconds(box: Any, stream: Any) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return max(0.0, float(stream.duration * stream.time_base))
    return None if box.duration is None else max(0.0, box.duration / av.time_base)


def _sum_packet_durations(box: Any, stream: Any) -> tuple[float, bool]:
    """Return the sum of the packet durations in seconds, and True if all packets were counted."""
    ticks, first = 0, None
    for packet_count, packet in enumerate(container.packets(box, stream), 1):
        ticks += packet.duration or 0
        if box.format.name.startswith("matroska") and packet.pts is not None:  # Matroska leaves durations out
            first = packet.pts if first is None else first
            ticks = max(ticks, packet.pts - first)
        if packet_count >= _WALK_PACKETS or float(ticks * stream.time_base) > MAX_SECONDS + 1:
            return float(ticks * stream.time_base), float(ticks * stream.time_base) > MAX_SECONDS
    return float(ticks * stream.time_base), True


# ---- complete files ---------------------------------------------------------------------------------


_MP3_SLACK = 4_096  # bytes by which an MP3 header may promise too much: some encoders count tags, others do not
_MPEG1, _MONO = 3, 3  # codes of version and channel mode in a frame header (ISO/IEC 11172-3, 2.4.2.3)
_SIDE = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}  # bytes, by (MPEG-1, mono)
_XING_BYTES = 2  # the flag of the field with the number of bytes
_OGG_HEADER = 27  # bytes before the table of an Ogg page (RFC 3533, section 6)


def check_complete(data: Data, media_type: str) -> None:
    """Raise InputBroken if an MP3 or Ogg file has fewer bytes than its headers state. Other media types always pass."""
    promised = {"audio/mpeg": _mp3, "audio/ogg": _ogg}.get(media_type, len)(data)
    if promised > len(data):
        raise InputBroken(
            f"is truncated: its headers promise {promised:,} bytes and {len(data):,} are there", todo=TODO
        )


def _mp3(data: Data) -> int:
    """Return the length of an MP3 file in bytes by its Xing or Info header, 0 without such a header.

    The length is reduced by ``_MP3_SLACK``. The header lies in the first frame, after its side information: flags, then
    the number of frames and of bytes, each present if its flag is set (Xing, VBR header SDK, 1998; LAME writes the same
    layout).
    """
    frame_start = 0
    if data[:3] == b"ID3" and len(data) >= 10:
        a, b, c, d = data[6:10]  # seven bits each (ID3v2.4, 6.2)
        frame_start = 10 + (a << 21 | b << 14 | c << 7 | d)
    frame = data[frame_start : frame_start + 4]
    if len(frame) < 4 or frame[0] != 0xFF:
        return 0
    place = frame_start + 4 + _SIDE[(frame[1] >> 3 & 3 == _MPEG1, frame[3] >> 6 == _MONO)]
    if data[place : place + 4] not in (b"Xing", b"Info"):
        return 0
    flags = int.from_bytes(data[place + 4 : place + 8], "big")
    field = place + 8 + 4 * (flags & 1)
    stated_bytes = int.from_bytes(data[field : field + 4], "big") if flags & _XING_BYTES else 0
    return max(0, frame_start + stated_bytes - _MP3_SLACK)


def _ogg(data: Data) -> int:
    """Return the position at which the last Ogg page of the file ends according to its header."""
    page_start = data.rfind(b"OggS\0")
    table = page_start + _OGG_HEADER
    if page_start < 0 or table > len(data):
        return table if page_start >= 0 else 0
    count = data[table - 1]
    return table + count + sum(data[table : table + count])
