"""Converts encoded images to pixels for models, and pixels that a model produced to encoded images."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from PIL import Image

from intermodal.errors import InputBroken

FILTERS = tuple(range(len(Image.Resampling)))  # numbers of the resampling filters in preprocessor_config.json
SMOOTH, NEAREST = Image.Resampling.LANCZOS.value, Image.Resampling.NEAREST.value
_OPTIONS: Mapping[str, Mapping[str, Any]] = {"jpeg": {"quality": 92}, "webp": {"quality": 92}}


class Rgb(NamedTuple):
    """An image of three bytes per pixel, row after row."""

    width: int
    height: int
    data: bytes


def decode_rgb(data: bytes, to: Callable[[int, int], tuple[int, int]] | None, resample: int) -> Rgb:
    """Return the pixels of an image that our decoder encoded.

    ``to`` maps its width and height to those of the result; without it, the size is kept.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as source:
            image = source.convert("RGB")
    except Exception as error:  # our own decoder encoded it, so any failure means that it is no image
        raise InputBroken(f"is not an image ({type(error).__name__})") from None
    if to is not None:
        image = image.resize(to(*image.size), Image.Resampling(resample))
    return Rgb(*image.size, image.tobytes())


def encode_pixels(image: Rgb, form: str, largest: int = 0) -> bytes:
    """Return pixels as a file.

    ``form``: "png", "jpeg" or "webp"; ``largest``: pixels of the longer side, 0 to keep it.
    """
    pillow_image = Image.frombytes("RGB", (image.width, image.height), image.data)
    if largest:
        scale = largest / max(pillow_image.size)
        pillow_image = pillow_image.resize(
            (max(1, round(pillow_image.width * scale)), max(1, round(pillow_image.height * scale)))
        )
    output = io.BytesIO()
    pillow_image.save(output, form.upper(), **_OPTIONS.get(form, {}))
    return output.getvalue()
