"""Probes a video inside the worker: length, size, key frames and cuts.

Probing reads the header, the times of key frames and a few key frames. Their number is limited in pixels, not in time,
which makes the facts reproducible.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

import av
import av.error
import msgspec

from intermodal.core.content import Value
from intermodal.core.quantity import Quantity, between, exact
from intermodal.errors import InputBroken, InputEmpty, InputTooLarge, InputUnsupported
from intermodal.files.file_bytes import Data, memory_size
from intermodal.media import container, sandbox
from intermodal.media.audio import decoder
from intermodal.media.container import TODO, OpenContainer
from intermodal.media.creation_date import container_date
from intermodal.media.media_limits import (
    MAX_CUTS,
    MAX_PIXELS,
    MAX_SECONDS,
    MAX_VIDEO_FRAMES,
    SAMPLE_SIDE,
)
from intermodal.media.video import frame_image, header, scenes, subtitle_tracks
from intermodal.media.worker_results import MediaProbeResult

Density = Callable[[Any], Quantity]

_PROBE_PIXELS = 7_500_000  # of key frames decoded for probing: eight at 720p, three at 1080p
_PROBE_FRAMES = 8
_CHANGED = 12.0  # difference of consecutive key frames from which on they show different scenes
_WALK_PACKETS = 400_000
_WALK_BYTES = 64 << 20  # of a file without an index of all frames; key frames of larger files are read from its cues


class OpenVideo(Value):
    """An open video. Times are in seconds from its beginning.

    Attributes:
     keys: times of its key frames. bursts: times of frames between them that are as large.
     fps: 0 if unknown.
     tick: seconds per unit of the stream's clock. beginning: time on that clock at which the video begins.
    """

    source: OpenContainer
    seconds: Quantity
    fps: float
    keys: tuple[float, ...]
    bursts: tuple[float, ...] = ()
    tick: float = 1.0
    beginning: float = 0.0

    @property
    def stream(self) -> Any:
        return self.source.picture

    @property
    def pixels(self) -> int:
        return max(1, int(self.stream.width) * int(self.stream.height))

    @property
    def shape(self) -> float:
        """The width of a stored pixel relative to its height; 1 if the stated one is implausible."""
        ratio = float(self.stream.sample_aspect_ratio or 1)
        return ratio if 0.25 <= ratio <= 4 else 1.0

    def time(self, pts: int) -> float:
        return max(0.0, pts * self.tick - self.beginning)


# ---- probing -------------------------------------------------------------------------------------


def probe(data: Data, media_type: str, density: Density) -> MediaProbeResult:
    """Return size, length, frames, audio and cuts of a video; for a container without video, the facts of its audio."""
    header.check_video_header(data, media_type)
    with (
        sandbox.memory_limit(decode_memory(data, MAX_PIXELS)),
        container.open_container(data, media_type, what="video") as found,
    ):
        if found.picture is not None:
            return msgspec.structs.replace(
                _probe(open_video(found, data, media_type), density), kind="video", media_type=media_type
            )
        silent = found.sound is None
    if silent:
        raise InputUnsupported("holds neither frames nor sound", todo=TODO)
    media_type = media_type.replace("video/", "audio/").replace("quicktime", "mp4")
    return msgspec.structs.replace(decoder.probe(data, media_type), kind="audio", media_type=media_type)


def _probe(film: OpenVideo, density: Density) -> MediaProbeResult:
    sound = film.source.sound
    created = container_date(film.source.container.metadata)
    rate, channels = decoder.check_sound(sound) if sound is not None else (0, 0)
    found = {
        film.keys.index(time): picture
        for time, picture in key_frames_at(film, [film.keys[index] for index in _sample_key_frames(film)])
    }
    pictures = list(found.values())
    if not pictures:
        raise InputBroken("holds no frame that can be decoded", todo=TODO)
    first = pictures[0]
    width, height = frame_image.shown_size(first, film.shape)
    densities = [density(frame_image.grey(picture, SAMPLE_SIDE)) for picture in pictures]
    most = max(densities, key=lambda found: found.mid)
    subtitles = subtitle_tracks.probe(film.source)
    channels_differ = sound is not None and decoder.differ(film.source.container, sound, channels)
    return MediaProbeResult(
        width=width,
        height=height,
        frames=film.stream.frames or max(1, round(film.seconds.mid * film.fps)),
        fps=round(film.fps, 3),
        seconds=film.seconds,
        sample_rate=rate,
        channels=channels,
        separate_channels=channels_differ,
        subtitles=subtitles.tracks,
        notes=subtitles.notes,
        created=created,
        cuts=_scene_cuts(film, {index: frame_image.thumbnail(picture) for index, picture in found.items()})[:MAX_CUTS],
        text_density=between(
            max(found.low for found in densities),
            most.mid,
            max(found.high for found in densities),
            f"{most.basis}, the most of {len(pictures)} key frame{'s' if len(pictures) > 1 else ''}",
        ),
    )


def open_video(open_container: OpenContainer, data: Data, media_type: str) -> OpenVideo:
    stream = open_container.picture
    if stream.codec_context is None or stream.codec_context.name not in container.IMAGE_CODECS:
        name = "one that is not known" if stream.codec_context is None else stream.codec_context.name
        raise InputUnsupported(
            f"holds frames in a codec that is not taken ({name})", todo="convert it: ffmpeg -i FILE film.mp4"
        )
    if stream.width * stream.height > MAX_PIXELS:
        raise InputTooLarge(f"has frames of {stream.width:,} x {stream.height:,} pixels", todo="shrink it first")
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    fps = float(stream.average_rate or stream.guessed_rate or 0)
    film = OpenVideo(
        source=open_container,
        seconds=Quantity(),
        fps=fps if 0 < fps <= 1_000 else 0.0,
        keys=(),
        tick=float(stream.time_base),
        beginning=(open_container.container.start_time or 0) / av.time_base,
    )
    film = _with_length_and_keys(film, data, media_type)
    _check_length(film)
    return film


def _check_length(film: OpenVideo) -> None:
    if film.seconds.for_limit() > MAX_SECONDS:
        raise InputTooLarge(f"lasts more than {MAX_SECONDS // 3600} h", todo="cut it into shorter films")
    if film.stream.frames > MAX_VIDEO_FRAMES or film.seconds.mid * film.fps > MAX_VIDEO_FRAMES:
        raise InputTooLarge(f"has more than {MAX_VIDEO_FRAMES:,} frames", todo="cut it into shorter films")
    if film.seconds.mid <= 0:
        raise InputEmpty("holds no video (0 seconds)", todo="check the film")


def _with_length_and_keys(film: OpenVideo, data: Data, media_type: str) -> OpenVideo:
    """Return the video with its length and key frames: from header and index, otherwise from its packets."""
    stream, box = film.stream, film.source.container
    is_mp4 = container.DEMUXERS[media_type] == "mp4"
    claimed = 0.0 if box.duration is None else box.duration / av.time_base  # of the longest track
    if stream.duration is not None and stream.time_base is not None:
        claimed = max(claimed, float(stream.duration * stream.time_base))
    if claimed > MAX_SECONDS:
        return msgspec.structs.replace(film, seconds=exact(claimed, "header"))
    if claimed > 0 and not (is_mp4 and header.is_fragmented(data)):
        keys, bursts = ((), ()) if not is_mp4 else _index(film)
        if not is_mp4 and len(data) > _WALK_BYTES:
            keys = _cues(film, claimed)
        if keys:
            _check_last(keys, claimed)
            return msgspec.structs.replace(film, seconds=exact(claimed, "header"), keys=keys, bursts=bursts)
    seconds, keys, bursts = _read_packets(film)
    if claimed > 0 and not is_mp4:
        _check_last((seconds.mid,), claimed)
        seconds = exact(claimed, "header")
    return msgspec.structs.replace(film, seconds=seconds, keys=keys, bursts=bursts)


def _check_last(times: Sequence[float], claimed: float) -> None:
    """Raise InputBroken if a video is much longer than its header states."""
    if times[-1] > claimed * 1.25 + 10:
        raise too_long_error()


def _index(film: OpenVideo) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return key frames and bursts of an MP4 by its index, which also has the size of each frame.

    The index has decoding times. Frames are shown later, by the delay of the first frame.
    """
    entries = film.stream.index_entries
    first = entries[0].timestamp - (film.stream.start_time or 0) if len(entries) else 0
    frame_entries = [(film.time(entry.timestamp - first), entry.size, entry.is_keyframe) for entry in entries]
    return _keys_and_bursts(frame_entries)


