"""Selects frames that show the content of a video, inside the worker: found in a coarse scan, then decoded.

A long video is scanned only by its key frames, which encoders set where the image changes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

from intermodal.errors import InputBroken, InputUnsupported
from intermodal.files.file_bytes import Data
from intermodal.media import container, sandbox
from intermodal.media.container import TODO
from intermodal.media.media_limits import MAX_FRAME_SIDE, MAX_FRAMES_IN_PLAN, MAX_PIXELS
from intermodal.media.video import frame_image, header, scenes
from intermodal.media.video.probe import (
    OpenVideo,
    decode_memory,
    key_frames_at,
    open_video,
    rewind,
    seek,
    too_long_error,
)
from intermodal.media.video.scenes import FrameRequest, Report, sampling_rate

_SCAN_PIXELS = 2_500_000_000  # decoded pixels up to which every frame is scanned: 2 min of 720p at 25 frames a second
_SCAN_PIXELS_SPARSE = 30_000_000_000  # limit for videos whose key frames are too rare to represent all frames
_SCAN_KEYS = 600  # key frames that are scanned, at most
_SPARSE = 12.0  # seconds between key frames from which on they are too rare
_SCAN_RATE = 5.0  # frames per second that are compared
_FRAME_COST = 30_000  # least cost of a frame, in pixels
_TOLD = 0.02  # progress is reported in steps of this share


def frames(
    data: Data, media_type: str, spread: str, most: int, max_side: int | None, report: Report
) -> Iterator[dict[str, Any]]:
    """Yield ``VideoFrame`` values as dicts in order of time: by scene, or at a rate ("0.5 fps")."""
    header.check_video_header(data, media_type)
    most = min(max(1, most), MAX_FRAMES_IN_PLAN)
    side = min(max(16, max_side or MAX_FRAME_SIDE), MAX_FRAME_SIDE)
    rate = sampling_rate(spread)
    with (
        sandbox.memory_limit(decode_memory(data, MAX_PIXELS)),
        container.open_container(data, media_type, what="video") as found,
    ):
        if found.picture is None:
            raise InputUnsupported("has sound and no frames", todo="pass it as a recording")
        film = open_video(found, data, media_type)
        frame_requests, scene_count = _by_scene(film, most, report) if rate is None else (_evenly(film, rate, most), 0)
        frame_count = 0
        for frame_request, picture in _decoded_frames(film, frame_requests):
            frame_count += 1
            yield {
                **frame_image.encode_frame(picture, side, film.shape),
                "at": frame_request.at,
                "until": frame_request.until,
                "scenes": scene_count,
            }
            report(
                min(1.0, 0.8 + 0.2 * frame_count / len(frame_requests)), f"frame {frame_count} of {len(frame_requests)}"
            )
    if not frame_count:
        raise InputBroken("holds no frame that can be decoded", todo=TODO)


def _evenly(film: OpenVideo, rate: float, most: int) -> list[FrameRequest]:
    """Return the middles of equal stretches.

    If decoding up to the middles would take too long, the key frames near them are returned.
    """
    seconds = film.seconds.mid
    count = max(1, min(most, round(min(rate * seconds, most))))
    stretch = seconds / count
    middles = []
    for number in range(count):
        moment = (number + 0.5) * stretch
        middles.append(FrameRequest(moment=moment, at=moment, until=min(seconds, moment + stretch)))
    reached = sum(middle.moment - _key_before(film, middle.moment) for middle in middles)
    if min(reached, seconds) * (film.fps or 30) * max(film.pixels, _FRAME_COST) <= _SCAN_PIXELS:
        return middles
    keys = sorted({_key_before(film, middle.moment) for middle in middles})
    ends = [*keys[1:], seconds]
    return [FrameRequest(moment=key, at=key, until=end) for key, end in zip(keys, ends, strict=True)]


def _key_before(film: OpenVideo, moment: float) -> float:
    return film.keys[max(0, bisect_right(film.keys, moment + 1e-3) - 1)]


def _by_scene(film: OpenVideo, most: int, report: Report) -> tuple[list[FrameRequest], int]:
    """Return at most ``most`` scenes, and the number of all scenes."""
    seconds = film.seconds.mid
    times: list[float] = []
    looks: list[Any] = []
    reported_share = 0.0
    for time, picture in _scan(film):
        times.append(time)
        looks.append(frame_image.thumbnail(picture))
        if time / seconds - reported_share >= _TOLD:
            reported_share = time / seconds
            report(min(0.8, 0.8 * reported_share), "looking for scenes")

    found, scene_count = frame_image.scenes_of(looks, times, seconds, most)
    return [
        FrameRequest(moment=times[scene.index], at=round(scene.at, 3), until=round(scene.until, 3)) for scene in found
    ], scene_count


def _scan(film: OpenVideo) -> Iterator[tuple[float, Any]]:
    """Yield (time, frame) over the whole video: every frame if that is affordable, otherwise only key frames."""
    work = film.seconds.mid * (film.fps or 30) * max(film.pixels, _FRAME_COST)
    gaps = [after - before for before, after in zip(film.keys, [*film.keys[1:], film.seconds.mid], strict=True)]
    rare = max(gaps) > _SPARSE and work <= _SCAN_PIXELS_SPARSE
    if work <= _SCAN_PIXELS or rare:
        yield from _compared_frames(film, hurried=work > _SCAN_PIXELS)
        return
    count = int(max(12, min(_SCAN_KEYS, _SCAN_PIXELS // max(film.pixels, _FRAME_COST))))
    keys = film.keys
    if len(keys) > count:
        cuts = set(scenes.cuts_from_key_frames(keys, film.fps))
        first = _spread_evenly([key for key in keys if round(key, 3) in cuts], count)
        rest = _spread_evenly([key for key in keys if round(key, 3) not in cuts], count - len(first))
        keys = tuple(sorted({keys[0], *first, *rest}))
    yield from key_frames_at(film, keys)


def _spread_evenly(values: Sequence[float], count: int) -> list[float]:
    if len(values) <= count:
        return list(values)
    return [values[number * len(values) // count] for number in range(max(0, count))]


def _compared_frames(film: OpenVideo, *, hurried: bool) -> Iterator[tuple[float, Any]]:
    """Yield the compared frames while all are decoded; ``hurried`` skips frames that no other frame refers to."""
    context = film.stream.codec_context
    context.options = {**context.options, "skip_loop_filter": "all"}  # blurs too little to matter at this size
    if hurried:
        context.skip_frame = "NONREF"
    container.select_stream(film.source.container, film.stream)
    rewind(film)
    following, work = 0.0, 0
    for picture in container.frames(film.source.container, film.stream, "video"):
        work += max(picture.width * picture.height, _FRAME_COST)
        if picture.pts is None:
            continue
        time = film.time(picture.pts)
        if time > film.seconds.high * 1.25 + 10 or work > 1.5 * _SCAN_PIXELS_SPARSE:
            raise too_long_error()
        if time + 1e-6 >= following:
            following = time + 1 / _SCAN_RATE
            yield time, picture


def _decoded_frames(film: OpenVideo, frame_requests: Sequence[FrameRequest]) -> Iterator[tuple[FrameRequest, Any]]:
    """Yield the frame of each requested moment, decoded from the key frame before it."""
    box, stream = film.source.container, film.stream
    stream.codec_context.skip_frame = "DEFAULT"
    container.select_stream(box, stream)
    reading: Iterator[Any] | None = None
    group, last = -1.0, None
    for frame_request in frame_requests:
        key = _key_before(film, frame_request.moment)
        if key != group or reading is None:
            seek(film, key)
            group, last, reading = key, None, container.frames(box, stream, "video")
        while last is None or (last.pts is not None and film.time(last.pts) < frame_request.moment - 2e-3):
            following = next(reading, None)
            if following is None:
                reading = None
                break
            last = following
        if last is not None:
            yield frame_request, last
