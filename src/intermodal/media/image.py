"""Pictures, decoded inside the worker: probe and re-encode. Only this module opens one with Pillow."""

from __future__ import annotations

import io
import warnings
from typing import Any

from PIL import (  # every plugin and helper that Pillow would otherwise import in the middle of decoding
    ExifTags,
    GifImagePlugin,
    Image,
    ImageChops,
    ImageColor,
    ImageFile,
    ImageOps,
    ImagePalette,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from intermodal.errors import InputBroken, InputTooLarge, InputUnsupported
from intermodal.media import boxes, fence
from intermodal.media.probed import Probed
from intermodal.media.steps import MAX_FRAMES, MAX_PIXELS
from intermodal.quantity import Quantity, between

_LOADED = (GifImagePlugin, ImageColor, ImagePalette, JpegImagePlugin, MpoImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin)
_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP"}

Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # stricter than Pillow's own, and an error rather than a warning
warnings.simplefilter("error", Image.DecompressionBombWarning)
ImageFile.LOAD_TRUNCATED_IMAGES = False

_SAMPLE_SIDE = 640  # pixels of the longer side at which text density is sampled
_BLOCK = 16
_BROKEN_TODO = "check that the file is complete and opens elsewhere"


def probe(data: bytes, media_type: str) -> Probed:
    """Size and frames from the header; text density from the first frame, which is decoded and so checked."""
    header = _checked_header(data, media_type)
    with fence.room(_room(header, data)):
        image = _open(data, media_type)
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        width, height = (image.height, image.width) if turned else image.size
        image.draft("L", (_SAMPLE_SIDE, _SAMPLE_SIDE))  # JPEG alone: decodes at a fraction of the size
        _load(image)
        return Probed(width=width, height=height, frames=header.frames, text_density=_text_density(image))


def picture(data: bytes, media_type: str, max_side: int | None) -> dict[str, Any]:
    """The first frame as an RGB or grey PNG: upright, without metadata, alpha laid on white."""
    header = _checked_header(data, media_type)
    with fence.room(_room(header, data)):
        image = _open(data, media_type)
        if max_side:
            image.draft("RGB", (2 * max_side, 2 * max_side))
        _load(image)
        image = _flat(ImageOps.exif_transpose(image))
        if max_side and max(image.size) > max_side:
            image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=3.0)
        return encoded(image)


def encoded(image: Image.Image) -> dict[str, Any]:
    """``Picture`` in builtins. A new image holds pixels alone, so nothing of the original's metadata is written."""
    bare = Image.new(image.mode, image.size)
    bare.paste(image)
    out = io.BytesIO()
    bare.save(out, "PNG", compress_level=4)  # 6 is 4 % smaller and takes twice as long on pages of text
    return {"data": out.getvalue(), "width": image.width, "height": image.height, "media_type": "image/png"}


def _checked_header(data: bytes, media_type: str) -> boxes.Pixels:
    if media_type not in _FORMATS:
        raise InputUnsupported("is not a picture", todo="pass a PNG, JPEG, WebP or GIF")
    header = boxes.picture_header(data, media_type)
    if header.width * header.height > MAX_PIXELS:
        raise InputTooLarge(
            f"has {header.width:,} x {header.height:,} pixels, more than {MAX_PIXELS // 1_000_000} million",
            todo="shrink it first",
        )
    if header.frames > MAX_FRAMES:
        raise InputTooLarge(f"is an animation of more than {MAX_FRAMES:,} frames", todo="save one frame as PNG")
    return header


def _room(header: boxes.Pixels, data: bytes) -> int:
    """Decoded, converted, copied and encoded, four bytes a pixel each; and the file itself."""
    return 20 * header.width * header.height + 2 * len(data) + (64 << 20)


def _open(data: bytes, media_type: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=[_FORMATS[media_type]])
    except Image.DecompressionBombError:
        raise InputTooLarge(f"has more than {MAX_PIXELS // 1_000_000} million pixels", todo="shrink it first") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises many kinds for a bad header
        raise _broken(error) from None
    if image.width * image.height > MAX_PIXELS:
        raise InputTooLarge(f"has more than {MAX_PIXELS // 1_000_000} million pixels", todo="shrink it first")
    return image


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # OSError for cut data, SyntaxError for a bad chunk, zlib.error, …
        raise _broken(error) from None


def _broken(error: Exception) -> InputBroken:
    words = str(error).lower()
    cut = "truncated" in words or "unexpected end" in words or "not enough" in words
    return InputBroken("is cut short" if cut else "cannot be decoded as a picture", todo=_BROKEN_TODO)


def _flat(image: Image.Image) -> Image.Image:
    """RGB or L: palettes resolved, 16-bit grey scaled, CMYK converted, transparency on white."""
    if image.mode in ("RGB", "L"):
        if "transparency" not in image.info:
            return image
        image = image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith(("I", "F")):
        low, high = image.convert("F").getextrema()
        scale = 255 / 65535 if isinstance(high, float) and high > 255 else 1.0
        return image.convert("F").point(lambda value: value * scale).convert("L") if isinstance(low, float) else image.convert("L")
    if image.mode in ("P", "PA") and ("transparency" in image.info or image.mode == "PA"):
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA", "RGBa", "La"):
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image.convert("RGB")


def _text_density(image: Image.Image) -> Quantity:
    """Share of the area that looks like writing.

    Writing is dark-on-light or light-on-dark: in a small block one grey level (the paper) covers much of
    the area, a clearly different one (the ink) some of it, and the change between the two comes often and
    sharply. Photographs change level gradually or have no paper. Blocks that pass all three tests
    are counted. Calibrated on the example pictures and on rendered pages; a rough instrument, hence the range.
    """
    grey = _flat(image).convert("L")
    grey.thumbnail((_SAMPLE_SIDE, _SAMPLE_SIDE), Image.Resampling.BOX)
    if min(grey.size) < _BLOCK:
        return between(0, 0, 1, "too small to sample")
    steps = ImageChops.difference(grey, ImageChops.offset(grey, 1, 0)).point(lambda value: 255 if value > 28 else 0)
    coarse = grey.point(lambda value: value & 0xF0)
    size = (grey.width // _BLOCK, grey.height // _BLOCK)
    texty = 0
    for row in range(size[1]):
        for column in range(size[0]):
            box = (column * _BLOCK, row * _BLOCK, (column + 1) * _BLOCK, (row + 1) * _BLOCK)
            texty += _looks_written(steps.crop(box).histogram()[255], coarse.crop(box).histogram()[::16])
    share = texty / (size[0] * size[1])
    return between(share * 0.5, share, min(1.0, share * 2 + 0.02), f"blocks that look written, sampled at {_SAMPLE_SIDE} px")


def _looks_written(changes: int, levels: list[int]) -> bool:
    area = _BLOCK * _BLOCK
    if not 0.06 * area < changes < 0.75 * area:
        return False
    paper = max(range(16), key=levels.__getitem__)
    near = sum(levels[max(0, paper - 1) : paper + 2])
    ink = sum(count for level, count in enumerate(levels) if abs(level - paper) >= 4)
    return near > 0.4 * area and ink > 0.05 * area
