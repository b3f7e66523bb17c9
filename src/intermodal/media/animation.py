"""Pictures of several frames, inside the worker: animated GIF, WebP and PNG by scene or evenly, TIFFs page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from PIL import Image

from intermodal.errors import InputTooLarge
from intermodal.media import boxes, fence, image, scenes, still
from intermodal.media.spread import Report, Wanted, rate_of
from intermodal.media.steps import MAX_FRAME_SIDE, MAX_FRAMES_IN_PLAN

_WORK = 1_500_000_000  # pixels of all frames: Pillow composes about 100 million a second, and does it twice
_FRAME_COST = 30_000  # pixels that a small frame costs at least
_LOOK = (320, 180)  # frames are shrunk to this before they are compared
_TOLD = 0.02
_PAGED = "image/tiff"


def frames(
    data: bytes, media_type: str, spread: str, most: int, max_side: int | None, report: Report
) -> Iterator[dict[str, Any]]:
    """``Frame`` in builtins, PNG, in order."""
    header = image.checked_header(data, media_type)
    most = min(max(1, most), MAX_FRAMES_IN_PLAN)
    side = min(max(16, max_side or MAX_FRAME_SIDE), MAX_FRAME_SIDE)
    rate = rate_of(spread)
    paged = media_type == _PAGED
    if not paged and header.frames * max(_FRAME_COST, header.width * header.height) > _WORK:
        raise InputTooLarge(
            f"has {header.frames:,} frames of {header.width:,} x {header.height:,} pixels, too many to compose",
            todo="convert it to a film: ffmpeg -i FILE film.mp4",
        )
    with fence.room(image.room(header, data)):
        if paged:
            pages = boxes.tiff_pages(data)[:most]
            chosen = {place: Wanted(moment=0, at=0, until=0) for place in pages}
        else:
            chosen = _chosen(data, media_type, header, rate, most, report)
        made = 0
        for number, shown in _walk(data, media_type, max(chosen, default=0)):
            wanted = chosen.get(number)
            if wanted is None:
                continue
            made += 1
            yield {
                **_fitted(shown, side), "at": wanted.at, "until": wanted.until, "number": made if paged else 0,
            }  # fmt: skip
            report(min(1.0, 0.7 + 0.3 * made / len(chosen)), f"frame {made} of {len(chosen)}")


def _fitted(shown: Image.Image, side: int) -> dict[str, Any]:
    flat = image.flat(image.upright(shown))
    if max(flat.size) > side:
        flat.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return image.encoded(flat)


def _walk(data: bytes, media_type: str, last: int) -> Iterator[tuple[int, Image.Image]]:
    """(place, frame) in order up to ``last``; the frame is used up before the next is asked for."""
    opened = image.opened(data, media_type)
    for place in range(min(last + 1, image.count_of(opened))):
        if place or media_type == _PAGED:
            image.turned_to(opened, place)
        image.load(opened)
        yield place, opened.copy()


def _chosen(
    data: bytes, media_type: str, header: boxes.Pixels, rate: float | None, most: int, report: Report
) -> dict[int, Wanted]:
    """Which frames, by their place. Times are what the file says; a frame without one stays a tenth of a second."""
    begins, looks, told, at = [], [], 0.0, 0.0
    for place, shown in _walk(data, media_type, header.frames - 1):
        begins.append(at)
        at += boxes.shown_for(shown.info.get("duration", 0) / 1000)
        shown.thumbnail(_LOOK, Image.Resampling.BOX)
        looks.append(image.flat(shown).convert("RGB").resize(scenes.GRID, Image.Resampling.BOX))
        if (place + 1) / header.frames - told >= _TOLD:
            told = (place + 1) / header.frames
            report(0.7 * min(1.0, told), "looking for scenes")
    end = at

    if rate is None:
        found, _ = still.scenes_of(looks, begins, end, most)
        return {one.index: Wanted(moment=one.at, at=round(one.at, 3), until=round(one.until, 3)) for one in found}
    count = max(1, min(most, round(min(rate * end, most))))
    taken: dict[int, Wanted] = {}
    for number in range(count):
        moment = (number + 0.5) * end / count
        place = max(range(len(begins)), key=lambda one: begins[one] if begins[one] <= moment else -1.0)
        until = round(min(end, moment + end / count), 3)
        taken.setdefault(place, Wanted(moment=moment, at=round(moment, 3), until=until))
    return taken
