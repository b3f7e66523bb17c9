"""Pixels of a picture that our own decoder encoded, as a model takes them: RGB, resized as its files say."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import NamedTuple

from PIL import Image

from intermodal.errors import InputBroken

FILTERS = tuple(range(len(Image.Resampling)))  # numbers that preprocessor_config.json has for ways to resize


class Rgb(NamedTuple):
    """Three bytes a pixel, row after row."""

    width: int
    height: int
    data: bytes


def rgb(data: bytes, to: Callable[[int, int], tuple[int, int]] | None, resample: int) -> Rgb:
    """A picture in the width and height that ``to`` makes of its own; as large as it is without."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as opened:
            image = opened.convert("RGB")
    except Exception as error:  # it was encoded by us: whatever is wrong with it, it is no picture
        raise InputBroken(f"is not a picture ({type(error).__name__})") from None
    if to is not None:
        image = image.resize(to(*image.size), Image.Resampling(resample))
    return Rgb(*image.size, image.tobytes())
