"""Extracts frames of animated GIF, WebP and PNG, by scene or evenly, and pages of TIFF. Runs in the worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from PIL import Image, ImageChops

from intermodal.errors import InputTooLarge
from intermodal.media import header_readers, sandbox
from intermodal.media.image import decoder
from intermodal.media.media_limits import MAX_FRAME_SIDE, MAX_FRAMES_IN_PLAN
from intermodal.media.video import frame_image, scenes
from intermodal.media.video.scenes import FrameRequest, Report, sampling_rate

_WORK = 1_500_000_000  # pixels of all frames: Pillow composes about 100 million a second, and each twice
_FRAME_COST = 30_000  # least cost of a frame, in pixels
_LOOK = (320, 180)  # frames are shrunk to this before they are compared
_STEP, _LEAST = 40, 20  # a frame with new content differs by _STEP grey levels in at least _LEAST pixels
_TOLD = 0.02
_READABLE = 0.3  # seconds a frame must stand still for its text to be readable
_PAGED = "image/tiff"


def frames(
    data: bytes, media_type: str, spread: str, most: int, max_side: int | None, report: Report
) -> Iterator[dict[str, Any]]:
    """Yield the chosen frames in order, each a ``VideoFrame`` as a dict, encoded as PNG."""
    header = decoder.checked_header(data, media_type)
    most = min(max(1, most), MAX_FRAMES_IN_PLAN)
    side = min(max(16, max_side or MAX_FRAME_SIDE), MAX_FRAME_SIDE)
    rate = sampling_rate(spread)
    paged = media_type == _PAGED
    if not paged and header.frames * max(_FRAME_COST, header.width * header.height) > _WORK:
        raise InputTooLarge(
            f"has {header.frames:,} frames of {header.width:,} x {header.height:,} pixels, too many to compose",
            todo="convert it to a film: ffmpeg -i FILE film.mp4",
        )
    with sandbox.memory_limit(decoder.decode_memory(header, data)):
        if paged:
            pages = header_readers.tiff_pages(data)[:most]
            requests, scenes_there = {place: FrameRequest(moment=0, at=0, until=0) for place in pages}, 0
        else:
            requests, scenes_there = _choose_frames(data, media_type, header, rate, most, report)
        frame_count = 0
        for number, image in _iterate_frames(data, media_type, max(requests, default=0)):
            frame_request = requests.get(number)
            if frame_request is None:
                continue
            frame_count += 1
            yield {
                **_encode_frame(image, side),
                "at": frame_request.at,
                "until": frame_request.until,
                "number": frame_count if paged else 0,
                "scenes": scenes_there,
            }
            report(min(1.0, 0.7 + 0.3 * frame_count / len(requests)), f"frame {frame_count} of {len(requests)}")


def _differing_pixels(first: Image.Image, second: Image.Image) -> int:
    """Return how many pixels of two images differ by more than dithering does. From ``_LEAST`` on, the text differs."""
    return sum(ImageChops.difference(first, second).histogram()[_STEP:])


def _encode_frame(image: Image.Image, side: int) -> dict[str, Any]:
    flat = decoder.flatten(decoder.rotate_by_exif(image))
    if max(flat.size) > side:
        flat.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return decoder.encode_image(flat)


def _iterate_frames(data: bytes, media_type: str, last: int) -> Iterator[tuple[int, Image.Image]]:
    """Yield (index, frame) in order up to ``last``."""
    image = decoder.open_image(data, media_type)
    for place in range(min(last + 1, decoder.frame_count(image))):
        if place or media_type == _PAGED:
            decoder.seek_frame(image, place)
        decoder.load_pixels(image)
        yield place, image.copy()


def _choose_frames(
    data: bytes, media_type: str, header: header_readers.ImageHeader, rate: float | None, most: int, report: Report
) -> tuple[dict[int, FrameRequest], int]:
    """Return the chosen frames by index, and the number of scenes; 0 if frames are taken evenly.

    Times are those of the file; a frame without a time is shown for a tenth of a second.
    """
    begins, looks, reported_share, time = [], [], 0.0, 0.0
    changed: dict[int, int] = {}  # frame -> pixels that differ from the previous frame in this dict
    last: Image.Image | None = None
    for place, image in _iterate_frames(data, media_type, header.frames - 1):
        begins.append(time)
        time += header_readers.frame_seconds(image.info.get("duration", 0) / 1000)
        image.thumbnail(_LOOK, Image.Resampling.BOX)
        grey = decoder.flatten(image).convert("L")
        differing = _LOOK[0] * _LOOK[1] if last is None else _differing_pixels(last, grey)
        if differing >= _LEAST:
            changed[place] = differing
            last = grey
        looks.append(decoder.flatten(image).convert("RGB").resize(scenes.GRID, Image.Resampling.BOX))
        if (place + 1) / header.frames - reported_share >= _TOLD:
            reported_share = (place + 1) / header.frames
            report(0.7 * min(1.0, reported_share), "looking for scenes")
    end = time

    if rate is None:
        return _by_change(changed, begins, end, looks, most)
    count = max(1, min(most, round(min(rate * end, most))))
    frame_requests: dict[int, FrameRequest] = {}
    for number in range(count):
        moment = (number + 0.5) * end / count
        place = max(range(len(begins)), key=lambda index: begins[index] if begins[index] <= moment else -1.0)
        until = round(min(end, moment + end / count), 3)
        frame_requests.setdefault(place, FrameRequest(moment=moment, at=round(moment, 3), until=until))
    return frame_requests, 0


def _by_change(
    changed: dict[int, int], begins: list[float], end: float, looks: list[Image.Image], most: int
) -> tuple[dict[int, FrameRequest], int]:
    """Return at most ``most`` frames, and the number of scenes.

    If at most ``most`` frames differ, all of them: another slide may change only few pixels. Otherwise the frames that
    stand still long enough to be read, the most changed first, and then the scenes of the remaining time, as for a
    video.
    """
    ends = dict(zip(changed, [*(begins[place] for place in list(changed)[1:]), end], strict=True))
    if len(changed) <= most:
        return {place: _moment(begins[place], until) for place, until in ends.items()}, len(changed)
    still = [place for place, until in ends.items() if until - begins[place] >= _READABLE]
    found, count = frame_image.scenes_of(looks, begins, end, most)
    moving = [scene for scene in found if not any(scene.at <= begins[place] < scene.until for place in still)]
    still_frames = sorted(still, key=lambda place: (frame_image.is_blank(looks[place]), -changed[place], place))[:most]
    requests = {place: _moment(begins[place], ends[place]) for place in still_frames}
    requests |= {scene.index: _moment(scene.at, scene.until) for scene in moving[: most - len(still_frames)]}
    return dict(sorted(requests.items())), len(still) + len(moving) if still else count


def _moment(start: float, until: float) -> FrameRequest:
    return FrameRequest(moment=start, at=round(start, 3), until=round(until, 3))
