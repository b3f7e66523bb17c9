"""Processes one frame of a video: turned upright, compared, encoded. Runs in the worker."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageChops, ImageStat, JpegImagePlugin

from intermodal.media.video.scenes import GRID, PART, Scene, all_scenes, most_different

_LOADED = (JpegImagePlugin, ImageStat)  # imported before files can no longer be opened
Image.preinit()  # the plugins that Pillow registers when it first saves
_QUALITY = 90  # of a JPEG without chroma subsampling, which keeps coloured small print legible
_BLANK = 3.0  # standard deviation of grey below which an image is blank
_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


def shown_size(frame: Any, shape: float) -> tuple[int, int]:
    """Return width and height as displayed: non-square pixels are made square, then the frame is turned.

    ``shape``: width of a stored pixel relative to its height.
    """
    width, height = _square(frame, shape)
    return (height, width) if _frame_rotation(frame) in (90, 270) else (width, height)


def _frame_rotation(frame: Any) -> int:
    """Return the rotation in degrees counter-clockwise, a multiple of 90 (display matrix, ISO/IEC 14496-12, 8.3.2)."""
    return int(round((frame.rotation or 0) / 90) * 90) % 360


def _square(frame: Any, shape: float) -> tuple[int, int]:
    return max(1, round(frame.width * shape)), frame.height


def _image(frame: Any, width: int, height: int, form: str = "rgb24") -> Image.Image:
    plane = frame.reformat(width, height, form, interpolation="AREA").planes[0]
    mode = "L" if form == "gray" else "RGB"
    return Image.frombuffer(mode, (width, height), bytes(plane), "raw", mode, plane.line_size, 1)


def thumbnail(frame: Any) -> Image.Image:
    """Return a small image for comparing frames."""
    return _image(frame, *GRID)


def grey(frame: Any, side: int) -> Image.Image:
    """Return a grey image for sampling the share of text, not turned."""
    width, height = _fit_within(frame.width, frame.height, side)
    return _image(frame, width, height, "gray")


def _fit_within(width: int, height: int, side: int) -> tuple[int, int]:
    shrink = min(1.0, side / max(width, height))
    return max(1, round(width * shrink)), max(1, round(height * shrink))


def difference(first: Image.Image, second: Image.Image) -> float:
    """Return the root mean square difference over pixels and colours, 0..255."""
    levels = ImageChops.difference(first, second).histogram()
    total = sum(count * (place % 256) ** 2 for place, count in enumerate(levels) if count)
    return float((total / max(1, sum(levels))) ** 0.5)


_SQUARES = [min(255, level * level // 16) for level in range(256)] * 3


def difference_of_part(first: Image.Image, second: Image.Image) -> float:
    """Return the root mean square difference of the part that differs most, in its strongest colour, 0..64."""
    squares = ImageChops.difference(first, second).point(_SQUARES).reduce(PART)
    extremes: Any = squares.getextrema()  # a pair for each of three bands
    return float((16 * max(most for _, most in extremes)) ** 0.5)


def scenes_of(looks: Sequence[Image.Image], times: Sequence[float], end: float, most: int) -> tuple[list[Scene], int]:
    """Return at most ``most`` scenes of the images at ``times``, and the number of all scenes.

    ``looks``: images from ``thumbnail``; ``end``: end of the video in seconds.
    """

    def differ(first: int, second: int) -> float:
        return difference(looks[first], looks[second])

    found = all_scenes(
        times, end, differ, lambda place: is_blank(looks[place]),
        part=lambda first, second: difference_of_part(looks[first], looks[second]),
    )  # fmt: skip
    return most_different(found, differ, most), len(found)


def is_blank(image: Image.Image) -> bool:
    """Return True if an image is black, white or one colour all over."""
    return ImageStat.Stat(image.convert("L")).stddev[0] < _BLANK


def encode_frame(frame: Any, side: int, shape: float) -> dict[str, Any]:
    """Return an ``EncodedImage`` as a dict: upright, at most ``side`` pixels long, a JPEG without metadata."""
    turn = _frame_rotation(frame)
    width, height = _fit_within(*_square(frame, shape), side)
    image = _image(frame, width, height)
    if turn:
        image = image.transpose(_TURNS[turn])
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY, subsampling=0)
    return {"data": out.getvalue(), "width": image.width, "height": image.height, "media_type": "image/jpeg"}