def _keys_and_bursts(frame_entries: Sequence[tuple[float, int, bool]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return key frames and bursts from (time, size, True for a key frame) of each frame."""
    keys = tuple(sorted({time for time, _, key in frame_entries if key}))
    if not keys or len(frame_entries) > _WALK_PACKETS:
        return keys, ()
    usual = median(size for _, size, key in frame_entries if key)
    between_keys = [(time, size) for time, size, key in frame_entries if not key]
    return keys, scenes.bursts_from_sizes([time for time, _ in between_keys], [size for _, size in between_keys], usual)


def _cues(film: OpenVideo, seconds: float) -> tuple[float, ...]:
    """Return the key frames in the cues of a Matroska file.

    Returns () if there are no cues, or if they cover less than half of the video.
    """
    with contextlib.suppress(av.error.FFmpegError):
        film.source.container.seek(round(seconds * av.time_base))  # FFmpeg reads the cues on its first seek
    keys = tuple(sorted({film.time(entry.timestamp) for entry in film.stream.index_entries if entry.is_keyframe}))
    rewind(film)
    return keys if len(keys) > 1 and keys[-1] >= seconds / 2 else ()


def _read_packets(film: OpenVideo) -> tuple[Quantity, tuple[float, ...], tuple[float, ...]]:
    """Return length, key frames and bursts from all packets, without decoding them."""
    box, stream = film.source.container, film.stream
    container.select_stream(box, stream)
    frame_entries: list[tuple[float, int, bool]] = []
    last = 0.0
    for packet in container.packets(box, stream):
        if packet.pts is None:
            continue
        time = film.time(packet.pts)
        last = max(last, time + (packet.duration or 0) * film.tick)
        frame_entries.append((time, packet.size, packet.is_keyframe))
        if len(frame_entries) >= _WALK_PACKETS or last > MAX_SECONDS:
            unseen = max(last, MAX_SECONDS + 1.0)
            return between(last, last, unseen, "counted, but not to the end"), _keys_and_bursts(frame_entries)[0], ()
    rewind(film)
    if frame_entries and film.fps and not last:
        last = len(frame_entries) / film.fps
    keys, bursts = _keys_and_bursts(sorted(frame_entries))
    return exact(last, "counted packets"), keys or (0.0,), bursts


def too_long_error() -> InputBroken:
    return InputBroken("holds more film than its header says", todo="repair it: ffmpeg -i FILE -c copy repaired.mkv")


def rewind(film: OpenVideo) -> None:
    film.source.container.seek(0)


def _sample_key_frames(film: OpenVideo) -> list[int]:
    """Return the indices of the key frames that are decoded for probing: all, those at cuts, or pairs spread evenly."""
    keys = film.keys
    room = max(1, min(_PROBE_FRAMES, _PROBE_PIXELS // film.pixels))
    if len(keys) <= room:
        return list(range(len(keys)))
    cuts = set(scenes.cuts_from_key_frames(keys, film.fps))
    if not cuts:
        pairs = max(1, room // 2)
        firsts = {round((number + 0.5) * (len(keys) - 2) / pairs) for number in range(pairs)}
        return sorted({place for first in firsts for place in (first, first + 1)} if room > 1 else firsts)
    candidates = [0, *(place for place, key in enumerate(keys) if round(key, 3) in cuts)]
    if len(candidates) < room:
        candidates = list(range(len(keys)))
    return sorted({candidates[round(number * (len(candidates) - 1) / max(1, room - 1))] for number in range(room)})


def _scene_cuts(film: OpenVideo, thumbnails: dict[int, Any]) -> tuple[float, ...]:
    """Return the cuts, by the placement of key frames and by the sizes of frames.

    If key frames come at regular intervals, some of them are compared. ``thumbnails``: small images of key frames, by
    index. If more than half of the compared neighbours differ, every key frame counts as a cut. A compared pair is
    always decided by its difference.
    """
    keys = film.keys
    changed = {
        place + 1: frame_image.difference(before, thumbnails[place + 1]) >= _CHANGED
        for place, before in thumbnails.items()
        if place + 1 in thumbnails
    }
    key_frame_cuts = set(scenes.cuts_from_key_frames(keys, film.fps))
    if not key_frame_cuts and 2 * sum(changed.values()) > len(changed):
        key_frame_cuts = {round(key, 3) for key in keys[1:]}
    cuts = [
        key
        for place, key in enumerate(keys)
        if changed.get(place, round(key, 3) in key_frame_cuts)
        # the burst before it already counts as this cut
        and bisect_left(film.bursts, key) == bisect_left(film.bursts, keys[place - 1] if place else 0.0)
    ]
    return scenes.merge_cuts(cuts, film.bursts)


def decode_memory(data: Data, pixels: int) -> int:
    """Return the bytes that decoding may take: the file if in memory, and 24 images of three bytes per pixel."""
    return 2 * memory_size(data) + min(72 * pixels, 1 << 30) + (256 << 20)


def key_frames_at(film: OpenVideo, times: Sequence[float]) -> Iterator[tuple[float, Any]]:
    """Yield (time, frame) of the key frames at the given times, without those that cannot be decoded."""
    box, stream = film.source.container, film.stream
    container.select_stream(box, stream)
    for time in times:
        seek(film, time)
        for packet in container.packets(box, stream):
            if packet.pts is None or not packet.is_keyframe:
                break
            try:
                decoded_frames = [*stream.codec_context.decode(packet), *stream.codec_context.decode(None)]
            except av.error.FFmpegError:
                decoded_frames = []
            if decoded_frames:
                yield time, decoded_frames[0]
            break


def seek(film: OpenVideo, time: float) -> None:
    """Seek to the key frame at or before ``time`` and reset the decoder."""
    timestamp = round((time + film.beginning + 1e-4) / film.tick)
    try:
        film.source.container.seek(timestamp, stream=film.stream)
    except av.error.FFmpegError:
        rewind(film)
    film.stream.codec_context.flush_buffers()
