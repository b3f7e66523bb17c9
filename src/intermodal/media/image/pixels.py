"""Pixels of pictures that our decoder encoded, for models; and pictures encoded from pixels that a model made."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from PIL import Image

from intermodal.errors import InputBroken

FILTERS = tuple(range(len(Image.Resampling)))  # numbers that preprocessor_config.json has for ways to resize
SMOOTH, NEAREST = Image.Resampling.LANCZOS.value, Image.Resampling.NEAREST.value
_OPTIONS: Mapping[str, Mapping[str, Any]] = {"jpeg": {"quality": 92}, "webp": {"quality": 92}}


class Rgb(NamedTuple):
    """Three bytes a pixel, row after row."""

    width: int
    height: int
    data: bytes


def decode_rgb(data: bytes, to: Callable[[int, int], tuple[int, int]] | None, resample: int) -> Rgb:
    """A picture in the width and height that ``to`` makes of its own; as large as it is without."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as opened:
            image = opened.convert("RGB")
    except Exception as error:  # it was encoded by us: whatever is wrong with it, it is no picture
        raise InputBroken(f"is not a picture ({type(error).__name__})") from None
    if to is not None:
        image = image.resize(to(*image.size), Image.Resampling(resample))
    return Rgb(*image.size, image.tobytes())


def encode_pixels(image: Rgb, form: str, largest: int = 0) -> bytes:
    """A file of pixels: "png", "jpeg" or "webp". ``largest``: pixels that its longer side gets; 0 leaves it."""
    made = Image.frombytes("RGB", (image.width, image.height), image.data)
    if largest:
        scale = largest / max(made.size)
        made = made.resize((max(1, round(made.width * scale)), max(1, round(made.height * scale))))
    held = io.BytesIO()
    made.save(held, form.upper(), **_OPTIONS.get(form, {}))
    return held.getvalue()
