"""Opens audio and video containers inside the worker with FFmpeg (PyAV). No other module does.

The demuxer is chosen by the detected media type and never guessed by FFmpeg, so that playlist and concatenation formats
cannot be reached. A container cannot open other files, and decoders are on an allow list.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av
import av.error
import av.stream
import av.subtitles.codeccontext  # the three of subtitles PyAV imports when it first meets one
import av.subtitles.stream
import av.subtitles.subtitle

from intermodal.core.content import Value
from intermodal.errors import InputBroken, InputUnsupported
from intermodal.files.file_bytes import Data, open_reader
from intermodal.media.header_readers import wave_header

DEMUXERS = {
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/mp4": "mp4",
    "audio/aac": "aac",
    "audio/ogg": "ogg",
    "audio/webm": "matroska",
    "audio/x-matroska": "matroska",
    "audio/x-msvideo": "avi",
    "video/mp4": "mp4",
    "video/quicktime": "mp4",
    "video/webm": "matroska",
    "video/x-matroska": "matroska",
    "video/x-msvideo": "avi",
}
# FFmpeg names of the codecs that videos may use; the other decoders of FFmpeg are not reachable from a video.
IMAGE_CODECS = frozenset((
    "h264", "hevc", "vp8", "vp9", "av1", "libdav1d", "mpeg4", "mjpeg", "prores", "h263", "msmpeg4",
))  # fmt: skip
SOUND_CODECS = frozenset((
    "aac", "mp3", "mp3float", "mp2", "mp2float", "opus", "libopus", "vorbis", "flac", "alac", "ac3", "eac3",
    "amrnb", "amrwb", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le", "pcm_u8",
    "pcm_alaw", "pcm_mulaw",
))  # fmt: skip
_BUFFER = 256 << 10  # bytes read at a time
MAX_DAMAGED = 50  # packets that cannot be decoded before a file is rejected
TODO = "check that the file is complete and plays elsewhere"
# A still image that accompanies audio (a cover, chapter previews) is not a video track.
_STILL = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails


class OpenContainer(Value):
    """An open container with its first video track and its first audio track.

    Either track may be None, but not both.
    """

    container: Any
    picture: Any
    sound: Any


@contextmanager
def open_container(data: Data, media_type: str, *, what: str) -> Iterator[OpenContainer]:
    """Open a container and yield it with its tracks.

    ``what``: the word for the content in errors, "sound" or "video".
    """
    if media_type not in DEMUXERS:
        raise InputUnsupported("is not a recording", todo="pass WAV, MP3, FLAC, M4A, Ogg, MP4, MOV, WebM, MKV or AVI")
    demuxer = DEMUXERS[media_type]
    options = {"protocol_whitelist": "pipe", "format_whitelist": demuxer, "max_streams": "64"}
    if may_hold_video(media_type):
        options["codec_whitelist"] = ",".join(sorted(IMAGE_CODECS | SOUND_CODECS))
    if demuxer == "wav" and wave_header(data).understates_length:
        options["ignore_length"] = "1"
    try:
        container = av.open(open_reader(data), format=demuxer, options=options, io_open=_refuse, buffer_size=_BUFFER)
    except (av.error.FFmpegError, ValueError):
        raise InputBroken(f"cannot be decoded as {what}", todo=TODO) from None
    with container:
        try:
            yield OpenContainer(container=container, picture=_cover_image(container), sound=_sound(container))
        except (av.error.FFmpegError, ValueError):  # PyAV raises ValueError for inconsistent streams
            raise InputBroken(f"cannot be decoded as {what}", todo=TODO) from None


def may_hold_video(media_type: str) -> bool:
    """Return True if a container of this media type can hold video."""
    return DEMUXERS.get(media_type) in ("mp4", "matroska", "avi")


def _refuse(url: str, flags: int, options: object) -> object:
    raise PermissionError("media may not open other media")


def _cover_image(container: Any) -> Any:
    moving = (stream for stream in container.streams.video if not stream.disposition & _STILL)
    return next(moving, None)


def _sound(container: Any) -> Any:
    return next(iter(container.streams.audio), None)


def select_stream(container: Any, track: Any, *, keys: bool = False) -> None:
    """Make the demuxer skip every other track; with ``keys``, also the frames of this track that are not key frames."""
    for stream in container.streams:
        stream.discard = av.stream.Discard.all
    track.discard = av.stream.Discard.nonkey if keys else av.stream.Discard.default


def packets(container: Any, stream: Any) -> Iterator[Any]:
    """Yield packets up to the end or to the first unreadable one; the last, empty packet flushes the decoder."""
    walking = iter(container.demux(stream))
    while True:
        try:
            packet = next(walking)
        except (StopIteration, av.error.FFmpegError):
            return
        yield packet


def frames(container: Any, stream: Any, what: str) -> Iterator[Any]:
    """Yield decoded frames. Up to ``MAX_DAMAGED`` damaged packets (tags, a cut end) are skipped."""
    damaged = 0
    for packet in packets(container, stream):
        try:
            decoded_frames = packet.decode()
        except av.error.FFmpegError:
            damaged += 1
            if damaged > MAX_DAMAGED:
                raise InputBroken(f"is too damaged to be decoded as {what}", todo=TODO) from None
            continue
        yield from decoded_frames
